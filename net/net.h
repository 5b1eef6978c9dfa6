/* SPDX-License-Identifier: MIT */
/*
 * net.h - the links of one node: endpoints that make connections, sessions on them, and what is
 * under way between our actors and those of peers.
 *
 * A session is one connection, from HELLO to its loss; nothing crosses from one to the next. Of a
 * peer, known by its name and its id, at most one session is up. What a session carries:
 *
 *     pending   a question or a find of ours, until the peer has answered
 *     call      a question of the peer's, from ASK until it was answered or cancelled
 *     far       our monitor on an actor of the peer
 *     near      the peer's monitor on an actor of ours
 *     seeker    a path that the peer waits for
 *
 * Locks: a session's `frames` -> the tree lock -> a mailbox's -> the net's -> a link's. `frames` is
 * held while a frame is handled, so that nothing of a session is delivered after its end was told.
 * User code never runs here. The record is made by the first ward_listen or ward_connect and freed
 * with the node; everything else in it is gone when ward_close returns.
 */
#ifndef WARD_NET_NET_H
#define WARD_NET_NET_H

#include <sys/queue.h>
#include <ward/net.h>

#include "mailbox/lane.h"
#include "mailbox/slab.h"
#include "net/link.h"
#include "net/map.h"
#include "net/url.h"
#include "supervisor/tree.h"

enum {
    WARD__CALLS_MAX = 1 << 20, /* open questions of all peers */
    WARD__OPEN_MAX = 65536, /* questions, monitors, finds: of a session, each */
    WARD__SESSIONS_MAX = 1024,
    WARD__STRANGERS_MAX = 128, /* that are not up yet */
    WARD__DOORS = 64,
    WARD__HELD_MAX = 8 << 20, /* bytes of mail of a peer's that wait here for room */
    WARD__HELD_MANY = 1 << 20, /* for one actor: then the peer is told to stop */
    WARD__FULLS_MAX = 4096, /* actors with which a session may be told to stop, each way */
    WARD__WAITERS_MAX = 64, /* who are told of room at once; others look again by themselves */
    WARD__HOMES_MAX = 1024, /* nodes whose names are remembered */
    WARD__URL_MAX = 256
};

/* A name that was seen; kept until the node closes, because ward_home lends it. */
struct ward__name {
    struct ward__name *next;
    char text[WARD__NAME_MAX];
};

struct ward__home {
    uint32_t node;
    const struct ward__name *name;
};

struct ward__call {
    _Atomic uint64_t cell; /* see mailbox/wait.h */
    _Atomic int64_t deadline_ns;
    _Atomic uint32_t holder; /* slot that holds it; see mailbox/wait.h */
    /* Net lock. */
    struct ward__session *session; /* NULL: it is free */
    struct ward__entry entry; /* of the session's calls, by the peer's id */
    uint32_t next; /* free one */
};

struct ward__pending {
    struct ward__entry entry; /* of the net's, by our id */
    LIST_ENTRY(ward__pending) list; /* of its session, or of those that wait for one */
    struct ward__token token;
    struct ward__session *session; /* NULL: a find whose node is not linked */
    size_t bytes; /* of this record */
    int64_t by_ns;
    const char *path; /* a find's; NULL: a question */
    char node[]; /* a find's, and the path behind it */
};
LIST_HEAD(ward__pendings, ward__pending);

struct ward__far {
    struct ward__entry entry; /* of the net's, by our id */
    LIST_ENTRY(ward__far) list; /* of its session */
    struct ward__watch *watch;
    struct ward__session *session;
};
LIST_HEAD(ward__fars, ward__far);

struct ward__near {
    struct ward__watch watch; /* its news go to the session */
    struct ward__entry entry; /* of the session's, by the peer's id */
    struct ward__session *session;
};

struct ward__seeker {
    struct ward__finder finder;
    struct ward__entry entry; /* of the session's, by the peer's id */
    struct ward__session *session;
    char path[WARD__WIRE_PATH_MAX + 1];
};

