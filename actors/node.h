/* SPDX-License-Identifier: MIT */
/*
 * node.h - one runtime: its workers, threads, slots, and the seams to the layers above.
 *
 * A worker (run queue, timer wheel, magazines) and the thread that runs it are two things. While a
 * turn is in user code, `in_runtime` is 0 and the watchdog may take the worker away and give it to
 * another thread, or revoke the turn (quarantine). The thread learns of it from `hand`, one load
 * at each call:
 *
 *     watchdog: hand = ASK..;  membarrier;  in_runtime == 0 and the same turn?  hand = ..GONE
 *     thread:   in_runtime = 1; compiler barrier; hand == 0?  go on, the worker is mine
 *
 * In this order: a thread on its way out of a turn may have read `hand` before the ASK, and be in
 * the user code of its next turn by now; from there it cannot leave unseen. Held by
 * tests/models/takeover.pml, tests/race/fence.c, stuck.c and spares.c.
 *
 * A call that meets an ASK to revoke withdraws it: the actor lives. One that meets TURN_GONE is
 * fenced. One that meets WORKER bits goes on without a worker: message records come from the
 * thread's own magazines, and whom it wakes goes through inboxes.
 *
 * Lock order: tree lock (supervision) -> a mailbox's lock -> everything else, which are leaves.
 * Knows no supervisor and no links: see ward__tree_ops and ward__route.
 */
#ifndef WARD_ACTORS_NODE_H
#define WARD_ACTORS_NODE_H

#include "actors/actor.h"
#include "base/platform.h"

/* Handlers and bodies let others run after WARD__SLICE messages; bodies that keep many busy, and
 * handlers whose messages are light, after WARD__SLICE_NS and a tick. */
enum { WARD__SLICE = 64, WARD__SLICE_NS = 200000 };
enum { WARD__LAST_IN_ROW = 16 }; /* times that whom a message went to runs before the queue */
enum { WARD__NAME_MAX = 48, WARD__WORKERS_MAX = 64, WARD__DOING_MAX = 96, WARD__WHO_MAX = 128 };

/* Bits of ward__thread.hand. */
enum { WARD__ASK_WORKER = 1, WARD__WORKER_GONE = 2, WARD__ASK_TURN = 4, WARD__TURN_GONE = 8 };

/* Bits of ward__thread.wake. LOOK is a hint that may be late; OVER comes exactly once for a wait
 * that somebody else has ended, after its outcome was written. */
enum { WARD__WAKE_LOOK = 1, WARD__WAKE_OVER = 2 };

enum { WARD__WHEEL_LEVELS = 4, WARD__WHEEL_SLOTS = 64 };

/* A hierarchical timer wheel of slots, in ticks of 1 ms since the node opened. It holds an entry
 * lazily: an actor that moves its deadline to a later time only stores it, and the wheel looks
 * again when the old time comes. See wheel.c. */
struct ward__wheel {
    pthread_mutex_t lock;
    uint64_t now; /* 64 bits: 32 of milliseconds are over after fifty days */
    uint32_t count;
    uint32_t heads[WARD__WHEEL_LEVELS][WARD__WHEEL_SLOTS];
    uint64_t used[WARD__WHEEL_LEVELS];
    _Atomic uint64_t next; /* tick of the earliest visit, UINT64_MAX: none */
};

/* Blocks of one size that a worker keeps; see small.c. */
enum { WARD__SMALL_STEP = 64, WARD__SMALL_MAX = 256, WARD__SMALL_CLASSES = 4 };
struct ward__small {
    void *free;
    uint32_t count;
};

struct ward__worker {
    /* Its thread's. */
    _Atomic uint32_t last_in;
    uint32_t head, tail, last_in_row;
    uint32_t fresh, fresh_oldest, fresh_count, fresh_row, queue_row;
    _Atomic uint32_t queued; /* in the queue and in `fresh` */
    uint32_t slices, look_after, tick_seen, tick_measured, share_after;
    int64_t spin_ns; /* how long it looks before it sleeps */
    int64_t now_ns, message_ns; /* read at slices; smoothed cost of a message */
    struct ward__magazines magazines;
    uint32_t slot_free, slots_free; /* a few free slots, and how many */
    struct ward__small small[WARD__SMALL_CLASSES];
    struct ward__wheel wheel;
    ward_node *node;
    uint32_t index;
    /* Anybody's. */
    _Alignas(64) _Atomic uint32_t inbox; /* a stack of slots, taken whole */
    _Atomic uint32_t bell; /* futex: 1 while it sleeps */
    _Atomic(struct ward__thread *) thread;
    /* The watchdog's. */
    int64_t moved_ns; /* when it was last given another thread */
    uint32_t moves; /* in a row */
};

