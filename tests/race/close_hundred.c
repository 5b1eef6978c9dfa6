/* SPDX-License-Identifier: MIT */
/*
 * close_hundred.c - a close with a hundred handlers that never return, a full mailbox with senders
 * that wait for room in it, and somebody who sleeps before he tries again: back by its deadline,
 * and every one of the hundred is named, with what it is stuck in. The same with an on_event that
 * does not come back: it is left behind, and told nothing any more.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/check.h"

/* Ten times what docs/stuck.md has, by the best of some rounds: a busy machine has more. */
enum { STUCK = 100, SENDERS = 20, CLOSE_MS = 300, OVER_MS = 100, ROUNDS = 5, MS = 1000000 };

static const ward_type WORK = WARD_TYPE_TEXT("work");

static struct {
    int pipe[2];
    _Atomic uint32_t hanging, waiting, named, named_right, told;
    _Atomic size_t blocks;
} all;

static void *counted(void *hook, void *old, size_t old_bytes, size_t bytes)
{
    void *at;

    (void)hook;
    (void)old_bytes;
    if (bytes == 0) {
        free(old);
        atomic_fetch_sub(&all.blocks, 1);
        return NULL;
    }
    at = realloc(old, bytes);
    if (at && !old) atomic_fetch_add(&all.blocks, 1);
    return at;
}

static void note(void *hook, const ward_event *event)
{
    (void)hook;
    if (event->kind != WARD_EV_ABANDONED) return;
    ward__add(&all.named, 1);
    if (strncmp(event->path, "/stuck", 6) == 0 && strncmp(event->what, "read(fd ", 8) == 0)
        ward__add(&all.named_right, 1);
}

static ward_status hang(ward_self *self, const ward_msg *msg)
{
    char byte;

    (void)self;
    (void)msg;
    ward__add(&all.hanging, 1);
    CHECK_IS(read(all.pipe[0], &byte, 1), 0);
    return WARD_OK;
}

/* Its mailbox is full and stays so. */
static ward_status never_take(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static ward_status wait_for_room(ward_self *self)
{
    ward_ref full = *(const ward_ref *)ward_arg(self);

    ward__add(&all.waiting, 1);
    return ward_send_by(self, full, &WORK, "more", WARD_FOREVER);
}

/* Tries for ever what always fails. */
static ward_status retry(ward_self *self)
{
    ward_ref nobody = { 0 };
    ward_status rc = WARD_OK;

    ward__add(&all.waiting, 1);
    while (!rc)
        rc = ward_send(self, nobody, &WORK, "again") ? ward_sleep(self, ward_in_ms(self, 60000))
                                                     : WARD_EFAIL;
    return rc;
}

static void begin(ward_self *self)
{
    ward_ref full, ref;
    char name[24];

    for (int i = 0; i < STUCK; i++) {
        snprintf(name, sizeof name, "stuck%d", i);
        CHECK_IS(
            ward_spawn(self, &ref, &(ward_spec){ .name = name, .handle = hang, .blocking = true }),
            WARD_OK);
        CHECK_IS(ward_send(self, ref, &WORK, "hang"), WARD_OK);
    }
    CHECK_IS(
        ward_spawn(self, &full, &(ward_spec){ .body = never_take, .mailbox_max = 4 }), WARD_OK);
    while (ward_send(self, full, &WORK, "fill") == WARD_OK) {
    }
    for (int i = 0; i < SENDERS; i++)
        CHECK_IS(ward_spawn(self, &ref,
                     &(ward_spec){ .body = wait_for_room, .arg = &full, .arg_bytes = sizeof full }),
            WARD_OK);
    CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .body = retry }), WARD_OK);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void nap(void)
{
    struct timespec ms = { 0, MS };
    nanosleep(&ms, NULL);
}

/* Returns how late it was, ns. */
static int64_t run(void)
{
    ward_node *node;
    ward_self *self;
    size_t abandoned = 0;
    int64_t by_ns;

    memset(&all, 0, sizeof all);
    CHECK_IS(pipe(all.pipe), 0);
    node = check_open(
        &(ward_opts){ .workers = 2, .blocking_max = STUCK, .on_event = note, .alloc = counted });
    self = ward_outside(node);
    begin(self);
    while (all.hanging < STUCK || all.waiting < SENDERS + 1)
        nap();
    by_ns = now_ns() + CLOSE_MS * (int64_t)MS;
    CHECK_IS(ward_close(node, &abandoned, ward_in_ms(self, CLOSE_MS)), WARD_ETIMEDOUT);
    by_ns = now_ns() - by_ns;
    printf("a close with %d stuck: %lld us after its deadline\n", STUCK, (long long)by_ns / 1000);
    CHECK_IS(abandoned, STUCK);
    CHECK_IS(all.named, STUCK);
    CHECK_IS(all.named_right, STUCK);
    close(all.pipe[1]);
    while (all.blocks > 0)
        nap(); /* the last of them frees the node */
    close(all.pipe[0]);
    return by_ns;
}

static void hang_in_hook(void *hook, const ward_event *event)
{
    char byte;

    (void)hook;
    (void)event;
    ward__add(&all.told, 1);
    CHECK_IS(read(all.pipe[0], &byte, 1), 0);
}

static ward_status fail(ward_self *self)
{
    (void)self;
    return WARD_EFAIL;
}

static int64_t run_hook(void)
{
    ward_node *node;
    ward_self *self;
    ward_ref ref;
    size_t abandoned = 7;
    int64_t by_ns;

    memset(&all, 0, sizeof all);
    CHECK_IS(pipe(all.pipe), 0);
    node = check_open(&(ward_opts){ .workers = 2, .on_event = hang_in_hook, .alloc = counted });
    self = ward_outside(node);
    for (int i = 0; i < 3; i++)
        CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .body = fail }), WARD_OK);
    while (!all.told)
        nap();
    by_ns = now_ns() + CLOSE_MS * (int64_t)MS;
    CHECK_IS(ward_close(node, &abandoned, ward_in_ms(self, CLOSE_MS)), WARD_ETIMEDOUT);
    by_ns = now_ns() - by_ns;
    CHECK_IS(abandoned, 0);
    CHECK(all.blocks > 0); /* it has the node */
    close(all.pipe[1]);
    while (all.blocks > 0)
        nap();
    CHECK_IS(all.told, 1);
    close(all.pipe[0]);
    return by_ns;
}

static void best_of(int64_t (*once)(void))
{
    int64_t best = INT64_MAX;

    for (int i = 0; i < ROUNDS && best > OVER_MS * (int64_t)MS; i++) {
        int64_t late = once();
        if (late < best) best = late;
    }
    CHECK(best < OVER_MS * (int64_t)MS);
}

int main(void)
{
    check_begin("close with a hundred stuck");
    best_of(run);
    best_of(run_hook);
    return check_end();
}
