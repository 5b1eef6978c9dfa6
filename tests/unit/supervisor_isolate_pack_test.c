/* SPDX-License-Identifier: MIT */
/*
 * supervisor_isolate_pack_test.c - values to bytes for another process, and back: everything there
 * is in a value comes out the same; bytes of a stranger are refused or make a proper value, and
 * leave nothing in the heap.
 */
#include "supervisor/isolate_pack.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "mailbox/value.h"
#include "tests/support/values.h"

enum { VALUE_MAX = 1 << 16, BLOB_MAX = 1 << 12, FLIPS = 20000 };

static struct ward__heap heap;
static struct ward__pool pool;

static void open_pool(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    cr_assert(ward__pool_open(&pool, &heap, 4 * WARD__MAGAZINE + 1, VALUE_MAX));
}

static void close_pool(void)
{
    ward__pool_close(&pool);
    ward__assert(ward__load(&heap.bytes) == 0);
}

TestSuite(isolate_pack, .init = open_pool, .fini = close_pool);

static unsigned char *packed(const ward_type *type, const void *value, size_t *bytes)
{
    unsigned char *out;

    *bytes = ward__packed_bytes(type, value);
    out = malloc(*bytes + 1);
    ward__pack(type, value, out, *bytes);
    return out;
}

/* The record, or NULL when the bytes were refused. */
static struct ward_msg *unpacked(const ward_type *type, const void *at, size_t count)
{
    struct ward__packed from = { .type = type, .at = at, .count = count, .blob_max = BLOB_MAX };
    uint32_t index = ward__mail_get(&pool, NULL);
    struct ward_msg *mail = ward__mail(&pool, index);

    cr_assert(index);
    if (!ward__unpack(&pool, mail, false, &from)) return mail;
    ward__mail_put(&pool, NULL, index);
    return NULL;
}

static void drop(struct ward_msg *mail)
{
    ward__mail_empty(&heap, mail);
    ward__mail_put(&pool, NULL, ward__mail_index(&pool, mail));
}

/* Equal values have equal bytes: there and back, and there again. */
static void there_and_back(const ward_type *type, const void *value)
{
    size_t bytes, again_bytes;
    unsigned char *once = packed(type, value, &bytes), *again;
    struct ward_msg *mail = unpacked(type, once, bytes);

    cr_assert(mail);
    again = packed(type, ward__value_of(type, ward__mail_block(mail)), &again_bytes);
    cr_expect(bytes == again_bytes && memcmp(once, again, bytes) == 0);
    drop(mail);
    free(once);
    free(again);
}

static ward_blob *blob(const char *text)
{
    ward_blob *made;

    cr_assert_eq(ward__blob_new(&heap, &made, (ward_bytes){ text, strlen(text) }), WARD_OK);
    return made;
}

Test(isolate_pack, keeps_everything_that_is_in_a_value)
{
    ward_blob *one = blob("one"), *two = blob("");
    struct sample sample;

    sample_fill(&sample, one, two);
    there_and_back(&ALL, &sample.all);
    there_and_back(&TEXT, "");
    there_and_back(&TEXT, "a text that does not fit into a record, so that it lies beside it");
    there_and_back(&BLOB, one);
    there_and_back(&BLOB, two);
    there_and_back(&EMPTY, NULL);
    there_and_back(&ALL, &(struct all){ 0 });
    ward__blob_drop(one);
    ward__blob_drop(two);
}

Test(isolate_pack, is_read_by_its_rows)
{
    struct numbers out, in = { .i8 = -1, .u64 = UINT64_MAX, .f64 = 0.1, .yes = true };
    size_t bytes;
    unsigned char *once = packed(&NUMBERS, &in, &bytes);
    struct ward_msg *mail = unpacked(&NUMBERS, once, bytes);

    cr_assert(mail);
    memcpy(&out, ward__mail_block(mail), sizeof out);
    cr_expect(out.i8 == -1 && out.u64 == UINT64_MAX && out.f64 == 0.1 && out.yes);
    drop(mail);
    free(once);
}

