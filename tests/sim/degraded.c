/* SPDX-License-Identifier: MIT */
/*
 * degraded.c - simulation: a child that is parked at its limit of restarts, in the middle of those
 * who talk to it, wait for room at it, monitor it and join it.
 *
 * It fails on messages or in .start until it is over its limit, under any strategy. Then holds:
 * whoever asked, or was parked, learns at once (WARD_EUNAVAIL), as does whoever calls; nobody is
 * told that it is gone; who watches is told once, and a new monitor at once; a join waits on; its
 * path finds it; the siblings run, and time changes nothing. Afterwards it is revived, and works
 * under the same ref as if it were new; or it is cancelled, or closed, or its supervisor is
 * cancelled or restarted, and then its ref is dead. All accepted messages have their fate.
 *
 * One that gets stuck once too often for its supervisor is parked as well, and nobody else ends.
 */
#include "scenario.h"

enum { SIBLINGS = 2, CALLERS = 4 };
enum leave { REVIVED, CANCELLED, CLOSED, SUP_CANCELLED, SUP_RESTARTED, LEAVES };

struct item {
    uint64_t seq;
};
static const ward_type ITEM = WARD_TYPE_PLAIN("item", struct item);

struct world {
    ward_strategy strategy;
    enum leave leave;
    bool broken, in_start, calm, dead, siblings_fail;
    ward_ref weak, sup;
    uint32_t restarts_max, starts, siblings_up, sibling_starts, degraded_events;
    uint64_t seen, unavailable;
    int64_t began_ns[CALLERS]; /* the call a caller is in; 0: none */
    uint32_t callers;
};

/* -- the weak one and its siblings ------------------------------------------------------------- */

static ward_status start(ward_self *self)
{
    struct world *world = ward_arg(self);

    world->starts++;
    world->weak = ward_me(self);
    return world->broken && world->in_start ? WARD_EFAIL : WARD_OK;
}

static ward_status take(ward_self *self, const ward_msg *msg)
{
    struct world *world = ward_arg(self);

    if (is_counted(msg)) world->seen++;
    if (world->broken && one_in(self, 2)) return WARD_EFAIL;
    return ward_reply(self, msg, &ITEM, ward_value(msg, &ITEM));
}

static ward_status body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) rc = take(self, msg);
        if (!rc && one_in(self, 3)) rc = ward_sleep(self, ward_in_ms(self, below(self, 4)));
    }
    return rc;
}

static ward_status sibling(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc = WARD_OK;

    world->siblings_up++;
    world->sibling_starts++;
    while (!rc && !world->siblings_fail)
        rc = ward_sleep(self, ward_in_ms(self, 5));
    world->siblings_up--;
    return rc ? rc : WARD_EFAIL;
}

static ward_spec weak_spec(ward_self *self, struct world *world)
{
    bool handler = one_in(self, 2);

    world->in_start = one_in(self, 3);
    world->restarts_max = 1 + below(self, 3);
    return (ward_spec){ .name = "weak",
        .handle = handler ? take : NULL,
        .body = handler ? NULL : body,
        .start = start,
        .arg = world,
        .mailbox_max = 1 + below(self, 3),
        .at_limit = WARD_DEGRADE,
        .restarts_max = world->restarts_max,
        .window_ms = WARD_UNLIMITED,
        .backoff_ms = one_in(self, 2) ? WARD_AT_ONCE : 4,
        .discard_on_restart = one_in(self, 4) };
}

static ward_status grow(ward_self *self, struct world *world, ward_ref *outer)
{
    ward_spec specs[SIBLINGS + 1], sup = { .name = "sup", .strategy = world->strategy };
    uint32_t place = below(self, SIBLINGS + 1);
    ward_ref ref;
    ward_status rc;

    for (uint32_t i = 0; i <= SIBLINGS; i++)
        specs[i] = i == place
                       ? weak_spec(self, world)
                       : (ward_spec){ .body = sibling, .arg = world, .backoff_ms = WARD_AT_ONCE };
    sup.restarts_max = 10;
    if (world->strategy != WARD_DYNAMIC)
        sup.children = (ward_children){ specs, SIBLINGS + 1, sizeof *specs };
    rc = ward_spawn(
        self, outer, &(ward_spec){ .name = "outer", .children = { &sup, 1, sizeof sup } });
    if (!rc) rc = ward_find(self, &world->sup, "outer/sup", ward_in_ms(self, 1000));
    for (uint32_t i = 0; !rc && world->strategy == WARD_DYNAMIC && i <= SIBLINGS; i++)
        rc = ward_spawn_under(self, &ref, world->sup, &specs[i]);
    return rc;
}

