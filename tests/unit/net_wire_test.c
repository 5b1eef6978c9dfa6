/* SPDX-License-Identifier: MIT */
/*
 * net_wire_test.c - frames come out as they went in; what is cut off, too long or senseless is
 * refused in both directions. Input lies in blocks of its exact size where it is cut, so that
 * AddressSanitizer sees a read past its end.
 */
#include "net/wire.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/wire_fixture.h"

TestSuite(frame, .init = with_buffer, .fini = nothing_left);

static ward_bytes text(const char *at)
{
    return (ward_bytes){ at, strlen(at) };
}

static ward_bytes all_of(const struct ward__buf *from)
{
    return (ward_bytes){ from->data, from->bytes };
}

/* One of each kind, and more where a kind has two ways. */
static const struct ward__frame FRAMES[] = {
    { .kind = WARD__FRAME_HELLO,
        .version = WARD__WIRE_VERSION,
        .node = 0xfeedbeef,
        .incarnation = UINT64_MAX,
        .frame_max = 64 << 20,
        .dead_ms = 4000,
        .text = { "site-b", 6 } },
    { .kind = WARD__FRAME_WELCOME },
    { .kind = WARD__FRAME_BYE, .text = { "another one is up", 17 } },
    { .kind = WARD__FRAME_PING },
    { .kind = WARD__FRAME_FIND, .id = 1, .text = { "/epro/terms", 11 }, .ms_left = -1 },
    { .kind = WARD__FRAME_FIND, .id = 2, .text = { "", 0 }, .ms_left = INT64_MAX },
    { .kind = WARD__FRAME_FOUND, .id = 1, .slot = 3, .life = 1ull << 40 },
    { .kind = WARD__FRAME_FOUND, .id = 1, .status = WARD_EGONE },
    { .kind = WARD__FRAME_SEND, .slot = 7, .life = 9, .type = &TEXT, .source = "hello" },
    { .kind = WARD__FRAME_SEND, .slot = 7, .life = 9, .type = &EMPTY },
    { .kind = WARD__FRAME_SEND, .slot = 7, .life = 9, .type = &ALL, .source = &sample.all },
    { .kind = WARD__FRAME_REFUSED, .slot = 7, .life = 9, .status = WARD_EFULL, .count = 12 },
    { .kind = WARD__FRAME_ASK,
        .id = 77,
        .slot = 1,
        .life = 2,
        .ms_left = 2000,
        .type = &POINT,
        .source = &sample.points[0] },
    { .kind = WARD__FRAME_ASK,
        .id = 78,
        .slot = 1,
        .life = 2,
        .ms_left = 0,
        .type = &TEXT,
        .source = "" },
    { .kind = WARD__FRAME_REPLY, .id = 77, .type = &NUMBERS, .source = &sample.all.numbers },
    { .kind = WARD__FRAME_REPLY, .id = 78, .status = WARD_EUSER },
    { .kind = WARD__FRAME_CANCEL, .id = UINT64_MAX },
    { .kind = WARD__FRAME_MONITOR, .id = 5, .slot = 6, .life = 7 },
    { .kind = WARD__FRAME_DEMONITOR, .id = 5 },
    { .kind = WARD__FRAME_DOWN,
        .id = 5,
        .reason = WARD_NOBODY,
        .status = WARD_STOP,
        .final = true,
        .incarnation = 4 },
    { .kind = WARD__FRAME_DOWN, .id = 5, .reason = WARD_BY_STUCK, .status = WARD_EFENCED },
    { .kind = WARD__FRAME_STOP, .slot = 8, .life = 9 },
    { .kind = WARD__FRAME_STOP, .slot = 8, .life = 9, .mail_only = true },
    { .kind = WARD__FRAME_FULL, .slot = 8, .life = 9 },
    { .kind = WARD__FRAME_ROOM, .slot = 8, .life = 9 },
    { .kind = WARD__FRAME_TAKEN, .id = 1 << 20 },
};

static ward_bytes packed_frame(const struct ward__frame *frame)
{
    buf.bytes = 0;
    cr_assert_eq(ward__wire_put(&buf, frame, UINT32_MAX), WARD_OK, "kind %d", (int)frame->kind);
    return all_of(&buf);
}

