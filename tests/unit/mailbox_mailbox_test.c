/* SPDX-License-Identifier: MIT */
/*
 * mailbox_mailbox_test.c - the mailbox one step at a time: its bound in messages and bytes, its
 * order, who is to be made runnable, parked senders, closing and dying. Many senders at once are
 * in tests/race/mailbox.c.
 */
#include "mailbox/mailbox.h"

#include <criterion/criterion.h>
#include <string.h>

enum { BOUND = 3, BYTES = 100, LIFE = 1 };

static const ward_type NUMBER = WARD_TYPE_PLAIN("number", uint32_t);

static struct ward__heap heap;
static struct ward__pool pool;
static struct ward__mailbox box;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ward__wait *woken[8];
static int woken_count;

static void open_box(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    cr_assert(ward__pool_open(&pool, &heap, 1024, 1024));
    ward__store(&box.life, LIFE);
    ward__mailbox_open(&box, BOUND, BYTES, &lock);
    cr_assert(ward__mailbox_idle(&box, &pool, NULL)); /* its owner waits */
}

TestSuite(mailbox, .init = open_box);

static uint32_t make(uint32_t number)
{
    uint32_t mail = ward__mail_get(&pool, NULL);

    cr_assert(mail);
    cr_assert_eq(ward__mail_fill(&pool, ward__mail(&pool, mail), false, &NUMBER, &number), WARD_OK);
    return mail;
}

static enum ward__pushed push(uint32_t number)
{
    return ward__mailbox_push(&box, &pool, LIFE, make(number), false);
}

/* The number of the next message; 0: there is none. */
static uint32_t take(void)
{
    bool missing;
    uint32_t mail = ward__mailbox_take(&box, &pool, NULL, &missing), number;

    cr_assert_not(missing);
    if (!mail) return 0;
    memcpy(&number, ward__mail_block(ward__mail(&pool, mail)), sizeof number);
    return number;
}

static bool idle(void)
{
    return ward__mailbox_idle(&box, &pool, NULL);
}

static void wake(void *arg, struct ward__wait *wait, bool handed_over)
{
    cr_assert_eq(handed_over, *(bool *)arg);
    woken[woken_count++] = wait;
}

static int serve(void)
{
    bool handed_over = true;

    woken_count = 0;
    ward__mailbox_serve(&box, &pool, wake, &handed_over);
    return woken_count;
}

static int evict(ward_status status)
{
    bool handed_over = false;

    woken_count = 0;
    ward__mailbox_evict(&box, status, wake, &handed_over);
    return woken_count;
}

static enum ward__pushed park(struct ward__wait *wait, uint32_t number, size_t bytes)
{
    wait->parcel = make(number);
    wait->parcel_bytes = bytes;
    (void)ward__wait_arm(wait, INT64_MAX);
    return ward__mailbox_park(&box, LIFE, wait);
}

static bool waits(struct ward__wait *wait)
{
    return ward__waiting(ward__load(&wait->cell));
}

/* -- the bound, the order, the owner ----------------------------------------------------------- */

Test(mailbox, makes_its_owner_runnable_once)
{
    cr_expect_eq(push(1), WARD__PUSHED_SCHEDULE);
    cr_expect_eq(push(2), WARD__PUSHED);
    cr_expect_eq(take(), 1);
    cr_expect_eq(take(), 2);
    cr_expect_eq(take(), 0);
    cr_expect(idle());
    cr_expect_eq(push(3), WARD__PUSHED_SCHEDULE);
}

Test(mailbox, refuses_mail_when_full)
{
    for (uint32_t i = 1; i <= BOUND; i++)
        cr_expect_leq(push(i), WARD__PUSHED_SCHEDULE);
    cr_expect_eq(ward__mailbox_depth(&box), BOUND);
    cr_expect_eq(push(9), WARD__PUSH_FULL);
    cr_expect_eq(ward__load(&box.refused), 1);
    cr_expect_eq(take(), 1); /* in hand: it fills no place */
    cr_expect_eq(push(4), WARD__PUSHED);
    cr_expect_eq(push(9), WARD__PUSH_FULL);
    for (uint32_t i = 2; i <= 4; i++)
        cr_expect_eq(take(), i);
    cr_expect_eq(take(), 0);
}

