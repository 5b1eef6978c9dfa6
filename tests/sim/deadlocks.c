/* SPDX-License-Identifier: MIT */
/*
 * deadlocks.c - simulation: actors that wait for each other, in rings of every length with tails
 * and bystanders, by asking, through a relay, for room, by joining; and the corners one by one.
 *
 * Each actor waits once, for at most one other, so the graph is known before anybody runs. Holds:
 * each cycle has exactly one victim, with the least time left; nobody else ever gets EDEADLK; and
 * all waits are over long before any deadline. Each victim is one event that names the cycle.
 */
#include "scenario.h"

enum { ACTORS = 12, CROWD = 300, NOBODY = 255 };
enum kind { ASK, RELAYED, SEND, JOIN, KINDS };

static const ward_type NOTE = WARD_TYPE_PLAIN("note", uint32_t);
static const ward_type REPLY = WARD_TYPE_EMPTY("reply");

struct world;
struct actor {
    struct world *world;
    ward_ref ref;
    uint32_t index, to; /* NOBODY: it waits for none */
    enum kind kind;
    bool filled; /* its mailbox is full until it has waited */
    bool looks, keeps; /* it receives before it waits, and keeps what it got */
    bool refused; /* by the relay: it did not wait for `to` */
    ward_deadline by; /* of its wait */
    ward_status rc;
    int64_t over_ns;
};

struct world {
    uint32_t count, victims, events;
    bool go; /* all actors are there */
    ward_ref relay, free;
    struct actor actors[ACTORS];
    ward_ref members[CROWD];
    ward_ref up, mid; /* of the family */
    ward_status up_rc, mid_rc, low_rc;
};

/* -- graphs ------------------------------------------------------------------------------------ */

/* A handler: passes a question on to whom it names. */
static ward_status relay(ward_self *self, const ward_msg *msg)
{
    struct world *world = ward_arg(self);
    const uint32_t *from = ward_value(msg, &NOTE);
    struct actor *actor = &world->actors[*from];
    ward_status rc = ward_forward(self, world->actors[actor->to].ref, msg);

    if (rc) actor->refused = true;
    CHECKF(rc == WARD_OK || rc == WARD_EFULL || rc == WARD_EGONE || rc == WARD_ECLOSED, "%s",
        ward_strerror(rc));
    return WARD_OK;
}

static ward_status answer(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &REPLY, NULL);
}

static ward_status wait_once(ward_self *self, struct actor *actor, ward_deadline by)
{
    struct world *world = actor->world;
    struct actor *to = &world->actors[actor->to];
    ward_ref refs[2] = { to->ref, world->free };
    const ward_msg *reply;

    switch (actor->kind) {
    case ASK: return ward_ask(self, &reply, to->ref, &NOTE, &actor->index, by);
    case RELAYED: return ward_ask(self, &reply, world->relay, &NOTE, &actor->index, by);
    case SEND: return ward_send_by(self, to->ref, &NOTE, &actor->index, by);
    case JOIN: return ward_join(self, refs, 2, by);
    case KINDS: break;
    }
    NEVER("no such kind");
}

/* Waits once, then answers what there is, and ends. */
static ward_status actor(ward_self *self)
{
    struct actor *actor = ward_arg(self);
    const ward_msg *msg = NULL;
    ward_msg *kept = NULL;
    ward_deadline by = one_in(self, 3) ? WARD_FOREVER : ward_in_ms(self, 5000 + below(self, 90000));

    do
        CHECK(ward_sleep(self, ward_in_ms(self, below(self, 4))) == WARD_OK);
    while (!actor->world->go);
    if (actor->looks && ward_receive(self, &msg, ward_in_ms(self, below(self, 8)))) msg = NULL;
    if (msg && actor->keeps) {
        CHECK(ward_keep(self, &kept, msg) == WARD_OK);
        if (ward_receive(self, &msg, WARD_NOW)) msg = NULL;
    }
    actor->by = ward_by(self).ns < by.ns ? ward_by(self) : by;
    if (actor->to != NOBODY) actor->rc = wait_once(self, actor, by);
    actor->over_ns = ward_now_ns(self);
    if (kept) CHECK(answer(self, kept) == WARD_OK);
    if (kept) ward_drop(self, kept);
    if (msg) CHECK(answer(self, msg) == WARD_OK);
    while (ward_receive(self, &msg, WARD_NOW) == WARD_OK)
        CHECK(answer(self, msg) == WARD_OK);
    return WARD_OK;
}

