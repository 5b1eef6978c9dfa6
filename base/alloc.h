/* SPDX-License-Identifier: MIT */
/*
 * alloc.h - counted allocation. Each node has one heap; everything it allocates is counted in it,
 * so that a test can assert that nothing is left, and a budget can refuse. Sizes are given when
 * freeing, so there is no header in front of a block. Any thread, no lock.
 *
 * For tests, the k-th allocation of a heap, and then all later ones until it is told otherwise,
 * can be made to fail.
 */
#ifndef WARD_BASE_ALLOC_H
#define WARD_BASE_ALLOC_H

#include <stddef.h>

#include "base/atomics.h"

typedef void *ward__alloc_hook(void *arg, void *old, size_t old_bytes, size_t bytes);

struct ward__heap {
    ward__alloc_hook *hook; /* ward_opts.alloc, or NULL: malloc */
    void *arg;
    _Atomic size_t bytes; /* in use */
    size_t bytes_max; /* a budget for what users make grow; SIZE_MAX: none */
    _Atomic int64_t fail_in; /* allocations until they fail; negative: never */
};

void ward__heap_init(struct ward__heap *heap, ward__alloc_hook *hook, void *arg, size_t bytes_max);

/* NULL: no memory, or over the budget. Not zeroed. */
void *ward__alloc(struct ward__heap *heap, size_t bytes);
void *ward__alloc_zero(struct ward__heap *heap, size_t bytes);
/* NULL: no memory, and then `old` is as it was. */
void *ward__realloc(struct ward__heap *heap, void *old, size_t old_bytes, size_t bytes);
/* Counts bytes that are not from here; false: over the budget. */
bool ward__heap_reserve(struct ward__heap *heap, size_t bytes);
void ward__heap_release(struct ward__heap *heap, size_t bytes);
/* at may be NULL. */
void ward__free(struct ward__heap *heap, void *at, size_t bytes);

#endif
