/* SPDX-License-Identifier: MIT */
/*
 * connection.c - reads frames, has each kept, answers. In this order and one at a time, so the
 * answers of a connection come in the order of its messages, and AA means committed.
 *
 * The buffer grows under the budget that all connections share. A frame that does not fit is not
 * waited for: its answer (AE, send it again) is made from its first bytes, the memory given back,
 * and the rest read away in a small buffer, so that the connection goes on. A frame over the limit
 * gets its reason and ends the connection. A buffer whose frame the journal still holds is left to
 * it and a new one taken. Without a frame under way there is no buffer at all.
 *
 * The state belongs to the incarnation; a body on the pool. Knows nothing of SQL or patients.
 */
#include "examples/gate/connection.h"
#include "examples/gate/hl7.h"
#include "examples/gate/mllp.h"
#include "examples/gate/types.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STORE_MS = 30000, WRITE_MS = 10000, QUIET_MS = 250, FIND_MS = 5000 };
enum { LINGER_MS = 2000, READ_MAX = 262144, PATIENT_MAX = 512, SKIP_TAIL = 3, HEAD_MAX = 4096 };
enum { ERROR_INTERNAL = 207 }; /* of table 0357 */

struct connection {
    ward_self *self;
    const struct gate_connection_arg *arg;
    ward_ref journal;
    struct gate_buffer *buffer; /* NULL: nothing is being received */
    struct gate_mllp framer;
    bool in_frame, settled, skipping;
    ward_deadline idle_by, frame_by;
    char *refusal; /* while skipping: the framed answer; malloc */
    size_t refusal_bytes;
};

static struct gate_config *config_of(const struct connection *c)
{
    return c->arg->config;
}

/* -- answers ----------------------------------------------------------------------------------- */

static ward_status send_all(struct connection *c, const char *at, size_t bytes)
{
    ward_deadline by = ward_in_ms(c->self, WRITE_MS);
    ward_status rc = WARD_OK;

    while (!rc && bytes > 0) {
        ssize_t n = send(c->arg->fd, at, bytes, MSG_NOSIGNAL);
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        } else if (errno == EAGAIN) {
            rc = ward_poll_fd(c->self, NULL, c->arg->fd, WARD_WRITABLE, by);
        } else if (errno != EINTR) {
            rc = WARD_STOP; /* it has gone */
        }
    }
    return rc == WARD_ETIMEDOUT ? WARD_STOP : rc; /* it does not read */
}

static size_t make_answer(struct connection *c, char *out, size_t cap, const struct gate_hl7 *m,
    const struct gate_hl7_answer *what)
{
    struct gate_hl7_answer answer = *what;
    struct gate_config *config = config_of(c);
    time_t now = (time_t)(gate_wall_ms() / 1000);
    char id[48], when[32] = "";
    struct tm utc;

    if (gmtime_r(&now, &utc)) (void)strftime(when, sizeof when, "%Y%m%d%H%M%S+0000", &utc);
    (void)snprintf(id, sizeof id, "G%llX-%llu", (unsigned long long)config->started_ms,
        (unsigned long long)atomic_fetch_add(&config->acks, 1) + 1);
    answer.control_id = id;
    answer.time = when;
    return gate_mllp_wrap(
        out, cap, out + 1, gate_hl7_ack(out + 1, cap - GATE_MLLP_FRAMING, m, &answer));
}

static ward_status answer(
    struct connection *c, const struct gate_hl7 *m, const struct gate_hl7_answer *what)
{
    char out[GATE_HL7_ACK_MAX + GATE_MLLP_FRAMING];

    return send_all(c, out, make_answer(c, out, sizeof out, m, what));
}

/* -- one message ------------------------------------------------------------------------------- */

static ward_bytes bytes_of(struct gate_span span)
{
    return (ward_bytes){ span.at, span.bytes };
}