enum ward__thread_kind {
    WARD__RUNS_WORKER, /* or is a spare */
    WARD__RUNS_POOL,
    WARD__RUNS_BODY,
    WARD__RUNS_HOST, /* attached; exempt from the watchdog */
    WARD__RUNS_NONE /* who acts is no actor: outside, clock, poller, links */
};

/* What a quarantined turn took with it. */
struct ward__zombie {
    uint32_t slot;
    uint64_t life, incarnation;
    const struct ward__spec *spec;
    struct ward__inc *inc;
    ward_self *self; /* the record of the turn, with what was lent */
    struct ward__fiber *fiber;
    void *arg;
    size_t arg_bytes;
    uint32_t supervisor; /* slot that bears it, and its life */
    uint64_t supervisor_life;
    int64_t since_ns;
    char path[WARD__WHO_MAX]; /* the slot may be a stranger's by now */
};

/* What the watchdog knows of a turn that is late. */
struct ward__late {
    uint64_t turn; /* this is about */
    int64_t told_ns; /* its age when it was last reported; 0: not yet */
    int64_t ran_ns, delayed_ns; /* of the thread, when it was first looked at, and last credited */
    bool looked; /* `doing` is about this turn */
    bool behind_zombie; /* it waits for a lock that a zombie holds */
    char doing[WARD__DOING_MAX]; /* "read(fd 3 = pipe)"; threads_lock */
};

struct ward__thread {
    _Atomic uint32_t in_runtime;
    _Atomic uint32_t hand;
    struct ward__worker *_Atomic worker;
    struct ward__magazines *magazines; /* the worker's, or its own */
    _Atomic uint64_t turn; /* odd in user code; counts messages */
    _Atomic uint32_t slot; /* whose turn */
    _Atomic(const char *) what; /* type of the message in hand */
    struct ward_self self; /* of handlers' turns */
    struct ward__context loop; /* where a fiber goes when it stops */
    ward_node *node;
    enum ward__thread_kind kind;
    bool odd; /* a call takes the long way: exempt, simulated, or fences are for real */
    pthread_t id;
    _Atomic int tid; /* the kernel's number; 0: it has not begun, or is no thread of ours */
    bool joinable; /* it is ward's own */
    bool lost; /* of the blocking pool: it was stuck */
    _Atomic uint32_t wake; /* futex of a thread actor: WARD__WAKE_ bits */
    _Atomic int mail_fd; /* of an attached one; -1: none */
    struct ward__magazines own;
    struct ward__worker *_Atomic given; /* to a spare */
    _Atomic uint32_t bell; /* futex of a spare */
    /* The watchdog's, but zombie is also its own after it returned; tree lock. */
    _Atomic uint64_t seen_turn; /* the census reads these two */
    _Atomic int64_t seen_ns;
    int64_t looked_ns;
    struct ward__late late;
    struct ward__zombie zombie;
    struct ward__thread *next, *prev, *spare_next;
};

/* Who acts: the node, and what of it this thread may use. */
struct ward__here {
    ward_node *node;
    struct ward__worker *worker; /* NULL: none */
    struct ward__magazines *magazines; /* NULL: none */
};

/* How a behaviour ended. */
struct ward__outcome {
    ward_reason reason;
    ward_status status;
};

/* Why an isolate is to be looked at by who owns it: the isolates' thread, in supervision. */
enum {
    WARD__ISO_GRANT = 1, /* it is SCHEDULED, and its mailbox the thread's from now on */
    WARD__ISO_RESUMED = 2, /* the question it asked is over */
    WARD__ISO_LOOK = 4, /* signals; somebody gave a question up */
    WARD__ISO_KILL = 8, /* it did not stop in time */
    WARD__ISO_DEAD = 16 /* its life is over */
};

