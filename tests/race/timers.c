/* SPDX-License-Identifier: MIT */
/*
 * timers.c - deadlines on busy workers: they come, and never early.
 *
 * A wait of 50 ms on the only worker, behind handlers that take 3 ms each; the same behind one turn
 * that ends only when the wait has; a short wait after a long one; silence told after
 * .idle_ms although ticks come, and not told while mail comes, however long its handling takes;
 * users' timers that are stopped, restarted and left over. How late something may be is not
 * checked, but for the first: the best of them comes soon, where a wheel that is looked at once in
 * so many slices, or forgets, takes seconds or for ever.
 */
#include "tests/support/check.h"

enum {
    MS = 1000000,
    WAIT_MS = 50,
    LATE_MS = 5000,
    BEST_LATE_MS = 150,
    WAITS = 6,
    BUSY_MS = 3,
    IDLE_MS = 40,
    MAIL_MS = 30,
    HANDLING_MS = 25,
    MAILS = 12,
    TIMERS = 200
};

static const ward_type GO = WARD_TYPE_EMPTY("go");
static const ward_type TICK = WARD_TYPE_EMPTY("tick");
static const ward_type NUMBER = WARD_TYPE_PLAIN("number", uint32_t);

static void be_busy(ward_self *self, int64_t ms)
{
    int64_t until_ns = ward_now_ns(self) + ms * MS;

    while (ward_now_ns(self) < until_ns) {
    }
}

/* -- a wait behind busy handlers --------------------------------------------------------------- */

static ward_status work_on(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    be_busy(self, BUSY_MS);
    return ward_send(self, ward_me(self), &GO, NULL);
}

static ward_status wait_often(ward_self *self)
{
    int64_t worst = 0, best = INT64_MAX;

    for (int i = 0; i < WAITS; i++) {
        ward_deadline by = ward_in_ms(self, WAIT_MS);
        const ward_msg *msg;
        int64_t late;

        CHECK_IS(ward_receive(self, &msg, by), WARD_ETIMEDOUT);
        late = ward_now_ns(self) - by.ns;
        CHECK(late >= 0);
        CHECK(late < (int64_t)LATE_MS * MS);
        worst = late > worst ? late : worst;
        best = late < best ? late : best;
    }
    CHECK(best < (int64_t)BEST_LATE_MS * MS);
    printf("%d waits of %d ms behind handlers of %d ms: %lld us late at most\n", WAITS, WAIT_MS,
        BUSY_MS, (long long)worst / 1000);
    return WARD_OK;
}

static ward_status run_busy(ward_self *self)
{
    ward_ref busy[3], waits;

    for (int i = 0; i < 3; i++) {
        CHECK_IS(ward_spawn(self, &busy[i], &(ward_spec){ .handle = work_on }), WARD_OK);
        CHECK_IS(ward_send(self, busy[i], &GO, NULL), WARD_OK);
    }
    CHECK_IS(ward_spawn(self, &waits, &(ward_spec){ .body = wait_often }), WARD_OK);
    CHECK_IS(ward_join(self, &waits, 1, WARD_FOREVER), WARD_OK);
    return WARD_OK;
}

/* -- a wait behind one long turn --------------------------------------------------------------- */

struct long_turn {
    _Atomic bool is_under_way, waited;
};

/* On the only worker: its end is not to be waited for. */
static ward_status turn_until_waited(ward_self *self, const ward_msg *msg)
{
    struct long_turn *turn = ward_arg(self);
    int64_t until_ns = ward_now_ns(self) + (int64_t)LATE_MS * MS;

    (void)msg;
    atomic_store(&turn->is_under_way, true);
    while (!atomic_load(&turn->waited) && ward_now_ns(self) < until_ns) {
    }
    CHECK(atomic_load(&turn->waited));
    return WARD_STOP;
}

static ward_status wait_meanwhile(ward_self *self)
{
    struct long_turn *turn = ward_arg(self);
    ward_deadline by = ward_in_ms(self, WAIT_MS);
    const ward_msg *msg;

    CHECK_IS(ward_receive(self, &msg, by), WARD_ETIMEDOUT);
    CHECK(ward_now_ns(self) >= by.ns);
    CHECK(atomic_load(&turn->is_under_way));
    atomic_store(&turn->waited, true);
    return WARD_OK;
}

static ward_status run_long_turn(ward_self *self)
{
    static struct long_turn turn;
    ward_ref refs[2];

    CHECK_IS(
        ward_spawn(self, &refs[0], &(ward_spec){ .body = wait_meanwhile, .arg = &turn }), WARD_OK);
    CHECK_IS(ward_spawn(self, &refs[1], &(ward_spec){ .handle = turn_until_waited, .arg = &turn }),
        WARD_OK);
    CHECK_IS(ward_sleep(self, ward_in_ms(self, 5)), WARD_OK); /* so that it waits before */
    CHECK_IS(ward_send(self, refs[1], &GO, NULL), WARD_OK);
    CHECK_IS(ward_join(self, refs, 2, WARD_FOREVER), WARD_OK);
    return WARD_OK;
}

/* -- a short wait after a long one ------------------------------------------------------------- */

/* The long one, which mail ended, has left its entry in the wheel. */
static ward_status wait_sooner(ward_self *self)
{
    const ward_msg *msg;
    int64_t from_ns;

    for (int i = 0; i < WAITS; i++) {
        CHECK_IS(ward_receive(self, &msg, ward_in_ms(self, 3600000)), WARD_OK);
        from_ns = ward_now_ns(self);
        CHECK_IS(ward_receive(self, &msg, ward_in_ms(self, 5)), WARD_ETIMEDOUT);
        CHECK(ward_now_ns(self) - from_ns < (int64_t)LATE_MS * MS);
        CHECK_IS(ward_send(self, ward_parent(self), &GO, NULL), WARD_OK);
    }
    return WARD_OK;
}

