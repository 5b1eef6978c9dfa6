/* SPDX-License-Identifier: MIT */
/*
 * receive.c - the next message for an actor: signals before mail, mail before the deadline; and
 * the life of what is lent: in hand, kept, dropped.
 *
 * A question that nobody waits for any more is found here, counted and not delivered. Runs on the
 * owner's thread.
 */
#include <unistd.h>

#include "actors/turn.h"
#include "base/assert.h"

static void resume_sender(void *arg, struct ward__wait *wait, bool handed_over)
{
    struct ward__here *here = arg;
    struct ward__slot *slot =
        (struct ward__slot *)((char *)wait - offsetof(struct ward__slot, wait));
    uint32_t signals;
    uint64_t cell;

    if (handed_over && wait->asks) {
        /* It waits on. Who cancelled it in between saw no wait: look for them, see wait.h. */
        cell = ward__load_seq(&wait->cell);
        signals = ward__load_seq(&slot->signals);
        if (!(signals & WARD__SIG_CANCEL) || (signals & WARD__SIG_SHIELD)) return;
        if (!ward__waiting(cell) || !ward__wait_claim(wait, cell)) return;
        wait->status = WARD_ECANCELED;
    }
    ward__resume(here, slot);
}

void ward__serve(struct ward__here *here, struct ward__slot *slot)
{
    /* A host's thread may have given its mailbox up, and it is nobody else's to take. */
    if (ward__load(&slot->kind) == WARD__ATTACHED) ward__thread_take_back(slot);
    ward__mailbox_serve(&slot->box, &here->node->pool, resume_sender, here);
}

void ward__evict(struct ward__here *here, struct ward__slot *slot, ward_status status)
{
    /* Nobody parks from here on who would have to be evicted: closed and dead are seen first. */
    if (ward__load_seq(&slot->box.word) & WARD__WAITED)
        ward__mailbox_evict(&slot->box, status, resume_sender, here);
}

void ward__fate(const struct ward__slot *slot, enum ward__fate fate)
{
    ward__add(&ward__counts(ward__load(&slot->spec))->fates[fate], 1);
}

void ward__hand_fate(const ward_self *self, enum ward__fate fate)
{
    const uint32_t other = WARD__MAIL_SIGNAL | WARD__MAIL_KEPT | WARD__MAIL_PASSED;

    if (!self->hand || (ward__mail_bits(self->hand) & other)) return;
    ward__fate(self->slot, fate);
    if (ward__mail_bits(self->hand) & WARD__MAIL_GIVEN)
        ward__given_done(self->node, self->hand, fate);
}

void ward__given_done(ward_node *node, const struct ward_msg *mail, enum ward__fate fate)
{
    struct ward__route *route = ward__load_acq(&node->route);

    route->done(route->arg, mail->u.ask.cell, fate);
}

void ward__kept_end(struct ward__slot *slot, bool in_doubt)
{
    const struct ward__inc *inc = slot->inc;
    uint32_t kept = ward__load(&slot->box.kept);

    if (!kept) return;
    for (uint32_t i = 0; inc && i < inc->kept_count; i++)
        ward__mailbox_unreserve(&slot->box, ward__mail_weight(inc->kept[i]));
    if (in_doubt) ward__add(&ward__counts(ward__load(&slot->spec))->fates[WARD__IN_DOUBT], kept);
    ward__bump(&slot->box.settled, kept);
    ward__store(&slot->box.kept, 0);
    ward__mailbox_publish(&slot->box);
}

void ward__discard(struct ward__here *here, struct ward__slot *slot, struct ward_msg *mail,
    enum ward__fate fate, ward_status status)
{
    if (ward__asks(mail)) {
        struct ward__token token = ward__token_of(mail);
        ward__mail_set(mail, 0, WARD__MAIL_ASK);
        (void)ward__answer(here, token, status, 0);
    }
    ward__fate(slot, fate);
    if (fate == WARD__EXPIRED && (ward__mail_bits(mail) & WARD__MAIL_GIVEN))
        ward__given_done(here->node, mail, fate);
    ward__bump(&slot->box.settled, 1);
    if (fate == WARD__DEAD_LETTERED) here->node->ops->dead_letter(here, slot, mail->type, status);
    ward__mailbox_unreserve(&slot->box, ward__mail_weight(mail));
    ward__mail_empty(&here->node->heap, mail);
}

