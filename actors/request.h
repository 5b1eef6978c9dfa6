/* SPDX-License-Identifier: MIT */
/*
 * request.h - questions without a wait: what ward_request leaves behind until its outcome is taken.
 *
 * An actor may have many of them, so each has a cell of its own in a record of its own; to who
 * answers, forwards or expires a question, a token whose asker lies in [WARD__REQUEST,
 * WARD__REMOTE) is the index of such a record. The record is also the storage of the outcome, which
 * comes through the incarnation's queue of signals: neither a full mailbox nor a lack of memory can
 * refuse it.
 *
 * A record's cell is odd while it is open and only changes under the stripe of its owner's mailbox,
 * so who sees it odd under that lock knows that the owner's incarnation lives. Records lie in one
 * reserved range and are never unmapped, so a late answer reads a cell that has moved on.
 */
#ifndef WARD_ACTORS_REQUEST_H
#define WARD_ACTORS_REQUEST_H

#include "actors/node.h"

enum {
    WARD__REQUESTS_MAX = 4096, /* of an actor, their outcomes included until they are taken */
    WARD__REQUEST_BITS = 20 /* of the index: a million in a node */
};

enum ward__request_state {
    WARD__REQUEST_OPEN,
    WARD__REQUEST_ENDING, /* its outcome is known; whoever worked for it is being told */
    WARD__REQUEST_TOLD, /* the outcome is in the queue, or lent */
    WARD__REQUEST_DROPPED /* it was ENDING, and its owner is not to be told any more */
};

struct ward__request {
    _Atomic uint64_t cell; /* see mailbox/wait.h */
    _Atomic int64_t deadline_ns;
    _Atomic uint64_t id; /* ward_call */
    _Atomic uint32_t holder; /* slot that holds the question, or WARD__REMOTE */
    _Atomic uint32_t owner; /* slot */
    /* The stripe of the owner's mailbox. */
    struct ward__request *next, *prev; /* open and ending ones of the owner */
    struct ward__inc *inc; /* the owner's */
    struct ward__token made_for; /* the question that was in hand; cell 0: none */
    struct ward__signal signal;
    enum ward__request_state state;
    ward_status status;
    uint32_t answer; /* message; the signal shows its value */
    /* Whose it is: the free list's, or of a list of those that are ENDING. */
    struct ward__request *after;
};

struct ward__requests {
    pthread_mutex_t lock; /* a leaf */
    struct ward__request *at; /* the reserved range; index 0 is nobody */
    struct ward__request *free;
    uint32_t used;
};

bool ward__requests_open(ward_node *node);
void ward__requests_close(ward_node *node);

/* What ward__asker_waits and ward__answer do when the asker is a request. */
bool ward__request_waits(const ward_node *node, struct ward__token token, int64_t *deadline_ns);
bool ward__request_answer(
    struct ward__here *here, struct ward__token token, ward_status status, uint32_t mail);
/* Where it says who holds it; NULL: it is over. */
_Atomic uint32_t *ward__request_holder(const ward_node *node, struct ward__token token);

/* Ends those that `slot` has made for the question `made_for` and adds them to *ending. */
void ward__requests_for(struct ward__here *here, struct ward__slot *slot,
    struct ward__token made_for, struct ward__request **ending);
/* Tells whoever works for them, down the whole tree of them, and then their owners. No stripe may
 * be held. */
void ward__requests_tell(struct ward__here *here, struct ward__request *ending);

/* Ends those whose deadline has passed. Returns when to look again. Tree lock. */
int64_t ward__requests_expire(struct ward__here *here, struct ward__inc *inc, int64_t now_ns);
/* The incarnation is over: nobody is to be told of its requests, whoever works for them stops. */
void ward__requests_void(struct ward__here *here, struct ward__inc *inc);

#endif
