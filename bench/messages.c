/* SPDX-License-Identifier: MIT */
/*
 * messages.c - pingpong, ring, count, fanin, fanout, big: messages between actors that are there.
 *
 * A handler cannot wait, so whoever may find a mailbox full (the producers, the source) is a body
 * in both variants.
 */
#include "bench.h"
#include <stdatomic.h>
#include <stdlib.h>

/* What actors of one workload know of each other; set before any of them runs. */
static struct bench_args *args;
static ward_ref main_actor;
static atomic_long left;

static void begin_here(ward_self *self)
{
    args = ward_arg(self);
    main_actor = ward_me(self);
}

/* A mailbox bound of 1 or more is enough for all that sends one message at a time. */
static void send_number(ward_self *self, ward_ref to, int64_t value)
{
    bench_ok(ward_send(self, to, &BENCH_NUMBER, &value), "send");
}

static int64_t receive_number(ward_self *self)
{
    const ward_msg *msg;
    const int64_t *value;

    /* Main cancels what waits when it has the result. */
    if (ward_receive(self, &msg, WARD_FOREVER) != WARD_OK) return -1;
    value = ward_value(msg, &BENCH_NUMBER);
    bench_check(value != NULL, "a message of another type");
    return *value;
}

static ward_ref receive_ref(ward_self *self)
{
    const ward_msg *msg;

    bench_ok(ward_receive(self, &msg, WARD_FOREVER), "receive a ref");
    bench_check(ward_is(msg, &BENCH_REF), "a message of another type");
    return *(const ward_ref *)ward_value(msg, &BENCH_REF);
}

/* -- pingpong ---------------------------------------------------------------------------------- */

struct ping {
    ward_ref other;
    int64_t sent;
};

/* Pong is told first who Ping is; so is Ping, and begins. */
static ward_status pong(ward_self *self, const ward_msg *msg)
{
    struct ping *state = ward_state(self);
    const int64_t *value = ward_value(msg, &BENCH_NUMBER);

    if (value)
        send_number(self, state->other, *value);
    else
        state->other = *(const ward_ref *)ward_value(msg, &BENCH_REF);
    return WARD_OK;
}

static ward_status ping(ward_self *self, const ward_msg *msg)
{
    struct ping *state = ward_state(self);
    const int64_t *value = ward_value(msg, &BENCH_NUMBER);

    if (value)
        bench_check(*value == state->sent++, "the number that came back");
    else
        state->other = *(const ward_ref *)ward_value(msg, &BENCH_REF);
    if (state->sent == args->count[0])
        bench_done(self, main_actor, state->sent);
    else
        send_number(self, state->other, state->sent);
    return WARD_OK;
}

static ward_status pong_body(ward_self *self)
{
    ward_ref other = receive_ref(self);

    for (int64_t value; (value = receive_number(self)) >= 0;)
        send_number(self, other, value);
    return WARD_OK;
}

static ward_status ping_body(ward_self *self)
{
    ward_ref other = receive_ref(self);

    for (int64_t i = 0; i < args->count[0]; i++) {
        send_number(self, other, i);
        bench_check(receive_number(self) == i, "the number that came back");
    }
    bench_done(self, main_actor, args->count[0]);
    return WARD_OK;
}

ward_status bench_pingpong(ward_self *self)
{
    const ward_spec spec = { .state_bytes = sizeof(struct ping) };
    ward_ref a, b;

    begin_here(self);
    a = bench_spawn(self, args, ping, ping_body, spec);
    b = bench_spawn(self, args, pong, pong_body, spec);
    bench_ok(ward_send(self, b, &BENCH_REF, &a), "send");
    bench_begin(args);
    bench_ok(ward_send(self, a, &BENCH_REF, &b), "send");
    bench_check(bench_wait(self) == args->count[0], "rounds");
    bench_report(args, args->count[0], bench_seconds(args), "");
    return WARD_OK;
}

/* -- ring -------------------------------------------------------------------------------------- */