static bool heads_same(const struct ward__frame *a, const struct ward__frame *b)
{
    return a->kind == b->kind && a->slot == b->slot && a->life == b->life && a->id == b->id &&
           a->ms_left == b->ms_left && a->status == b->status && a->reason == b->reason &&
           a->final == b->final && a->mail_only == b->mail_only && a->count == b->count &&
           a->incarnation == b->incarnation && a->version == b->version && a->node == b->node &&
           a->dead_ms == b->dead_ms && a->frame_max == b->frame_max;
}

Test(frame, comes_out_as_it_went_in)
{
    bool seen[WARD__FRAME_KINDS] = { false };

    for (size_t i = 0; i < WARD_COUNT(FRAMES); i++) {
        const struct ward__frame *in = &FRAMES[i];
        ward_bytes bytes = packed_frame(in);
        struct ward__frame out;
        size_t length;

        cr_assert_eq(ward__wire_frame(bytes, UINT32_MAX, &length), WARD_OK);
        cr_expect_eq(length, bytes.count, "frame %zu", i);
        cr_assert_eq(ward__wire_read(&out, bytes), WARD_OK, "frame %zu", i);
        cr_expect(heads_same(in, &out), "frame %zu", i);
        if (in->text.at) cr_expect(bytes_same(in->text, out.text), "frame %zu", i);
        cr_expect_eq(out.type_name.at != NULL, in->type != NULL, "frame %zu", i);
        cr_expect_eq(out.value.at != NULL, in->type != NULL, "frame %zu", i);
        if (in->type) cr_expect(bytes_same(out.type_name, text(in->type->name)));
        seen[in->kind] = true;
    }
    for (int kind = WARD__FRAME_HELLO; kind < WARD__FRAME_KINDS; kind++)
        cr_expect(seen[kind], "no frame of kind %d", kind);
}

/* What a link does that passes a message on: the value is not looked into. */
Test(frame, passes_on_a_value_as_it_came)
{
    for (size_t i = 0; i < WARD_COUNT(FRAMES); i++) {
        struct ward__buf again = { .heap = &heap };
        ward_bytes bytes = packed_frame(&FRAMES[i]);
        struct ward__frame out, once_more;

        cr_assert_eq(ward__wire_read(&out, bytes), WARD_OK);
        cr_assert_eq(ward__wire_put(&again, &out, UINT32_MAX), WARD_OK);
        cr_assert_eq(ward__wire_read(&once_more, all_of(&again)), WARD_OK);
        cr_expect(heads_same(&out, &once_more));
        cr_expect(bytes_same(out.value, once_more.value));
        cr_expect(bytes_same(out.type_name, once_more.type_name));
        ward__buf_drop(&again);
    }
}

Test(frame, is_msgpack_as_msgpack_c_reads_it)
{
    for (size_t i = 0; i < WARD_COUNT(FRAMES); i++) {
        ward_bytes bytes = packed_frame(&FRAMES[i]);
        const char *body = (const char *)bytes.at + WARD__FRAME_HEAD;
        size_t count = bytes.count - WARD__FRAME_HEAD, at = 0;
        msgpack_unpacked out;

        msgpack_unpacked_init(&out);
        cr_expect_eq(msgpack_unpack_next(&out, body, count, &at), MSGPACK_UNPACK_SUCCESS);
        cr_expect_eq(at, count);
        cr_expect_eq(out.data.type, MSGPACK_OBJECT_ARRAY);
        msgpack_unpacked_destroy(&out);
    }
}

/* A copy of its exact size, with a length that says so. */
static uint8_t *relabelled(ward_bytes bytes, size_t count)
{
    uint8_t *copy = calloc(1, count);

    memcpy(copy, bytes.at, count < bytes.count ? count : bytes.count);
    for (int i = 0; i < 4; i++)
        copy[i] = (uint8_t)((count - 4) >> (24 - 8 * i));
    return copy;
}

Test(frame, is_refused_when_anything_is_cut_off_or_added)
{
    for (size_t i = 0; i < WARD_COUNT(FRAMES); i++) {
        ward_bytes bytes = packed_frame(&FRAMES[i]);
        struct ward__frame out;
        uint8_t *copy;

        for (size_t count = WARD__FRAME_HEAD; count < bytes.count; count++) {
            copy = relabelled(bytes, count);
            cr_expect_eq(ward__wire_read(&out, (ward_bytes){ copy, count }), WARD_EINVAL,
                "frame %zu cut to %zu of %zu", i, count, bytes.count);
            free(copy);
        }
        copy = relabelled(bytes, bytes.count + 1);
        cr_expect_eq(ward__wire_read(&out, (ward_bytes){ copy, bytes.count + 1 }), WARD_EINVAL);
        free(copy);
    }
}

