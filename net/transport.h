/* SPDX-License-Identifier: MIT */
/*
 * transport.h - how bytes get from one node to another: streams, where they come from, and
 * operations on them, one at a time each, whose end is told by a callback. Behind it is nng
 * (transport_nng.c) or, in a simulated node, memory and the seed (transport_sim.c).
 *
 * A callback never runs inside the call that starts its operation, and neither waits nor calls
 * user code. An operation that is under way when its stream or door is closed ends with WARD_ELINK.
 */
#ifndef WARD_NET_TRANSPORT_H
#define WARD_NET_TRANSPORT_H

#include <ward/ward.h>

struct ward__io; /* an operation, to be started again and again */
struct ward__stream; /* bytes both ways, in order */
struct ward__door; /* a url that is listened at, or dialled */

struct ward__transport {
    int64_t (*now_ns)(const ward_node *node);
    uint64_t (*chance)(ward_node *node);

    /* Errors: WARD_ENOMEM. */
    ward_status (*io_new)(
        ward_node *node, struct ward__io **out, void (*done)(void *arg), void *arg);
    /* It was never started, or has ended; also inside of its callback. */
    void (*io_free)(struct ward__io *io);
    void (*io_cancel)(struct ward__io *io);
    /* In the callback. bytes, stream: what it was about; NULL: not asked for. Errors: WARD_ELINK,
     * WARD_ETIMEDOUT, WARD_ENOMEM, WARD_EDENIED. */
    ward_status (*io_end)(struct ward__io *io, size_t *bytes, struct ward__stream **stream);
    void (*sleep)(struct ward__io *io, uint64_t ms);

    /* Some of the bytes, at least one; WARD_ETIMEDOUT when there are none after so long. */
    void (*send)(struct ward__stream *stream, struct ward__io *io, const void *data, size_t bytes,
        uint64_t ms);
    void (*receive)(
        struct ward__stream *stream, struct ward__io *io, void *data, size_t bytes, uint64_t ms);
    void (*close)(struct ward__stream *stream);
    void (*free)(struct ward__stream *stream); /* no operation is under way */
    bool (*ours)(const struct ward__stream *stream, const char *url); /* of the same user */

    /* Errors: WARD_ENOMEM; WARD_ELINK: the url cannot be listened at. */
    ward_status (*listen)(ward_node *node, struct ward__door **out, const char *url);
    ward_status (*dialler)(ward_node *node, struct ward__door **out, const char *url);
    /* The next stream: accepted, or connected within so long. */
    void (*next)(struct ward__door *door, struct ward__io *io, uint64_t ms);
    void (*door_close)(struct ward__door *door);
    void (*door_free)(struct ward__door *door);
};

extern const struct ward__transport ward__nng, ward__simulated;

#endif
