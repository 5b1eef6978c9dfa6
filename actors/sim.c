/* SPDX-License-Identifier: MIT */
/*
 * sim.c - nodes on one thread, with a virtual clock, in an order that the seed decides.
 *
 * It keeps a list of runnable actors for each node and picks one at random; each turn takes a
 * seeded 0 to 50 us; when nothing is runnable the clock jumps to the next thing that is due. Actors
 * run on simulated threads: a fiber with a ward__thread, of which one at a time has the node's only
 * worker. A turn that hangs (ward_sim_hang, or a preemption the seed chose) keeps its simulated
 * thread and loses the worker to another, just as on a real node, so the code for compensation and
 * quarantine is the same. In the middle of a call an actor may be preempted for up to 3 ms.
 *
 * Everything here runs on the thread that opened the nodes. A real endless loop hangs it.
 */
#include "actors/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/node.h"
#include "base/assert.h"

enum {
    TURN_NS = 50000,
    PREEMPT_ONE_IN = 48,
    PREEMPT_NS = 3000000,
    STUCK_MS = 60000,
    SILENT_MS = 10000,
    DELAY_US = 500,
    CHANGE_STEPS = 2000,
    TEXT_BYTES = 256,
};
#define QUIET_NS (INT64_C(3600) * 1000000000)

/* A simulated thread. */
struct ward__actor_thread {
    struct ward__thread thread;
    struct ward__fiber *fiber;
    struct ward__slot *slot; /* to run; NULL: idle */
    struct ward__context *stopped; /* where it hangs; NULL: it does not */
    int64_t until_ns;
    bool by_fault; /* it does */
    struct ward__actor_thread *next;
};

/* -- beginning and end ------------------------------------------------------------------------- */

ward_sim *ward__sim_make(const struct ward__sim_ops *ops, const ward_sim_opts *opts)
{
    ward_sim *sim = calloc(1, sizeof *sim);

    if (!sim) return NULL;
    sim->ops = ops;
    sim->opts = *opts;
    if (!sim->opts.stuck_ms) sim->opts.stuck_ms = STUCK_MS;
    if (!sim->opts.silent_ms) sim->opts.silent_ms = SILENT_MS;
    if (!sim->opts.link_delay_us) sim->opts.link_delay_us = DELAY_US;
    if (!sim->opts.change_steps) sim->opts.change_steps = CHANGE_STEPS;
    sim->random = sim->hash = opts->seed;
    sim->now_ns = 1000000000; /* any point that is not 0 */
    ward__sim_changes(sim);
    return sim;
}

void ward__sim_drop(ward_sim *sim)
{
    ward__assert(!sim->parts);
    if (sim->links) sim->links_free(sim->links);
    ward__assert(!sim->events);
    free(sim);
}

bool ward__sim_join(ward_node *node, ward_sim *sim)
{
    struct ward__sim *part = calloc(1, sizeof *part), **at = &sim->parts;

    if (!part) return false;
    part->node = node;
    part->sim = sim;
    part->clock_ns = sim->now_ns;
    part->ready_bytes = (size_t)node->opts.actors_max * sizeof *part->ready;
    part->ready = ward__reserve(part->ready_bytes);
    if (!part->ready) {
        free(part);
        return false;
    }
    while (*at)
        at = &(*at)->next;
    *at = part;
    node->sim = part;
    if (sim->opts.memory_one_in || sim->opts.memory_at) ward__sim_memory(node);
    return true;
}

void ward__sim_leave(ward_node *node)
{
    struct ward__sim *part = node->sim, **at = &part->sim->parts;

    while (*at != part)
        at = &(*at)->next;
    *at = part->next;
    part->sim->ready_count -= part->ready_count;
    if (node->heap.arg == part) ward__sim_memory_end(node);
    while (part->threads) {
        struct ward__actor_thread *thread = part->threads;
        part->threads = thread->next;
        ward__fiber_free(&node->stacks, thread->fiber);
        ward__free(&node->heap, thread, sizeof *thread);
    }
    ward__unreserve(part->ready, part->ready_bytes);
    if (part->alone) ward__sim_drop(part->sim);
    free(part);
    node->sim = NULL;
}

