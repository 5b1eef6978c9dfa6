/* SPDX-License-Identifier: MIT */
/*
 * mailbox_value_test.c - field tables are checked, and a copy of a value is complete, flat, exact
 * in its bytes and independent of its source. Blocks come from malloc in their exact size, so that
 * AddressSanitizer sees a byte too many.
 */
#include "mailbox/value.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "tests/support/values.h"

static struct ward__heap heap;
static ward_blob *one, *two;
static struct sample sample;

static void with_blobs(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    cr_assert_eq(ward__blob_new(&heap, &one, (ward_bytes){ "first blob", 10 }), WARD_OK);
    cr_assert_eq(ward__blob_new(&heap, &two, (ward_bytes){ "2", 1 }), WARD_OK);
    sample_fill(&sample, one, two);
}

/* Criterion passes over an assertion that fails in here, but not over an abort. */
static void nothing_left(void)
{
    ward__blob_drop(one);
    ward__blob_drop(two);
    ward__assert(ward__load(&heap.bytes) == 0);
}

TestSuite(value, .init = with_blobs, .fini = nothing_left);
TestSuite(type);

/* A copy in a block of its exact size; the caller frees it. */
static void *copied(const ward_type *type, const void *value, size_t *bytes)
{
    bool has_blobs;
    void *block;

    cr_assert_eq(ward__value_bytes(type, value, SIZE_MAX, bytes, &has_blobs), WARD_OK);
    block = malloc(*bytes ? *bytes : 1);
    ward__value_copy(type, value, block, *bytes);
    return block;
}

static void dropped(const ward_type *type, void *block)
{
    ward__value_drop(type, block);
    free(block);
}

/* -- types ------------------------------------------------------------------------------------- */

Test(type, accepts_every_kind_of_member)
{
    cr_expect_eq(ward__type_check(&ALL), WARD_OK);
    cr_expect_eq(ward__type_check(&TEXT), WARD_OK);
    cr_expect_eq(ward__type_check(&BLOB), WARD_OK);
    cr_expect_eq(ward__type_check(&EMPTY), WARD_OK);
    cr_expect_eq(ward__type_check(&PLAIN), WARD_OK);
}

Test(type, refuses_what_is_no_type)
{
    ward_type type = PLAIN;

    cr_expect_eq(ward__type_check(NULL), WARD_EINVAL);
    type.name = NULL;
    cr_expect_eq(ward__type_check(&type), WARD_EINVAL);
    type = PLAIN;
    type.bytes = 0;
    cr_expect_eq(ward__type_check(&type), WARD_EINVAL);
    type = ALL;
    type.fields = NULL;
    cr_expect_eq(ward__type_check(&type), WARD_EINVAL);
    type = PLAIN;
    type.form = (ward_form)4;
    cr_expect_eq(ward__type_check(&type), WARD_EINVAL);
    type = TEXT;
    type.bytes = 4;
    cr_expect_eq(ward__type_check(&type), WARD_EINVAL);
    type = EMPTY;
    type.bytes = 1;
    cr_expect_eq(ward__type_check(&type), WARD_EINVAL);
    type = BLOB;
    type.fields = POINT_FIELDS;
    type.fields_count = 1;
    cr_expect_eq(ward__type_check(&type), WARD_EINVAL);
}

static ward_status check_row(ward_field row)
{
    ward_type type = WARD_TYPE_PLAIN("row", struct all);

    type.fields = &row;
    type.fields_count = 1;
    return ward__type_check(&type);
}

Test(type, refuses_widths_that_no_member_has)
{
    static const struct {
        ward_kind_of_field kind;
        uint64_t good; /* bit n: n bytes are right */
    } kinds[] = {
        { WARD_INT, 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8 },
        { WARD_UINT, 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8 },
        { WARD_REAL, 1u << 4 | 1u << 8 },
        { WARD_BOOL, 1u << 1 },
        { WARD_TEXT, 1u << sizeof(char *) },
        { WARD_BYTES, 1u << sizeof(ward_bytes) },
        { WARD_BLOB, 1u << sizeof(char *) },
        { WARD_REF, 1u << sizeof(ward_ref) },
        { (ward_kind_of_field)10, 0 },
        { (ward_kind_of_field)-1, 0 },
    };

    for (size_t i = 0; i < WARD_COUNT(kinds); i++)
        for (uint32_t width = 0; width < 40; width++) {
            bool good = kinds[i].good >> width & 1;
            ward_field row = { "row", kinds[i].kind, 0, width, 0, NULL };
            cr_expect_eq(check_row(row), good ? WARD_OK : WARD_EINVAL, "kind %d width %u",
                (int)kinds[i].kind, width);
        }
}

