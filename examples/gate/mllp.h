/* SPDX-License-Identifier: MIT */
/*
 * mllp.h - finds MLLP frames (0x0B message 0x1C 0x0D) in a stream that arrives in any pieces, and
 * writes them. The buffer is the caller's: the framer keeps offsets into it, looks at each byte
 * once, and copies nothing. No allocation; one framer belongs to one connection and is not
 * shared between threads. Knows nothing of sockets or of what a message says.
 *
 * What it makes of streams that are not as they should be:
 * - Between frames NUL, CR and LF are passed over, other bytes as well, but counted.
 * - 0x0B directly after 0x0B begins the frame again. 0x0B followed by "MSH" within a frame begins
 *   a new one, and the first is reported as TRUNCATED: its sender gave up half-way. Any other
 *   0x0B is left in the content (word processors write them into text), so that one message
 *   still gets one answer; the parser refuses it then.
 * - 0x1C followed by 0x0D ends the frame, and so does 0x1C followed by 0x0B, from senders who
 *   leave the 0x0D out. Any other 0x1C is left in the content for the parser to refuse: to end
 *   the frame there would be to acknowledge half a message. A sender who leaves the 0x0D out and
 *   waits for its answer is what gate_mllp_settle is for.
 */
#ifndef GATE_MLLP_H
#define GATE_MLLP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum gate_mllp_event {
    GATE_MLLP_NEED_MORE,
    GATE_MLLP_FRAME, /* a whole message */
    GATE_MLLP_TRUNCATED, /* what came of one; another has begun, or the stream has ended */
    GATE_MLLP_TOO_BIG /* the first `limit` bytes of one. Final: end the connection */
};

/* Where the content lies in the buffer, without its framing bytes. */
struct gate_mllp_frame {
    size_t at;
    size_t bytes;
};

struct gate_mllp {
    size_t limit; /* bytes of content allowed */
    size_t scanned; /* bytes of the buffer that were looked at */
    size_t start; /* where the content of the present frame begins */
    size_t mark; /* where a byte stands of which the next will tell the meaning */
    uint64_t garbage; /* bytes outside of frames so far, less NUL, CR and LF; read it freely */
    int state;
};

void gate_mllp_init(struct gate_mllp *m, size_t limit);

/*
 * What comes next in the buffer. `buf` holds all bytes since the last gate_mllp_drop, `bytes` of
 * them; it may have moved. `out` is set for all but NEED_MORE. Call again until NEED_MORE.
 */
enum gate_mllp_event gate_mllp_next(
    struct gate_mllp *m, const void *buf, size_t bytes, struct gate_mllp_frame *out);

/*
 * How many bytes at the front of the buffer are done with; from now on offsets count from behind
 * them, so the caller must move the rest to the front. Call it on NEED_MORE, not after each
 * frame, and the moving is linear too.
 */
size_t gate_mllp_drop(struct gate_mllp *m);

/* Content received of a frame that is not complete: what a budget over all connections counts. */
size_t gate_mllp_receiving(const struct gate_mllp *m);

/* To be called when nothing has come for a while: FRAME when only the last 0x0D is missing, else
 * NEED_MORE. */
enum gate_mllp_event gate_mllp_settle(struct gate_mllp *m, struct gate_mllp_frame *out);

/* To be called when the stream has ended, after NEED_MORE: FRAME when only the last 0x0D is
 * missing, TRUNCATED when more is, else NEED_MORE. */
enum gate_mllp_event gate_mllp_end(struct gate_mllp *m, struct gate_mllp_frame *out);

#define GATE_MLLP_FRAMING 3 /* bytes that a frame has beside its content */

/* Writes the frame of a message; the message may be at buf + 1 already. The bytes written, or 0
 * when it does not fit. */
size_t gate_mllp_wrap(void *buf, size_t cap, const void *message, size_t bytes);

/* The same as three pieces for writev; `message` is borrowed. */
void gate_mllp_pieces(struct iovec out[3], const void *message, size_t bytes);

#endif
