/* SPDX-License-Identifier: MIT */
/*
 * serve.c - serves the census of a node: the thread that takes snapshots, and the server's life.
 *
 * There is one such thread a node, started at the first ward_census_serve. It is no worker and no
 * callback of nng's, so it answers when every worker is stuck and holds up nobody's sockets. It
 * answers one request after the other, from a snapshot of its own each.
 *
 * The node ends it early in ward_close, through the hook in ward_node.census. A call that is just
 * adding a listener then holds a reference, and finds `closing` set.
 */
#include "census/serve.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "net/url.h"
#include "supervisor/tree.h"

/* An answer of more than this is none: who has so many actors asks for sites. */
enum { ANSWER_MAX = 16 << 20, ANSWER_FIRST = 4096 };

/* -- answers ----------------------------------------------------------------------------------- */

/* An answer under way. */
struct answer {
    struct ward__server *server;
    unsigned char *at;
    size_t bytes, room;
    bool too_long;
};

static bool append(void *arg, const void *at, size_t bytes)
{
    struct answer *answer = arg;
    size_t room = answer->room ? answer->room : ANSWER_FIRST;

    if (ward__load(&answer->server->closing)) return false;
    answer->too_long = bytes > ANSWER_MAX - answer->bytes;
    if (answer->too_long) return false;
    while (room - answer->bytes < bytes)
        room *= 2;
    if (room > answer->room) {
        void *more = ward__realloc(&answer->server->heap, answer->at, answer->room, room);
        if (!more) return false;
        answer->at = more;
        answer->room = room;
    }
    memcpy(answer->at + answer->bytes, at, bytes);
    answer->bytes += bytes;
    return true;
}

/* In place of what was written behind the first `keep` bytes. */
static bool append_error(struct answer *answer, size_t keep, const char *why)
{
    char line[160];

    answer->bytes = keep;
    snprintf(line, sizeof line, "error: %s\n", why);
    return append(answer, line, strlen(line));
}

static bool append_census(struct answer *answer, ward_format format)
{
    size_t keep = answer->bytes;
    ward_census *census;
    ward_status rc = ward_census_take(answer->server->node, &census);
    char why[96];

    if (rc) return append_error(answer, keep, ward_strerror(rc));
    rc = ward_census_write(census, format, append, answer);
    if (rc && answer->too_long) {
        snprintf(why, sizeof why, "%zu actors are too many for this form, ask for sites",
            ward_census_count(census));
        rc = append_error(answer, keep, why) ? WARD_OK : rc;
    }
    ward_census_free(census);
    return rc == WARD_OK;
}

/* Head, way back, and what was asked for. False: there is none to be had. */
static bool make_answer(struct answer *answer, const struct ward__conn *conn)
{
    bool ipc = conn->listening->ipc, done;
    unsigned char head[WARD__REP_HEAD_MAX] = { 0 };
    size_t head_bytes = ward__rep_head_bytes(ipc), word_bytes;
    size_t way = ward__rep_split(conn->in, conn->count, &word_bytes);
    ward_format format;

    if (way == 0) return false;
    if (!append(answer, head, head_bytes) || !append(answer, conn->in, way)) return false;
    if (ward__format_of((const char *)conn->in + way, word_bytes, &format))
        done = append_error(answer, answer->bytes, "ask for text, tree, sites or msgpack");
    else
        done = append_census(answer, format);
    if (done) ward__rep_head(answer->at, ipc, answer->bytes - head_bytes);
    return done;
}

/* -- the census thread ------------------------------------------------------------------------- */

/* The next who asked; NULL: the end. The lock is held. */
static struct ward__conn *next_asked(struct ward__server *server)
{
    struct ward__conn *conn;

    while (!server->asked && !ward__load(&server->closing))
        pthread_cond_wait(&server->asked_cond, &server->lock);
    conn = server->asked;
    if (!conn || ward__load(&server->closing)) return NULL;
    server->asked = conn->next_asked;
    if (!server->asked) server->asked_end = &server->asked;
    return conn;
}

