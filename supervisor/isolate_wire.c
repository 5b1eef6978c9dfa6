/* SPDX-License-Identifier: MIT */
/*
 * isolate_wire.c - frames to datagrams and back, see isolate_wire.h. One frame is one system call,
 * so several threads may write to one socket. A memfd from an isolate must be sealed against
 * shrinking, growing and writing before it is looked at: else it could be cut off under the reader.
 */
#include "supervisor/isolate_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mailbox/value.h"

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

/* -- sending ----------------------------------------------------------------------------------- */

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int) * WARD__FRAME_FDS)];
};

static size_t give_fds(struct msghdr *message, union control *control, const int *fds)
{
    size_t count = 0;

    while (fds && count < WARD__FRAME_FDS && fds[count] >= 0)
        count++;
    if (!count) return 0;
    memset(control, 0, sizeof *control);
    message->msg_control = control->room;
    message->msg_controllen = CMSG_SPACE(sizeof(int) * count);
    control->head.cmsg_level = SOL_SOCKET;
    control->head.cmsg_type = SCM_RIGHTS;
    control->head.cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(&control->head), fds, sizeof(int) * count);
    return count;
}

ward_status ward__iso_put(
    int socket, struct ward__iso_frame *head, const void *body, size_t bytes, const int *fds)
{
    struct iovec parts[2] = { { head, sizeof *head }, { (void *)(uintptr_t)body, bytes } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = bytes ? 2 : 1 };
    union control control;
    ssize_t sent;

    if (!head->in_memfd) head->body_bytes = bytes;
    (void)give_fds(&message, &control, fds);
    do {
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return WARD_OK;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return WARD_EFULL;
    return errno == ENOMEM || errno == ENOBUFS ? WARD_ENOMEM : WARD_ELINK;
}

/* A sealed memfd with the packed value; -1: no memory. */
static int pack_apart(const ward_type *type, const void *value, size_t bytes)
{
    int fd = memfd_create("ward-value", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *at = MAP_FAILED;

    if (fd < 0) return -1;
    if (!ftruncate(fd, (off_t)bytes))
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        close(fd);
        return -1;
    }
    ward__pack(type, value, at, bytes);
    munmap(at, bytes);
    if (!fcntl(fd, F_ADD_SEALS, SEALS)) return fd;
    close(fd);
    return -1;
}

ward_status ward__iso_put_value(int socket, struct ward__iso_frame *head, const ward_table *table,
    const ward_type *type, const void *value)
{
    unsigned char room[1024], *body = room;
    int fds[WARD__FRAME_FDS] = { -1, -1 };
    size_t bytes;
    ward_status rc;

    head->type = ward__pack_place(table, type);
    if (!head->type || !ward__pack_possible(type)) return WARD_EINVAL;
    bytes = ward__packed_bytes(type, value);
    head->in_memfd = bytes > WARD__BODY_INLINE;
    if (!head->in_memfd) {
        if (bytes > sizeof room && !(body = malloc(bytes))) return WARD_ENOMEM;
        ward__pack(type, value, body, bytes);
        rc = ward__iso_put(socket, head, body, bytes, NULL);
        if (body != room) free(body);
        return rc;
    }
    fds[0] = pack_apart(type, value, bytes);
    if (fds[0] < 0) return WARD_ENOMEM;
    head->body_bytes = bytes;
    rc = ward__iso_put(socket, head, NULL, 0, fds);
    close(fds[0]);
    return rc;
}

/* -- receiving --------------------------------------------------------------------------------- */

static void take_fds(struct msghdr *message, int *fds)
{
    struct cmsghdr *head = CMSG_FIRSTHDR(message);
    size_t count;

    fds[0] = fds[1] = -1;
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) return;
    count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(head), (count < WARD__FRAME_FDS ? count : WARD__FRAME_FDS) * sizeof(int));
}

static ward_status map_body(struct ward__iso_got *got, size_t bytes_max)
{
    size_t bytes = got->head.body_bytes;
    int fd = got->fds[0], seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
    struct stat status;

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status)) return WARD_EINVAL;
    if (bytes == 0 || (uint64_t)status.st_size != bytes) return WARD_EINVAL;
    if (bytes > bytes_max) return WARD_ETOOBIG;
    got->map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (got->map == MAP_FAILED) got->map = NULL;
    got->body = got->map;
    return got->map ? WARD_OK : WARD_ENOMEM;
}

void ward__iso_release(struct ward__iso_got *got)
{
    if (got->map) munmap(got->map, got->head.body_bytes);
    got->map = NULL;
    for (int i = 0; i < WARD__FRAME_FDS; i++)
        if (got->fds[i] >= 0) close(got->fds[i]);
    got->fds[0] = got->fds[1] = -1;
}

ward_status ward__iso_get(
    int socket, struct ward__iso_got *got, struct ward__iso_buffer *buffer, size_t bytes_max)
{
    struct iovec part = { buffer, sizeof *buffer };
    union control control;
    struct msghdr message = { .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.room,
        .msg_controllen = sizeof control.room };
    ward_status rc = WARD_OK;
    ssize_t bytes;

    *got = (struct ward__iso_got){ .fds = { -1, -1 } };
    /* ECONNRESET says, once, that the other end went without reading all; what it wrote is there.
     */
    do {
        bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (bytes < 0 && (errno == EINTR || errno == ECONNRESET));
    if (bytes < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? WARD_ETIMEDOUT : WARD_ELINK;
    if (bytes == 0) return WARD_ELINK;
    take_fds(&message, got->fds);
    got->head = buffer->head;
    got->body = buffer->body;
    if ((size_t)bytes < sizeof buffer->head || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
        got->head.kind >= WARD__ISO_KINDS)
        rc = WARD_EINVAL;
    else if (got->head.in_memfd)
        rc = map_body(got, bytes_max);
    else if (got->head.body_bytes != (size_t)bytes - sizeof buffer->head)
        rc = WARD_EINVAL;
    if (rc) ward__iso_release(got);
    return rc;
}

struct ward__packed ward__iso_packed(
    const struct ward__iso_got *got, const ward_table *table, size_t blob_max)
{
    struct ward__packed packed = {
        .at = got->body, .count = got->head.body_bytes, .blob_max = blob_max
    };
    uint32_t place = got->head.type;

    if (table && place && place <= table->types_count) packed.type = table->types[place - 1];
    if (packed.type && (ward__type_check(packed.type) || !ward__pack_possible(packed.type)))
        packed.type = NULL;
    return packed;
}
