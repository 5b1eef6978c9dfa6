/* SPDX-License-Identifier: MIT */
/*
 * alarm.c - cold timers: starts, stops, backoffs, users' timers and the deadlines of requests, in
 * one binary heap a node under the tree lock. The clock thread takes what is due. Room is reserved
 * when an actor or a timer is made, so that setting an alarm cannot fail: a stop must not need
 * memory.
 *
 * An actor's alarm is set and cleared far more often than it goes off, so the heap holds it lazily,
 * as a wheel does: clearing it, or moving it to a later time, is a store, and the heap looks at it
 * when its old time comes. Its place in the heap, and the room for it, are the slot's for ever. A
 * user's timer is freed, so it is taken out.
 */
#include "actors/request.h"
#include "base/assert.h"
#include "supervisor/tree.h"

static bool grow(ward_node *node)
{
    struct ward__tree *tree = node->tree;
    uint32_t room = tree->alarms_room ? tree->alarms_room * 2 : 64;
    struct ward__alarm_entry *alarms;

    if (tree->alarms_wanted + 1 < tree->alarms_room) return true;
    alarms = ward__realloc(
        &node->heap, tree->alarms, tree->alarms_room * sizeof *alarms, room * sizeof *alarms);
    if (!alarms) return false;
    tree->alarms = alarms;
    tree->alarms_room = room;
    return true;
}

bool ward__alarm_reserve_locked(ward_node *node, struct ward__alarm *alarm)
{
    if (alarm->reserved) return true;
    if (!grow(node)) return false;
    node->tree->alarms_wanted++;
    alarm->reserved = true;
    return true;
}

static void put(struct ward__tree *tree, uint32_t place, struct ward__alarm_entry entry)
{
    tree->alarms[place] = entry;
    entry.alarm->place = place;
}

static void rise(struct ward__tree *tree, uint32_t place)
{
    struct ward__alarm_entry entry = tree->alarms[place];

    for (; place > 1 && tree->alarms[place / 2].at_ns > entry.at_ns; place /= 2)
        put(tree, place, tree->alarms[place / 2]);
    put(tree, place, entry);
}

static void sink(struct ward__tree *tree, uint32_t place)
{
    struct ward__alarm_entry entry = tree->alarms[place];

    for (;;) {
        uint32_t child = place * 2;
        if (child > tree->alarms_count) break;
        if (child < tree->alarms_count && tree->alarms[child + 1].at_ns < tree->alarms[child].at_ns)
            child++;
        if (tree->alarms[child].at_ns >= entry.at_ns) break;
        put(tree, place, tree->alarms[child]);
        place = child;
    }
    put(tree, place, entry);
}

static void take_out(struct ward__tree *tree, struct ward__alarm *alarm)
{
    uint32_t place = alarm->place;
    struct ward__alarm_entry last = tree->alarms[tree->alarms_count--];

    alarm->place = 0;
    if (last.alarm == alarm) return;
    put(tree, place, last);
    rise(tree, place);
    sink(tree, last.alarm->place);
}

void ward__alarm_set_locked(ward_node *node, struct ward__alarm *alarm, int64_t at_ns)
{
    struct ward__tree *tree = node->tree;

    alarm->at_ns = at_ns;
    if (at_ns == INT64_MAX) return;
    if (!alarm->place) {
        ward__assert(alarm->reserved && tree->alarms_count + 1 < tree->alarms_room);
        put(tree, ++tree->alarms_count, (struct ward__alarm_entry){ at_ns, alarm });
    } else if (tree->alarms[alarm->place].at_ns <= at_ns) {
        return;
    }
    tree->alarms[alarm->place].at_ns = at_ns;
    rise(tree, alarm->place);
    if (alarm->place == 1) ward__clock_ring(node);
}

void ward__alarm_clear_locked(struct ward__alarm *alarm)
{
    alarm->at_ns = INT64_MAX;
}

bool ward__alarm_armed(const struct ward__alarm *alarm)
{
    return alarm->place && alarm->at_ns != INT64_MAX;
}

