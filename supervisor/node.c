/* SPDX-License-Identifier: MIT */
/*
 * node.c - a runtime from open to close: its parts in order, the root of the tree, the host's
 * threads as actors, and a stop that comes back by its deadline.
 *
 * Close: nothing new from links, everything below the root is cancelled, each grace shrunk in
 * proportion if the worst case of the tree is longer than the time there is; at the deadline
 * whatever is still in a turn is quarantined and counted. If turns never return, their threads
 * keep the node's memory, and the last one to leave frees it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "actors/request.h"
#include "actors/sim.h"
#include "base/assert.h"
#include "supervisor/isolate.h"

enum { LAST_MS = 5 }; /* kept back from the deadline, for what is done after the stop */

static const struct ward__spec root_spec = { .site = "root",
    .function = "",
    .kind = WARD__ROOT,
    .mailbox_max = 1,
    .mailbox_bytes = 1,
    .stop_ns = 0,
    .idle_ns = INT64_MAX,
    .start_ns = INT64_MAX,
    .stuck_ns = INT64_MAX };

/* -- opening ----------------------------------------------------------------------------------- */

static void fill_opts(ward_node *node, const ward_opts *opts, size_t bytes)
{
    ward_opts *own = &node->opts;

    if (opts) memcpy(own, opts, bytes < sizeof *own ? bytes : sizeof *own);
    if (!own->workers) own->workers = (uint32_t)ward__cpus();
    if (own->workers > WARD__WORKERS_MAX) own->workers = WARD__WORKERS_MAX;
    if (!own->blocking_max) own->blocking_max = 64;
    if (!own->spares_max) own->spares_max = 64;
    if (!own->actors_max) own->actors_max = 1u << 20;
    if (!own->message_bytes_max) own->message_bytes_max = (size_t)1 << 20;
    if (!own->blob_bytes_max) own->blob_bytes_max = (size_t)64 << 20;
    if (!own->bytes_max) own->bytes_max = (size_t)1 << 30;
    if (!own->stop_ms) own->stop_ms = 10000;
    if (!own->zombies_max) own->zombies_max = 32;
}

static bool valid_opts(const ward_opts *opts, size_t bytes)
{
    ward_opts own = { 0 };

    if (opts) memcpy(&own, opts, bytes < sizeof own ? bytes : sizeof own);
    if (own.name && !ward__name_valid(own.name)) return false;
    if (own.actors_max >= WARD__REQUEST || own.workers > 4096) return false;
    return !own.table || own.table->types || own.table->types_count == 0;
}

static void open_locks(ward_node *node, struct ward__tree *tree)
{
    ward__lock_init(&tree->lock);
    pthread_cond_init(&tree->quiet, NULL);
    pthread_mutex_init(&tree->specs_lock, NULL);
    pthread_mutex_init(&tree->events_lock, NULL);
    pthread_cond_init(&tree->events_cond, NULL);
    pthread_mutex_init(&node->threads_lock, NULL);
    pthread_mutex_init(&node->look_lock, NULL);
    pthread_cond_init(&node->threads_ended, NULL);
    pthread_mutex_init(&node->pool_lock, NULL);
    pthread_mutex_init(&node->held_lock, NULL);
    pthread_cond_init(&node->pool_cond, NULL);
}

static void close_locks(ward_node *node, struct ward__tree *tree)
{
    pthread_mutex_destroy(&tree->lock);
    pthread_cond_destroy(&tree->quiet);
    pthread_mutex_destroy(&tree->specs_lock);
    pthread_mutex_destroy(&tree->events_lock);
    pthread_cond_destroy(&tree->events_cond);
    pthread_mutex_destroy(&node->threads_lock);
    pthread_mutex_destroy(&node->look_lock);
    pthread_cond_destroy(&node->threads_ended);
    pthread_mutex_destroy(&node->pool_lock);
    pthread_mutex_destroy(&node->held_lock);
    pthread_cond_destroy(&node->pool_cond);
}

