/* SPDX-License-Identifier: MIT */
/*
 * fiber.c - the switch and the stacks. Knows no actors. The switch runs on the thread that calls
 * it; the stacks' free list is under their lock.
 *
 * The assembly ends with a jump and not with ret: a return to another stack is mispredicted, 7 ns.
 * It pushes the return address like any call, so the red zone of the caller is safe.
 */
#include "actors/fiber.h"

#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/platform.h"

#if WARD__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if WARD__TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { PAGE = 4096, SLAB_STACKS = 64 };

struct ward__slab {
    struct ward__slab *next;
    char *at;
};

#if defined(__x86_64__)
void ward__switch_registers(struct ward__context *from, struct ward__context *to);
void ward__fiber_entry(void);
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden ward__switch_registers\n"
        ".globl ward__switch_registers\n"
        ".type ward__switch_registers,@function\n"
        "ward__switch_registers:\n"
        "    popq %rax\n" /* the return address: where `from` goes on */
        "    movq %rsp, 0(%rdi)\n"
        "    movq %rbp, 8(%rdi)\n"
        "    movq %rbx, 16(%rdi)\n"
        "    movq %r12, 24(%rdi)\n"
        "    movq %r13, 32(%rdi)\n"
        "    movq %r14, 40(%rdi)\n"
        "    movq %r15, 48(%rdi)\n"
        "    movq %rax, -8(%rsp)\n"
        "    movq 0(%rsi), %rsp\n"
        "    movq 8(%rsi), %rbp\n"
        "    movq 16(%rsi), %rbx\n"
        "    movq 24(%rsi), %r12\n"
        "    movq 32(%rsi), %r13\n"
        "    movq 40(%rsi), %r14\n"
        "    movq 48(%rsi), %r15\n"
        "    jmpq *-8(%rsp)\n"
        ".size ward__switch_registers,.-ward__switch_registers\n"
        ".hidden ward__fiber_entry\n"
        ".globl ward__fiber_entry\n"
        ".type ward__fiber_entry,@function\n"
        "ward__fiber_entry:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n" /* backtraces end here */
        "    movq %rbx, %rdi\n"
        "    call *%r12\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size ward__fiber_entry,.-ward__fiber_entry\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");
#else
static void ward__switch_registers(struct ward__context *from, struct ward__context *to)
{
    swapcontext(&from->uc, &to->uc);
}
#endif

/* Inlined: ThreadSanitizer's books of who called whom change hands in the middle of it. */
__attribute__((always_inline)) static inline void before(
    struct ward__context *from, struct ward__context *to, bool last)
{
    to->from = from;
#if WARD__TSAN
    if (!from->tsan) from->tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
#if WARD__ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake_stack, to->bottom, to->bytes);
#endif
    (void)last;
}

/* On the other side; the bounds of a thread's own stack are learned here. */
static void after(struct ward__context *here)
{
#if WARD__ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(here->fake_stack, &bottom, &bytes);
    if (here->from) {
        here->from->bottom = bottom;
        here->from->bytes = bytes;
    }
#endif
    (void)here;
}

void ward__switch(struct ward__context *from, struct ward__context *to)
{
    before(from, to, false);
    ward__switch_registers(from, to);
    after(from);
}

void ward__switch_last(struct ward__context *from, struct ward__context *to)
{
    before(from, to, true);
    ward__switch_registers(from, to);
    ward__fail("actors/fiber.c", "a fiber that ended was resumed");
}

#if defined(__x86_64__)
static void enter(struct ward__fiber *fiber)
{
    after(&fiber->context);
    fiber->run(fiber->arg);
    ward__fail("actors/fiber.c", "a fiber returned");
}

static void aim(struct ward__fiber *fiber, char *bottom)
{
    char *top = (char *)((uintptr_t)fiber & ~(uintptr_t)63) - 64;
    void (*entry)(void) = ward__fiber_entry;
    void (*then)(struct ward__fiber *) = enter;

    (void)bottom;
    memset(top - 16, 0, 16);
    memcpy(top - 8, &entry, sizeof entry); /* the switch jumps through sp - 8 */
    fiber->context.sp = top;
    fiber->context.bx = fiber;
    memcpy(&fiber->context.r12, &then, sizeof then);
}
#else
static void enter(unsigned high, unsigned low)
{
    struct ward__fiber *fiber = (struct ward__fiber *)((uintptr_t)high << 32 | (uintptr_t)low);

    after(&fiber->context);
    fiber->run(fiber->arg);
    ward__fail("actors/fiber.c", "a fiber returned");
}

static void aim(struct ward__fiber *fiber, char *bottom)
{
    uintptr_t at = (uintptr_t)fiber;

    getcontext(&fiber->context.uc);
    fiber->context.uc.uc_stack.ss_sp = bottom;
    fiber->context.uc.uc_stack.ss_size = (size_t)((char *)fiber - bottom);
    fiber->context.uc.uc_link = NULL;
    makecontext(&fiber->context.uc, (void (*)(void))enter, 2, (unsigned)(at >> 32), (unsigned)at);
}
#endif

