/* SPDX-License-Identifier: MIT */
/*
 * endpoint.c - where connections come from: a url that is listened at, or dialled until somebody
 * answers and again after each loss, with a backoff that doubles and is drawn at random, so that
 * many do not come back at once. Without file descriptors a listener waits a while instead of
 * spinning.
 *
 * Operations are started with the net's lock held, and only while it is not closed; each that is
 * under way has a reference. Doors are closed outside of the lock. Runs on nng's threads and
 * on those of who listens, connects and unlinks.
 */
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "net/net.h"

enum { FIRST_MS = 20, LAST_MS = 1000, REST_MS = 100, DIAL_MS = 5000 };
enum { RESOLVED_MAX = WARD__URL_MAX + 16 };

static void start_locked(struct ward__endpoint *endpoint)
{
    if (endpoint->closed) return;
    endpoint->refs++;
    endpoint->net->via->next(endpoint->door, endpoint->worker, DIAL_MS);
}

static void nap_locked(struct ward__endpoint *endpoint, uint32_t ms)
{
    if (endpoint->closed) return;
    endpoint->refs++;
    endpoint->net->via->sleep(endpoint->napper, ms);
}

/* Between half of it and all of it. */
static uint32_t next_backoff(struct ward__endpoint *endpoint)
{
    uint32_t ms = endpoint->backoff_ms ? endpoint->backoff_ms * 2 : FIRST_MS;

    endpoint->backoff_ms = ms > LAST_MS ? LAST_MS : ms;
    return endpoint->backoff_ms / 2 +
           ward__random_below(&endpoint->chance, endpoint->backoff_ms / 2 + 1);
}

static void endpoint_free(struct ward__endpoint *endpoint)
{
    struct ward__net *net = endpoint->net;

    if (endpoint->door) net->via->door_free(endpoint->door);
    if (endpoint->worker) net->via->io_free(endpoint->worker);
    if (endpoint->napper) net->via->io_free(endpoint->napper);
    ward__free(&net->node->heap, endpoint, sizeof *endpoint);
}

void ward__endpoint_drop(struct ward__endpoint *endpoint)
{
    struct ward__net *net = endpoint->net;
    bool last;

    pthread_mutex_lock(&net->lock);
    last = --endpoint->refs == 0;
    pthread_mutex_unlock(&net->lock);
    if (!last) return;
    endpoint_free(endpoint);
    ward__net_forget(net);
}

/* Accepted, dialled, or neither. */
static void on_worked(void *arg)
{
    struct ward__endpoint *endpoint = arg;
    struct ward__net *net = endpoint->net;
    struct ward__stream *stream;
    ward_status rc = net->via->io_end(endpoint->worker, NULL, &stream);

    if (!rc) ward__session_open(endpoint, stream);
    pthread_mutex_lock(&net->lock);
    if (rc)
        nap_locked(endpoint, endpoint->listens ? REST_MS : next_backoff(endpoint));
    else if (endpoint->listens)
        start_locked(endpoint);
    pthread_mutex_unlock(&net->lock);
    ward__endpoint_drop(endpoint);
}

static void on_napped(void *arg)
{
    struct ward__endpoint *endpoint = arg;
    struct ward__net *net = endpoint->net;

    pthread_mutex_lock(&net->lock);
    /* The node it leads to may be linked already, by a connection from there. */
    if (!endpoint->listens && ward__session_to_locked(net, endpoint->peer_node))
        nap_locked(endpoint, LAST_MS);
    else
        start_locked(endpoint);
    pthread_mutex_unlock(&net->lock);
    ward__endpoint_drop(endpoint);
}

void ward__endpoint_ended(struct ward__endpoint *endpoint)
{
    struct ward__net *net = endpoint->net;

    if (endpoint->listens) return;
    pthread_mutex_lock(&net->lock);
    nap_locked(endpoint, next_backoff(endpoint));
    pthread_mutex_unlock(&net->lock);
}

