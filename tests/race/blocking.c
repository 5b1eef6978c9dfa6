/* SPDX-License-Identifier: MIT */
/*
 * blocking.c - code that blocks its thread: bodies with a thread each, handlers on a pool with a
 * bound.
 *
 * Handlers block in read until the pool is full of them, and no more than blocking_max are ever in
 * it at once; meanwhile actors of the workers go on. Bodies block, ask each other and are asked,
 * and come and go. Many more handlers than threads all get their turns.
 */
#include <string.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { POOL = 3, HANDLERS = 12, BODIES = 6, EACH = 400, ROUNDS = 300 };

static const ward_type NUMBER = WARD_TYPE_PLAIN("number", uint32_t);

struct world {
    int pipe[2];
    _Atomic uint32_t inside, most, handled, echoed;
    ward_ref handlers[HANDLERS], echo;
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
    CHECK_IS(ward_spawn_at(self, &ref, &spec, WARD_HERE), WARD_OK);
    return ref;
}

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    ward__add(&world_of(self)->echoed, 1);
    return ward_reply(self, msg, &NUMBER, ward_value(msg, &NUMBER));
}

/* -- handlers ---------------------------------------------------------------------------------- */

static ward_status block(ward_self *self, const ward_msg *msg)
{
    struct world *world = world_of(self);
    uint32_t now = ward__add(&world->inside, 1) + 1, most = atomic_load(&world->most);
    char byte;

    while (now > most && !atomic_compare_exchange_weak(&world->most, &most, now)) {
    }
    if (*(const uint32_t *)ward_value(msg, &NUMBER) == 0)
        CHECK_IS(read(world->pipe[0], &byte, 1), 1);
    ward__sub(&world->inside, 1);
    ward__add(&world->handled, 1);
    return WARD_OK;
}

static void run_handlers(ward_self *self, struct world *world)
{
    uint32_t zero = 0, one = 1;
    const ward_msg *answer;

    for (int i = 0; i < HANDLERS; i++) {
        world->handlers[i] = begin(self, (ward_spec){ .handle = block, .blocking = true }, world);
        CHECK_IS(ward_send(self, world->handlers[i], &NUMBER, &zero), WARD_OK);
    }
    while (atomic_load(&world->inside) < POOL)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    for (uint32_t i = 0; i < 100; i++)
        CHECK_IS(ward_ask(self, &answer, world->echo, &NUMBER, &i, WARD_FOREVER), WARD_OK);
    CHECK_IS(world->handled, 0);
    for (int i = 0; i < HANDLERS; i++)
        CHECK_IS(write(world->pipe[1], "x", 1), 1);
    for (uint32_t n = 0; n < SCALED(EACH); n++)
        for (int i = 0; i < HANDLERS; i++)
            CHECK_IS(ward_send_by(self, world->handlers[i], &NUMBER, &one, WARD_FOREVER), WARD_OK);
    for (int i = 0; i < HANDLERS; i++)
        ward_close_mail(self, world->handlers[i]);
    CHECK_IS(ward_join(self, world->handlers, HANDLERS, WARD_FOREVER), WARD_OK);
    CHECK_IS(world->handled, HANDLERS * (SCALED(EACH) + 1));
    CHECK_IS(world->most, POOL);
}

/* -- bodies ------------------------------------------------------------------------------------ */

static ward_status answer_some(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER)))
        CHECK_IS(ward_reply(self, msg, &NUMBER, ward_value(msg, &NUMBER)), WARD_OK);
    return rc;
}

static ward_status ask_some(ward_self *self)
{
    struct world *world = world_of(self);
    ward_ref own = begin(self, (ward_spec){ .body = answer_some, .blocking = true }, world);
    const ward_msg *answer;

    for (uint32_t i = 0; i < SCALED(EACH); i++) {
        ward_ref to = i % 2 ? own : world->echo;

        if (CHECK_IS(ward_ask(self, &answer, to, &NUMBER, &i, WARD_FOREVER), WARD_OK))
            CHECK_IS(*(const uint32_t *)ward_value(answer, &NUMBER), i);
    }
    return WARD_OK; /* its child goes with it */
}

static ward_status end_at_once(ward_self *self)
{
    ward__add(&world_of(self)->handled, 1);
    return WARD_OK;
}

static void run_bodies(ward_self *self, struct world *world)
{
    ward_ref all[BODIES];

    for (int i = 0; i < BODIES; i++)
        all[i] = begin(self, (ward_spec){ .body = ask_some, .blocking = true }, world);
    CHECK_IS(ward_join(self, all, BODIES, WARD_FOREVER), WARD_OK);
    atomic_store(&world->handled, 0);
    for (uint32_t n = 0; n < SCALED(ROUNDS); n++) {
        for (int i = 0; i < BODIES; i++)
            all[i] = begin(self, (ward_spec){ .body = end_at_once, .blocking = true }, world);
        CHECK_IS(ward_join(self, all, BODIES, WARD_FOREVER), WARD_OK);
    }
    CHECK_IS(world->handled, SCALED(ROUNDS) * BODIES);
}

static ward_status run(ward_self *self)
{
    static struct world world;

    CHECK_IS(pipe(world.pipe), 0);
    world.echo = begin(self, (ward_spec){ .handle = echo }, &world);
    run_handlers(self, &world);
    run_bodies(self, &world);
    close(world.pipe[0]);
    close(world.pipe[1]);
    return WARD_OK;
}

int main(void)
{
    check_begin("blocking");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 1, .blocking_max = POOL }), WARD_OK);
    return check_end();
}
