/* SPDX-License-Identifier: MIT */
/*
 * tree.h - the supervision layer: who is whose child, who starts and stops whom, and when.
 *
 * One lock a node, the tree lock, guards parents and children, phases, monitors, finders, cold
 * timers and supervisors' plans. No user code runs under it and nothing waits under it, so a stuck
 * actor cannot hold it. The message path never takes it. Functions whose name ends in _locked want
 * it held; order: tree lock, then a mailbox's lock, then leaves.
 *
 * Supervisors are no actors that run: whoever has an event for one steps its plan (plan.h) and
 * carries out what it says.
 */
#ifndef WARD_SUPERVISOR_TREE_H
#define WARD_SUPERVISOR_TREE_H

#include <ward/sim.h>

#include "actors/node.h"
#include "base/proc.h"
#include "supervisor/plan.h"

enum { WARD__ROOT_SLOT = 1, WARD__PATH_MAX = 512 };

struct ward__supervisor {
    struct ward__plan plan;
    uint32_t *slots; /* of static children; 0: forgotten */
    uint32_t zombies;
    bool stepping; /* its plan is being carried out further up the stack */
    bool end_waits; /* DYNAMIC: the plan has said END, children still live */
    ward_reason reason;
    ward_status status;
};

/* Who waits for the end of an incarnation (monitor) or of a life (join). */
struct ward__watch {
    struct ward__signal signal; /* a monitor's DOWN */
    struct ward__watch *next, *prev; /* at the one watched */
    struct ward__watch *own_next, *own_prev; /* of the watcher's incarnation */
    struct ward__slot *watcher, *watched; /* watched NULL: it is remote, or was told */
    /* The news goes here, under the tree lock, and there is no watcher; the record is then the
     * callee's. NULL: to the watcher. */
    void (*tell)(struct ward__here *here, struct ward__watch *watch, const ward_down *down);
    ward_ref whom;
    uint32_t *join_left; /* NULL: a monitor. How many the join still waits for */
    uint64_t join_cell;
    void *remote; /* the route's, of a remote one that was not told yet */
};

/* On the stack of who joins. */
struct ward__join {
    struct ward__watch *watches; /* one for each; those of the dead are in no list */
    const ward_ref *whom;
    size_t count;
    uint32_t left;
};

struct ward__timer {
    struct ward__alarm alarm;
    struct ward__signal signal;
    struct ward__timer *next, *prev; /* of the incarnation */
    struct ward__slot *slot;
    uint64_t id;
};

/* Who waits for a path to be there. */
struct ward__finder {
    struct ward__finder *next;
    struct ward__slot *slot, *from;
    uint64_t cell;
    const char *path;
    ward_ref ref; /* of who was found */
    /* The outcome goes here, under the tree lock, and there is no slot; it is in no list any more,
     * and the record is the callee's. NULL: to the slot's wait. */
    void (*found)(struct ward__here *here, struct ward__finder *finder, struct ward__slot *found,
        ward_status rc);
};

struct ward__event_entry {
    ward_event event;
    char path[WARD__PATH_MAX / 2];
    char what[WARD__PATH_MAX / 2]; /* a url may be gone before the hook is called */
};
enum { WARD__EVENTS_MAX = 256 };

/* The search for deadlocks; see deadlock.c. */
struct ward__suspect {
    uint64_t cell;
    uint32_t slot;
};
enum { WARD__SUSPECTS_MAX = 64 };
struct ward__search {
    struct ward__hop *hops; /* the path; grows */
    uint32_t hops_count, hops_room;
    uint16_t mark; /* even: ward__slot.looked of those on the path; odd: of those done with */
    uint32_t suspects_count;
    bool suspects_all; /* there are more than there is room for: whoever waits */
    struct ward__suspect suspects[WARD__SUSPECTS_MAX];
};

struct ward__alarm_entry {
    int64_t at_ns; /* when to look at it */
    struct ward__alarm *alarm;
};

