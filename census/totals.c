/* SPDX-License-Identifier: MIT */
/*
 * totals.c - the books: what became of all messages.
 *
 * Two counts are independent of each other. Senders count what came in, in the mailbox's word; the
 * owner counts what it is done with, in `settled`, once for each message that left its hand or was
 * let go of after it was kept. In between a message is queued, in hand (one at most), or kept; so
 *
 *     accepted == queued + in hand + kept + settled
 *
 * and what is missing was lost, or settled twice. A mailbox that says it is EMPTY has nothing
 * queued and nothing in hand, whatever the difference of its counts is. The rare fates are counted
 * apart, so "handled" is what remains of the settled ones; that split is not a check.
 *
 * A life that ends moves its counts to its spec. A walk is taken again when one did so meanwhile:
 * then spawned, ended and live do not fit together. What other threads do during the walk may show
 * as a few unaccounted messages; at rest there are none. Any thread; holds no lock while it walks.
 */
#include <string.h>

#include <ward/census.h>

#include "supervisor/tree.h"

enum { TRIES = 4, LOOKS = 8 };

struct sums {
    ward_totals out;
    uint64_t fates, settled;
};

/* What ended lives left behind. Fates before settled ones: they are counted in that order. */
static void add_specs(ward_node *node, struct sums *sums)
{
    const struct ward__spec_entry *entry;
    uint64_t fates[WARD__FATES] = { 0 };
    ward_totals *out = &sums->out;
    struct ward__books books = { 0 };

    entry = ward__load_acq(&node->tree->specs);
    for (; entry; entry = entry->next) {
        const struct ward__counts *counts = &entry->counts;
        for (int i = 0; i < WARD__FATES; i++)
            fates[i] += ward__load_acq(&counts->fates[i]);
        ward__books_of(node, entry, &books);
    }
    out->ended = books.ended;
    out->accepted = books.accepted;
    out->refused = books.refused;
    sums->settled = books.settled;
    out->abandoned = fates[WARD__ABANDONED];
    out->expired = fates[WARD__EXPIRED];
    out->dead_lettered = fates[WARD__DEAD_LETTERED];
    out->discarded = fates[WARD__DISCARDED];
    out->in_doubt = fates[WARD__IN_DOUBT];
    out->handed_over = fates[WARD__HANDED_OVER];
    for (int i = 0; i < WARD__FATES; i++)
        sums->fates += fates[i];
}

struct box {
    uint64_t word, taken, settled;
    uint32_t kept;
};

static struct box look(struct ward__slot *slot)
{
    struct box box;

    box.settled = ward__load_acq(&slot->box.settled);
    box.kept = ward__load_acq(&slot->box.kept);
    box.taken = ward__load_acq(&slot->box.taken);
    box.word = ward__load_acq(&slot->box.word);
    return box;
}

/* Until two looks agree. */
static struct box settled_look(struct ward__slot *slot)
{
    struct box box = look(slot), again;

    for (int i = 0; i < LOOKS; i++) {
        again = look(slot);
        if (again.word == box.word && again.taken == box.taken && again.settled == box.settled &&
            again.kept == box.kept)
            break;
        box = again;
    }
    return box;
}

static void add_slot(struct ward__slot *slot, struct sums *sums)
{
    struct box box = settled_look(slot);
    uint32_t queued = (ward__word_count(box.word) - (uint32_t)box.taken) & WARD__COUNT_MASK;
    int64_t in_hand = (int64_t)(box.taken - box.settled - box.kept);
    bool empty = box.word & WARD__EMPTY;

    sums->out.live++;
    sums->out.accepted += box.taken + queued;
    sums->out.queued += empty ? 0 : queued;
    /* An isolate's mailbox may be given up while its process has a message in hand. */
    sums->out.in_hand += in_hand > 0 && (!empty || ward__load(&slot->kind) == WARD__ISOLATE);
    sums->out.kept += box.kept;
    sums->out.refused += ward__load(&slot->box.refused);
    sums->settled += box.settled;
}

static void add_live(ward_node *node, struct sums *sums)
{
    uint32_t used = ward__load_acq(&node->slots_used);

    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++) {
        struct ward__slot *slot = ward__slot(node, i);
        if (ward__load_acq(&slot->phase) != WARD__FREE) add_slot(slot, sums);
    }
}

static struct ward__books all_books(ward_node *node)
{
    const struct ward__spec_entry *entry;
    struct ward__books books = { 0 };

    entry = ward__load_acq(&node->tree->specs);
    for (; entry; entry = entry->next)
        ward__books_of(node, entry, &books);
    return books;
}

static void take_sums(ward_node *node, struct sums *sums)
{
    struct ward__books after;

    for (int i = 0; i < TRIES; i++) {
        memset(sums, 0, sizeof *sums);
        sums->out.spawned = all_books(node).spawned;
        add_specs(node, sums);
        add_live(node, sums);
        after = all_books(node);
        if (after.spawned == sums->out.spawned && after.ended == sums->out.ended &&
            sums->out.live + sums->out.ended == sums->out.spawned)
            break;
    }
}

/* Handled is the rest of the settled ones, unaccounted what is left of all. */
static void close_books(struct sums *sums)
{
    ward_totals *out = &sums->out;

    out->handled = sums->settled > sums->fates ? sums->settled - sums->fates : 0;
    out->unaccounted = (int64_t)(out->accepted - out->queued - out->in_hand - out->kept -
                                 out->handled - sums->fates);
}

void ward_census_totals(ward_node *node, ward_totals *out, size_t out_bytes)
{
    struct sums sums;

    if (!out) return;
    memset(out, 0, out_bytes);
    if (!node) return;
    take_sums(node, &sums);
    close_books(&sums);
    sums.out.fenced = ward__load(&node->fenced);
    sums.out.late_replies = ward__load(&node->late_replies);
    sums.out.restarts = ward__load(&node->restarts);
    sums.out.reaped = ward__load(&node->reaped);
    ward__tree_lock(node);
    sums.out.zombies = node->zombies;
    ward__tree_unlock(node);
    memcpy(out, &sums.out, out_bytes < sizeof sums.out ? out_bytes : sizeof sums.out);
}
