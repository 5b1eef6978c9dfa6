/* SPDX-License-Identifier: MIT */
/*
 * watchdog.c - the clock thread: cold timers, the tick, and turns that last too long.
 *
 * It remembers when it first saw a turn (thread, number) and never waits for anybody. Three steps:
 *   compensate  a turn over 20 ms while others wait behind it: the worker gets another thread
 *   report      at stuck_ms / 8, then doubling: what it is doing (late.c)
 *   quarantine  at stuck_ms, or when a cancelled actor is still in a turn at its stop_ms
 * A hand-over that is not possible now, because a call is in progress, is tried at the next tick.
 * When the watchdog itself was late (a stopped process, a starved machine), the lateness is
 * credited to every turn before anyone is blamed; so is what late.c finds was not the turn's own.
 *
 * Quarantine takes the incarnation out of the slot and leaves it with the thread; the question in
 * hand and the kept ones are answered, the children stopped, and the supervisor judges. When the
 * old turn ever returns, its own thread runs its clean-up (BY_STUCK) and frees its memory.
 *
 * Sleeps deeply when no thread may be in a turn. In a simulated node the simulator's loop calls
 * ward__clock_step instead of a thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "supervisor/isolate.h"

enum { TRIES = 40, TICK_MS = 10, FINE_MS = 20, FIRST_MS = 20, LATE_MS = 50 };

#define MS(n) ((int64_t)(n)*WARD__NS_MS)

/* -- taking worker and turn -------------------------------------------------------------------- */

/* Asks for `ask`, and grants it to us as `gone` if the thread is in user code in that very turn. */
static bool seize(
    ward_node *node, struct ward__thread *thread, uint64_t turn, uint32_t ask, uint32_t gone)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t hand = ward__load_acq(&thread->hand), asked;
        if (hand & WARD__TURN_GONE) return false;
        asked = hand | ask;
        if (hand != asked && !ward__cas_seq(&thread->hand, &hand, asked)) continue;
        if (node->asymmetric)
            ward__membarrier();
        else
            ward__fence();
        /* In this order: it may have been on its way out when `hand` was stored, and be in the
         * user code of the next turn by now. From there it cannot leave unseen. */
        if (ward__load_seq(&thread->in_runtime)) continue;
        if (ward__load_acq(&thread->turn) != turn) break;
        hand = asked;
        if (ward__cas_seq(&thread->hand, &hand, (asked & ~ask) | gone)) return true;
    }
    (void)ward__and_seq(&thread->hand, ~ask); /* next time */
    return false;
}

/* A worker without a thread gets one; what fails now is tried at the next tick. */
static void move_worker(ward_node *node, struct ward__worker *worker)
{
    if (ward__worker_move(node, worker))
        node->tree->orphan_workers &= ~(UINT64_C(1) << worker->index);
    else
        node->tree->orphan_workers |= UINT64_C(1) << worker->index;
}

static bool others_wait(const struct ward__worker *worker, int64_t now_ns)
{
    return ward__load(&worker->queued) > 0 || ward__load(&worker->inbox) ||
           ward__load(&worker->last_in) || ward__wheel_next_ns(worker) <= now_ns;
}

/* -- quarantine -------------------------------------------------------------------------------- */

static ward_self *self_of(struct ward__thread *thread, const struct ward__slot *slot)
{
    return slot->fiber ? ward__fiber_extra(slot->fiber) : &thread->self;
}

static void share_kept(struct ward__here *here, struct ward__inc *inc)
{
    for (uint32_t i = 0; inc && i < inc->kept_count; i++) {
        struct ward_msg *mail = inc->kept[i];
        struct ward__token token = ward__token_of(mail);
        bool asks = ward__asks(mail);
        atomic_fetch_or_explicit(&mail->bits, WARD__MAIL_SHARED, memory_order_seq_cst);
        if (!asks) continue;
        atomic_fetch_and_explicit(&mail->bits, ~(uint32_t)WARD__MAIL_ASK, memory_order_seq_cst);
        (void)ward__answer(here, token, WARD_ENOREPLY, 0);
    }
}

