/* SPDX-License-Identifier: MIT */
/*
 * atomics.h - short names for C11 atomics, and the asymmetric fence.
 *
 * The asymmetric fence is for pairs of threads of which one passes the point millions of times a
 * second and the other almost never: the frequent side pays a compiler barrier (LIGHT), the rare
 * side a membarrier system call (HEAVY), and together they order as two sequentially consistent
 * fences would. Where membarrier is missing, and under ThreadSanitizer, which knows neither it nor
 * fences, both sides are real. Knows nothing of ward.
 */
#ifndef WARD_BASE_ATOMICS_H
#define WARD_BASE_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ward__load(p) atomic_load_explicit((p), memory_order_relaxed)
#define ward__load_acq(p) atomic_load_explicit((p), memory_order_acquire)
#define ward__load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)
#define ward__store(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define ward__store_rel(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define ward__store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define ward__add(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define ward__sub(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define ward__or_seq(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define ward__and_seq(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
/* Compare and swap: acquire and release on success, and *seen is what was there. */
#define ward__cas(p, seen, v) \
    atomic_compare_exchange_strong_explicit( \
        (p), (seen), (v), memory_order_acq_rel, memory_order_acquire)
#define ward__cas_seq(p, seen, v) \
    atomic_compare_exchange_strong_explicit( \
        (p), (seen), (v), memory_order_seq_cst, memory_order_seq_cst)

/* A counter of which one thread is the only writer: no locked instruction. */
#define ward__bump(p, v) ward__store((p), ward__load(p) + (v))

/* On the path of each message, where a call costs as much as what is called. */
#define WARD__INLINE inline __attribute__((always_inline))

#define ward__likely(x) __builtin_expect(!!(x), 1)
#define ward__unlikely(x) __builtin_expect(!!(x), 0)

#if defined(__SANITIZE_THREAD__)
#define WARD__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WARD__TSAN 1
#endif
#endif
#ifndef WARD__TSAN
#define WARD__TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WARD__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WARD__ASAN 1
#endif
#endif
#ifndef WARD__ASAN
#define WARD__ASAN 0
#endif

/* Registers this process for membarrier, once; false: both sides must fence for real. */
bool ward__membarrier_register(void);

/* In a loop that waits for another thread. */
static inline void ward__pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* HEAVY: every thread of this process passes a full barrier before this returns. */
void ward__membarrier(void);

/* A full fence. ThreadSanitizer does not model fences, so there it is a locked exchange. */
static inline void ward__fence(void)
{
#if WARD__TSAN
    static _Atomic uint32_t word;
    (void)atomic_fetch_add_explicit(&word, 1, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* LIGHT: orders an earlier store before a later load, as long as the other side is HEAVY. */
static inline void ward__light_fence(bool asymmetric)
{
    if (!WARD__TSAN && ward__likely(asymmetric))
        atomic_signal_fence(memory_order_seq_cst);
    else
        ward__fence();
}

#endif