void ward__sim_schedule(ward_node *node, struct ward__slot *slot)
{
    struct ward__sim *part = node->sim;

    ward__assert(part->ready_count < node->opts.actors_max);
    part->ready[part->ready_count++] = ward__index(node, slot);
    part->sim->ready_count++;
}

struct ward__slot *ward__sim_current(const ward_sim *sim)
{
    return sim->current ? sim->current->slot : NULL;
}

struct ward__sim *ward__sim_part(const ward_sim *sim)
{
    return sim->current->thread.node->sim;
}

static void tell(const ward_sim *sim, const struct ward__sim *part, const struct ward__slot *slot,
    const char *what, int64_t number)
{
    char path[TEXT_BYTES] = "", line[2 * TEXT_BYTES], after[24] = "";

    if (slot) sim->ops->path(part->node, slot, path, sizeof path);
    if (number) snprintf(after, sizeof after, " %lld", (long long)number);
    snprintf(line, sizeof line, "%lld.%06lld %s:%s: %s%s", (long long)(sim->now_ns / 1000000000),
        (long long)(sim->now_ns % 1000000000 / 1000), part->node->name, path, what, after);
    sim->opts.on_step(sim->opts.hook, line);
}

void ward__sim_note(ward_sim *sim, const struct ward__sim *part, const struct ward__slot *slot,
    const char *what, int64_t number)
{
    uint64_t state = sim->hash ^ (uint64_t)sim->now_ns ^ (uint64_t)part->node->id << 32;

    if (slot) state ^= ward__index(part->node, slot);
    state += (uint64_t)number;
    sim->hash = ward__random(&state);
    if (sim->opts.on_step) tell(sim, part, slot, what, number);
}

/* -- events ------------------------------------------------------------------------------------ */

void ward__sim_unset(ward_sim *sim, struct ward__sim_event *event)
{
    struct ward__sim_event **at = &sim->events;

    if (!event->set) return;
    while (*at != event)
        at = &(*at)->next;
    *at = event->next;
    event->set = false;
}

void ward__sim_at(ward_sim *sim, struct ward__sim_event *event, int64_t at_ns)
{
    struct ward__sim_event **at = &sim->events;

    ward__sim_unset(sim, event);
    while (*at && (*at)->at_ns <= at_ns)
        at = &(*at)->next;
    event->at_ns = at_ns;
    event->next = *at;
    event->set = true;
    *at = event;
}

static bool fire(ward_sim *sim)
{
    struct ward__sim_event *event = sim->events;

    if (!event || event->at_ns > sim->now_ns) return false;
    ward__sim_unset(sim, event);
    event->fire(event);
    return true;
}

/* -- simulated threads ------------------------------------------------------------------------- */

static void thread_main(void *arg)
{
    struct ward__actor_thread *thread = arg;

    for (;;) {
        ward__run(&thread->thread, thread->slot);
        thread->slot = NULL;
        ward__switch(&thread->fiber->context, &thread->thread.node->sim->sim->loop);
    }
}

static struct ward__actor_thread *idle_thread(struct ward__sim *part)
{
    struct ward__actor_thread *thread;
    ward_node *node = part->node;
    int64_t fail_in;

    for (thread = part->threads; thread; thread = thread->next)
        if (!thread->slot) return thread;
    /* A test that lets allocations fail does not mean the simulator's own. */
    part->sim->sparing++;
    fail_in = ward__load(&node->heap.fail_in);
    ward__store(&node->heap.fail_in, -1);
    thread = ward__alloc(&node->heap, sizeof *thread);
    ward__assert(thread);
    ward__thread_init(node, &thread->thread, WARD__RUNS_WORKER);
    thread->thread.odd = true; /* the node may not know yet that it is simulated */
    thread->fiber = ward__fiber_new(
        &node->stacks, WARD__STACK_DEFAULT / WARD__STACK_SCALE, thread_main, thread);
    ward__assert(thread->fiber);
    ward__store(&node->heap.fail_in, fail_in);
    part->sim->sparing--;
    thread->slot = NULL;
    thread->stopped = NULL;
    thread->by_fault = false;
    thread->next = part->threads;
    part->threads = thread;
    return thread;
}

