/* SPDX-License-Identifier: MIT */
/*
 * same_seed.c - simulation: one seed is one run. The same program is run twice with each seed, and
 * everything its actors see, with the virtual time at which they see it, must be the same to the
 * nanosecond; two seeds in a row must not be.
 *
 * Without this a seed that failed could not be repeated, and a thousand seeds would be one.
 */
#include "scenario.h"

enum { PLAYERS = 5, TRACE = 2048 };

struct ball {
    uint64_t number;
};
static const ward_type BALL = WARD_TYPE_PLAIN("ball", struct ball);
static const ward_type TICK = WARD_TYPE_EMPTY("tick");

struct entry {
    int64_t at_ns;
    uint32_t slot, what;
    uint64_t number;
};

struct world {
    ward_ref players[PLAYERS];
    uint64_t balls;
    uint32_t count;
    struct entry trace[TRACE];
};

static void note(const ward_self *self, struct world *world, uint32_t what, uint64_t number)
{
    if (world->count == TRACE) return;
    world->trace[world->count++] =
        (struct entry){ ward_now_ns(self), ward_me(self).slot, what, number };
}

static ward_status throw_one(ward_self *self, struct world *world)
{
    struct ball ball = { ++world->balls };
    ward_ref to = world->players[below(self, PLAYERS)];
    const ward_msg *answer;

    if (one_in(self, 2))
        return ward_ask(self, &answer, to, &BALL, &ball, ward_in_ms(self, 1 + below(self, 9)));
    return ward_send_by(self, to, &BALL, &ball, ward_in_ms(self, 5));
}

static ward_status handler(ward_self *self, const ward_msg *msg)
{
    struct world *world = ward_arg(self);
    const struct ball *ball = ward_value(msg, &BALL);

    note(self, world, ball ? 1 : 2, ball ? ball->number : 0);
    if (one_in(self, 10)) return ward_sim_hang(self, below(self, 50));
    if (one_in(self, 10)) return WARD_EFAIL;
    return ball ? ward_reply(self, msg, &BALL, ball) : WARD_OK;
}

static ward_status body(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, ward_in_ms(self, 1 + below(self, 9)));
        note(self, world, 3, (uint64_t)(int64_t)rc);
        if (rc == WARD_ETIMEDOUT) rc = WARD_OK;
        if (rc) break;
        note(self, world, 4, (uint64_t)(int64_t)throw_one(self, world));
        if (one_in(self, 12)) rc = WARD_EFAIL;
    }
    return rc;
}

static ward_status start(ward_self *self)
{
    ward_timer timer;

    note(self, ward_arg(self), 5, 0);
    return ward_timer_start(self, &timer, &TICK, NULL, ward_in_ms(self, below(self, 20)));
}

static void cleanup(ward_self *self, ward_reason why)
{
    note(self, ward_arg(self), 6, (uint64_t)why);
}

static ward_status run(ward_self *self)
{
    static const char *const names[] = { "p0", "p1", "p2", "p3", "p4" };
    struct world *world = ward_arg(self);
    ward_spec specs[PLAYERS];
    ward_ref sup;
    ward_status rc;
    char path[16];

    for (uint32_t i = 0; i < PLAYERS; i++) {
        specs[i] = (ward_spec){ .name = names[i],
            .arg = world,
            .start = start,
            .cleanup = cleanup,
            .mailbox_max = 1 + i,
            .stuck_ms = 30,
            .backoff_ms = 1,
            .restarts_max = WARD_UNLIMITED };
        if (i % 2)
            specs[i].body = body;
        else
            specs[i].handle = handler;
    }
    rc = ward_spawn(self, &sup,
        &(ward_spec){ .name = "sup",
            .children = WARD_CHILDREN(specs),
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = 100 });
    for (uint32_t i = 0; !rc && i < PLAYERS; i++) {
        snprintf(path, sizeof path, "sup/p%u", i);
        rc = ward_find(self, &world->players[i], path, ward_in_ms(self, 100));
    }
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 60));
    ward_cancel(self, sup);
    return rc ? rc : ward_sleep(self, ward_in_ms(self, 100));
}

/* -- comparing --------------------------------------------------------------------------------- */

static struct world first; /* what the first run of a seed was */
static struct world before; /* and the last seed */
static uint64_t runs;

static bool same(const struct world *a, const struct world *b)
{
    return a->count == b->count && memcmp(a->trace, b->trace, a->count * sizeof *a->trace) == 0;
}

static void after(void *arg)
{
    const struct world *world = arg;

    CHECK(world->count > PLAYERS);
    if (runs++ % 2 == 0) {
        CHECKF(runs == 1 || !same(world, &before), "the same as the last seed");
        first = *world;
        return;
    }
    for (uint32_t i = 0; i < world->count && i < first.count; i++)
        CHECKF(memcmp(&world->trace[i], &first.trace[i], sizeof *world->trace) == 0,
            "the second run differs at event %u of %u", i, first.count);
    CHECK(world->count == first.count);
    before = *world;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "same_seed",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .after = after,
        .times = 2 };

    return simulate(&scenario, argc, argv);
}
