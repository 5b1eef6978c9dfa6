/* SPDX-License-Identifier: MIT */
/*
 * ask.c - waiting for room, asking, answering, passing a question on.
 *
 * A question carries a token: the asker's slot and the value of its cell. Whoever holds the message
 * holds the right to answer, once. An asker parks on a full mailbox like any sender; when its
 * question was handed over for it, its cell is armed anew and it waits on, for the answer.
 *
 * Runs on the thread of who calls; a question to another node goes through the route.
 */
#include "actors/request.h"
#include "mailbox/value.h"

enum { LOOK_MS = 10 }; /* at a link that was full */

/* What the caller of a wait is about to do. */
struct request {
    ward_ref to;
    const ward_type *type;
    const void *value;
    int64_t until_ns;
    const char *at;
    bool asks;
};

/* Offers the parcel until it is accepted, refused for good, or parked. *parked: it is. */
static ward_status offer(struct ward__here *here, ward_self *self, struct ward__slot *target,
    const struct request *request, bool *parked)
{
    struct ward__wait *wait = &self->slot->wait;
    uint32_t mail = wait->parcel;
    ward_status rc;

    *parked = false;
    while ((rc = ward__deliver(here, target, request->to.life, mail)) == WARD_EFULL) {
        enum ward__pushed pushed;
        if (ward__passed(here, request->until_ns)) return WARD_ETIMEDOUT;
        pushed = ward__mailbox_park(&target->box, request->to.life, wait);
        if (pushed == WARD__PUSHED) continue; /* there is room by now */
        if (pushed != WARD__PUSH_FULL) {
            return pushed == WARD__PUSH_CLOSED ? ward__closed_status(target, request->to.life)
                                               : WARD_EGONE;
        }
        *parked = true;
        return WARD_OK;
    }
    if (!rc) wait->parcel = 0;
    return rc;
}

/* Frees what was not handed over. */
static ward_status drop_parcel(struct ward__here *here, struct ward__wait *wait, ward_status rc)
{
    ward__mail_free(here, wait->parcel);
    wait->parcel = 0;
    return rc;
}

/* The end of a wait that may have left a parcel in a list, or a question with a holder. */
static ward_status settle(
    struct ward__here *here, ward_self *self, const struct request *request, ward_status rc)
{
    struct ward__wait *wait = &self->slot->wait;
    struct ward__token token = { ward__load(&wait->cell) - 1, ward__index(here->node, self->slot) };

    if (ward__mailbox_unpark(wait)) {
        (void)drop_parcel(here, wait, rc);
    } else if (request->asks && (rc == WARD_ECANCELED || rc == WARD_EABANDONED ||
                                    rc == WARD_ETIMEDOUT || rc == WARD_EDEADLK)) {
        struct ward__route *route = ward__load_acq(&here->node->route);
        uint32_t holder = ward__load(&wait->holder) & ~WARD__MOVING;
        if (holder == WARD__REMOTE && route) /* it was forwarded to another node */
            route->forget(route->arg, token);
        else if (rc != WARD_ETIMEDOUT)
            ward__abandon(here, holder, token);
    }
    ward__store(&wait->holder, 0);
    return rc;
}

static ward_status wait_local(struct ward__here *here, ward_self *self, struct ward__slot *target,
    const struct request *request)
{
    struct ward__slot *slot = self->slot;
    struct ward__wait *wait = &slot->wait;
    struct ward__token token;
    uint64_t cell = ward__load(&wait->cell) + 1;
    bool parked, own = target == slot && ward__life(slot) == request->to.life;
    ward_status rc;

    if (own && request->asks) return WARD_EDEADLK;
    token = (struct ward__token){ cell, ward__index(here->node, slot) };
    rc = ward__mail_make(
        here, &wait->parcel, request->type, request->value, request->asks ? &token : NULL);
    if (rc) return rc;
    if (!request->asks) { /* there may be room by now */
        rc = ward__deliver(here, target, request->to.life, wait->parcel);
        if (own && rc == WARD_EFULL) { /* only it could make room; but others may be first */
            ward__serve(here, slot);
            rc = ward__deliver(here, target, request->to.life, wait->parcel);
            if (rc == WARD_EFULL) rc = WARD_EDEADLK;
        }
        if (rc == WARD_OK) {
            wait->parcel = 0;
            ward__spend(here, self);
        }
        if (rc != WARD_EFULL) return drop_parcel(here, wait, rc);
    }
    wait->parcel_bytes = ward__mail_weight(ward__mail(&here->node->pool, wait->parcel));
    ward__store(&wait->holder, ward__index(here->node, target));
    ward__store(&slot->edge, WARD__EDGE_ONE);
    (void)ward__wait_begin(
        here, self, request->until_ns, request->asks ? "ask" : "send", request->at);
    wait->asks = request->asks;
    rc = offer(here, self, target, request, &parked);
    if (rc || (!parked && !request->asks)) {
        /* Refused, or a tell that was accepted: nobody will claim the cell but a timer. */
        ward__wait_undo(self);
        ward__store(&wait->holder, 0);
        return drop_parcel(here, wait, rc);
    }
    return settle(here, self, request, ward__wait_end(here, self, cell));
}

