/* SPDX-License-Identifier: MIT */
/*
 * tree.c - starts, stops and ends: carries out what parents and plans decide. Flow 6 of 8.
 *
 * Everything here runs under the tree lock, on whichever runtime thread has the event, and calls
 * no user code. An end takes these steps: the behaviour is over (or its turn was revoked), the
 * children are cancelled, the last child's end makes the actor run its clean-up, then its parent
 * judges: restart, forget, give up, or be cancelled along.
 *
 * An end may cause others up and down the tree; a supervisor whose plan is being carried out
 * further up the stack only takes note, so depth is bounded by the depth of the tree.
 */
#include <string.h>

#include "base/assert.h"
#include "supervisor/isolate.h"

static struct ward__slot *parent_of(const ward_node *node, const struct ward__slot *slot)
{
    return ward__slot(node, ward__load(&slot->parent));
}

static int64_t later(int64_t now_ns, int64_t in_ns)
{
    return in_ns >= INT64_MAX - now_ns ? INT64_MAX : now_ns + in_ns;
}

static void set_phase(struct ward__here *here, struct ward__slot *slot, enum ward__phase phase)
{
    if (phase == WARD__LIVE)
        ward__store_seq(&slot->phase, (uint8_t)phase); /* then finders_count: see find.c */
    else
        ward__store_rel(&slot->phase, (uint8_t)phase);
    ward__store(&slot->since_ns, ward__about_now_ns(here));
}

/* -- starting ---------------------------------------------------------------------------------- */

static void tell_started(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__slot *parent = parent_of(here->node, slot);

    /* What is armed: start_ms; but a supervisor's next restart, and the stop_ms of one cancelled in
     * its start, stay. */
    if (!slot->supervisor && !slot->marks.asked) ward__alarm_clear_locked(&slot->alarm);
    set_phase(here, slot, WARD__LIVE);
    if (ward__load(&slot->incarnation) > 1)
        ward__event(here->node, &(struct ward__news){ .kind = WARD_EV_RESTARTED, .slot = slot });
    if (ward__load(&here->node->tree->finders_count)) ward__finders_look_locked(here);
    if (!parent->supervisor) return;
    if (slot->plan_child) {
        ((struct ward__plan_child *)slot->plan_child)->state = WARD__CHILD_UP;
    } else if (ward__load(&parent->spec)->strategy != WARD_DYNAMIC) {
        ward__plan_event(&parent->supervisor->plan, WARD__EV_CHILD_STARTED, slot->place,
            WARD__END_NORMAL, ward__clock_ns(here->node));
        ward__step_locked(here, parent);
    }
}

static void started(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;

    /* Most actors: nobody waits for the start. The alarm of start_ms finds it LIVE. */
    if (!parent_of(node, slot)->supervisor) {
        set_phase(here, slot, WARD__LIVE);
        if (!ward__load_seq(&node->tree->finders_count)) return;
    }
    ward__tree_lock(node);
    tell_started(here, slot);
    ward__tree_unlock(node);
}

/* It could not even begin. */
static void failed_to_start(struct ward__here *here, struct ward__slot *slot, ward_status status)
{
    slot->reason = WARD_BY_FAILURE;
    slot->status = status;
    ward__finished_locked(here, slot);
}

/* Hands a handler without .start its mailbox: it need not run before there is mail. */
static void open_for_mail(struct ward__here *here, struct ward__slot *slot)
{
    bool timed = ward__load(&slot->spec)->idle_ns != INT64_MAX;

    tell_started(here, slot);
    if (timed || !ward__mailbox_idle(&slot->box, &here->node->pool, here->magazines))
        ward__schedule(here, slot);
}

static void start_supervisor(struct ward__here *here, struct ward__slot *slot)
{
    ward_status rc = WARD_OK;

    set_phase(here, slot, WARD__START);
    if (ward__load(&slot->incarnation) > 1) rc = ward__supervisor_renew_locked(here, slot);
    if (rc)
        failed_to_start(here, slot, rc);
    else
        ward__step_locked(here, slot);
}

