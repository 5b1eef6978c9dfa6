/* SPDX-License-Identifier: MIT */
/*
 * alloc.c - counted allocation over malloc or the user's hook. Reserves in the count first and
 * gives back when the allocation fails, so the budget is never exceeded. Any thread.
 */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

void ward__heap_init(struct ward__heap *heap, ward__alloc_hook *hook, void *arg, size_t bytes_max)
{
    heap->hook = hook;
    heap->arg = arg;
    heap->bytes_max = bytes_max;
    ward__store(&heap->bytes, 0);
    ward__store(&heap->fail_in, -1);
}

/* False when a test wants this allocation to fail. */
static bool allowed(struct ward__heap *heap)
{
    if (ward__likely(ward__load(&heap->fail_in) < 0)) return true;
    int64_t left = ward__sub(&heap->fail_in, 1);
    if (left > 0) return true;
    ward__store(&heap->fail_in, 0);
    return false;
}

static bool reserve(struct ward__heap *heap, size_t bytes)
{
    size_t before = ward__add(&heap->bytes, bytes);
    if (ward__likely(before + bytes <= heap->bytes_max && before + bytes >= bytes)) return true;
    ward__sub(&heap->bytes, bytes);
    return false;
}

bool ward__heap_reserve(struct ward__heap *heap, size_t bytes)
{
    return allowed(heap) && reserve(heap, bytes);
}

void ward__heap_release(struct ward__heap *heap, size_t bytes)
{
    ward__assert(ward__load(&heap->bytes) >= bytes);
    ward__sub(&heap->bytes, bytes);
}

void *ward__alloc(struct ward__heap *heap, size_t bytes)
{
    return ward__realloc(heap, NULL, 0, bytes);
}

void *ward__alloc_zero(struct ward__heap *heap, size_t bytes)
{
    void *at = ward__alloc(heap, bytes);
    if (at) memset(at, 0, bytes);
    return at;
}

void *ward__realloc(struct ward__heap *heap, void *old, size_t old_bytes, size_t bytes)
{
    void *at;

    ward__assert(bytes > 0);
    if (!allowed(heap)) return NULL;
    if (bytes > old_bytes && !reserve(heap, bytes - old_bytes)) return NULL;
    at = heap->hook ? heap->hook(heap->arg, old, old_bytes, bytes) : realloc(old, bytes);
    if (!at && bytes > old_bytes) ward__sub(&heap->bytes, bytes - old_bytes);
    if (at && bytes < old_bytes) ward__sub(&heap->bytes, old_bytes - bytes);
    return at;
}

void ward__free(struct ward__heap *heap, void *at, size_t bytes)
{
    if (!at) return;
    ward__heap_release(heap, bytes);
    if (heap->hook)
        (void)heap->hook(heap->arg, at, bytes, 0);
    else
        free(at);
}
