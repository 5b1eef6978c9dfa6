/* SPDX-License-Identifier: MIT */
/*
 * sim_fault.c - what goes wrong in a simulation, and the calls in which it does.
 *
 * A crash is a jump out of user code to where the runtime called it, which then sees a behaviour
 * that has failed: deferred calls and clean-up run, and the supervisor judges. Allocation fails in
 * a hook between the node's heap and the user's. Both spare the bodies of the run, which are the
 * test, and the simulator itself.
 *
 * In a simulated node each spec calls user code through the wrappers here, so the paths of real
 * nodes have no branch for it. On the simulation's thread.
 */
#include <setjmp.h>
#include <stdlib.h>

#include "actors/node.h"
#include "actors/sim.h"

static bool is_spared(const ward_sim *sim)
{
    const struct ward__slot *slot = ward__sim_current(sim);
    const struct ward__sim *part = slot ? ward__sim_part(sim) : NULL;

    return part && part->spared == ward__index(part->node, slot) &&
           part->spared_life == ward__life(slot);
}

bool ward__sim_fault(ward_sim *sim, uint32_t one_in, uint64_t at, uint64_t *count)
{
    bool hit;

    if (!sim->faulty || sim->sparing || is_spared(sim)) return false;
    ++*count;
    hit = at && *count == at;
    if (one_in && ward__random_below(&sim->random, one_in) == 0) hit = true;
    sim->faults += hit;
    return hit;
}

/* -- memory ------------------------------------------------------------------------------------ */

static void *allocate(void *arg, void *old, size_t old_bytes, size_t bytes)
{
    struct ward__sim *part = arg;
    ward_sim *sim = part->sim;

    if (bytes > old_bytes &&
        ward__sim_fault(sim, sim->opts.memory_one_in, sim->opts.memory_at, &sim->allocations)) {
        ward__sim_note(sim, part, ward__sim_current(sim), "gets no memory", (int64_t)bytes);
        return NULL;
    }
    if (part->alloc) return part->alloc(part->alloc_arg, old, old_bytes, bytes);
    if (bytes) return realloc(old, bytes);
    free(old);
    return NULL;
}

void ward__sim_memory(ward_node *node)
{
    struct ward__sim *part = node->sim;

    part->alloc = node->heap.hook;
    part->alloc_arg = node->heap.arg;
    node->heap.hook = allocate;
    node->heap.arg = part;
}

void ward__sim_memory_end(ward_node *node)
{
    node->heap.hook = node->sim->alloc;
    node->heap.arg = node->sim->alloc_arg;
}

/* -- user code --------------------------------------------------------------------------------- */

void ward__sim_crash(ward_self *self)
{
    jmp_buf *at = self->escape;

    ward__sim_note(self->node->sim->sim, self->node->sim, self->slot, "crashes in a call", 0);
    if (at) longjmp(*at, 1);
}

ward_status ward__sim_handle(ward_self *self, const ward_msg *msg)
{
    ward_sim *sim = self->node->sim->sim;
    ward_status rc = WARD_EFAIL;
    jmp_buf escape;

    if (sim->opts.on_step)
        ward__sim_note(sim, self->node->sim, self->slot, ward_type_of(msg)->name, 0);
    if (setjmp(escape) == 0) {
        self->escape = &escape;
        rc = self->spec->user.handle(self, msg);
    }
    self->escape = NULL;
    return rc;
}

static ward_status call(ward_self *self, ward_body *body)
{
    ward_status rc = WARD_EFAIL;
    jmp_buf escape;

    if (setjmp(escape) == 0) {
        self->escape = &escape;
        rc = body(self);
    }
    self->escape = NULL;
    return rc;
}

ward_status ward__sim_start(ward_self *self)
{
    return call(self, self->spec->user.start);
}

ward_status ward__sim_body(ward_self *self)
{
    return call(self, self->spec->user.body);
}
