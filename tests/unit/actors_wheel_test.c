/* SPDX-License-Identifier: MIT */
/*
 * actors_wheel_test.c - the timer wheel with time given by hand: waits end at their deadline and
 * not before, however far away it is; a deadline that moves or goes; what an empty wheel says. It
 * is raced by threads in tests/race/wheel.c.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "actors/node.h"
#include "base/assert.h"

enum { SLOTS = 600 };

#define MS WARD__NS_MS

static ward_node the_node, *const node = &the_node;
static struct ward__worker the_worker, *const worker = &the_worker;
static struct ward__slot slots[SLOTS + 1];
static struct ward__here here;
static int64_t opened_ns;

/* No more of a node than the wheel touches. It counts from the past, so that `now` is ours. */
static void open_wheel(void)
{
    opened_ns = ward__now_ns() + INT64_C(1000000) * MS; /* nothing comes by itself */
    node->opened_ns = opened_ns;
    node->slots = slots;
    node->slots_max = SLOTS + 1;
    node->workers = worker;
    node->workers_count = 1;
    worker->node = node;
    here = (struct ward__here){ node, worker, NULL };
    ward__wheel_open(&worker->wheel);
    for (int i = 1; i <= SLOTS; i++) {
        ward__store(&slots[i].kind, WARD__HANDLER);
        ward__store(&slots[i].phase, WARD__LIVE);
        ward__store(&slots[i].box.word, WARD__EMPTY | WARD__SCHEDULED);
    }
}

/* Criterion passes over an assertion that fails in here, but not over an abort. */
static void close_wheel(void)
{
    for (int i = 1; i <= SLOTS; i++)
        ward__wheel_forget(node, &slots[i]);
    ward__assert(worker->wheel.count == 0);
    for (int level = 0; level < WARD__WHEEL_LEVELS; level++)
        ward__assert(worker->wheel.used[level] == 0);
    ward__wheel_close(&worker->wheel);
}

TestSuite(wheel, .init = open_wheel, .fini = close_wheel);

static uint64_t arm(int slot, int64_t ms)
{
    uint64_t cell = ward__wait_arm(&slots[slot].wait, opened_ns + ms * MS);

    ward__wheel_arm(&here, &slots[slot], opened_ns + ms * MS);
    return cell;
}

static bool waits(int slot)
{
    return ward__waiting(ward__load(&slots[slot].wait.cell));
}

/* Time goes on, as far as the wheel is to be looked at: in steps, as a worker does it. */
static void go_to(int64_t ms)
{
    while (ward__wheel_next_ns(worker) <= opened_ns + ms * MS)
        (void)ward__wheel_run(&here, worker, ward__wheel_next_ns(worker));
    (void)ward__wheel_run(&here, worker, opened_ns + ms * MS);
}

Test(wheel, has_nothing_to_do_when_empty)
{
    cr_expect_eq(ward__wheel_next_ns(worker), INT64_MAX);
    go_to(1000);
    cr_expect_eq(ward__wheel_next_ns(worker), INT64_MAX);
}

Test(wheel, ends_a_wait_at_its_deadline_and_not_before)
{
    const int64_t times[] = { 1, 2, 63, 64, 65, 127, 128, 4095, 4096, 4097, 262143, 262144, 262145,
        16777215, 16777216, 16777217, 100000000 };

    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t ms = (int64_t)worker->wheel.now + times[i];
        arm(1, ms);
        go_to(ms - 1);
        cr_expect(waits(1), "%lld ms: too early", (long long)times[i]);
        go_to(ms);
        cr_assert_not(waits(1), "%lld ms: not at its time", (long long)times[i]);
        cr_expect_eq(slots[1].wait.status, WARD_ETIMEDOUT);
        ward__store(&slots[1].wait.deadline, 0);
    }
}

Test(wheel, keeps_time_after_the_fifty_days_that_32_bits_hold)
{
    const int64_t days = INT64_C(1) << 32;

    arm(1, days + 3);
    go_to(days + 2);
    cr_expect(waits(1));
    go_to(days + 3);
    cr_expect_not(waits(1));
    arm(2, days + 150);
    go_to(days + 149);
    cr_expect(waits(2));
    go_to(days + 150);
    cr_expect_not(waits(2));
}

