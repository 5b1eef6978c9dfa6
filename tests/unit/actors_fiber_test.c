/* SPDX-License-Identifier: MIT */
/*
 * actors_fiber_test.c - stacks that are switched by hand: what a switch preserves, where it goes
 * on, what a stack can hold, what is counted for it, and that it is used again.
 */
#include "actors/fiber.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/assert.h"

enum { BIG = 1 << 20 };

static struct ward__heap heap;
static struct ward__stacks stacks;
static struct ward__context loop; /* where a fiber goes when it stops */

static void open_stacks(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    ward__stacks_open(&stacks, &heap);
}

/* Criterion passes over an assertion that fails in here, but not over an abort. */
static void close_stacks(void)
{
    ward__stacks_close(&stacks);
    ward__assert(ward__load(&heap.bytes) == 0);
}

TestSuite(fiber, .init = open_stacks, .fini = close_stacks);

struct steps {
    struct ward__fiber *fiber;
    struct ward__context *back;
    int step;
    long sum;
};

static void stop(struct steps *steps)
{
    ward__switch(&steps->fiber->context, steps->back);
}

static struct ward__fiber *begin(struct steps *steps, void (*run)(void *), size_t bytes)
{
    *steps = (struct steps){ .fiber = ward__fiber_new(&stacks, bytes, run, steps), .back = &loop };
    cr_assert(steps->fiber);
    return steps->fiber;
}

static void go_on(struct steps *steps)
{
    ward__switch(steps->back, &steps->fiber->context);
}

static void in_three_steps(void *arg)
{
    struct steps *steps = arg;

    for (steps->step = 1; steps->step < 3; steps->step++)
        stop(steps);
    ward__switch_last(&steps->fiber->context, steps->back);
}

Test(fiber, goes_on_where_it_stopped)
{
    struct steps steps;

    begin(&steps, in_three_steps, 1);
    cr_expect_eq(steps.step, 0); /* it has not begun */
    for (int i = 1; i <= 3; i++) {
        go_on(&steps);
        cr_expect_eq(steps.step, i);
    }
    ward__fiber_free(&stacks, steps.fiber);
}

/* More live values than there are registers that a call preserves. */
static void with_many_values(void *arg)
{
    struct steps *steps = arg;
    volatile long from = 3;
    long a = from, b = a * 5, c = b + 7, d = c * a, e = d - b, f = e + c, g = f * 2, h = g - a;
    double x = (double)h / 3, y = x * 7;

    stop(steps);
    steps->sum = a + b + c + d + e + f + g + h + (long)(y - x * 7) * 1000;
    ward__switch_last(&steps->fiber->context, steps->back);
}

Test(fiber, preserves_what_a_call_preserves)
{
    struct steps steps;
    volatile long from = 11;
    long a = from, b = a + 1, c = b * b, d = c - a, e = d * 3, f = e + b;

    begin(&steps, with_many_values, 1);
    go_on(&steps);
    go_on(&steps);
    cr_expect_eq(steps.sum, 3 + 15 + 22 + 66 + 51 + 73 + 146 + 143);
    cr_expect_eq(a + b + c + d + e + f, 11 + 12 + 144 + 133 + 399 + 411);
    ward__fiber_free(&stacks, steps.fiber);
}

static void check_alignment(void *arg)
{
    struct steps *steps = arg;
    _Alignas(32) char aligned[32];

    memset(aligned, 0, sizeof aligned);
    steps->sum = (long)((uintptr_t)__builtin_frame_address(0) % 16);
    stop(steps);
    ward__switch_last(&steps->fiber->context, steps->back);
}

Test(fiber, begins_with_a_stack_aligned_as_after_a_call)
{
    struct steps steps;

    begin(&steps, check_alignment, 1);
    go_on(&steps);
    cr_expect_eq(steps.sum, 0);
    go_on(&steps);
    ward__fiber_free(&stacks, steps.fiber);
}

static long deep(struct steps *steps, long depth)
{
    volatile char frame[400];

    frame[0] = (char)depth;
    if (depth == 0) stop(steps);
    return depth ? deep(steps, depth - 1) + frame[0] - (char)depth + 1 : 0;
}

