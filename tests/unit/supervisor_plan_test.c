/* SPDX-License-Identifier: MIT */
/*
 * supervisor_plan_test.c - what a supervisor decides, as scenarios in words: each tells the plan
 * what happened and compares what it wants done, as one line of text. It knows nothing of actors;
 * time is a number. Backoff, limits and significant children are in supervisor_plan_limits_test.c;
 * what scenarios forget is walked through in supervisor_plan_walk_test.c.
 */
#include "tests/support/plan_fixture.h"

/* -- scenarios: start -------------------------------------------------------------------------- */

Test(supervisor_plan, starts_children_in_order_each_after_the_one_before_is_up)
{
    for (int strategy = WARD_ONE_FOR_ONE; strategy <= WARD_REST_FOR_ONE; strategy++) {
        struct fixture f;
        set_up(&f, (ward_strategy)strategy, "ppp", &usual, &usual);
        says("start 0", wants(&f, 0));
        says("", wants(&f, 5));
        says("start 1", up(&f, 0, 5));
        says("start 2", up(&f, 1, 6));
        says("started", up(&f, 2, 7));
        says("", wants(&f, 8));
        tear_down(&f);
    }
}

Test(supervisor_plan, is_started_at_once_without_children_and_ends_at_once)
{
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "", &usual, &usual);
    says("started", wants(&f, 0));
    says("end cancel", told(&f, WARD__EV_STOP, 1));
    says("", told(&f, WARD__EV_STOP, 2));
    tear_down(&f);
}

Test(supervisor_plan, holds_back_the_younger_ones_while_a_first_start_is_repeated)
{
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "pp", &usual, &usual);
    wants(&f, 0);
    says("timer 13", failed(&f, 0, 3));
    says("start 0", told(&f, WARD__EV_TIMER, 13));
    says("start 1", up(&f, 0, 14));
    tear_down(&f);
}

Test(supervisor_plan, goes_on_when_a_first_start_ends_for_good)
{
    struct fixture f;
    set_up(&f, WARD_REST_FOR_ONE, "otp", &usual, &usual);
    wants(&f, 0);
    says("forget 0, start 1", failed(&f, 0, 1));
    says("forget 1, start 2", ended(&f, 1, WARD__END_NORMAL, 2));
    says("started", up(&f, 2, 3));
    tear_down(&f);
}

Test(supervisor_plan, lets_an_elder_fail_while_the_first_start_goes_on)
{
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "ppp", &usual, &usual);
    wants(&f, 0);
    up(&f, 0, 0);
    says("timer 11", failed(&f, 0, 1));
    says("start 2", up(&f, 1, 2));
    says("start 0", told(&f, WARD__EV_TIMER, 11));
    says("started", up(&f, 2, 12));
    tear_down(&f);
}

/* -- scenarios: each alone --------------------------------------------------------------------- */

Test(supervisor_plan, restarts_by_kind)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "pto");
    says("timer 11", ended(&f, 0, WARD__END_NORMAL, 1));
    says("", failed(&f, 1, 2));
    says("forget 2", failed(&f, 2, 3));
    says("start 0, timer 12", told(&f, WARD__EV_TIMER, 11));
    says("start 1", told(&f, WARD__EV_TIMER, 12));
    up(&f, 1, 13);
    says("forget 1", ended(&f, 1, WARD__END_NORMAL, 14));
    says("", failed(&f, 1, 15));
    tear_down(&f);
}

Test(supervisor_plan, asks_for_an_earlier_timer_when_one_is_due_before)
{
    static const struct ward__limits slow = { 5, 1000, 50, 100 };
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "pp");
    f.plan.children[0].backoff_ns = slow.backoff_ns;
    says("timer 51", failed(&f, 0, 1));
    says("timer 12", failed(&f, 1, 2));
    says("timer 12", told(&f, WARD__EV_TIMER, 5)); /* fired early */
    says("start 1, timer 51", told(&f, WARD__EV_TIMER, 12));
    says("start 0", wants(&f, 60)); /* late, and not even told */
    tear_down(&f);
}

Test(supervisor_plan, gives_up_when_one_child_restarts_too_often)
{
    static const struct ward__limits two = { 2, 1000, 0, 100 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "ppp", &usual, &two);
    wants(&f, 0);
    for (uint32_t k = 0; k < 3; k++)
        up(&f, k, 0);
    says("start 1", failed(&f, 1, 1));
    says("start 1", failed(&f, 1, 2)); /* a start that fails counts */
    says("forget 1, cancel 2", failed(&f, 1, 3));
    says("cancel 0", stopped(&f, 2, 4) + strlen("forget 2, "));
    says("forget 0, end limit", failed(&f, 0, 5));
    says("", wants(&f, 6));
    tear_down(&f);
}

