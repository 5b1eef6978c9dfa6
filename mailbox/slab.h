/* SPDX-License-Identifier: MIT */
/*
 * slab.h - small blocks that are made one after the other by one thread and freed in any order by
 * others: what lies beside the messages that come over a link. Making one moves a pointer, freeing
 * one is a decrement; the last one out frees the slab, so a block that is kept holds 4 KiB at most.
 * malloc between two threads was a fifth of what receiving a message cost.
 */
#ifndef WARD_MAILBOX_SLAB_H
#define WARD_MAILBOX_SLAB_H

#include "base/alloc.h"

enum { WARD__SLAB_BLOCK_MAX = 512 };

struct ward__slab;

/* Where one thread at a time takes blocks from. {.heap = heap} has none. */
struct ward__slabs {
    struct ward__heap *heap;
    struct ward__slab *now;
};

/* A block of at most WARD__SLAB_BLOCK_MAX bytes, aligned to 16. NULL: no memory. */
void *ward__slab_take(struct ward__slabs *slabs, size_t bytes);
/* Any thread. */
void ward__slab_give(struct ward__heap *heap, void *block);
/* Nothing more is taken for now; what was taken lives on. */
void ward__slabs_leave(struct ward__slabs *slabs);

#endif