Test(type, refuses_members_outside_of_the_struct)
{
    uint32_t end = sizeof(struct all);

    cr_expect_eq(check_row((ward_field){ "in", WARD_INT, end - 4, 4, 0, NULL }), WARD_OK);
    cr_expect_eq(check_row((ward_field){ "out", WARD_INT, end - 3, 4, 0, NULL }), WARD_EINVAL);
    cr_expect_eq(check_row((ward_field){ "far", WARD_INT, UINT32_MAX, 4, 0, NULL }), WARD_EINVAL);
    cr_expect_eq(
        check_row((ward_field){ "in", WARD_LIST, end - 8, sizeof(struct point), 0, &POINT }),
        WARD_OK);
    cr_expect_eq(
        check_row((ward_field){ "out", WARD_LIST, end - 7, sizeof(struct point), 0, &POINT }),
        WARD_EINVAL);
    cr_expect_eq(
        check_row((ward_field){ "count", WARD_LIST, 0, sizeof(struct point), end - 7, &POINT }),
        WARD_EINVAL);
    cr_expect_eq(check_row((ward_field){ NULL, WARD_INT, 0, 4, 0, NULL }), WARD_EINVAL);
}

Test(type, refuses_nested_types_that_do_not_fit)
{
    ward_type bad = POINT;

    cr_expect_eq(check_row((ward_field){ "of", WARD_STRUCT, 0, 16, 0, NULL }), WARD_EINVAL);
    cr_expect_eq(check_row((ward_field){ "of", WARD_LIST, 0, 16, 0, NULL }), WARD_EINVAL);
    cr_expect_eq(check_row((ward_field){ "of", WARD_STRUCT, 0, 8, 0, &POINT }), WARD_EINVAL);
    cr_expect_eq(check_row((ward_field){ "of", WARD_STRUCT, 0, 8, 0, &TEXT }), WARD_EINVAL);
    cr_expect_eq(check_row((ward_field){ "of", WARD_LIST, 0, 8, 0, &TEXT }), WARD_OK);
    cr_expect_eq(check_row((ward_field){ "of", WARD_LIST, 0, 8, 0, &BLOB }), WARD_OK);
    cr_expect_eq(check_row((ward_field){ "of", WARD_LIST, 0, 0, 0, &EMPTY }), WARD_EINVAL);
    bad.name = NULL;
    cr_expect_eq(check_row((ward_field){ "of", WARD_LIST, 0, 16, 0, &bad }), WARD_EINVAL);
}

Test(type, nests_to_eight_and_not_to_nine)
{
    struct chain_types chain;
    ward_type recursive = WARD_TYPE_PLAIN("recursive", struct chain);
    ward_field list = WARD_FIELD_LIST(struct chain, next, next_count, SHEET);

    cr_expect_eq(ward__type_check(chain_type(&chain, 8)), WARD_OK);
    cr_expect_eq(ward__type_check(chain_type(&chain, 9)), WARD_EINVAL);
    list.of = &recursive;
    recursive.fields = &list;
    recursive.fields_count = 1;
    cr_expect_eq(ward__type_check(&recursive), WARD_EINVAL);
}

