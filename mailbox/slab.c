/* SPDX-License-Identifier: MIT */
/*
 * slab.c - a slab counts down from MANY while its maker takes from it; when the maker leaves it, it
 * takes off what was never taken. So taking writes nothing that others read.
 */
#include "mailbox/slab.h"

#include "base/assert.h"

enum { SLAB_BYTES = 4096, ALIGN = 16, MANY = 1 << 30 };

struct ward__slab {
    _Alignas(ALIGN) _Atomic uint32_t blocks; /* that are not given back, and what MANY is over */
    uint32_t taken, used; /* the maker's */
};

/* In front of each block. */
struct tag {
    _Alignas(ALIGN) struct ward__slab *slab;
};

static void less(struct ward__heap *heap, struct ward__slab *slab, uint32_t count)
{
    if (atomic_fetch_sub_explicit(&slab->blocks, count, memory_order_acq_rel) == count)
        ward__free(heap, slab, SLAB_BYTES);
}

void ward__slabs_leave(struct ward__slabs *slabs)
{
    struct ward__slab *slab = slabs->now;

    slabs->now = NULL;
    if (slab) less(slabs->heap, slab, MANY - slab->taken);
}

static struct ward__slab *next_slab(struct ward__slabs *slabs)
{
    struct ward__slab *slab;

    ward__slabs_leave(slabs);
    slab = ward__alloc(slabs->heap, SLAB_BYTES);
    if (!slab) return NULL;
    ward__assert((uintptr_t)slab % ALIGN == 0);
    ward__store(&slab->blocks, MANY);
    slab->taken = 0;
    slab->used = sizeof *slab;
    slabs->now = slab;
    return slab;
}

void *ward__slab_take(struct ward__slabs *slabs, size_t bytes)
{
    size_t need = sizeof(struct tag) + ((bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1));
    struct ward__slab *slab = slabs->now;
    struct tag *tag;

    ward__assert(bytes <= WARD__SLAB_BLOCK_MAX);
    if (!slab || need > SLAB_BYTES - slab->used) slab = next_slab(slabs);
    if (!slab) return NULL;
    tag = (struct tag *)(void *)((char *)slab + slab->used);
    tag->slab = slab;
    slab->used += (uint32_t)need;
    slab->taken++;
    return tag + 1;
}

void ward__slab_give(struct ward__heap *heap, void *block)
{
    less(heap, ((struct tag *)block - 1)->slab, 1);
}
