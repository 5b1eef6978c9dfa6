/* SPDX-License-Identifier: MIT */
/*
 * census_totals_test.c - the books: each fate a message can have is counted once, in its column,
 * and a message that gets lost shows. In simulated nodes, and exact.
 */
#include <ward/sim.h>

#include "tests/support/census_fixture.h"

#include "actors/node.h"

static ward_totals totals;

static void take_totals(ward_self *self)
{
    ward_census_totals(ward_node_of(self), &totals, sizeof totals);
}

static void expect_balance(ward_self *self)
{
    take_totals(self);
    cr_expect_eq(totals.unaccounted, 0, "%d", (int)totals.unaccounted);
    cr_expect_eq(totals.accepted, totals.queued + totals.in_hand + totals.kept + totals.handled +
                                      totals.abandoned + totals.expired + totals.dead_lettered +
                                      totals.discarded + totals.in_doubt + totals.handed_over);
    cr_expect_eq(totals.spawned, totals.ended + totals.live);
}

/* Does what the text says. */
static ward_status obey(ward_self *self, const ward_msg *msg)
{
    const char *what = ward_text(msg);
    ward_msg *kept;

    if (strcmp(what, "keep") == 0) return ward_keep(self, &kept, msg);
    if (strcmp(what, "fail") == 0) return WARD_EFAIL;
    if (strcmp(what, "abandon") == 0) return WARD_EABANDONED;
    if (strcmp(what, "answer") == 0) return ward_reply(self, msg, &text_type, "done");
    if (strcmp(what, "drop") == 0) {
        ward_status rc = ward_keep(self, &kept, msg);
        if (!rc) ward_drop(self, kept);
        return rc;
    }
    return strcmp(what, "stop") == 0 ? WARD_STOP : WARD_OK;
}

static void say(ward_self *self, ward_ref to, const char *what)
{
    cr_assert_eq(ward_send(self, to, &text_type, what), WARD_OK);
}

/* -- one fate after the other ------------------------------------------------------------------ */

static ward_status all_fates(ward_self *self)
{
    ward_ref obeys =
        SPAWN(self, &(ward_spec){ .handle = obey, .mailbox_max = 8, .restart = WARD_TEMPORARY });
    const ward_msg *answer;

    expect_balance(self);
    cr_expect_eq(totals.accepted, 0);
    say(self, obeys, "handle");
    say(self, obeys, "keep");
    say(self, obeys, "abandon");
    say(self, obeys, "drop");
    cr_expect_eq(
        ward_ask(self, &answer, obeys, &text_type, "answer", ward_in_ms(self, 100)), WARD_OK);
    expect_balance(self);
    cr_expect_eq(totals.accepted, 5);
    cr_expect_eq(totals.handled, 3);
    cr_expect_eq(totals.kept, 1);
    cr_expect_eq(totals.abandoned, 1);

    say(self, obeys, "fail"); /* in doubt, and so is what it kept */
    say(self, obeys, "too late");
    pass_time(self, 100);
    expect_balance(self);
    cr_expect_eq(totals.accepted, 7);
    cr_expect_eq(totals.kept, 0);
    cr_expect_eq(totals.in_doubt, 2);
    cr_expect_eq(totals.dead_lettered, 1);
    cr_expect_eq(totals.handled, 3);
    cr_expect_eq(totals.ended, 1);
    return WARD_OK;
}

Test(totals, count_each_message_once_in_its_column)
{
    run_simulated(all_fates);
}

static ward_status sleeps_then_obeys(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_sleep(self, ward_in_ms(self, 1000));

    while (!rc) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) rc = obey(self, msg);
    }
    return rc;
}

static ward_status queued_and_expired(ward_self *self)
{
    ward_ref slow = SPAWN(self, &(ward_spec){ .body = sleeps_then_obeys, .mailbox_max = 2 });
    const ward_msg *answer;
    ward_status rc;

    rc = ward_ask(self, &answer, slow, &text_type, "answer", ward_in_ms(self, 100));
    cr_expect_eq(rc, WARD_ETIMEDOUT);
    say(self, slow, "handle");
    cr_expect_eq(ward_send(self, slow, &text_type, "handle"), WARD_EFULL);
    expect_balance(self);
    cr_expect_eq(totals.queued, 2);
    cr_expect_eq(totals.refused, 1);
    pass_time(self, 2000);
    expect_balance(self);
    cr_expect_eq(totals.queued, 0);
    cr_expect_eq(totals.expired, 1);
    cr_expect_eq(totals.handled, 1);
    return WARD_OK;
}

Test(totals, count_what_waits_expired_and_was_refused)
{
    run_simulated(queued_and_expired);
}

static ward_status sleeps_with_hand(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    return rc ? rc : ward_sleep(self, ward_in_ms(self, 1000));
}

static ward_status hand(ward_self *self)
{
    ward_ref holds = SPAWN(self, &(ward_spec){ .body = sleeps_with_hand });

    say(self, holds, "hold");
    pass_time(self, 100);
    expect_balance(self);
    cr_expect_eq(totals.in_hand, 1);
    pass_time(self, 2000);
    expect_balance(self);
    cr_expect_eq(totals.in_hand, 0);
    cr_expect_eq(totals.handled, 1);
    return WARD_OK;
}