Test(mailbox, counts_kept_messages_as_its_own)
{
    for (uint32_t i = 1; i <= BOUND; i++)
        cr_expect_leq(push(i), WARD__PUSHED_SCHEDULE);
    cr_expect_eq(take(), 1);
    ward__store(&box.kept, 1);
    ward__mailbox_publish(&box);
    cr_expect_eq(push(9), WARD__PUSH_FULL);
    ward__store(&box.kept, 0);
    ward__mailbox_publish(&box);
    cr_expect_eq(push(4), WARD__PUSHED);
}

Test(mailbox, stays_the_owner_s_while_there_is_something_to_do)
{
    cr_expect_eq(push(1), WARD__PUSHED_SCHEDULE);
    cr_expect_not(idle());
    cr_expect_eq(take(), 1);
    cr_expect_not(ward__mailbox_signal(&box)); /* the owner runs already */
    cr_expect_not(idle());
    (void)ward__and_seq(&box.word, ~WARD__SIGNAL);
    cr_expect(idle());
    cr_expect(ward__mailbox_signal(&box));
    cr_expect_not(ward__mailbox_signal(&box));
}

Test(mailbox, goes_on_counting_beyond_its_range)
{
    for (uint32_t i = 1; i < 3000; i++) {
        cr_assert_leq(push(i), WARD__PUSHED_SCHEDULE);
        cr_assert_eq(take(), i);
        if (i == 1000) { /* as after 2^26 messages but a few */
            uint64_t count = (uint64_t)(WARD__COUNT_MASK - 500) << WARD__COUNT_SHIFT;
            uint64_t mask = (uint64_t)WARD__COUNT_MASK << WARD__COUNT_SHIFT;
            ward__store(&box.word, (ward__load(&box.word) & ~mask) | count);
            ward__store(&box.taken, WARD__COUNT_MASK - 500);
            ward__mailbox_publish(&box);
        }
        cr_assert_eq(ward__mailbox_depth(&box), 0);
    }
}

/* -- bytes ------------------------------------------------------------------------------------- */

Test(mailbox, reserves_bytes_up_to_its_bound)
{
    cr_expect_eq(ward__mailbox_reserve(&box, BYTES + 1), WARD_ETOOBIG);
    cr_expect_eq(ward__mailbox_reserve(&box, BYTES), WARD_OK);
    cr_expect_eq(ward__mailbox_reserve(&box, 1), WARD_EFULL);
    ward__mailbox_unreserve(&box, 10);
    cr_expect_eq(ward__mailbox_reserve(&box, 10), WARD_OK);
    cr_expect_eq(ward__mailbox_reserve(&box, SIZE_MAX), WARD_ETOOBIG);
}

Test(mailbox, wakes_its_owner_when_a_sender_withdraws_bytes_that_others_waited_for)
{
    struct ward__wait wait = { 0 };

    cr_expect_eq(ward__mailbox_reserve(&box, 60), WARD_OK);
    cr_expect_not(ward__mailbox_withdraw(&box, 60)); /* nobody waits */
    cr_expect_eq(ward__mailbox_reserve(&box, 60), WARD_OK);
    cr_expect_eq(park(&wait, 1, 60), WARD__PUSH_FULL);
    cr_expect_eq(push(2), WARD__PUSH_FULL); /* the one who had reserved is refused */
    cr_expect(ward__mailbox_withdraw(&box, 60));
    cr_expect_eq(take(), 0);
    cr_expect_eq(serve(), 1);
    cr_expect_eq(take(), 1);
}

Test(mailbox, forgets_no_bytes_between_two_lives)
{
    cr_expect_eq(ward__mailbox_reserve(&box, 60), WARD_OK); /* by one with an old ref */
    ward__mailbox_kill(&box);
    ward__mailbox_end(&box, &pool, NULL);
    ward__mailbox_open(&box, BOUND, BYTES, &lock);
    ward__mailbox_unreserve(&box, 60);
    cr_expect_eq(ward__load(&box.bytes), 0);
    cr_expect_eq(ward__mailbox_reserve(&box, BYTES), WARD_OK);
}

