/* SPDX-License-Identifier: MIT */
/*
 * conn.c - listeners and connections of the census' server, on nng streams: at most 16 connections
 * a listener, each step of each must be over within 5 s, a request has at most 64 bytes. When all
 * are taken the next client waits in the kernel's queue; an error of accepting (no descriptors, no
 * memory) is slept upon, never spun.
 *
 * Runs in nng's callbacks, which never wait: a request goes to the census thread. A connection has
 * one operation under way, or is the census thread's.
 */
#include <string.h>

#include "base/assert.h"
#include "census/serve.h"

enum { STEP_MS = 5000, BACK_OFF_MS = 100, MODE = 0600 };

/* -- a connection ------------------------------------------------------------------------------ */

static bool sends(enum ward__conn_step step)
{
    return step == WARD__CONN_HELLO || step == WARD__CONN_ANSWER;
}

/* Starts the rest of this step. */
static void go_on(struct ward__conn *conn)
{
    nng_iov iov = { conn->at + conn->done, conn->count - conn->done };
    int64_t left_ms = (conn->by_ns - ward__now_ns()) / WARD__NS_MS;
    int rc = nng_aio_set_iov(conn->aio, 1, &iov);

    ward__assert(rc == 0);
    nng_aio_set_timeout(conn->aio, left_ms > 0 ? (nng_duration)left_ms : 1);
    if (sends(conn->step))
        nng_stream_send(conn->stream, conn->aio);
    else
        nng_stream_recv(conn->stream, conn->aio);
}

static void begin(
    struct ward__conn *conn, enum ward__conn_step step, unsigned char *at, size_t count)
{
    conn->step = step;
    conn->at = at;
    conn->count = count;
    conn->done = 0;
    conn->by_ns = ward__now_ns() + (int64_t)STEP_MS * WARD__NS_MS;
    go_on(conn);
}

static void wait_for_request(struct ward__conn *conn)
{
    begin(conn, WARD__CONN_HEAD, conn->head, ward__rep_head_bytes(conn->listening->ipc));
}

static void to_census_thread(struct ward__conn *conn)
{
    struct ward__server *server = conn->listening->server;

    conn->step = WARD__CONN_ASKED;
    conn->next_asked = NULL;
    *server->asked_end = conn;
    server->asked_end = &conn->next_asked;
    pthread_cond_signal(&server->asked_cond);
}

/* A step is over. False: the peer does not keep to the protocol. */
static bool next_step(struct ward__conn *conn)
{
    size_t bytes;

    switch (conn->step) {
    case WARD__CONN_HELLO:
        begin(conn, WARD__CONN_PEER, conn->in, WARD__REP_HELLO_BYTES);
        return true;
    case WARD__CONN_PEER:
        if (!ward__rep_hello_ok(conn->in)) return false;
        wait_for_request(conn);
        return true;
    case WARD__CONN_HEAD:
        bytes = ward__rep_body_bytes(conn->head, conn->listening->ipc);
        if (bytes == 0) return false;
        begin(conn, WARD__CONN_BODY, conn->in, bytes);
        return true;
    case WARD__CONN_BODY: to_census_thread(conn); return true;
    case WARD__CONN_ANSWER:
        ward__free(&conn->listening->server->heap, conn->answer, conn->answer_room);
        conn->answer = NULL;
        wait_for_request(conn);
        return true;
    case WARD__CONN_ASKED: break;
    }
    return false;
}

static void accept_next(struct ward__listening *listening);

void ward__conn_end(struct ward__conn *conn)
{
    struct ward__listening *listening = conn->listening;

    nng_stream_close(conn->stream);
    nng_stream_free(conn->stream);
    conn->stream = NULL;
    ward__free(&listening->server->heap, conn->answer, conn->answer_room);
    conn->answer = NULL;
    if (!listening->accepting && !ward__load(&listening->server->closing)) accept_next(listening);
}

void ward__conn_answer(struct ward__conn *conn)
{
    begin(conn, WARD__CONN_ANSWER, conn->answer, conn->answer_bytes);
}

/* nng calls this when an operation of the connection is over. */
static void on_conn(void *arg)
{
    struct ward__conn *conn = arg;
    struct ward__server *server = conn->listening->server;
    size_t count = nng_aio_count(conn->aio);
    bool failed = nng_aio_result(conn->aio) != 0 || count == 0;

    pthread_mutex_lock(&server->lock);
    conn->done += count;
    failed = failed || ward__load(&server->closing);
    if (!failed && conn->done < conn->count)
        go_on(conn);
    else if (failed || !next_step(conn))
        ward__conn_end(conn);
    pthread_mutex_unlock(&server->lock);
}

