/* SPDX-License-Identifier: MIT */
/*
 * plan.c - simulation: the options of a run do what they say. The n-th call crashes and no other,
 * the n-th allocation fails and no other, a stuck call is quarantined, who is cancelled ends; all
 * of it only while faults are on, and never in the body of the run. With change points whoever runs
 * goes on running, but for a few switches, and every order is met by some seed.
 */
#include "scenario.h"

enum { ACTORS = 4, TURNS = 12, CALLS = 10, ORDERS = 24 };

static struct world {
    uint32_t log[ACTORS * TURNS], count; /* who ran */
    uint32_t calls, failed, freed;
    bool missed;
    ward_reason why;
    ward_status rc;
} world;

/* -- faults ------------------------------------------------------------------------------------ */

static void give_back(void *arg)
{
    (void)arg;
    world.freed++;
}

static ward_status calls_on(ward_self *self)
{
    ward_status rc = ward_defer(self, give_back, NULL);

    while (!rc && ++world.calls < CALLS)
        rc = ward_checkpoint(self);
    return rc;
}

static ward_status allocates(ward_self *self)
{
    for (world.calls = 1; world.calls <= CALLS; world.calls++)
        world.failed += !ward_alloc(self, NULL, 64);
    return WARD_OK;
}

static void told_why(ward_self *self, ward_reason why)
{
    (void)self;
    world.why = why;
}

static ward_status watches(ward_self *self, ward_body *body)
{
    const ward_msg *msg;
    ward_ref child;
    ward_status rc = ward_spawn(self, &child,
        &(ward_spec){
            .body = body, .cleanup = told_why, .restart = WARD_TEMPORARY, .stuck_ms = 20 });

    if (!rc) rc = ward_monitor(self, child);
    if (!rc) rc = ward_receive(self, &msg, ward_in_ms(self, 1000));
    if (rc) return rc;
    CHECK(ward_down_of(msg)->final);
    world.missed = ward_down_of(msg)->reason == WARD_NOBODY; /* it was gone before */
    world.rc = ward_down_of(msg)->status;
    for (int i = 0; i < 100; i++) /* nothing of this may go wrong */
        CHECK(ward_alloc(self, NULL, 16) && ward_checkpoint(self) == WARD_OK);
    return WARD_OK; /* who is stuck comes back before the node is closed */
}

static ward_status watches_calls(ward_self *self)
{
    return watches(self, calls_on);
}

static ward_status watches_allocations(ward_self *self)
{
    return watches(self, allocates);
}

static ward_status without_faults(ward_self *self)
{
    ward_sim_faults(self, false);
    return watches(self, calls_on);
}

static void one(ward_body *body, ward_sim_opts opts)
{
    ward_opts node = { .actors_max = 64, .on_assert = on_assert };
    ward_status rc;

    memset(&world, 0, sizeof world);
    opts.seed = running.seed;
    if (getenv("TRACE")) opts.on_step = print_step;
    opts.node = &node;
    rc = ward_simulate(NULL, body, 1, &opts);
    CHECKF(rc == WARD_OK, "%s", ward_strerror(rc));
}

static void crashes(void)
{
    uint32_t n = 2 + (uint32_t)(running.seed % (CALLS - 1)); /* 1 is the ward_defer */

    one(watches_calls, (ward_sim_opts){ .crash_at = n });
    CHECKF(world.calls == n - 1, "call %u instead of %u", world.calls, n - 1);
    CHECK(world.why == WARD_BY_FAILURE && world.freed == 1);
    CHECK(world.rc == WARD_EFAIL || world.missed);
    one(watches_calls, (ward_sim_opts){ .crash_at = 1 });
    CHECK(world.calls == 0 && world.why == WARD_BY_FAILURE && world.freed == 0);
    one(watches_calls, (ward_sim_opts){ .crash_one_in = 1 });
    CHECK(world.calls == 0 && world.why == WARD_BY_FAILURE);
    one(without_faults,
        (ward_sim_opts){ .crash_one_in = 1, .stuck_one_in = 1, .cancel_one_in = 1 });
    CHECK(world.calls == CALLS && world.why == WARD_BY_RETURN);
}

