/* SPDX-License-Identifier: MIT */
/*
 * isolate_inside.c - the process of an isolate: a node with one actor in it.
 *
 * The main thread reads what the host writes and delivers it like any sender; the actor runs on
 * the node's worker as ever. Everybody else lives elsewhere for it: what it wants of them goes
 * through the route, which calls the host on the second socket and waits for the result, so a send
 * that returned well is in its mailbox there. Answers, and that messages are done, are only told.
 *
 * Messages the host gave are numbered by it; a record of one holds its number in the place of a
 * token's cell. Whether who asked still waits is looked up in a table under a lock. There is no
 * orderly end: when the actor has ended, or the host, so does the process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "mailbox/value.h"
#include "supervisor/isolate.h"

enum { CALLS_FIRST = 16, PLACE_BITS = 24 };

/* A question of the host's that is not over. */
struct call {
    uint64_t id; /* 0: free */
    int64_t until_ns;
    uint32_t next_free;
};

struct inside {
    struct ward__inside outer; /* what the node shows of it; first */
    struct ward__route route;
    struct ward__tree_ops ops;
    struct ward__inside_args args;
    ward_node *node;
    ward_ref actor;
    bool failed; /* it has: what it kept is in doubt */
    ward_status status;
    pthread_mutex_t calling; /* the second socket */
    pthread_mutex_t lock; /* the two tables */
    struct call *calls;
    uint32_t calls_room, call_free;
    struct ward__watch **watches;
    size_t watches_count, watches_room;
    struct ward__iso_buffer buffer;
};

/* One a process; tree ops come without an argument. */
static struct inside inside;

static void tell(struct ward__iso_frame *frame)
{
    if (ward__iso_put(inside.args.mail, frame, NULL, 0, NULL) == WARD_ELINK) _exit(0);
}

/* -- questions of the host ----------------------------------------------------------------------
 */

static bool grow_calls(void)
{
    uint32_t room = inside.calls_room ? 2 * inside.calls_room : CALLS_FIRST;
    struct call *calls;

    if (room >= 1u << PLACE_BITS) return false;
    calls = realloc(inside.calls, room * sizeof *calls);
    if (!calls) return false;
    for (uint32_t i = inside.calls_room; i < room; i++)
        calls[i] = (struct call){ .next_free = i + 1 < room ? i + 1 : UINT32_MAX };
    inside.call_free = inside.calls_room;
    inside.calls = calls;
    inside.calls_room = room;
    return true;
}

/* Its place; UINT32_MAX: no memory. */
static uint32_t call_open(uint64_t id, int64_t until_ns)
{
    uint32_t place = UINT32_MAX;

    pthread_mutex_lock(&inside.lock);
    if (inside.call_free != UINT32_MAX || grow_calls()) {
        place = inside.call_free;
        inside.call_free = inside.calls[place].next_free;
        inside.calls[place].id = id;
        inside.calls[place].until_ns = until_ns;
    }
    pthread_mutex_unlock(&inside.lock);
    return place;
}

static void call_close_locked(uint32_t place)
{
    inside.calls[place].id = 0;
    inside.calls[place].next_free = inside.call_free;
    inside.call_free = place;
}

/* UINT32_MAX: it is over. */
static uint32_t call_find_locked(uint64_t id)
{
    for (uint32_t i = 0; i < inside.calls_room; i++)
        if (inside.calls[i].id == id) return i;
    return UINT32_MAX;
}

static void call_over(uint64_t id)
{
    uint32_t place;

    pthread_mutex_lock(&inside.lock);
    place = call_find_locked(id);
    if (place != UINT32_MAX) call_close_locked(place);
    pthread_mutex_unlock(&inside.lock);
}

static bool route_waits(void *arg, struct ward__token who, int64_t *deadline_ns)
{
    uint32_t place = who.asker & ~WARD__REMOTE;
    bool waits;

    (void)arg;
    pthread_mutex_lock(&inside.lock);
    waits = place < inside.calls_room && inside.calls[place].id == who.cell;
    if (waits) *deadline_ns = inside.calls[place].until_ns;
    pthread_mutex_unlock(&inside.lock);
    return waits && *deadline_ns > ward__now_ns();
}

