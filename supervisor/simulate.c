/* SPDX-License-Identifier: MIT */
/*
 * simulate.c - one run of a simulation: its nodes, their bodies, how it ends and what is said of
 * it. The order of what happens is actors/sim.c's.
 *
 * The body of a node is a temporary child of its root, "/main". When all bodies have returned, or
 * nothing can ever happen again, the nodes are closed, the last one first, each by its stop_ms.
 * Everything runs on the thread that opened the simulation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/sim.h"
#include "supervisor/tree.h"

enum { MAIN_STACK = 1 << 18 };

/* A node of it and its body. */
struct ward__running {
    ward_node *node;
    ward_ref main;
    ward_body *body; /* NULL: none */
    void *arg;
    ward_status rc;
    bool over;
    struct ward__running *next; /* opened after it */
};

/* -- faults ------------------------------------------------------------------------------------ */

static bool is_there(const ward_node *node, uint32_t index)
{
    const struct ward__slot *slot = ward__slot(node, index);
    const struct ward__sim *part = node->sim;

    if (ward__load(&slot->phase) == WARD__FREE) return false;
    return index != part->spared || ward__life(slot) != part->spared_life;
}

static uint32_t cancel_one(ward_node *node, uint64_t chance)
{
    uint32_t used = ward__load_acq(&node->slots_used), count = 0, index = WARD__ROOT_SLOT;

    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++)
        count += is_there(node, i);
    if (!count) return 0;
    for (count = (uint32_t)(chance % count) + 1; count > 0; count -= is_there(node, index))
        index++;
    ward_cancel(ward_outside(node), ward__ref(node, ward__slot(node, index)));
    return index;
}

static const struct ward__sim_ops ops = {
    .clock = ward__clock_step, .cancel = cancel_one, .path = ward__path
};

/* -- bodies ------------------------------------------------------------------------------------ */

static ward_status main_body(ward_self *self)
{
    struct ward__running *running = ward_arg(self);

    self->arg = running->arg;
    running->rc = running->body(self);
    return running->rc;
}

static void main_over(ward_self *self, ward_reason why)
{
    struct ward__running *running = ward_arg(self);

    if (why == WARD_BY_CHILD && running->rc == WARD_ECANCELED) running->rc = WARD_EFAIL;
    running->over = true;
}

static ward_status start_main(struct ward__running *running)
{
    ward_spec spec = { .name = "main",
        .body = main_body,
        .cleanup = main_over,
        .arg = running,
        .restart = WARD_TEMPORARY,
        .stack_bytes = MAIN_STACK };
    ward_site site = { "main", "ward_run", sizeof spec };
    ward_status rc;

    if (!running->body) return WARD_OK;
    rc = ward_spawn_at(ward_outside(running->node), &running->main, &spec, site);
    running->node->sim->spared = running->main.slot;
    running->node->sim->spared_life = running->main.life;
    return rc;
}

/* Or its life is: it hung for so long that it was quarantined. */
static bool is_over(const struct ward__running *running)
{
    const struct ward__slot *slot = ward__slot(running->node, running->main.slot);

    return running->over || !running->body || ward__life(slot) != running->main.life;
}

static bool all_over(void *arg)
{
    const struct ward__running *running = arg;

    while (running && is_over(running))
        running = running->next;
    return !running;
}

/* -- the end ----------------------------------------------------------------------------------- */

/* Of the first node that has any. */
static ward_status status_of(const struct ward__running *running)
{
    ward_status rc = WARD_OK;

    for (; running; running = running->next)
        if (running->body && running->rc < 0) rc = running->rc;
    return rc;
}

static void report(const ward_sim *sim, ward_status rc)
{
    char *out = sim->opts.report;
    size_t bytes = sim->opts.report_bytes, length;
    int written;

    if (!out || !bytes) return;
    written = snprintf(out, bytes,
        "seed %llu, at %lld.%06lld s, after %llu turns, %llu calls, %llu allocations and %llu "
        "faults: %s\n",
        (unsigned long long)sim->opts.seed, (long long)(sim->now_ns / 1000000000),
        (long long)(sim->now_ns % 1000000000 / 1000), (unsigned long long)sim->turns,
        (unsigned long long)sim->calls, (unsigned long long)sim->allocations,
        (unsigned long long)sim->faults, ward_strerror(rc));
    length = (size_t)written < bytes ? (size_t)written : bytes - 1;
    for (const struct ward__sim *part = sim->parts; part; part = part->next)
        length = ward__graph(part->node, sim->parts->next != NULL, out, length, bytes);
}

