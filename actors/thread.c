/* SPDX-License-Identifier: MIT */
/*
 * thread.c - threads, and what the watchdog may do to them.
 *
 * A thread runs a worker, a blocking body, or handlers of the blocking pool; or it is a spare that
 * waits for a worker whose thread is stuck. It registers itself so that the watchdog can look at
 * it. threads_lock guards the lists and counts and is a leaf. A thread that ended is joined by
 * whoever starts the next one, or by ward__threads_wait.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "actors/node.h"
#include "actors/sim.h"
#include "base/assert.h"
#include "base/proc.h"

void ward__thread_init(ward_node *node, struct ward__thread *thread, enum ward__thread_kind kind)
{
    memset(thread, 0, sizeof *thread);
    thread->node = node;
    thread->kind = kind;
    thread->odd = kind >= WARD__RUNS_HOST || node->sim || !node->asymmetric;
    thread->id = pthread_self(); /* of a host's; the others get theirs with their thread */
    thread->magazines = kind == WARD__RUNS_NONE ? NULL : &thread->own;
    thread->self.node = node;
    thread->self.thread = thread;
    ward__store(&thread->in_runtime, 1);
    ward__store(&thread->mail_fd, -1);
    pthread_mutex_lock(&node->threads_lock);
    thread->next = node->threads;
    if (thread->next) thread->next->prev = thread;
    node->threads = thread;
    node->threads_count += kind != WARD__RUNS_NONE;
    pthread_mutex_unlock(&node->threads_lock);
}

/* Out of the list; threads_lock is held. */
static void unlist(ward_node *node, struct ward__thread *thread)
{
    if (thread->prev)
        thread->prev->next = thread->next;
    else
        node->threads = thread->next;
    if (thread->next) thread->next->prev = thread->prev;
}

static bool only_outside(const ward_node *node)
{
    return node->threads == &node->outside && !node->outside.next && !node->hook_hangs;
}

bool ward__thread_forget(struct ward__thread *thread)
{
    ward_node *node = thread->node;
    int fd = ward__load(&thread->mail_fd);
    bool last;

    ward__magazines_flush(&node->pool, &thread->own);
    if (fd >= 0) close(fd);
    pthread_mutex_lock(&node->threads_lock);
    unlist(node, thread);
    node->threads_count--;
    thread->next = node->ended;
    node->ended = thread;
    last = node->orphaned && only_outside(node);
    pthread_cond_broadcast(&node->threads_ended);
    pthread_mutex_unlock(&node->threads_lock);
    return last; /* if not, this thread may be joined and its record freed at any moment */
}

bool ward__threads_orphan(ward_node *node)
{
    bool none;

    pthread_mutex_lock(&node->threads_lock);
    node->orphaned = true;
    none = only_outside(node);
    pthread_mutex_unlock(&node->threads_lock);
    return none;
}

void ward__hook_hangs(ward_node *node, bool hangs)
{
    pthread_mutex_lock(&node->threads_lock);
    node->hook_hangs = hangs;
    pthread_mutex_unlock(&node->threads_lock);
}

bool ward__hook_over(ward_node *node)
{
    bool last;

    pthread_mutex_lock(&node->threads_lock);
    node->hook_hangs = false;
    last = node->orphaned && only_outside(node);
    pthread_mutex_unlock(&node->threads_lock);
    return last;
}

bool ward__on_own_thread(ward_node *node)
{
    pthread_t me = pthread_self();
    bool own = false;

    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread && !own; thread = thread->next)
        own = thread->kind != WARD__RUNS_NONE && !node->sim && pthread_equal(thread->id, me);
    pthread_mutex_unlock(&node->threads_lock);
    return own;
}

/* Joins the threads that ended. */
void ward__threads_reap(ward_node *node)
{
    struct ward__thread *ended;

    /* The watchdog starts threads while it looks at them: it leaves this to others. */
    if (pthread_mutex_trylock(&node->look_lock)) return;
    pthread_mutex_lock(&node->threads_lock);
    ended = node->ended;
    node->ended = NULL;
    pthread_mutex_unlock(&node->threads_lock);
    while (ended) {
        struct ward__thread *next = ended->next;
        if (ended->joinable && pthread_equal(ended->id, pthread_self()))
            pthread_detach(ended->id);
        else if (ended->joinable)
            pthread_join(ended->id, NULL);
        ward__free(&node->heap, ended, sizeof *ended);
        ended = next;
    }
    pthread_mutex_unlock(&node->look_lock);
}

