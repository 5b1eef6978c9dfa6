/* SPDX-License-Identifier: MIT */
/*
 * log.h - log lines on stderr: one line an event, time first, each one write. Nothing that a
 * message says may be given to it: texts are our own, connections are numbers.
 *
 * Floods are held back: lines of one kind come once a second at most and say how many there were.
 * Any thread; a line may block on whoever reads stderr, so actors use it for what is rare.
 */
#ifndef GATE_LOG_H
#define GATE_LOG_H

#include <stdatomic.h>
#include <stdint.h>
#include <ward/ward.h>

enum gate_log_kind {
    GATE_LOG_REFUSED, /* a message that is not as it should be */
    GATE_LOG_NO_ROOM,
    GATE_LOG_NOT_KEPT, /* the journal did not take it */
    GATE_LOG_CONNECTION,
    GATE_LOG_TRUNCATED,
    GATE_LOG_RETRY,
    GATE_LOG_DEAD,
    GATE_LOG_JOURNAL,
    GATE_LOG_KINDS
};

struct gate_log_gap {
    _Atomic int64_t quiet_until_ms;
    _Atomic uint64_t held_back;
};

struct gate_log {
    const char *who; /* "gate", "worker-1" */
    struct gate_log_gap gaps[GATE_LOG_KINDS];
};

void gate_log(const struct gate_log *log, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void gate_log_limited(struct gate_log *log, enum gate_log_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* For ward_opts.on_event, with a struct gate_log as its hook. */
void gate_log_event(void *hook, const ward_event *event);

#endif
