/* SPDX-License-Identifier: MIT */
/*
 * incoming.c - what a peer's frames mean here: mail for our actors, questions, cancellations. Runs
 * on nng's threads with the session's `frames` held, delivers like any sender, and never waits: a
 * full mailbox refuses, and the peer is told.
 */
#include <string.h>

#include "mailbox/value.h"
#include "net/net.h"

enum { BATCH_MAX = 64 };

/* -- values ------------------------------------------------------------------------------------ */

/* Room for a value that is too large for its record. */
static void *beside(struct ward__session *session, size_t bytes, uint32_t *bits)
{
    if (bytes > WARD__SLAB_BLOCK_MAX) return ward__alloc(session->slabs.heap, bytes);
    *bits |= WARD__MAIL_SLAB;
    return ward__slab_take(&session->slabs, bytes);
}

/* The same as ward__mail_fill, from bytes. */
static ward_status fill(struct ward__session *session, struct ward_msg *mail,
    const struct ward__frame *frame, bool asks)
{
    const ward_node *node = session->net->node;
    struct ward__wire_max max = { node->opts.message_bytes_max, node->opts.blob_bytes_max,
        &session->known };
    const ward_type *type = ward__wire_type(&session->known, node->table, frame->type_name);
    size_t bytes, room = asks ? WARD__INLINE_ASK_MAX : WARD__INLINE_MAX;
    uint32_t bits = asks ? WARD__MAIL_ASK : 0u;
    void *block = mail->u.value;
    bool has_blobs;
    ward_status rc;

    if (!type) return WARD_EDENIED;
    rc = ward__wire_value_bytes(type, frame->value, max, &bytes, &has_blobs);
    if (rc) return rc;
    if (bytes > room && !(block = beside(session, bytes, &bits))) return WARD_ENOMEM;
    if (bytes > room) bits |= WARD__MAIL_BESIDE;
    mail->type = type;
    ward__store(&mail->bits, bits);
    rc = ward__wire_value_copy(session->slabs.heap, type, frame->value, block, bytes);
    if (bytes > room) mail->u.beside = (struct ward__beside){ block, bytes };
    if (rc)
        ward__mail_empty(session->slabs.heap, mail);
    else if (has_blobs)
        ward__store(&mail->bits, bits | WARD__MAIL_BLOBS);
    return rc;
}

ward_status ward__mail_from_wire(struct ward__session *session, uint32_t *out,
    const struct ward__frame *frame, const struct ward__token *token)
{
    struct ward__here here = ward__session_here(session);
    struct ward__pool *pool = &here.node->pool;
    uint32_t index = ward__mail_get(pool, here.magazines);
    struct ward_msg *mail;
    ward_status rc;

    if (!index) return WARD_ENOMEM;
    mail = ward__mail(pool, index);
    rc = fill(session, mail, frame, token != NULL);
    if (rc) {
        ward__mail_put(pool, here.magazines, index);
        return rc;
    }
    if (token) {
        mail->u.ask.cell = token->cell;
        mail->u.ask.asker = token->asker;
    }
    *out = index;
    return WARD_OK;
}

/* -- refusing ---------------------------------------------------------------------------------- */

static void tell_refused(struct ward__session *session)
{
    struct ward__frame *refused = &session->refused;

    if (!refused->count) return;
    refused->kind = WARD__FRAME_REFUSED;
    (void)ward__link_put(&session->link, refused, WARD__PUT_NEWS);
    refused->count = 0;
}

/* A flood to one full mailbox is answered with one count for each read. */
static void refuse(struct ward__session *session, uint32_t slot, uint64_t life, ward_status why)
{
    struct ward__frame *refused = &session->refused;
    bool same = refused->slot == slot && refused->life == life && refused->status == why &&
                refused->count < UINT32_MAX;

    if (!same) tell_refused(session);
    refused->slot = slot;
    refused->life = life;
    refused->status = why;
    refused->count++;
    ward__add(&session->net->refused_here, 1);
}

/* -- mail -------------------------------------------------------------------------------------- */

/* NULL: there has never been such an actor. */
static struct ward__slot *target(ward_node *node, const struct ward__frame *frame)
{
    if (frame->slot <= WARD__ROOT_SLOT || frame->slot >= ward__load_acq(&node->slots_used))
        return NULL;
    return ward__slot(node, frame->slot);
}

