/* SPDX-License-Identifier: MIT */
/*
 * request.c - ward_request and what becomes of it: answered, expired, abandoned, forgotten, void.
 *
 * Whoever ends a request moves its cell under the stripe of its owner's mailbox; one does. An
 * answer is put into the owner's queue of signals at once. Every other end first goes to whoever
 * works for the question: so the record is ENDING in between, still in its owner's list, and on a
 * list of its own, which grows by the requests that those workers have made for it. So a whole tree
 * of requests is cut without recursion and without memory.
 *
 * Deadlines are one alarm an incarnation (supervision's, under the tree lock), set lazily: it looks
 * at all open requests when the earliest deadline that it knew comes. A request whose deadline is
 * not the earliest takes no other lock than the stripe and the free list's.
 */
#include "actors/request.h"
#include "base/assert.h"

static pthread_mutex_t *stripe(const ward_node *node, uint32_t slot)
{
    return (pthread_mutex_t *)(uintptr_t)&node->stripes[slot & 63];
}

static uint32_t index_of(const ward_node *node, const struct ward__request *request)
{
    return (uint32_t)(request - node->requests->at);
}

static struct ward__request *of_token(const ward_node *node, struct ward__token token)
{
    return &node->requests->at[token.asker & ~WARD__REQUEST];
}

static struct ward__request *of_signal(const struct ward__signal *signal)
{
    return (
        struct ward__request *)((char *)(uintptr_t)signal - offsetof(struct ward__request, signal));
}

/* -- records ----------------------------------------------------------------------------------- */

bool ward__requests_open(ward_node *node)
{
    struct ward__requests *all = ward__alloc_zero(&node->heap, sizeof *all);

    if (!all) return false;
    all->at = ward__reserve(sizeof *all->at << WARD__REQUEST_BITS);
    if (!all->at) {
        ward__free(&node->heap, all, sizeof *all);
        return false;
    }
    ward__lock_init(&all->lock);
    all->used = 1;
    node->requests = all;
    return true;
}

void ward__requests_close(ward_node *node)
{
    struct ward__requests *all = node->requests;

    if (!all) return;
    ward__unreserve(all->at, sizeof *all->at << WARD__REQUEST_BITS);
    pthread_mutex_destroy(&all->lock);
    ward__free(&node->heap, all, sizeof *all);
}

static struct ward__request *take_free(ward_node *node)
{
    struct ward__requests *all = node->requests;
    struct ward__request *request;

    pthread_mutex_lock(&all->lock);
    request = all->free;
    if (request)
        all->free = request->after;
    else if (all->used < UINT32_C(1) << WARD__REQUEST_BITS)
        request = &all->at[all->used++];
    pthread_mutex_unlock(&all->lock);
    return request;
}

static void put_free(ward_node *node, struct ward__request *request)
{
    struct ward__requests *all = node->requests;

    ward__store(&request->id, 0);
    pthread_mutex_lock(&all->lock);
    request->after = all->free;
    all->free = request;
    pthread_mutex_unlock(&all->lock);
}

/* The reader of the outcome is done, on the thread of the incarnation. */
static void release(struct ward__here *here, struct ward__signal *signal)
{
    struct ward__request *request = of_signal(signal);

    ward__mail_free(here, request->answer);
    request->inc->asks.count--;
    put_free(here->node, request);
}

static void link_locked(struct ward__slot *slot, struct ward__request *request)
{
    struct ward__request *first = ward__load(&slot->requests);

    request->prev = NULL;
    request->next = first;
    if (first) first->prev = request;
    ward__store_seq(&slot->requests, request); /* see ward__requests_for */
}

static void unlink_locked(struct ward__slot *slot, struct ward__request *request)
{
    if (request->prev)
        request->prev->next = request->next;
    else
        ward__store(&slot->requests, request->next);
    if (request->next) request->next->prev = request->prev;
}

static void close_locked(struct ward__request *request)
{
    ward__store_seq(&request->cell, ward__load(&request->cell) + 1);
}

/* -- ends -------------------------------------------------------------------------------------- */

