/* SPDX-License-Identifier: MIT */
/*
 * mailbox_mail_test.c - message records: from the pool and back, with and without magazines; values
 * inside and beside; what is freed, and when.
 */
#include "mailbox/mail.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "mailbox/mailbox.h"

enum { RECORDS = 4 * WARD__MAGAZINE, VALUE_MAX = 200 };

static const ward_type TEXT = WARD_TYPE_TEXT("text");
static const ward_type SCAN = WARD_TYPE_BLOB("scan");

static struct ward__heap heap;
static struct ward__pool pool;
static struct ward__magazines magazines;

static void open_pool(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    memset(&magazines, 0, sizeof magazines);
    /* Index 0 is nobody, and records are carved 64 at a time. */
    cr_assert(ward__pool_open(&pool, &heap, RECORDS + 1, VALUE_MAX));
}

/* Criterion passes over an assertion that fails in here, but not over an abort. */
static void close_pool(void)
{
    ward__magazines_flush(&pool, &magazines);
    ward__pool_close(&pool);
    ward__assert(ward__load(&heap.bytes) == 0);
}

TestSuite(mail, .init = open_pool, .fini = close_pool);

static struct ward_msg *filled(const char *text, bool asks)
{
    uint32_t index = ward__mail_get(&pool, &magazines);
    struct ward_msg *mail = ward__mail(&pool, index);

    cr_assert(index);
    cr_assert_eq(ward__mail_fill(&pool, mail, asks, &TEXT, text), WARD_OK);
    return mail;
}

static void put(struct ward_msg *mail)
{
    ward__mail_empty(&heap, mail);
    ward__mail_put(&pool, &magazines, ward__mail_index(&pool, mail));
}

/* All there are, each once; then none. Returns how many. */
static uint32_t get_all(uint32_t *all, struct ward__magazines *mag)
{
    static bool seen[RECORDS + 2];
    uint32_t count = 0, index;

    memset(seen, 0, sizeof seen);
    while ((index = ward__mail_get(&pool, mag)) != 0) {
        cr_assert_leq(index, RECORDS);
        cr_assert_not(seen[index]);
        seen[index] = true;
        all[count++] = index;
    }
    return count;
}

Test(mail, gives_each_record_once_and_then_none)
{
    uint32_t all[RECORDS];

    cr_assert_eq(get_all(all, &magazines), RECORDS);
    for (int i = 0; i < RECORDS; i++)
        ward__mail_put(&pool, &magazines, all[i]);
    cr_assert_eq(get_all(all, &magazines), RECORDS);
    for (int i = 0; i < RECORDS; i++)
        ward__mail_put(&pool, NULL, all[i]);
    cr_assert_eq(get_all(all, NULL), RECORDS);
    for (int i = 0; i < RECORDS; i++)
        ward__mail_put(&pool, &magazines, all[i]);
}

Test(mail, reaches_another_thread_s_magazines_through_the_pool)
{
    struct ward__magazines other = { 0 };
    uint32_t all[RECORDS];

    cr_assert_eq(get_all(all, &magazines), RECORDS);
    for (int i = 0; i < RECORDS; i++)
        ward__mail_put(&pool, &magazines, all[i]);
    /* Two chains stay where they are; the others were swapped for empty ones. */
    cr_assert_geq(get_all(all, &other), RECORDS - 2 * WARD__MAGAZINE);
    ward__magazines_flush(&pool, &magazines);
    cr_assert_eq(get_all(all, &other), 2 * WARD__MAGAZINE);
}

Test(mail, is_refused_when_the_heap_has_no_room_for_records)
{
    ward__store(&heap.fail_in, 0);
    cr_expect_eq(ward__mail_get(&pool, &magazines), 0);
    ward__store(&heap.fail_in, -1);
    ward__mail_put(&pool, &magazines, ward__mail_get(&pool, &magazines));
}

Test(mail, holds_a_short_value_inside)
{
    struct ward_msg *mail = filled("short", false);

    cr_expect_eq(ward__mail_beside_bytes(mail), 0);
    cr_expect_str_eq(ward__mail_block(mail), "short");
    cr_expect_eq(ward__mail_block(mail), (void *)mail->u.value);
    put(mail);
}