/* What the supervision layer does for the actors' layer. */
struct ward__tree_ops {
    /* .start has returned well, or there is none. */
    void (*started)(struct ward__here *here, struct ward__slot *slot);
    /* The behaviour is over. True: there are no children left to wait for, finish now. bare: the
     * actor has nothing to clean up, so that is done as well. */
    bool (*over)(
        struct ward__here *here, struct ward__slot *slot, struct ward__outcome outcome, bool bare);
    /* Clean-up has run; the incarnation is over. */
    void (*finished)(struct ward__here *here, struct ward__slot *slot);
    /* When the shield of a cancelled actor has to fall; INT64_MAX: it is not cancelled. */
    int64_t (*falls_at)(struct ward__here *here, struct ward__slot *slot);
    /* An incarnation's monitors, timers and requests. */
    void (*forget)(struct ward__here *here, struct ward__inc *inc);
    /* A quarantined turn came back: its memory may go. */
    void (*returned)(struct ward__here *here, struct ward__thread *thread);
    /* The last thread of a node that was closed around it: frees the node. */
    void (*left)(ward_node *node);
    /* An incarnation's requests are to be looked at then, or earlier. Errors: WARD_ENOMEM, the
     * first time. */
    ward_status (*look_at)(struct ward__here *here, struct ward__alarm *alarm, int64_t at_ns);
    /* An isolate is to be looked at. */
    void (*isolate)(ward_node *node, struct ward__slot *slot, uint32_t bits);
    /* A dead letter was made, for the log. */
    void (*dead_letter)(
        struct ward__here *here, struct ward__slot *slot, const ward_type *type, ward_status why);
    /* An actor waits for one that waits for an actor, too. */
    void (*cycle)(struct ward__here *here, struct ward__slot *slot);
};

struct ward__question {
    const ward_type *type;
    const void *value;
    int64_t deadline_ns;
};

/* What the links do for the actors' layer. A ref whose node is not ours, and an asker at or above
 * WARD__REMOTE, are the route's. All may be called on any thread and none waits. */
struct ward__route {
    void *arg;
    ward_status (*send)(void *arg, ward_ref to, const ward_type *type, const void *value);
    ward_status (*ask)(
        void *arg, struct ward__token from, ward_ref to, const struct ward__question *question);
    ward_status (*find)(
        void *arg, struct ward__token from, const char *node, const char *path, int64_t by_ns);
    /* For who was told WARD_EFULL: ends its wait with WARD_OK when there may be room for it, soon
     * or not at all. False: there is already. */
    bool (*await)(void *arg, struct ward__token who, ward_ref to);
    /* The asker `from` of this node waits no more. */
    void (*forget)(void *arg, struct ward__token from);
    /* mail: 0 with a status, else the answer, which stays the caller's. Errors: WARD_EINVAL,
     * WARD_ETOOBIG: it cannot travel, and the question is open as before. */
    ward_status (*answer)(void *arg, struct ward__token to, ward_status status, uint32_t mail);
    /* Whether a remote asker still waits, and until when. */
    bool (*waits)(void *arg, struct ward__token who, int64_t *deadline_ns);
    /* Where it looks for who holds its question, when it leaves; NULL: it waits no more. */
    _Atomic uint32_t *(*holder)(void *arg, struct ward__token who);
    ward_status (*monitor)(void *arg, struct ward__watch *watch, ward_ref whom);
    void (*demonitor)(void *arg, struct ward__watch *watch);
    void (*cancel)(void *arg, ward_ref whom, bool mail_only);
    void (*stop)(void *arg); /* first thing of ward_close: no mail comes in after it */
    void (*close)(void *arg, int64_t by_ns); /* all threads have ended, or were abandoned */
    void (*free)(void *arg); /* with the node */
    /* Of the inside of an isolate only; NULL else. A message it was given is done, or kept. */
    void (*done)(void *arg, uint64_t id, enum ward__fate fate);
    void (*kept)(void *arg, uint64_t id);
    void (*stuck)(void *arg);
    ward_status (*look)(void *arg, ward_ref *out, const char *path); /* waits for the host */
};

/* In the process of an isolate: who it is to everybody else. */
struct ward__inside {
    ward_ref me, parent;
    bool sealed; /* it has its actor, and takes no other */
};

/* Who serves the census, of the layer above: told once, early in ward_close, to be gone. */
struct ward__census {
    void (*close)(struct ward__census *census);
};

struct ward__sim;
struct ward__requests;
struct ward__poller;
struct ward__isolates;
struct ward__tree;

