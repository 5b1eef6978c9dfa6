/* SPDX-License-Identifier: MIT */
/*
 * actor.h - what an actor is made of: slot, incarnation, spec, and the record of a turn.
 *
 * A slot is an address. It lies in one reserved range, so that an index is an address and the
 * census can walk it without stopping anyone; it is never unmapped while the node lives, so a
 * stale index is checked (life), never followed into freed memory.
 *
 * ward_self is the record of a turn, not of a slot: a handler's lies in the thread that runs it, a
 * body's beside its stack. State, memory, deferred calls and kept messages hang off the
 * incarnation. Quarantine takes the incarnation out of the slot and leaves the record with the
 * thread, so a zombie can neither send as its successor nor touch its state.
 *
 * Fields of a slot belong to: senders and anybody (atomics), the owner (whoever runs the actor;
 * handed on by the run queue), or the tree lock of the supervision layer, as marked.
 *
 * Knows no supervisor: what it needs of the tree it calls through ward__tree_ops.
 */
#ifndef WARD_ACTORS_ACTOR_H
#define WARD_ACTORS_ACTOR_H

#include "actors/fiber.h"
#include "mailbox/mailbox.h"

enum ward__kind {
    WARD__HANDLER, /* turns on the pool */
    WARD__BODY, /* a fiber on the pool */
    WARD__POOLED, /* a blocking handler: turns on threads apart */
    WARD__THREAD, /* a blocking body: a thread for life */
    WARD__ATTACHED, /* a thread of the host */
    WARD__ISOLATE, /* a process: nothing of it runs here */
    WARD__SUPERVISOR,
    WARD__ROOT
};

/* Where an actor is in its life; under the tree lock, but for what the owner sees of its own. */
enum ward__phase {
    WARD__FREE,
    WARD__BETWEEN, /* waits to be started: first time, or backing off */
    WARD__START, /* .start runs, or will */
    WARD__LIVE,
    WARD__ENDING, /* its behaviour is over, its children are being stopped */
    WARD__FINISH, /* deferred calls and clean-up are to run */
    WARD__DEGRADED /* parked by its supervisor, which had restarted it too often */
};

/* Bits of ward__slot.signals. */
enum {
    WARD__SIG_CANCEL = 1, /* sticky: it must stop */
    WARD__SIG_QUEUE = 2, /* there are records in the incarnation's queue */
    WARD__SIG_TIME = 4, /* its deadline passed */
    WARD__SIG_AGAIN = 8, /* a message is to be handed out again, before all others */
    WARD__SIG_SHIELD = 16 /* its waits are not to end for CANCEL; the owner's and the stop's */
};

/* What became of messages, apart from "handled", which is the remainder. */
enum ward__fate {
    WARD__ABANDONED,
    WARD__EXPIRED,
    WARD__DEAD_LETTERED,
    WARD__DISCARDED,
    WARD__IN_DOUBT,
    WARD__HANDED_OVER, /* to another node */
    WARD__FATES
};

/* Whom an actor waits for: ward__slot.edge. See supervisor/deadlock.c. */
enum ward__edge {
    WARD__EDGE_NONE, /* for no actor, or for nothing */
    WARD__EDGE_ONE = 1, /* wait.holder: it has the question, or no room for the message */
    WARD__EDGE_ALL = 2, /* those it joins */
    WARD__EDGE_SURE = 4 /* it parks for them; without: about to, and may yet be refused */
};

struct ward__spec;

/* One static child of a supervisor's spec. */
struct ward__child {
    const struct ward__spec *spec;
    const char *name;
    void *arg;
    size_t arg_bytes;
};

/* A ward_spec with its defaults filled in, without name and arg. Equal ones of a spawn site are
 * one; they live as long as the node. */
