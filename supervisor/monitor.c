/* SPDX-License-Identifier: MIT */
/*
 * monitor.c - who is told of an end: monitors (one DOWN for the incarnation watched) and joins
 * (the end of lives). The record of the relation is also the storage of its news, so an end can
 * always be told. Lists are under the tree lock; the DOWN then goes through the watcher's queue
 * of signals, due after the mail that was accepted before it.
 */
#include <string.h>

#include "base/assert.h"
#include "supervisor/tree.h"

static void release(struct ward__here *here, struct ward__signal *signal)
{
    ward__free(&here->node->heap, (struct ward__watch *)(void *)signal, sizeof(struct ward__watch));
}

static void link_watched(struct ward__slot *slot, struct ward__watch *watch)
{
    watch->watched = slot;
    watch->prev = NULL;
    watch->next = slot->watches;
    if (watch->next) watch->next->prev = watch;
    slot->watches = watch;
}

static void unlink_watched(struct ward__watch *watch)
{
    if (!watch->watched) return;
    if (watch->prev)
        watch->prev->next = watch->next;
    else
        watch->watched->watches = watch->next;
    if (watch->next) watch->next->prev = watch->prev;
    watch->watched = NULL;
}

static void link_own(struct ward__inc *inc, struct ward__watch *watch)
{
    watch->own_prev = NULL;
    watch->own_next = inc->watches;
    if (watch->own_next) watch->own_next->own_prev = watch;
    inc->watches = watch;
}

static void unlink_own(struct ward__inc *inc, struct ward__watch *watch)
{
    if (watch->own_prev)
        watch->own_prev->own_next = watch->own_next;
    else
        inc->watches = watch->own_next;
    if (watch->own_next) watch->own_next->own_prev = watch->own_prev;
}

void ward__watch_tell_locked(
    struct ward__here *here, struct ward__watch *watch, const ward_down *down)
{
    struct ward__slot *watcher = watch->watcher;

    unlink_watched(watch);
    unlink_own(watcher->inc, watch);
    watch->signal.mail.u.down = *down;
    watch->signal.mail.type = &ward__nothing;
    ward__store(
        &watch->signal.mail.bits, WARD__MAIL_SIGNAL | (uint32_t)WARD_DOWN << WARD__MAIL_KIND);
    watch->signal.ordered = true;
    watch->signal.release = release;
    ward__signal_put(here, watcher, &watch->signal);
}

static void tell_join(struct ward__here *here, struct ward__watch *watch)
{
    struct ward__slot *watcher = watch->watcher;

    unlink_watched(watch);
    if (--*watch->join_left > 0 || !watch->join_cell) return;
    if (!ward__wait_claim(&watcher->wait, watch->join_cell)) return;
    watcher->wait.status = WARD_OK;
    ward__resume(here, watcher);
}

/* ends: the life does, so those who join it are told as well. */
static void tell_all(
    struct ward__here *here, struct ward__slot *slot, const ward_down *down, bool ends)
{
    struct ward__watch *watch = slot->watches, *next;

    for (; watch; watch = next) {
        next = watch->next;
        if (watch->tell) {
            unlink_watched(watch);
            watch->tell(here, watch, down);
        } else if (!watch->join_left) {
            ward__watch_tell_locked(here, watch, down);
        } else if (ends) {
            tell_join(here, watch);
        }
    }
}

void ward__watches_tell_locked(struct ward__here *here, struct ward__slot *slot, bool final)
{
    ward_down down = { .who = ward__ref(here->node, slot),
        .reason = (ward_reason)slot->reason,
        .status = slot->status,
        .final = final,
        .signal = slot->marks.signal,
        .exit_code = slot->marks.exit_code,
        .incarnation = ward__load(&slot->incarnation) };

    tell_all(here, slot, &down, final);
}

static ward_down degraded_down(struct ward__here *here, const struct ward__slot *slot)
{
    return (ward_down){ .who = ward__ref(here->node, slot),
        .reason = WARD_BY_LIMIT,
        .status = WARD_EUNAVAIL,
        .final = true,
        .incarnation = ward__load(&slot->incarnation) };
}

void ward__watches_degraded_locked(struct ward__here *here, struct ward__slot *slot)
{
    ward_down down = degraded_down(here, slot);

    tell_all(here, slot, &down, false);
}

/* What a monitor of `whom` is told at once; false: nothing, it may stand at *out. */
static bool told_at_once(
    struct ward__here *here, ward_ref whom, struct ward__slot **out, ward_down *down)
{
    struct ward__slot *slot = ward__resolve(here->node, whom);

