/* SPDX-License-Identifier: MIT */
/*
 * poll.c - bodies that wait for sockets: ready, in time, cancelled, hung up; and no thread held.
 *
 * Pairs of bodies talk over socketpairs; waits end by their deadline, never early, by a peer that
 * closes, and by cancellation, after which the same fd can be waited for again; what cannot be
 * polled is refused. Then a thousand bodies wait at once, and the process has no more threads than
 * before.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { PAIRS = 8, BYTES = 4000, CROWD = 1000, WAITS = 200 };

struct pair {
    int fd[2];
    _Atomic uint32_t names, waiting;
};

static ward_status wait_in(ward_self *self, int fd, unsigned want, ward_deadline by)
{
    unsigned ready = 0;
    ward_status rc = ward_poll_fd(self, &ready, fd, want, by);

    if (rc == WARD_OK) CHECK(ready & want);
    return rc;
}

static void open_pair(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    CHECK_IS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair->fd), 0);
}

/* -- talk -------------------------------------------------------------------------------------- */

/* Passes a byte to and fro; the end of the one is a hang-up for the other. */
static ward_status talk(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    uint32_t name = ward__add(&pair->names, 1);
    int fd = pair->fd[name];
    char byte = 'x';
    ssize_t n = 1;

    if (name == 0) CHECK_IS(write(fd, &byte, 1), 1);
    for (uint32_t i = 0; n > 0 && i < SCALED(BYTES); i++) {
        CHECK_IS(wait_in(self, fd, WARD_READABLE, WARD_FOREVER), WARD_OK);
        n = read(fd, &byte, 1);
        if (n > 0) CHECK_IS(wait_in(self, fd, WARD_WRITABLE, WARD_FOREVER), WARD_OK);
        if (n > 0) n = write(fd, &byte, 1);
    }
    shutdown(fd, SHUT_RDWR);
    return WARD_OK;
}

static void run_talk(ward_self *self)
{
    static struct pair pairs[PAIRS];
    ward_ref all[PAIRS * 2];

    for (int i = 0; i < PAIRS; i++) {
        open_pair(&pairs[i]);
        for (int k = 0; k < 2; k++)
            CHECK_IS(ward_spawn(self, &all[i * 2 + k],
                         &(ward_spec){ .body = talk, .arg = &pairs[i], .blocking = i == 7 }),
                WARD_OK);
    }
    CHECK_IS(ward_join(self, all, PAIRS * 2, WARD_FOREVER), WARD_OK);
    for (int i = 0; i < PAIRS; i++) {
        close(pairs[i].fd[0]);
        close(pairs[i].fd[1]);
    }
}

/* -- ends of a wait ---------------------------------------------------------------------------- */

static ward_status until_cancelled(ward_self *self)
{
    struct pair *pair = ward_arg(self);

    ward__add(&pair->waiting, 1);
    CHECK_IS(wait_in(self, pair->fd[0], WARD_READABLE, WARD_FOREVER), WARD_ECANCELED);
    return WARD_ECANCELED;
}

static ward_status try_ends(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    int fd = pair->fd[0], file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char byte;

    for (int i = 0; i < SCALED(WAITS); i++) {
        ward_deadline by = ward_in_ms(self, i % 3);

        CHECK_IS(wait_in(self, fd, WARD_READABLE, by), WARD_ETIMEDOUT);
        CHECK(ward_now_ns(self) >= by.ns);
    }
    CHECK_IS(wait_in(self, fd, WARD_READABLE, WARD_NOW), WARD_ETIMEDOUT);
    CHECK_IS(wait_in(self, fd, WARD_WRITABLE, WARD_NOW), WARD_OK);
    CHECK_IS(write(pair->fd[1], "x", 1), 1);
    CHECK_IS(wait_in(self, fd, WARD_READABLE, WARD_NOW), WARD_OK);
    CHECK_IS(wait_in(self, fd, WARD_READABLE, WARD_FOREVER), WARD_OK);
    CHECK_IS(read(fd, &byte, 1), 1);
    CHECK_IS(wait_in(self, file, WARD_READABLE, WARD_FOREVER), WARD_EINVAL);
    CHECK_IS(wait_in(self, file, WARD_READABLE, WARD_NOW), WARD_EINVAL);
    CHECK_IS(wait_in(self, -1, WARD_READABLE, WARD_FOREVER), WARD_EINVAL);
    CHECK_IS(wait_in(self, 999999, WARD_READABLE, WARD_FOREVER), WARD_EINVAL);
    CHECK_IS(wait_in(self, fd, 0, WARD_FOREVER), WARD_EINVAL);
    close(file);
    return WARD_OK;
}

static ward_status see_close(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    char byte;

    ward__add(&pair->waiting, 1);
    CHECK_IS(wait_in(self, pair->fd[0], WARD_READABLE, WARD_FOREVER), WARD_OK);
    CHECK_IS(read(pair->fd[0], &byte, 1), 0);
    return WARD_OK;
}