/* The message in hand goes with the zombie; its asker learns now, its place is free now. */
static void share_hand(struct ward__here *here, struct ward__slot *slot, struct ward_msg *mail)
{
    struct ward__token token;

    ward__store_seq(&slot->question_cell, 0);
    if (!mail || (ward__mail_bits(mail) & (WARD__MAIL_SIGNAL | WARD__MAIL_KEPT))) return;
    token = ward__token_of(mail);
    ward__fate(
        slot, ward__mail_bits(mail) & WARD__MAIL_PASSED ? WARD__HANDED_OVER : WARD__IN_DOUBT);
    ward__bump(&slot->box.settled, 1);
    ward__mailbox_unreserve(&slot->box, ward__mail_weight(mail));
    if (atomic_fetch_or_explicit(&mail->bits, WARD__MAIL_SHARED, memory_order_seq_cst) &
        WARD__MAIL_ASK) {
        atomic_fetch_and_explicit(&mail->bits, ~(uint32_t)WARD__MAIL_ASK, memory_order_seq_cst);
        (void)ward__answer(here, token, WARD_ENOREPLY, 0);
    }
}

/* Takes the incarnation out of the slot. */
static void detach(
    struct ward__here *here, struct ward__thread *thread, struct ward__slot *slot, int64_t now_ns)
{
    ward_self *self = self_of(thread, slot);
    struct ward__slot *parent = ward__slot(here->node, ward__load(&slot->parent));

    thread->zombie = (struct ward__zombie){ .slot = ward__index(here->node, slot),
        .life = ward__life(slot),
        .incarnation = ward__load(&slot->incarnation),
        .spec = ward__load(&slot->spec),
        .inc = slot->inc,
        .self = self,
        .fiber = slot->fiber,
        .arg = slot->arg,
        .arg_bytes = slot->arg_bytes,
        .supervisor = parent->supervisor ? ward__index(here->node, parent) : 0,
        .supervisor_life = ward__life(parent),
        .since_ns = now_ns };
    ward__path(here->node, slot, thread->zombie.path, sizeof thread->zombie.path);
    if (slot->arg_bytes) ward__arg_hold(slot->arg);
    if (slot->inc) {
        ward__watches_forget_locked(here, slot->inc);
        ward__timers_forget_locked(here, slot->inc);
    }
    ward__kept_end(slot, true);
    share_kept(here, slot->inc);
    share_hand(here, slot, self->hand);
    slot->inc = NULL;
    slot->fiber = NULL;
    ward__thread_of(here->node, slot, NULL);
    ward__store_rel(&slot->on, NULL);
    if (parent->supervisor) parent->supervisor->zombies++;
    here->node->zombies++;
    ward__add(&here->node->reaped, 1);
    ward__add(&ward__counts(ward__load(&slot->spec))->reaped, 1);
}

bool ward__zombies_over_locked(const ward_node *node, const struct ward__slot *parent)
{
    const struct ward__supervisor *sup = parent->supervisor;

    return sup && !node->tree->closing &&
           (sup->zombies > ward__load(&parent->spec)->zombies_max ||
               node->zombies > node->opts.zombies_max);
}

/* Over its limit of zombies a supervisor gives up, and its own judges; but a child that may be
 * degraded is. */
static void count_zombies(
    struct ward__here *here, struct ward__slot *parent, const struct ward__spec *spec)
{
    struct ward__supervisor *sup = parent->supervisor;
    ward_node *node = here->node;

    if (!ward__zombies_over_locked(node, parent) || spec->at_limit == WARD_DEGRADE) return;
    ward__plan_event(&sup->plan, WARD__EV_FAIL, 0, WARD__END_FAILED, ward__clock_ns(node));
    if (ward__load(&parent->spec)->strategy == WARD_DYNAMIC)
        ward__cancel_children_locked(here, parent);
    ward__step_locked(here, parent);
}

