/* SPDX-License-Identifier: MIT */
/*
 * plan.h - what a supervisor decides: whom to start, whom to cancel, when it gives up. A state
 * machine without locks, threads, clock or actors: the caller reports events, then asks for
 * actions one at a time until there is none, and carries them out. Time is an argument, in ns,
 * of one monotonic clock that is never below 0.
 *
 * The caller owns the plan and uses it from one thread at a time; nothing here waits or
 * allocates but the three init functions. Events of one incarnation come in order: started (or
 * not), ended once. The rules and their reasons stand in plan.c.
 */
#ifndef WARD_SUPERVISOR_PLAN_H
#define WARD_SUPERVISOR_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <ward/ward.h>

#include "base/alloc.h"

/* A limit above this is refused, but WARD_UNLIMITED is none: each restart is remembered. */
enum { WARD__RESTARTS_MAX = 1024 };

/* The last restarts that are still within the window. */
struct ward__intensity {
    uint32_t max; /* WARD_UNLIMITED: no limit, but the last ones are kept for the backoff */
    uint32_t room, head, count; /* of the ring; head is the oldest */
    int64_t window_ns;
    int64_t *at;
};

enum ward__child_state {
    WARD__CHILD_WAITING, /* to be started: for the first time, or after a backoff */
    WARD__CHILD_STARTING,
    WARD__CHILD_UP,
    WARD__CHILD_STOPPING, /* cancelled by the plan */
    WARD__CHILD_DEGRADED, /* over a limit: waits for somebody to revive it */
    WARD__CHILD_ENDED /* for good */
};

struct ward__plan_child {
    ward_restart restart;
    ward_limit at_limit;
    enum ward__child_state state;
    bool significant; /* its own end for good is the supervisor's, too */
    bool final; /* somebody else cancelled it: its next end is for good */
    bool forget; /* ended for good, and WARD__ACT_FORGET is still to come */
    int64_t backoff_ns, backoff_max_ns;
    int64_t due_ns; /* of one_for_one and dynamic, while it waits: not to be started before */
    struct ward__intensity restarts;
};

enum ward__plan_phase {
    WARD__PLAN_RUNNING,
    WARD__PLAN_ENDING, /* of itself, see `reason`: stops its children */
    WARD__PLAN_CANCELLED, /* by WARD__EV_STOP: stops its children */
    WARD__PLAN_OVER /* WARD__ACT_END was given */
};

struct ward__plan {
    ward_strategy strategy;
    enum ward__plan_phase phase;
    uint32_t count; /* of static children; DYNAMIC: 0 */
    struct ward__plan_child *children;
    uint32_t first; /* the children before it have been up once, or come no more */
    uint32_t stop_from; /* live children from here on are being stopped; count: none are */
    bool started; /* WARD__ACT_STARTED was given */
    int64_t due_ns; /* of a group restart: nobody is started before */
    int64_t timer_ns; /* what the last WARD__ACT_TIMER said; INT64_MAX: nothing */
    int64_t stop_since_ns, stopped_ns; /* time spent on stopping groups, see plan.c */
    uint64_t random; /* what jitter is drawn from: the caller's seed. 0: no jitter at all */
    ward_reason reason; /* of WARD__PLAN_ENDING */
    struct ward__intensity restarts;
};

enum ward__plan_event {
    WARD__EV_CHILD_STARTED, /* its start has returned well */
    WARD__EV_CHILD_ENDED, /* its incarnation is over, or its start failed; `end` says how */
    WARD__EV_CHILD_CANCEL, /* somebody else wants it to stop: it is not started again. A live one
                              is cancelled by the caller */
    WARD__EV_CHILD_REVIVE, /* a degraded one is to start again, its restarts forgotten */
    WARD__EV_TIMER,
    WARD__EV_STOP, /* the supervisor is cancelled */
    WARD__EV_FAIL /* the caller gives up, for one over too many zombies */
};

