/* SPDX-License-Identifier: MIT */
/*
 * send.c - from a value to a place in a mailbox. Flow 2 of 8.
 *
 * Makes a record with a copy of the value, resolves the receiver, offers the record to its
 * mailbox, and makes the receiver runnable when the mailbox says so. A ref of another node is the
 * route's work. Also the way back: an answer does not travel through a mailbox, it is put beside
 * the asker's cell. Any thread.
 */
#include "actors/request.h"
#include "base/assert.h"
#include "mailbox/value.h"

static WARD__INLINE ward_status make(struct ward__here *here, uint32_t *out, const ward_type *type,
    const void *value, const struct ward__token *token)
{
    struct ward__pool *pool = &here->node->pool;
    uint32_t index;
    struct ward_msg *mail;
    ward_status rc;

    if (ward__unlikely(!type)) return WARD_EINVAL;
    index = ward__mail_get(pool, here->magazines);
    if (ward__unlikely(!index)) return WARD_ENOMEM;
    mail = ward__mail(pool, index);
    rc = ward__mail_fill(pool, mail, token != NULL, type, value);
    if (ward__unlikely(rc)) {
        ward__mail_put(pool, here->magazines, index);
        return rc;
    }
    if (token) {
        mail->u.ask.cell = token->cell;
        mail->u.ask.asker = token->asker;
    }
    *out = index;
    return WARD_OK;
}

ward_status ward__mail_make(struct ward__here *here, uint32_t *out, const ward_type *type,
    const void *value, const struct ward__token *token)
{
    return make(here, out, type, value, token);
}

void ward__mail_free(struct ward__here *here, uint32_t index)
{
    struct ward__pool *pool = &here->node->pool;

    if (!index) return;
    ward__mail_empty(pool->heap, ward__mail(pool, index));
    ward__mail_put(pool, here->magazines, index);
}

size_t ward__mail_weight_slow(struct ward_msg *mail)
{
    size_t bytes = ward__mail_beside_bytes(mail);

    if (ward__mail_bits(mail) & WARD__MAIL_BLOBS)
        bytes += ward__value_blob_bytes(mail->type, ward__mail_block(mail));
    return bytes;
}

/* A degraded actor's is closed until it is revived, which may have happened since, and again. Who
 * degrades it stores the phase, closes, counts the incarnation; who revives it opens, then stores
 * the phase. */
ward_status ward__closed_status(struct ward__slot *slot, uint64_t life)
{
    uint64_t incarnation;
    bool degraded, closed;

    do {
        incarnation = ward__load_seq(&slot->incarnation);
        degraded = ward__load_seq(&slot->phase) == WARD__DEGRADED;
        closed = ward__load_seq(&slot->box.word) & WARD__CLOSED;
        degraded |= ward__load_seq(&slot->phase) == WARD__DEGRADED;
        if (ward__life(slot) != life) return WARD_EGONE;
        if (degraded || !closed) return WARD_EUNAVAIL;
    } while (ward__load_seq(&slot->incarnation) != incarnation);
    return WARD_ECLOSED;
}

static WARD__INLINE ward_status deliver(
    struct ward__here *here, struct ward__slot *slot, uint64_t life, uint32_t index)
{
    struct ward_msg *mail = ward__mail(&here->node->pool, index);
    size_t weight = ward__mail_weight(mail);
    enum ward__kind kind = (enum ward__kind)ward__load(&slot->kind); /* see ward__schedule_as */
    enum ward__pushed pushed;
    ward_status rc = WARD_OK;

    if (weight) rc = ward__mailbox_reserve(&slot->box, weight);
    if (ward__unlikely(rc)) return ward__life(slot) == life ? rc : WARD_EGONE;
    mail->tick = ward__load(&here->node->tick);
    pushed = ward__mailbox_offer(&slot->box, &here->node->pool, life, index);
    if (pushed == WARD__PUSHED) return WARD_OK;
    if (ward__likely(pushed == WARD__PUSHED_SCHEDULE)) {
        ward__schedule_as(here, slot, kind);
        return WARD_OK;
    }
    if (ward__mailbox_withdraw(&slot->box, weight)) ward__schedule(here, slot);
    if (pushed == WARD__PUSH_FULL) return WARD_EFULL;
    return pushed == WARD__PUSH_CLOSED ? ward__closed_status(slot, life) : WARD_EGONE;
}

