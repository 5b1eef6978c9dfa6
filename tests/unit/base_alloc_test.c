/* SPDX-License-Identifier: MIT */
/*
 * base_alloc_test.c - counted allocation: what is in use is counted, the budget holds, a failure
 * changes nothing, and the k-th allocation can be made to fail.
 */
#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET = 1000 };

static struct ward__heap heap;

static void fresh_heap(void)
{
    ward__heap_init(&heap, NULL, NULL, BUDGET);
}

TestSuite(alloc, .init = fresh_heap);

Test(alloc, counts_what_is_in_use)
{
    void *a = ward__alloc(&heap, 100), *b = ward__alloc(&heap, 50);

    cr_assert(a && b);
    cr_expect_eq(ward__load(&heap.bytes), 150);
    ward__free(&heap, a, 100);
    cr_expect_eq(ward__load(&heap.bytes), 50);
    ward__free(&heap, b, 50);
    cr_expect_eq(ward__load(&heap.bytes), 0);
}

Test(alloc, refuses_what_is_over_the_budget_and_counts_nothing_of_it)
{
    void *most = ward__alloc(&heap, BUDGET);

    cr_assert(most);
    cr_expect_null(ward__alloc(&heap, 1));
    cr_expect_not(ward__heap_reserve(&heap, 1));
    cr_expect_eq(ward__load(&heap.bytes), BUDGET);
    ward__free(&heap, most, BUDGET);
    cr_expect_null(ward__alloc(&heap, BUDGET + 1));
    cr_expect_null(ward__alloc(&heap, SIZE_MAX));
    cr_expect_eq(ward__load(&heap.bytes), 0);
}

Test(alloc, zeroes_on_demand)
{
    char *at = ward__alloc_zero(&heap, 64), zeroes[64] = { 0 };

    cr_assert(at);
    cr_expect_arr_eq(at, zeroes, 64);
    ward__free(&heap, at, 64);
}

Test(alloc, grows_and_shrinks_with_its_count)
{
    char *at = ward__alloc(&heap, 10);

    strcpy(at, "ward");
    at = ward__realloc(&heap, at, 10, 500);
    cr_assert(at);
    cr_expect_str_eq(at, "ward");
    cr_expect_eq(ward__load(&heap.bytes), 500);
    at = ward__realloc(&heap, at, 500, 20);
    cr_expect_str_eq(at, "ward");
    cr_expect_eq(ward__load(&heap.bytes), 20);
    ward__free(&heap, at, 20);
}

Test(alloc, leaves_the_old_block_when_it_cannot_grow)
{
    char *at = ward__alloc(&heap, 10);

    strcpy(at, "ward");
    cr_expect_null(ward__realloc(&heap, at, 10, BUDGET + 1));
    cr_expect_str_eq(at, "ward");
    cr_expect_eq(ward__load(&heap.bytes), 10);
    ward__free(&heap, at, 10);
}

Test(alloc, counts_what_is_reserved_elsewhere)
{
    cr_assert(ward__heap_reserve(&heap, BUDGET));
    cr_expect_null(ward__alloc(&heap, 1));
    ward__heap_release(&heap, BUDGET);
    cr_expect_eq(ward__load(&heap.bytes), 0);
}

Test(alloc, frees_nothing_for_null)
{
    ward__free(&heap, NULL, 100);
    cr_expect_eq(ward__load(&heap.bytes), 0);
}

Test(alloc, fails_from_the_kth_on_until_told_otherwise)
{
    void *at[2];

    ward__store(&heap.fail_in, 2);
    for (int i = 0; i < 2; i++)
        cr_assert(at[i] = ward__alloc(&heap, 8));
    for (int i = 0; i < 3; i++)
        cr_expect_null(ward__alloc(&heap, 8));
    cr_expect_not(ward__heap_reserve(&heap, 8));
    cr_expect_null(ward__realloc(&heap, at[0], 8, 16));
    ward__store(&heap.fail_in, -1);
    cr_expect_eq(ward__load(&heap.bytes), 16);
    for (int i = 0; i < 2; i++)
        ward__free(&heap, at[i], 8);
}

/* -- the user's allocator ---------------------------------------------------------------------- */

struct hook {
    size_t bytes;
    bool refuses;
};

static void *hooked(void *arg, void *old, size_t old_bytes, size_t bytes)
{
    struct hook *hook = arg;

    if (bytes && hook->refuses) return NULL;
    hook->bytes += bytes - old_bytes;
    if (bytes) return realloc(old, bytes);
    free(old);
    return NULL;
}

Test(alloc, goes_through_the_hook_with_the_sizes)
{
    struct hook hook = { 0 };
    void *at;

    ward__heap_init(&heap, hooked, &hook, BUDGET);
    at = ward__alloc(&heap, 10);
    at = ward__realloc(&heap, at, 10, 30);
    cr_expect_eq(hook.bytes, 30);
    hook.refuses = true;
    cr_expect_null(ward__realloc(&heap, at, 30, 40));
    cr_expect_null(ward__alloc(&heap, 5));
    cr_expect_eq(ward__load(&heap.bytes), 30);
    ward__free(&heap, at, 30);
    cr_expect_eq(hook.bytes, 0);
}
