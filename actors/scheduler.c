/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - who runs next. Flow 4 of 8.
 *
 * A message makes its receiver runnable on the sender's worker, in the last-in slot (the receiver
 * runs next, with the message still in the cache), 16 times in a row at most. One that is to begin
 * or to end goes before the queue, newest first: so a tree of actors grows in depth, a few at a
 * time, and not in breadth, all at once; 1024 in a row at most, the last of which is the oldest,
 * which else might never run while others keep coming. A body stays on the worker that first ran
 * it (unless built with WARD_ROAM); handlers, and bodies that have not run yet, may go anywhere.
 * Private queues are touched by their worker's thread only; all others go through its inbox. An
 * idle worker says so in a mask, and a busy one gives it a batch between two slices: always of
 * actors that have never run, the oldest first, of others only when its messages are coarse,
 * because crossing cores costs more than a microsecond of work. One runnable actor is never worth a
 * wake.
 *
 * Lost wake-ups: a sleeper sets its bit in `sleeping`, then looks at its inbox; who fills an inbox
 * looks at the mask afterwards; both sides sequentially consistent. The bell is set before the bit,
 * else a ring that comes late would be undone. Held by tests/models/sleep.pml.
 *
 * Knows no mailboxes' insides and no supervisors. The choice in a simulated node is sim.c's.
 */
#include "actors/node.h"
#include "actors/sim.h"
#include "base/assert.h"

enum {
    FRESH_ROW = 1024,
    QUEUE_ROW = 64, /* then */
    SPIN_NS = 50000,
    COARSE_NS = 1000, /* a message; below it, sharing costs more than it gives */
    GIVE_MAX = 64,
    LOOK_MAX = 128,
    LOOK_EVERY = 16 /* slices, at timers */
};

static uint64_t bit(const struct ward__worker *worker)
{
    return UINT64_C(1) << worker->index;
}

void ward__ring(ward_node *node, struct ward__worker *worker)
{
    if (!(ward__load_seq(&node->sleeping) & bit(worker))) return;
    if (!(ward__and_seq(&node->sleeping, ~bit(worker)) & bit(worker))) return;
    ward__store_seq(&worker->bell, 0);
    ward__futex_wake(&worker->bell, 1);
}

static void to_inbox(ward_node *node, struct ward__worker *worker, struct ward__slot *slot)
{
    uint32_t index = ward__index(node, slot), top = ward__load(&worker->inbox);

    do {
        slot->queue_next = top;
    } while (!ward__cas_seq(&worker->inbox, &top, index));
    ward__ring(node, worker);
}

static void to_queue(ward_node *node, struct ward__worker *worker, struct ward__slot *slot)
{
    ward__to_queue(node, worker, ward__index(node, slot));
}

static void to_fresh(ward_node *node, struct ward__worker *worker, struct ward__slot *slot)
{
    uint32_t index = ward__index(node, slot);

    slot->queue_next = worker->fresh;
    slot->queue_prev = 0;
    if (worker->fresh)
        ward__slot(node, worker->fresh)->queue_prev = index;
    else
        worker->fresh_oldest = index;
    worker->fresh = index;
    worker->fresh_count++;
    ward__bump(&worker->queued, 1);
}

/* The newest, or the oldest. */
static struct ward__slot *from_fresh(ward_node *node, struct ward__worker *worker, bool newest)
{
    struct ward__slot *slot = ward__slot(node, newest ? worker->fresh : worker->fresh_oldest);

    if (newest)
        worker->fresh = slot->queue_next;
    else
        worker->fresh_oldest = slot->queue_prev;
    if (--worker->fresh_count == 0)
        worker->fresh = worker->fresh_oldest = 0;
    else if (newest)
        ward__slot(node, worker->fresh)->queue_prev = 0;
    else
        ward__slot(node, worker->fresh_oldest)->queue_next = 0;
    ward__bump(&worker->queued, (uint32_t)-1);
    return slot;
}

static void to_pool(ward_node *node, struct ward__slot *slot);

static bool movable(const struct ward__slot *slot)
{
    return slot->kind == WARD__HANDLER ||
           (slot->kind == WARD__BODY && (WARD__ROAM || !slot->fiber));
}