/* -- parked senders ---------------------------------------------------------------------------- */

static void fill(void)
{
    for (uint32_t i = 1; i <= BOUND; i++)
        cr_assert_leq(push(i), WARD__PUSHED_SCHEDULE);
}

Test(mailbox, parks_nobody_when_there_is_room)
{
    struct ward__wait wait = { 0 };

    cr_expect_eq(park(&wait, 1, 0), WARD__PUSHED);
    cr_expect_eq(ward__load(&box.word) & WARD__WAITED, 0);
    cr_expect_eq(ward__mailbox_unpark(&wait), true); /* it has its parcel */
}

Test(mailbox, hands_over_in_order_and_lets_nobody_overtake)
{
    struct ward__wait waits_of[2] = { { 0 }, { 0 } };

    fill();
    cr_expect_eq(park(&waits_of[0], 4, 0), WARD__PUSH_FULL);
    cr_expect_eq(park(&waits_of[1], 5, 0), WARD__PUSH_FULL);
    cr_expect_eq(take(), 1);
    cr_expect_eq(push(9), WARD__PUSH_FULL);
    cr_expect_eq(ward__mailbox_reserve(&box, 1), WARD_EFULL);
    cr_expect_eq(serve(), 1);
    cr_expect_eq(woken[0], &waits_of[0]);
    cr_expect_not(waits(&waits_of[0]));
    cr_expect(waits(&waits_of[1]));
    cr_expect_eq(serve(), 0); /* full again */
    for (uint32_t i = 2; i <= 4; i++)
        cr_expect_eq(take(), i);
    cr_expect_eq(serve(), 1);
    cr_expect_eq(take(), 5);
    cr_expect_eq(ward__load(&box.word) & WARD__WAITED, 0);
    cr_expect_not(ward__mailbox_unpark(&waits_of[0]));
    cr_expect_not(ward__mailbox_unpark(&waits_of[1]));
    cr_expect_eq(push(6), WARD__PUSHED);
}

Test(mailbox, passes_over_who_has_given_up)
{
    struct ward__wait gone = { 0 }, here = { 0 };

    fill();
    cr_expect_eq(park(&gone, 4, 10), WARD__PUSH_FULL);
    cr_expect_eq(park(&here, 5, 0), WARD__PUSH_FULL);
    cr_expect(ward__wait_claim(&gone, ward__load(&gone.cell)));
    cr_expect_eq(take(), 1);
    cr_expect_eq(serve(), 1);
    cr_expect_eq(woken[0], &here);
    cr_expect(ward__mailbox_unpark(&gone));
    cr_expect_eq(ward__load(&box.bytes), 0);
}

Test(mailbox, lets_others_send_when_the_last_parked_one_has_given_up)
{
    struct ward__wait wait = { 0 };

    fill();
    cr_expect_eq(park(&wait, 4, 0), WARD__PUSH_FULL);
    cr_expect(ward__mailbox_unpark(&wait));
    cr_expect_eq(ward__load(&box.word) & WARD__WAITED, 0);
    cr_expect_eq(take(), 1);
    cr_expect_eq(push(4), WARD__PUSHED);
}

Test(mailbox, keeps_an_asker_waiting_for_its_answer_after_the_hand_over)
{
    struct ward__wait wait = { .asks = true };
    uint64_t cell;

    fill();
    cr_expect_eq(park(&wait, 4, 0), WARD__PUSH_FULL);
    cell = ward__load(&wait.cell);
    cr_expect_eq(take(), 1);
    cr_expect_eq(serve(), 1);
    cr_expect(waits(&wait));
    cr_expect_eq(ward__load(&wait.cell), cell + 2); /* and who knew the old one ends nothing */
    cr_expect_not(ward__wait_claim(&wait, cell));
    cr_expect_not(ward__mailbox_unpark(&wait));
}

Test(mailbox, is_not_given_up_while_somebody_can_be_served)
{
    struct ward__wait wait = { 0 };

    fill();
    cr_expect_eq(park(&wait, 4, 0), WARD__PUSH_FULL);
    for (uint32_t i = 1; i <= BOUND; i++)
        cr_expect_eq(take(), i);
    cr_expect(ward__mailbox_settle(&box));
    cr_expect_not(idle());
    cr_expect_eq(serve(), 1);
    cr_expect_eq(take(), 4);
    cr_expect_not(ward__mailbox_settle(&box));
    cr_expect(idle());
}