static ward_status open_workers(ward_node *node)
{
    node->workers = ward__alloc_zero(&node->heap, node->opts.workers * sizeof *node->workers);
    if (!node->workers) return WARD_ENOMEM;
    node->workers_count = node->opts.workers;
    for (uint32_t i = 0; i < node->workers_count; i++) {
        node->workers[i].node = node;
        node->workers[i].index = i;
        node->workers[i].now_ns = node->opened_ns;
        ward__wheel_open(&node->workers[i].wheel);
    }
    return WARD_OK;
}

static void open_root(ward_node *node)
{
    uint32_t index = ward__slot_get(&(struct ward__here){ node, NULL, NULL });
    struct ward__slot *root = ward__slot(node, index);
    ward_self *outside = &node->outside.self;

    ward__assert(index == WARD__ROOT_SLOT);
    root->kind = WARD__ROOT;
    ward__store(&root->spec, &root_spec);
    root->marks.lenient = true;
    ward__store(&root->incarnation, 1);
    ward__mailbox_open(&root->box, 1, 1, &node->stripes[0]);
    (void)ward__mailbox_close(&root->box, ward__life(root));
    ward__store(&root->phase, WARD__LIVE);
    ward__thread_init(node, &node->outside, WARD__RUNS_NONE);
    ward__self_init(outside, node, &node->outside, root);
    outside->kind = WARD__SELF_OUTSIDE;
    outside->spec = NULL;
    outside->arg = NULL;
}

/* Nobody is told any more; the records go with who watches, who may go first. */
static void forget_watchers(struct ward__slot *slot)
{
    while (slot->watches) {
        struct ward__watch *watch = slot->watches;
        slot->watches = watch->next;
        watch->watched = NULL;
    }
}

/* What an actor that could not end still holds; nobody runs any more. Its fiber's stack may hold
 * what only its code could free: that is lost, as ward_close has said. */
static void abandon_slot(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__inc *inc = slot->inc;
    ward_node *node = here->node;

    if (ward__load(&slot->phase) == WARD__FREE) return;
    if (slot->kind != WARD__ISOLATE && slot->fiber) {
        ward_self *self = ward__fiber_extra(slot->fiber);
        ward__hand_end(here, self, WARD_ENOREPLY);
        ward__answer_end(here, self);
    }
    if (slot->wait.parcel) ward__mail_free(here, slot->wait.parcel);
    if (slot->wait.asks) ward__mail_free(here, slot->wait.answer); /* it was not resumed any more */
    slot->wait.parcel = slot->wait.answer = 0;
    slot->inc = NULL;
    if (inc) {
        ward__watches_forget_locked(here, inc);
        ward__timers_forget_locked(here, inc);
        ward__inc_free(here, inc);
    }
    if (slot->kind != WARD__ISOLATE && slot->fiber) {
        ward__fiber_free(&node->stacks, slot->fiber);
        slot->fiber = NULL;
    }
    while (slot->child)
        abandon_slot(here, ward__slot(node, slot->child));
    ward__mailbox_kill(&slot->box);
    ward__isolate_drop(here, slot, WARD_EGONE);
    ward__drain(here, slot, WARD__DEAD_LETTERED, WARD_EGONE, UINT32_MAX);
    ward__actor_unmake_locked(here, slot);
}

/* What is there of a node is freed; all its threads have ended. */
static void free_node(ward_node *node)
{
    struct ward__tree *tree = node->tree;
    struct ward__route *route = ward__load_acq(&node->route);

    if (route) route->free(route->arg);
    ward__isolates_free(node);
    for (uint32_t i = 0; node->workers && i < node->workers_count; i++) {
        ward__magazines_flush(&node->pool, &node->workers[i].magazines);
        ward__small_flush(node, &node->workers[i]);
        ward__wheel_close(&node->workers[i].wheel);
    }
    if (node->workers)
        ward__free(&node->heap, node->workers, node->workers_count * sizeof *node->workers);
    if (tree->alarms)
        ward__free(&node->heap, tree->alarms, tree->alarms_room * sizeof *tree->alarms);
    ward__cycles_close(node);
    ward__specs_free(node);
    if (node->sim) ward__sim_leave(node);
    ward__stacks_close(&node->stacks);
    ward__requests_close(node);
    if (node->pool.at) ward__pool_close(&node->pool);
    ward__slots_close(node);
    /* Or ward has leaked; but what is lost with an abandoned stack is lost. */
    ward__assert(node->orphaned || ward__load(&node->heap.bytes) == 0);
    close_locks(node, tree);
    free(tree);
    free(node);
}

