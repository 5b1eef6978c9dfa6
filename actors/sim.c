/* SPDX-License-Identifier: MIT */
/*
 * sim.c - a node on one thread, with a virtual clock, in an order that the seed decides.
 *
 * It keeps a list of runnable actors and picks one at random; each turn takes a seeded 0 to 50 us;
 * when nothing is runnable the clock jumps to the next thing that is due. Actors run on simulated
 * threads: a fiber with a ward__thread, of which one at a time has the only worker. A turn that
 * hangs (ward_sim_hang, or a preemption the seed chose) keeps its simulated thread and loses the
 * worker to another, just as on a real node, so the code for compensation and quarantine is the
 * same. In the middle of a call an actor may be preempted for up to 3 ms.
 *
 * Everything here runs on the thread that opened the node. A real endless loop hangs it.
 */
#include "actors/sim.h"

#include <string.h>

#include "actors/node.h"
#include "base/assert.h"
#include "base/random.h"

enum {
    TURN_NS = 50000,
    PREEMPT_ONE_IN = 48,
    PREEMPT_NS = 3000000,
};

/* A simulated thread. */
struct actor_thread {
    struct ward__thread thread;
    struct ward__fiber *fiber;
    struct ward__slot *slot; /* to run; NULL: idle */
    struct ward__context *stopped; /* where it hangs; NULL: it does not */
    int64_t until_ns;
    struct actor_thread *next;
};

struct ward__sim {
    ward_node *node;
    uint64_t random;
    int64_t now_ns, clock_ns;
    struct ward__context loop;
    struct actor_thread *threads, *current;
    uint32_t *ready; /* slots */
    uint32_t ready_count;
    size_t ready_bytes;
};

struct ward__sim *ward__sim_new(ward_node *node, uint64_t seed)
{
    struct ward__sim *sim = ward__alloc_zero(&node->heap, sizeof *sim);

    if (!sim) return NULL;
    sim->node = node;
    sim->random = seed;
    sim->now_ns = sim->clock_ns = 1000000000; /* any point that is not 0 */
    sim->ready_bytes = (size_t)node->opts.actors_max * sizeof *sim->ready;
    sim->ready = ward__reserve(sim->ready_bytes);
    if (sim->ready) return sim;
    ward__free(&node->heap, sim, sizeof *sim);
    return NULL;
}

void ward__sim_free(ward_node *node)
{
    struct ward__sim *sim = node->sim;

    while (sim->threads) {
        struct actor_thread *thread = sim->threads;
        sim->threads = thread->next;
        ward__fiber_free(&node->stacks, thread->fiber);
        ward__free(&node->heap, thread, sizeof *thread);
    }
    ward__unreserve(sim->ready, sim->ready_bytes);
    ward__free(&node->heap, sim, sizeof *sim);
    node->sim = NULL;
}

int64_t ward__sim_now(const struct ward__sim *sim)
{
    return sim->now_ns;
}

bool ward__sim_running(const struct ward__sim *sim)
{
    return sim->current != NULL;
}

uint64_t ward__sim_random(struct ward__sim *sim)
{
    return ward__random(&sim->random);
}

void ward__sim_schedule(ward_node *node, struct ward__slot *slot)
{
    struct ward__sim *sim = node->sim;

    ward__assert(sim->ready_count < node->opts.actors_max);
    sim->ready[sim->ready_count++] = ward__index(node, slot);
}

/* -- simulated threads ------------------------------------------------------------------------- */

static void thread_main(void *arg)
{
    struct actor_thread *thread = arg;

    for (;;) {
        ward__run(&thread->thread, thread->slot);
        thread->slot = NULL;
        ward__switch(&thread->fiber->context, &thread->thread.node->sim->loop);
    }
}

static struct actor_thread *idle_thread(struct ward__sim *sim)
{
    struct actor_thread *thread;
    ward_node *node = sim->node;
    int64_t fail_in;

    for (thread = sim->threads; thread; thread = thread->next)
        if (!thread->slot) return thread;
    /* A test that lets allocations fail does not mean the simulator's own. */
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
    thread->slot = NULL;
    thread->stopped = NULL;
    thread->next = sim->threads;
    sim->threads = thread;
    return thread;
}

