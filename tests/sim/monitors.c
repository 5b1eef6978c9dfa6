/* SPDX-License-Identifier: MIT */
/*
 * monitors.c - simulation: watchers that begin and stop to watch at any moment, over targets that
 * end in every way, are restarted, wait to be, or are gone.
 *
 * Holds: one DOWN for each incarnation that was watched, of that incarnation, with the reason it
 * ended by, after all messages it had sent to the watcher; between two incarnations the next one is
 * meant; of a dead ref it comes at once; after ward_demonitor none comes, not even one that was
 * queued already; a watcher that is restarted has none of its predecessor's.
 */
#include "scenario.h"

enum { TARGETS = 4, WATCHERS = 3, INCS = 96, STUCK_MS = 30 };

struct number {
    uint32_t target;
    uint64_t incarnation, seq;
};
static const ward_type NUMBER = WARD_TYPE_PLAIN("number", struct number);
static const ward_type TICK = WARD_TYPE_EMPTY("tick");

struct world;
struct target {
    struct world *world;
    uint32_t index;
    bool body;
    ward_ref ref;
    bool started[INCS], ended[INCS];
    ward_reason reason[INCS];
    uint64_t sent[WATCHERS][INCS];
};

/* What a watcher is to be told of one target. */
struct expected {
    bool down[INCS];
    uint32_t nobody; /* DOWNs of a dead ref */
};

struct watcher {
    struct world *world;
    uint32_t index;
    bool body;
    ward_ref ref;
    struct expected expected[TARGETS];
    bool told[TARGETS][INCS];
    uint64_t seen[TARGETS][INCS];
};

struct world {
    struct target targets[TARGETS];
    struct watcher watchers[WATCHERS];
    bool calm; /* nobody fails any more, and nobody begins to watch */
    uint32_t downs, nobodies;
};

/* -- targets ----------------------------------------------------------------------------------- */

static uint64_t incarnation_of(const ward_self *self, ward_ref ref)
{
    return ward__load(&ward__slot(ward_node_of(self), ref.slot)->incarnation);
}

static void send_some(ward_self *self, struct target *target, uint64_t incarnation)
{
    struct watcher *watcher = &target->world->watchers[below(self, WATCHERS)];
    uint64_t *sent = &target->sent[watcher->index][incarnation];
    struct number number = { target->index, incarnation, *sent + 1 };
    ward_status rc = target->body && one_in(self, 3)
                         ? ward_send_by(self, watcher->ref, &NUMBER, &number, ward_in_ms(self, 3))
                         : ward_send(self, watcher->ref, &NUMBER, &number);

    if (rc == WARD_OK) *sent = number.seq;
}

/* *rc: how it ends; true: it goes on. */
static bool act(ward_self *self, struct target *target, ward_status *rc)
{
    uint64_t incarnation = *(uint64_t *)ward_state(self);

    for (uint32_t i = below(self, 3); i > 0; i--)
        send_some(self, target, incarnation);
    *rc = WARD_OK;
    if (target->world->calm) return true;
    switch (below(self, 24)) {
    case 0: *rc = WARD_EFAIL; return false;
    case 1: *rc = WARD_STOP; return false;
    case 2:
        *rc = ward_sim_hang(self, below(self, 2) ? 5 : 70);
        if (*rc == WARD_EFENCED) send_some(self, target, incarnation); /* is refused */
        return *rc == WARD_OK;
    case 3: ward_close_mail(self, ward_me(self)); return true;
    default: return true;
    }
}

static ward_status target_start(ward_self *self)
{
    struct target *target = ward_arg(self);
    uint64_t incarnation;
    ward_timer timer;

    target->ref = ward_me(self);
    incarnation = incarnation_of(self, target->ref);
    CHECK(incarnation < INCS && !target->started[incarnation]);
    *(uint64_t *)ward_state(self) = incarnation;
    target->started[incarnation] = true;
    if (!target->world->calm && one_in(self, 8)) return WARD_EFAIL;
    if (target->body) return WARD_OK;
    return ward_timer_start(self, &timer, &TICK, NULL, ward_in_ms(self, below(self, 6)));
}

static void target_ends(ward_self *self, ward_reason why)
{
    struct target *target = ward_arg(self);
    uint64_t incarnation = *(uint64_t *)ward_state(self);

    if (!incarnation) return;
    if (why == WARD_BY_STUCK) return; /* known since its quarantine */
    target->ended[incarnation] = true;
    target->reason[incarnation] = why;
}