static void quarantine(
    struct ward__here *here, struct ward__thread *thread, struct ward__slot *slot, int64_t now_ns)
{
    ward_node *node = here->node;
    struct ward__slot *parent = ward__slot(node, ward__load(&slot->parent));
    ward_ref who = ward__ref(node, parent);
    const struct ward__spec *spec = ward__load(&slot->spec);
    char what[WARD__PATH_MAX / 2];

    if (node->inside) { /* the host kills this process */
        struct ward__route *route = ward__load_acq(&node->route);
        route->stuck(route->arg);
    }
    ward__late_what(thread, what, sizeof what);
    ward__event(node, &(struct ward__news){ .kind = WARD_EV_STUCK,
                          .slot = slot,
                          .what = what,
                          .took_ns = now_ns - thread->seen_ns > 0 ? now_ns - thread->seen_ns : 0 });
    ward__alarm_clear_locked(&slot->alarm);
    detach(here, thread, slot, now_ns);
    slot->reason = WARD_BY_STUCK;
    slot->status = WARD_EFENCED;
    slot->marks.quarantined = true;
    ward__store_seq(&slot->phase, WARD__ENDING);
    ward__cancel_children_locked(here, slot);
    if (slot->children == 0 && ward__load(&slot->phase) == WARD__ENDING) {
        ward__store_seq(&slot->phase, WARD__FINISH);
        ward__finished_locked(here, slot);
    }
    if (ward__life(parent) == who.life) count_zombies(here, parent, spec);
}

/* Revokes the turn; its worker, if it still has one, gets another thread. */
static bool revoke(
    struct ward__here *here, struct ward__thread *thread, uint64_t turn, int64_t now_ns)
{
    ward_node *node = here->node;
    struct ward__worker *worker = thread->worker;
    struct ward__slot *slot = ward__slot(node, ward__load(&thread->slot));
    uint32_t hand = ward__load_acq(&thread->hand), ask = WARD__ASK_TURN, gone = WARD__TURN_GONE;

    if (worker && !(hand & WARD__WORKER_GONE)) {
        ask |= WARD__ASK_WORKER;
        gone |= WARD__WORKER_GONE;
    }
    if (!seize(node, thread, turn, ask, gone)) return false;
    if (ask & WARD__ASK_WORKER) {
        if (node->sim)
            ward__store_rel(&worker->thread, NULL);
        else
            move_worker(node, worker);
    }
    quarantine(here, thread, slot, now_ns);
    if (thread->kind == WARD__RUNS_POOL) ward__pool_thread_lost(node);
    return true;
}

bool ward__quarantine_locked(struct ward__here *here, struct ward__slot *slot, int64_t now_ns)
{
    ward_node *node = here->node;
    uint32_t index = ward__index(node, slot);
    struct ward__thread *thread;
    uint64_t turn = 0;
    /* Under the tree lock only who already looks can hold it for long; else a reaper, briefly. */
    bool looking = node->tree->looking, done;

    if (slot->kind == WARD__ISOLATE) {
        ward__isolate_poke(node, slot, WARD__ISO_KILL);
        return false; /* it has ended when its process has */
    }
    if (!looking) pthread_mutex_lock(&node->look_lock);
    pthread_mutex_lock(&node->threads_lock);
    for (thread = node->threads; thread; thread = thread->next) {
        turn = ward__load_acq(&thread->turn);
        if (thread->kind < WARD__RUNS_HOST && (turn & 1) && ward__load(&thread->slot) == index &&
            !(ward__load_acq(&thread->hand) & WARD__TURN_GONE))
            break;
    }
    pthread_mutex_unlock(&node->threads_lock);
    done = thread && revoke(here, thread, turn, now_ns);
    if (!looking) pthread_mutex_unlock(&node->look_lock);
    return done;
}

