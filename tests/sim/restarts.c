/* SPDX-License-Identifier: MIT */
/*
 * restarts.c - simulation: storms of failures under each strategy, with an outer supervisor that
 * inherits what the inner one gives up.
 *
 * Children fail in .start, on a message, or end well; some are transient or temporary. Holds: they
 * start in order and one at a time; a group is down before it starts again; each restart comes
 * within its backoff, doubled with each; nobody is restarted over the limit, and whoever is not
 * over it is restarted; the address and the mailbox survive, with every accepted message seen once
 * and in order, or counted; who watches gets one DOWN for an incarnation and a last one for the
 * life; when a supervisor is restarted or ends, nothing of its former children is alive.
 */
#include "scenario.h"

enum { CHILDREN = 5, OLD = 64 };

struct item {
    uint64_t seq;
};
static const ward_type ITEM = WARD_TYPE_PLAIN("item", struct item);
static const ward_type END = WARD_TYPE_EMPTY("end");

struct world;
struct child {
    struct world *world;
    uint32_t index, restarts_max, backoff_ms, backoff_max_ms;
    ward_restart restart;
    bool body, slow;
    /* Of the life that started last. */
    ward_ref ref;
    uint64_t sup_inc; /* of the supervisor that started it */
    uint32_t starts, counted; /* counted: ends that cost a restart */
    bool alive, up, been_up, over;
    int64_t ended_ns;
    uint64_t sent, seen;
};

/* One life that is watched. */
struct watched {
    ward_ref ref;
    uint64_t incarnation; /* of the last DOWN */
    bool final;
};

struct world {
    ward_strategy strategy;
    struct child children[CHILDREN];
    uint32_t count, restarts_max, window_ms;
    bool calm, outer_over;
    ward_ref inner;
    uint64_t sent, seen, in_doubt;
    struct watched watched[OLD];
    uint32_t watched_count, downs;
};

/* -- what a start must find -------------------------------------------------------------------- */

static uint64_t parent_incarnation(const ward_self *self)
{
    const ward_node *node = ward_node_of(self);
    const struct ward__slot *slot = ward__slot(node, ward_me(self).slot);

    return ward__load(&ward__slot(node, ward__load(&slot->parent))->incarnation);
}

static void check_order(const struct world *world, const struct child *child)
{
    bool group = world->strategy == WARD_ONE_FOR_ALL || world->strategy == WARD_REST_FOR_ONE;

    for (uint32_t i = 0; i < world->count; i++) {
        const struct child *other = &world->children[i];
        if (other == child) continue;
        CHECKF(!other->alive || other->sup_inc == child->sup_inc,
            "%u of a former supervisor is alive when %u starts", i, child->index);
        if (world->strategy == WARD_DYNAMIC) continue;
        if (i < child->index && (group || child->starts == 1))
            CHECKF(other->sup_inc == child->sup_inc &&
                       (group ? other->up || other->over : other->been_up || other->over),
                "%u starts before %u is up", child->index, i);
        if (i > child->index && group)
            CHECKF(!other->alive, "%u starts while %u is alive", child->index, i);
    }
}

static void check_limits(const struct world *world, const struct child *child)
{
    uint32_t restarts = 0;

    if (world->window_ms != WARD_UNLIMITED) return;
    for (uint32_t i = 0; i < world->count; i++) {
        const struct child *other = &world->children[i];
        if (other->sup_inc == child->sup_inc && other->starts) restarts += other->starts - 1;
    }
    CHECK(child->starts - 1 <= child->restarts_max || world->strategy == WARD_ONE_FOR_ALL ||
          world->strategy == WARD_REST_FOR_ONE);
    if (world->strategy == WARD_ONE_FOR_ONE)
        CHECKF(restarts <= world->restarts_max, "%u restarts", restarts);
    else if (world->strategy != WARD_DYNAMIC)
        CHECKF(child->starts - 1 <= world->restarts_max, "%u starts", child->starts);
}