/* Even of a node that was only half opened. */
static void abort_open(ward_node *node)
{
    ward__clock_close(node);
    ward__threads_stop(node);
    (void)ward__threads_wait(node, INT64_MAX);
    if (node->tree->events_opened) (void)ward__events_close(node, INT64_MAX);
    free_node(node);
}

void ward__node_left(ward_node *node)
{
    struct ward__here here = { node, NULL, NULL };
    uint32_t used = ward__load_acq(&node->slots_used);

    ward__threads_reap(node);
    ward__tree_lock(node);
    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++)
        forget_watchers(ward__slot(node, i));
    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++)
        abandon_slot(&here, ward__slot(node, i));
    ward__tree_unlock(node);
    free_node(node);
}

static ward_status open_parts(ward_node *node)
{
    uint32_t mails = UINT32_C(1) << 26; /* 4 GiB of address space; bytes_max is the bound */
    ward_status rc = ward__slots_open(node, node->opts.actors_max + 2);

    ward__stacks_open(&node->stacks, &node->heap);
    if (node->sim) mails = UINT32_C(1) << 20;
    if (!rc && !ward__pool_open(&node->pool, &node->heap, mails, node->opts.message_bytes_max))
        rc = WARD_ENOMEM;
    if (!rc && !ward__requests_open(node)) rc = WARD_ENOMEM;
    if (!rc) rc = open_workers(node);
    if (!rc) rc = ward__spec_caches_open(node);
    if (!rc) open_root(node);
    if (!rc) rc = ward__events_open(node);
    return rc;
}

/* sim NULL: a real node. */
/* All of it but its threads. */
static ward_status open_still(
    ward_node **out, const ward_opts *opts, size_t opts_bytes, ward_sim *sim)
{
    ward_node *node;
    ward_status rc;

    if (posix_memalign((void **)&node, 64, sizeof *node)) return WARD_ENOMEM;
    memset(node, 0, sizeof *node);
    node->tree = calloc(1, sizeof *node->tree);
    if (!node->tree) {
        free(node);
        return WARD_ENOMEM;
    }
    fill_opts(node, opts, opts_bytes);
    if (sim) node->opts.workers = 1;
    strcpy(node->name, node->opts.name ? node->opts.name : "ward");
    node->table = node->opts.table;
    node->id = (uint32_t)(sim ? ward__random(&sim->random) : ward__entropy()) | 1;
    node->asymmetric = ward__membarrier_register();
    node->ops = &ward__tree_ops;
    ward__heap_init(&node->heap, node->opts.alloc, node->opts.hook, node->opts.bytes_max);
    if (node->opts.on_assert) ward__assert_hook(node->opts.on_assert, node->opts.hook);
    open_locks(node, node->tree);
    rc = sim && !ward__sim_join(node, sim) ? WARD_ENOMEM : WARD_OK;
    node->opened_ns = ward__clock_ns(node);
    if (!rc) rc = open_parts(node);
    if (rc) {
        abort_open(node);
        return rc;
    }
    *out = node;
    return WARD_OK;
}

static ward_status start_threads(ward_node *node)
{
    ward_status rc = node->sim ? WARD_OK : ward__workers_open(node);

    return rc ? rc : ward__clock_open(node);
}

static ward_status open_node(
    ward_node **out, const ward_opts *opts, size_t opts_bytes, ward_sim *sim)
{
    ward_node *node;
    ward_status rc = open_still(&node, opts, opts_bytes, sim);

    if (rc) return rc;
    rc = start_threads(node);
    if (rc)
        abort_open(node);
    else
        *out = node;
    return rc;
}

ward_status ward__open_still(ward_node **out, const ward_opts *opts)
{
    return open_still(out, opts, sizeof *opts, NULL);
}

ward_status ward__open_forked(ward_node *node)
{
    node->id = (uint32_t)ward__entropy() | 1;
    node->asymmetric = ward__membarrier_register();
    node->opened_ns = ward__clock_ns(node);
    for (uint32_t i = 0; i < node->workers_count; i++)
        node->workers[i].now_ns = node->opened_ns;
    return start_threads(node);
}

