/* SPDX-License-Identifier: MIT */
/*
 * scenario.h - what the simulation tests share: runs a scenario for many seeds, and at the first
 * check that fails prints the seed, the place and how to repeat exactly that run.
 *
 * Seeds that once failed stand in the file `seeds` beside this one and are run first, for ever. An
 * assert of the core, a crash and a loop that does not end are reported with their seed like any
 * check. A scenario keeps what it knows in its world, which is zeroed before each run; the node is
 * closed before `after` looks at it, so whatever was to be cleaned up has been.
 *
 * SEEDS says how many, FROM from which, as arguments or in the environment; one alone is run
 * without those that are kept. TRACE=1 prints each thing that happens, PROGRESS=1 how far it is.
 *
 * Header only, for plain mains on one thread. The one static variable says what is running, for
 * the hooks and signal handlers that are given nothing.
 */
#ifndef WARD_TESTS_SIM_SCENARIO_H
#define WARD_TESTS_SIM_SCENARIO_H

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/tree.h"

#define MAYBE_UNUSED __attribute__((unused))
#define SIM_MS INT64_C(1000000)

/* The wheel's tick, a preemption before the call, and the turns of others that may come first. */
#define SIM_SLACK_NS (8 * SIM_MS)

/* ThreadSanitizer has nothing to find on one thread, and its fibers are slow. */
enum { SEEDS = WARD__TSAN ? 100 : 1000 };

struct scenario {
    const char *name;
    ward_body *body; /* ward_arg is `world`; by its end all it started has ended, or closes with
                        the node */
    void *world;
    size_t world_bytes;
    void (*after)(void *world); /* the node is closed. NULL: nothing */
    void (*on_event)(void *world, const ward_event *event);
    uint32_t times; /* each seed is run. 0: once */
    void (*plan)(ward_sim_opts *opts, uint64_t seed); /* order and faults. NULL: none */
    bool (*abandons)(const void *world); /* it may: some hang for ever. NULL: it never does */
};

static struct {
    const char *name, *program;
    uint64_t seed;
    char report[4096];
} running;

MAYBE_UNUSED static _Noreturn void fail_now(const char *at, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s: seed %llu: %s: ", running.name, (unsigned long long)running.seed, at);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr,
        "\nrepeat: FROM=%llu SEEDS=1 %s (with TRACE=1: what happened)\n"
        "keep:   echo %s %llu >>tests/sim/seeds\n",
        (unsigned long long)running.seed, running.program, running.name,
        (unsigned long long)running.seed);
    fflush(stderr);
    abort();
}

/* CHECKF says more: CHECKF(a == b, "%d is not %d", a, b). NEVER is where nothing may come to. */
#define NEVER(what) fail_now(WARD_AT, "%s", (what))
#define CHECK(condition) ((condition) ? (void)0 : fail_now(WARD_AT, "%s", #condition))
#define CHECKF(condition, ...) ((condition) ? (void)0 : fail_now(WARD_AT, __VA_ARGS__))

static void on_assert(void *hook, const char *site, const char *what)
{
    (void)hook;
    fail_now(site, "the core's own assert failed: %s", what);
}

static void put(const char *text)
{
    if (write(2, text, strlen(text)) < 0) _exit(2);
}

/* Only what a signal handler may call. */
static void on_signal(int number)
{
    char digits[24] = "", *at = digits + sizeof digits - 1;

    for (uint64_t left = running.seed; left || !*at; left /= 10)
        *--at = (char)('0' + left % 10);
    put(running.name);
    put(": seed ");
    put(at);
    put(number == SIGALRM ? ": it does not end\n" : ": it crashed\n");
    signal(number, SIG_DFL);
    raise(number);
}

/* A crash may be on a fiber whose stack is used up. */
static void catch_signals(void)
{
    static char stack[1 << 16];
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

    sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof stack }, NULL);
    sigaction(SIGALRM, &action, NULL);
    if (WARD__ASAN || WARD__TSAN) return; /* which say more */
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static void print_step(void *hook, const char *line)
{
    (void)hook;
    fprintf(stderr, "%s\n", line);
}

static void one_seed(const struct scenario *scenario, uint64_t seed)
{
    ward_opts opts = { .arg = scenario->world,
        .actors_max = 4096,
        .hook = scenario->world,
        .on_event = scenario->on_event,
        .on_assert = on_assert };
    ward_sim_opts sim = {
        .seed = seed, .node = &opts, .report = running.report, .report_bytes = sizeof running.report
    };
    uint64_t failed = 0;
    ward_status rc;

    running.seed = seed;
    memset(scenario->world, 0, scenario->world_bytes);
    if (getenv("TRACE")) sim.on_step = print_step;
    if (scenario->plan) scenario->plan(&sim, seed);
    rc = ward_simulate(&failed, scenario->body, 1, &sim);
    if (rc == WARD_ETIMEDOUT && scenario->abandons && scenario->abandons(scenario->world))
        rc = WARD_OK;
    CHECKF(rc == WARD_OK, "the run ended with \"%s\"\n%s", ward_strerror(rc), running.report);
    if (scenario->after) scenario->after(scenario->world);
}