/* Only of those that restart alone: a group waits for the longest of several. */
static void check_backoff(const ward_self *self, const struct child *child)
{
    const struct world *world = child->world;
    int64_t waited = ward_now_ns(self) - child->ended_ns, delay = child->backoff_ms;
    bool all_up = true;

    if (world->strategy != WARD_ONE_FOR_ONE && world->strategy != WARD_DYNAMIC) return;
    if (world->window_ms != WARD_UNLIMITED || child->starts < 2) return;
    for (uint32_t i = 1; i < child->counted && delay < child->backoff_max_ms; i++)
        delay *= 2;
    if (delay > child->backoff_max_ms) delay = child->backoff_max_ms;
    for (uint32_t i = 0; i < child->index; i++)
        all_up &= world->children[i].been_up;
    if (all_up)
        CHECKF(waited <= delay * SIM_MS + SIM_SLACK_NS, "restarted after %lld ns, not within %lld",
            (long long)waited, (long long)delay);
}

/* The life this is, which may be a new one. */
static void note_life(const ward_self *self, struct child *child)
{
    uint64_t sup_inc = parent_incarnation(self);

    if (ward_same(child->ref, ward_me(self))) return;
    CHECK(!child->alive);
    CHECK(child->world->strategy == WARD_DYNAMIC || child->sup_inc != sup_inc);
    child->ref = ward_me(self);
    child->sup_inc = sup_inc;
    child->starts = child->counted = 0;
    child->been_up = child->over = false;
    child->sent = child->seen = 0;
}

static void note_start(ward_self *self, struct child *child)
{
    note_life(self, child);
    CHECKF(!child->alive, "%u is alive twice", child->index);
    CHECKF(!child->over, "%u was over", child->index);
    child->starts++;
    child->alive = true;
    child->up = false;
    *(bool *)ward_state(self) = true;
    check_order(child->world, child);
    check_limits(child->world, child);
    check_backoff(self, child);
}

/* -- children ---------------------------------------------------------------------------------- */

static ward_status start(ward_self *self)
{
    struct child *child = ward_arg(self);
    ward_status rc = WARD_OK;

    note_start(self, child);
    if (child->slow || one_in(self, 4))
        rc = child->body ? ward_sleep(self, ward_in_ms(self, below(self, child->slow ? 60 : 8)))
                         : ward_sim_hang(self, below(self, 8));
    if (!rc && !child->world->calm && one_in(self, 6)) rc = WARD_EFAIL;
    if (!rc) child->up = child->been_up = true;
    return rc;
}

static void cleanup(ward_self *self, ward_reason why)
{
    struct child *child = ward_arg(self);
    bool temporary = child->restart == WARD_TEMPORARY;

    if (!*(bool *)ward_state(self)) { /* cancelled before it began */
        note_life(self, child);
        child->over = temporary;
        return;
    }
    CHECK(child->alive && ward_same(child->ref, ward_me(self)));
    child->alive = child->up = false;
    child->ended_ns = ward_now_ns(self);
    if (why == WARD_BY_FAILURE || (why == WARD_BY_RETURN && child->restart == WARD_PERMANENT))
        child->counted++;
    child->over = temporary || (why == WARD_BY_RETURN && child->restart == WARD_TRANSIENT);
}

static ward_status take(ward_self *self, struct child *child, const ward_msg *msg)
{
    const struct item *item = ward_value(msg, &ITEM);

    CHECK(item);
    CHECKF(item->seq == child->seen + 1, "%u: %llu comes after %llu", child->index,
        (unsigned long long)item->seq, (unsigned long long)child->seen);
    child->seen = item->seq;
    child->world->seen++;
    if (child->world->calm) return WARD_OK;
    if (one_in(self, 12)) {
        child->world->in_doubt++;
        return WARD_EFAIL;
    }
    return one_in(self, 16) ? WARD_STOP : WARD_OK;
}

static ward_status handle(ward_self *self, const ward_msg *msg)
{
    return take(self, ward_arg(self), msg);
}

static ward_status body(ward_self *self)
{
    struct child *child = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) rc = take(self, child, msg);
        if (!rc && one_in(self, 4)) rc = ward_sleep(self, ward_in_ms(self, below(self, 4)));
    }
    return rc;
}

static ward_spec spec_of(struct child *child)
{
    ward_spec spec = { .arg = child,
        .state_bytes = sizeof(bool),
        .start = start,
        .cleanup = cleanup,
        .mailbox_max = 8,
        .restart = child->restart,
        .restarts_max = child->restarts_max,
        .window_ms = child->world->window_ms,
        .backoff_ms = child->backoff_ms,
        .backoff_max_ms = child->backoff_max_ms };

    if (child->body)
        spec.body = body;
    else
        spec.handle = handle;
    return spec;
}

/* -- the storm --------------------------------------------------------------------------------- */