/* SENDs of one read for one actor, which go into its mailbox together. */
struct ward__batch {
    struct ward__slot *slot;
    uint32_t index; /* of the slot */
    uint64_t life;
    struct ward__chain chain;
    size_t weight; /* of what lies beside them */
};

/* Mail that waits for room at one actor. It outlives its session: what has arrived is delivered. */
struct ward__held {
    struct ward__lane lane; /* first; the lock of the actor's mailbox, also for what follows */
    size_t counted; /* of its bytes in session->held_bytes */
    bool told; /* the peer sends no more */
    uint64_t life;
    struct ward__session *session; /* NULL: it is over */
    struct ward__net *net;
    struct ward__slot *slot;
    struct ward__entry entry; /* of the session's, by slot; `frames` */
    LIST_ENTRY(ward__held) list; /* of the net's without a session; net lock */
};
LIST_HEAD(ward__helds, ward__held);

/* An actor of a peer's whose mailbox is full. */
struct ward__full {
    struct ward__entry entry; /* of the session's, by slot */
    uint64_t life;
};

/* Of a session that is over the memory is used for another one, and stays until the net is freed:
 * see ward__link_put_to. */
struct ward__session {
    struct ward__link link; /* holds the references; first */
    pthread_mutex_t frames;
    SLIST_ENTRY(ward__session) spare_list; /* net lock */
    struct ward__net *net; /* what follows is zero in a new one */
    struct ward__endpoint *endpoint; /* a reference */
    /* Net lock. */
    LIST_ENTRY(ward__session) list; /* until the link is over */
    const struct ward__name *peer; /* NULL: not known yet */
    uint32_t peer_node;
    uint64_t peer_incarnation;
    bool claimed; /* it is to be the one with this peer */
    bool up, parting;
    struct ward__pendings asks;
    struct ward__map calls;
    struct ward__map fulls;
    /* Tree lock. */
    struct ward__fars fars;
    struct ward__map nears, seekers;
    /* Under `frames`. */
    bool greeted, ended, spare; /* spare: there is another, which stays */
    ward_status refusal; /* why we do not take it */
    struct ward__link_limits limits; /* once up */
    struct ward__frame refused; /* SENDs not taken since the last REFUSED */
    struct ward__batch batch;
    struct ward__map held;
    struct ward__magazines magazines;
    struct ward__slabs slabs;
    struct ward__known known; /* types that came */
    _Atomic size_t held_bytes; /* anybody's */
};
LIST_HEAD(ward__sessions, ward__session);

struct ward__endpoint {
    struct ward__net *net;
    LIST_ENTRY(ward__endpoint) list;
    bool listens; /* or dials */
    struct ward__door *door;
    struct ward__io *worker, *napper; /* accepts or dials; waits to try again */
    /* Net lock. */
    uint32_t refs; /* operations under way, sessions, the list */
    bool closed;
    uint32_t backoff_ms;
    uint32_t peer_node; /* it last reached; 0: none yet */
    uint64_t chance;
    ward_link_opts opts; /* defaults filled in; peer is in `peer` */
    char peer[WARD__NAME_MAX];
    char url[WARD__URL_MAX]; /* as it was given */
};
LIST_HEAD(ward__endpoints, ward__endpoint);

