/* SPDX-License-Identifier: MIT */
/*
 * net_wire_test.c - frames and values come out as they went in; what is cut off, too long, lying
 * about its length or of another type is refused, and costs no memory. Input lies in blocks of its
 * exact size, so that AddressSanitizer sees a read past its end.
 */
#include "net/wire.h"

#include <criterion/criterion.h>
#include <float.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "mailbox/value.h"
#include "net/cursor.h"
#include "tests/support/values.h"

static struct ward__heap heap;
static struct ward__buf buf;
static ward_blob *one, *two;
static struct sample sample;
static const struct ward__wire_max no_max = { SIZE_MAX, SIZE_MAX };

static void with_buffer(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    buf = (struct ward__buf){ .heap = &heap };
    cr_assert_eq(ward__blob_new(&heap, &one, (ward_bytes){ "first blob", 10 }), WARD_OK);
    cr_assert_eq(ward__blob_new(&heap, &two, (ward_bytes){ NULL, 0 }), WARD_OK);
    sample_fill(&sample, one, two);
}

/* Criterion passes over an assertion that fails in here, but not over an abort. */
static void nothing_left(void)
{
    ward__buf_drop(&buf);
    ward__blob_drop(one);
    ward__blob_drop(two);
    ward__assert(ward__load(&heap.bytes) == 0);
}

TestSuite(cursor);
TestSuite(frame, .init = with_buffer, .fini = nothing_left);
TestSuite(wire_value, .init = with_buffer, .fini = nothing_left);

static ward_bytes text(const char *at)
{
    return (ward_bytes){ at, strlen(at) };
}

static bool bytes_same(ward_bytes a, ward_bytes b)
{
    if (a.count != b.count || !a.at != !b.at) return false;
    return !a.count || memcmp(a.at, b.at, a.count) == 0;
}

static ward_bytes all_of(const struct ward__buf *from)
{
    return (ward_bytes){ from->data, from->bytes };
}

/* -- cursor ------------------------------------------------------------------------------------ */

#define CHECK(...) \
    ward__cursor_check((ward_bytes){ \
        (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }) })

Test(cursor, takes_one_whole_item_and_nothing_more)
{
    cr_expect(CHECK(0xc0));
    cr_expect(CHECK(0x93, 1, 0xa1, 'x', 0x90));
    cr_expect_not(CHECK(0x93, 1, 0xa1, 'x'), "an element is missing");
    cr_expect_not(CHECK(0xc0, 0xc0), "something follows");
    cr_expect_not(ward__cursor_check((ward_bytes){ "", 0 }));
    cr_expect_not(ward__cursor_check((ward_bytes){ NULL, 0 }));
}

Test(cursor, refuses_what_ward_never_writes)
{
    cr_expect_not(CHECK(0x80), "map");
    cr_expect_not(CHECK(0xde, 0, 0), "map 16");
    cr_expect_not(CHECK(0xdf, 0, 0, 0, 0), "map 32");
    cr_expect_not(CHECK(0xc1), "unused");
    cr_expect_not(CHECK(0xc7, 0, 0), "ext 8");
    cr_expect_not(CHECK(0xd4, 0, 0), "fixext 1");
}

Test(cursor, believes_no_length)
{
    cr_expect_not(CHECK(0xdd, 0x0f, 0xff, 0xff, 0xff), "array 32");
    cr_expect_not(CHECK(0xdc, 0x00, 0x02, 0xc0), "array 16");
    cr_expect_not(CHECK(0xdb, 0xff, 0xff, 0xff, 0xff, 'x'), "str 32");
    cr_expect_not(CHECK(0xda, 0x00, 0x02, 'x'), "str 16");
    cr_expect_not(CHECK(0xc6, 0x00, 0x00, 0x00, 0x02, 'x'), "bin 32");
    cr_expect_not(CHECK(0xc4, 0x02, 'x'), "bin 8");
    cr_expect_not(CHECK(0xa2, 'x'), "fixstr");
    cr_expect_not(CHECK(0xcf, 0, 0, 0, 0, 0, 0, 0), "half a number");
}