Test(type, is_the_same_by_what_it_says_and_not_by_where_it_is)
{
    ward_field rows[2] = { POINT_FIELDS[0], POINT_FIELDS[1] };
    char name[] = "point";
    ward_type twin = WARD_TYPE(name, struct point, rows);
    ward_field nested = WARD_FIELD_LIST(struct all, points, points_count, POINT);
    ward_field nested_twin = nested;
    ward_type a = WARD_TYPE_PLAIN("a", struct all), b = a;

    cr_expect(ward__type_same(&POINT, &POINT));
    cr_expect(ward__type_same(&POINT, &twin));
    nested_twin.of = &twin;
    a.fields = &nested, a.fields_count = 1;
    b.fields = &nested_twin, b.fields_count = 1;
    cr_expect(ward__type_same(&a, &b));
    rows[1].name = "z";
    cr_expect_not(ward__type_same(&a, &b));
    cr_expect_not(ward__type_same(&POINT, &twin));
}

Test(type, differs_in_every_single_thing)
{
    ward_field rows[2] = { POINT_FIELDS[0], POINT_FIELDS[1] };
    ward_type twin = WARD_TYPE("point", struct point, rows);

    ward_type blob = BLOB;
    ward_field list = WARD_FIELD_LIST(struct all, points, points_count, POINT);
    ward_field list_twin = list;
    ward_type lists = WARD_TYPE_PLAIN("lists", struct all), lists_twin = lists;

    blob.name = TEXT.name;
    cr_expect_not(ward__type_same(&TEXT, &blob), "form");
    lists.fields = &list;
    lists.fields_count = lists_twin.fields_count = 1;
    lists_twin.fields = &list_twin;
    cr_expect(ward__type_same(&lists, &lists_twin));
    list_twin.count_offset--;
    cr_expect_not(ward__type_same(&lists, &lists_twin), "where the count is");
    cr_expect_not(ward__type_same(&POINT, NULL));
    cr_expect_not(ward__type_same(NULL, &POINT));
    twin.name = "spot";
    cr_expect_not(ward__type_same(&POINT, &twin), "name");
    twin.name = POINT.name;
    twin.bytes++;
    cr_expect_not(ward__type_same(&POINT, &twin), "bytes");
    twin.bytes--;
    twin.fields_count--;
    cr_expect_not(ward__type_same(&POINT, &twin), "count");
    twin.fields_count++;
    rows[1].offset--;
    cr_expect_not(ward__type_same(&POINT, &twin), "offset");
    rows[1].offset++;
    rows[1].bytes = 4;
    cr_expect_not(ward__type_same(&POINT, &twin), "width");
    rows[1].bytes = 8;
    rows[1].kind = WARD_INT;
    cr_expect_not(ward__type_same(&POINT, &twin), "kind");
    rows[1].kind = WARD_REAL;
    cr_expect(ward__type_same(&POINT, &twin));
}

Test(type, knows_whether_it_can_hold_blobs)
{
    cr_expect(ward__type_has_blobs(&ALL));
    cr_expect(ward__type_has_blobs(&SHEET));
    cr_expect(ward__type_has_blobs(&BLOB));
    cr_expect_not(ward__type_has_blobs(&NUMBERS));
    cr_expect_not(ward__type_has_blobs(&TEXT));
    cr_expect_not(ward__type_has_blobs(&EMPTY));
    cr_expect_not(ward__type_has_blobs(&PLAIN));
}

/* -- values ------------------------------------------------------------------------------------ */

static bool inside(const void *block, size_t bytes, const void *at)
{
    return (const char *)at >= (const char *)block &&
           (const char *)at <= (const char *)block + bytes;
}

