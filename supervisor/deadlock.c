/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - finds cycles of waits and ends them: one of a cycle gets WARD_EDEADLK.
 *
 * An actor that asks, or stands at a full mailbox, has an edge to one other (wait.holder); one that
 * joins has an edge to each that still lives. Nobody else has one: who receives, sleeps or polls
 * may be woken by anybody. So a cycle of edges is a wait that only a deadline or a cancel can end.
 *
 * Who parks looks whether the one it waits for waits, too. If so, it follows the edges without a
 * lock, and only if they may lead back does it search under the tree lock. The last one of a cycle
 * to arm its cell sees all the others armed (see wait.c). If one of them is not SURE yet (about to
 * park, or its question is just being forwarded) or the search is long, the clock thread searches
 * once more, at its next tick, until it is either or.
 *
 * No wait is ended that was not part of a cycle. The search reads all cells, then all edges, then
 * all cells again: if they are the same, all those actors were parked while the edges were read, so
 * none of them was about to answer, forward or make room. Then one cell is claimed by its very
 * value. The tree lock lets one search end a cycle at a time, so a cycle has one victim: who has
 * the least time left, else the last to park.
 *
 * Any thread, on its own way to park or to forward; the clock thread.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/tree.h"

enum { HOPS = 64, LIMIT = 256, ROOM = 32, TEXT = WARD__PATH_MAX / 2 };

enum found { NONE, ENDED, AGAIN };

/* An actor on the path of the search. */
struct ward__hop {
    struct ward__slot *slot;
    struct ward__join *join; /* of a WARD__EDGE_ALL */
    uint64_t cell;
    size_t next; /* edge to be followed */
    uint32_t holder;
    uint8_t edge;
};

static struct ward__slot *holder_of(const ward_node *node, uint32_t holder)
{
    holder &= ~WARD__MOVING;
    return holder && holder < node->slots_max ? ward__slot(node, holder) : NULL;
}

/* False: the edges lead to somebody who waits for nobody. No lock. */
static bool may_be_cycle(const ward_node *node, struct ward__slot *start)
{
    struct ward__slot *at = start;

    for (int i = 0; i < HOPS; i++) {
        uint8_t edge = ward__load_seq(&at->edge);
        if (edge & WARD__EDGE_ALL) return true;
        if (!edge || !ward__waiting(ward__load_seq(&at->wait.cell))) return false;
        at = holder_of(node, ward__load_seq(&at->wait.holder));
        if (!at) return false;
        if (at == start) return true;
    }
    return true;
}

/* -- the search; all under the tree lock ------------------------------------------------------- */

/* Two marks for each search: on its path, and done with. */
static void begin(ward_node *node)
{
    struct ward__search *search = &node->tree->search;

    search->hops_count = 0;
    search->mark += 2;
    if (search->mark < UINT16_MAX - 1) return;
    for (uint32_t i = 0; i < ward__load_acq(&node->slots_used); i++)
        ward__slot(node, i)->looked = 0;
    search->mark = 2;
}

static bool has_room(ward_node *node)
{
    struct ward__search *search = &node->tree->search;
    uint32_t more = search->hops_room ? search->hops_room * 2 : ROOM;
    struct ward__hop *at;

    if (search->hops_count < search->hops_room) return true;
    at = ward__realloc(&node->heap, search->hops, search->hops_room * sizeof *search->hops,
        more * sizeof *search->hops);
    if (!at) return false;
    search->hops = at;
    search->hops_room = more;
    return true;
}

/* Puts an actor on the path, if it has an edge. False: no memory. */
static bool enter(ward_node *node, struct ward__slot *slot)
{
    struct ward__search *search = &node->tree->search;
    struct ward__hop hop = { .slot = slot, .edge = ward__load_seq(&slot->edge) };

    slot->looked = search->mark + 1;
    hop.cell = ward__load_seq(&slot->wait.cell);
    if (!hop.edge || !ward__waiting(hop.cell)) return true;
    hop.holder = ward__load_seq(&slot->wait.holder);
    /* Who joins takes its record back under the lock, and its edge before that. */
    if (hop.edge & WARD__EDGE_ALL) hop.join = slot->inc->join;
    if (!has_room(node)) return false;
    slot->looked = search->mark;
    search->hops[search->hops_count++] = hop;
    return true;
}

/* Whom the next edge of this one leads to; NULL: it has no more. */
static struct ward__slot *next_of(const ward_node *node, struct ward__hop *hop)
{
    if (!(hop->edge & WARD__EDGE_ALL)) return hop->next++ ? NULL : holder_of(node, hop->holder);
    while (hop->next < hop->join->count) {
        struct ward__slot *whom = hop->join->watches[hop->next++].watched;
        if (whom) return whom;
    }
    return NULL;
}

/* Whether all of them are parked for each other, and were when the edges were read. */
static bool is_sure(const struct ward__hop *hops, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (ward__load_seq(&hops[i].slot->edge) != (hops[i].edge | WARD__EDGE_SURE) ||
            ward__load_seq(&hops[i].slot->wait.holder) != hops[i].holder ||
            (hops[i].join == NULL && (hops[i].holder & WARD__MOVING)))
            return false;
    for (uint32_t i = 0; i < count; i++)
        if (ward__load_seq(&hops[i].slot->wait.cell) != hops[i].cell) return false;
    return true;
}