    *out = slot;
    *down = (ward_down){ .who = whom, .reason = WARD_NOBODY, .status = WARD_EGONE, .final = true };
    if (!slot || ward__life(slot) != whom.life || ward__load(&slot->phase) == WARD__FREE)
        return true;
    if (ward__load(&slot->phase) != WARD__DEGRADED) return false;
    *down = degraded_down(here, slot);
    return true;
}

void ward__watches_forget_locked(struct ward__here *here, struct ward__inc *inc)
{
    struct ward__route *route = ward__load_acq(&here->node->route);

    while (inc->watches) {
        struct ward__watch *watch = inc->watches;
        inc->watches = watch->own_next;
        if (watch->remote && route) route->demonitor(route->arg, watch);
        unlink_watched(watch);
        release(here, &watch->signal);
    }
}

bool ward__monitors_locked(const struct ward__slot *watcher, const struct ward__slot *whom)
{
    for (const struct ward__watch *watch = whom->watches; watch; watch = watch->next)
        if (!watch->join_left && watch->watcher == watcher) return true;
    return false;
}

static struct ward__watch *find_own(struct ward__inc *inc, ward_ref whom)
{
    struct ward__watch *watch = inc->watches;

    while (watch && !ward_same(watch->whom, whom))
        watch = watch->own_next;
    return watch;
}

void ward__watch_add_locked(struct ward__here *here, struct ward__watch *watch)
{
    struct ward__slot *slot;
    ward_down down;

    if (told_at_once(here, watch->whom, &slot, &down))
        watch->tell(here, watch, &down);
    else
        link_watched(slot, watch);
}

void ward__watch_remove_locked(struct ward__watch *watch)
{
    unlink_watched(watch);
}

/* The watch is the incarnation's from here on, unless an error is returned. */
static ward_status monitor_locked(
    struct ward__here *here, ward_self *self, struct ward__watch *watch)
{
    struct ward__slot *slot = ward__resolve(here->node, watch->whom);
    struct ward__route *route = ward__load_acq(&here->node->route);
    ward_down down;
    ward_status rc;

    watch->watcher = self->slot;
    link_own(self->inc, watch);
    if (!slot && watch->whom.node && watch->whom.node != here->node->id) {
        rc = route ? route->monitor(route->arg, watch, watch->whom) : WARD_ELINK;
        if (rc) unlink_own(self->inc, watch);
        return rc;
    }
    if (told_at_once(here, watch->whom, &slot, &down))
        ward__watch_tell_locked(here, watch, &down);
    else
        link_watched(slot, watch);
    return WARD_OK;
}

ward_status ward_monitor(ward_self *self, ward_ref whom)
{
    struct ward__here here;
    struct ward__watch *watch;
    ward_status rc = WARD_ENOMEM;

    if (self->kind == WARD__SELF_OUTSIDE || self->ending) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    watch = ward__alloc_zero(&here.node->heap, sizeof *watch);
    if (watch) {
        watch->whom = whom;
        ward__tree_lock(here.node);
        if (!ward__inc_of(self))
            rc = WARD_ENOMEM;
        else if (find_own(self->inc, whom))
            rc = WARD_STOP; /* it watches already: this one is not needed */
        else
            rc = monitor_locked(&here, self, watch);
        ward__tree_unlock(here.node);
        if (rc) ward__free(&here.node->heap, watch, sizeof *watch);
    }
    ward__leave(self);
    return rc == WARD_STOP ? WARD_OK : rc;
}

/* DOWNs that have been told lie in the queue of signals: one of a former incarnation may be there
 * beside a new watch. Returns a chain of them. */
static struct ward__signal *pull_downs(
    struct ward__slot *slot, ward_ref whom, struct ward__signal *chain)
{
    struct ward__inc *inc = slot->inc;
    struct ward__signal **at = &inc->signals;

    pthread_mutex_lock(slot->box.lock);
    while (*at) {
        struct ward__signal *signal = *at;
        if (signal->release != release || !ward_same(signal->mail.u.down.who, whom)) {
            at = &signal->next;
            continue;
        }
        *at = signal->next;
        signal->next = chain;
        chain = signal;
    }
    inc->signals_end = at;
    pthread_mutex_unlock(slot->box.lock);
    return chain;
}

void ward_demonitor(ward_self *self, ward_ref whom)
{
    struct ward__here here;
    struct ward__watch *watch;
    struct ward__signal *chain = NULL;
    struct ward__route *route;

    if (self->kind == WARD__SELF_OUTSIDE || !self->inc) return;
    if (!ward__enter(self, &here)) return;
    ward__tree_lock(here.node);
    route = ward__load_acq(&here.node->route);
    watch = find_own(self->inc, whom);
    if (watch) {
        if (watch->remote && route) route->demonitor(route->arg, watch);
        unlink_watched(watch);
        unlink_own(self->inc, watch);
        chain = &watch->signal;
        chain->next = NULL;
    }
    chain = pull_downs(self->slot, whom, chain);
    ward__tree_unlock(here.node);
    while (chain) {
        struct ward__signal *next = chain->next;
        release(&here, chain);
        chain = next;
    }
    ward__leave(self);
}