Test(frame, waits_for_the_rest)
{
    ward_bytes bytes = packed_frame(&FRAMES[8]);
    struct ward__frame out;
    size_t length = 99;

    for (size_t count = 0; count < bytes.count; count++) {
        ward_bytes part = { bytes.at, count };

        cr_expect_eq(ward__wire_frame(part, 1000, &length), WARD_OK);
        cr_expect_eq(length, count < 4 ? 0 : bytes.count);
        cr_expect_eq(ward__wire_read(&out, part), WARD_EINVAL, "read takes whole frames only");
    }
}

static ward_status framed(size_t max, const char *head, size_t count)
{
    size_t length;
    return ward__wire_frame((ward_bytes){ head, count }, max, &length);
}

Test(frame, is_refused_for_its_length_or_kind_as_soon_as_it_is_seen)
{
    cr_expect_eq(framed(100, "\0\0\0\0", 4), WARD_EINVAL, "no length");
    cr_expect_eq(framed(100, "\0\0\0\x65", 4), WARD_ETOOBIG);
    cr_expect_eq(framed(101, "\0\0\0\x65", 4), WARD_OK);
    cr_expect_eq(framed(SIZE_MAX, "\xff\xff\xff\xff", 4), WARD_OK);
    cr_expect_eq(framed(100, "\0\0\0\2\0", 5), WARD_EINVAL, "kind 0");
    cr_expect_eq(framed(100, "\0\0\0\2\x13", 5), WARD_EINVAL, "one more than there are");
    cr_expect_eq(framed(100, "\0\0\0\2\xff", 5), WARD_EINVAL);
    cr_expect_eq(framed(SIZE_MAX, "\0\0\x08\x01\x04", 5), WARD_ETOOBIG, "a ping of 2 KiB");
    cr_expect_eq(framed(SIZE_MAX, "\0\0\x08\0\x04", 5), WARD_OK);
    cr_expect_eq(framed(SIZE_MAX, "\1\0\0\0\x07", 5), WARD_OK, "a value may be long");
}

Test(frame, of_another_version_says_so_and_nothing_else)
{
    static const uint8_t hello[] = { 0, 0, 0, 10, WARD__FRAME_HELLO, 0x93, 0xce, 'w', 'a', 'r', 'd',
        0xcc, 200, 0x80 };
    struct ward__frame out;
    uint8_t copy[sizeof hello];

    cr_assert_eq(ward__wire_read(&out, (ward_bytes){ hello, sizeof hello }), WARD_OK);
    cr_expect_eq(out.version, 200);
    cr_expect_null(out.text.at);
    memcpy(copy, hello, sizeof hello);
    copy[7] = 'W';
    cr_expect_eq(ward__wire_read(&out, (ward_bytes){ copy, sizeof copy }), WARD_EINVAL, "magic");
    memcpy(copy, hello, sizeof hello);
    copy[12] = WARD__WIRE_VERSION;
    cr_expect_eq(ward__wire_read(&out, (ward_bytes){ copy, sizeof copy }), WARD_EINVAL);
}

/* Both directions refuse the same. */
static void expect_senseless(const struct ward__frame *frame)
{
    buf.bytes = 0;
    cr_expect_eq(ward__wire_put(&buf, frame, 1000), WARD_EINVAL, "kind %d", (int)frame->kind);
    cr_expect_eq(buf.bytes, 0);
}

Test(frame, is_refused_when_it_makes_no_sense)
{
    expect_senseless(&(struct ward__frame){ .kind = WARD__FRAME_SEND });
    expect_senseless(&(struct ward__frame){ .kind = WARD__FRAME_SEND, .type_name = { "t", 1 } });
    expect_senseless(&(struct ward__frame){ .kind = WARD__FRAME_REPLY });
    expect_senseless(
        &(struct ward__frame){ .kind = WARD__FRAME_REPLY, .status = WARD_EGONE, .type = &EMPTY });
    expect_senseless(
        &(struct ward__frame){ .kind = WARD__FRAME_REPLY, .status = WARD_STOP, .type = &EMPTY });
    expect_senseless(&(struct ward__frame){
        .kind = WARD__FRAME_REPLY, .status = WARD_EGONE, .value = { "\xc0", 1 } });
    expect_senseless(
        &(struct ward__frame){ .kind = WARD__FRAME_ASK, .type = &EMPTY, .ms_left = -2 });
    expect_senseless(&(struct ward__frame){ .kind = WARD__FRAME_FIND, .ms_left = -2 });
    expect_senseless(&(struct ward__frame){ .kind = WARD__FRAME_REFUSED });
    expect_senseless(&(struct ward__frame){ .kind = WARD__FRAME_FOUND, .status = WARD_STOP });
    expect_senseless(&(struct ward__frame){ .kind = WARD__FRAME_BYE, .text = { "a\0b", 3 } });
}