static ward_status sleeper(ward_self *self)
{
    return ward_sleep(self, ward_in_ms(self, below(self, 20)));
}

static void draw(ward_self *self, struct world *world)
{
    bool ring = one_in(self, 2); /* else anything */

    world->count = 2 + below(self, ACTORS - 1);
    for (uint32_t i = 0; i < world->count; i++) {
        struct actor *actor = &world->actors[i];
        actor->world = world;
        actor->index = i;
        actor->to = ring ? (i + 1) % world->count : below(self, world->count);
        actor->kind = (enum kind)below(self, KINDS);
        if (actor->to == i) actor->kind = RELAYED; /* the only way to ask oneself */
        if (!ring && one_in(self, 6)) actor->to = NOBODY;
        actor->looks = one_in(self, 2);
        actor->keeps = one_in(self, 2);
    }
    for (uint32_t i = 0; i < world->count; i++) {
        struct actor *actor = &world->actors[i];
        if (actor->to == NOBODY) continue;
        if (actor->kind == SEND || (actor->kind == ASK && one_in(self, 4)))
            world->actors[actor->to].filled = true;
    }
}

static void start(ward_self *self, struct world *world)
{
    char name[16];
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; i < world->count; i++) {
        struct actor *made = &world->actors[i];
        if (made->filled) made->looks = false;
        snprintf(name, sizeof name, "a%u", i);
        rc = ward_spawn(self, &made->ref,
            &(ward_spec){ .name = name,
                .body = actor,
                .arg = made,
                .mailbox_max = made->filled ? 1 : 64,
                .restart = WARD_TEMPORARY });
        CHECK(rc == WARD_OK);
        if (made->filled) CHECK(ward_send(self, made->ref, &NOTE, &i) == WARD_OK);
    }
    world->go = true;
}

/* On the cycle that this one's waits lead to; 0: to none. */
static uint32_t cycle_of(const struct world *world, uint32_t at, uint32_t *members)
{
    uint32_t seen[ACTORS] = { 0 }, count = 0, step = 1;

    while (!seen[at]) {
        const struct actor *actor = &world->actors[at];
        seen[at] = step++;
        if (actor->to == NOBODY || (actor->kind == RELAYED && actor->refused)) return 0;
        at = actor->to;
    }
    for (uint32_t i = 0; i < world->count; i++)
        if (seen[i] >= seen[at]) members[count++] = i;
    return count;
}

static void check_cycle(const struct world *world, const uint32_t *members, uint32_t count)
{
    uint32_t victims = 0, victim = 0;
    int64_t least = INT64_MAX;

    for (uint32_t i = 0; i < count; i++) {
        const struct actor *actor = &world->actors[members[i]];
        if (actor->by.ns < least) least = actor->by.ns;
        if (actor->rc != WARD_EDEADLK) continue;
        victims++;
        victim = members[i];
    }
    for (uint32_t i = 0; victims != 1 && i < world->count; i++)
        fprintf(stderr, "a%u to %u, kind %d%s%s%s: %s\n", i, world->actors[i].to,
            (int)world->actors[i].kind, world->actors[i].filled ? ", filled" : "",
            world->actors[i].looks ? ", looks" : "", world->actors[i].refused ? ", refused" : "",
            ward_strerror(world->actors[i].rc));
    CHECKF(victims == 1, "%u victims in a cycle of %u", victims, count);
    CHECK(world->actors[victim].by.ns == least);
}

