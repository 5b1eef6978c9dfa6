/* SPDX-License-Identifier: MIT */
/*
 * spares.c - whether a long turn gives its worker to another thread, and which services have
 * enough threads for now.
 *
 * A turn over 20 ms with others waiting behind it is given one, up to spares_max for the node. On
 * a worker that has moved lately the next turn has less time, down to 1 ms: when a service hangs,
 * its actors come one after another, and each wave would cost all others 20 ms again.
 *
 * One spec holds half of the spares at most: before the workers could go beyond that, its other
 * actors are put aside when their turn comes (ward__hold), until there are fewer long turns of it.
 * So do those of every spec that holds some when all spares are nearly gone. Who is to stop is not
 * put aside.
 *
 * The watchdog's thread only, under the tree lock; workers read `held` and `holding`.
 */
#include "supervisor/tree.h"

enum { LEND_MS = 20, ROW_MS = 200, HALVINGS = 4 };

int64_t ward__lend_after_ns(const struct ward__worker *worker, int64_t now_ns)
{
    bool lately = now_ns - worker->moved_ns < (int64_t)ROW_MS * WARD__NS_MS;
    uint32_t moves = lately ? worker->moves : 0;

    return (int64_t)LEND_MS * WARD__NS_MS >> (moves < HALVINGS ? moves : HALVINGS);
}

bool ward__lending_lately(const ward_node *node, int64_t now_ns)
{
    return now_ns - node->tree->lent_ns < (int64_t)ROW_MS * WARD__NS_MS;
}

/* The count of one more lent thread; it is of this look only. */
static struct ward__counts *count(ward_node *node, const struct ward__slot *slot)
{
    struct ward__counts *counts = ward__counts(ward__load(&slot->spec));

    if (counts->lent_look != node->tree->looks) counts->lent = 0;
    counts->lent_look = node->tree->looks;
    counts->lent++;
    node->tree->lent++;
    return counts;
}

static bool has_enough(const ward_node *node, const struct ward__counts *counts)
{
    uint64_t most = node->opts.spares_max, workers = node->workers_count;

    if (counts->lent_look != node->tree->looks || counts->lent == 0) return false;
    return counts->lent + workers > most / 2 || node->tree->lent + workers > most;
}

static void set_held(ward_node *node)
{
    struct ward__spec_entry *entry;
    bool holding = false;

    for (entry = ward__load(&node->tree->specs); entry; entry = entry->next) {
        bool held = has_enough(node, &entry->counts);
        if (ward__load(&entry->counts.held) != held) ward__store_seq(&entry->counts.held, held);
        holding |= held;
    }
    ward__store_seq(&node->holding, holding);
}

void ward__spares_look_locked(ward_node *node)
{
    bool lent_before = node->tree->lent > 0;

    node->tree->looks++;
    node->tree->lent = 0;
    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread; thread = thread->next) {
        uint32_t hand = ward__load(&thread->hand);
        if ((hand & WARD__WORKER_GONE) && !(hand & WARD__TURN_GONE))
            (void)count(node, ward__slot(node, ward__load(&thread->slot)));
    }
    pthread_mutex_unlock(&node->threads_lock);
    if (lent_before || node->tree->lent) set_held(node);
    ward__let_go(node);
}

bool ward__may_lend(const ward_node *node)
{
    return node->tree->lent < node->opts.spares_max;
}

void ward__lent_locked(ward_node *node, struct ward__worker *worker, const struct ward__slot *slot)
{
    int64_t now = ward__clock_ns(node);
    bool lately = now - worker->moved_ns < (int64_t)ROW_MS * WARD__NS_MS;

    worker->moves = lately ? worker->moves + 1 : 1;
    worker->moved_ns = node->tree->lent_ns = now;
    if (has_enough(node, count(node, slot))) set_held(node);
}
