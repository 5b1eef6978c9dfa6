/* SPDX-License-Identifier: MIT */
/*
 * send_wire.c - a state machine for each connection, and one poll(2) for all.
 *
 *   OFF -> CONNECTING -> READY -> SENDING -> WAITING -> READY ... -> FINISHED
 *
 * Whatever goes wrong leads back to OFF by way of broke(), which closes the socket; so an answer
 * can only ever be read from the connection its message went out on. The message itself stays the
 * present one until settle() has counted it as acknowledged, refused or lost: nothing overtakes it
 * on its connection. Owned by the thread that calls gate_wire_turn.
 */
#include "examples/gate/send_wire.h"
#include "examples/gate/mllp.h"
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_MAX = 16384, PAUSE_MS_MIN = 50, PAUSE_MS_MAX = 1000, SUFFIX_MAX = 16 };

enum state { OFF, CONNECTING, READY, SENDING, WAITING, FINISHED };

struct connection {
    struct gate_wire *wire;
    enum state state;
    int fd; /* -1 when OFF or FINISHED */
    /* The present message. */
    const size_t *list; /* indices into the plan */
    size_t count, at;
    unsigned round; /* from 1 */
    bool begun; /* it was tried */
    char suffix[SUFFIX_MAX];
    int64_t failed_us; /* its first failure; 0: none yet */
    int64_t pause_ms;
    int64_t window_ms; /* how long it is tried again after that */
    int64_t not_before_us;
    /* The present try. */
    int64_t try_us, until_us;
    size_t sent, bytes;
    struct gate_mllp framer;
    size_t in_bytes;
    char in[IN_MAX];
};

struct gate_wire {
    struct gate_wire_opts opts;
    const struct gate_plan *plan;
    gate_wire_acknowledged *acknowledged;
    void *arg;
    struct gate_wire_counts counts;
    int64_t now_us;
    double tokens; /* messages that the rate allows to begin */
    int64_t tokens_us;
    unsigned first; /* the connection after the one that took the last token */
    size_t *lists;
    struct pollfd *fds;
    struct connection connections[];
};

static int64_t clock_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* -- times --------------------------------------------------------------------------------------
 */

static size_t group_of(int64_t us)
{
    size_t exponent, group;

    if (us < 32) return us < 0 ? 0 : (size_t)us;
    exponent = 63 - (size_t)__builtin_clzll((unsigned long long)us);
    group = (exponent - 4) * 32 + ((size_t)(us >> (exponent - 5)) & 31);
    return group < GATE_WIRE_TIMES ? group : GATE_WIRE_TIMES - 1;
}

/* The greatest time of a group. */
static int64_t group_end_us(size_t group)
{
    size_t exponent = group / 32 + 4;

    if (group < 32) return (int64_t)group;
    return ((int64_t)(32 + group % 32 + 1) << (exponent - 5)) - 1;
}

static void note_time(struct gate_wire_times *times, int64_t us)
{
    times->count++;
    times->in_group[group_of(us)]++;
    if (us > times->max_us) times->max_us = us;
}

int64_t gate_wire_share_us(const struct gate_wire_times *times, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)times->count + 0.999999), seen = 0;
    int64_t end_us;

    if (times->count == 0) return 0;
    for (size_t group = 0; group < GATE_WIRE_TIMES; group++) {
        seen += times->in_group[group];
        end_us = group_end_us(group);
        if (seen >= wanted && seen > 0) return end_us < times->max_us ? end_us : times->max_us;
    }
    return times->max_us;
}

/* -- the present message ------------------------------------------------------------------------
 */

static const struct gate_plan_message *present(const struct connection *c)
{
    assert(c->at < c->count);
    return &c->wire->plan->messages[c->list[c->at]];
}

static void close_socket(struct connection *c)
{
    if (c->fd < 0) return;
    close(c->fd);
    c->fd = -1;
    if (c->state != CONNECTING) c->wire->counts.open--;
}

static void finish(struct connection *c)
{
    close_socket(c);
    c->state = FINISHED;
}