static ward_status target_handler(ward_self *self, const ward_msg *msg)
{
    ward_timer timer;
    ward_status rc;

    CHECK(ward_is(msg, &TICK));
    if (!act(self, ward_arg(self), &rc)) return rc;
    return ward_timer_start(self, &timer, &TICK, NULL, ward_in_ms(self, below(self, 8)));
}

static ward_status target_body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        if (!act(self, ward_arg(self), &rc)) return rc;
        rc = ward_receive(self, &msg, ward_in_ms(self, 1 + below(self, 8)));
        if (rc == WARD_ETIMEDOUT) rc = WARD_OK;
    }
    return rc;
}

/* -- watchers ---------------------------------------------------------------------------------- */

static void watch(ward_self *self, struct watcher *watcher, const struct target *target)
{
    struct expected *expected = &watcher->expected[target->index];
    const struct ward__slot *slot = ward__slot(ward_node_of(self), target->ref.slot);

    if (!target->ref.slot) return;
    CHECK(ward_monitor(self, target->ref) == WARD_OK);
    /* Nothing has run since. */
    if (ward__life(slot) != target->ref.life)
        expected->nobody++;
    else
        expected->down[ward__load(&slot->incarnation)] = true;
}

static void look_away(ward_self *self, struct watcher *watcher, const struct target *target)
{
    ward_demonitor(self, target->ref);
    memset(&watcher->expected[target->index], 0, sizeof(struct expected));
}

static void watch_or_not(ward_self *self, struct watcher *watcher)
{
    const struct target *target = &watcher->world->targets[below(self, TARGETS)];

    if (watcher->world->calm || one_in(self, 2)) return;
    if (one_in(self, 4))
        look_away(self, watcher, target);
    else
        watch(self, watcher, target);
}

static struct target *find_target(struct world *world, ward_ref ref)
{
    for (int i = 0; i < TARGETS; i++)
        if (ward_same(world->targets[i].ref, ref)) return &world->targets[i];
    return NULL;
}

static void note_down(struct watcher *watcher, const ward_down *down)
{
    struct target *target = find_target(watcher->world, down->who);
    struct expected *expected;
    uint64_t incarnation = down->incarnation;

    CHECK(target);
    expected = &watcher->expected[target->index];
    if (down->reason == WARD_NOBODY) {
        CHECKF(expected->nobody > 0, "a DOWN of a dead ref that nobody watches");
        CHECK(down->final);
        expected->nobody--;
        watcher->world->nobodies++;
        return;
    }
    CHECK(incarnation > 0 && incarnation < INCS);
    CHECKF(expected->down[incarnation], "a DOWN of incarnation %llu, which is not watched",
        (unsigned long long)incarnation);
    expected->down[incarnation] = false;
    watcher->told[target->index][incarnation] = true;
    watcher->world->downs++;
    CHECKF(watcher->seen[target->index][incarnation] == target->sent[watcher->index][incarnation],
        "a DOWN comes after %llu of %llu messages",
        (unsigned long long)watcher->seen[target->index][incarnation],
        (unsigned long long)target->sent[watcher->index][incarnation]);
    if (target->started[incarnation])
        CHECKF(target->ended[incarnation] && down->reason == target->reason[incarnation],
            "a DOWN by %d, it ended by %d", (int)down->reason, (int)target->reason[incarnation]);
    else /* it waited for its restart, or was cancelled before it could begin */
        CHECKF(down->reason == WARD_BY_CANCEL, "a DOWN by %d of one that never ran",
            (int)down->reason);
}

static ward_status take(ward_self *self, struct watcher *watcher, const ward_msg *msg)
{
    const struct number *number = ward_value(msg, &NUMBER);
    ward_timer timer;

    if (ward_down_of(msg)) {
        note_down(watcher, ward_down_of(msg));
    } else if (number) {
        uint64_t *seen = &watcher->seen[number->target][number->incarnation];
        CHECKF(!watcher->told[number->target][number->incarnation], "a message after its DOWN");
        CHECK(number->seq == *seen + 1);
        *seen = number->seq;
    } else {
        CHECK(ward_is(msg, &TICK));
        CHECK(ward_timer_start(self, &timer, &TICK, NULL, ward_in_ms(self, 2)) == WARD_OK);
    }
    watch_or_not(self, watcher);
    return !watcher->world->calm && one_in(self, 60) ? WARD_EFAIL : WARD_OK;
}