/* Who holds them is the host's to know. */
static _Atomic uint32_t *route_holder(void *arg, struct ward__token who)
{
    (void)arg, (void)who;
    return NULL;
}

/* -- calls of the host ------------------------------------------------------------------------- */

/* Waits for the result of what was just written; `calling` is held. */
static ward_status result(ward_ref *ref)
{
    static struct ward__iso_buffer buffer;
    struct ward__iso_got got;

    if (ward__iso_get(inside.args.call, &got, &buffer, 0)) _exit(0); /* the host is gone */
    if (ref) *ref = got.head.ref;
    ward__iso_release(&got);
    return (ward_status)got.head.status;
}

static ward_status call(struct ward__iso_frame *frame, const char *body, ward_ref *ref)
{
    ward_status rc;

    pthread_mutex_lock(&inside.calling);
    rc = ward__iso_put(inside.args.call, frame, body, body ? strlen(body) : 0, NULL);
    if (rc == WARD_ELINK) _exit(0);
    if (!rc) rc = result(ref);
    pthread_mutex_unlock(&inside.calling);
    return rc;
}

static ward_status call_with(
    struct ward__iso_frame *frame, const ward_type *type, const void *value)
{
    size_t bytes;
    bool has_blobs;
    ward_status rc;

    if (!type) return WARD_EINVAL;
    rc = ward__value_bytes(type, value, inside.args.limits.message_bytes_max, &bytes, &has_blobs);
    if (rc) return rc;
    pthread_mutex_lock(&inside.calling);
    rc = ward__iso_put_value(inside.args.call, frame, inside.args.table, type, value);
    if (rc == WARD_ELINK) _exit(0);
    if (!rc) rc = result(NULL);
    pthread_mutex_unlock(&inside.calling);
    return rc;
}

static ward_status route_send(void *arg, ward_ref to, const ward_type *type, const void *value)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_SEND, .ref = to };

    (void)arg;
    return call_with(&frame, type, value);
}

static ward_status route_ask(
    void *arg, struct ward__token from, ward_ref to, const struct ward__question *question)
{
    struct ward__iso_frame frame = {
        .kind = WARD__ISO_ASK, .ref = to, .id = from.cell, .ns = question->deadline_ns
    };

    frame.incarnation = from.asker;

    (void)arg;
    if (from.asker < WARD__REMOTE) return call_with(&frame, question->type, question->value);
    frame.kind = WARD__ISO_FORWARD; /* the host has it still */
    return call(&frame, NULL, NULL);
}

static bool route_await(void *arg, struct ward__token who, ward_ref to)
{
    (void)arg, (void)who, (void)to;
    return true; /* it looks again soon */
}

static void route_forget(void *arg, struct ward__token token)
{
    struct ward__iso_frame frame = {
        .kind = WARD__ISO_FORGET, .id = token.cell, .incarnation = token.asker
    };

    (void)arg;
    tell(&frame);
}

static ward_status route_find(
    void *arg, struct ward__token from, const char *node, const char *path, int64_t by_ns)
{
    (void)arg, (void)from, (void)node, (void)path, (void)by_ns;
    return WARD_ESTATE; /* everything is looked for with `look` */
}

static ward_status route_look(void *arg, ward_ref *out, const char *path)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_FIND };
    ward_ref ref;
    ward_status rc = strlen(path) < WARD__PATH_MAX ? call(&frame, path, &ref) : WARD_EINVAL;

    (void)arg;
    if (!rc) *out = ref;
    return rc;
}

static ward_status route_answer(void *arg, struct ward__token to, ward_status status, uint32_t mail)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_REPLY, .id = to.cell, .status = status };
    struct ward_msg *answer = mail ? ward__mail(&inside.node->pool, mail) : NULL;
    ward_status rc;

    (void)arg;
    if (!answer) {
        tell(&frame);
        return WARD_OK;
    }
    rc = ward__iso_put_value(inside.args.mail, &frame, inside.args.table, answer->type,
        ward_value(answer, answer->type));
    if (rc == WARD_ELINK) _exit(0);
    if (rc != WARD_ENOMEM) return rc;
    frame.status = WARD_ENOREPLY; /* the question was handled: it is in doubt */
    frame.type = frame.in_memfd = 0;
    tell(&frame);
    return WARD_OK;
}