/* Until there may be room at the other node. Not everybody is told: after a while one looks. */
static ward_status wait_for_link(struct ward__here *here, ward_self *self,
    struct ward__route *route, const struct request *request)
{
    int64_t step = here->node->inside ? 1 : LOOK_MS; /* an isolate's host tells nobody */
    int64_t now = ward__clock_ns(here->node), soon = now + step * (int64_t)WARD__NS_MS;
    struct ward__token token = { .asker = ward__index(here->node, self->slot) };
    ward_status rc;

    if (request->until_ns <= now) return WARD_ETIMEDOUT;
    if (soon > request->until_ns) soon = request->until_ns;
    token.cell = ward__wait_begin(here, self, soon, request->asks ? "ask" : "send", request->at);
    if (!route->await(route->arg, token, request->to)) {
        ward__wait_undo(self);
        return WARD_OK;
    }
    rc = ward__wait_end(here, self, token.cell);
    return rc == WARD_ETIMEDOUT ? WARD_OK : rc;
}

static ward_status ask_remote(struct ward__here *here, ward_self *self, struct ward__route *route,
    const struct request *request)
{
    struct ward__question question = { request->type, request->value, request->until_ns };
    struct ward__token token;
    ward_status rc;

    token.asker = ward__index(here->node, self->slot);
    token.cell = ward__wait_begin(here, self, request->until_ns, "ask", request->at);
    self->slot->wait.asks = true;
    rc = route->ask(route->arg, token, request->to, &question);
    if (rc) {
        ward__wait_undo(self);
        return rc;
    }
    rc = ward__wait_end(here, self, token.cell);
    if (rc == WARD_ECANCELED || rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT)
        route->forget(route->arg, token);
    return rc == WARD_EFULL ? WARD_STOP : rc;
}

static ward_status wait_remote(
    struct ward__here *here, ward_self *self, const struct request *request)
{
    struct ward__route *route = ward__load_acq(&here->node->route);
    ward_status rc, waited;

    if (!route) return WARD_ELINK;
    if (request->asks && request->until_ns == INT64_MAX && !here->node->inside)
        return WARD_EINVAL; /* no way to know */
    do {
        rc = request->asks ? ask_remote(here, self, route, request)
                           : route->send(route->arg, request->to, request->type, request->value);
        waited = rc == WARD_EFULL ? wait_for_link(here, self, route, request) : WARD_OK;
    } while (rc == WARD_EFULL && !waited);
    if (rc == WARD_STOP) rc = WARD_EFULL; /* the mailbox there, not the link */
    return waited ? waited : rc;
}

/* Common to send_by and ask. */
static ward_status wait_for(
    struct ward__here *here, ward_self *self, struct request *request, ward_deadline by)
{
    struct ward__slot *target = ward__resolve(here->node, request->to);
    ward_status rc = ward__wait_refused(self);

    if (rc) return rc;
    if (!request->type) return WARD_EINVAL;
    request->until_ns = ward__wait_until(self, by);
    if (!target && (request->to.node == 0 || request->to.node == here->node->id)) return WARD_EGONE;
    if (request->asks && ward__passed(here, request->until_ns)) return WARD_ETIMEDOUT;
    return target ? wait_local(here, self, target, request) : wait_remote(here, self, request);
}

/* The usual case of a send that may wait: nobody told it to stop, no question is in hand, and there
 * is room. WARD_EFULL: not so, or there is none. */
