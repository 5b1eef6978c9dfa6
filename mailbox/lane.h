/* SPDX-License-Identifier: MIT */
/*
 * lane.h - a sender of many: what a link has brought for a mailbox that was full. It stands among
 * the parked senders like any other, and its messages go in as there is room, in order; when others
 * are parked, too, it goes behind them after each turn. Nobody waits in it: who is told what
 * becomes of the messages is `news`. See mailbox.h; the functions are in mailbox.c.
 */
#ifndef WARD_MAILBOX_LANE_H
#define WARD_MAILBOX_LANE_H

#include "mailbox/chain.h"

enum { WARD__LANE_TURN = 64 }; /* messages */

struct ward__lane {
    struct ward__wait wait; /* first; only its place in the list is used */
    /* Under the mailbox's lock. */
    struct ward__chain chain;
    size_t bytes; /* the records of `chain`, and what lies beside them */
    /* Under that lock: some were added, went in, or, with a status, can never go in; then they are
     * in `chain` still, for `news` to take out. The lane is not looked at afterwards. */
    void (*news)(struct ward__lane *lane, ward_status status);
};

/* Adds the chain, which is for that life, unless there is room now: WARD__PUSHED, push again.
 * WARD__PUSH_FULL: the lane has them. Any thread. */
enum ward__pushed ward__lane_park(struct ward__mailbox *box, struct ward__pool *pool, uint64_t life,
    struct ward__lane *lane, struct ward__chain *chain);

#endif
