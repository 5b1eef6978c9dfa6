/* SPDX-License-Identifier: MIT */
/*
 * timers.c - simulation: everything that happens because time goes by.
 *
 * Holds: a user's timer comes once, not early, not late, in the order of its times, through a full
 * mailbox, never after it was stopped and never in another incarnation. Idle time is time without
 * mail: ticks do not end it, mail that is there beats it, and it tells, fails or stops as the spec
 * says. A receive that times out at the very time its mail arrives loses neither. A start that
 * takes longer than start_ms has failed, whether it waits or hangs.
 */
#include "scenario.h"

enum { TIMERS = 24, IDLE_MS = 20, START_MS = 15, STOP_MS = 30 };

static const ward_type TICK = WARD_TYPE_PLAIN("tick", uint32_t);
static const ward_type BEAT = WARD_TYPE_EMPTY("beat");
static const ward_type MAIL = WARD_TYPE_PLAIN("mail", uint64_t);

/* -- users' timers ----------------------------------------------------------------------------- */

struct timer {
    ward_timer timer;
    int64_t at_ns;
    uint64_t incarnation;
    bool stopped, came;
};

struct ticker {
    struct timer timers[TIMERS];
    uint32_t count;
    int64_t last_ns; /* `at` of the tick that came last */
    int64_t busy_ns; /* it was in a turn until then */
    uint64_t incarnation, mails;
    bool body;
};

/* -- the rest of the world --------------------------------------------------------------------- */

struct idler {
    ward_ref ref;
    ward_idle on_idle;
    bool beats; /* has a timer that is faster than its idle time */
    int64_t mail_ns, told_ns; /* the last mail, the last IDLE, or the start */
    int64_t busy_ns; /* it was in a turn until then */
    uint32_t idles, starts, ended;
    bool stopped;
};

struct starter {
    bool body;
    uint32_t starts, ups, late, reaped;
};
/* Of an incarnation: one in quarantine lives beside its successor. */
struct starting {
    uint32_t take_ms;
    bool hangs;
    int64_t began_ns;
};

struct reader {
    ward_ref ref;
    uint64_t sent, seen;
    uint32_t timeouts;
};

struct world {
    struct ticker ticker;
    struct idler idler;
    struct starter starter;
    struct reader reader;
    bool quiet;
};

static void set_timer(ward_self *self, struct ticker *ticker)
{
    struct timer *timer = &ticker->timers[ticker->count];
    ward_deadline at = ward_in_ms(self, below(self, 40));
    int64_t now;

    if (ticker->count == TIMERS) return;
    if (one_in(self, 3) && ticker->count) at.ns = timer[-1].at_ns; /* at the same time */
    if (one_in(self, 20)) at = WARD_FOREVER;
    CHECK(ward_timer_start(self, &timer->timer, &TICK, &ticker->count, at) == WARD_OK);
    now = ward_now_ns(self);
    timer->at_ns = at.ns > now ? at.ns : now; /* one that has passed comes now */
    timer->incarnation = ticker->incarnation;
    ticker->count++;
}

static void stop_timer(ward_self *self, struct ticker *ticker)
{
    struct timer *timer = &ticker->timers[below(self, TIMERS)];

    if (!timer->timer.id) return;
    ward_timer_stop(self, timer->timer);
    timer->stopped = true;
    if (one_in(self, 4)) ward_timer_stop(self, timer->timer); /* again: nothing */
}

static void check_tick(ward_self *self, struct ticker *ticker, uint32_t index)
{
    struct timer *timer = &ticker->timers[index];
    int64_t now = ward_now_ns(self), due = timer->at_ns;

    CHECKF(!timer->stopped, "timer %u was stopped", index);
    CHECKF(!timer->came, "timer %u came twice", index);
    CHECKF(timer->incarnation == ticker->incarnation, "timer %u of another incarnation", index);
    CHECKF(now >= timer->at_ns, "timer %u is early", index);
    if (due < ticker->busy_ns) due = ticker->busy_ns;
    CHECKF(now <= due + SIM_SLACK_NS, "timer %u is %lld ns late", index, (long long)(now - due));
    CHECKF(timer->at_ns + SIM_SLACK_NS >= ticker->last_ns, "timer %u is out of order", index);
    ticker->last_ns = timer->at_ns;
    timer->came = true;
}