void ward__thread_of(ward_node *node, struct ward__slot *slot, struct ward__thread *thread)
{
    pthread_mutex_lock(&node->threads_lock);
    slot->thread = thread;
    pthread_mutex_unlock(&node->threads_lock);
}

void ward__thread_wake(ward_node *node, struct ward__slot *slot, uint32_t bits)
{
    struct ward__thread *thread;

    pthread_mutex_lock(&node->threads_lock);
    thread = slot->thread; /* NULL: it is just being started, and looks by itself; or has ended */
    if (thread) {
        if (!ward__or_seq(&thread->wake, bits)) ward__futex_wake(&thread->wake, 1);
        if (bits & WARD__WAKE_LOOK) ward__thread_raise(thread);
    }
    pthread_mutex_unlock(&node->threads_lock);
}

void ward__thread_raise(struct ward__thread *thread)
{
    int fd = ward__load(&thread->mail_fd);
    uint64_t one = 1;

    if (fd >= 0 && write(fd, &one, sizeof one) < 0) {
    }
}

void ward__thread_take_back(struct ward__slot *slot)
{
    if (!(ward__or_seq(&slot->box.word, WARD__SCHEDULED) & WARD__SCHEDULED))
        ward__thread_raise(slot->thread);
}

/* -- turns ------------------------------------------------------------------------------------- */

/* Takes back what was only asked for; true: the turn was revoked. The thread's own. */
static bool settle(struct ward__thread *thread)
{
    uint32_t hand = ward__load_acq(&thread->hand);

    while (hand && !(hand & WARD__TURN_GONE)) {
        if (!ward__cas(&thread->hand, &hand, 0)) continue;
        if (hand & WARD__WORKER_GONE) {
            thread->worker = NULL;
            thread->magazines = &thread->own;
        }
        return false;
    }
    return hand != 0;
}

bool ward__enter_slow(ward_self *self, struct ward__here *here)
{
    struct ward__thread *thread = self->thread;
    uint32_t hand;

    here->node = self->node;
    if (thread->kind >= WARD__RUNS_HOST) { /* nobody takes anything from it */
        here->worker = NULL;
        here->magazines = thread->magazines;
        return true;
    }
    ward__store(&thread->in_runtime, 1);
    ward__light_fence(here->node->asymmetric);
    if (here->node->sim && !ward__sim_enter(self)) return false;
    thread = self->thread;
    hand = ward__load_acq(&thread->hand);
    /* The turn lives, so it is not revoked now; the watchdog asks again at its next look. */
    while ((hand & WARD__ASK_TURN) && !(hand & WARD__TURN_GONE))
        if (ward__cas(&thread->hand, &hand, hand & ~(uint32_t)WARD__ASK_TURN)) hand = 0;
    hand = ward__load_acq(&thread->hand);
    if (hand & WARD__TURN_GONE) {
        ward__add(&here->node->fenced, 1);
        ward__leave(self);
        if (++self->fenced > 1000 && !here->node->sim) usleep(10000); /* it may spin for ever */
        return false;
    }
    here->worker = hand ? NULL : thread->worker;
    here->magazines = hand ? &thread->own : thread->magazines;
    return true;
}

bool ward__turn_end_slow(struct ward__thread *thread)
{
    return !settle(thread);
}

/* A quarantined turn came back. Its memory goes first, then the thread is as any other. */
void ward__zombie_end(struct ward__thread *thread)
{
    ward_node *node = thread->node;

    node->ops->returned(&(struct ward__here){ node, NULL, NULL }, thread);
    if (thread->kind == WARD__RUNS_WORKER) {
        thread->worker = NULL;
        thread->magazines = &thread->own;
    }
    thread->lost = thread->kind == WARD__RUNS_POOL;
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
    ward__store_seq(&thread->hand, 0);
}

/* -- the watchdog's sleep ---------------------------------------------------------------------- */

void ward__awake(ward_node *node)
{
    atomic_fetch_add_explicit(&node->awake, 1, memory_order_seq_cst);
    if (ward__load_seq(&node->clock_deep)) {
        ward__store_seq(&node->clock_bell, 1);
        ward__futex_wake(&node->clock_bell, 1);
    }
}

