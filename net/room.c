/* SPDX-License-Identifier: MIT */
/*
 * room.c - bounded mailboxes across a link. What arrives for a full mailbox waits here as a parked
 * sender, in order, and stalls nobody else; when it is much the peer is told that the actor is
 * FULL, and when it has gone in that there is ROOM. There ward_send is WARD_EFULL meanwhile, and
 * who may wait does. What was on its way already is at most a window (link.h), so one actor that is
 * slow costs nobody a message; over WARD__HELD_MAX bytes of a session mail is refused.
 *
 * A FULL is written before the mail can be taken, and a ROOM after it was, both under the mailbox's
 * lock, so the last word is right. Runs on nng's threads, and on those of the actors that make room
 * or end.
 */
#include "net/net.h"

/* -- mail that waits here ---------------------------------------------------------------------- */

static struct ward__held *held_of(struct ward__lane *lane)
{
    return ward__entry_of(lane, struct ward__held, lane);
}

static void put_about(const struct ward__held *held, struct ward__frame frame)
{
    frame.slot = ward__index(held->net->node, held->slot);
    frame.life = held->life;
    (void)ward__link_put(&held->session->link, &frame, WARD__PUT_NEWS);
}

/* The actor is gone or takes no more. */
static void turn_away(struct ward__held *held, ward_status why)
{
    ward_node *node = held->net->node;
    struct ward__here here = { node, NULL, NULL };
    uint32_t index, tells = 0;

    while ((index = ward__chain_take(&held->lane.chain, &node->pool)) != 0) {
        struct ward_msg *mail = ward__mail(&node->pool, index);
        if (ward__asks(mail))
            (void)ward__answer(&here, ward__token_of(mail), why, 0);
        else
            tells++;
        ward__mail_free(&here, index);
    }
    held->lane.bytes = 0;
    if (!tells) return;
    ward__add(&held->net->refused_here, tells);
    if (held->session)
        put_about(held,
            (struct ward__frame){ .kind = WARD__FRAME_REFUSED, .status = why, .count = tells });
}

static void held_drop(struct ward__held *held)
{
    ward__free(&held->net->node->heap, held, sizeof *held);
}

/* The mailbox's lock is held. */
static void on_news(struct ward__lane *lane, ward_status status)
{
    struct ward__held *held = held_of(lane);

    if (status) turn_away(held, status);
    if (!held->session) {
        if (lane->chain.count) return;
        pthread_mutex_lock(&held->net->lock);
        LIST_REMOVE(held, list);
        pthread_mutex_unlock(&held->net->lock);
        held_drop(held);
        return;
    }
    ward__add(&held->session->held_bytes, lane->bytes - held->counted);
    held->counted = lane->bytes;
    if (!held->told && lane->bytes > WARD__HELD_MANY) {
        held->told = true;
        put_about(held, (struct ward__frame){ .kind = WARD__FRAME_FULL });
    } else if (held->told && lane->bytes <= WARD__HELD_MANY / 2) {
        held->told = false;
        put_about(held, (struct ward__frame){ .kind = WARD__FRAME_ROOM });
    }
}

static bool is_empty(struct ward__held *held)
{
    bool empty;

    pthread_mutex_lock(held->slot->box.lock);
    empty = held->lane.chain.count == 0 && !held->told;
    pthread_mutex_unlock(held->slot->box.lock);
    return empty;
}

/* Forgets those that hold nothing; there are many. */
static void sweep(struct ward__session *session)
{
    struct ward__map all = session->held;
    struct ward__entry *entry;

    session->held = (struct ward__map){ .heap = all.heap, .factor = all.factor };
    while ((entry = ward__map_take_any(&all)) != NULL) {
        struct ward__held *held = ward__entry_of(entry, struct ward__held, entry);
        if (is_empty(held) || !ward__map_put(&session->held, entry)) held_drop(held);
    }
    ward__map_drop(&all);
}

static struct ward__held *held_for(struct ward__session *session, struct ward__slot *slot)
{
    struct ward__net *net = session->net;
    uint64_t key = ward__index(net->node, slot);
    struct ward__entry *entry = ward__map_find(&session->held, key);
    struct ward__held *held;

    if (entry) return ward__entry_of(entry, struct ward__held, entry);
    if (session->held.count >= WARD__FULLS_MAX) sweep(session);
    if (session->held.count >= WARD__FULLS_MAX) return NULL;
    held = ward__alloc_zero(&net->node->heap, sizeof *held);
    if (!held) return NULL;
    held->lane.wait.lane = true;
    held->lane.news = on_news;
    held->session = session;
    held->net = net;
    held->slot = slot;
    held->entry.key = key;
    if (ward__map_put(&session->held, &held->entry)) return held;
    held_drop(held);
    return NULL;
}

ward_status ward__park_mail(struct ward__session *session, struct ward__slot *slot, uint64_t life,
    struct ward__chain *chain)
{
    struct ward__pool *pool = &session->net->node->pool;
    struct ward__held *held;
    bool same;

    if (ward__load(&session->held_bytes) > WARD__HELD_MAX) return WARD_EFULL;
    held = held_for(session, slot);
    if (!held) return WARD_EFULL;
    pthread_mutex_lock(slot->box.lock);
    same = held->life == life || held->lane.chain.count == 0; /* else of an address that died */
    if (same) held->life = life;
    pthread_mutex_unlock(slot->box.lock);
    if (!same) return WARD_EFULL;
    switch (ward__lane_park(&slot->box, pool, life, &held->lane, chain)) {
    case WARD__PUSHED:
    case WARD__PUSHED_SCHEDULE:
    case WARD__PUSH_FULL: return WARD_OK;
    case WARD__PUSH_CLOSED: return WARD_ECLOSED;
    case WARD__PUSH_GONE: break;
    }
    return WARD_EGONE;
}

