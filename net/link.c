/* SPDX-License-Identifier: MIT */
/*
 * link.c - bytes in, frames up; frames down, bytes out. Flow 7 of 8.
 *
 * The transport's callbacks run on nng's threads (or in the simulator's loop), one at a time for
 * each operation, and never inside the call that starts one. They neither wait nor call user code.
 * Each operation that is under way has a reference of the link; the receiver's chain of operations
 * ends exactly once, and that is where `over` is called.
 *
 * Heartbeats: a tick of half the interval writes PING if nothing was written since the last one.
 * Silence: three quarters of dead_ms, then a second look of one quarter; if this process was
 * stopped itself, what the peer sent meanwhile is found by the second look.
 */
#include "net/link.h"

#include <string.h>

#include "actors/node.h"
#include "base/assert.h"

enum { READ_BYTES = 64 * 1024, KEEP_BYTES = 1024 * 1024, NEWS_BYTES = 1024 * 1024 };

void ward__link_hold(struct ward__link *link)
{
    ward__add(&link->refs, 1);
}

/* Only what was never started, or has ended, gets here; the parts are freed when they can be. */
void ward__link_drop(struct ward__link *link)
{
    if (atomic_fetch_sub_explicit(&link->refs, 1, memory_order_acq_rel) != 1) return;
    link->via->free(link->stream);
    if (link->receiver) link->via->io_free(link->receiver);
    if (link->sender) link->via->io_free(link->sender);
    if (link->ticker) link->via->io_free(link->ticker);
    ward__buf_drop(&link->in);
    ward__buf_drop(&link->waiting);
    ward__buf_drop(&link->going);
    link->ops->free(link);
}

static void close_locked(struct ward__link *link, ward_status why)
{
    if (link->closed) return;
    link->closed = true;
    link->why = why;
    link->peer = 0;
    pthread_mutex_lock(&link->starts);
    link->shut = true;
    link->via->close(link->stream);
    pthread_mutex_unlock(&link->starts);
    link->via->io_cancel(link->ticker);
}

void ward__link_close(struct ward__link *link, ward_status why)
{
    pthread_mutex_lock(&link->lock);
    close_locked(link, why);
    pthread_mutex_unlock(&link->lock);
}

/* -- sending ----------------------------------------------------------------------------------- */

static size_t waiting_bytes(const struct ward__link *link)
{
    return link->waiting.bytes + link->going.bytes - link->gone;
}

/* Starts a send of what is left of `going`. Whoever set `sending` has that buffer. The write to the
 * kernel is made in here, which takes long: with the lock held, those who put would wait for it.
 * False: the link is closed. */
static bool send_rest(struct ward__link *link)
{
    bool shut;

    pthread_mutex_lock(&link->starts);
    shut = link->shut;
    if (!shut)
        link->via->send(link->stream, link->sender, link->going.data + link->gone,
            link->going.bytes - link->gone, link->send_ms);
    pthread_mutex_unlock(&link->starts);
    return !shut;
}

/* Takes what waits, for the caller to send; false: nothing, or a send is under way and goes on with
 * it when it is done. */
static bool take_locked(struct ward__link *link)
{
    struct ward__buf empty = link->going;

    if (link->sending || link->closed || !link->waiting.bytes) return false;
    link->going = link->waiting;
    link->waiting = empty;
    link->gone = 0;
    link->written += link->going.bytes;
    link->sending = link->sent = true;
    link->send_ms = link->limits.dead_ms;
    return true;
}

/* True: the caller has a send to start with `start`, once it has given the lock back. */
static bool kick_locked(struct ward__link *link)
{
    if (!take_locked(link)) return false;
    ward__link_hold(link);
    return true;
}

static void start(struct ward__link *link)
{
    if (!send_rest(link)) ward__link_drop(link);
}

static bool has_room(const struct ward__link *link, size_t part)
{
    uint64_t under_way = link->waiting.bytes + link->written - link->taken;

    return waiting_bytes(link) <= (link->limits.queued_max - 1) / part &&
           under_way < WARD__WINDOW / part;
}