static ward_status tick(ward_self *self, struct ticker *ticker, const ward_msg *msg)
{
    const uint32_t *index = ward_value(msg, &TICK);

    if (index)
        check_tick(self, ticker, *index);
    else
        ticker->mails++;
    if (one_in(self, 2)) set_timer(self, ticker);
    if (one_in(self, 4)) stop_timer(self, ticker);
    if (one_in(self, 4)) CHECK(ward_sim_hang(self, below(self, 10)) == WARD_OK);
    if (one_in(self, 4)) stop_timer(self, ticker); /* it may have gone off meanwhile */
    ticker->busy_ns = ward_now_ns(self);
    return one_in(self, 24) ? WARD_EFAIL : WARD_OK;
}

static ward_status start_ticker(ward_self *self)
{
    struct ticker *ticker = ward_arg(self);

    ticker->incarnation++;
    for (int i = 0; i < 4; i++)
        set_timer(self, ticker);
    ticker->busy_ns = ward_now_ns(self);
    return WARD_OK;
}

static ward_status ticker_handler(ward_self *self, const ward_msg *msg)
{
    return tick(self, ward_arg(self), msg);
}

static ward_status ticker_body(ward_self *self)
{
    struct ticker *ticker = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) rc = tick(self, ticker, msg);
        if (!rc && one_in(self, 6)) rc = ward_sleep(self, ward_in_ms(self, below(self, 10)));
        ticker->busy_ns = ward_now_ns(self);
    }
    return rc;
}

static void check_ticks(const struct ticker *ticker)
{
    for (uint32_t i = 0; i < ticker->count; i++) {
        const struct timer *timer = &ticker->timers[i];
        bool lost = !timer->came && !timer->stopped && timer->at_ns != INT64_MAX;
        CHECKF(!lost || timer->incarnation != ticker->incarnation, "timer %u did not come", i);
    }
}

/* -- idle time --------------------------------------------------------------------------------- */

/* In the turn in which it was decided: what has come since would have come to it. */
static void check_idle(const ward_self *self, const struct idler *idler)
{
    const struct ward__slot *slot = ward__slot(ward_node_of(self), ward_me(self).slot);
    int64_t from = idler->mail_ns > idler->told_ns ? idler->mail_ns : idler->told_ns;
    int64_t now = ward_now_ns(self), due = from + IDLE_MS * SIM_MS;

    CHECKF(now >= due, "idle after %lld ns", (long long)(now - from));
    if (due < idler->busy_ns) due = idler->busy_ns;
    CHECKF(now <= due + SIM_SLACK_NS, "idle after %lld ns", (long long)(now - from));
    CHECKF(ward__mailbox_depth(&slot->box) == 0, "idle with mail");
}

static ward_status start_idler(ward_self *self)
{
    struct idler *idler = ward_arg(self);
    ward_timer timer;

    idler->starts++;
    if (idler->beats)
        CHECK(ward_timer_start(self, &timer, &BEAT, NULL, ward_in_ms(self, 7)) == WARD_OK);
    idler->told_ns = ward_now_ns(self);
    return WARD_OK;
}

static ward_status idle_handler(ward_self *self, const ward_msg *msg)
{
    struct idler *idler = ward_arg(self);
    ward_timer timer;

    if (ward_kind_of(msg) == WARD_IDLE) {
        CHECK(idler->on_idle == WARD_IDLE_TELL);
        check_idle(self, idler);
        idler->idles++;
        idler->told_ns = ward_now_ns(self);
    } else if (ward_is(msg, &BEAT)) {
        CHECK(ward_timer_start(self, &timer, &BEAT, NULL, ward_in_ms(self, 7)) == WARD_OK);
        if (one_in(self, 3)) CHECK(ward_sim_hang(self, below(self, 10)) == WARD_OK);
    } else {
        if (one_in(self, 4)) CHECK(ward_sim_hang(self, below(self, 8)) == WARD_OK);
        idler->mail_ns = ward_now_ns(self);
    }
    idler->busy_ns = ward_now_ns(self);
    return WARD_OK;
}

