/* SPDX-License-Identifier: MIT */
/*
 * calls.c - questions of peers that are open here. To the actors' layer such a question is a token
 * like any other, whose asker is the index of a record here; the record's cell only grows and is
 * never reset, so a late answer cannot meet a later question. Records lie in one reserved range,
 * because whether an asker still waits is looked up at each wait of who works for it, without a
 * lock. Any thread; the net's lock is taken here.
 */
#include "base/assert.h"
#include "net/net.h"

static uint32_t index_of(const struct ward__net *net, const struct ward__call *call)
{
    return (uint32_t)(call - net->calls);
}

static struct ward__token token_of(const struct ward__net *net, const struct ward__call *call)
{
    return (struct ward__token){ ward__load(&call->cell), WARD__REMOTE | index_of(net, call) };
}

/* NULL: it was closed. */
static struct ward__call *find_locked(const struct ward__net *net, struct ward__token token)
{
    struct ward__call *call = &net->calls[token.asker & ~WARD__REMOTE];

    ward__assert((token.asker & ~WARD__REMOTE) < WARD__CALLS_MAX);
    return ward__load(&call->cell) == token.cell ? call : NULL;
}

static struct ward__call *take_free_locked(struct ward__net *net)
{
    uint32_t index = net->call_free;

    if (index) {
        net->call_free = net->calls[index].next;
        return &net->calls[index];
    }
    if (net->calls_used + 1 >= WARD__CALLS_MAX) return NULL;
    return &net->calls[++net->calls_used]; /* 0 is nobody */
}

static void put_free_locked(struct ward__net *net, struct ward__call *call)
{
    call->session = NULL;
    call->next = net->call_free;
    net->call_free = index_of(net, call);
}

/* Whoever works for it finds out; it is in no map any more. Returns who holds it: first closed and
 * then read, so whoever it is passed on to later sees that it is closed. */
static uint32_t close_locked(struct ward__net *net, struct ward__call *call)
{
    uint32_t holder;

    ward__store_seq(&call->cell, ward__load(&call->cell) + 1);
    holder = ward__load_seq(&call->holder) & ~WARD__MOVING;
    put_free_locked(net, call);
    return holder;
}

static ward_status open_locked(struct ward__session *session, uint64_t id, struct ward__call **out)
{
    struct ward__net *net = session->net;
    struct ward__call *call;

    if (ward__map_find(&session->calls, id)) return WARD_EINVAL;
    if (session->calls.count >= WARD__OPEN_MAX) return WARD_ELIMIT;
    call = take_free_locked(net);
    if (!call) return WARD_ELIMIT;
    call->entry.key = id;
    if (!ward__map_put(&session->calls, &call->entry)) {
        put_free_locked(net, call);
        return WARD_ENOMEM;
    }
    call->session = session;
    *out = call;
    return WARD_OK;
}

ward_status ward__call_open(struct ward__session *session, const struct ward__frame *frame,
    int64_t deadline_ns, struct ward__token *token)
{
    struct ward__net *net = session->net;
    struct ward__call *call;
    ward_status rc;

    pthread_mutex_lock(&net->lock);
    rc = open_locked(session, frame->id, &call);
    if (!rc) {
        ward__store(&call->holder, frame->slot);
        ward__store(&call->deadline_ns, deadline_ns);
        ward__store_seq(&call->cell, ward__load(&call->cell) + 1);
        *token = token_of(net, call);
    }
    pthread_mutex_unlock(&net->lock);
    return rc;
}

bool ward__call_cancel(
    struct ward__session *session, uint64_t id, struct ward__token *token, uint32_t *holder)
{
    struct ward__net *net = session->net;
    struct ward__entry *entry;

    pthread_mutex_lock(&net->lock);
    entry = ward__map_take(&session->calls, id);
    if (entry) {
        struct ward__call *call = ward__entry_of(entry, struct ward__call, entry);
        *token = token_of(net, call);
        *holder = close_locked(net, call);
    }
    pthread_mutex_unlock(&net->lock);
    return entry != NULL;
}

void ward__call_close(struct ward__net *net, struct ward__token token)
{
    struct ward__call *call;

    pthread_mutex_lock(&net->lock);
    call = find_locked(net, token);
    if (call) {
        (void)ward__map_take(&call->session->calls, call->entry.key);
        (void)close_locked(net, call);
    }
    pthread_mutex_unlock(&net->lock);
}

struct ward__session *ward__call_of(struct ward__net *net, struct ward__token token, uint64_t *id)
{
    struct ward__session *session = NULL;
    struct ward__call *call;

    pthread_mutex_lock(&net->lock);
    call = find_locked(net, token);
    if (call) {
        *id = call->entry.key;
        session = call->session;
        ward__link_hold(&session->link);
    }
    pthread_mutex_unlock(&net->lock);
    return session;
}

bool ward__call_waits(struct ward__net *net, struct ward__token token, int64_t *deadline_ns)
{
    const struct ward__call *call = &net->calls[token.asker & ~WARD__REMOTE];

    if (ward__load_seq(&call->cell) != token.cell) return false;
    *deadline_ns = ward__load_acq(&call->deadline_ns);
    if (ward__load_acq(&call->cell) != token.cell) return false;
    return *deadline_ns > ward__clock_ns(net->node);
}

_Atomic uint32_t *ward__call_holder(struct ward__net *net, struct ward__token token)
{
    struct ward__call *call = &net->calls[token.asker & ~WARD__REMOTE];

    return ward__load_acq(&call->cell) == token.cell ? &call->holder : NULL;
}

void ward__calls_end(struct ward__session *session)
{
    struct ward__net *net = session->net;
    struct ward__here here = { net->node, NULL, NULL };
    struct ward__entry *entry;

    do {
        struct ward__token token;
        uint32_t holder;
        pthread_mutex_lock(&net->lock);
        entry = ward__map_take_any(&session->calls);
        if (entry) {
            struct ward__call *call = ward__entry_of(entry, struct ward__call, entry);
            token = token_of(net, call);
            holder = close_locked(net, call);
        }
        pthread_mutex_unlock(&net->lock);
        if (!entry) break;
        net->route.forget(net, token);
        ward__abandon(&here, holder, token);
    } while (entry);
    pthread_mutex_lock(&net->lock);
    ward__map_drop(&session->calls);
    pthread_mutex_unlock(&net->lock);
}