static void check_graph(ward_self *self, struct world *world)
{
    uint32_t members[ACTORS], count;
    bool in_cycle[ACTORS] = { false };

    for (uint32_t i = 0; i < world->count; i++) {
        count = cycle_of(world, i, members);
        if (count > 0) check_cycle(world, members, count);
        for (uint32_t k = 0; k < count; k++)
            in_cycle[members[k]] = true;
    }
    for (uint32_t i = 0; i < world->count; i++) {
        const struct actor *actor = &world->actors[i];
        if (actor->rc == WARD_EDEADLK) world->victims++;
        CHECKF(in_cycle[i] || actor->rc != WARD_EDEADLK, "a%u is in no cycle", i);
        CHECKF(actor->rc == WARD_OK || actor->rc == WARD_EDEADLK || actor->rc == WARD_EGONE ||
                   actor->rc == WARD_ENOREPLY || actor->rc == WARD_EABANDONED ||
                   actor->rc == WARD_ECLOSED,
            "a%u: %s", i, ward_strerror(actor->rc));
        CHECKF(actor->over_ns > 0 && actor->over_ns <= ward_now_ns(self), "a%u is not over", i);
    }
}

static void graph(ward_self *self, struct world *world)
{
    ward_ref all[ACTORS];
    int64_t began = ward_now_ns(self);
    ward_status rc;

    draw(self, world);
    rc = ward_spawn(self, &world->relay, &(ward_spec){ .handle = relay, .arg = world });
    if (!rc) rc = ward_spawn(self, &world->free, &(ward_spec){ .body = sleeper });
    CHECK(rc == WARD_OK);
    start(self, world);
    for (uint32_t i = 0; i < world->count; i++)
        all[i] = world->actors[i].ref;
    rc = ward_join(self, all, world->count, ward_in_ms(self, 4000));
    CHECKF(rc == WARD_OK, "somebody waits still: %s", ward_strerror(rc));
    CHECK(ward_now_ns(self) - began < 1000 * SIM_MS);
    check_graph(self, world);
    ward_cancel(self, world->relay);
}

/* -- many that are joined: more than a search on the way to park looks at ---------------------- */

static ward_status member(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *reply;
    ward_status rc = WARD_OK;

    while (!rc && !world->up.slot)
        rc = ward_sleep(self, ward_in_ms(self, 1 + below(self, 4)));
    if (ward_me(self).slot != world->members[CROWD - 1].slot) return sleeper(self);
    if (!rc) rc = ward_ask(self, &reply, world->up, &NOTE, &(uint32_t){ 0 }, WARD_FOREVER);
    CHECK(rc == WARD_EDEADLK || rc == WARD_OK);
    world->low_rc = rc;
    return WARD_OK;
}

static ward_status joiner(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *msg;

    world->up_rc = ward_join(self, world->members, CROWD, WARD_FOREVER);
    while (ward_receive(self, &msg, WARD_NOW) == WARD_OK)
        CHECK(answer(self, msg) == WARD_OK);
    return WARD_OK;
}

static void crowd(ward_self *self, struct world *world)
{
    ward_ref sup;
    ward_status rc = ward_spawn(self, &sup, &(ward_spec){ .strategy = WARD_DYNAMIC });

    for (uint32_t i = 0; !rc && i < CROWD; i++)
        rc = ward_spawn_under(self, &world->members[i], sup,
            &(ward_spec){ .body = member, .arg = world, .restart = WARD_TEMPORARY });
    if (!rc) rc = ward_spawn(self, &world->up, &(ward_spec){ .body = joiner, .arg = world });
    if (!rc) rc = ward_join(self, &world->up, 1, ward_in_ms(self, 4000));
    CHECKF(rc == WARD_OK, "the crowd: %s", ward_strerror(rc));
    CHECKF((world->up_rc == WARD_EDEADLK) + (world->low_rc == WARD_EDEADLK) == 1, "%s and %s",
        ward_strerror(world->up_rc), ward_strerror(world->low_rc));
    world->victims++;
    ward_cancel(self, sup);
}

/* -- a parent waits for its child, which waits for an ancestor --------------------------------- */

static ward_status low(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *reply;

    world->low_rc =
        ward_ask(self, &reply, world->up, &NOTE, &(uint32_t){ 0 }, ward_in_ms(self, 60000));
    return WARD_OK;
}

static ward_status mid(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref child;
    ward_status rc = ward_spawn(self, &child, &(ward_spec){ .body = low, .arg = world });

    CHECK(rc == WARD_OK);
    world->mid_rc = ward_join(self, &child, 1, WARD_FOREVER);
    return WARD_OK;
}