/* Releases what a zombie held. Its own thread, or nobody's any more. */
static void bury(struct ward__here *here, struct ward__zombie *zombie)
{
    ward_node *node = here->node;
    struct ward_msg *hand = zombie->self->hand;

    ward__answer_end(here, zombie->self);
    if (hand && !(ward__mail_bits(hand) & WARD__MAIL_KEPT)) {
        if (!(ward__mail_bits(hand) & WARD__MAIL_SIGNAL)) {
            ward__mail_empty(&node->heap, hand);
            ward__mail_release(&node->pool, here->magazines, hand, WARD__MAIL_READ);
        } else if (ward_kind_of(hand) != WARD_IDLE) {
            struct ward__signal *signal =
                (struct ward__signal *)((char *)hand - offsetof(struct ward__signal, mail));
            signal->release(here, signal);
        }
    }
    zombie->self->hand = NULL;
    ward__inc_free(here, zombie->inc);
    ward__arg_drop(here, zombie->arg, zombie->arg_bytes);
    if (zombie->fiber) ward__fiber_free(&node->stacks, zombie->fiber);
}

static void forget_zombie(struct ward__here *here, struct ward__zombie *zombie, int64_t now_ns)
{
    ward_node *node = here->node;
    struct ward__slot *sup = ward__slot(node, zombie->supervisor);

    node->zombies--;
    pthread_cond_broadcast(&node->tree->quiet);
    if (zombie->supervisor && ward__life(sup) == zombie->supervisor_life && sup->supervisor &&
        sup->supervisor->zombies > 0)
        sup->supervisor->zombies--;
    ward__event(node, &(struct ward__news){ .kind = WARD_EV_RETURNED,
                          .path = zombie->path,
                          .site = zombie->spec->site,
                          .took_ns = now_ns - zombie->since_ns });
}

void ward__returned(struct ward__here *here, struct ward__thread *thread)
{
    ward_node *node = here->node;
    struct ward__zombie zombie;
    ward_self *self = &thread->self;
    bool cleaned;

    ward__tree_lock(node); /* whoever revoked it has finished when this is had */
    zombie = thread->zombie;
    ward__tree_unlock(node);
    if (zombie.fiber) { /* its record goes with the stack, but is needed for the clean-up */
        struct ward_msg *hand = zombie.self->hand, *answer = zombie.self->answer;
        *self = *zombie.self;
        self->hand = hand;
        self->answer = answer;
        self->thread = thread;
        zombie.self = self;
    }
    cleaned = self->ending; /* it was stuck in its clean-up, which is done by now */
    self->ending = true;
    ward__store_rel(&thread->in_runtime, 0);
    while (zombie.inc && zombie.inc->deferred_count) {
        struct ward__deferred *last = &zombie.inc->deferred[--zombie.inc->deferred_count];
        last->fn(last->arg);
    }
    if (zombie.spec->cleanup && !cleaned) zombie.spec->cleanup(self, WARD_BY_STUCK);
    ward__store(&thread->in_runtime, 1);
    bury(here, &zombie);
    ward__tree_lock(node);
    memset(&thread->zombie, 0, sizeof thread->zombie);
    forget_zombie(here, &zombie, ward__clock_ns(node));
    ward__tree_unlock(node);
}

void ward__zombies_discard(ward_node *node)
{
    struct ward__here here = { node, NULL, NULL };

    for (struct ward__thread *thread = node->threads; thread; thread = thread->next) {
        if (!thread->zombie.spec) continue;
        bury(&here, &thread->zombie);
        memset(&thread->zombie, 0, sizeof thread->zombie);
        node->zombies--;
    }
}

/* -- looking at turns -------------------------------------------------------------------------- */

static struct ward__slot *slot_of(const ward_node *node, const struct ward__thread *thread)
{
    return ward__slot(node, ward__load(&thread->slot));
}

static void report(struct ward__here *here, struct ward__thread *thread, int64_t age_ns)
{
    char what[WARD__PATH_MAX / 2];

    ward__late_what(thread, what, sizeof what);
    thread->late.told_ns = age_ns;
    ward__event(here->node, &(struct ward__news){ .kind = WARD_EV_SLOW,
                                .slot = ward__slot(here->node, ward__load(&thread->slot)),
                                .what = what,
                                .took_ns = age_ns });
}

