/* SPDX-License-Identifier: MIT */
/*
 * budget.h - the memory that all frames being received share, and the buffers that draw on it.
 *
 * A buffer is where a connection receives. Its first GATE_BUFFER_FREE bytes are the connection's
 * own, so that ordinary messages get through whatever the big ones do; what is more is taken from
 * the budget when the buffer grows, and given back when its last holder lets go. Holders are the
 * connection and, while the journal has the frame, the blob that lends the bytes: a frame is never
 * copied on its way to the disk. Budgets and holders: any thread; content: the connection's, and
 * only as long as it is the one holder. Knows nothing of sockets or frames.
 */
#ifndef GATE_BUDGET_H
#define GATE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GATE_BUFFER_FREE ((size_t)8192)

struct gate_budget {
    size_t bytes_max;
    _Atomic size_t used;
};

/* False: it does not fit, and nothing was taken. */
bool gate_budget_take(struct gate_budget *budget, size_t bytes);
void gate_budget_give(struct gate_budget *budget, size_t bytes);

struct gate_buffer {
    struct gate_budget *budget;
    char *at;
    size_t room, bytes; /* bytes are filled */
    _Atomic unsigned holders;
};

/* Room for GATE_BUFFER_FREE bytes, one holder. NULL: no memory. */
struct gate_buffer *gate_buffer_new(struct gate_budget *budget);
void gate_buffer_hold(struct gate_buffer *buffer);
void gate_buffer_drop(void *arg); /* a buffer, or NULL; fits as the release of a blob */
bool gate_buffer_shared(const struct gate_buffer *buffer);

/* Sees to room for at least one more byte, in room_max bytes at most. False: the budget or the
 * memory does not allow it, and the buffer is as it was. The one holder's. */
bool gate_buffer_grow(struct gate_buffer *buffer, size_t room_max);

/* Takes bytes off the front. The one holder's. */
void gate_buffer_consume(struct gate_buffer *buffer, size_t bytes);

/* A new buffer with what lies behind `bytes` in this one, which loses this holder; for when it is
 * shared. NULL: no room, and nothing has changed. */
struct gate_buffer *gate_buffer_split(struct gate_buffer *buffer, size_t bytes);

#endif