struct ward__net {
    struct ward__route route;
    ward_node *node;
    const struct ward__transport *via;
    uint64_t incarnation;
    char name[WARD__NAME_MAX]; /* that peers know us by */
    struct ward__call *calls; /* reserved address space */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    struct ward__endpoints endpoints;
    struct ward__sessions sessions;
    SLIST_HEAD(, ward__session) spares; /* memory of sessions that are over */
    struct ward__session *_Atomic doors[WARD__DOORS]; /* to nodes; a door may lead elsewhere */
    uint32_t sessions_count, live; /* live: endpoints and sessions that are not freed */
    bool stopping;
    struct ward__name *names;
    uint32_t names_count;
    struct ward__home homes[WARD__HOMES_MAX];
    uint32_t homes_next;
    uint32_t calls_used, call_free;
    struct ward__helds held; /* whose session is over */
    struct {
        uint32_t node;
        struct ward__token token;
    } waiters[WARD__WAITERS_MAX]; /* for room at the actors of that node */
    uint32_t waiters_count;
    struct ward__map pending;
    struct ward__pendings unlinked; /* finds whose node is not linked */
    /* Tree lock. */
    struct ward__map fars;
    uint64_t last_id;
    /* Counted. */
    _Atomic uint32_t fulls; /* in all sessions */
    _Atomic uint64_t refused_by_peers, refused_here, late, broken_off;
};

/* -- the net (net.c) --------------------------------------------------------------------------- */

/* Something that had been counted in `live` is freed. Net lock not held. */
void ward__net_forget(struct ward__net *net);
/* Remembers where a node is; NULL: no memory, or too many names. Net lock. */
const struct ward__name *ward__home_locked(struct ward__net *net, uint32_t node, const char *name);

/* -- endpoints (endpoint.c) -------------------------------------------------------------------- */

/* Errors: WARD_EINVAL, WARD_EDENIED, WARD_ELINK, WARD_ENOMEM. */
ward_status ward__endpoint_open(
    struct ward__net *net, const char *url, const ward_link_opts *opts, bool listens);
/* Takes one out of the list that has this url (NULL: any), with a reference for the caller, who
 * goes on with its sessions; NULL: there is none. */
struct ward__endpoint *ward__endpoint_close(struct ward__net *net, const char *url);
/* A session of it is over. */
void ward__endpoint_ended(struct ward__endpoint *endpoint);
void ward__endpoint_drop(struct ward__endpoint *endpoint);

/* -- sessions (session.c) ---------------------------------------------------------------------- */

/* Of the net's, which has none any more. */
void ward__sessions_free(struct ward__net *net);
/* Greets on a new connection; takes the stream over. */
void ward__session_open(struct ward__endpoint *endpoint, struct ward__stream *stream);
/* Ends it for our actors and says good-bye; its link closes soon. */
void ward__session_part(struct ward__session *session, const char *why);
/* The session with that node, with a reference for the caller; NULL: none is up. */
struct ward__session *ward__session_to(struct ward__net *net, uint32_t node);
/* The same without a reference. Net lock. */
struct ward__session *ward__session_to_locked(struct ward__net *net, uint32_t node);
struct ward__session *ward__session_named_locked(struct ward__net *net, const char *name);

static inline void ward__session_drop(struct ward__session *session)
{
    ward__link_drop(&session->link);
}

/* -- what peers ask of us (incoming.c, near.c) ------------------------------------------------- */

/* Frames of a session that is up; `frames` is held. Errors: the peer broke the protocol. */
ward_status ward__incoming(struct ward__session *session, const struct ward__frame *frame);
/* Writes what was only counted. */
void ward__incoming_rest(struct ward__session *session);
/* The session was lost: nobody waits any more. */
void ward__calls_end(struct ward__session *session);
void ward__nears_end_locked(struct ward__here *here, struct ward__session *session);
ward_status ward__near_monitor(struct ward__session *session, const struct ward__frame *frame);
void ward__near_demonitor(struct ward__session *session, const struct ward__frame *frame);
ward_status ward__near_find(struct ward__session *session, const struct ward__frame *frame);
/* True: that FIND was open. */
bool ward__near_find_cancel(struct ward__session *session, uint64_t id);

/* -- room (room.c) ----------------------------------------------------------------------------- */

/* Mail for a mailbox that is full waits; `frames` is held. WARD_OK: the chain is empty, or there is
 * room now after all. Else why it cannot. */
ward_status ward__park_mail(struct ward__session *session, struct ward__slot *slot, uint64_t life,
    struct ward__chain *chain);
