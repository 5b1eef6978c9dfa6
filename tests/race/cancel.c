/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - cancellation against everything that waits, at the moment it begins to.
 *
 * Victims of each kind wait in each way; a canceller comes at once, or after a few of their waits.
 * Every one must end, by ECANCELED and by nothing else: a lost cancel is a program that does not
 * end. Then chains: an asker of an asker of one who sleeps; when the first is cancelled, both
 * behind it learn that nobody waits any more, and work on. One of the mailboxes between is full,
 * so that a question is handed over just then. Who works for somebody else learns nothing of it.
 */
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { STORM = 8000, ALIVE = 24, CHAINS = 3000, WAYS = 9 };

static const ward_type WORK = WARD_TYPE_EMPTY("work");

struct world {
    ward_ref mute, full, forever, busy;
    int fd; /* nothing ever comes there */
    _Atomic uint32_t waits, ended, abandoned_asks, abandoned_sleeps;
    ward_ref middle, last;
};

static struct world *world_of(ward_self *self)
{
    return *(struct world *const *)ward_arg(self);
}

static ward_ref begin(ward_self *self, ward_spec spec, struct world *world)
{
    ward_ref ref = { 0 };

    spec.arg = &world;
    spec.arg_bytes = sizeof world;
    spec.restart = WARD_TEMPORARY;
    CHECK_IS(ward_spawn_at(self, &ref, &spec, WARD_HERE), WARD_OK);
    return ref;
}

/* -- victims ----------------------------------------------------------------------------------- */

static ward_status wait_somehow(ward_self *self, uint32_t way)
{
    struct world *world = world_of(self);
    const ward_msg *msg;
    ward_status rc;
    ward_ref ref;
    int fd;

    switch (way % WAYS) {
    case 0: return ward_receive(self, &msg, WARD_FOREVER);
    case 1: return ward_sleep(self, ward_in_ms(self, 60000));
    case 2: return ward_ask(self, &msg, world->mute, &WORK, NULL, WARD_FOREVER);
    case 3: return ward_send_by(self, world->full, &WORK, NULL, WARD_FOREVER);
    case 4: return ward_join(self, &world->forever, 1, ward_in_ms(self, 60000));
    case 5:
        fd = dup(world->fd); /* one fd is polled by one actor */
        rc = ward_poll_fd(self, NULL, fd, WARD_READABLE, WARD_FOREVER);
        close(fd);
        return rc;
    case 6:
    case 7: /* parked and handed over for, again and again */
        do
            rc = ward_ask(self, &msg, world->busy, &WORK, NULL, WARD_FOREVER);
        while (rc == WARD_OK);
        return rc;
    default: return ward_find(self, &ref, "/not-there", WARD_FOREVER);
    }
}

/* Some short waits, so that the cancel finds it anywhere, then one for ever. */
static ward_status wait_for_it(ward_self *self)
{
    struct world *world = world_of(self);
    uint32_t way = ward_me(self).slot + (uint32_t)ward_me(self).life;
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < way % 4; i++) {
        const ward_msg *msg;
        rc = ward_receive(self, &msg, ward_in_ms(self, 1));
        if (rc == WARD_ETIMEDOUT) rc = ward_checkpoint(self);
    }
    if (!rc) rc = wait_somehow(self, way);
    CHECK_IS(rc, WARD_ECANCELED);
    CHECK_IS(wait_somehow(self, way + 1), WARD_ECANCELED); /* for good */
    ward__add(&world->ended, 1);
    return rc;
}

static ward_status be_mute(ward_self *self, const ward_msg *msg)
{
    ward_msg *kept;

    return ward_keep(self, &kept, msg); /* never full: those whose asker left are dropped */
}

static ward_status be_busy(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &WORK, NULL);
}

