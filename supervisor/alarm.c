/* SPDX-License-Identifier: MIT */
/*
 * alarm.c - cold timers: starts, stops, backoffs and users' timers, in one binary heap a node
 * under the tree lock. The clock thread takes what is due. Room is reserved when an actor or a
 * timer is made, so that setting an alarm cannot fail: a stop must not need memory.
 */
#include "base/assert.h"
#include "supervisor/tree.h"

bool ward__alarm_reserve_locked(ward_node *node)
{
    struct ward__tree *tree = node->tree;
    uint32_t room = tree->alarms_room ? tree->alarms_room * 2 : 64;
    struct ward__alarm **alarms;

    if (tree->alarms_wanted + 1 < tree->alarms_room) {
        tree->alarms_wanted++;
        return true;
    }
    alarms = ward__realloc(
        &node->heap, tree->alarms, tree->alarms_room * sizeof *alarms, room * sizeof *alarms);
    if (!alarms) return false;
    tree->alarms = alarms;
    tree->alarms_room = room;
    tree->alarms_wanted++;
    return true;
}

void ward__alarm_unreserve_locked(ward_node *node)
{
    ward__assert(node->tree->alarms_wanted > 0);
    node->tree->alarms_wanted--;
}

static void put(struct ward__tree *tree, uint32_t place, struct ward__alarm *alarm)
{
    tree->alarms[place] = alarm;
    alarm->place = place;
}

static void rise(struct ward__tree *tree, uint32_t place)
{
    struct ward__alarm *alarm = tree->alarms[place];

    for (; place > 1 && tree->alarms[place / 2]->at_ns > alarm->at_ns; place /= 2)
        put(tree, place, tree->alarms[place / 2]);
    put(tree, place, alarm);
}

static void sink(struct ward__tree *tree, uint32_t place)
{
    struct ward__alarm *alarm = tree->alarms[place];

    for (;;) {
        uint32_t child = place * 2;
        if (child > tree->alarms_count) break;
        if (child < tree->alarms_count &&
            tree->alarms[child + 1]->at_ns < tree->alarms[child]->at_ns)
            child++;
        if (tree->alarms[child]->at_ns >= alarm->at_ns) break;
        put(tree, place, tree->alarms[child]);
        place = child;
    }
    put(tree, place, alarm);
}

void ward__alarm_set_locked(ward_node *node, struct ward__alarm *alarm, int64_t at_ns)
{
    struct ward__tree *tree = node->tree;

    if (at_ns == INT64_MAX) {
        ward__alarm_clear_locked(node, alarm);
        return;
    }
    alarm->at_ns = at_ns;
    if (!alarm->place) {
        ward__assert(tree->alarms_count + 1 < tree->alarms_room);
        put(tree, ++tree->alarms_count, alarm);
    }
    rise(tree, alarm->place);
    sink(tree, alarm->place);
    if (alarm->place == 1) ward__clock_ring(node);
}

void ward__alarm_clear_locked(ward_node *node, struct ward__alarm *alarm)
{
    struct ward__tree *tree = node->tree;
    uint32_t place = alarm->place;
    struct ward__alarm *last;

    if (!place) return;
    alarm->place = 0;
    last = tree->alarms[tree->alarms_count--];
    if (last == alarm) return;
    put(tree, place, last);
    rise(tree, place);
    sink(tree, last->place);
}

struct ward__alarm *ward__alarm_due_locked(ward_node *node, int64_t now_ns, int64_t *next_ns)
{
    struct ward__tree *tree = node->tree;
    struct ward__alarm *alarm;

    *next_ns = INT64_MAX;
    if (tree->alarms_count == 0) return NULL;
    alarm = tree->alarms[1];
    *next_ns = alarm->at_ns;
    if (alarm->at_ns > now_ns) return NULL;
    ward__alarm_clear_locked(node, alarm);
    return alarm;
}

/* -- users' timers ----------------------------------------------------------------------------- */

static void release(ward_node *node, struct ward__signal *signal)
{
    struct ward__timer *timer =
        (struct ward__timer *)((char *)signal - offsetof(struct ward__timer, signal));

    ward__mail_empty(&node->heap, &signal->mail);
    ward__free(&node->heap, timer, sizeof *timer);
}

