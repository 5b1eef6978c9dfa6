/* SPDX-License-Identifier: MIT */
/*
 * census_serve.c - nodes open, serve their census and close, again and again, while clients ask,
 * connect and hang up: the end of a server races with every step of a connection. A client may see
 * any error, the node none, and each close gives everything back. Ends by itself.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <ward/census.h>

#include "tests/support/check.h"

/* For LeakSanitizer: nng's own socket, with which the clients here ask, may lose a message when it
 * is closed in mid-send. Nodes use no sockets of nng. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:nng_send\n";
}

enum { ROUNDS = 60, CLIENTS = 3, ROUND_NS = 20000000, REQUEST = 25 };

static char folder[] = "/tmp/ward-race-XXXXXX";
static char path[64], url[80];
static _Atomic bool over;
static _Atomic long answers;

static ward_status ignore(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    return WARD_OK;
}

/* Asks as long as the socket can be dialled; nng dials again by itself when a node has closed. */
static void *ask(void *arg)
{
    static char *const words[] = { "text", "tree", "sites", "msgpack" };
    nng_socket socket;

    (void)arg;
    if (!CHECK_IS(nng_req0_open(&socket), 0)) return NULL;
    nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, 50);
    nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, 50);
    nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, 1);
    CHECK_IS(nng_dial(socket, url, NULL, NNG_FLAG_NONBLOCK), 0);
    for (int i = 0; !atomic_load(&over); i++) {
        char *at;
        size_t bytes;
        if (nng_send(socket, words[i & 3], strlen(words[i & 3]), 0)) continue;
        if (nng_recv(socket, &at, &bytes, NNG_FLAG_ALLOC)) continue;
        atomic_fetch_add(&answers, 1);
        CHECK(bytes > 0);
        nng_free(at, bytes);
    }
    nng_close(socket);
    return NULL;
}

/* Says the first `count` bytes of what a client would; having said all, it reads the answer. */
static bool chat(const struct sockaddr_un *address, size_t count)
{
    static const char request[REQUEST] = "\0SP\0\0\x30\0\0\1\0\0\0\0\0\0\0\10\x80\0\0\1text";
    struct timeval patience = { .tv_sec = 10 };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    char answer[400];
    ssize_t got = 0, all = 0;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (there && send(fd, request, count, MSG_NOSIGNAL) == REQUEST)
        while (all < (ssize_t)sizeof answer && (got = read(fd, answer, sizeof answer)) > 0)
            all += got;
    atomic_fetch_add(&answers, all > 8);
    close(fd);
    return there;
}

static void *hang_up(void *arg)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    (void)arg;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (size_t i = 0; !atomic_load(&over); i++) {
        size_t count = i % 2 ? REQUEST : i / 2 % REQUEST;
        if (!chat(&address, count)) nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
    }
    return NULL;
}

static void one_node(int round)
{
    ward_node *node = check_open(&(ward_opts){ .workers = 1 });
    struct timespec while_it_lives = { .tv_nsec = ROUND_NS / 4 * (round & 3) };
    ward_ref ref;

    for (int i = 0; i < 20; i++)
        CHECK_IS(ward_spawn(ward_outside(node), &ref, &(ward_spec){ .handle = ignore }), WARD_OK);
    CHECK_IS(ward_census_serve(node, url), WARD_OK);
    nanosleep(&while_it_lives, NULL);
    check_close(node);
    CHECK(access(path, F_OK) != 0);
}

int main(void)
{
    pthread_t clients[CLIENTS + 1];

    check_begin("nodes close while their census is asked for");
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/census", folder);
    snprintf(url, sizeof url, "ipc://%s", path);
    for (int i = 0; i <= CLIENTS; i++)
        if (pthread_create(&clients[i], NULL, i == 0 ? ask : hang_up, NULL)) return 1;
    for (int round = 0; round < ROUNDS; round++)
        one_node(round);
    one_node(3); /* long enough for a client to dial again */
    atomic_store(&over, true);
    for (int i = 0; i <= CLIENTS; i++)
        pthread_join(clients[i], NULL);
    printf("%ld answers\n", atomic_load(&answers));
    CHECK(atomic_load(&answers) > 0);
    CHECK_IS(rmdir(folder), 0);
    return check_end();
}
