/* SPDX-License-Identifier: MIT */
/*
 * proc.c - reads /proc/self/task; see proc.h. Any thread, no locks, no allocation.
 *
 * The owner of a mutex is glibc's word in it, read with process_vm_readv, so that memory which is
 * none cannot hurt, and believed only if a thread of this process has that number.
 */
#include "base/proc.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

int ward__tid(void)
{
    return (int)syscall(SYS_gettid);
}

/* A small file, whole; false: it cannot be read. */
static bool read_file(const char *path, char *out, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;

    if (fd < 0) return false;
    got = read(fd, out, bytes - 1);
    close(fd);
    if (got < 0) return false;
    out[got] = 0;
    return true;
}

static bool read_task(int tid, const char *what, char *out, size_t bytes)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d/%s", tid, what);
    return read_file(path, out, bytes);
}

bool ward__tid_lives(int tid)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/task/%d", tid);
    return tid > 0 && access(path, F_OK) == 0;
}

struct ward__syscall ward__task_syscall(int tid)
{
    struct ward__syscall call = { .where = WARD__WHERE_UNKNOWN, .number = -1 };
    char text[256], *at = text;

    if (!read_task(tid, "syscall", text, sizeof text)) return call;
    if (strncmp(text, "running", 7) == 0) {
        call.where = WARD__ON_PROCESSOR;
        return call;
    }
    call.number = strtol(at, &at, 10);
    call.where = call.number < 0 ? WARD__IN_FAULT : WARD__IN_CALL;
    for (int i = 0; i < 3; i++)
        call.args[i] = strtoull(at, &at, 16);
    return call;
}

struct ward__times ward__task_times(int tid)
{
    struct ward__times times = { 0, 0 };
    char text[128], *at = text;

    if (!read_task(tid, "schedstat", text, sizeof text)) return times;
    times.ran_ns = strtoll(at, &at, 10);
    times.delayed_ns = strtoll(at, &at, 10);
    return times;
}

bool ward__traced(void)
{
    char text[2048];
    const char *at;

    if (!read_file("/proc/self/status", text, sizeof text)) return false;
    at = strstr(text, "TracerPid:");
    return at && strtol(at + 10, NULL, 10) != 0;
}

/* -- names ------------------------------------------------------------------------------------- */

/* What blocks in practice. The old calls are missing on newer machines. */
static const struct {
    long number;
    const char *name;
    bool takes_fd;
} calls[] = {
    { SYS_read, "read", true },
    { SYS_write, "write", true },
    { SYS_readv, "readv", true },
    { SYS_writev, "writev", true },
    { SYS_pread64, "pread", true },
    { SYS_pwrite64, "pwrite", true },
    { SYS_recvfrom, "recv", true },
    { SYS_recvmsg, "recvmsg", true },
    { SYS_recvmmsg, "recvmmsg", true },
    { SYS_sendto, "send", true },
    { SYS_sendmsg, "sendmsg", true },
    { SYS_sendmmsg, "sendmmsg", true },
    { SYS_accept, "accept", true },
    { SYS_accept4, "accept4", true },
    { SYS_connect, "connect", true },
    { SYS_flock, "flock", true },
    { SYS_fcntl, "fcntl", true },
    { SYS_ioctl, "ioctl", true },
    { SYS_fsync, "fsync", true },
    { SYS_fdatasync, "fdatasync", true },
    { SYS_ftruncate, "ftruncate", true },
    { SYS_fallocate, "fallocate", true },
    { SYS_fstat, "fstat", true },
    { SYS_getdents64, "getdents", true },
    { SYS_close, "close", true },
    { SYS_epoll_pwait, "epoll_wait", true },
    { SYS_ppoll, "poll", false },
    { SYS_pselect6, "select", false },
    { SYS_nanosleep, "nanosleep", false },
    { SYS_clock_nanosleep, "nanosleep", false },
    { SYS_futex, "futex", false },
    { SYS_openat, "open", false },
    { SYS_unlinkat, "unlink", false },
    { SYS_wait4, "waitpid", false },
    { SYS_waitid, "waitid", false },
    { SYS_rt_sigtimedwait, "sigwait", false },
    { SYS_msgrcv, "msgrcv", false },
    { SYS_msgsnd, "msgsnd", false },
    { SYS_semtimedop, "semop", false },
    { SYS_mmap, "mmap", false },
    { SYS_munmap, "munmap", false },
    { SYS_madvise, "madvise", false },
    { SYS_restart_syscall, "restarted call", false },
#ifdef SYS_poll
    { SYS_open, "open", false },
    { SYS_poll, "poll", false },
    { SYS_select, "select", false },
    { SYS_epoll_wait, "epoll_wait", true },
    { SYS_pause, "pause", false },
    { SYS_unlink, "unlink", false },
    { SYS_rename, "rename", false },
#endif
};

