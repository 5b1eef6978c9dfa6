/* SPDX-License-Identifier: MIT */
/*
 * floor.c - floor-server, rtt-floor: the round trip of two bare nng streams on loopback, 96 bytes
 * each way, no actor and no frame anywhere: each side answers from the callback that received.
 * What a link of ward costs on top of it is what ward can save; what is below it is nng's.
 */
#include "bench.h"
#include <inttypes.h>
#include <nng/nng.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES = 96, CONNECT_MS = 10000 };

static struct floor_end {
    nng_stream *stream;
    nng_aio *in, *out;
    char got[BYTES];
    size_t have;
    void (*turn)(void); /* all came in, and what was sent is out */
    atomic_int parts; /* of the two */
    int64_t rounds, done, began, *times; /* the client's */
    pthread_mutex_t lock;
    pthread_cond_t over;
} side = { .lock = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER };

static void nng_ok(int error, const char *what)
{
    if (error) (void)fprintf(stderr, "ward-bench: %s\n", nng_strerror(error));
    bench_check(!error, what);
}

static void next_in(void)
{
    nng_iov iov = { side.got + side.have, BYTES - side.have };

    nng_ok(nng_aio_set_iov(side.in, 1, &iov), "receive");
    nng_stream_recv(side.stream, side.in);
}

static void next_out(void)
{
    nng_iov iov = { side.got, BYTES };

    nng_ok(nng_aio_set_iov(side.out, 1, &iov), "send");
    nng_stream_send(side.stream, side.out);
}

static void part(void)
{
    if (atomic_fetch_add(&side.parts, 1) == 0) return;
    atomic_store(&side.parts, 0);
    side.have = 0;
    side.turn();
}

static void on_out(void *arg)
{
    (void)arg;
    if (!nng_aio_result(side.out)) part();
}

static void on_in(void *arg)
{
    (void)arg;
    if (nng_aio_result(side.in)) return; /* the peer is gone */
    side.have += nng_aio_count(side.in);
    if (side.have < BYTES) {
        next_in();
        return;
    }
    if (side.times) side.times[side.done++] = bench_now_ns() - side.began;
    part();
}

static void both_ways(void)
{
    side.began = bench_now_ns();
    next_in();
    next_out();
}

static void next_round(void)
{
    if (side.done < side.rounds) {
        both_ways();
        return;
    }
    (void)pthread_mutex_lock(&side.lock);
    side.rounds = 0;
    (void)pthread_cond_signal(&side.over);
    (void)pthread_mutex_unlock(&side.lock);
}

ward_status bench_floor_server(ward_self *self)
{
    const struct bench_args *args = ward_arg(self);
    nng_stream_listener *listener;
    nng_aio *accept;
    char url[64];

    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%" PRId64, args->count[0]);
    nng_ok(nng_aio_alloc(&accept, NULL, NULL), "memory");
    nng_ok(nng_aio_alloc(&side.in, on_in, NULL), "memory");
    nng_ok(nng_aio_alloc(&side.out, on_out, NULL), "memory");
    nng_ok(nng_stream_listener_alloc(&listener, url), "address");
    nng_ok(nng_stream_listener_set_bool(listener, NNG_OPT_TCP_NODELAY, true), "address");
    nng_ok(nng_stream_listener_listen(listener), "listen");
    (void)puts("ready");
    (void)fflush(stdout);
    nng_stream_listener_accept(listener, accept);
    nng_aio_wait(accept);
    nng_ok(nng_aio_result(accept), "accept");
    side.stream = nng_aio_get_output(accept, 0);
    side.turn = both_ways;
    atomic_store(&side.parts, 1); /* nothing is being sent */
    next_in();
    return ward_sleep(self, WARD_FOREVER);
}

static void connect_to(const struct bench_args *args)
{
    nng_stream_dialer *dialer;
    nng_aio *dial;
    char url[64];

    (void)snprintf(url, sizeof url, "tcp://127.0.0.1:%" PRId64, args->count[0]);
    nng_ok(nng_aio_alloc(&dial, NULL, NULL), "memory");
    nng_ok(nng_aio_alloc(&side.in, on_in, NULL), "memory");
    nng_ok(nng_aio_alloc(&side.out, on_out, NULL), "memory");
    nng_ok(nng_stream_dialer_alloc(&dialer, url), "address");
    nng_ok(nng_stream_dialer_set_bool(dialer, NNG_OPT_TCP_NODELAY, true), "address");
    nng_aio_set_timeout(dial, CONNECT_MS);
    nng_stream_dialer_dial(dialer, dial);
    nng_aio_wait(dial);
    nng_ok(nng_aio_result(dial), "connect");
    side.stream = nng_aio_get_output(dial, 0);
}

ward_status bench_rtt_floor(ward_self *self)
{
    struct bench_args *args = ward_arg(self);
    int64_t rounds = args->count[1], *times;
    double seconds = 0;

    side.times = calloc((size_t)(rounds + rounds / 10 + 1), sizeof *side.times);
    bench_check(side.times != NULL, "memory");
    connect_to(args);
    side.rounds = rounds + rounds / 10;
    times = side.times + rounds / 10; /* what comes before is warming up */
    side.turn = next_round;
    (void)pthread_mutex_lock(&side.lock);
    both_ways();
    while (side.rounds)
        (void)pthread_cond_wait(&side.over, &side.lock);
    (void)pthread_mutex_unlock(&side.lock);
    for (int64_t i = 0; i < rounds; i++)
        seconds += (double)times[i] * 1e-9;
    bench_report_times(args, times, rounds, seconds);
    return WARD_OK;
}