Test(totals, count_what_is_in_hand)
{
    run_simulated(hand);
}

/* Keeps one, then gets stuck on the next. */
static ward_status keep_and_hang(ward_self *self, const ward_msg *msg)
{
    ward_msg *kept;

    if (strcmp(ward_text(msg), "keep") == 0) return ward_keep(self, &kept, msg);
    return ward_sim_hang(self, 5000);
}

static ward_status quarantine(ward_self *self)
{
    ward_ref stuck = SPAWN(
        self, &(ward_spec){ .handle = keep_and_hang, .stuck_ms = 1000, .restart = WARD_TEMPORARY });

    say(self, stuck, "keep");
    say(self, stuck, "hang");
    pass_time(self, 2000);
    expect_balance(self);
    cr_expect_eq(totals.zombies, 1);
    cr_expect_eq(totals.in_doubt, 2);
    pass_time(self, 10000); /* it comes back, and settles nothing twice */
    expect_balance(self);
    cr_expect_eq(totals.zombies, 0);
    cr_expect_eq(totals.in_doubt, 2);
    return WARD_OK;
}

Test(totals, settle_what_a_quarantined_turn_held)
{
    run_simulated(quarantine);
}

static ward_status ticks(ward_self *self, const ward_msg *msg)
{
    ward_timer timer;

    if (ward_kind_of(msg) == WARD_MAIL && strcmp(ward_text(msg), "tick") == 0)
        return WARD_EABANDONED; /* of a timer: no message that came in */
    return ward_timer_start(self, &timer, &text_type, "tick", ward_in_ms(self, 10));
}

static ward_status timers(ward_self *self)
{
    ward_ref ref = SPAWN(self, &(ward_spec){ .handle = ticks });

    say(self, ref, "start");
    pass_time(self, 100);
    expect_balance(self);
    cr_expect_eq(totals.accepted, 1);
    cr_expect_eq(totals.handled, 1);
    cr_expect_eq(totals.abandoned, 0);
    return WARD_OK;
}

Test(totals, leave_timers_out)
{
    run_simulated(timers);
}

static ward_status restarts(ward_self *self)
{
    ward_spec child[] = { { .name = "fails", .handle = obey } };
    ward_ref ref;

    SPAWN(self, &(ward_spec){ .name = "shop", .children = WARD_CHILDREN(child) });
    cr_assert_eq(ward_find(self, &ref, "shop/fails", ward_in_ms(self, 100)), WARD_OK);
    for (int i = 0; i < 3; i++) {
        say(self, ref, "keep");
        say(self, ref, "fail");
        pass_time(self, 500);
    }
    expect_balance(self);
    cr_expect_eq(totals.restarts, 3);
    cr_expect_eq(totals.in_doubt, 6);
    cr_expect_eq(totals.ended, 0);
    return WARD_OK;
}

Test(totals, go_on_over_restarts)
{
    run_simulated(restarts);
}

/* -- a lost message shows ---------------------------------------------------------------------- */

static ward_status lose(ward_self *self)
{
    ward_node *node = ward_node_of(self);
    ward_ref ref = SPAWN(self, &(ward_spec){ .handle = obey });
    struct ward__mailbox *box = &ward__slot(node, ref.slot)->box;

    for (int i = 0; i < 5; i++)
        say(self, ref, "handle");
    pass_time(self, 100);
    expect_balance(self);

    /* Came in, and is neither queued nor taken. */
    ward__store(&box->word, ward__load(&box->word) + (UINT64_C(1) << WARD__COUNT_SHIFT));
    take_totals(self);
    cr_expect_eq(totals.unaccounted, 1);
    ward__store(&box->word, ward__load(&box->word) - (UINT64_C(1) << WARD__COUNT_SHIFT));
    /* Was taken, and never settled; settled twice. */
    ward__bump(&box->settled, (uint64_t)-1);
    take_totals(self);
    cr_expect_eq(totals.unaccounted, 1);
    ward__bump(&box->settled, 2);
    take_totals(self);
    cr_expect_eq(totals.unaccounted, -1);
    /* Also when the actor has ended since. */
    ward_cancel(self, ref);
    pass_time(self, 100);
    take_totals(self);
    cr_expect_eq(totals.live, 1);
    cr_expect_eq(totals.unaccounted, -1);
    return WARD_OK;
}

Test(totals, show_a_message_that_was_lost)
{
    run_simulated(lose);
}

static ward_status smaller(ward_self *self)
{
    struct {
        ward_totals totals;
        unsigned char behind;
    } mine;

    memset(&mine, 0x55, sizeof mine);
    ward_census_totals(ward_node_of(self), &mine.totals, offsetof(ward_totals, reaped));
    cr_expect_eq(mine.totals.live, 1);
    cr_expect_eq(mine.totals.reaped, UINT64_C(0x5555555555555555));
    ward_census_totals(ward_node_of(self), &mine.totals, sizeof mine);
    cr_expect_eq(mine.totals.reaped, 0);
    cr_expect_eq(mine.behind, 0); /* what a newer caller knows and we do not is zero */
    return WARD_OK;
}

Test(totals, write_as_much_as_the_caller_knows)
{
    run_simulated(smaller);
}