static void spawn_and_wait(ward_self *self, ward_ref *ref, ward_body *body, struct pair *pair)
{
    uint32_t waiting = atomic_load(&pair->waiting);

    CHECK_IS(
        ward_spawn(self, ref, &(ward_spec){ .body = body, .arg = pair, .restart = WARD_TEMPORARY }),
        WARD_OK);
    while (atomic_load(&pair->waiting) == waiting)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
}

static void run_ends(ward_self *self)
{
    static struct pair pair;
    ward_ref ref;

    open_pair(&pair);
    for (int i = 0; i < 20; i++) { /* the same fd again and again */
        spawn_and_wait(self, &ref, until_cancelled, &pair);
        ward_cancel(self, ref);
        CHECK_IS(ward_join(self, &ref, 1, WARD_FOREVER), WARD_OK);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_IS(ward_spawn(self, &ref,
                     &(ward_spec){ .body = try_ends, .arg = &pair, .blocking = i == 1 }),
            WARD_OK);
        CHECK_IS(ward_join(self, &ref, 1, WARD_FOREVER), WARD_OK);
    }
    spawn_and_wait(self, &ref, see_close, &pair);
    close(pair.fd[1]);
    CHECK_IS(ward_join(self, &ref, 1, WARD_FOREVER), WARD_OK);
    close(pair.fd[0]);
}

/* -- taken over -------------------------------------------------------------------------------- */

static ward_status give_up(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    ward_deadline by = ward_in_ms(self, 100);

    ward__add(&pair->waiting, 1);
    CHECK_IS(wait_in(self, pair->fd[0], WARD_READABLE, by), WARD_ETIMEDOUT);
    return WARD_OK;
}

static ward_status take_over(ward_self *self)
{
    struct pair *pair = ward_arg(self);

    ward__add(&pair->waiting, 1);
    CHECK_IS(wait_in(self, pair->fd[0], WARD_READABLE, ward_in_ms(self, 10000)), WARD_OK);
    return WARD_OK;
}

/* The end of the first wait does not end the second one's. */
static void run_taken_over(ward_self *self)
{
    struct pair pair;
    ward_ref first, second;

    open_pair(&pair);
    spawn_and_wait(self, &first, give_up, &pair);
    atomic_store(&pair.waiting, 0);
    spawn_and_wait(self, &second, take_over, &pair);
    CHECK_IS(ward_join(self, &first, 1, WARD_FOREVER), WARD_OK);
    CHECK_IS(write(pair.fd[1], "x", 1), 1);
    CHECK_IS(ward_join(self, &second, 1, WARD_FOREVER), WARD_OK);
    close(pair.fd[0]);
    close(pair.fd[1]);
}

/* -- a crowd ----------------------------------------------------------------------------------- */

static int threads_now(void)
{
    DIR *dir = opendir("/proc/self/task");
    int count = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    if (dir) closedir(dir);
    return count;
}

static ward_status wait_for_a_byte(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    char byte;

    ward__add(&pair->waiting, 1);
    CHECK_IS(wait_in(self, pair->fd[0], WARD_READABLE, WARD_FOREVER), WARD_OK);
    CHECK_IS(read(pair->fd[0], &byte, 1), 1);
    close(pair->fd[0]);
    return WARD_OK;
}

static void run_crowd(ward_self *self)
{
    struct rlimit files;
    uint32_t crowd = SCALED(CROWD) * (SCALED(20) == 20 ? 1 : 4);
    struct pair *pairs = calloc(crowd, sizeof *pairs);
    ward_ref *all = calloc(crowd, sizeof *all);
    int before = threads_now();

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < crowd * 2 + 100) crowd = (uint32_t)files.rlim_cur / 4;
    for (uint32_t i = 0; i < crowd; i++) {
        open_pair(&pairs[i]);
        CHECK_IS(
            ward_spawn(self, &all[i], &(ward_spec){ .body = wait_for_a_byte, .arg = &pairs[i] }),
            WARD_OK);
    }
    for (uint32_t i = 0; i < crowd; i++)
        while (!atomic_load(&pairs[i].waiting))
            CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    printf("%u bodies wait for sockets: %d threads, %d before\n", crowd, threads_now(), before);
    CHECK(threads_now() <= before + 2); /* a spare may have been needed for a moment */
    for (uint32_t i = 0; i < crowd; i++)
        CHECK_IS(write(pairs[i].fd[1], "x", 1), 1);
    CHECK_IS(ward_join(self, all, crowd, WARD_FOREVER), WARD_OK);
    for (uint32_t i = 0; i < crowd; i++)
        close(pairs[i].fd[1]);
    free(pairs);
    free(all);
}

static ward_status run(ward_self *self)
{
    run_talk(self);
    run_ends(self);
    run_taken_over(self);
    run_crowd(self);
    return WARD_OK;
}

int main(void)
{
    check_begin("poll");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 2 }), WARD_OK);
    return check_end();
}
