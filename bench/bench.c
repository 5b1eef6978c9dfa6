/* SPDX-License-Identifier: MIT */
/*
 * bench.c - ward-bench: the command line, the clock and the report. The workloads are those of the
 * peers' programs: the same names, the same work, the same line of output.
 */
#include "bench.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <ward/isolate.h>

enum { ACTORS_MAX = 2 << 20 };

static const char USAGE_TEXT[] =
    "usage: ward-bench NAME[-body] [NUMBER [NUMBER]]\n"
    "\n"
    "Runs one workload and prints: NAME ops seconds ops_per_s [key=value ...]\n"
    "-body: fibers instead of handlers where there is a choice.\n"
    "From the environment: W workers (2), CAP the bound of mailboxes (1024).\n"
    "\n";

const ward_type BENCH_NUMBER = WARD_TYPE_PLAIN("number", int64_t);
const ward_type BENCH_REF = WARD_TYPE_PLAIN("ref", ward_ref);
const ward_type BENCH_GO = WARD_TYPE_EMPTY("go");
const ward_type BENCH_DONE = WARD_TYPE_PLAIN("done", int64_t);
static const ward_field FRAME_FIELDS[] = {
    WARD_FIELD(struct bench_frame, UINT, number),
    WARD_FIELD(struct bench_frame, BYTES, payload),
};
const ward_type BENCH_FRAME = WARD_TYPE("frame", struct bench_frame, FRAME_FIELDS);
static const ward_type *const types[] = { &BENCH_FRAME, &BENCH_GO, &BENCH_TOLD };
static const ward_table table = { .types = types,
    .types_count = WARD_COUNT(types),
    .specs = { BENCH_SPECS, BENCH_SPECS_COUNT, sizeof *BENCH_SPECS } };

static const struct bench_work WORKS[] = {
    { "pingpong", "ROUNDS", { 5000000 }, bench_pingpong },
    { "ring", "ACTORS HOPS", { 100, 5000000 }, bench_ring },
    { "count", "MESSAGES", { 10000000 }, bench_count },
    { "fanin", "PRODUCERS MESSAGES", { 64, 10000000 }, bench_fanin },
    { "fanout", "SINKS ROUNDS", { 1000, 5000 }, bench_fanout },
    { "forkjoin", "ACTORS", { 1000000 }, bench_forkjoin },
    { "skynet", "LEAVES", { 1000000 }, bench_skynet },
    { "big", "ACTORS PINGS", { 120, 20000 }, bench_big },
    { "ask", "CLIENTS REQUESTS", { 1, 1000000 }, bench_ask },
    { "idle", "ACTORS", { 1000000 }, bench_idle },
    { "idletimer", "ACTORS", { 1000000 }, bench_idletimer },
    { "restart", "CRASHES", { 200000 }, bench_restart },
    { "isolate", "KILLS HEAP_MIB", { 200, 1024 }, bench_isolate },
    { "cascade", "MIDS LEAVES", { 100, 1000 }, bench_cascade },
    { "growth", "ACTORS", { 100000 }, bench_growth },
    { "full", "SENDERS SECONDS", { 64, 60 }, bench_full },
    { "server", "PORT: what rtt and oneway talk to; until killed", { 0 }, bench_server },
    { "rtt", "PORT ROUNDS", { 0, 100000 }, bench_rtt },
    { "oneway", "PORT MESSAGES", { 0, 2000000 }, bench_oneway },
    { "floor-server", "PORT: what rtt-floor talks to; until killed", { 0 }, bench_floor_server },
    { "rtt-floor", "PORT ROUNDS: of nng alone", { 0, 100000 }, bench_rtt_floor },
};

void bench_check(bool right, const char *what)
{
    if (right) return;
    (void)fprintf(stderr, "ward-bench: wrong: %s\n", what);
    _exit(1);
}

void bench_ok(ward_status rc, const char *what)
{
    if (rc == WARD_OK) return;
    (void)fprintf(stderr, "ward-bench: %s: %s\n", what, ward_strerror(rc));
    _exit(1);
}

int64_t bench_now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void bench_begin(struct bench_args *args)
{
    args->began = (double)bench_now_ns() * 1e-9;
}

double bench_seconds(const struct bench_args *args)
{
    return (double)bench_now_ns() * 1e-9 - args->began;
}

int64_t bench_resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    long all = 0, resident = 0;

    bench_check(file && fscanf(file, "%ld %ld", &all, &resident) == 2, "/proc/self/statm");
    (void)fclose(file);
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