static ward_status hop(ward_self *self, const ward_msg *msg)
{
    ward_ref *next = ward_state(self);
    const int64_t *value = ward_value(msg, &BENCH_NUMBER);

    if (!value)
        *next = *(const ward_ref *)ward_value(msg, &BENCH_REF);
    else if (*value > 0)
        send_number(self, *next, *value - 1);
    else
        bench_done(self, main_actor, 0);
    return WARD_OK;
}

static ward_status hop_body(ward_self *self)
{
    ward_ref next = receive_ref(self);

    for (int64_t value; (value = receive_number(self)) >= 0;) {
        if (value > 0)
            send_number(self, next, value - 1);
        else
            bench_done(self, main_actor, 0);
    }
    return WARD_OK;
}

ward_status bench_ring(ward_self *self)
{
    ward_ref first, one, previous;

    begin_here(self);
    first = previous =
        bench_spawn(self, args, hop, hop_body, (ward_spec){ .state_bytes = sizeof(ward_ref) });
    for (int64_t i = 1; i < args->count[0]; i++, previous = one) {
        one =
            bench_spawn(self, args, hop, hop_body, (ward_spec){ .state_bytes = sizeof(ward_ref) });
        bench_ok(ward_send(self, previous, &BENCH_REF, &one), "send");
    }
    bench_ok(ward_send(self, previous, &BENCH_REF, &first), "send");
    bench_begin(args);
    send_number(self, first, args->count[1]);
    bench_check(bench_wait(self) == 0, "hops");
    bench_report(args, args->count[1], bench_seconds(args), "");
    return WARD_OK;
}

/* -- count, fanin ------------------------------------------------------------------------------ */

struct sum {
    int64_t sum, count;
};
static ward_ref sink_actor;
static int64_t expected, share; /* messages; of each producer */

static ward_status add_up(ward_self *self, const ward_msg *msg)
{
    struct sum *state = ward_state(self);

    state->sum += *(const int64_t *)ward_value(msg, &BENCH_NUMBER);
    if (++state->count == expected) bench_done(self, main_actor, state->sum);
    return WARD_OK;
}

static ward_status add_up_body(ward_self *self)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < expected; i++)
        sum += receive_number(self);
    bench_done(self, main_actor, sum);
    return WARD_OK;
}

static ward_status produce(ward_self *self)
{
    for (int64_t i = 0; i < share; i++)
        bench_ok(ward_send_by(self, sink_actor, &BENCH_NUMBER, &i, WARD_FOREVER), "send");
    return WARD_OK;
}

static ward_status produce_and_add_up(ward_self *self, int64_t producers, int64_t messages)
{
    int64_t sum;

    share = messages / producers;
    expected = share * producers;
    sink_actor = bench_spawn(
        self, args, add_up, add_up_body, (ward_spec){ .state_bytes = sizeof(struct sum) });
    bench_begin(args);
    for (int64_t i = 0; i < producers; i++)
        (void)bench_spawn(self, args, NULL, produce, (ward_spec){ 0 });
    sum = bench_wait(self);
    bench_report(args, expected, bench_seconds(args), "");
    bench_check(sum == producers * (share * (share - 1) / 2), "sum");
    return WARD_OK;
}

ward_status bench_count(ward_self *self)
{
    begin_here(self);
    return produce_and_add_up(self, 1, args->count[0]);
}

ward_status bench_fanin(ward_self *self)
{
    begin_here(self);
    return produce_and_add_up(self, args->count[0], args->count[1]);
}

/* -- fanout ------------------------------------------------------------------------------------ */

static ward_ref *sinks;

static ward_status sink(ward_self *self, const ward_msg *msg)
{
    int64_t *count = ward_state(self);

    bench_check(*(const int64_t *)ward_value(msg, &BENCH_NUMBER) == *count, "order");
    if (++*count == args->count[1] && atomic_fetch_sub(&left, 1) == 1)
        bench_done(self, main_actor, 0);
    return WARD_OK;
}

static ward_status sink_body(ward_self *self)
{
    for (int64_t i = 0; i < args->count[1]; i++)
        bench_check(receive_number(self) == i, "order");
    if (atomic_fetch_sub(&left, 1) == 1) bench_done(self, main_actor, 0);
    return WARD_OK;
}

