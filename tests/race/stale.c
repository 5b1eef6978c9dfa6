/* SPDX-License-Identifier: MIT */
/*
 * stale.c - refs of the dead, while their slots live on.
 *
 * An actor ends, another takes its slot. Whatever is tried with the old ref says that it is gone,
 * and the new one hears nothing of it. After a refused ask a receive lasts until its deadline: the
 * cell is not left armed. An actor that spawned the next one in its place may not be it.
 */
#include "tests/support/check.h"

enum { LIVES = 4000, KEPT = 1024 };

static const ward_type NAME = WARD_TYPE_PLAIN("name", ward_ref);

struct world {
    uint32_t heard, reused, waited;
};

static ward_status listen(ward_self *self, const ward_msg *msg)
{
    struct world *world = ward_arg(self);
    const ward_ref *name = ward_value(msg, &NAME);

    if (CHECK(name != NULL)) CHECK(ward_same(*name, ward_me(self)));
    world->heard++;
    return ward_reply(self, msg, &NAME, name);
}

static void try_all(ward_self *self, struct world *world, ward_ref gone, bool wait)
{
    const ward_msg *msg;
    ward_deadline by;

    CHECK_IS(ward_send(self, gone, &NAME, &gone), WARD_EGONE);
    CHECK_IS(ward_send_by(self, gone, &NAME, &gone, WARD_FOREVER), WARD_EGONE);
    CHECK_IS(ward_ask(self, &msg, gone, &NAME, &gone, ward_in_ms(self, 10000)), WARD_EGONE);
    ward_cancel(self, gone);
    if (!wait) return;
    by = ward_in_ms(self, 2);
    CHECK_IS(ward_receive(self, &msg, by), WARD_ETIMEDOUT);
    CHECK(ward_now_ns(self) >= by.ns);
    world->waited++;
}

static ward_status run(ward_self *self)
{
    struct world world = { 0 };
    ward_spec spec = { .handle = listen, .arg = &world, .restart = WARD_TEMPORARY };
    ward_ref dead[KEPT] = { { 0 } }, ref, *old;
    const ward_msg *answer;
    uint32_t lives = SCALED(LIVES);

    for (uint32_t i = 0; i < lives; i++) {
        CHECK_IS(ward_spawn(self, &ref, &spec), WARD_OK);
        old = &dead[ref.slot % KEPT];
        if (old->slot == ref.slot) {
            CHECK(!ward_same(*old, ref));
            try_all(self, &world, *old, i % 64 == 0);
            world.reused++;
        }
        CHECK_IS(ward_ask(self, &answer, ref, &NAME, &ref, ward_in_ms(self, 20000)), WARD_OK);
        ward_cancel(self, ref);
        CHECK_IS(ward_join(self, &ref, 1, WARD_FOREVER), WARD_OK);
        try_all(self, &world, ref, false);
        *old = ref;
    }
    CHECK_IS(world.heard, lives);
    CHECK(world.reused >= lives / 8); /* else nothing was tested */
    CHECK(world.waited > 0);
    printf("%u lives, %u times in a slot that had been used\n", lives, world.reused);
    return WARD_OK;
}

int main(void)
{
    check_begin("stale");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 1 }), WARD_OK);
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 2 }), WARD_OK);
    return check_end();
}
