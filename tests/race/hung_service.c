/* SPDX-License-Identifier: MIT */
/*
 * hung_service.c - sixty handlers of one service hang at once, on two workers with eight spares:
 * the service gets half of the spares, its other actors wait, one that is told to stop ends, and
 * somebody who asks another service is answered all the time. Then all go on and get their turn.
 */
#include <string.h>
#include <time.h>
#include <ward/census.h>

#include "tests/support/check.h"

enum { HUNG = 60, SPARES = 8, WORKERS = 2, ASKS = 50, ROUNDS = 3 };

static const ward_type GO = WARD_TYPE_EMPTY("go");

static _Atomic uint32_t in_turn, most_in_turn, done;
static _Atomic bool released;

static ward_status hang(ward_self *self, const ward_msg *msg)
{
    uint32_t now = atomic_fetch_add(&in_turn, 1) + 1, most = atomic_load(&most_in_turn);
    struct timespec ms = { 0, 1000000 };

    (void)self;
    (void)msg;
    while (most < now && !atomic_compare_exchange_weak(&most_in_turn, &most, now)) {
    }
    while (!atomic_load(&released))
        nanosleep(&ms, NULL);
    atomic_fetch_sub(&in_turn, 1);
    atomic_fetch_add(&done, 1);
    return WARD_STOP;
}

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &GO, NULL);
}

/* How many of the service wait for a thread, as the census has it. */
static uint32_t waiting_for_a_thread(ward_self *self)
{
    ward_census *census;
    uint32_t count = 0;

    if (!CHECK_IS(ward_census_take(ward_node_of(self), &census), WARD_OK)) return 0;
    for (size_t i = 0; i < ward_census_count(census); i++) {
        const ward_row *row = ward_census_row(census, i);
        count += row->state == WARD_RUNNABLE && strcmp(row->wait, "thread") == 0;
    }
    ward_census_free(census);
    return count;
}

/* True: nobody who asks waits long for the hung ones. */
static bool others_go_on(ward_self *self, ward_ref other)
{
    const ward_msg *answer;
    bool all = true;

    for (int i = 0; i < ASKS; i++) {
        all &=
            CHECK_IS(ward_ask(self, &answer, other, &GO, NULL, ward_in_ms(self, 20000)), WARD_OK);
        all &= CHECK_IS(ward_sleep(self, ward_in_ms(self, 2)), WARD_OK);
    }
    return all;
}

static ward_status run(ward_self *self)
{
    ward_ref hung[HUNG], other;
    ward_status rc = WARD_OK;

    in_turn = most_in_turn = done = 0;
    released = false;
    CHECK_IS(ward_spawn(self, &other, &(ward_spec){ .handle = echo }), WARD_OK);
    for (int i = 0; !rc && i < HUNG; i++) {
        rc = ward_spawn(self, &hung[i], &(ward_spec){ .handle = hang });
        if (!rc) rc = ward_send(self, hung[i], &GO, NULL);
    }
    CHECK_IS(rc, WARD_OK);
    while (waiting_for_a_thread(self) < HUNG - SPARES)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 5)), WARD_OK);
    for (int i = 0; i < ROUNDS && others_go_on(self, other); i++)
        CHECK(atomic_load(&most_in_turn) <= SPARES / 2);
    CHECK(atomic_load(&most_in_turn) > WORKERS);
    /* The last one has not had its turn; nobody needs to wait for the others to stop it. */
    CHECK_IS(atomic_load(&done), 0);
    ward_cancel(self, hung[HUNG - 1]);
    CHECK_IS(ward_join(self, &hung[HUNG - 1], 1, ward_in_ms(self, 20000)), WARD_OK);
    CHECK_IS(atomic_load(&done), 0);
    atomic_store(&released, true);
    CHECK_IS(ward_join(self, hung, HUNG, ward_in_ms(self, 60000)), WARD_OK);
    CHECK_IS(atomic_load(&done), HUNG - 1);
    CHECK(atomic_load(&most_in_turn) <= SPARES / 2);
    return WARD_OK;
}

int main(void)
{
    check_begin("hung service");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = WORKERS, .spares_max = SPARES }), WARD_OK);
    return check_end();
}
