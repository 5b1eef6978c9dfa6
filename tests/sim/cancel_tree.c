/* SPDX-License-Identifier: MIT */
/*
 * cancel_tree.c - simulation: a tree of handlers, bodies and supervisors, four levels of three, is
 * cancelled in the middle of whatever its members do: start, ask, parked send, sleep, join, find,
 * receive, long turns, or nothing that would let them see it.
 *
 * Holds: everything has ended within the worst case that the tree itself computes; each wait ended
 * as cancelled; children have cleaned up before their parents; deferred calls run last in first
 * out, before the clean-up; each clean-up runs once, also of those who had to be quarantined, once
 * they return; and the same when nobody cancels but the node closes.
 */
#include "scenario.h"

enum { FAN = 3, INNER = 13, NODES = 40, DEFERRED = 4 };

enum kind { HANDLER, BODY, SUPERVISOR };
enum way { ASK, SEND, SLEEP, JOIN, FIND, RECEIVE, LOOP, BUSY, WAYS };

struct world;
struct node {
    struct world *world;
    uint32_t index;
    enum kind kind;
    enum way way;
    uint32_t hang_ms, cleanup_ms; /* after it saw the cancel, in its clean-up */
    bool early; /* hangs in its turn before the cancel, too */
    ward_ref ref; /* once it started */
    bool started, alive;
    bool stubborn; /* its turn may outlast its stop_ms: cleaned up later, or never */
    uint32_t cleaned, deferred;
};

struct world {
    struct node nodes[NODES];
    ward_spec specs[NODES];
    char names[NODES][8];
    ward_ref hole; /* takes no mail and is full */
    bool closes; /* nobody cancels, the node closes */
    int64_t cancelled_ns; /* 0: not yet */
};

static const ward_type PING = WARD_TYPE_EMPTY("ping");

static bool under(uint32_t index, uint32_t top)
{
    while (index > top)
        index = (index - 1) / FAN;
    return index == top;
}

/* -- ends -------------------------------------------------------------------------------------- */

static void check_none_below(const struct world *world, const struct node *node)
{
    for (uint32_t i = node->index + 1; i < NODES; i++) {
        const struct node *other = &world->nodes[i];
        if (under(i, node->index))
            CHECKF(!other->alive || other->stubborn, "%u cleans up before %u below it", node->index,
                i);
    }
}

static void cleanup(ward_self *self, ward_reason why)
{
    struct node *node = ward_arg(self);

    node->cleaned++;
    CHECKF(node->cleaned == 1, "%u was cleaned up twice", node->index);
    CHECK(node->deferred == 0);
    CHECK(node->started == node->alive);
    CHECKF(why == WARD_BY_CANCEL || (why == WARD_BY_STUCK && node->stubborn), "%u ends by %d",
        node->index, (int)why);
    if (why != WARD_BY_STUCK) check_none_below(node->world, node);
    if (node->cleanup_ms) {
        ward_status rc = ward_sim_hang(self, node->cleanup_ms);
        CHECK(rc == WARD_OK || (rc == WARD_EFENCED && node->stubborn));
    }
    node->alive = false;
}

/* What is deferred as the n-th has n others before it: they come after. */
struct deferred {
    struct node *node;
    uint32_t before;
};

static void run_deferred(void *arg)
{
    struct deferred *deferred = arg;

    CHECKF(deferred->node->deferred == deferred->before + 1, "deferred %u of %u", deferred->before,
        deferred->node->deferred);
    CHECK(deferred->node->alive && deferred->node->cleaned == 0);
    deferred->node->deferred--;
}

static ward_status defer_some(ward_self *self, struct node *node)
{
    struct deferred *all = ward_state(self);
    ward_status rc = WARD_OK;

    for (uint32_t i = below(self, DEFERRED + 1); !rc && i > 0; i--) {
        all[node->deferred] = (struct deferred){ node, node->deferred };
        rc = ward_defer(self, run_deferred, &all[node->deferred]);
        if (!rc) node->deferred++;
    }
    return rc;
}

/* -- what they do ------------------------------------------------------------------------------ */