static ward_status send_at_once(
    struct ward__here *here, ward_self *self, ward_ref to, const ward_type *type, const void *value)
{
    struct ward__slot *target = ward__resolve(here->node, to), *slot = self->slot;
    ward_status rc;

    if (!target || target == slot || ward__load(&slot->question_cell) ||
        (ward__load_acq(&slot->signals) & WARD__SIG_CANCEL))
        return WARD_EFULL;
    rc = ward__send_local(here, target, to.life, type, value);
    if (!rc) ward__spend(here, self);
    return rc;
}

/* NOLINTNEXTLINE(readability-function-size): what a public wait needs */
ward_status ward_send_by_at(ward_self *self, ward_ref to, const ward_type *type, const void *value,
    ward_deadline by, const char *at)
{
    struct request request;
    struct ward__here here;
    ward_status rc;

    if (self->kind == WARD__SELF_OUTSIDE || !self->waits || self->ending) {
        rc = ward_send(self, to, type, value); /* there is room now, or it would have to wait */
        return rc == WARD_EFULL ? WARD_ESTATE : rc;
    }
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = send_at_once(&here, self, to, type, value);
    if (rc == WARD_EFULL) {
        request = (struct request){ .to = to, .type = type, .value = value, .at = at };
        rc = wait_for(&here, self, &request, by);
    }
    ward__waited(&here, self);
    ward__leave(self);
    return rc;
}

/* NOLINTNEXTLINE(readability-function-size): what a public wait needs */
ward_status ward_ask_at(ward_self *self, const ward_msg **answer, ward_ref to,
    const ward_type *type, const void *value, ward_deadline by, const char *at)
{
    struct request request = { .to = to, .type = type, .value = value, .at = at, .asks = true };
    struct ward__here here;
    ward_status rc;

    if (!answer) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = wait_for(&here, self, &request, by);
    if (!rc) {
        ward__answer_end(&here, self);
        self->answer = ward__mail(&here.node->pool, self->slot->wait.answer);
        self->slot->wait.answer = 0;
        *answer = self->answer;
    }
    ward__waited(&here, self);
    ward__leave(self);
    return rc;
}

/* -- answering --------------------------------------------------------------------------------- */

/* Takes the right to answer out of a message. False: it has none. */
static bool take_right(ward_self *self, const ward_msg *question, struct ward__token *token)
{
    struct ward_msg *mail = (struct ward_msg *)(uintptr_t)question;

    if (!ward__asks(mail)) return false;
    *token = ward__token_of(mail);
    ward__mail_set(mail, 0, WARD__MAIL_ASK);
    if (mail == self->hand) ward__store_seq(&self->slot->question_cell, 0);
    return true;
}

/* What cannot travel is an error of who replies, and the question stays open. */
static ward_status reply_remote(struct ward__here *here, struct ward__token token, uint32_t mail)
{
    struct ward__route *route = ward__load_acq(&here->node->route);
    ward_status rc = route ? route->answer(route->arg, token, WARD_OK, mail) : WARD_OK;

    ward__mail_free(here, mail);
    return rc;
}

ward_status ward_reply(
    ward_self *self, const ward_msg *question, const ward_type *type, const void *value)
{
    struct ward__token token;
    struct ward__here here;
    uint32_t mail = 0;
    ward_status rc;

    if (!question) return WARD_EINVAL;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = ward__mail_make(&here, &mail, type, value, NULL);
    if (!rc && ward__asks(question) && ward__token_of(question).asker >= WARD__REMOTE) {
        rc = reply_remote(&here, ward__token_of(question), mail);
        if (!rc) (void)take_right(self, question, &token);
    } else if (!rc && take_right(self, question, &token)) {
        (void)ward__answer(&here, token, WARD_OK, mail);
    } else if (!rc) {
        ward__add(&here.node->late_replies, 1);
        ward__mail_free(&here, mail);
    }
    ward__leave(self);
    return rc;
}

void ward_refuse(ward_self *self, const ward_msg *question, ward_status why)
{
    struct ward__token token;
    struct ward__here here;

    if (!question || !ward__enter(self, &here)) return;
    if (take_right(self, question, &token))
        (void)ward__answer(&here, token, why < 0 ? why : WARD_ENOREPLY, 0);
    ward__leave(self);
}

