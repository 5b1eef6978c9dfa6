/* SPDX-License-Identifier: MIT */
/*
 * gate_mllp_test.c - the MLLP framer. Each stream is fed whole, byte by byte, split in two at every
 * place, and in pieces from a generator, with and without dropping what is done with; what comes
 * out is written down as one line of text and must be the same each time. No socket, one thread.
 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/gate/mllp.h"

/* -- the means -----------------------------------------------------------------------------------
 */

struct stream {
    struct gate_mllp framer;
    char *buf; /* what has come and is not dropped yet; its block has exactly its size */
    size_t bytes;
    bool drops;
    char seen[1024]; /* "F:content T:content B:content G:garbage" */
};

static void start(struct stream *s, size_t limit, bool drops)
{
    memset(s, 0, sizeof(*s));
    gate_mllp_init(&s->framer, limit);
    s->drops = drops;
}

static void note(struct stream *s, char what, struct gate_mllp_frame f)
{
    size_t used = strlen(s->seen);

    cr_assert(f.at <= s->bytes && f.bytes <= s->bytes - f.at);
    cr_assert_lt(used + f.bytes + 8, sizeof(s->seen));
    used +=
        (size_t)snprintf(s->seen + used, sizeof(s->seen) - used, "%s%c:", used ? " " : "", what);
    for (size_t i = 0; i < f.bytes; i++) {
        char c = s->buf[f.at + i];
        s->seen[used++] = c == '\x0B' ? '<' : c == '\x1C' ? '>' : c == '\r' ? '/' : c ? c : '0';
    }
    s->seen[used] = '\0';
}

static void note_event(struct stream *s, enum gate_mllp_event event, struct gate_mllp_frame f)
{
    if (event == GATE_MLLP_FRAME) note(s, 'F', f);
    if (event == GATE_MLLP_TRUNCATED) note(s, 'T', f);
    if (event == GATE_MLLP_TOO_BIG) note(s, 'B', f);
}

/* False when the framer says that the connection is to end. */
static bool feed(struct stream *s, const char *at, size_t bytes)
{
    char *buf = malloc(s->bytes + bytes + 1);
    enum gate_mllp_event event;
    struct gate_mllp_frame frame;

    cr_assert_not_null(buf);
    if (s->bytes) memcpy(buf, s->buf, s->bytes);
    memcpy(buf + s->bytes, at, bytes);
    free(s->buf);
    s->buf = buf;
    s->bytes += bytes;
    do {
        event = gate_mllp_next(&s->framer, s->buf, s->bytes, &frame);
        note_event(s, event, frame);
    } while (event == GATE_MLLP_FRAME || event == GATE_MLLP_TRUNCATED);
    if (event == GATE_MLLP_TOO_BIG) return false;
    if (s->drops) {
        size_t done = gate_mllp_drop(&s->framer);
        cr_assert_leq(done, s->bytes);
        s->bytes -= done;
        memmove(s->buf, s->buf + done, s->bytes);
    }
    return true;
}

static void finish(struct stream *s, bool end)
{
    struct gate_mllp_frame frame;
    size_t used;

    if (end) {
        enum gate_mllp_event event = gate_mllp_end(&s->framer, &frame);
        note_event(s, event, frame);
        cr_expect_eq(gate_mllp_receiving(&s->framer), 0);
    }
    used = strlen(s->seen);
    snprintf(s->seen + used, sizeof(s->seen) - used, "%sG:%llu", used ? " " : "",
        (unsigned long long)s->framer.garbage);
    free(s->buf);
}

/* Feeds the stream with a first piece, and then pieces of `step` bytes; 0: all the rest. */
static void run(struct stream *s, const char *at, size_t bytes, size_t first, size_t step)
{
    size_t fed = 0;

    while (fed < bytes) {
        size_t piece = fed == 0 && first ? first : step ? step : bytes - fed;
        if (piece > bytes - fed) piece = bytes - fed;
        if (!feed(s, at + fed, piece)) return;
        fed += piece;
    }
}

