/* SPDX-License-Identifier: MIT */
/*
 * close_drain.c - simulation: mailboxes that are closed, and actors that drain when cancelled,
 * while senders are parked at them and some of them crash.
 *
 * Holds: whatever a mailbox has accepted is handled, or was in hand in a crash; a crash in
 * mid-drain is restarted to finish the rest, also when there was none; a parked sender learns of
 * the close at once; the end is by close, and a join sees it. An actor with drain_on_stop handles
 * all that is queued and then sees the cancel; one without sends it to dead letters, each counted.
 */
#include "scenario.h"

enum { WORKERS = 4, SENDERS = 4, KEPT = 2 };

struct image {
    uint32_t number;
    const char *pixels;
};
static const ward_field IMAGE_FIELDS[] = {
    WARD_FIELD(struct image, UINT, number),
    WARD_FIELD(struct image, TEXT, pixels),
};
static const ward_type IMAGE = WARD_TYPE("image", struct image, IMAGE_FIELDS);

struct world;
struct worker {
    struct world *world;
    ward_ref ref;
    bool body, drains, crashes;
    uint64_t accepted, seen, in_doubt;
    int64_t closed_ns; /* 0: open */
    bool ended, cancelled;
};

struct world {
    struct worker workers[WORKERS];
    bool cancels; /* they are cancelled, not closed */
    bool quiet; /* the senders are to stop */
    uint64_t dead_letters;
};

/* -- workers ----------------------------------------------------------------------------------- */

struct held {
    ward_msg *kept[KEPT];
    uint32_t count;
};

static ward_status hold(ward_self *self, const ward_msg *msg)
{
    struct held *held = ward_state(self);

    if (held->count == KEPT) {
        ward_drop(self, held->kept[0]);
        held->kept[0] = held->kept[--held->count];
    }
    return ward_keep(self, &held->kept[held->count++], msg);
}

static void let_go(ward_self *self)
{
    struct held *held = ward_state(self);

    while (held->count > 0)
        ward_drop(self, held->kept[--held->count]);
}

static ward_status work(ward_self *self, struct worker *worker, const ward_msg *msg)
{
    const struct image *image = ward_value(msg, &IMAGE);
    struct held *held = ward_state(self);
    ward_status rc = WARD_OK;

    CHECK(image && !worker->ended);
    worker->seen++;
    if (one_in(self, 4)) rc = ward_sim_hang(self, below(self, 4));
    if (!rc && worker->crashes && one_in(self, 6)) {
        worker->in_doubt += 1 + held->count;
        return WARD_EFAIL;
    }
    if (!rc && worker->crashes && one_in(self, 3)) rc = hold(self, msg);
    CHECK(rc == WARD_OK);
    if (held->count == KEPT) let_go(self);
    return rc;
}

static ward_status handle(ward_self *self, const ward_msg *msg)
{
    if (ward_kind_of(msg) != WARD_IDLE) return work(self, ward_arg(self), msg);
    let_go(self);
    return WARD_OK;
}

/* A cancelled body that drains: each wait but receive says so from the start. */
static ward_status rest(ward_self *self, const struct worker *worker)
{
    bool cancelled = ward_cancelled(self);
    ward_status rc = ward_sleep(self, ward_in_ms(self, 1));

    CHECKF(rc == WARD_OK || (rc == WARD_ECANCELED && worker->cancelled), "sleep: %s",
        ward_strerror(rc));
    if (cancelled) CHECK(rc == WARD_ECANCELED);
    return worker->drains ? WARD_OK : rc;
}

static ward_status body(ward_self *self)
{
    struct worker *worker = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, ward_in_ms(self, 10));
        if (rc == WARD_ETIMEDOUT) {
            let_go(self);
            rc = WARD_OK;
        } else if (!rc) {
            rc = work(self, worker, msg);
            if (!rc && one_in(self, 4)) rc = rest(self, worker);
        }
    }
    if (rc == WARD_ECANCELED) {
        CHECK(worker->cancelled);
        if (one_in(self, 2)) CHECK(ward_receive(self, &msg, WARD_FOREVER) == WARD_ECANCELED);
    } else if (rc == WARD_ECLOSED) {
        CHECK(worker->closed_ns);
        if (one_in(self, 2)) rc = WARD_OK;
    }
    return rc;
}