void ward__start_locked(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;
    const struct ward__spec *spec = ward__load(&slot->spec);
    bool linked = slot->marks.linked, lenient = slot->marks.lenient;

    slot->marks = (struct ward__marks){ .linked = linked, .lenient = lenient };
    (void)ward__and_seq(&slot->signals, 0);
    if (slot->again) { /* so that it looks, although nothing may be in its mailbox */
        (void)ward__or_seq(&slot->signals, WARD__SIG_AGAIN);
        (void)ward__mailbox_signal(&slot->box);
    }
    ward__store(&slot->wait.deadline, 0); /* of the last one's .idle_ms */
    if (slot->plan_child)
        ((struct ward__plan_child *)slot->plan_child)->state = WARD__CHILD_STARTING;
    if (slot->kind == WARD__SUPERVISOR) {
        start_supervisor(here, slot);
        return;
    }
    ward__assert(slot->inc == NULL);
    if (spec->state_bytes && !(slot->inc = ward__inc_new(here, spec))) {
        failed_to_start(here, slot, WARD_ENOMEM);
        return;
    }
    if (!spec->start && (slot->kind == WARD__HANDLER || slot->kind == WARD__POOLED)) {
        open_for_mail(here, slot);
        return;
    }
    set_phase(here, slot, WARD__START);
    if (spec->start)
        ward__alarm_set_locked(node, &slot->alarm, later(ward__about_now_ns(here), spec->start_ns));
    if (slot->kind != WARD__THREAD) {
        ward__schedule(here, slot);
    } else if (!ward__body_thread_start(node, slot)) {
        struct ward__inc *inc = slot->inc;
        slot->inc = NULL;
        ward__inc_free(here, inc);
        failed_to_start(here, slot, WARD_ENOMEM);
    }
}

/* -- stopping ---------------------------------------------------------------------------------- */

void ward__cancel_children_locked(struct ward__here *here, struct ward__slot *slot)
{
    uint32_t index = slot->child, next;

    for (; index; index = next) {
        struct ward__slot *child = ward__slot(here->node, index);
        next = child->next; /* one that ends at once leaves the list */
        ward__cancel_locked(here, child, true);
    }
}

static int64_t grace(const ward_node *node, const struct ward__slot *slot, int64_t now_ns)
{
    int64_t ns = ward__load(&slot->spec)->stop_ns;
    const struct ward__tree *tree = node->tree;

    if (tree->closing && ns != INT64_MAX) ns = ns / 1024 * tree->stop_scale;
    ns = later(now_ns, ns);
    return tree->closing && ns > tree->close_by_ns ? tree->close_by_ns : ns;
}

/* Ends the wait it may be in. The flag is set before the cell is read: see wait.h. */
static void end_wait(struct ward__here *here, struct ward__slot *slot)
{
    uint64_t cell;

    ward__poke(here, slot, WARD__SIG_CANCEL);
    cell = ward__load_seq(&slot->wait.cell);
    if (!ward__waiting(cell) || (ward__load_seq(&slot->signals) & WARD__SIG_SHIELD)) return;
    if (!ward__wait_claim(&slot->wait, cell)) return;
    slot->wait.status = WARD_ECANCELED;
    ward__resume(here, slot);
}

/* Its stop_ms begin. Under a shield the last eighth of them begins with its fall. */
static void set_stop(struct ward__here *here, struct ward__slot *slot)
{
    int64_t now = ward__clock_ns(here->node), at = grace(here->node, slot, now);

    slot->marks.shielded = ward__load_seq(&slot->signals) & WARD__SIG_SHIELD;
    if (slot->marks.shielded && at != INT64_MAX) at -= (at - now) / 8;
    ward__alarm_set_locked(here->node, &slot->alarm, at);
}

static void shield_falls(struct ward__here *here, struct ward__slot *slot, int64_t now_ns)
{
    slot->marks.shielded = false;
    ward__alarm_set_locked(
        here->node, &slot->alarm, now_ns + (grace(here->node, slot, now_ns) - now_ns) / 8);
    if (ward__and_seq(&slot->signals, ~(uint32_t)WARD__SIG_SHIELD) & WARD__SIG_SHIELD)
        end_wait(here, slot);
}