/* True: the caller is to call `roomy`, once it has given the lock back. */
static bool roomy_locked(struct ward__link *link)
{
    if (!link->refused || (!link->closed && !has_room(link, 2))) return false;
    link->refused = false;
    return true;
}

static void on_sent(void *arg)
{
    struct ward__link *link = arg;
    size_t bytes;
    ward_status rc = link->via->io_end(link->sender, &bytes, NULL);
    bool again = false, roomy;

    pthread_mutex_lock(&link->lock);
    if (rc) close_locked(link, rc);
    link->gone += bytes;
    again = !link->closed && link->gone < link->going.bytes;
    if (!again) {
        link->sending = false;
        link->going.bytes = link->gone = 0;
        again = take_locked(link);
    }
    roomy = roomy_locked(link);
    pthread_mutex_unlock(&link->lock);
    if (roomy) link->ops->roomy(link);
    if (!again || !send_rest(link)) ward__link_drop(link);
}

static ward_status room_locked(struct ward__link *link, enum ward__urgency urgency)
{
    const struct ward__link_limits *limits = &link->limits;
    size_t bytes = waiting_bytes(link);

    if (link->closed || link->leaving) return WARD_ELINK;
    switch (urgency) {
    case WARD__PUT_MAIL:
        if (has_room(link, 1)) return WARD_OK;
        link->refused = true;
        return WARD_EFULL;
    case WARD__PUT_ANSWER: return bytes / 2 < limits->queued_max ? WARD_OK : WARD_EFULL;
    case WARD__PUT_NEWS: break;
    }
    if (bytes / 2 < limits->queued_max + limits->out_max + NEWS_BYTES) return WARD_OK;
    close_locked(link, WARD_EFULL);
    return WARD_ELINK;
}

static ward_status put_locked(struct ward__link *link, const struct ward__frame *frame,
    enum ward__urgency urgency, bool *starts)
{
    ward_status rc = room_locked(link, urgency);

    if (!rc) rc = ward__wire_put_known(&link->waiting, frame, link->limits.out_max, &link->known);
    if (rc == WARD_ENOMEM && urgency == WARD__PUT_NEWS) close_locked(link, WARD_ENOMEM);
    *starts = !rc && kick_locked(link);
    return rc;
}

ward_status ward__link_put(
    struct ward__link *link, const struct ward__frame *frame, enum ward__urgency urgency)
{
    bool starts;
    ward_status rc;

    pthread_mutex_lock(&link->lock);
    rc = put_locked(link, frame, urgency, &starts);
    pthread_mutex_unlock(&link->lock);
    if (starts) start(link);
    return rc;
}

bool ward__link_put_to(
    struct ward__link *link, uint32_t node, const struct ward__frame *frame, ward_status *rc)
{
    bool starts = false, there;

    pthread_mutex_lock(&link->lock);
    there = link->peer == node;
    if (there) *rc = put_locked(link, frame, WARD__PUT_MAIL, &starts);
    pthread_mutex_unlock(&link->lock);
    if (starts) start(link);
    return there;
}

ward_status ward__link_taken(struct ward__link *link, uint64_t bytes)
{
    bool right, roomy;

    pthread_mutex_lock(&link->lock);
    right = bytes <= link->written - link->taken;
    if (right) link->taken += bytes;
    roomy = roomy_locked(link);
    pthread_mutex_unlock(&link->lock);
    if (roomy) link->ops->roomy(link);
    return right ? WARD_OK : WARD_EINVAL;
}

bool ward__link_refused(struct ward__link *link)
{
    bool refused;

    pthread_mutex_lock(&link->lock);
    refused = link->refused && !link->closed;
    pthread_mutex_unlock(&link->lock);
    return refused;
}

