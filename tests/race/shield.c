/* SPDX-License-Identifier: MIT */
/*
 * shield.c - must-finish steps that are cancelled at any time, by another thread: none of them is
 * cut short, and the first wait after one says WARD_ECANCELED. Fibers and threads of their own.
 */
#include "actors/node.h"
#include "tests/support/check.h"

enum { LIVES = 2000, AT_ONCE = 4 };

static const ward_type WORD = WARD_TYPE_EMPTY("word");

struct world {
    ward_ref echo;
    _Atomic uint32_t done, steps, cancelled;
};

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &WORD, NULL);
}

/* Steps of several waits, until it is told to stop between two of them. */
static ward_status worker(ward_self *self)
{
    struct world *world = *(struct world *const *)ward_arg(self);
    const ward_msg *answer;
    ward_status rc = WARD_OK;

    while (!rc) {
        CHECK_IS(ward_shield(self, ward_in_ms(self, 60000)), WARD_OK);
        for (int i = 0; i < 3; i++)
            CHECK_IS(ward_ask(self, &answer, world->echo, &WORD, NULL, WARD_FOREVER), WARD_OK);
        if (ward_random(self) % 4 == 0) CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
        CHECK_IS(ward_checkpoint(self), WARD_OK);
        ward__add(&world->steps, 1);
        bool told = ward_cancelled(self);
        ward_unshield(self);
        rc = ward_random(self) % 2
                 ? ward_checkpoint(self)
                 : ward_ask(self, &answer, world->echo, &WORD, NULL, WARD_FOREVER);
        CHECK(!told || rc == WARD_ECANCELED);
    }
    ward__add(&world->cancelled, CHECK_IS(rc, WARD_ECANCELED));
    return rc;
}

static ward_status run(ward_self *self)
{
    struct world *world = *(struct world *const *)ward_arg(self);

    CHECK_IS(ward_spawn(self, &world->echo, &(ward_spec){ .handle = echo, .mailbox_max = 1 }), 0);
    for (int i = 0; i < SCALED(LIVES); i++) {
        ward_ref refs[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++) {
            ward_spec spec = { .body = worker,
                .blocking = k == 0 && i % 8 == 0,
                .arg = &world,
                .arg_bytes = sizeof world,
                .restart = WARD_TEMPORARY };
            CHECK_IS(ward_spawn(self, &refs[k], &spec), WARD_OK);
        }
        for (uint64_t k = ward_random(self) % 3000; k > 0; k--)
            ward__pause();
        if (i % 16 == 0) CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
        for (int k = 0; k < AT_ONCE; k++)
            ward_cancel(self, refs[k]);
        CHECK_IS(ward_join(self, refs, AT_ONCE, WARD_FOREVER), WARD_OK);
    }
    CHECK(world->steps > 0 && world->cancelled > 0);
    printf("%u steps, %u cancelled\n", world->steps, world->cancelled);
    return WARD_OK;
}

int main(void)
{
    static struct world world;
    struct world *at = &world;

    check_begin("shield");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 2, .arg = &at }), WARD_OK);
    return check_end();
}
