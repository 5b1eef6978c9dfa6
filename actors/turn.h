/* SPDX-License-Identifier: MIT */
/*
 * turn.h - the short way of a message through its turn, inline: the next one, and its end.
 *
 * A tell at the head of a mailbox that nobody else is at needs no more than this; all else (a
 * question, a signal, a parked sender to be served, something beside the message) goes to the
 * functions of receive.c, which do the whole. Runs on the owner's thread.
 */
#ifndef WARD_ACTORS_TURN_H
#define WARD_ACTORS_TURN_H

#include "actors/node.h"

/* Whether parked senders are to be served now: when the mailbox is down to half, when there is
 * nothing to take, or a tick after the last time: one at a time, each message would cost a park
 * and a wake. */
static inline bool ward__serve_now(struct ward__here *here, ward_self *self)
{
    struct ward__mailbox *box = &self->slot->box;
    uint32_t tick = ward__load(&here->node->tick);

    if (here->worker && tick == self->served &&
        ward__mailbox_depth(box) > ward__load(&box->bound) / 2)
        return false;
    self->served = tick;
    return true;
}

/* ward__next with its usual case inline. */
static WARD__INLINE enum ward__next ward__next_quick(struct ward__here *here, ward_self *self)
{
    struct ward__slot *slot = self->slot;
    struct ward__pool *pool = &here->node->pool;
    struct ward_msg *mail;
    bool missing;
    uint32_t index, bits;

    if (ward__unlikely(
            (ward__load_acq(&slot->box.word) & WARD__SIGNAL) || ward__load(&slot->signals)))
        return ward__next(here, self);
    index = ward__mailbox_take(&slot->box, pool, here->magazines, &missing);
    if (ward__unlikely(ward__load(&slot->box.word) & (WARD__WAITED | WARD__CLOSED)) ||
        ward__unlikely(missing))
        return ward__next_taken(here, self, index, missing);
    if (!index) return WARD__NEXT_NONE;
    mail = ward__mail(pool, index);
    bits = ward__mail_bits(mail);
    if (ward__unlikely(bits & WARD__MAIL_ASK) ||
        ward__unlikely(mail->stamp != (uint32_t)self->life))
        return ward__next_taken(here, self, index, false);
    ward__store(&mail->bits, bits | WARD__MAIL_READ);
    self->hand = mail;
    return WARD__NEXT_MAIL;
}

/* ward__hand_end with its usual case inline. */
static WARD__INLINE void ward__hand_end_quick(
    struct ward__here *here, ward_self *self, ward_status status)
{
    struct ward_msg *mail = self->hand;
    struct ward__slot *slot = self->slot;

    if (!mail) return;
    /* Nothing but the two holders: a tell, or a question that was answered. */
    if (ward__unlikely(ward__mail_bits(mail) & ~(uint32_t)(WARD__MAIL_BOXED | WARD__MAIL_READ)) ||
        ward__unlikely(ward__load(&slot->question_cell))) {
        ward__hand_end(here, self, status);
        return;
    }
    self->hand = NULL;
    ward__bump(&slot->box.settled, 1);
    ward__mail_release(&here->node->pool, here->magazines, mail, WARD__MAIL_READ);
}

#endif