/* Puts the outcome into the queue; who waits for one is resumed. */
static void tell_locked(struct ward__here *here, struct ward__slot *slot,
    struct ward__request *request, ward_status status, uint32_t answer)
{
    struct ward__inc *inc = request->inc;
    struct ward_msg *mail = &request->signal.mail;
    uint32_t bits = WARD__MAIL_SIGNAL | (uint32_t)WARD_ANSWER << WARD__MAIL_KIND;
    uint64_t waits = inc->asks.waits;

    unlink_locked(slot, request);
    request->state = WARD__REQUEST_TOLD;
    request->status = status;
    request->answer = answer;
    mail->type = &ward__nothing;
    if (answer) { /* the value stays where it is: it may point into itself */
        struct ward_msg *value = ward__mail(&here->node->pool, answer);
        mail->type = value->type;
        mail->u.beside = (struct ward__beside){ ward__mail_block(value), 0 };
        bits |= WARD__MAIL_BESIDE;
    }
    ward__store(&mail->bits, bits);
    request->signal.ordered = false;
    request->signal.release = release;
    ward__signal_append(inc, &request->signal);
    ward__poke(here, slot, WARD__SIG_QUEUE);
    inc->asks.waits = 0;
    if (waits && ward__wait_claim(&slot->wait, waits)) {
        slot->wait.status = WARD_OK;
        ward__resume(here, slot);
    }
}

bool ward__request_waits(const ward_node *node, struct ward__token token, int64_t *deadline_ns)
{
    const struct ward__request *request = of_token(node, token);

    if (ward__load_seq(&request->cell) != token.cell) return false;
    *deadline_ns = ward__load_acq(&request->deadline_ns);
    return ward__load_acq(&request->cell) == token.cell;
}

_Atomic uint32_t *ward__request_holder(const ward_node *node, struct ward__token token)
{
    struct ward__request *request = of_token(node, token);

    return ward__load_acq(&request->cell) == token.cell ? &request->holder : NULL;
}

bool ward__request_answer(
    struct ward__here *here, struct ward__token token, ward_status status, uint32_t mail)
{
    ward_node *node = here->node;
    struct ward__request *request = of_token(node, token);
    uint32_t owner = ward__load_acq(&request->owner); /* if it is the next one's, so is the cell */
    bool open;

    /* Its callee may see the deadline pass, and give up, before the alarm does. */
    if (status == WARD_ENOREPLY && ward__load(&request->deadline_ns) <= ward__clock_ns(node))
        status = WARD_ETIMEDOUT;
    pthread_mutex_lock(stripe(node, owner));
    open = ward__load_acq(&request->cell) == token.cell;
    if (open) {
        close_locked(request);
        tell_locked(here, ward__slot(node, owner), request, status, mail);
    }
    pthread_mutex_unlock(stripe(node, owner));
    if (!open) {
        ward__add(&node->late_replies, 1);
        ward__mail_free(here, mail);
    }
    return open;
}

static void end_locked(
    struct ward__request *request, ward_status status, struct ward__request **ending)
{
    close_locked(request);
    request->state = WARD__REQUEST_ENDING;
    request->status = status;
    request->after = *ending;
    *ending = request;
}

/* Who links a request stores it, then looks whether its question still has an asker; the asker's
 * end moved the cell before this looks at the list: one of the two finds the other. */
void ward__requests_for(struct ward__here *here, struct ward__slot *slot,
    struct ward__token made_for, struct ward__request **ending)
{
    pthread_mutex_t *lock = stripe(here->node, ward__index(here->node, slot));
    struct ward__request *request;

    if (!ward__load_seq(&slot->requests)) return;
    pthread_mutex_lock(lock);
    for (request = ward__load(&slot->requests); request; request = request->next)
        if (request->state == WARD__REQUEST_OPEN && request->made_for.cell == made_for.cell &&
            request->made_for.asker == made_for.asker)
            end_locked(request, WARD_EABANDONED, ending);
    pthread_mutex_unlock(lock);
}

/* Whoever works for one that is closed. What was asked below one that expired has an earlier
 * deadline already, but a peer's answer is not waited for any more. */
