/* SPDX-License-Identifier: MIT */
/*
 * run.c - runs an actor: calls its behaviour, judges what it returned, cleans up after it. Flow 5
 * of 8.
 *
 * Who calls ward__run has the actor's SCHEDULED and with it all that is the owner's. A slice of a
 * handler is up to 64 messages, 1024 if they are light, within one tick of the clock. A body runs
 * on its own fiber until it waits; `on` says that its fiber has not left a thread yet, so nobody
 * else resumes it.
 *
 * An end: the behaviour is over, then its children (supervision), then deferred calls and clean-up
 * here, then the rest in supervision. When a turn was revoked nothing of the slot is touched any
 * more: its successor may be running.
 */
#include "actors/sim.h"
#include "actors/turn.h"
#include "base/assert.h"

enum { MEASURE_EVERY = 64, LONG_SLICE = 1024, LIGHT_NS = 100 };

static const struct ward_msg idle_message = { .type = &ward__nothing,
    .bits = WARD__MAIL_SIGNAL | (uint32_t)WARD_IDLE << WARD__MAIL_KIND };

static WARD__INLINE void begin_turn(ward_self *self, struct ward__slot *slot)
{
    self->slot = slot;
    self->inc = slot->inc;
    self->spec = ward__load(&slot->spec);
    self->arg = slot->arg;
    self->incarnation = ward__load(&slot->incarnation);
    self->life = ward__life(slot);
    self->hand = self->answer = NULL;
    self->kind = WARD__SELF_TURN;
    self->waits = self->ending = self->drained = false;
    self->fenced = self->since_yield = 0;
    /* The first message of a slice may be a long one. */
    self->served = ward__load(&self->node->tick) - 1;
}

void ward__self_init(
    ward_self *self, ward_node *node, struct ward__thread *thread, struct ward__slot *slot)
{
    self->node = node;
    self->thread = thread;
    begin_turn(self, slot);
    self->slice_ns = 0;
    self->rc = WARD_OK;
}

/* -- the end ----------------------------------------------------------------------------------- */

static ward_reason reason_of(const struct ward__slot *slot, ward_status rc)
{
    bool cancelled = ward__load_acq(&slot->signals) & WARD__SIG_CANCEL;
    bool closed = ward__load_acq(&slot->box.word) & WARD__CLOSED;

    if (cancelled && (rc >= 0 || rc == WARD_ECANCELED || rc == WARD_ECLOSED)) return WARD_BY_CANCEL;
    if (closed && (rc >= 0 || rc == WARD_ECLOSED)) return WARD_BY_CLOSE;
    return rc >= 0 || rc == WARD_EABANDONED ? WARD_BY_RETURN : WARD_BY_FAILURE;
}

/* Its end runs no code of the user's and releases nothing that others may see. */
static bool is_bare(const struct ward__slot *slot)
{
    const struct ward__inc *inc = slot->inc;

    if (ward__load(&slot->spec)->cleanup || ward__load(&slot->box.kept)) return false;
    return !inc || !(inc->deferred_count || inc->kept_count || inc->blobs_count || inc->blocks);
}

/* The behaviour is over; the message in hand with it. */
static void over(struct ward__thread *thread, ward_self *self, ward_reason reason, ward_status rc)
{
    struct ward__here here = ward__here_of(thread);
    struct ward__slot *slot = self->slot;

    if (reason == WARD_BY_FAILURE) ward__hand_failed(&here, self);
    ward__hand_end(&here, self, WARD_ENOREPLY);
    ward__answer_end(&here, self);
    struct ward__outcome outcome = { reason, rc };
    if (here.node->ops->over(&here, slot, outcome, is_bare(slot))) ward__finish(thread, slot);
}

static void end_by(struct ward__thread *thread, ward_self *self, ward_status rc)
{
    over(thread, self, reason_of(self->slot, rc), rc);
}

/* Deferred calls and clean-up, as one turn: the watchdog looks at it too. */
static bool clean_up(struct ward__thread *thread, ward_self *self, struct ward__here *here)
{
    struct ward__inc *inc = self->inc;
    ward_reason why = (ward_reason)self->slot->reason;

    if (!self->spec->cleanup && (!inc || !inc->deferred_count)) return true;
    ward__turn_begin(thread, self->slot, "clean-up");
    while (inc && inc->deferred_count) {
        struct ward__deferred *last = &inc->deferred[--inc->deferred_count];
        last->fn(last->arg);
    }
    if (self->spec->cleanup) self->spec->cleanup(self, why);
    return ward__turn_end(thread, here);
}