static ward_status start(ward_self *self)
{
    struct node *node = ward_arg(self);
    struct world *world = node->world;
    ward_status rc;

    node->ref = ward_me(self);
    node->started = node->alive = true;
    rc = defer_some(self, node);
    for (uint32_t i = 1; !rc && node->index < INNER && i <= FAN; i++) {
        ward_ref ref;
        rc = ward_spawn(self, &ref, &world->specs[node->index * FAN + i]);
        if (!rc && one_in(self, 8))
            rc = node->kind == BODY ? ward_sleep(self, ward_in_ms(self, below(self, 4)))
                                    : ward_sim_hang(self, below(self, 4));
    }
    if (!rc && node->index >= INNER && one_in(self, 2)) /* does not see that it is cancelled */
        rc = ward_sim_hang(self, below(self, 8));
    CHECKF(rc == WARD_OK || rc == WARD_ECANCELED || (rc == WARD_EFENCED && node->stubborn),
        "start: %s", ward_strerror(rc));
    return rc;
}

static ward_status handle(ward_self *self, const ward_msg *msg)
{
    struct node *node = ward_arg(self);
    ward_status rc;

    CHECK(ward_is(msg, &PING));
    if (!node->early) return WARD_OK;
    rc = ward_sim_hang(self, node->hang_ms);
    CHECK(rc == WARD_OK || (rc == WARD_EFENCED && node->stubborn));
    return rc;
}

static ward_status wait_for_nothing(ward_self *self, const struct node *node)
{
    ward_ref hole = node->world->hole, found;
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    switch (node->way) {
    case ASK: return ward_ask(self, &msg, hole, &PING, NULL, WARD_FOREVER);
    case SEND: return ward_send_by(self, hole, &PING, NULL, WARD_FOREVER);
    case SLEEP: return ward_sleep(self, WARD_FOREVER);
    case JOIN: return ward_join(self, &hole, 1, WARD_FOREVER);
    case FIND: return ward_find(self, &found, "/nobody", WARD_FOREVER);
    case RECEIVE:
        while (!rc)
            rc = ward_receive(self, &msg, WARD_FOREVER);
        return rc;
    case LOOP:
        while (!(rc = ward_checkpoint(self)))
            rc = ward_sim_hang(self, 1);
        return rc;
    case BUSY:
        while (!ward_cancelled(self) && !rc)
            rc = ward_sim_hang(self, 2);
        return rc ? rc : WARD_ECANCELED;
    case WAYS: break;
    }
    return WARD_EFAIL;
}

static ward_status body(ward_self *self)
{
    struct node *node = ward_arg(self);
    ward_status rc = wait_for_nothing(self, node);

    if (node->world->closes && rc != WARD_ECANCELED) /* the hole has gone before */
        rc = ward_sleep(self, WARD_FOREVER);
    CHECKF(rc == WARD_ECANCELED, "%u: its wait (%d) ended with \"%s\"", node->index, (int)node->way,
        ward_strerror(rc));
    CHECK(node->world->closes || node->world->cancelled_ns);
    CHECK(ward_sleep(self, ward_in_ms(self, 5)) == WARD_ECANCELED);
    if (!node->hang_ms) return rc;
    rc = ward_sim_hang(self, node->hang_ms);
    CHECK(rc == WARD_OK || (rc == WARD_EFENCED && node->stubborn));
    return rc ? rc : WARD_ECANCELED;
}

/* -- the run ----------------------------------------------------------------------------------- */

static void draw_node(ward_self *self, struct world *world, uint32_t i)
{
    struct node *node = &world->nodes[i];
    ward_spec *spec = &world->specs[i];

    snprintf(world->names[i], sizeof world->names[i], "n%u", i);
    /* Temporary: one that is quarantined is not started again while it may still come back. */
    *spec = (ward_spec){ .name = world->names[i], .restart = WARD_TEMPORARY };
    node->world = world;
    node->index = i;
    node->kind = (enum kind)below(self, i < INNER ? 3 : 2);
    node->way = (enum way)below(self, WAYS);
    if (node->kind == SUPERVISOR) {
        spec->children = (ward_children){ &world->specs[i * FAN + 1], FAN, sizeof *spec };
        spec->strategy = (ward_strategy)below(self, 3);
        return;
    }
    spec->arg = node;
    spec->state_bytes = DEFERRED * sizeof(struct deferred);
    spec->start = start;
    spec->cleanup = cleanup;
    spec->stop_ms = 20 + below(self, 40);
    if (one_in(self, 6)) node->hang_ms = 1 + below(self, 120);
    if (one_in(self, 30)) node->hang_ms = WARD_UNLIMITED;
    if (one_in(self, 8)) node->cleanup_ms = 1 + below(self, 100);
    node->early = one_in(self, 2);
    /* What comes before may have used up all of stop_ms. */
    node->stubborn = node->hang_ms || node->cleanup_ms;
    if (node->kind == HANDLER)
        spec->handle = handle;
    else
        spec->body = body;
}