/* One after the other; when there is no room for one the rest waits with it. Not WARD_OK: the first
 * of what is left in the chain cannot go in. */
static ward_status push_all(struct ward__session *session, struct ward__slot *slot, uint64_t life,
    struct ward__chain *chain)
{
    struct ward__here here = ward__session_here(session);
    ward_status rc = WARD_OK;

    while (!rc && chain->count) {
        struct ward_msg *first = ward__mail(&here.node->pool, chain->first);
        uint32_t next = ward__load(&first->next);
        rc = ward__deliver(&here, slot, life, chain->first);
        if (rc) {
            ward__store(&first->next, next); /* a push that failed has cut it off */
        } else {
            chain->first = next;
            chain->count--;
        }
        if (rc == WARD_EFULL) rc = ward__park_mail(session, slot, life, chain);
    }
    return rc;
}

static ward_status deliver(
    struct ward__session *session, const struct ward__frame *frame, const struct ward__token *token)
{
    struct ward__here here = ward__session_here(session);
    struct ward__slot *slot = target(here.node, frame);
    struct ward__chain chain = { 0 };
    uint32_t mail;
    ward_status rc;

    if (!slot) return WARD_EGONE;
    rc = ward__mail_from_wire(session, &mail, frame, token);
    if (rc) return rc;
    ward__chain_add(&chain, &here.node->pool, frame->life, mail);
    rc = push_all(session, slot, frame->life, &chain);
    if (rc) ward__mail_free(&here, mail);
    return rc;
}

/* As many as there is room for, with one swap. */
static void push_batch(struct ward__here *here, struct ward__batch *batch)
{
    struct ward__slot *slot = batch->slot;
    enum ward__kind kind = (enum ward__kind)ward__load(&slot->kind); /* see ward__schedule_as */
    enum ward__pushed pushed;
    size_t left = 0;

    if (batch->weight && ward__mailbox_reserve(&slot->box, batch->weight)) return;
    pushed = ward__mailbox_push_chain(&slot->box, &here->node->pool, batch->life, &batch->chain);
    if (pushed == WARD__PUSHED_SCHEDULE) ward__schedule_as(here, slot, kind);
    for (uint32_t i = batch->chain.count, at = batch->chain.first; i; i--) {
        struct ward_msg *mail = ward__mail(&here->node->pool, at);
        left += ward__mail_weight(mail);
        at = ward__load(&mail->next);
    }
    if (ward__mailbox_withdraw(&slot->box, left)) ward__schedule(here, slot);
}

static void flush(struct ward__session *session)
{
    struct ward__here here = ward__session_here(session);
    struct ward__batch *batch = &session->batch;
    ward_status rc;

    if (!batch->chain.count) return;
    if (batch->chain.count > 1) push_batch(&here, batch);
    while ((rc = push_all(session, batch->slot, batch->life, &batch->chain)) != WARD_OK) {
        ward__mail_free(&here, ward__chain_take(&batch->chain, &here.node->pool));
        refuse(session, batch->index, batch->life, rc);
    }
    batch->weight = 0;
}

/* Errors: the peer broke the protocol. */
static ward_status sent(struct ward__session *session, const struct ward__frame *frame)
{
    ward_node *node = session->net->node;
    struct ward__batch *batch = &session->batch;
    struct ward__slot *slot = target(node, frame);
    struct ward_msg *mail;
    bool never_fits;
    uint32_t index;
    size_t weight;
    ward_status rc = WARD_EGONE;

    if (batch->slot != slot || batch->life != frame->life || batch->chain.count == BATCH_MAX)
        flush(session);
    if (slot) rc = ward__mail_from_wire(session, &index, frame, NULL);
    if (rc) {
        refuse(session, frame->slot, frame->life, rc);
        return ward__wire_value_check(frame);
    }
    batch->slot = slot;
    batch->index = frame->slot;
    batch->life = frame->life;
    mail = ward__mail(&node->pool, index);
    weight = ward__mail_weight(mail);
    never_fits = weight > ward__load(&slot->box.bytes_max); /* then it must not wait for room */
    if (never_fits) flush(session);
    ward__chain_add(&batch->chain, &node->pool, frame->life, index);
    mail->tick = ward__load(&node->tick);
    batch->weight += weight;
    if (never_fits) flush(session);
    return WARD_OK;
}