struct ward_node {
    struct ward__heap heap;
    struct ward__pool pool;
    struct ward__stacks stacks;
    uint32_t id;
    const struct ward__inside *inside; /* NULL: this is no isolate */
    char name[WARD__NAME_MAX];
    const ward_table *table;
    ward_opts opts; /* strings excepted */
    int64_t opened_ns;
    bool asymmetric; /* membarrier works */
    _Atomic bool closing;
    /* Slots; the free list is under slots_lock. */
    struct ward__slot *slots;
    char (*names)[WARD__NAME_MAX];
    uint32_t slots_max, slot_free;
    _Atomic uint32_t slots_used; /* indices below it were used */
    pthread_mutex_t slots_lock;
    pthread_mutex_t stripes[64]; /* the mailboxes' locks */
    /* Workers. */
    uint32_t workers_count;
    struct ward__worker *workers;
    _Atomic uint64_t sleeping; /* mask */
    _Atomic uint64_t hungry; /* mask: would take work */
    _Atomic uint32_t next_home;
    /* Threads; tree lock but for what is marked. */
    pthread_mutex_t threads_lock;
    pthread_mutex_t look_lock; /* held while someone looks at threads: none is freed */
    struct ward__thread *threads, *spares;
    struct ward__thread *ended; /* to be joined */
    bool orphaned; /* closed around threads that are still there */
    bool hook_hangs; /* ... one of which is in on_event */
    uint32_t spares_count, threads_count, zombies;
    pthread_cond_t threads_ended;
    struct ward__thread outside;
    /* Blocking handlers. */
    pthread_mutex_t pool_lock;
    pthread_cond_t pool_cond;
    uint32_t pool_head, pool_tail, pool_threads, pool_idle, pool_queued;
    _Atomic uint32_t pool_short; /* a thread could not be started */
    /* Actors whose spec holds too many spares: they wait for one of those turns to end. */
    pthread_mutex_t held_lock;
    uint32_t held; /* a list by queue_next */
    _Atomic bool holding; /* there may be such specs */
    /* The watchdog's tick; see clock.c of the supervision layer. */
    _Atomic uint32_t tick; /* ms since open, published while something runs */
    _Atomic uint32_t awake; /* threads that may be in a turn */
    _Atomic uint32_t clock_deep; /* it sleeps until it is woken */
    _Atomic uint32_t clock_bell;
    /* Totals. */
    _Atomic uint64_t fenced, late_replies, restarts, reaped;
    _Atomic uint64_t leak_checks; /* begun */
    /* Seams. */
    const struct ward__tree_ops *ops;
    struct ward__tree *tree;
    struct ward__requests *requests;
    struct ward__poller *_Atomic poller;
    struct ward__isolates *_Atomic isolates;
    struct ward__sim *sim;
    _Atomic(struct ward__route *) route;
    struct ward__census *_Atomic census;
};

/* -- slots (table.c) --------------------------------------------------------------------------- */

static inline struct ward__slot *ward__slot(const ward_node *node, uint32_t index)
{
    return node->slots + index;
}
static inline uint32_t ward__index(const ward_node *node, const struct ward__slot *slot)
{
    return (uint32_t)(slot - node->slots);
}
/* NULL: not of this node, or never was. The life is the caller's to compare. */
static inline struct ward__slot *ward__resolve(const ward_node *node, ward_ref ref)
{
    if (ref.node != node->id || ref.slot == 0 || ref.slot >= node->slots_max) return NULL;
    return node->slots + ref.slot;
}
static inline uint64_t ward__life(const struct ward__slot *slot)
{
    return ward__load_acq(&slot->box.life);
}
static inline ward_ref ward__ref(const ward_node *node, const struct ward__slot *slot)
{
    return (ward_ref){ node->id, ward__index(node, slot), ward__life(slot) };
}
ward_status ward__slots_open(ward_node *node, uint32_t max);
void ward__slots_close(ward_node *node);
/* Index of a free slot with a life of its own; 0: actors_max reached. Any thread. */
uint32_t ward__slot_get(struct ward__here *here);
void ward__slot_put(struct ward__here *here, struct ward__slot *slot);

/* -- small blocks (small.c) -------------------------------------------------------------------- */

/* As ward__alloc and ward__free, faster for up to 256 bytes. Any thread may free. */
void *ward__small_alloc(struct ward__here *here, size_t bytes);
void ward__small_free(struct ward__here *here, void *at, size_t bytes);
void ward__small_flush(ward_node *node, struct ward__worker *worker);

/* -- threads and turns (thread.c) -------------------------------------------------------------- */

/* Every public call begins and ends with these. False: the turn was revoked, WARD_EFENCED. */
bool ward__enter_slow(ward_self *self, struct ward__here *here);
static inline bool ward__enter(ward_self *self, struct ward__here *here)
{
    struct ward__thread *thread = self->thread;

    if (ward__unlikely(thread->odd)) return ward__enter_slow(self, here);
    ward__store(&thread->in_runtime, 1);
    ward__light_fence(true);
    if (ward__unlikely(ward__load_acq(&thread->hand))) return ward__enter_slow(self, here);
    *here = (struct ward__here){ thread->node, thread->worker, thread->magazines };
    return true;
}
static inline void ward__leave(const ward_self *self)
{
    ward__store_rel(&self->thread->in_runtime, 0);
}

/* Around user code. ward__turn_end is false when the turn was revoked meanwhile: then nothing of
 * the slot may be touched, and the thread goes to ward__zombie_end. */