/* Where the asker looks for who holds its question; NULL: it waits no more. Its
 * cell may be armed for another question by now, and this actor hold that one, too. */
static _Atomic uint32_t *holder_of(ward_node *node, struct ward__token token)
{
    struct ward__route *route;
    struct ward__wait *wait;

    if (token.asker >= WARD__REMOTE) {
        route = ward__load_acq(&node->route);
        return route ? route->holder(route->arg, token) : NULL;
    }
    if (token.asker >= WARD__REQUEST) return ward__request_holder(node, token);
    wait = &ward__slot(node, token.asker)->wait;
    return ward__load_acq(&wait->cell) == token.cell ? &wait->holder : NULL;
}

/* A question goes from one holder to the next. It may have arrived before its sender has said so.
 */
static bool passes(_Atomic uint32_t *holder, uint32_t from, uint32_t to)
{
    uint32_t was = from, moving = from | WARD__MOVING;

    return ward__cas_seq(holder, &was, to) || ward__cas_seq(holder, &moving, to);
}

static ward_status forward_remote(
    struct ward__here *here, uint32_t self, ward_ref to, struct ward_msg *mail)
{
    struct ward__route *route = ward__load_acq(&here->node->route);
    struct ward__token token = ward__token_of(mail);
    const void *value = ward_value(mail, mail->type);
    int64_t deadline = INT64_MAX;
    _Atomic uint32_t *holder;
    ward_status rc;

    if (to.node == 0 || to.node == here->node->id) return WARD_EGONE;
    if (!route) return WARD_ELINK;
    if (!ward__asks(mail)) return route->send(route->arg, to, mail->type, value);
    if (!ward__asker_waits(here->node, token, &deadline)) return WARD_OK;
    rc = route->ask(route->arg, token, to,
        &(struct ward__question){ .type = mail->type, .value = value, .deadline_ns = deadline });
    holder = rc ? NULL : holder_of(here->node, token);
    if (holder) (void)passes(holder, self, WARD__REMOTE); /* its end reaches the route */
    /* An asker that left meanwhile looked at its holder before it was the route. */
    if (!rc && !ward__asker_waits(here->node, token, &deadline)) route->forget(route->arg, token);
    return rc;
}

/* A copy goes on: what is lent here may hold pointers into its own record. */
static ward_status forward_local(struct ward__here *here, uint32_t self, struct ward__slot *target,
    uint64_t life, struct ward_msg *mail)
{
    struct ward__token token = ward__token_of(mail);
    uint32_t copy, to = ward__index(here->node, target), moving = to | WARD__MOVING;
    _Atomic uint32_t *holder = NULL; /* the asker is of this node, and waits for the answer */
    ward_status rc = ward__mail_make(here, &copy, mail->type,
        ward__value_of(mail->type, ward__mail_block(mail)), ward__asks(mail) ? &token : NULL);

    if (rc) return rc;
    if (ward__asks(mail) && (holder = holder_of(here->node, token)) != NULL &&
        !passes(holder, self, moving))
        holder = NULL;
    rc = ward__deliver(here, target, life, copy);
    if (holder) (void)ward__cas_seq(holder, &moving, rc ? self : to);
    if (rc)
        ward__mail_free(here, copy);
    else if (holder && token.asker < WARD__REQUEST && ward__unlikely(ward__load_seq(&target->edge)))
        /* Who has it waits for somebody, too. */
        here->node->ops->cycle(here, ward__slot(here->node, token.asker));
    return rc;
}

ward_status ward_forward(ward_self *self, ward_ref to, const ward_msg *msg)
{
    struct ward_msg *mail = (struct ward_msg *)(uintptr_t)msg;
    struct ward__here here;
    struct ward__slot *target;
    struct ward__token token;
    ward_status rc;

    if (!msg || ward_kind_of(msg) != WARD_MAIL || self->kind == WARD__SELF_OUTSIDE)
        return WARD_EINVAL;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    target = ward__resolve(here.node, to);
    rc = target ? forward_local(&here, ward__index(here.node, self->slot), target, to.life, mail)
                : forward_remote(&here, ward__index(here.node, self->slot), to, mail);
    if (!rc && !target) ward__mail_set(mail, WARD__MAIL_PASSED, 0);
    if (!rc) (void)take_right(self, msg, &token);
    ward__leave(self);
    return rc;
}
