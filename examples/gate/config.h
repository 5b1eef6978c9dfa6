/* SPDX-License-Identifier: MIT */
/*
 * config.h - what `gate run` and `gate worker` were told on their command lines, and the little
 * that all their actors share. One of it, owned by the command, outlives the node; actors have a
 * pointer to it as their argument. Only the parts that say so change after the start, and those
 * are safe on any thread.
 */
#ifndef GATE_CONFIG_H
#define GATE_CONFIG_H

#include "examples/gate/args.h"
#include "examples/gate/budget.h"
#include "examples/gate/log.h"
#include <signal.h>
#include <stdatomic.h>
#include <ward/ward.h>

enum { GATE_SHARDS_MAX = 256, GATE_WORKERS_MAX = 32 };

struct gate_config {
    struct gate_address listen_at;
    const char *journal_path;
    const char *terms_url; /* without a slash at its end */
    const char *link_url, *census_url; /* NULL: none */
    unsigned workers, shards, attempts;
    int64_t connections_max, max_frame, budget_bytes, journal_bytes_max;
    int64_t idle_ms, frame_ms, stop_ms, retry_ms, retry_max_ms, check_ms, check_all_ms;
    /* Of a worker. */
    const char *name;
    bool end_with_stdin;
    int signal_fd; /* SIGTERM and SIGINT, blocked in all threads */
    /* Change while it runs; any thread. */
    struct gate_budget budget;
    struct gate_log log;
    _Atomic uint64_t connections; /* numbers for log lines */
    _Atomic uint64_t acks; /* control ids of acknowledgements */
    int64_t started_ms; /* wall clock */
};

/* Blocks SIGTERM and SIGINT, before there is any thread, and returns a signalfd of them, or -1. */
int gate_config_signals(void);

/* Milliseconds since 1970, for the journal and for log lines. */
int64_t gate_wall_ms(void);

#endif