struct ward__tree {
    pthread_mutex_t lock;
    pthread_cond_t quiet; /* the root has no children any more */
    struct ward__spec_entry *_Atomic specs; /* grows in front, under its lock; freed at the end */
    pthread_mutex_t specs_lock;
    struct ward__spec_cache **caches; /* of each worker */
    /* Cold timers: a binary heap; place 0 is not used. */
    struct ward__alarm_entry *alarms;
    uint32_t alarms_count, alarms_room, alarms_wanted;
    struct ward__finder *finders;
    _Atomic uint32_t finders_count;
    struct ward__search search;
    uint64_t timers_made;
    uint64_t orphan_workers; /* mask of workers without a thread: a hand-over to be tried again */
    uint64_t looks; /* the watchdog has taken */
    uint32_t lent; /* threads, to long turns, at its last look */
    int64_t lent_ns; /* when it last lent one */
    int64_t look_ns; /* when it wants to look again, besides each tick; INT64_MAX: need not */
    int64_t fair_ns; /* nobody is quarantined before: the watchdog itself was late */
    bool looking; /* the clock thread holds look_lock, and calls on with it */
    bool closing;
    int64_t close_by_ns;
    int64_t stop_scale; /* of 1024: what is left of each grace during a close */
    /* Events: a ring under its own lock, a leaf. */
    pthread_mutex_t events_lock;
    pthread_cond_t events_cond;
    struct ward__event_entry *events;
    uint32_t events_head, events_count;
    uint64_t events_lost;
    bool events_opened, events_stop, events_started;
    int64_t events_hook_ns; /* since when it is in its hook; 0: it is not */
    bool events_over; /* the thread is about to end */
    bool events_dropped; /* nothing more is told */
    bool events_left; /* the thread, in its hook: the node was closed around it */
    pthread_t events_thread;
    pthread_t clock_thread;
    bool clock_started;
    _Atomic bool clock_stop;
};

extern const struct ward__tree_ops ward__tree_ops;

static inline void ward__tree_lock(ward_node *node)
{
    pthread_mutex_lock(&node->tree->lock);
}
static inline void ward__tree_unlock(ward_node *node)
{
    pthread_mutex_unlock(&node->tree->lock);
}

/* -- specs (spec.c) ---------------------------------------------------------------------------- */

/* Checks a spec and finds or makes its entry. Errors: WARD_EINVAL, WARD_ENOMEM; WARD_ESTATE: an
 * isolate where there can be none. */
ward_status ward__spec_intern(
    struct ward__here *here, const struct ward__spec **out, const ward_spec *spec, ward_site site);
ward_status ward__spec_caches_open(ward_node *node);
void ward__specs_free(ward_node *node);
/* What was counted of a spec, added to `books`; no lock. */
struct ward__books {
    uint64_t spawned, ended, accepted, settled, refused;
};
void ward__books_of(
    const ward_node *node, const struct ward__spec_entry *entry, struct ward__books *books);
bool ward__name_valid(const char *name);
/* Static children may be nested so deep; what 0 means. */
enum { WARD__CHILDREN_DEPTH = 16, WARD__STOP_MS = 5000, WARD__WINDOW_MS = 60000 };
/* A static child's spec, in `room`. */
const ward_spec *ward__spec_nth(const ward_children *children, size_t i, ward_spec *room);
/* Whether a supervisor can be stopped in the time that it spells, and within its window. */
bool ward__stop_holds(const ward_spec *spec); /* bound.c */
struct ward__limits ward__limits_of(const struct ward__spec *spec);

/* -- slots with an actor in them (spawn.c) ----------------------------------------------------- */

/* Makes an actor below `parent`, with a supervisor's static children; nothing is started.
 * Errors: WARD_ENOMEM, WARD_ELIMIT; then nothing is left of it. */
struct ward__birth {
    const struct ward__spec *spec;
    const char *name;
    void *arg;
    size_t arg_bytes;
};
ward_status ward__actor_make_locked(struct ward__here *here, struct ward__slot **out,
    struct ward__slot *parent, const struct ward__birth *birth);
/* Frees what an actor had besides its mailbox, and the slot; it has no children and no mail. */
void ward__actor_unmake_locked(struct ward__here *here, struct ward__slot *slot);
/* The same in two steps, for one without plan and children, of which only the first needs the
 * lock: takes it out of the tree; then its mail goes to dead letters, and it is freed. */
void ward__actor_leave_locked(struct ward__here *here, struct ward__slot *slot);
void ward__actor_left(struct ward__here *here, struct ward__slot *slot);
/* A supervisor that is started again: a fresh plan, and slots for its static children.
 * Errors: WARD_ENOMEM, WARD_ELIMIT. */
ward_status ward__supervisor_renew_locked(struct ward__here *here, struct ward__slot *slot);
void ward__arg_hold(void *arg);
void ward__arg_drop(struct ward__here *here, void *arg, size_t arg_bytes);

/* -- the tree (tree.c) ------------------------------------------------------------------------- */