/* Asks the journal to keep a frame, which it reads where it lies. */
static ward_status store(struct connection *c, const struct gate_mllp_frame *frame,
    const struct gate_hl7 *m, struct gate_stored *out)
{
    char patient[PATIENT_MAX];
    ward_blob *blob;
    const ward_msg *stored;
    struct gate_store value = { .application = bytes_of(m->msh[3]),
        .facility = bytes_of(m->msh[4]),
        .control_id = bytes_of(m->msh[10]),
        .patient = { patient, gate_hl7_patient_key(m, patient, sizeof patient) } };
    ward_status rc;

    gate_buffer_hold(c->buffer);
    rc = ward_blob_wrap(c->self, &blob, (ward_bytes){ c->buffer->at + frame->at, frame->bytes },
        gate_buffer_drop, c->buffer);
    if (rc) {
        gate_buffer_drop(c->buffer);
        return rc;
    }
    value.content = blob;
    rc = ward_ask(
        c->self, &stored, c->journal, &gate_store_type, &value, ward_in_ms(c->self, STORE_MS));
    if (!rc) {
        const struct gate_stored *kept = ward_value(stored, &gate_stored_type);
        *out = kept ? *kept : (struct gate_stored){ 0 };
    }
    ward_blob_drop(c->self, blob);
    return rc;
}

static const char *not_kept_text(ward_status rc)
{
    switch ((int)rc) {
    case WARD_OK: return "the journal has no space left: send it again later";
    case GATE_ENOTKEPT: return "the journal cannot write now: send it again later";
    case WARD_ENOMEM: return "no memory now: send it again";
    default: return "not known to be kept: send it again";
    }
}

static ward_status take_message(
    struct connection *c, const struct gate_mllp_frame *frame, const struct gate_hl7 *m)
{
    struct gate_hl7_answer what = { .verdict = GATE_HL7_ACCEPT, .text = "" };
    struct gate_stored stored = { 0 };
    ward_status rc = store(c, frame, m, &stored);

    if (rc == WARD_ECANCELED || rc == WARD_EFENCED) return rc;
    if (rc || !(stored.kept || stored.duplicate)) {
        what.verdict = GATE_HL7_ERROR;
        what.error = ERROR_INTERNAL;
        what.text = not_kept_text(rc);
        gate_log_limited(&config_of(c)->log, GATE_LOG_NOT_KEPT, "connection %llu: %s",
            (unsigned long long)c->arg->number, what.text);
    }
    return answer(c, m, &what);
}

static ward_status take_frame(struct connection *c, const struct gate_mllp_frame *frame)
{
    struct gate_hl7 m;
    enum gate_hl7_reason reason = gate_hl7_parse(&m, c->buffer->at + frame->at, frame->bytes);
    struct gate_hl7_answer what = { .verdict = GATE_HL7_REJECT,
        .text = gate_hl7_reason_text(reason),
        .error = gate_hl7_reason_error(reason) };

    c->in_frame = false;
    if (reason == GATE_HL7_OK) return take_message(c, frame, &m);
    gate_log_limited(&config_of(c)->log, GATE_LOG_REFUSED, "connection %llu: refused: %s",
        (unsigned long long)c->arg->number, what.text);
    return answer(c, &m, &what);
}

/* -- no room ----------------------------------------------------------------------------------- */

/* A frame's last bytes decide what the next one means. With something before them, so that a 0x0B
 * among them is not taken for the start of the frame. */
static void keep_tail(struct connection *c)
{
    struct gate_buffer *buffer = c->buffer;
    size_t tail = buffer->bytes < SKIP_TAIL ? buffer->bytes : SKIP_TAIL;
    enum gate_mllp_event event;
    struct gate_mllp_frame frame;

    memmove(buffer->at + 2, buffer->at + buffer->bytes - tail, tail);
    memcpy(buffer->at, "\x0B.", 2);
    buffer->bytes = tail + 2;
    gate_mllp_init(&c->framer, SIZE_MAX / 4);
    event = gate_mllp_next(&c->framer, buffer->at, buffer->bytes, &frame);
    assert(event == GATE_MLLP_NEED_MORE); /* what these bytes end was told already */
    (void)event;
}

/* The present frame does not fit. It lies at the front of the buffer, without its 0x0B. */
static ward_status start_skipping(struct connection *c)
{
    const struct gate_hl7_answer what = {
        .verdict = GATE_HL7_ERROR, .text = "no room now: send it again", .error = ERROR_INTERNAL
    };
    size_t head = c->buffer->bytes < HEAD_MAX ? c->buffer->bytes : HEAD_MAX;
    size_t cap = GATE_HL7_ACK_MAX + GATE_MLLP_FRAMING;
    struct gate_buffer *small = gate_buffer_new(&config_of(c)->budget);
    struct gate_hl7 m;

    c->refusal = malloc(cap);
    if (!small || !c->refusal) {
        gate_buffer_drop(small);
        return WARD_STOP;
    }
    (void)gate_hl7_parse(&m, c->buffer->at, head);
    c->refusal_bytes = make_answer(c, c->refusal, cap, &m, &what);
    small->bytes = c->buffer->bytes < SKIP_TAIL ? c->buffer->bytes : SKIP_TAIL;
    memcpy(small->at, c->buffer->at + c->buffer->bytes - small->bytes, small->bytes);
    gate_buffer_drop(c->buffer);
    c->buffer = small;
    c->skipping = true;
    keep_tail(c);
    gate_log_limited(&config_of(c)->log, GATE_LOG_NO_ROOM,
        "connection %llu: no room for its frame now", (unsigned long long)c->arg->number);
    return WARD_OK;
}

