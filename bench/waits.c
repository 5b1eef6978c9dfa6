/* SPDX-License-Identifier: MIT */
/*
 * waits.c - ask, restart, cascade: questions with deadlines, and what supervisors do.
 */
#include "bench.h"
#include <stdatomic.h>
#include <stdio.h>

enum { ASK_MS = 5000 };

static struct bench_args *args;
static ward_ref main_actor, server_actor;
static atomic_long left;

static void begin_here(ward_self *self)
{
    args = ward_arg(self);
    main_actor = ward_me(self);
    atomic_store(&left, args->count[0]);
}

/* -- ask --------------------------------------------------------------------------------------- */

static ward_status answer(ward_self *self, const ward_msg *msg)
{
    int64_t value = *(const int64_t *)ward_value(msg, &BENCH_NUMBER) + 1;

    return ward_reply(self, msg, &BENCH_NUMBER, &value);
}

static ward_status answer_body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK)
        rc = answer(self, msg);
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

static ward_status client(ward_self *self)
{
    const ward_msg *msg;

    for (int64_t i = 0; i < args->count[1] / args->count[0]; i++) {
        bench_ok(
            ward_ask(self, &msg, server_actor, &BENCH_NUMBER, &i, ward_in_ms(self, ASK_MS)), "ask");
        bench_check(*(const int64_t *)ward_value(msg, &BENCH_NUMBER) == i + 1, "answer");
    }
    if (atomic_fetch_sub(&left, 1) == 1) bench_done(self, main_actor, 0);
    return WARD_OK;
}

ward_status bench_ask(ward_self *self)
{
    begin_here(self);
    server_actor = bench_spawn(self, args, answer, answer_body, (ward_spec){ 0 });
    bench_begin(args);
    for (int64_t i = 0; i < args->count[0]; i++)
        (void)bench_spawn(self, args, NULL, client, (ward_spec){ 0 });
    (void)bench_wait(self);
    bench_report(args, args->count[1] / args->count[0] * args->count[0], bench_seconds(args), "");
    return WARD_OK;
}

/* -- restart ----------------------------------------------------------------------------------- */

static ward_ref driver_actor;

static ward_status come_up(ward_self *self)
{
    ward_ref me = ward_me(self);

    return ward_send(self, driver_actor, &BENCH_REF, &me);
}

static ward_status crash(ward_self *self, const ward_msg *msg)
{
    (void)self, (void)msg;
    return WARD_EFAIL;
}

static ward_status crash_body(ward_self *self)
{
    const ward_msg *msg;

    bench_ok(come_up(self), "come up");
    return ward_receive(self, &msg, WARD_FOREVER) == WARD_OK ? WARD_EFAIL : WARD_OK;
}

static ward_status drive(ward_self *self)
{
    const ward_msg *msg;

    bench_ok(ward_receive(self, &msg, WARD_FOREVER), "the child comes up");
    for (int64_t i = 0; i < args->count[0]; i++) {
        ward_ref child = *(const ward_ref *)ward_value(msg, &BENCH_REF);
        bench_ok(ward_send(self, child, &BENCH_GO, NULL), "send");
        bench_ok(ward_receive(self, &msg, WARD_FOREVER), "the child comes up again");
    }
    bench_done(self, main_actor, 0);
    return WARD_OK;
}

ward_status bench_restart(ward_self *self)
{
    ward_spec child = { .restarts_max = WARD_UNLIMITED, .backoff_ms = WARD_AT_ONCE };

    begin_here(self);
    if (args->bodies)
        child.body = crash_body;
    else
        child.handle = crash, child.start = come_up;
    driver_actor = bench_spawn(self, args, NULL, drive, (ward_spec){ 0 });
    bench_begin(args);
    (void)bench_spawn(self, args, NULL, NULL,
        (ward_spec){ .children = { &child, 1, sizeof child }, .restarts_max = WARD_UNLIMITED });
    (void)bench_wait(self);
    bench_report(args, args->count[0], bench_seconds(args), "");
    return WARD_OK;
}

/* -- cascade ----------------------------------------------------------------------------------- */

static ward_status nothing(ward_self *self, const ward_msg *msg)
{
    (void)self, (void)msg;
    return WARD_OK;
}

static ward_body leaf_body, mid_start, root_start;

static ward_status wait_here(ward_self *self)
{
    const ward_msg *msg;

    if (atomic_fetch_sub(&left, 1) == 1) bench_done(self, main_actor, 0);
    if (!args->bodies) return WARD_OK;
    return ward_receive(self, &msg, WARD_FOREVER) == WARD_ECANCELED ? WARD_OK : WARD_EFAIL;
}

static ward_status leaf_body(ward_self *self)
{
    return wait_here(self);
}

static ward_status mid_start(ward_self *self)
{
    const ward_spec leaf = { .start = args->bodies ? NULL : leaf_body };

    for (int64_t i = 0; i < args->count[1]; i++)
        (void)bench_spawn(self, args, nothing, leaf_body, leaf);
    return wait_here(self);
}

static ward_status root_start(ward_self *self)
{
    const ward_spec mid = { .start = args->bodies ? NULL : mid_start };

    for (int64_t i = 0; i < args->count[0]; i++)
        (void)bench_spawn(self, args, nothing, mid_start, mid);
    return wait_here(self);
}

ward_status bench_cascade(ward_self *self)
{
    int64_t actors;
    char extra[48];
    ward_ref root;

    begin_here(self);
    actors = 1 + args->count[0] + args->count[0] * args->count[1];
    atomic_store(&left, actors);
    bench_begin(args);
    root = bench_spawn(
        self, args, nothing, root_start, (ward_spec){ .start = args->bodies ? NULL : root_start });
    (void)bench_wait(self);
    (void)snprintf(extra, sizeof extra, "build_s=%.3f", bench_seconds(args));
    bench_begin(args);
    ward_cancel(self, root);
    bench_ok(ward_join(self, &root, 1, WARD_FOREVER), "join");
    bench_report(args, actors, bench_seconds(args), extra);
    return WARD_OK;
}
