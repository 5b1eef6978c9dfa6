/* SPDX-License-Identifier: MIT */
/*
 * sim.h - the simulated scheduler: the same actors on one thread, with a virtual clock and a
 * choice of what runs next that depends on the seed and nothing else. See sim.c.
 */
#ifndef WARD_ACTORS_SIM_H
#define WARD_ACTORS_SIM_H

#include <ward/ward.h>

struct ward__sim;
struct ward__slot;
struct ward__thread;

struct ward__sim *ward__sim_new(ward_node *node, uint64_t seed);
void ward__sim_free(ward_node *node);
int64_t ward__sim_now(const struct ward__sim *sim);
uint64_t ward__sim_random(struct ward__sim *sim);
/* An actor of it is running: whoever asks is one. */
bool ward__sim_running(const struct ward__sim *sim);
/* Runs until `done` says so. until_ns: virtual time. False: nothing can ever happen again, or the
 * time is over. `clock` does the clock thread's work for a time and says when it wants to be
 * called next. The thread that opened the node. */
typedef int64_t ward__sim_clock(ward_node *node, int64_t now_ns);
bool ward__sim_run(
    ward_node *node, bool (*done)(void *arg), void *arg, int64_t until_ns, ward__sim_clock *clock);

#endif
