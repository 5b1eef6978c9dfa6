/* SPDX-License-Identifier: MIT */
/*
 * remote.c - the route: what our actors want of actors elsewhere, as the actors' layer calls it
 * (actors/node.h), and the answers. On the thread of who acts, or one of nng's for answers.
 *
 * A question is known to the peer by a number made of its token, so that whoever stops waiting
 * finds it without a search. A find stays with us until its node is linked, and is asked again
 * after a loss; a question is not: it may have been handled, so its asker is told WARD_ELINK.
 */
#include <string.h>

#include "net/net.h"

static uint64_t id_of(struct ward__token token)
{
    return (uint64_t)token.asker << 32 | (uint32_t)token.cell;
}

int64_t ward__ms_left(const ward_node *node, int64_t deadline_ns)
{
    int64_t left;

    if (deadline_ns == INT64_MAX) return -1;
    left = deadline_ns - ward__clock_ns(node);
    return left <= 0 ? 0 : (left - 1) / WARD__NS_MS + 1;
}

/* -- mail -------------------------------------------------------------------------------------- */

static ward_status route_send(void *arg, ward_ref to, const ward_type *type, const void *value)
{
    struct ward__net *net = arg;
    struct ward__session *session = ward__load_acq(&net->doors[to.node % WARD__DOORS]);
    struct ward__frame frame = {
        .kind = WARD__FRAME_SEND, .slot = to.slot, .life = to.life, .type = type, .source = value
    };
    ward_status rc;

    if (!type) return WARD_EINVAL;
    if (ward__load(&net->fulls) && ward__room_wanted(net, to)) return WARD_EFULL;
    if (session && ward__link_put_to(&session->link, to.node, &frame, &rc)) return rc;
    session = ward__session_to(net, to.node); /* another node has its door, or it is not up */
    if (!session) return WARD_ELINK;
    rc = ward__link_put(&session->link, &frame, WARD__PUT_MAIL);
    ward__session_drop(session);
    return rc;
}

static void route_cancel(void *arg, ward_ref whom, bool mail_only)
{
    struct ward__session *session = ward__session_to(arg, whom.node);
    struct ward__frame frame = {
        .kind = WARD__FRAME_STOP, .slot = whom.slot, .life = whom.life, .mail_only = mail_only
    };

    if (!session) return;
    (void)ward__link_put(&session->link, &frame, WARD__PUT_NEWS);
    ward__session_drop(session);
}

/* -- what is under way ------------------------------------------------------------------------- */

static void pending_free(struct ward__net *net, struct ward__pending *pending)
{
    ward__free(&net->node->heap, pending, pending->bytes);
}

/* NULL: it is over. Net lock. */
static struct ward__pending *pending_take_locked(struct ward__net *net, uint64_t id)
{
    struct ward__entry *entry = ward__map_take(&net->pending, id);
    struct ward__pending *pending;

    if (!entry) return NULL;
    pending = ward__entry_of(entry, struct ward__pending, entry);
    LIST_REMOVE(pending, list);
    return pending;
}

/* The same for what this session was asked, and is of that kind. */
static struct ward__pending *pending_answered(
    struct ward__session *session, uint64_t id, bool finds)
{
    struct ward__net *net = session->net;
    struct ward__pending *pending = NULL;
    struct ward__entry *entry;

    pthread_mutex_lock(&net->lock);
    entry = ward__map_find(&net->pending, id);
    if (entry) pending = ward__entry_of(entry, struct ward__pending, entry);
    if (pending && pending->session == session && (pending->path != NULL) == finds)
        pending = pending_take_locked(net, id);
    else
        pending = NULL;
    pthread_mutex_unlock(&net->lock);
    if (!pending) ward__add(&net->late, 1);
    return pending;
}

static void route_forget(void *arg, struct ward__token token)
{
    struct ward__net *net = arg;
    struct ward__frame frame = { .kind = WARD__FRAME_CANCEL, .id = id_of(token) };
    struct ward__session *session = NULL;
    struct ward__pending *pending;

    pthread_mutex_lock(&net->lock);
    pending = pending_take_locked(net, frame.id);
    if (pending && (session = pending->session) != NULL) ward__link_hold(&session->link);
    pthread_mutex_unlock(&net->lock);
    if (pending) pending_free(net, pending);
    if (!session) return;
    (void)ward__link_put(&session->link, &frame, WARD__PUT_NEWS);
    ward__session_drop(session);
}

/* -- questions --------------------------------------------------------------------------------- */

