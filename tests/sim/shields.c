/* SPDX-License-Identifier: MIT */
/*
 * shields.c - simulation: must-finish steps of workers that are cancelled, whose askers are
 * cancelled or run out of time, before, during and after them.
 *
 * Holds for each wait under a shield: it is never told to stop before the shield's time; it is over
 * by then, but for the slack of the wheel; and never with ETIMEDOUT before its own deadline or that
 * time. Afterwards the next wait says what was not to be seen. A cancelled worker has ended by its
 * stop_ms, and nobody is ever quarantined for a shield.
 */
#include "scenario.h"

enum { WORKERS = 3, ASKERS = 5, ASKS = 6, STOP_MS = 200 };

static const ward_type STEP = WARD_TYPE_EMPTY("step"), DONE = WARD_TYPE_EMPTY("done");

struct world;
struct worker {
    struct world *world;
    ward_ref ref;
    int64_t cancelled_ns; /* 0: it was not */
};

struct world {
    struct worker workers[WORKERS];
    ward_ref helper, hole;
    uint64_t stuck, shielded, kept_from, told_after;
};

/* Answers a little later. */
static ward_status helper(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && !(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        rc = ward_sleep(self, ward_in_ms(self, below(self, 4)));
        if (!rc) rc = ward_reply(self, msg, &DONE, NULL);
        if (rc == WARD_ETIMEDOUT || rc == WARD_EABANDONED) rc = WARD_OK;
    }
    return rc;
}