static inline void ward__turn_begin(
    struct ward__thread *thread, struct ward__slot *slot, const char *what)
{
    ward__store(&thread->slot, ward__index(thread->node, slot));
    ward__store(&thread->what, what);
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
    ward__store_rel(&thread->in_runtime, 0);
}
bool ward__turn_end_slow(struct ward__thread *thread);
static inline bool ward__turn_end(struct ward__thread *thread, struct ward__here *here)
{
    ward__store(&thread->in_runtime, 1);
    ward__light_fence(thread->node->asymmetric);
    if (ward__unlikely(ward__load_acq(&thread->hand)) && !ward__turn_end_slow(thread)) return false;
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
    *here = (struct ward__here){ thread->node, thread->worker, thread->magazines };
    return true;
}
void ward__zombie_end(struct ward__thread *thread);

static inline struct ward__here ward__here_of(struct ward__thread *thread)
{
    return (struct ward__here){ thread->node, thread->worker, thread->magazines };
}
void ward__thread_init(ward_node *node, struct ward__thread *thread, enum ward__thread_kind kind);
/* Who wakes a thread actor may come late, when it has ended: so its thread is set under a lock. */
void ward__thread_of(ward_node *node, struct ward__slot *slot, struct ward__thread *thread);
void ward__thread_wake(ward_node *node, struct ward__slot *slot, uint32_t bits);
/* A host's fd is readable as long as its mailbox is SCHEDULED: nobody raises it then for new mail.
 * take_back: its thread makes it so by itself. */
void ward__thread_raise(struct ward__thread *thread);
void ward__thread_take_back(struct ward__slot *slot);
/* True: it was the last one of a node that was closed around it, which is the caller's to free
 * with ops->left. Else its record is freed by somebody else, and the node is not to be touched. */
bool ward__thread_forget(struct ward__thread *thread);
/* Whether this thread is one of the node's. */
bool ward__on_own_thread(ward_node *node);
/* The node was closed around its threads; true: there are none, free it. */
bool ward__threads_orphan(ward_node *node);
/* on_event is not back at the end of a close; and then it is: true: the last to leave. */
void ward__hook_hangs(ward_node *node, bool hangs);
bool ward__hook_over(ward_node *node);
/* Joins what has ended; the caller may be one of them. */
void ward__threads_reap(ward_node *node);
ward_status ward__workers_open(ward_node *node);
/* A thread for a worker that lost its own. Tree lock. False: none to be had now. */
bool ward__worker_move(ward_node *node, struct ward__worker *worker);
/* The thread of a blocking body. False: none to be had. */
bool ward__body_thread_start(ward_node *node, struct ward__slot *slot);
/* One more thread for blocking handlers, up to blocking_max; pool_lock is held. */
void ward__pool_thread_start(ward_node *node);
/* A thread of that pool was lost to a stuck turn: another takes its place, and the lost one stays
 * when it returns only if there is a place for it. */
void ward__pool_thread_lost(ward_node *node);
/* Tries again what failed for lack of memory. */
void ward__pool_look(ward_node *node);
/* Sends all threads home; new ones are not started. */
void ward__threads_stop(ward_node *node);
/* Waits until all but zombies have ended, or `until_ns`. True: all have. */
bool ward__threads_wait(ward_node *node, int64_t until_ns);
/* A thread that may be in a turn begins or ends being so: the watchdog sleeps when there is none.
 */
void ward__awake(ward_node *node);
void ward__asleep(ward_node *node);

/* -- scheduling (scheduler.c) ------------------------------------------------------------------ */

/* Makes an actor runnable; the caller has its SCHEDULED. Any thread. */
void ward__schedule(struct ward__here *here, struct ward__slot *slot);
/* The same for who pushed and read the kind before: a thread takes its mailbox back by itself, so
 * by now the slot may be another's. */
void ward__schedule_slow(struct ward__here *here, struct ward__slot *slot, enum ward__kind kind);
static inline void ward__to_queue(ward_node *node, struct ward__worker *worker, uint32_t index)
{
    ward__slot(node, index)->queue_next = 0;
    if (worker->tail)
        ward__slot(node, worker->tail)->queue_next = index;
    else
        worker->head = index;
    worker->tail = index;
    ward__bump(&worker->queued, 1);
}
/* To run next, on this worker; who was to run next goes to the queue. */
static inline void ward__last_in(
    struct ward__here *here, struct ward__worker *worker, uint32_t index)
{
    uint32_t before = ward__load(&worker->last_in);