Test(isolate_pack, refuses_what_is_cut_off_or_too_long)
{
    ward_blob *one = blob("one"), *two = blob("two");
    struct sample sample;
    unsigned char *once;
    size_t bytes;

    sample_fill(&sample, one, two);
    once = packed(&ALL, &sample.all, &bytes);
    for (size_t count = 0; count < bytes; count++)
        cr_expect_null(unpacked(&ALL, once, count));
    once[bytes] = 0;
    cr_expect_null(unpacked(&ALL, once, bytes + 1));
    free(once);
    ward__blob_drop(one);
    ward__blob_drop(two);
}

Test(isolate_pack, refuses_counts_that_lie)
{
    uint64_t counts[] = { 6, 1u << 20, UINT64_MAX - 1, UINT64_MAX / 8 };

    for (size_t i = 0; i < WARD_COUNT(counts); i++) {
        unsigned char bytes[13];
        memcpy(bytes, &counts[i], 8);
        memset(bytes + 8, 'x', 5);
        cr_expect_null(unpacked(&TEXT, bytes, sizeof bytes));
        cr_expect_null(unpacked(&BLOB, bytes, sizeof bytes));
        cr_expect_null(unpacked(&SHEET, bytes, sizeof bytes));
    }
    cr_expect_null(unpacked(&TEXT, "\377\377\377\377\377\377\377\377", 8), "no text at all");
}

Test(isolate_pack, refuses_a_nul_in_a_text_and_a_bool_that_is_neither)
{
    struct numbers in = { .yes = true };
    size_t bytes;
    unsigned char *once = packed(&NUMBERS, &in, &bytes);

    cr_expect_null(unpacked(&TEXT, "\3\0\0\0\0\0\0\0a\0b", 11));
    once[bytes - sizeof(ward_ref) - 1] = 2; /* the row before the last */
    cr_expect_null(unpacked(&NUMBERS, once, bytes));
    free(once);
}

Test(isolate_pack, knows_its_limits)
{
    size_t bytes;
    char *text = malloc(VALUE_MAX + 1);
    unsigned char *once;

    memset(text, 'a', VALUE_MAX);
    text[VALUE_MAX] = 0;
    once = packed(&TEXT, text, &bytes);
    cr_expect_null(unpacked(&TEXT, once, bytes), "over message_bytes_max");
    free(once);
    text[BLOB_MAX + 1] = 0;
    ward_blob *large = blob(text);
    once = packed(&BLOB, large, &bytes);
    cr_expect_null(unpacked(&BLOB, once, bytes), "over blob_bytes_max");
    free(once);
    ward__blob_drop(large);
    free(text);
}

/* Anything at all: refused, or a value that can be packed. The heap says whether all was freed. */
Test(isolate_pack, takes_no_harm_from_bytes_that_were_changed)
{
    ward_blob *one = blob("one"), *two = blob("two");
    uint64_t chance = 88172645463325252u;
    struct sample sample;
    unsigned char *once, *changed;
    size_t bytes, taken = 0;

    sample_fill(&sample, one, two);
    once = packed(&ALL, &sample.all, &bytes);
    changed = malloc(bytes);
    for (int i = 0; i < FLIPS; i++) {
        struct ward_msg *mail;
        memcpy(changed, once, bytes);
        for (int k = 0; k <= i % 3; k++) {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            changed[chance % bytes] = (unsigned char)(chance >> 32);
        }
        mail = unpacked(&ALL, changed, bytes);
        if (!mail) continue;
        taken++;
        size_t again = ward__packed_bytes(&ALL, ward__mail_block(mail));
        cr_expect_eq(again, bytes);
        drop(mail);
    }
    cr_expect(taken > 0 && taken < FLIPS);
    free(changed);
    free(once);
    ward__blob_drop(one);
    ward__blob_drop(two);
}

Test(isolate_pack, knows_which_types_can_leave_the_process)
{
    static const ward_type *const types[] = { &ALL, &TEXT };
    static const ward_type same = WARD_TYPE_TEXT("text");
    static const ward_table table = { .types = types, .types_count = WARD_COUNT(types) };

    cr_expect(ward__pack_possible(&ALL) && ward__pack_possible(&TEXT));
    cr_expect(!ward__pack_possible(&PLAIN), "what its bytes are nobody knows");
    cr_expect_eq(ward__pack_place(&table, &ALL), 1);
    cr_expect_eq(ward__pack_place(&table, &same), 2);
    cr_expect_eq(ward__pack_place(&table, &BLOB), 0);
    cr_expect_eq(ward__pack_place(NULL, &ALL), 0);
}