Test(supervisor_plan, gives_up_when_all_children_together_restart_too_often)
{
    static const struct ward__limits two = { 2, 1000, 0, 100 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "ppp", &two, &usual);
    wants(&f, 0);
    for (uint32_t k = 0; k < 3; k++)
        up(&f, k, 0);
    says("timer 11", failed(&f, 0, 1));
    says("", failed(&f, 1, 2));
    says("forget 0, forget 1, forget 2, end limit", failed(&f, 2, 3));
    tear_down(&f);
}

Test(supervisor_plan, counts_what_is_younger_than_the_window_only)
{
    static const struct ward__limits one = { 1, 1000, 0, 100 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "p", &usual, &one);
    wants(&f, 0);
    says("start 0", failed(&f, 0, 0));
    says("start 0", failed(&f, 0, 1000));
    says("forget 0, end limit", failed(&f, 0, 1999));
    tear_down(&f);
}

Test(supervisor_plan, slides_the_window_along)
{
    static const struct ward__limits two = { 2, 1000, 0, 100 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "p", &usual, &two);
    wants(&f, 0);
    says("start 0", failed(&f, 0, 0));
    says("start 0", failed(&f, 0, 900));
    says("start 0", failed(&f, 0, 1100));
    says("forget 0, end limit", failed(&f, 0, 1200));
    tear_down(&f);
}

Test(supervisor_plan, never_gives_up_without_a_limit)
{
    static const struct ward__limits none = { WARD_UNLIMITED, INT64_MAX, 0, 100 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "p", &none, &none);
    wants(&f, 0);
    for (int i = 0; i < 5000; i++)
        says("start 0", failed(&f, 0, i));
    tear_down(&f);
}

Test(supervisor_plan, gives_up_when_the_caller_says_so)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "pp");
    says("cancel 1", told(&f, WARD__EV_FAIL, 1));
    says("forget 1, cancel 0", stopped(&f, 1, 2));
    says("forget 0, end limit", stopped(&f, 0, 3));
    tear_down(&f);
}

Test(supervisor_plan, counts_an_abandoned_question_for_nothing)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "pto");
    for (int i = 0; i < 50; i++) {
        ended(&f, 0, WARD__END_ABANDONED, 0);
        says("start 0", wants(&f, 10));
        ended(&f, 1, WARD__END_ABANDONED, 0);
        says("start 1", wants(&f, 10));
    }
    says("forget 2", ended(&f, 2, WARD__END_ABANDONED, 11));
    says("timer 21", failed(&f, 0, 11));
    says("start 0", wants(&f, 21));
    says("timer 42", failed(&f, 0, 22));
    says("start 0", wants(&f, 42));
    says("timer 63", ended(&f, 0, WARD__END_ABANDONED, 43)); /* backs off as the last one did */
    says("start 0", wants(&f, 63));
    says("timer 5010", ended(&f, 0, WARD__END_ABANDONED, 5000)); /* that is long ago now */
    tear_down(&f);
}

Test(supervisor_plan, does_not_restart_whom_somebody_else_cancelled_or_closed)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "pppp");
    says("forget 0", ended(&f, 0, WARD__END_CANCELLED, 1));
    says("forget 1", ended(&f, 1, WARD__END_FINAL, 2));
    says("", cancelled_by_others(&f, 2, 3));
    says("forget 2", failed(&f, 2, 4));
    says("timer 15", failed(&f, 3, 5));
    says("forget 3", cancelled_by_others(&f, 3, 6));
    says("", told(&f, WARD__EV_TIMER, 15)); /* all have ended: idle */
    says("end cancel", told(&f, WARD__EV_STOP, 16));
    tear_down(&f);
}

/* -- scenarios: groups ------------------------------------------------------------------------- */

Test(supervisor_plan, one_for_all_stops_in_reverse_waits_and_starts_in_order)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ALL, "pppp");
    says("cancel 3", failed(&f, 1, 1));
    says("cancel 2", stopped(&f, 3, 2));
    says("cancel 0", ended(&f, 2, WARD__END_NORMAL, 3));
    says("timer 11", failed(&f, 0, 4)); /* it was cancelled, so this is no failure */
    cr_assert_eq(f.plan.restarts.count, 1);
    says("start 0", told(&f, WARD__EV_TIMER, 11));
    says("start 1", up(&f, 0, 12));
    says("start 2", up(&f, 1, 13));
    says("start 3", up(&f, 2, 14));
    says("", up(&f, 3, 15));
    tear_down(&f);
}

