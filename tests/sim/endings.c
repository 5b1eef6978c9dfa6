/* SPDX-License-Identifier: MIT */
/*
 * endings.c - simulation: what ward_run, ward_simulate and ward_close say at the end of a run that
 * does not end as planned.
 *
 * Holds: a child that fails takes the body of ward_run along and is what ward_run reports, as on a
 * node that is not simulated; when nothing can ever happen again that is EDEADLK; a body that
 * hangs for ever does not keep the simulation going, even while others are busy; a node that is
 * closed without any time left gives back everything its actors hold, wherever they are parked.
 */
#include "actors/sim.h"
#include "scenario.h"

struct world {
    uint64_t seed;
};

static const char long_text[] = "a text that is too long to ride inside of its message";
static const ward_type TEXT = WARD_TYPE_TEXT("text");

static ward_status fails(ward_self *self)
{
    ward_status rc = ward_sleep(self, ward_in_ms(self, below(self, 10)));

    return rc ? rc : WARD_EFAIL;
}

static ward_status has_failing_child(ward_self *self)
{
    ward_ref child;
    ward_status rc = ward_spawn(self, &child, &(ward_spec){ .body = fails });

    return rc ? rc : ward_sleep(self, WARD_FOREVER);
}

static ward_status sleeps(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static ward_status waits_for_nothing(ward_self *self)
{
    ward_ref child;
    ward_status rc = ward_spawn(self, &child, &(ward_spec){ .body = sleeps });

    return rc ? rc : ward_join(self, &child, 1, WARD_FOREVER);
}

static ward_status beats(ward_self *self)
{
    ward_status rc = WARD_OK;

    while (!rc)
        rc = ward_sleep(self, ward_in_ms(self, 100));
    return rc;
}

static ward_status hangs_beside_one_who_beats(ward_self *self)
{
    ward_ref other;

    CHECK(ward_spawn(ward_outside(ward_node_of(self)), &other, &(ward_spec){ .body = beats }) ==
          WARD_OK);
    CHECK(ward_sim_hang(self, WARD_UNLIMITED) != WARD_OK);
    NEVER("it came back");
}

static void expect(ward_body *body, ward_status expected)
{
    ward_opts node = { .actors_max = 256, .on_assert = on_assert };
    ward_sim_opts opts = { .seed = running.seed, .node = &node };
    uint64_t failed = 0;
    ward_status rc = ward_simulate(&failed, body, 1, &opts);

    CHECKF(rc == expected, "\"%s\" instead of \"%s\"", ward_strerror(rc), ward_strerror(expected));
    CHECK(rc == WARD_OK || failed == running.seed);
}

/* -- a node that is closed at once ------------------------------------------------------------- */

/* Holds a message, a kept one, an answer, and is parked with another. */
static ward_status holds(ward_self *self)
{
    ward_ref *other = ward_arg(self);
    const ward_msg *msg, *answer;
    ward_msg *kept;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    if (!rc) rc = ward_keep(self, &kept, msg);
    if (!rc) rc = ward_receive(self, &msg, WARD_FOREVER);
    if (!rc) rc = ward_ask(self, &answer, *other, &TEXT, long_text, ward_in_ms(self, 50));
    while (!rc)
        rc = ward_send_by(self, *other, &TEXT, long_text, WARD_FOREVER);
    return rc;
}

static ward_status answers_once(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    while (!rc && ward_is(msg, &TEXT)) {
        rc = ward_reply(self, msg, &TEXT, long_text);
        if (!rc) rc = ward_sleep(self, ward_in_ms(self, 20));
        if (!rc) rc = ward_receive(self, &msg, WARD_FOREVER);
    }
    return rc;
}

static ward_status sends(ward_self *self)
{
    ward_ref *refs = ward_arg(self);
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_send_by(self, refs[1 + below(self, 3)], &TEXT, long_text, WARD_FOREVER);
        if (!rc && one_in(self, 3)) rc = ward_sleep(self, ward_in_ms(self, below(self, 4)));
    }
    return rc;
}

static ward_status joins(ward_self *self)
{
    ward_status rc = ward_sleep(self, ward_in_ms(self, 1)); /* all have been spawned */

    return rc ? rc : ward_join(self, ward_arg(self), 4, WARD_FOREVER);
}

struct time_over {
    ward_node *node;
    int64_t at_ns;
};

static bool is_over(void *arg)
{
    const struct time_over *over = arg;

    return ward_now_ns(ward_outside(over->node)) >= over->at_ns;
}

static void close_at_once(uint64_t seed)
{
    ward_opts opts = { .sim_seed = seed, .actors_max = 256, .on_assert = on_assert };
    struct time_over over;
    ward_node *node;
    ward_self *outside;
    ward_ref refs[7] = { 0 };
    size_t abandoned;
    ward_status rc = ward_open(&node, &opts);

    CHECK(rc == WARD_OK);
    outside = ward_outside(node);
    /* Two who join: one is older than those it waits for, one younger. */
    rc = ward_spawn(outside, &refs[6], &(ward_spec){ .body = joins, .arg = refs });
    if (!rc)
        rc = ward_spawn(outside, &refs[0], &(ward_spec){ .body = answers_once, .mailbox_max = 1 });
    for (int i = 1; !rc && i < 4; i++)
        rc = ward_spawn(
            outside, &refs[i], &(ward_spec){ .body = holds, .arg = refs, .mailbox_max = 2 });
    if (!rc) rc = ward_spawn(outside, &refs[4], &(ward_spec){ .body = sends, .arg = refs });
    if (!rc) rc = ward_spawn(outside, &refs[5], &(ward_spec){ .body = joins, .arg = refs });
    CHECK(rc == WARD_OK);
    over = (struct time_over){ node,
        ward_now_ns(outside) + (int64_t)(ward_random(outside) % 60) * SIM_MS };
    (void)ward__sim_run(node->sim->sim, is_over, &over, INT64_MAX);
    rc = ward_close(node, &abandoned, seed % 2 ? WARD_NOW : ward_in_ms(outside, 1));
    CHECKF(rc == (abandoned ? WARD_ETIMEDOUT : WARD_OK), "%s", ward_strerror(rc));
}

static ward_status run(ward_self *self)
{
    (void)self;
    return WARD_OK;
}

static void after(void *world)
{
    (void)world;
    expect(has_failing_child, WARD_EFAIL);
    expect(waits_for_nothing, WARD_EDEADLK);
    expect(hangs_beside_one_who_beats, WARD_ETIMEDOUT);
    close_at_once(running.seed);
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = {
        .name = "endings", .body = run, .world = &world, .world_bytes = sizeof world, .after = after
    };

    return simulate(&scenario, argc, argv);
}