static ward_status source(ward_self *self)
{
    for (int64_t round = 0; round < args->count[1]; round++)
        for (int64_t i = 0; i < args->count[0]; i++)
            bench_ok(ward_send_by(self, sinks[i], &BENCH_NUMBER, &round, WARD_FOREVER), "send");
    return WARD_OK;
}

ward_status bench_fanout(ward_self *self)
{
    begin_here(self);
    sinks = calloc((size_t)args->count[0], sizeof *sinks);
    bench_check(sinks != NULL, "memory");
    atomic_store(&left, args->count[0]);
    for (int64_t i = 0; i < args->count[0]; i++)
        sinks[i] =
            bench_spawn(self, args, sink, sink_body, (ward_spec){ .state_bytes = sizeof(int64_t) });
    bench_begin(args);
    (void)bench_spawn(self, args, NULL, source, (ward_spec){ 0 });
    (void)bench_wait(self);
    bench_report(args, args->count[0] * args->count[1], bench_seconds(args), "");
    free(sinks);
    return WARD_OK;
}

/* -- big --------------------------------------------------------------------------------------- */

struct ball {
    int64_t from; /* who pings; -1: an answer */
    int64_t value;
};
struct player {
    int64_t me, got;
    uint32_t seed;
};
static const ward_type BALL = WARD_TYPE_PLAIN("ball", struct ball);

static void throw_ball(ward_self *self, struct player *p)
{
    struct ball ball = { p->me, p->got };
    int64_t to;

    p->seed ^= p->seed << 13;
    p->seed ^= p->seed >> 17;
    p->seed ^= p->seed << 5;
    to = p->seed % (uint32_t)(args->count[0] - 1);
    if (to >= p->me) to++;
    bench_ok(ward_send(self, sinks[to], &BALL, &ball), "send");
}

static void play(ward_self *self, struct player *p, const ward_msg *msg)
{
    const struct ball *ball = ward_value(msg, &BALL);

    if (!ball) {
        throw_ball(self, p);
    } else if (ball->from >= 0) {
        bench_ok(
            ward_send(self, sinks[ball->from], &BALL, &(struct ball){ -1, ball->value }), "send");
    } else {
        bench_check(ball->value == p->got, "the number that came back");
        if (++p->got < args->count[1])
            throw_ball(self, p);
        else if (atomic_fetch_sub(&left, 1) == 1)
            bench_done(self, main_actor, 0);
    }
}

static void enter(ward_self *self, struct player *p)
{
    p->me = *(const int64_t *)ward_arg(self);
    p->seed = (uint32_t)p->me + 1;
}

static ward_status player(ward_self *self, const ward_msg *msg)
{
    struct player *p = ward_state(self);

    if (p->seed == 0) enter(self, p);
    play(self, p, msg);
    return WARD_OK;
}

static ward_status player_body(ward_self *self)
{
    struct player p = { 0 };
    const ward_msg *msg;

    enter(self, &p);
    while (ward_receive(self, &msg, WARD_FOREVER) == WARD_OK)
        play(self, &p, msg);
    return WARD_OK;
}

ward_status bench_big(ward_self *self)
{
    begin_here(self);
    sinks = calloc((size_t)args->count[0], sizeof *sinks);
    bench_check(sinks && args->count[0] > 1, "two actors at least");
    atomic_store(&left, args->count[0]);
    for (int64_t i = 0; i < args->count[0]; i++)
        sinks[i] = bench_spawn(self, args, player, player_body,
            (ward_spec){ .state_bytes = sizeof(struct player),
                .arg = &i,
                .arg_bytes = sizeof i,
                .mailbox_max = (uint32_t)args->count[0] + 1 });
    bench_begin(args);
    for (int64_t i = 0; i < args->count[0]; i++)
        bench_ok(ward_send(self, sinks[i], &BENCH_GO, NULL), "send");
    (void)bench_wait(self);
    bench_report(args, args->count[0] * args->count[1], bench_seconds(args), "");
    free(sinks);
    return WARD_OK;
}