struct ward__spec {
    ward_handler *handle;
    ward_body *body, *start;
    struct {
        ward_handler *handle;
        ward_body *body, *start;
    } user; /* the same, but in a simulated node, where those above are the simulator's */
    void (*cleanup)(ward_self *self, ward_reason why);
    const char *site, *function;
    const struct ward__child *children;
    size_t children_count, state_bytes, mailbox_bytes, stack_bytes;
    int64_t idle_ns, start_ns, stop_ns, stuck_ns; /* INT64_MAX: never */
    int64_t bound_ns; /* of a stop, with all that it is known to have below it */
    int64_t window_ns, backoff_ns, backoff_max_ns;
    uint32_t mailbox_max, restarts_max, children_max, zombies_max, site_max, redeliver;
    enum ward__kind kind;
    ward_idle on_idle;
    ward_restart restart;
    ward_limit at_limit;
    ward_strategy strategy;
    uint32_t stop_spelled, drain_on_stop, discard_on_restart, significant;
    size_t isolate_place, isolate_bytes_max; /* of its functions in the table */
    uint32_t isolate_cpu_s, isolate_files_max, isolate_standby, isolate_blocks;
};

/* What is counted of a spec: kept beside it, so that specs can be compared byte by byte. */
struct ward__counts {
    _Atomic uint64_t restarts, reaped;
    _Atomic uint64_t fates[WARD__FATES];
    /* Threads lent to long turns of its actors, at the watchdog's look `lent_look`. */
    uint32_t lent;
    uint64_t lent_look;
    _Atomic bool held; /* its other actors wait until there are fewer */
};

/* What each spawn and each end counts: one for each worker, which is its only writer, and before
 * them one for all other threads. */
struct ward__tally {
    _Atomic uint64_t spawned, ended;
    _Atomic uint64_t accepted, settled, refused; /* of lives that ended */
    unsigned char apart[128 - 5 * sizeof(uint64_t)]; /* so that two share no cache line */
};

struct ward__spec_entry {
    struct ward__spec spec;
    struct ward__counts counts;
    struct ward__spec_entry *next;
    struct ward__tally tallies[];
};

static inline struct ward__counts *ward__counts(const struct ward__spec *spec)
{
    return &((struct ward__spec_entry *)(uintptr_t)spec)->counts;
}
static inline struct ward__tally *ward__tallies(const struct ward__spec *spec)
{
    return ((struct ward__spec_entry *)(uintptr_t)spec)->tallies;
}

struct ward__here;
struct ward__request;

/* A signal with storage of its own: a DOWN, a tick, the outcome of a request. The lock of the
 * slot's mailbox guards the queue. */
struct ward__signal {
    struct ward__signal *next;
    bool ordered; /* due when the receiver has taken as many messages as `due` says */
    uint32_t due;
    void (*release)(struct ward__here *here, struct ward__signal *signal); /* the reader is done */
    struct ward_msg mail;
};

struct ward__block { /* ward_alloc */
    struct ward__block *next, *prev;
    size_t bytes;
    size_t align;
};

struct ward__deferred {
    void (*fn)(void *arg);
    void *arg;
};
enum { WARD__DEFERRED_MAX = 64 };

/* Whose alarm it is. */
enum ward__alarm_of { WARD__ALARM_SLOT, WARD__ALARM_TICK, WARD__ALARM_REQUESTS };

/* A cold timer; tree lock. */
struct ward__alarm {
    int64_t at_ns; /* INT64_MAX: not armed, even if the heap still holds it */
    uint32_t place; /* in the heap; 0: in none */
    uint8_t of; /* enum ward__alarm_of */
    bool reserved; /* there is room for it in the heap */
};

/* An incarnation's requests, see request.c; the stripe of its mailbox. */
struct ward__asks {
    struct ward__alarm alarm; /* tree lock */
    struct ward__slot *slot; /* NULL: there never were any */
    uint64_t waits; /* cell of ward_await; 0: none */
    int64_t look_ns; /* when the alarm looks at them, or earlier; 0: never yet */
    uint32_t count; /* the owner's: outcomes not taken yet, and the one lent */
};

/* What belongs to one incarnation; made when first needed. */
struct ward__inc {
    size_t bytes; /* of this record with the state behind it */
    struct ward__block *blocks, *texts;
    struct ward__deferred *deferred;
    uint32_t deferred_count, deferred_room;
    uint32_t kept_count, kept_room;
    struct ward_msg **kept;
    ward_blob **blobs;
    uint32_t blobs_count, blobs_room;
    struct ward__signal *signals, **signals_end; /* see ward__signal */
    void *watches; /* of the supervision layer: whom it monitors; tree lock */
    void *timers; /* of the supervision layer; tree lock */
    struct ward__asks asks;
    int64_t shield_ns; /* until then; the owner's */
    void *join; /* of the supervision layer: what a WARD__EDGE_ALL stands for; tree lock */
    _Alignas(16) unsigned char state[];
};