/* "/main/a ask x.c:12 > /main/b join y.c:30 > /main/a", as far as there is room. */
static void describe(ward_node *node, const struct ward__hop *hops, uint32_t count, char *out)
{
    size_t used = 0;

    for (uint32_t i = 0; i <= count; i++) {
        struct ward__slot *slot = hops[i % count].slot;
        const char *what = ward__load(&slot->wait_what), *at = ward__load(&slot->wait_at);
        char path[TEXT], hop[2 * TEXT];
        int length;

        ward__path(node, slot, path, sizeof path);
        if (i == count)
            length = snprintf(hop, sizeof hop, "%s", path);
        else
            length = snprintf(hop, sizeof hop, "%s %s %s > ", path, what ? what : "", at ? at : "");
        if (length < 0 || used + (size_t)length + sizeof "... (4294967295 actors)" > TEXT) {
            snprintf(out + used, TEXT - used, "... (%u actors)", count);
            return;
        }
        memcpy(out + used, hop, (size_t)length + 1);
        used += (size_t)length;
    }
}

/* Who has the least time left, else the last to park: the first on the path is the one that has
 * just parked, when it is part of the cycle. */
static uint32_t choose(const struct ward__hop *hops, uint32_t count, bool first_is_last)
{
    uint32_t victim = 0;
    int64_t least = ward__load(&hops[0].slot->wait.deadline);
    int64_t since = first_is_last ? INT64_MAX : ward__load(&hops[0].slot->since_ns);

    for (uint32_t i = 1; i < count; i++) {
        int64_t deadline = ward__load(&hops[i].slot->wait.deadline);
        int64_t parked = ward__load(&hops[i].slot->since_ns);
        if (deadline > least || (deadline == least && parked <= since)) continue;
        victim = i;
        least = deadline;
        since = parked;
    }
    return victim;
}

/* Ends the wait of one. False: they do not all wait for each other now. */
static bool end_cycle(struct ward__here *here, const struct ward__hop *hops, uint32_t count)
{
    ward_node *node = here->node;
    uint32_t victim = choose(hops, count, hops == node->tree->search.hops);
    struct ward__slot *slot = hops[victim].slot;
    struct ward__news news = { .kind = WARD_EV_DEADLOCK, .slot = slot, .status = WARD_EDEADLK };
    char text[TEXT] = "";

    if (node->opts.on_event) describe(node, hops, count, text);
    news.what = text;
    news.site = ward__load(&slot->wait_at);
    if (!is_sure(hops, count) || !ward__wait_claim(&slot->wait, hops[victim].cell)) return false;
    slot->wait.status = WARD_EDEADLK;
    ward__event(node, &news);
    ward__resume(here, slot);
    return true;
}

static uint32_t place_of(const struct ward__search *search, const struct ward__slot *slot)
{
    uint32_t i = 0;

    while (search->hops[i].slot != slot)
        i++;
    return i;
}

/* Depth first from `start`, over at most `limit` actors that are not done with. */
static enum found search_from(struct ward__here *here, struct ward__slot *start, uint32_t limit)
{
    ward_node *node = here->node;
    struct ward__search *search = &node->tree->search;
    enum found found = NONE;
    uint32_t seen = 0;

    search->hops_count = 0;
    if (!enter(node, start)) return AGAIN;
    while (search->hops_count > 0) {
        struct ward__hop *last = &search->hops[search->hops_count - 1];
        struct ward__slot *next = next_of(node, last);
        if (!next) {
            last->slot->looked = search->mark + 1;
            search->hops_count--;
        } else if (next->looked == search->mark) {
            uint32_t from = place_of(search, next);
            if (end_cycle(here, search->hops + from, search->hops_count - from)) return ENDED;
            found = AGAIN;
        } else if (next->looked != search->mark + 1) {
            if (seen++ == limit || !enter(node, next)) return AGAIN;
        }
    }
    return found;
}

/* Until there is none any more; each round ends one. */
static enum found search_all(struct ward__here *here, struct ward__slot *start, uint32_t limit)
{
    enum found found;

    while ((found = search_from(here, start, limit)) == ENDED)
        begin(here->node);
    return found;
}

static void suspect(ward_node *node, const struct ward__slot *slot, uint64_t cell)
{
    struct ward__search *search = &node->tree->search;

    if (search->suspects_count == WARD__SUSPECTS_MAX)
        search->suspects_all = true;
    else
        search->suspects[search->suspects_count++] =
            (struct ward__suspect){ cell, ward__index(node, slot) };
}

void ward__cycle(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;
    uint64_t cell = ward__load_seq(&slot->wait.cell);
    enum found found;

    if (!may_be_cycle(node, slot)) return;
    ward__tree_lock(node);
    begin(node);
    found = search_all(here, slot, LIMIT);
    if (found == AGAIN) suspect(node, slot, cell);
    ward__tree_unlock(node);
    if (found == AGAIN) ward__clock_ring(node);
}

bool ward__cycles_look_locked(struct ward__here *here)
{
    ward_node *node = here->node;
    struct ward__search *search = &node->tree->search;
    uint32_t count = search->suspects_count, used = ward__load_acq(&node->slots_used);
    bool all = search->suspects_all;

    if (count == 0) return false;
    search->suspects_count = 0;
    search->suspects_all = false;
    begin(node);
    for (uint32_t i = 0; i < (all ? used : count); i++) {
        struct ward__slot *slot = ward__slot(node, all ? i : search->suspects[i].slot);
        uint64_t cell = ward__load_seq(&slot->wait.cell);
        if (!ward__load_seq(&slot->edge) || (!all && cell != search->suspects[i].cell)) continue;
        if (slot->looked == search->mark + 1) continue;
        if (search_all(here, slot, UINT32_MAX) == AGAIN) suspect(node, slot, cell);
    }
    return search->suspects_count > 0;
}

void ward__cycles_close(ward_node *node)
{
    struct ward__search *search = &node->tree->search;

    ward__free(&node->heap, search->hops, search->hops_room * sizeof *search->hops);
    search->hops = NULL;
}