static ward_status watcher_start(ward_self *self)
{
    struct watcher *watcher = ward_arg(self);
    ward_timer timer;

    watcher->ref = ward_me(self);
    memset(watcher->expected, 0, sizeof watcher->expected);
    return ward_timer_start(self, &timer, &TICK, NULL, ward_in_ms(self, 2));
}

static ward_status watcher_handler(ward_self *self, const ward_msg *msg)
{
    return take(self, ward_arg(self), msg);
}

static ward_status watcher_body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) rc = take(self, ward_arg(self), msg);
        if (!rc && one_in(self, 8)) rc = ward_sleep(self, ward_in_ms(self, below(self, 6)));
    }
    return rc;
}

/* -- the run ----------------------------------------------------------------------------------- */

static ward_status start_watchers(ward_self *self, struct world *world, ward_ref *sup)
{
    ward_spec specs[WATCHERS];

    for (uint32_t i = 0; i < WATCHERS; i++) {
        struct watcher *watcher = &world->watchers[i];
        watcher->world = world;
        watcher->index = i;
        watcher->body = one_in(self, 2);
        specs[i] = (ward_spec){ .arg = watcher,
            .start = watcher_start,
            .mailbox_max = 2 + 4 * i,
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 2,
            .backoff_max_ms = 4 };
        if (watcher->body)
            specs[i].body = watcher_body;
        else
            specs[i].handle = watcher_handler;
    }
    return ward_spawn(self, sup,
        &(ward_spec){
            .name = "watchers", .children = WARD_CHILDREN(specs), .restarts_max = WARD_UNLIMITED });
}

static ward_status start_targets(ward_self *self, struct world *world, ward_ref *sup)
{
    static const char *const names[] = { "t0", "t1", "t2", "t3" };
    ward_spec specs[TARGETS];

    for (uint32_t i = 0; i < TARGETS; i++) {
        struct target *target = &world->targets[i];
        target->world = world;
        target->index = i;
        target->body = one_in(self, 2);
        specs[i] = (ward_spec){ .name = names[i],
            .arg = target,
            .start = target_start,
            .cleanup = target_ends,
            .state_bytes = sizeof(uint64_t),
            .stuck_ms = STUCK_MS,
            .restart = one_in(self, 3) ? WARD_TRANSIENT : WARD_PERMANENT,
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 4,
            .backoff_max_ms = 25 };
        if (target->body)
            specs[i].body = target_body;
        else
            specs[i].handle = target_handler;
    }
    return ward_spawn(self, sup,
        &(ward_spec){ .name = "targets",
            .children = WARD_CHILDREN(specs),
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = 100,
            .strategy = (ward_strategy)below(self, 3) });
}

static void check_all_told(const struct world *world)
{
    for (int i = 0; i < WATCHERS; i++)
        for (int k = 0; k < TARGETS; k++) {
            const struct expected *expected = &world->watchers[i].expected[k];
            CHECKF(expected->nobody == 0, "watcher %d: no DOWN of target %d, dead", i, k);
            for (int n = 0; n < INCS; n++)
                CHECKF(!expected->down[n], "watcher %d: no DOWN of target %d, incarnation %d", i, k,
                    n);
        }
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref watchers, targets;
    ward_status rc = start_watchers(self, world, &watchers);

    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 5));
    if (!rc) rc = start_targets(self, world, &targets);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 40 + below(self, 300)));
    CHECK(rc == WARD_OK);
    ward_cancel(self, targets); /* some are between two incarnations */
    rc = ward_join(self, &targets, 1, ward_in_ms(self, 20000));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 20));
    world->calm = true;
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 200));
    CHECK(rc == WARD_OK);
    check_all_told(world);
    return rc;
}

static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;
    struct target *target;
    unsigned index;

    if (event->kind != WARD_EV_STUCK) return;
    CHECK(sscanf(event->path, "/main/targets/t%u", &index) == 1 && index < TARGETS);
    target = &world->targets[index];
    for (uint64_t i = INCS; i-- > 1;)
        if (target->started[i]) {
            CHECK(!target->ended[i]);
            target->ended[i] = true;
            target->reason[i] = WARD_BY_STUCK;
            return;
        }
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "monitors",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .on_event = on_event };

    return simulate(&scenario, argc, argv);
}