void ward__finish(struct ward__thread *thread, struct ward__slot *slot)
{
    struct ward__here here = ward__here_of(thread);
    ward_self *self = &thread->self;

    ward__self_init(self, thread->node, thread, slot);
    self->ending = true;
    if (!clean_up(thread, self, &here)) {
        ward__zombie_end(thread);
        return;
    }
    ward__kept_end(slot, slot->reason == WARD_BY_FAILURE);
    slot->inc = NULL;
    ward__inc_free(&here, self->inc);
    here.node->ops->finished(&here, slot);
}

/* -- handlers ---------------------------------------------------------------------------------- */

/* What .idle_ms means here. */
static bool idle(struct ward__thread *thread, ward_self *self)
{
    ward__store(&self->slot->wait.deadline, 0);
    if (self->spec->on_idle == WARD_IDLE_TELL) {
        self->hand = (struct ward_msg *)(uintptr_t)&idle_message;
        return true;
    }
    if (self->spec->on_idle == WARD_IDLE_FAIL)
        over(thread, self, WARD_BY_FAILURE, WARD_ETIMEDOUT);
    else
        over(thread, self, WARD_BY_RETURN, WARD_STOP);
    return false;
}

/* Gives the mailbox up until there is mail; false: there is something to do. */
static WARD__INLINE bool go_idle(struct ward__here *here, struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);

    ward__store(&slot->since_ns, ward__about_now_ns(here));
    if (ward__unlikely(spec->idle_ns != INT64_MAX) && !ward__load(&slot->wait.deadline)) {
        int64_t until = ward__clock_ns(here->node) + spec->idle_ns;
        ward__store_seq(&slot->wait.deadline, until);
        ward__wheel_arm(here, slot, until);
    }
    return ward__mailbox_rest(&slot->box, &here->node->pool, here->magazines);
}

/* What is in hand is handled. False: the slot is not ours any more. */
static WARD__INLINE bool handle(
    struct ward__thread *thread, ward_self *self, struct ward__here *here)
{
    ward_status rc;

    ward__turn_begin(thread, self->slot, self->hand->type->name);
    rc = self->spec->handle(self, self->hand);
    if (ward__unlikely(!ward__turn_end(thread, here))) {
        ward__zombie_end(thread);
        return false;
    }
    if (ward__unlikely(self->inc && self->inc->texts)) ward__texts_free(here, self);
    if (ward__unlikely(rc != WARD_OK)) {
        if (rc != WARD_EABANDONED) {
            end_by(thread, self, rc);
            return false;
        }
        ward__hand_fate(self, WARD__ABANDONED);
    }
    ward__hand_end_quick(here, self, WARD_ENOREPLY);
    return true;
}

/* One thing of a slice; *again: it was not for lack of things. False: the slot is not ours any
 * more. */
static WARD__INLINE bool handle_next(
    struct ward__thread *thread, ward_self *self, struct ward__here *here, bool *again)
{
    enum ward__next next = ward__next_quick(here, self);

    *again = true;
    if (ward__unlikely(next == WARD__NEXT_IDLE)) {
        if (!idle(thread, self)) return false;
        next = WARD__NEXT_MAIL;
    }
    if (ward__likely(next == WARD__NEXT_MAIL)) {
        /* Mail ends the silence, ticks do not; its next one is timed when there is no more mail. */
        if (ward__unlikely(self->spec->idle_ns != INT64_MAX) &&
            !(ward__mail_bits(self->hand) & WARD__MAIL_SIGNAL))
            ward__store(&self->slot->wait.deadline, 0);
        return handle(thread, self, here);
    }
    switch (next) {
    case WARD__NEXT_NONE: *again = false; return !go_idle(here, self->slot);
    case WARD__NEXT_CANCELED: over(thread, self, WARD_BY_CANCEL, WARD_ECANCELED); return false;
    case WARD__NEXT_CLOSED: over(thread, self, WARD_BY_CLOSE, WARD_OK); return false;
    case WARD__NEXT_MAIL:
    case WARD__NEXT_IDLE:
    case WARD__NEXT_BUSY:
    case WARD__NEXT_AGAIN: break;
    }
    return true;
}

/* What a message costs is measured now and then: it says how long a slice is, and whether actors
 * are worth sharing. */
static int64_t begin_measure(struct ward__here *here)
{
    struct ward__worker *worker = here->worker;
    uint32_t tick = ward__load(&here->node->tick);

    if (!worker || (worker->slices % MEASURE_EVERY != 0 && worker->tick_measured == tick)) return 0;
    worker->tick_measured = tick;
    return ward__clock_ns(here->node);
}

static void end_measure(ward_node *node, struct ward__worker *worker, int64_t began, uint32_t n)
{
    worker->message_ns = (worker->message_ns * 3 + (ward__clock_ns(node) - began) / n) / 4;
}

