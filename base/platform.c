/* SPDX-License-Identifier: MIT */
/*
 * platform.c - futex, clock, address ranges, threads and membarrier on Linux. Any thread.
 */
#include "base/platform.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int64_t ward__now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void ward__futex_wait(_Atomic uint32_t *word, uint32_t seen, int64_t until_ns)
{
    struct timespec until = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };

    if (until_ns <= 0) return;
    /* The bitset form takes an absolute time on the monotonic clock. */
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, seen, until_ns == INT64_MAX ? NULL : &until,
        NULL, FUTEX_BITSET_MATCH_ANY);
}

void ward__futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

void *ward__reserve(size_t bytes)
{
    void *at = mmap(
        NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

void *ward__reserve_table(size_t bytes)
{
    const size_t huge = (size_t)2 << 20;
    char *at = ward__reserve(bytes);

    /* A hint: where there are none, the table is in small pages. */
    if (at && bytes > huge) (void)madvise(at + huge, bytes - huge, MADV_HUGEPAGE);
    return at;
}

void ward__unreserve(void *at, size_t bytes)
{
    if (at) munmap(at, bytes);
}

void ward__lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t kind;

    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &kind);
    pthread_mutexattr_destroy(&kind);
}

bool ward__thread_start(
    pthread_t *out, const char *name, size_t stack_bytes, void *(*run)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int failed;

    if (pthread_attr_init(&attr)) return false;
    if (stack_bytes) {
        size_t least = (size_t)PTHREAD_STACK_MIN + 65536;
        pthread_attr_setstacksize(&attr, stack_bytes < least ? least : stack_bytes);
    }
    sigfillset(&all); /* the host's signals are the host's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(out, &attr, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (!failed) pthread_setname_np(*out, name);
    return !failed;
}

int ward__cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

uint64_t ward__entropy(void)
{
    uint64_t number = 0;

    while (!number)
        if (getrandom(&number, sizeof number, 0) != sizeof number)
            number = (uint64_t)ward__now_ns();
    return number;
}

bool ward__membarrier_register(void)
{
    return !WARD__TSAN && !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

void ward__membarrier(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    ward__fence();
}