static void stop_work(
    struct ward__here *here, struct ward__request *request, struct ward__request **ending)
{
    struct ward__route *route = ward__load_acq(&here->node->route);
    uint32_t holder = ward__load_seq(&request->holder) & ~WARD__MOVING;
    struct ward__token token = { ward__load(&request->cell) - 1,
        WARD__REQUEST | index_of(here->node, request) };

    if (holder == WARD__REMOTE && route)
        route->forget(route->arg, token);
    else if (request->status != WARD_ETIMEDOUT)
        ward__abandon_one(here, holder, token, ending);
}

void ward__requests_tell(struct ward__here *here, struct ward__request *ending)
{
    while (ending) {
        struct ward__request *request = ending;
        uint32_t owner = ward__load(&request->owner);
        bool dropped;

        ending = request->after;
        stop_work(here, request, &ending);
        pthread_mutex_lock(stripe(here->node, owner));
        dropped = request->state == WARD__REQUEST_DROPPED;
        if (!dropped) tell_locked(here, ward__slot(here->node, owner), request, request->status, 0);
        pthread_mutex_unlock(stripe(here->node, owner));
        if (dropped) put_free(here->node, request);
    }
}

int64_t ward__requests_expire(struct ward__here *here, struct ward__inc *inc, int64_t now_ns)
{
    struct ward__slot *slot = inc->asks.slot;
    pthread_mutex_t *lock = stripe(here->node, ward__index(here->node, slot));
    struct ward__request *request, *ending = NULL;
    int64_t next = INT64_MAX;

    pthread_mutex_lock(lock);
    for (request = ward__load(&slot->requests); request; request = request->next) {
        int64_t deadline = ward__load(&request->deadline_ns);
        if (request->state != WARD__REQUEST_OPEN) continue;
        if (deadline <= now_ns)
            end_locked(request, WARD_ETIMEDOUT, &ending);
        else if (deadline < next)
            next = deadline;
    }
    inc->asks.look_ns = next;
    pthread_mutex_unlock(lock);
    ward__requests_tell(here, ending);
    return next;
}

void ward__requests_void(struct ward__here *here, struct ward__inc *inc)
{
    struct ward__slot *slot = inc->asks.slot;
    pthread_mutex_t *lock = stripe(here->node, ward__index(here->node, slot));
    struct ward__request *request, *next, *ending = NULL;

    pthread_mutex_lock(lock);
    for (request = ward__load(&slot->requests); request; request = next) {
        next = request->next;
        if (request->state == WARD__REQUEST_OPEN) end_locked(request, WARD_ECANCELED, &ending);
        request->state = WARD__REQUEST_DROPPED;
    }
    ward__store(&slot->requests, NULL);
    pthread_mutex_unlock(lock);
    ward__requests_tell(here, ending);
}

/* -- ward_request ------------------------------------------------------------------------------ */

/* Owner. Takes one out of the queue; false: it is lent, or was taken. */
static bool pull_locked(struct ward__inc *inc, struct ward__signal *signal)
{
    struct ward__signal **at = &inc->signals;

    while (*at && *at != signal)
        at = &(*at)->next;
    if (!*at) return false;
    *at = signal->next;
    if (!signal->next) inc->signals_end = at;
    return true;
}

/* No outcome comes any more. Owner. */
static void forget(struct ward__here *here, ward_self *self, struct ward__request *request)
{
    pthread_mutex_t *lock = stripe(here->node, ward__index(here->node, self->slot));
    struct ward__request *ending = NULL;
    bool told = false;

    pthread_mutex_lock(lock);
    if (request->state == WARD__REQUEST_TOLD) {
        told = pull_locked(self->inc, &request->signal);
    } else if (request->state != WARD__REQUEST_DROPPED) {
        unlink_locked(self->slot, request);
        if (request->state == WARD__REQUEST_OPEN) end_locked(request, WARD_ECANCELED, &ending);
        request->state = WARD__REQUEST_DROPPED;
        self->inc->asks.count--;
    }
    pthread_mutex_unlock(lock);
    if (told) release(here, &request->signal);
    ward__requests_tell(here, ending);
}

/* Opens one: from here on it can end. */
static struct ward__request *open_one(
    struct ward__here *here, ward_self *self, int64_t until_ns, uint32_t holder)
{
    ward_node *node = here->node;
    struct ward__slot *slot = self->slot;
    uint32_t owner = ward__index(node, slot);
    struct ward__request *request = take_free(node);
    uint64_t cell;