Test(mailbox, is_given_up_when_kept_ones_fill_it_for_all_who_wait)
{
    struct ward__wait wait = { 0 };

    fill();
    cr_expect_eq(park(&wait, 4, 0), WARD__PUSH_FULL);
    for (uint32_t i = 1; i <= BOUND; i++)
        cr_expect_eq(take(), i);
    ward__store(&box.kept, BOUND);
    ward__mailbox_publish(&box);
    cr_expect(idle());
    cr_expect(ward__mailbox_signal(&box)); /* its owner runs again, and drops them */
    ward__store(&box.kept, 0);
    ward__mailbox_publish(&box);
    cr_expect_eq(serve(), 1);
}

/* -- the end ----------------------------------------------------------------------------------- */

Test(mailbox, takes_nothing_more_when_closed_but_keeps_what_is_there)
{
    struct ward__wait wait = { 0 };

    cr_expect_eq(push(1), WARD__PUSHED_SCHEDULE);
    cr_expect_not(ward__mailbox_close(&box, LIFE + 1)); /* not this life */
    cr_expect_not(ward__mailbox_close(&box, LIFE)); /* its owner runs already */
    cr_expect_eq(push(2), WARD__PUSH_CLOSED);
    cr_expect_eq(park(&wait, 3, 0), WARD__PUSH_CLOSED);
    cr_expect_eq(take(), 1);
    cr_expect_eq(take(), 0);
}

Test(mailbox, wakes_its_owner_when_it_is_closed_empty)
{
    cr_expect(ward__mailbox_close(&box, LIFE));
    cr_expect_not(ward__mailbox_close(&box, LIFE));
}

Test(mailbox, lets_in_who_was_claimed_before_it_was_closed)
{
    struct ward__wait wait = { 0 };

    fill();
    cr_expect_eq(park(&wait, 4, 0), WARD__PUSH_FULL);
    cr_expect_eq(take(), 1);
    (void)ward__mailbox_close(&box, LIFE); /* and is served before it is evicted */
    cr_expect_eq(serve(), 1);
    cr_expect_eq(evict(WARD_ECLOSED), 0);
    for (uint32_t i = 2; i <= 4; i++)
        cr_expect_eq(take(), i);
}

Test(mailbox, evicts_all_who_are_parked)
{
    struct ward__wait waits_of[2] = { { 0 }, { 0 } };

    fill();
    for (uint32_t i = 0; i < 2; i++)
        cr_expect_eq(park(&waits_of[i], 4 + i, 0), WARD__PUSH_FULL);
    cr_expect_eq(evict(WARD_EUNAVAIL), 2);
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(waits_of[i].status, WARD_EUNAVAIL);
        cr_expect(ward__mailbox_unpark(&waits_of[i]));
    }
    cr_expect_eq(ward__load(&box.word) & WARD__WAITED, 0);
}

Test(mailbox, has_another_life_that_old_refs_do_not_reach)
{
    struct ward__wait wait = { 0 };

    cr_expect_eq(push(1), WARD__PUSHED_SCHEDULE);
    ward__mailbox_kill(&box);
    cr_expect_eq(push(2), WARD__PUSH_GONE);
    cr_expect_eq(park(&wait, 3, 0), WARD__PUSH_GONE);
    cr_expect_not(ward__mailbox_signal(&box));
    cr_expect_eq(take(), 1); /* drained by who ends it */
    cr_expect_eq(take(), 0);
    ward__mailbox_end(&box, &pool, NULL);
    cr_expect_eq(ward__load(&box.life), LIFE + 1);
    ward__mailbox_open(&box, BOUND, BYTES, &lock);
    cr_expect_eq(push(4), WARD__PUSH_GONE);
    cr_expect_eq(ward__mailbox_push(&box, &pool, LIFE + 1, make(5), false), WARD__PUSHED);
    cr_expect_eq(take(), 5);
    cr_expect_eq(ward__load(&box.taken), 1);
}
