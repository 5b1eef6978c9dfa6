/* SPDX-License-Identifier: MIT */
/*
 * mailbox_blob_test.c - shared bytes are copied or wrapped, counted in the budget, given back once
 * and only by the last who drops them. Threads race for the last drop in tests/race/blob.c.
 */
#include "mailbox/blob.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/assert.h"

static struct ward__heap heap;
static int released;

static void fresh_heap(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    released = 0;
}

/* Criterion passes over an assertion that fails in here, but not over an abort. */
static void nothing_left(void)
{
    ward__assert(ward__load(&heap.bytes) == 0);
}

static void release(void *arg)
{
    (*(int *)arg)++;
}

TestSuite(blob, .init = fresh_heap, .fini = nothing_left);

Test(blob, copies_its_bytes)
{
    char text[] = "twelve bytes";
    ward_blob *blob;

    cr_assert_eq(ward__blob_new(&heap, &blob, (ward_bytes){ text, sizeof text }), WARD_OK);
    memset(text, 0, sizeof text);
    cr_expect_eq(ward__blob_bytes(blob).count, sizeof text);
    cr_expect_str_eq(ward__blob_bytes(blob).at, "twelve bytes");
    cr_expect_eq(ward_blob_bytes(blob).at, ward__blob_bytes(blob).at);
    cr_expect_eq((uintptr_t)ward__blob_bytes(blob).at % 16, 0);
    cr_expect_geq(ward__load(&heap.bytes), sizeof text);
    ward__blob_drop(blob);
}

Test(blob, can_be_empty)
{
    ward_blob *blob, *wrapped;

    cr_assert_eq(ward__blob_new(&heap, &blob, (ward_bytes){ NULL, 0 }), WARD_OK);
    cr_expect_eq(ward__blob_bytes(blob).count, 0);
    cr_assert_eq(
        ward__blob_wrap(&heap, &wrapped, (ward_bytes){ NULL, 0 }, release, &released), WARD_OK);
    ward__blob_drop(blob);
    ward__blob_drop(wrapped);
    cr_expect_eq(released, 1);
    cr_expect_eq(ward__blob_bytes(NULL).count, 0);
    ward__blob_drop(NULL);
}

Test(blob, is_given_back_by_the_last_who_drops_it)
{
    static const char bytes[1000];
    ward_blob *blob;

    cr_assert_eq(
        ward__blob_wrap(&heap, &blob, (ward_bytes){ bytes, 1000 }, release, &released), WARD_OK);
    cr_expect_eq(ward__blob_bytes(blob).at, bytes, "wrapped, not copied");
    cr_expect_geq(ward__load(&heap.bytes), 1000, "the budget pays for it");
    cr_expect_eq(ward__blob_hold(blob), blob);
    ward__blob_hold(blob);
    ward__blob_drop(blob);
    ward__blob_drop(blob);
    cr_expect_eq(released, 0);
    ward__blob_drop(blob);
    cr_expect_eq(released, 1);
}

Test(blob, needs_nobody_to_give_it_back_to)
{
    ward_blob *blob;

    cr_assert_eq(ward__blob_wrap(&heap, &blob, (ward_bytes){ "static", 6 }, NULL, NULL), WARD_OK);
    ward__blob_drop(blob);
}

Test(blob, refuses_bytes_that_are_not_there)
{
    ward_blob *blob = NULL;

    cr_expect_eq(ward__blob_new(&heap, &blob, (ward_bytes){ NULL, 1 }), WARD_EINVAL);
    cr_expect_eq(
        ward__blob_wrap(&heap, &blob, (ward_bytes){ NULL, 1 }, release, &released), WARD_EINVAL);
    cr_expect_null(blob);
    cr_expect_eq(released, 0);
}

Test(blob, stays_within_the_budget)
{
    static const char bytes[4096];
    ward_blob *blob = NULL;

    heap.bytes_max = 4096;
    cr_expect_eq(ward__blob_new(&heap, &blob, (ward_bytes){ bytes, 4096 }), WARD_ENOMEM);
    cr_expect_eq(ward__blob_wrap(&heap, &blob, (ward_bytes){ bytes, 4096 }, release, &released),
        WARD_ENOMEM);
    cr_expect_eq(ward__blob_new(&heap, &blob, (ward_bytes){ bytes, SIZE_MAX }), WARD_ENOMEM);
    cr_expect_eq(ward__blob_new(&heap, &blob, (ward_bytes){ bytes, SIZE_MAX - 70 }), WARD_ENOMEM);
    cr_expect_eq(ward__blob_wrap(&heap, &blob, (ward_bytes){ bytes, SIZE_MAX }, release, &released),
        WARD_ENOMEM);
    cr_expect_null(blob);
    cr_expect_eq(released, 0, "what was not taken over is not given back");
    cr_expect_eq(ward__load(&heap.bytes), 0);
}

Test(blob, fails_at_every_allocation_without_a_trace)
{
    ward_blob *blob = NULL;
    int64_t n = 0;
    ward_status rc;

    do {
        ward__store(&heap.fail_in, n++);
        rc = ward__blob_wrap(&heap, &blob, (ward_bytes){ "x", 1 }, release, &released);
        if (rc) cr_expect_eq(ward__load(&heap.bytes), 0, "after failing the %d-th", (int)n);
    } while (rc == WARD_ENOMEM && n < 10);
    cr_expect_eq(rc, WARD_OK);
    cr_expect_eq(n, 3, "two can fail: the budget and the header");
    cr_expect_eq(released, 0);
    ward__store(&heap.fail_in, -1);
    ward__blob_drop(blob);
}