struct ward__endpoint *ward__endpoint_close(struct ward__net *net, const char *url)
{
    struct ward__endpoint *endpoint;

    pthread_mutex_lock(&net->lock);
    endpoint = LIST_FIRST(&net->endpoints);
    while (endpoint && url && strcmp(endpoint->url, url) != 0)
        endpoint = LIST_NEXT(endpoint, list);
    if (endpoint) {
        endpoint->closed = true;
        LIST_REMOVE(endpoint, list); /* its reference is the caller's now */
    }
    pthread_mutex_unlock(&net->lock);
    if (!endpoint) return NULL;
    net->via->door_close(endpoint->door);
    net->via->io_cancel(endpoint->napper);
    return endpoint;
}

/* -- opening ----------------------------------------------------------------------------------- */

/* What the transport is given. "localhost" is what it stands for on every machine, and is not
 * looked up. */
static ward_status resolve(char out[RESOLVED_MAX], const char *url)
{
    static const char local[] = "tcp://localhost:";
    size_t prefix = sizeof local - 1;
    bool is_local;

    if (!url || strlen(url) >= WARD__URL_MAX - 1) return WARD_EINVAL;
    is_local = strncmp(url, local, prefix) == 0;
    snprintf(out, RESOLVED_MAX, "%s%s", is_local ? "tcp://127.0.0.1:" : "",
        is_local ? url + prefix : url);
    return ward__url_check(out);
}

static ward_status open_parts(struct ward__endpoint *endpoint, const char *at)
{
    const struct ward__transport *via = endpoint->net->via;
    ward_node *node = endpoint->net->node;

    if (via->io_new(node, &endpoint->worker, on_worked, endpoint) ||
        via->io_new(node, &endpoint->napper, on_napped, endpoint))
        return WARD_ENOMEM;
    return (endpoint->listens ? via->listen : via->dialler)(node, &endpoint->door, at);
}

static bool is_known_locked(struct ward__net *net, const char *url)
{
    const struct ward__endpoint *endpoint = LIST_FIRST(&net->endpoints);

    for (; endpoint; endpoint = LIST_NEXT(endpoint, list))
        if (strcmp(endpoint->url, url) == 0) return true;
    return false;
}

static ward_status enlist(struct ward__endpoint *endpoint)
{
    struct ward__net *net = endpoint->net;
    ward_status rc = WARD_OK;

    pthread_mutex_lock(&net->lock);
    if (net->stopping)
        rc = WARD_ECANCELED;
    else if (is_known_locked(net, endpoint->url))
        rc = WARD_EINVAL;
    if (!rc) {
        LIST_INSERT_HEAD(&net->endpoints, endpoint, list);
        net->live++;
        start_locked(endpoint);
    }
    pthread_mutex_unlock(&net->lock);
    return rc;
}

ward_status ward__endpoint_open(
    struct ward__net *net, const char *url, const ward_link_opts *opts, bool listens)
{
    struct ward__endpoint *endpoint;
    char at[RESOLVED_MAX];
    ward_status rc = resolve(at, url);
    bool known;

    if (rc) return rc;
    pthread_mutex_lock(&net->lock);
    known = is_known_locked(net, url);
    pthread_mutex_unlock(&net->lock);
    if (known) return WARD_EINVAL;
    endpoint = ward__alloc_zero(&net->node->heap, sizeof *endpoint);
    if (!endpoint) return WARD_ENOMEM;
    endpoint->net = net;
    endpoint->refs = 1;
    endpoint->listens = listens;
    endpoint->chance = net->via->chance(net->node);
    endpoint->opts = *opts;
    endpoint->opts.peer = NULL;
    if (opts->peer) snprintf(endpoint->peer, sizeof endpoint->peer, "%s", opts->peer);
    snprintf(endpoint->url, sizeof endpoint->url, "%s", url);
    rc = open_parts(endpoint, at);
    if (!rc) rc = enlist(endpoint);
    if (rc) endpoint_free(endpoint);
    return rc;
}
