/* SPDX-License-Identifier: MIT */
/*
 * wheel.c - deadlines of waits: a hierarchical wheel a worker (Varghese and Lauck, 1987), lazy.
 *
 * The deadline is a field of the actor. Arming is a store when an entry that comes no later is
 * already in a wheel; when the entry's time comes, the wheel looks at the field again and fires,
 * moves the entry, or drops it. Invariants:
 *   - An entry leaves the wheel only when it was disarmed or has fired. To drop one, the wheel
 *     stores "in no wheel" (seq_cst), fences, and reads the deadline once more; who arms stores
 *     the deadline and then reads "in a wheel". When both are the worker's own thread no fence is
 *     needed; else the armer fences.
 *   - To move one later, it stores the new place (seq_cst) and then reads the deadline once more:
 *     the armer may have trusted the old place for an earlier one.
 *   - To fire: read the cell (acquire), then the deadline again, and claim only that very cell.
 * The work of one call is bounded. Level l holds ticks that are less than 64^(l+1) away; what is
 * farther waits in the last level and is looked at early, which does no harm.
 *
 * Held by tests/models/timer.pml (with a mistake for each of these rules), tests/race/wheel.c and
 * tests/race/timers.c.
 *
 * The wheel's lock is a leaf but for claiming and waking, which take no locks of ours.
 */
#include <string.h>

#include "actors/node.h"
#include "base/assert.h"

enum { VISITS_MAX = 256, BITS = 6 };

void ward__wheel_open(struct ward__wheel *wheel)
{
    memset(wheel, 0, sizeof *wheel);
    ward__lock_init(&wheel->lock);
    ward__store(&wheel->next, UINT64_MAX);
}

void ward__wheel_close(struct ward__wheel *wheel)
{
    pthread_mutex_destroy(&wheel->lock);
}

static int level_of(const struct ward__wheel *wheel, uint64_t tick)
{
    uint64_t away = tick - wheel->now;
    int level = 0;

    while (level + 1 < WARD__WHEEL_LEVELS && away >> (BITS * (level + 1)))
        level++;
    return level;
}

/* Where an entry for `tick` goes; one too far away goes as far as the last level reaches. */
static uint32_t place_of(const struct ward__wheel *wheel, uint64_t tick, int level)
{
    uint64_t reach = (UINT64_C(1) << (BITS * WARD__WHEEL_LEVELS)) - 1;

    if (tick - wheel->now > reach) tick = wheel->now + reach;
    return (uint32_t)(tick >> (BITS * level)) & (WARD__WHEEL_SLOTS - 1);
}

static void link_in(
    ward_node *node, struct ward__wheel *wheel, struct ward__slot *slot, uint64_t tick)
{
    int level;
    uint32_t place, index = ward__index(node, slot), *head;

    if (tick <= wheel->now) tick = wheel->now + 1;
    level = level_of(wheel, tick);
    place = place_of(wheel, tick, level);
    head = &wheel->heads[level][place];
    slot->wheel_next = *head;
    slot->wheel_prev = 0;
    if (*head) ward__slot(node, *head)->wheel_prev = index;
    *head = index;
    wheel->used[level] |= UINT64_C(1) << place;
    wheel->count++;
    slot->wheel_of = (uint16_t)(level << 8 | (int)place);
    ward__store_seq(&slot->wheel_tick, tick);
    if (tick < ward__load(&wheel->next)) ward__store_seq(&wheel->next, tick);
}

static void link_out(ward_node *node, struct ward__wheel *wheel, struct ward__slot *slot)
{
    int level = slot->wheel_of >> 8;
    uint32_t place = slot->wheel_of & 0xff, *head = &wheel->heads[level][place];

    if (slot->wheel_prev)
        ward__slot(node, slot->wheel_prev)->wheel_next = slot->wheel_next;
    else
        *head = slot->wheel_next;
    if (slot->wheel_next) ward__slot(node, slot->wheel_next)->wheel_prev = slot->wheel_prev;
    if (!*head) wheel->used[level] &= ~(UINT64_C(1) << place);
    wheel->count--;
}

/* The tick at which something must be looked at; UINT64_MAX: nothing is there. */
static uint64_t earliest(const struct ward__wheel *wheel)
{
    uint64_t best = UINT64_MAX;

    for (int level = 0; level < WARD__WHEEL_LEVELS; level++) {
        int shift = BITS * level;
        uint64_t base = wheel->now >> shift, at = base & (WARD__WHEEL_SLOTS - 1), when;
        uint64_t used = wheel->used[level];
        if (!used) continue;
        /* Rotated so that bit 0 is the place right after `now`. */
        at = (at + 1) & (WARD__WHEEL_SLOTS - 1);
        used = at ? used >> at | used << (WARD__WHEEL_SLOTS - at) : used;
        when = (base + 1 + (uint64_t)__builtin_ctzll(used)) << shift;
        if (when < best) best = when;
    }
    return best;
}