static void idler_ends(ward_self *self, ward_reason why)
{
    struct idler *idler = ward_arg(self);

    idler->ended++;
    if (why == WARD_BY_CANCEL) return;
    CHECK(why == (idler->on_idle == WARD_IDLE_FAIL ? WARD_BY_FAILURE : WARD_BY_RETURN));
    CHECK(idler->on_idle != WARD_IDLE_TELL);
    check_idle(self, idler);
    idler->stopped = idler->on_idle == WARD_IDLE_STOP;
}

/* -- starts that take too long ----------------------------------------------------------------- */

static ward_status start_starter(ward_self *self)
{
    struct starter *starter = ward_arg(self);
    struct starting *mine = ward_state(self);
    ward_status rc;

    starter->starts++;
    mine->began_ns = ward_now_ns(self);
    mine->take_ms = one_in(self, 2) ? below(self, 10) : 25 + below(self, 60);
    mine->hangs = !starter->body || one_in(self, 2);
    rc = mine->hangs ? ward_sim_hang(self, mine->take_ms)
                     : ward_sleep(self, ward_in_ms(self, mine->take_ms));
    if (!mine->hangs && mine->take_ms > START_MS) CHECK(rc == WARD_ECANCELED);
    return rc;
}

static void starter_ends(ward_self *self, ward_reason why)
{
    struct starter *starter = ward_arg(self);
    const struct starting *mine = ward_state(self);
    int64_t took = ward_now_ns(self) - mine->began_ns;

    if (why == WARD_BY_CANCEL) return;
    if (why == WARD_BY_RETURN) {
        CHECK(mine->take_ms < START_MS);
        starter->ups++;
    } else if (why == WARD_BY_STUCK) {
        CHECK(mine->hangs && took >= STOP_MS * SIM_MS);
        starter->reaped++;
    } else {
        CHECKF(why == WARD_BY_FAILURE, "ended by %d", (int)why);
        /* It counts from when it was to start, which is a little before it began. */
        CHECK(took >= START_MS * SIM_MS - SIM_SLACK_NS);
        CHECK(mine->hangs || took <= START_MS * SIM_MS + SIM_SLACK_NS);
        starter->late++;
    }
}

static ward_status starter_handler(ward_self *self, const ward_msg *msg)
{
    const struct starting *mine = ward_state(self);

    CHECK(ward_is(msg, &MAIL) && mine->take_ms < START_MS);
    return WARD_STOP; /* starts again */
}

/* Started in time, or told at once that it was not. */
static ward_status starter_body(ward_self *self)
{
    const struct starting *mine = ward_state(self);
    ward_status rc = ward_sleep(self, ward_in_ms(self, 5));

    CHECK(rc == WARD_ECANCELED || mine->take_ms < START_MS || (rc == WARD_EFENCED && mine->hangs));
    return rc;
}

/* -- a receive against its mail ---------------------------------------------------------------- */

static ward_status reader_body(ward_self *self)
{
    struct world *world = ward_arg(self);
    struct reader *reader = &world->reader;
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        ward_deadline by = one_in(self, 8) ? WARD_NOW : ward_in_ms(self, 1 + below(self, 4));
        int64_t now;
        rc = ward_receive(self, &msg, by);
        now = ward_now_ns(self);
        if (rc == WARD_OK) {
            CHECK(*(const uint64_t *)ward_value(msg, &MAIL) == ++reader->seen);
        } else if (rc == WARD_ETIMEDOUT) {
            CHECK(now >= by.ns);
            reader->timeouts++;
            rc = WARD_OK;
        }
        if (by.ns) CHECK(now <= by.ns + SIM_SLACK_NS);
        if (by.ns == 0 && !rc) rc = ward_sleep(self, ward_in_ms(self, 1));
    }
    return rc;
}