static int64_t next_report(const struct ward__thread *thread, const struct ward__spec *spec)
{
    if (spec->stuck_ns == INT64_MAX) return INT64_MAX;
    return thread->late.told_ns ? thread->late.told_ns * 2 : spec->stuck_ns / 8;
}

/* The age at which this turn is to be looked at more closely: once when it is over 20 ms, or its
 * actor is to stop, then for each report. */
static int64_t next_age(const struct ward__thread *thread, const struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);
    bool known = thread->late.turn == ward__load(&thread->turn);
    int64_t age = known ? next_report(thread, spec) : spec->stuck_ns / 8;

    if (slot->marks.asked && !(known && thread->late.looked)) return 0;
    if (age > spec->stuck_ns) age = spec->stuck_ns;
    if (spec->stuck_ns == INT64_MAX) return INT64_MAX;
    return !known && age > MS(FIRST_MS) ? MS(FIRST_MS) : age;
}

/* What was found out about a turn that is due, and what follows from it. */
static void judge(struct ward__here *here, struct ward__due *due, bool traced, int64_t now_ns)
{
    struct ward__thread *thread = due->thread;
    const struct ward__slot *slot = slot_of(here->node, thread);
    const struct ward__spec *spec = ward__load(&slot->spec);
    int64_t age;

    ward__due_credit_locked(due, traced, now_ns);
    age = now_ns - thread->seen_ns;
    if (age < next_age(thread, slot)) return; /* it was given time, or this was its first look */
    ward__due_text_locked(here->node, due, age);
    if (age >= spec->stuck_ns && now_ns >= here->node->tree->fair_ns)
        (void)revoke(here, thread, due->turn, now_ns);
    else if (age < spec->stuck_ns && age >= next_report(thread, spec))
        report(here, thread, age);
}

static void look_again(ward_node *node, int64_t at_ns)
{
    if (at_ns < node->tree->look_ns) node->tree->look_ns = at_ns;
}

/* Its worker goes on with another thread, if others wait for it. */
static void lend(
    ward_node *node, struct ward__thread *thread, uint64_t turn, int64_t age_ns, int64_t now_ns)
{
    struct ward__worker *worker = thread->worker;
    const struct ward__slot *slot = ward__slot(node, ward__load(&thread->slot));

    if (!worker || (ward__load_acq(&thread->hand) & WARD__WORKER_GONE)) return;
    if (age_ns < ward__lend_after_ns(worker, now_ns) || !others_wait(worker, now_ns)) return;
    if (!ward__may_lend(node)) return;
    if (!seize(node, thread, turn, WARD__ASK_WORKER, WARD__WORKER_GONE)) return;
    ward__lent_locked(node, worker, slot);
    move_worker(node, worker);
}

static void look(
    struct ward__here *here, struct ward__thread *thread, struct ward__dues *dues, int64_t now_ns)
{
    ward_node *node = here->node;
    uint64_t turn = ward__load_acq(&thread->turn);
    int64_t age, due_age;

    if (thread->kind >= WARD__RUNS_HOST || (ward__load_acq(&thread->hand) & WARD__TURN_GONE))
        return;
    if (!(turn & 1) || turn != thread->seen_turn) {
        thread->seen_turn = turn;
        thread->seen_ns = now_ns;
        return;
    }
    age = now_ns - thread->seen_ns;
    if (!node->sim) lend(node, thread, turn, age, now_ns);
    due_age = next_age(thread, slot_of(node, thread));
    if (age < due_age) {
        if (due_age < INT64_MAX - thread->seen_ns) look_again(node, thread->seen_ns + due_age);
    } else if (node->sim) {
        struct ward__due due = { .thread = thread, .turn = turn };
        judge(here, &due, false, now_ns);
        if (now_ns - thread->seen_ns >= next_age(thread, slot_of(node, thread)))
            judge(here, &due, false, now_ns); /* the first look was only that */
    } else if (dues->count < WARD__DUES_MAX) {
        dues->at[dues->count++] = (struct ward__due){ .thread = thread,
            .turn = turn,
            .tid = ward__load(&thread->tid),
            .first = thread->late.turn != turn && !slot_of(node, thread)->marks.asked };
        look_again(node, now_ns + MS(1)); /* if it is in the middle of a call, say */
    } else {
        look_again(node, now_ns);
    }
}