Test(cursor, nests_to_sixteen_and_not_to_seventeen)
{
    uint8_t nested[18];

    memset(nested, 0x91, sizeof nested);
    nested[16] = 0xc0;
    cr_expect(ward__cursor_check((ward_bytes){ nested, 17 }));
    nested[15] = 0x90;
    cr_expect(ward__cursor_check((ward_bytes){ nested, 16 }));
    nested[15] = nested[16] = 0x91;
    nested[17] = 0xc0;
    cr_expect_not(ward__cursor_check((ward_bytes){ nested, 18 }));
}

static struct ward__item item_of(const uint8_t *at, size_t count)
{
    struct ward__cursor cursor = ward__cursor_on((ward_bytes){ at, count });
    struct ward__item item = { .kind = WARD__ITEM_NIL };

    cr_assert(ward__cursor_next(&cursor, &item));
    cr_assert(ward__cursor_done(&cursor));
    return item;
}

#define ITEM(...) \
    item_of((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

Test(cursor, reads_every_form_of_an_integer)
{
    cr_expect_eq(ITEM(0x7f).u.number, 127);
    cr_expect_eq(ITEM(0xcc, 0xff).u.number, 255);
    cr_expect_eq(ITEM(0xcd, 1, 0).u.number, 256);
    cr_expect_eq(ITEM(0xce, 0xff, 0, 0, 1).u.number, 0xff000001u);
    cr_expect_eq(ITEM(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff).u.number, UINT64_MAX);
    cr_expect_eq(ITEM(0xe0).u.negative, -32);
    cr_expect_eq(ITEM(0xff).u.negative, -1);
    cr_expect_eq(ITEM(0xd0, 0x80).u.negative, INT8_MIN);
    cr_expect_eq(ITEM(0xd1, 0x80, 0).u.negative, INT16_MIN);
    cr_expect_eq(ITEM(0xd2, 0x80, 0, 0, 0).u.negative, INT32_MIN);
    cr_expect_eq(ITEM(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0).u.negative, INT64_MIN);
    cr_expect_eq(ITEM(0xd0, 0x7f).kind, WARD__ITEM_UINT, "a signed one that is not negative");
    cr_expect_eq(ITEM(0xd0, 0x7f).u.number, 127);
    cr_expect_eq(ITEM(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0).kind, WARD__ITEM_INT);
}

/* -- frames ------------------------------------------------------------------------------------ */

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
    cr_expect_eq(framed(100, "\0\0\0\2\x10", 5), WARD_EINVAL, "one more than there are");
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
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 8, 0, 0xc2, 0), WARD_OK);
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 9, 0, 0xc2, 0), WARD_EINVAL, "no such reason");
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 8, 0, 0, 0), WARD_EINVAL, "0 is not false");
    cr_expect_eq(READ(WARD__FRAME_DOWN, 0x95, 1, 8, 0xce, 0x80, 0, 0, 0, 0xc2, 0), WARD_EINVAL,
        "a status has 32 bits");
    cr_expect_eq(READ(WARD__FRAME_FIND, 0x93, 1, 0xa0, 0xfe), WARD_EINVAL, "-2 ms");
    cr_expect_eq(READ(WARD__FRAME_FIND, 0x93, 1, 0xa1, 'p', 0), WARD_OK);
    cr_expect_eq(READ(WARD__FRAME_FIND, 0x94, 1, 0xa1, 'p', 0xcc, 0), WARD_EINVAL, "a count");
}

Test(frame, bounds_its_texts)
{
    char path[WARD__PATH_MAX + 1];
    struct ward__frame find = { .kind = WARD__FRAME_FIND, .text = { path, WARD__PATH_MAX } };
    struct ward__frame out;

    memset(path, 'p', sizeof path);
    cr_expect_eq(ward__wire_read(&out, packed_frame(&find)), WARD_OK);
    cr_expect_eq(out.text.count, WARD__PATH_MAX);
    find.text.count++;
    expect_senseless(&find);
}