    ward__store(&worker->last_in, index);
    if (before) ward__to_queue(here->node, worker, before);
}
static inline void ward__schedule_as(
    struct ward__here *here, struct ward__slot *slot, enum ward__kind kind)
{
    if (ward__unlikely(kind != WARD__HANDLER || !here->worker || here->node->sim ||
                       ward__load(&slot->phase) != WARD__LIVE))
        ward__schedule_slow(here, slot, kind);
    else
        ward__last_in(here, here->worker, ward__index(here->node, slot));
}
/* To the end of the queue. */
void ward__requeue(struct ward__here *here, struct ward__slot *slot);
/* Makes an actor that waits in its cell runnable, after the cell was claimed. */
void ward__resume(struct ward__here *here, struct ward__slot *slot);
/* Sets signal bits and makes it look at them. */
void ward__poke(struct ward__here *here, struct ward__slot *slot, uint32_t bits);
/* The next actor to run, or NULL: go home, or the worker was lost. Waits. */
struct ward__slot *ward__next_runnable(struct ward__thread *thread);
static inline bool ward__slices_left(const struct ward__worker *worker, uint32_t until)
{
    return (int32_t)(until - worker->slices) > 0;
}
/* Whether there may be something to do but run whoever is next. */
static inline bool ward__must_look(const ward_node *node, const struct ward__worker *worker)
{
    return !ward__slices_left(worker, worker->look_after) ||
           ward__load(&node->tick) != worker->tick_seen || ward__load(&worker->inbox) ||
           (ward__load(&node->hungry) && ward__load(&worker->queued) &&
               !ward__slices_left(worker, worker->share_after));
}
/* ward__next_runnable when somebody was made runnable just now; NULL: it knows. */
static inline struct ward__slot *ward__next_in(ward_node *node, struct ward__worker *worker)
{
    uint32_t index = ward__load(&worker->last_in);

    if (!index || ward__must_look(node, worker)) return NULL;
    if (ward__load(&worker->queued) && worker->last_in_row++ >= WARD__LAST_IN_ROW) return NULL;
    worker->slices++;
    ward__store(&worker->last_in, 0);
    return ward__slot(node, index);
}
void ward__ring(ward_node *node, struct ward__worker *worker);
/* Puts an actor of a spec that is held back aside; false: it is to run. */
bool ward__hold(ward_node *node, struct ward__slot *slot);
/* Makes those runnable again that need not wait any more, or are to stop. Any thread. */
void ward__let_go(ward_node *node);
/* The next actor for a thread of the blocking pool, or NULL: go home. Waits. */
struct ward__slot *ward__pool_next(ward_node *node);

/* -- running (run.c, turn.c) ------------------------------------------------------------------- */

/* Runs an actor until it has nothing to do or used its slice. */
void ward__run(struct ward__thread *thread, struct ward__slot *slot);
/* Runs what is runnable on this thread's worker, until it has lost it or is to go home. */
void ward__run_worker(struct ward__thread *thread);
/* The loop of a thread actor's body, on its thread. */
void ward__run_thread(struct ward__thread *thread, struct ward__slot *slot);
/* A thread actor's behaviour is over: waits for its children and cleans up. */
void ward__end_thread(struct ward__thread *thread, struct ward__slot *slot, ward_status rc);
void ward__self_init(
    ward_self *self, ward_node *node, struct ward__thread *thread, struct ward__slot *slot);

enum ward__next {
    WARD__NEXT_MAIL,
    WARD__NEXT_NONE,
    WARD__NEXT_BUSY, /* a sender is in the middle of it: later */
    WARD__NEXT_CANCELED,
    WARD__NEXT_CLOSED,
    WARD__NEXT_IDLE, /* .idle_ms went by */
    WARD__NEXT_AGAIN /* not answered: look once more */
};
/* The next thing for this actor; lent to self->hand. */
enum ward__next ward__next(struct ward__here *here, ward_self *self);
/* The same after the mailbox's take said so. See turn.h for the inline part of these. */
enum ward__next ward__next_taken(
    struct ward__here *here, ward_self *self, uint32_t index, bool missing);
/* Ends the message in hand: what is unanswered is broken with `status`. */
void ward__hand_end(struct ward__here *here, ward_self *self, ward_status status);
/* Serves senders that are parked at this actor. */
void ward__serve(struct ward__here *here, struct ward__slot *slot);
/* Resumes all senders that are parked at this actor, with `status`. */
void ward__evict(struct ward__here *here, struct ward__slot *slot, ward_status status);
void ward__fate(const struct ward__slot *slot, enum ward__fate fate);
/* The fate of the message in hand, if it came through the mailbox and is to end with its turn. */
void ward__hand_fate(const ward_self *self, enum ward__fate fate);
/* Inside an isolate: tells the host; WARD__FATES: handled. */
void ward__given_done(ward_node *node, const struct ward_msg *mail, enum ward__fate fate);
/* The kept ones end with their incarnation, which the slot still has: their places are free. */
void ward__kept_end(struct ward__slot *slot, bool in_doubt);
/* Puts a DOWN or a tick into the queue of an incarnation that lives; tree lock. */
void ward__signal_put(
    struct ward__here *here, struct ward__slot *slot, struct ward__signal *signal);