static void look_at_all(struct ward__here *here, struct ward__dues *dues, int64_t now_ns)
{
    ward_node *node = here->node;
    struct ward__tree *tree = node->tree;
    struct ward__thread *threads[64], *thread;
    int count;

    for (uint32_t i = 0; tree->orphan_workers && i < node->workers_count; i++)
        if (tree->orphan_workers & (UINT64_C(1) << i)) move_worker(node, &node->workers[i]);
    ward__pool_look(node);
    ward__spares_look_locked(node);
    do {
        count = 0;
        pthread_mutex_lock(&node->threads_lock);
        for (thread = node->threads; thread && count < 64; thread = thread->next) {
            /* A host's thread frees itself, and is exempt. */
            if (thread->kind >= WARD__RUNS_HOST || thread->looked_ns == now_ns) continue;
            thread->looked_ns = now_ns;
            if (ward__load_acq(&thread->turn) & 1) threads[count++] = thread;
        }
        pthread_mutex_unlock(&node->threads_lock);
        for (int i = 0; i < count; i++)
            look(here, threads[i], dues, now_ns);
    } while (count == 64);
}

/* Whether the thread is still there, and in that turn. */
static bool still_there(ward_node *node, const struct ward__due *due)
{
    struct ward__thread *thread;

    pthread_mutex_lock(&node->threads_lock);
    for (thread = node->threads; thread && thread != due->thread;)
        thread = thread->next;
    pthread_mutex_unlock(&node->threads_lock);
    return thread && ward__load_acq(&thread->turn) == due->turn &&
           ward__load(&thread->tid) == due->tid && thread->seen_turn == due->turn &&
           !(ward__load_acq(&thread->hand) & WARD__TURN_GONE);
}

static void judge_all(struct ward__here *here, struct ward__dues *dues)
{
    int64_t now = ward__clock_ns(here->node);

    for (uint32_t i = 0; i < dues->count; i++)
        if (still_there(here->node, &dues->at[i])) judge(here, &dues->at[i], dues->traced, now);
}

/* The watchdog was late, so every turn gets the time back, and who is to stop as well. */
static void credit(ward_node *node, int64_t late_ns)
{
    ward__tree_lock(node); /* seen_ns is under it */
    node->tree->fair_ns = ward__clock_ns(node) + late_ns;
    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread; thread = thread->next)
        thread->seen_ns += late_ns;
    pthread_mutex_unlock(&node->threads_lock);
    ward__tree_unlock(node);
}

/* -- the clock --------------------------------------------------------------------------------- */

static bool any_turn(ward_node *node)
{
    bool any = false;

    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread && !any; thread = thread->next)
        any = (ward__load(&thread->turn) & 1) && thread->kind < WARD__RUNS_HOST &&
              !(ward__load(&thread->hand) & WARD__TURN_GONE);
    pthread_mutex_unlock(&node->threads_lock);
    return any;
}

static void lock_to_look(ward_node *node)
{
    ward__tree_lock(node);
    pthread_mutex_lock(&node->look_lock);
    node->tree->looking = true;
}

static void unlock_after_look(ward_node *node)
{
    node->tree->looking = false;
    pthread_mutex_unlock(&node->look_lock);
    ward__tree_unlock(node);
}