    if (!request) return NULL;
    cell = ward__load(&request->cell) + 1;
    ward__store(&request->deadline_ns, until_ns);
    ward__store(&request->holder, holder);
    ward__store(&request->id, cell >> 1 << WARD__REQUEST_BITS | index_of(node, request));
    request->inc = self->inc;
    request->made_for = ward__shielded(self) ? (struct ward__token){ 0 } : ward__question_of(self);
    request->state = WARD__REQUEST_OPEN;
    request->status = WARD_OK;
    request->answer = 0;
    if (!self->inc->asks.slot) self->inc->asks.slot = slot;
    self->inc->asks.count++;
    pthread_mutex_lock(stripe(node, owner));
    ward__store_rel(&request->owner, owner);
    link_locked(slot, request);
    ward__store_seq(&request->cell, cell);
    pthread_mutex_unlock(stripe(node, owner));
    return request;
}

/* Sees to it that its deadline is looked at. */
static ward_status arm(struct ward__here *here, ward_self *self, int64_t until_ns)
{
    struct ward__inc *inc = self->inc;
    pthread_mutex_t *lock = stripe(here->node, ward__index(here->node, self->slot));
    int64_t before;
    ward_status rc;

    if (until_ns == INT64_MAX) return WARD_OK;
    pthread_mutex_lock(lock);
    before = inc->asks.look_ns;
    if (!before || until_ns < before) inc->asks.look_ns = until_ns;
    pthread_mutex_unlock(lock);
    if (before && before <= until_ns) return WARD_OK;
    rc = here->node->ops->look_at(here, &inc->asks.alarm, until_ns);
    if (rc) inc->asks.look_ns = 0; /* only the first can fail: nobody else looks */
    return rc;
}

struct asking {
    ward_ref to;
    const ward_type *type;
    const void *value;
    int64_t until_ns;
};

static ward_status put(
    struct ward__here *here, struct ward__request *request, const struct asking *asking)
{
    struct ward__slot *target = ward__resolve(here->node, asking->to);
    struct ward__route *route = ward__load_acq(&here->node->route);
    struct ward__question question = { asking->type, asking->value, asking->until_ns };
    struct ward__token token = { ward__load(&request->id) >> WARD__REQUEST_BITS << 1 | 1,
        WARD__REQUEST | index_of(here->node, request) };
    uint32_t mail;
    ward_status rc;

    if (!target) return route->ask(route->arg, token, asking->to, &question);
    rc = ward__mail_make(here, &mail, asking->type, asking->value, &token);
    if (rc) return rc;
    rc = ward__deliver(here, target, asking->to.life, mail);
    if (rc) ward__mail_free(here, mail);
    return rc;
}

/* Why it cannot be asked, or WARD_OK. *holder: who is to have it. */
static ward_status refused(
    struct ward__here *here, ward_self *self, const struct asking *asking, uint32_t *holder)
{
    const struct ward__slot *target = ward__resolve(here->node, asking->to);

    if (!target && (asking->to.node == 0 || asking->to.node == here->node->id)) return WARD_EGONE;
    if (!target && asking->until_ns == INT64_MAX) return WARD_EINVAL; /* no way to know */
    if (!target && !ward__load_acq(&here->node->route)) return WARD_ELINK;
    if (asking->until_ns <= ward__clock_ns(here->node)) return WARD_ETIMEDOUT;
    if (!ward__inc_of(self)) return WARD_ENOMEM;
    if (self->inc->asks.count >= WARD__REQUESTS_MAX) return WARD_ELIMIT;
    *holder = target ? ward__index(here->node, target) : WARD__REMOTE;
    return WARD_OK;
}

static ward_status ask(
    struct ward__here *here, ward_self *self, ward_call *out, const struct asking *asking)
{
    struct ward__request *request;
    uint32_t holder;
    uint64_t id;
    ward_status rc = refused(here, self, asking, &holder);

