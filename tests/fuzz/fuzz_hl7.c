/* SPDX-License-Identifier: MIT */
/*
 * fuzz_hl7.c - the path of a message through the gate's pure parts, over any bytes. The first byte
 * of the input seeds how the rest is split; the rest is a stream of MLLP frames, and is also taken
 * as one message and as a file. Aborts when what must hold does not: splits and drops do not show
 * in the events; an answer can always be written, repeats MSH-10 byte for byte, can be read again
 * and framed; all spans lie within the input; what a file yields is the same when read again.
 *
 * Each output has a block of its own size, so that AddressSanitizer sees a write past its end.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/gate/file.h"
#include "examples/gate/hl7.h"
#include "examples/gate/mllp.h"

#define LIMIT 8192 /* small, so that inputs reach it */

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static char *block(size_t bytes)
{
    char *at = malloc(bytes ? bytes : 1);
    MUST(at);
    return at;
}

static void must_lie_within(struct gate_span in, struct gate_span whole)
{
    MUST(in.at);
    if (in.bytes == 0) return;
    MUST(in.at >= whole.at && in.at + in.bytes <= whole.at + whole.bytes);
}

/* -- one message ----------------------------------------------------------------------------------
 */

static void check_unescape(const struct gate_hl7 *m, struct gate_span in)
{
    char *buf = block(in.bytes);
    size_t bytes;

    MUST(gate_hl7_unescape(m, in, buf, in.bytes, &bytes));
    MUST(bytes <= in.bytes);
    if (!memchr(in.at, m->separators.escape, in.bytes))
        MUST(bytes == in.bytes && memcmp(buf, in.at, bytes) == 0);
    free(buf);
}

static void check_segments(const struct gate_hl7 *m)
{
    struct gate_span rest = m->whole;
    struct gate_span segment;
    size_t total = 0;

    while (gate_hl7_next_segment(&rest, &segment)) {
        struct gate_span field = gate_hl7_field(m, segment, 1 + total % 7);

        must_lie_within(segment, m->whole);
        must_lie_within(field, segment);
        must_lie_within(
            gate_hl7_subcomponent(m, gate_hl7_component(m, gate_hl7_repetition(m, field, 2), 1), 2),
            field);
        check_unescape(m, field);
        total += segment.bytes;
    }
    MUST(total <= m->whole.bytes && rest.bytes == 0);
}

static void check_codes_and_key(const struct gate_hl7 *m)
{
    struct gate_hl7_codes codes;
    struct gate_hl7_code code;
    size_t count = 0;
    size_t caps[] = { 0, 1, 16, 512 };
    size_t before = 0;

    gate_hl7_codes_init(&codes, m);
    while (gate_hl7_codes_next(&codes, &code)) {
        must_lie_within(code.code, m->whole);
        must_lie_within(code.system, m->whole);
        MUST(code.code.bytes > 0 && gate_hl7_named(codes.segment, code.segment));
        MUST(++count <= m->whole.bytes);
    }
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
        char *key = block(caps[i]);
        size_t bytes = gate_hl7_patient_key(m, key, caps[i]);
        MUST(bytes <= caps[i] && bytes >= before);
        before = bytes;
        free(key);
    }
}

static void check_framed(const char *ack, size_t bytes)
{
    char *frame = block(bytes + GATE_MLLP_FRAMING);
    struct gate_mllp framer;
    struct gate_mllp_frame found;

    MUST(gate_mllp_wrap(frame, bytes + GATE_MLLP_FRAMING - 1, ack, bytes) == 0);
    MUST(gate_mllp_wrap(frame, bytes + GATE_MLLP_FRAMING, ack, bytes) == bytes + GATE_MLLP_FRAMING);
    gate_mllp_init(&framer, bytes);
    MUST(gate_mllp_next(&framer, frame, bytes + GATE_MLLP_FRAMING, &found) == GATE_MLLP_FRAME);
    MUST(found.at == 1 && found.bytes == bytes && framer.garbage == 0);
    free(frame);
}

