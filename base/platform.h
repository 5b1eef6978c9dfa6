/* SPDX-License-Identifier: MIT */
/*
 * platform.h - what ward asks of Linux: futex, monotonic clock, reserved address ranges, threads
 * with all signals blocked. Knows nothing of actors. Any thread.
 */
#ifndef WARD_BASE_PLATFORM_H
#define WARD_BASE_PLATFORM_H

#include <pthread.h>
#include <stddef.h>

#include "base/atomics.h"

enum { WARD__NS_MS = 1000000, WARD__NS_S = 1000000000 };

/* CLOCK_MONOTONIC in ns. */
int64_t ward__now_ns(void);

/* Sleeps while *word == seen, until the monotonic time `until_ns` (INT64_MAX: for ever), a wake,
 * or for no reason at all. */
void ward__futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t until_ns);
void ward__futex_wake(_Atomic uint32_t *word, int count);

/* Address space that costs memory only where it is touched; zeroed. NULL: none to be had. */
void *ward__reserve(size_t bytes);
/* The same for a table that fills from its front: beyond its first 2 MiB in huge pages. */
void *ward__reserve_table(size_t bytes);
void ward__unreserve(void *at, size_t bytes);

/* A lock for short critical sections: who finds it taken spins a little before it sleeps. */
void ward__lock_init(pthread_mutex_t *lock);

/* A thread that takes no signals. stack_bytes 0: the system's default. name: 15 characters. */
bool ward__thread_start(
    pthread_t *out, const char *name, size_t stack_bytes, void *(*run)(void *), void *arg);

/* CPUs this process may use, 1 at least. */
int ward__cpus(void);

/* A random number from the kernel, never 0. */
uint64_t ward__entropy(void);

#endif