void bench_report(const struct bench_args *args, int64_t ops, double seconds, const char *extra)
{
    (void)printf("%s %" PRId64 " %.6f %.0f%s%s\n", args->name, ops, seconds, (double)ops / seconds,
        *extra ? " " : "", extra);
    (void)fflush(stdout);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void bench_report_times(
    const struct bench_args *args, int64_t *times, int64_t count, double seconds)
{
    char extra[96];

    qsort(times, (size_t)count, sizeof *times, by_time);
    (void)snprintf(extra, sizeof extra, "p50_us=%.1f p99_us=%.1f p999_us=%.1f",
        (double)times[count / 2] * 1e-3, (double)times[count * 99 / 100] * 1e-3,
        (double)times[count * 999 / 1000] * 1e-3);
    bench_report(args, count, seconds, extra);
}

ward_ref bench_spawn(ward_self *self, const struct bench_args *args, ward_handler *handle,
    ward_body *body, ward_spec spec)
{
    ward_ref ref;

    spec.restart = WARD_TEMPORARY;
    if (spec.mailbox_max == 0) spec.mailbox_max = args->cap;
    if (body && (args->bodies || !handle))
        spec.body = body;
    else
        spec.handle = handle;
    bench_ok(ward_spawn(self, &ref, &spec), "spawn");
    return ref;
}

int64_t bench_wait(ward_self *self)
{
    const ward_msg *msg;
    const int64_t *result = NULL;

    while (!result) {
        bench_ok(ward_receive(self, &msg, WARD_FOREVER), "wait for the result");
        result = ward_value(msg, &BENCH_DONE);
    }
    return *result;
}

void bench_done(ward_self *self, ward_ref whom, int64_t result)
{
    bench_ok(ward_send(self, whom, &BENCH_DONE, &result), "report");
}

static int usage(FILE *out)
{
    (void)fputs(USAGE_TEXT, out);
    for (size_t i = 0; i < WARD_COUNT(WORKS); i++) {
        const struct bench_work *work = &WORKS[i];
        (void)fprintf(out, "  %-12s %s", work->name, work->takes);
        if (work->count[0]) (void)fprintf(out, " (%" PRId64, work->count[0]);
        if (work->count[1])
            (void)fprintf(out, "%s%" PRId64, work->count[0] ? " " : " (", work->count[1]);
        (void)fputs(work->count[0] || work->count[1] ? ")\n" : "\n", out);
    }
    return out == stdout ? 0 : 2;
}

static const struct bench_work *find(const char *name, bool *bodies)
{
    size_t length = strlen(name);

    *bodies = length > 5 && strcmp(name + length - 5, "-body") == 0;
    if (*bodies) length -= 5;
    for (size_t i = 0; i < WARD_COUNT(WORKS); i++)
        if (strlen(WORKS[i].name) == length && strncmp(WORKS[i].name, name, length) == 0)
            return &WORKS[i];
    return NULL;
}

/* A number from 1 to most; 0 for anything else. */
static int64_t number(const char *text, int64_t most)
{
    char *end;
    long long value = strtoll(text, &end, 10);

    return end != text && *end == '\0' && value > 0 && value <= most ? value : 0;
}

static uint32_t setting(const char *name, uint32_t otherwise, uint32_t most)
{
    const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): there are no threads yet */
    int64_t value = text ? number(text, most) : otherwise;

    if (text && value == 0) {
        (void)fprintf(stderr, "ward-bench: %s takes a number from 1 to %u\n", name, most);
        exit(2); /* NOLINT(concurrency-mt-unsafe) */
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    struct bench_args args = { .cap = setting("CAP", 0, 4194304) };
    ward_opts opts = { .workers = setting("W", 2, 64),
        .actors_max = ACTORS_MAX,
        .bytes_max = (size_t)8 << 30,
        .arg = &args,
        .table = &table };
    const struct bench_work *work;

    ward_isolate_main(argc, argv, &table);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) return usage(stdout);
    work = argc >= 2 && argc <= 4 ? find(argv[1], &args.bodies) : NULL;
    if (!work) return usage(stderr);
    args.name = argv[1];
    for (int i = 0; i < 2; i++) {
        args.count[i] = work->count[i];
        if (i + 2 < argc) args.count[i] = number(argv[i + 2], INT64_C(1) << 40);
        if (args.count[i] == 0 && (i == 0 || work->count[1])) return usage(stderr);
    }
    opts.name = work->run == bench_server ? "bench-server" : "bench";
    bench_ok(ward_run(work->run, &opts), work->name);
    return 0;
}