    if (rc) return rc;
    request = open_one(here, self, asking->until_ns, holder);
    if (!request) return WARD_ELIMIT;
    id = ward__load(&request->id);
    rc = arm(here, self, asking->until_ns);
    if (!rc && request->made_for.cell && ward__abandoned(self)) rc = WARD_EABANDONED;
    if (!rc) rc = put(here, request, asking);
    if (rc)
        forget(here, self, request);
    else
        out->id = id;
    return rc;
}

/* NOLINTNEXTLINE(readability-function-size): what a public question needs */
ward_status ward_request(ward_self *self, ward_call *out, ward_ref to, const ward_type *type,
    const void *value, ward_deadline by)
{
    struct asking asking = { to, type, value, 0 };
    struct ward__here here;
    ward_status rc;

    if (!out || !type) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE || self->ending) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    asking.until_ns = ward__wait_until(self, by);
    rc = ask(&here, self, out, &asking);
    ward__leave(self);
    return rc;
}

void ward_forget(ward_self *self, ward_call call)
{
    struct ward__here here;
    struct ward__request *request;

    if (self->kind == WARD__SELF_OUTSIDE || !call.id || !ward__enter(self, &here)) return;
    request = &here.node->requests->at[call.id & ((1u << WARD__REQUEST_BITS) - 1)];
    if (ward__load(&request->id) == call.id && self->inc &&
        ward__load_acq(&request->owner) == ward__index(here.node, self->slot))
        forget(&here, self, request);
    ward__leave(self);
}

/* -- outcomes ---------------------------------------------------------------------------------- */

static struct ward__signal *take_outcome_locked(struct ward__inc *inc)
{
    struct ward__signal *signal = inc->signals;

    while (signal && signal->release != release)
        signal = signal->next;
    if (signal) (void)pull_locked(inc, signal);
    return signal;
}

static ward_status await(struct ward__here *here, ward_self *self, int64_t until_ns, const char *at,
    struct ward__signal **out)
{
    struct ward__inc *inc = self->inc;
    pthread_mutex_t *lock = stripe(here->node, ward__index(here->node, self->slot));
    uint64_t cell = 0;
    ward_status rc = ward__wait_refused(self);

    if (rc && rc != WARD_ESTATE) return rc;
    pthread_mutex_lock(lock);
    *out = take_outcome_locked(inc);
    if (!*out && !ward__load(&self->slot->requests)) rc = WARD_ESTATE;
    if (!*out && !rc && until_ns <= ward__clock_ns(here->node)) rc = WARD_ETIMEDOUT;
    if (!*out && !rc) cell = inc->asks.waits = ward__wait_begin(here, self, until_ns, "await", at);
    pthread_mutex_unlock(lock);
    if (cell) {
        rc = ward__wait_end(here, self, cell);
        pthread_mutex_lock(lock);
        inc->asks.waits = 0;
        if (rc == WARD_OK || rc == WARD_ETIMEDOUT) *out = take_outcome_locked(inc);
        pthread_mutex_unlock(lock);
    }
    return *out ? WARD_OK : rc;
}

ward_status ward_await_at(
    ward_self *self, const ward_msg **answer, ward_deadline by, const char *at)
{
    struct ward__signal *outcome = NULL;
    struct ward__here here;
    ward_status rc;

    if (!answer) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE || self->ending) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = self->inc ? await(&here, self, ward__wait_until(self, by), at, &outcome) : WARD_ESTATE;
    if (!rc) {
        ward__answer_end(&here, self);
        *answer = self->answer = &outcome->mail;
    }
    ward__waited(&here, self);
    ward__leave(self);
    return rc;
}

/* NULL: it is no outcome. */
static const struct ward__request *outcome_of(const ward_msg *msg)
{
    if (ward_kind_of(msg) != WARD_ANSWER) return NULL;
    return of_signal(
        (const struct ward__signal *)((const char *)msg - offsetof(struct ward__signal, mail)));
}

ward_call ward_call_of(const ward_msg *answer)
{
    const struct ward__request *request = outcome_of(answer);

    return (ward_call){ request ? ward__load(&request->id) : 0 };
}

ward_status ward_status_of(const ward_msg *answer)
{
    const struct ward__request *request = outcome_of(answer);

    return request ? request->status : WARD_OK;
}