/* For a thread that runs no worker: the actor's last one, unless only another is idle. */
static struct ward__worker *choose(ward_node *node, struct ward__slot *slot)
{
    struct ward__worker *home = &node->workers[ward__load(&slot->home)];
    uint64_t idle = ward__load(&node->sleeping);

    if (idle && !(idle & bit(home)) && movable(slot)) home = &node->workers[__builtin_ctzll(idle)];
    return home;
}

void ward__schedule(struct ward__here *here, struct ward__slot *slot)
{
    ward__schedule_as(here, slot, (enum ward__kind)ward__load(&slot->kind));
}

void ward__schedule_slow(struct ward__here *here, struct ward__slot *slot, enum ward__kind kind)
{
    ward_node *node = here->node;

    if (node->sim) {
        ward__sim_schedule(node, slot);
        return;
    }
    switch (kind) {
    case WARD__THREAD:
    case WARD__ATTACHED: ward__thread_wake(node, slot, WARD__WAKE_LOOK); return;
    case WARD__POOLED: to_pool(node, slot); return;
    case WARD__ISOLATE: node->ops->isolate(node, slot, WARD__ISO_GRANT); return;
    case WARD__SUPERVISOR:
    case WARD__ROOT: ward__fail("actors/scheduler.c", "a supervisor runs no code");
    case WARD__HANDLER:
    case WARD__BODY: break;
    }
    struct ward__worker *mine = here->worker;
    if (!mine || (!movable(slot) && ward__load(&slot->home) != mine->index)) {
        to_inbox(node, choose(node, slot), slot);
    } else if (ward__load(&slot->phase) != WARD__LIVE) {
        to_fresh(node, mine, slot);
    } else {
        ward__last_in(here, mine, ward__index(node, slot));
    }
}

void ward__requeue(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__worker *mine = here->worker;

    if (here->node->sim || !mine || slot->kind == WARD__POOLED ||
        (!movable(slot) && ward__load(&slot->home) != mine->index))
        ward__schedule(here, slot);
    else
        to_queue(here->node, mine, slot);
}

void ward__resume(struct ward__here *here, struct ward__slot *slot)
{
    uint8_t kind = ward__load(&slot->kind);

    if (!here->node->sim && (kind == WARD__THREAD || kind == WARD__ATTACHED))
        ward__thread_wake(here->node, slot, WARD__WAKE_OVER);
    else if (ward__unlikely(kind == WARD__ISOLATE))
        here->node->ops->isolate(here->node, slot, WARD__ISO_RESUMED);
    else
        ward__schedule(here, slot);
}

void ward__poke(struct ward__here *here, struct ward__slot *slot, uint32_t bits)
{
    (void)ward__or_seq(&slot->signals, bits);
    if (ward__mailbox_signal(&slot->box))
        ward__schedule(here, slot);
    else if (ward__load(&slot->kind) == WARD__ISOLATE) /* it may wait with its mailbox in hand */
        here->node->ops->isolate(here->node, slot, WARD__ISO_LOOK);
}

/* -- a worker ---------------------------------------------------------------------------------- */

/* Moves the inbox, which is newest first, to the end of the queue. */
static void empty_inbox(ward_node *node, struct ward__worker *worker)
{
    uint32_t index = atomic_exchange_explicit(&worker->inbox, 0, memory_order_seq_cst), first = 0;

    while (index) {
        struct ward__slot *slot = ward__slot(node, index);
        uint32_t next = slot->queue_next;
        slot->queue_next = first;
        first = index;
        index = next;
    }
    while (first) {
        struct ward__slot *slot = ward__slot(node, first);
        first = slot->queue_next;
        to_queue(node, worker, slot);
    }
}

static struct ward__slot *pop(ward_node *node, struct ward__worker *worker)
{
    uint32_t index = ward__load(&worker->last_in);

    if (index && (worker->last_in_row++ < WARD__LAST_IN_ROW || ward__load(&worker->queued) == 0)) {
        ward__store(&worker->last_in, 0);
        return ward__slot(node, index);
    }
    worker->last_in_row = 0;
    index = worker->head;
    if (worker->fresh && (!index || worker->fresh_row < FRESH_ROW))
        return from_fresh(node, worker, ++worker->fresh_row % FRESH_ROW != 0);
    if (!index) return NULL;
    if (worker->fresh_row >= FRESH_ROW && ++worker->queue_row >= QUEUE_ROW)
        worker->fresh_row = worker->queue_row = 0;
    worker->head = ward__slot(node, index)->queue_next;
    if (!worker->head) worker->tail = 0;
    ward__bump(&worker->queued, (uint32_t)-1);
    return ward__slot(node, index);
}

