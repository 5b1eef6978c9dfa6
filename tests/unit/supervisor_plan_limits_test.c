/* SPDX-License-Identifier: MIT */
/*
 * supervisor_plan_limits_test.c - when a restart comes, and when there is none any more: the
 * schedule of the backoff, exactly, from its seed; children whose end is the supervisor's.
 */
#include "base/random.h"
#include "tests/support/plan_fixture.h"

/* -- backoff ----------------------------------------------------------------------------------- */

Test(supervisor_plan_limits, doubles_the_backoff_caps_it_and_forgets_after_a_quiet_window)
{
    static const struct ward__limits many = { 100, 1000, 10, 100 };
    static const char *const timers[] = { "timer 10", "timer 20", "timer 40", "timer 80",
        "timer 100", "timer 100" };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "p", &many, &many);
    wants(&f, 0);
    for (size_t i = 0; i < WARD_COUNT(timers); i++) {
        says(timers[i], failed(&f, 0, 0)); /* the clock stands still, so delays are readable */
        says("start 0", wants(&f, 100));
    }
    says("timer 2010", failed(&f, 0, 2000));
    tear_down(&f);
}

/* The bounds are those of the test above; what is drawn within them depends on the seed alone. */
Test(supervisor_plan_limits, draws_each_delay_between_nothing_and_the_bound)
{
    static const struct ward__limits many = { 100, 1000, 10, 100 };
    static const int64_t bounds[] = { 10, 20, 40, 80, 100, 100 };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct fixture f;
        uint64_t stream = seed;
        set_up(&f, WARD_ONE_FOR_ONE, "p", &many, &many);
        f.plan.random = seed;
        wants(&f, 0);
        for (size_t i = 0; i < WARD_COUNT(bounds); i++) {
            int64_t drawn = (int64_t)(ward__random(&stream) % (uint64_t)(bounds[i] + 1));
            failed(&f, 0, 0);
            cr_assert_eq(f.plan.children[0].due_ns, drawn);
            says(drawn > 100 ? "?" : "start 0", drawn ? wants(&f, 100) : f.done);
        }
        tear_down(&f);
    }
}

Test(supervisor_plan_limits, spreads_delays_over_the_whole_range)
{
    static const struct ward__limits one = { WARD_UNLIMITED, 1, 9, 9 };
    int64_t times[10] = { 0 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "p", &one, &one);
    f.plan.random = 42;
    wants(&f, 0);
    for (int64_t now = 0; now < 100000; now += 10) {
        failed(&f, 0, now);
        cr_assert(f.plan.children[0].due_ns - now >= 0 && f.plan.children[0].due_ns - now <= 9);
        times[f.plan.children[0].due_ns - now]++;
        wants(&f, now + 9);
    }
    for (size_t i = 0; i < WARD_COUNT(times); i++)
        cr_assert(times[i] > 800 && times[i] < 1200, "%zu: %lld times", i, (long long)times[i]);
    tear_down(&f);
}

Test(supervisor_plan_limits, draws_nothing_where_there_is_no_delay)
{
    static const struct ward__limits at_once = { WARD_UNLIMITED, 1000, 0, 100 };
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "p", &at_once, &at_once);
    f.plan.random = 7;
    wants(&f, 0);
    for (int i = 0; i < 100; i++)
        says("start 0", failed(&f, 0, i));
    tear_down(&f);
}

Test(supervisor_plan_limits, never_overflows_a_backoff)
{
    static const struct ward__limits huge = { WARD_UNLIMITED, INT64_MAX, 3, INT64_MAX };
    struct fixture f;
    int64_t now = 0, before = 0;
    set_up(&f, WARD_ONE_FOR_ONE, "p", &huge, &huge);
    wants(&f, 0);
    for (int i = 0; i < 200; i++) {
        failed(&f, 0, now);
        int64_t due = f.plan.children[0].due_ns;
        cr_assert_geq(due, before);
        before = due;
        now = 7;
        f.plan.children[0].state = WARD__CHILD_UP;
    }
    cr_assert_eq(before, INT64_MAX);
    tear_down(&f);
}

/* -- significant children ---------------------------------------------------------------------- */

Test(supervisor_plan_limits, ends_well_with_a_significant_child_that_ended_well)
{
    for (int strategy = WARD_ONE_FOR_ONE; strategy <= WARD_REST_FOR_ONE; strategy++) {
        struct fixture f;
        set_up_running(&f, (ward_strategy)strategy, "pTp");
        says("forget 1, cancel 2", ended(&f, 1, WARD__END_NORMAL, 1));
        says("forget 2, cancel 0", stopped(&f, 2, 2));
        says("forget 0, end well", stopped(&f, 0, 3));
        tear_down(&f);
    }
}

