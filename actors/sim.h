/* SPDX-License-Identifier: MIT */
/*
 * sim.h - the simulated scheduler: the same actors on one thread, with a virtual clock and a
 * choice of what runs next that depends on the seed and nothing else. See sim.c.
 *
 * A ward_sim is one run with its clock and its nodes; a ward__sim is one node's part of it. Knows
 * no supervisors and no links: what they do in it are hooks.
 */
#ifndef WARD_ACTORS_SIM_H
#define WARD_ACTORS_SIM_H

#include <ward/sim.h>

#include "actors/fiber.h"
#include "base/random.h"

struct ward__slot;
struct ward__actor_thread;

/* What the supervision layer does in a simulation. */
struct ward__sim_ops {
    /* The clock thread's work for a time; says when it wants to be called next. */
    int64_t (*clock)(ward_node *node, int64_t now_ns);
};

/* One node's part. */
struct ward__sim {
    ward_sim *sim;
    ward_node *node;
    struct ward__sim *next; /* in the order in which the nodes were opened */
    bool alone; /* the node was opened without a simulation, and owns this one */
    struct ward__actor_thread *threads;
    int64_t clock_ns;
    uint32_t *ready; /* slots */
    uint32_t ready_count;
    size_t ready_bytes;
};

struct ward_sim {
    const struct ward__sim_ops *ops;
    ward_sim_opts opts; /* defaults filled in */
    uint64_t random, hash;
    int64_t now_ns;
    struct ward__context loop;
    struct ward__actor_thread *current;
    struct ward__sim *parts;
    uint32_t ready_count; /* of all parts */
    struct ward__running *bodies; /* of the supervision layer */
    bool ran, closing;
};

ward_sim *ward__sim_make(const struct ward__sim_ops *ops, const ward_sim_opts *opts);
void ward__sim_drop(ward_sim *sim);
/* Makes node->sim. False: no memory. */
bool ward__sim_join(ward_node *node, ward_sim *sim);
/* At the end of the node. */
void ward__sim_leave(ward_node *node);

static inline int64_t ward__sim_now(const struct ward__sim *part)
{
    return part->sim->now_ns;
}
static inline uint64_t ward__sim_random(struct ward__sim *part)
{
    return ward__random(&part->sim->random);
}
/* An actor of it is running: whoever asks is one. */
static inline bool ward__sim_running(const struct ward__sim *part)
{
    return part->sim->current != NULL;
}
/* Its node may not be closed now: an actor runs, or the simulation itself will close it. */
static inline bool ward__sim_keeps(const struct ward__sim *part)
{
    return ward__sim_running(part) || !(part->alone || part->sim->closing);
}
/* Runs until `done` says so. until_ns: virtual time. False: nothing can ever happen again, or the
 * time is over. The thread that opened the nodes. */
bool ward__sim_run(ward_sim *sim, bool (*done)(void *arg), void *arg, int64_t until_ns);

#endif