void ward__incoming_rest(struct ward__session *session)
{
    flush(session);
    tell_refused(session);
}

/* Tells of tells that a peer did not take: their senders have long gone on. */
static void refused(struct ward__session *session, const struct ward__frame *frame)
{
    ward__add(&session->net->refused_by_peers, frame->count);
    ward__event(session->net->node, &(struct ward__news){ .kind = WARD_EV_DEAD_LETTER,
                                        .path = session->peer->text,
                                        .what = "refused by the peer",
                                        .status = frame->status });
}

/* -- questions --------------------------------------------------------------------------------- */

static int64_t deadline_of(const ward_node *node, int64_t ms_left)
{
    int64_t now = ward__clock_ns(node);

    if (ms_left < 0 || ms_left >= (INT64_MAX - now) / WARD__NS_MS) return INT64_MAX;
    return now + ms_left * WARD__NS_MS;
}

static ward_status asked(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__frame reply = { .kind = WARD__FRAME_REPLY, .id = frame->id };
    struct ward__token token;

    reply.status =
        ward__call_open(session, frame, deadline_of(session->net->node, frame->ms_left), &token);
    if (reply.status == WARD_EINVAL) return WARD_EINVAL;
    if (!reply.status) {
        reply.status = deliver(session, frame, &token);
        if (!reply.status) return WARD_OK;
        ward__call_close(session->net, token);
    }
    (void)ward__link_put(&session->link, &reply, WARD__PUT_NEWS);
    return ward__wire_value_check(frame);
}

/* Who asked is gone: so is the reason to go on, for whoever works for it here or further on. */
static void cancelled(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__net *net = session->net;
    struct ward__here here = ward__session_here(session);
    struct ward__token token;
    uint32_t holder;

    if (!ward__call_cancel(session, frame->id, &token, &holder)) {
        (void)ward__near_find_cancel(session, frame->id);
        return;
    }
    net->route.forget(net, token);
    ward__abandon(&here, holder, token);
}

static void stopped(struct ward__session *session, const struct ward__frame *frame)
{
    ward_node *node = session->net->node;
    ward_ref whom = { node->id, frame->slot, frame->life };

    if (!target(node, frame)) return;
    if (frame->mail_only)
        ward_close_mail(ward_outside(node), whom);
    else
        ward_cancel(ward_outside(node), whom);
}

ward_status ward__incoming(struct ward__session *session, const struct ward__frame *frame)
{
    if (frame->kind == WARD__FRAME_SEND) return sent(session, frame);
    flush(session); /* nothing overtakes mail */
    switch (frame->kind) {
    case WARD__FRAME_PING: return WARD_OK;
    case WARD__FRAME_REFUSED: refused(session, frame); return WARD_OK;
    case WARD__FRAME_ASK: return asked(session, frame);
    case WARD__FRAME_REPLY: return ward__remote_replied(session, frame);
    case WARD__FRAME_CANCEL: cancelled(session, frame); return WARD_OK;
    case WARD__FRAME_FIND: return ward__near_find(session, frame);
    case WARD__FRAME_FOUND: ward__remote_found(session, frame); return WARD_OK;
    case WARD__FRAME_MONITOR: return ward__near_monitor(session, frame);
    case WARD__FRAME_DEMONITOR: ward__near_demonitor(session, frame); return WARD_OK;
    case WARD__FRAME_DOWN: ward__far_down(session, frame); return WARD_OK;
    case WARD__FRAME_STOP: stopped(session, frame); return WARD_OK;
    case WARD__FRAME_FULL:
    case WARD__FRAME_ROOM: ward__room_frame(session, frame); return WARD_OK;
    case WARD__FRAME_TAKEN: return ward__link_taken(&session->link, frame->id);
    case WARD__FRAME_SEND:
    case WARD__FRAME_HELLO:
    case WARD__FRAME_WELCOME:
    case WARD__FRAME_BYE:
    case WARD__FRAME_KINDS: break;
    }
    return WARD_EINVAL;
}