static void unlink_timer(struct ward__inc *inc, struct ward__timer *timer)
{
    if (timer->prev)
        timer->prev->next = timer->next;
    else
        inc->timers = timer->next;
    if (timer->next) timer->next->prev = timer->prev;
}

void ward__tick_locked(struct ward__here *here, struct ward__alarm *alarm)
{
    struct ward__timer *timer =
        (struct ward__timer *)((char *)alarm - offsetof(struct ward__timer, alarm));

    ward__alarm_unreserve_locked(here->node);
    unlink_timer(timer->slot->inc, timer);
    ward__signal_put(here, timer->slot, &timer->signal);
}

void ward__timers_forget_locked(struct ward__here *here, struct ward__inc *inc)
{
    while (inc->timers) {
        struct ward__timer *timer = inc->timers;
        inc->timers = timer->next;
        ward__alarm_clear_locked(here->node, &timer->alarm);
        ward__alarm_unreserve_locked(here->node);
        release(here->node, &timer->signal);
    }
}

static ward_status start(struct ward__here *here, ward_self *self, struct ward__timer *timer,
    ward_timer *out, ward_deadline at)
{
    ward_node *node = here->node;
    struct ward__inc *inc;
    struct ward__timer *first;
    ward_status rc = WARD_OK;

    ward__tree_lock(node);
    inc = ward__inc_of(self);
    if (!inc || !ward__alarm_reserve_locked(node)) {
        rc = WARD_ENOMEM;
    } else {
        first = inc->timers;
        timer->next = first;
        if (first) first->prev = timer;
        inc->timers = timer;
        timer->slot = self->slot;
        timer->id = ++node->tree->timers_made;
        out->id = timer->id;
        if (at.ns != INT64_MAX) ward__alarm_set_locked(node, &timer->alarm, at.ns);
    }
    ward__tree_unlock(node);
    return rc;
}

ward_status ward_timer_start(
    ward_self *self, ward_timer *out, const ward_type *type, const void *value, ward_deadline at)
{
    struct ward__here here;
    struct ward__timer *timer;
    ward_status rc;

    if (!out || !type) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE || self->ending) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    timer = ward__alloc_zero(&here.node->heap, sizeof *timer);
    rc = timer ? ward__mail_fill(&here.node->pool, &timer->signal.mail, false, type, value)
               : WARD_ENOMEM;
    if (!rc) {
        ward__mail_set(&timer->signal.mail, WARD__MAIL_SIGNAL, 0);
        timer->signal.release = release;
        timer->alarm.is_tick = true;
        rc = start(&here, self, timer, out, at);
        if (rc) ward__mail_empty(&here.node->heap, &timer->signal.mail);
    }
    if (rc && timer) ward__free(&here.node->heap, timer, sizeof *timer);
    ward__leave(self);
    return rc;
}

/* One that has gone off may lie in the queue of signals. */
static struct ward__signal *pull_tick(struct ward__slot *slot, uint64_t id)
{
    struct ward__inc *inc = slot->inc;
    struct ward__signal *found = NULL;

    pthread_mutex_lock(slot->box.lock);
    for (struct ward__signal **at = &inc->signals; *at; at = &(*at)->next) {
        struct ward__timer *timer =
            (struct ward__timer *)((char *)*at - offsetof(struct ward__timer, signal));
        if ((*at)->release != release || timer->id != id) continue;
        found = *at;
        *at = found->next;
        if (!found->next) inc->signals_end = at;
        break;
    }
    pthread_mutex_unlock(slot->box.lock);
    return found;
}

void ward_timer_stop(ward_self *self, ward_timer which)
{
    struct ward__here here;
    struct ward__timer *timer;
    struct ward__signal *tick = NULL;

    if (self->kind == WARD__SELF_OUTSIDE || !self->inc) return;
    if (!ward__enter(self, &here)) return;
    ward__tree_lock(here.node);
    for (timer = self->inc->timers; timer && timer->id != which.id; timer = timer->next) {
    }
    if (timer) {
        ward__alarm_clear_locked(here.node, &timer->alarm);
        ward__alarm_unreserve_locked(here.node);
        unlink_timer(self->inc, timer);
        tick = &timer->signal;
    } else {
        tick = pull_tick(self->slot, which.id);
    }
    ward__tree_unlock(here.node);
    if (tick) tick->release(here.node, tick);
    ward__leave(self);
}