void ward__drain(struct ward__here *here, struct ward__slot *slot, enum ward__fate fate,
    ward_status status, uint32_t until_count)
{
    struct ward__pool *pool = &here->node->pool;
    bool missing;

    while ((uint32_t)ward__load(&slot->box.taken) % (WARD__COUNT_MASK + 1) != until_count) {
        uint32_t index = ward__mailbox_take(&slot->box, pool, here->magazines, &missing);
        if (!index && !missing) break;
        if (index) ward__discard(here, slot, ward__mail(pool, index), fate, status);
    }
}

bool ward__lend(struct ward__here *here, ward_self *self, struct ward_msg *mail)
{
    struct ward__slot *slot = self->slot;
    int64_t deadline;

    if (ward__asks(mail)) {
        struct ward__token token = ward__token_of(mail);
        /* In hand first, then a look at the asker: who abandons it reads in the other order. */
        ward__store(&slot->question_asker, token.asker);
        ward__store_seq(&slot->question_cell, token.cell);
        if (!ward__asker_waits(here->node, token, &deadline)) {
            ward__store_seq(&slot->question_cell, 0);
            ward__mail_set(mail, 0, WARD__MAIL_ASK);
            ward__discard(here, slot, mail, WARD__EXPIRED, WARD_ETIMEDOUT);
            return false;
        }
    }
    ward__mail_set(mail, WARD__MAIL_READ, 0);
    self->hand = mail;
    return true;
}

/* A signal that is due: a tick, or a DOWN whose place in the order has come. */
static struct ward__signal *next_signal(struct ward__slot *slot)
{
    struct ward__inc *inc = slot->inc;
    uint32_t taken = (uint32_t)ward__load(&slot->box.taken);
    struct ward__signal **at, *signal = NULL;

    pthread_mutex_lock(slot->box.lock);
    for (at = &inc->signals; *at; at = &(*at)->next) {
        /* 26-bit counts that wrap: behind if the difference is in the upper half. */
        if ((*at)->ordered && ((taken - (*at)->due) & WARD__COUNT_MASK) > WARD__COUNT_MASK / 2)
            continue;
        signal = *at;
        *at = signal->next;
        if (!signal->next) inc->signals_end = at;
        break;
    }
    if (!inc->signals) (void)ward__and_seq(&slot->signals, ~(uint32_t)WARD__SIG_QUEUE);
    pthread_mutex_unlock(slot->box.lock);
    return signal;
}

void ward__signal_append(struct ward__inc *inc, struct ward__signal *signal)
{
    signal->next = NULL;
    if (!inc->signals) inc->signals_end = &inc->signals;
    *inc->signals_end = signal;
    inc->signals_end = &signal->next;
}

void ward__signal_put(struct ward__here *here, struct ward__slot *slot, struct ward__signal *signal)
{
    pthread_mutex_lock(slot->box.lock);
    signal->due = ward__word_count(ward__load_seq(&slot->box.word));
    ward__signal_append(slot->inc, signal);
    pthread_mutex_unlock(slot->box.lock);
    ward__poke(here, slot, WARD__SIG_QUEUE);
}

static bool idle_over(struct ward__here *here, const struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);
    int64_t deadline = ward__load(&slot->wait.deadline);

    return spec->handle && spec->idle_ns != INT64_MAX && deadline != 0 &&
           deadline <= ward__clock_ns(here->node);
}

static uint32_t take_signals(struct ward__slot *slot)
{
    if (ward__likely(!(ward__load_acq(&slot->box.word) & WARD__SIGNAL)))
        return ward__load(&slot->signals);
    (void)ward__and_seq(&slot->box.word, ~WARD__SIGNAL);
    return ward__and_seq(&slot->signals, ~(uint32_t)WARD__SIG_TIME);
}

/* After a take, with nothing due among the signals. WARD__NEXT_NONE: there is nothing; AGAIN: look
 * once more. */
static enum ward__next taken(
    struct ward__here *here, ward_self *self, uint32_t index, bool missing, uint32_t signals)
{
    struct ward__slot *slot = self->slot;
    struct ward_msg *mail = ward__mail(&here->node->pool, index);