/* -- who talks to it --------------------------------------------------------------------------- */

static void check_outcome(struct world *world, ward_status rc, bool asks, bool waits)
{
    if (rc == WARD_EUNAVAIL) world->unavailable++;
    CHECKF(rc == WARD_OK || rc == WARD_EUNAVAIL || rc == WARD_ECANCELED ||
               (asks && rc == WARD_ENOREPLY) || (!waits && rc == WARD_EFULL) ||
               (world->dead && (rc == WARD_EGONE || rc == WARD_ECLOSED)),
        "%s: %s",
        asks    ? "ask"
        : waits ? "send_by"
                : "send",
        ward_strerror(rc));
}

static ward_status caller(ward_self *self)
{
    struct world *world = ward_arg(self);
    int64_t *began_ns = &world->began_ns[world->callers++];
    struct item item = { 0 };
    const ward_msg *answer;
    ward_status rc = WARD_OK;

    while (rc != WARD_ECANCELED && !world->calm) {
        uint32_t how = below(self, 3);
        item.seq++;
        *began_ns = ward_now_ns(self);
        if (how == 0)
            rc = ward_ask(self, &answer, world->weak, &ITEM, &item, ward_in_ms(self, 60000));
        else if (how == 1)
            rc = ward_send_by(self, world->weak, &ITEM, &item, ward_in_ms(self, 60000));
        else
            rc = ward_send(self, world->weak, &ITEM, &item);
        *began_ns = 0;
        check_outcome(world, rc, how == 0, how < 2);
        if (rc != WARD_ECANCELED) rc = ward_sleep(self, ward_in_ms(self, below(self, 6)));
    }
    return rc;
}

/* Each DOWN of an incarnation that fell before is followed by a monitor of the next. */
static ward_status watcher(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = ward_monitor(self, world->weak);

    CHECK(!rc);
    for (;;) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (rc) return rc;
        if (ward_down_of(msg)->final) break;
        CHECK(ward_down_of(msg)->reason == WARD_BY_FAILURE);
        CHECK(ward_monitor(self, world->weak) == WARD_OK);
    }
    CHECK(ward_down_of(msg)->reason == WARD_BY_LIMIT && ward_down_of(msg)->status == WARD_EUNAVAIL);
    CHECK(ward_same(ward_down_of(msg)->who, world->weak));
    return WARD_OK;
}

static ward_status joiner(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc = ward_join(self, &world->weak, 1, WARD_FOREVER);

    CHECKF(rc == WARD_ECANCELED || (!rc && world->dead), "join: %s", ward_strerror(rc));
    return rc;
}

/* -- while it is degraded ---------------------------------------------------------------------- */

static enum ward__phase phase_of(const ward_self *self, ward_ref ref)
{
    const struct ward__slot *slot = ward__slot(ward_node_of(self), ref.slot);

    return ward__life(slot) == ref.life ? (enum ward__phase)ward__load(&slot->phase) : WARD__FREE;
}

static void check_monitor(ward_self *self, ward_ref whom)
{
    const ward_msg *msg;

    CHECK(ward_monitor(self, whom) == WARD_OK);
    CHECK(ward_receive(self, &msg, WARD_NOW) == WARD_OK && ward_down_of(msg));
    CHECK(ward_down_of(msg)->reason == WARD_BY_LIMIT && ward_down_of(msg)->final);
    CHECK(ward_down_of(msg)->status == WARD_EUNAVAIL);
}

