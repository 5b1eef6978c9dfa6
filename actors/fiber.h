/* SPDX-License-Identifier: MIT */
/*
 * fiber.h - stacks that are switched by hand: a body runs on one, and so does a simulated thread.
 *
 * Switching saves the registers a call must preserve and jumps; on x86-64 it is a few lines of
 * assembly, elsewhere ucontext. The rounding mode belongs to the thread. Told to AddressSanitizer
 * and ThreadSanitizer. Stacks of the default size come from slabs of 64, with a guard page each
 * (MADV_GUARD_INSTALL where the kernel has it, which costs no map entry, else mprotect), and are
 * reused last in first out.
 *
 * Knows no actors. The stacks belong to a ward__stacks, whose lock is a leaf; a fiber runs on one
 * thread at a time, and who resumes it must know that it has left the last one.
 */
#ifndef WARD_ACTORS_FIBER_H
#define WARD_ACTORS_FIBER_H

#include <pthread.h>
#include <stddef.h>

#include "base/alloc.h"
#include "base/atomics.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

enum {
    /* Sanitizers put red zones around each local; users' options are scaled alike. */
    WARD__STACK_SCALE = WARD__ASAN || WARD__TSAN ? 4 : 1,
    WARD__STACK_DEFAULT = 65536 * WARD__STACK_SCALE,
};

/* Where something stopped: a fiber, or a thread that went on with one. */
struct ward__context {
#if defined(__x86_64__)
    void *sp, *bp, *bx, *r12, *r13, *r14, *r15;
#else
    ucontext_t uc;
#endif
    /* For the sanitizers. */
    void *fake_stack, *tsan;
    const void *bottom;
    size_t bytes;
    struct ward__context *from; /* who switched here last */
};

struct ward__fiber {
    struct ward__context context;
    void (*run)(void *arg);
    void *arg;
    size_t stack_bytes; /* with the guard page and this record, which lies at its top */
    struct ward__fiber *next; /* of a free list */
};

struct ward__slab;
struct ward__stacks {
    pthread_mutex_t lock;
    struct ward__heap *heap;
    struct ward__fiber *free; /* of the default size */
    struct ward__slab *slabs;
};

void ward__stacks_open(struct ward__stacks *stacks, struct ward__heap *heap);
/* All fibers must have been given back. */
void ward__stacks_close(struct ward__stacks *stacks);

/* A fiber that will run run(arg) at the first switch to it. run must not return: it ends by a
 * last ward__fiber_leave. `extra` bytes (at most 512) lie behind the record, for the caller.
 * NULL: no memory. Any thread. */
struct ward__fiber *ward__fiber_new(
    struct ward__stacks *stacks, size_t stack_bytes, void (*run)(void *arg), void *arg);
void *ward__fiber_extra(struct ward__fiber *fiber);
enum { WARD__FIBER_EXTRA = 512 };
void ward__fiber_free(struct ward__stacks *stacks, struct ward__fiber *fiber);

/* Stops at `from` and goes on at `to`; returns when something switches back to `from`. */
void ward__switch(struct ward__context *from, struct ward__context *to);
/* The same for the last time: `from` ends and its stack may be freed. */
_Noreturn void ward__switch_last(struct ward__context *from, struct ward__context *to);

#endif
