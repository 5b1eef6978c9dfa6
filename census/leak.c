/* SPDX-License-Identifier: MIT */
/*
 * leak.c - did a piece of a test leave actors behind? Each actor remembers how many checks had
 * begun when it was born, so "since" needs no list; "below self" is a walk up its parents. Runs in
 * the test's own actor, and sleeps as any actor does, so a simulated node sleeps in its own time;
 * who acts from outside blocks its thread. Reads slots without a lock, like the census.
 */
#include <time.h>

#include <ward/census.h>

#include "supervisor/tree.h"

enum { STEP_MS = 5, DEPTH_MAX = 4096 };

ward_mark ward_leakcheck_begin(ward_self *self)
{
    return (ward_mark){ ward__add(&self->node->leak_checks, 1) + 1 };
}

/* The chain of a live actor's parents is live. */
static bool is_below(const ward_node *node, uint32_t index, uint32_t top)
{
    for (int depth = 0; depth < DEPTH_MAX && index >= WARD__ROOT_SLOT; depth++) {
        index = ward__load_acq(&ward__slot(node, index)->parent);
        if (index == top) return true;
    }
    return false;
}

static bool any_left(const ward_self *self, ward_mark mark)
{
    const ward_node *node = self->node;
    uint32_t top = ward__index(node, self->slot); /* from outside: the root */

    for (uint32_t i = WARD__ROOT_SLOT + 1; i < ward__load_acq(&node->slots_used); i++) {
        const struct ward__slot *slot = ward__slot(node, i);
        if (ward__load_acq(&slot->phase) == WARD__FREE) continue;
        if (ward__load_acq(&slot->born) >= mark.begun && is_below(node, i, top)) return true;
    }
    return false;
}

/* WARD_ESTATE: a handler cannot wait, so what it saw is the verdict. */
static ward_status pause_for(ward_self *self, ward_deadline until)
{
    struct timespec step = { .tv_nsec = (long)STEP_MS * WARD__NS_MS };
    ward_deadline by = ward_in_ms(self, STEP_MS);

    if (self->kind == WARD__SELF_OUTSIDE) {
        if (self->node->sim) return WARD_ESTATE; /* its time stands still meanwhile */
        (void)nanosleep(&step, NULL);
        return WARD_OK;
    }
    return ward_sleep_at(self, by.ns < until.ns ? by : until, "census/leak.c");
}

ward_status ward_leakcheck_end(ward_self *self, ward_mark mark, int64_t settle_ms)
{
    ward_deadline until = ward_in_ms(self, settle_ms);
    ward_status rc = WARD_OK;

    while (any_left(self, mark)) {
        if (ward_ms_left(self, until) <= 0) return WARD_EFAIL;
        rc = pause_for(self, until);
        if (rc == WARD_ESTATE) return WARD_EFAIL;
        if (rc) return rc;
    }
    return WARD_OK;
}