static void *census_main(void *arg)
{
    struct ward__server *server = arg;
    struct ward__conn *conn;

    pthread_mutex_lock(&server->lock);
    while ((conn = next_asked(server)) != NULL) {
        struct answer answer = { .server = server };
        bool done;
        pthread_mutex_unlock(&server->lock);
        done = make_answer(&answer, conn); /* nobody else touches it now */
        pthread_mutex_lock(&server->lock);
        conn->answer = answer.at;
        conn->answer_bytes = answer.bytes;
        conn->answer_room = answer.room;
        if (done && !ward__load(&server->closing))
            ward__conn_answer(conn);
        else
            ward__conn_end(conn);
    }
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* -- the server -------------------------------------------------------------------------------- */

static void put_server(struct ward__server *server)
{
    struct ward__heap heap;

    if (atomic_fetch_sub_explicit(&server->refs, 1, memory_order_acq_rel) > 1) return;
    pthread_mutex_destroy(&server->lock);
    pthread_cond_destroy(&server->asked_cond);
    ward__heap_init(&heap, server->heap.hook, server->heap.arg, SIZE_MAX);
    ward__store(&heap.bytes, sizeof *server);
    ward__free(&heap, server, sizeof *server);
}

/* The node closes. */
static void close_server(struct ward__census *hook)
{
    struct ward__server *server = (struct ward__server *)hook;
    struct ward__listening *listening, *next;

    pthread_mutex_lock(&server->lock);
    ward__store(&server->closing, true);
    pthread_cond_broadcast(&server->asked_cond);
    listening = server->listenings;
    server->listenings = NULL;
    pthread_mutex_unlock(&server->lock);
    pthread_join(server->thread, NULL);
    for (; listening; listening = next) {
        next = listening->next;
        ward__listening_close(listening);
    }
    put_server(server);
}

static struct ward__server *new_server(ward_node *node)
{
    struct ward__heap heap;
    struct ward__server *server;

    ward__heap_init(&heap, node->opts.alloc, node->opts.hook, SIZE_MAX);
    server = ward__alloc_zero(&heap, sizeof *server);
    if (!server) return NULL;
    server->hook.close = close_server;
    server->node = node;
    ward__store(&server->refs, 1);
    ward__heap_init(&server->heap, node->opts.alloc, node->opts.hook, SIZE_MAX);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->asked_cond, NULL);
    server->asked_end = &server->asked;
    if (ward__thread_start(&server->thread, "ward-census", 0, census_main, server)) return server;
    put_server(server);
    return NULL;
}

/* The node's server with a reference, or `fresh` if it has none yet. *status: why not. */
static struct ward__server *publish(
    ward_node *node, struct ward__server *fresh, ward_status *status)
{
    struct ward__server *server = NULL;

    ward__tree_lock(node);
    *status = node->tree->closing ? WARD_ESTATE : WARD_OK;
    if (!*status) server = (struct ward__server *)ward__load(&node->census);
    if (!*status && !server && fresh) {
        server = fresh;
        ward__store_rel(&node->census, &fresh->hook);
    }
    if (server) ward__add(&server->refs, 1);
    ward__tree_unlock(node);
    return server;
}

static ward_status get_server(ward_node *node, struct ward__server **out)
{
    ward_status rc;
    struct ward__server *fresh;

    *out = publish(node, NULL, &rc);
    if (rc || *out) return rc;
    fresh = new_server(node);
    if (!fresh) return WARD_ENOMEM;
    *out = publish(node, fresh, &rc);
    if (*out != fresh) close_server(&fresh->hook); /* another call was faster, or the node closes */
    return rc;
}

ward_status ward_census_serve(ward_node *node, const char *url)
{
    ward_status rc = ward__url_check(url);
    struct ward__server *server;
    sigset_t all, before;

    if (!node) return WARD_EINVAL;
    if (rc) return rc;
    if (node->sim) return WARD_ESTATE;
    rc = get_server(node, &server);
    if (rc) return rc;
    sigfillset(&all); /* nng's threads, which this may start, are to take none of the host's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = ward__listening_open(server, url);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    put_server(server);
    return rc;
}