static void cancel_running(struct ward__here *here, struct ward__slot *slot, bool final)
{
    bool first = !slot->marks.asked;

    if (!first && (!final || slot->marks.final)) return;
    slot->marks.asked = true;
    slot->marks.final |= final;
    /* First of all: who finds the mailbox closed must see why. */
    (void)ward__or_seq(&slot->signals, WARD__SIG_CANCEL);
    if (final) {
        if (ward__mailbox_close(&slot->box, ward__life(slot))) ward__schedule(here, slot);
        ward__evict(here, slot, WARD_ECLOSED);
    }
    if (!first) return;
    set_stop(here, slot);
    ward__store(&slot->since_ns, ward__about_now_ns(here));
    end_wait(here, slot);
    ward__cancel_children_locked(here, slot);
}

/* A supervisor's children are cancelled by its plan; one that waits is forgotten by its parent's.
 */
void ward__cancel_locked(struct ward__here *here, struct ward__slot *slot, bool final)
{
    int64_t now = ward__clock_ns(here->node);
    struct ward__slot *parent = parent_of(here->node, slot);

    switch ((enum ward__phase)ward__load(&slot->phase)) {
    case WARD__FREE: return;
    case WARD__BETWEEN:
    case WARD__DEGRADED:
        if (!final) return;
        slot->marks.final = true;
        slot->reason = WARD_BY_CANCEL;
        slot->status = WARD_ECANCELED;
        if (slot->plan_child || !parent->supervisor) ward__life_over_locked(here, slot);
        return;
    case WARD__START:
    case WARD__LIVE: break;
    case WARD__ENDING:
    case WARD__FINISH: slot->marks.final |= final; return;
    }
    if (slot->plan_child)
        ((struct ward__plan_child *)slot->plan_child)->state = WARD__CHILD_STOPPING;
    if (slot->kind != WARD__SUPERVISOR) {
        cancel_running(here, slot, final);
        return;
    }
    slot->marks.asked = true;
    slot->marks.final |= final;
    (void)ward__or_seq(&slot->signals, WARD__SIG_CANCEL); /* it runs nowhere: for the census */
    ward__store(&slot->since_ns, now);
    ward__plan_event(&slot->supervisor->plan, WARD__EV_STOP, 0, WARD__END_CANCELLED, now);
    if (ward__load(&slot->spec)->strategy == WARD_DYNAMIC) ward__cancel_children_locked(here, slot);
    ward__step_locked(here, slot);
}

int64_t ward__stop_bound_locked(const ward_node *node, const struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);
    bool sum = slot->supervisor && spec->strategy != WARD_DYNAMIC;
    int64_t below = 0, own = slot->supervisor || slot->kind == WARD__ROOT ? 0 : spec->stop_ns;

    for (uint32_t i = slot->child; i; i = ward__slot(node, i)->next) {
        int64_t one = ward__stop_bound_locked(node, ward__slot(node, i));
        below = sum ? later(below, one) : one > below ? one : below;
    }
    return below > own ? below : own;
}

/* -- ends -------------------------------------------------------------------------------------- */

/* The last child of an actor that is ending has gone. */
static void childless(struct ward__here *here, struct ward__slot *slot)
{
    if (slot->kind == WARD__ROOT) {
        pthread_cond_broadcast(&here->node->tree->quiet);
        return;
    }
    if (slot->supervisor) {
        if (slot->supervisor->end_waits) ward__step_locked(here, slot);
        return;
    }
    if (ward__load(&slot->phase) != WARD__ENDING) return;
    set_phase(here, slot, WARD__FINISH);
    if (slot->marks.quarantined) {
        ward__finished_locked(here, slot);
        return;
    }
    /* Its stop_ms may have gone by meanwhile; its clean-up must not take for ever then. */
    if (slot->marks.asked && !ward__alarm_armed(&slot->alarm))
        ward__alarm_set_locked(
            here->node, &slot->alarm, ward__clock_ns(here->node) + 2 * WARD__NS_MS);
    ward__schedule(here, slot);
}

void ward__life_over_locked(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;
    struct ward__slot *parent = parent_of(node, slot);
    struct ward__supervisor *sup = parent->supervisor;

    ward__mailbox_kill(&slot->box);
    ward__watches_tell_locked(here, slot, true);
    ward__evict(here, slot, WARD_EGONE);
    ward__again_drop(here, slot);
    ward__isolate_drop(here, slot, WARD_EGONE);
    ward__drain(here, slot, WARD__DEAD_LETTERED, WARD_EGONE, UINT32_MAX);
    if (sup && sup->slots && sup->slots[slot->place] == ward__index(node, slot))
        sup->slots[slot->place] = 0;
    ward__actor_unmake_locked(here, slot);
    if (parent->children == 0) childless(here, parent);
}