static void check_answer(const struct gate_hl7 *m, enum gate_hl7_reason reason)
{
    struct gate_hl7_answer answer = { .verdict = reason ? GATE_HL7_REJECT : GATE_HL7_ACCEPT,
        .text = reason ? gate_hl7_reason_text(reason) : "",
        .error = gate_hl7_reason_error(reason),
        .control_id = "GATE-1",
        .time = "20240301080000" };
    char ack[GATE_HL7_ACK_MAX];
    size_t bytes = gate_hl7_ack(ack, sizeof(ack), m, &answer);
    struct gate_hl7_reply reply;
    char *exact;

    MUST(bytes > 0 && bytes <= sizeof(ack));
    MUST(gate_hl7_read_ack(&reply, ack, bytes));
    MUST(reply.verdict == answer.verdict && reply.commit == gate_hl7_enhanced(m));
    MUST(reply.control_id.bytes == m->msh[10].bytes);
    MUST(memcmp(reply.control_id.at, m->msh[10].at, reply.control_id.bytes) == 0);
    for (size_t i = 0; i < bytes; i++)
        MUST((unsigned char)ack[i] >= 0x20 || ack[i] == '\r');
    check_framed(ack, bytes);

    exact = block(bytes);
    MUST(gate_hl7_ack(exact, bytes - 1, m, &answer) == 0);
    MUST(gate_hl7_ack(exact, bytes, m, &answer) == bytes && memcmp(exact, ack, bytes) == 0);
    free(exact);
}

static void check_message(const char *at, size_t bytes)
{
    struct gate_hl7 m;
    struct gate_hl7_reply reply;
    char *copy = block(bytes);
    enum gate_hl7_reason reason;

    if (bytes) memcpy(copy, at, bytes);
    reason = gate_hl7_parse(&m, copy, bytes);
    MUST(reason < GATE_HL7_REASONS);
    must_lie_within(m.whole, (struct gate_span){ copy, bytes });
    for (size_t i = 3; i <= GATE_HL7_MSH_FIELDS; i++) {
        must_lie_within(m.msh[i], m.msh[0]);
        if (reason && reason < GATE_HL7_NO_TYPE) MUST(m.msh[i].bytes == 0);
    }
    if (reason == GATE_HL7_OK) {
        MUST(!gate_hl7_blank(m.msh[9]) && !gate_hl7_blank(m.msh[10]));
        MUST(m.msh[10].bytes <= GATE_HL7_ID_MAX);
        MUST(!memchr(copy, '\x0B', bytes) && !memchr(copy, '\x1C', bytes));
        MUST(gate_hl7_segment(&m, "MSH", 2).bytes == 0);
    }
    check_answer(&m, reason);
    check_segments(&m);
    check_codes_and_key(&m);
    if (gate_hl7_read_ack(&reply, copy, bytes))
        must_lie_within(reply.control_id, (struct gate_span){ copy, bytes });
    free(copy);
}

/* -- a stream
 * -------------------------------------------------------------------------------------- */

/* What came out of a stream, with places counted from its beginning. */
struct events {
    size_t count;
    uint64_t sum; /* of kinds, places and lengths, in order */
    uint64_t garbage;
    size_t content;
};