static ward_status start(ward_self *self)
{
    struct worker *worker = ward_arg(self);

    CHECK(!worker->ended);
    if (worker->body && one_in(self, 4)) return ward_sleep(self, ward_in_ms(self, below(self, 5)));
    return WARD_OK;
}

static void cleanup(ward_self *self, ward_reason why)
{
    struct worker *worker = ward_arg(self);

    CHECK(!worker->ended);
    worker->ended = why != WARD_BY_FAILURE;
    CHECKF(
        why == WARD_BY_FAILURE || why == (worker->world->cancels ? WARD_BY_CANCEL : WARD_BY_CLOSE),
        "ended by %d", (int)why);
}

/* -- senders ----------------------------------------------------------------------------------- */

static ward_status send_one(ward_self *self, struct worker *worker)
{
    static const char rows[] = "row after row of them, which do not fit inside a message";
    struct image image = { 1 + below(self, 1000), one_in(self, 2) ? rows : "" };
    ward_deadline by = one_in(self, 3) ? WARD_FOREVER : ward_in_ms(self, 1 + below(self, 30));
    ward_status rc = one_in(self, 4) ? ward_send(self, worker->ref, &IMAGE, &image)
                                     : ward_send_by(self, worker->ref, &IMAGE, &image, by);
    int64_t now = ward_now_ns(self);

    if (rc == WARD_OK) worker->accepted++;
    if (rc == WARD_OK || rc == WARD_EFULL) return WARD_OK;
    if (rc == WARD_ETIMEDOUT) CHECK(now >= by.ns && now <= by.ns + SIM_SLACK_NS);
    if (rc == WARD_ECLOSED || rc == WARD_EGONE) CHECKF(worker->closed_ns, "it is open");
    CHECKF(rc == WARD_ETIMEDOUT || rc == WARD_ECLOSED || rc == WARD_EGONE, "send: %s",
        ward_strerror(rc));
    return WARD_OK;
}

/* Everybody who was parked at a mailbox that was closed goes on. */
static ward_status sender(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc = WARD_OK;

    while (!rc && !world->quiet) {
        struct worker *worker = &world->workers[below(self, WORKERS)];
        int64_t closed = worker->closed_ns;
        rc = send_one(self, worker);
        if (!closed && worker->closed_ns)
            CHECK(ward_now_ns(self) <= worker->closed_ns + SIM_SLACK_NS);
        if (!rc && one_in(self, 3)) rc = ward_sleep(self, ward_in_ms(self, below(self, 8)));
    }
    return rc;
}

/* -- the run ----------------------------------------------------------------------------------- */

static void draw(ward_self *self, struct world *world)
{
    world->cancels = one_in(self, 2);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &world->workers[i];
        worker->world = world;
        worker->body = i % 2;
        worker->drains = world->cancels && one_in(self, 2);
        worker->crashes = !worker->drains && one_in(self, 2);
    }
}

static ward_status grow(ward_self *self, struct world *world, ward_ref *pool)
{
    ward_spec specs[WORKERS];
    char names[WORKERS][8], path[24];
    ward_status rc;

    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &world->workers[i];
        snprintf(names[i], sizeof names[i], "w%u", i);
        specs[i] = (ward_spec){ .name = names[i],
            .arg = worker,
            .start = start,
            .cleanup = cleanup,
            .state_bytes = sizeof(struct held),
            .mailbox_max = KEPT + i,
            .mailbox_bytes = 240,
            .drain_on_stop = worker->drains,
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 1 + below(self, 10),
            .backoff_max_ms = 20 };
        if (worker->body)
            specs[i].body = body;
        else
            specs[i].handle = handle, specs[i].idle_ms = 10;
        /* A handler without .start need not run before there is mail. */
        if (!worker->body && one_in(self, 2)) specs[i].start = NULL, specs[i].idle_ms = 0;
    }
    rc = ward_spawn(self, pool,
        &(ward_spec){
            .name = "pool", .children = WARD_CHILDREN(specs), .restarts_max = WARD_UNLIMITED });
    for (uint32_t i = 0; !rc && i < WORKERS; i++) {
        snprintf(path, sizeof path, "pool/w%u", i);
        rc = ward_find(self, &world->workers[i].ref, path, ward_in_ms(self, 1000));
    }
    return rc;
}

