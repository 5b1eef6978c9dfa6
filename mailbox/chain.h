/* SPDX-License-Identifier: MIT */
/*
 * chain.h - many messages into one mailbox with one compare-and-swap: those that came over a link
 * in one read and are for the same actor. See mailbox.h.
 */
#ifndef WARD_MAILBOX_CHAIN_H
#define WARD_MAILBOX_CHAIN_H

#include "mailbox/mailbox.h"

/* Messages for one life of one mailbox, oldest first. Zeroed is empty. */
struct ward__chain {
    uint32_t first, last, count;
};

static inline void ward__chain_add(
    struct ward__chain *chain, struct ward__pool *pool, uint64_t life, uint32_t index)
{
    struct ward_msg *mail = ward__mail(pool, index);

    mail->stamp = (uint32_t)life;
    ward__mail_set(mail, WARD__MAIL_BOXED, 0);
    ward__store(&mail->next, 0);
    if (chain->count++)
        ward__store(&ward__mail(pool, chain->last)->next, index);
    else
        chain->first = index;
    chain->last = index;
}

/* The oldest, out of the chain; 0: it is empty. */
uint32_t ward__chain_take(struct ward__chain *chain, struct ward__pool *pool);

/* Offers them; what was accepted is out of the chain, the oldest first. WARD__PUSHED...: some were,
 * perhaps not all. Anything else: none was, and ward__mailbox_push of one says why. Any thread. */
enum ward__pushed ward__mailbox_push_chain(
    struct ward__mailbox *box, struct ward__pool *pool, uint64_t life, struct ward__chain *chain);
/* The same by the owner for those who have waited. */
enum ward__pushed ward__mailbox_hand_chain(
    struct ward__mailbox *box, struct ward__pool *pool, struct ward__chain *chain);

/* The first `count` of them, which is no more than there are. */
struct ward__chain ward__chain_cut(
    struct ward__chain *chain, struct ward__pool *pool, uint32_t count);
/* All of `more`, behind. */
void ward__chain_join(struct ward__chain *chain, struct ward__pool *pool, struct ward__chain *more);

#endif