static bool shareable(const struct ward__worker *worker, const struct ward__slot *slot)
{
    if (!movable(slot)) return false;
    return worker->message_ns >= COARSE_NS || ward__load(&slot->phase) != WARD__LIVE;
}

/* Gives the older half of those that are to begin. */
static uint32_t give_fresh(ward_node *node, struct ward__worker *worker, struct ward__worker *to)
{
    uint32_t given = 0, most = (worker->fresh_count + 1) / 2;

    for (; given < most && given < GIVE_MAX; given++) {
        struct ward__slot *slot = ward__slot(node, worker->fresh_oldest);
        if (!movable(slot)) break;
        to_inbox(node, to, from_fresh(node, worker, false));
    }
    return given;
}

/* Gives up to half of what may move of the queue. */
static uint32_t give_queue(ward_node *node, struct ward__worker *worker, struct ward__worker *to)
{
    uint32_t fresh = worker->fresh_count, all = ward__load(&worker->queued) - fresh,
             give = all / 2 + (all & 1), given = 0, kept = 0;
    uint32_t index = worker->head, last = worker->tail;

    if (give > GIVE_MAX) give = GIVE_MAX;
    worker->head = worker->tail = 0;
    ward__store(&worker->queued, fresh);
    while (index && given < give && kept + given < LOOK_MAX) {
        struct ward__slot *slot = ward__slot(node, index);
        index = slot->queue_next;
        if (shareable(worker, slot)) {
            to_inbox(node, to, slot);
            given++;
        } else {
            to_queue(node, worker, slot);
            kept++;
        }
    }
    if (index) { /* the rest stays as it is */
        if (worker->tail)
            ward__slot(node, worker->tail)->queue_next = index;
        else
            worker->head = index;
        worker->tail = last;
        ward__bump(&worker->queued, all - given - kept);
    }
    return given;
}

static void share(ward_node *node, struct ward__worker *worker)
{
    uint64_t hungry = ward__load(&node->hungry) & ~bit(worker);

    if (ward__likely(!hungry) || ward__load(&worker->queued) == 0) return;
    if (ward__load(&worker->queued) == 1 && !ward__load(&worker->last_in))
        return; /* it runs that one itself */
    if (ward__slices_left(worker, worker->share_after)) return; /* looked lately, in vain */
    struct ward__worker *to = &node->workers[__builtin_ctzll(hungry)];
    if (give_fresh(node, worker, to) || give_queue(node, worker, to))
        (void)ward__and_seq(&node->hungry, ~bit(to));
    else
        worker->share_after = worker->slices + 16;
}

/* What is to be done between two slices: seldom, but for the first look. */
static void look_around(struct ward__here *here, struct ward__worker *worker)
{
    ward_node *node = here->node;
    int64_t next = ward__wheel_next_ns(worker);

    worker->look_after = worker->slices + (ward__load(&node->holding) ? 0 : LOOK_EVERY);
    if (next != INT64_MAX) worker->now_ns = ward__clock_ns(node);
    if (next <= worker->now_ns || ward__load(&node->tick) != worker->tick_seen) {
        worker->tick_seen = ward__load(&node->tick);
        worker->now_ns = ward__clock_ns(node);
        if (next <= worker->now_ns) (void)ward__wheel_run(here, worker, worker->now_ns);
    }
    if (ward__load(&worker->inbox)) empty_inbox(node, worker);
    share(node, worker);
}

/* Half as long after each time in vain: what comes over a link takes longer than a look is worth,
 * and the threads that bring it want the core. */
static bool spin(ward_node *node, struct ward__worker *worker)
{
    int64_t until = ward__now_ns() + worker->spin_ns;

    do {
        for (int i = 0; i < 20; i++) {
            if (ward__load(&worker->inbox)) {
                worker->spin_ns = SPIN_NS;
                return true;
            }
            ward__pause();
        }
    } while (ward__now_ns() < until && !ward__load(&node->closing));
    worker->spin_ns /= 2;
    return false;
}