Test(value, copies_every_kind_of_member)
{
    size_t bytes;
    const struct all *all = copied(&ALL, &sample.all, &bytes);
    const struct sheet *sheet = all->sheets;

    memset(sample.text, '!', sizeof sample.text);
    memset(sample.lines, 0xff, sizeof sample.lines);
    memset(sample.sheets, 0xff, sizeof sample.sheets);
    memset(sample.notes, 0xff, sizeof sample.notes);
    memset(sample.scans, 0xff, sizeof sample.scans);

    cr_expect_eq(all->numbers.i64, INT64_MIN);
    cr_expect_eq(all->numbers.ref.life, UINT64_MAX);
    cr_expect_str_eq(all->text, "a text");
    cr_expect_eq(all->bytes.count, 3);
    cr_expect_arr_eq(all->bytes.at, "\0\1\2", 3);
    cr_expect_eq(all->blob, one);
    cr_expect_eq(all->points_count, 3);
    cr_expect_arr_eq(all->points, sample.points, sizeof sample.points);
    cr_expect_eq(all->sheets_count, 2);
    cr_expect_eq(sheet->lines_count, 2);
    cr_expect_str_eq(sheet->lines[0].code, "8867-4");
    cr_expect_eq(sheet->lines[0].scan, one);
    cr_expect_eq(sheet->lines[0].weight, 200);
    cr_expect_eq(sheet->notes_count, 3);
    cr_expect_str_eq(sheet->notes[0], "first");
    cr_expect_str_eq(sheet->notes[2], "");
    cr_expect_eq(all->scans[0], two);
    cr_expect_eq(all->scans[2], one);
    cr_expect(inside(all, bytes, all->text) && inside(all, bytes, all->bytes.at));
    cr_expect(inside(all, bytes, sheet->lines) && inside(all, bytes, sheet->lines[0].code));
    cr_expect(inside(all, bytes, sheet->notes) && inside(all, bytes, sheet->notes[2]));
    cr_expect(inside(all, bytes, all->scans) && inside(all, bytes, all->points));
    dropped(&ALL, (void *)all);
}

Test(value, keeps_null_and_nothing_else_null)
{
    size_t bytes;
    const struct all nothing = { .text = NULL };
    const struct all *all = copied(&ALL, &nothing, &bytes);
    const struct all *full = copied(&ALL, &sample.all, &(size_t){ 0 });

    cr_expect_eq(bytes, sizeof nothing);
    cr_expect(!all->text && !all->bytes.at && !all->blob && !all->points && !all->scans);
    cr_expect_null(full->sheets[0].notes[1]);
    cr_expect_null(full->sheets[0].lines[1].code);
    cr_expect_null(full->sheets[0].lines[1].scan);
    cr_expect_null(full->scans[1]);
    cr_expect_null(full->sheets[1].lines);
    cr_expect_not_null(full->sheets[1].notes, "an empty list is not NULL");
    dropped(&ALL, (void *)all);
    dropped(&ALL, (void *)full);
}

Test(value, aligns_what_lies_in_the_block)
{
    char text[9] = "";

    for (size_t length = 0; length < 9; length++) {
        const struct all *all;

        memset(text, 'x', length);
        text[length < 8 ? length : 8] = 0;
        sample.all.text = text;
        all = copied(&ALL, &sample.all, &(size_t){ 0 });
        cr_expect_eq((uintptr_t)all->points % _Alignof(struct point), 0);
        cr_expect_eq((uintptr_t)all->sheets % _Alignof(struct sheet), 0);
        cr_expect_eq((uintptr_t)all->sheets[0].notes % _Alignof(char *), 0);
        dropped(&ALL, (void *)all);
    }
}

struct wide {
    long double odd;
};

Test(value, aligns_elements_of_sixteen_bytes)
{
    static const struct wide wide[1] = { { 1.0L } };
    static const ward_type of = WARD_TYPE_PLAIN("wide", struct wide);
    struct text_and_list {
        const char *text;
        const struct wide *list;
        size_t count;
    } value = { NULL, wide, 1 };
    ward_field rows[] = {
        WARD_FIELD(struct text_and_list, TEXT, text),
        WARD_FIELD_LIST(struct text_and_list, list, count, of),
    };
    ward_type type = WARD_TYPE("wide list", struct text_and_list, rows);
    static const char text[] = "0123456789abcdef";

    for (int skip = 0; skip < 16; skip++) {
        const struct text_and_list *copy;

        value.text = text + skip;
        copy = copied(&type, &value, &(size_t){ 0 });
        cr_expect_eq((uintptr_t)copy->list % _Alignof(struct wide), 0);
        cr_expect(copy->list[0].odd >= 1.0L);
        dropped(&type, (void *)copy);
    }
}

struct inner {
    const char *text;
    ward_bytes bytes;
    const ward_blob *blob;
    struct point point;
    struct chain chain;
};

struct outer {
    const struct inner *list;
    size_t count;
};