Test(supervisor_plan, rest_for_one_leaves_the_elders_alone)
{
    struct fixture f;
    set_up_running(&f, WARD_REST_FOR_ONE, "pppp");
    says("cancel 3", failed(&f, 1, 1));
    says("cancel 2", stopped(&f, 3, 50));
    says("start 1", stopped(&f, 2, 60)); /* the backoff ran meanwhile */
    says("start 2", up(&f, 1, 61));
    says("start 3", up(&f, 2, 62));
    says("timer 83", failed(&f, 3, 73)); /* the youngest has nobody after it */
    tear_down(&f);
}

Test(supervisor_plan, widens_the_group_and_keeps_the_later_time)
{
    struct fixture f;
    set_up_running(&f, WARD_REST_FOR_ONE, "pppp");
    f.plan.children[2].backoff_ns = 70;
    says("cancel 3", failed(&f, 2, 1));
    says("", failed(&f, 0, 2));
    says("cancel 1", stopped(&f, 3, 3));
    says("timer 71", stopped(&f, 1, 4));
    cr_assert_eq(f.plan.restarts.count, 2);
    says("", wants(&f, 70));
    says("start 0", told(&f, WARD__EV_TIMER, 71));
    tear_down(&f);
}

Test(supervisor_plan, widens_a_group_that_is_being_started)
{
    struct fixture f;
    set_up_running(&f, WARD_REST_FOR_ONE, "pppp");
    says("cancel 3", failed(&f, 2, 0));
    says("timer 10", stopped(&f, 3, 0));
    says("start 2", wants(&f, 10));
    says("cancel 2", failed(&f, 0, 12)); /* in mid-start */
    says("", up(&f, 2, 13)); /* too late: it is cancelled already */
    says("cancel 1", stopped(&f, 2, 14));
    says("timer 22", stopped(&f, 1, 15));
    says("start 0", wants(&f, 22));
    tear_down(&f);
}

Test(supervisor_plan, starts_over_when_one_of_the_group_fails_again)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ALL, "ppp");
    failed(&f, 0, 0);
    stopped(&f, 2, 0);
    stopped(&f, 1, 0);
    says("start 0", wants(&f, 10));
    says("start 1", up(&f, 0, 11));
    says("cancel 0", failed(&f, 1, 12)); /* its start failed */
    says("timer 22", stopped(&f, 0, 13));
    cr_assert_eq(f.plan.restarts.count, 2);
    says("start 0", wants(&f, 22));
    says("timer 43", failed(&f, 0, 23)); /* the second failure of 0: doubled */
    tear_down(&f);
}

Test(supervisor_plan, counts_one_cause_once_when_all_children_fall_with_it)
{
    static const struct ward__limits one = { 1, 1000, 10, 100 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ALL, "pppt", &one, &one);
    wants(&f, 0);
    for (uint32_t k = 0; k < 4; k++)
        up(&f, k, 0);
    says("cancel 3", failed(&f, 0, 1));
    says("", failed(&f, 2, 2));
    says("", failed(&f, 1, 3));
    says("timer 11", stopped(&f, 3, 4));
    says("start 0", wants(&f, 11));
    tear_down(&f);
}

Test(supervisor_plan, goes_on_stopping_a_group_when_one_of_it_fails_before_its_turn)
{
    struct fixture f;
    set_up_running(&f, WARD_REST_FOR_ONE, "pppp");
    says("cancel 3", failed(&f, 0, 1));
    says("", failed(&f, 2, 2));
    says("cancel 1", stopped(&f, 3, 3));
    says("timer 11", stopped(&f, 1, 4));
    cr_assert_eq(f.plan.restarts.count, 1);
    tear_down(&f);
}

Test(supervisor_plan, does_not_bring_back_in_a_group_who_ended_for_good)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ALL, "ptopt");
    says("forget 1", ended(&f, 1, WARD__END_NORMAL, 1));
    says("cancel 4", failed(&f, 0, 2));
    says("cancel 3", ended(&f, 4, WARD__END_NORMAL, 3)); /* transient, but stopped by us */
    says("cancel 2", stopped(&f, 3, 4));
    says("forget 2, timer 12", stopped(&f, 2, 5)); /* temporary */
    says("start 0", wants(&f, 12));
    says("start 3", up(&f, 0, 13));
    says("start 4", up(&f, 3, 14));
    says("", up(&f, 4, 15));
    tear_down(&f);
}