/* How an incarnation ended. The first two are what `bool failed` would be. */
enum ward__end {
    WARD__END_NORMAL = 0,
    WARD__END_FAILED = 1, /* also: stuck, a failed or late start, a lost link */
    WARD__END_CANCELLED, /* was cancelled, no matter what it returned */
    WARD__END_ABANDONED, /* a body that returned WARD_EABANDONED: restarted, counts for nothing */
    WARD__END_FINAL, /* never restarted, whatever its kind: its mail was closed */
    WARD__END_OVER /* failed, and over a limit that the caller knows of: it degrades at once */
};

enum ward__act {
    WARD__ACT_NONE,
    WARD__ACT_START, /* child */
    WARD__ACT_CANCEL, /* child */
    WARD__ACT_FORGET, /* child: its life is over, and no event for it counts any more */
    WARD__ACT_TIMER, /* ask again at at_ns at the latest, in place of any earlier timer */
    WARD__ACT_STARTED, /* all children came up or ended: the supervisor itself has started */
    WARD__ACT_END /* no child is live, the supervisor itself is over: reason, status */
};

struct ward__action {
    enum ward__act act;
    uint32_t child;
    int64_t at_ns;
    ward_reason reason;
    ward_status status;
};

/* What becomes of a dynamic child. */
enum ward__verdict {
    WARD__VERDICT_FORGET,
    WARD__VERDICT_RESTART, /* at *due_ns */
    WARD__VERDICT_DEGRADE, /* park it, until ward__plan_dynamic_revive */
    WARD__VERDICT_END /* forget it, cancel all others, then ward__plan_next says END */
};

/* Of a spec, with the defaults filled in. */
struct ward__limits {
    uint32_t restarts_max;
    int64_t window_ns; /* a restart counts while it is younger; INT64_MAX: for ever */
    int64_t backoff_ns, backoff_max_ns; /* of a child */
};

/* False: no memory, or restarts_max is above WARD__RESTARTS_MAX and not WARD_UNLIMITED (which is
 * the user's mistake: check it before); nothing is to be freed then. Initialise each of the
 * `count` children (plan->children[k]) before the first event. DYNAMIC: count is 0. */
bool ward__plan_init(struct ward__plan *plan, struct ward__heap *heap, ward_strategy strategy,
    uint32_t count, const struct ward__limits *limits);
bool ward__plan_child_init(struct ward__plan_child *child, struct ward__heap *heap,
    ward_restart restart, const struct ward__limits *limits);
/* Its static children too, initialised or not. */
void ward__plan_free(struct ward__plan *plan, struct ward__heap *heap);
void ward__plan_child_free(struct ward__plan_child *child, struct ward__heap *heap);

/* Records an event; ward__plan_next must be asked before any time passes. `child` and `end`
 * count only where the event has them. What is out of date is ignored: STARTED of one that is
 * not starting, ENDED of one that is not live, anything after the end. */
void ward__plan_event(struct ward__plan *plan, enum ward__plan_event event, uint32_t child,
    enum ward__end end, int64_t now_ns);

/* The next thing to do, which counts as done from here on. Ask until it is WARD__ACT_NONE; an
 * event may be reported in between. DYNAMIC: gives STARTED and END only, and END at once: it
 * says why, the caller ends when the last child is gone. */
enum ward__act ward__plan_next(
    struct ward__plan *plan, int64_t now_ns, struct ward__action *action);

/* The end of a child of a DYNAMIC supervisor, whose state the caller keeps up: here it becomes
 * WAITING or ENDED. One in STOPPING was cancelled for good, whatever `end` is. */
enum ward__verdict ward__plan_dynamic_ended(struct ward__plan *plan, struct ward__plan_child *child,
    enum ward__end end, int64_t now_ns, int64_t *due_ns);
/* A degraded one is to start at once: it becomes WAITING, its restarts forgotten. */
void ward__plan_dynamic_revive(struct ward__plan_child *child);

#endif