static void route_cancel(void *arg, ward_ref whom, bool mail_only)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_STOP, .ref = whom };

    (void)arg;
    if (!mail_only) frame.bits = WARD__ISO_BIT_FINAL;
    (void)call(&frame, NULL, NULL);
}

/* -- monitors ---------------------------------------------------------------------------------- */

static bool watch_add(struct ward__watch *watch)
{
    size_t room = inside.watches_room ? 2 * inside.watches_room : 16;
    struct ward__watch **watches = inside.watches;

    if (inside.watches_count == inside.watches_room) {
        watches = realloc(watches, room * sizeof *watches);
        if (!watches) return false;
        inside.watches = watches;
        inside.watches_room = room;
    }
    watches[inside.watches_count++] = watch;
    return true;
}

static void watch_take(const struct ward__watch *watch)
{
    for (size_t i = 0; i < inside.watches_count; i++)
        if (inside.watches[i] == watch) inside.watches[i] = inside.watches[--inside.watches_count];
}

/* Under the tree lock of this node, so its DOWN waits until it stands in the table. */
static ward_status route_monitor(void *arg, struct ward__watch *watch, ward_ref whom)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_MONITOR, .ref = whom };
    ward_status rc = call(&frame, NULL, NULL);

    if (!rc && !watch_add(watch)) rc = WARD_ENOMEM;
    if (!rc) watch->remote = arg;
    return rc;
}

static void route_demonitor(void *arg, struct ward__watch *watch)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_DEMONITOR, .ref = watch->whom };

    (void)arg;
    watch_take(watch);
    watch->remote = NULL;
    (void)call(&frame, NULL, NULL);
}

static void down(const struct ward__iso_frame *head)
{
    struct ward__here here = { inside.node, NULL, NULL };
    ward_down news = { .who = head->ref,
        .reason = (ward_reason)head->reason,
        .status = (ward_status)head->status,
        .final = head->bits & WARD__ISO_BIT_FINAL,
        .signal = head->signal,
        .exit_code = head->exit_code,
        .incarnation = head->incarnation };

    ward__tree_lock(inside.node);
    for (size_t i = 0; i < inside.watches_count; i++) {
        struct ward__watch *watch = inside.watches[i];
        if (!ward_same(watch->whom, head->ref)) continue;
        watch_take(watch);
        watch->remote = NULL;
        ward__watch_tell_locked(&here, watch, &news);
        break;
    }
    ward__tree_unlock(inside.node);
}

/* -- news for the host ------------------------------------------------------------------------- */

static void route_done(void *arg, uint64_t id, enum ward__fate fate)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_DONE, .id = id, .bits = fate };

    (void)arg;
    if (fate == WARD__FATES && inside.failed) frame.bits = WARD__IN_DOUBT;
    call_over(id);
    tell(&frame);
}

static void route_kept(void *arg, uint64_t id)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_KEPT, .id = id };

    (void)arg;
    tell(&frame);
}

static void route_stuck(void *arg)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_STUCK };

    (void)arg;
    tell(&frame);
}

static void route_nothing(void *arg)
{
    (void)arg;
}

static void route_close(void *arg, int64_t by_ns)
{
    (void)arg, (void)by_ns;
}

static _Noreturn void end(void)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_ENDED, .status = inside.status };

    (void)fflush(NULL);
    tell(&frame);
    _exit(0);
}

static void started(struct ward__here *here, struct ward__slot *slot)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_STARTED };

    ward__tree_ops.started(here, slot);
    tell(&frame);
}

static bool over(
    struct ward__here *here, struct ward__slot *slot, struct ward__outcome outcome, bool bare)
{
    inside.status = outcome.status;
    inside.failed = outcome.reason == WARD_BY_FAILURE;
    if (bare) end();
    return ward__tree_ops.over(here, slot, outcome, false);
}

static void finished(struct ward__here *here, struct ward__slot *slot)
{
    (void)here, (void)slot;
    end();
}