ward_status ward__open_simulated(
    ward_node **out, const ward_opts *opts, size_t opts_bytes, ward_sim *sim)
{
    if (!out || !valid_opts(opts, opts_bytes)) return WARD_EINVAL;
    return open_node(out, opts, opts_bytes, sim);
}

ward_status ward_open_sized(ward_node **out, const ward_opts *opts, size_t opts_bytes)
{
    uint64_t seed = ward__sim_seed(opts, opts_bytes);
    ward_sim *sim = NULL;
    ward_status rc;

    if (!out || !valid_opts(opts, opts_bytes)) return WARD_EINVAL;
    if (!seed) return open_node(out, opts, opts_bytes, NULL);
    rc = ward_sim_open(&sim, &(ward_sim_opts){ .seed = seed });
    if (!rc) rc = open_node(out, opts, opts_bytes, sim);
    if (!rc)
        (*out)->sim->alone = true;
    else
        ward_sim_close(sim);
    return rc;
}

ward_self *ward_outside(ward_node *node)
{
    return &node->outside.self;
}

/* -- attached threads -------------------------------------------------------------------------- */

static ward_status attach(
    ward_node *node, ward_self **out, const ward_spec *spec, ward_site site, bool lenient)
{
    static ward_body *const nothing = (ward_body *)(uintptr_t)1; /* never called */
    ward_spec own = { .body = nothing, .restart = WARD_TEMPORARY, .blocking = true };
    struct ward__here here = { node, NULL, NULL };
    struct ward__birth birth = { 0 };
    struct ward__thread *thread;
    struct ward__slot *slot;
    ward_status rc;

    if (spec) {
        own.name = birth.name = spec->name;
        own.mailbox_max = spec->mailbox_max;
        own.mailbox_bytes = spec->mailbox_bytes;
        birth.arg = spec->arg;
        birth.arg_bytes = spec->arg_bytes;
    }
    if (node->sim || node->inside) return WARD_ESTATE;
    site.spec_bytes = sizeof own;
    rc = ward__spec_intern(&here, &birth.spec, &own, site);
    if (rc) return rc;
    ward__threads_reap(node);
    thread = ward__alloc(&node->heap, sizeof *thread);
    if (!thread) return WARD_ENOMEM;
    ward__thread_init(node, thread, WARD__RUNS_HOST);
    ward__tree_lock(node);
    rc = node->tree->closing
             ? WARD_ECANCELED
             : ward__actor_make_locked(&here, &slot, ward__slot(node, WARD__ROOT_SLOT), &birth);
    if (!rc) {
        ward__store(&slot->kind, WARD__ATTACHED);
        ward__thread_of(node, slot, thread);
        slot->marks.lenient = lenient;
        ward__store_seq(&slot->phase, WARD__LIVE);
        ward__store(&thread->slot, ward__index(node, slot));
        ward__self_init(&thread->self, node, thread, slot);
        thread->self.waits = true;
        ward__finders_look_locked(&here);
    }
    ward__tree_unlock(node);
    if (rc) {
        (void)ward__thread_forget(thread); /* which frees it, too */
        return rc;
    }
    *out = &thread->self;
    return WARD_OK;
}

ward_status ward_attach_at(ward_node *node, ward_self **out, const ward_spec *spec, ward_site site)
{
    if (!node || !out) return WARD_EINVAL;
    return attach(node, out, spec, site, true);
}

static void detach(ward_self *self, ward_status rc)
{
    struct ward__thread *thread = self->thread;
    ward_node *node = self->node;

    ward__end_thread(thread, self->slot, rc);
    if (ward__thread_forget(thread)) ward__node_left(node);
}

void ward_detach(ward_self *self)
{
    if (self && self->thread->kind == WARD__RUNS_HOST) detach(self, WARD_OK);
}