static ward_status up(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *msg;
    ward_status rc;

    world->up = ward_me(self);
    rc = ward_spawn(self, &world->mid, &(ward_spec){ .body = mid, .arg = world });
    CHECK(rc == WARD_OK);
    world->up_rc = ward_join(self, &world->mid, 1, ward_in_ms(self, 90000));
    while (ward_receive(self, &msg, WARD_NOW) == WARD_OK)
        CHECK(answer(self, msg) == WARD_OK);
    return WARD_OK;
}

static void family(ward_self *self, struct world *world)
{
    ward_ref ref;
    ward_status rc = ward_spawn(self, &ref, &(ward_spec){ .body = up, .arg = world });

    if (!rc) rc = ward_join(self, &ref, 1, ward_in_ms(self, 4000));
    CHECKF(rc == WARD_OK, "the family: %s", ward_strerror(rc));
    CHECK(world->up_rc == WARD_OK && world->mid_rc == WARD_OK);
    CHECK(world->low_rc == WARD_EDEADLK); /* it has the least time left */
    world->victims++;
}

/* -- corners ----------------------------------------------------------------------------------- */

struct pair {
    ward_ref other;
    uint32_t sleep_ms;
    ward_status rc;
};

static ward_status asks_other(ward_self *self)
{
    struct pair *pair = *(struct pair **)ward_arg(self);
    const ward_msg *msg;

    CHECK(ward_sleep(self, ward_in_ms(self, pair->sleep_ms)) == WARD_OK);
    pair->rc = ward_ask(self, &msg, pair->other, &NOTE, &(uint32_t){ 0 }, WARD_FOREVER);
    while (ward_receive(self, &msg, ward_in_ms(self, 20)) == WARD_OK)
        CHECK(answer(self, msg) == WARD_OK);
    return WARD_OK;
}

/* For ever, both of them: the last to park. */
static void last_to_park(ward_self *self, struct world *world)
{
    uint32_t last = below(self, 2);
    struct pair pairs[2] = { 0 };
    ward_ref refs[2];
    ward_status rc = WARD_OK;

    pairs[last].sleep_ms = 50;
    pairs[!last].sleep_ms = 20; /* both are there by then */
    for (int i = 0; !rc && i < 2; i++)
        rc = ward_spawn(self, &refs[i],
            &(ward_spec){
                .body = asks_other, .arg = &(struct pair *){ &pairs[i] }, .arg_bytes = 8 });
    pairs[0].other = refs[1];
    pairs[1].other = refs[0];
    if (!rc) rc = ward_join(self, refs, 2, ward_in_ms(self, 1000));
    CHECK(rc == WARD_OK);
    CHECK(pairs[last].rc == WARD_EDEADLK);
    CHECK(pairs[!last].rc == WARD_OK);
    world->victims++;
}

static ward_status joins_in_handler(ward_self *self, const ward_msg *msg)
{
    const ward_ref *refs = ward_value(msg, &NOTE) ? ward_arg(self) : NULL;

    CHECK(refs);
    CHECK(ward_join(self, &refs[0], 1, WARD_FOREVER) == WARD_OK); /* it is dead */
    CHECK(ward_join(self, refs, 2, WARD_FOREVER) == WARD_ESTATE);
    return answer(self, msg);
}

static void corners(ward_self *self, struct world *world)
{
    const ward_msg *msg;
    ward_self *outside = ward_outside(ward_node_of(self));
    ward_ref me = ward_me(self), refs[2], handler;
    ward_status rc = ward_spawn(self, &refs[0], &(ward_spec){ .body = sleeper });

    if (!rc) rc = ward_join(self, refs, 1, WARD_FOREVER);
    if (!rc) rc = ward_spawn(self, &refs[1], &(ward_spec){ .handle = relay, .arg = world });
    if (!rc)
        rc = ward_spawn(self, &handler, &(ward_spec){ .handle = joins_in_handler, .arg = refs });
    if (!rc) rc = ward_ask(self, &msg, handler, &NOTE, &(uint32_t){ 0 }, ward_in_ms(self, 100));
    CHECKF(rc == WARD_OK, "joins in a handler: %s", ward_strerror(rc));
    CHECK(ward_join(outside, refs, 1, WARD_FOREVER) == WARD_OK);
    CHECK(ward_join(outside, &handler, 1, WARD_FOREVER) == WARD_ESTATE);
    ward_cancel(self, handler);
    ward_cancel(self, refs[1]);
    CHECK(ward_ask(self, &msg, me, &NOTE, &(uint32_t){ 0 }, WARD_FOREVER) == WARD_EDEADLK);
    CHECK(ward_join(self, &me, 1, WARD_FOREVER) == WARD_EDEADLK);
    last_to_park(self, world);
}

