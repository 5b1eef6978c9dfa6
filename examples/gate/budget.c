/* SPDX-License-Identifier: MIT */
/*
 * budget.c - a shared count of bytes, and buffers with a counted end.
 *
 * Big buffers grow by a half and not to the double: of what a hundred senders hold, less is air.
 * realloc moves big pieces by moving pages (gate run makes malloc map them one by one), so growing
 * copies nothing and what is freed goes back to the system at once.
 */
#include "examples/gate/budget.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { GROW_MIN = 65536 };

bool gate_budget_take(struct gate_budget *budget, size_t bytes)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);

    do {
        if (bytes > budget->bytes_max - used) return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &budget->used, &used, used + bytes, memory_order_relaxed, memory_order_relaxed));
    return true;
}

void gate_budget_give(struct gate_budget *budget, size_t bytes)
{
    size_t before = atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);

    assert(before >= bytes);
    (void)before;
}

struct gate_buffer *gate_buffer_new(struct gate_budget *budget)
{
    struct gate_buffer *buffer = calloc(1, sizeof *buffer);

    if (!buffer) return NULL;
    buffer->at = malloc(GATE_BUFFER_FREE);
    if (!buffer->at) {
        free(buffer);
        return NULL;
    }
    buffer->budget = budget;
    buffer->room = GATE_BUFFER_FREE;
    atomic_init(&buffer->holders, 1);
    return buffer;
}

void gate_buffer_hold(struct gate_buffer *buffer)
{
    (void)atomic_fetch_add_explicit(&buffer->holders, 1, memory_order_relaxed);
}

void gate_buffer_drop(void *arg)
{
    struct gate_buffer *buffer = arg;

    if (!buffer || atomic_fetch_sub_explicit(&buffer->holders, 1, memory_order_acq_rel) > 1) return;
    free(buffer->at);
    /* After the memory is free, or the budget would promise what is still in use. */
    gate_budget_give(buffer->budget, buffer->room - GATE_BUFFER_FREE);
    free(buffer);
}

bool gate_buffer_shared(const struct gate_buffer *buffer)
{
    return atomic_load_explicit(&buffer->holders, memory_order_acquire) > 1;
}

static bool resize(struct gate_buffer *buffer, size_t room)
{
    size_t more = room - buffer->room;
    char *at;

    assert(room > buffer->room);
    if (!gate_budget_take(buffer->budget, more)) return false;
    at = realloc(buffer->at, room);
    if (!at) {
        gate_budget_give(buffer->budget, more);
        return false;
    }
    buffer->at = at;
    buffer->room = room;
    return true;
}

bool gate_buffer_grow(struct gate_buffer *buffer, size_t room_max)
{
    size_t room = buffer->room + buffer->room / 2;

    assert(!gate_buffer_shared(buffer));
    if (buffer->bytes < buffer->room) return true;
    if (room < GROW_MIN) room = GROW_MIN;
    if (room > room_max) room = room_max;
    return room > buffer->room && resize(buffer, room);
}

void gate_buffer_consume(struct gate_buffer *buffer, size_t bytes)
{
    assert(bytes <= buffer->bytes && !gate_buffer_shared(buffer));
    buffer->bytes -= bytes;
    if (bytes && buffer->bytes) memmove(buffer->at, buffer->at + bytes, buffer->bytes);
}

struct gate_buffer *gate_buffer_split(struct gate_buffer *buffer, size_t bytes)
{
    struct gate_buffer *fresh = gate_buffer_new(buffer->budget);
    size_t rest = buffer->bytes - bytes;

    assert(bytes <= buffer->bytes);
    if (fresh && rest > fresh->room && !resize(fresh, rest)) {
        gate_buffer_drop(fresh);
        fresh = NULL;
    }
    if (!fresh) return NULL;
    memcpy(fresh->at, buffer->at + bytes, rest);
    fresh->bytes = rest;
    gate_buffer_drop(buffer);
    return fresh;
}