static enum ward__end end_by_reason(const struct ward__slot *slot)
{
    switch ((ward_reason)slot->reason) {
    case WARD_BY_CLOSE: return WARD__END_FINAL;
    case WARD_BY_CANCEL: return WARD__END_CANCELLED;
    case WARD_BY_RETURN:
        return slot->status == WARD_EABANDONED ? WARD__END_ABANDONED : WARD__END_NORMAL;
    case WARD_BY_STUCK: /* one that was told to stop, and did not by its stop_ms */
        if (slot->marks.asked && !slot->marks.late && !slot->marks.child_failed)
            return WARD__END_CANCELLED;
        return WARD__END_FAILED;
    case WARD_BY_FAILURE:
    case WARD_BY_CHILD:
    case WARD_BY_LINK:
    case WARD_BY_LIMIT:
    case WARD_BY_CRASH:
    case WARD_NOBODY: break;
    }
    return WARD__END_FAILED;
}

static enum ward__end end_of(const ward_node *node, const struct ward__slot *slot)
{
    enum ward__end end = end_by_reason(slot);

    if (slot->reason != WARD_BY_STUCK || ward__load(&slot->spec)->at_limit != WARD_DEGRADE)
        return end;
    return ward__zombies_over_locked(node, parent_of(node, slot)) ? WARD__END_OVER : end;
}

/* Between two incarnations: the mailbox stays, what hung off the old one is gone. */
static void keep_for_restart(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;

    ward__watches_tell_locked(here, slot, false);
    set_phase(here, slot, WARD__BETWEEN);
    if (ward__load(&slot->spec)->discard_on_restart) {
        /* Those who asked or wait for room may try again: the ref lives on. */
        ward__evict(here, slot, WARD_EUNAVAIL);
        ward__isolate_drop(here, slot, WARD_EUNAVAIL);
        ward__drain(here, slot, WARD__DEAD_LETTERED, WARD_EUNAVAIL,
            ward__word_count(ward__load_seq(&slot->box.word)));
    }
    ward__store(&slot->incarnation, ward__load(&slot->incarnation) + 1);
    slot->reason = WARD_BY_CANCEL; /* of the next one, should it never run */
    slot->status = WARD_ECANCELED;
    ward__add(&ward__counts(ward__load(&slot->spec))->restarts, 1);
    ward__add(&node->restarts, 1);
}

/* Nothing will ever come in: it is over, rather than degraded. */
static bool was_closed(const struct ward__slot *slot)
{
    return slot->kind != WARD__SUPERVISOR && (ward__load(&slot->box.word) & WARD__CLOSED);
}

static void judge_static(struct ward__here *here, struct ward__slot *slot, struct ward__slot *sup)
{
    struct ward__plan *plan = &sup->supervisor->plan;
    uint32_t place = slot->place;
    enum ward__end end = slot->marks.final && !sup->marks.asked &&
                                 plan->children[place].state != WARD__CHILD_STOPPING
                             ? WARD__END_CANCELLED
                             : end_of(here->node, slot);

    ward__plan_event(plan, WARD__EV_CHILD_ENDED, place, end, ward__clock_ns(here->node));
    if (plan->children[place].state == WARD__CHILD_DEGRADED && was_closed(slot))
        ward__plan_event(plan, WARD__EV_CHILD_CANCEL, place, end, ward__clock_ns(here->node));
    if (plan->children[place].state == WARD__CHILD_DEGRADED)
        ward__degrade_locked(here, slot);
    else if (plan->children[place].state != WARD__CHILD_ENDED)
        keep_for_restart(here, slot);
    else
        set_phase(here, slot, WARD__BETWEEN); /* until FORGET */
    ward__step_locked(here, sup);
}

