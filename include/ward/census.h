/* SPDX-License-Identifier: MIT */
/*
 * ward/census.h - who is alive, what each waits for and since when, and which are leaks. The rules
 * of ward.h hold. Nothing here stops an actor, needs a worker, or shows a payload.
 */
#ifndef WARD_CENSUS_H
#define WARD_CENSUS_H

#include <ward/ward.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ward_state_of {
    WARD_STARTING,   /* .start has not returned */
    WARD_RUNNABLE,   /* has work, waits for a thread */
    WARD_RUNNING,    /* in a turn */
    WARD_WAITING,    /* see wait, wait_site */
    WARD_STOPPING,   /* was cancelled, or its children are being stopped */
    WARD_BACKING_OFF,/* between two incarnations */
    WARD_DEGRADED,   /* over its limit of restarts; until ward_revive */
    WARD_ZOMBIE      /* quarantined; its turn has not returned */
} ward_state_of;

/* Strings live as long as the census. Times are ns on the node's clock; 0: does not apply. */
typedef struct ward_row {
    ward_ref ref, parent;
    ward_ref waits_on;       /* whom it asks or waits for room at, else nobody */
    const char *path;        /* "/main/shop/left" */
    const char *spawn_site;  /* "file:line" of the ward_spawn, or of the one of its supervisor */
    const char *wait;        /* "receive", "ask", "send", "sleep", "poll", "find", "join", "thread"
                                (runnable, but hung ones of its spec have half of the spares) or
                                "" */
    const char *wait_site;   /* "file:line" of the wait, or "" */
    ward_state_of state;
    int64_t since_ns;        /* in this state, to about 10 ms */
    int64_t deadline_ns;     /* of the wait; INT64_MAX: for ever */
    uint64_t incarnation;    /* 1 before the first restart */
    uint64_t taken;          /* messages */
    uint32_t mail, mail_max; /* what fills the mailbox, kept ones included; its bound */
    uint32_t kept, refused;
    size_t mail_bytes;       /* beside the messages: strings, lists, blobs */
} ward_row;

/* What became of all messages accepted so far; `unaccounted` is 0 at rest, or ward has a bug. While
 * messages are under way it may be off by some of them. */
typedef struct ward_totals {
    uint64_t accepted, queued, in_hand, kept, handled, abandoned, expired, dead_lettered, discarded,
        in_doubt, handed_over;                 /* these add up */
    uint64_t refused, fenced, late_replies;    /* these never came in */
    int64_t unaccounted;
    uint64_t spawned, ended, live, restarts, zombies, reaped;
} ward_totals;

typedef struct ward_census ward_census;

/* Blocks: the caller, about 0.2 us an actor. Ownership: free with ward_census_free.
 * Errors: none more. */
WARD_CHECKED ward_status ward_census_take(ward_node *node, ward_census **out);
WARD_API void ward_census_free(ward_census *census);
WARD_API size_t ward_census_count(const ward_census *census);
WARD_API const ward_row *ward_census_row(const ward_census *census, size_t index); /* or NULL */
WARD_API void ward_census_totals(ward_node *node, ward_totals *out, size_t out_bytes);

typedef enum ward_format {
    WARD_AS_TEXT,  /* a line an actor */
    WARD_AS_TREE,  /* the same, indented below its parent */
    WARD_AS_SITES, /* a line a spawn site, most actors first, with what most of them wait for */
    WARD_AS_MSGPACK
} ward_format;

/* Calls write until it returns false. Errors: WARD_ECANCELED when it did. */
WARD_CHECKED ward_status ward_census_write(const ward_census *census, ward_format format,
    bool (*write)(void *arg, const void *at, size_t bytes), void *arg);

/* Serves it at "ipc://path" or "tcp://127.0.0.1:port" to any nng REQ client, on threads that are
 * no workers, until the node closes. A request is the word text, tree, sites or msgpack; at most
 * 16 clients at once, the next one waits. May be called for several addresses.
 * Errors: WARD_ELINK (cannot bind); WARD_EDENIED (not ipc or loopback); WARD_EINVAL (url);
 * WARD_ESTATE (simulated, or closing). */
WARD_CHECKED ward_status ward_census_serve(ward_node *node, const char *url);

/* For tests: fails when actors spawned since `begin`, below `self`, still live after settle_ms.
 * Waits: that long at most. Errors: WARD_EFAIL. */
typedef struct ward_mark {
    uint64_t begun;
} ward_mark;
WARD_API ward_mark ward_leakcheck_begin(ward_self *self);
WARD_CHECKED ward_status ward_leakcheck_end(ward_self *self, ward_mark mark, int64_t settle_ms);

#ifdef __cplusplus
}
#endif

#endif