void ward__link_take(struct ward__link *link, size_t held)
{
    uint64_t most = link->handled > held ? link->handled - held : 0;
    struct ward__frame frame = { .kind = WARD__FRAME_TAKEN };

    if (most < link->told + WARD__TAKEN_LEAST) return;
    frame.id = most - link->told;
    link->told = most;
    (void)ward__link_put(link, &frame, WARD__PUT_NEWS);
}

void ward__link_leads_to(struct ward__link *link, uint32_t node)
{
    pthread_mutex_lock(&link->lock);
    link->peer = link->closed ? 0 : node;
    pthread_mutex_unlock(&link->lock);
}

void ward__link_leave(struct ward__link *link, const struct ward__frame *bye)
{
    bool starts = false;

    pthread_mutex_lock(&link->lock);
    if (!link->closed && !link->leaving) {
        link->leaving = true;
        link->left_ns = link->via->now_ns(link->node);
        if (ward__wire_put(&link->waiting, bye, WARD__FRAME_SMALL_MAX))
            close_locked(link, WARD_ENOMEM);
        starts = kick_locked(link);
    }
    pthread_mutex_unlock(&link->lock);
    if (starts) start(link);
}

/* -- heartbeats -------------------------------------------------------------------------------- */

/* True: as kick_locked. */
static bool tick_locked(struct ward__link *link)
{
    static const struct ward__frame ping = { .kind = WARD__FRAME_PING };
    bool idle = !link->sent && !waiting_bytes(link);
    uint32_t ms = link->up ? link->limits.heartbeat_ms / 2 : WARD__LINGER_MS / 2;

    link->via->sleep(link->ticker, ms);
    link->sent = false;
    if (!idle || !link->up || link->leaving) return false;
    if (link->waiting.cap > KEEP_BYTES) ward__buf_drop(&link->waiting);
    if (link->going.cap > KEEP_BYTES && !link->sending) ward__buf_drop(&link->going);
    if (ward__wire_put(&link->waiting, &ping, WARD__FRAME_SMALL_MAX))
        close_locked(link, WARD_ENOMEM);
    return kick_locked(link);
}

static void on_tick(void *arg)
{
    struct ward__link *link = arg;
    int64_t now = link->via->now_ns(link->node);
    bool over, starts = false;

    pthread_mutex_lock(&link->lock);
    if (link->leaving && now - link->left_ns >= WARD__LINGER_MS * (int64_t)WARD__NS_MS)
        close_locked(link, WARD_ECANCELED);
    over = link->closed;
    if (!over) starts = tick_locked(link);
    pthread_mutex_unlock(&link->lock);
    if (starts) start(link);
    if (over) ward__link_drop(link);
}

/* -- receiving --------------------------------------------------------------------------------- */

/* Until when nothing may come; 0: that time is over. */
static uint64_t silence(const struct ward__link *link)
{
    uint32_t dead = link->limits.dead_ms;

    if (!link->up) {
        int64_t left = (link->hello_by_ns - link->via->now_ns(link->node)) / WARD__NS_MS;
        return left > 0 ? (uint64_t)left : 0;
    }
    if (dead == WARD_UNLIMITED) return dead;
    return 1 + (link->late ? dead / 4 : dead - dead / 4);
}

/* Starts the next receive; what it cannot: the link is closed. */
static void receive(struct ward__link *link)
{
    bool room = ward__buf_room(&link->in, READ_BYTES);
    uint64_t ms = silence(link);
    bool shut;

    if (!room || !ms) ward__link_close(link, room ? WARD_ETIMEDOUT : WARD_ENOMEM);
    pthread_mutex_lock(&link->starts);
    shut = link->shut;
    if (!shut)
        link->via->receive(link->stream, link->receiver, link->in.data + link->in.bytes,
            link->in.cap - link->in.bytes, ms);
    pthread_mutex_unlock(&link->starts);
    if (!shut) return;
    link->ops->over(link, link->why);
    ward__link_drop(link);
}

