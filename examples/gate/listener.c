/* SPDX-License-Identifier: MIT */
/*
 * listener.c - accept4 in a loop, parked while nobody comes.
 *
 * Who has no room for another connection (files, memory, actors) leaves it in the kernel's queue
 * and looks again a little later: a queue that stays readable would otherwise make it spin. After
 * SIGTERM it is the first to stop, so nobody is taken in who could not be served. A body on the
 * pool; knows nothing of frames.
 */
#include "examples/gate/listener.h"
#include "examples/gate/connection.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, PAUSE_MS = 50, CONNECTION_STACK = 65536 };

int gate_listener_open(struct gate_address *at)
{
    const int one = 1;
    int fd = socket(at->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&at->at, at->bytes) == 0 && listen(fd, BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)&at->at, &at->bytes) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static ward_status start(ward_self *self, ward_ref connections, int fd)
{
    const struct gate_listener_arg *arg = ward_arg(self);
    const int one = 1;
    struct gate_connection_arg its = {
        .config = arg->config,
        .number = atomic_fetch_add(&arg->config->connections, 1) + 1,
        .fd = fd,
    };
    ward_spec spec = { .name = "mllp",
        .body = gate_connection,
        .cleanup = gate_connection_cleanup,
        .arg = &its,
        .arg_bytes = sizeof its,
        .state_bytes = gate_connection_state_bytes(),
        .stack_bytes = CONNECTION_STACK,
        .mailbox_max = 4,
        .restart = WARD_TEMPORARY };
    ward_ref connection;
    ward_status rc;

    /* An answer is one small packet and must not wait for the next one. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    rc = ward_spawn_under(self, &connection, connections, &spec);
    if (rc) close(fd); /* nobody else has it */
    return rc;
}

/* WARD_ELIMIT: not now. */
static ward_status take_one(ward_self *self, ward_ref connections)
{
    const struct gate_listener_arg *arg = ward_arg(self);
    int fd = accept4(arg->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ward_status rc;

    if (fd < 0) {
        switch (errno) {
        case EAGAIN: return WARD_ETIMEDOUT;
        case EINVAL: return ward_sleep(self, WARD_FOREVER); /* the command has shut it: the end */
        case EBADF:
        case ENOTSOCK: return WARD_EFAIL;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: return WARD_ELIMIT;
        default: return WARD_OK; /* this one has gone already */
        }
    }
    rc = start(self, connections, fd);
    return rc == WARD_ENOMEM ? WARD_ELIMIT : rc;
}

ward_status gate_listener(ward_self *self)
{
    const struct gate_listener_arg *arg = ward_arg(self);
    ward_ref connections;
    ward_status rc = ward_find(self, &connections, "../connections", ward_in_ms(self, 5000));

    while (!rc) {
        rc = take_one(self, connections);
        if (rc == WARD_ETIMEDOUT) {
            rc = ward_poll_fd(self, NULL, arg->fd, WARD_READABLE, WARD_FOREVER);
        } else if (rc == WARD_ELIMIT) {
            gate_log_limited(
                &arg->config->log, GATE_LOG_CONNECTION, "no room for another connection now");
            rc = ward_sleep(self, ward_in_ms(self, PAUSE_MS));
        } else if (!rc) {
            rc = ward_checkpoint(self);
        }
    }
    return rc;
}