Test(supervisor_plan, still_starts_a_temporary_child_that_a_group_restart_overtook)
{
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ALL, "po", &usual, &usual);
    wants(&f, 0);
    says("timer 11", failed(&f, 0, 1));
    says("start 0", wants(&f, 11));
    says("start 1", up(&f, 0, 12));
    says("started", up(&f, 1, 13));
    tear_down(&f);
}

Test(supervisor_plan, gives_up_on_an_immortal_child)
{
    static const struct ward__limits two = { 2, 100, 10, 10 };
    struct fixture f;
    int64_t now = 0;
    set_up(&f, WARD_ONE_FOR_ALL, "pp", &two, &two);
    wants(&f, 0);
    up(&f, 0, 0);
    up(&f, 1, 0);
    for (int i = 0; i < 2; i++) {
        says("cancel 1", failed(&f, 0, now));
        now += 1000; /* ten windows to stop the sibling, and that is no quiet time */
        says("start 0", stopped(&f, 1, now));
        says("start 1", up(&f, 0, now));
        up(&f, 1, now);
        now += 40;
    }
    says("forget 0, cancel 1", failed(&f, 0, now));
    says("forget 1, end limit", stopped(&f, 1, now));
    tear_down(&f);
}

Test(supervisor_plan, does_not_age_restarts_while_a_widened_group_stops)
{
    static const struct ward__limits two = { 2, 100, 10, 10 };
    struct fixture f;
    set_up(&f, WARD_REST_FOR_ONE, "ppp", &two, &usual);
    wants(&f, 0);
    for (uint32_t k = 0; k < 3; k++)
        up(&f, k, 0);
    says("cancel 2", failed(&f, 1, 0));
    says("", failed(&f, 0, 500));
    says("start 0", stopped(&f, 2, 600));
    says("forget 0, forget 1, forget 2, end limit", failed(&f, 0, 650));
    tear_down(&f);
}

/* -- scenarios: stop --------------------------------------------------------------------------- */

Test(supervisor_plan, stops_in_reverse_one_at_a_time)
{
    for (int strategy = WARD_ONE_FOR_ONE; strategy <= WARD_REST_FOR_ONE; strategy++) {
        struct fixture f;
        set_up_running(&f, (ward_strategy)strategy, "ppp");
        says("cancel 2", told(&f, WARD__EV_STOP, 1));
        says("", told(&f, WARD__EV_STOP, 2));
        says("forget 2, cancel 1", stopped(&f, 2, 3));
        says("forget 0", failed(&f, 0, 4)); /* on its own, before its turn */
        says("forget 1, end cancel", stopped(&f, 1, 5));
        says("", told(&f, WARD__EV_FAIL, 6));
        tear_down(&f);
    }
}

Test(supervisor_plan, does_not_start_when_a_stop_races_the_timer)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "pp");
    says("timer 11", failed(&f, 0, 1));
    says("forget 0, cancel 1", told(&f, WARD__EV_STOP, 11));
    says("", told(&f, WARD__EV_TIMER, 11));
    says("forget 1, end cancel", stopped(&f, 1, 12));
    tear_down(&f);
}

Test(supervisor_plan, cancels_a_child_in_mid_start_and_forgets_those_not_started)
{
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "ppp", &usual, &usual);
    wants(&f, 0);
    says("start 1", up(&f, 0, 1));
    says("forget 2, cancel 1", told(&f, WARD__EV_STOP, 2));
    says("", up(&f, 1, 3));
    says("forget 1, cancel 0", stopped(&f, 1, 4));
    says("forget 0, end cancel", stopped(&f, 0, 5));
    tear_down(&f);
}

Test(supervisor_plan, turns_a_group_restart_into_a_stop)
{
    struct fixture f;
    set_up_running(&f, WARD_REST_FOR_ONE, "ppp");
    says("cancel 2", failed(&f, 1, 1));
    says("forget 1", told(&f, WARD__EV_STOP, 2));
    says("forget 2, cancel 0", stopped(&f, 2, 3));
    says("forget 0, end cancel", stopped(&f, 0, 4));
    tear_down(&f);
}

Test(supervisor_plan, lets_a_stop_win_over_giving_up)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "p");
    says("cancel 0", told(&f, WARD__EV_FAIL, 1));
    says("", told(&f, WARD__EV_STOP, 2));
    says("", told(&f, WARD__EV_FAIL, 3));
    says("forget 0, end cancel", stopped(&f, 0, 4));
    tear_down(&f);
}

/* -- scenarios: dynamic children, memory ------------------------------------------------------- */