static ward_status run_sooner(ward_self *self)
{
    const ward_msg *msg;
    ward_ref waits;

    CHECK_IS(ward_spawn(self, &waits, &(ward_spec){ .body = wait_sooner }), WARD_OK);
    for (int i = 0; i < WAITS; i++) {
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 3)), WARD_OK); /* so that it waits before */
        CHECK_IS(ward_send(self, waits, &GO, NULL), WARD_OK);
        CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
    }
    return WARD_OK;
}

/* -- silence ----------------------------------------------------------------------------------- */

struct quiet {
    int64_t since_ns; /* the last mail or IDLE */
    uint32_t mails, idles, ticks;
    bool ticks_too;
};

static ward_status next_tick(ward_self *self)
{
    ward_timer timer;

    return ward_timer_start(self, &timer, &TICK, NULL, ward_in_ms(self, IDLE_MS / 4));
}

static ward_status hear(ward_self *self, const ward_msg *msg)
{
    struct quiet *quiet = ward_arg(self);
    int64_t now_ns = ward_now_ns(self);

    if (ward_is(msg, &TICK)) {
        quiet->ticks++;
        return next_tick(self);
    }
    if (ward_kind_of(msg) == WARD_IDLE) {
        CHECK(now_ns - quiet->since_ns >= (int64_t)IDLE_MS * MS);
        if (++quiet->idles == 3) return WARD_STOP;
    } else {
        if (quiet->ticks_too && quiet->mails == 0) CHECK_IS(next_tick(self), WARD_OK);
        quiet->mails++;
        be_busy(self, HANDLING_MS);
    }
    quiet->since_ns = ward_now_ns(self);
    return WARD_OK;
}

static ward_status run_silence(ward_self *self)
{
    static struct quiet quiet[2] = { { .ticks_too = false }, { .ticks_too = true } };
    ward_ref ref[2];

    for (int i = 0; i < 2; i++) {
        ward_spec spec = { .handle = hear, .arg = &quiet[i], .idle_ms = IDLE_MS };

        quiet[i].since_ns = ward_now_ns(self);
        CHECK_IS(ward_spawn_at(self, &ref[i], &spec, WARD_HERE), WARD_OK);
    }
    /* Each of these comes before the silence is over, and takes until after it would have been. */
    for (int k = 0; k < MAILS; k++) {
        for (int i = 0; i < 2; i++)
            (void)!ward_send(self, ref[i], &GO, NULL);
        CHECK_IS(ward_sleep(self, ward_in_ms(self, MAIL_MS)), WARD_OK);
    }
    CHECK_IS(ward_join(self, ref, 2, WARD_FOREVER), WARD_OK);
    for (int i = 0; i < 2; i++)
        CHECK_IS(quiet[i].idles, 3);
    CHECK(quiet[1].ticks > 0);
    return WARD_OK;
}

/* -- users' timers ----------------------------------------------------------------------------- */

static ward_status set_many(ward_self *self)
{
    ward_timer timers[TIMERS];
    int64_t due_ns[TIMERS];
    bool stopped[TIMERS] = { false };
    uint32_t left = 0;
    const ward_msg *msg;
    ward_status rc;

    for (uint32_t i = 0; i < TIMERS; i++) {
        ward_deadline at = i % 50 == 49 ? WARD_FOREVER : ward_in_ms(self, (i * 37) % 100);
        due_ns[i] = at.ns;
        CHECK_IS(ward_timer_start(self, &timers[i], &NUMBER, &i, at), WARD_OK);
    }
    CHECK_IS(ward_sleep(self, ward_in_ms(self, 30)), WARD_OK); /* some have come by now */
    for (uint32_t i = 0; i < TIMERS; i++) {
        stopped[i] = i % 3 == 0;
        if (stopped[i])
            ward_timer_stop(self, timers[i]);
        else if (due_ns[i] != INT64_MAX)
            left++;
    }
    while (!(rc = ward_receive(self, &msg, ward_in_ms(self, 400)))) {
        uint32_t i = *(const uint32_t *)ward_value(msg, &NUMBER);

        CHECK(!stopped[i]);
        CHECK(ward_now_ns(self) >= due_ns[i]);
        stopped[i] = true; /* once */
        left--;
    }
    CHECK_IS(rc, WARD_ETIMEDOUT);
    CHECK_IS(left, 0);
    return WARD_OK;
}

static ward_status run_timers(ward_self *self)
{
    ward_ref refs[3];

    for (int i = 0; i < 3; i++)
        CHECK_IS(ward_spawn(self, &refs[i], &(ward_spec){ .body = set_many, .blocking = i == 2 }),
            WARD_OK);
    CHECK_IS(ward_join(self, refs, 3, WARD_FOREVER), WARD_OK);
    return WARD_OK;
}

int main(void)
{
    check_begin("timers");
    CHECK_IS(ward_run(run_busy, &(ward_opts){ .workers = 1 }), WARD_OK);
    CHECK_IS(ward_run(run_long_turn, &(ward_opts){ .workers = 1 }), WARD_OK);
    CHECK_IS(ward_run(run_sooner, &(ward_opts){ .workers = 1 }), WARD_OK);
    CHECK_IS(ward_run(run_silence, &(ward_opts){ .workers = 2 }), WARD_OK);
    CHECK_IS(ward_run(run_timers, &(ward_opts){ .workers = 2 }), WARD_OK);
    return check_end();
}
