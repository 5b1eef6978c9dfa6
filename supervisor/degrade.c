/* SPDX-License-Identifier: MIT */
/*
 * degrade.c - a child that was restarted too often and is parked instead of taking its supervisor
 * down: what it had queued becomes dead letters, who waits for it learns at once, and its address
 * stays. Its mailbox is closed meanwhile; a sender that finds it so looks at the phase and is told
 * WARD_EUNAVAIL instead (ward__closed_status), so the message path knows nothing of this. Left
 * by ward_revive, by a cancel, and when the supervisor itself ends.
 *
 * Runs under the tree lock, on whichever thread has the event. The mailbox stays SCHEDULED, as
 * between two incarnations, and belongs to the supervisor.
 */
#include "base/assert.h"
#include "supervisor/isolate.h"

void ward__degrade_locked(struct ward__here *here, struct ward__slot *slot)
{
    ward__store_seq(&slot->phase, WARD__DEGRADED); /* first: who finds it closed must see why */
    ward__store(&slot->since_ns, ward__about_now_ns(here));
    (void)ward__mailbox_close(&slot->box, ward__life(slot)); /* a supervisor's always is */
    ward__watches_degraded_locked(here, slot);
    ward__evict(here, slot, WARD_EUNAVAIL);
    ward__again_drop(here, slot);
    ward__isolate_drop(here, slot, WARD_EUNAVAIL);
    ward__drain(here, slot, WARD__DEAD_LETTERED, WARD_EUNAVAIL, UINT32_MAX);
    ward__event(here->node, &(struct ward__news){ .kind = WARD_EV_DEGRADED,
                                .slot = slot,
                                .reason = (ward_reason)slot->reason,
                                .status = slot->status });
    ward__store_seq(&slot->incarnation, ward__load(&slot->incarnation) + 1);
    slot->reason = WARD_BY_CANCEL; /* of the next one, should it never run */
    slot->status = WARD_ECANCELED;
    if (ward__load(&here->node->tree->finders_count)) ward__finders_look_locked(here);
}

static void revive(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__slot *sup = ward__slot(here->node, ward__load(&slot->parent));

    if (slot->kind != WARD__SUPERVISOR) ward__mailbox_reopen(&slot->box);
    ward__store_seq(&slot->phase, WARD__BETWEEN);
    if (slot->plan_child) {
        ward__plan_dynamic_revive(slot->plan_child);
        ward__start_locked(here, slot);
        return;
    }
    ward__plan_event(&sup->supervisor->plan, WARD__EV_CHILD_REVIVE, slot->place, WARD__END_NORMAL,
        ward__clock_ns(here->node));
    ward__step_locked(here, sup);
}

ward_status ward_revive(ward_self *self, ward_ref whom)
{
    struct ward__here here;
    struct ward__slot *slot;
    ward_status rc = WARD_OK;

    if (whom.node && whom.node != self->node->id) return WARD_EINVAL; /* of this node only */
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    ward__tree_lock(here.node);
    slot = ward__resolve(here.node, whom);
    if (!slot || ward__life(slot) != whom.life || ward__load(&slot->phase) == WARD__FREE)
        rc = WARD_EGONE;
    else if (ward__load(&slot->phase) != WARD__DEGRADED)
        rc = WARD_ESTATE;
    else
        revive(&here, slot);
    ward__tree_unlock(here.node);
    ward__leave(self);
    return rc;
}