void ward__asleep(ward_node *node)
{
    atomic_fetch_sub_explicit(&node->awake, 1, memory_order_seq_cst);
}

/* -- workers and spares ------------------------------------------------------------------------ */

static void take_worker(struct ward__thread *thread, struct ward__worker *worker)
{
    ward__magazines_flush(&thread->node->pool, &thread->own);
    thread->worker = worker;
    thread->magazines = &worker->magazines;
    ward__store_rel(&worker->thread, thread);
}

/* Waits for a worker; false: go home. */
static bool wait_as_spare(struct ward__thread *thread)
{
    ward_node *node = thread->node;
    struct ward__worker *worker;

    pthread_mutex_lock(&node->threads_lock);
    if (node->spares_count >= (node->opts.spares_max - 1) / 8 + 1 || ward__load(&node->closing)) {
        pthread_mutex_unlock(&node->threads_lock);
        return false;
    }
    ward__store(&thread->given, NULL);
    ward__store_seq(&thread->bell, 0);
    thread->spare_next = node->spares;
    node->spares = thread;
    node->spares_count++;
    pthread_mutex_unlock(&node->threads_lock);
    ward__asleep(node);
    while (!ward__load_seq(&thread->bell))
        ward__futex_wait(&thread->bell, 0, INT64_MAX);
    ward__awake(node);
    worker = ward__load_acq(&thread->given);
    if (!worker) return false; /* the node closes */
    take_worker(thread, worker);
    return true;
}

static void *worker_main(void *arg)
{
    struct ward__thread *thread = arg;
    ward_node *node = thread->node;

    ward__store(&thread->tid, ward__tid());
    take_worker(thread, ward__load_acq(&thread->given));
    do
        ward__run_worker(thread);
    while (!thread->worker && wait_as_spare(thread));
    ward__asleep(node);
    if (ward__thread_forget(thread)) node->ops->left(node);
    return NULL;
}

/* Makes a thread of ward's own; it is awake from birth. */
static struct ward__thread *start(ward_node *node, enum ward__thread_kind kind,
    struct ward__worker *worker, struct ward__slot *slot, void *(*run)(void *))
{
    static const char *const names[] = { "ward-worker", "ward-blocking", "ward-body" };
    struct ward__thread *thread;
    bool started;
    size_t stack = slot ? ward__load(&slot->spec)->stack_bytes * WARD__STACK_SCALE : 0;

    ward__threads_reap(node);
    thread = ward__alloc(&node->heap, sizeof *thread);
    if (!thread) return NULL;
    ward__thread_init(node, thread, kind);
    thread->joinable = true;
    ward__store_rel(&thread->given, worker);
    if (slot) {
        ward__store(&thread->slot, ward__index(node, slot));
        ward__thread_of(node, slot, thread);
    }
    ward__awake(node);
    pthread_mutex_lock(&node->threads_lock); /* who looks for its own id looks at all of them */
    started = ward__thread_start(&thread->id, names[kind], stack, run, thread);
    pthread_mutex_unlock(&node->threads_lock);
    if (started) return thread;
    ward__asleep(node);
    if (slot) ward__thread_of(node, slot, NULL);
    pthread_mutex_lock(&node->threads_lock);
    unlist(node, thread);
    node->threads_count--;
    pthread_mutex_unlock(&node->threads_lock);
    ward__free(&node->heap, thread, sizeof *thread);
    return NULL;
}

ward_status ward__workers_open(ward_node *node)
{
    for (uint32_t i = 0; i < node->workers_count; i++)
        if (!start(node, WARD__RUNS_WORKER, &node->workers[i], NULL, worker_main))
            return WARD_ENOMEM;
    return WARD_OK;
}

bool ward__worker_move(ward_node *node, struct ward__worker *worker)
{
    struct ward__thread *spare;

    pthread_mutex_lock(&node->threads_lock);
    spare = node->spares;
    if (spare) {
        node->spares = spare->spare_next;
        node->spares_count--;
    }
    pthread_mutex_unlock(&node->threads_lock);
    if (!spare) return start(node, WARD__RUNS_WORKER, worker, NULL, worker_main) != NULL;
    ward__store_rel(&spare->given, worker);
    ward__store_seq(&spare->bell, 1);
    ward__futex_wake(&spare->bell, 1);
    return true;
}

