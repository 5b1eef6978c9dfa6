/* SPDX-License-Identifier: MIT */
/*
 * small.c - blocks of up to 256 bytes, for what each actor has and gives back at its end: its
 * state, the copy of its argument. A worker keeps some of each of four sizes, last in first out,
 * so that a spawn and an end do not go to the system. They stay counted in the node's heap. Not
 * when a test lets allocations fail, and not under AddressSanitizer, which would not see them.
 *
 * Knows no actors. The lists are their worker's; who has none goes to the heap.
 */
#include "actors/node.h"

enum { KEPT = 64 };

static uint32_t class_of(size_t bytes)
{
    return (uint32_t)((bytes - 1) / WARD__SMALL_STEP);
}

/* All blocks of a class are of one size, so that any thread can free them. */
static size_t round_up(size_t bytes)
{
    return bytes > WARD__SMALL_MAX ? bytes : (class_of(bytes) + 1) * (size_t)WARD__SMALL_STEP;
}

void *ward__small_alloc(struct ward__here *here, size_t bytes)
{
    struct ward__heap *heap = &here->node->heap;
    struct ward__small *small;

    if (here->worker && bytes <= WARD__SMALL_MAX && ward__load(&heap->fail_in) < 0) {
        small = &here->worker->small[class_of(bytes)];
        if (small->free) {
            void *at = small->free;
            memcpy(&small->free, at, sizeof at);
            small->count--;
            return at;
        }
    }
    return ward__alloc(heap, round_up(bytes));
}

void ward__small_free(struct ward__here *here, void *at, size_t bytes)
{
    struct ward__small *small;

    if (!at) return;
    if (here->worker && bytes <= WARD__SMALL_MAX && !WARD__ASAN) {
        small = &here->worker->small[class_of(bytes)];
        if (small->count < KEPT) {
            memcpy(at, &small->free, sizeof at);
            small->free = at;
            small->count++;
            return;
        }
    }
    ward__free(&here->node->heap, at, round_up(bytes));
}

void ward__small_flush(ward_node *node, struct ward__worker *worker)
{
    for (uint32_t i = 0; i < WARD__SMALL_CLASSES; i++) {
        struct ward__small *small = &worker->small[i];
        while (small->free) {
            void *at = small->free;
            memcpy(&small->free, at, sizeof at);
            ward__free(&node->heap, at, (i + 1) * (size_t)WARD__SMALL_STEP);
        }
    }
}
