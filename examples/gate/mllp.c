/* SPDX-License-Identifier: MIT */
/*
 * mllp.c - the MLLP framer: a state machine that looks at each byte once, whatever pieces the
 * stream comes in. A byte whose meaning depends on the next (0x1C, or 0x0B within a frame) puts it
 * into a state of its own with the byte's place in `mark`; when it turns out to be content the
 * next byte is looked at afresh. So what is found does not depend on where the stream was split.
 *
 * Owns nothing but its offsets. One connection, one thread at a time.
 */
#include "examples/gate/mllp.h"

#include <assert.h>
#include <string.h>

#define VT '\x0B'
#define FS '\x1C'

enum {
    OUTSIDE,
    INSIDE,
    AFTER_FS, /* in a frame, and the last byte was 0x1C */
    AFTER_VT, /* in a frame, and 0x0B and perhaps M, or M and S, have come */
    BROKEN
};

void gate_mllp_init(struct gate_mllp *m, size_t limit)
{
    assert(limit >= 1 && limit < SIZE_MAX / 2);
    *m = (struct gate_mllp){ .limit = limit, .state = OUTSIDE };
}

static void between_frames(struct gate_mllp *m, const char *at, size_t bytes)
{
    while (m->scanned < bytes) {
        char c = at[m->scanned++];
        if (c == VT) {
            m->start = m->scanned;
            m->state = INSIDE;
            return;
        }
        if (c != '\0' && c != '\r' && c != '\n') m->garbage++;
    }
}

static enum gate_mllp_event within_frame(
    struct gate_mllp *m, const char *at, size_t bytes, struct gate_mllp_frame *out)
{
    size_t i = m->scanned;
    size_t end = m->start + m->limit + 1; /* one byte over the limit is enough to know */

    if (end > bytes) end = bytes;
    while (i < end && at[i] != VT && at[i] != FS)
        i++;
    m->scanned = i;
    if (i - m->start > m->limit) {
        *out = (struct gate_mllp_frame){ m->start, m->limit };
        m->state = BROKEN;
        return GATE_MLLP_TOO_BIG;
    }
    if (i == bytes) return GATE_MLLP_NEED_MORE;
    m->scanned = i + 1;
    m->mark = i;
    if (at[i] == FS) {
        m->state = AFTER_FS;
    } else if (i > m->start) {
        m->state = AFTER_VT;
    } else {
        m->garbage++;
        m->start = m->scanned;
    }
    return GATE_MLLP_NEED_MORE;
}

static enum gate_mllp_event after_fs(struct gate_mllp *m, char c, struct gate_mllp_frame *out)
{
    if (c != '\r' && c != VT) {
        m->state = INSIDE;
        return GATE_MLLP_NEED_MORE;
    }
    *out = (struct gate_mllp_frame){ m->start, m->mark - m->start };
    m->scanned++;
    m->start = m->scanned;
    m->state = c == VT ? INSIDE : OUTSIDE;
    return GATE_MLLP_FRAME;
}

static enum gate_mllp_event after_vt(struct gate_mllp *m, char c, struct gate_mllp_frame *out)
{
    size_t matched = m->scanned - m->mark - 1;

    assert(matched < 3);
    if (c != "MSH"[matched]) {
        m->state = INSIDE;
        return GATE_MLLP_NEED_MORE;
    }
    m->scanned++;
    if (matched < 2) return GATE_MLLP_NEED_MORE;
    *out = (struct gate_mllp_frame){ m->start, m->mark - m->start };
    m->start = m->mark + 1;
    m->state = INSIDE;
    return GATE_MLLP_TRUNCATED;
}

enum gate_mllp_event gate_mllp_next(
    struct gate_mllp *m, const void *buf, size_t bytes, struct gate_mllp_frame *out)
{
    const char *at = buf;
    enum gate_mllp_event event = GATE_MLLP_NEED_MORE;

    assert(m->scanned <= bytes);
    if (m->state == BROKEN) {
        *out = (struct gate_mllp_frame){ m->start, m->limit };
        return GATE_MLLP_TOO_BIG;
    }
    while (event == GATE_MLLP_NEED_MORE && m->scanned < bytes) {
        switch (m->state) {
        case OUTSIDE: between_frames(m, at, bytes); break;
        case INSIDE: event = within_frame(m, at, bytes, out); break;
        case AFTER_FS: event = after_fs(m, at[m->scanned], out); break;
        default: event = after_vt(m, at[m->scanned], out); break;
        }
    }
    return event;
}

size_t gate_mllp_drop(struct gate_mllp *m)
{
    size_t done = m->state == OUTSIDE ? m->scanned : m->start;

    m->scanned -= done;
    m->start = 0;
    m->mark = m->mark > done ? m->mark - done : 0;
    return done;
}

size_t gate_mllp_receiving(const struct gate_mllp *m)
{
    return m->state == OUTSIDE ? 0 : m->scanned - m->start;
}

enum gate_mllp_event gate_mllp_settle(struct gate_mllp *m, struct gate_mllp_frame *out)
{
    if (m->state != AFTER_FS) return GATE_MLLP_NEED_MORE;
    *out = (struct gate_mllp_frame){ m->start, m->mark - m->start };
    m->state = OUTSIDE;
    return GATE_MLLP_FRAME;
}

enum gate_mllp_event gate_mllp_end(struct gate_mllp *m, struct gate_mllp_frame *out)
{
    if (gate_mllp_settle(m, out) == GATE_MLLP_FRAME) return GATE_MLLP_FRAME;
    if (m->state != INSIDE && m->state != AFTER_VT) return GATE_MLLP_NEED_MORE;
    *out = (struct gate_mllp_frame){ m->start, m->scanned - m->start };
    m->state = OUTSIDE;
    return GATE_MLLP_TRUNCATED;
}

size_t gate_mllp_wrap(void *buf, size_t cap, const void *message, size_t bytes)
{
    char *at = buf;

    if (cap < GATE_MLLP_FRAMING || bytes > cap - GATE_MLLP_FRAMING) return 0;
    if (bytes) memmove(at + 1, message, bytes);
    at[0] = VT;
    at[bytes + 1] = FS;
    at[bytes + 2] = '\r';
    return bytes + GATE_MLLP_FRAMING;
}

void gate_mllp_pieces(struct iovec out[3], const void *message, size_t bytes)
{
    static const char before[] = { VT };
    static const char after[] = { FS, '\r' };

    /* iovec has no const, but writev does not write. */
    out[0] = (struct iovec){ (void *)before, sizeof(before) };
    out[1] = (struct iovec){ (void *)message, bytes };
    out[2] = (struct iovec){ (void *)after, sizeof(after) };
}