/* -- blocking actors --------------------------------------------------------------------------- */

static void *body_main(void *arg)
{
    struct ward__thread *thread = arg;
    ward_node *node = thread->node;

    ward__store(&thread->tid, ward__tid());
    ward__run_thread(thread, ward__slot(node, ward__load(&thread->slot)));
    ward__asleep(node);
    if (ward__thread_forget(thread)) node->ops->left(node);
    return NULL;
}

bool ward__body_thread_start(ward_node *node, struct ward__slot *slot)
{
    return start(node, WARD__RUNS_BODY, NULL, slot, body_main) != NULL;
}

/* After it was lost: true, and it is one of the pool again. */
static bool has_place(struct ward__thread *thread)
{
    ward_node *node = thread->node;
    bool yes;

    thread->lost = false;
    pthread_mutex_lock(&node->pool_lock);
    yes = node->pool_threads < node->opts.blocking_max;
    if (yes) node->pool_threads++;
    pthread_mutex_unlock(&node->pool_lock);
    return yes;
}

static void *pool_main(void *arg)
{
    struct ward__thread *thread = arg;
    ward_node *node = thread->node;
    struct ward__slot *slot;

    ward__store(&thread->tid, ward__tid());
    for (;;) {
        ward__asleep(node);
        slot = ward__pool_next(node);
        ward__awake(node);
        if (!slot) break;
        ward__run(thread, slot);
        if (thread->lost && !has_place(thread)) break;
    }
    ward__asleep(node);
    if (ward__thread_forget(thread)) node->ops->left(node);
    return NULL;
}

void ward__pool_thread_start(ward_node *node)
{
    uint32_t max = node->opts.blocking_max;

    if (node->pool_threads >= max || ward__load(&node->closing)) return;
    if (start(node, WARD__RUNS_POOL, NULL, NULL, pool_main)) {
        node->pool_threads++;
        return;
    }
    ward__store_seq(&node->pool_short, 1);
    ward__awake(node); /* the watchdog tries again */
    ward__asleep(node);
}

void ward__pool_thread_lost(ward_node *node)
{
    pthread_mutex_lock(&node->pool_lock);
    node->pool_threads--;
    if (node->pool_idle < node->pool_queued) ward__pool_thread_start(node);
    pthread_mutex_unlock(&node->pool_lock);
}

void ward__pool_look(ward_node *node)
{
    if (!ward__load(&node->pool_short)) return;
    pthread_mutex_lock(&node->pool_lock);
    ward__store_seq(&node->pool_short, 0);
    if (node->pool_idle < node->pool_queued) ward__pool_thread_start(node);
    pthread_mutex_unlock(&node->pool_lock);
}

/* -- the end of the node ----------------------------------------------------------------------- */

void ward__threads_stop(ward_node *node)
{
    struct ward__thread *spare;

    ward__store_seq(&node->closing, true);
    for (uint32_t i = 0; i < node->workers_count; i++)
        ward__ring(node, &node->workers[i]);
    pthread_mutex_lock(&node->threads_lock);
    spare = node->spares;
    node->spares = NULL;
    node->spares_count = 0;
    while (spare) {
        struct ward__thread *next = spare->spare_next;
        ward__store_seq(&spare->bell, 1);
        ward__futex_wake(&spare->bell, 1);
        spare = next;
    }
    /* Who waits for children that were given up waits no more. */
    for (struct ward__thread *thread = node->threads; thread; thread = thread->next) {
        (void)ward__or_seq(&thread->wake, WARD__WAKE_LOOK);
        ward__futex_wake(&thread->wake, 1);
    }
    pthread_mutex_unlock(&node->threads_lock);
    pthread_mutex_lock(&node->pool_lock);
    pthread_cond_broadcast(&node->pool_cond);
    pthread_mutex_unlock(&node->pool_lock);
}

bool ward__threads_wait(ward_node *node, int64_t until_ns)
{
    struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };
    bool all;
    int failed = 0;

    pthread_mutex_lock(&node->threads_lock);
    while (node->threads_count > 0 && !failed)
        failed = pthread_cond_clockwait(
            &node->threads_ended, &node->threads_lock, CLOCK_MONOTONIC, &until);
    all = node->threads_count == 0;
    pthread_mutex_unlock(&node->threads_lock);
    ward__threads_reap(node);
    return all;
}