/* -- what the host says ------------------------------------------------------------------------ */

static void limit(int what, rlim_t most)
{
    struct rlimit limits;

    if (getrlimit((__rlimit_resource_t)what, &limits)) return;
    if (limits.rlim_max != RLIM_INFINITY && limits.rlim_max < most) most = limits.rlim_max;
    limits = (struct rlimit){ most, most };
    (void)setrlimit((__rlimit_resource_t)what, &limits);
}

static void limit_all(const struct ward__iso_start *start)
{
    FILE *file = start->memory_max ? fopen("/proc/self/statm", "re") : NULL;
    unsigned long pages = 0;

    if (start->cpu_s) limit(RLIMIT_CPU, start->cpu_s);
    if (file && fscanf(file, "%lu", &pages) == 1)
        limit(RLIMIT_AS, (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + start->memory_max);
    if (file) (void)fclose(file);
    if (start->files_max) limit(RLIMIT_NOFILE, start->files_max);
}

/* The argument is copied once more, as of any actor that is spawned. */
static void begin(const struct ward__iso_got *got)
{
    struct ward__iso_start start;
    const struct ward__iso_frame frame = { .kind = WARD__ISO_STARTED };
    ward_spec room, spec;

    ward__assert(got->head.body_bytes >= sizeof start);
    memcpy(&start, got->body, sizeof start);
    limit_all(&start);
    inside.outer.me = start.me;
    inside.outer.parent = start.parent;
    spec = *ward__spec_nth(&inside.args.table->specs, start.place, &room);
    spec = (ward_spec){
        .handle = spec.handle, .body = spec.body, .start = spec.start, .cleanup = spec.cleanup
    };
    spec.name = start.name[0] && start.name[0] != '#' ? start.name : NULL;
    spec.arg_bytes = start.arg_bytes;
    if (start.arg_bytes) spec.arg = (char *)(uintptr_t)got->body + sizeof start;
    spec.state_bytes = start.state_bytes;
    spec.stack_bytes = (uint32_t)start.stack_bytes;
    spec.idle_ms = start.idle_ms;
    spec.on_idle = start.on_idle;
    spec.stuck_ms = start.stuck_ms;
    spec.mailbox_max = start.mailbox_max < WARD__BOUND_MAX ? start.mailbox_max + 1 : 0;
    spec.mailbox_bytes = PTRDIFF_MAX;
    spec.drain_on_stop = start.drain_on_stop;
    spec.blocking = start.blocking;
    spec.restart = WARD_TEMPORARY;
    spec.start_ms = spec.stop_ms = WARD_UNLIMITED; /* the host sees to these */
    if (ward_spawn_at(ward_outside(inside.node), &inside.actor, &spec,
            (ward_site){ "isolate", "ward_isolate_main", sizeof spec }))
        _exit(1);
    inside.outer.sealed = true;
    if (spec.handle && !spec.start) tell((struct ward__iso_frame *)(uintptr_t)&frame);
}

/* A record in the actor's own mailbox. What does not fit into memory ends the process: the host
 * has it still. */
static void deliver(const struct ward__iso_got *got)
{
    struct ward__here here = { inside.node, NULL, NULL };
    struct ward__packed packed =
        ward__iso_packed(got, inside.args.table, inside.args.limits.blob_bytes_max);
    struct ward__slot *slot = ward__slot(inside.node, inside.actor.slot);
    bool asks = got->head.bits & WARD__ISO_BIT_ASKS;
    uint32_t index = ward__mail_get(&inside.node->pool, NULL), place = 0;
    struct ward_msg *mail = ward__mail(&inside.node->pool, index);

    if (asks) place = call_open(got->head.id, got->head.ns);
    if (!index || !packed.type || place == UINT32_MAX ||
        ward__unpack(&inside.node->pool, mail, true, &packed))
        _exit(1);
    mail->u.ask.cell = got->head.id;
    mail->u.ask.asker = WARD__REMOTE | place;
    ward__mail_set(mail, WARD__MAIL_GIVEN, asks ? 0 : WARD__MAIL_ASK);
    if (ward__deliver(&here, slot, inside.actor.life, index)) /* it has ended by now */
        ward__mail_free(&here, index);
}

static void answer(const struct ward__iso_got *got)
{
    struct ward__here here = { inside.node, NULL, NULL };
    struct ward__token token = { got->head.id, (uint32_t)got->head.incarnation };
    struct ward__packed packed =
        ward__iso_packed(got, inside.args.table, inside.args.limits.blob_bytes_max);
    ward_status rc = (ward_status)got->head.status;
    uint32_t index = 0;

    if (!rc) {
        index = ward__mail_get(&inside.node->pool, NULL);
        rc = !index || !packed.type ? WARD_ENOMEM
                                    : ward__unpack(&inside.node->pool,
                                          ward__mail(&inside.node->pool, index), false, &packed);
        if (rc && index) ward__mail_put(&inside.node->pool, NULL, index);
        if (rc) index = 0;
    }
    (void)ward__answer(&here, token, rc, index);
}

static void abandoned(uint64_t id)
{
    struct ward__here here = { inside.node, NULL, NULL };
    struct ward__token token = { .cell = id };
    uint32_t place;

    pthread_mutex_lock(&inside.lock);
    place = call_find_locked(id);
    if (place != UINT32_MAX) call_close_locked(place);
    pthread_mutex_unlock(&inside.lock);
    if (place == UINT32_MAX) return;
    token.asker = WARD__REMOTE | place;
    ward__abandon(&here, inside.actor.slot, token);
}

static void serve(const struct ward__iso_got *got)
{
    switch ((enum ward__iso_kind)got->head.kind) {
    case WARD__ISO_START: begin(got); return;
    case WARD__ISO_MAIL: deliver(got); return;
    case WARD__ISO_ANSWER: answer(got); return;
    case WARD__ISO_DOWN: down(&got->head); return;
    case WARD__ISO_CANCEL: ward_cancel(ward_outside(inside.node), inside.actor); return;
    case WARD__ISO_CLOSE: ward_close_mail(ward_outside(inside.node), inside.actor); return;
    case WARD__ISO_ABANDON: abandoned(got->head.id); return;
    default: _exit(1);
    }
}

ward_node *ward__inside_node(const struct ward__inside_limits *limits, const ward_table *table)
{
    ward_opts opts = { .name = "isolate",
        .table = table,
        .workers = 1,
        .blocking_max = 1,
        .actors_max = 8,
        .message_bytes_max = limits->message_bytes_max,
        .blob_bytes_max = limits->blob_bytes_max,
        .bytes_max = limits->bytes_max };
    ward_node *node = NULL;

    return ward__open_still(&node, &opts) ? NULL : node;
}

static void open_node(void)
{
    inside.node = inside.args.node;
    if (!inside.node || ward__open_forked(inside.node)) _exit(1);
    inside.ops = ward__tree_ops;
    inside.ops.started = started;
    inside.ops.over = over;
    inside.ops.finished = finished;
    inside.node->ops = &inside.ops;
    inside.node->inside = &inside.outer;
    ward__store_rel(&inside.node->route, &inside.route);
}

void ward__inside_main(const struct ward__inside_args *args)
{
    inside.args = *args;
    inside.call_free = UINT32_MAX;
    pthread_mutex_init(&inside.lock, NULL);
    pthread_mutex_init(&inside.calling, NULL);
    inside.route = (struct ward__route){ .arg = &inside,
        .send = route_send,
        .ask = route_ask,
        .find = route_find,
        .forget = route_forget,
        .answer = route_answer,
        .waits = route_waits,
        .holder = route_holder,
        .await = route_await,
        .monitor = route_monitor,
        .demonitor = route_demonitor,
        .cancel = route_cancel,
        .stop = route_nothing,
        .close = route_close,
        .free = route_nothing,
        .done = route_done,
        .kept = route_kept,
        .stuck = route_stuck,
        .look = route_look };
    open_node();
    for (;;) {
        struct ward__iso_got got;
        ward_status rc = ward__iso_get(inside.args.mail, &got, &inside.buffer, SIZE_MAX);
        if (rc) _exit(rc == WARD_ELINK ? 0 : 1);
        serve(&got);
        ward__iso_release(&got);
    }
}