int64_t ward__clock_step(ward_node *node, int64_t now_ns)
{
    struct ward__here here = { node, NULL, NULL };
    struct ward__alarm *alarm;
    struct ward__dues dues;
    int64_t next;

    dues.count = 0;
    lock_to_look(node);
    node->tree->look_ns = INT64_MAX;
    while ((alarm = ward__alarm_due_locked(node, now_ns, &next)) != NULL) {
        switch ((enum ward__alarm_of)alarm->of) {
        case WARD__ALARM_TICK: ward__tick_locked(&here, alarm); break;
        case WARD__ALARM_REQUESTS: ward__requests_look_locked(&here, alarm, now_ns); break;
        case WARD__ALARM_SLOT:
            ward__alarmed_locked(&here,
                (struct ward__slot *)((char *)alarm - offsetof(struct ward__slot, alarm)), now_ns);
            break;
        }
    }
    look_at_all(&here, &dues, now_ns);
    if (ward__cycles_look_locked(&here) && now_ns + MS(1) < next) next = now_ns + MS(1);
    unlock_after_look(node);
    if (dues.count) {
        ward__due_look(&dues);
        lock_to_look(node);
        judge_all(&here, &dues);
        unlock_after_look(node);
    }
    if (node->tree->look_ns < next) next = node->tree->look_ns;
    if (node->sim) {
        ward__events_drain(node);
        if (any_turn(node) && now_ns + MS(TICK_MS) < next) next = now_ns + MS(TICK_MS);
    }
    return next;
}

static bool deadline_near(const ward_node *node, int64_t now_ns)
{
    for (uint32_t i = 0; i < node->workers_count; i++)
        if (ward__wheel_next_ns(&node->workers[i]) - now_ns < MS(FINE_MS)) return true;
    return false;
}

void ward__clock_ring(ward_node *node)
{
    if (node->sim) return;
    ward__store_seq(&node->clock_bell, 1);
    ward__futex_wake(&node->clock_bell, 1);
}

static void sleep_until(ward_node *node, int64_t now_ns, int64_t alarm_ns)
{
    bool fine = deadline_near(node, now_ns) || ward__lending_lately(node, now_ns);
    int64_t tick = MS(fine ? 1 : TICK_MS), until = alarm_ns;

    ward__store_seq(&node->clock_deep, 1);
    if (ward__load_seq(&node->awake) > 0 || ward__load_seq(&node->pool_short) ||
        ward__load_seq(&node->holding)) {
        ward__store_seq(&node->clock_deep, 0);
        if (now_ns + tick < until) until = now_ns + tick;
    }
    ward__futex_wait(&node->clock_bell, 0, until);
    ward__store_seq(&node->clock_deep, 0);
}

static void *clock_main(void *arg)
{
    ward_node *node = arg;

    for (;;) {
        int64_t now, alarm, slept_to, last;
        /* The bell first: a stop that is not seen here rings it after this. The other way round
         * its ring was wiped out, and ward_close waited for ever. */
        ward__store_seq(&node->clock_bell, 0);
        if (ward__load_seq(&node->tree->clock_stop)) return NULL;
        now = ward__now_ns();
        ward__store(&node->tick, (uint32_t)ward__clock_tick(node, now));
        alarm = ward__clock_step(node, now);
        slept_to = alarm < now + MS(TICK_MS) ? alarm : now + MS(TICK_MS);
        sleep_until(node, now, alarm);
        last = ward__now_ns();
        if (last - slept_to > MS(LATE_MS) && ward__load(&node->awake) > 0)
            credit(node, last - slept_to);
    }
}

ward_status ward__clock_open(ward_node *node)
{
    struct ward__tree *tree = node->tree;

    if (node->sim) return WARD_OK;
    tree->clock_started =
        ward__thread_start(&tree->clock_thread, "ward-clock", 0, clock_main, node);
    return tree->clock_started ? WARD_OK : WARD_ENOMEM;
}

void ward__clock_close(ward_node *node)
{
    struct ward__tree *tree = node->tree;

    if (!tree->clock_started) return;
    ward__store_seq(&tree->clock_stop, true);
    ward__clock_ring(node);
    pthread_join(tree->clock_thread, NULL);
    tree->clock_started = false;
}