static void judge_dynamic(struct ward__here *here, struct ward__slot *slot, struct ward__slot *sup)
{
    int64_t now = ward__clock_ns(here->node), due;
    enum ward__verdict verdict = slot->plan_child && !slot->marks.final
                                     ? ward__plan_dynamic_ended(&sup->supervisor->plan,
                                           slot->plan_child, end_of(here->node, slot), now, &due)
                                     : WARD__VERDICT_FORGET;

    if (verdict == WARD__VERDICT_RESTART) {
        keep_for_restart(here, slot);
        ward__alarm_set_locked(here->node, &slot->alarm, due > now ? due : now);
        return;
    }
    if (verdict == WARD__VERDICT_DEGRADE && !was_closed(slot)) {
        ward__degrade_locked(here, slot);
        return;
    }
    ward__life_over_locked(here, slot);
    if (verdict != WARD__VERDICT_END) return;
    ward__cancel_children_locked(here, sup);
    ward__step_locked(here, sup);
}

/* Under a parent that is no supervisor: a failure takes it along. */
static void judge_ordinary(
    struct ward__here *here, struct ward__slot *slot, struct ward__slot *parent)
{
    bool failed = end_by_reason(slot) == WARD__END_FAILED &&
                  ward__load(&slot->spec)->restart != WARD_TEMPORARY && !parent->marks.lenient &&
                  !ward__monitors_locked(parent, slot);

    if (failed && !parent->marks.asked) parent->marks.child_failed = true;
    ward__life_over_locked(here, slot);
    if (failed) ward__cancel_locked(here, parent, false);
}

void ward__finished_locked(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__slot *parent = parent_of(here->node, slot);
    char how[64];

    ward__alarm_clear_locked(&slot->alarm);
    if (end_by_reason(slot) == WARD__END_FAILED && slot->reason != WARD_BY_STUCK)
        ward__event(here->node, &(struct ward__news){ .kind = WARD_EV_ENDED,
                                    .slot = slot,
                                    .what = ward__isolate_crash(slot, how),
                                    .reason = (ward_reason)slot->reason,
                                    .status = slot->status });
    if (!parent->supervisor)
        judge_ordinary(here, slot, parent);
    else if (ward__load(&parent->spec)->strategy == WARD_DYNAMIC)
        judge_dynamic(here, slot, parent);
    else
        judge_static(here, slot, parent);
}

/* -- supervisors ------------------------------------------------------------------------------- */

static void supervisor_over(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__supervisor *sup = slot->supervisor;

    slot->reason = (uint8_t)sup->reason;
    slot->status = sup->status;
    if (sup->reason == WARD_BY_LIMIT)
        ward__event(here->node, &(struct ward__news){ .kind = WARD_EV_LIMIT,
                                    .slot = slot,
                                    .reason = sup->reason,
                                    .status = sup->status });
    set_phase(here, slot, WARD__FINISH);
    ward__finished_locked(here, slot);
}

static void act(struct ward__here *here, struct ward__slot *slot, const struct ward__action *action)
{
    struct ward__supervisor *sup = slot->supervisor;
    uint32_t index =
        sup->slots && (action->act == WARD__ACT_START || action->act == WARD__ACT_CANCEL ||
                          action->act == WARD__ACT_FORGET)
            ? sup->slots[action->child]
            : 0;
    struct ward__slot *child = index ? ward__slot(here->node, index) : NULL;

    ward__assert(child || action->act != WARD__ACT_START);
    ward__assert(child || action->act != WARD__ACT_CANCEL);
    switch (action->act) {
    case WARD__ACT_NONE: return;
    case WARD__ACT_START: ward__start_locked(here, child); return;
    case WARD__ACT_CANCEL:
        ward__cancel_locked(here, child,
            sup->plan.phase != WARD__PLAN_RUNNING ||
                sup->plan.children[action->child].restart == WARD_TEMPORARY);
        return;
    case WARD__ACT_FORGET:
        if (child) ward__life_over_locked(here, child);
        return;
    case WARD__ACT_TIMER: ward__alarm_set_locked(here->node, &slot->alarm, action->at_ns); return;
    case WARD__ACT_STARTED: tell_started(here, slot); return;
    case WARD__ACT_END:
        sup->reason = action->reason;
        sup->status = action->status;
        sup->end_waits = true;
        return;
    }
}