/* -- join -------------------------------------------------------------------------------------- */

static bool is_ancestor(const ward_node *node, const struct ward__slot *slot, uint32_t index)
{
    uint32_t at = ward__index(node, slot);

    for (; at; at = ward__load(&ward__slot(node, at)->parent))
        if (at == index) return true;
    return false;
}

/* Stands at each of those that live. */
static void stand(struct ward__here *here, ward_self *self, struct ward__join *join)
{
    for (size_t i = 0; i < join->count; i++) {
        struct ward__slot *slot = ward__resolve(here->node, join->whom[i]);
        if (!slot || ward__life(slot) != join->whom[i].life ||
            ward__load(&slot->phase) == WARD__FREE)
            continue;
        join->watches[i].watcher = self->slot;
        join->watches[i].join_left = &join->left;
        link_watched(slot, &join->watches[i]);
        join->left++;
    }
}

static ward_status wait_for_ends(struct ward__here *here, ward_self *self, struct ward__join *join,
    ward_deadline by, const char *at)
{
    ward_node *node = here->node;
    int64_t until = ward__wait_until(self, by);
    uint64_t cell = 0;
    ward_status rc = WARD_OK;

    ward__tree_lock(node);
    stand(here, self, join);
    if (join->left && until <= ward__clock_ns(node)) rc = WARD_ETIMEDOUT;
    if (join->left && !rc) {
        self->inc->join = join;
        ward__store(&self->slot->edge, WARD__EDGE_ALL);
        cell = ward__wait_begin(here, self, until, "join", at);
        for (size_t i = 0; i < join->count; i++)
            join->watches[i].join_cell = cell;
    }
    ward__tree_unlock(node);
    if (cell) rc = ward__wait_end(here, self, cell);
    ward__tree_lock(node);
    for (size_t i = 0; i < join->count; i++)
        unlink_watched(&join->watches[i]);
    self->inc->join = NULL;
    ward__tree_unlock(node);
    return rc;
}

/* Whether there is anybody to wait for. */
static bool any_lives(const ward_node *node, const ward_ref *whom, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ward__slot *slot = ward__resolve(node, whom[i]);
        if (slot && ward__life(slot) == whom[i].life && ward__load(&slot->phase) != WARD__FREE)
            return true;
    }
    return false;
}

/* Why these cannot be joined, or WARD_OK. */
static ward_status joinable(
    struct ward__here *here, ward_self *self, const ward_ref *whom, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ward__slot *slot = ward__resolve(here->node, whom[i]);
        if (!slot && whom[i].node && whom[i].node != here->node->id)
            return WARD_EINVAL; /* join is of this node; monitors cross links */
        if (slot && ward__life(slot) == whom[i].life &&
            is_ancestor(here->node, self->slot, whom[i].slot))
            return WARD_EDEADLK;
    }
    return WARD_OK;
}

static ward_status join(struct ward__here *here, ward_self *self, struct ward__join *join,
    ward_deadline by, const char *at)
{
    ward_status rc = joinable(here, self, join->whom, join->count);
    bool waits = self->kind == WARD__SELF_TURN && self->waits && !self->ending;

    if (rc) return rc;
    if (!waits) return any_lives(here->node, join->whom, join->count) ? WARD_ESTATE : WARD_OK;
    rc = ward__wait_refused(self);
    if (rc) return rc;
    join->watches = ward__resize(self, here, NULL, join->count * sizeof *join->watches);
    if (!join->watches) return WARD_ENOMEM;
    memset(join->watches, 0, join->count * sizeof *join->watches);
    rc = wait_for_ends(here, self, join, by, at);
    (void)ward__resize(self, here, join->watches, 0);
    return rc;
}

ward_status ward_join_at(
    ward_self *self, const ward_ref *whom, size_t count, ward_deadline by, const char *at)
{
    struct ward__join joins = { .whom = whom, .count = count };
    struct ward__here here;
    ward_status rc;

    if (!whom && count) return WARD_EINVAL;
    if (count == 0) return WARD_OK;
    if (count > UINT32_MAX / sizeof *joins.watches) return WARD_EINVAL;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = join(&here, self, &joins, by, at);
    ward__waited(&here, self);
    ward__leave(self);
    return rc;
}