void ward__held_end(struct ward__session *session)
{
    struct ward__net *net = session->net;
    struct ward__entry *entry;

    while ((entry = ward__map_take_any(&session->held)) != NULL) {
        struct ward__held *held = ward__entry_of(entry, struct ward__held, entry);
        pthread_mutex_t *lock = held->slot->box.lock;
        bool empty;
        pthread_mutex_lock(lock);
        empty = held->lane.chain.count == 0;
        held->session = NULL;
        if (!empty) {
            pthread_mutex_lock(&net->lock);
            LIST_INSERT_HEAD(&net->held, held, list);
            pthread_mutex_unlock(&net->lock);
        }
        pthread_mutex_unlock(lock);
        if (empty) held_drop(held);
    }
    ward__map_drop(&session->held);
}

void ward__held_free(struct ward__net *net)
{
    struct ward__here here = { net->node, NULL, NULL };

    while (!LIST_EMPTY(&net->held)) {
        struct ward__held *held = LIST_FIRST(&net->held);
        uint32_t mail;
        while ((mail = ward__chain_take(&held->lane.chain, &net->node->pool)) != 0)
            ward__mail_free(&here, mail);
        LIST_REMOVE(held, list);
        held_drop(held);
    }
}

/* -- room at the peer -------------------------------------------------------------------------- */

static struct ward__full *full_of(struct ward__entry *entry)
{
    return ward__entry_of(entry, struct ward__full, entry);
}

static void full_free(struct ward__net *net, struct ward__full *full)
{
    ward__free(&net->node->heap, full, sizeof *full);
    (void)ward__sub(&net->fulls, 1);
}

/* Too many, or no memory: then it is not known here, and the peer refuses. */
static void full_new_locked(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__net *net = session->net;
    struct ward__full *full;

    if (session->fulls.count >= WARD__FULLS_MAX) return;
    full = ward__alloc_zero(&net->node->heap, sizeof *full);
    if (!full) return;
    (void)ward__add(&net->fulls, 1);
    full->entry.key = frame->slot;
    full->life = frame->life;
    if (!ward__map_put(&session->fulls, &full->entry)) full_free(net, full);
}

void ward__room_frame(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__net *net = session->net;
    bool full = frame->kind == WARD__FRAME_FULL;
    struct ward__entry *entry;

    pthread_mutex_lock(&net->lock);
    entry = full ? ward__map_find(&session->fulls, frame->slot)
                 : ward__map_take(&session->fulls, frame->slot);
    if (full && entry)
        full_of(entry)->life = frame->life;
    else if (full)
        full_new_locked(session, frame);
    else if (entry)
        full_free(net, full_of(entry));
    pthread_mutex_unlock(&net->lock);
    if (!full) ward__room_tell(net, session->peer_node);
}

bool ward__room_wanted_locked(const struct ward__session *session, ward_ref to)
{
    struct ward__entry *entry = ward__map_find(&session->fulls, to.slot);

    return entry && full_of(entry)->life == to.life;
}

bool ward__room_wanted(struct ward__net *net, ward_ref to)
{
    const struct ward__session *session;
    bool wanted;

    pthread_mutex_lock(&net->lock);
    session = ward__session_to_locked(net, to.node);
    wanted = session && ward__room_wanted_locked(session, to);
    pthread_mutex_unlock(&net->lock);
    return wanted;
}

void ward__room_end_locked(struct ward__session *session)
{
    struct ward__entry *entry;

    while ((entry = ward__map_take_any(&session->fulls)) != NULL)
        full_free(session->net, full_of(entry));
    ward__map_drop(&session->fulls);
}

/* -- who waits for it -------------------------------------------------------------------------- */

/* Whether there is none, so that somebody will tell. */
static bool none_locked(struct ward__net *net, ward_ref to)
{
    struct ward__session *session = ward__session_to_locked(net, to.node);

    return session && (ward__room_wanted_locked(session, to) || ward__link_refused(&session->link));
}

bool ward__room_await(void *arg, struct ward__token token, ward_ref to)
{
    struct ward__net *net = arg;
    uint32_t i = 0;
    bool none;

    pthread_mutex_lock(&net->lock);
    none = none_locked(net, to);
    while (i < net->waiters_count && net->waiters[i].token.asker != token.asker)
        i++;
    if (none && i < WARD__WAITERS_MAX) {
        net->waiters[i].node = to.node;
        net->waiters[i].token = token;
        if (i == net->waiters_count) net->waiters_count++;
    }
    pthread_mutex_unlock(&net->lock);
    return none;
}

void ward__room_tell(struct ward__net *net, uint32_t node)
{
    struct ward__here here = { net->node, NULL, NULL };
    struct ward__token woken[WARD__WAITERS_MAX];
    uint32_t count = 0, kept = 0;

    pthread_mutex_lock(&net->lock);
    for (uint32_t i = 0; i < net->waiters_count; i++) {
        if (net->waiters[i].node == node)
            woken[count++] = net->waiters[i].token;
        else
            net->waiters[kept++] = net->waiters[i];
    }
    net->waiters_count = kept;
    pthread_mutex_unlock(&net->lock);
    for (uint32_t i = 0; i < count; i++) {
        struct ward__slot *slot = ward__slot(net->node, woken[i].asker);
        if (!ward__wait_claim(&slot->wait, woken[i].cell)) continue; /* it looked by itself */
        slot->wait.status = WARD_OK;
        ward__resume(&here, slot);
    }
}