static ward_status hole(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

/* One of the waits, with its own deadline. */
static ward_status one_wait(ward_self *self, struct world *world, ward_deadline by, bool *requests)
{
    const ward_msg *answer;
    ward_ref to = one_in(self, 3) ? world->hole : world->helper;
    ward_call call;
    ward_status rc;

    *requests = false;
    switch (below(self, 4)) {
    case 0: return ward_sleep(self, by);
    case 1: return ward_ask(self, &answer, to, &STEP, NULL, by);
    case 2: return ward_send_by(self, world->hole, &STEP, NULL, by);
    default:
        *requests = true;
        rc = ward_request(self, &call, to, &STEP, NULL, by);
        if (!rc) rc = ward_await(self, &answer, by);
        if (!rc) rc = ward_status_of(answer);
        ward_forget(self, call);
        return rc;
    }
}

/* Until when a worker may be shielded at most: its stop cuts it short. */
static int64_t bound(const struct worker *worker, ward_deadline by)
{
    int64_t stop = worker->cancelled_ns + STOP_MS * SIM_MS;

    return worker->cancelled_ns && stop < by.ns ? stop : by.ns;
}

static bool is_stop(ward_status rc)
{
    return rc == WARD_ECANCELED || rc == WARD_EABANDONED;
}

/* Waits under a shield until it is over, or had enough. */
static ward_status step(ward_self *self, struct worker *worker, bool *over)
{
    ward_deadline by = one_in(self, 4) ? WARD_FOREVER : ward_in_ms(self, 1 + below(self, 30)), own;
    int64_t now, until;
    bool requests;
    ward_status rc = ward_shield(self, by);

    CHECK(rc == WARD_OK);
    CHECK(ward_by(self).ns <= by.ns || !ward__shielded(self));
    worker->world->shielded++;
    *over = false;
    for (int i = 0; i < 3 && !*over && ward__shielded(self); i++) {
        own = one_in(self, 4) ? WARD_FOREVER : ward_in_ms(self, 1 + below(self, 12));
        /* It may be preempted before it waits, and the shield fall meanwhile. */
        until = by.ns - ward_now_ns(self) > 2 * SIM_SLACK_NS ? by.ns : INT64_MAX;
        if (own.ns < until) until = own.ns;
        rc = one_wait(self, worker->world, own, &requests);
        now = ward_now_ns(self);
        if (until != INT64_MAX || worker->cancelled_ns)
            CHECKF(now <= bound(worker, (ward_deadline){ until }) + SIM_SLACK_NS,
                "%s, late by %lld", ward_strerror(rc), (long long)(now - until));
        if (rc == WARD_ETIMEDOUT) CHECK(now >= own.ns || now >= by.ns || worker->cancelled_ns);
        if (rc == WARD_ETIMEDOUT && now < own.ns && !requests) /* the shield's time: it says why */
            CHECK(!worker->cancelled_ns || worker->cancelled_ns > by.ns - SIM_SLACK_NS);
        /* Seven eighths of stop_ms at least, if it was cancelled. */
        if (is_stop(rc))
            CHECKF(
                now >= by.ns || (worker->cancelled_ns &&
                                    now >= worker->cancelled_ns + (STOP_MS / 8 * 7 - 1) * SIM_MS),
                "%s under a shield", ward_strerror(rc));
        if (!is_stop(rc) && (ward_cancelled(self))) worker->world->kept_from++;
        *over = is_stop(rc);
        if (rc == WARD_EFENCED) return rc;
    }
    return WARD_OK;
}

static ward_status worker(ward_self *self)
{
    struct worker *worker = ward_arg(self);
    const ward_msg *msg;
    bool over;
    ward_status rc = WARD_OK;

    while (!rc && !(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        CHECK(!ward__shielded(self));
        if (ward_kind_of(msg) != WARD_MAIL) continue;
        rc = step(self, worker, &over);
        if (one_in(self, 4)) continue; /* the next receive takes it down */
        ward_unshield(self);
        bool told = ward_cancelled(self);
        rc = ward_sleep(self, ward_in_ms(self, below(self, 3)));
        CHECK(!told || is_stop(rc));
        worker->world->told_after += is_stop(rc);
        if (!rc) rc = ward_reply(self, msg, &DONE, NULL);
        if (rc == WARD_ETIMEDOUT || rc == WARD_EABANDONED) rc = WARD_OK;
    }
    if (rc == WARD_ECANCELED && one_in(self, 2)) rc = step(self, worker, &over); /* last words */
    return WARD_OK;
}

static ward_status asker(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *answer;
    ward_status rc = WARD_OK;

    for (int i = 0; i < ASKS && rc != WARD_ECANCELED; i++)
        rc = ward_ask(self, &answer, world->workers[below(self, WORKERS)].ref, &STEP, NULL,
            ward_in_ms(self, below(self, 40)));
    return WARD_OK;
}

static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;

    world->stuck += event->kind == WARD_EV_STUCK;
}

static void start(ward_self *self, struct world *world, ward_ref askers[ASKERS])
{
    ward_status rc =
        ward_spawn(self, &world->helper, &(ward_spec){ .body = helper, .mailbox_max = 1 });

    if (!rc) rc = ward_spawn(self, &world->hole, &(ward_spec){ .body = hole, .mailbox_max = 2 });
    for (int i = 0; !rc && i < WORKERS; i++) {
        world->workers[i].world = world;
        rc = ward_spawn(self, &world->workers[i].ref,
            &(ward_spec){ .body = worker, .arg = &world->workers[i], .stop_ms = STOP_MS });
    }
    for (int i = 0; !rc && i < ASKERS; i++)
        rc = ward_spawn(self, &askers[i], &(ward_spec){ .body = asker, .arg = world });
    CHECK(rc == WARD_OK);
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref askers[ASKERS];
    ward_status rc = WARD_OK;

    start(self, world, askers);
    for (int i = 0; !rc && i < 4; i++) {
        struct worker *worker = &world->workers[below(self, WORKERS)];
        rc = ward_sleep(self, ward_in_ms(self, below(self, 30)));
        if (one_in(self, 2)) {
            ward_cancel(self, askers[below(self, ASKERS)]);
        } else if (!worker->cancelled_ns) {
            worker->cancelled_ns = ward_now_ns(self);
            ward_cancel(self, worker->ref);
            rc = ward_join(self, &worker->ref, 1, ward_in_ms(self, STOP_MS + 8));
            CHECKF(rc == WARD_OK, "a cancelled worker: %s", ward_strerror(rc));
        }
    }
    if (!rc) rc = ward_join(self, askers, ASKERS, ward_in_ms(self, 10000));
    CHECK(rc == WARD_OK);
    for (int i = 0; i < WORKERS; i++) {
        struct worker *worker = &world->workers[i];
        if (!worker->cancelled_ns) worker->cancelled_ns = ward_now_ns(self);
        ward_cancel(self, worker->ref);
        rc = ward_join(self, &worker->ref, 1, ward_in_ms(self, STOP_MS + 8));
        CHECKF(rc == WARD_OK, "a cancelled worker: %s", ward_strerror(rc));
    }
    return WARD_OK;
}

static struct {
    uint64_t shielded, kept_from, told_after;
} all;

static void after(void *arg)
{
    const struct world *world = arg;

    CHECK(world->stuck == 0);
    all.shielded += world->shielded;
    all.kept_from += world->kept_from;
    all.told_after += world->told_after;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "shields",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .after = after,
        .on_event = on_event };
    int rc = simulate(&scenario, argc, argv);

    printf("%llu shields, %llu waits that would have ended, %llu told after\n",
        (unsigned long long)all.shielded, (unsigned long long)all.kept_from,
        (unsigned long long)all.told_after);
    return rc;
}