int ward_mail_fd(ward_self *self)
{
    struct ward__thread *thread = self->thread;
    int fd;

    if (self->kind == WARD__SELF_OUTSIDE || thread->kind != WARD__RUNS_HOST) return -1;
    fd = ward__load(&thread->mail_fd);
    if (fd >= 0) return fd;
    fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* readable: the first look settles it */
    ward__store_rel(&thread->mail_fd, fd);
    return fd;
}

/* -- closing ----------------------------------------------------------------------------------- */

struct closing {
    ward_node *node;
    int64_t by_ns;
};

static bool is_quiet(void *arg)
{
    const ward_node *node = ((struct closing *)arg)->node;

    return ward__slot(node, WARD__ROOT_SLOT)->children == 0 && node->zombies == 0;
}

static void cancel_all(ward_node *node, int64_t now_ns, int64_t by_ns)
{
    struct ward__here here = { node, NULL, NULL };
    struct ward__tree *tree = node->tree;
    struct ward__slot *root = ward__slot(node, WARD__ROOT_SLOT);
    int64_t bound, time = by_ns == INT64_MAX ? INT64_MAX : by_ns - now_ns;

    ward__tree_lock(node);
    tree->closing = true;
    bound = ward__stop_bound_locked(node, root);
    tree->close_by_ns = by_ns;
    tree->stop_scale = 1024;
    if (time < 0) time = 0;
    if (bound > time)
        tree->stop_scale = bound == INT64_MAX ? 0 : (int64_t)((double)time / (double)bound * 1024);
    ward__cancel_children_locked(&here, root);
    ward__tree_unlock(node);
}

/* True: all below the root have ended. */
static bool wait_quiet(ward_node *node, int64_t by_ns)
{
    struct timespec until = { .tv_sec = by_ns / 1000000000, .tv_nsec = by_ns % 1000000000 };
    struct ward__slot *root = ward__slot(node, WARD__ROOT_SLOT);
    int failed = 0;
    bool quiet;

    ward__tree_lock(node);
    /* A zombie may come back by then, and if it does it need not be abandoned. */
    while ((root->children > 0 || node->zombies > 0) && !failed)
        failed =
            pthread_cond_clockwait(&node->tree->quiet, &node->tree->lock, CLOCK_MONOTONIC, &until);
    quiet = root->children == 0;
    ward__tree_unlock(node);
    return quiet;
}

/* Whoever is still in a turn at the deadline is quarantined, so that the tree can end above it. */
static void quarantine_rest(ward_node *node)
{
    struct ward__here here = { node, NULL, NULL };
    uint32_t used = ward__load_acq(&node->slots_used);
    int64_t now = ward__clock_ns(node);

    ward__tree_lock(node);
    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++) {
        struct ward__slot *slot = ward__slot(node, i);
        uint8_t phase = ward__load(&slot->phase);
        if (phase == WARD__FREE || slot->kind == WARD__SUPERVISOR || phase == WARD__BETWEEN)
            continue;
        (void)ward__quarantine_locked(&here, slot, now);
    }
    ward__tree_unlock(node);
}

/* Names those who are left: zombies, and actors whose thread is not ours to take. */
static size_t name_abandoned(ward_node *node)
{
    uint32_t used = ward__load_acq(&node->slots_used);
    size_t count;

    ward__tree_lock(node);
    count = node->zombies;
    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread; thread = thread->next) {
        if (!thread->zombie.spec) continue;
        ward__event(node, &(struct ward__news){ .kind = WARD_EV_ABANDONED,
                              .path = thread->zombie.path,
                              .what = thread->late.doing,
                              .site = thread->zombie.spec->site });
    }
    pthread_mutex_unlock(&node->threads_lock);
    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++) {
        struct ward__slot *slot = ward__slot(node, i);
        if (ward__load(&slot->phase) == WARD__FREE || slot->kind == WARD__SUPERVISOR) continue;
        count++;
        ward__event(node, &(struct ward__news){ .kind = WARD_EV_ABANDONED, .slot = slot });
    }
    ward__tree_unlock(node);
    return count;
}

/* All actors have ended, or were abandoned; one may have made the first link meanwhile. */
static void close_links(ward_node *node, int64_t by_ns)
{
    struct ward__route *route = ward__load_acq(&node->route);

    if (!route) return;
    route->stop(route->arg);
    route->close(route->arg, by_ns);
}