static ward_status close_all(ward_sim *sim)
{
    ward_status rc = WARD_OK;

    sim->closing = true;
    while (sim->bodies) {
        struct ward__running **at = &sim->bodies, *last;
        while ((*at)->next)
            at = &(*at)->next;
        last = *at;
        ward_status closed = ward_close(
            last->node, NULL, ward_in_ms(ward_outside(last->node), last->node->opts.stop_ms));
        if (closed && !rc) rc = closed;
        *at = NULL;
        free(last);
    }
    return rc;
}

/* -- the object -------------------------------------------------------------------------------- */

ward_status ward_sim_open_sized(ward_sim **out, const ward_sim_opts *opts, size_t opts_bytes)
{
    ward_sim_opts own = { 0 };

    if (!out) return WARD_EINVAL;
    if (opts) memcpy(&own, opts, opts_bytes < sizeof own ? opts_bytes : sizeof own);
    if (own.change_points > WARD__CHANGES_MAX) return WARD_EINVAL;
    if (!own.seed) own.seed = 1;
    if (own.report && own.report_bytes) own.report[0] = '\0';
    *out = ward__sim_make(&ops, &own);
    return *out ? WARD_OK : WARD_ENOMEM;
}

ward_status ward_sim_node_sized(
    ward_sim *sim, ward_node **out, ward_body *body, const ward_opts *opts, size_t opts_bytes)
{
    struct ward__running *running, **at;
    ward_status rc;

    if (!sim) return WARD_EINVAL;
    if (sim->ran || sim->current) return WARD_ESTATE;
    running = calloc(1, sizeof *running);
    if (!running) return WARD_ENOMEM;
    rc = ward__open_simulated(&running->node, opts, opts_bytes, sim);
    if (rc) {
        free(running);
        return rc;
    }
    running->body = body;
    running->arg = running->node->opts.arg;
    running->rc = WARD_ETIMEDOUT; /* unless it returns */
    for (at = &sim->bodies; *at;)
        at = &(*at)->next;
    *at = running;
    if (out) *out = running->node;
    return WARD_OK;
}

ward_status ward_sim_run(ward_sim *sim)
{
    ward_status rc = WARD_OK, closed;

    if (!sim) return WARD_EINVAL;
    if (sim->ran || sim->current) return WARD_ESTATE;
    sim->ran = true;
    for (struct ward__running *running = sim->bodies; running && !rc; running = running->next)
        rc = start_main(running);
    ward__sim_faulty(sim, true);
    if (!rc && !ward__sim_run(sim, all_over, sim->bodies, INT64_MAX)) rc = WARD_EDEADLK;
    ward__sim_faulty(sim, false);
    if (!rc) rc = status_of(sim->bodies);
    if (rc) report(sim, rc);
    closed = close_all(sim);
    if (closed && !rc) report(sim, closed);
    return rc ? rc : closed;
}

uint64_t ward_sim_hash(const ward_sim *sim)
{
    return sim->hash;
}

void ward_sim_close(ward_sim *sim)
{
    if (!sim) return;
    (void)close_all(sim);
    ward__sim_drop(sim);
}

/* -- a run with one node ----------------------------------------------------------------------- */

static ward_status run_one(
    ward_body *body, const ward_sim_opts *opts, const ward_opts *node, size_t node_bytes)
{
    ward_sim *sim;
    ward_status rc = ward_sim_open(&sim, opts);

    if (rc) return rc;
    rc = ward_sim_node_sized(sim, NULL, body, node, node_bytes);
    if (!rc) rc = ward_sim_run(sim);
    ward_sim_close(sim);
    return rc;
}

uint64_t ward__sim_seed(const ward_opts *opts, size_t opts_bytes)
{
    ward_opts own = { 0 };

    if (opts) memcpy(&own, opts, opts_bytes < sizeof own ? opts_bytes : sizeof own);
    return own.sim_seed;
}

ward_status ward__run_simulated(ward_body *body, const ward_opts *opts, size_t opts_bytes)
{
    ward_sim_opts sim = { .seed = ward__sim_seed(opts, opts_bytes) };

    return run_one(body, &sim, opts, opts_bytes);
}

ward_status ward_simulate_sized(uint64_t *failed_seed, ward_body *body, uint32_t runs,
    const ward_sim_opts *opts, size_t opts_bytes)
{
    ward_sim_opts own = { 0 };
    ward_status rc = WARD_OK;

    if (!body) return WARD_EINVAL;
    if (opts) memcpy(&own, opts, opts_bytes < sizeof own ? opts_bytes : sizeof own);
    if (!own.seed) own.seed = 1;
    for (uint32_t i = 0; !rc && i < runs; i++, own.seed++) {
        rc = run_one(body, &own, own.node, sizeof *own.node);
        if (rc && failed_seed) *failed_seed = own.seed;
    }
    return rc;
}