Test(supervisor_plan_limits, restarts_a_significant_child_that_is_transient_and_failed)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "Tp");
    says("timer 11", failed(&f, 0, 1));
    says("start 0", wants(&f, 11));
    says("", up(&f, 0, 12));
    says("timer 23", ended(&f, 0, WARD__END_ABANDONED, 13));
    says("start 0", wants(&f, 23));
    says("forget 0, cancel 1", ended(&f, 0, WARD__END_FINAL, 24)); /* its mail was closed */
    says("forget 1, end well", stopped(&f, 1, 25));
    tear_down(&f);
}

/* Nobody would be left to do the work, and nobody would know. */
Test(supervisor_plan_limits, fails_with_a_significant_child_that_failed_and_does_not_come_again)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "Op");
    says("forget 0, cancel 1", failed(&f, 0, 1));
    says("forget 1, end child", stopped(&f, 1, 2));
    tear_down(&f);
}

Test(supervisor_plan_limits, goes_on_when_somebody_cancelled_a_significant_child)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ALL, "TOTp");
    says("forget 0", stopped(&f, 0, 1));
    says("", cancelled_by_others(&f, 1, 2));
    says("forget 1", ended(&f, 1, WARD__END_NORMAL, 3));
    says("cancel 2", failed(&f, 3, 4));
    says("timer 14", ended(&f, 2, WARD__END_NORMAL, 5)); /* stopped by us, so it comes again */
    says("forget 2", cancelled_by_others(&f, 2, 6)); /* while it waits */
    says("end cancel", told(&f, WARD__EV_STOP, 7) + strlen("forget 3, "));
    tear_down(&f);
}

Test(supervisor_plan_limits, lets_a_stop_win_over_a_significant_end)
{
    struct fixture f;
    set_up_running(&f, WARD_ONE_FOR_ONE, "pT");
    says("forget 1, cancel 0", ended(&f, 1, WARD__END_NORMAL, 1));
    says("", told(&f, WARD__EV_STOP, 2));
    says("forget 0, end cancel", stopped(&f, 0, 3));
    tear_down(&f);
    set_up_running(&f, WARD_ONE_FOR_ONE, "pT");
    says("cancel 1", told(&f, WARD__EV_STOP, 1));
    says("forget 1, cancel 0", ended(&f, 1, WARD__END_NORMAL, 2));
    says("forget 0, end cancel", stopped(&f, 0, 3));
    tear_down(&f);
}

Test(supervisor_plan_limits, ends_with_a_significant_dynamic_child)
{
    static const struct {
        ward_restart restart;
        enum ward__end end;
        const char *says;
    } cases[] = { { WARD_TRANSIENT, WARD__END_NORMAL, "end well" },
        { WARD_TEMPORARY, WARD__END_NORMAL, "end well" },
        { WARD_TEMPORARY, WARD__END_FAILED, "end child" },
        { WARD_TEMPORARY, WARD__END_CANCELLED, "" } };
    for (size_t i = 0; i < WARD_COUNT(cases); i++) {
        struct fixture f;
        struct ward__plan_child child;
        int64_t due;
        bool ends = cases[i].says[0];
        set_up(&f, WARD_DYNAMIC, "", &usual, &usual);
        wants(&f, 0);
        cr_assert(ward__plan_child_init(&child, &f.heap, cases[i].restart, &usual));
        child.significant = true;
        cr_assert_eq(ward__plan_dynamic_ended(&f.plan, &child, cases[i].end, 1, &due),
            ends ? WARD__VERDICT_END : WARD__VERDICT_FORGET);
        says(cases[i].says, wants(&f, 2));
        ward__plan_child_free(&child, &f.heap);
        tear_down(&f);
    }
}

/* -- degraded children ------------------------------------------------------------------------- */

static const struct ward__limits two_at_once = { 2, 1000, 0, 100 };

static const char *revived(struct fixture *f, uint32_t k, int64_t now_ns)
{
    ward__plan_event(&f->plan, WARD__EV_CHILD_REVIVE, k, WARD__END_NORMAL, now_ns);
    return wants(f, now_ns);
}

/* Child k, which fails over its limit of two. */
static void degrade(struct fixture *f, uint32_t k)
{
    f->plan.children[k].at_limit = WARD_DEGRADE;
    failed(f, k, 1);
    failed(f, k, 1);
    says("", failed(f, k, 1));
    cr_assert_eq(f->plan.children[k].state, WARD__CHILD_DEGRADED);
}

static void set_up_degraded(struct fixture *f, ward_strategy strategy)
{
    set_up(f, strategy, "ppp", &usual, &two_at_once);
    wants(f, 0);
    for (uint32_t k = 0; k < 3; k++)
        up(f, k, 0);
}

