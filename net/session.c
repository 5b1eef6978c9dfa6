/* SPDX-License-Identifier: MIT */
/*
 * session.c - who is at the other end: HELLO and WELCOME, one session a peer, and the end of a
 * session for all that was under way on it.
 *
 * Two nodes may dial each other at the same moment. Of the two the one whose name sorts first
 * decides: it welcomes one connection and refuses others while it has that one; the other side
 * welcomes all and takes the one it was welcomed on. So both keep the same. A node with a name or
 * an id that is taken is refused, until the session that has it is lost: a peer that was killed
 * and starts again is let in after the loss was told.
 *
 * Runs on nng's threads, and on those of who unlinks or closes the node.
 */
#include <string.h>

#include "net/net.h"

/* Of a connection that is one too many, which is no news to anybody. */
static const char linked_already[] = "linked already";

/* -- looking up -------------------------------------------------------------------------------- */

struct ward__session *ward__session_to_locked(struct ward__net *net, uint32_t node)
{
    struct ward__session *session = LIST_FIRST(&net->sessions);

    for (; session; session = LIST_NEXT(session, list))
        if (session->up && session->peer_node == node) return session;
    return NULL;
}

struct ward__session *ward__session_named_locked(struct ward__net *net, const char *name)
{
    struct ward__session *session = LIST_FIRST(&net->sessions);

    for (; session; session = LIST_NEXT(session, list))
        if (session->up && strcmp(session->peer->text, name) == 0) return session;
    return NULL;
}

struct ward__session *ward__session_to(struct ward__net *net, uint32_t node)
{
    struct ward__session *session;

    pthread_mutex_lock(&net->lock);
    session = ward__session_to_locked(net, node);
    if (session) ward__link_hold(&session->link);
    pthread_mutex_unlock(&net->lock);
    return session;
}

static void tell(const struct ward__session *session, ward_event_kind kind, ward_status status)
{
    ward__event(session->net->node, &(struct ward__news){ .kind = kind,
                                        .path = session->peer ? session->peer->text : "",
                                        .what = session->endpoint->url,
                                        .status = status });
}

/* -- the end ----------------------------------------------------------------------------------- */

/* For our actors, once. The link may still be open. */
static void end(struct ward__session *session, ward_status why)
{
    struct ward__net *net = session->net;
    struct ward__here here = { net->node, NULL, NULL };
    bool was_up, first;

    pthread_mutex_lock(&session->frames); /* no frame is being handled, and none will be */
    first = !session->ended;
    session->ended = true;
    pthread_mutex_unlock(&session->frames);
    if (!first) return;
    pthread_mutex_lock(&net->lock);
    was_up = session->up;
    session->up = session->claimed = false;
    ward__link_leads_to(&session->link, 0);
    ward__room_end_locked(session);
    pthread_mutex_unlock(&net->lock);
    if (was_up) {
        ward__calls_end(session);
        ward__remote_end(session);
        ward__room_tell(net, session->peer_node);
        ward__tree_lock(net->node);
        ward__fars_end_locked(&here, session);
        ward__nears_end_locked(&here, session);
        ward__tree_unlock(net->node);
    } else {
        ward__add(&net->broken_off, 1);
    }
    if (was_up || (why != WARD_ECANCELED && !session->spare)) tell(session, WARD_EV_LINK_DOWN, why);
}

static void say_bye(struct ward__session *session, const char *why)
{
    struct ward__frame bye = { .kind = WARD__FRAME_BYE, .text = { why, strlen(why) } };

    ward__link_leave(&session->link, &bye);
}

void ward__session_part(struct ward__session *session, const char *why)
{
    end(session, WARD_ECANCELED);
    say_bye(session, why);
}

static struct ward__session *session_of(struct ward__link *link)
{
    return ward__entry_of(link, struct ward__session, link);
}

static void on_over(struct ward__link *link, ward_status why)
{
    struct ward__session *session = session_of(link);
    struct ward__net *net = session->net;

    end(session, session->refusal ? session->refusal : why);
    ward__held_end(session);
    ward__magazines_flush(&net->node->pool, &session->magazines); /* no frame comes any more */
    ward__slabs_leave(&session->slabs);
    pthread_mutex_lock(&net->lock);
    LIST_REMOVE(session, list);
    net->sessions_count--;
    pthread_mutex_unlock(&net->lock);
    ward__endpoint_ended(session->endpoint);
    ward__session_drop(session); /* the list's */
}

static void on_free(struct ward__link *link)
{
    struct ward__session *session = session_of(link);
    struct ward__endpoint *endpoint = session->endpoint;
    struct ward__net *net = session->net;

    pthread_mutex_lock(&net->lock);
    SLIST_INSERT_HEAD(&net->spares, session, spare_list);
    pthread_mutex_unlock(&net->lock);
    ward__endpoint_drop(endpoint);
    ward__net_forget(net);
}

/* -- the beginning ----------------------------------------------------------------------------- */

/* Before that both sides may say no; `why` is for the peer's ears. */
static ward_status refuse(struct ward__session *session, ward_status rc, const char *why)
{
    session->refusal = rc;
    session->spare = strcmp(why, linked_already) == 0;
    say_bye(session, why);
    return WARD_OK;
}