#define READ(...) \
    ward__wire_read(&(struct ward__frame){ 0 }, \
        (ward_bytes){ \
            (const uint8_t[]){ 0, 0, 0, sizeof((const uint8_t[]){ __VA_ARGS__ }), __VA_ARGS__ }, \
            4 + sizeof((const uint8_t[]){ __VA_ARGS__ }) })

Test(frame, is_refused_when_a_head_is_wrong)
{
    cr_expect_eq(READ(WARD__FRAME_CANCEL, 0x91, 7), WARD_OK);
    cr_expect_eq(READ(WARD__FRAME_CANCEL, 0x91, 0xff), WARD_EINVAL, "negative");
    cr_expect_eq(READ(WARD__FRAME_CANCEL, 0x91, 0xc0), WARD_EINVAL, "nil");
    cr_expect_eq(READ(WARD__FRAME_CANCEL, 7), WARD_EINVAL, "no array");
    cr_expect_eq(READ(WARD__FRAME_BYE, 0x91, 0xa3, 'a', 0, 'b'), WARD_EINVAL, "NUL");
    cr_expect_eq(READ(WARD__FRAME_BYE, 0x91, 0xc4, 1, 'b'), WARD_EINVAL, "bin");
    cr_expect_eq(READ(WARD__FRAME_MONITOR, 0x93, 1, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 1), WARD_EINVAL,
        "a slot has 32 bits");
    cr_expect_eq(READ(WARD__FRAME_SEND, 0x94, 1, 1, 0xa1, 't', 0xc4, 1, 0xc0), WARD_OK);
    cr_expect_eq(READ(WARD__FRAME_SEND, 0x94, 1, 1, 0xa1, 't', 0xc4, 0), WARD_EINVAL, "nothing");
    cr_expect_eq(READ(WARD__FRAME_SEND, 0x94, 1, 1, 0xa1, 't', 0xc4, 1, 0xc1), WARD_EINVAL);
    cr_expect_eq(
        READ(WARD__FRAME_SEND, 0x94, 1, 1, 0xa1, 't', 0xc4, 2, 0xc0, 0xc0), WARD_EINVAL, "two");
    cr_expect_eq(READ(WARD__FRAME_SEND, 0x94, 1, 1, 0xa1, 't', 0xc0), WARD_EINVAL, "no value");
    cr_expect_eq(READ(WARD__FRAME_SEND, 0x94, 1, 1, 0xc0, 0xc4, 1, 0xc0), WARD_EINVAL, "no type");
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 9, 0, 0xc2, 0), WARD_OK);
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 10, 0, 0xc2, 0), WARD_EINVAL, "no such reason");
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 8, 0, 0, 0), WARD_EINVAL, "0 is not false");
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 8, 0xce, 0x80, 0, 0, 0, 0xc2, 0), WARD_EINVAL,
        "a status has 32 bits");
    cr_expect_eq(READ(WARD__FRAME_FIND, 0x93, 1, 0xa0, 0xfe), WARD_EINVAL, "-2 ms");
    cr_expect_eq(READ(WARD__FRAME_FIND, 0x93, 1, 0xa1, 'p', 0), WARD_OK);
    cr_expect_eq(READ(WARD__FRAME_FIND, 0x94, 1, 0xa1, 'p', 0xcc, 0), WARD_EINVAL, "a count");
}

Test(frame, bounds_its_texts)
{
    char path[WARD__WIRE_PATH_MAX + 1];
    struct ward__frame find = { .kind = WARD__FRAME_FIND, .text = { path, WARD__WIRE_PATH_MAX } };
    struct ward__frame out;

    memset(path, 'p', sizeof path);
    cr_expect_eq(ward__wire_read(&out, packed_frame(&find)), WARD_OK);
    cr_expect_eq(out.text.count, WARD__WIRE_PATH_MAX);
    find.text.count++;
    expect_senseless(&find);
}

