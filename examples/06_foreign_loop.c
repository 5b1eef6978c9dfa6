/* SPDX-License-Identifier: MIT */
/*
 * A server with its own epoll loop: its thread becomes an actor, and its mailbox is one more fd
 * to poll. Ward takes no signal and surprises no thread.
 *
 * Prints:
 *   loop: result of ping
 *   loop: result of pong
 *   loop: cancelled
 */
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <ward/ward.h>

static const ward_type RESULT = WARD_TYPE_TEXT("result"), JOB = WARD_TYPE_TEXT("job");

static ward_status work(ward_self *self, const ward_msg *msg)
{
    const ward_ref *loop = ward_arg(self); /* a message has no sender: who wants it, says so */
    const char *text = ward_textf(self, "result of %s", ward_text(msg));

    return ward_send(self, *loop, &RESULT, text);
}

/* Takes whatever is there; the fd is readable again when more comes. */
static ward_status drain(ward_self *self, int *left)
{
    const ward_msg *msg;
    ward_status rc;

    while ((rc = ward_receive(self, &msg, WARD_NOW)) == WARD_OK) {
        printf("loop: %s\n", ward_text(msg));
        if (--*left == 0) ward_cancel(self, ward_me(self)); /* stands for a shutdown */
    }
    if (rc == WARD_ECANCELED) puts("loop: cancelled");
    return rc == WARD_ETIMEDOUT ? WARD_OK : rc;
}

static ward_status loop(ward_self *self)
{
    struct epoll_event ev = { .events = EPOLLIN }, got[8];
    int ep = epoll_create1(EPOLL_CLOEXEC), fd = ward_mail_fd(self), left = 2;
    ward_status rc = WARD_OK;

    ev.data.fd = fd;
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev)) return WARD_EFAIL;
    while (!rc) { /* the host's sockets are in here too */
        int n = epoll_wait(ep, got, 8, 5000);
        if (n <= 0) rc = WARD_ETIMEDOUT;
        for (int i = 0; !rc && i < n; i++)
            if (got[i].data.fd == fd) rc = drain(self, &left);
    }
    close(ep);
    return rc;
}

int main(void)
{
    ward_node *node;
    ward_self *self;
    ward_ref worker;
    size_t abandoned;
    ward_status rc = ward_open(&node, &(ward_opts){ .name = "host", .workers = 2 });

    if (rc) return 1;
    rc = ward_attach(node, &self, &(ward_spec){ .name = "loop", .mailbox_max = 64 });
    if (!rc) {
        ward_ref me = ward_me(self);
        ward_spec spec = { .name = "work", .handle = work, .arg = &me, .arg_bytes = sizeof me };
        rc = ward_spawn(ward_outside(node), &worker, &spec);
        if (!rc) rc = ward_send(self, worker, &JOB, "ping");
        if (!rc) rc = ward_send(self, worker, &JOB, "pong");
        if (!rc) rc = loop(self);
        ward_detach(self);
    }
    ward_status closed = ward_close(node, &abandoned, ward_in_ms(ward_outside(node), 5000));
    return closed || (rc && rc != WARD_ECANCELED);
}
