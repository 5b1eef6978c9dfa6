/* SPDX-License-Identifier: MIT */
/*
 * wait.h - one particular thing that an actor waits for, and who ends the wait.
 *
 * The cell is a 64-bit number that only grows and is never reset, not even when its slot is used
 * again; it is odd while someone waits. Answer, timeout, cancellation and the death of the callee
 * each try one compare-and-swap from that very odd value to the next even one; exactly one wins,
 * writes the outcome, and makes the waiter runnable. So a late answer, a stale timer or an old
 * cancel can never end a later wait: the value they hold does not come again.
 *
 * The waiter stores `deadline` before it arms the cell, so who reads the cell (acquire) and then
 * the deadline sees the deadline of that wait or of a later one, and in the second case its
 * compare-and-swap fails.
 *
 * Lost cancel: the waiter arms the cell, does what it came for (push, a seq_cst compare-and-swap),
 * and only then looks at the flags that say "cancelled"; the canceller sets the flag (seq_cst),
 * then loads the cell. Looking first hangs an ask for ever.
 *
 * Held by tests/models/cancel.pml, tests/race/cancel.c and ask.c. Knows no actors and no threads.
 */
#ifndef WARD_MAILBOX_WAIT_H
#define WARD_MAILBOX_WAIT_H

#include <ward/ward.h>

#include "base/atomics.h"

struct ward__mailbox;

/* In `holder`: the question is on its way to that slot, or comes back if it is refused there. */
#define WARD__MOVING 0x40000000u

struct ward__wait {
    _Atomic uint64_t cell;
    _Atomic int64_t deadline; /* ns; 0: none is armed */
    _Atomic uint32_t holder; /* of an ask: the slot that holds the question; see WARD__MOVING */
    /* The outcome, written by who claimed the cell, read by the waiter. */
    ward_status status;
    uint32_t answer; /* a message, or what poll found ready */
    /* A parked sender: the message to be handed over, and its place in the target's list, which
     * the target's lock protects. */
    uint32_t parcel;
    size_t parcel_bytes; /* beside it, to be reserved */
    struct ward__wait *next, *prev;
    struct ward__mailbox *at; /* whose list it was put in; the waiter's */
    bool listed; /* it still is */
    bool lane; /* it is part of a ward__lane */
    bool asks; /* the answer is a message; after a hand-over it waits on, for that */
};

/* Starts a wait: returns the odd value of its cell. */
static inline uint64_t ward__wait_arm(struct ward__wait *wait, int64_t deadline)
{
    uint64_t cell = ward__load(&wait->cell) + 1;

    ward__store(&wait->deadline, deadline);
    ward__store_seq(&wait->cell, cell);
    return cell;
}

/* True for the one who ends the wait `cell`. */
static inline bool ward__wait_claim(struct ward__wait *wait, uint64_t cell)
{
    return ward__cas_seq(&wait->cell, &cell, cell + 1);
}

static inline bool ward__waiting(uint64_t cell)
{
    return cell & 1;
}

#endif