void ward__alarm_end_locked(ward_node *node, struct ward__alarm *alarm)
{
    if (alarm->place) take_out(node->tree, alarm);
    ward__assert(alarm->reserved && node->tree->alarms_wanted > 0);
    alarm->reserved = false;
    node->tree->alarms_wanted--;
}

/* What was cleared or moved is found when its old time comes, and not before: a million actors that
 * are cancelled and end at once must not be taken out one by one. */
struct ward__alarm *ward__alarm_due_locked(ward_node *node, int64_t now_ns, int64_t *next_ns)
{
    struct ward__tree *tree = node->tree;

    *next_ns = INT64_MAX;
    while (tree->alarms_count) {
        struct ward__alarm *alarm = tree->alarms[1].alarm;
        if (tree->alarms[1].at_ns > now_ns) {
            *next_ns = tree->alarms[1].at_ns;
            return NULL;
        }
        if (alarm->at_ns == INT64_MAX) { /* cleared since */
            take_out(tree, alarm);
        } else if (alarm->at_ns > tree->alarms[1].at_ns) { /* moved since */
            tree->alarms[1].at_ns = alarm->at_ns;
            sink(tree, 1);
        } else {
            take_out(tree, alarm);
            return alarm;
        }
    }
    return NULL;
}

/* -- the deadlines of requests ------------------------------------------------------------------
 */

ward_status ward__requests_at(struct ward__here *here, struct ward__alarm *alarm, int64_t at_ns)
{
    ward_node *node = here->node;
    ward_status rc = WARD_OK;

    ward__tree_lock(node);
    alarm->of = WARD__ALARM_REQUESTS;
    if (!ward__alarm_reserve_locked(node, alarm))
        rc = WARD_ENOMEM;
    else if (!ward__alarm_armed(alarm) || at_ns < alarm->at_ns)
        ward__alarm_set_locked(node, alarm, at_ns);
    ward__tree_unlock(node);
    return rc;
}

void ward__requests_look_locked(struct ward__here *here, struct ward__alarm *alarm, int64_t now_ns)
{
    struct ward__inc *inc =
        (struct ward__inc *)((char *)alarm - offsetof(struct ward__inc, asks.alarm));

    ward__alarm_set_locked(here->node, alarm, ward__requests_expire(here, inc, now_ns));
}

/* -- users' timers ----------------------------------------------------------------------------- */

static void release(struct ward__here *here, struct ward__signal *signal)
{
    ward_node *node = here->node;
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

    ward__alarm_end_locked(here->node, alarm);
    unlink_timer(timer->slot->inc, timer);
    ward__signal_put(here, timer->slot, &timer->signal);
}

void ward__timers_forget_locked(struct ward__here *here, struct ward__inc *inc)
{
    while (inc->timers) {
        struct ward__timer *timer = inc->timers;
        inc->timers = timer->next;
        ward__alarm_end_locked(here->node, &timer->alarm);
        release(here, &timer->signal);
    }
    if (inc->asks.slot) ward__requests_void(here, inc);
    if (inc->asks.alarm.reserved) ward__alarm_end_locked(here->node, &inc->asks.alarm);
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
    if (!inc || !ward__alarm_reserve_locked(node, &timer->alarm)) {
        rc = WARD_ENOMEM;
    } else {
        first = inc->timers;
        timer->next = first;
        if (first) first->prev = timer;
        inc->timers = timer;
        timer->slot = self->slot;
        timer->id = ++node->tree->timers_made;
        out->id = timer->id;
        ward__alarm_set_locked(node, &timer->alarm, at.ns);
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
        timer->alarm.of = WARD__ALARM_TICK;
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
        ward__alarm_end_locked(here.node, &timer->alarm);
        unlink_timer(self->inc, timer);
        tick = &timer->signal;
    } else {
        tick = pull_tick(self->slot, which.id);
    }
    ward__tree_unlock(here.node);
    if (tick) tick->release(&here, tick);
    ward__leave(self);
}