static uint64_t number_of(const char *text, uint64_t otherwise)
{
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void all_times(const struct scenario *scenario, uint64_t seed)
{
    alarm(30);
    for (uint32_t k = 0; k == 0 || k < scenario->times; k++)
        one_seed(scenario, seed);
}

static uint64_t kept_seeds(const struct scenario *scenario)
{
    FILE *file = fopen(WARD_SEEDS_FILE, "r");
    unsigned long long seed;
    uint64_t count = 0;
    char line[256], name[64];

    CHECKF(file != NULL, "cannot read %s", WARD_SEEDS_FILE);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || line[0] == '\n') continue;
        CHECKF(sscanf(line, "%63s %llu", name, &seed) == 2, "%s: %s", WARD_SEEDS_FILE, line);
        if (strcmp(name, scenario->name) != 0) continue;
        all_times(scenario, seed);
        count++;
    }
    fclose(file);
    return count;
}

static double seconds_since(const struct timespec *began)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* main of a scenario: [SEEDS [FROM]] as arguments or from the environment. */
MAYBE_UNUSED static int simulate(const struct scenario *scenario, int argc, char **argv)
{
    uint64_t seeds = number_of(argc > 1 ? argv[1] : getenv("SEEDS"), SEEDS);
    uint64_t from = number_of(argc > 2 ? argv[2] : getenv("FROM"), 1), kept = 0;
    bool progress = getenv("PROGRESS") != NULL;
    struct timespec began;
    double told = 0, took;

    running.name = scenario->name;
    running.program = argv[0];
    catch_signals();
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (seeds != 1) kept = kept_seeds(scenario);
    for (uint64_t i = 0; i < seeds; i++) {
        all_times(scenario, from + i);
        if (!progress || (took = seconds_since(&began)) - told < 5) continue;
        told = took;
        fprintf(stderr, "%s: %llu of %llu seeds, %.0f a second\n", scenario->name,
            (unsigned long long)i + 1, (unsigned long long)seeds, (double)(i + 1) / took);
    }
    printf("%s: %llu seeds from %llu, and %llu kept, in %.1f s\n", scenario->name,
        (unsigned long long)seeds, (unsigned long long)from, (unsigned long long)kept,
        seconds_since(&began));
    return 0;
}

MAYBE_UNUSED static uint32_t below(ward_self *self, uint32_t n)
{
    return (uint32_t)(ward_random(self) % n);
}

MAYBE_UNUSED static bool one_in(ward_self *self, uint32_t n)
{
    return below(self, n) == 0;
}

/* What became of the messages of all lives that have ended with this behaviour. */
struct books {
    struct ward__books lives;
    uint64_t restarts, reaped;
    uint64_t fates[WARD__FATES];
};

MAYBE_UNUSED static struct books books_of(
    const ward_self *self, ward_handler *handle, ward_body *body)
{
    struct books sum = { 0 };
    struct ward__tree *tree = ward_node_of(self)->tree;

    for (struct ward__spec_entry *entry = tree->specs; entry; entry = entry->next) {
        if (entry->spec.user.handle != handle || entry->spec.user.body != body) continue;
        ward__books_of(ward_node_of(self), entry, &sum.lives);
        sum.restarts += ward__load(&entry->counts.restarts);
        sum.reaped += ward__load(&entry->counts.reaped);
        for (int i = 0; i < WARD__FATES; i++)
            sum.fates[i] += ward__load(&entry->counts.fates[i]);
    }
    return sum;
}

/* Mail that user code has seen, of those: the law of conservation says it is the remainder. */
MAYBE_UNUSED static uint64_t seen_by_books(const struct books *books)
{
    CHECK(books->lives.spawned == books->lives.ended);
    CHECKF(books->lives.accepted == books->lives.settled, "%llu accepted, %llu settled",
        (unsigned long long)books->lives.accepted, (unsigned long long)books->lives.settled);
    return books->lives.settled - books->fates[WARD__EXPIRED] - books->fates[WARD__DEAD_LETTERED] -
           books->fates[WARD__DISCARDED];
}

/* Mail as the books count it: no tick, no DOWN, no IDLE. */
MAYBE_UNUSED static bool is_counted(const ward_msg *msg)
{
    return !(ward__mail_bits(msg) & WARD__MAIL_SIGNAL);
}

#endif
