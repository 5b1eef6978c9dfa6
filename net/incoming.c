/* SPDX-License-Identifier: MIT */
/*
 * incoming.c - what a peer's frames mean here: mail for our actors, questions, cancellations. Runs
 * on nng's threads with the session's `frames` held, delivers like any sender, and never waits: a
 * full mailbox refuses, and the peer is told.
 */
#include <string.h>

#include "mailbox/value.h"
#include "net/net.h"

/* -- values ------------------------------------------------------------------------------------ */

/* The same as ward__mail_fill, from bytes. */
static ward_status fill(
    ward_node *node, struct ward_msg *mail, const struct ward__frame *frame, bool asks)
{
    struct ward__wire_max max = { node->opts.message_bytes_max, node->opts.blob_bytes_max };
    const ward_type *type = ward__wire_type(node->table, frame->type_name);
    size_t bytes, room = asks ? WARD__INLINE_ASK_MAX : WARD__INLINE_MAX;
    void *block = mail->u.value;
    bool has_blobs;
    ward_status rc;

    if (!type) return WARD_EDENIED;
    rc = ward__wire_value_bytes(type, frame->value, max, &bytes, &has_blobs);
    if (rc) return rc;
    if (bytes > room && !(block = ward__alloc(&node->heap, bytes))) return WARD_ENOMEM;
    rc = ward__wire_value_copy(&node->heap, type, frame->value, block, bytes);
    if (rc) {
        if (bytes > room) ward__free(&node->heap, block, bytes);
        return rc;
    }
    mail->type = type;
    if (bytes > room) mail->u.beside = (struct ward__beside){ block, bytes };
    ward__store(&mail->bits, (asks ? WARD__MAIL_ASK : 0u) | (has_blobs ? WARD__MAIL_BLOBS : 0u) |
                                 (bytes > room ? WARD__MAIL_BESIDE : 0u));
    return WARD_OK;
}

ward_status ward__mail_from_wire(struct ward__here *here, uint32_t *out,
    const struct ward__frame *frame, const struct ward__token *token)
{
    struct ward__pool *pool = &here->node->pool;
    uint32_t index = ward__mail_get(pool, here->magazines);
    struct ward_msg *mail;
    ward_status rc;

    if (!index) return WARD_ENOMEM;
    mail = ward__mail(pool, index);
    rc = fill(here->node, mail, frame, token != NULL);
    if (rc) {
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

/* -- mail -------------------------------------------------------------------------------------- */

/* NULL: there has never been such an actor. */
static struct ward__slot *target(ward_node *node, const struct ward__frame *frame)
{
    if (frame->slot <= WARD__ROOT_SLOT || frame->slot >= ward__load_acq(&node->slots_used))
        return NULL;
    return ward__slot(node, frame->slot);
}

static ward_status deliver(
    struct ward__session *session, const struct ward__frame *frame, const struct ward__token *token)
{
    struct ward__here here = { session->net->node, NULL, NULL };
    struct ward__slot *slot = target(here.node, frame);
    uint32_t mail;
    ward_status rc;

    if (!slot) return WARD_EGONE;
    rc = ward__mail_from_wire(&here, &mail, frame, token);
    if (rc) return rc;
    rc = ward__deliver(&here, slot, frame->life, mail);
    if (rc) ward__mail_free(&here, mail);
    return rc;
}

void ward__incoming_rest(struct ward__session *session)
{
    struct ward__frame *refused = &session->refused;

    if (!refused->count) return;
    refused->kind = WARD__FRAME_REFUSED;
    (void)ward__link_put(&session->link, refused, WARD__PUT_NEWS);
    refused->count = 0;
}

/* A flood to one full mailbox is answered with one count for each read. */
static void refuse(struct ward__session *session, const struct ward__frame *frame, ward_status why)
{
    struct ward__frame *refused = &session->refused;
    bool same = refused->slot == frame->slot && refused->life == frame->life &&
                refused->status == why && refused->count < UINT32_MAX;

    if (!same) ward__incoming_rest(session);
    refused->slot = frame->slot;
    refused->life = frame->life;
    refused->status = why;
    refused->count++;
    ward__add(&session->net->refused_here, 1);
}

static void sent(struct ward__session *session, const struct ward__frame *frame)
{
    ward_status rc = deliver(session, frame, NULL);

    if (rc) refuse(session, frame, rc);
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
    return WARD_OK;
}

/* Who asked is gone: so is the reason to go on, for whoever works for it here or further on. */
static void cancelled(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__net *net = session->net;
    struct ward__here here = { net->node, NULL, NULL };
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
    switch (frame->kind) {
    case WARD__FRAME_PING: return WARD_OK;
    case WARD__FRAME_SEND: sent(session, frame); return WARD_OK;
    case WARD__FRAME_REFUSED: refused(session, frame); return WARD_OK;
    case WARD__FRAME_ASK: return asked(session, frame);
    case WARD__FRAME_REPLY: ward__remote_replied(session, frame); return WARD_OK;
    case WARD__FRAME_CANCEL: cancelled(session, frame); return WARD_OK;
    case WARD__FRAME_FIND: return ward__near_find(session, frame);
    case WARD__FRAME_FOUND: ward__remote_found(session, frame); return WARD_OK;
    case WARD__FRAME_MONITOR: return ward__near_monitor(session, frame);
    case WARD__FRAME_DEMONITOR: ward__near_demonitor(session, frame); return WARD_OK;
    case WARD__FRAME_DOWN: ward__far_down(session, frame); return WARD_OK;
    case WARD__FRAME_STOP: stopped(session, frame); return WARD_OK;
    case WARD__FRAME_HELLO:
    case WARD__FRAME_WELCOME:
    case WARD__FRAME_BYE:
    case WARD__FRAME_KINDS: break;
    }
    return WARD_EINVAL;
}
