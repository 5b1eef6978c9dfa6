/* SPDX-License-Identifier: MIT */
/*
 * census_serve_test.c - the server, asked by sockets of nng's own and by clients that do not keep
 * to the protocol. Loopback and a directory of its own only; every wait is bounded.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/support/census_fixture.h"

enum { PATIENCE_MS = 10000 };

static char folder[] = "/tmp/ward-census-XXXXXX";
static char url[64];
static ward_node *node;

static ward_status ignore(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    return WARD_OK;
}

static void begin(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(url, sizeof url, "ipc://%s/census", folder);
    cr_assert_eq(ward_open(&node, &(ward_opts){ .workers = 1 }), WARD_OK);
    SPAWN(ward_outside(node), &(ward_spec){ .name = "idle", .handle = ignore });
    cr_assert_eq(ward_census_serve(node, url), WARD_OK);
}

static void end(void)
{
    cr_assert_eq(ward_close(node, NULL, WARD_FOREVER), WARD_OK);
    cr_expect_eq(access(url + 6, F_OK), -1, "the socket is left");
    unlink(url + 6);
    cr_expect_eq(rmdir(folder), 0);
}

static nng_socket dial(const char *to)
{
    nng_socket socket;

    cr_assert_eq(nng_req0_open(&socket), 0);
    nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, PATIENCE_MS);
    nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, PATIENCE_MS);
    cr_assert_eq(nng_dial(socket, to, NULL, 0), 0);
    return socket;
}

/* Asks, and looks for a piece of text in the answer. */
static void expect_answer(nng_socket socket, const char *word, const char *part)
{
    char *at;
    size_t bytes;

    cr_assert_eq(nng_send(socket, (void *)(uintptr_t)word, strlen(word), 0), 0);
    cr_assert_eq(nng_recv(socket, &at, &bytes, NNG_FLAG_ALLOC), 0);
    cr_expect(memmem(at, bytes, part, strlen(part)), "%s: %.*s", word, (int)bytes, at);
    nng_free(at, bytes);
}

TestSuite(serve, .init = begin, .fini = end, .timeout = 50);

Test(serve, answers_a_req_socket_as_often_as_it_asks)
{
    nng_socket socket = dial(url);

    for (int i = 0; i < 50; i++) {
        expect_answer(socket, "text", "/idle ");
        expect_answer(socket, "tree", "\nidle ");
        expect_answer(socket, "sites", "census_serve_test.c:");
        expect_answer(socket, "msgpack", "spawn_site");
    }
    nng_close(socket);
}

Test(serve, says_what_it_does_not_know)
{
    nng_socket socket = dial(url);
    char word[65];

    memset(word, 'x', 64);
    word[64] = 0;
    expect_answer(socket, "help", "error: ask for text, tree, sites or msgpack\n");
    expect_answer(socket, "tex", "error: ");
    expect_answer(socket, "", "error: ");
    expect_answer(socket, word, "error: ");
    expect_answer(socket, "text\n", "/idle ");
    nng_close(socket);
}

Test(serve, listens_on_tcp_too_and_denies_the_rest)
{
    char tcp[64];
    ward_status rc = WARD_ELINK;
    nng_socket socket;

    cr_expect_eq(ward_census_serve(node, "tcp://0.0.0.0:1"), WARD_EDENIED);
    cr_expect_eq(ward_census_serve(node, "tcp://127.0.0.1"), WARD_EINVAL);
    cr_expect_eq(ward_census_serve(node, NULL), WARD_EINVAL);
    cr_expect_eq(ward_census_serve(NULL, url), WARD_EINVAL);
    for (int port = 20000 + getpid() % 20000, i = 0; rc == WARD_ELINK && i < 100; i++) {
        snprintf(tcp, sizeof tcp, "tcp://127.0.0.1:%d", port + i);
        rc = ward_census_serve(node, tcp);
    }
    cr_assert_eq(rc, WARD_OK);
    socket = dial(tcp);
    expect_answer(socket, "text", "/idle ");
    nng_close(socket);
    socket = dial(url);
    expect_answer(socket, "text", "/idle ");
    nng_close(socket);
}

Test(serve, takes_no_address_that_is_taken)
{
    nng_socket socket;

    cr_expect_eq(ward_census_serve(node, url), WARD_ELINK);
    cr_expect_eq(ward_census_serve(node, "ipc:///nowhere/at/all"), WARD_ELINK);
    socket = dial(url); /* and has not harmed who has it */
    expect_answer(socket, "text", "/idle ");
    nng_close(socket);
}

