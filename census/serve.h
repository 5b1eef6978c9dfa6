/* SPDX-License-Identifier: MIT */
/*
 * serve.h - the parts of the census' server, for its two files: serve.c (the thread that takes
 * snapshots, begin and end) and conn.c (listeners, connections).
 *
 * One lock guards all of it; it is a leaf but for nng's own. nng never calls back inside a call,
 * so operations are started under the lock, and `closing`, which is set under it, is the end of
 * that: an operation on a stream that is closed already would only time out.
 */
#ifndef WARD_CENSUS_SERVE_H
#define WARD_CENSUS_SERVE_H

#include <nng/nng.h>
#include <pthread.h>

#include "actors/node.h"
#include "census/census.h"
#include "census/rep.h"

enum { WARD__CONNS_MAX = 16 };

enum ward__conn_step {
    WARD__CONN_HELLO, /* ours goes out */
    WARD__CONN_PEER, /* theirs comes in */
    WARD__CONN_HEAD, /* of a request */
    WARD__CONN_BODY,
    WARD__CONN_ASKED, /* the census thread has it; nothing is under way */
    WARD__CONN_ANSWER /* goes out */
};

struct ward__conn {
    struct ward__listening *listening;
    nng_stream *stream; /* NULL: free */
    nng_aio *aio;
    enum ward__conn_step step;
    int64_t by_ns; /* when this step must be over */
    unsigned char in[WARD__REP_BODY_MAX];
    unsigned char head[WARD__REP_HEAD_MAX];
    unsigned char *at; /* where the bytes of this step go or come from */
    size_t count, done; /* how many, and how many are through */
    unsigned char *answer; /* of answer_room bytes */
    size_t answer_bytes, answer_room;
    struct ward__conn *next_asked;
};

struct ward__listening {
    struct ward__server *server;
    nng_stream_listener *listener;
    nng_aio *aio; /* accepts, or sleeps when accepting failed */
    bool ipc, accepting, sleeping;
    struct ward__conn conns[WARD__CONNS_MAX];
    struct ward__listening *next;
};

struct ward__server {
    struct ward__census hook; /* first: what the node knows */
    _Atomic uint32_t refs; /* the node, and calls under way */
    ward_node *node;
    struct ward__heap heap;
    pthread_mutex_t lock;
    pthread_cond_t asked_cond;
    struct ward__conn *asked, **asked_end;
    struct ward__listening *listenings;
    pthread_t thread;
    _Atomic bool closing; /* read without the lock to break off a long answer */
};

/* Opens a listener and starts accepting. Errors: WARD_ENOMEM, WARD_ELINK, WARD_ESTATE (closing). */
ward_status ward__listening_open(struct ward__server *server, const char *url);
/* Ends all its operations and frees it; `closing` is set, and the census thread has ended. */
void ward__listening_close(struct ward__listening *listening);
/* The answer is there: sends it, and waits for the next request. The lock is held. */
void ward__conn_answer(struct ward__conn *conn);
void ward__conn_end(struct ward__conn *conn);

#endif
