/* SPDX-License-Identifier: MIT */
/*
 * supervisor_isolate_wire_test.c - frames over a socketpair: small and large bodies, the end of
 * the other side, and what a stranger may write instead of a frame.
 */
#include "supervisor/isolate_wire.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static const ward_type TEXT = WARD_TYPE_TEXT("text");
static const ward_type OTHER = WARD_TYPE_TEXT("other");
static const ward_type PLAIN = WARD_TYPE_PLAIN("plain", int);
static const ward_type *const types[] = { &TEXT, &PLAIN };
static const ward_table table = { .types = types, .types_count = WARD_COUNT(types) };

static struct ward__iso_buffer buffer;
static int ends[2];

static void open_ends(void)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
}

static void close_ends(void)
{
    close(ends[0]);
    close(ends[1]);
}

TestSuite(isolate_wire, .init = open_ends, .fini = close_ends);

static void carries(size_t count)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_SEND, .id = 7 };
    char *text = malloc(count + 1);
    struct ward__iso_got got;
    struct ward__packed packed;

    memset(text, 'a', count);
    text[count] = 0;
    cr_assert_eq(ward__iso_put_value(ends[0], &frame, &table, &TEXT, text), WARD_OK);
    cr_assert_eq(ward__iso_get(ends[1], &got, &buffer, 1 << 20), WARD_OK);
    packed = ward__iso_packed(&got, &table, 1 << 20);
    cr_expect(got.head.kind == WARD__ISO_SEND && got.head.id == 7 && packed.type == &TEXT);
    cr_assert_eq(packed.count, count + 8);
    cr_expect_arr_eq((const char *)packed.at + 8, text, count);
    cr_expect_eq(got.map != NULL, count + 8 > WARD__BODY_INLINE);
    ward__iso_release(&got);
    free(text);
}

Test(isolate_wire, carries_bodies_of_any_size)
{
    carries(0);
    carries(3);
    carries(2000);
    carries(WARD__BODY_INLINE - 8);
    carries(WARD__BODY_INLINE - 7);
    carries(1 << 19);
}

Test(isolate_wire, refuses_values_that_cannot_travel)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_SEND };
    int number = 1;

    cr_expect_eq(ward__iso_put_value(ends[0], &frame, &table, &OTHER, "x"), WARD_EINVAL);
    cr_expect_eq(ward__iso_put_value(ends[0], &frame, &table, &PLAIN, &number), WARD_EINVAL);
}

Test(isolate_wire, tells_nothing_from_the_end)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_DONE, .id = 1 };
    struct ward__iso_got got;

    cr_expect_eq(ward__iso_get(ends[1], &got, &buffer, 0), WARD_ETIMEDOUT);
    cr_assert_eq(ward__iso_put(ends[0], &frame, NULL, 0, NULL), WARD_OK);
    cr_assert_eq(ward__iso_put(ends[1], &frame, NULL, 0, NULL), WARD_OK);
    /* It goes with something unread: what it wrote must come all the same. */
    close(ends[0]);
    cr_expect_eq(ward__iso_get(ends[1], &got, &buffer, 0), WARD_OK);
    cr_expect_eq(ward__iso_get(ends[1], &got, &buffer, 0), WARD_ELINK);
    cr_expect_eq(ward__iso_put(ends[1], &frame, NULL, 0, NULL), WARD_ELINK);
}

Test(isolate_wire, says_when_the_socket_is_full)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_DONE };
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < 100000; i++)
        rc = ward__iso_put(ends[0], &frame, NULL, 0, NULL);
    cr_expect_eq(rc, WARD_EFULL);
}

/* A head and a descriptor, as an isolate that was taken over might send them. */
static ward_status got_with(int fd, size_t said)
{
    struct ward__iso_frame frame = {
        .kind = WARD__ISO_SEND, .type = 1, .in_memfd = 1, .body_bytes = said
    };
    int fds[WARD__FRAME_FDS] = { fd, -1 };
    struct ward__iso_got got;
    ward_status rc;

    cr_assert_eq(ward__iso_put(ends[0], &frame, NULL, 0, fds), WARD_OK);
    rc = ward__iso_get(ends[1], &got, &buffer, 8192);
    if (!rc) ward__iso_release(&got);
    return rc;
}

Test(isolate_wire, looks_only_at_sealed_memory_of_the_size_said)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    int fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    cr_assert(fd >= 0 && ftruncate(fd, 4096) == 0);
    cr_expect_eq(got_with(-1, 4096), WARD_EINVAL, "no descriptor");
    cr_expect_eq(got_with(ends[0], 4096), WARD_EINVAL, "not a memfd");
    cr_expect_eq(got_with(fd, 4096), WARD_EINVAL, "not sealed");
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    cr_expect_eq(got_with(fd, 4096), WARD_EINVAL, "could shrink");
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    cr_expect_eq(got_with(fd, 4096), WARD_OK);
    cr_expect_eq(got_with(fd, 4097), WARD_EINVAL, "shorter than it says");
    cr_expect_eq(got_with(fd, 0), WARD_EINVAL);
    cr_expect_eq(got_with(fd, UINT64_MAX), WARD_EINVAL);
    close(fd);
    fd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    cr_assert(fd >= 0 && ftruncate(fd, 16384) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
    cr_expect_eq(got_with(fd, 16384), WARD_ETOOBIG);
    close(fd);
}

Test(isolate_wire, refuses_what_is_no_frame)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_KINDS };
    struct ward__iso_got got;

    cr_assert_eq(send(ends[0], "x", 1, 0), 1);
    cr_expect_eq(ward__iso_get(ends[1], &got, &buffer, 0), WARD_EINVAL, "cut off");
    cr_assert_eq(ward__iso_put(ends[0], &frame, NULL, 0, NULL), WARD_OK);
    cr_expect_eq(ward__iso_get(ends[1], &got, &buffer, 0), WARD_EINVAL, "no such kind");
    frame = (struct ward__iso_frame){ .kind = WARD__ISO_SEND, .body_bytes = 5 };
    cr_assert_eq(send(ends[0], &frame, sizeof frame, 0), (ssize_t)sizeof frame);
    cr_expect_eq(ward__iso_get(ends[1], &got, &buffer, 0), WARD_EINVAL, "no such body");
    frame = (struct ward__iso_frame){ .kind = WARD__ISO_SEND, .type = 3 };
    cr_assert_eq(ward__iso_put(ends[0], &frame, NULL, 0, NULL), WARD_OK);
    cr_assert_eq(ward__iso_get(ends[1], &got, &buffer, 0), WARD_OK);
    cr_expect_null(ward__iso_packed(&got, &table, 0).type, "no such type");
    got.head.type = 2;
    cr_expect_null(ward__iso_packed(&got, &table, 0).type, "not one that travels");
}