static void begin(struct connection *c)
{
    if (c->begun) {
        c->wire->counts.retried++;
        return;
    }
    c->begun = true;
    c->wire->counts.sent++;
}

/* The present message has its answer, or has none to expect: on to the next. */
static void settle(struct connection *c, uint64_t *counter)
{
    ++*counter;
    c->begun = false;
    c->failed_us = 0;
    c->pause_ms = PAUSE_MS_MIN;
    c->not_before_us = 0;
    c->at++;
    if (c->at < c->count) return;
    c->at = 0;
    c->round++;
    if (c->round > c->wire->opts.rounds)
        finish(c);
    else if (!c->wire->opts.exact)
        (void)snprintf(c->suffix, sizeof c->suffix, "-r%u", c->round);
}

/* It failed in a way that more tries may mend. */
static void again(struct connection *c, enum gate_wire_trouble trouble)
{
    struct gate_wire *wire = c->wire;

    wire->counts.trouble[trouble]++;
    if (c->failed_us == 0) c->failed_us = wire->now_us;
    if (wire->now_us - c->failed_us >= c->window_ms * 1000) {
        /* Nobody is there. The others on this connection get one try each, not one window each,
         * until there is an answer again. */
        if (trouble != GATE_WIRE_AE) c->window_ms = 0;
        settle(c, &wire->counts.lost);
        return;
    }
    c->not_before_us = wire->now_us + c->pause_ms * 1000;
    c->pause_ms = c->pause_ms * 2 < PAUSE_MS_MAX ? c->pause_ms * 2 : PAUSE_MS_MAX;
}

/* The connection is of no use any more. */
static void broke(struct connection *c, enum gate_wire_trouble trouble)
{
    bool idle = c->state == READY && !c->begun;

    close_socket(c);
    c->state = OFF;
    if (idle) {
        c->not_before_us = c->wire->now_us + (int64_t)PAUSE_MS_MIN * 1000;
        return;
    }
    if (!c->begun) begin(c); /* it could not even be connected for */
    again(c, trouble);
}

/* -- connecting and sending ---------------------------------------------------------------------
 */

static void connected(struct connection *c)
{
    const int one = 1;

    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    gate_mllp_init(&c->framer, IN_MAX - 16);
    c->in_bytes = 0;
    c->state = READY;
    c->wire->counts.open++;
}

static void start_connecting(struct connection *c)
{
    const struct gate_address *to = &c->wire->opts.to;

    c->state = CONNECTING;
    c->until_us = c->wire->now_us + c->wire->opts.ack_ms * 1000;
    c->fd = socket(to->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd >= 0 && connect(c->fd, (const struct sockaddr *)&to->at, to->bytes) == 0)
        connected(c);
    else if (c->fd < 0 || errno != EINPROGRESS)
        broke(c, GATE_WIRE_BROKEN);
}

static void end_connecting(struct connection *c)
{
    int error = 0;
    socklen_t bytes = sizeof error;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0 || error)
        broke(c, GATE_WIRE_BROKEN);
    else
        connected(c);
}

/* The frame of the present message, its control id made unique for the round. */
static void frame_of(const struct connection *c, struct iovec out[5])
{
    const struct gate_plan_message *m = present(c);
    size_t front = m->whole.bytes, suffix = 0;
    struct iovec framing[3];

    if (m->id.bytes) {
        front = (size_t)(m->id.at - m->whole.at) + m->id.bytes;
        suffix = strlen(c->suffix);
    }
    gate_mllp_pieces(framing, m->whole.at, m->whole.bytes);
    out[0] = framing[0];
    out[1] = (struct iovec){ (void *)m->whole.at, front };
    out[2] = (struct iovec){ (void *)c->suffix, suffix };
    out[3] = (struct iovec){ (void *)(m->whole.at + front), m->whole.bytes - front };
    out[4] = framing[2];
}

