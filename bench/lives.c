/* SPDX-License-Identifier: MIT */
/*
 * lives.c - forkjoin, skynet, idle, idletimer: actors that are made, wait, and end.
 */
#include "bench.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDLE_MS = 60000, SETTLE_MS = 300, TREE_WIDTH = 10, LONG_LOOP = 64 };

static struct bench_args *args;
static ward_ref main_actor;
static atomic_long left;

static void begin_here(ward_self *self)
{
    args = ward_arg(self);
    main_actor = ward_me(self);
    atomic_store(&left, args->count[0]);
}

static void count_down(ward_self *self)
{
    if (atomic_fetch_sub(&left, 1) == 1) bench_done(self, main_actor, 0);
}

static ward_status once(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    count_down(self);
    return WARD_STOP;
}

static ward_status once_body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    if (!rc) count_down(self);
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

/* -- forkjoin ---------------------------------------------------------------------------------- */

static ward_status fork_and_wait(ward_self *self)
{
    const ward_msg *msg;

    for (int64_t i = 0; i < args->count[0]; i++) {
        ward_ref child = bench_spawn(self, args, once, once_body, (ward_spec){ 0 });
        bench_ok(ward_send(self, child, &BENCH_NUMBER, &i), "send");
        /* Neither waits, and a body that never does keeps its worker to itself. */
        if (i % LONG_LOOP == 0) bench_ok(ward_checkpoint(self), "checkpoint");
    }
    /* Its children end with it. */
    return ward_receive(self, &msg, WARD_FOREVER) == WARD_ECANCELED ? WARD_OK : WARD_EFAIL;
}

ward_status bench_forkjoin(ward_self *self)
{
    begin_here(self);
    bench_begin(args);
    (void)bench_spawn(self, args, NULL, fork_and_wait, (ward_spec){ 0 });
    (void)bench_wait(self);
    bench_report(args, args->count[0], bench_seconds(args), "");
    return WARD_OK;
}

/* -- skynet ------------------------------------------------------------------------------------ */

struct slice {
    int64_t from, size;
};
struct inner {
    int64_t sum, count;
};

static ward_handler add;
static ward_body grow, grow_body;

static void make(ward_self *self, struct slice slice)
{
    (void)bench_spawn(self, args, add, grow_body,
        (ward_spec){ .arg = &slice,
            .arg_bytes = sizeof slice,
            .start = args->bodies ? NULL : grow,
            .state_bytes = args->bodies ? 0 : sizeof(struct inner) });
}

static void make_ten(ward_self *self, const struct slice *slice)
{
    int64_t size = slice->size / TREE_WIDTH;

    for (int64_t i = 0; i < TREE_WIDTH; i++)
        make(self, (struct slice){ slice->from + i * size, size });
}

static void send_up(ward_self *self, int64_t sum)
{
    bool top = ward_same(ward_parent(self), main_actor);

    bench_ok(ward_send(self, ward_parent(self), top ? &BENCH_DONE : &BENCH_NUMBER, &sum), "send");
}

static ward_status grow(ward_self *self)
{
    const struct slice *slice = ward_arg(self);

    if (slice->size == 1) {
        send_up(self, slice->from);
        return WARD_STOP;
    }
    make_ten(self, slice);
    return WARD_OK;
}

static ward_status add(ward_self *self, const ward_msg *msg)
{
    struct inner *state = ward_state(self);

    state->sum += *(const int64_t *)ward_value(msg, &BENCH_NUMBER);
    if (++state->count < TREE_WIDTH) return WARD_OK;
    send_up(self, state->sum);
    return WARD_STOP;
}

static ward_status grow_body(ward_self *self)
{
    const struct slice *slice = ward_arg(self);
    const ward_msg *msg;
    int64_t sum = slice->from;

    if (slice->size > 1) {
        make_ten(self, slice);
        sum = 0;
        for (int i = 0; i < TREE_WIDTH; i++) {
            bench_ok(ward_receive(self, &msg, WARD_FOREVER), "receive");
            sum += *(const int64_t *)ward_value(msg, &BENCH_NUMBER);
        }
    }
    send_up(self, sum);
    return WARD_OK;
}

ward_status bench_skynet(ward_self *self)
{
    int64_t leaves, actors = 0, sum;

    begin_here(self);
    leaves = args->count[0];
    for (int64_t level = leaves; level >= 1; level /= TREE_WIDTH) {
        actors += level;
        bench_check(level == 1 || level % TREE_WIDTH == 0, "leaves are a power of ten");
    }
    bench_begin(args);
    make(self, (struct slice){ 0, leaves });
    sum = bench_wait(self);
    bench_report(args, actors, bench_seconds(args), "");
    bench_check(sum == leaves * (leaves - 1) / 2, "sum");
    return WARD_OK;
}

/* -- idle, idletimer --------------------------------------------------------------------------- */

static atomic_long waiting;
static bool timed;

/* A handler waits from the moment it is there; a body when it has come to its receive. */
static ward_status wait_body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    atomic_fetch_add(&waiting, 1);
    rc = ward_receive(self, &msg, timed ? ward_in_ms(self, IDLE_MS) : WARD_FOREVER);
    if (!rc) count_down(self);
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

static ward_status sit(ward_self *self)
{
    const ward_spec spec = { .idle_ms = timed && !args->bodies ? IDLE_MS : 0 };
    int64_t count, before, memory;
    double seconds;
    char extra[96];
    ward_ref *all;

    begin_here(self);
    count = args->count[0];
    all = calloc((size_t)count, sizeof *all);
    bench_check(all != NULL, "memory");
    for (int64_t i = 0; i < count; i++)
        all[i] = main_actor; /* touched, so that it is not counted below */
    before = bench_resident();
    bench_begin(args);
    for (int64_t i = 0; i < count; i++)
        all[i] = bench_spawn(self, args, once, wait_body, spec);
    while (args->bodies && atomic_load(&waiting) < count)
        bench_ok(ward_sleep(self, ward_in_ms(self, 1)), "sleep");
    seconds = bench_seconds(args);
    bench_ok(ward_sleep(self, ward_in_ms(self, SETTLE_MS)), "sleep");
    memory = bench_resident() - before;
    bench_begin(args);
    for (int64_t i = 0; i < count; i++)
        bench_ok(ward_send(self, all[i], &BENCH_NUMBER, &i), "send");
    (void)bench_wait(self);
    (void)snprintf(extra, sizeof extra, "bytes_per_actor=%" PRId64 " wake_all_s=%.3f",
        memory / count, bench_seconds(args));
    bench_report(args, count, seconds, extra);
    free(all);
    return WARD_OK;
}

ward_status bench_idle(ward_self *self)
{
    args = ward_arg(self);
    return sit(self);
}

ward_status bench_idletimer(ward_self *self)
{
    timed = true;
    return bench_idle(self);
}