static uint32_t failed_alone;

static void others(void)
{
    ward_opts node = { .actors_max = 64 };

    one(watches_allocations, (ward_sim_opts){ .memory_at = 1 + running.seed % CALLS });
    CHECKF(world.failed <= 1, "not one but %u failed", world.failed);
    failed_alone += world.failed;
    one(watches_allocations, (ward_sim_opts){ .memory_one_in = 1 });
    CHECK(world.failed == CALLS || world.calls == 0);
    one(watches_calls, (ward_sim_opts){ .stuck_one_in = 1 });
    CHECK(world.why == WARD_BY_STUCK);
    one(watches_calls, (ward_sim_opts){ .cancel_one_in = 1 });
    CHECK(world.why == WARD_BY_CANCEL);
    CHECK(ward_simulate(NULL, watches_calls, 1,
              &(ward_sim_opts){ .change_points = 17, .node = &node }) == WARD_EINVAL);
}

/* -- order ------------------------------------------------------------------------------------- */

static ward_status takes_turns(ward_self *self)
{
    uint32_t me = *(uint32_t *)ward_arg(self);
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < TURNS; i++) {
        world.log[world.count++] = me;
        rc = ward_checkpoint(self);
    }
    return rc;
}

static ward_status race(ward_self *self)
{
    ward_ref refs[ACTORS];
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < ACTORS; i++)
        rc = ward_spawn(
            self, &refs[i], &(ward_spec){ .body = takes_turns, .arg = &i, .arg_bytes = sizeof i });
    return rc ? rc : ward_join(self, refs, ACTORS, ward_in_ms(self, 1000));
}

static struct {
    uint32_t runs, switches, orders, met[ORDERS];
} sums[2]; /* without change points, and with */

/* Which of the 24 orders in which they ended. */
static uint32_t order_of(const uint32_t *log, uint32_t count)
{
    uint32_t order = 0, seen = 0, place = 0;

    for (uint32_t i = count; i-- > 0 && place < ACTORS;) {
        uint32_t lower = 0;
        if (seen & 1u << log[i]) continue;
        for (uint32_t k = 0; k < log[i]; k++)
            lower += !(seen & 1u << k);
        seen |= 1u << log[i];
        order = order * (ACTORS - place++) + lower;
    }
    return order;
}

static void order(void)
{
    int with = (int)(running.seed % 2);

    one(race, (ward_sim_opts){ .change_points = with ? 2 : 0, .change_steps = 60 });
    CHECK(world.count == ACTORS * TURNS);
    for (uint32_t i = 1; i < world.count; i++)
        sums[with].switches += world.log[i] != world.log[i - 1];
    sums[with].runs++;
    sums[with].orders += !sums[with].met[order_of(world.log, world.count)]++;
}

/* -- the run ----------------------------------------------------------------------------------- */

static ward_status run(ward_self *self)
{
    (void)self;
    return WARD_OK;
}

static void after(void *arg)
{
    (void)arg;
    crashes();
    others();
    order();
}

int main(int argc, char **argv)
{
    static const struct scenario scenario = {
        .name = "plan", .body = run, .world = &world, .world_bytes = sizeof world, .after = after
    };
    int rc = simulate(&scenario, argc, argv);

    if (sums[0].runs + sums[1].runs < SEEDS) return rc;
    printf("plan: %.1f switches a run, %.1f with change points\n",
        sums[0].switches / (double)sums[0].runs, sums[1].switches / (double)sums[1].runs);
    CHECK(failed_alone * 2 > SEEDS); /* the others were the runtime's */
    for (int i = 0; i < 2; i++)
        CHECKF(WARD__TSAN || sums[i].orders == ORDERS, "%u orders of %d", sums[i].orders, ORDERS);
    CHECK(sums[1].switches * 3 < sums[0].switches);
    CHECK(sums[1].switches > sums[1].runs * ACTORS); /* some do fall before they end */
    return rc;
}