static void skip(struct iovec *pieces, size_t bytes)
{
    for (size_t i = 0; i < 5 && bytes; i++) {
        size_t part = bytes < pieces[i].iov_len ? bytes : pieces[i].iov_len;
        pieces[i].iov_base = (char *)pieces[i].iov_base + part;
        pieces[i].iov_len -= part;
        bytes -= part;
    }
}

static bool take_in(struct connection *c);

static void send_some(struct connection *c)
{
    struct iovec pieces[5];
    struct msghdr out = { .msg_iov = pieces, .msg_iovlen = 5 };
    ssize_t n;

    frame_of(c, pieces);
    skip(pieces, c->sent);
    n = sendmsg(c->fd, &out, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) {
        /* Whoever ends the connection before he has the whole message may have said why. */
        if (take_in(c)) broke(c, GATE_WIRE_BROKEN);
        return;
    }
    c->sent += (size_t)n;
    /* A receiver may take its time over a big message, as long as he goes on. */
    c->until_us = clock_us() + c->wire->opts.ack_ms * 1000;
    if (c->sent == c->bytes) c->state = WAITING;
}

static void start_sending(struct connection *c)
{
    struct iovec pieces[5];

    begin(c);
    frame_of(c, pieces);
    c->bytes = 0;
    for (size_t i = 0; i < 5; i++)
        c->bytes += pieces[i].iov_len;
    c->sent = 0;
    c->state = SENDING;
    c->try_us = clock_us();
    c->until_us = c->try_us + c->wire->opts.ack_ms * 1000;
    send_some(c);
}

/* -- answers ------------------------------------------------------------------------------------
 */

static bool is_for_present(const struct connection *c, struct gate_span id)
{
    const struct gate_plan_message *m = present(c);
    size_t suffix = m->id.bytes ? strlen(c->suffix) : 0;

    return id.bytes == m->id.bytes + suffix && memcmp(id.at, m->id.at, m->id.bytes) == 0 &&
           memcmp(id.at + m->id.bytes, c->suffix, suffix) == 0;
}

/* MSA-3 is only compared with the gate's own texts: from others it may quote the message. */
static void count_refusal(struct gate_wire *wire, struct gate_span ack)
{
    unsigned reason = GATE_HL7_OK;
    struct gate_hl7 parsed;
    struct gate_span text;
    char plain[256];
    size_t bytes;

    (void)gate_hl7_parse(&parsed, ack.at, ack.bytes);
    text = gate_hl7_field(&parsed, gate_hl7_segment(&parsed, "MSA", 1), 3);
    if (gate_hl7_unescape(&parsed, text, plain, sizeof plain, &bytes)) {
        for (unsigned i = GATE_HL7_OK + 1; i < GATE_HL7_REASONS; i++) {
            const char *known = gate_hl7_reason_text((enum gate_hl7_reason)i);
            if (strlen(known) == bytes && memcmp(known, plain, bytes) == 0) reason = i;
        }
    }
    wire->counts.refused_for[reason]++;
}

static void accept_answer(struct connection *c, enum gate_hl7_verdict verdict, struct gate_span ack)
{
    struct gate_wire *wire = c->wire;

    c->state = READY;
    c->window_ms = wire->opts.retry_ms;
    switch (verdict) {
    case GATE_HL7_ACCEPT:
        note_time(&wire->counts.ack, clock_us() - c->try_us);
        wire->acknowledged(wire->arg, present(c)->id, present(c)->id.bytes ? c->suffix : "");
        settle(c, &wire->counts.acknowledged);
        break;
    case GATE_HL7_REJECT:
        count_refusal(wire, ack);
        settle(c, &wire->counts.refused);
        break;
    case GATE_HL7_ERROR: again(c, GATE_WIRE_AE); break;
    }
}

static void take_answer(struct connection *c, struct gate_span ack)
{
    bool half_sent = c->state == SENDING;
    struct gate_hl7_reply reply;

    if ((c->state != WAITING && !half_sent) || !gate_hl7_read_ack(&reply, ack.at, ack.bytes) ||
        !is_for_present(c, reply.control_id) || (half_sent && reply.verdict == GATE_HL7_ACCEPT)) {
        broke(c, GATE_WIRE_WRONG);
        return;
    }
    accept_answer(c, reply.verdict, ack);
    if (half_sent && c->state == READY) {
        /* The rest of the message cannot follow any more. */
        close_socket(c);
        c->state = OFF;
    }
}