/* Cancels one and all below it; they have ended within the bound. */
static void cancel(ward_self *self, struct world *world, uint32_t index, ward_ref ref)
{
    ward_node *node = ward_node_of(self);
    int64_t bound, began, took;
    ward_status rc;

    if (!world->cancelled_ns) world->cancelled_ns = ward_now_ns(self);
    ward_cancel(self, ref);
    /* The call may have been preempted before it began, and the tree have grown; not since. */
    began = ward_now_ns(self);
    ward__tree_lock(node);
    bound = ward__stop_bound_locked(node, ward__slot(node, ref.slot));
    ward__tree_unlock(node);
    rc = ward_join(self, &ref, 1, ward_in_ms(self, 20000));
    took = ward_now_ns(self) - began;
    CHECKF(rc == WARD_OK, "%u did not end: %s", index, ward_strerror(rc));
    CHECKF(took <= bound + 2 * SIM_SLACK_NS, "%u took %lld ns to stop, not %lld", index,
        (long long)took, (long long)bound);
    for (uint32_t i = index; i < NODES; i++)
        if (under(i, index))
            CHECKF(!world->nodes[i].alive || world->nodes[i].stubborn, "%u is alive", i);
}

static ward_status never(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static void ping_some(ward_self *self, struct world *world)
{
    for (uint32_t i = below(self, 6); i > 0; i--) {
        struct node *node = &world->nodes[below(self, NODES)];
        ward_status rc = node->ref.slot ? ward_send(self, node->ref, &PING, NULL) : WARD_OK;
        CHECK(rc == WARD_OK || rc == WARD_ECLOSED || rc == WARD_EGONE);
    }
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    struct node *some;
    ward_ref top;
    ward_status rc;

    for (uint32_t i = 0; i < NODES; i++)
        draw_node(self, world, i);
    world->closes = one_in(self, 4);
    rc = ward_spawn(self, &world->hole, &(ward_spec){ .body = never, .mailbox_max = 1 });
    if (!rc) rc = ward_send(self, world->hole, &PING, NULL);
    if (!rc) rc = ward_spawn(self, &top, &world->specs[0]);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, below(self, one_in(self, 3) ? 8 : 40)));
    ping_some(self, world);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, below(self, 4)));
    CHECK(rc == WARD_OK);
    if (world->closes) return rc;
    some = &world->nodes[1 + below(self, NODES - 1)];
    if (one_in(self, 2) && some->ref.slot) cancel(self, world, some->index, some->ref);
    cancel(self, world, 0, top);
    return ward_sleep(self, ward_in_ms(self, 300)); /* those in quarantine come back */
}

static void after(void *arg)
{
    const struct world *world = arg;

    for (uint32_t i = 0; i < NODES; i++) {
        const struct node *node = &world->nodes[i];
        if (node->kind == SUPERVISOR || !node->started) continue;
        if (node->hang_ms == WARD_UNLIMITED || (world->closes && node->stubborn)) continue;
        CHECKF(node->cleaned == 1 && !node->alive, "%u was not cleaned up", i);
        CHECK(node->deferred == 0);
    }
}

static bool abandons(const void *arg)
{
    const struct world *world = arg;

    for (uint32_t i = 0; i < NODES; i++) {
        const struct node *node = &world->nodes[i];
        if (!node->started && !node->cleaned) continue;
        if (node->hang_ms == WARD_UNLIMITED || (world->closes && node->stubborn)) return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "cancel_tree",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .after = after,
        .abandons = abandons };

    return simulate(&scenario, argc, argv);
}
