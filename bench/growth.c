/* SPDX-License-Identifier: MIT */
/*
 * growth.c - growth, full: what grows with the number of actors, and what may not grow with time.
 *
 * growth: ACTORS handlers below one parent. Nanoseconds of processor time an actor (so that what
 * else runs on the machine matters little) to spawn them, to send one message to each, to take a
 * census of all, to cancel the parent and with it them all, after a first time in which their
 * memory was touched; few actors live several times. Bytes an actor. Then the hop of two bodies
 * that pass a number to each other with a deadline each time, alone and while as many others wait
 * with one: arming a deadline again is a store, whatever else is in the wheel. The operations a
 * second of its line say nothing.
 *
 * full: SENDERS bodies send, for SECONDS, to one handler whose mailbox is always at its bound, so
 * that they park and are resumed all the time. Prints messages a second for each tenth of the time,
 * or each minute. From a minute on it is wrong when the last tenth is slower than the first by a
 * factor of more than SLOWER_MAX.
 */
#include "bench.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ward/census.h>

enum {
    PIECES = 200000,
    HOPS = 200000,
    FAR_MS = 3600000,
    LAST = -1,
    SLOWER_MAX = 2,
    MINUTE = 60,
    PARTS = 10
};

static struct bench_args *args;
static ward_ref main_actor;
static ward_ref *all;
static atomic_llong counted;

/* -- growth ------------------------------------------------------------------------------------ */

static ward_status count_one(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    if (atomic_fetch_add(&counted, 1) + 1 == args->count[0]) bench_done(self, main_actor, 0);
    return WARD_OK;
}

static ward_status wait_to_be_cancelled(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
    }
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

/* The parent of all. Its argument: whether they wait with a deadline. */
static ward_status bear_all(ward_self *self)
{
    const bool *timed = ward_arg(self);
    ward_spec spec = { .handle = count_one,
        .idle_ms = *timed ? FAR_MS : 0,
        .mailbox_max = 16,
        .restart = WARD_TEMPORARY };

    for (int64_t i = 0; i < args->count[0]; i++)
        bench_ok(ward_spawn(self, &all[i], &spec), "spawn");
    bench_done(self, main_actor, 0);
    return wait_to_be_cancelled(self);
}

static ward_ref begin_parent(ward_self *self, bool timed)
{
    ward_spec spec = {
        .body = bear_all, .arg = &timed, .arg_bytes = sizeof timed, .restart = WARD_TEMPORARY
    };
    ward_ref parent;

    bench_ok(ward_spawn_at(self, &parent, &spec, WARD_HERE), "spawn");
    (void)bench_wait(self);
    return parent;
}

static void end_parent(ward_self *self, ward_ref parent)
{
    ward_cancel(self, parent);
    bench_ok(ward_join(self, &parent, 1, WARD_FOREVER), "join");
}

static void send_to_all(ward_self *self)
{
    atomic_store(&counted, 0);
    for (int64_t i = 0; i < args->count[0]; i++)
        bench_ok(ward_send(self, all[i], &BENCH_NUMBER, &i), "send");
    (void)bench_wait(self);
}

static void take_census(ward_self *self)
{
    ward_census *census;

    bench_ok(ward_census_take(ward_node_of(self), &census), "census");
    bench_check((int64_t)ward_census_count(census) >= args->count[0], "the census sees all");
    ward_census_free(census);
}

/* Gets a number, passes the next one on to whoever sent the ref first; LAST ends both. */
static ward_status pass(ward_self *self)
{
    ward_ref other = { 0 };
    const ward_msg *msg;
    int64_t left = 0;

    while (left != LAST && !ward_receive(self, &msg, ward_in_ms(self, FAR_MS))) {
        const int64_t *number = ward_value(msg, &BENCH_NUMBER);
        const ward_ref *ref = ward_value(msg, &BENCH_REF);

        if (ref) other = *ref;
        if (!number) continue;
        left = *number - 1 > 0 ? *number - 1 : LAST;
        if (*number == 1) bench_done(self, main_actor, 0);
        if (*number == LAST) break;
        bench_ok(ward_send(self, other, &BENCH_NUMBER, &left), "send");
    }
    return WARD_OK;
}