Test(mail, holds_a_long_value_beside_and_frees_it)
{
    size_t before;
    struct ward_msg *mail = filled("", false);
    char text[100];

    put(mail);
    before = ward__load(&heap.bytes);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    mail = filled(text, false);
    cr_expect_eq(ward__mail_beside_bytes(mail), sizeof text);
    cr_expect_str_eq(ward__mail_block(mail), text);
    cr_expect_eq(ward__load(&heap.bytes), before + sizeof text);
    put(mail);
    cr_expect_eq(ward__load(&heap.bytes), before);
}

/* 40 bytes inside; a question keeps 16 of them for its token. */
Test(mail, leaves_room_for_the_token_of_a_question)
{
    const char *of_24 = "23 characters and a NUL",
               *of_40 = "39 characters and a NUL behind them, so";
    struct ward_msg *mail;

    mail = filled(of_24, true);
    cr_expect_eq(ward__mail_beside_bytes(mail), 0);
    cr_expect(ward__mail_bits(mail) & WARD__MAIL_ASK);
    put(mail);
    mail = filled(of_40, true);
    cr_expect_eq(ward__mail_beside_bytes(mail), 40);
    put(mail);
    mail = filled(of_40, false);
    cr_expect_eq(ward__mail_beside_bytes(mail), 0);
    put(mail);
}

Test(mail, refuses_a_value_that_is_too_big_and_keeps_nothing)
{
    uint32_t index = ward__mail_get(&pool, &magazines);
    size_t before = ward__load(&heap.bytes);
    char text[VALUE_MAX + 2];

    memset(text, 'x', sizeof text);
    text[VALUE_MAX + 1] = 0;
    cr_expect_eq(
        ward__mail_fill(&pool, ward__mail(&pool, index), false, &TEXT, text), WARD_ETOOBIG);
    ward__store(&heap.fail_in, 0);
    text[100] = 0;
    cr_expect_eq(ward__mail_fill(&pool, ward__mail(&pool, index), false, &TEXT, text), WARD_ENOMEM);
    ward__store(&heap.fail_in, -1);
    cr_expect_eq(ward__load(&heap.bytes), before);
    ward__mail_put(&pool, &magazines, index);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

Test(mail, drops_the_blobs_of_its_value)
{
    uint32_t index = ward__mail_get(&pool, &magazines);
    ward_blob *blob;
    int released = 0;

    cr_assert_eq(
        ward__blob_wrap(&heap, &blob, (ward_bytes){ "scan", 4 }, count, &released), WARD_OK);
    cr_assert_eq(ward__mail_fill(&pool, ward__mail(&pool, index), false, &SCAN, blob), WARD_OK);
    ward__blob_drop(blob);
    cr_expect_eq(released, 0);
    put(ward__mail(&pool, index));
    cr_expect_eq(released, 1);
}

Test(mail, is_freed_by_the_last_of_its_two_holders)
{
    uint32_t all[RECORDS], first = ward__mail_get(&pool, &magazines);
    struct ward_msg *mail = ward__mail(&pool, first);
    const uint32_t shared[] = { 0, WARD__MAIL_SHARED };

    for (int i = 0; i < 2; i++) {
        ward__store(&mail->bits, WARD__MAIL_BOXED | WARD__MAIL_READ | shared[i]);
        ward__mail_release(&pool, &magazines, mail, WARD__MAIL_BOXED);
        cr_expect_eq(ward__mail_bits(mail), WARD__MAIL_READ | shared[i]);
        ward__mail_set(mail, WARD__MAIL_KEPT, 0);
        ward__mail_set(mail, 0, WARD__MAIL_KEPT);
        ward__mail_release(&pool, &magazines, mail, WARD__MAIL_READ);
        cr_expect_eq(ward__mail_get(&pool, &magazines), first);
    }
    ward__mail_put(&pool, &magazines, first);
    cr_expect_eq(get_all(all, &magazines), RECORDS);
}

Test(mail, of_a_signal_is_not_the_pool_s)
{
    static struct ward_msg mail = { .bits = WARD__MAIL_SIGNAL | WARD__MAIL_READ };
    uint32_t all[RECORDS];

    ward__mail_release(&pool, &magazines, &mail, WARD__MAIL_READ);
    cr_expect_eq(get_all(all, &magazines), RECORDS);
}
