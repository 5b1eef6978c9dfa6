/* SPDX-License-Identifier: MIT */
/*
 * census_leak_test.c - the leak check: who is left behind, below whom, since when. In simulated
 * nodes, but for who asks from outside.
 */
#include "tests/support/census_fixture.h"

static ward_status sleeps(ward_self *self)
{
    const int64_t *ms = ward_arg(self);

    return ward_sleep(self, ms ? ward_in_ms(self, *ms) : WARD_FOREVER);
}

static ward_status nobody_left(ward_self *self)
{
    ward_mark mark;
    int64_t ms = 50, began;

    SPAWN(self, &(ward_spec){ .body = sleeps }); /* before: does not count */
    mark = ward_leakcheck_begin(self);
    cr_expect_eq(ward_leakcheck_end(self, mark, 0), WARD_OK);
    SPAWN(self, &(ward_spec){ .body = sleeps, .arg = &ms, .restart = WARD_TEMPORARY });
    cr_expect_eq(ward_leakcheck_end(self, mark, 0), WARD_EFAIL); /* does not wait */
    began = ward_now_ns(self);
    cr_expect_eq(ward_leakcheck_end(self, mark, 1000), WARD_OK);
    cr_expect_lt(ward_now_ns(self) - began, 200000000); /* no longer than it takes */
    return WARD_OK;
}

Test(leakcheck, passes_when_all_have_ended)
{
    run_simulated(nobody_left);
}

static ward_status one_left(ward_self *self)
{
    ward_mark mark = ward_leakcheck_begin(self);
    ward_ref ref = SPAWN(self, &(ward_spec){ .body = sleeps });
    int64_t began = ward_now_ns(self);

    cr_expect_eq(ward_leakcheck_end(self, mark, 1000), WARD_EFAIL);
    cr_expect_geq(ward_now_ns(self) - began, 1000000000);
    ward_cancel(self, ref);
    cr_expect_eq(ward_leakcheck_end(self, mark, 1000), WARD_OK);
    return WARD_OK;
}

Test(leakcheck, fails_when_one_still_lives)
{
    run_simulated(one_left);
}

static ward_status parent(ward_self *self)
{
    SPAWN(self, &(ward_spec){ .body = sleeps });
    return sleeps(self);
}

/* Its sibling's children are not its own. */
static ward_status checks(ward_self *self)
{
    ward_mark mark = ward_leakcheck_begin(self);
    bool *passed = ward_arg(self);
    ward_status rc = ward_sleep(self, ward_in_ms(self, 100));

    *passed = rc == WARD_OK && ward_leakcheck_end(self, mark, 10) == WARD_OK;
    return WARD_OK;
}

static ward_status only_below(ward_self *self)
{
    ward_mark mark = ward_leakcheck_begin(self);
    bool passed = false;

    SPAWN(self, &(ward_spec){ .body = checks, .arg = &passed });
    pass_time(self, 10);
    SPAWN(self, &(ward_spec){ .body = parent });
    pass_time(self, 1000);
    cr_expect(passed);
    cr_expect_eq(ward_leakcheck_end(self, mark, 10), WARD_EFAIL); /* a grandchild is below */
    return WARD_OK;
}

Test(leakcheck, looks_only_below_who_asks)
{
    run_simulated(only_below);
}

/* A restarted actor was not born again; a slot used again was. */
static ward_status fails_once(ward_self *self)
{
    const int64_t *at = ward_arg(self);
    ward_status rc = ward_sleep(self, (ward_deadline){ *at });

    if (rc || ward_now_ns(self) - *at < 5000000) return WARD_EFAIL;
    return ward_sleep(self, WARD_FOREVER);
}

static ward_status births(ward_self *self)
{
    int64_t at = ward_now_ns(self) + 50000000;
    ward_spec child[] = { { .body = fails_once, .arg = &at } };
    ward_ref ref;
    ward_mark mark;

    SPAWN(self, &(ward_spec){ .name = "sup", .children = WARD_CHILDREN(child) });
    ref = SPAWN(self, &(ward_spec){ .body = sleeps });
    mark = ward_leakcheck_begin(self);
    pass_time(self, 500);
    take_census(self);
    cr_expect_geq(ward_census_row(take, 2)->incarnation, 2);
    ward_census_free(take);
    cr_expect_eq(ward_leakcheck_end(self, mark, 0), WARD_OK);
    ward_cancel(self, ref);
    pass_time(self, 100);
    cr_assert_eq(SPAWN(self, &(ward_spec){ .body = sleeps }).slot, ref.slot);
    cr_expect_eq(ward_leakcheck_end(self, mark, 0), WARD_EFAIL);
    return WARD_OK;
}

Test(leakcheck, counts_births_and_not_restarts)
{
    run_simulated(births);
}

Test(leakcheck, can_be_asked_from_outside)
{
    ward_node *node;
    ward_self *outside;
    ward_mark mark;
    ward_ref ref;

    cr_assert_eq(ward_open(&node, NULL), WARD_OK);
    outside = ward_outside(node);
    mark = ward_leakcheck_begin(outside);
    ref = SPAWN(outside, &(ward_spec){ .body = sleeps });
    cr_expect_eq(ward_leakcheck_end(outside, mark, 20), WARD_EFAIL);
    ward_cancel(outside, ref);
    cr_expect_eq(ward_leakcheck_end(outside, mark, 10000), WARD_OK);
    cr_expect_eq(ward_close(node, NULL, WARD_FOREVER), WARD_OK);
}
