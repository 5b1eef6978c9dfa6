/* SPDX-License-Identifier: MIT */
/*
 * chain.c - a push of many: the word says how many there is room for, and the swap takes so many
 * at once. Any thread; a chain belongs to one.
 */
#include "mailbox/chain.h"

uint32_t ward__chain_take(struct ward__chain *chain, struct ward__pool *pool)
{
    uint32_t index = chain->first;

    if (!chain->count) return 0;
    chain->first = ward__load(&ward__mail(pool, index)->next);
    chain->count--;
    return index;
}

static uint32_t room_in(struct ward__mailbox *box, uint64_t word)
{
    /* Acquire: with the owner's release, `released` is never ahead of the word. */
    uint32_t fill = (ward__word_count(word) - ward__load_acq(&box->released)) & WARD__COUNT_MASK;
    uint32_t bound = ward__load(&box->bound);

    return fill < bound ? bound - fill : 0;
}

/* The `count`-th. */
static uint32_t at(const struct ward__chain *chain, struct ward__pool *pool, uint32_t count)
{
    uint32_t index = chain->first;

    if (count == chain->count) return chain->last;
    while (--count)
        index = ward__load(&ward__mail(pool, index)->next);
    return index;
}

struct ward__chain ward__chain_cut(
    struct ward__chain *chain, struct ward__pool *pool, uint32_t count)
{
    struct ward__chain cut = { 0 };

    if (count == 0) return cut;
    cut = (struct ward__chain){ chain->first, at(chain, pool, count), count };
    chain->first = ward__load(&ward__mail(pool, cut.last)->next);
    chain->count -= count;
    ward__store(&ward__mail(pool, cut.last)->next, 0);
    return cut;
}

void ward__chain_join(struct ward__chain *chain, struct ward__pool *pool, struct ward__chain *more)
{
    if (more->count == 0) return;
    if (chain->count)
        ward__store(&ward__mail(pool, chain->last)->next, more->first);
    else
        chain->first = more->first;
    chain->last = more->last;
    chain->count += more->count;
    *more = (struct ward__chain){ 0 };
}

/* Unless one of the flags `shut` is set. */
static enum ward__pushed push(struct ward__mailbox *box, struct ward__pool *pool, uint64_t life,
    struct ward__chain *chain, uint64_t shut)
{
    uint64_t word = ward__load_acq(&box->word); /* the word first, the life second */
    uint32_t count, tail, rest, first = chain->first;

    for (;;) {
        if (ward__load(&box->life) != life) return WARD__PUSH_GONE;
        count = word & shut ? 0 : room_in(box, word);
        if (count == 0) return WARD__PUSH_FULL;
        if (count > chain->count) count = chain->count;
        tail = at(chain, pool, count);
        rest = ward__load(&ward__mail(pool, tail)->next);
        ward__store(&ward__mail(pool, tail)->next, 0); /* the next push writes it */
        if (ward__cas_seq(&box->word, &word,
                ward__word_with(word + ((uint64_t)(count - 1) << WARD__COUNT_SHIFT), tail)))
            break;
        ward__store(&ward__mail(pool, tail)->next, rest);
    }
    ward__mailbox_link(box, pool, word, first);
    chain->first = rest;
    chain->count -= count;
    return word & WARD__SCHEDULED ? WARD__PUSHED : WARD__PUSHED_SCHEDULE;
}

enum ward__pushed ward__mailbox_push_chain(
    struct ward__mailbox *box, struct ward__pool *pool, uint64_t life, struct ward__chain *chain)
{
    return push(box, pool, life, chain, WARD__DEAD | WARD__CLOSED | WARD__WAITED);
}

enum ward__pushed ward__mailbox_hand_chain(
    struct ward__mailbox *box, struct ward__pool *pool, struct ward__chain *chain)
{
    return push(box, pool, ward__load(&box->life), chain, WARD__DEAD);
}