void ward__step_locked(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__supervisor *sup = slot->supervisor;
    struct ward__action action;

    if (sup->stepping) return; /* whoever does will see it */
    sup->stepping = true;
    while (ward__plan_next(&sup->plan, ward__clock_ns(here->node), &action) != WARD__ACT_NONE)
        act(here, slot, &action);
    sup->stepping = false;
    if (!sup->end_waits || slot->children > 0) return;
    sup->end_waits = false;
    supervisor_over(here, slot);
}

void ward__alarmed_locked(struct ward__here *here, struct ward__slot *slot, int64_t now_ns)
{
    switch ((enum ward__phase)ward__load(&slot->phase)) {
    case WARD__FREE:
    case WARD__DEGRADED: return;
    case WARD__BETWEEN: ward__start_locked(here, slot); return;
    case WARD__START:
    case WARD__LIVE:
    case WARD__ENDING:
    case WARD__FINISH: break;
    }
    if (slot->supervisor) {
        ward__plan_event(&slot->supervisor->plan, WARD__EV_TIMER, 0, WARD__END_NORMAL, now_ns);
        ward__step_locked(here, slot);
    } else if (!slot->marks.asked && ward__load(&slot->phase) == WARD__LIVE) {
        return; /* it was set for a start that was in time */
    } else if (!slot->marks.asked && ward__load(&slot->phase) == WARD__START) {
        slot->marks.late = true;
        ward__cancel_locked(here, slot, false);
    } else if (slot->marks.shielded) {
        shield_falls(here, slot, now_ns);
    } else if (now_ns < here->node->tree->fair_ns) {
        ward__alarm_set_locked(here->node, &slot->alarm, here->node->tree->fair_ns);
    } else if (ward__load(&slot->phase) != WARD__ENDING &&
               !ward__quarantine_locked(here, slot, now_ns)) {
        /* It is in no turn now, or its call is not over: it ends by itself, or the next time. A
         * million that are late because the machine is must not keep the clock busy. */
        int64_t crowd_ms = here->node->tree->alarms_count / 1000;
        ward__alarm_set_locked(here->node, &slot->alarm, now_ns + (2 + crowd_ms) * WARD__NS_MS);
    }
}

/* -- what the actors' layer calls -------------------------------------------------------------- */

/* What it says of itself, and what is known better. */
static void judge_itself(struct ward__slot *slot, struct ward__outcome outcome)
{
    if (slot->marks.late && outcome.reason != WARD_BY_FAILURE)
        outcome = (struct ward__outcome){ WARD_BY_FAILURE, WARD_ETIMEDOUT };
    if (slot->marks.child_failed && outcome.reason != WARD_BY_FAILURE)
        outcome = (struct ward__outcome){ WARD_BY_CHILD, WARD_EFAIL };
    slot->reason = (uint8_t)outcome.reason;
    slot->status = outcome.status;
}

/* True: there are no children to wait for. */
static bool over_locked(struct ward__here *here, struct ward__slot *slot)
{
    bool none;

    set_phase(here, slot, WARD__ENDING);
    if (slot->inc) {
        ward__watches_forget_locked(here, slot->inc);
        ward__timers_forget_locked(here, slot->inc);
    }
    if (!slot->marks.asked) ward__alarm_clear_locked(&slot->alarm);
    ward__cancel_children_locked(here, slot);
    none = slot->children == 0 && ward__load(&slot->phase) == WARD__ENDING;
    if (none) set_phase(here, slot, WARD__FINISH);
    return none;
}

/* Nobody watches it, nothing hangs off it, and no plan judges it. */
static bool is_leaf(const struct ward__slot *slot, const struct ward__slot *parent)
{
    const struct ward__inc *inc = slot->inc;

    return !slot->child && !slot->watches && !parent->supervisor && !slot->supervisor &&
           !(inc && (inc->watches || inc->timers));
}

static bool over(
    struct ward__here *here, struct ward__slot *slot, struct ward__outcome outcome, bool bare)
{
    ward_node *node = here->node;
    struct ward__slot *parent = parent_of(node, slot);
    struct ward__inc *inc = NULL;
    bool none, left = false;

