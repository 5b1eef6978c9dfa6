/* SPDX-License-Identifier: MIT */
/*
 * wait.c - parking: how a body stops until something happens, and how the wait ends exactly once.
 *
 * A wait for one particular thing goes through the cell (mailbox/wait.h). A wait for mail goes
 * through the mailbox word: the owner gives it up, and who makes it SCHEDULED again resumes it; it
 * then looks for itself why, so a needless wake-up does no harm.
 *
 * A fiber parks by switching to the loop of the thread it is on; a thread actor by a futex, whose
 * wake-ups are only hints. Runs on the waiter's own thread; knows no supervisors.
 */
#include "actors/request.h"
#include "base/assert.h"

ward_status ward__wait_refused(const ward_self *self)
{
    if (!self->waits || self->ending) return WARD_ESTATE;
    return ward__to_stop(self);
}

ward_status ward__to_stop(const ward_self *self)
{
    uint32_t signals = ward__load_seq(&self->slot->signals);

    if (ward__unlikely(signals & (WARD__SIG_CANCEL | WARD__SIG_SHIELD))) {
        if (ward__shielded(self)) return WARD_OK;
        if (signals & WARD__SIG_CANCEL) return WARD_ECANCELED;
    }
    return ward__abandoned(self) ? WARD_EABANDONED : WARD_OK;
}

bool ward__abandoned(const ward_self *self)
{
    struct ward__token token = ward__question_of(self);
    int64_t deadline;

    if (ward__likely(!token.cell)) return false;
    return !ward__asker_waits(self->node, token, &deadline);
}

int64_t ward__wait_until(const ward_self *self, ward_deadline by)
{
    struct ward__token token = ward__question_of(self);
    int64_t deadline;

    if (ward__unlikely(ward__load(&self->slot->signals) & WARD__SIG_SHIELD) && ward__shielded(self))
        return self->inc->shield_ns < by.ns ? self->inc->shield_ns : by.ns;
    if (ward__likely(!token.cell)) return by.ns;
    if (!ward__asker_waits(self->node, token, &deadline)) return by.ns;
    return deadline < by.ns ? deadline : by.ns;
}

static bool is_thread(const struct ward__slot *slot)
{
    return slot->kind == WARD__THREAD || slot->kind == WARD__ATTACHED;
}

static void note(struct ward__here *here, struct ward__slot *slot, const char *what, const char *at)
{
    ward__store(&slot->wait_what, what);
    ward__store(&slot->wait_at, at);
    ward__store(&slot->since_ns, ward__about_now_ns(here));
}

uint64_t ward__wait_begin(
    struct ward__here *here, ward_self *self, int64_t until_ns, const char *what, const char *at)
{
    struct ward__slot *slot = self->slot;
    uint64_t cell;

    note(here, slot, what, at);
    slot->wait.status = WARD_OK;
    slot->wait.answer = 0;
    slot->wait.asks = false;
    cell = ward__wait_arm(&slot->wait, until_ns);
    if (!is_thread(slot)) ward__wheel_arm(here, slot, until_ns);
    return cell;
}

static void over(struct ward__slot *slot)
{
    ward__store(&slot->wait.deadline, 0);
    ward__store(&slot->wait_what, NULL);
    ward__store(&slot->wait_at, NULL);
    ward__store(&slot->edge, WARD__EDGE_NONE);
}

void ward__wait_undo(ward_self *self)
{
    uint64_t cell = ward__load(&self->slot->wait.cell);

    /* A timer may have claimed it: then a resume is on its way, and must be waited for. */
    if (ward__waiting(cell) && ward__wait_claim(&self->slot->wait, cell)) {
        over(self->slot);
        return;
    }
    struct ward__here here = ward__here_of(self->thread);
    (void)ward__wait_end(&here, self, cell | 1);
}

/* A fiber goes back to its thread's loop; returns when it was resumed, maybe on another. */
static void leave_fiber(struct ward__here *here, ward_self *self, enum ward__left left)
{
    self->left = left;
    self->since_yield = 0;
    self->slice_ns = 0;
    ward__switch(&self->slot->fiber->context, &self->thread->loop);
    *here = ward__here_of(self->thread);
}

static void turn_pause(struct ward__thread *thread)
{
    if (thread->kind == WARD__RUNS_HOST) return;
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
    ward__asleep(thread->node);
}

static void turn_resume(struct ward__thread *thread)
{
    if (thread->kind == WARD__RUNS_HOST) return;
    ward__awake(thread->node);
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
}

/* A thread actor's wait for its cell, which it claims itself when the time is over. */
static void park_thread(struct ward__thread *thread, struct ward__wait *wait)
{
    turn_pause(thread);
    for (;;) {
        int64_t until = ward__load(&wait->deadline);
        uint64_t cell;
        if (atomic_exchange_explicit(&thread->wake, 0, memory_order_seq_cst) & WARD__WAKE_OVER)
            break;
        cell = ward__load_acq(&wait->cell);
        if (!ward__waiting(cell)) {
            until = INT64_MAX; /* somebody has ended it, and is about to say so */
        } else if (ward__now_ns() >= until && ward__wait_claim(wait, cell)) {
            wait->status = WARD_ETIMEDOUT;
            break;
        }
        ward__futex_wait(&thread->wake, 0, until);
    }
    turn_resume(thread);
}