Test(frame, bounds_the_texts_it_reads)
{
    uint8_t bye[5 + 3 + WARD__WHY_MAX + 1] = { 0, 0, 0, 0, WARD__FRAME_BYE, 0x91, 0xd9 };
    struct ward__frame out;

    for (unsigned length = WARD__WHY_MAX; length <= WARD__WHY_MAX + 1; length++) {
        ward_bytes bytes = { bye, 8u + length };

        memset(bye + 8, 'w', length);
        bye[3] = (uint8_t)(4 + length);
        bye[7] = (uint8_t)length;
        cr_expect_eq(ward__wire_read(&out, bytes), length <= WARD__WHY_MAX ? WARD_OK : WARD_EINVAL);
    }
}

Test(frame, is_as_long_as_it_says)
{
    uint8_t ping[] = { 0, 0, 0, 2, WARD__FRAME_PING, 0x90 };
    struct ward__frame out;

    cr_expect_eq(ward__wire_read(&out, (ward_bytes){ ping, sizeof ping }), WARD_OK);
    for (int length = 0; length < 9; length++) {
        ping[3] = (uint8_t)length;
        cr_expect_eq(ward__wire_read(&out, (ward_bytes){ ping, sizeof ping }),
            length == 2 ? WARD_OK : WARD_EINVAL);
    }
}

Test(frame, has_lengths_of_32_bits)
{
    struct ward__pack pack;

    cr_expect_eq(ward__wire_put(&buf, &FRAMES[3], SIZE_MAX), WARD_OK);
    ward__pack_init(&pack, &buf, SIZE_MAX);
    ward__pack_array(&pack, (size_t)UINT32_MAX + 1);
    cr_expect_eq(pack.rc, WARD_ETOOBIG);
}

Test(frame, does_not_grow_for_what_cannot_be)
{
    cr_expect_not(ward__buf_room(&buf, SIZE_MAX));
    cr_expect_not(ward__buf_room(&buf, SIZE_MAX / 2));
    cr_expect_null(buf.data);
    cr_assert(ward__buf_room(&buf, 1000));
    buf.bytes = 1000;
    cr_expect_not(ward__buf_room(&buf, SIZE_MAX - 500));
}

Test(frame, of_a_handshake_is_short)
{
    char name[WARD__WHY_MAX];
    struct ward__frame frame = FRAMES[0];

    memset(name, 'n', sizeof name);
    frame.text = (ward_bytes){ name, WARD__NODE_NAME_MAX };
    frame.node = UINT32_MAX;
    frame.frame_max = UINT64_MAX;
    frame.dead_ms = UINT32_MAX;
    cr_expect_leq(packed_frame(&frame).count - 4, WARD__FRAME_HELLO_MAX);
    frame = (struct ward__frame){ .kind = WARD__FRAME_BYE, .text = { name, WARD__WHY_MAX } };
    cr_expect_leq(packed_frame(&frame).count - 4, WARD__FRAME_HELLO_MAX);
}

Test(frame, is_packed_within_its_bound_or_not_at_all)
{
    for (size_t i = 0; i < WARD_COUNT(FRAMES); i++) {
        size_t length = packed_frame(&FRAMES[i]).count - 4;

        for (size_t max = 0; max < length; max++) {
            buf.bytes = 3;
            cr_expect_eq(ward__wire_put(&buf, &FRAMES[i], max), WARD_ETOOBIG);
            cr_expect_eq(buf.bytes, 3, "frame %zu left something", i);
        }
        cr_expect_eq(ward__wire_put(&buf, &FRAMES[i], length), WARD_OK);
    }
}

Test(frame, fails_at_every_allocation_without_a_trace)
{
    size_t before = ward__load(&heap.bytes);
    char *long_text = calloc(1, 5000);
    struct ward__frame send = { .kind = WARD__FRAME_SEND, .type = &TEXT, .source = long_text };
    ward_status rc = WARD_ENOMEM;
    int64_t n = 0;

    memset(long_text, 'x', 4999);
    while (rc == WARD_ENOMEM && n < 20) {
        ward__store(&heap.fail_in, n++);
        rc = ward__wire_put(&buf, &send, 10000);
        if (rc) cr_expect_eq(buf.bytes, 0);
        if (rc) ward__buf_drop(&buf);
        if (rc) cr_expect_eq(ward__load(&heap.bytes), before);
    }
    cr_expect_eq(rc, WARD_OK);
    cr_expect_gt(n, 1);
    ward__store(&heap.fail_in, -1);
    free(long_text);
}