/* Begins an incarnation. It may fail at once, and its parent may then have judged already. */
void ward__start_locked(struct ward__here *here, struct ward__slot *slot);
/* final: it is not to come again, so no more mail either. */
void ward__cancel_locked(struct ward__here *here, struct ward__slot *slot, bool final);
void ward__cancel_children_locked(struct ward__here *here, struct ward__slot *slot);
/* A life is over: tells who waits, drains the mail, frees the slot. It has no children. */
void ward__life_over_locked(struct ward__here *here, struct ward__slot *slot);
/* An incarnation is over for good or not; what its parent says happens. */
void ward__finished_locked(struct ward__here *here, struct ward__slot *slot);
/* Carries out what a supervisor's plan says. */
void ward__step_locked(struct ward__here *here, struct ward__slot *slot);
/* A slot's alarm went off. */
void ward__alarmed_locked(struct ward__here *here, struct ward__slot *slot, int64_t now_ns);
/* The worst case of stopping an actor with all below it. */
int64_t ward__stop_bound_locked(const ward_node *node, const struct ward__slot *slot);

/* -- degraded actors (degrade.c) --------------------------------------------------------------- */

/* An incarnation is over, and its supervisor parks it: nobody starts it again but ward_revive. */
void ward__degrade_locked(struct ward__here *here, struct ward__slot *slot);

/* -- cold timers (alarm.c) --------------------------------------------------------------------- */

/* Room for it, so that setting it cannot fail. */
bool ward__alarm_reserve_locked(ward_node *node, struct ward__alarm *alarm);
/* Takes it out for good: its memory may go. */
void ward__alarm_end_locked(ward_node *node, struct ward__alarm *alarm);
void ward__alarm_set_locked(ward_node *node, struct ward__alarm *alarm, int64_t at_ns);
void ward__alarm_clear_locked(struct ward__alarm *alarm);
bool ward__alarm_armed(const struct ward__alarm *alarm);
/* Takes the next one that is due, or NULL; *next_ns: when the one after comes. */
struct ward__alarm *ward__alarm_due_locked(ward_node *node, int64_t now_ns, int64_t *next_ns);
/* Requests: see look_at of ward__tree_ops; and that time has come. */
ward_status ward__requests_at(struct ward__here *here, struct ward__alarm *alarm, int64_t at_ns);
void ward__requests_look_locked(struct ward__here *here, struct ward__alarm *alarm, int64_t now_ns);
/* A user's timer went off. */
void ward__tick_locked(struct ward__here *here, struct ward__alarm *alarm);

/* -- monitors (monitor.c) ---------------------------------------------------------------------- */

/* Tells who watches; final: also those who join. */
void ward__watches_tell_locked(struct ward__here *here, struct ward__slot *slot, bool final);
/* Tells who monitors one that is degraded now; who joins it waits on. */
void ward__watches_degraded_locked(struct ward__here *here, struct ward__slot *slot);
void ward__watches_forget_locked(struct ward__here *here, struct ward__inc *inc);
bool ward__monitors_locked(const struct ward__slot *watcher, const struct ward__slot *whom);
/* For who is no actor: `tell` and `whom` are set. It may be told at once. */
void ward__watch_add_locked(struct ward__here *here, struct ward__watch *watch);
void ward__watch_remove_locked(struct ward__watch *watch);
/* A remote one: the route has the news. The watch is its signal from now on. */
void ward__watch_tell_locked(
    struct ward__here *here, struct ward__watch *watch, const ward_down *down);
/* An incarnation's timers, and its requests with theirs. */
void ward__timers_forget_locked(struct ward__here *here, struct ward__inc *inc);

/* -- deadlocks (deadlock.c) -------------------------------------------------------------------- */

/* It is about to park for one that waits, or its question went on to such a one. No lock held. */
void ward__cycle(struct ward__here *here, struct ward__slot *slot);
/* What could not be decided then. True: it cannot yet. */
bool ward__cycles_look_locked(struct ward__here *here);
void ward__cycles_close(ward_node *node);

/* -- names (find.c) ---------------------------------------------------------------------------- */

void ward__name_set(ward_node *node, const struct ward__slot *slot, const char *name);
/* The name, or "#slot"; returns out. Any thread, no lock; racing with reuse it may be torn. */
const char *ward__name_get(const ward_node *node, uint32_t slot, char out[WARD__NAME_MAX]);
/* "/main/shop/left"; any thread, no lock. */
void ward__path(const ward_node *node, const struct ward__slot *slot, char *out, size_t bytes);
/* Finds from the root; *out NULL: not there or not started. Errors: WARD_EINVAL. */
ward_status ward__lookup_locked(
    ward_node *node, struct ward__slot **out, const struct ward__slot *from, const char *path);