static bool leads(const struct ward__session *session)
{
    return strcmp(session->net->name, session->peer->text) < 0;
}

static bool is_same_node(const struct ward__session *a, const struct ward__session *b)
{
    return a->peer_node == b->peer_node && a->peer_incarnation == b->peer_incarnation &&
           a->peer == b->peer;
}

/* The session that has this one's peer, by name or by id; NULL: none. */
static struct ward__session *rival_locked(const struct ward__session *session)
{
    struct ward__session *other = LIST_FIRST(&session->net->sessions);

    for (; other; other = LIST_NEXT(other, list)) {
        if (other == session || !other->peer || !(other->up || other->claimed)) continue;
        if (other->peer_node == session->peer_node || other->peer == session->peer) return other;
    }
    return NULL;
}

/* NULL: the peer is welcome. */
static const char *objection_locked(struct ward__session *session)
{
    const struct ward__session *rival = rival_locked(session);
    struct ward__net *net = session->net;
    const char *wanted = session->endpoint->peer;

    if (net->stopping || session->endpoint->closed) return "this side closes";
    if (session->peer_node == net->node->id) return "this is the same node";
    if (strcmp(session->peer->text, net->name) == 0) return "both have the same name";
    if (*wanted && strcmp(wanted, session->peer->text) != 0) return "another name was expected";
    if (rival && (leads(session) || !is_same_node(rival, session)))
        return is_same_node(rival, session) ? linked_already : "the name is taken";
    session->claimed = leads(session);
    return NULL;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What it will be once up: what both can take, and heartbeats often enough for the peer. */
static void agree(struct ward__session *session, const struct ward__frame *hello)
{
    const ward_link_opts *opts = &session->endpoint->opts;
    struct ward__link_limits *limits = &session->limits;
    uint32_t often = hello->dead_ms / 3 > 10 ? hello->dead_ms / 3 : 10;

    limits->heartbeat_ms = least(opts->heartbeat_ms, often);
    limits->dead_ms = opts->dead_ms;
    limits->queued_max = opts->queued_max;
    limits->in_max = limits->out_max = opts->frame_max;
    if (hello->frame_max < limits->out_max) limits->out_max = (size_t)hello->frame_max;
}

static ward_status on_hello(struct ward__session *session, const struct ward__frame *hello)
{
    static const struct ward__frame welcome = { .kind = WARD__FRAME_WELCOME };
    struct ward__net *net = session->net;
    char name[WARD__NAME_MAX] = "";
    const char *objection;

    if (session->greeted) return WARD_EINVAL;
    session->greeted = true;
    if (hello->version != WARD__WIRE_VERSION)
        return refuse(session, WARD_EINVAL, "another version of the protocol is spoken here");
    if (hello->text.count < sizeof name) memcpy(name, hello->text.at, hello->text.count);
    if (!ward__name_valid(name) || !hello->node || hello->frame_max < WARD__FRAME_SMALL_MAX)
        return WARD_EINVAL;
    agree(session, hello);
    pthread_mutex_lock(&net->lock);
    session->peer_node = hello->node;
    session->peer_incarnation = hello->incarnation;
    session->endpoint->peer_node = hello->node;
    session->peer = ward__home_locked(net, hello->node, name);
    objection = session->peer ? objection_locked(session) : "too many nodes were linked here";
    pthread_mutex_unlock(&net->lock);
    if (objection) return refuse(session, WARD_EDENIED, objection);
    (void)ward__link_put(&session->link, &welcome, WARD__PUT_NEWS);
    return WARD_OK;
}

static ward_status on_welcome(struct ward__session *session)
{
    struct ward__net *net = session->net;
    struct ward__session *rival;
    bool stopping, known;

    if (!session->greeted || session->up) return WARD_EINVAL;
    ward__link_up(&session->link, &session->limits);
    pthread_mutex_lock(&net->lock);
    rival = rival_locked(session);
    known = rival && is_same_node(rival, session);
    stopping = net->stopping || session->endpoint->closed;
    if (!rival && !stopping) {
        session->up = true;
        ward__link_leads_to(&session->link, session->peer_node);
        ward__store_rel(&net->doors[session->peer_node % WARD__DOORS], session);
        session->endpoint->backoff_ms = 0;
        ward__remote_linked_locked(session);
    } else if (known) {
        ward__link_close(&rival->link, WARD_ELINK); /* the peer has lost it already */
    }
    pthread_mutex_unlock(&net->lock);
    if (rival || stopping)
        return refuse(session, WARD_EDENIED, known ? linked_already : "the name is taken");
    tell(session, WARD_EV_LINK_UP, WARD_OK);
    return WARD_OK;
}

static ward_status on_bye(struct ward__session *session, const struct ward__frame *bye)
{
    session->spare = !session->up && bye->text.count == sizeof linked_already - 1 &&
                     memcmp(bye->text.at, linked_already, bye->text.count) == 0;
    return session->up ? WARD_ELINK : WARD_EDENIED;
}

static ward_status on_frame(struct ward__link *link, const struct ward__frame *frame)
{
    struct ward__session *session = session_of(link);
    ward_status rc = WARD_OK;

    if (session->ended || session->refusal) /* it speaks to who has left */
        rc = frame->kind == WARD__FRAME_BYE ? WARD_ELINK : WARD_OK;
    else if (frame->kind == WARD__FRAME_BYE)
        rc = on_bye(session, frame);
    else if (frame->kind == WARD__FRAME_HELLO)
        rc = on_hello(session, frame);
    else if (frame->kind == WARD__FRAME_WELCOME)
        rc = on_welcome(session);
    else
        rc = session->up ? ward__incoming(session, frame) : WARD_EINVAL;
    return rc;
}

/* Held until all that was read is handled: a lock for each frame costs as much as the frame. */
static void on_begin(struct ward__link *link)
{
    pthread_mutex_lock(&session_of(link)->frames);
}

static void on_rest(struct ward__link *link)
{
    struct ward__session *session = session_of(link);

    if (!session->ended) ward__incoming_rest(session);
    if (!session->ended && session->up) ward__link_take(link, ward__held_back(session));
    pthread_mutex_unlock(&session->frames);
}

static void on_roomy(struct ward__link *link)
{
    struct ward__session *session = session_of(link);

    ward__room_tell(session->net, session->peer_node);
}

static const struct ward__link_ops ops = { .begin = on_begin,
    .frame = on_frame,
    .rest = on_rest,
    .roomy = on_roomy,
    .over = on_over,
    .free = on_free };

static void say_hello(struct ward__session *session)
{
    struct ward__net *net = session->net;
    const ward_link_opts *opts = &session->endpoint->opts;
    struct ward__frame hello = { .kind = WARD__FRAME_HELLO,
        .version = WARD__WIRE_VERSION,
        .text = { net->name, strlen(net->name) },
        .node = net->node->id,
        .incarnation = net->incarnation,
        .frame_max = opts->frame_max,
        .dead_ms = opts->dead_ms };

    (void)ward__link_put(&session->link, &hello, WARD__PUT_NEWS);
}

/* Counts it; false: there may be no more. */
static bool enlist(struct ward__session *session, ward_status rc)
{
    struct ward__net *net = session->net;
    const struct ward__session *other;
    uint32_t strangers = 0;
    bool room;

    pthread_mutex_lock(&net->lock);
    session->endpoint->refs++;
    net->live++;
    for (other = LIST_FIRST(&net->sessions); other; other = LIST_NEXT(other, list))
        strangers += !other->up;
    room = !rc && !net->stopping && !session->endpoint->closed &&
           net->sessions_count < WARD__SESSIONS_MAX && strangers < WARD__STRANGERS_MAX;
    if (room) {
        LIST_INSERT_HEAD(&net->sessions, session, list);
        net->sessions_count++;
        ward__link_hold(&session->link); /* the list's */
    }
    pthread_mutex_unlock(&net->lock);
    return room;
}

static struct ward__session *session_new(struct ward__net *net)
{
    struct ward__session *session;

    pthread_mutex_lock(&net->lock);
    session = SLIST_FIRST(&net->spares);
    if (session) SLIST_REMOVE_HEAD(&net->spares, spare_list);
    pthread_mutex_unlock(&net->lock);
    if (session) {
        memset(&session->net, 0, sizeof *session - offsetof(struct ward__session, net));
        return session;
    }
    session = ward__alloc_zero(&net->node->heap, sizeof *session);
    if (!session) return NULL;
    pthread_mutex_init(&session->frames, NULL);
    ward__link_init(&session->link);
    return session;
}

void ward__sessions_free(struct ward__net *net)
{
    while (!SLIST_EMPTY(&net->spares)) {
        struct ward__session *session = SLIST_FIRST(&net->spares);
        SLIST_REMOVE_HEAD(&net->spares, spare_list);
        pthread_mutex_destroy(&session->frames);
        ward__link_fini(&session->link);
        ward__free(&net->node->heap, session, sizeof *session);
    }
}

void ward__session_open(struct ward__endpoint *endpoint, struct ward__stream *stream)
{
    struct ward__net *net = endpoint->net;
    struct ward__heap *heap = &net->node->heap;
    bool ours = net->via->ours(stream, endpoint->url);
    struct ward__session *session = ours ? session_new(net) : NULL;
    ward_status rc;
    bool room;

    if (!session) {
        net->via->free(stream);
        ward__endpoint_ended(endpoint);
        return;
    }
    session->net = net;
    session->endpoint = endpoint;
    session->calls.heap = session->nears.heap = session->seekers.heap = session->slabs.heap = heap;
    session->held.heap = session->fulls.heap = heap;
    session->calls.factor = session->nears.factor = session->seekers.factor = session->held.factor =
        session->fulls.factor = net->via->chance(net->node) | 1;
    rc = ward__link_open(&session->link, &ops, net->via, net->node, stream);
    room = enlist(session, rc);
    if (room) {
        say_hello(session);
        ward__link_start(&session->link);
    } else {
        ward__endpoint_ended(endpoint);
    }
    ward__session_drop(session);
}
