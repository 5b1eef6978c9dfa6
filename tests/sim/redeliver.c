/* SPDX-License-Identifier: MIT */
/*
 * redeliver.c - simulation: messages that make their reader fail, and come again.
 *
 * Each item says how often its reader is to fail with it, and how: by returning an error, after
 * having kept it, after having answered it, or by hanging until it is quarantined. Holds: it is
 * handed out again as often as .redeliver says and no more, before everything else, to the next
 * incarnation, also when a group restart comes in between; then it is a dead letter. Its asker is
 * served by whichever time goes well, or gets WARD_ENOREPLY when it was poison. What was kept, or
 * in hand at a quarantine, never comes again. When the tree is cancelled in the middle of it, every
 * asker still has its answer and all messages their fate.
 */
#include "scenario.h"

enum { WORKERS = 2, ASKERS = 5, ITEMS = 64 };
enum how { FAILS, KEEPS, ANSWERS, HANGS, HOWS };

struct item {
    uint32_t index;
};
static const ward_type ITEM = WARD_TYPE_PLAIN("item", struct item);

struct entry {
    enum how how;
    uint32_t fails, handed_out, worker;
    bool accepted, asked, hurried;
    ward_status outcome;
};

struct worker {
    struct world *world;
    uint32_t redeliver, again; /* again: one more than the item that must come next */
    ward_ref ref;
};

struct world {
    struct worker workers[WORKERS];
    struct entry entries[ITEMS];
    uint32_t made, dead_letters, busy;
    bool cut; /* it is cancelled in the middle */
    uint64_t seen;
};

/* -- workers ----------------------------------------------------------------------------------- */

static ward_status start(ward_self *self)
{
    return one_in(self, 8) ? WARD_EFAIL : WARD_OK;
}

static ward_status fail(ward_self *self, struct worker *worker, const ward_msg *msg)
{
    const struct item *item = ward_value(msg, &ITEM);
    struct entry *entry = &worker->world->entries[item->index];
    ward_msg *kept;

    if (entry->how == KEEPS) {
        CHECK(ward_keep(self, &kept, msg) == WARD_OK);
        return WARD_EFAIL;
    }
    if (entry->how == HANGS) {
        ward_status rc = ward_sim_hang(self, 300);
        CHECK(rc == WARD_EFENCED || rc == WARD_ECANCELED);
        return rc;
    }
    if (entry->how == ANSWERS) CHECK(ward_reply(self, msg, &ITEM, item) == WARD_OK);
    if (entry->handed_out <= worker->redeliver) worker->again = item->index + 1;
    return WARD_EFAIL;
}

static ward_status take(ward_self *self, const ward_msg *msg)
{
    struct worker *worker = ward_arg(self);
    const struct item *item = ward_value(msg, &ITEM);
    struct entry *entry = &worker->world->entries[item->index];

    CHECK(worker == &worker->world->workers[entry->worker]);
    CHECKF(worker->again == 0 || worker->again == item->index + 1 ||
               worker->world->entries[worker->again - 1].hurried,
        "%u comes before %u", item->index, worker->again - 1);
    worker->again = 0;
    if (entry->handed_out++ == 0) worker->world->seen++;
    if (entry->handed_out <= entry->fails) return fail(self, worker, msg);
    return ward_reply(self, msg, &ITEM, item);
}

static ward_status body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) rc = take(self, msg);
    }
    return rc;
}

static ward_status grow(ward_self *self, struct world *world, ward_ref *sup)
{
    ward_spec specs[WORKERS];

    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *worker = &world->workers[i];
        bool handler = one_in(self, 2);
        worker->world = world;
        worker->redeliver = below(self, 4);
        specs[i] = (ward_spec){ .name = i == 0 ? "a" : "b",
            .handle = handler ? take : NULL,
            .body = handler ? NULL : body,
            .start = one_in(self, 2) ? start : NULL,
            .arg = worker,
            .redeliver = worker->redeliver,
            .stuck_ms = 50,
            .restarts_max = WARD_UNLIMITED,
            .window_ms = 10,
            .backoff_ms = one_in(self, 2) ? WARD_AT_ONCE : 3 };
    }
    return ward_spawn(self, sup,
        &(ward_spec){ .name = "sup",
            .strategy = (ward_strategy)below(self, 3),
            .children = { specs, WORKERS, sizeof *specs },
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = 1000 });
}

/* -- askers ------------------------------------------------------------------------------------ */

static struct entry *draw(ward_self *self, struct world *world, struct item *item)
{
    struct entry *entry = &world->entries[item->index = world->made++];

    entry->worker = below(self, WORKERS);
    entry->fails = one_in(self, 2) ? 0 : 1 + below(self, 5);
    entry->how = one_in(self, 3) ? (enum how)below(self, HOWS) : FAILS;
    entry->hurried = one_in(self, 8);
    return entry;
}