/* The same for who holds the stripe of the mailbox. */
void ward__signal_append(struct ward__inc *inc, struct ward__signal *signal);
/* Gives the answer that is lent back. */
void ward__answer_end(struct ward__here *here, ward_self *self);
/* Frees what ward_textf made since the last wait. */
void ward__texts_free(struct ward__here *here, ward_self *self);
/* The same at the end of a call that waits; a handler's last until it returns. */
static inline void ward__waited(struct ward__here *here, ward_self *self)
{
    if (ward__unlikely(self->inc && self->waits)) ward__texts_free(here, self);
}
/* An incarnation's end, on the thread that runs it. */
void ward__finish(struct ward__thread *thread, struct ward__slot *slot);
void ward__inc_free(struct ward__here *here, struct ward__inc *inc);
struct ward__inc *ward__inc_new(struct ward__here *here, const struct ward__spec *spec);
struct ward__inc *ward__inc_of(ward_self *self); /* NULL: no memory */
/* ward_alloc, within a call: what a wait holds must go with the incarnation if it never ends. */
void *ward__resize(ward_self *self, struct ward__here *here, void *old, size_t bytes);
/* Frees a taken message that is not lent; an asker gets `status`. */
void ward__discard(struct ward__here *here, struct ward__slot *slot, struct ward_msg *mail,
    enum ward__fate fate, ward_status status);
/* Lends a message; false: it is a question that nobody waits for, and was discarded. */
bool ward__lend(struct ward__here *here, ward_self *self, struct ward_msg *mail);
/* Empties a mailbox whose owner is the caller; each message gets the fate. */
void ward__drain(struct ward__here *here, struct ward__slot *slot, enum ward__fate fate,
    ward_status status, uint32_t until_count);

/* -- messages that come again (again.c) -------------------------------------------------------- */

/* The reader failed: its message in hand is put aside for the next incarnation, or was poison, or
 * is in doubt and ends here. */
void ward__hand_failed(struct ward__here *here, ward_self *self);
/* Hands out what was put aside. False: nobody waits for its answer any more. */
bool ward__again_take(struct ward__here *here, ward_self *self);
/* It will not be handed out: the life ends, or is degraded. */
void ward__again_drop(struct ward__here *here, struct ward__slot *slot);

/* -- waiting (wait.c) -------------------------------------------------------------------------- */

/* Why a wait cannot begin, or WARD_OK. */
ward_status ward__wait_refused(const ward_self *self);
/* The earlier of `by` and the deadline of the question in hand. */
int64_t ward__wait_until(const ward_self *self, ward_deadline by);
/* Begins the wait; nothing is parked yet. Returns the cell. */
uint64_t ward__wait_begin(
    struct ward__here *here, ward_self *self, int64_t until_ns, const char *what, const char *at);
/* Takes it back, nobody having heard of it. */
void ward__wait_undo(ward_self *self);
/* Parks until someone claims the cell; cancelled and abandoned waits end at once. */
ward_status ward__wait_end(struct ward__here *here, ward_self *self, uint64_t cell);
/* Parks a fiber or thread whose mailbox is idle, until it is scheduled. */
void ward__park_idle(struct ward__here *here, ward_self *self, int64_t until_ns);
/* One more message was sent or received: lets others run when the slice is over. */
void ward__spend(struct ward__here *here, ward_self *self);
/* Lets others run. */
void ward__yield(struct ward__here *here, ward_self *self);
/* Why a fiber went back to its thread's loop. */
enum ward__left { WARD__LEFT_PARKED, WARD__LEFT_YIELDED, WARD__LEFT_ENDED };
/* Cancels whoever works for an asker whose wait has ended without an answer. */
void ward__abandon(struct ward__here *here, uint32_t holder, struct ward__token token);
/* One step of it: what the holder has asked for that question without waiting is added. */
void ward__abandon_one(struct ward__here *here, uint32_t holder, struct ward__token token,
    struct ward__request **ending);
bool ward__abandoned(const ward_self *self);
/* Whether a shield is up (shield.c); one whose time has come falls here. */
bool ward__shielded(const ward_self *self);
void ward__unshield(const ward_self *self);
/* Why this actor has to stop or leave its message, unless it is shielded. */
ward_status ward__to_stop(const ward_self *self);
/* The question in hand; cell 0: none. */
static inline struct ward__token ward__question_of(const ward_self *self)
{
    return (struct ward__token){ ward__load(&self->slot->question_cell),
        ward__load(&self->slot->question_asker) };
}

