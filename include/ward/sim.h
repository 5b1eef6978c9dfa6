/* SPDX-License-Identifier: MIT */
/*
 * ward/sim.h - simulation: your actors, unchanged, on one thread with a virtual clock, in an order
 * that a seed decides. The rules of ward.h hold; docs/simulation.md shows how to test with it.
 *
 * Whatever happens depends on the seed and the options alone, so a seed that fails fails again, at
 * the same nanosecond, under a debugger too. ward_opts.sim_seed simulates a single ward_run.
 */
#ifndef WARD_SIM_H
#define WARD_SIM_H

#include <ward/ward.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Clock, seed and nodes of one run. One thread at a time. */
typedef struct ward_sim ward_sim;

/* Copied; what is pointed to must outlive the simulation. */
typedef struct ward_sim_opts {
    uint64_t seed;         /* of the run, or the first. 0: 1 */
    const ward_opts *node; /* ward_simulate: of its node. NULL: all zeroes */
    /* Order. For the first change_steps turns whoever has the highest of random priorities runs,
     * and at this many of them, drawn at random, that one falls to the lowest. It finds what needs
     * a few switches at the right places. Later, and without: each choice is as likely. */
    uint32_t change_points; /* at most 16. 0: none */
    uint32_t change_steps;  /* 0: 2000 */
    /* Faults, from the start of the bodies until the last has returned; the bodies themselves are
     * spared. One in so many of what is named, drawn at random; or the n-th alone. 0: none. */
    uint32_t memory_one_in; /* allocations: there is no memory */
    uint64_t memory_at;
    uint32_t crash_one_in; /* calls into ward: it does not return, the incarnation has failed there,
                              as code that crashed. What it has from malloc is lost */
    uint64_t crash_at;
    uint32_t stuck_one_in; /* calls: it takes up to stuck_ms, in which the turn is stuck */
    uint32_t stuck_ms;     /* 0: 60000 */
    uint32_t cancel_one_in; /* turns: before it someone at random is cancelled, supervisors too */
    uint64_t cancel_at;
    /* Links between nodes of the simulation; of the pieces that are sent. */
    uint32_t link_delay_us; /* a piece takes up to so long. 0: 500 */
    uint32_t cut_one_in;    /* the connection is lost, both ways, with what was under way */
    uint32_t silent_one_in; /* for up to silent_ms nothing arrives at the other side, all of it
                               later; the way back goes on */
    uint32_t silent_ms;     /* 0: 10000 */
    /* For reading a failure: a line for each thing that happens, valid during the call; it must not
     * call ward. NULL: none */
    void (*on_step)(void *hook, const char *line);
    void *hook;
    /* On failure: the seed, the virtual time, what was counted, and who waits for whom and where in
     * the code. Always a string. */
    char *report; /* NULL: none */
    size_t report_bytes;
} ward_sim_opts;

/* Runs `body` in a simulation of its own for each of `runs` seeds in a row, as ward_run does, and
 * stops at the first that does not return WARD_OK: *failed_seed. opts may be NULL.
 * Errors: what that run returned; WARD_EDEADLK: nothing can ever happen again. */
#define ward_simulate(failed_seed, body, runs, ...) \
    ward_simulate_sized((failed_seed), (body), (runs), (__VA_ARGS__), sizeof(ward_sim_opts))
WARD_CHECKED ward_status ward_simulate_sized(uint64_t *failed_seed, ward_body *body, uint32_t runs,
    const ward_sim_opts *opts, size_t opts_bytes);

/* This turn takes that much virtual time without waiting, as code does that loops or blocks, so
 * the watchdog sees it; WARD_UNLIMITED: it never returns. A real endless loop would hang the
 * simulation. Errors: WARD_ESTATE in a node that is not simulated. */
WARD_CHECKED ward_status ward_sim_hang(ward_self *self, uint32_t ms);

/* Turns the plan of faults off and on again: from here on all must heal. Nothing else changes.
 * Nothing in a node that is not simulated. */
WARD_API void ward_sim_faults(ward_self *self, bool on);

/* The same in pieces, for several nodes: open one, give it nodes, run it, close it. The clock
 * stands still but in ward_sim_run. opts may be NULL. Errors: none more. */
#define ward_sim_open(out, ...) ward_sim_open_sized((out), (__VA_ARGS__), sizeof(ward_sim_opts))
WARD_CHECKED ward_status ward_sim_open_sized(
    ward_sim **out, const ward_sim_opts *opts, size_t opts_bytes);

/* Opens a node in it, whose ward_run is `body`; NULL: there is none, and ward_outside does it all.
 * opts: sim_seed is not read, stop_ms is used at the end of the run. out may be NULL; the node
 * lasts until ward_sim_run returns. Errors: WARD_ESTATE (it runs, or has run). */
#define ward_sim_node(sim, out, body, ...) \
    ward_sim_node_sized((sim), (out), (body), (__VA_ARGS__), sizeof(ward_opts))
WARD_CHECKED ward_status ward_sim_node_sized(
    ward_sim *sim, ward_node **out, ward_body *body, const ward_opts *opts, size_t opts_bytes);

/* Runs until each body has returned, then closes all nodes, the last one first.
 * Errors: as ward_run, of the first node that has any; WARD_EDEADLK: nothing can ever happen
 * again; WARD_ESTATE (it runs, or has run). */
WARD_CHECKED ward_status ward_sim_run(ward_sim *sim);

/* What becomes of links from one node of a simulation to another, by hand. In ward-net.
 * Errors: WARD_ESTATE (not of one simulation). */
typedef enum ward_sim_way {
    WARD_SIM_MENDED, /* what was held back arrives */
    WARD_SIM_CUT,    /* connections are lost now, both ways; new ones may come */
    WARD_SIM_SILENT  /* nothing that `from` sends arrives, until mended; no connection either way */
} ward_sim_way;
WARD_CHECKED ward_status ward_sim_link(ward_node *from, ward_node *to, ward_sim_way way);

/* A number made of all that happened and when: two runs are equal when it is. */
WARD_API uint64_t ward_sim_hash(const ward_sim *sim);

/* Closes the nodes of one that has not run, too. NULL: nothing. Not inside of its actors. */
WARD_API void ward_sim_close(ward_sim *sim);

#ifdef __cplusplus
}
#endif

#endif
