/* SPDX-License-Identifier: MIT */
/*
 * shield.c - a must-finish step: waits that see neither cancellation nor the end of the question in
 * hand, until ward_unshield or a time of its own.
 *
 * That time is the deadline of all waits in it, in the place of the question's. So nobody has to
 * come back and end a wait when the shield is over: its own timer does, and the waiter then looks
 * for what it was not to see. Who cancels or abandons reads the flag after the cell, and the owner
 * sets it before it arms one, so a wait that began under the shield is left alone.
 *
 * It never outlasts stop_ms: one that is up when the cancel comes falls an eighth before that, by
 * an alarm of supervision; one that is put up later is cut short here. On the actor's own thread.
 */
#include "actors/node.h"

bool ward__shielded(const ward_self *self)
{
    struct ward__slot *slot = self->slot;

    if (!(ward__load_acq(&slot->signals) & WARD__SIG_SHIELD)) return false;
    if (self->inc->shield_ns > ward__clock_ns(self->node)) return true;
    ward__unshield(self);
    return false;
}

void ward__unshield(const ward_self *self)
{
    (void)ward__and_seq(&self->slot->signals, ~(uint32_t)WARD__SIG_SHIELD);
}

ward_status ward_shield(ward_self *self, ward_deadline by)
{
    struct ward__here here;
    struct ward__inc *inc;
    int64_t falls;

    if (self->kind == WARD__SELF_OUTSIDE || !self->waits || self->ending) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    inc = ward__inc_of(self);
    if (inc) {
        inc->shield_ns = by.ns;
        (void)ward__or_seq(&self->slot->signals, WARD__SIG_SHIELD);
        falls = here.node->ops->falls_at(&here, self->slot);
        if (falls < by.ns) inc->shield_ns = falls;
    }
    ward__leave(self);
    return inc ? WARD_OK : WARD_ENOMEM;
}

void ward_unshield(ward_self *self)
{
    struct ward__here here;

    if (self->kind == WARD__SELF_OUTSIDE || !self->waits || !ward__enter(self, &here)) return;
    ward__unshield(self);
    ward__leave(self);
}
