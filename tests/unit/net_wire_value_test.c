/* SPDX-License-Identifier: MIT */
/*
 * net_wire_value_test.c - values travel whole: every kind of member, the extremes, the deepest
 * nesting. What is no value of the receiver's type, or lies about its length, is refused and costs
 * no memory. Input lies in blocks of its exact size, so that AddressSanitizer sees a read past its
 * end.
 */
#include "net/wire.h"

#include <criterion/criterion.h>
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "mailbox/value.h"
#include "net/cursor.h"
#include "tests/support/wire_fixture.h"

TestSuite(wire_value, .init = with_buffer, .fini = nothing_left);

static const struct ward__wire_max no_max = { SIZE_MAX, SIZE_MAX, NULL };

static ward_bytes text(const char *at)
{
    return (ward_bytes){ at, strlen(at) };
}

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
    cr_assert_eq(rc, WARD_OK);
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
    ward_table table = { .types = types, .types_count = WARD_COUNT(types) };

    cr_expect_eq(ward__wire_type(NULL, &table, text("point")), &POINT);
    cr_expect_null(ward__wire_type(NULL, &table, text("poin")));
    cr_expect_null(ward__wire_type(NULL, &table, text("points")));
    cr_expect_null(ward__wire_type(NULL, &table, text("")));
    cr_expect_null(ward__wire_type(NULL, NULL, text("point")));
}