/* Enters a question for the session with that node, which comes with a reference. */
static ward_status enter(
    struct ward__net *net, struct ward__pending *pending, ward_ref to, struct ward__session **out)
{
    ward_status rc = WARD_OK;

    pthread_mutex_lock(&net->lock);
    *out = ward__session_to_locked(net, to.node);
    if (!*out)
        rc = WARD_ELINK;
    else if (ward__room_wanted_locked(*out, to))
        rc = WARD_EFULL;
    else if (!ward__map_put(&net->pending, &pending->entry))
        rc = WARD_ENOMEM;
    if (!rc) {
        pending->session = *out;
        LIST_INSERT_HEAD(&(*out)->asks, pending, list);
        ward__link_hold(&(*out)->link);
    }
    pthread_mutex_unlock(&net->lock);
    return rc;
}

static ward_status route_ask(
    void *arg, struct ward__token from, ward_ref to, const struct ward__question *question)
{
    struct ward__net *net = arg;
    struct ward__frame frame = { .kind = WARD__FRAME_ASK,
        .id = id_of(from),
        .slot = to.slot,
        .life = to.life,
        .type = question->type,
        .source = question->value,
        .ms_left = ward__ms_left(net->node, question->deadline_ns) };
    struct ward__pending *pending;
    struct ward__session *session;
    ward_status rc;

    if (!question->type) return WARD_EINVAL;
    if (frame.ms_left == 0) return WARD_ETIMEDOUT;
    pending = ward__alloc_zero(&net->node->heap, sizeof *pending);
    if (!pending) return WARD_ENOMEM;
    pending->bytes = sizeof *pending;
    pending->token = from;
    pending->entry.key = frame.id;
    rc = enter(net, pending, to, &session);
    if (rc) {
        pending_free(net, pending);
        return rc;
    }
    rc = ward__link_put(&session->link, &frame, WARD__PUT_MAIL);
    if (rc) {
        pthread_mutex_lock(&net->lock);
        pending = pending_take_locked(net, frame.id);
        pthread_mutex_unlock(&net->lock);
        if (pending)
            pending_free(net, pending);
        else
            rc = WARD_OK; /* the session's end has answered */
    }
    ward__session_drop(session);
    return rc;
}

ward_status ward__remote_replied(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__net *net = session->net;
    struct ward__here here = ward__session_here(session);
    struct ward__pending *pending = pending_answered(session, frame->id, false);
    ward_status rc = frame->status;
    uint32_t mail = 0;

    if (!pending) return ward__wire_value_check(frame);
    if (!rc) rc = ward__mail_from_wire(session, &mail, frame, NULL);
    (void)ward__answer(&here, pending->token, rc, mail);
    pending_free(net, pending);
    return mail ? WARD_OK : ward__wire_value_check(frame);
}

/* An answer of ours to a question of a peer's. */
static ward_status route_answer(void *arg, struct ward__token to, ward_status status, uint32_t mail)
{
    struct ward__net *net = arg;
    struct ward__frame frame = { .kind = WARD__FRAME_REPLY, .status = status };
    struct ward__session *session = ward__call_of(net, to, &frame.id);
    ward_status rc;

    if (!session) {
        ward__add(&net->node->late_replies, 1);
        return WARD_OK;
    }
    if (mail) {
        struct ward_msg *answer = ward__mail(&net->node->pool, mail);
        frame.type = answer->type;
        frame.source = ward_value(answer, answer->type);
    }
    rc = ward__link_put(&session->link, &frame, mail ? WARD__PUT_ANSWER : WARD__PUT_NEWS);
    if (rc == WARD_EFULL || rc == WARD_ENOMEM) { /* the question was handled: it is in doubt */
        frame.status = WARD_ENOREPLY;
        frame.type = NULL;
        rc = ward__link_put(&session->link, &frame, WARD__PUT_NEWS);
    }
    if (rc != WARD_EINVAL && rc != WARD_ETOOBIG) {
        ward__call_close(net, to);
        rc = WARD_OK; /* also if the link is lost: nobody waits */
    }
    ward__session_drop(session);
    return rc;
}

static bool route_waits(void *arg, struct ward__token who, int64_t *deadline_ns)
{
    return ward__call_waits(arg, who, deadline_ns);
}

static _Atomic uint32_t *route_holder(void *arg, struct ward__token who)
{
    return ward__call_holder(arg, who);
}

/* -- finds ------------------------------------------------------------------------------------- */

static struct ward__pending *find_new(struct ward__net *net, const char *node, const char *path)
{
    size_t node_bytes = strlen(node) + 1, path_bytes = strlen(path) + 1;
    size_t bytes = sizeof(struct ward__pending) + node_bytes + path_bytes;
    struct ward__pending *pending = ward__alloc_zero(&net->node->heap, bytes);