    if (ward__unlikely(ward__load(&slot->box.word) & WARD__WAITED) &&
        (!index || ward__serve_now(here, self)))
        ward__serve(here, slot);
    if (index) {
        if (ward__unlikely(mail->stamp != (uint32_t)self->life))
            ward__discard(here, slot, mail, WARD__DEAD_LETTERED, WARD_EGONE);
        else if (ward__lend(here, self, mail))
            return WARD__NEXT_MAIL;
        return WARD__NEXT_AGAIN;
    }
    if (missing) return WARD__NEXT_BUSY;
    if (signals & WARD__SIG_CANCEL) return WARD__NEXT_CANCELED;
    if ((signals & WARD__SIG_TIME) && idle_over(here, slot)) return WARD__NEXT_IDLE;
    if (!(ward__load_acq(&slot->box.word) & WARD__CLOSED)) return WARD__NEXT_NONE;
    /* What came in after the look and before it was closed is handled as well; and it may have
     * been closed because of a cancel that was not to be seen at the look. */
    if (ward__mailbox_depth(&slot->box) == ward__load(&slot->box.kept) &&
        !(ward__load(&slot->signals) & WARD__SIG_CANCEL))
        return WARD__NEXT_CLOSED;
    return WARD__NEXT_AGAIN;
}

enum ward__next ward__next(struct ward__here *here, ward_self *self)
{
    struct ward__slot *slot = self->slot;
    enum ward__next next = WARD__NEXT_AGAIN;
    bool missing;

    while (next == WARD__NEXT_AGAIN) {
        uint32_t signals = take_signals(slot), index;
        const struct ward__spec *spec = self->spec;
        if (ward__unlikely(signals)) {
            struct ward__signal *signal;
            if ((signals & WARD__SIG_CANCEL) && (!spec->drain_on_stop || self->drained))
                return WARD__NEXT_CANCELED;
            if (signals & WARD__SIG_AGAIN) {
                if (ward__again_take(here, self)) return WARD__NEXT_MAIL;
                continue;
            }
            if ((signals & WARD__SIG_QUEUE) && (signal = next_signal(slot)) != NULL) {
                self->hand = &signal->mail;
                return WARD__NEXT_MAIL;
            }
        }
        index = ward__mailbox_take(&slot->box, &here->node->pool, here->magazines, &missing);
        next = taken(here, self, index, missing, signals);
    }
    return next;
}

enum ward__next ward__next_taken(
    struct ward__here *here, ward_self *self, uint32_t index, bool missing)
{
    enum ward__next next = taken(here, self, index, missing, 0);

    return next == WARD__NEXT_AGAIN ? ward__next(here, self) : next;
}

void ward__hand_end(struct ward__here *here, ward_self *self, ward_status status)
{
    struct ward_msg *mail = self->hand;
    uint32_t bits;

    if (!mail) return;
    self->hand = NULL;
    bits = ward__mail_bits(mail);
    if (ward__unlikely(bits & (WARD__MAIL_SIGNAL | WARD__MAIL_KEPT))) {
        struct ward__signal *signal =
            (struct ward__signal *)((char *)mail - offsetof(struct ward__signal, mail));
        if (bits & WARD__MAIL_KEPT) return;
        if (ward_kind_of(mail) != WARD_IDLE) signal->release(here, signal);
        return;
    }
    if (ward__unlikely(bits & WARD__MAIL_ASK)) {
        struct ward__token token = ward__token_of(mail);
        ward__mail_set(mail, 0, WARD__MAIL_ASK);
        (void)ward__answer(here, token, status, 0);
    }
    if (ward__load(&self->slot->question_cell)) ward__store_seq(&self->slot->question_cell, 0);
    if (ward__unlikely(bits & WARD__MAIL_PASSED)) ward__fate(self->slot, WARD__HANDED_OVER);
    ward__bump(&self->slot->box.settled, 1);
    if (ward__unlikely(bits & (WARD__MAIL_BESIDE | WARD__MAIL_BLOBS | WARD__MAIL_GIVEN))) {
        if (bits & WARD__MAIL_GIVEN) ward__given_done(here->node, mail, WARD__FATES);
        ward__mailbox_unreserve(&self->slot->box, ward__mail_weight(mail));
        ward__mail_empty(&here->node->heap, mail);
    }
    ward__mail_release(&here->node->pool, here->magazines, mail, WARD__MAIL_READ);
}

void ward__answer_end(struct ward__here *here, ward_self *self)
{
    struct ward_msg *mail = self->answer;
    struct ward__signal *signal;

    if (!mail) return;
    signal = (struct ward__signal *)((char *)mail - offsetof(struct ward__signal, mail));
    self->answer = NULL;
    if (ward__mail_bits(mail) & WARD__MAIL_SIGNAL) /* ward_await */
        signal->release(here, signal);
    else
        ward__mail_free(here, ward__mail_index(&here->node->pool, mail));
}