/* The frame that did not fit has ended. */
static ward_status end_skipping(struct connection *c, enum gate_mllp_event event)
{
    ward_status rc = WARD_OK;

    /* A sender that gave up half-way and begins again waits for the second answer only. */
    if (event == GATE_MLLP_FRAME) rc = send_all(c, c->refusal, c->refusal_bytes);
    free(c->refusal);
    c->refusal = NULL;
    c->skipping = c->in_frame = false;
    c->framer.limit = (size_t)config_of(c)->max_frame;
    return rc;
}

/* -- frames ------------------------------------------------------------------------------------ */

/* Says why, and lets the sender read it: closing with unread bytes would reset the connection and
 * might take the answer along. */
static ward_status end_too_big(struct connection *c, const struct gate_mllp_frame *frame)
{
    const struct gate_hl7_answer what = { .verdict = GATE_HL7_REJECT,
        .text = "the frame is over the limit of this receiver",
        .error = ERROR_INTERNAL };
    ward_deadline by = ward_in_ms(c->self, LINGER_MS);
    size_t head = frame->bytes < HEAD_MAX ? frame->bytes : HEAD_MAX;
    struct gate_hl7 m;
    ward_status rc;

    (void)gate_hl7_parse(&m, c->buffer->at + frame->at, head);
    gate_log_limited(&config_of(c)->log, GATE_LOG_CONNECTION,
        "connection %llu: ended: a frame over the limit", (unsigned long long)c->arg->number);
    rc = answer(c, &m, &what);
    (void)shutdown(c->arg->fd, SHUT_WR);
    while (!rc && ward_ms_left(c->self, by) > 0) {
        ssize_t n = recv(c->arg->fd, c->buffer->at, c->buffer->room, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) break;
        rc = n > 0 ? ward_checkpoint(c->self)
                   : ward_poll_fd(c->self, NULL, c->arg->fd, WARD_READABLE, by);
    }
    return rc && rc != WARD_ETIMEDOUT ? rc : WARD_STOP;
}

static void note_truncated(struct connection *c)
{
    c->in_frame = false;
    gate_log_limited(&config_of(c)->log, GATE_LOG_TRUNCATED,
        "connection %llu: a frame without an end", (unsigned long long)c->arg->number);
}

/* Takes what is done with off the front of the buffer. The journal may hold it for a moment after
 * it has answered, or for longer when it has not. */
static ward_status consume(struct connection *c, size_t done)
{
    ward_status rc = WARD_OK;
    struct gate_buffer *fresh;

    if (done == c->buffer->bytes) {
        gate_buffer_drop(c->buffer);
        c->buffer = NULL;
        return WARD_OK;
    }
    while (!rc && gate_buffer_shared(c->buffer)) {
        fresh = gate_buffer_split(c->buffer, done);
        if (fresh) {
            c->buffer = fresh;
            return WARD_OK;
        }
        rc = ward_sleep(c->self, ward_in_ms(c->self, 10));
    }
    if (!rc) gate_buffer_consume(c->buffer, done);
    return rc;
}

static ward_status need_more(struct connection *c)
{
    bool in_frame = c->skipping || gate_mllp_receiving(&c->framer) > 0;

    if (in_frame && !c->in_frame) c->frame_by = ward_in_ms(c->self, config_of(c)->frame_ms);
    c->in_frame = in_frame;
    if (!c->skipping) return consume(c, gate_mllp_drop(&c->framer));
    keep_tail(c);
    return WARD_OK;
}

/* Deals with all that is in the buffer. */
static ward_status take_frames(struct connection *c)
{
    enum gate_mllp_event event = GATE_MLLP_FRAME;
    struct gate_mllp_frame frame;
    ward_status rc = WARD_OK;

    while (!rc && event != GATE_MLLP_NEED_MORE) {
        event = gate_mllp_next(&c->framer, c->buffer->at, c->buffer->bytes, &frame);
        if (event == GATE_MLLP_NEED_MORE)
            rc = need_more(c);
        else if (c->skipping)
            rc = end_skipping(c, event);
        else if (event == GATE_MLLP_FRAME)
            rc = take_frame(c, &frame);
        else if (event == GATE_MLLP_TRUNCATED)
            note_truncated(c);
        else
            rc = end_too_big(c, &frame);
    }
    return rc;
}

