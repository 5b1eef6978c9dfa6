/* SPDX-License-Identifier: MIT */
/*
 * bound.c - the bound of a mailbox, from outside: cap + 1 is never accepted, and "full" is never
 * said when it is not.
 *
 * A receiver has a message in hand and takes no more: one sender, then many at once, fibers and
 * threads that are no actors, send until they are refused; exactly the bound is accepted, each
 * time. Then many send, all together less than the bound, while the receiver takes: nobody is
 * refused.
 */
#include <pthread.h>

#include "tests/support/check.h"

enum { SENDERS = 6, THREADS = 2, ROUNDS = 60, EACH = 30000, ROOMY = 1 << 18 };

static const ward_type HOLD = WARD_TYPE_EMPTY("hold");
static const ward_type NUMBER = WARD_TYPE_PLAIN("number", uint32_t);

struct world {
    ward_node *node;
    ward_ref to;
    uint32_t bound, senders;
    _Atomic bool release;
    _Atomic uint32_t round, ready, accepted, refused, taken;
};

static struct world *world_of(ward_self *self)
{
    return *(struct world *const *)ward_arg(self);
}

static ward_ref begin(ward_self *self, ward_body *body, struct world *world, uint32_t bound)
{
    ward_ref ref = { 0 };
    ward_spec spec = {
        .body = body, .arg = &world, .arg_bytes = sizeof world, .mailbox_max = bound
    };

    CHECK_IS(ward_spawn(self, &ref, &spec), WARD_OK);
    return ref;
}

/* -- a receiver that takes nothing ------------------------------------------------------------- */

static ward_status hold(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        CHECK(ward_is(msg, &HOLD));
        ward__add(&world->ready, 1);
        while (!atomic_load(&world->release) && !rc)
            rc = ward_sleep(self, ward_in_ms(self, 1));
        while (!rc && !(rc = ward_receive(self, &msg, WARD_NOW)))
            ward__add(&world->taken, 1);
        if (rc == WARD_ETIMEDOUT) ward__add(&world->ready, 1);
    }
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

static void fill(ward_self *self, struct world *world)
{
    uint32_t number = 0;
    ward_status rc;

    while (!(rc = ward_send(self, world->to, &NUMBER, &number)))
        ward__add(&world->accepted, 1);
    CHECK_IS(rc, WARD_EFULL);
    for (int i = 0; i < 3; i++) /* and it stays full */
        CHECK_IS(ward_send(self, world->to, &NUMBER, &number), WARD_EFULL);
    ward__add(&world->refused, 1);
}

static ward_status fill_each_round(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER)))
        fill(self, world);
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

static void *fill_outside(void *arg)
{
    struct world *world = arg;

    for (uint32_t round = 1; round <= SCALED(ROUNDS); round++) {
        while (atomic_load(&world->round) < round)
            usleep(100);
        fill(ward_outside(world->node), world);
    }
    return NULL;
}

static void wait_for(ward_self *self, _Atomic uint32_t *what, uint32_t value)
{
    while (atomic_load(what) < value)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
}

static void run_round(ward_self *self, struct world *world, const ward_ref *fillers, uint32_t count)
{
    atomic_store(&world->release, false);
    atomic_store(&world->ready, 0);
    atomic_store(&world->accepted, 0);
    atomic_store(&world->taken, 0);
    atomic_store(&world->refused, 0);
    CHECK_IS(ward_send(self, world->to, &HOLD, NULL), WARD_OK);
    wait_for(self, &world->ready, 1);
    ward__add(&world->round, 1);
    for (uint32_t i = 0; i < count; i++)
        CHECK_IS(ward_send(self, fillers[i], &HOLD, NULL), WARD_OK);
    wait_for(self, &world->refused, world->senders);
    CHECK_IS(world->accepted, world->bound);
    atomic_store(&world->release, true);
    wait_for(self, &world->ready, 2);
    CHECK_IS(world->taken, world->bound);
}

static ward_status run_full(ward_self *self)
{
    static const uint32_t bounds[] = { 1, 2, 7, 1024 };

    for (uint32_t k = 0; k < 2 * WARD_COUNT(bounds); k++) {
        bool many = k % 2;
        uint32_t count = many ? SENDERS : 1;
        struct world world = { .node = ward_node_of(self),
            .bound = bounds[k / 2],
            .senders = many ? SENDERS + THREADS : 1 };
        ward_ref fillers[SENDERS];
        pthread_t threads[THREADS];

        world.to = begin(self, hold, &world, world.bound);
        for (uint32_t i = 0; i < count; i++)
            fillers[i] = begin(self, fill_each_round, &world, 0);
        for (int i = 0; many && i < THREADS; i++)
            pthread_create(&threads[i], NULL, fill_outside, &world);
        for (uint32_t i = 0; i < SCALED(ROUNDS); i++)
            run_round(self, &world, fillers, count);
        for (int i = 0; many && i < THREADS; i++)
            pthread_join(threads[i], NULL);
        for (uint32_t i = 0; i < count; i++)
            ward_cancel(self, fillers[i]);
        ward_cancel(self, world.to);
        CHECK_IS(ward_join(self, fillers, count, WARD_FOREVER), WARD_OK);
        CHECK_IS(ward_join(self, &world.to, 1, WARD_FOREVER), WARD_OK);
    }
    return WARD_OK;
}

/* -- one that has room ------------------------------------------------------------------------- */

static ward_status take_all(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg;
    uint32_t all = world->senders * SCALED(EACH);

    while (world->taken < all) {
        CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
        ward__add(&world->taken, 1);
    }
    return WARD_OK;
}

static void send_some(ward_self *self, struct world *world)
{
    for (uint32_t i = 0; i < SCALED(EACH); i++)
        CHECK_IS(ward_send(self, world->to, &NUMBER, &i), WARD_OK);
}

static ward_status send_some_body(ward_self *self)
{
    send_some(self, world_of(self));
    return WARD_OK;
}

static void *send_some_outside(void *arg)
{
    struct world *world = arg;

    send_some(ward_outside(world->node), world);
    return NULL;
}

static ward_status run_roomy(ward_self *self)
{
    struct world world = { .node = ward_node_of(self), .senders = SENDERS + THREADS };
    ward_ref senders[SENDERS];
    pthread_t threads[THREADS];

    world.to = begin(self, take_all, &world, ROOMY);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = begin(self, send_some_body, &world, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, send_some_outside, &world);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_IS(ward_join(self, senders, SENDERS, WARD_FOREVER), WARD_OK);
    CHECK_IS(ward_join(self, &world.to, 1, WARD_FOREVER), WARD_OK);
    CHECK_IS(world.taken, world.senders * SCALED(EACH));
    return WARD_OK;
}

int main(void)
{
    check_begin("bound");
    CHECK_IS(ward_run(run_full, &(ward_opts){ .workers = 2 }), WARD_OK);
    CHECK_IS(ward_run(run_roomy, &(ward_opts){ .workers = 2 }), WARD_OK);
    return check_end();
}