    ward__tree_lock(node);
    judge_itself(slot, outcome);
    if (bare && is_leaf(slot, parent) && end_by_reason(slot) != WARD__END_FAILED) {
        ward__actor_leave_locked(here, slot);
        if (parent->children == 0) childless(here, parent);
        inc = slot->inc;
        slot->inc = NULL;
        none = left = true;
    } else {
        none = over_locked(here, slot);
        if (none && bare) {
            inc = slot->inc;
            slot->inc = NULL;
            ward__finished_locked(here, slot);
        }
    }
    ward__tree_unlock(node);
    ward__inc_free(here, inc);
    if (left) ward__actor_left(here, slot);
    return none && !bare;
}

static int64_t falls_at(struct ward__here *here, struct ward__slot *slot)
{
    int64_t at = INT64_MAX, now = ward__clock_ns(here->node);

    ward__tree_lock(here->node);
    if (slot->marks.asked) at = slot->alarm.at_ns;
    if (at != INT64_MAX && at > now && !slot->marks.shielded) at -= (at - now) / 8;
    ward__tree_unlock(here->node);
    return at;
}

static void finished(struct ward__here *here, struct ward__slot *slot)
{
    ward__tree_lock(here->node);
    ward__finished_locked(here, slot);
    ward__tree_unlock(here->node);
}

static void forget(struct ward__here *here, struct ward__inc *inc)
{
    if (!inc->watches && !inc->timers && !inc->asks.slot) return;
    ward__tree_lock(here->node);
    ward__watches_forget_locked(here, inc);
    ward__timers_forget_locked(here, inc);
    ward__tree_unlock(here->node);
}

static void dead_letter(
    struct ward__here *here, struct ward__slot *slot, const ward_type *type, ward_status why)
{
    ward__event(here->node,
        &(struct ward__news){
            .kind = WARD_EV_DEAD_LETTER, .slot = slot, .what = type->name, .status = why });
}

const struct ward__tree_ops ward__tree_ops = {
    .started = started,
    .over = over,
    .finished = finished,
    .forget = forget,
    .look_at = ward__requests_at,
    .falls_at = falls_at,
    .returned = ward__returned,
    .left = ward__node_left,
    .isolate = ward__isolate_poke,
    .dead_letter = dead_letter,
    .cycle = ward__cycle,
};

/* -- the calls --------------------------------------------------------------------------------- */

/* Somebody other than its parent wants a child to stop. */
static void cancel_child(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__slot *parent = parent_of(here->node, slot);
    struct ward__supervisor *sup = parent->supervisor;
    bool planned = sup && ward__load(&parent->spec)->strategy != WARD_DYNAMIC;

    if (planned)
        ward__plan_event(&sup->plan, WARD__EV_CHILD_CANCEL, slot->place, WARD__END_CANCELLED,
            ward__clock_ns(here->node));
    ward__cancel_locked(here, slot, true);
    if (planned) ward__step_locked(here, parent);
}

void ward_cancel(ward_self *self, ward_ref whom)
{
    struct ward__here here;
    struct ward__slot *slot;
    struct ward__route *route;

    if (!ward__enter(self, &here)) return;
    slot = ward__resolve(here.node, whom);
    if (slot) {
        ward__tree_lock(here.node);
        if (ward__life(slot) == whom.life && slot->kind != WARD__ROOT) cancel_child(&here, slot);
        ward__tree_unlock(here.node);
    } else {
        route = ward__load_acq(&here.node->route);
        if (route) route->cancel(route->arg, whom, false);
    }
    ward__leave(self);
}

void ward_close_mail(ward_self *self, ward_ref whom)
{
    struct ward__here here;
    struct ward__slot *slot;
    struct ward__route *route;

    if (!ward__enter(self, &here)) return;
    slot = ward__resolve(here.node, whom);
    if (slot && slot->kind != WARD__SUPERVISOR && slot->kind != WARD__ROOT) {
        ward__tree_lock(here.node);
        if (ward__life(slot) == whom.life && ward__load(&slot->phase) == WARD__DEGRADED) {
            cancel_child(&here, slot); /* nothing is left to be handled */
        } else if (ward__life(slot) == whom.life) {
            if (ward__mailbox_close(&slot->box, whom.life)) ward__schedule(&here, slot);
            ward__evict(&here, slot, WARD_ECLOSED);
        }
        ward__tree_unlock(here.node);
    } else if (!slot) {
        route = ward__load_acq(&here.node->route);
        if (route) route->cancel(route->arg, whom, true);
    }
    ward__leave(self);
}