/* -- timers (wheel.c) -------------------------------------------------------------------------- */

void ward__wheel_open(struct ward__wheel *wheel);
void ward__wheel_close(struct ward__wheel *wheel);
/* Sees to it that the wheel looks at slot->wait.deadline when it comes. */
void ward__wheel_arm(struct ward__here *here, struct ward__slot *slot, int64_t deadline_ns);
/* Takes an actor that waits for nothing out of the wheel it may be in. */
void ward__wheel_forget(ward_node *node, struct ward__slot *slot);
/* Fires what is due; true: there is more. The worker's thread. */
bool ward__wheel_run(struct ward__here *here, struct ward__worker *worker, int64_t now_ns);
/* When to look again, ns; INT64_MAX: never. Any thread. */
static inline int64_t ward__wheel_next_ns(const struct ward__worker *worker)
{
    uint64_t next = ward__load_seq(&worker->wheel.next);

    if (next > (uint64_t)(INT64_MAX - worker->node->opened_ns) / WARD__NS_MS) return INT64_MAX;
    return worker->node->opened_ns + (int64_t)next * WARD__NS_MS;
}

/* -- time and chance (clock.c) ----------------------------------------------------------------- */

int64_t ward__clock_ns(const ward_node *node); /* virtual when simulated */
uint64_t ward__clock_tick(const ward_node *node, int64_t ns); /* ms since open, rounded up */
uint64_t ward__chance(const ward_node *node); /* from the seed when simulated */
/* Whether a deadline is at or before now. One that is a second away is not looked up. */
static inline bool ward__passed(const struct ward__here *here, int64_t until_ns)
{
    const struct ward__worker *worker = here->worker;

    if (until_ns == INT64_MAX) return false;
    if (worker && worker->tick_seen == ward__load(&here->node->tick) &&
        until_ns > worker->now_ns + WARD__NS_S)
        return false;
    return until_ns <= ward__clock_ns(here->node);
}
/* When this worker last looked, if that was in this tick: for what is only shown. A turn may have
 * run for seconds since. */
static inline int64_t ward__about_now_ns(const struct ward__here *here)
{
    const struct ward__worker *worker = here->worker;

    if (worker && worker->tick_seen == ward__load(&here->node->tick)) return worker->now_ns;
    return ward__clock_ns(here->node);
}

/* -- messages (send.c) ------------------------------------------------------------------------- */

/* Makes a record with a copy of the value. token NULL: a tell. */
ward_status ward__mail_make(struct ward__here *here, uint32_t *out, const ward_type *type,
    const void *value, const struct ward__token *token);
void ward__mail_free(struct ward__here *here, uint32_t index);
/* Stands for a value that went elsewhere. */
extern const ward_type ward__nothing;
/* Bytes of what lies beside it and of its blobs. */
size_t ward__mail_weight_slow(struct ward_msg *mail);
static inline size_t ward__mail_weight(struct ward_msg *mail)
{
    if (ward__likely(!(ward__mail_bits(mail) & (WARD__MAIL_BESIDE | WARD__MAIL_BLOBS)))) return 0;
    return ward__mail_weight_slow(mail);
}
/* ward_send to a slot of this node. */
ward_status ward__send_local(struct ward__here *here, struct ward__slot *slot, uint64_t life,
    const ward_type *type, const void *value);
/* Delivers a record to a slot; on failure it is still the caller's. */
ward_status ward__deliver(
    struct ward__here *here, struct ward__slot *slot, uint64_t life, uint32_t index);
/* What a sender is told of a mailbox that was closed when it pushed. */
ward_status ward__closed_status(struct ward__slot *slot, uint64_t life);
/* Answers whoever the token names: mail 0 with a status, else WARD_OK. Takes the mail. False: the
 * asker waits no more. */
bool ward__answer(
    struct ward__here *here, struct ward__token token, ward_status status, uint32_t mail);
/* The token of a question that is not answered yet. */
static inline bool ward__asks(const struct ward_msg *mail)
{
    return ward__mail_bits(mail) & WARD__MAIL_ASK;
}
static inline struct ward__token ward__token_of(const struct ward_msg *mail)
{
    return (struct ward__token){ mail->u.ask.cell, mail->u.ask.asker };
}
/* Whether the asker of the token still waits, and until when. */
bool ward__asker_waits(const ward_node *node, struct ward__token token, int64_t *deadline_ns);

/* -- sockets (poller.c), simulation (sim.c) ---------------------------------------------------- */

void ward__poller_close(ward_node *node);
void ward__sim_schedule(ward_node *node, struct ward__slot *slot);
bool ward__sim_enter(ward_self *self);

#endif