Test(frame, bounds_the_texts_it_reads)
{
    uint8_t bye[5 + 3 + WARD__WHY_MAX + 1] = { 0, 0, 0, 0, WARD__FRAME_BYE, 0x91, 0xd9 };
    struct ward__frame out;

    for (uint8_t length = WARD__WHY_MAX; length <= WARD__WHY_MAX + 1; length++) {
        ward_bytes bytes = { bye, 8u + length };

        memset(bye + 8, 'w', length);
        bye[3] = (uint8_t)(4 + length);
        bye[7] = length;
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

/* -- values ------------------------------------------------------------------------------------ */

/* The bytes of a value as it is in a frame, in a block of their exact size, to be freed. */
static ward_bytes packed(const ward_type *type, const void *value)
{
    struct ward__buf into = { .heap = &heap };
    struct ward__pack pack;
    uint8_t *copy;

    ward__pack_init(&pack, &into, SIZE_MAX);
    ward__wire_pack_value(&pack, type, value);
    cr_assert_eq(pack.rc, WARD_OK, "%s", type->name);
    copy = malloc(into.bytes);
    memcpy(copy, into.data, into.bytes);
    ward_bytes bytes = { copy, into.bytes };
    ward__buf_drop(&into);
    return bytes;
}

static ward_status unpacked(const ward_type *type, ward_bytes bytes, void **block)
{
    size_t count;
    bool has_blobs;
    ward_status rc = ward__wire_value_bytes(type, bytes, no_max, &count, &has_blobs);

    *block = NULL;
    if (rc) return rc;
    *block = malloc(count ? count : 1);
    rc = ward__wire_value_copy(&heap, type, bytes, *block, count);
    cr_expect(!has_blobs || ward__type_has_blobs(type));
    return rc;
}

static void dropped(const ward_type *type, void *block)
{
    ward__value_drop(type, block);
    free(block);
}

/* There and back, and there again: the same bytes, and a block as a copy would have made it. */
static void expect_round_trip(const ward_type *type, const void *value)
{
    ward_bytes once = packed(type, value), twice;
    size_t there, here;
    bool blobs_there, blobs_here;
    void *block;

    cr_expect(ward__cursor_check(once));
    cr_assert_eq(unpacked(type, once, &block), WARD_OK, "%s", type->name);
    twice = packed(type, ward__value_of(type, block));
    cr_expect(bytes_same(once, twice), "%s", type->name);
    cr_assert_eq(ward__value_bytes(type, value, SIZE_MAX, &here, &blobs_here), WARD_OK);
    cr_assert_eq(ward__wire_value_bytes(type, once, no_max, &there, &blobs_there), WARD_OK);
    cr_expect_eq(here, there, "%s: the same block", type->name);
    cr_expect_eq(blobs_here, blobs_there);
    dropped(type, block);
    free((void *)once.at);
    free((void *)twice.at);
}

Test(wire_value, comes_out_as_it_went_in)
{
    struct chain_types types;
    struct chain at[CHAIN_MAX];

    expect_round_trip(&ALL, &sample.all);
    expect_round_trip(&ALL, &(struct all){ .text = NULL });
    expect_round_trip(&TEXT, "hello");
    expect_round_trip(&TEXT, "");
    expect_round_trip(&BLOB, one);
    expect_round_trip(&BLOB, two);
    expect_round_trip(&EMPTY, NULL);
    expect_round_trip(chain_type(&types, 8), chain_value(at, 8));
}

Test(wire_value, is_complete)
{
    ward_bytes bytes = packed(&ALL, &sample.all);
    void *block;
    const struct all *all;
    const struct numbers *n;

    cr_assert_eq(unpacked(&ALL, bytes, &block), WARD_OK);
    free((void *)bytes.at);
    all = block;
    n = &all->numbers;
    cr_expect(n->i8 == INT8_MIN && n->i16 == INT16_MIN && n->i32 == INT32_MIN);
    cr_expect(n->u8 == UINT8_MAX && n->u16 == UINT16_MAX && n->u32 == UINT32_MAX);
    cr_expect(n->i64 == INT64_MIN && n->u64 == UINT64_MAX && n->yes);
    cr_expect_float_eq(n->f32, 1.5f, 0);
    cr_expect_float_eq(n->f64, -2.25, 0);
    cr_expect(n->ref.node == 7 && n->ref.slot == 8 && n->ref.life == UINT64_MAX);
    cr_expect_str_eq(all->text, "a text");
    cr_expect(bytes_same(all->bytes, sample.all.bytes));
    cr_expect_neq(all->blob, one, "a blob is copied");
    cr_expect(bytes_same(ward__blob_bytes(all->blob), ward__blob_bytes(one)));
    cr_expect_eq(all->points_count, 3);
    cr_expect_float_eq(all->points[1].y, -1e300, 0);
    cr_expect_eq(all->points[0].x, -1);
    cr_expect_str_eq(all->sheets[0].lines[0].code, "8867-4");
    cr_expect_eq(all->sheets[0].lines[0].weight, 200);
    cr_expect(!all->sheets[0].lines[1].code && !all->sheets[0].lines[1].scan);
    cr_expect_str_eq(all->sheets[0].notes[0], "first");
    cr_expect(!all->sheets[0].notes[1] && !all->sheets[1].lines && all->sheets[1].notes);
    cr_expect_eq(all->sheets[1].notes_count, 0);
    cr_expect(!all->scans[1] && ward__blob_bytes(all->scans[2]).count == 10);
    dropped(&ALL, block);
}

Test(wire_value, keeps_the_extremes)
{
    static const struct numbers extremes[] = {
        { INT8_MAX, 0, INT16_MAX, 0, INT32_MAX, 0, INT64_MAX, 0, FLT_MAX, DBL_MAX, false, { 0 } },
        { -1, 128, -129, 256, -32769, 65536, -2147483649, 4294967296, FLT_MIN, DBL_MIN, true,
            { 1, 1, 1 } },
        { 127, 127, 128, 255, 32768, 65535, 2147483648, 4294967295, -0.0f, -0.0, true,
            { UINT32_MAX, UINT32_MAX, 0 } },
    };
    struct numbers odd = { .f32 = __builtin_nanf(""), .f64 = -__builtin_inf() };

    for (size_t i = 0; i < WARD_COUNT(extremes); i++) {
        ward_bytes bytes = packed(&NUMBERS, &extremes[i]);
        void *block;

        cr_assert_eq(unpacked(&NUMBERS, bytes, &block), WARD_OK);
        cr_expect_arr_eq(block, &extremes[i], sizeof(int8_t) + sizeof(uint8_t));
        cr_expect_eq(((struct numbers *)block)->i64, extremes[i].i64);
        cr_expect_eq(((struct numbers *)block)->u32, extremes[i].u32);
        free((void *)bytes.at);
        dropped(&NUMBERS, block);
        expect_round_trip(&NUMBERS, &extremes[i]);
    }
    expect_round_trip(&NUMBERS, &odd);
}

Test(wire_value, is_bounded_to_the_byte)
{
    ward_bytes bytes = packed(&ALL, &sample.all);
    size_t count, seen = 5;
    bool has_blobs = false;
    struct ward__wire_max max = no_max;

    cr_assert_eq(ward__wire_value_bytes(&ALL, bytes, max, &count, &has_blobs), WARD_OK);
    has_blobs = false;
    for (max.value_bytes = 0; max.value_bytes < count; max.value_bytes++)
        cr_expect_eq(ward__wire_value_bytes(&ALL, bytes, max, &seen, &has_blobs), WARD_ETOOBIG);
    cr_expect(seen == 5 && !has_blobs, "a failed call wrote something");
    max.blob_bytes = 9;
    cr_expect_eq(ward__wire_value_bytes(&ALL, bytes, max, &seen, &has_blobs), WARD_ETOOBIG);
    max.blob_bytes = 10;
    cr_expect_eq(ward__wire_value_bytes(&ALL, bytes, max, &seen, &has_blobs), WARD_OK);
    cr_expect_eq(seen, count);
    free((void *)bytes.at);
}

Test(wire_value, fails_at_every_allocation_without_a_trace)
{
    ward_bytes bytes = packed(&ALL, &sample.all);
    size_t before = ward__load(&heap.bytes);
    ward_status rc = WARD_ENOMEM;
    void *block;
    int64_t n = 0;

    while (rc == WARD_ENOMEM && n < 20) {
        ward__store(&heap.fail_in, n++);
        rc = unpacked(&ALL, bytes, &block);
        if (rc) {
            cr_expect_eq(ward__load(&heap.bytes), before, "after failing the %d-th", (int)n);
            free(block);
        }
    }
    cr_expect_eq(rc, WARD_OK);
    cr_expect_eq(n, 5, "four blobs are made");
    ward__store(&heap.fail_in, -1);
    dropped(&ALL, block);
    free((void *)bytes.at);
}

Test(wire_value, is_refused_when_it_is_cut_off)
{
    ward_bytes bytes = packed(&ALL, &sample.all);
    size_t count;
    bool has_blobs;

    for (size_t n = 0; n < bytes.count; n++) {
        uint8_t *copy = malloc(n ? n : 1);

        memcpy(copy, bytes.at, n);
        cr_expect_eq(
            ward__wire_value_bytes(&ALL, (ward_bytes){ copy, n }, no_max, &count, &has_blobs),
            WARD_EINVAL, "cut to %zu of %zu", n, bytes.count);
        free(copy);
    }
    free((void *)bytes.at);
}

/* Each byte to each other value: refused, or a value like any other; never anything in between. */
Test(wire_value, survives_every_changed_byte)
{
    ward_bytes bytes = packed(&ALL, &sample.all);
    size_t before = ward__load(&heap.bytes), taken = 0;
    uint8_t *at = (uint8_t *)bytes.at;

    for (size_t i = 0; i < bytes.count; i++) {
        uint8_t was = at[i];

        for (unsigned value = 0; value < 256; value++) {
            void *block;

            at[i] = (uint8_t)value;
            if (unpacked(&ALL, bytes, &block)) continue;
            taken++;
            dropped(&ALL, block);
        }
        at[i] = was;
    }
    cr_expect_gt(taken, bytes.count, "many changes only make another value");
    cr_expect_eq(ward__load(&heap.bytes), before);
    free(at);
}

/* Packs a value of one type and takes it as one of another. */
static ward_status taken_as(const ward_type *from, const void *value, const ward_type *to)
{
    ward_bytes bytes = packed(from, value);
    void *block;
    ward_status rc = unpacked(to, bytes, &block);

    if (!rc) dropped(to, block);
    free((void *)bytes.at);
    return rc;
}

struct pair {
    const char *patient, *order;
};

Test(wire_value, of_a_type_with_other_rows_is_refused)
{
    static const ward_field fields[] = {
        WARD_FIELD(struct pair, TEXT, patient),
        WARD_FIELD(struct pair, TEXT, order),
    };
    ward_field other[] = { fields[1], fields[0] };
    ward_type type = WARD_TYPE("pair", struct pair, fields);
    ward_type swapped = WARD_TYPE("pair", struct pair, other);
    struct pair pair = { "p", "o" };

    cr_expect_eq(taken_as(&type, &pair, &type), WARD_OK);
    cr_expect_eq(taken_as(&type, &pair, &swapped), WARD_EINVAL, "the order of rows");
    other[0] = fields[0], other[1] = fields[1];
    cr_expect_eq(taken_as(&type, &pair, &swapped), WARD_OK);
    other[1].name = "orders";
    cr_expect_eq(taken_as(&type, &pair, &swapped), WARD_EINVAL, "a name");
    other[1].name = fields[1].name;
    swapped.fields_count = 1;
    cr_expect_eq(taken_as(&type, &pair, &swapped), WARD_EINVAL, "a row less");
    swapped.fields_count = 2;
    other[1].kind = WARD_BLOB;
    cr_expect_eq(taken_as(&type, &(struct pair){ "p", NULL }, &swapped), WARD_EINVAL, "a kind");
    cr_expect_eq(taken_as(&TEXT, "text", &type), WARD_EINVAL);
    cr_expect_eq(taken_as(&type, &pair, &TEXT), WARD_EINVAL);
    cr_expect_eq(taken_as(&TEXT, "text", &BLOB), WARD_EINVAL);
    cr_expect_eq(taken_as(&EMPTY, NULL, &TEXT), WARD_EINVAL);
    cr_expect_eq(taken_as(&EMPTY, NULL, &BLOB), WARD_EINVAL);
    cr_expect_eq(taken_as(&TEXT, "text", &EMPTY), WARD_EINVAL);
}

/* A type with one number in it, of a kind and a width. */
struct one_number {
    ward_field row;
    ward_type type;
};

static const ward_type *number(struct one_number *of, ward_kind_of_field kind, uint32_t width)
{
    of->row = (ward_field){ "n", kind, 0, width, 0, NULL };
    of->type = (ward_type){ "number", WARD_FORM_STRUCT, 8, &of->row, 1 };
    return &of->type;
}

static ward_status int_fits(int64_t value, uint32_t width)
{
    struct one_number wide, narrow;
    return taken_as(number(&wide, WARD_INT, 8), &value, number(&narrow, WARD_INT, width));
}

static ward_status uint_fits(uint64_t value, uint32_t width)
{
    struct one_number wide, narrow;
    return taken_as(number(&wide, WARD_UINT, 8), &value, number(&narrow, WARD_UINT, width));
}

static ward_status real_fits(double value)
{
    struct one_number wide, narrow;
    return taken_as(number(&wide, WARD_REAL, 8), &value, number(&narrow, WARD_REAL, 4));
}

Test(wire_value, goes_into_a_member_of_another_width_only_if_it_fits)
{
    struct one_number single, wide;
    float half = 0.5f;

    for (uint32_t width = 1; width < 8; width *= 2) {
        int64_t most = (int64_t)(UINT64_MAX >> (65 - 8 * width));

        cr_expect_eq(int_fits(most, width), WARD_OK);
        cr_expect_eq(int_fits(most + 1, width), WARD_EINVAL);
        cr_expect_eq(int_fits(-most - 1, width), WARD_OK);
        cr_expect_eq(int_fits(-most - 2, width), WARD_EINVAL);
        cr_expect_eq(uint_fits(2 * (uint64_t)most + 1, width), WARD_OK);
        cr_expect_eq(uint_fits(2 * (uint64_t)most + 2, width), WARD_EINVAL);
    }
    cr_expect_eq(real_fits(0.5), WARD_OK);
    cr_expect_eq(real_fits(__builtin_nan("")), WARD_OK);
    cr_expect_eq(real_fits(-__builtin_inf()), WARD_OK);
    cr_expect_eq(real_fits(0.1), WARD_EINVAL, "nothing is rounded");
    cr_expect_eq(real_fits(1e300), WARD_EINVAL);
    cr_expect_eq(
        taken_as(number(&single, WARD_REAL, 4), &half, number(&wide, WARD_REAL, 8)), WARD_OK);
}

/* The bytes of a value whose last item is replaced by others. */
static ward_status with_last(const ward_type *type, const void *value, size_t cut, ward_bytes put)
{
    ward_bytes bytes = packed(type, value);
    uint8_t *copy = malloc(bytes.count - cut + put.count);
    ward_bytes changed = { copy, bytes.count - cut + put.count };
    void *block;
    ward_status rc;

    memcpy(copy, bytes.at, bytes.count - cut);
    memcpy(copy + bytes.count - cut, put.at, put.count);
    rc = unpacked(type, changed, &block);
    if (!rc) dropped(type, block);
    free(copy);
    free((void *)bytes.at);
    return rc;
}

#define LAST(kind, width, ...) \
    with_last(number(&of, kind, width), &zero, 1, \
        (ward_bytes){ \
            (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }) })

Test(wire_value, of_the_wrong_kind_is_refused)
{
    struct one_number of;
    uint64_t zero = 0;

    cr_expect_eq(LAST(WARD_INT, 4, 5), WARD_OK);
    cr_expect_eq(LAST(WARD_INT, 4, 0xc0), WARD_EINVAL, "nil");
    cr_expect_eq(LAST(WARD_INT, 4, 0xc2), WARD_EINVAL, "false");
    cr_expect_eq(LAST(WARD_INT, 4, 0xca, 0, 0, 0, 0), WARD_EINVAL, "a float");
    cr_expect_eq(LAST(WARD_INT, 4, 5, 5), WARD_EINVAL, "one too many");
    cr_expect_eq(LAST(WARD_UINT, 4, 0xff), WARD_EINVAL, "negative");
    cr_expect_eq(LAST(WARD_BOOL, 1, 0xc3), WARD_OK);
    cr_expect_eq(LAST(WARD_BOOL, 1, 1), WARD_EINVAL);
    cr_expect_eq(LAST(WARD_TEXT, 8, 0xa2, 'h', 'i'), WARD_OK);
    cr_expect_eq(LAST(WARD_TEXT, 8, 0xa2, 'h', 0), WARD_EINVAL, "a NUL");
    cr_expect_eq(LAST(WARD_TEXT, 8, 0xc4, 1, 'h'), WARD_EINVAL, "bin");
    cr_expect_eq(LAST(WARD_BLOB, 8, 0xa1, 'h'), WARD_EINVAL, "text");
    cr_expect_eq(LAST(WARD_BLOB, 8, 0xc4, 1, 0), WARD_OK);
    cr_expect_eq(LAST(WARD_TEXT, 8, 0x90), WARD_EINVAL, "array");
}

Test(wire_value, believes_no_count)
{
    static const ward_field list = WARD_FIELD_LIST(struct chain, words, words_count, WORD);
    ward_type type = WARD_TYPE_PLAIN("words", struct chain);
    size_t before = ward__load(&heap.bytes);
    struct chain none = { 0 };

    type.fields = &list;
    type.fields_count = 1;
    cr_expect_eq(with_last(&type, &none, 1, (ward_bytes){ "\x91\xc0", 2 }), WARD_OK);
    cr_expect_eq(
        with_last(&type, &none, 1, (ward_bytes){ "\xdd\xff\xff\xff\xff\xc0", 6 }), WARD_EINVAL);
    cr_expect_eq(with_last(&type, &none, 1, (ward_bytes){ "\xdc\0\2\xc0", 4 }), WARD_EINVAL);
    cr_expect_eq(ward__load(&heap.bytes), before);
}

/* A nested struct of which the array is missing must not find its first row in what follows. */
Test(wire_value, does_not_run_on_into_the_next_struct)
{
    static const ward_field list = WARD_FIELD_LIST(struct all, sheets, sheets_count, SHEET);
    ward_type type = WARD_TYPE_PLAIN("sheets", struct all);
    struct all none = { .text = NULL };

    type.fields = &list;
    type.fields_count = 1;
    cr_expect_eq(with_last(&type, &none, 1, (ward_bytes){ "\x91\x92\x90\x90", 4 }), WARD_OK);
    cr_expect_eq(with_last(&type, &none, 1, (ward_bytes){ "\x91\x90\x90", 3 }), WARD_EINVAL);
    cr_expect_eq(
        with_last(&type, &none, 1, (ward_bytes){ "\x91\x93\x90\x90\x90", 5 }), WARD_EINVAL);
}

Test(wire_value, tells_an_empty_blob_from_none)
{
    static const ward_field row = WARD_FIELD(struct line, BLOB, scan);
    ward_type type = WARD_TYPE_PLAIN("scan", struct line);
    struct line line = { .scan = NULL };
    ward_blob *nothing;
    ward_bytes bytes;
    void *block;

    type.fields = &row;
    type.fields_count = 1;
    cr_assert_eq(ward__blob_wrap(&heap, &nothing, (ward_bytes){ NULL, 0 }, NULL, NULL), WARD_OK);
    line.scan = nothing;
    bytes = packed(&type, &line);
    cr_assert_eq(unpacked(&type, bytes, &block), WARD_OK);
    cr_expect_not_null(((struct line *)block)->scan);
    dropped(&type, block);
    free((void *)bytes.at);
    ward__blob_drop(nothing);
}

static ward_status pack_rc(const ward_type *type, const void *value)
{
    struct ward__buf into = { .heap = &heap };
    struct ward__pack pack;

    ward__pack_init(&pack, &into, 4096);
    ward__wire_pack_value(&pack, type, value);
    ward__buf_drop(&into);
    return pack.rc;
}

Test(wire_value, cannot_travel_without_fields)
{
    ward_field nested = WARD_FIELD_LIST(struct all, points, points_count, PLAIN);
    ward_type holds_plain = WARD_TYPE_PLAIN("holds plain", struct all);
    struct all nothing = { .text = NULL };
    struct chain_types chain;
    void *block;

    cr_expect_eq(ward__wire_type_check(&ALL), WARD_OK);
    cr_expect_eq(ward__wire_type_check(&TEXT), WARD_OK);
    cr_expect_eq(ward__wire_type_check(&PLAIN), WARD_EINVAL);
    cr_expect_eq(ward__wire_type_check(chain_type(&chain, 8)), WARD_OK);
    cr_expect_eq(ward__wire_type_check(chain_type(&chain, 9)), WARD_EINVAL);
    holds_plain.fields = &nested;
    holds_plain.fields_count = 1;
    cr_expect_eq(ward__wire_type_check(&holds_plain), WARD_EINVAL);
    cr_expect_eq(pack_rc(&PLAIN, &sample.points[0]), WARD_EINVAL);
    cr_expect_eq(pack_rc(&holds_plain, &nothing), WARD_EINVAL, "not even an empty list of it");
    cr_expect_eq(unpacked(&PLAIN, (ward_bytes){ "\x91\x00", 2 }, &block), WARD_EINVAL);
}

Test(wire_value, has_rows_that_do_not_overlap)
{
    ward_field rows[] = {
        WARD_FIELD(struct pair, TEXT, patient),
        WARD_FIELD(struct pair, TEXT, order),
    };
    ward_type type = WARD_TYPE("pair", struct pair, rows);
    char name[WARD__TYPE_NAME_MAX + 2];
    ward_field nested = { "pairs", WARD_LIST, 0, sizeof(struct pair), 8, NULL };
    ward_type outer = WARD_TYPE_PLAIN("outer", struct all);

    cr_expect_eq(ward__wire_type_check(&type), WARD_OK);
    rows[1].offset = 7;
    cr_expect_eq(ward__wire_type_check(&type), WARD_EINVAL);
    rows[1] = (ward_field){ "list", WARD_LIST, 8, 8, 0, &WORD };
    cr_expect_eq(ward__wire_type_check(&type), WARD_EINVAL, "a count upon another member");
    rows[1].count_offset = 8;
    cr_expect_eq(ward__wire_type_check(&type), WARD_EINVAL, "a count upon its own list");
    nested.of = &type;
    outer.fields = &nested;
    outer.fields_count = 1;
    cr_expect_eq(ward__wire_type_check(&outer), WARD_EINVAL, "in a nested type");
    type.fields_count = 1;
    cr_expect_eq(ward__wire_type_check(&outer), WARD_OK);
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    type.name = name;
    cr_expect_eq(ward__wire_type_check(&type), WARD_EINVAL, "a long name");
    cr_expect_eq(ward__wire_type_check(NULL), WARD_EINVAL);
}

Test(wire_value, refuses_what_is_missing)
{
    cr_expect_eq(pack_rc(&TEXT, NULL), WARD_ENOMEM);
    cr_expect_eq(pack_rc(&BLOB, NULL), WARD_EINVAL);
    cr_expect_eq(pack_rc(&ALL, NULL), WARD_EINVAL);
    cr_expect_eq(pack_rc(NULL, "x"), WARD_EINVAL);
    sample.all.points = NULL;
    cr_expect_eq(pack_rc(&ALL, &sample.all), WARD_EINVAL);
    sample.all.points_count = 0;
    cr_expect_eq(pack_rc(&ALL, &sample.all), WARD_OK);
    sample.all.bytes.at = NULL;
    cr_expect_eq(pack_rc(&ALL, &sample.all), WARD_EINVAL);
    sample.all.bytes.at = "";
    sample.all.bytes.count = SIZE_MAX;
    cr_expect_eq(pack_rc(&ALL, &sample.all), WARD_ETOOBIG);
    sample.all.bytes.count = 0;
    sample.all.points = sample.points;
    sample.all.points_count = SIZE_MAX;
    cr_expect_eq(pack_rc(&ALL, &sample.all), WARD_ETOOBIG);
}

Test(wire_value, finds_its_type_by_name)
{
    static const ward_type *const types[] = { &ALL, &TEXT, &POINT };
    ward_table table = { types, WARD_COUNT(types) };

    cr_expect_eq(ward__wire_type(&table, text("point")), &POINT);
    cr_expect_null(ward__wire_type(&table, text("poin")));
    cr_expect_null(ward__wire_type(&table, text("points")));
    cr_expect_null(ward__wire_type(&table, text("")));
    cr_expect_null(ward__wire_type(NULL, text("point")));
}