void ward__finders_look_locked(struct ward__here *here);
/* For who is no actor: `found`, `from` and `path` are set. It may be told at once. */
void ward__finder_add_locked(struct ward__here *here, struct ward__finder *finder);
void ward__finder_remove_locked(ward_node *node, struct ward__finder *finder);

/* -- events (event.c) -------------------------------------------------------------------------- */

struct ward__news {
    ward_event_kind kind;
    const struct ward__slot *slot; /* NULL: `path` */
    const char *path, *what, *site;
    ward_reason reason;
    ward_status status;
    int64_t took_ns;
};
void ward__event(ward_node *node, const struct ward__news *news);
ward_status ward__events_open(ward_node *node);
void ward__events_drain(ward_node *node);
/* False: the hook has not come back by then, its thread was left behind. */
bool ward__events_close(ward_node *node, int64_t by_ns);

/* -- the watchdog (watchdog.c) ----------------------------------------------------------------- */

ward_status ward__clock_open(ward_node *node);
void ward__clock_close(ward_node *node);
void ward__clock_ring(ward_node *node);
/* What the clock thread does at a time; returns when it wants to be called next. */
int64_t ward__clock_step(ward_node *node, int64_t now_ns);
/* Whether a supervisor, or the node, has more zombies than it puts up with. */
bool ward__zombies_over_locked(const ward_node *node, const struct ward__slot *parent);
/* Revokes the turn an actor is in. False: it is in none now. Tree lock. */
bool ward__quarantine_locked(struct ward__here *here, struct ward__slot *slot, int64_t now_ns);
/* A quarantined turn came back, on its own thread: its memory goes. */
void ward__returned(struct ward__here *here, struct ward__thread *thread);
/* Frees what zombies of a simulated node hold: they never come back. */
void ward__zombies_discard(ward_node *node);

/* -- threads for long turns (spares.c) --------------------------------------------------------- */

/* Counts who has how many, and lets those go on that were put aside. */
void ward__spares_look_locked(ward_node *node);
/* How long a turn may last on that worker before another thread takes the worker. */
int64_t ward__lend_after_ns(const struct ward__worker *worker, int64_t now_ns);
bool ward__may_lend(const ward_node *node);
/* A worker was taken from a turn of that actor. */
void ward__lent_locked(ward_node *node, struct ward__worker *worker, const struct ward__slot *slot);
bool ward__lending_lately(const ward_node *node, int64_t now_ns);

/* -- late turns (late.c) ----------------------------------------------------------------------- */

enum { WARD__DUES_MAX = 16 };
/* A turn to be looked at more closely. */
struct ward__due {
    struct ward__thread *thread; /* may be gone by now: look for it before you follow it */
    uint64_t turn;
    int tid, owner; /* owner: of the lock it waits for; 0: none */
    bool first; /* only its times are wanted */
    struct ward__syscall call;
    struct ward__times times;
    char fd[80];
};
struct ward__dues {
    struct ward__due at[WARD__DUES_MAX];
    uint32_t count;
    bool traced;
};
/* Asks the kernel about them; no lock is held. */
void ward__due_look(struct ward__dues *dues);
/* Takes off its age what was not its own. The first time only begins to count. */
void ward__due_credit_locked(struct ward__due *due, bool traced, int64_t now_ns);
/* Writes down what it is doing. */
void ward__due_text_locked(ward_node *node, struct ward__due *due, int64_t age_ns);
/* "TYPE: what it is doing". */
void ward__late_what(const struct ward__thread *thread, char *out, size_t bytes);

/* -- the node (node.c) ------------------------------------------------------------------------- */

/* A node without its threads, which begin in another process, after a fork. The first as ward_open;
 * errors of the second: WARD_ENOMEM, and the process is to end. */
ward_status ward__open_still(ward_node **out, const ward_opts *opts);
ward_status ward__open_forked(ward_node *node);
/* Frees a node that was closed around its last thread, on that thread. */
void ward__node_left(ward_node *node);
/* As ward_open, in that simulation. */
ward_status ward__open_simulated(
    ward_node **out, const ward_opts *opts, size_t opts_bytes, ward_sim *sim);

/* -- simulations (simulate.c, graph.c) --------------------------------------------------------- */

/* As ward_run, with ward_opts.sim_seed, which is 0 of a real node. */
ward_status ward__run_simulated(ward_body *body, const ward_opts *opts, size_t opts_bytes);
uint64_t ward__sim_seed(const ward_opts *opts, size_t opts_bytes);
/* Appends a line for each actor that waits: whom for, where in the code, since when. Cut off where
 * there is no room; always terminated. Returns the new length. */
size_t ward__graph(ward_node *node, bool named, char *out, size_t length, size_t bytes);

#endif
