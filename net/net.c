/* SPDX-License-Identifier: MIT */
/*
 * net.c - the public face of links, and their beginning and end in a node. The first listen or
 * connect makes the record and hangs it into the node; from then on refs of other nodes are its
 * work. Closing says good-bye, gives peers a moment to read it, and then waits until nng is done
 * with every callback, so that nothing of it runs in a node that is gone. nng itself is left
 * running: the host may use it.
 *
 * nng makes its threads at its first call, and they inherit the signal mask of who calls.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "actors/sim.h"
#include "base/assert.h"
#include "net/net.h"

enum { HEARTBEAT_MS = 1000, DEAD_MS = 4000, QUEUED_BYTES = 4 << 20, FRAME_BYTES = 64 << 20 };
enum { NAMES_MAX = 4096, FRAME_BYTES_LEAST = 4096 };

/* -- where nodes are --------------------------------------------------------------------------- */

static const struct ward__name *name_locked(struct ward__net *net, const char *text)
{
    struct ward__name *name = net->names;

    while (name && strcmp(name->text, text) != 0)
        name = name->next;
    if (name || net->names_count >= NAMES_MAX) return name;
    name = ward__alloc_zero(&net->node->heap, sizeof *name);
    if (!name) return NULL;
    snprintf(name->text, sizeof name->text, "%s", text);
    name->next = net->names;
    net->names = name;
    net->names_count++;
    return name;
}

const struct ward__name *ward__home_locked(struct ward__net *net, uint32_t node, const char *name)
{
    struct ward__home *home = NULL;

    for (uint32_t i = 0; i < WARD__HOMES_MAX && !home; i++)
        if (net->homes[i].node == node) home = &net->homes[i];
    if (!home) home = &net->homes[net->homes_next++ % WARD__HOMES_MAX];
    home->node = node;
    home->name = name_locked(net, name);
    return home->name;
}

const char *ward_home(ward_node *node, ward_ref ref)
{
    struct ward__route *route = node ? ward__load_acq(&node->route) : NULL;
    struct ward__net *net = route ? route->arg : NULL;
    const char *name = NULL;

    if (!node || !ref.node) return NULL;
    if (ref.node == node->id) return node->name;
    if (!net) return NULL;
    pthread_mutex_lock(&net->lock);
    for (uint32_t i = 0; i < WARD__HOMES_MAX && !name; i++)
        if (net->homes[i].node == ref.node && net->homes[i].name) name = net->homes[i].name->text;
    pthread_mutex_unlock(&net->lock);
    return name;
}

/* -- the end ----------------------------------------------------------------------------------- */

void ward__net_forget(struct ward__net *net)
{
    pthread_mutex_lock(&net->lock);
    net->live--;
    pthread_cond_broadcast(&net->ended);
    pthread_mutex_unlock(&net->lock);
}

/* Of that endpoint, or all. */
static void part(struct ward__net *net, const struct ward__endpoint *endpoint, const char *why)
{
    struct ward__session *session;

    do {
        pthread_mutex_lock(&net->lock);
        session = LIST_FIRST(&net->sessions);
        while (session && (session->parting || (endpoint && session->endpoint != endpoint)))
            session = LIST_NEXT(session, list);
        if (session) {
            session->parting = true;
            ward__link_hold(&session->link);
        }
        pthread_mutex_unlock(&net->lock);
        if (!session) return;
        ward__session_part(session, why);
        ward__session_drop(session);
    } while (session);
}

static void net_stop(void *arg)
{
    struct ward__net *net = arg;
    struct ward__endpoint *endpoint;

    pthread_mutex_lock(&net->lock);
    net->stopping = true;
    pthread_mutex_unlock(&net->lock);
    while ((endpoint = ward__endpoint_close(net, NULL)) != NULL)
        ward__endpoint_drop(endpoint);
    part(net, NULL, "the node closes");
}

static void close_sessions(struct ward__net *net)
{
    struct ward__session *session;

    pthread_mutex_lock(&net->lock);
    session = LIST_FIRST(&net->sessions);
    for (; session; session = LIST_NEXT(session, list))
        ward__link_close(&session->link, WARD_ECANCELED);
    pthread_mutex_unlock(&net->lock);
}

static bool is_gone(void *arg)
{
    const struct ward__net *net = arg;

    return net->live == 0;
}

/* What nng's threads would do, the simulation's loop does. */
static void close_simulated(struct ward__net *net, int64_t until_ns)
{
    ward_sim *sim = net->node->sim->sim;

    if (ward__sim_run(sim, is_gone, net, until_ns)) return;
    close_sessions(net);
    (void)ward__sim_run(sim, is_gone, net, INT64_MAX);
    ward__assert(is_gone(net));
}

