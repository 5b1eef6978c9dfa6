/* SPDX-License-Identifier: MIT */
/*
 * stale.c - refs of the dead, while their slots live on.
 *
 * An actor ends, another takes its slot. Whatever is tried with the old ref says that it is gone,
 * and the new one hears nothing of it. After a refused ask a receive lasts until its deadline: the
 * cell is not left armed. And an answer that comes when its asker is dead does not reach who asks
 * in its slot by then: cells grow from life to life.
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

/* -- a late answer, and a later life of its asker's slot ----------------------------------------
 */

enum { LATER = 200, WAIT_MS = 300 };

struct late {
    ward_ref holder;
    _Atomic uint32_t asking, in_that_slot;
    uint32_t slot;
};

/* Keeps each question; a message that is none lets it answer the first one. */
static ward_status answer_late(ward_self *self, const ward_msg *msg)
{
    ward_msg **first = ward_state(self), *kept;
    ward_status rc;

    if (ward_deadline_of(self, msg).ns == WARD_FOREVER.ns)
        return ward_reply(self, *first, &NAME, &(ward_ref){ 0 });
    rc = ward_keep(self, &kept, msg);
    if (!*first) *first = kept;
    return rc;
}

static ward_status ask_once(ward_self *self)
{
    struct late *late = ward_arg(self);
    const ward_msg *answer;
    ward_ref me = ward_me(self);
    ward_status rc;

    ward__add(&late->asking, 1);
    rc = ward_ask(self, &answer, late->holder, &NAME, &me, ward_in_ms(self, WAIT_MS));
    CHECK(rc == WARD_ETIMEDOUT || rc == WARD_ECANCELED);
    if (late->slot == me.slot) ward__add(&late->in_that_slot, 1);
    return WARD_OK;
}

static void wait_for(ward_self *self, _Atomic uint32_t *what, uint32_t value)
{
    while (atomic_load(what) < value)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    CHECK_IS(ward_sleep(self, ward_in_ms(self, 5)), WARD_OK); /* so that they have asked */
}

/* On a worker, which keeps the slots it frees for itself. */
static ward_status answer_the_dead(ward_self *self)
{
    struct late late = { 0 };
    ward_ref all[LATER], first, nobody = { 0 };
    ward_spec asks = { .body = ask_once, .arg = &late, .restart = WARD_TEMPORARY };

    CHECK_IS(ward_spawn(self, &late.holder,
                 &(ward_spec){ .handle = answer_late, .state_bytes = sizeof(ward_msg *) }),
        WARD_OK);
    CHECK_IS(ward_spawn_at(self, &first, &asks, WARD_HERE), WARD_OK);
    wait_for(self, &late.asking, 1);
    ward_cancel(self, first);
    CHECK_IS(ward_join(self, &first, 1, WARD_FOREVER), WARD_OK);
    late.slot = first.slot;
    for (int i = 0; i < LATER; i++)
        CHECK_IS(ward_spawn_at(self, &all[i], &asks, WARD_HERE), WARD_OK);
    wait_for(self, &late.asking, 1 + LATER);
    CHECK_IS(ward_send(self, late.holder, &NAME, &nobody), WARD_OK);
    CHECK_IS(ward_join(self, all, LATER, WARD_FOREVER), WARD_OK);
    CHECK(late.in_that_slot > 0); /* else nothing was tested */
    return WARD_OK;
}

static ward_status run_late(ward_self *self)
{
    ward_ref ref;

    CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .body = answer_the_dead }), WARD_OK);
    return ward_join(self, &ref, 1, WARD_FOREVER);
}

int main(void)
{
    check_begin("stale");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 1 }), WARD_OK);
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 2 }), WARD_OK);
    CHECK_IS(ward_run(run_late, &(ward_opts){ .workers = 1 }), WARD_OK);
    return check_end();
}