/* Sends to everybody, often at a whole number of ms, when the deadlines are. */
static ward_status sender(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc = WARD_OK;

    while (!rc && !world->quiet) {
        uint64_t next = world->reader.sent + 1;
        ward_ref ticking;
        if (one_in(self, 2)) {
            CHECK(ward_send(self, world->reader.ref, &MAIL, &next) == WARD_OK);
            world->reader.sent = next;
        }
        if (one_in(self, 4) && !world->idler.stopped && world->idler.ref.slot)
            rc = ward_send(self, world->idler.ref, &MAIL, &next);
        if (rc == WARD_EGONE || rc == WARD_ECLOSED) rc = WARD_OK; /* it has just stopped */
        if (!rc && one_in(self, 2) &&
            ward_find(self, &ticking, "/main/sup/ticker", WARD_NOW) == WARD_OK) {
            ward_status sent = ward_send(self, ticking, &MAIL, &next);
            CHECK(sent == WARD_OK || sent == WARD_EFULL);
        }
        if (!rc && one_in(self, 4) &&
            ward_find(self, &ticking, "/main/sup/starter", WARD_NOW) == WARD_OK) {
            ward_status sent = ward_send(self, ticking, &MAIL, &next);
            CHECK(sent == WARD_OK || sent == WARD_EFULL);
        }
        if (!rc) rc = ward_sleep(self, ward_in_ms(self, 1 + below(self, 5)));
    }
    return rc;
}

/* -- the run ----------------------------------------------------------------------------------- */

static ward_status grow(ward_self *self, struct world *world, ward_ref *sup)
{
    ward_spec ticker = { .name = "ticker",
        .arg = &world->ticker,
        .start = start_ticker,
        .mailbox_max = 2,
        .restarts_max = WARD_UNLIMITED,
        .backoff_ms = 1 };
    ward_spec idler = { .name = "idler",
        .arg = &world->idler,
        .start = start_idler,
        .handle = idle_handler,
        .cleanup = idler_ends,
        .idle_ms = IDLE_MS,
        .on_idle = world->idler.on_idle,
        .restarts_max = WARD_UNLIMITED,
        .backoff_ms = 1,
        .restart = WARD_TRANSIENT };
    ward_spec starter = { .name = "starter",
        .arg = &world->starter,
        .start = start_starter,
        .cleanup = starter_ends,
        .state_bytes = sizeof(struct starting),
        .start_ms = START_MS,
        .stop_ms = STOP_MS,
        .restarts_max = WARD_UNLIMITED,
        .backoff_ms = 1,
        .backoff_max_ms = 8,
        .zombies_max = 100 };
    ward_spec specs[3];

    if (world->ticker.body)
        ticker.body = ticker_body;
    else
        ticker.handle = ticker_handler;
    if (world->starter.body)
        starter.body = starter_body;
    else
        starter.handle = starter_handler;
    specs[0] = ticker;
    specs[1] = idler;
    specs[2] = starter;
    return ward_spawn(self, sup,
        &(ward_spec){ .name = "sup",
            .children = WARD_CHILDREN(specs),
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = 100 });
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref sup, sending;
    ward_status rc;

    world->ticker.body = one_in(self, 2);
    world->idler.on_idle = (ward_idle)below(self, 3);
    world->idler.beats = one_in(self, 2);
    world->starter.body = one_in(self, 2);
    rc = ward_spawn(self, &world->reader.ref, &(ward_spec){ .body = reader_body, .arg = world });
    if (!rc) rc = grow(self, world, &sup);
    if (!rc) rc = ward_find(self, &world->idler.ref, "sup/idler", ward_in_ms(self, 100));
    if (!rc) rc = ward_spawn(self, &sending, &(ward_spec){ .body = sender, .arg = world });
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 50 + below(self, 300)));
    world->quiet = true;
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 1000)); /* all timers have gone off */
    CHECKF(rc == WARD_OK, "%s", ward_strerror(rc));
    check_ticks(&world->ticker);
    CHECK(world->reader.seen == world->reader.sent);
    CHECK(world->idler.on_idle != WARD_IDLE_TELL || world->idler.idles >= 4);
    CHECK(world->idler.on_idle != WARD_IDLE_FAIL || world->idler.starts >= 4);
    CHECK(world->idler.on_idle != WARD_IDLE_STOP ||
          (world->idler.stopped && world->idler.starts == 1));
    CHECK(world->starter.starts >= 1);
    CHECK(world->starter.body ? world->starter.starts > 2 : true);
    ward_cancel(self, sup);
    rc = ward_join(self, &sup, 1, ward_in_ms(self, 10000));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 100)); /* those in quarantine come back */
    return rc;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = {
        .name = "timers", .body = run, .world = &world, .world_bytes = sizeof world
    };

    return simulate(&scenario, argc, argv);
}