/* -- ward_receive ------------------------------------------------------------------------------ */

/* Nothing is there: parks, or says why not. WARD_OK: look again. */
static ward_status wait_for_mail(
    struct ward__here *here, ward_self *self, int64_t until_ns, const char *at)
{
    struct ward__slot *slot = self->slot;
    struct ward__wait *wait = &slot->wait;
    bool thread = slot->kind == WARD__THREAD || slot->kind == WARD__ATTACHED;

    if (ward__passed(here, until_ns)) return WARD_ETIMEDOUT;
    if (until_ns == INT64_MAX && ward__load(&slot->box.kept) >= ward__load(&slot->box.bound))
        return WARD_EDEADLK;
    ward__store(&slot->wait_what, "receive");
    ward__store(&slot->wait_at, at);
    ward__store(&slot->since_ns, ward__about_now_ns(here));
    ward__store_seq(&wait->deadline, until_ns);
    if (!thread) ward__wheel_arm(here, slot, until_ns);
    if (ward__mailbox_rest(&slot->box, &here->node->pool, here->magazines))
        ward__park_idle(here, self, until_ns);
    ward__store(&wait->deadline, 0);
    ward__store(&slot->wait_what, NULL);
    ward__store(&slot->wait_at, NULL);
    return WARD_OK;
}

/* One more message: the watchdog counts messages, and others want to run. */
static void count_message(struct ward__here *here, ward_self *self)
{
    struct ward__thread *thread = self->thread;

    if (thread->kind != WARD__RUNS_HOST)
        ward__store_rel(&thread->turn, ward__load(&thread->turn) + 2);
    ward__spend(here, self);
}

/* Reading the fd of a host's thread back to "nothing there", before it is looked once more. */
static void lower_fd(ward_self *self)
{
    int fd = ward__load(&self->thread->mail_fd);
    uint64_t count;

    if (self->slot->kind == WARD__ATTACHED && fd >= 0 && read(fd, &count, sizeof count) < 0) {
    }
}

/* WARD_NOW on a host's thread: the mailbox is given up, so that the next message raises the fd. */
static ward_status nothing_now(struct ward__here *here, ward_self *self)
{
    struct ward__slot *slot = self->slot;

    if (ward__load(&self->thread->mail_fd) < 0) return WARD_ETIMEDOUT;
    lower_fd(self);
    if (ward__mailbox_idle(&slot->box, &here->node->pool, here->magazines)) return WARD_ETIMEDOUT;
    ward__thread_raise(self->thread);
    return WARD_OK;
}

static ward_status receive(
    struct ward__here *here, ward_self *self, int64_t until_ns, const char *at)
{
    ward_status rc = WARD_OK;

    if (self->slot->kind == WARD__ATTACHED) /* it may have been given up by WARD_NOW */
        ward__thread_take_back(self->slot);
    while (!rc) {
        switch (ward__next_quick(here, self)) {
        case WARD__NEXT_MAIL: count_message(here, self); return WARD_OK;
        case WARD__NEXT_CANCELED: self->drained = true; return WARD_ECANCELED;
        case WARD__NEXT_CLOSED: return WARD_ECLOSED;
        case WARD__NEXT_BUSY: ward__yield(here, self); break;
        case WARD__NEXT_AGAIN: break;
        case WARD__NEXT_IDLE:
        case WARD__NEXT_NONE:
            rc = until_ns == 0 && self->slot->kind == WARD__ATTACHED
                     ? nothing_now(here, self)
                     : wait_for_mail(here, self, until_ns, at);
            break;
        }
    }
    return rc;
}

ward_status ward_receive_at(ward_self *self, const ward_msg **out, ward_deadline by, const char *at)
{
    struct ward__here here;
    ward_status rc;

    if (!out) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE || !self->waits || self->ending) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    ward__hand_end_quick(&here, self, WARD_ENOREPLY);
    if (ward__unlikely(self->answer != NULL)) ward__answer_end(&here, self);
    ward__waited(&here, self);
    if (ward__unlikely(ward__load(&self->slot->signals) & WARD__SIG_SHIELD)) ward__unshield(self);
    rc = receive(&here, self, by.ns, at);
    if (!rc) *out = self->hand;
    ward__leave(self);
    return rc;
}
