/* SPDX-License-Identifier: MIT */
/*
 * remote.c - server, rtt, oneway: two processes over a link on loopback, 64 bytes a message.
 */
#include "bench.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <ward/net.h>

enum { PAYLOAD = 64, CONNECT_MS = 10000, ASK_MS = 5000 };

#define WANTS_ANSWER (UINT64_C(1) << 63) /* as the peers' programs tell the one from the other */

static const char bytes[PAYLOAD];

static void url_of(char *out, size_t room, const struct bench_args *args)
{
    (void)snprintf(out, room, "tcp://127.0.0.1:%" PRId64, args->count[0]);
}

/* Counts what is sent; answers what is asked with the count. */
static ward_status count_frames(ward_self *self, const ward_msg *msg)
{
    uint64_t *count = ward_state(self);
    const struct bench_frame *frame = ward_value(msg, &BENCH_FRAME);

    bench_check(frame && frame->payload.count == PAYLOAD, "frame");
    ++*count;
    if (!(frame->number & WANTS_ANSWER)) return WARD_OK;
    return ward_reply(self, msg, &BENCH_FRAME, &(struct bench_frame){ *count, frame->payload });
}

ward_status bench_server(ward_self *self)
{
    const struct bench_args *args = ward_arg(self);
    const ward_msg *msg;
    char url[64];

    url_of(url, sizeof url, args);
    (void)bench_spawn(self, args, count_frames, NULL,
        (ward_spec){ .name = "echo", .state_bytes = sizeof(uint64_t) });
    bench_ok(ward_listen(ward_node_of(self), url, NULL), "listen");
    (void)puts("ready");
    (void)fflush(stdout);
    return ward_receive(self, &msg, WARD_FOREVER);
}

static ward_ref connect_to(ward_self *self, const struct bench_args *args)
{
    char url[64];
    ward_ref echo;

    url_of(url, sizeof url, args);
    bench_ok(ward_connect(ward_node_of(self), url, NULL), "connect");
    bench_ok(
        ward_find(self, &echo, "bench-server:/main/echo", ward_in_ms(self, CONNECT_MS)), "find");
    return echo;
}

static uint64_t ask(ward_self *self, ward_ref echo, uint64_t number)
{
    struct bench_frame frame = { number | WANTS_ANSWER, { bytes, PAYLOAD } };
    const struct bench_frame *back;
    const ward_msg *msg;

    bench_ok(ward_ask(self, &msg, echo, &BENCH_FRAME, &frame, ward_in_ms(self, ASK_MS)), "ask");
    back = ward_value(msg, &BENCH_FRAME);
    bench_check(back && back->payload.count == PAYLOAD, "answer");
    return back->number;
}

static ward_ref echo_actor;
static ward_ref main_actor;

static ward_status ask_many(ward_self *self)
{
    struct bench_args *args = ward_arg(self);
    int64_t rounds = args->count[1], *times = calloc((size_t)rounds, sizeof *times), start;
    uint64_t first;
    double seconds;

    bench_check(times != NULL, "memory");
    for (int64_t i = 0; i < rounds / 10; i++)
        (void)ask(self, echo_actor, 0);
    first = ask(self, echo_actor, 0);
    bench_begin(args);
    for (int64_t i = 0; i < rounds; i++) {
        start = bench_now_ns();
        bench_check(ask(self, echo_actor, (uint64_t)i) == first + 1 + (uint64_t)i, "count");
        times[i] = bench_now_ns() - start;
    }
    seconds = bench_seconds(args);
    bench_report_times(args, times, rounds, seconds);
    free(times);
    bench_done(self, main_actor, 0);
    return WARD_OK;
}

static ward_status send_many(ward_self *self)
{
    struct bench_args *args = ward_arg(self);
    int64_t messages = args->count[1];
    uint64_t first = ask(self, echo_actor, 0);
    struct bench_frame frame = { 0, { bytes, PAYLOAD } };

    bench_begin(args);
    for (int64_t i = 0; i < messages; i++) {
        frame.number = (uint64_t)i;
        bench_ok(ward_send_by(self, echo_actor, &BENCH_FRAME, &frame, WARD_FOREVER), "send");
    }
    bench_check(ask(self, echo_actor, 0) == first + 1 + (uint64_t)messages, "messages that came");
    bench_report(args, messages, bench_seconds(args), "");
    bench_done(self, main_actor, 0);
    return WARD_OK;
}

static ward_status talk(ward_self *self, ward_body *body)
{
    struct bench_args *args = ward_arg(self);

    main_actor = ward_me(self);
    echo_actor = connect_to(self, args);
    (void)bench_spawn(self, args, NULL, body, (ward_spec){ .arg = args });
    (void)bench_wait(self);
    return WARD_OK;
}

ward_status bench_rtt(ward_self *self)
{
    return talk(self, ask_many);
}

ward_status bench_oneway(ward_self *self)
{
    return talk(self, send_many);
}