Test(wheel, rounds_a_deadline_up_to_the_next_tick)
{
    (void)ward__wait_arm(&slots[1].wait, opened_ns + 5 * MS + 1);
    ward__wheel_arm(&here, &slots[1], opened_ns + 5 * MS + 1);
    go_to(5);
    cr_expect(waits(1));
    go_to(6);
    cr_expect_not(waits(1));
}

Test(wheel, says_when_to_look_again)
{
    arm(1, 50);
    cr_expect_eq(ward__wheel_next_ns(worker), opened_ns + 50 * MS);
    arm(2, 20);
    cr_expect_eq(ward__wheel_next_ns(worker), opened_ns + 20 * MS);
    go_to(20);
    cr_expect_leq(ward__wheel_next_ns(worker), opened_ns + 50 * MS);
    cr_expect_gt(ward__wheel_next_ns(worker), opened_ns + 20 * MS);
}

Test(wheel, ends_many_in_bounded_steps)
{
    bool more = true;
    int steps = 0;

    for (int i = 1; i <= SLOTS; i++)
        arm(i, 10);
    while (more && steps++ < 100)
        more = ward__wheel_run(&here, worker, opened_ns + 10 * MS);
    cr_expect_gt(steps, 1); /* not all of them at once */
    for (int i = 1; i <= SLOTS; i++)
        cr_expect_not(waits(i));
}

Test(wheel, follows_a_deadline_that_moved_away)
{
    arm(1, 10);
    ward__store(&slots[1].wait.deadline, 0);
    cr_assert(ward__wait_claim(&slots[1].wait, ward__load(&slots[1].wait.cell)));
    arm(1, 500); /* no more than a store: an earlier entry is there */
    go_to(499);
    cr_expect(waits(1));
    go_to(500);
    cr_expect_not(waits(1));
}

Test(wheel, follows_a_deadline_that_came_nearer)
{
    arm(1, 100000);
    cr_assert(ward__wait_claim(&slots[1].wait, ward__load(&slots[1].wait.cell)));
    arm(1, 7);
    go_to(7);
    cr_expect_not(waits(1));
}

Test(wheel, forgets_a_deadline_that_was_taken_back)
{
    uint64_t cell = arm(1, 10);

    cr_assert(ward__wait_claim(&slots[1].wait, cell));
    slots[1].wait.status = WARD_OK;
    ward__store(&slots[1].wait.deadline, 0);
    go_to(20);
    cr_expect_eq(slots[1].wait.status, WARD_OK);
    cr_expect_eq(ward__load(&slots[1].wait.cell), cell + 1);
    cr_expect_eq(worker->wheel.count, 0);
}

Test(wheel, tells_who_waits_for_mail_until_it_listens)
{
    ward__store(&slots[1].wait.deadline, opened_ns + 10 * MS);
    ward__wheel_arm(&here, &slots[1], opened_ns + 10 * MS);
    go_to(9);
    cr_expect_eq(ward__load(&slots[1].signals), 0);
    for (int i = 10; i < 12; i++) {
        go_to(i);
        cr_expect_eq(ward__load(&slots[1].signals), WARD__SIG_TIME);
        cr_expect(ward__load(&slots[1].box.word) & WARD__SIGNAL);
        ward__store(&slots[1].signals, 0);
    }
    ward__store(&slots[1].wait.deadline, 0);
    go_to(20);
    cr_expect_eq(ward__load(&slots[1].signals), 0);
    cr_expect_eq(worker->wheel.count, 0);
}

Test(wheel, arms_nothing_for_ever_and_nothing_for_now)
{
    ward__wheel_arm(&here, &slots[1], INT64_MAX);
    ward__wheel_arm(&here, &slots[2], 0);
    cr_expect_eq(worker->wheel.count, 0);
}

Test(wheel, drops_who_is_forgotten)
{
    uint64_t cell = arm(1, 10);

    arm(2, 10);
    ward__wheel_forget(node, &slots[1]);
    ward__wheel_forget(node, &slots[1]);
    go_to(10);
    cr_expect_eq(ward__load(&slots[1].wait.cell), cell);
    cr_expect_not(waits(2));
}

Test(wheel, makes_those_runnable_whose_time_has_come)
{
    arm(1, 10);
    arm(2, 10);
    go_to(10);
    cr_expect(ward__load(&worker->last_in) == 1 || ward__load(&worker->last_in) == 2);
    cr_expect_eq(worker->head + ward__load(&worker->last_in), 3);
}