/* It is about to park. Nothing of its own can end the wait of an actor that waits for it any more:
 * those it made room for have been served. A cycle is found by the last one to arm its cell: its
 * edge was stored before that, and it reads those of others after the fence of ward__wait_end. */
static void look_for_cycle(struct ward__here *here, struct ward__slot *slot)
{
    uint8_t edge = ward__load(&slot->edge);
    uint32_t holder;

    if (!edge) return;
    ward__store_rel(&slot->edge, edge | WARD__EDGE_SURE);
    if (edge == WARD__EDGE_ONE) {
        holder = ward__load(&slot->wait.holder) & ~WARD__MOVING;
        if (holder >= here->node->slots_max) return; /* it was forwarded to another node */
        if (ward__likely(!ward__load_seq(&ward__slot(here->node, holder)->edge))) return;
    }
    here->node->ops->cycle(here, slot);
}

ward_status ward__wait_end(struct ward__here *here, ward_self *self, uint64_t cell)
{
    struct ward__slot *slot = self->slot;
    struct ward__wait *wait = &slot->wait;
    ward_status stop;
    bool mine = false, shielded;

    ward__fence(); /* the cell is armed before the flags are read */
    stop = ward__to_stop(self);
    shielded = ward__load(&slot->signals) & WARD__SIG_SHIELD;
    if (stop && ward__load(&wait->cell) == cell && ward__wait_claim(wait, cell)) {
        wait->status = stop;
        mine = true;
    }
    if (!mine) {
        if (ward__mailbox_settle(&slot->box)) ward__serve(here, slot);
        look_for_cycle(here, slot);
        if (is_thread(slot))
            park_thread(self->thread, wait);
        else
            leave_fiber(here, self, WARD__LEFT_PARKED);
    }
    over(slot);
    if (ward__unlikely(shielded) && wait->status == WARD_ETIMEDOUT) {
        stop = ward__to_stop(self); /* it may have been the shield's time that passed */
        if (stop) return stop;
    }
    return wait->status;
}

void ward__park_idle(struct ward__here *here, ward_self *self, int64_t until_ns)
{
    struct ward__slot *slot = self->slot;
    struct ward__thread *thread = self->thread;

    if (!is_thread(slot)) {
        leave_fiber(here, self, WARD__LEFT_PARKED);
        return;
    }
    turn_pause(thread);
    while (!(ward__load_seq(&slot->box.word) & WARD__SCHEDULED)) {
        if (atomic_exchange_explicit(&thread->wake, 0, memory_order_seq_cst)) continue;
        if (ward__now_ns() >= until_ns) { /* takes the mailbox back */
            ward__thread_take_back(slot);
            break;
        }
        ward__futex_wait(&thread->wake, 0, until_ns);
    }
    turn_resume(thread);
}

/* A body that made many actors runnable goes on for a while, so that each of them gets some
 * messages a slice; one whose messages go to a few lets those run, while the cache is warm. */
static bool slice_is_over(struct ward__here *here, ward_self *self)
{
    int64_t now;

    if (here->node->sim || !here->worker) return true;
    if (self->since_yield >= 8 * ward__load(&here->worker->queued)) return true;
    now = ward__now_ns();
    if (self->slice_ns == 0) self->slice_ns = now;
    return now - self->slice_ns >= WARD__SLICE_NS;
}

void ward__spend(struct ward__here *here, ward_self *self)
{
    if (++self->since_yield % WARD__SLICE == 0 && slice_is_over(here, self))
        ward__yield(here, self);
}

void ward__yield(struct ward__here *here, ward_self *self)
{
    if (is_thread(self->slot)) { /* the kernel shares threads out; the watchdog sees it go on */
        if (self->thread->kind != WARD__RUNS_HOST)
            ward__store_rel(&self->thread->turn, ward__load(&self->thread->turn) + 2);
        return;
    }
    leave_fiber(here, self, WARD__LEFT_YIELDED);
}

/* Reads the holder's wait, then whether it works for this question; if nothing moved, ends that
 * very wait. The resumed one does the next hop. */
static void abandon_wait(struct ward__here *here, struct ward__slot *slot, struct ward__token token)
{
    uint64_t cell;

    do {
        cell = ward__load_seq(&slot->wait.cell);
        if (!ward__waiting(cell)) return; /* it finds out at its next wait */
        if (ward__load_seq(&slot->question_cell) != token.cell ||
            ward__load(&slot->question_asker) != token.asker ||
            (ward__load_seq(&slot->signals) & WARD__SIG_SHIELD))
            return;
    } while (!ward__wait_claim(&slot->wait, cell));
    slot->wait.status = WARD_EABANDONED;
    ward__resume(here, slot);
}

void ward__abandon_one(struct ward__here *here, uint32_t holder, struct ward__token token,
    struct ward__request **ending)
{
    if (holder == 0 || holder >= here->node->slots_max) return;
    if (ward__load(&ward__slot(here->node, holder)->kind) == WARD__ISOLATE) {
        here->node->ops->isolate(here->node, ward__slot(here->node, holder), WARD__ISO_LOOK);
        return;
    }
    ward__requests_for(here, ward__slot(here->node, holder), token, ending);
    abandon_wait(here, ward__slot(here->node, holder), token);
}

void ward__abandon(struct ward__here *here, uint32_t holder, struct ward__token token)
{
    struct ward__request *ending = NULL;

    ward__abandon_one(here, holder, token, &ending);
    ward__requests_tell(here, ending);
}
