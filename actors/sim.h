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
    /* Cancels one of those who are there, all but the body; slot of whom, 0: nobody is. */
    uint32_t (*cancel)(ward_node *node, uint64_t chance);
    void (*path)(const ward_node *node, const struct ward__slot *slot, char *out, size_t bytes);
};

enum { WARD__CHANGES_MAX = 16 };

/* Who fell to the lowest priority. */
struct ward__fallen {
    uint32_t node, slot;
    uint64_t life;
};

/* Something that happens at a time; part of its owner's record. Its owner's `fire` runs in the
 * loop, when no actor does. */
struct ward__sim_event {
    struct ward__sim_event *next;
    int64_t at_ns;
    void (*fire)(struct ward__sim_event *event);
    bool set;
};

/* One node's part. */
struct ward__sim {
    ward_sim *sim;
    ward_node *node;
    struct ward__sim *next; /* in the order in which the nodes were opened */
    bool alone; /* the node was opened without a simulation, and owns this one */
    struct ward__actor_thread *threads;
    int64_t clock_ns;
    uint32_t spared; /* slot of the body, and its life */
    uint64_t spared_life;
    void *(*alloc)(void *arg, void *old, size_t old_bytes, size_t bytes); /* behind the faults */
    void *alloc_arg;
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
    void *links; /* of the links' layer */
    void (*links_free)(void *links);
    struct ward__sim_event *events; /* the next one first */
    int64_t acted_ns; /* the last turn was then */
    bool ran, closing;
    /* Order: turns at which someone falls, ascending, and who did. */
    uint64_t salt;
    uint32_t changes[WARD__CHANGES_MAX], fallen_count;
    struct ward__fallen fallen[WARD__CHANGES_MAX];
    /* Faults. */
    bool faulty; /* now */
    uint32_t sparing; /* what is done is the simulator's own */
    uint64_t turns, steps, calls, allocations, faults; /* steps: turns with faults */
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
/* Sets it for a time, or another; takes it back. */
void ward__sim_at(ward_sim *sim, struct ward__sim_event *event, int64_t at_ns);
void ward__sim_unset(ward_sim *sim, struct ward__sim_event *event);
/* Turns faults on or off; off, those who are stuck by one go on. */
void ward__sim_faulty(ward_sim *sim, bool on);
/* A fault that is counted: one in so many, or the n-th. */
bool ward__sim_fault(ward_sim *sim, uint32_t one_in, uint64_t at, uint64_t *count);
/* Takes over an allocation hook, if there is to be too little memory; and gives it back. */
void ward__sim_memory(ward_node *node);
void ward__sim_memory_end(ward_node *node);
/* The current turn goes no further: it has failed, or returns if it cannot crash. */
void ward__sim_crash(ward_self *self);
/* What happened, to the hash; and with on_step to that. slot NULL: nobody in particular. */
void ward__sim_note(ward_sim *sim, const struct ward__sim *part, const struct ward__slot *slot,
    const char *what, int64_t number);
/* Whose turn it is; NULL: nobody's. And of which node. */
struct ward__slot *ward__sim_current(const ward_sim *sim);
struct ward__sim *ward__sim_part(const ward_sim *sim);
/* What a spec calls in a simulated node, instead of the user's. */
ward_status ward__sim_handle(ward_self *self, const ward_msg *msg);
ward_status ward__sim_body(ward_self *self);
ward_status ward__sim_start(ward_self *self);
/* Takes one who is runnable. */
struct ward__slot *ward__sim_pick(ward_sim *sim, struct ward__sim **of);
void ward__sim_changes(ward_sim *sim);

/* Its node may not be closed now: an actor runs, or the simulation itself will close it. */
static inline bool ward__sim_keeps(const struct ward__sim *part)
{
    return ward__sim_running(part) || !(part->alone || part->sim->closing);
}
/* Runs until `done` says so. until_ns: virtual time. False: nothing can ever happen again, or the
 * time is over. The thread that opened the nodes. */
bool ward__sim_run(ward_sim *sim, bool (*done)(void *arg), void *arg, int64_t until_ns);

#endif