static ward_status asker(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *answer;
    ward_status rc = WARD_OK;

    world->busy++;
    while (!rc && world->made < ITEMS) {
        struct item item;
        struct entry *entry = draw(self, world, &item);
        ward_ref to = world->workers[entry->worker].ref;
        if (one_in(self, 2)) {
            entry->outcome = ward_send(self, to, &ITEM, &item);
            entry->accepted = entry->outcome == WARD_OK;
        } else {
            entry->asked = entry->accepted = true;
            entry->outcome = ward_ask(
                self, &answer, to, &ITEM, &item, ward_in_ms(self, entry->hurried ? 6 : 60000));
        }
        rc = ward_sleep(self, ward_in_ms(self, below(self, 12)));
    }
    world->busy--;
    return rc;
}

/* -- what must have come of each item ---------------------------------------------------------- */

static uint32_t times_expected(const struct entry *entry, uint32_t redeliver)
{
    if (entry->fails == 0 || entry->how == KEEPS || entry->how == HANGS) return 1;
    return entry->fails <= redeliver ? entry->fails + 1 : redeliver + 1;
}

static ward_status outcome_expected(const struct entry *entry, uint32_t redeliver)
{
    if (!entry->asked || entry->fails == 0) return WARD_OK;
    if (entry->how == KEEPS || entry->how == HANGS) return WARD_ENOREPLY;
    if (entry->how == ANSWERS) return WARD_OK;
    return entry->fails <= redeliver ? WARD_OK : WARD_ENOREPLY;
}

/* Returns how many dead letters it makes. */
static uint32_t check_entry(const struct world *world, uint32_t i)
{
    const struct entry *entry = &world->entries[i];
    uint32_t redeliver = world->workers[entry->worker].redeliver;
    uint32_t times = times_expected(entry, redeliver);

    if (entry->asked && entry->hurried && entry->outcome == WARD_ETIMEDOUT) {
        CHECK(entry->handed_out <= times);
        return entry->handed_out > redeliver && redeliver && entry->handed_out <= entry->fails &&
               entry->how != KEEPS && entry->how != HANGS;
    }
    CHECKF(entry->accepted && entry->handed_out == times, "%u was handed out %u times, not %u", i,
        entry->handed_out, times);
    CHECKF(entry->outcome == outcome_expected(entry, redeliver), "%u: %s", i,
        ward_strerror(entry->outcome));
    return redeliver && entry->fails > redeliver && (entry->how == FAILS || entry->how == ANSWERS);
}

static void check_all(const struct world *world)
{
    uint32_t dead_letters = 0;

    CHECK(world->made == ITEMS && world->busy == 0);
    for (uint32_t i = 0; i < ITEMS; i++)
        dead_letters += check_entry(world, i);
    CHECKF(world->dead_letters == dead_letters, "%u dead letters, not %u", world->dead_letters,
        dead_letters);
}

static void check_cut(const struct world *world)
{
    CHECK(world->busy == 0);
    for (uint32_t i = 0; i < world->made; i++) {
        const struct entry *entry = &world->entries[i];
        ward_status rc = entry->outcome;
        CHECKF(rc == WARD_OK || rc == WARD_ENOREPLY || rc == WARD_EGONE || rc == WARD_ECLOSED ||
                   (entry->hurried && rc == WARD_ETIMEDOUT),
            "%u: %s", i, ward_strerror(rc));
    }
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref sup, askers[ASKERS];
    struct books handlers, bodies;
    ward_status rc = grow(self, world, &sup);

    CHECK(ward_spawn(self, &askers[0],
              &(ward_spec){ .handle = take, .redeliver = 1, .discard_on_restart = true }) ==
          WARD_EINVAL);
    world->cut = one_in(self, 3);
    if (!rc) rc = ward_find(self, &world->workers[0].ref, "sup/a", ward_in_ms(self, 5000));
    if (!rc) rc = ward_find(self, &world->workers[1].ref, "sup/b", ward_in_ms(self, 5000));
    for (int i = 0; !rc && i < ASKERS; i++)
        rc = ward_spawn(self, &askers[i], &(ward_spec){ .body = asker, .arg = world });
    if (!rc && world->cut) rc = ward_sleep(self, ward_in_ms(self, below(self, 100)));
    if (!rc && !world->cut) rc = ward_join(self, askers, ASKERS, ward_in_ms(self, 60000));
    if (!rc && !world->cut) rc = ward_sleep(self, ward_in_ms(self, 5000)); /* tells are done */
    if (!rc && !world->cut) check_all(world);
    ward_cancel(self, sup);
    if (!rc) rc = ward_join(self, &sup, 1, ward_in_ms(self, 10000));
    if (!rc && world->cut) rc = ward_join(self, askers, ASKERS, ward_in_ms(self, 60000));
    CHECKF(rc == WARD_OK, "%s", ward_strerror(rc));
    if (world->cut) check_cut(world);
    handlers = books_of(self, take, NULL);
    bodies = books_of(self, NULL, body);
    /* Poison is a dead letter that was seen, and some expire while they wait for another time. */
    CHECK(seen_by_books(&handlers) + seen_by_books(&bodies) <= world->seen);
    return ward_sleep(self, ward_in_ms(self, 1000)); /* who hangs comes back */
}

static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;

    if (event->kind == WARD_EV_DEAD_LETTER && event->status == WARD_ENOREPLY)
        world->dead_letters += (uint32_t)event->count;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "redeliver",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .on_event = on_event };

    return simulate(&scenario, argc, argv);
}