const char *ward__syscall_name(long number, bool *takes_fd)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        if (calls[i].number != number) continue;
        *takes_fd = calls[i].takes_fd;
        return calls[i].name;
    }
    *takes_fd = false;
    return NULL;
}

static void socket_text(int fd, char *out, size_t bytes)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_storage room;
    } peer;
    socklen_t length = sizeof peer;
    char address[INET6_ADDRSTRLEN] = "";

    memset(&peer, 0, sizeof peer);
    if (getpeername(fd, &peer.any, &length))
        snprintf(out, bytes, "fd %d = socket", fd);
    else if (peer.any.sa_family == AF_INET &&
             inet_ntop(AF_INET, &peer.four.sin_addr, address, sizeof address))
        snprintf(out, bytes, "fd %d = socket to %s:%u", fd, address, ntohs(peer.four.sin_port));
    else if (peer.any.sa_family == AF_INET6 &&
             inet_ntop(AF_INET6, &peer.six.sin6_addr, address, sizeof address))
        snprintf(out, bytes, "fd %d = socket to [%s]:%u", fd, address, ntohs(peer.six.sin6_port));
    else
        snprintf(out, bytes, "fd %d = local socket", fd);
}

/* Looks at the link only: fstat may wait for a file server that has gone. */
void ward__fd_text(int fd, char *out, size_t bytes)
{
    char path[64], link[64] = "";
    const char *kind = "file";
    ssize_t length;

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    length = readlink(path, link, sizeof link - 1);
    link[length > 0 ? length : 0] = 0;
    if (strncmp(link, "socket:", 7) == 0) {
        socket_text(fd, out, bytes);
        return;
    }
    if (length <= 0) {
        snprintf(out, bytes, "fd %d", fd);
        return;
    }
    if (strncmp(link, "pipe:", 5) == 0) kind = "pipe";
    if (strncmp(link, "/dev/", 5) == 0) kind = link;
    if (strncmp(link, "anon_inode:[", 12) == 0) { /* "anon_inode:[eventfd]" */
        kind = link + 12;
        link[strcspn(link, "]")] = 0;
    }
    snprintf(out, bytes, "fd %d = %s", fd, kind);
}

/* -- locks ------------------------------------------------------------------------------------- */

bool ward__is_futex(const struct ward__syscall *call)
{
    return call->where == WARD__IN_CALL && call->number == SYS_futex;
}

int ward__mutex_owner(const struct ward__syscall *call)
{
    int words[4]; /* __lock, __count, __owner, __nusers of a pthread_mutex_t */
    struct iovec here = { words, sizeof words };
    struct iovec there = { (void *)(uintptr_t)call->args[0], sizeof words };
    int op = (int)call->args[1] & FUTEX_CMD_MASK;

    _Static_assert(offsetof(pthread_mutex_t, __data.__owner) == 8, "as read here");
    if (!ward__is_futex(call)) return 0;
    if (op != FUTEX_WAIT && op != FUTEX_WAIT_BITSET && op != FUTEX_LOCK_PI) return 0;
    if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != (ssize_t)sizeof words) return 0;
    return words[0] != 0 && ward__tid_lives(words[2]) ? words[2] : 0;
}
