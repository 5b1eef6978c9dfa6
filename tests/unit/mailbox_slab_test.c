/* SPDX-License-Identifier: MIT */
/*
 * mailbox_slab_test.c - blocks of slabs: apart from each other, aligned, and gone when all are.
 */
#include "mailbox/slab.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ward__heap heap;
static struct ward__slabs slabs;

static void with_heap(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    slabs = (struct ward__slabs){ .heap = &heap };
}

static void nothing_left(void)
{
    cr_expect_eq(ward__load(&heap.bytes), 0);
}

TestSuite(slab, .init = with_heap, .fini = nothing_left);

Test(slab, blocks_are_apart_and_aligned)
{
    enum { COUNT = 400 };
    unsigned char *blocks[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = 1 + i * 7 % WARD__SLAB_BLOCK_MAX;
        blocks[i] = ward__slab_take(&slabs, bytes);
        cr_assert(blocks[i] && (uintptr_t)blocks[i] % 16 == 0);
        memset(blocks[i], (int)(i & 0xff), bytes);
    }
    for (size_t i = 0; i < COUNT; i++) {
        size_t bytes = 1 + i * 7 % WARD__SLAB_BLOCK_MAX;
        for (size_t at = 0; at < bytes; at++)
            cr_assert_eq(blocks[i][at], i & 0xff);
    }
    for (size_t i = 0; i < COUNT; i += 2)
        ward__slab_give(&heap, blocks[i]);
    ward__slabs_leave(&slabs);
    for (size_t i = 1; i < COUNT; i += 2)
        ward__slab_give(&heap, blocks[i]);
}

Test(slab, is_freed_by_the_last_one_out)
{
    void *first = ward__slab_take(&slabs, 16), *second = ward__slab_take(&slabs, 16);
    size_t bytes = ward__load(&heap.bytes);

    cr_expect_gt(bytes, 0);
    ward__slab_give(&heap, first);
    ward__slab_give(&heap, second); /* the maker is still there */
    cr_expect_eq(ward__load(&heap.bytes), bytes);
    first = ward__slab_take(&slabs, 16);
    ward__slabs_leave(&slabs);
    cr_expect_eq(ward__load(&heap.bytes), bytes);
    ward__slab_give(&heap, first);
    cr_expect_eq(ward__load(&heap.bytes), 0);
}

Test(slab, takes_nothing_when_there_is_no_memory)
{
    void *block;

    ward__store(&heap.fail_in, 0);
    cr_expect_null(ward__slab_take(&slabs, 16));
    ward__store(&heap.fail_in, -1);
    block = ward__slab_take(&slabs, 16);
    cr_assert(block);
    ward__slab_give(&heap, block);
    ward__slabs_leave(&slabs);
}