Test(serve, is_for_its_owner_only)
{
    struct stat info;

    cr_assert_eq(stat(url + 6, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0600);
}

Test(serve, refuses_an_answer_that_would_be_too_long)
{
    nng_socket socket;

    for (int i = 0; i < 80000; i++)
        SPAWN(ward_outside(node), &(ward_spec){ .name = "one-of-many", .handle = ignore });
    socket = dial(url);
    expect_answer(socket, "msgpack", "error: 80001 actors are too many for this form");
    expect_answer(socket, "sites", " 80000 receive ");
    nng_close(socket);
}

/* -- clients that misbehave -------------------------------------------------------------------- */

static int connect_raw(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", url + 6);
    cr_assert_geq(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* Reads until the server hangs up, which it is to do without an answer: its own hello is all. */
static bool hangs_up(int fd)
{
    char bytes[256];
    ssize_t got, all = 0;

    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        all += got;
    close(fd);
    return all <= 8 && (got == 0 || errno == ECONNRESET); /* it need not have read all we sent */
}

#define SAY(fd, literal) \
    cr_assert_eq(write((fd), literal, sizeof(literal) - 1), sizeof(literal) - 1)
#define REQ "\0SP\0\0\x30\0\0"
#define TEXT "\1\0\0\0\0\0\0\0\10\x80\0\0\1text"

Test(serve, hangs_up_on_who_does_not_keep_to_the_protocol)
{
    nng_socket socket;
    int fd = connect_raw();

    SAY(fd, "GET / HTTP/1.1\r\n\r\n");
    cr_expect(hangs_up(fd));
    fd = connect_raw();
    SAY(fd, "\0SP\0\0\x20\0\0" TEXT); /* a SUB socket, for one */
    cr_expect(hangs_up(fd));
    fd = connect_raw();
    SAY(fd, REQ "\1\0\0\0\0\0\0\1\0"); /* 256 bytes to come */
    cr_expect(hangs_up(fd));
    fd = connect_raw();
    SAY(fd, REQ "\1\xff\xff\xff\xff\xff\xff\xff\xe0");
    cr_expect(hangs_up(fd));
    fd = connect_raw();
    SAY(fd, REQ "\1\0\0\0\0\0\0\0\10\0\0\0\1text"); /* the way back does not end */
    cr_expect(hangs_up(fd));
    for (int i = 0; i < 100; i++)
        close(connect_raw());
    socket = dial(url);
    expect_answer(socket, "text", "/idle ");
    nng_close(socket);
}

Test(serve, gives_each_step_five_seconds)
{
    int silent = connect_raw(), half = connect_raw();

    SAY(half, REQ "\1\0\0");
    cr_expect(hangs_up(silent));
    cr_expect(hangs_up(half));
}

/* All places are taken by who says nothing; the next one is served when they are thrown out. */
Test(serve, lets_the_seventeenth_wait_its_turn)
{
    int fds[16];
    nng_socket socket;

    for (int i = 0; i < 16; i++)
        fds[i] = connect_raw();
    socket = dial(url);
    expect_answer(socket, "text", "/idle ");
    nng_close(socket);
    for (int i = 0; i < 16; i++)
        cr_expect(hangs_up(fds[i]));
}

/* -- the end ----------------------------------------------------------------------------------- */

Test(serve, ends_with_its_node_whatever_is_under_way)
{
    nng_socket sockets[4];
    int fds[4];

    for (int i = 0; i < 4; i++) {
        fds[i] = connect_raw();
        sockets[i] = dial(url);
        cr_assert_eq(nng_send(sockets[i], "text", 4, 0), 0);
    }
    cr_assert_eq(ward_close(node, NULL, WARD_FOREVER), WARD_OK);
    for (int i = 0; i < 4; i++) {
        cr_expect(hangs_up(fds[i]));
        nng_close(sockets[i]);
    }
    cr_expect_eq(access(url + 6, F_OK), -1);
    cr_assert_eq(ward_open(&node, NULL), WARD_OK); /* its socket's path can be used again */
    cr_assert_eq(ward_census_serve(node, url), WARD_OK);
}

static ward_status late_status;

static void serve_late(ward_self *self, ward_reason why)
{
    (void)why;
    late_status = ward_census_serve(ward_node_of(self), url);
}

Test(serve, does_not_begin_when_the_node_closes)
{
    ward_node *other; /* that serves nothing yet */

    cr_assert_eq(ward_open(&other, NULL), WARD_OK);
    SPAWN(ward_outside(other), &(ward_spec){ .handle = ignore, .cleanup = serve_late });
    cr_assert_eq(ward_close(other, NULL, WARD_FOREVER), WARD_OK);
    cr_expect_eq(late_status, WARD_ESTATE);
}

static ward_status serve_simulated(ward_self *self)
{
    return ward_census_serve(ward_node_of(self), url) == WARD_ESTATE ? WARD_OK : WARD_EFAIL;
}

Test(serve, is_not_for_simulated_nodes)
{
    run_simulated(serve_simulated);
}