/* -- a listener -------------------------------------------------------------------------------- */

static struct ward__conn *free_conn(struct ward__listening *listening)
{
    for (int i = 0; i < WARD__CONNS_MAX; i++)
        if (!listening->conns[i].stream) return &listening->conns[i];
    return NULL;
}

/* Unless all are taken; then the end of one goes on. */
static void accept_next(struct ward__listening *listening)
{
    listening->accepting = free_conn(listening) != NULL;
    if (listening->accepting) nng_stream_listener_accept(listening->listener, listening->aio);
}

static void accepted(struct ward__listening *listening, nng_stream *stream)
{
    struct ward__conn *conn = free_conn(listening);

    ward__assert(conn);
    conn->stream = stream;
    ward__rep_hello(conn->in);
    begin(conn, WARD__CONN_HELLO, conn->in, WARD__REP_HELLO_BYTES);
    accept_next(listening);
}

/* nng calls this when someone was accepted, that failed, or the sleep after it is over. */
static void on_accept(void *arg)
{
    struct ward__listening *listening = arg;
    struct ward__server *server = listening->server;
    int rc = nng_aio_result(listening->aio);
    nng_stream *stream = NULL;

    pthread_mutex_lock(&server->lock);
    if (!listening->sleeping && rc == 0) stream = nng_aio_get_output(listening->aio, 0);
    if (ward__load(&server->closing)) {
        if (stream) nng_stream_free(stream);
    } else if (stream) {
        accepted(listening, stream);
    } else if (listening->sleeping) {
        listening->sleeping = false;
        accept_next(listening);
    } else {
        listening->sleeping = true;
        nng_sleep_aio(BACK_OFF_MS, listening->aio);
    }
    pthread_mutex_unlock(&server->lock);
}

static bool make_aios(struct ward__listening *listening)
{
    if (nng_aio_alloc(&listening->aio, on_accept, listening)) return false;
    for (int i = 0; i < WARD__CONNS_MAX; i++) {
        struct ward__conn *conn = &listening->conns[i];
        conn->listening = listening;
        if (nng_aio_alloc(&conn->aio, on_conn, conn)) return false;
    }
    return true;
}

static ward_status listen_at(struct ward__listening *listening, const char *url)
{
    nng_stream_listener *listener;

    if (nng_stream_listener_alloc(&listening->listener, url)) return WARD_ENOMEM;
    listener = listening->listener;
    if (listening->ipc && nng_stream_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, MODE))
        return WARD_ELINK; /* it would be anybody's */
    if (!listening->ipc) (void)nng_stream_listener_set_bool(listener, NNG_OPT_TCP_NODELAY, true);
    return nng_stream_listener_listen(listener) ? WARD_ELINK : WARD_OK;
}

/* None of its operations may be started any more. */
void ward__listening_close(struct ward__listening *listening)
{
    struct ward__server *server = listening->server;

    if (listening->listener) nng_stream_listener_close(listening->listener);
    if (listening->aio) nng_aio_stop(listening->aio);
    for (int i = 0; i < WARD__CONNS_MAX; i++) {
        struct ward__conn *conn = &listening->conns[i];
        pthread_mutex_lock(&server->lock);
        if (conn->stream) nng_stream_close(conn->stream);
        pthread_mutex_unlock(&server->lock);
        if (conn->aio) nng_aio_stop(conn->aio); /* its callback has ended the connection */
        if (conn->stream) ward__conn_end(conn); /* unless the census thread had it */
        if (conn->aio) nng_aio_free(conn->aio);
    }
    if (listening->aio) nng_aio_free(listening->aio);
    if (listening->listener) nng_stream_listener_free(listening->listener);
    ward__free(&server->heap, listening, sizeof *listening);
}

ward_status ward__listening_open(struct ward__server *server, const char *url)
{
    struct ward__listening *listening = ward__alloc_zero(&server->heap, sizeof *listening);
    ward_status rc;

    if (!listening) return WARD_ENOMEM;
    listening->server = server;
    listening->ipc = strncmp(url, "ipc:", 4) == 0;
    rc = make_aios(listening) ? listen_at(listening, url) : WARD_ENOMEM;
    pthread_mutex_lock(&server->lock);
    if (!rc && ward__load(&server->closing)) rc = WARD_ESTATE;
    if (!rc) {
        listening->next = server->listenings;
        server->listenings = listening;
        accept_next(listening);
    }
    pthread_mutex_unlock(&server->lock);
    if (rc) ward__listening_close(listening);
    return rc;
}
