/* SPDX-License-Identifier: MIT */
/*
 * isolate.c - isolate, isolate-body: how long an actor in a process of its own is away after a
 * SIGKILL from outside. A time is from the kill to the answer of the next incarnation to a question
 * that was asked at once: so it holds the death, the news of it, the start, and a round trip,
 * which is given apart. First by new processes, then by one that waits. The heap of this process
 * is filled beforehand: it must not matter.
 */
#include "bench.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct told {
    int64_t pid;
};
static const ward_field TOLD_ROWS[] = { WARD_FIELD(struct told, INT, pid) };
const ward_type BENCH_TOLD = WARD_TYPE("told", struct told, TOLD_ROWS);

static struct bench_args *args;

/* Inside: says who it is. */
static ward_status tell(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &BENCH_TOLD, &(struct told){ getpid() });
}

static ward_status tell_body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    while ((rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK)
        if (tell(self, msg)) return WARD_EFAIL;
    return rc;
}

const ward_spec BENCH_SPECS[BENCH_SPECS_COUNT] = { { .handle = tell }, { .body = tell_body } };

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double us(const int64_t *times, int64_t count, int percent)
{
    return (double)times[(count - 1) * percent / 100] / 1000;
}

static pid_t ask(ward_self *self, ward_ref whom)
{
    const ward_msg *got;

    bench_ok(ward_ask(self, &got, whom, &BENCH_GO, NULL, ward_in_ms(self, 10000)), "ask");
    return (pid_t)((const struct told *)ward_value(got, &BENCH_TOLD))->pid;
}

static int64_t killed(ward_self *self, ward_ref whom, pid_t *pid)
{
    pid_t before = *pid;
    int64_t began = bench_now_ns();

    bench_check(kill(before, SIGKILL) == 0, "kill");
    /* What it was given before it died is in doubt: then once more. */
    for (;;) {
        const ward_msg *got;
        ward_status rc = ward_ask(self, &got, whom, &BENCH_GO, NULL, ward_in_ms(self, 10000));
        if (rc == WARD_ENOREPLY) continue;
        bench_ok(rc, "ask");
        *pid = (pid_t)((const struct told *)ward_value(got, &BENCH_TOLD))->pid;
        if (*pid != before) return bench_now_ns() - began;
    }
}

static void measure(ward_self *self, bool standby, int64_t *times, char *out, size_t bytes)
{
    int64_t count = args->count[0], trips;
    ward_spec child = { .name = "isolate",
        .handle = args->bodies ? NULL : tell,
        .body = args->bodies ? tell_body : NULL,
        .isolate = true,
        .isolate_standby = standby,
        .restarts_max = WARD_UNLIMITED,
        .backoff_ms = WARD_AT_ONCE };
    ward_ref sup, whom;
    pid_t pid;

    bench_ok(ward_spawn(self, &sup,
                 &(ward_spec){ .name = "sup",
                     .children = { &child, 1, sizeof child },
                     .restarts_max = WARD_UNLIMITED }),
        "spawn");
    bench_ok(ward_find(self, &whom, "sup/isolate", ward_in_ms(self, 10000)), "find");
    pid = ask(self, whom);
    trips = bench_now_ns();
    for (int64_t i = 0; i < count; i++)
        (void)ask(self, whom);
    trips = bench_now_ns() - trips;
    for (int64_t i = 0; i < count; i++) {
        times[i] = killed(self, whom, &pid);
        bench_ok(ward_sleep(self, ward_in_ms(self, 5)), "sleep"); /* the next one gets ready */
    }
    qsort(times, (size_t)count, sizeof *times, by_size);
    (void)snprintf(out, bytes, "%s_p50_us=%.0f %s_p99_us=%.0f rtt_us=%.1f",
        standby ? "standby" : "new", us(times, count, 50), standby ? "standby" : "new",
        us(times, count, 99), (double)trips / (double)count / 1000);
    ward_cancel(self, sup);
    bench_ok(ward_join(self, &sup, 1, ward_in_ms(self, 10000)), "join");
}

static ward_status restart(ward_self *self)
{
    int64_t count = args->count[0], *times = malloc((size_t)count * sizeof *times);
    size_t heap = (size_t)args->count[1] << 20;
    char *fill = malloc(heap), one[120], two[120], extra[256];

    bench_check(times && fill, "memory");
    memset(fill, 1, heap);
    bench_begin(args);
    measure(self, false, times, one, sizeof one);
    measure(self, true, times, two, sizeof two);
    (void)snprintf(extra, sizeof extra, "heap_mib=%" PRId64 " %s %s", args->count[1], one, two);
    bench_report(args, 2 * count, bench_seconds(args), extra);
    free(fill);
    free(times);
    bench_done(self, ward_parent(self), 0);
    return WARD_OK;
}

ward_status bench_isolate(ward_self *self)
{
    args = ward_arg(self);
    (void)bench_spawn(self, args, NULL, restart, (ward_spec){ .name = "restart" });
    (void)bench_wait(self);
    return WARD_OK;
}