/* Hands up the complete frames that were read, and keeps the rest. */
static ward_status hand_up(struct ward__link *link)
{
    size_t at = 0, bytes = 1;
    ward_status rc = WARD_OK;

    link->ops->begin(link);
    while (!rc && at < link->in.bytes) {
        ward_bytes in = { link->in.data + at, link->in.bytes - at };
        struct ward__frame frame;
        rc = ward__wire_frame(in, link->limits.in_max, &bytes);
        if (rc || !bytes || bytes > in.count) break;
        in.count = bytes;
        rc = ward__wire_heads(&frame, in);
        if (!rc) rc = link->ops->frame(link, &frame);
        at += bytes;
    }
    if (at) memmove(link->in.data, link->in.data + at, link->in.bytes - at);
    link->in.bytes -= at;
    link->handled += at;
    if (!link->in.bytes && link->in.cap > KEEP_BYTES) ward__buf_drop(&link->in);
    link->ops->rest(link);
    return rc;
}

static void on_received(void *arg)
{
    struct ward__link *link = arg;
    size_t bytes;
    ward_status rc = link->via->io_end(link->receiver, &bytes, NULL);

    if (!rc) {
        link->late = false;
        link->in.bytes += bytes;
        rc = hand_up(link);
    } else if (rc == WARD_ETIMEDOUT && link->up && !link->late) {
        link->late = true;
        rc = WARD_OK;
    }
    if (rc) ward__link_close(link, rc);
    receive(link);
}

/* -- from open to up --------------------------------------------------------------------------- */

void ward__link_init(struct ward__link *link)
{
    ward__lock_init(&link->lock);
    ward__lock_init(&link->starts);
}

void ward__link_fini(struct ward__link *link)
{
    pthread_mutex_destroy(&link->lock);
    pthread_mutex_destroy(&link->starts);
}

ward_status ward__link_open(struct ward__link *link, const struct ward__link_ops *ops,
    const struct ward__transport *via, ward_node *node, struct ward__stream *stream)
{
    pthread_mutex_lock(&link->lock); /* somebody may try whether it is the old one */
    link->ops = ops;
    link->via = via;
    link->node = node;
    link->stream = stream;
    link->receiver = link->sender = link->ticker = NULL;
    link->closed = link->up = link->leaving = link->sending = link->sent = link->shut = false;
    link->late = link->refused = false;
    link->written = link->taken = link->handled = link->told = 0;
    link->why = WARD_OK;
    link->peer = 0;
    link->gone = 0;
    link->known = (struct ward__known){ 0 };
    link->in = link->waiting = link->going = (struct ward__buf){ .heap = &node->heap };
    link->limits = (struct ward__link_limits){ .dead_ms = WARD__HELLO_MS,
        .queued_max = WARD__FRAME_SMALL_MAX,
        .in_max = WARD__FRAME_HELLO_MAX,
        .out_max = WARD__FRAME_SMALL_MAX };
    link->hello_by_ns = via->now_ns(node) + WARD__HELLO_MS * (int64_t)WARD__NS_MS;
    ward__store(&link->refs, 1);
    pthread_mutex_unlock(&link->lock);
    if (!via->io_new(node, &link->receiver, on_received, link) &&
        !via->io_new(node, &link->sender, on_sent, link) &&
        !via->io_new(node, &link->ticker, on_tick, link))
        return WARD_OK;
    return WARD_ENOMEM;
}

void ward__link_start(struct ward__link *link)
{
    ward__link_hold(link); /* the receiver's */
    pthread_mutex_lock(&link->lock);
    if (!link->closed) {
        ward__link_hold(link); /* the ticker's */
        (void)tick_locked(link); /* not up: no heartbeat */
    }
    pthread_mutex_unlock(&link->lock);
    receive(link);
}

void ward__link_up(struct ward__link *link, const struct ward__link_limits *limits)
{
    pthread_mutex_lock(&link->lock);
    link->up = true;
    link->limits = *limits;
    pthread_mutex_unlock(&link->lock);
}