static void expect_stream(const char *at, size_t bytes, size_t limit, const char *seen)
{
    struct stream s;

    for (int drops = 0; drops < 2; drops++) {
        for (size_t step = 0; step <= 5 && step <= bytes; step++) {
            start(&s, limit, drops);
            run(&s, at, bytes, 0, step);
            finish(&s, strstr(s.seen, "B:") == NULL);
            cr_expect_str_eq(s.seen, seen, "in steps of %zu: %s, not %s", step, s.seen, seen);
        }
        for (size_t split = 1; split < bytes; split++) {
            start(&s, limit, drops);
            run(&s, at, bytes, split, 0);
            finish(&s, strstr(s.seen, "B:") == NULL);
            cr_expect_str_eq(s.seen, seen, "split at %zu: %s, not %s", split, s.seen, seen);
        }
    }
}

/* In the streams here < stands for 0x0B, > for 0x1C, / for CR and 0 for NUL. */
static void expect(const char *stream, size_t limit, const char *seen)
{
    char bytes[512];
    size_t n = strlen(stream);

    cr_assert_leq(n, sizeof(bytes));
    for (size_t i = 0; i < n; i++) {
        char c = stream[i];
        bytes[i] = c == '<' ? '\x0B' : c == '>' ? '\x1C' : c == '/' ? '\r' : c == '0' ? '\0' : c;
    }
    expect_stream(bytes, n, limit, seen);
}

/* -- frames ---------------------------------------------------------------------------------------
 */

Test(gate_mllp, finds_frames_however_the_stream_is_split)
{
    expect("", 100, "G:0");
    expect("<MSH|a/>/", 100, "F:MSH|a/ G:0");
    expect("<MSH|a/>/<MSH|b/PID/>/", 100, "F:MSH|a/ F:MSH|b/PID/ G:0");
    expect("<>/<x>/", 100, "F: F:x G:0");
    expect("<MSH|0\xE9\xFF/>/", 100, "F:MSH|0\xE9\xFF/ G:0");
}

Test(gate_mllp, passes_over_nul_and_line_ends_between_frames_and_counts_the_rest)
{
    expect("000<a>//\n00<b>//0", 100, "F:a F:b G:0");
    expect("garbage<a>/more><b>/end/", 100, "F:a F:b G:15");
    expect("GET //", 100, "G:4");
    expect("a>/MSH|x/>/", 100, "G:8");
}

Test(gate_mllp, a_frame_whose_sender_gave_up_is_truncated_and_the_next_is_whole)
{
    expect("<MSH|a/PI<MSH|b/>/", 100, "T:MSH|a/PI F:MSH|b/ G:0");
    expect("<MSH|a/<MSH|b/<MSH|c/>/", 100, "T:MSH|a/ T:MSH|b/ F:MSH|c/ G:0");
    expect("<a<MSH|b/>/", 100, "T:a F:MSH|b/ G:0");
    expect("<MSH|a/<<MSH|b/>/", 100, "T:MSH|a/< F:MSH|b/ G:0");
    expect("<MSH|a>/<MSH|b", 100, "F:MSH|a T:MSH|b G:0");
    expect("<MSH|a<MS", 100, "T:MSH|a<MS G:0");
}

Test(gate_mllp, a_frame_begun_twice_is_one_frame)
{
    expect("<<MSH|a/>/", 100, "F:MSH|a/ G:1");
    expect("<<<>/", 100, "F: G:2");
}

Test(gate_mllp, leaves_other_start_bytes_in_the_content)
{
    expect("<MSH|a<b/>/", 100, "F:MSH|a<b/ G:0");
    expect("<MSH|a<MS<M</>/", 100, "F:MSH|a<MS<M</ G:0");
    expect("<MSH|a<MSX/>/", 100, "F:MSH|a<MSX/ G:0");
    expect("<MSH|a<MS>/", 100, "F:MSH|a<MS G:0");
    expect("<MSH|a<>/", 100, "F:MSH|a< G:0");
}

Test(gate_mllp, ends_a_frame_whose_last_byte_is_left_out)
{
    expect("<MSH|a/><MSH|b/>", 100, "F:MSH|a/ F:MSH|b/ G:0");
    expect("<a><b>/", 100, "F:a F:b G:0");
}

Test(gate_mllp, leaves_an_end_byte_in_the_content_when_nothing_follows_from_it)
{
    expect("<MSH|a>b/>/", 100, "F:MSH|a>b/ G:0");
    expect("<MSH|a>>/", 100, "F:MSH|a> G:0");
    expect("<a>\n>/", 100, "F:a>\n G:0");
    expect("<a>0/", 100, "T:a>0/ G:0");
}