Test(supervisor_plan, judges_dynamic_children_one_by_one)
{
    static const struct ward__limits three = { 3, 1000, 10, 100 };
    struct fixture f;
    struct ward__plan_child child[2];
    int64_t due = 0;
    set_up(&f, WARD_DYNAMIC, "", &three, &usual);
    says("started", wants(&f, 0));
    cr_assert(ward__plan_child_init(&child[0], &f.heap, WARD_TRANSIENT, &usual));
    cr_assert(ward__plan_child_init(&child[1], &f.heap, WARD_PERMANENT, &usual));
#define JUDGED(k, end, now) ward__plan_dynamic_ended(&f.plan, &child[k], (end), (now), &due)
    cr_assert_eq(JUDGED(0, WARD__END_FAILED, 1), WARD__VERDICT_RESTART);
    cr_assert_eq(due, 11);
    cr_assert_eq(JUDGED(0, WARD__END_FAILED, 12), WARD__VERDICT_RESTART);
    cr_assert_eq(due, 32);
    cr_assert_eq(child[0].state, WARD__CHILD_WAITING);
    cr_assert_eq(JUDGED(0, WARD__END_NORMAL, 40), WARD__VERDICT_FORGET);
    cr_assert_eq(child[0].state, WARD__CHILD_ENDED);
    cr_assert_eq(JUDGED(1, WARD__END_NORMAL, 41), WARD__VERDICT_RESTART);
    cr_assert_eq(due, 51);
    says("", wants(&f, 42));
    cr_assert_eq(JUDGED(1, WARD__END_FAILED, 60), WARD__VERDICT_END);
    says("end limit", wants(&f, 60));
    cr_assert_eq(JUDGED(0, WARD__END_FAILED, 61), WARD__VERDICT_FORGET);
    ward__plan_child_free(&child[0], &f.heap);
    ward__plan_child_free(&child[1], &f.heap);
    tear_down(&f);
}

Test(supervisor_plan, does_not_restart_a_dynamic_child_that_was_cancelled_or_outlived_a_stop)
{
    struct fixture f;
    struct ward__plan_child child[1];
    int64_t due = 0;
    set_up(&f, WARD_DYNAMIC, "", &usual, &usual);
    cr_assert(ward__plan_child_init(&child[0], &f.heap, WARD_PERMANENT, &usual));
    cr_assert_eq(JUDGED(0, WARD__END_CANCELLED, 1), WARD__VERDICT_FORGET);
    child[0].state = WARD__CHILD_STOPPING;
    cr_assert_eq(JUDGED(0, WARD__END_FAILED, 2), WARD__VERDICT_FORGET);
    says("end cancel", told(&f, WARD__EV_STOP, 3));
    child[0].state = WARD__CHILD_UP;
    cr_assert_eq(JUDGED(0, WARD__END_FAILED, 4), WARD__VERDICT_FORGET);
    ward__plan_child_free(&child[0], &f.heap);
    tear_down(&f);
#undef JUDGED
}

Test(supervisor_plan, refuses_to_be_without_memory_or_with_too_large_a_limit)
{
    static const struct ward__limits most = { WARD__RESTARTS_MAX, 1000, 10, 100 };
    static const struct ward__limits more = { WARD__RESTARTS_MAX + 1, 1000, 10, 100 };
    static const struct ward__limits none = { 0, 1000, 10, 100 };
    struct ward__heap heap;
    struct ward__plan plan;
    struct ward__plan_child child;

    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    for (int64_t n = 0; n < 2; n++) {
        ward__store(&heap.fail_in, n);
        cr_assert_not(ward__plan_init(&plan, &heap, WARD_ONE_FOR_ALL, 3, &usual));
        cr_assert_eq(ward__load(&heap.bytes), 0);
    }
    ward__store(&heap.fail_in, 0);
    cr_assert_not(ward__plan_child_init(&child, &heap, WARD_PERMANENT, &usual));
    ward__store(&heap.fail_in, -1);
    cr_assert_not(ward__plan_init(&plan, &heap, WARD_ONE_FOR_ALL, 3, &more));
    cr_assert_not(ward__plan_child_init(&child, &heap, WARD_PERMANENT, &more));
    cr_assert_eq(ward__load(&heap.bytes), 0);
    cr_assert(ward__plan_child_init(&child, &heap, WARD_PERMANENT, &most));
    ward__plan_child_free(&child, &heap);
    cr_assert(ward__plan_init(&plan, &heap, WARD_ONE_FOR_ALL, 3, &none));
    ward__plan_free(&plan, &heap); /* with children that were never initialised */
    cr_assert_eq(ward__load(&heap.bytes), 0);
}