static ward_status close_real(ward_node *node, size_t *abandoned, int64_t by_ns)
{
    struct ward__route *route = ward__load_acq(&node->route);
    int64_t last = by_ns == INT64_MAX ? INT64_MAX : by_ns - (int64_t)LAST_MS * WARD__NS_MS;
    struct ward__census *census;
    bool all, told;

    if (route) route->stop(route->arg);
    cancel_all(node, ward__now_ns(), last);
    census = ward__load_acq(&node->census); /* there comes no other once `closing` is set */
    if (census) census->close(census);
    if (!wait_quiet(node, last)) {
        quarantine_rest(node);
        /* Isolates were killed, and it takes a moment until that is known. */
        if (ward__load(&node->isolates))
            (void)wait_quiet(node, last + (int64_t)(LAST_MS - 1) * WARD__NS_MS);
    }
    *abandoned = name_abandoned(node);
    ward__clock_close(node);
    ward__threads_stop(node);
    all = ward__threads_wait(node, *abandoned ? ward__now_ns() + WARD__NS_MS : INT64_MAX);
    ward__poller_close(node);
    ward__isolates_stop(node);
    close_links(node, by_ns);
    told = ward__events_close(node, by_ns);
    if (all && told && *abandoned == 0) {
        free_node(node);
        return WARD_OK;
    }
    if (ward__threads_orphan(node)) ward__node_left(node);
    return *abandoned || !told ? WARD_ETIMEDOUT : WARD_OK;
}

static ward_status close_sim(ward_node *node, size_t *abandoned, int64_t by_ns)
{
    struct ward__route *route = ward__load_acq(&node->route);
    struct closing closing = { node, by_ns };
    ward_sim *sim = node->sim->sim;

    if (route) route->stop(route->arg);
    cancel_all(node, ward__clock_ns(node), by_ns);
    if (!ward__sim_run(sim, is_quiet, &closing, by_ns)) {
        quarantine_rest(node);
        if (by_ns < INT64_MAX - WARD__NS_MS) by_ns += WARD__NS_MS;
        (void)ward__sim_run(sim, is_quiet, &closing, by_ns);
    }
    *abandoned = name_abandoned(node);
    ward__zombies_discard(node);
    close_links(node, by_ns);
    (void)ward__events_close(node, INT64_MAX);
    ward__node_left(node);
    return *abandoned ? WARD_ETIMEDOUT : WARD_OK;
}

ward_status ward_close(ward_node *node, size_t *abandoned, ward_deadline by)
{
    size_t count = 0;
    ward_status rc;

    if (!node) return WARD_EINVAL;
    if (node->sim ? ward__sim_keeps(node->sim) : ward__on_own_thread(node)) return WARD_ESTATE;
    rc = node->sim ? close_sim(node, &count, by.ns) : close_real(node, &count, by.ns);
    if (abandoned) *abandoned = count;
    return rc;
}

/* -- ward_run ---------------------------------------------------------------------------------- */

static ward_status run_real(ward_node *node, ward_body *body)
{
    ward_spec spec = { .name = "main", .arg = node->opts.arg };
    uint32_t stop_ms = node->opts.stop_ms;
    ward_site site = { "main", "ward_run", sizeof spec };
    bool child_failed;
    size_t abandoned;
    ward_status rc, closed;
    ward_self *self;

    rc = attach(node, &self, &spec, site, false);
    if (!rc) {
        rc = body(self);
        child_failed = self->slot->marks.child_failed;
        if (child_failed && rc == WARD_ECANCELED) rc = WARD_EFAIL;
        detach(self, rc);
    }
    closed = ward_close(node, &abandoned, ward_in_ms(ward_outside(node), stop_ms));
    return rc < 0 ? rc : closed;
}

ward_status ward_run_sized(ward_body *body, const ward_opts *opts, size_t opts_bytes)
{
    ward_node *node;
    ward_status rc;

    if (!body) return WARD_EINVAL;
    if (ward__sim_seed(opts, opts_bytes)) return ward__run_simulated(body, opts, opts_bytes);
    rc = ward_open_sized(&node, opts, opts_bytes);
    return rc ? rc : run_real(node, body);
}