/* The last 0x0D may never come; `ended`: nothing more will. */
static ward_status take_unended(struct connection *c, bool ended)
{
    struct gate_mllp_frame frame;
    enum gate_mllp_event event;

    if (!c->buffer) return WARD_OK;
    event = ended ? gate_mllp_end(&c->framer, &frame) : gate_mllp_settle(&c->framer, &frame);
    if (event == GATE_MLLP_TRUNCATED) note_truncated(c);
    if (event != GATE_MLLP_FRAME) return WARD_OK;
    return c->skipping ? end_skipping(c, event) : take_frame(c, &frame);
}

/* -- the socket -------------------------------------------------------------------------------- */

static ward_deadline earlier(ward_deadline a, ward_deadline b)
{
    return a.ns < b.ns ? a : b;
}

/* Parks until there is more to read. */
static ward_status wait_for_more(struct connection *c)
{
    bool quiet = c->in_frame && !c->settled;
    ward_deadline by = c->in_frame ? earlier(c->idle_by, c->frame_by) : c->idle_by, look = by;
    ward_status rc;

    if (quiet) look = earlier(by, ward_in_ms(c->self, QUIET_MS));
    rc = ward_poll_fd(c->self, NULL, c->arg->fd, WARD_READABLE, look);
    if (rc != WARD_ETIMEDOUT) return rc;
    if (quiet) {
        c->settled = true;
        rc = take_unended(c, false);
        return rc || !c->buffer ? rc : need_more(c);
    }
    if (c->in_frame)
        gate_log_limited(&config_of(c)->log, GATE_LOG_CONNECTION,
            "connection %llu: ended: its frame took too long", (unsigned long long)c->arg->number);
    return WARD_STOP;
}

/* Room for more, or the start of skipping. */
static ward_status make_room(struct connection *c)
{
    size_t room_max = (size_t)config_of(c)->max_frame + 16;

    if (!c->buffer) {
        c->buffer = gate_buffer_new(&config_of(c)->budget);
        if (!c->buffer) return WARD_STOP;
    }
    if (c->skipping || gate_buffer_grow(c->buffer, room_max)) return WARD_OK;
    return start_skipping(c);
}

static ward_status read_some(struct connection *c)
{
    struct gate_buffer *buffer;
    ward_status rc = make_room(c);
    size_t room;
    ssize_t n;

    if (rc) return rc;
    buffer = c->buffer;
    room = buffer->room - buffer->bytes;
    n = recv(c->arg->fd, buffer->at + buffer->bytes, room < READ_MAX ? room : READ_MAX, 0);
    if (n > 0) {
        buffer->bytes += (size_t)n;
        c->settled = false;
        c->idle_by = ward_in_ms(c->self, config_of(c)->idle_ms);
        rc = take_frames(c);
        return rc ? rc : ward_checkpoint(c->self);
    }
    if (n < 0 && errno == EINTR) return WARD_OK;
    if (n < 0 && errno == EAGAIN) {
        if (buffer->bytes == 0) rc = consume(c, 0);
        return rc ? rc : wait_for_more(c);
    }
    rc = n == 0 ? take_unended(c, true) : WARD_OK;
    return rc ? rc : WARD_STOP;
}

ward_status gate_connection(ward_self *self)
{
    struct connection *c = ward_state(self);
    ward_status rc;

    c->self = self;
    c->arg = ward_arg(self);
    c->idle_by = ward_in_ms(self, config_of(c)->idle_ms);
    gate_mllp_init(&c->framer, (size_t)config_of(c)->max_frame);
    rc = ward_find(self, &c->journal, "/main/gate/journal", ward_in_ms(self, FIND_MS));
    while (!rc)
        rc = read_some(c);
    return rc;
}

void gate_connection_cleanup(ward_self *self, ward_reason why)
{
    const struct gate_connection_arg *arg = ward_arg(self);
    struct connection *c = ward_state(self);

    (void)why; /* all of this is private, whatever the reason */
    close(arg->fd);
    gate_buffer_drop(c->buffer);
    free(c->refusal);
}

size_t gate_connection_state_bytes(void)
{
    return sizeof(struct connection);
}