static void run_deep(void *arg)
{
    struct steps *steps = arg;

    steps->sum = deep(steps, (long)(steps->fiber->stack_bytes / WARD__STACK_SCALE / 2 / 600));
    ward__switch_last(&steps->fiber->context, steps->back);
}

Test(fiber, has_a_stack_of_the_size_that_was_asked_for)
{
    const size_t sizes[] = { 16384, 65536, 200000, BIG };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct steps steps;

        cr_assert_geq(begin(&steps, run_deep, sizes[i])->stack_bytes, sizes[i]);
        go_on(&steps);
        go_on(&steps);
        cr_expect_geq(steps.sum, (long)(sizes[i] / 2 / 600));
        ward__fiber_free(&stacks, steps.fiber);
    }
}

#if !WARD__ASAN
static void run_over(void *arg)
{
    struct steps *steps = arg;
    volatile char *at = (volatile char *)__builtin_frame_address(0);

    for (size_t i = 0; i < steps->fiber->stack_bytes; i += 1024)
        at[-(ptrdiff_t)i] = 1;
    ward__switch_last(&steps->fiber->context, steps->back);
}

Test(fiber, ends_in_a_guard_page, .signal = SIGSEGV)
{
    struct steps below, steps;

    begin(&below, run_over, 1); /* so that there may be a stack beneath */
    begin(&steps, run_over, 1);
    go_on(&steps);
}
#endif

Test(fiber, carries_bytes_of_the_caller_s)
{
    struct steps steps[2];
    char pattern[WARD__FIBER_EXTRA];

    for (int i = 0; i < 2; i++)
        memset(ward__fiber_extra(begin(&steps[i], in_three_steps, 1)), 'a' + i, WARD__FIBER_EXTRA);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 3; k++)
            go_on(&steps[i]);
        memset(pattern, 'a' + i, sizeof pattern);
        cr_expect_arr_eq(ward__fiber_extra(steps[i].fiber), pattern, sizeof pattern);
        ward__fiber_free(&stacks, steps[i].fiber);
    }
}

Test(fiber, reuses_the_stack_that_was_freed_last)
{
    struct steps steps[2];
    struct ward__fiber *first = begin(&steps[0], in_three_steps, 1);
    struct ward__fiber *second = begin(&steps[1], in_three_steps, 1);
    size_t bytes = ward__load(&heap.bytes);

    cr_expect_neq(first, second);
    ward__fiber_free(&stacks, first);
    cr_expect_eq(begin(&steps[0], in_three_steps, 1), first);
    cr_expect_eq(ward__load(&heap.bytes), bytes);
    ward__fiber_free(&stacks, first);
    ward__fiber_free(&stacks, second);
}

Test(fiber, counts_a_big_stack_in_the_budget_and_gives_it_back)
{
    struct steps steps;
    size_t before = ward__load(&heap.bytes);

    begin(&steps, in_three_steps, BIG);
    cr_expect_geq(ward__load(&heap.bytes), before + BIG);
    ward__fiber_free(&stacks, steps.fiber);
    cr_expect_eq(ward__load(&heap.bytes), before);
    ward__store(&heap.fail_in, 0);
    cr_expect_null(ward__fiber_new(&stacks, BIG, in_three_steps, &steps));
    cr_expect_null(ward__fiber_new(&stacks, 1, in_three_steps, &steps)); /* no slab either */
    ward__store(&heap.fail_in, -1);
}

static void *go_on_elsewhere(void *arg)
{
    struct steps *steps = arg;
    struct ward__context here = { 0 };

    steps->back = &here;
    go_on(steps);
    return NULL;
}

Test(fiber, goes_on_on_another_thread)
{
    struct steps steps;
    pthread_t thread;

    begin(&steps, in_three_steps, 1);
    go_on(&steps);
    cr_assert_eq(pthread_create(&thread, NULL, go_on_elsewhere, &steps), 0);
    pthread_join(thread, NULL);
    cr_expect_eq(steps.step, 2);
    steps.back = &loop;
    go_on(&steps);
    cr_expect_eq(steps.step, 3);
    ward__fiber_free(&stacks, steps.fiber);
}