static void net_close(void *arg, int64_t by_ns)
{
    struct ward__net *net = arg;
    int64_t until = net->via->now_ns(net->node) + WARD__LINGER_MS * (int64_t)WARD__NS_MS;
    struct timespec at;
    int failed = 0;

    if (by_ns < until) until = by_ns;
    if (net->node->sim) {
        close_simulated(net, until);
        return;
    }
    at = (struct timespec){ .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
    pthread_mutex_lock(&net->lock);
    while (net->live > 0 && !failed)
        failed = pthread_cond_clockwait(&net->ended, &net->lock, CLOCK_MONOTONIC, &at);
    pthread_mutex_unlock(&net->lock);
    close_sessions(net);
    pthread_mutex_lock(&net->lock);
    while (net->live > 0) /* nng's callbacks, which wait for nobody */
        pthread_cond_wait(&net->ended, &net->lock);
    pthread_mutex_unlock(&net->lock);
}

static void net_free(void *arg)
{
    struct ward__net *net = arg;
    struct ward__heap *heap = &net->node->heap;
    struct ward__entry *entry;

    while (net->names) {
        struct ward__name *name = net->names;
        net->names = name->next;
        ward__free(heap, name, sizeof *name);
    }
    while ((entry = ward__map_take_any(&net->pending)) != NULL) {
        struct ward__pending *pending = ward__entry_of(entry, struct ward__pending, entry);
        ward__free(heap, pending, pending->bytes);
    }
    ward__map_drop(&net->pending);
    ward__map_drop(&net->fars);
    ward__held_free(net);
    ward__sessions_free(net);
    ward__unreserve(net->calls, WARD__CALLS_MAX * sizeof *net->calls);
    pthread_mutex_destroy(&net->lock);
    pthread_cond_destroy(&net->ended);
    ward__free(heap, net, sizeof *net);
}

/* -- the beginning ----------------------------------------------------------------------------- */

static struct ward__net *net_new(ward_node *node)
{
    struct ward__net *net = ward__alloc_zero(&node->heap, sizeof *net);

    if (!net) return NULL;
    net->calls = ward__reserve(WARD__CALLS_MAX * sizeof *net->calls);
    if (!net->calls) {
        ward__free(&node->heap, net, sizeof *net);
        return NULL;
    }
    net->node = node;
    net->via = node->sim ? &ward__simulated : &ward__nng;
    net->incarnation = net->via->chance(node);
    if (node->opts.name)
        snprintf(net->name, sizeof net->name, "%s", node->name);
    else /* many may be called "ward" */
        snprintf(net->name, sizeof net->name, "ward.%08x", node->id);
    net->pending.heap = net->fars.heap = &node->heap;
    net->pending.factor = net->fars.factor = net->via->chance(node) | 1;
    pthread_mutex_init(&net->lock, NULL);
    pthread_cond_init(&net->ended, NULL);
    net->route = ward__net_route;
    net->route.arg = net;
    net->route.stop = net_stop;
    net->route.close = net_close;
    net->route.free = net_free;
    return net;
}

/* NULL: no memory, or the node closes. */
static ward_status net_of(ward_node *node, struct ward__net **out)
{
    struct ward__route *route = ward__load_acq(&node->route);
    struct ward__net *net;
    bool closing;

    ward__tree_lock(node);
    closing = node->tree->closing;
    ward__tree_unlock(node);
    if (closing) return WARD_ECANCELED;
    if (node->inside) return WARD_ESTATE; /* in an isolate: its route is the host */
    if (!route) {
        net = net_new(node);
        if (!net) return WARD_ENOMEM;
        if (ward__cas_seq(&node->route, &route, &net->route))
            route = &net->route;
        else
            net_free(net); /* somebody was faster */
    }
    *out = route->arg;
    return WARD_OK;
}

static ward_status fill_opts(ward_link_opts *own, const ward_link_opts *opts, size_t bytes)
{
    *own = (ward_link_opts){ 0 };
    if (opts) memcpy(own, opts, bytes < sizeof *own ? bytes : sizeof *own);
    if (own->peer && !ward__name_valid(own->peer)) return WARD_EINVAL;
    if (!own->heartbeat_ms) own->heartbeat_ms = HEARTBEAT_MS;
    if (!own->dead_ms) own->dead_ms = DEAD_MS;
    if (!own->queued_max) own->queued_max = QUEUED_BYTES;
    if (!own->frame_max) own->frame_max = FRAME_BYTES;
    if (own->frame_max < FRAME_BYTES_LEAST || own->frame_max >= UINT32_MAX) return WARD_EINVAL;
    return own->queued_max > SIZE_MAX / 8 ? WARD_EINVAL : WARD_OK;
}

static ward_status link_up(
    ward_node *node, const char *url, const ward_link_opts *opts, bool listens)
{
    struct ward__net *net;
    sigset_t all, before;
    ward_status rc = net_of(node, &net);

    if (rc) return rc;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = ward__endpoint_open(net, url, opts, listens);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

ward_status ward_listen_sized(
    ward_node *node, const char *url, const ward_link_opts *opts, size_t opts_bytes)
{
    ward_link_opts own;
    ward_status rc;

    if (!node || !url) return WARD_EINVAL;
    rc = fill_opts(&own, opts, opts_bytes);
    return rc ? rc : link_up(node, url, &own, true);
}

ward_status ward_connect_sized(
    ward_node *node, const char *url, const ward_link_opts *opts, size_t opts_bytes)
{
    ward_link_opts own;
    ward_status rc;

    if (!node || !url) return WARD_EINVAL;
    rc = fill_opts(&own, opts, opts_bytes);
    return rc ? rc : link_up(node, url, &own, false);
}

void ward_unlink_url(ward_node *node, const char *url)
{
    struct ward__route *route = node ? ward__load_acq(&node->route) : NULL;
    struct ward__net *net = route ? route->arg : NULL;
    struct ward__endpoint *endpoint;

    if (!net || !url) return;
    while ((endpoint = ward__endpoint_close(net, url)) != NULL) {
        part(net, endpoint, "unlinked");
        ward__endpoint_drop(endpoint);
    }
}