/* Looks at what has come. False when the connection is no longer open. */
static bool read_frames(struct connection *c)
{
    struct gate_mllp_frame frame;
    enum gate_mllp_event event;
    size_t dropped;

    for (;;) {
        event = gate_mllp_next(&c->framer, c->in, c->in_bytes, &frame);
        if (event == GATE_MLLP_NEED_MORE) break;
        if (event == GATE_MLLP_FRAME)
            take_answer(c, (struct gate_span){ c->in + frame.at, frame.bytes });
        else
            broke(c, GATE_WIRE_WRONG);
        if (c->fd < 0) return false;
    }
    dropped = gate_mllp_drop(&c->framer);
    memmove(c->in, c->in + dropped, c->in_bytes - dropped);
    c->in_bytes -= dropped;
    return true;
}

/* Reads what is there. False when the connection is no longer open, all being said then. */
static bool take_in(struct connection *c)
{
    ssize_t n;

    for (;;) {
        if (c->in_bytes == IN_MAX) {
            broke(c, GATE_WIRE_WRONG);
            return false;
        }
        n = recv(c->fd, c->in + c->in_bytes, IN_MAX - c->in_bytes, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return true;
        if (n <= 0) {
            broke(c, GATE_WIRE_BROKEN);
            return false;
        }
        c->in_bytes += (size_t)n;
        if (!read_frames(c)) return false;
    }
}

/* -- turns --------------------------------------------------------------------------------------
 */

static bool take_token(const struct connection *c)
{
    struct gate_wire *wire = c->wire;

    if (wire->opts.rate <= 0) return true;
    if (wire->tokens < 1) return false;
    wire->tokens -= 1;
    wire->first = (unsigned)(c - wire->connections + 1) % wire->opts.connections;
    return true;
}

/* What time alone brings about: a time-out, a pause that is over, a token. */
static void advance(struct connection *c)
{
    int64_t now_us = c->wire->now_us;

    if ((c->state == CONNECTING || c->state == SENDING || c->state == WAITING) &&
        now_us >= c->until_us)
        broke(c, GATE_WIRE_TIMEOUT);
    if (now_us < c->not_before_us) return;
    if (c->state == OFF) start_connecting(c);
    if (c->state == READY && now_us >= c->not_before_us && (c->begun || take_token(c)))
        start_sending(c);
}

static void add_tokens(struct gate_wire *wire)
{
    double most = wire->opts.rate / 4 > 1 ? wire->opts.rate / 4 : 1;

    wire->tokens += (double)(wire->now_us - wire->tokens_us) * 1e-6 * wire->opts.rate;
    wire->tokens = wire->tokens < most ? wire->tokens : most;
    wire->tokens_us = wire->now_us;
}

/* When advance() will have something to do for it, if nothing comes before. */
static int64_t due_us(const struct connection *c)
{
    const struct gate_wire *wire = c->wire;

    if (c->state == FINISHED) return INT64_MAX;
    if (c->state == CONNECTING || c->state == SENDING || c->state == WAITING) return c->until_us;
    if (c->state == READY && !c->begun && wire->opts.rate > 0 && wire->now_us >= c->not_before_us)
        return wire->now_us + (int64_t)((1 - wire->tokens) / wire->opts.rate * 1e6) + 1;
    return c->not_before_us;
}

static short events_of(const struct connection *c)
{
    switch (c->state) {
    case CONNECTING: return POLLOUT;
    case SENDING: return POLLIN | POLLOUT;
    default: return POLLIN;
    }
}

static void on_event(struct connection *c, short events)
{
    if (!events) return;
    if (c->state == CONNECTING) {
        end_connecting(c);
        return;
    }
    if ((events & ~POLLOUT) && !take_in(c)) return;
    if (c->state == SENDING) send_some(c);
}

static int timeout_ms(const struct gate_wire *wire, int64_t wait_ms)
{
    int64_t due = wire->now_us + wait_ms * 1000, one;

    for (unsigned i = 0; i < wire->opts.connections; i++) {
        one = due_us(&wire->connections[i]);
        due = one < due ? one : due;
    }
    return due <= wire->now_us ? 0 : (int)((due - wire->now_us + 999) / 1000);
}

static bool all_finished(const struct gate_wire *wire)
{
    for (unsigned i = 0; i < wire->opts.connections; i++) {
        if (wire->connections[i].state != FINISHED) return false;
    }
    return true;
}

bool gate_wire_turn(struct gate_wire *wire, int other_fd, int64_t wait_ms)
{
    unsigned count = wire->opts.connections, first = wire->first;

    assert(count > 0);
    wire->now_us = clock_us();
    add_tokens(wire);
    for (unsigned i = 0; i < count; i++)
        advance(&wire->connections[(first + i) % count]);
    if (all_finished(wire)) return false;
    for (unsigned i = 0; i < count; i++) {
        const struct connection *c = &wire->connections[i];
        wire->fds[i] = (struct pollfd){ .fd = c->fd, .events = events_of(c) };
    }
    wire->fds[count] = (struct pollfd){ .fd = other_fd, .events = POLLIN };
    if (poll(wire->fds, count + 1, timeout_ms(wire, wait_ms)) <= 0) return true;
    wire->now_us = clock_us();
    for (unsigned i = 0; i < count; i++)
        on_event(&wire->connections[i], wire->fds[i].revents);
    return true;
}

/* -- opening and closing ------------------------------------------------------------------------
 */

/* Deals the plan's messages out: all lists lie in one array, one behind the other. */
static void divide(struct gate_wire *wire)
{
    const struct gate_plan *plan = wire->plan;
    unsigned connections = wire->opts.connections;
    size_t next = 0;

    for (unsigned i = 0; i < connections; i++) {
        struct connection *c = &wire->connections[i];
        c->wire = wire;
        c->fd = -1;
        c->round = 1;
        c->pause_ms = PAUSE_MS_MIN;
        c->window_ms = wire->opts.retry_ms;
        c->list = wire->lists + next;
        for (size_t m = 0; m < plan->count; m++) {
            if (plan->messages[m].key % connections == i) wire->lists[next++] = m;
        }
        c->count = (size_t)(wire->lists + next - c->list);
        c->state = c->count ? OFF : FINISHED;
    }
    assert(next == plan->count);
}

struct gate_wire *gate_wire_open(const struct gate_wire_opts *opts, const struct gate_plan *plan,
    gate_wire_acknowledged *acknowledged, void *arg)
{
    struct gate_wire *wire =
        calloc(1, sizeof *wire + opts->connections * sizeof *wire->connections);

    assert(opts->connections > 0 && opts->rounds > 0);
    if (!wire) return NULL;
    wire->opts = *opts;
    wire->plan = plan;
    wire->acknowledged = acknowledged;
    wire->arg = arg;
    wire->lists = calloc(plan->count + 1, sizeof *wire->lists);
    wire->fds = calloc(opts->connections + 1, sizeof *wire->fds);
    if (!wire->lists || !wire->fds) {
        wire->opts.connections = 0;
        gate_wire_close(wire);
        return NULL;
    }
    divide(wire);
    wire->tokens_us = clock_us();
    return wire;
}

void gate_wire_close(struct gate_wire *wire)
{
    if (!wire) return;
    for (unsigned i = 0; i < wire->opts.connections; i++)
        close_socket(&wire->connections[i]);
    free(wire->fds);
    free(wire->lists);
    free(wire);
}

const struct gate_wire_counts *gate_wire_counts(const struct gate_wire *wire)
{
    return &wire->counts;
}

uint64_t gate_wire_planned(const struct gate_wire *wire)
{
    return (uint64_t)wire->plan->count * wire->opts.rounds;
}