/* A body that sends to itself: there is room; there is none; there is some, but others stand
 * before it, who come in first. */
static ward_status sends_to_itself(ward_self *self)
{
    static const uint32_t order[] = { 1, 2, 3, 4, 5, 6, 7, 8, 20, 20, 9 };
    struct world *world = ward_arg(self);
    ward_ref me = ward_me(self);
    const ward_msg *msg;

    for (uint32_t i = 1; i <= 8; i++)
        CHECK(ward_send_by(self, me, &NOTE, &i, WARD_FOREVER) == WARD_OK);
    CHECK(ward_send_by(self, me, &NOTE, &(uint32_t){ 9 }, WARD_FOREVER) == WARD_EDEADLK);
    world->up = me; /* two others may begin */
    CHECK(ward_sleep(self, ward_in_ms(self, 20)) == WARD_OK);
    for (size_t i = 0; i < WARD_COUNT(order); i++) {
        CHECK(ward_receive(self, &msg, ward_in_ms(self, 100)) == WARD_OK);
        CHECK(*(const uint32_t *)ward_value(msg, &NOTE) == order[i]);
        if (i == 2) CHECK(ward_send_by(self, me, &NOTE, &(uint32_t){ 9 }, WARD_FOREVER) == WARD_OK);
    }
    return WARD_OK;
}

static ward_status sends_there(ward_self *self)
{
    const struct world *world = ward_arg(self);

    return ward_send_by(self, world->up, &NOTE, &(uint32_t){ 20 }, ward_in_ms(self, 1000));
}

static void self_sends(ward_self *self, struct world *world)
{
    ward_ref refs[3];
    ward_status rc = ward_spawn(
        self, &refs[0], &(ward_spec){ .body = sends_to_itself, .arg = world, .mailbox_max = 8 });

    while (!rc && !world->up.slot)
        rc = ward_sleep(self, ward_in_ms(self, 1));
    for (int i = 1; !rc && i < 3; i++)
        rc = ward_spawn(self, &refs[i], &(ward_spec){ .body = sends_there, .arg = world });
    if (!rc) rc = ward_join(self, refs, 3, ward_in_ms(self, 1000));
    CHECKF(rc == WARD_OK, "sends to itself: %s", ward_strerror(rc));
}

/* -- the run ----------------------------------------------------------------------------------- */

static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;
    char text[1024];

    if (event->kind != WARD_EV_DEADLOCK) return;
    world->events++;
    CHECK(event->status == WARD_EDEADLK);
    CHECK(ward_event_text(event, text, sizeof text) < sizeof text);
    CHECKF(strstr(text, " deadlock: ") && strstr(text, "deadlocks.c:") &&
               (strstr(event->what, event->path) || strstr(event->what, "... (")),
        "%s", text);
    CHECK(event->who.node != 0);
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);

    switch (below(self, 6)) {
    case 0: family(self, world); break;
    case 1: corners(self, world); break;
    case 2: self_sends(self, world); break;
    case 3:
        if (one_in(self, 4)) crowd(self, world);
        break;
    default: graph(self, world);
    }
    return ward_sleep(self, ward_in_ms(self, 50));
}

static void after(void *arg)
{
    const struct world *world = arg;

    CHECKF(
        world->events == world->victims, "%u events for %u victims", world->events, world->victims);
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "deadlocks",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .after = after,
        .on_event = on_event };

    return simulate(&scenario, argc, argv);
}