/* Sends to whatever life a child had last, running or between two incarnations. */
static ward_status sender(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc = WARD_OK;

    while (!rc) {
        struct child *child = &world->children[below(self, world->count)];
        struct item item = { child->sent + 1 };
        ward_ref ref = child->ref;
        ward_status sent = WARD_EGONE;
        /* The call may be preempted and the child have a new life afterwards. */
        if (ref.slot) sent = ward_send(self, ref, &ITEM, &item);
        if (sent == WARD_OK) world->sent++;
        if (sent == WARD_OK && ward_same(ref, child->ref)) child->sent++;
        CHECKF(sent == WARD_OK || sent == WARD_EFULL || sent == WARD_EGONE || sent == WARD_ECLOSED,
            "send: %s", ward_strerror(sent));
        if (one_in(self, 3)) rc = ward_sleep(self, ward_in_ms(self, below(self, 6)));
    }
    return rc;
}

/* Spawns dynamic children that are not there. */
static ward_status spawner(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc = WARD_OK;

    while (!rc && !world->calm) {
        struct child *child = &world->children[below(self, world->count)];
        ward_spec spec = spec_of(child);
        ward_ref ref;
        ward_status made = WARD_OK;
        struct ward__slot *slot = ward__slot(ward_node_of(self), child->ref.slot);
        if (!child->ref.slot || child->over || ward__life(slot) != child->ref.life) {
            made = ward_spawn_under(self, &ref, world->inner, &spec);
            CHECKF(made == WARD_OK || made == WARD_EGONE || made == WARD_EUNAVAIL,
                "spawn_under: %s", ward_strerror(made));
            if (made == WARD_OK) rc = ward_sleep(self, ward_in_ms(self, 20));
        }
        if (!rc) rc = ward_sleep(self, ward_in_ms(self, below(self, 6)));
    }
    return rc;
}

/* -- the watcher ------------------------------------------------------------------------------- */

static struct watched *find_watched(struct world *world, ward_ref ref)
{
    for (uint32_t i = 0; i < world->watched_count; i++)
        if (ward_same(world->watched[i].ref, ref)) return &world->watched[i];
    return NULL;
}

static void watch_new_lives(ward_self *self, struct world *world)
{
    for (uint32_t i = 0; i <= world->count; i++) {
        ward_ref ref = i < world->count ? world->children[i].ref : world->inner;
        if (!ref.slot || world->watched_count == OLD || find_watched(world, ref)) continue;
        world->watched[world->watched_count++].ref = ref;
        CHECK(ward_monitor(self, ref) == WARD_OK);
        CHECK(ward_monitor(self, ref) == WARD_OK); /* again: nothing */
    }
}

static void note_down(ward_self *self, struct world *world, const ward_down *down)
{
    struct watched *watched = find_watched(world, down->who);

    CHECK(watched);
    world->downs++;
    if (down->reason == WARD_NOBODY) { /* it was monitored when it was dead, maybe twice */
        CHECK(down->final);
        watched->final = true;
        return;
    }
    CHECK(!watched->final);
    watched->final = down->final;
    CHECKF(down->incarnation > watched->incarnation, "DOWN of %llu after that of %llu",
        (unsigned long long)down->incarnation, (unsigned long long)watched->incarnation);
    watched->incarnation = down->incarnation;
    if (!down->final) CHECK(ward_monitor(self, down->who) == WARD_OK);
}

static ward_status watcher(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    for (;;) {
        rc = ward_receive(self, &msg, ward_in_ms(self, 3));
        if (rc == WARD_ETIMEDOUT)
            watch_new_lives(self, world);
        else if (rc)
            return rc;
        else if (ward_down_of(msg))
            note_down(self, world, ward_down_of(msg));
        else
            break;
    }
    for (uint32_t i = 0; i < world->watched_count; i++)
        CHECKF(world->watched[i].final, "no last DOWN for life %u", i);
    return WARD_OK;
}

/* -- the run ----------------------------------------------------------------------------------- */

static void draw(ward_self *self, struct world *world)
{
    world->strategy = (ward_strategy)below(self, 4);
    world->count = 2 + below(self, CHILDREN - 1);
    world->restarts_max = one_in(self, 4) ? WARD_UNLIMITED : 2 + below(self, 8);
    world->window_ms = one_in(self, 3) ? 200 : WARD_UNLIMITED;
    for (uint32_t i = 0; i < world->count; i++) {
        struct child *child = &world->children[i];
        child->world = world;
        child->index = i;
        child->body = one_in(self, 2);
        child->slow = child->body && one_in(self, 4);
        child->restart = one_in(self, 2) ? WARD_PERMANENT : (ward_restart)below(self, 3);
        child->restarts_max = one_in(self, 3) ? 1 + below(self, 4) : WARD_UNLIMITED;
        child->backoff_ms = 1 + below(self, 12);
        child->backoff_max_ms = 12 + below(self, 40);
    }
}

