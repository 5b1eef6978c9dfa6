/* SPDX-License-Identifier: MIT */
/*
 * gate_budget_test.c - the budget is exact, whoever takes from it, and buffers give back what they
 * took when their last holder lets go.
 */
#include "examples/gate/budget.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

enum { THREADS = 4, TURNS = 20000, PIECE = 1000 };

static size_t used(struct gate_budget *budget)
{
    return atomic_load(&budget->used);
}

Test(gate_budget, takes_up_to_the_last_byte_and_no_further)
{
    struct gate_budget budget = { .bytes_max = 100 };

    cr_assert(gate_budget_take(&budget, 99));
    cr_assert_not(gate_budget_take(&budget, 2));
    cr_assert(gate_budget_take(&budget, 1));
    cr_assert_not(gate_budget_take(&budget, 1));
    cr_assert_not(gate_budget_take(&budget, SIZE_MAX));
    gate_budget_give(&budget, 100);
    cr_assert_eq(used(&budget), 0);
}

static void *take_and_give(void *arg)
{
    struct gate_budget *budget = arg;
    uintptr_t over = 0;

    for (int i = 0; i < TURNS; i++) {
        if (!gate_budget_take(budget, PIECE)) continue;
        if (used(budget) > budget->bytes_max) over++;
        gate_budget_give(budget, PIECE);
    }
    return (void *)over;
}

Test(gate_budget, is_never_overdrawn_by_many_threads)
{
    struct gate_budget budget = { .bytes_max = 2 * PIECE + 1 };
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_give, &budget), 0);
    for (int i = 0; i < THREADS; i++) {
        void *over;
        cr_assert_eq(pthread_join(threads[i], &over), 0);
        cr_assert_null(over);
    }
    cr_assert_eq(used(&budget), 0);
}

static void fill(struct gate_buffer *buffer, char with)
{
    memset(buffer->at + buffer->bytes, with, buffer->room - buffer->bytes);
    buffer->bytes = buffer->room;
}

Test(gate_buffer, costs_nothing_until_it_grows)
{
    struct gate_budget budget = { .bytes_max = 0 };
    struct gate_buffer *buffer = gate_buffer_new(&budget);

    cr_assert_eq(buffer->room, GATE_BUFFER_FREE);
    cr_assert(gate_buffer_grow(buffer, 1 << 20), "there is room without growing");
    fill(buffer, 'a');
    cr_assert_not(gate_buffer_grow(buffer, 1 << 20));
    cr_assert_eq(buffer->room, GATE_BUFFER_FREE, "a failure changes nothing");
    gate_buffer_drop(buffer);
    cr_assert_eq(used(&budget), 0);
}

Test(gate_buffer, grows_to_its_bound_keeping_what_it_has)
{
    struct gate_budget budget = { .bytes_max = 1 << 20 };
    struct gate_buffer *buffer = gate_buffer_new(&budget);
    size_t bound = 300000;

    for (char with = 'a'; buffer->room < bound; with++) {
        fill(buffer, with);
        cr_assert(gate_buffer_grow(buffer, bound));
        cr_assert_eq(used(&budget), buffer->room - GATE_BUFFER_FREE);
        cr_assert_eq(buffer->at[0], 'a');
        cr_assert_eq(buffer->at[buffer->bytes - 1], with);
    }
    cr_assert_eq(buffer->room, bound);
    fill(buffer, 'z');
    cr_assert_not(gate_buffer_grow(buffer, bound));
    gate_buffer_drop(buffer);
    cr_assert_eq(used(&budget), 0);
}

Test(gate_buffer, gives_back_when_its_last_holder_lets_go)
{
    struct gate_budget budget = { .bytes_max = 1 << 20 };
    struct gate_buffer *buffer = gate_buffer_new(&budget);

    fill(buffer, 'a');
    cr_assert(gate_buffer_grow(buffer, 100000));
    gate_buffer_hold(buffer);
    cr_assert(gate_buffer_shared(buffer));
    gate_buffer_drop(buffer);
    cr_assert_not(gate_buffer_shared(buffer));
    cr_assert_gt(used(&budget), 0);
    gate_buffer_drop(buffer);
    cr_assert_eq(used(&budget), 0);
}

Test(gate_buffer, moves_the_rest_to_the_front)
{
    struct gate_budget budget = { .bytes_max = 0 };
    struct gate_buffer *buffer = gate_buffer_new(&budget);

    memcpy(buffer->at, "done,rest", 9);
    buffer->bytes = 9;
    gate_buffer_consume(buffer, 5);
    cr_assert_eq(buffer->bytes, 4);
    cr_assert_arr_eq(buffer->at, "rest", 4);
    gate_buffer_consume(buffer, 4);
    cr_assert_eq(buffer->bytes, 0);
    gate_buffer_drop(buffer);
}

Test(gate_buffer, splits_while_somebody_else_holds_it)
{
    struct gate_budget budget = { .bytes_max = 1 << 20 };
    struct gate_buffer *held = gate_buffer_new(&budget), *rest;

    fill(held, 'a');
    cr_assert(gate_buffer_grow(held, 100000));
    fill(held, 'b');
    gate_buffer_hold(held);
    rest = gate_buffer_split(held, GATE_BUFFER_FREE);
    cr_assert_not_null(rest);
    cr_assert_eq(rest->bytes, held->bytes - GATE_BUFFER_FREE);
    cr_assert_eq(rest->at[0], 'b');
    cr_assert_not(gate_buffer_shared(held), "one holder is left");
    cr_assert_eq(held->at[0], 'a');
    gate_buffer_drop(held);
    gate_buffer_drop(rest);
    cr_assert_eq(used(&budget), 0);
}

Test(gate_buffer, does_not_split_without_room)
{
    struct gate_budget budget = { .bytes_max = 60000 };
    struct gate_buffer *held = gate_buffer_new(&budget);

    fill(held, 'a');
    cr_assert(gate_buffer_grow(held, GATE_BUFFER_FREE + 60000));
    fill(held, 'b');
    gate_buffer_hold(held);
    cr_assert_null(gate_buffer_split(held, 0));
    cr_assert(gate_buffer_shared(held), "nothing has changed");
    gate_buffer_drop(held);
    gate_buffer_drop(held);
    cr_assert_eq(used(&budget), 0);
}
