/* SPDX-License-Identifier: MIT */
/*
 * far.c - our monitors on actors of peers. The watch belongs to the watcher's incarnation as any
 * other; here stands which session will have news of it. There are exactly one: the peer's DOWN,
 * or the loss of the session, whichever the tree lock lets in first. After a loss the ref may live
 * on: DOWN says WARD_BY_LINK, WARD_ELINK, not final. Under the tree lock.
 */
#include "net/net.h"

static void far_free(struct ward__net *net, struct ward__far *far)
{
    LIST_REMOVE(far, list);
    ward__free(&net->node->heap, far, sizeof *far);
}

ward_status ward__far_monitor(void *arg, struct ward__watch *watch, ward_ref whom)
{
    struct ward__net *net = arg;
    struct ward__frame frame = {
        .kind = WARD__FRAME_MONITOR, .slot = whom.slot, .life = whom.life
    };
    struct ward__far *far = ward__alloc_zero(&net->node->heap, sizeof *far);
    struct ward__session *session = far ? ward__session_to(net, whom.node) : NULL;
    ward_status rc = far ? WARD_ELINK : WARD_ENOMEM;

    if (session) {
        far->entry.key = frame.id = ++net->last_id;
        rc = ward__map_put(&net->fars, &far->entry) ? WARD_OK : WARD_ENOMEM;
    }
    if (rc) {
        if (far) ward__free(&net->node->heap, far, sizeof *far);
    } else {
        far->watch = watch;
        far->session = session;
        watch->remote = far;
        LIST_INSERT_HEAD(&session->fars, far, list);
        /* If it is lost by now its end, which waits for the tree lock, tells. */
        (void)ward__link_put(&session->link, &frame, WARD__PUT_NEWS);
    }
    if (session) ward__session_drop(session);
    return rc;
}

void ward__far_demonitor(void *arg, struct ward__watch *watch)
{
    struct ward__net *net = arg;
    struct ward__far *far = watch->remote;
    struct ward__frame frame = { .kind = WARD__FRAME_DEMONITOR, .id = far->entry.key };

    (void)ward__map_take(&net->fars, far->entry.key);
    (void)ward__link_put(&far->session->link, &frame, WARD__PUT_NEWS);
    watch->remote = NULL;
    far_free(net, far);
}

static void tell(
    struct ward__here *here, struct ward__net *net, struct ward__far *far, ward_down *down)
{
    struct ward__watch *watch = far->watch;

    (void)ward__map_take(&net->fars, far->entry.key);
    far_free(net, far);
    watch->remote = NULL;
    down->who = watch->whom;
    ward__watch_tell_locked(here, watch, down);
}

void ward__far_down(struct ward__session *session, const struct ward__frame *frame)
{
    struct ward__net *net = session->net;
    struct ward__here here = { net->node, NULL, NULL };
    ward_down down = { .reason = frame->reason,
        .status = frame->status,
        .final = frame->final,
        .incarnation = frame->incarnation };
    struct ward__entry *entry;

    ward__tree_lock(net->node);
    entry = ward__map_find(&net->fars, frame->id);
    if (entry) {
        struct ward__far *far = ward__entry_of(entry, struct ward__far, entry);
        if (far->session == session) tell(&here, net, far, &down);
    }
    ward__tree_unlock(net->node);
}

void ward__fars_end_locked(struct ward__here *here, struct ward__session *session)
{
    while (!LIST_EMPTY(&session->fars)) {
        ward_down down = { .reason = WARD_BY_LINK, .status = WARD_ELINK };
        tell(here, session->net, LIST_FIRST(&session->fars), &down);
    }
}