/* What becomes of an entry whose time has come: a tick to look again, or 0: dropped. */
static uint64_t visit(struct ward__here *here, struct ward__slot *slot, int64_t now_ns)
{
    struct ward__wait *wait = &slot->wait;
    int64_t deadline = ward__load_acq(&wait->deadline);
    uint64_t cell;

    if (deadline == 0 || deadline == INT64_MAX) {
        ward__store_seq(&slot->wheel_tick, 0);
        ward__fence();
        deadline = ward__load_seq(&wait->deadline);
        if (deadline == 0 || deadline == INT64_MAX) return 0;
    }
    if (deadline > now_ns) return ward__clock_tick(here->node, deadline);
    cell = ward__load_acq(&wait->cell);
    deadline = ward__load_acq(&wait->deadline);
    if (deadline == 0 || deadline > now_ns) return ward__clock_tick(here->node, now_ns) + 1;
    if (ward__waiting(cell)) {
        if (!ward__wait_claim(wait, cell)) return ward__clock_tick(here->node, now_ns) + 1;
        wait->status = WARD_ETIMEDOUT;
        ward__store_seq(&slot->wheel_tick, 0);
        ward__resume(here, slot);
        return 0;
    }
    /* It waits for mail, or is just being handed over for: tell it, and look again. */
    ward__poke(here, slot, WARD__SIG_TIME);
    return ward__clock_tick(here->node, now_ns) + 1;
}

/* Moves an entry. Meanwhile its actor, on another thread, may have come forward with an earlier
 * deadline and trusted the old place: the store of the new one (seq_cst), then this look, are the
 * other half of the pair in ward__wheel_arm. */
static void link_again(
    ward_node *node, struct ward__wheel *wheel, struct ward__slot *slot, uint64_t tick)
{
    int64_t deadline;

    link_in(node, wheel, slot, tick);
    deadline = ward__load_seq(&slot->wait.deadline);
    if (tick <= wheel->now + 1 || deadline == 0 || deadline == INT64_MAX) return;
    if (ward__clock_tick(node, deadline) >= tick) return;
    link_out(node, wheel, slot);
    link_in(node, wheel, slot, ward__clock_tick(node, deadline));
}

static void visit_all(
    struct ward__here *here, struct ward__wheel *wheel, int level, int64_t now_ns, int *budget)
{
    ward_node *node = here->node;
    uint32_t place = (uint32_t)(wheel->now >> (BITS * level)) & (WARD__WHEEL_SLOTS - 1);
    uint64_t again;

    while (wheel->heads[level][place] && *budget > 0) {
        struct ward__slot *slot = ward__slot(node, wheel->heads[level][place]);
        uint64_t tick = ward__load(&slot->wheel_tick);
        --*budget;
        link_out(node, wheel, slot);
        if (tick > wheel->now) {
            link_in(node, wheel, slot, tick); /* a cascade */
            continue;
        }
        again = visit(here, slot, now_ns);
        if (again) link_again(node, wheel, slot, again);
    }
}

bool ward__wheel_run(struct ward__here *here, struct ward__worker *worker, int64_t now_ns)
{
    struct ward__wheel *wheel = &worker->wheel;
    int64_t since = (now_ns - here->node->opened_ns) / WARD__NS_MS;
    uint64_t target = since > 0 ? (uint64_t)since : 0, next;
    int budget = VISITS_MAX;

    pthread_mutex_lock(&wheel->lock);
    while (wheel->now < target && budget > 0) {
        next = wheel->count ? earliest(wheel) : UINT64_MAX;
        if (next > target) {
            wheel->now = target;
            break;
        }
        wheel->now = next;
        for (int level = WARD__WHEEL_LEVELS - 1; level >= 0; level--)
            if (!(next & ((UINT64_C(1) << (BITS * level)) - 1)))
                visit_all(here, wheel, level, now_ns, &budget);
        if (budget <= 0) wheel->now = next - 1; /* the rest of this tick comes next time */
    }
    ward__store_seq(&wheel->next, wheel->count ? earliest(wheel) : UINT64_MAX);
    pthread_mutex_unlock(&wheel->lock);
    return budget <= 0;
}

static void link_for(struct ward__here *here, struct ward__slot *slot, uint64_t tick)
{
    struct ward__worker *worker = &here->node->workers[slot->wheel_worker];
    struct ward__wheel *wheel = &worker->wheel;
    bool earlier;

    pthread_mutex_lock(&wheel->lock);
    if (!wheel->count && here->worker == worker) {
        /* An empty wheel need not walk through the time that passed. */
        int64_t since = (ward__clock_ns(here->node) - here->node->opened_ns) / WARD__NS_MS;
        if (since > (int64_t)wheel->now) wheel->now = (uint64_t)since;
    }
    if (ward__load(&slot->wheel_tick)) link_out(here->node, wheel, slot);
    earlier = tick < ward__load(&wheel->next);
    link_in(here->node, wheel, slot, tick);
    pthread_mutex_unlock(&wheel->lock);
    if (earlier && here->worker != worker) ward__ring(here->node, worker);
}

void ward__wheel_arm(struct ward__here *here, struct ward__slot *slot, int64_t deadline_ns)
{
    uint64_t tick, linked;
    bool local;

    if (deadline_ns == INT64_MAX || deadline_ns == 0) return;
    if (WARD__ROAM && here->worker && !ward__load_seq(&slot->wheel_tick))
        slot->wheel_worker = (uint16_t)here->worker->index;
    local = here->worker && here->worker->index == slot->wheel_worker;
    if (!local) ward__fence(); /* the deadline is stored before the entry is looked for */
    tick = ward__clock_tick(here->node, deadline_ns);
    linked = ward__load_seq(&slot->wheel_tick);
    if (ward__likely(linked && linked <= tick)) return;
    link_for(here, slot, tick);
}

void ward__wheel_forget(ward_node *node, struct ward__slot *slot)
{
    struct ward__wheel *wheel = &node->workers[slot->wheel_worker].wheel;

    if (!ward__load_acq(&slot->wheel_tick)) return;
    pthread_mutex_lock(&wheel->lock);
    if (ward__load(&slot->wheel_tick)) link_out(node, wheel, slot);
    ward__store_seq(&slot->wheel_tick, 0);
    pthread_mutex_unlock(&wheel->lock);
}