static void run(ward_sim *sim, struct ward__actor_thread *thread, struct ward__context *at)
{
    sim->turns++;
    sim->acted_ns = sim->now_ns;
    ward__sim_note(sim, thread->thread.node->sim, thread->slot, "runs", 0);
    sim->current = thread;
    ward__switch(&sim->loop, at);
    sim->current = NULL;
}

static void run_ready(ward_sim *sim)
{
    struct ward__sim *part;
    struct ward__slot *slot = ward__sim_pick(sim, &part);
    struct ward__actor_thread *thread = idle_thread(part);
    struct ward__worker *worker = &part->node->workers[0];

    thread->slot = slot;
    thread->thread.worker = worker;
    thread->thread.magazines = &worker->magazines;
    ward__store_rel(&worker->thread, &thread->thread);
    worker->now_ns = sim->now_ns;
    worker->slices++;
    run(sim, thread, &thread->fiber->context);
}

/* Stops the current simulated thread, in user code, for a time. */
static void hang(ward_sim *sim, ward_self *self, int64_t until_ns)
{
    struct ward__actor_thread *thread = sim->current;
    struct ward__context *at = self == &thread->thread.self
                                   ? &thread->fiber->context
                                   : &((struct ward__fiber *)self - 1)->context;

    if (thread->thread.worker) (void)ward__or_seq(&thread->thread.hand, WARD__WORKER_GONE);
    thread->stopped = at;
    thread->until_ns = until_ns;
    ward__leave(self);
    ward__switch(at, &sim->loop);
    thread->stopped = NULL;
    ward__store(&self->thread->in_runtime, 1);
}

ward_status ward_sim_hang(ward_self *self, uint32_t ms)
{
    ward_sim *sim = self->node->sim ? self->node->sim->sim : NULL;
    struct ward__here here;

    if (!sim || self->kind == WARD__SELF_OUTSIDE || !sim->current) return WARD_ESTATE;
    hang(sim, self, ms == WARD_UNLIMITED ? INT64_MAX : sim->now_ns + (int64_t)ms * WARD__NS_MS);
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    ward__leave(self);
    return WARD_OK;
}

static void fault(ward_sim *sim, ward_self *self)
{
    struct ward__actor_thread *thread = sim->current;
    uint64_t uncounted = 0;
    int64_t ms;

    if (ward__sim_fault(sim, sim->opts.crash_one_in, sim->opts.crash_at, &sim->calls))
        ward__sim_crash(self);
    if (!ward__sim_fault(sim, sim->opts.stuck_one_in, 0, &uncounted)) return;
    ms = 1 + ward__random_below(&sim->random, sim->opts.stuck_ms);
    ward__sim_note(sim, self->node->sim, self->slot, "is stuck, ms:", ms);
    thread->by_fault = true;
    hang(sim, self, sim->now_ns + ms * WARD__NS_MS);
    thread->by_fault = false;
}

/* A call begins. */
bool ward__sim_enter(ward_self *self)
{
    ward_sim *sim = self->node->sim->sim;
    int64_t ns;

    if (!sim->current || self->thread != &sim->current->thread || self->ending) return true;
    if (sim->faulty) fault(sim, self);
    if (ward__random_below(&sim->random, PREEMPT_ONE_IN) != 0) return true;
    ns = 1 + ward__random_below(&sim->random, PREEMPT_NS);
    ward__sim_note(sim, self->node->sim, self->slot, "is preempted, ns:", ns);
    hang(sim, self, sim->now_ns + ns);
    return true;
}

void ward__sim_faulty(ward_sim *sim, bool on)
{
    sim->faulty = on;
    for (struct ward__sim *part = sim->parts; part && !on; part = part->next)
        for (struct ward__actor_thread *thread = part->threads; thread; thread = thread->next)
            if (thread->stopped && thread->by_fault) thread->until_ns = sim->now_ns;
}

void ward_sim_faults(ward_self *self, bool on)
{
    if (self->node->sim) ward__sim_faulty(self->node->sim->sim, on);
}

