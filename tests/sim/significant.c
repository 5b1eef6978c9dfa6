/* SPDX-License-Identifier: MIT */
/*
 * significant.c - simulation: supervisors that end with a child, and lines of code that may make
 * only so many actors.
 *
 * A supervisor of any strategy has one significant child among others; it fails a few times, then
 * ends well, or is cancelled. Holds: its own good end stops the siblings and ends the supervisor
 * well, so that a transient supervisor is not started again; a temporary one that fails makes it
 * fail; a cancel ends nobody else. And: one more than `site_max` is refused, whatever the parents;
 * another line of code is not concerned; there is room again when one has ended, and a restart
 * needs none.
 */
#include "scenario.h"

enum { SIBLINGS = 3, MOST = 10 };

static const ward_type GO = WARD_TYPE_EMPTY("go");

enum how { RETURNS, FAILS_FOR_GOOD, IS_CANCELLED, HOWS };

struct world {
    enum how how;
    ward_strategy strategy;
    uint32_t fails_left, starts, up;
    ward_ref significant;
};

static ward_status sibling(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc;

    world->up++;
    rc = ward_sleep(self, WARD_FOREVER);
    world->up--;
    return rc;
}

static ward_status works(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = ward_sleep(self, ward_in_ms(self, below(self, 20)));

    world->starts++;
    world->significant = ward_me(self);
    if (rc) return rc;
    if (world->fails_left > 0) {
        world->fails_left--;
        return WARD_EFAIL;
    }
    rc = ward_receive(self, &msg, WARD_FOREVER);
    if (rc) return rc;
    return world->how == FAILS_FOR_GOOD ? WARD_EFAIL : one_in(self, 2) ? WARD_OK : WARD_STOP;
}

static void draw(ward_self *self, struct world *world, ward_spec specs[SIBLINGS + 1])
{
    uint32_t place = below(self, SIBLINGS + 1);

    world->how = (enum how)below(self, HOWS);
    world->strategy = (ward_strategy)below(self, 3);
    world->fails_left = world->how == FAILS_FOR_GOOD ? 0 : below(self, 4);
    for (uint32_t i = 0; i <= SIBLINGS; i++)
        specs[i] = (ward_spec){ .body = sibling, .arg = world };
    specs[place] = (ward_spec){ .name = "significant",
        .body = works,
        .arg = world,
        .restart = world->how == FAILS_FOR_GOOD ? WARD_TEMPORARY : WARD_TRANSIENT,
        .significant = true,
        .backoff_ms = 1 + below(self, 8) };
}

/* How the supervisor ends; WARD_ETIMEDOUT: it does not. */
static ward_status end_of(ward_self *self, ward_down *out, uint32_t ms)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, ward_in_ms(self, ms));

    if (!rc) *out = *ward_down_of(msg);
    return rc;
}

static ward_status run_significant(ward_self *self, struct world *world)
{
    ward_spec specs[SIBLINGS + 1], sup = { .restart = WARD_TRANSIENT };
    ward_down down = { 0 };
    ward_ref outer, inner;
    ward_status rc;

    draw(self, world, specs);
    sup.strategy = world->strategy;
    sup.children = (ward_children){ specs, SIBLINGS + 1, sizeof *specs };
    rc = ward_spawn(self, &outer, &(ward_spec){ .children = { &sup, 1, sizeof sup } });
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 500)); /* all failures are over */
    CHECK(!rc && world->up == SIBLINGS && world->fails_left == 0);
    inner = ward__ref(ward_node_of(self),
        ward__slot(ward_node_of(self), ward__slot(ward_node_of(self), outer.slot)->child));
    CHECK(ward_monitor(self, inner) == WARD_OK);
    if (world->how == IS_CANCELLED)
        ward_cancel(self, world->significant);
    else
        CHECK(ward_send(self, world->significant, &GO, NULL) == WARD_OK);
    rc = end_of(self, &down, 300);
    if (world->how == IS_CANCELLED) {
        CHECKF(rc == WARD_ETIMEDOUT && world->up == SIBLINGS, "%u siblings", world->up);
    } else if (world->how == RETURNS) {
        CHECK(!rc && down.reason == WARD_BY_RETURN && down.status == WARD_OK && down.final);
        CHECK(ward_sleep(self, ward_in_ms(self, 300)) == WARD_OK);
        CHECKF(world->up == 0, "%u siblings go on", world->up);
    } else {
        CHECK(!rc && down.reason == WARD_BY_CHILD && down.status == WARD_EFAIL && !down.final);
        CHECK(ward_sleep(self, ward_in_ms(self, 300)) == WARD_OK);
        CHECKF(world->up == SIBLINGS && world->starts == 2, "%u siblings", world->up);
    }
    ward_cancel(self, outer);
    return ward_join(self, &outer, 1, ward_in_ms(self, 5000));
}

/* -- a line of code ---------------------------------------------------------------------------- */

static ward_status fails_once_told(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    return rc ? rc : WARD_EFAIL;
}

static ward_status spawn_one(ward_self *self, ward_ref *out, const ward_ref *sup)
{
    ward_spec spec = { .body = fails_once_told,
        .mailbox_max = 1 + below(self, 3), /* whatever the spec is: it is the line that counts */
        .backoff_ms = 1,
        .site_max = MOST };

    return ward_spawn_under(self, out, *sup, &spec);
}

static ward_status run_site_max(ward_self *self)
{
    ward_ref refs[MOST], sup[2], other;
    uint32_t which = below(self, MOST);
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < 2; i++)
        rc = ward_spawn(self, &sup[i], &(ward_spec){ .strategy = WARD_DYNAMIC });
    for (uint32_t i = 0; !rc && i < MOST; i++)
        rc = spawn_one(self, &refs[i], &sup[i % 2]);
    CHECK(rc == WARD_OK);
    CHECK(spawn_one(self, &other, &sup[0]) == WARD_ELIMIT);
    CHECK(spawn_one(self, &other, &sup[1]) == WARD_ELIMIT);
    CHECK(ward_spawn_under(self, &other, sup[0],
              &(ward_spec){ .body = fails_once_told, .site_max = 1 }) == WARD_OK);
    CHECK(ward_send(self, refs[which], &GO, NULL) == WARD_OK); /* it is restarted */
    rc = ward_sleep(self, ward_in_ms(self, 50));
    CHECK(!rc && ward_send(self, refs[which], &GO, NULL) == WARD_OK);
    CHECK(spawn_one(self, &other, &sup[0]) == WARD_ELIMIT);
    ward_cancel(self, refs[which]);
    CHECK(ward_join(self, &refs[which], 1, ward_in_ms(self, 1000)) == WARD_OK);
    CHECK(spawn_one(self, &other, &sup[0]) == WARD_OK);
    CHECK(spawn_one(self, &other, &sup[0]) == WARD_ELIMIT);
    ward_cancel(self, sup[0]);
    ward_cancel(self, sup[1]);
    return ward_join(self, sup, 2, ward_in_ms(self, 1000));
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref ref;
    ward_status rc = run_significant(self, world);

    CHECK(ward_spawn(self, &ref, &(ward_spec){ .body = sibling, .significant = true }) ==
          WARD_EINVAL); /* a permanent one never ends for good */
    return rc ? rc : run_site_max(self);
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = {
        .name = "significant", .body = run, .world = &world, .world_bytes = sizeof world
    };

    return simulate(&scenario, argc, argv);
}