/* A list of structs in which only one member, of whatever kind, leads out of the struct. */
static void expect_deep_copy(ward_field only, const struct inner *element)
{
    ward_type of = WARD_TYPE_PLAIN("inner", struct inner);
    ward_field list = WARD_FIELD_LIST(struct outer, list, count, of);
    ward_type type = WARD_TYPE_PLAIN("outer", struct outer);
    struct outer value = { element, 1 };
    size_t flat, bytes;
    bool has_blobs;
    void *block;

    of.fields = &only;
    of.fields_count = 1;
    type.fields = &list;
    type.fields_count = 1;
    flat = sizeof value + sizeof *element;
    block = copied(&type, &value, &bytes);
    cr_assert_eq(ward__value_bytes(&type, &value, SIZE_MAX, &bytes, &has_blobs), WARD_OK);
    cr_expect(bytes > flat || has_blobs, "%s was copied as it stands", only.name);
    dropped(&type, block);
}

Test(value, follows_every_kind_of_pointer_in_a_list)
{
    static const char *const words[] = { "word" };
    struct inner element = { "text", { "bytes", 5 }, one, { 1, 2 }, { NULL, 0, words, 1 } };
    ward_field words_row = WARD_FIELD_LIST(struct chain, words, words_count, WORD);
    ward_type chain = WARD_TYPE_PLAIN("chain", struct chain);

    chain.fields = &words_row;
    chain.fields_count = 1;
    expect_deep_copy((ward_field)WARD_FIELD(struct inner, TEXT, text), &element);
    expect_deep_copy((ward_field)WARD_FIELD(struct inner, BYTES, bytes), &element);
    expect_deep_copy((ward_field)WARD_FIELD(struct inner, BLOB, blob), &element);
    expect_deep_copy((ward_field)WARD_FIELD_STRUCT(struct inner, chain, chain), &element);
}

Test(value, copies_texts_blobs_plain_structs_and_nothing)
{
    struct point point = { 3, 4 };
    size_t bytes;
    void *block = copied(&TEXT, "hello", &bytes);

    cr_expect_eq(bytes, 6);
    cr_expect_str_eq(ward__value_of(&TEXT, block), "hello");
    dropped(&TEXT, block);

    block = copied(&BLOB, one, &bytes);
    cr_expect_eq(bytes, sizeof(void *));
    cr_expect_eq(ward__value_of(&BLOB, block), one);
    dropped(&BLOB, block);

    block = copied(&PLAIN, &point, &bytes);
    cr_expect_eq(bytes, sizeof point);
    cr_expect_eq(((const struct point *)ward__value_of(&PLAIN, block))->y, 4);
    dropped(&PLAIN, block);

    block = copied(&EMPTY, NULL, &bytes);
    cr_expect_eq(bytes, 0);
    cr_expect_null(ward__value_of(&EMPTY, block));
    dropped(&EMPTY, block);
}

/* Every bound below the exact one is refused, the exact one is taken, and nothing is written when
 * it fails. */
static void expect_exact_bound(const ward_type *type, const void *value)
{
    size_t bytes = 0, seen;
    bool has_blobs;

    cr_assert_eq(ward__value_bytes(type, value, SIZE_MAX, &bytes, &has_blobs), WARD_OK);
    for (size_t max = 0; max < bytes; max++) {
        seen = 12345;
        cr_expect_eq(ward__value_bytes(type, value, max, &seen, &has_blobs), WARD_ETOOBIG,
            "%s in %zu of %zu bytes", type->name, max, bytes);
        cr_expect_eq(seen, 12345);
    }
    cr_expect_eq(ward__value_bytes(type, value, bytes, &seen, &has_blobs), WARD_OK);
    cr_expect_eq(seen, bytes);
}

Test(value, is_bounded_to_the_byte)
{
    expect_exact_bound(&ALL, &sample.all);
    expect_exact_bound(&TEXT, "some text");
    expect_exact_bound(&BLOB, one);
    expect_exact_bound(&PLAIN, &sample.points[0]);
    expect_exact_bound(&EMPTY, NULL);
}