/* -- the loop ---------------------------------------------------------------------------------- */

/* A hung turn whose time is over. */
static struct ward__actor_thread *awake(const ward_sim *sim)
{
    for (const struct ward__sim *part = sim->parts; part; part = part->next)
        for (struct ward__actor_thread *thread = part->threads; thread; thread = thread->next)
            if (thread->stopped && thread->until_ns <= sim->now_ns) return thread;
    return NULL;
}

static int64_t next_of(const struct ward__sim *part)
{
    int64_t next = ward__wheel_next_ns(&part->node->workers[0]);

    if (part->clock_ns < next) next = part->clock_ns;
    for (const struct ward__actor_thread *thread = part->threads; thread; thread = thread->next)
        if (thread->stopped && thread->until_ns < next) next = thread->until_ns;
    return next;
}

static int64_t next_time(const ward_sim *sim)
{
    int64_t next = INT64_MAX;

    for (const struct ward__sim *part = sim->parts; part; part = part->next) {
        int64_t its = next_of(part);
        if (its < next) next = its;
    }
    return next;
}

static void timers(struct ward__sim *part)
{
    ward_node *node = part->node;
    struct ward__worker *worker = &node->workers[0];
    struct ward__here here = { node, worker, &worker->magazines };
    int64_t now_ns = part->sim->now_ns;

    worker->now_ns = now_ns;
    ward__store(&node->tick, (uint32_t)ward__clock_tick(node, now_ns));
    while (ward__wheel_next_ns(worker) <= now_ns)
        if (!ward__wheel_run(&here, worker, now_ns)) break;
    part->clock_ns = part->sim->ops->clock(node, now_ns);
}

/* Someone is cancelled from outside. */
static void cancel(ward_sim *sim)
{
    uint32_t count = 0, slot;
    struct ward__sim *part = sim->parts;

    if (!ward__sim_fault(sim, sim->opts.cancel_one_in, sim->opts.cancel_at, &sim->steps)) return;
    for (const struct ward__sim *each = sim->parts; each; each = each->next)
        count++;
    for (count = ward__random_below(&sim->random, count); count > 0; count--)
        part = part->next;
    slot = sim->ops->cancel(part->node, ward__random(&sim->random));
    if (slot)
        ward__sim_note(sim, part, ward__slot(part->node, slot), "was cancelled", 0);
    else
        sim->faults--;
}

/* When something is due next. Links alone, which beat for ever, are something for QUIET_NS only:
 * an actor that waits for what they bring has it by then. INT64_MAX: never. */
static int64_t next_jump(const ward_sim *sim)
{
    int64_t next = next_time(sim), event = sim->events ? sim->events->at_ns : INT64_MAX;

    if (next == INT64_MAX && event != INT64_MAX && event - sim->acted_ns > QUIET_NS) return next;
    return event < next ? event : next;
}

/* One turn or event, or a jump to the next. False: there is none. */
static bool step(ward_sim *sim, int64_t until_ns)
{
    struct ward__actor_thread *thread = awake(sim);
    bool idle = !thread && !sim->ready_count;
    int64_t next;

    if (sim->events && (idle || ward__random_below(&sim->random, 2)) && fire(sim)) return true;
    if (idle) {
        next = next_jump(sim);
        if (next == INT64_MAX) return false;
        sim->now_ns = next > sim->now_ns ? next : sim->now_ns + 1;
        if (sim->now_ns > until_ns) sim->now_ns = until_ns;
        return true;
    }
    cancel(sim);
    if (thread && (!sim->ready_count || ward__random_below(&sim->random, 2)))
        run(sim, thread, thread->stopped);
    else if (sim->ready_count)
        run_ready(sim);
    sim->now_ns += ward__random_below(&sim->random, TURN_NS);
    return true;
}

bool ward__sim_run(ward_sim *sim, bool (*done)(void *arg), void *arg, int64_t until_ns)
{
    while (!done(arg)) {
        for (struct ward__sim *part = sim->parts; part; part = part->next)
            timers(part);
        if (sim->now_ns >= until_ns || !step(sim, until_ns)) return false;
    }
    return true;
}