static void run(struct ward__sim *sim, struct actor_thread *thread, struct ward__context *at)
{
    sim->current = thread;
    ward__switch(&sim->loop, at);
    sim->current = NULL;
}

static void run_ready(struct ward__sim *sim)
{
    struct actor_thread *thread = idle_thread(sim);
    uint32_t pick = ward__random_below(&sim->random, sim->ready_count);
    struct ward__worker *worker = &sim->node->workers[0];

    thread->slot = ward__slot(sim->node, sim->ready[pick]);
    sim->ready[pick] = sim->ready[--sim->ready_count];
    thread->thread.worker = worker;
    thread->thread.magazines = &worker->magazines;
    ward__store_rel(&worker->thread, &thread->thread);
    worker->now_ns = sim->now_ns;
    worker->slices++;
    run(sim, thread, &thread->fiber->context);
}

/* Stops the current simulated thread, in user code, for a time. */
static void hang(struct ward__sim *sim, ward_self *self, int64_t until_ns)
{
    struct actor_thread *thread = sim->current;
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
    struct ward__sim *sim = self->node->sim;
    struct ward__here here;

    if (!sim || self->kind == WARD__SELF_OUTSIDE || !sim->current) return WARD_ESTATE;
    hang(sim, self, ms == WARD_UNLIMITED ? INT64_MAX : sim->now_ns + (int64_t)ms * WARD__NS_MS);
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    ward__leave(self);
    return WARD_OK;
}

bool ward__sim_enter(ward_self *self)
{
    struct ward__sim *sim = self->node->sim;

    if (!sim->current || self->thread != &sim->current->thread || self->ending) return true;
    if (ward__random_below(&sim->random, PREEMPT_ONE_IN) != 0) return true;
    hang(sim, self, sim->now_ns + 1 + ward__random_below(&sim->random, PREEMPT_NS));
    return true;
}

/* -- the loop ---------------------------------------------------------------------------------- */

/* A hung turn whose time is over. */
static struct actor_thread *awake(struct ward__sim *sim)
{
    for (struct actor_thread *thread = sim->threads; thread; thread = thread->next)
        if (thread->stopped && thread->until_ns <= sim->now_ns) return thread;
    return NULL;
}

static int64_t next_time(const struct ward__sim *sim)
{
    int64_t next = ward__wheel_next_ns(&sim->node->workers[0]);

    if (sim->clock_ns < next) next = sim->clock_ns;
    for (const struct actor_thread *thread = sim->threads; thread; thread = thread->next)
        if (thread->stopped && thread->until_ns < next) next = thread->until_ns;
    return next;
}

static void timers(struct ward__sim *sim, ward__sim_clock *clock)
{
    struct ward__worker *worker = &sim->node->workers[0];
    struct ward__here here = { sim->node, worker, &worker->magazines };

    worker->now_ns = sim->now_ns;
    ward__store(&sim->node->tick, (uint32_t)ward__clock_tick(sim->node, sim->now_ns));
    while (ward__wheel_next_ns(worker) <= sim->now_ns)
        if (!ward__wheel_run(&here, worker, sim->now_ns)) break;
    sim->clock_ns = clock(sim->node, sim->now_ns);
}

bool ward__sim_run(
    ward_node *node, bool (*done)(void *arg), void *arg, int64_t until_ns, ward__sim_clock *clock)
{
    struct ward__sim *sim = node->sim;

    while (!done(arg)) {
        struct actor_thread *thread;
        timers(sim, clock);
        if (sim->now_ns >= until_ns) return false;
        thread = awake(sim);
        if (thread && (!sim->ready_count || ward__random_below(&sim->random, 2))) {
            run(sim, thread, thread->stopped);
        } else if (sim->ready_count) {
            run_ready(sim);
        } else {
            int64_t next = next_time(sim);
            if (next == INT64_MAX) return false;
            sim->now_ns = next > sim->now_ns ? next : sim->now_ns + 1;
            if (sim->now_ns > until_ns) sim->now_ns = until_ns;
            continue;
        }
        sim->now_ns += ward__random_below(&sim->random, TURN_NS);
    }
    return true;
}
