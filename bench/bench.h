/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the workloads of ward-bench share. Each is the body of a ward_run, on the thread
 * of main; it builds its actors, takes the time, checks the result and reports.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <ward/ward.h>

struct bench_args {
    const char *name; /* as given, with -body */
    int64_t count[2]; /* the numbers after the name, or their defaults */
    bool bodies; /* -body: fibers where there is a choice */
    uint32_t cap; /* of mailboxes; 0: ward's default, 1024 */
    const char *server; /* rtt, oneway: a node to link to */
    double began; /* bench_begin */
};

struct bench_work {
    const char *name, *takes;
    int64_t count[2]; /* defaults */
    ward_body *run;
};

/* 64 bits, as in each message of each peer. */
extern const ward_type BENCH_NUMBER, BENCH_REF, BENCH_GO, BENCH_DONE;

/* Over the link: a number and 64 bytes. */
struct bench_frame {
    uint64_t number;
    ward_bytes payload;
};
extern const ward_type BENCH_FRAME;

/* In processes of their own. */
enum { BENCH_SPECS_COUNT = 2 };
extern const ward_spec BENCH_SPECS[BENCH_SPECS_COUNT];
extern const ward_type BENCH_TOLD;

void bench_begin(struct bench_args *args);
double bench_seconds(const struct bench_args *args); /* since bench_begin */
int64_t bench_now_ns(void);
int64_t bench_resident(void); /* bytes */

/* Prints "NAME ops seconds ops_per_s [extra]" for the time since bench_begin, or for `seconds`. */
void bench_report(const struct bench_args *args, int64_t ops, double seconds, const char *extra);
/* The same, with percentiles of the times of all ops, in ns, which are sorted. */
void bench_report_times(
    const struct bench_args *args, int64_t *times, int64_t count, double seconds);

/* Ends the program: a wrong result is no result. */
void bench_check(bool right, const char *what);
void bench_ok(ward_status rc, const char *what);

/* A temporary actor, by handler or by body. */
ward_ref bench_spawn(ward_self *self, const struct bench_args *args, ward_handler *handle,
    ward_body *body, ward_spec spec);
/* Waits until one of the actors sends BENCH_DONE; what it says. */
int64_t bench_wait(ward_self *self);
/* For whoever saw the last of it: tells main's actor. */
void bench_done(ward_self *self, ward_ref whom, int64_t result);

ward_body bench_pingpong, bench_ring, bench_count, bench_fanin, bench_fanout, bench_big;
ward_body bench_forkjoin, bench_skynet, bench_idle, bench_idletimer, bench_ask, bench_restart;
ward_body bench_growth, bench_full, bench_cascade, bench_server, bench_rtt, bench_oneway;
ward_body bench_floor_server, bench_rtt_floor, bench_isolate;

#endif