ward_status ward__deliver(
    struct ward__here *here, struct ward__slot *slot, uint64_t life, uint32_t index)
{
    return deliver(here, slot, life, index);
}

static WARD__INLINE ward_status send_local(struct ward__here *here, struct ward__slot *slot,
    uint64_t life, const ward_type *type, const void *value)
{
    uint32_t mail;
    ward_status rc = make(here, &mail, type, value, NULL);

    if (ward__unlikely(rc)) return rc;
    rc = deliver(here, slot, life, mail);
    if (ward__unlikely(rc)) ward__mail_free(here, mail);
    return rc;
}

ward_status ward__send_local(struct ward__here *here, struct ward__slot *slot, uint64_t life,
    const ward_type *type, const void *value)
{
    return send_local(here, slot, life, type, value);
}

static ward_status send_away(
    struct ward__here *here, ward_ref to, const ward_type *type, const void *value)
{
    struct ward__route *route = ward__load_acq(&here->node->route);

    if (to.node == 0 || to.node == here->node->id) return WARD_EGONE;
    return route ? route->send(route->arg, to, type, value) : WARD_ELINK;
}

ward_status ward_send(ward_self *self, ward_ref to, const ward_type *type, const void *value)
{
    struct ward__here here;
    struct ward__slot *slot;
    ward_status rc;

    if (!ward__enter(self, &here)) return WARD_EFENCED;
    slot = ward__resolve(here.node, to);
    rc = ward__likely(slot != NULL) ? send_local(&here, slot, to.life, type, value)
                                    : send_away(&here, to, type, value);
    ward__leave(self);
    return rc;
}

bool ward__asker_waits(const ward_node *node, struct ward__token token, int64_t *deadline_ns)
{
    if (token.asker >= WARD__REQUEST) {
        struct ward__route *route = ward__load_acq(&((ward_node *)(uintptr_t)node)->route);
        if (token.asker < WARD__REMOTE) return ward__request_waits(node, token, deadline_ns);
        return route && route->waits(route->arg, token, deadline_ns);
    }
    const struct ward__slot *slot = ward__slot(node, token.asker);
    if (ward__load_seq(&slot->wait.cell) != token.cell) return false;
    *deadline_ns = ward__load_acq(&slot->wait.deadline);
    if (*deadline_ns == 0) *deadline_ns = INT64_MAX;
    return ward__load_acq(&slot->wait.cell) == token.cell;
}

bool ward__answer(
    struct ward__here *here, struct ward__token token, ward_status status, uint32_t mail)
{
    ward_node *node = here->node;
    struct ward__slot *slot;

    if (token.asker >= WARD__REMOTE) {
        struct ward__route *route = ward__load_acq(&node->route);
        if (route && route->answer(route->arg, token, status, mail)) /* it cannot travel */
            (void)route->answer(route->arg, token, WARD_ENOREPLY, 0);
        ward__mail_free(here, mail);
        return true;
    }
    if (token.asker >= WARD__REQUEST) return ward__request_answer(here, token, status, mail);
    slot = ward__slot(node, token.asker);
    if (!ward__wait_claim(&slot->wait, token.cell)) {
        ward__add(&node->late_replies, 1);
        ward__mail_free(here, mail);
        return false;
    }
    /* Its callee may see the deadline pass, and give up, before its own timer does. */
    if (status == WARD_ENOREPLY && ward__load(&slot->wait.deadline) <= ward__clock_ns(node))
        status = WARD_ETIMEDOUT;
    slot->wait.status = status;
    slot->wait.answer = mail;
    ward__resume(here, slot);
    return true;
}
