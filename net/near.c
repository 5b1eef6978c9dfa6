/* SPDX-License-Identifier: MIT */
/*
 * near.c - what peers wait for here: the ends of actors they monitor, and paths that are not there
 * yet. Each is a record that hangs where one of ours would, with the session in the place of an
 * actor; its news are a frame, written in the order of the mail before it. Under the tree lock.
 */
#include <string.h>

#include "net/net.h"

/* -- monitors ---------------------------------------------------------------------------------- */

static void put_down(struct ward__session *session, uint64_t id, const ward_down *down)
{
    struct ward__frame frame = { .kind = WARD__FRAME_DOWN,
        .id = id,
        .reason = down->reason,
        .status = down->status,
        .final = down->final,
        .incarnation = down->incarnation };

    (void)ward__link_put(&session->link, &frame, WARD__PUT_NEWS);
}

static void near_free(struct ward__near *near)
{
    ward__free(&near->session->net->node->heap, near, sizeof *near);
}

static void near_told(struct ward__here *here, struct ward__watch *watch, const ward_down *down)
{
    struct ward__near *near = ward__entry_of(watch, struct ward__near, watch);

    (void)here;
    (void)ward__map_take(&near->session->nears, near->entry.key);
    put_down(near->session, near->entry.key, down);
    near_free(near);
}

/* Errors: WARD_ELIMIT, WARD_ENOMEM. */
static ward_status monitor_locked(struct ward__session *session, const struct ward__frame *frame)
{
    ward_node *node = session->net->node;
    struct ward__here here = { node, NULL, NULL };
    struct ward__near *near;

    if (session->nears.count >= WARD__OPEN_MAX) return WARD_ELIMIT;
    near = ward__alloc_zero(&node->heap, sizeof *near);
    if (!near) return WARD_ENOMEM;
    near->session = session;
    near->watch.tell = near_told;
    near->watch.whom = (ward_ref){ node->id, frame->slot, frame->life };
    near->entry.key = frame->id;
    if (!ward__map_put(&session->nears, &near->entry)) {
        near_free(near);
        return WARD_ENOMEM;
    }
    ward__watch_add_locked(&here, &near->watch);
    return WARD_OK;
}

ward_status ward__near_monitor(struct ward__session *session, const struct ward__frame *frame)
{
    ward_node *node = session->net->node;
    ward_status rc = WARD_EINVAL;

    ward__tree_lock(node);
    if (!ward__map_find(&session->nears, frame->id)) {
        ward_down none = { .reason = WARD_BY_LINK };
        none.status = rc = monitor_locked(session, frame);
        if (rc) put_down(session, frame->id, &none);
        rc = WARD_OK;
    }
    ward__tree_unlock(node);
    return rc;
}

void ward__near_demonitor(struct ward__session *session, const struct ward__frame *frame)
{
    ward_node *node = session->net->node;
    struct ward__entry *entry;

    ward__tree_lock(node);
    entry = ward__map_take(&session->nears, frame->id);
    if (entry) {
        struct ward__near *near = ward__entry_of(entry, struct ward__near, entry);
        ward__watch_remove_locked(&near->watch);
        near_free(near);
    }
    ward__tree_unlock(node);
}

/* -- finds ------------------------------------------------------------------------------------- */

static void put_found(struct ward__session *session, uint64_t id, ward_status rc, ward_ref ref)
{
    struct ward__frame frame = {
        .kind = WARD__FRAME_FOUND, .id = id, .status = rc, .slot = ref.slot, .life = ref.life
    };

    (void)ward__link_put(&session->link, &frame, WARD__PUT_NEWS);
}

static void seeker_free(struct ward__seeker *seeker)
{
    ward__free(&seeker->session->net->node->heap, seeker, sizeof *seeker);
}

static void found(
    struct ward__here *here, struct ward__finder *finder, struct ward__slot *slot, ward_status rc)
{
    struct ward__seeker *seeker = ward__entry_of(finder, struct ward__seeker, finder);
    ward_ref ref = { 0 };

    if (slot) ref = ward__ref(here->node, slot);
    (void)ward__map_take(&seeker->session->seekers, seeker->entry.key);
    put_found(seeker->session, seeker->entry.key, rc, ref);
    seeker_free(seeker);
}

/* Errors: WARD_EINVAL: no such path can be; WARD_ELIMIT; WARD_ENOMEM. */
static ward_status seek_locked(struct ward__session *session, const struct ward__frame *frame)
{
    ward_node *node = session->net->node;
    struct ward__here here = { node, NULL, NULL };
    struct ward__seeker *seeker;

    if (frame->text.count == 0 || *(const char *)frame->text.at != '/') return WARD_EINVAL;
    if (session->seekers.count >= WARD__OPEN_MAX) return WARD_ELIMIT;
    seeker = ward__alloc_zero(&node->heap, sizeof *seeker);
    if (!seeker) return WARD_ENOMEM;
    seeker->session = session;
    seeker->entry.key = frame->id;
    memcpy(seeker->path, frame->text.at, frame->text.count);
    seeker->finder.path = seeker->path;
    seeker->finder.from = ward__slot(node, WARD__ROOT_SLOT);
    seeker->finder.found = found;
    if (!ward__map_put(&session->seekers, &seeker->entry)) {
        seeker_free(seeker);
        return WARD_ENOMEM;
    }
    ward__finder_add_locked(&here, &seeker->finder);
    return WARD_OK;
}

ward_status ward__near_find(struct ward__session *session, const struct ward__frame *frame)
{
    ward_node *node = session->net->node;
    ward_status rc = WARD_EINVAL;

    ward__tree_lock(node);
    if (!ward__map_find(&session->seekers, frame->id)) {
        rc = seek_locked(session, frame);
        if (rc) put_found(session, frame->id, rc, (ward_ref){ 0 });
        rc = WARD_OK;
    }
    ward__tree_unlock(node);
    return rc;
}

bool ward__near_find_cancel(struct ward__session *session, uint64_t id)
{
    ward_node *node = session->net->node;
    struct ward__entry *entry;

    ward__tree_lock(node);
    entry = ward__map_take(&session->seekers, id);
    if (entry) {
        struct ward__seeker *seeker = ward__entry_of(entry, struct ward__seeker, entry);
        ward__finder_remove_locked(node, &seeker->finder);
        seeker_free(seeker);
    }
    ward__tree_unlock(node);
    return entry != NULL;
}

/* -- the end ----------------------------------------------------------------------------------- */

void ward__nears_end_locked(struct ward__here *here, struct ward__session *session)
{
    struct ward__entry *entry;

    while ((entry = ward__map_take_any(&session->nears)) != NULL) {
        struct ward__near *near = ward__entry_of(entry, struct ward__near, entry);
        ward__watch_remove_locked(&near->watch);
        near_free(near);
    }
    while ((entry = ward__map_take_any(&session->seekers)) != NULL) {
        struct ward__seeker *seeker = ward__entry_of(entry, struct ward__seeker, entry);
        ward__finder_remove_locked(here->node, &seeker->finder);
        seeker_free(seeker);
    }
    ward__map_drop(&session->nears);
    ward__map_drop(&session->seekers);
}