static ward_status end_all(ward_self *self, struct world *world)
{
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < WORKERS; i++) {
        struct worker *worker = &world->workers[i];
        /* Noted before: the call may be preempted when it is done, but only before it begins. */
        worker->closed_ns = ward_now_ns(self) + 3 * SIM_MS;
        worker->cancelled = world->cancels;
        if (world->cancels)
            ward_cancel(self, worker->ref);
        else
            ward_close_mail(self, worker->ref);
        if (one_in(self, 2)) ward_close_mail(self, worker->ref); /* again: nothing */
        if (one_in(self, 2)) rc = ward_sleep(self, ward_in_ms(self, below(self, 10)));
    }
    return rc;
}

static void check_books(ward_self *self, const struct world *world)
{
    struct books books[2] = { books_of(self, handle, NULL), books_of(self, NULL, body) };
    uint64_t accepted[2] = { 0 }, seen[2] = { 0 }, in_doubt[2] = { 0 };

    for (uint32_t i = 0; i < WORKERS; i++) {
        const struct worker *worker = &world->workers[i];
        CHECK(worker->ended || world->cancels);
        CHECKF(worker->seen == worker->accepted || (world->cancels && !worker->drains),
            "worker %u has accepted %llu and seen %llu", i, (unsigned long long)worker->accepted,
            (unsigned long long)worker->seen);
        accepted[worker->body] += worker->accepted;
        seen[worker->body] += worker->seen;
        in_doubt[worker->body] += worker->in_doubt;
    }
    for (int i = 0; i < 2; i++) {
        CHECK(seen_by_books(&books[i]) == seen[i]);
        CHECK(books[i].lives.accepted == accepted[i]);
        CHECKF(books[i].fates[WARD__IN_DOUBT] == in_doubt[i], "%llu in doubt, not %llu",
            (unsigned long long)books[i].fates[WARD__IN_DOUBT], (unsigned long long)in_doubt[i]);
        CHECK(books[i].fates[WARD__DEAD_LETTERED] == accepted[i] - seen[i]);
    }
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref pool, senders[SENDERS], refs[WORKERS];
    ward_status rc;

    draw(self, world);
    rc = grow(self, world, &pool);
    for (uint32_t i = 0; !rc && i < SENDERS; i++)
        rc = ward_spawn(self, &senders[i], &(ward_spec){ .body = sender, .arg = world });
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 10 + below(self, 200)));
    if (!rc && one_in(self, 3)) { /* closed when there is nothing left to do */
        world->quiet = true;
        rc = ward_join(self, senders, SENDERS, ward_in_ms(self, 2000));
        if (!rc) rc = ward_sleep(self, ward_in_ms(self, below(self, 20)));
    }
    if (!rc) rc = end_all(self, world);
    for (uint32_t i = 0; i < WORKERS; i++)
        refs[i] = world->workers[i].ref;
    if (!rc) rc = ward_join(self, refs, WORKERS, ward_in_ms(self, 2000));
    CHECKF(rc == WARD_OK, "workers: %s", ward_strerror(rc));
    world->quiet = true;
    rc = ward_join(self, senders, SENDERS, ward_in_ms(self, 2000));
    CHECKF(rc == WARD_OK, "senders: %s", ward_strerror(rc));
    check_books(self, world);
    return WARD_OK;
}

static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;

    if (event->kind == WARD_EV_DEAD_LETTER) world->dead_letters += event->count;
}

static void after(void *arg)
{
    const struct world *world = arg;
    uint64_t expected = 0;

    for (uint32_t i = 0; i < WORKERS; i++)
        expected += world->workers[i].accepted - world->workers[i].seen;
    CHECK(world->dead_letters == expected);
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "close_drain",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .after = after,
        .on_event = on_event };

    return simulate(&scenario, argc, argv);
}