static void check_degraded(ward_self *self, struct world *world)
{
    struct item item = { 0 };
    const ward_msg *answer;
    uint32_t starts;
    uint64_t seen;
    ward_ref found;

    CHECK(phase_of(self, world->weak) == WARD__DEGRADED);
    CHECK(ward_sleep(self, ward_in_ms(self, 100)) == WARD_OK); /* the last group is up by now */
    starts = world->sibling_starts;
    seen = world->seen;
    CHECK(ward_sleep(self, ward_in_ms(self, 100)) == WARD_OK);
    for (uint32_t i = 0; i < world->callers; i++)
        CHECKF(!world->began_ns[i] || ward_now_ns(self) - world->began_ns[i] < 50 * SIM_MS,
            "caller %u is still waiting", i);
    CHECK(world->siblings_up == SIBLINGS && world->sibling_starts == starts && world->seen == seen);
    CHECK(ward_send(self, world->weak, &ITEM, &item) == WARD_EUNAVAIL);
    CHECK(ward_send_by(self, world->weak, &ITEM, &item, WARD_FOREVER) == WARD_EUNAVAIL);
    CHECK(ward_ask(self, &answer, world->weak, &ITEM, &item, ward_in_ms(self, 60000)) ==
          WARD_EUNAVAIL);
    CHECK(ward_join(self, &world->weak, 1, ward_in_ms(self, 5)) == WARD_ETIMEDOUT);
    CHECK(ward_find(self, &found, "/main/outer/sup/weak", WARD_NOW) == WARD_OK);
    CHECK(ward_same(found, world->weak));
    check_monitor(self, world->weak);
    check_monitor(self, world->weak); /* the first has been told, so this is another */
}

static void check_revived(ward_self *self, struct world *world)
{
    struct item item = { 77 };
    const ward_msg *answer;
    ward_ref weak = world->weak;
    uint32_t starts = world->starts;

    world->broken = false;
    CHECK(ward_revive(self, weak) == WARD_OK);
    CHECK(ward_revive(self, weak) == WARD_ESTATE);
    CHECK(ward_monitor(self, weak) == WARD_OK);
    CHECK(ward_ask(self, &answer, weak, &ITEM, &item, ward_in_ms(self, 60000)) == WARD_OK);
    CHECK(((const struct item *)ward_value(answer, &ITEM))->seq == 77);
    CHECK(ward_receive(self, &answer, WARD_NOW) == WARD_ETIMEDOUT); /* no DOWN */
    CHECK(world->starts == starts + 1 && ward_same(weak, world->weak));
    ward_demonitor(self, weak);
    world->broken = true; /* and it has all its restarts again */
    world->in_start = false;
    for (int i = 0; i < 2000 && phase_of(self, weak) != WARD__DEGRADED; i++) {
        check_outcome(world, ward_send(self, weak, &ITEM, &item), false, false);
        CHECK(ward_sleep(self, ward_in_ms(self, 5)) == WARD_OK);
    }
    CHECK(phase_of(self, weak) == WARD__DEGRADED &&
          world->starts == starts + 1 + world->restarts_max);
}

static void leave(ward_self *self, struct world *world)
{
    struct item item = { 0 };
    ward_ref weak = world->weak;

    if (world->leave == REVIVED) check_revived(self, world);
    world->dead = true;
    if (world->leave == CANCELLED || world->leave == REVIVED)
        ward_cancel(self, weak);
    else if (world->leave == CLOSED)
        ward_close_mail(self, weak);
    else if (world->leave == SUP_CANCELLED)
        ward_cancel(self, world->sup);
    else
        world->siblings_fail = true;
    for (int i = 0; i < 400 && phase_of(self, weak) != WARD__FREE; i++)
        CHECK(ward_sleep(self, ward_in_ms(self, 5)) == WARD_OK);
    CHECK(phase_of(self, weak) == WARD__FREE);
    CHECK(ward_send(self, weak, &ITEM, &item) == WARD_EGONE);
    CHECK(ward_revive(self, weak) == WARD_EGONE);
}

/* -- too many zombies -------------------------------------------------------------------------- */

static ward_status hangs(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    return ward_sim_hang(self, 2000);
}

