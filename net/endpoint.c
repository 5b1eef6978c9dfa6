/* SPDX-License-Identifier: MIT */
/*
 * endpoint.c - where connections come from: a url that is listened at, or dialled until somebody
 * answers and again after each loss, with a backoff that doubles and is drawn at random, so that
 * many do not come back at once. Without file descriptors a listener waits a while instead of
 * spinning.
 *
 * Operations are started with the net's lock held, and only while it is not closed; each that is
 * under way has a reference. nng is told to close outside of the lock. Runs on nng's threads and
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
    if (endpoint->listener)
        nng_stream_listener_accept(endpoint->listener, endpoint->worker);
    else
        nng_stream_dialer_dial(endpoint->dialer, endpoint->worker);
}

static void nap_locked(struct ward__endpoint *endpoint, uint32_t ms)
{
    if (endpoint->closed) return;
    endpoint->refs++;
    nng_sleep_aio(ward__nng_ms(ms), endpoint->napper);
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

    if (endpoint->listener) nng_stream_listener_free(endpoint->listener);
    if (endpoint->dialer) nng_stream_dialer_free(endpoint->dialer);
    if (endpoint->worker) nng_aio_reap(endpoint->worker);
    if (endpoint->napper) nng_aio_reap(endpoint->napper);
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
    int error = nng_aio_result(endpoint->worker);

    if (!error) ward__session_open(endpoint, nng_aio_get_output(endpoint->worker, 0));
    pthread_mutex_lock(&net->lock);
    if (error)
        nap_locked(endpoint, endpoint->listener ? REST_MS : next_backoff(endpoint));
    else if (endpoint->listener)
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
    if (endpoint->dialer && ward__session_to_locked(net, endpoint->peer_node))
        nap_locked(endpoint, LAST_MS);
    else
        start_locked(endpoint);
    pthread_mutex_unlock(&net->lock);
    ward__endpoint_drop(endpoint);
}

void ward__endpoint_ended(struct ward__endpoint *endpoint)
{
    struct ward__net *net = endpoint->net;

    if (!endpoint->dialer) return;
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
    if (endpoint->listener) nng_stream_listener_close(endpoint->listener);
    if (endpoint->dialer) nng_stream_dialer_close(endpoint->dialer);
    nng_aio_cancel(endpoint->napper);
    return endpoint;
}

/* -- opening ----------------------------------------------------------------------------------- */

/* What nng is given. "localhost" is what it stands for on every machine, and is not looked up. */
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

static ward_status status_of(int error)
{
    return error == NNG_ENOMEM ? WARD_ENOMEM : error ? WARD_ELINK : WARD_OK;
}

static ward_status open_listener(struct ward__endpoint *endpoint, const char *at)
{
    int error = nng_stream_listener_alloc(&endpoint->listener, at);

    if (!error && at[0] == 'i')
        error = nng_stream_listener_set_int(endpoint->listener, NNG_OPT_IPC_PERMISSIONS, 0600);
    if (!error && at[0] == 't')
        error = nng_stream_listener_set_bool(endpoint->listener, NNG_OPT_TCP_NODELAY, true);
    if (!error) error = nng_stream_listener_listen(endpoint->listener);
    return status_of(error);
}

static ward_status open_dialer(struct ward__endpoint *endpoint, const char *at)
{
    int error = nng_stream_dialer_alloc(&endpoint->dialer, at);

    if (!error && at[0] == 't')
        error = nng_stream_dialer_set_bool(endpoint->dialer, NNG_OPT_TCP_NODELAY, true);
    return status_of(error);
}

static ward_status open_parts(struct ward__endpoint *endpoint, const char *at, bool listens)
{
    if (nng_aio_alloc(&endpoint->worker, on_worked, endpoint) ||
        nng_aio_alloc(&endpoint->napper, on_napped, endpoint))
        return WARD_ENOMEM;
    if (!listens) nng_aio_set_timeout(endpoint->worker, DIAL_MS);
    return listens ? open_listener(endpoint, at) : open_dialer(endpoint, at);
}

static bool is_known_locked(struct ward__net *net, const char *url, bool listens)
{
    const struct ward__endpoint *endpoint = LIST_FIRST(&net->endpoints);

    for (; endpoint; endpoint = LIST_NEXT(endpoint, list))
        if (strcmp(endpoint->url, url) == 0 && (endpoint->listener != NULL) == listens) return true;
    return false;
}

static ward_status enlist(struct ward__endpoint *endpoint)
{
    struct ward__net *net = endpoint->net;
    ward_status rc = WARD_OK;

    pthread_mutex_lock(&net->lock);
    if (net->stopping)
        rc = WARD_ECANCELED;
    else if (is_known_locked(net, endpoint->url, endpoint->listener != NULL))
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
    known = is_known_locked(net, url, listens);
    pthread_mutex_unlock(&net->lock);
    if (known) return WARD_EINVAL;
    endpoint = ward__alloc_zero(&net->node->heap, sizeof *endpoint);
    if (!endpoint) return WARD_ENOMEM;
    endpoint->net = net;
    endpoint->refs = 1;
    endpoint->chance = ward__entropy();
    endpoint->opts = *opts;
    endpoint->opts.peer = NULL;
    if (opts->peer) snprintf(endpoint->peer, sizeof endpoint->peer, "%s", opts->peer);
    snprintf(endpoint->url, sizeof endpoint->url, "%s", url);
    rc = open_parts(endpoint, at, listens);
    if (!rc) rc = enlist(endpoint);
    if (rc) endpoint_free(endpoint);
    return rc;
}