static ward_status grow(ward_self *self, struct world *world, ward_ref *outer)
{
    ward_spec specs[CHILDREN], inner = { .name = "inner",
        .strategy = world->strategy,
        .restarts_max = world->restarts_max,
        .window_ms = world->window_ms,
        .backoff_ms = 5,
        .backoff_max_ms = 20 };

    for (uint32_t i = 0; i < world->count; i++)
        specs[i] = spec_of(&world->children[i]);
    if (world->strategy != WARD_DYNAMIC)
        inner.children = (ward_children){ specs, world->count, sizeof *specs };
    return ward_spawn(self, outer,
        &(ward_spec){ .name = "outer",
            .children = { &inner, 1, sizeof inner },
            .restart = WARD_TEMPORARY,
            .restarts_max = WARD_UNLIMITED });
}

/* The storm is over and time has passed: whoever may run does. */
static void check_mended(ward_self *self, const struct world *world)
{
    const ward_node *node = ward_node_of(self);
    const struct ward__slot *inner = ward__slot(node, world->inner.slot);

    if (world->outer_over) return;
    CHECK(ward__life(inner) == world->inner.life && ward__load(&inner->phase) == WARD__LIVE);
    for (uint32_t i = 0; i < world->count; i++) {
        const struct child *child = &world->children[i];
        if (world->strategy == WARD_DYNAMIC && child->sup_inc != ward__load(&inner->incarnation))
            continue;
        CHECKF(child->up || child->over, "%u was not started again", i);
        CHECK(child->sup_inc == ward__load(&inner->incarnation));
    }
}

static void check_end(ward_self *self, const struct world *world)
{
    struct books handlers = books_of(self, handle, NULL), bodies = books_of(self, NULL, body);

    for (uint32_t i = 0; i < world->count; i++)
        CHECKF(!world->children[i].alive, "%u outlived its supervisor", i);
    CHECKF(handlers.lives.accepted + bodies.lives.accepted == world->sent,
        "%llu accepted, %llu sent",
        (unsigned long long)(handlers.lives.accepted + bodies.lives.accepted),
        (unsigned long long)world->sent);
    CHECK(seen_by_books(&handlers) + seen_by_books(&bodies) == world->seen);
    CHECK(handlers.fates[WARD__IN_DOUBT] + bodies.fates[WARD__IN_DOUBT] == world->in_doubt);
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref outer, others[3], watching;
    uint32_t count = 0;
    ward_status rc;

    draw(self, world);
    rc = grow(self, world, &outer);
    if (!rc)
        world->inner = ward__ref(ward_node_of(self),
            ward__slot(ward_node_of(self), ward__slot(ward_node_of(self), outer.slot)->child));
    if (!rc) rc = ward_spawn(self, &watching, &(ward_spec){ .body = watcher, .arg = world });
    if (!rc) rc = ward_spawn(self, &others[count++], &(ward_spec){ .body = sender, .arg = world });
    if (!rc && world->strategy == WARD_DYNAMIC)
        rc = ward_spawn(self, &others[count++], &(ward_spec){ .body = spawner, .arg = world });
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 100 + below(self, 300)));
    world->calm = true;
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 600));
    CHECK(rc == WARD_OK);
    check_mended(self, world);
    for (uint32_t i = 0; i < count; i++)
        ward_cancel(self, others[i]);
    ward_cancel(self, outer);
    rc = ward_join(self, &outer, 1, ward_in_ms(self, 20000));
    if (!rc) rc = ward_join(self, others, count, ward_in_ms(self, 1000));
    CHECK(rc == WARD_OK);
    check_end(self, world);
    CHECK(ward_send(self, watching, &END, NULL) == WARD_OK);
    return ward_join(self, &watching, 1, ward_in_ms(self, 1000));
}

static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;

    if (event->kind == WARD_EV_LIMIT && strcmp(event->path, "/main/outer") == 0)
        world->outer_over = true;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "restarts",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .on_event = on_event };

    return simulate(&scenario, argc, argv);
}
