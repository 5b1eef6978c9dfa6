/* SPDX-License-Identifier: MIT */
/*
 * link.h - one connection: a stream that carries frames both ways.
 *
 * One receive and one send are under way at most; what is put while a send is under way goes out
 * with the next one. Frames are handed up one after the other, from the transport's threads. A link
 * that is closed, by either side or for silence, says so once, after its last frame. Starting an
 * operation on a closed stream would hang, so operations start under the lock that guards `closed`.
 *
 * Knows frames, not what is in them; no nodes' names, no actors. The lock is a leaf. The record is
 * part of a larger one, which `free` has back when nobody has it any more; it may be used again,
 * but stays a link until the net is gone, so that ward__link_put_to may be tried on one that is
 * over.
 */
#ifndef WARD_NET_LINK_H
#define WARD_NET_LINK_H

#include <pthread.h>

#include "net/transport.h"
#include "net/wire.h"

enum {
    WARD__HELLO_MS = 2000, /* from connected to up */
    WARD__WINDOW = 4 << 20, /* bytes on their way that the peer has not taken */
    WARD__TAKEN_LEAST = 512 << 10, /* what is worth a frame that says so */
    WARD__LINGER_MS = 200 /* after BYE, for the peer to read it and close */
};

struct ward__link;

struct ward__link_ops {
    /* Something was read: frames, perhaps, and then `rest`. */
    void (*begin)(struct ward__link *link);
    /* A frame. Anything but WARD_OK closes the link with it. */
    ward_status (*frame)(struct ward__link *link, const struct ward__frame *frame);
    /* There is room for mail again, after it was refused for want of it. */
    void (*roomy)(struct ward__link *link);
    /* All that had been read is handled. */
    void (*rest)(struct ward__link *link);
    /* The last thing, once: closed, and why. */
    void (*over)(struct ward__link *link, ward_status why);
    void (*free)(struct ward__link *link);
};

/* What both sides have agreed on. */
struct ward__link_limits {
    uint32_t heartbeat_ms, dead_ms;
    size_t queued_max; /* bytes of mail that wait */
    size_t in_max, out_max; /* of one frame's declared length */
};

struct ward__link {
    const struct ward__link_ops *ops;
    const struct ward__transport *via;
    ward_node *node; /* for the transport */
    struct ward__stream *stream;
    struct ward__io *receiver, *sender, *ticker;
    _Atomic uint32_t refs;
    /* Held while an operation of the stream is started, and by who closes it. Its holder may be in
     * a write to the kernel, so it is not the lock; it is taken under it by who closes only. */
    pthread_mutex_t starts;
    bool shut; /* the stream was closed */
    pthread_mutex_t lock;
    /* Under the lock. */
    bool closed, up, leaving, sending, sent; /* sent: something, since the last tick */
    uint32_t peer; /* the node it is up with; 0: none */
    struct ward__known known; /* types that were sent */
    ward_status why;
    struct ward__link_limits limits;
    bool refused; /* mail, since `roomy` was last called */
    uint64_t written, taken; /* bytes: handed to nng; of them the peer's that it has said so of */
    struct ward__buf waiting, going;
    size_t gone; /* of `going` */
    uint32_t send_ms; /* and how long a send may take */
    int64_t left_ns; /* since it is leaving */
    /* The receiver's. */
    struct ward__buf in;
    int64_t hello_by_ns;
    uint64_t handled, told; /* bytes: that were read; of them the peer knows */
    bool late; /* silent for most of dead_ms: one more look */
};

/* What may be put when. */
enum ward__urgency {
    WARD__PUT_MAIL, /* WARD_EFULL when queued_max bytes wait, or WARD__WINDOW were not taken */
    WARD__PUT_ANSWER, /* when twice as many do */
    WARD__PUT_NEWS /* never; a peer that does not read them loses the link */
};

/* Once, for the memory of a link; and before it is freed. */
void ward__link_init(struct ward__link *link);
void ward__link_fini(struct ward__link *link);
/* Takes the stream over, in any case, and has one reference. Errors: WARD_ENOMEM. */
ward_status ward__link_open(struct ward__link *link, const struct ward__link_ops *ops,
    const struct ward__transport *via, ward_node *node, struct ward__stream *stream);
/* Receives from now on; until ward__link_up only small frames, and until WARD__HELLO_MS. */
void ward__link_start(struct ward__link *link);
/* From a frame's handler: all frames from the next one on, and heartbeats. */
void ward__link_up(struct ward__link *link, const struct ward__link_limits *limits);

/* Appends a frame. Errors: as ward__wire_put; WARD_EFULL; WARD_ELINK: closed or leaving. News that
 * cannot be put for want of memory close the link. Any thread. */
ward_status ward__link_put(
    struct ward__link *link, const struct ward__frame *frame, enum ward__urgency urgency);
/* Whether mail was refused for want of room, and `roomy` not called since. */
bool ward__link_refused(struct ward__link *link);
/* From a frame's handler: the peer has taken so many more bytes. Errors: WARD_EINVAL: than there
 * were. */
ward_status ward__link_taken(struct ward__link *link, uint64_t bytes);
/* From `rest`: tells the peer what was taken, all that was read but for `held` bytes. */
void ward__link_take(struct ward__link *link, size_t held);
/* The same if it is up with that node; false: it is not. Needs no reference. */
bool ward__link_put_to(
    struct ward__link *link, uint32_t node, const struct ward__frame *frame, ward_status *rc);
/* From now on, or with 0 no more, ward__link_put_to takes it for the link with that node. */
void ward__link_leads_to(struct ward__link *link, uint32_t node);
/* The last frame; then it is closed when the peer has closed, or after WARD__LINGER_MS. */
void ward__link_leave(struct ward__link *link, const struct ward__frame *bye);
/* Closes now. Waits for nothing. */
void ward__link_close(struct ward__link *link, ward_status why);

void ward__link_hold(struct ward__link *link);
void ward__link_drop(struct ward__link *link);

#endif