static WARD__INLINE void slice(struct ward__thread *thread, struct ward__slot *slot)
{
    struct ward__here here = ward__here_of(thread);
    struct ward__worker *worker = here.worker;
    ward_self *self = &thread->self;
    uint32_t tick = ward__load(&here.node->tick), n = 0;
    uint32_t most = worker && worker->message_ns < LIGHT_NS ? LONG_SLICE : WARD__SLICE;
    int64_t began = begin_measure(&here);
    bool again, ours;

    begin_turn(self, slot); /* its node and thread are those of the thread */
    if (worker) ward__store(&slot->home, (uint16_t)worker->index);
    do {
        ours = handle_next(thread, self, &here, &again);
        n += again;
    } while (ward__likely(ours) && n < most && here.worker == worker &&
             ward__load(&here.node->tick) == tick && !(here.node->sim && again));
    if (ours) {
        /* There may be room, and this actor's next turn far away. */
        if (ward__load(&slot->box.word) & WARD__WAITED) ward__serve(&here, slot);
        ward__requeue(&here, slot);
    }
    if (ward__unlikely(began) && thread->worker == worker && n)
        end_measure(thread->node, worker, began, n);
}

static void slice_of_handler(struct ward__thread *thread, struct ward__slot *slot)
{
    slice(thread, slot);
}

/* .start of a handler; true: go on. */
static bool start_handler(struct ward__thread *thread, struct ward__slot *slot)
{
    struct ward__here here = ward__here_of(thread);
    ward_self *self = &thread->self;
    ward_status rc = WARD_OK;

    ward__self_init(self, here.node, thread, slot);
    if (ward__load_acq(&slot->signals) & WARD__SIG_CANCEL) {
        over(thread, self, WARD_BY_CANCEL, WARD_ECANCELED);
        return false;
    }
    if (self->spec->start) {
        ward__turn_begin(thread, slot, "start");
        rc = self->spec->start(self);
        if (!ward__turn_end(thread, &here)) {
            ward__zombie_end(thread);
            return false;
        }
        ward__texts_free(&here, self);
    }
    if (rc != WARD_OK) {
        end_by(thread, self, rc);
        return false;
    }
    here.node->ops->started(&here, slot);
    return true;
}

/* -- bodies ------------------------------------------------------------------------------------ */

/* Runs start and body; false: the turn was revoked. */
static bool run_body(ward_self *self)
{
    struct ward__here here = ward__here_of(self->thread);
    ward_status rc = WARD_OK;

    if (ward__load_acq(&self->slot->signals) & WARD__SIG_CANCEL) {
        rc = WARD_ECANCELED;
    } else if (self->spec->start) {
        ward__leave(self);
        rc = self->spec->start(self);
        if (!ward__turn_end(self->thread, &here)) return false;
        ward__store_rel(&self->thread->turn, ward__load(&self->thread->turn) + 1);
    }
    if (rc == WARD_OK) {
        here.node->ops->started(&here, self->slot);
        ward__leave(self);
        rc = self->spec->body(self);
        if (!ward__turn_end(self->thread, &here)) return false;
        ward__store_rel(&self->thread->turn, ward__load(&self->thread->turn) + 1);
    }
    self->rc = rc;
    return true;
}

static void fiber_main(void *arg)
{
    ward_self *self = arg;

    (void)run_body(self); /* revoked: who resumed it sees so by itself */
    self->left = WARD__LEFT_ENDED;
    ward__switch_last(&((struct ward__fiber *)arg - 1)->context, &self->thread->loop);
}

static bool make_fiber(struct ward__thread *thread, struct ward__slot *slot)
{
    ward_node *node = thread->node;
    const struct ward__spec *spec = ward__load(&slot->spec);
    struct ward__fiber *fiber = ward__fiber_new(&node->stacks, spec->stack_bytes, fiber_main, NULL);
    ward_self *self;

    _Static_assert(sizeof(ward_self) <= WARD__FIBER_EXTRA, "the record lies beside the stack");
    if (!fiber) return false;
    self = ward__fiber_extra(fiber);
    fiber->arg = self;
    ward__self_init(self, node, thread, slot);
    self->waits = true;
    slot->fiber = fiber;
    if (thread->worker && ward__load(&slot->home) != thread->worker->index) {
        ward__wheel_forget(node, slot);
        ward__store(&slot->home, (uint16_t)thread->worker->index);
    }
    if (thread->worker && !ward__load(&slot->wheel_tick))
        slot->wheel_worker = (uint16_t)thread->worker->index;
    return true;
}

/* The body of this fiber is over. */
static void body_over(struct ward__thread *thread, struct ward__slot *slot, ward_self *self)
{
    struct ward__fiber *fiber = slot->fiber;
    ward_self ended = *self; /* the record goes with the stack */

    slot->fiber = NULL;
    ward__fiber_free(&thread->node->stacks, fiber);
    ward__store_rel(&slot->on, NULL);
    ended.thread = thread;
    end_by(thread, &ended, ended.rc);
}