Test(gate_mllp, a_quiet_sender_without_the_last_byte_is_settled)
{
    struct gate_mllp m;
    struct gate_mllp_frame f;

    gate_mllp_init(&m, 100);
    cr_expect_eq(gate_mllp_settle(&m, &f), GATE_MLLP_NEED_MORE);
    cr_expect_eq(gate_mllp_next(&m,
                     "\x0B"
                     "abc",
                     4, &f),
        GATE_MLLP_NEED_MORE);
    cr_expect_eq(gate_mllp_settle(&m, &f), GATE_MLLP_NEED_MORE);
    cr_expect_eq(gate_mllp_next(&m,
                     "\x0B"
                     "abc\x1C",
                     5, &f),
        GATE_MLLP_NEED_MORE);
    cr_expect_eq(gate_mllp_settle(&m, &f), GATE_MLLP_FRAME);
    cr_expect(f.at == 1 && f.bytes == 3);
    cr_expect_eq(gate_mllp_settle(&m, &f), GATE_MLLP_NEED_MORE);
    /* The CR comes late after all, and is nothing. */
    cr_expect_eq(gate_mllp_drop(&m), 5);
    cr_expect_eq(gate_mllp_next(&m,
                     "\r\x0B"
                     "d\x1C\r",
                     5, &f),
        GATE_MLLP_FRAME);
    cr_expect(f.at == 2 && f.bytes == 1);
    cr_expect_eq(m.garbage, 0);
}

/* -- bounds ---------------------------------------------------------------------------------------
 */

Test(gate_mllp, takes_a_frame_of_the_limit_and_not_one_byte_more)
{
    expect("<12345>/<6>/", 5, "F:12345 F:6 G:0");
    expect("<123456>/", 5, "B:12345 G:0");
    expect("<1>/<1234567890", 5, "F:1 B:12345 G:0");
    expect("<1234>6>/", 6, "F:1234>6 G:0");
    expect("<12345>6>/", 6, "B:12345> G:0");
    expect("<1234<6>/", 6, "F:1234<6 G:0");
    expect("<1234<MX>/", 6, "B:1234<M G:0");
    expect("<123456<MSH|>/", 6, "T:123456 F:MSH| G:0");
}

Test(gate_mllp, stays_too_big)
{
    struct gate_mllp m;
    struct gate_mllp_frame f;
    static const char stream[] = "\x0B"
                                 "123456\x1C\r\x0B"
                                 "1\x1C\r";

    gate_mllp_init(&m, 5);
    cr_expect_eq(gate_mllp_next(&m, stream, sizeof(stream) - 1, &f), GATE_MLLP_TOO_BIG);
    cr_expect_eq(gate_mllp_next(&m, stream, sizeof(stream) - 1, &f), GATE_MLLP_TOO_BIG);
    cr_expect(f.at == 1 && f.bytes == 5);
    cr_expect_eq(gate_mllp_drop(&m), 1);
    cr_expect_eq(gate_mllp_next(&m, stream + 1, sizeof(stream) - 2, &f), GATE_MLLP_TOO_BIG);
    cr_expect(f.at == 0 && f.bytes == 5);
    cr_expect_eq(gate_mllp_end(&m, &f), GATE_MLLP_NEED_MORE);
}

Test(gate_mllp, tells_how_much_of_a_frame_has_come)
{
    struct gate_mllp m;
    struct gate_mllp_frame f;

    gate_mllp_init(&m, 100);
    cr_expect_eq(gate_mllp_receiving(&m), 0);
    gate_mllp_next(&m, "xx\x0B", 3, &f);
    cr_expect_eq(gate_mllp_receiving(&m), 0);
    cr_expect_eq(gate_mllp_drop(&m), 3);
    gate_mllp_next(&m, "abc", 3, &f);
    cr_expect_eq(gate_mllp_receiving(&m), 3);
    cr_expect_eq(gate_mllp_drop(&m), 0);
    gate_mllp_next(&m, "abcde\x1C", 6, &f);
    cr_expect_eq(gate_mllp_receiving(&m), 6);
    cr_expect_eq(gate_mllp_next(&m, "abcde\x1C\r", 7, &f), GATE_MLLP_FRAME);
    cr_expect_eq(gate_mllp_receiving(&m), 0);
    cr_expect_eq(gate_mllp_drop(&m), 7);
}

