/* SPDX-License-Identifier: MIT */
/*
 * poller.c - sockets: one epoll thread a node, started at first use. It runs no user code: it
 * claims the cell of who waits for the fd and makes it runnable. What it is told about an fd
 * carries slot and cell, so a late event ends no other wait. An fd may be polled by one actor at a
 * time. Parked is not a turn, so nobody who waits for a socket is ever called stuck.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actors/node.h"
#include "base/assert.h"

struct ward__poller {
    int epoll, stop;
    pthread_t thread;
    ward_node *node;
};

static uint64_t key_of(uint32_t slot, uint64_t cell)
{
    return (uint64_t)slot << 32 | (uint32_t)cell;
}

static void ready(struct ward__here *here, uint64_t key, uint32_t events)
{
    struct ward__slot *slot = ward__slot(here->node, (uint32_t)(key >> 32));
    uint64_t cell = ward__load_acq(&slot->wait.cell);
    uint32_t bits = 0;

    if ((uint32_t)cell != (uint32_t)key || !ward__waiting(cell)) return;
    if (!ward__wait_claim(&slot->wait, cell)) return;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)) bits |= WARD_READABLE;
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) bits |= WARD_WRITABLE;
    slot->wait.status = WARD_OK;
    slot->wait.answer = bits;
    ward__resume(here, slot);
}

static void *poller_main(void *arg)
{
    struct ward__poller *poller = arg;
    struct ward__here here = { poller->node, NULL, NULL };
    struct epoll_event events[64];

    for (;;) {
        int n = epoll_wait(poller->epoll, events, 64, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == 0) return NULL; /* slot 0 is nobody: stop */
            ready(&here, events[i].data.u64, events[i].events);
        }
        if (n < 0 && errno != EINTR) return NULL;
    }
}

static void destroy(struct ward__poller *poller)
{
    if (poller->epoll >= 0) close(poller->epoll);
    if (poller->stop >= 0) close(poller->stop);
    ward__free(&poller->node->heap, poller, sizeof *poller);
}

static struct ward__poller *create(ward_node *node)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 0 };
    struct ward__poller *poller = ward__alloc(&node->heap, sizeof *poller);

    if (!poller) return NULL;
    poller->node = node;
    poller->epoll = epoll_create1(EPOLL_CLOEXEC);
    poller->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poller->epoll < 0 || poller->stop < 0 ||
        epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->stop, &event) ||
        !ward__thread_start(&poller->thread, "ward-poller", 0, poller_main, poller)) {
        destroy(poller);
        return NULL;
    }
    return poller;
}

/* The node's poller, started by who needs it first. */
static struct ward__poller *get(ward_node *node)
{
    struct ward__poller *poller = ward__load_acq(&node->poller);

    if (poller) return poller;
    pthread_mutex_lock(&node->pool_lock);
    poller = ward__load_acq(&node->poller);
    if (!poller) {
        poller = create(node);
        ward__store_rel(&node->poller, poller);
    }
    pthread_mutex_unlock(&node->pool_lock);
    return poller;
}

void ward__poller_close(ward_node *node)
{
    struct ward__poller *poller = ward__load_acq(&node->poller);
    uint64_t one = 1;

    if (!poller) return;
    while (write(poller->stop, &one, sizeof one) < 0 && errno == EINTR) {
    }
    pthread_join(poller->thread, NULL);
    destroy(poller);
    ward__store(&node->poller, NULL);
}

/* An fd that was polled before is known already, unless it was closed since. */
static bool watch(const struct ward__poller *poller, int fd, unsigned want, uint64_t key)
{
    struct epoll_event event = { .data.u64 = key, .events = EPOLLONESHOT | EPOLLRDHUP };

    if (want & WARD_READABLE) event.events |= EPOLLIN;
    if (want & WARD_WRITABLE) event.events |= EPOLLOUT;
    return !epoll_ctl(poller->epoll, EPOLL_CTL_MOD, fd, &event) ||
           (errno == ENOENT && !epoll_ctl(poller->epoll, EPOLL_CTL_ADD, fd, &event));
}

/* Without waiting. */
static ward_status look(unsigned *out, int fd, unsigned want)
{
    struct pollfd at = { .fd = fd };
    struct stat file;
    unsigned bits = 0;

    if (fstat(fd, &file) || S_ISREG(file.st_mode) || S_ISDIR(file.st_mode)) return WARD_EINVAL;
    if (want & WARD_READABLE) at.events |= POLLIN | POLLRDHUP;
    if (want & WARD_WRITABLE) at.events |= POLLOUT;
    if (poll(&at, 1, 0) <= 0) return WARD_ETIMEDOUT;
    if (at.revents & (POLLIN | POLLERR | POLLHUP | POLLRDHUP)) bits |= WARD_READABLE;
    if (at.revents & (POLLOUT | POLLERR | POLLHUP)) bits |= WARD_WRITABLE;
    if (out) *out = bits;
    return WARD_OK;
}

/* NOLINTNEXTLINE(readability-function-size): what a public wait needs */
ward_status ward_poll_fd_at(
    ward_self *self, unsigned *out, int fd, unsigned want, ward_deadline by, const char *at)
{
    struct ward__here here;
    struct ward__poller *poller = NULL;
    uint64_t cell;
    ward_status rc;

    if (fd < 0 || want == 0 || (want & ~(unsigned)(WARD_READABLE | WARD_WRITABLE)))
        return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE || self->node->sim) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = ward__wait_refused(self);
    if (!self->waits && !self->ending) {
        rc = look(out, fd, want);
        if (rc == WARD_ETIMEDOUT) rc = WARD_ESTATE;
    } else if (!rc && ward__wait_until(self, by) <= ward__clock_ns(here.node)) {
        rc = look(out, fd, want);
    } else if (!rc && !(poller = get(here.node))) {
        rc = WARD_ENOMEM;
    } else if (!rc) {
        cell = ward__wait_begin(&here, self, ward__wait_until(self, by), "poll", at);
        if (watch(poller, fd, want, key_of(ward__index(here.node, self->slot), cell))) {
            rc = ward__wait_end(&here, self, cell);
            /* The fd stays known: another actor may have taken it over meanwhile, and a late event
             * of this wait finds its cell gone. */
            if (!rc && out) *out = self->slot->wait.answer;
        } else {
            ward__wait_undo(self);
            rc = WARD_EINVAL;
        }
    }
    ward__waited(&here, self);
    ward__leave(self);
    return rc;
}