static ward_status be_full(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static void storm(ward_self *self, struct world *world)
{
    ward_ref alive[ALIVE] = { { 0 } };
    uint32_t spawned = 0;

    for (; spawned < SCALED(STORM); spawned++) {
        ward_ref *at = &alive[spawned % ALIVE];
        ward_spec spec = { .body = wait_for_it, .blocking = spawned % 16 == 0 };

        ward_cancel(self, *at);
        *at = begin(self, spec, world);
        if (spawned % 3 == 0) ward_cancel(self, *at); /* maybe before it ever ran */
        if (spawned % 16 == 0) CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    }
    for (int i = 0; i < ALIVE; i++)
        ward_cancel(self, alive[i]);
    CHECK_IS(ward_join(self, alive, ALIVE, WARD_FOREVER), WARD_OK);
    CHECK(world->ended <= spawned);
    printf("%u cancelled, %u of them in a wait\n", spawned, world->ended);
}

/* -- chains ------------------------------------------------------------------------------------ */

static ward_status ask_first(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc =
        ward_ask(self, &msg, world_of(self)->middle, &WORK, NULL, ward_in_ms(self, 60000));

    CHECK_IS(rc, WARD_ECANCELED);
    return rc;
}

/* What it asks for an asker who has left ends at once, and the next question is another matter. */
static ward_status ask_on(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        const ward_msg *answer;

        ward__add(&world->waits, 1);
        rc = ward_ask(self, &answer, world->last, &WORK, NULL, WARD_FOREVER);
        if (rc == WARD_ECANCELED) return rc;
        CHECK_IS(rc, WARD_EABANDONED);
        CHECK(ward_cancelled(self));
        ward__add(&world->abandoned_asks, 1);
    }
    return rc;
}

static ward_status sleep_on(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        rc = ward_sleep(self, WARD_FOREVER);
        if (rc == WARD_ECANCELED) return rc;
        /* Timed out: the question's own deadline, which is its asker's. */
        CHECK_IS(rc, WARD_EABANDONED);
        ward__add(&world->abandoned_sleeps, 1);
    }
    return rc;
}

static void chains(ward_self *self, struct world *world)
{
    uint32_t made = 0;

    world->last = begin(self, (ward_spec){ .body = sleep_on, .mailbox_max = 1 }, world);
    world->middle = begin(self, (ward_spec){ .body = ask_on, .mailbox_max = 1 }, world);
    for (; made < SCALED(CHAINS); made++) {
        uint32_t waits = atomic_load(&world->waits);
        ward_ref askers[3];

        for (int i = 0; i < 3; i++)
            askers[i] = begin(self, (ward_spec){ .body = ask_first }, world);
        if (made % 2) /* else it may be cancelled before its question is taken */
            while (atomic_load(&world->waits) == waits)
                CHECK_IS(ward_checkpoint(self), WARD_OK);
        for (int i = 0; i < 3; i++)
            ward_cancel(self, askers[i]);
        CHECK_IS(ward_join(self, askers, 3, WARD_FOREVER), WARD_OK);
    }
    ward_cancel(self, world->middle);
    CHECK_IS(ward_join(self, &world->middle, 1, WARD_FOREVER), WARD_OK);
    ward_cancel(self, world->last);
    CHECK_IS(ward_join(self, &world->last, 1, WARD_FOREVER), WARD_OK);
    CHECK(world->abandoned_asks >= made / 2);
    CHECK(world->abandoned_sleeps > 0);
    printf("%u chains, %u asks and %u sleeps for nobody\n", made, world->abandoned_asks,
        world->abandoned_sleeps);
}

/* -- a late forward ---------------------------------------------------------------------------- */

static ward_status ask_twice(ward_self *self)
{
    const ward_msg *answer;
    ward_ref middle = world_of(self)->middle;

    CHECK_IS(ward_ask(self, &answer, middle, &WORK, NULL, ward_in_ms(self, 20)), WARD_ETIMEDOUT);
    CHECK_IS(ward_ask(self, &answer, middle, &WORK, NULL, WARD_FOREVER), WARD_ECANCELED);
    return WARD_OK;
}