/* The bytes that were looked at before are made wrong: one that was looked at again would show. */
Test(gate_mllp, looks_at_each_byte_once)
{
    static const char stream[] = "\x0BMSH|a\rOBX|\xE9\x0B"
                                 "MSX\x1C.\r\x1C\r\x0B"
                                 "b\x1C\r";
    char buf[sizeof(stream)];
    struct gate_mllp m;
    struct gate_mllp_frame f;
    int frames = 0;

    gate_mllp_init(&m, 100);
    memset(buf, 0, sizeof(buf));
    for (size_t i = 0; i < sizeof(stream) - 1; i++) {
        memset(buf, '\x1C', i);
        buf[i] = stream[i];
        frames += gate_mllp_next(&m, buf, i + 1, &f) == GATE_MLLP_FRAME;
        cr_expect_eq(m.scanned, i + 1);
    }
    cr_expect_eq(frames, 2);
}

Test(gate_mllp, a_long_stream_in_odd_pieces_gives_what_was_put_in)
{
    enum { FRAMES = 300, MOST = 700 };
    size_t cap = FRAMES * (MOST + 8);
    char *stream = malloc(cap);
    size_t sizes[FRAMES];
    size_t bytes = 0, fed = 0, dropped = 0, got = 0;
    uint32_t r = 12345;
    struct gate_mllp m;

    cr_assert_not_null(stream);
    for (size_t i = 0; i < FRAMES; i++) {
        r = r * 1664525 + 1013904223;
        sizes[i] = (r >> 8) % MOST;
        memset(stream + bytes + 1, 'a' + (int)(i % 26), sizes[i]);
        bytes += gate_mllp_wrap(stream + bytes, cap - bytes, stream + bytes + 1, sizes[i]);
        if (i % 3 == 0) stream[bytes++] = '\n';
    }
    gate_mllp_init(&m, MOST);
    while (fed < bytes) {
        struct gate_mllp_frame f;
        r = r * 1664525 + 1013904223;
        fed += 1 + (r >> 8) % 997;
        if (fed > bytes) fed = bytes;
        while (gate_mllp_next(&m, stream + dropped, fed - dropped, &f) == GATE_MLLP_FRAME) {
            cr_assert_lt(got, FRAMES);
            cr_assert_eq(f.bytes, sizes[got]);
            for (size_t i = 0; i < f.bytes; i++)
                cr_assert_eq(stream[dropped + f.at + i], 'a' + (int)(got % 26));
            got++;
        }
        dropped += gate_mllp_drop(&m);
    }
    cr_expect_eq(got, FRAMES);
    cr_expect_eq(dropped, bytes);
    cr_expect_eq(m.garbage, 0);
    free(stream);
}

/* -- writing --------------------------------------------------------------------------------------
 */

Test(gate_mllp, wraps_a_message_where_it_fits)
{
    char buf[8];

    memset(buf, '!', sizeof(buf));
    cr_expect_eq(gate_mllp_wrap(buf, 7, "abcd", 4), 7);
    cr_expect_eq(memcmp(buf,
                     "\x0B"
                     "abcd\x1C\r!",
                     8),
        0);
    cr_expect_eq(gate_mllp_wrap(buf, 6, "abcd", 4), 0);
    cr_expect_eq(gate_mllp_wrap(buf, 2, "", 0), 0);
    cr_expect_eq(gate_mllp_wrap(buf, 3, NULL, 0), 3);
    cr_expect_eq(memcmp(buf, "\x0B\x1C\r", 3), 0);
    memcpy(buf + 1, "xyz", 3);
    cr_expect_eq(gate_mllp_wrap(buf, sizeof(buf), buf + 1, 3), 6);
    cr_expect_eq(memcmp(buf, "\x0Bxyz\x1C\r", 6), 0);
    cr_expect_eq(gate_mllp_wrap(buf, sizeof(buf), buf, SIZE_MAX - 1), 0);
}

Test(gate_mllp, gives_the_pieces_of_a_frame_for_writev)
{
    struct iovec pieces[3];
    char whole[16];
    size_t bytes = 0;

    gate_mllp_pieces(pieces, "abcd", 4);
    for (int i = 0; i < 3; i++) {
        memcpy(whole + bytes, pieces[i].iov_base, pieces[i].iov_len);
        bytes += pieces[i].iov_len;
    }
    cr_expect_eq(bytes, 4 + GATE_MLLP_FRAMING);
    cr_expect_eq(memcmp(whole,
                     "\x0B"
                     "abcd\x1C\r",
                     bytes),
        0);
}