/* Bytes of it that the peer is not told of yet, so that what is under way grows less. */
static inline size_t ward__held_back(const struct ward__session *session)
{
    size_t bytes = ward__load(&session->held_bytes);

    return bytes < WARD__WINDOW / 2 ? bytes : WARD__WINDOW / 2;
}
/* No frame comes any more. */
void ward__held_end(struct ward__session *session);
/* With the node. */
void ward__held_free(struct ward__net *net);
/* The peer says that an actor of its has no room, or has it again. */
void ward__room_frame(struct ward__session *session, const struct ward__frame *frame);
/* Whether it said so of this one. */
bool ward__room_wanted_locked(const struct ward__session *session, ward_ref to);
bool ward__room_wanted(struct ward__net *net, ward_ref to);
/* The session was lost. Net lock. */
void ward__room_end_locked(struct ward__session *session);
/* For the route: see there. */
bool ward__room_await(void *arg, struct ward__token token, ward_ref to);
/* There may be. */
void ward__room_tell(struct ward__net *net, uint32_t node);

/* -- questions of peers (calls.c) -------------------------------------------------------------- */

/* Errors: WARD_ELIMIT; WARD_ENOMEM; WARD_EINVAL: that id is open. */
ward_status ward__call_open(struct ward__session *session, const struct ward__frame *frame,
    int64_t deadline_ns, struct ward__token *token);
/* Closes it by the peer's id; false: it is not open. */
bool ward__call_cancel(
    struct ward__session *session, uint64_t id, struct ward__token *token, uint32_t *holder);
/* Closes it without an answer. */
void ward__call_close(struct ward__net *net, struct ward__token token);
/* Who asked, with a reference; NULL: nobody waits. */
struct ward__session *ward__call_of(struct ward__net *net, struct ward__token token, uint64_t *id);
bool ward__call_waits(struct ward__net *net, struct ward__token token, int64_t *deadline_ns);
/* Where it says who holds it; NULL: it is closed. */
_Atomic uint32_t *ward__call_holder(struct ward__net *net, struct ward__token token);

/* -- what we ask of peers (remote.c, far.c) ---------------------------------------------------- */

extern const struct ward__route ward__net_route; /* arg is to be set */
ward_status ward__far_monitor(void *arg, struct ward__watch *watch, ward_ref whom);
void ward__far_demonitor(void *arg, struct ward__watch *watch);
void ward__far_down(struct ward__session *session, const struct ward__frame *frame);
/* The session was lost. Tree lock. */
void ward__fars_end_locked(struct ward__here *here, struct ward__session *session);

ward_status ward__remote_find(
    void *arg, struct ward__token from, const char *node, const char *path, int64_t by_ns);
/* A peer of that name is linked: those who wait for it look there. */
void ward__remote_linked_locked(struct ward__session *session);
/* Errors: the peer broke the protocol. */
ward_status ward__remote_replied(struct ward__session *session, const struct ward__frame *frame);
void ward__remote_found(struct ward__session *session, const struct ward__frame *frame);
/* The session was lost: questions end, finds wait for the next. */
void ward__remote_end(struct ward__session *session);

/* Who acts for a peer, under `frames`. */
static inline struct ward__here ward__session_here(struct ward__session *session)
{
    return (struct ward__here){ session->net->node, NULL, &session->magazines };
}
/* A message record with the value in a frame. token NULL: it is no question. `frames` is held.
 * Errors: WARD_EDENIED: a type that is not in the table; WARD_EINVAL; WARD_ETOOBIG; WARD_ENOMEM. */
ward_status ward__mail_from_wire(struct ward__session *session, uint32_t *out,
    const struct ward__frame *frame, const struct ward__token *token);
/* What is left of a deadline, rounded up; -1: it has none. */
int64_t ward__ms_left(const ward_node *node, int64_t deadline_ns);

#endif