static void slice_of_body(struct ward__thread *thread, struct ward__slot *slot)
{
    struct ward__here here = ward__here_of(thread);
    ward_self *self;
    uint32_t left;

    if (!slot->fiber && !make_fiber(thread, slot)) {
        ward__self_init(&thread->self, thread->node, thread, slot);
        over(thread, &thread->self, WARD_BY_FAILURE, WARD_ENOMEM);
        return;
    }
    self = ward__fiber_extra(slot->fiber);
    self->thread = thread;
    if (WARD__ROAM && thread->worker) ward__store(&slot->home, (uint16_t)thread->worker->index);
    ward__store_rel(&slot->on, thread);
    ward__store(&thread->slot, ward__index(thread->node, slot));
    ward__store(&thread->what, "body");
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
    ward__switch(&thread->loop, &slot->fiber->context);
    if (!ward__turn_end(thread, &here)) {
        ward__zombie_end(thread);
        return;
    }
    left = self->left;
    if (left == WARD__LEFT_ENDED) {
        body_over(thread, slot, self);
        return;
    }
    ward__store_rel(&slot->on, NULL); /* from here on another thread may resume it */
    if (left == WARD__LEFT_YIELDED) ward__requeue(&here, slot);
}

void ward__run(struct ward__thread *thread, struct ward__slot *slot)
{
    struct ward__here here = ward__here_of(thread);
    enum ward__phase phase = (enum ward__phase)ward__load_acq(&slot->phase);

    if (ward__unlikely(ward__load_acq(&slot->on) != NULL)) {
        ward__requeue(&here, slot); /* its fiber is about to leave another thread */
        return;
    }
    switch (phase) {
    case WARD__START:
        if (slot->kind == WARD__BODY)
            slice_of_body(thread, slot);
        else if (start_handler(thread, slot))
            slice_of_handler(thread, slot);
        return;
    case WARD__LIVE:
        if (slot->kind == WARD__BODY)
            slice_of_body(thread, slot);
        else
            slice_of_handler(thread, slot);
        return;
    case WARD__FINISH: ward__finish(thread, slot); return;
    case WARD__FREE:
    case WARD__BETWEEN:
    case WARD__DEGRADED:
    case WARD__ENDING: ward__fail("actors/run.c", "an actor that must not run was scheduled");
    }
}

void ward__run_worker(struct ward__thread *thread)
{
    ward_node *node = thread->node;

    for (;;) {
        struct ward__worker *worker = thread->worker;
        struct ward__slot *slot = worker ? ward__next_in(node, worker) : NULL;

        if (!slot) slot = ward__next_runnable(thread);
        if (!slot) return;
        if (ward__likely(ward__load(&slot->phase) == WARD__LIVE && slot->kind == WARD__HANDLER))
            slice(thread, slot);
        else
            ward__run(thread, slot);
    }
}

/* -- blocking bodies and attached threads ------------------------------------------------------ */

/* Waits until the tree says that the children have ended. False: they never will, the node was
 * closed around them. */
static bool wait_for_finish(struct ward__thread *thread, struct ward__slot *slot)
{
    bool given_up = false;

    if (thread->kind != WARD__RUNS_HOST) ward__asleep(thread->node);
    while (!given_up && ward__load_acq(&slot->phase) != WARD__FINISH) {
        given_up = ward__load_seq(&thread->node->closing);
        if (given_up || atomic_exchange_explicit(&thread->wake, 0, memory_order_seq_cst)) continue;
        ward__futex_wait(&thread->wake, 0, INT64_MAX);
    }
    if (thread->kind != WARD__RUNS_HOST) ward__awake(thread->node);
    return !given_up;
}

void ward__end_thread(struct ward__thread *thread, struct ward__slot *slot, ward_status rc)
{
    struct ward__here here = ward__here_of(thread);
    ward_self *self = &thread->self;
    ward_reason reason = reason_of(slot, rc);

    if (reason == WARD_BY_FAILURE) ward__hand_failed(&here, self);
    ward__hand_end(&here, self, WARD_ENOREPLY);
    ward__answer_end(&here, self);
    struct ward__outcome outcome = { reason, rc };
    bool finish =
        here.node->ops->over(&here, slot, outcome, false) || wait_for_finish(thread, slot);
    ward__thread_of(thread->node, slot, NULL);
    if (finish) ward__finish(thread, slot);
}

void ward__run_thread(struct ward__thread *thread, struct ward__slot *slot)
{
    ward_self *self = &thread->self;

    ward__self_init(self, thread->node, thread, slot);
    self->waits = true;
    ward__store(&thread->what, "body");
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
    if (!run_body(self)) {
        ward__zombie_end(thread);
        return;
    }
    ward__store_rel(&thread->turn, ward__load(&thread->turn) + 1);
    ward__end_thread(thread, slot, self->rc);
}