static void run_zombies(ward_self *self, struct world *world)
{
    ward_spec specs[] = { { .body = sibling, .arg = world }, { .name = "hangs",
                                                                 .handle = hangs,
                                                                 .stuck_ms = 20,
                                                                 .backoff_ms = WARD_AT_ONCE,
                                                                 .at_limit = WARD_DEGRADE } };
    uint32_t starts = world->sibling_starts;
    struct item item = { 0 };
    ward_ref sup, ref;

    world->siblings_fail = false;
    CHECK(ward_spawn(self, &sup,
              &(ward_spec){
                  .name = "zombies", .children = WARD_CHILDREN(specs), .zombies_max = 1 }) ==
          WARD_OK);
    CHECK(ward_find(self, &ref, "zombies/hangs", ward_in_ms(self, 1000)) == WARD_OK);
    for (int i = 0; i < 2; i++) {
        CHECKF(ward_send(self, ref, &ITEM, &item) == WARD_OK, "%d", i);
        CHECK(ward_sleep(self, ward_in_ms(self, 100)) == WARD_OK);
    }
    CHECK(phase_of(self, ref) == WARD__DEGRADED);
    CHECK(ward_send(self, ref, &ITEM, &item) == WARD_EUNAVAIL);
    CHECK(world->sibling_starts == starts + 1);
    CHECK(ward_sleep(self, ward_in_ms(self, 4000)) == WARD_OK); /* they come back */
    CHECK(ward_revive(self, ref) == WARD_OK);
    CHECK(ward_send(self, ref, &ITEM, &item) == WARD_OK);
    CHECK(ward_sleep(self, ward_in_ms(self, 100)) == WARD_OK);
    CHECK(phase_of(self, ref) == WARD__LIVE);
    ward_cancel(self, sup);
    CHECK(ward_join(self, &sup, 1, ward_in_ms(self, 5000)) == WARD_OK);
    CHECK(ward_sleep(self, ward_in_ms(self, 4000)) == WARD_OK);
}

/* -- the run ----------------------------------------------------------------------------------- */

static ward_status start_others(ward_self *self, struct world *world, ward_ref others[])
{
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < CALLERS; i++)
        rc = ward_spawn(self, &others[i], &(ward_spec){ .body = caller, .arg = world });
    if (!rc) rc = ward_spawn(self, &others[CALLERS], &(ward_spec){ .body = watcher, .arg = world });
    if (!rc)
        rc = ward_spawn(self, &others[CALLERS + 1], &(ward_spec){ .body = joiner, .arg = world });
    return rc;
}

static void check_books(ward_self *self, const struct world *world)
{
    struct books handlers = books_of(self, take, NULL), bodies = books_of(self, NULL, body);

    CHECK(seen_by_books(&handlers) + seen_by_books(&bodies) == world->seen);
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref outer, others[CALLERS + 2];
    ward_status rc;

    world->strategy = (ward_strategy)below(self, 4);
    world->leave = (enum leave)below(self, LEAVES);
    rc = grow(self, world, &outer);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 20)); /* all are up */
    if (!rc) rc = start_others(self, world, others);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, below(self, 30)));
    CHECK(!rc && world->weak.slot);
    world->broken = true;
    for (int i = 0; i < 400 && phase_of(self, world->weak) != WARD__DEGRADED; i++)
        CHECK(ward_sleep(self, ward_in_ms(self, 5)) == WARD_OK);
    check_degraded(self, world);
    CHECKF(world->unavailable > 0 && world->degraded_events == 1, "%llu unavailable, %u events",
        (unsigned long long)world->unavailable, world->degraded_events);
    leave(self, world);
    world->calm = true;
    for (int i = 0; i < CALLERS + 2; i++)
        if (i < CALLERS) ward_cancel(self, others[i]);
    CHECK(ward_join(self, others, CALLERS + 2, ward_in_ms(self, 1000)) == WARD_OK);
    ward_cancel(self, outer);
    rc = ward_join(self, &outer, 1, ward_in_ms(self, 5000));
    if (!rc) check_books(self, world);
    run_zombies(self, world);
    return rc;
}

static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;

    if (event->kind == WARD_EV_DEGRADED && strcmp(event->path, "/main/outer/sup/weak") == 0)
        world->degraded_events++;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "degraded",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .on_event = on_event };

    return simulate(&scenario, argc, argv);
}
