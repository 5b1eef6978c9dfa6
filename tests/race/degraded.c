/* SPDX-License-Identifier: MIT */
/*
 * degraded.c - on real threads: callers that never rest at an actor that is degraded and revived
 * all the time. They are told so (WARD_EUNAVAIL), or served, or their question was in hand when it
 * failed; nobody is told that it is closed or gone, nobody waits for ever, and the books balance.
 */
#include <ward/census.h>

#include "tests/support/check.h"

enum { CALLERS = 6, TIMES = 20000 };

static const ward_type WORK = WARD_TYPE_PLAIN("work", int);
static const ward_type POISON = WARD_TYPE_EMPTY("poison");

struct world {
    ward_ref weak;
    _Atomic bool calm;
    _Atomic long outcomes[3]; /* served, unavailable, else */
};

static ward_status take(ward_self *self, const ward_msg *msg)
{
    if (ward_is(msg, &POISON)) return WARD_EFAIL;
    return ward_reply(self, msg, &WORK, ward_value(msg, &WORK));
}

static ward_status caller(ward_self *self)
{
    struct world *world = *(struct world **)ward_arg(self);
    const ward_msg *answer;
    ward_status rc = WARD_OK;

    for (int n = 0; rc != WARD_ECANCELED && !atomic_load(&world->calm); n++) {
        ward_deadline by = ward_in_ms(self, 60000);
        if (n % 3 == 0)
            rc = ward_ask(self, &answer, world->weak, &WORK, &n, by);
        else if (n % 3 == 1)
            rc = ward_send_by(self, world->weak, &WORK, &n, by);
        else
            rc = ward_send(self, world->weak, &WORK, &n);
        if (rc == WARD_EFULL && n % 3 == 2) rc = WARD_OK;
        atomic_fetch_add(&world->outcomes[rc == WARD_OK ? 0 : rc == WARD_EUNAVAIL ? 1 : 2], 1);
        if (rc != WARD_EUNAVAIL && rc != WARD_ENOREPLY && rc != WARD_ECANCELED)
            CHECK_IS(rc, WARD_OK);
    }
    return WARD_OK;
}

/* Poisons it and revives it, over and over. */
static ward_status operate(ward_self *self)
{
    struct world *world = *(struct world **)ward_arg(self);

    for (int i = 0; i < SCALED(TIMES); i++) {
        ward_status rc = WARD_OK;
        while (rc == WARD_OK) /* it takes two, and maybe one that came too early */
            rc = ward_send_by(self, world->weak, &POISON, NULL, ward_in_ms(self, 60000));
        CHECK_IS(rc, WARD_EUNAVAIL);
        CHECK_IS(ward_revive(self, world->weak), WARD_OK);
    }
    atomic_store(&world->calm, true);
    return WARD_OK;
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref sup, others[CALLERS + 1];
    ward_status rc = ward_spawn(self, &sup, &(ward_spec){ .strategy = WARD_DYNAMIC });

    if (!rc)
        rc = ward_spawn_under(self, &world->weak, sup,
            &(ward_spec){ .handle = take,
                .mailbox_max = 2,
                .restarts_max = 1,
                .window_ms = WARD_UNLIMITED,
                .backoff_ms = WARD_AT_ONCE,
                .at_limit = WARD_DEGRADE });
    for (int i = 0; !rc && i <= CALLERS; i++)
        rc = ward_spawn(self, &others[i],
            &(ward_spec){
                .body = i < CALLERS ? caller : operate, .arg = &world, .arg_bytes = sizeof world });
    if (!rc) rc = ward_join(self, others, CALLERS + 1, ward_in_ms(self, 100000));
    return rc;
}

int main(void)
{
    static struct world world;
    ward_opts opts = { .arg = &world, .workers = 4 };

    check_begin("degraded and revived under load");
    CHECK_IS(ward_run(run, &opts), WARD_OK);
    CHECK(atomic_load(&world.outcomes[0]) > 0);
    CHECK(atomic_load(&world.outcomes[1]) > 0);
    return check_end();
}