/* Passes the first question on while it has the second one in hand. */
static ward_status pass_on_late(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg;
    ward_msg *first;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    if (!rc) rc = ward_keep(self, &first, msg);
    if (!rc) rc = ward_receive(self, &msg, WARD_FOREVER);
    if (!rc) rc = ward_forward(self, world->last, first);
    CHECK_IS(rc, WARD_OK);
    ward__add(&world->waits, 1);
    CHECK_IS(ward_sleep(self, ward_in_ms(self, 10000)), WARD_EABANDONED);
    return WARD_OK;
}

/* The asker waits for an answer to the second one, and its cancel must find who has that. */
static void late_forward(ward_self *self, struct world *world)
{
    uint32_t waits = atomic_load(&world->waits);
    ward_ref both[2];

    world->last = begin(self, (ward_spec){ .handle = be_busy }, world);
    world->middle = both[0] = begin(self, (ward_spec){ .body = pass_on_late }, world);
    both[1] = begin(self, (ward_spec){ .body = ask_twice }, world);
    while (atomic_load(&world->waits) == waits)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    ward_cancel(self, both[1]);
    CHECK_IS(ward_join(self, both, 2, WARD_FOREVER), WARD_OK);
    ward_cancel(self, world->last);
}

/* -- work for somebody else -------------------------------------------------------------------- */

static ward_status ask_and_stay(ward_self *self)
{
    const ward_msg *answer;

    CHECK_IS(ward_ask(self, &answer, world_of(self)->middle, &WORK, NULL, WARD_FOREVER), WARD_OK);
    return WARD_OK;
}

static ward_status ask_in_vain(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_ask(self, &msg, world_of(self)->middle, &WORK, NULL, WARD_FOREVER);

    CHECK(rc == WARD_ECANCELED || rc == WARD_EGONE); /* on a slow machine it has ended by now */
    return WARD_OK;
}

static ward_status work_for_one(ward_self *self)
{
    const ward_msg *msg;

    CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
    ward__add(&world_of(self)->waits, 1);
    CHECK_IS(ward_sleep(self, ward_in_ms(self, 200)), WARD_OK);
    CHECK_IS(ward_reply(self, msg, &WORK, NULL), WARD_OK);
    return WARD_OK;
}

/* Another's question is queued there when its asker is cancelled: the one in hand goes on. */
static void work_goes_on(ward_self *self, struct world *world)
{
    uint32_t waits = atomic_load(&world->waits);
    ward_ref all[3];

    world->middle = all[0] = begin(self, (ward_spec){ .body = work_for_one }, world);
    all[1] = begin(self, (ward_spec){ .body = ask_and_stay }, world);
    while (atomic_load(&world->waits) == waits)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    all[2] = begin(self, (ward_spec){ .body = ask_in_vain }, world);
    CHECK_IS(ward_sleep(self, ward_in_ms(self, 10)), WARD_OK); /* so that it has asked */
    ward_cancel(self, all[2]);
    CHECK_IS(ward_join(self, all, 3, WARD_FOREVER), WARD_OK);
}

static ward_status run(ward_self *self)
{
    static struct world world;
    int fds[2];

    CHECK_IS(pipe(fds), 0);
    world.fd = fds[0];
    world.mute = begin(self, (ward_spec){ .handle = be_mute, .mailbox_max = 1 << 22 }, &world);
    world.full = begin(self, (ward_spec){ .body = be_full, .mailbox_max = 1 }, &world);
    world.busy = begin(self, (ward_spec){ .handle = be_busy, .mailbox_max = 1 }, &world);
    world.forever = begin(self, (ward_spec){ .body = be_full }, &world);
    CHECK_IS(ward_send(self, world.full, &WORK, NULL), WARD_OK);
    storm(self, &world);
    chains(self, &world);
    late_forward(self, &world);
    work_goes_on(self, &world);
    close(fds[0]);
    close(fds[1]);
    return WARD_OK;
}

int main(void)
{
    check_begin("cancel");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 2 }), WARD_OK);
    return check_end();
}
