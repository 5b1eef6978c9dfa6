/* SPDX-License-Identifier: MIT */
/*
 * stop_bound.c - simulation: trees of supervisors whose actors take their time to stop, or never
 * would. Holds: a cancel of the whole is over within what ward_stop_bound said of the spec, plus
 * what the simulator adds for each actor; and for some seeds it takes nearly that long.
 */
#include "scenario.h"

enum { PARTS = 3, LEAVES = 3, DYNAMIC = 3, TREE = PARTS * (LEAVES + 1) + 1 };

static const ward_type HANG = WARD_TYPE_EMPTY("hang");

struct world {
    ward_spec leaves[PARTS][LEAVES], parts[PARTS], top;
    struct world *me; /* what the actors get a copy of */
    bool all_hang;
};

/* The seeds that used more than half of their bound. */
static uint32_t close_calls, runs;

static void hang(ward_self *self)
{
    struct world *world = *(struct world *const *)ward_arg(self);
    uint32_t which = world->all_hang ? 2 : below(self, 3);
    ward_status rc = WARD_OK;

    if (which) rc = ward_sim_hang(self, which == 1 ? below(self, 100) : WARD_UNLIMITED);
    CHECK(rc == WARD_OK || rc == WARD_EFENCED);
}

static ward_status body(ward_self *self)
{
    ward_status rc = ward_sleep(self, WARD_FOREVER);

    hang(self);
    return rc;
}

static ward_status handler(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    hang(self);
    return WARD_OK;
}

static void clean_up(ward_self *self, ward_reason why)
{
    struct world *world = *(struct world *const *)ward_arg(self);

    if (why != WARD_BY_STUCK && !world->all_hang && one_in(self, 8)) hang(self);
}

static ward_spec leaf(ward_self *self, struct world *world)
{
    ward_spec spec = { .stop_ms = 50 + below(self, 100),
        .cleanup = clean_up,
        .arg = &world->me,
        .arg_bytes = sizeof world->me };

    if (one_in(self, 4))
        spec.handle = handler;
    else
        spec.body = body;
    return spec;
}

/* Three supervisors, one of them dynamic, with three actors each. */
static void make_specs(ward_self *self, struct world *world)
{
    static const char *const names[PARTS] = { "p0", "p1", "p2" };

    for (uint32_t i = 0; i < PARTS; i++) {
        for (uint32_t k = 0; k < LEAVES; k++)
            world->leaves[i][k] = leaf(self, world);
        world->parts[i] = (ward_spec){ .name = names[i],
            .children = { world->leaves[i], LEAVES, sizeof(ward_spec) } };
    }
    world->parts[1] =
        (ward_spec){ .name = names[1], .strategy = WARD_DYNAMIC, .stop_ms = 60 + below(self, 90) };
    world->top =
        (ward_spec){ .name = "top", .children = { world->parts, PARTS, sizeof(ward_spec) } };
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref top, many, child;
    int64_t bound_ns, took_ns;

    world->me = world;
    world->all_hang = one_in(self, 3);
    make_specs(self, world);
    bound_ns = ward_stop_bound(&world->top) * SIM_MS;
    for (uint32_t i = 0, sum = 0; i < PARTS; i++) {
        for (uint32_t k = 0; k < LEAVES && i != 1; k++)
            sum += world->leaves[i][k].stop_ms;
        if (i == 1) sum += world->parts[1].stop_ms;
        if (i == PARTS - 1) CHECK(bound_ns == sum * SIM_MS);
    }
    CHECK(ward_spawn(self, &top, &world->top) == WARD_OK);
    CHECK(ward_find(self, &many, "/main/top/p1", WARD_FOREVER) == WARD_OK);
    for (int i = 0; i < DYNAMIC; i++) {
        ward_spec spec = leaf(self, world);
        spec.stop_ms = world->parts[1].stop_ms + 1;
        CHECK(ward_spawn_under(self, &child, many, &spec) == WARD_EINVAL);
        spec.stop_ms--;
        CHECK(ward_spawn_under(self, &child, many, &spec) == WARD_OK);
        if (spec.handle) CHECK(ward_send(self, child, &HANG, NULL) == WARD_OK);
    }
    CHECK(ward_sleep(self, ward_in_ms(self, 5 + below(self, 20))) == WARD_OK);
    took_ns = ward_now_ns(self);
    ward_cancel(self, top);
    CHECK(ward_join(self, &top, 1, WARD_FOREVER) == WARD_OK);
    took_ns = ward_now_ns(self) - took_ns;
    CHECKF(took_ns <= bound_ns + TREE * SIM_SLACK_NS, "%lld ms, not %lld",
        (long long)(took_ns / SIM_MS), (long long)(bound_ns / SIM_MS));
    close_calls += took_ns > bound_ns / 2;
    runs++;
    return WARD_OK;
}

static bool may_abandon(const void *world)
{
    (void)world;
    return true; /* those that hang for ever */
}

int main(int argc, char **argv)
{
    static struct world world;
    const struct scenario scenario = { .name = "stop_bound",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .abandons = may_abandon };
    int rc = simulate(&scenario, argc, argv);

    if (runs >= 100 && close_calls < runs / 10) {
        printf("only %u of %u stops took more than half of the bound\n", close_calls, runs);
        rc = 1;
    }
    return rc;
}