/* -- stacks ------------------------------------------------------------------------------------ */

void ward__stacks_open(struct ward__stacks *stacks, struct ward__heap *heap)
{
    memset(stacks, 0, sizeof *stacks);
    stacks->heap = heap;
    pthread_mutex_init(&stacks->lock, NULL);
}

void ward__stacks_close(struct ward__stacks *stacks)
{
    while (stacks->slabs) {
        struct ward__slab *slab = stacks->slabs;
        stacks->slabs = slab->next;
        ward__unreserve(slab->at, (size_t)SLAB_STACKS * WARD__STACK_DEFAULT);
        ward__free(stacks->heap, slab, sizeof *slab);
    }
    pthread_mutex_destroy(&stacks->lock);
}

static void guard(char *bottom)
{
    if (madvise(bottom, PAGE, MADV_GUARD_INSTALL)) (void)mprotect(bottom, PAGE, PROT_NONE);
}

static struct ward__fiber *place(char *bottom, size_t bytes)
{
    struct ward__fiber *fiber =
        (struct ward__fiber *)(bottom + bytes - WARD__FIBER_EXTRA - sizeof(struct ward__fiber));
    fiber->stack_bytes = bytes;
    return fiber;
}

static char *bottom_of(struct ward__fiber *fiber)
{
    return (char *)(fiber + 1) + WARD__FIBER_EXTRA - fiber->stack_bytes;
}

/* The stacks are locked. */
static bool add_slab(struct ward__stacks *stacks)
{
    struct ward__slab *slab = ward__alloc(stacks->heap, sizeof *slab);

    if (!slab) return false;
    slab->at = ward__reserve((size_t)SLAB_STACKS * WARD__STACK_DEFAULT);
    if (!slab->at) {
        ward__free(stacks->heap, slab, sizeof *slab);
        return false;
    }
    (void)madvise(slab->at, (size_t)SLAB_STACKS * WARD__STACK_DEFAULT, MADV_NOHUGEPAGE);
    slab->next = stacks->slabs;
    stacks->slabs = slab;
    for (int i = SLAB_STACKS - 1; i >= 0; i--) {
        char *bottom = slab->at + (size_t)i * WARD__STACK_DEFAULT;
        struct ward__fiber *fiber = place(bottom, WARD__STACK_DEFAULT);
        guard(bottom);
        fiber->next = stacks->free;
        stacks->free = fiber;
    }
    return true;
}

static struct ward__fiber *get_default(struct ward__stacks *stacks)
{
    struct ward__fiber *fiber = NULL;

    pthread_mutex_lock(&stacks->lock);
    if (stacks->free || add_slab(stacks)) {
        fiber = stacks->free;
        stacks->free = fiber->next;
    }
    pthread_mutex_unlock(&stacks->lock);
    return fiber;
}

static struct ward__fiber *get_sized(struct ward__stacks *stacks, size_t bytes)
{
    char *bottom;

    if (!ward__heap_reserve(stacks->heap, bytes)) return NULL;
    bottom = ward__reserve(bytes);
    if (!bottom) {
        ward__heap_release(stacks->heap, bytes);
        return NULL;
    }
    guard(bottom);
    return place(bottom, bytes);
}

struct ward__fiber *ward__fiber_new(
    struct ward__stacks *stacks, size_t stack_bytes, void (*run)(void *arg), void *arg)
{
    size_t bytes = (stack_bytes * WARD__STACK_SCALE + PAGE - 1) & ~(size_t)(PAGE - 1);
    struct ward__fiber *fiber =
        bytes <= WARD__STACK_DEFAULT ? get_default(stacks) : get_sized(stacks, bytes + PAGE);

    if (!fiber) return NULL;
    memset(&fiber->context, 0, sizeof fiber->context);
    fiber->run = run;
    fiber->arg = arg;
    fiber->context.bottom = bottom_of(fiber);
    fiber->context.bytes = fiber->stack_bytes;
    aim(fiber, bottom_of(fiber));
#if WARD__TSAN
    fiber->context.tsan = __tsan_create_fiber(0);
#endif
    return fiber;
}

void *ward__fiber_extra(struct ward__fiber *fiber)
{
    return fiber + 1;
}

void ward__fiber_free(struct ward__stacks *stacks, struct ward__fiber *fiber)
{
    if (!fiber) return;
#if WARD__TSAN
    __tsan_destroy_fiber(fiber->context.tsan);
#endif
#if WARD__ASAN
    /* Its last frames never returned, and a turn that hung for ever may have left many. */
    __asan_unpoison_memory_region(bottom_of(fiber), fiber->stack_bytes);
#endif
    if (fiber->stack_bytes != WARD__STACK_DEFAULT) {
        size_t bytes = fiber->stack_bytes;
        ward__unreserve(bottom_of(fiber), bytes);
        ward__heap_release(stacks->heap, bytes);
        return;
    }
    pthread_mutex_lock(&stacks->lock);
    fiber->next = stacks->free;
    stacks->free = fiber;
    pthread_mutex_unlock(&stacks->lock);
}