static ward_status measured(const ward_type *type, const void *value)
{
    size_t bytes = 77;
    bool has_blobs = false;
    ward_status rc = ward__value_bytes(type, value, SIZE_MAX, &bytes, &has_blobs);

    if (rc) cr_expect(bytes == 77 && !has_blobs, "a failed call wrote something");
    return rc;
}

Test(value, refuses_what_is_missing)
{
    struct chain_types chain;

    cr_expect_eq(measured(&ALL, NULL), WARD_EINVAL);
    cr_expect_eq(measured(&PLAIN, NULL), WARD_EINVAL);
    cr_expect_eq(measured(&BLOB, NULL), WARD_EINVAL);
    cr_expect_eq(measured(&TEXT, NULL), WARD_ENOMEM, "a textf that failed");
    cr_expect_eq(measured(NULL, "x"), WARD_EINVAL);
    cr_expect_eq(measured(chain_type(&chain, 9), &(struct chain){ 0 }), WARD_EINVAL);
    sample.all.points = NULL;
    cr_expect_eq(measured(&ALL, &sample.all), WARD_EINVAL);
    sample.all.points_count = 0;
    cr_expect_eq(measured(&ALL, &sample.all), WARD_OK);
    sample.all.bytes.at = NULL;
    cr_expect_eq(measured(&ALL, &sample.all), WARD_EINVAL);
    sample.all.bytes.count = 0;
    cr_expect_eq(measured(&ALL, &sample.all), WARD_OK);
}

Test(value, does_not_overflow_on_counts_that_cannot_be)
{
    static const size_t counts[] = { SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX / 16 + 1, SIZE_MAX / 16 };

    for (size_t i = 0; i < WARD_COUNT(counts); i++) {
        sample.all.points_count = counts[i];
        cr_expect_eq(measured(&ALL, &sample.all), WARD_ETOOBIG, "%zu points", counts[i]);
    }
    sample.all.points_count = 3;
    sample.all.bytes.count = SIZE_MAX;
    cr_expect_eq(measured(&ALL, &sample.all), WARD_ETOOBIG);
}

Test(value, nests_eight_structs)
{
    struct chain_types types;
    struct chain at[CHAIN_MAX];
    const ward_type *type = chain_type(&types, 8);
    const struct chain *copy = copied(type, chain_value(at, 8), &(size_t){ 0 }), *last = copy;

    memset(at, 0xff, sizeof at);
    for (int i = 0; i < 7; i++)
        last = last->next;
    cr_expect_str_eq(last->words[0], "deep");
    cr_expect_null(last->words[1]);
    dropped(type, (void *)copy);
}

Test(value, holds_its_blobs_itself)
{
    size_t before = ward__load(&heap.bytes);
    struct all *all = copied(&ALL, &sample.all, &(size_t){ 0 });

    ward__blob_drop(one);
    ward__blob_drop(two);
    cr_expect_eq(ward__load(&heap.bytes), before, "the copy holds them");
    cr_expect_arr_eq(ward__blob_bytes(all->blob).at, "first blob", 10);
    cr_expect_eq(ward__value_blob_bytes(&ALL, all), 10 + 10 + 1 + 10);
    ward__value_drop(&ALL, all);
    cr_expect_eq(ward__load(&heap.bytes), 0);
    free(all);
    one = two = NULL;
}

Test(value, says_whether_there_are_blobs_in_it)
{
    struct all nothing = { .text = "none" };
    size_t bytes;
    bool has_blobs;

    cr_assert_eq(ward__value_bytes(&ALL, &nothing, SIZE_MAX, &bytes, &has_blobs), WARD_OK);
    cr_expect_not(has_blobs);
    cr_assert_eq(ward__value_bytes(&ALL, &sample.all, SIZE_MAX, &bytes, &has_blobs), WARD_OK);
    cr_expect(has_blobs);
    nothing.scans = &(const ward_blob *){ one };
    nothing.scans_count = 1;
    cr_assert_eq(ward__value_bytes(&ALL, &nothing, SIZE_MAX, &bytes, &has_blobs), WARD_OK);
    cr_expect(has_blobs);
}
