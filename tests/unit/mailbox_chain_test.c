/* SPDX-License-Identifier: MIT */
/*
 * mailbox_chain_test.c - many messages with one push: as many as there is room for, in order. Many
 * senders at once are in tests/race/mailbox.c.
 */
#include "mailbox/chain.h"

#include <criterion/criterion.h>
#include <string.h>

enum { BOUND = 5, LIFE = 3 };

static const ward_type NUMBER = WARD_TYPE_PLAIN("number", uint32_t);

static struct ward__heap heap;
static struct ward__pool pool;
static struct ward__mailbox box;
static struct ward__chain chain;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void open_box(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    cr_assert(ward__pool_open(&pool, &heap, 1024, 1024));
    ward__store(&box.life, LIFE);
    ward__mailbox_open(&box, BOUND, 100, &lock);
    cr_assert(ward__mailbox_idle(&box, &pool, NULL));
}

TestSuite(chain, .init = open_box);

static uint32_t make(uint32_t number)
{
    uint32_t mail = ward__mail_get(&pool, NULL);

    cr_assert(mail);
    cr_assert_eq(ward__mail_fill(&pool, ward__mail(&pool, mail), false, &NUMBER, &number), WARD_OK);
    return mail;
}

static void add(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i <= to; i++)
        ward__chain_add(&chain, &pool, LIFE, make(i));
}

static enum ward__pushed push(void)
{
    return ward__mailbox_push_chain(&box, &pool, LIFE, &chain);
}

static uint32_t number_of(uint32_t mail)
{
    uint32_t number;

    if (!mail) return 0;
    memcpy(&number, ward__mail_block(ward__mail(&pool, mail)), sizeof number);
    return number;
}

static uint32_t take(void)
{
    bool missing;
    uint32_t mail = ward__mailbox_take(&box, &pool, NULL, &missing);

    cr_assert_not(missing);
    return number_of(mail);
}

Test(chain, comes_out_in_order_and_makes_its_owner_runnable_once)
{
    add(1, 3);
    cr_expect_eq(push(), WARD__PUSHED_SCHEDULE);
    cr_expect_eq(chain.count, 0);
    cr_expect_eq(ward__mailbox_depth(&box), 3);
    add(4, 5);
    cr_expect_eq(push(), WARD__PUSHED);
    for (uint32_t i = 1; i <= 5; i++)
        cr_expect_eq(take(), i);
    cr_expect_eq(take(), 0);
    cr_expect(ward__mailbox_idle(&box, &pool, NULL));
    cr_expect_eq(ward__mailbox_accepted(&box), 5);
}

Test(chain, goes_in_as_far_as_there_is_room)
{
    add(1, 7);
    cr_expect_eq(push(), WARD__PUSHED_SCHEDULE);
    cr_expect_eq(chain.count, 2);
    cr_expect_eq(ward__mailbox_depth(&box), BOUND);
    cr_expect_eq(push(), WARD__PUSH_FULL);
    cr_expect_eq(chain.count, 2);
    cr_expect_eq(take(), 1);
    cr_expect_eq(push(), WARD__PUSHED);
    cr_expect_eq(chain.count, 1);
    for (uint32_t i = 2; i <= 6; i++)
        cr_expect_eq(take(), i);
    cr_expect_eq(number_of(ward__chain_take(&chain, &pool)), 7);
    cr_expect_eq(ward__chain_take(&chain, &pool), 0);
    cr_expect_eq(take(), 0);
}

Test(chain, goes_in_behind_single_ones_and_before_them)
{
    (void)ward__mailbox_push(&box, &pool, LIFE, make(1), false);
    add(2, 3);
    cr_expect_eq(push(), WARD__PUSHED);
    (void)ward__mailbox_push(&box, &pool, LIFE, make(4), false);
    for (uint32_t i = 1; i <= 4; i++)
        cr_expect_eq(take(), i);
}

Test(chain, is_refused_whole_where_one_would_be)
{
    add(1, 2);
    cr_expect_eq(ward__mailbox_push_chain(&box, &pool, LIFE + 2, &chain), WARD__PUSH_GONE);
    (void)ward__or_seq(&box.word, WARD__WAITED); /* nobody overtakes who is parked */
    cr_expect_eq(push(), WARD__PUSH_FULL);
    (void)ward__and_seq(&box.word, ~WARD__WAITED);
    (void)ward__mailbox_close(&box, LIFE);
    cr_expect_eq(push(), WARD__PUSH_FULL); /* of one it would say why */
    cr_expect_eq(chain.count, 2);
    cr_expect_eq(ward__mailbox_depth(&box), 0);
}