/* Nanoseconds of all threads since it was called last, a piece. */
static double cost_ns(int64_t pieces)
{
    static double last;
    struct timespec t;
    double now, before = last;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    now = last = (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
    return (now - before) / (double)pieces;
}

static double hop_ns(ward_self *self)
{
    int64_t hops = HOPS;
    ward_ref two[2];
    double ns;

    for (int i = 0; i < 2; i++)
        two[i] = bench_spawn(self, args, NULL, pass, (ward_spec){ 0 });
    for (int i = 0; i < 2; i++)
        bench_ok(ward_send(self, two[i], &BENCH_REF, &two[!i]), "send");
    (void)cost_ns(1);
    bench_ok(ward_send(self, two[0], &BENCH_NUMBER, &hops), "send");
    (void)bench_wait(self);
    ns = cost_ns(hops);
    bench_ok(ward_join(self, two, 2, WARD_FOREVER), "join");
    return ns;
}

struct costs {
    double spawn, send, census, cancel; /* summed */
};

/* All of them from birth to end. Returns what they held, in bytes. */
static int64_t live(ward_self *self, struct costs *costs)
{
    int64_t before = bench_resident(), bytes;
    ward_ref parent;

    (void)cost_ns(1);
    parent = begin_parent(self, false);
    costs->spawn += cost_ns(args->count[0]);
    bytes = bench_resident() - before;
    send_to_all(self);
    costs->send += cost_ns(args->count[0]);
    take_census(self);
    costs->census += cost_ns(args->count[0]);
    end_parent(self, parent);
    costs->cancel += cost_ns(args->count[0]);
    return bytes;
}

ward_status bench_growth(ward_self *self)
{
    struct costs first = { 0 }, sum = { 0 };
    double alone, among;
    int64_t count, bytes, times;
    char extra[256];
    ward_ref parent;

    args = ward_arg(self);
    main_actor = ward_me(self);
    count = args->count[0];
    times = count < PIECES ? PIECES / count : 1;
    all = malloc((size_t)count * sizeof *all);
    bench_check(all != NULL, "memory");
    for (int64_t i = 0; i < count; i++)
        all[i] = main_actor; /* touched, so that it is not counted below */
    bench_begin(args);
    alone = hop_ns(self);
    bytes = live(self, &first) / count;
    for (int64_t i = 0; i < times; i++)
        (void)live(self, &sum);
    parent = begin_parent(self, true);
    send_to_all(self); /* from then on they wait with a deadline */
    among = hop_ns(self);
    end_parent(self, parent);
    free(all);
    (void)snprintf(extra, sizeof extra,
        "spawn_ns=%.0f send_ns=%.0f census_ns=%.0f cancel_ns=%.0f bytes_per_actor=%" PRId64
        " hop_ns=%.0f hop_among_ns=%.0f first_spawn_ns=%.0f",
        sum.spawn / (double)times, sum.send / (double)times, sum.census / (double)times,
        sum.cancel / (double)times, bytes, alone, among, first.spawn);
    bench_report(args, count, bench_seconds(args), extra);
    return WARD_OK;
}

/* -- full -------------------------------------------------------------------------------------- */

static ward_ref sink;

static ward_status swallow(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    atomic_store_explicit(
        &counted, atomic_load_explicit(&counted, memory_order_relaxed) + 1, memory_order_relaxed);
    return WARD_OK;
}

static ward_status press(ward_self *self)
{
    int64_t number = 0;
    ward_status rc;

    while (!(rc = ward_send_by(self, sink, &BENCH_NUMBER, &number, WARD_FOREVER)))
        number++;
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

/* The rate of each part; prints it. */
static void watch(ward_self *self, double *rates, int64_t parts, double part_s)
{
    for (int64_t i = 0; i < parts; i++) {
        int64_t before = atomic_load(&counted);

        bench_begin(args);
        bench_ok(ward_sleep(self, ward_in_ms(self, (int64_t)(part_s * 1000))), "sleep");
        rates[i] = (double)(atomic_load(&counted) - before) / bench_seconds(args);
        (void)printf("# %3" PRId64 " of %" PRId64 ": %.0f ops/s\n", i + 1, parts, rates[i]);
        (void)fflush(stdout);
    }
}

static double mean(const double *rates, int64_t count)
{
    double sum = 0;

    for (int64_t i = 0; i < count; i++)
        sum += rates[i];
    return sum / (double)count;
}

ward_status bench_full(ward_self *self)
{
    int64_t senders, seconds, parts, tenth;
    double *rates, first, last;
    ward_totals totals;
    char extra[96];
    double began;

    args = ward_arg(self);
    senders = args->count[0];
    seconds = args->count[1];
    parts = seconds >= PARTS * MINUTE ? seconds / MINUTE : PARTS;
    tenth = parts / PARTS;
    rates = calloc((size_t)parts, sizeof *rates);
    bench_check(rates != NULL, "memory");
    sink = bench_spawn(self, args, swallow, NULL, (ward_spec){ 0 });
    bench_begin(args);
    began = args->began;
    for (int64_t i = 0; i < senders; i++)
        (void)bench_spawn(self, args, NULL, press, (ward_spec){ 0 });
    watch(self, rates, parts, (double)seconds / (double)parts);
    first = mean(rates, tenth);
    last = mean(rates + parts - tenth, tenth);
    free(rates);
    args->began = began;
    (void)snprintf(extra, sizeof extra, "first=%.0f last=%.0f", first, last);
    bench_report(args, atomic_load(&counted), bench_seconds(args), extra);
    ward_census_totals(ward_node_of(self), &totals, sizeof totals);
    bench_check(totals.refused > 0, "the mailbox was full");
    bench_check(first > 0 && last > 0, "messages come to the end");
    bench_check(seconds < MINUTE || last * SLOWER_MAX >= first, "it becomes slower");
    return WARD_OK;
}