/* Until there is work, a deadline, or the node closes. */
static void sleep_until_work(ward_node *node, struct ward__worker *worker)
{
    int64_t until;

    (void)ward__or_seq(&node->hungry, bit(worker));
    if (!spin(node, worker)) {
        ward__store_seq(&worker->bell, 1);
        (void)ward__or_seq(&node->sleeping, bit(worker));
        until = ward__wheel_next_ns(worker);
        if (!ward__load_seq(&worker->inbox) && !ward__load_seq(&node->closing)) {
            ward__asleep(node);
            while (ward__load_seq(&worker->bell) && ward__now_ns() < until)
                ward__futex_wait(&worker->bell, 1, until);
            ward__awake(node);
        }
        (void)ward__and_seq(&node->sleeping, ~bit(worker));
    }
    (void)ward__and_seq(&node->hungry, ~bit(worker));
    worker->now_ns = ward__now_ns();
    worker->look_after = worker->slices; /* a timer may be why it woke */
}

struct ward__slot *ward__next_runnable(struct ward__thread *thread)
{
    for (;;) {
        struct ward__here here = ward__here_of(thread);
        struct ward__slot *slot;
        if (!here.worker || ward__load_acq(&here.node->closing)) return NULL;
        here.worker->slices++;
        if (ward__must_look(here.node, here.worker)) look_around(&here, here.worker);
        slot = pop(here.node, here.worker);
        if (slot && ward__load(&here.node->holding) && ward__hold(here.node, slot)) continue;
        if (slot) return slot;
        sleep_until_work(here.node, here.worker);
    }
}

/* -- services that have enough threads --------------------------------------------------------- */

static bool is_held(const struct ward__slot *slot)
{
    return ward__load(&ward__counts(ward__load(&slot->spec))->held) &&
           ward__load(&slot->phase) == WARD__LIVE &&
           !(ward__load_acq(&slot->signals) & WARD__SIG_CANCEL);
}

bool ward__hold(ward_node *node, struct ward__slot *slot)
{
    bool held;

    if (!is_held(slot)) return false;
    pthread_mutex_lock(&node->held_lock);
    held = is_held(slot); /* or the watchdog has just let them go */
    if (held) {
        slot->queue_next = node->held;
        node->held = ward__index(node, slot);
    }
    pthread_mutex_unlock(&node->held_lock);
    return held;
}

void ward__let_go(ward_node *node)
{
    struct ward__here here = { node, NULL, NULL };
    uint32_t index, next, go = 0;

    pthread_mutex_lock(&node->held_lock);
    index = node->held;
    node->held = 0;
    for (; index; index = next) {
        struct ward__slot *slot = ward__slot(node, index);
        uint32_t *list = is_held(slot) ? &node->held : &go;
        next = slot->queue_next;
        slot->queue_next = *list;
        *list = index;
    }
    pthread_mutex_unlock(&node->held_lock);
    for (; go; go = next) {
        struct ward__slot *slot = ward__slot(node, go);
        next = slot->queue_next; /* before it is anybody's */
        ward__schedule(&here, slot);
    }
}

/* -- the pool of blocking handlers ------------------------------------------------------------- */

static void to_pool(ward_node *node, struct ward__slot *slot)
{
    uint32_t index = ward__index(node, slot);

    pthread_mutex_lock(&node->pool_lock);
    slot->queue_next = 0;
    if (node->pool_tail)
        ward__slot(node, node->pool_tail)->queue_next = index;
    else
        node->pool_head = index;
    node->pool_tail = index;
    node->pool_queued++;
    if (node->pool_idle < node->pool_queued) ward__pool_thread_start(node);
    pthread_cond_signal(&node->pool_cond);
    pthread_mutex_unlock(&node->pool_lock);
}

struct ward__slot *ward__pool_next(ward_node *node)
{
    struct ward__slot *slot = NULL;

    pthread_mutex_lock(&node->pool_lock);
    node->pool_idle++;
    while (!node->pool_head && !ward__load(&node->closing))
        pthread_cond_wait(&node->pool_cond, &node->pool_lock);
    node->pool_idle--;
    if (node->pool_head && !ward__load(&node->closing)) {
        slot = ward__slot(node, node->pool_head);
        node->pool_head = slot->queue_next;
        if (!node->pool_head) node->pool_tail = 0;
        node->pool_queued--;
    }
    pthread_mutex_unlock(&node->pool_lock);
    return slot;
}