static void add(struct events *e, enum gate_mllp_event event, size_t at, size_t bytes)
{
    e->count++;
    e->content += bytes;
    e->sum = (e->sum * 31 + (uint64_t)event) * 1099511628211u;
    e->sum = (e->sum + at) * 1099511628211u;
    e->sum = (e->sum + bytes) * 1099511628211u;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Takes what is in the buffer; the last event. A short buffer is copied to a block of its own, so
 * that a read past its end shows; a long one is not, which would take most of the time. */
static enum gate_mllp_event take(
    struct gate_mllp *m, const char *at, size_t bytes, size_t dropped, struct events *e)
{
    char *copy = bytes <= 256 ? block(bytes) : NULL;
    enum gate_mllp_event event;
    struct gate_mllp_frame f;

    if (copy) memcpy(copy, at, bytes);
    while ((event = gate_mllp_next(m, copy ? copy : at, bytes, &f)) != GATE_MLLP_NEED_MORE) {
        MUST(f.bytes <= LIMIT && f.at <= bytes && f.bytes <= bytes - f.at);
        add(e, event, dropped + f.at, f.bytes);
        if (event == GATE_MLLP_TOO_BIG) break;
    }
    MUST(event == GATE_MLLP_TOO_BIG || m->scanned == bytes);
    MUST(gate_mllp_receiving(m) <= LIMIT + 4);
    free(copy);
    return event;
}

/* Feeds the stream in pieces of up to `most` bytes, and drops what is done with each time. */
static struct events run_stream(const char *at, size_t bytes, uint32_t seed, size_t most)
{
    struct events e = { 0 };
    struct gate_mllp m;
    struct gate_mllp_frame f;
    enum gate_mllp_event event = GATE_MLLP_NEED_MORE;
    size_t fed = 0, dropped = 0;

    gate_mllp_init(&m, LIMIT);
    while (fed < bytes && event != GATE_MLLP_TOO_BIG) {
        size_t piece = 1 + next_random(&seed) % most;

        fed += piece < bytes - fed ? piece : bytes - fed;
        event = take(&m, at + dropped, fed - dropped, dropped, &e);
        dropped += gate_mllp_drop(&m);
        MUST(dropped <= fed && m.scanned <= fed - dropped);
    }
    if (event != GATE_MLLP_TOO_BIG) {
        event = gate_mllp_end(&m, &f);
        if (event != GATE_MLLP_NEED_MORE) add(&e, event, dropped + f.at, f.bytes);
    }
    e.garbage = m.garbage;
    return e;
}

static void check_stream(const char *at, size_t bytes, uint32_t seed)
{
    struct events whole = run_stream(at, bytes, 0, SIZE_MAX);
    struct events split;
    struct gate_mllp m;
    struct gate_mllp_frame f;
    enum gate_mllp_event event;
    int checked = 0;

    MUST(whole.content <= bytes && whole.garbage <= bytes);
    for (int i = 0; i < 2; i++) {
        split = run_stream(at, bytes, seed + (uint32_t)i, i ? 97 : 5);
        MUST(split.count == whole.count && split.sum == whole.sum);
        MUST(split.garbage == whole.garbage);
    }
    gate_mllp_init(&m, LIMIT);
    while ((event = gate_mllp_next(&m, at, bytes, &f)) != GATE_MLLP_NEED_MORE) {
        check_message(at + f.at, f.bytes);
        if (event == GATE_MLLP_TOO_BIG || ++checked == 32) break;
    }
}

/* -- a file
 * ----------------------------------------------------------------------------------------- */

static void check_file(const char *at, size_t bytes)
{
    struct gate_file f = { .at = block(bytes + 1) };
    struct gate_file again = { .at = block(bytes + 2) };
    struct gate_span message, same;

    if (bytes) memcpy(f.at, at, bytes);
    f.bytes = gate_file_normalise(f.at, bytes);
    MUST(f.bytes <= bytes + 1);
    memcpy(again.at, f.at, f.bytes);
    again.bytes = gate_file_normalise(again.at, f.bytes);
    MUST(again.bytes == f.bytes && memcmp(again.at, f.at, f.bytes) == 0);
    while (gate_file_next(&f, &message)) {
        struct gate_hl7 m;

        MUST(gate_file_next(&again, &same));
        MUST(same.bytes == message.bytes && memcmp(same.at, message.at, same.bytes) == 0);
        MUST(message.bytes > 3 && message.at[message.bytes - 1] == '\r');
        MUST(memcmp(message.at, "MSH", 3) == 0);
        MUST(gate_hl7_parse(&m, message.at, message.bytes) != GATE_HL7_TWO_MESSAGES);
    }
    MUST(!gate_file_next(&again, &same));
    gate_file_close(&f);
    gate_file_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *at = (const char *)data + 1;

    if (bytes == 0) return 0;
    check_stream(at, bytes - 1, data[0]);
    check_message(at, bytes - 1);
    check_file(at, bytes - 1);
    return 0;
}
