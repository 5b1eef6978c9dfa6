/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what the kernel says of the threads of this process: which system call one is in, on
 * what, for whom it waits, and how long it ran or waited for a processor. Reads /proc, so it costs
 * 10 to 100 us, and neither stops nor signals the thread. What cannot be read is "not known",
 * never an error. Knows nothing of ward. Any thread.
 */
#ifndef WARD_BASE_PROC_H
#define WARD_BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ward__where {
    WARD__WHERE_UNKNOWN,
    WARD__ON_PROCESSOR, /* runs, or waits for a processor */
    WARD__IN_CALL,
    WARD__IN_FAULT /* the kernel fetches a page */
};

struct ward__syscall {
    enum ward__where where;
    long number;
    uint64_t args[3];
};

struct ward__times {
    int64_t ran_ns, delayed_ns; /* delayed: it could run and had no processor */
};

/* This thread's number, as all below want it. */
int ward__tid(void);
/* Whether there is such a thread in this process. */
bool ward__tid_lives(int tid);
struct ward__syscall ward__task_syscall(int tid);
/* Zeroes: not known. */
struct ward__times ward__task_times(int tid);
/* Whether a debugger, or strace, is attached. */
bool ward__traced(void);

/* "read"; NULL: one without a name here. *takes_fd: its first argument is a descriptor. */
const char *ward__syscall_name(long number, bool *takes_fd);
/* "fd 3 = pipe". Kinds and addresses, never a path: the name of a file may be a patient's. */
void ward__fd_text(int fd, char *out, size_t bytes);

/* If the call waits for a pthread_mutex_t: who holds it. 0: it waits for no mutex, or not known. */
int ward__mutex_owner(const struct ward__syscall *call);
bool ward__is_futex(const struct ward__syscall *call);

#endif
