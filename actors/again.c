/* SPDX-License-Identifier: MIT */
/*
 * again.c - the message in hand when its reader failed, which comes again (.redeliver).
 *
 * It stays taken, as if it were in hand all the time: it fills no place in the mailbox, its bytes
 * stay reserved, and its asker waits on. The slot has its index from the failure until the next
 * incarnation asks for a message, which gets this one before all others. The record counts how
 * often it was handed out; one too many, and it is poison: a dead letter. It never comes again
 * after a quarantine, where it may still be in use.
 *
 * Owner's thread; under the tree lock where a life ends. Knows no supervisors: who restarts sets
 * WARD__SIG_AGAIN.
 */
#include "actors/node.h"

/* Nobody works for it now. */
static void let_go(ward_self *self)
{
    if (ward__load(&self->slot->question_cell)) ward__store_seq(&self->slot->question_cell, 0);
    self->hand = NULL;
}

void ward__hand_failed(struct ward__here *here, ward_self *self)
{
    const uint32_t other = WARD__MAIL_SIGNAL | WARD__MAIL_KEPT | WARD__MAIL_PASSED;
    struct ward_msg *mail = self->hand;
    uint32_t bits = mail ? ward__mail_bits(mail) : other, tries = bits >> WARD__MAIL_TRIES;

    if (bits & other) return;
    if (tries < self->spec->redeliver) {
        self->slot->again = ward__mail_index(&here->node->pool, mail);
        ward__mail_set(
            mail, (tries + 1) << WARD__MAIL_TRIES, (uint32_t)WARD__TRIES_MAX << WARD__MAIL_TRIES);
        let_go(self);
    } else if (tries == 0) {
        ward__fate(self->slot, WARD__IN_DOUBT);
        if (bits & WARD__MAIL_GIVEN) ward__given_done(here->node, mail, WARD__IN_DOUBT);
    } else {
        ward__fate(self->slot, WARD__DEAD_LETTERED);
        here->node->ops->dead_letter(here, self->slot, mail->type, WARD_ENOREPLY);
    }
}

static struct ward_msg *take_out(struct ward__here *here, struct ward__slot *slot)
{
    struct ward_msg *mail = ward__mail(&here->node->pool, slot->again);

    slot->again = 0;
    return mail;
}

static void release(struct ward__here *here, struct ward_msg *mail)
{
    ward__mail_release(&here->node->pool, here->magazines, mail, WARD__MAIL_READ);
}

bool ward__again_take(struct ward__here *here, ward_self *self)
{
    struct ward_msg *mail = take_out(here, self->slot);

    (void)ward__and_seq(&self->slot->signals, ~(uint32_t)WARD__SIG_AGAIN);
    if (ward__lend(here, self, mail)) return true;
    release(here, mail);
    return false;
}

void ward__again_drop(struct ward__here *here, struct ward__slot *slot)
{
    struct ward_msg *mail;

    if (!slot->again) return;
    mail = take_out(here, slot);
    ward__discard(here, slot, mail, WARD__IN_DOUBT, WARD_ENOREPLY);
    release(here, mail);
}