struct ward__thread;
struct ward__isolate;
struct ward__supervisor;
struct ward__watch;

/* What is known of an actor's end and place; tree lock. */
struct ward__marks {
    bool linked; /* below its parent */
    bool asked; /* this incarnation was cancelled, its stop_ms runs */
    bool final; /* ... and is not to come again */
    bool shielded; /* ... under a shield: the alarm is for its fall, an eighth early */
    bool late; /* its .start took longer than start_ms */
    bool child_failed; /* it was cancelled because a child failed */
    bool quarantined; /* its turn was revoked; no thread of its own will finish it */
    bool lenient; /* the root, a host's thread: a child's failure is an event only */
    uint8_t signal, exit_code; /* how an isolate's process ended */
};

struct ward__slot {
    struct ward__mailbox box;
    struct ward__wait wait;
    /* Anybody's. */
    _Atomic uint32_t signals;
    _Atomic uint32_t question_asker; /* of the question in hand: see ward__token */
    _Atomic uint64_t question_cell; /* 0: none is in hand */
    _Atomic(const struct ward__spec *) spec;
    _Atomic(const char *) wait_at; /* "file:line" of the wait */
    _Atomic(const char *) wait_what;
    _Atomic int64_t since_ns;
    _Atomic uint64_t incarnation;
    _Atomic uint64_t born; /* leak checks begun before it was born */
    _Atomic(struct ward__thread *) on; /* whose thread its fiber is on */
    _Atomic uint16_t home; /* worker */
    _Atomic uint8_t phase;
    _Atomic uint8_t kind;
    _Atomic uint8_t edge; /* enum ward__edge */
    uint16_t looked; /* by the search for deadlocks; tree lock */
    /* The owner's. */
    struct ward__inc *inc;
    uint32_t again; /* a message that is to be handed out again: see again.c. 0: none */
    union {
        struct ward__fiber *fiber;
        struct ward__isolate *_Atomic isolate; /* of that kind; supervision's */
    };
    struct ward__thread *thread; /* of a thread actor; under threads_lock, for who wakes it */
    _Atomic(struct ward__request *) requests; /* that are open; the mailbox's stripe */
    void *arg;
    size_t arg_bytes;
    /* The wheel's. */
    uint32_t wheel_next, wheel_prev;
    _Atomic uint64_t wheel_tick; /* when it is looked at; 0: in no wheel */
    uint16_t wheel_of; /* level and place */
    uint16_t wheel_worker; /* changes only while it is in none */
    /* The run queue's. */
    uint32_t queue_next, queue_prev;
    /* Under the tree lock. */
    _Atomic uint32_t parent;
    uint32_t child, next, prev; /* 0: none; slot 0 is nobody, the root is 1 */
    uint32_t children; /* live */
    uint32_t place; /* among the static children of its supervisor */
    uint8_t reason; /* of the end under way */
    struct ward__marks marks;
    ward_status status;
    struct ward__watch *watches; /* who monitors or joins it */
    struct ward__supervisor *supervisor;
    void *plan_child; /* of a dynamic child */
    struct ward__alarm alarm; /* start, stop or backoff */
};

enum ward__self_kind { WARD__SELF_TURN, WARD__SELF_OUTSIDE };

struct ward_self {
    ward_node *node;
    struct ward__thread *thread; /* it runs on now */
    struct ward__slot *slot;
    struct ward__inc *inc;
    const struct ward__spec *spec;
    void *arg;
    uint64_t incarnation, life;
    struct ward_msg *hand; /* the message lent; NULL: none */
    struct ward_msg *answer; /* lent until the next ask or receive */
    enum ward__self_kind kind;
    bool waits; /* false in a handler: calls that would wait are WARD_ESTATE */
    bool ending; /* in deferred calls and clean-up */
    bool drained; /* nothing more is lent, it was told to stop */
    uint32_t fenced; /* calls refused */
    uint32_t since_yield; /* messages */
    int64_t slice_ns; /* when a body had its first 64; 0: not yet */
    uint32_t served; /* tick at which parked senders were last looked after */
    /* A fiber's, to the thread that resumed it. */
    uint32_t left; /* enum ward__left */
    ward_status rc;
    void *escape; /* simulated: where a crash goes; NULL: nowhere */
};

#endif
