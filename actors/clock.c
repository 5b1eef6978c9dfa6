/* SPDX-License-Identifier: MIT */
/*
 * clock.c - the one place where time and chance come from: the system's monotonic clock and its
 * randomness, or the simulator's. Any thread.
 */
#include "actors/node.h"
#include "actors/sim.h"

int64_t ward__clock_ns(const ward_node *node)
{
    return node->sim ? ward__sim_now(node->sim) : ward__now_ns();
}

uint64_t ward__clock_tick(const ward_node *node, int64_t ns)
{
    int64_t since = ns - node->opened_ns;

    return since <= WARD__NS_MS ? 1 : (uint64_t)((since - 1) / WARD__NS_MS) + 1;
}

uint64_t ward__chance(const ward_node *node)
{
    return node->sim ? ward__sim_random(node->sim) : ward__entropy();
}

ward_deadline ward_in_ms(const ward_self *self, int64_t ms)
{
    int64_t now = ward__clock_ns(self->node);

    if (ms <= 0) return WARD_NOW;
    if (ms > (INT64_MAX - 1 - now) / WARD__NS_MS) return WARD_FOREVER;
    return (ward_deadline){ now + ms * WARD__NS_MS };
}

int64_t ward_ms_left(const ward_self *self, ward_deadline by)
{
    int64_t left;

    if (by.ns == INT64_MAX) return INT64_MAX;
    left = by.ns - ward__clock_ns(self->node);
    return left <= 0 ? 0 : (left + WARD__NS_MS - 1) / WARD__NS_MS;
}

int64_t ward_now_ns(const ward_self *self)
{
    return ward__clock_ns(self->node);
}