    if (!pending) return NULL;
    pending->bytes = bytes;
    memcpy(pending->node, node, node_bytes);
    memcpy(pending->node + node_bytes, path, path_bytes);
    pending->path = pending->node + node_bytes;
    return pending;
}

/* It is in no list. Should the link be lost already, its end puts it back among the unlinked. */
static void find_at_locked(struct ward__pending *pending, struct ward__session *session)
{
    struct ward__frame frame = { .kind = WARD__FRAME_FIND,
        .id = pending->entry.key,
        .text = { pending->path, strlen(pending->path) },
        .ms_left = ward__ms_left(session->net->node, pending->by_ns) };

    pending->session = session;
    LIST_INSERT_HEAD(&session->asks, pending, list);
    (void)ward__link_put(&session->link, &frame, WARD__PUT_NEWS);
}

ward_status ward__remote_find(
    void *arg, struct ward__token from, const char *node, const char *path, int64_t by_ns)
{
    struct ward__net *net = arg;
    struct ward__session *session;
    struct ward__pending *pending;
    bool entered;

    if (!ward__name_valid(node) || strlen(path) > WARD__WIRE_PATH_MAX) return WARD_EINVAL;
    pending = find_new(net, node, path);
    if (!pending) return WARD_ENOMEM;
    pending->token = from;
    pending->by_ns = by_ns;
    pending->entry.key = id_of(from);
    pthread_mutex_lock(&net->lock);
    entered = ward__map_put(&net->pending, &pending->entry);
    session = entered ? ward__session_named_locked(net, node) : NULL;
    if (session)
        find_at_locked(pending, session);
    else if (entered)
        LIST_INSERT_HEAD(&net->unlinked, pending, list);
    pthread_mutex_unlock(&net->lock);
    if (!entered) pending_free(net, pending);
    return entered ? WARD_OK : WARD_ENOMEM;
}

void ward__remote_linked_locked(struct ward__session *session)
{
    struct ward__pending *pending = LIST_FIRST(&session->net->unlinked), *next;

    for (; pending; pending = next) {
        next = LIST_NEXT(pending, list);
        if (strcmp(pending->node, session->peer->text) != 0) continue;
        LIST_REMOVE(pending, list);
        find_at_locked(pending, session);
    }
}

void ward__remote_found(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__net *net = session->net;
    struct ward__here here = { net->node, NULL, NULL };
    struct ward__pending *pending = pending_answered(session, frame->id, true);
    ward_ref ref = { session->peer_node, frame->slot, frame->life };
    ward_status rc = frame->status;
    uint32_t index = 0;

    if (!pending) return;
    if (!rc && !(index = ward__mail_get(&net->node->pool, NULL))) rc = WARD_ENOMEM;
    if (!rc) {
        struct ward_msg *mail = ward__mail(&net->node->pool, index);
        mail->type = &ward__nothing;
        ward__store(&mail->bits, 0);
        memcpy(mail->u.value, &ref, sizeof ref);
    }
    (void)ward__answer(&here, pending->token, rc, index);
    pending_free(net, pending);
}

/* -- the end of a session ---------------------------------------------------------------------- */

void ward__remote_end(struct ward__session *session)
{
    struct ward__net *net = session->net;
    struct ward__here here = { net->node, NULL, NULL };
    struct ward__pending *pending;

    do {
        bool finds;
        pthread_mutex_lock(&net->lock);
        pending = LIST_FIRST(&session->asks);
        finds = pending && pending->path;
        if (finds) {
            struct ward__session *other = ward__session_named_locked(net, pending->node);
            LIST_REMOVE(pending, list);
            pending->session = NULL;
            if (other)
                find_at_locked(pending, other);
            else
                LIST_INSERT_HEAD(&net->unlinked, pending, list);
        } else if (pending) {
            (void)pending_take_locked(net, pending->entry.key);
        }
        pthread_mutex_unlock(&net->lock);
        if (!pending || finds) continue;
        (void)ward__answer(&here, pending->token, WARD_ELINK, 0);
        pending_free(net, pending);
    } while (pending);
}

const struct ward__route ward__net_route = {
    .send = route_send,
    .ask = route_ask,
    .find = ward__remote_find,
    .await = ward__room_await,
    .forget = route_forget,
    .answer = route_answer,
    .waits = route_waits,
    .holder = route_holder,
    .monitor = ward__far_monitor,
    .demonitor = ward__far_demonitor,
    .cancel = route_cancel,
};
