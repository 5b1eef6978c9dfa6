/* SPDX-License-Identifier: MIT */
/*
 * log.c - log lines on stderr, and the clock and signals that both long-running commands need.
 *
 * A line is put together on the caller's stack and written with one write(2), so lines of several
 * threads and processes do not mix. Knows nothing of messages. Any thread.
 */
#include "examples/gate/log.h"
#include "examples/gate/config.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512, QUIET_MS = 1000 };

int64_t gate_wall_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int gate_config_signals(void)
{
    sigset_t ending;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &ending, NULL) != 0) return -1;
    return signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

static size_t at_most(int written, size_t room)
{
    if (written < 0) return 0;
    return (size_t)written < room ? (size_t)written : room - 1;
}

static void write_line(
    const struct gate_log *log, uint64_t held_back, const char *fmt, va_list args)
{
    char line[LINE_MAX_BYTES];
    size_t used, room = sizeof line - 1; /* for the newline */
    int64_t now = gate_wall_ms();
    time_t seconds = (time_t)(now / 1000);
    struct tm utc;

    if (!gmtime_r(&seconds, &utc)) return;
    used = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &utc);
    used += at_most(snprintf(line + used, room - used, ".%03dZ %s: ", (int)(now % 1000), log->who),
        room - used);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): both callers have begun it */
    used += at_most(vsnprintf(line + used, room - used, fmt, args), room - used);
    if (held_back)
        used += at_most(snprintf(line + used, room - used, " (and %llu such lines before)",
                            (unsigned long long)held_back),
            room - used);
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0) return; /* nobody is there to be told */
}

void gate_log(const struct gate_log *log, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    write_line(log, 0, fmt, args);
    va_end(args);
}

void gate_log_limited(struct gate_log *log, enum gate_log_kind kind, const char *fmt, ...)
{
    struct gate_log_gap *gap = &log->gaps[kind];
    int64_t now = gate_wall_ms(), until = atomic_load(&gap->quiet_until_ms);
    va_list args;

    /* A clock that was set back must not silence us for long. */
    if (now < until && until - now <= QUIET_MS) {
        (void)atomic_fetch_add(&gap->held_back, 1);
        return;
    }
    if (!atomic_compare_exchange_strong(&gap->quiet_until_ms, &until, now + QUIET_MS)) {
        (void)atomic_fetch_add(&gap->held_back, 1);
        return;
    }
    va_start(args, fmt);
    write_line(log, atomic_exchange(&gap->held_back, 0), fmt, args);
    va_end(args);
}

void gate_log_event(void *hook, const ward_event *event)
{
    char text[LINE_MAX_BYTES - 64];

    (void)ward_event_text(event, text, sizeof text);
    gate_log(hook, "%s", text);
}
