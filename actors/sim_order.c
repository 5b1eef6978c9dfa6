/* SPDX-License-Identifier: MIT */
/*
 * sim_order.c - who of the runnable is next: any, each as likely; or, for the first turns of a run
 * with change points, whoever has the highest priority, as in probabilistic concurrency testing
 * (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic
 * Guarantees of Finding Bugs, 2010): a bug that needs d orderings is met with a probability that
 * does not fall with the number of ways to go.
 *
 * A priority is a hash of who it is, so there is no table of them but of those few who fell.
 */
#include "actors/node.h"
#include "actors/sim.h"

static uint64_t priority(
    const ward_sim *sim, const struct ward__sim *part, const struct ward__slot *slot)
{
    uint32_t node = part->node->id, index = ward__index(part->node, slot);
    uint64_t life = ward__life(slot), state = sim->salt ^ life * 0x2545f4914f6cdd1du;

    for (uint32_t i = sim->fallen_count; i > 0; i--) { /* the later, the lower */
        const struct ward__fallen *fallen = &sim->fallen[i - 1];
        if (fallen->node == node && fallen->slot == index && fallen->life == life)
            return WARD__CHANGES_MAX - i;
    }
    state ^= (uint64_t)node << 32 | index;
    return ward__random(&state) | 1u << 5; /* above all that fell */
}

struct place {
    struct ward__sim *part;
    uint32_t at;
};

static struct place highest(const ward_sim *sim)
{
    struct place best = { NULL, 0 };
    uint64_t most = 0;

    for (struct ward__sim *part = sim->parts; part; part = part->next)
        for (uint32_t i = 0; i < part->ready_count; i++) {
            uint64_t its = priority(sim, part, ward__slot(part->node, part->ready[i]));
            if (best.part && its <= most) continue;
            best = (struct place){ part, i };
            most = its;
        }
    return best;
}

static struct place any(ward_sim *sim)
{
    struct place place = { sim->parts, ward__random_below(&sim->random, sim->ready_count) };

    for (; place.at >= place.part->ready_count; place.part = place.part->next)
        place.at -= place.part->ready_count;
    return place;
}

/* At a change point whoever would run falls, and whoever is the highest then runs. */
static struct place by_priority(ward_sim *sim)
{
    struct place place = highest(sim);

    while (sim->fallen_count < sim->opts.change_points &&
           sim->turns >= sim->changes[sim->fallen_count]) {
        const struct ward__slot *slot = ward__slot(place.part->node, place.part->ready[place.at]);
        sim->fallen[sim->fallen_count++] = (struct ward__fallen){ place.part->node->id,
            place.part->ready[place.at], ward__life(slot) };
        place = highest(sim);
    }
    return place;
}

struct ward__slot *ward__sim_pick(ward_sim *sim, struct ward__sim **of)
{
    bool ordered = sim->opts.change_points && sim->turns < sim->opts.change_steps;
    struct place place = ordered ? by_priority(sim) : any(sim);
    struct ward__sim *part = place.part;
    struct ward__slot *slot = ward__slot(part->node, part->ready[place.at]);

    part->ready[place.at] = part->ready[--part->ready_count];
    sim->ready_count--;
    *of = part;
    return slot;
}

/* d of them, ascending. */
void ward__sim_changes(ward_sim *sim)
{
    sim->salt = sim->opts.seed * 0x9e3779b97f4a7c15u ^ 0x5851f42d4c957f2du;
    for (uint32_t i = 0; i < sim->opts.change_points; i++) {
        uint32_t turn = ward__random_below(&sim->random, sim->opts.change_steps), at = i;
        for (; at > 0 && sim->changes[at - 1] > turn; at--)
            sim->changes[at] = sim->changes[at - 1];
        sim->changes[at] = turn;
    }
}
