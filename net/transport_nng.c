/* SPDX-License-Identifier: MIT */
/*
 * transport_nng.c - streams of nng: ipc and tcp. A thin cover: an io is an nng_aio and a stream an
 * nng_stream under other names, so nothing is allocated or looked up. Callbacks run on nng's
 * threads, one at a time for each operation. Starting an operation on a closed stream would hang,
 * which callers see to (link.c, endpoint.c).
 */
#include <nng/nng.h>
#include <string.h>
#include <unistd.h>

#include "actors/node.h"
#include "net/transport.h"

struct ward__door {
    nng_stream_listener *listener; /* one of the two */
    nng_stream_dialer *dialer;
    struct ward__heap *heap;
};

static ward_status status_of(int error)
{
    switch (error) {
    case 0: return WARD_OK;
    case NNG_ENOMEM: return WARD_ENOMEM;
    case NNG_ETIMEDOUT: return WARD_ETIMEDOUT;
    case NNG_EPERM: return WARD_EDENIED;
    default: return WARD_ELINK;
    }
}

/* In nng's unit and sense of for ever. */
static nng_duration duration(uint64_t ms)
{
    if (ms >= INT32_MAX) return NNG_DURATION_INFINITE;
    return ms ? (nng_duration)ms : 1;
}

static nng_aio *aio_of(struct ward__io *io)
{
    return (nng_aio *)io;
}

static nng_stream *stream_of(struct ward__stream *stream)
{
    return (nng_stream *)stream;
}

static int64_t now_ns(const ward_node *node)
{
    (void)node;
    return ward__now_ns();
}

static uint64_t chance(ward_node *node)
{
    (void)node;
    return ward__entropy();
}

/* -- operations -------------------------------------------------------------------------------- */

static ward_status io_new(
    ward_node *node, struct ward__io **out, void (*done)(void *arg), void *arg)
{
    nng_aio *aio;

    (void)node;
    if (nng_aio_alloc(&aio, done, arg)) return WARD_ENOMEM;
    *out = (struct ward__io *)aio;
    return WARD_OK;
}

static void io_free(struct ward__io *io)
{
    nng_aio_reap(aio_of(io));
}

static void io_cancel(struct ward__io *io)
{
    nng_aio_cancel(aio_of(io));
}

static ward_status io_end(struct ward__io *io, size_t *bytes, struct ward__stream **stream)
{
    ward_status rc = status_of(nng_aio_result(aio_of(io)));

    if (bytes) *bytes = rc ? 0 : nng_aio_count(aio_of(io));
    if (stream) *stream = rc ? NULL : nng_aio_get_output(aio_of(io), 0);
    return rc;
}

static void sleep_for(struct ward__io *io, uint64_t ms)
{
    nng_sleep_aio(duration(ms), aio_of(io));
}

static nng_aio *prepare(struct ward__io *io, void *data, size_t bytes, uint64_t ms)
{
    nng_iov iov = { .iov_buf = data, .iov_len = bytes };

    nng_aio_set_iov(aio_of(io), 1, &iov);
    nng_aio_set_timeout(aio_of(io), duration(ms));
    return aio_of(io);
}

static void send_some(
    struct ward__stream *stream, struct ward__io *io, const void *data, size_t bytes, uint64_t ms)
{
    nng_stream_send(stream_of(stream), prepare(io, (void *)(uintptr_t)data, bytes, ms));
}

static void receive_some(
    struct ward__stream *stream, struct ward__io *io, void *data, size_t bytes, uint64_t ms)
{
    nng_stream_recv(stream_of(stream), prepare(io, data, bytes, ms));
}

static void close_stream(struct ward__stream *stream)
{
    nng_stream_close(stream_of(stream));
}

static void free_stream(struct ward__stream *stream)
{
    nng_stream_free(stream_of(stream));
}

/* On ipc the kernel says who is there. */
static bool is_ours(const struct ward__stream *stream, const char *url)
{
    nng_stream *at = (nng_stream *)(uintptr_t)stream;
    uint64_t uid = 0;

    if (strncmp(url, "ipc:", 4) != 0) return true;
    return !nng_stream_get_uint64(at, NNG_OPT_IPC_PEER_UID, &uid) && uid == geteuid();
}

/* -- where streams come from ------------------------------------------------------------------- */

static ward_status open_listener(struct ward__door *door, const char *url)
{
    int error = nng_stream_listener_alloc(&door->listener, url);

    if (!error && url[0] == 'i')
        error = nng_stream_listener_set_int(door->listener, NNG_OPT_IPC_PERMISSIONS, 0600);
    if (!error && url[0] == 't')
        error = nng_stream_listener_set_bool(door->listener, NNG_OPT_TCP_NODELAY, true);
    if (!error) error = nng_stream_listener_listen(door->listener);
    return error == NNG_ENOMEM ? WARD_ENOMEM : error ? WARD_ELINK : WARD_OK;
}

static ward_status open_dialler(struct ward__door *door, const char *url)
{
    int error = nng_stream_dialer_alloc(&door->dialer, url);

    if (!error && url[0] == 't')
        error = nng_stream_dialer_set_bool(door->dialer, NNG_OPT_TCP_NODELAY, true);
    return error == NNG_ENOMEM ? WARD_ENOMEM : error ? WARD_ELINK : WARD_OK;
}

static void free_door(struct ward__door *door)
{
    if (door->listener) nng_stream_listener_free(door->listener);
    if (door->dialer) nng_stream_dialer_free(door->dialer);
    ward__free(door->heap, door, sizeof *door);
}

static ward_status open_door(ward_node *node, struct ward__door **out, const char *url,
    ward_status (*open)(struct ward__door *door, const char *url))
{
    struct ward__door *door = ward__alloc_zero(&node->heap, sizeof *door);
    ward_status rc;

    if (!door) return WARD_ENOMEM;
    door->heap = &node->heap;
    rc = open(door, url);
    if (rc)
        free_door(door);
    else
        *out = door;
    return rc;
}

static ward_status listen_at(ward_node *node, struct ward__door **out, const char *url)
{
    return open_door(node, out, url, open_listener);
}

static ward_status dialler_to(ward_node *node, struct ward__door **out, const char *url)
{
    return open_door(node, out, url, open_dialler);
}

static void next(struct ward__door *door, struct ward__io *io, uint64_t ms)
{
    if (door->listener) {
        nng_stream_listener_accept(door->listener, aio_of(io));
        return;
    }
    nng_aio_set_timeout(aio_of(io), duration(ms));
    nng_stream_dialer_dial(door->dialer, aio_of(io));
}

static void close_door(struct ward__door *door)
{
    if (door->listener) nng_stream_listener_close(door->listener);
    if (door->dialer) nng_stream_dialer_close(door->dialer);
}

const struct ward__transport ward__nng = {
    .now_ns = now_ns,
    .chance = chance,
    .io_new = io_new,
    .io_free = io_free,
    .io_cancel = io_cancel,
    .io_end = io_end,
    .sleep = sleep_for,
    .send = send_some,
    .receive = receive_some,
    .close = close_stream,
    .free = free_stream,
    .ours = is_ours,
    .listen = listen_at,
    .dialler = dialler_to,
    .next = next,
    .door_close = close_door,
    .door_free = free_door,
};