Test(supervisor_plan_limits, parks_a_child_at_its_limit_and_lets_the_others_go_on)
{
    struct fixture f;
    set_up_degraded(&f, WARD_ONE_FOR_ONE);
    degrade(&f, 1);
    says("", wants(&f, 5000)); /* time does not bring it back */
    says("", ended(&f, 1, WARD__END_FAILED, 5000));
    says("start 0", failed(&f, 0, 5001));
    says("start 1", revived(&f, 1, 5002));
    says("", revived(&f, 1, 5003));
    up(&f, 1, 5004);
    says("start 1", failed(&f, 1, 5005)); /* it has its two restarts again */
    says("start 1", failed(&f, 1, 5006));
    says("", failed(&f, 1, 5007));
    tear_down(&f);
}

Test(supervisor_plan_limits, parks_a_child_at_the_limit_of_all_too)
{
    struct fixture f;
    set_up(&f, WARD_ONE_FOR_ONE, "pp", &two_at_once, &usual);
    f.plan.children[1].at_limit = WARD_DEGRADE;
    wants(&f, 0);
    up(&f, 0, 0);
    up(&f, 1, 0);
    failed(&f, 0, 1);
    failed(&f, 1, 1);
    says("start 0, start 1", wants(&f, 11));
    says("", failed(&f, 1, 12));
    cr_assert_eq(f.plan.children[1].state, WARD__CHILD_DEGRADED);
    says("forget 0, forget 1, end limit", failed(&f, 0, 13)); /* this one escalates */
    tear_down(&f);
}

Test(supervisor_plan_limits, starts_the_younger_ones_when_a_first_start_ends_degraded)
{
    for (int strategy = WARD_ONE_FOR_ONE; strategy <= WARD_REST_FOR_ONE; strategy++) {
        struct fixture f;
        set_up(&f, (ward_strategy)strategy, "pp", &usual, &two_at_once);
        f.plan.children[0].at_limit = WARD_DEGRADE;
        says("start 0", wants(&f, 0));
        says("start 0", failed(&f, 0, 1));
        says("start 0", failed(&f, 0, 2));
        says("start 1", failed(&f, 0, 3));
        says("started", up(&f, 1, 4));
        tear_down(&f);
    }
}

Test(supervisor_plan_limits, leaves_a_degraded_child_out_of_group_restarts)
{
    struct fixture f;
    set_up_degraded(&f, WARD_REST_FOR_ONE);
    degrade(&f, 2);
    says("cancel 1", failed(&f, 0, 2));
    says("start 0", stopped(&f, 1, 3));
    says("", revived(&f, 2, 4)); /* its turn comes */
    says("start 1", up(&f, 0, 5));
    says("start 2", up(&f, 1, 6));
    says("", up(&f, 2, 7));
    tear_down(&f);
}

Test(supervisor_plan_limits, parks_at_once_when_the_caller_knows_of_a_limit)
{
    struct fixture f;
    set_up_degraded(&f, WARD_ONE_FOR_ALL);
    f.plan.children[1].at_limit = WARD_DEGRADE;
    says("", ended(&f, 1, WARD__END_OVER, 1));
    cr_assert_eq(f.plan.children[1].state, WARD__CHILD_DEGRADED);
    says("forget 0, forget 1, cancel 2", ended(&f, 0, WARD__END_OVER, 2));
    says("forget 2, end limit", stopped(&f, 2, 3));
    tear_down(&f);
}

Test(supervisor_plan_limits, ends_a_degraded_child_for_good_by_cancel_and_by_stop)
{
    struct fixture f;
    set_up_degraded(&f, WARD_ONE_FOR_ONE);
    degrade(&f, 0);
    degrade(&f, 1);
    says("forget 0", cancelled_by_others(&f, 0, 2));
    says("", revived(&f, 0, 3));
    says("forget 1, cancel 2", told(&f, WARD__EV_STOP, 4));
    says("", revived(&f, 1, 5));
    says("forget 2, end cancel", stopped(&f, 2, 6));
    tear_down(&f);
}

Test(supervisor_plan_limits, parks_and_revives_a_dynamic_child)
{
    struct fixture f;
    struct ward__plan_child child;
    int64_t due = 0;
    set_up(&f, WARD_DYNAMIC, "", &usual, &usual);
    wants(&f, 0);
    cr_assert(ward__plan_child_init(&child, &f.heap, WARD_PERMANENT, &two_at_once));
    child.at_limit = WARD_DEGRADE;
    for (int i = 0; i < 2; i++)
        cr_assert_eq(ward__plan_dynamic_ended(&f.plan, &child, WARD__END_FAILED, 1, &due),
            WARD__VERDICT_RESTART);
    cr_assert_eq(ward__plan_dynamic_ended(&f.plan, &child, WARD__END_FAILED, 1, &due),
        WARD__VERDICT_DEGRADE);
    says("", wants(&f, 2));
    ward__plan_dynamic_revive(&child);
    cr_assert_eq(child.state, WARD__CHILD_WAITING);
    cr_assert_eq(ward__plan_dynamic_ended(&f.plan, &child, WARD__END_FAILED, 3, &due),
        WARD__VERDICT_RESTART);
    ward__plan_child_free(&child, &f.heap);
    tear_down(&f);
}
