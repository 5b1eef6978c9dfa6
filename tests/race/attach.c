/* SPDX-License-Identifier: MIT */
/*
 * attach.c - threads of the host as actors: the same calls, an fd for poll, and a node that is
 * used by threads that are no actors at all.
 *
 * A consumer polls its fd and then takes what is there, all of it, or one message each time, or
 * with a wait of its own in between; producers are fibers and plain threads. The fd that is not
 * raised shows as a poll that lasts too long. Then threads that attach and detach all the time
 * while others send to what they were.
 */
#include <poll.h>
#include <pthread.h>

#include "tests/support/check.h"

enum { PRODUCERS = 4, OUTSIDE = 4, EACH = 20000, ROUNDS = 2000, HOSTS = 3, POLL_MS = 20000 };

static const ward_type NUMBER = WARD_TYPE_PLAIN("number", uint32_t);

struct world {
    ward_node *node;
    ward_ref to;
    _Atomic uint64_t sent;
    _Atomic bool over;
    pthread_mutex_t lock;
    ward_ref hosts[HOSTS];
};

enum manner { ALL, ONE, MIXED };

/* -- producers --------------------------------------------------------------------------------- */

static ward_status produce(ward_self *self)
{
    struct world *world = *(struct world *const *)ward_arg(self);

    for (uint32_t i = 0; i < SCALED(EACH); i++) {
        ward_status rc = ward_send_by(self, world->to, &NUMBER, &i, WARD_FOREVER);

        if (CHECK_IS(rc, WARD_OK)) ward__add(&world->sent, 1);
        if (i % 512 == 0) CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    }
    return WARD_OK;
}

static void *produce_outside(void *arg)
{
    struct world *world = arg;
    ward_self *self = ward_outside(world->node);

    for (uint32_t i = 0; i < SCALED(EACH); i++) {
        ward_status rc = ward_send(self, world->to, &NUMBER, &i);

        if (rc == WARD_OK)
            ward__add(&world->sent, 1);
        else
            CHECK_IS(rc, WARD_EFULL);
    }
    return NULL;
}

/* -- the consumer ------------------------------------------------------------------------------ */

/* What is there after the fd said so: at least nothing wrong, and no more than is wanted. */
static uint64_t take(ward_self *self, enum manner manner)
{
    const ward_msg *msg;
    uint64_t taken = 0;
    ward_status rc;

    do {
        rc = ward_receive(self, &msg, WARD_NOW);
        if (rc == WARD_OK)
            taken++;
        else
            CHECK_IS(rc, WARD_ETIMEDOUT);
    } while (rc == WARD_OK && manner != ONE);
    if (manner != MIXED) return taken;
    rc = ward_receive(self, &msg, ward_in_ms(self, 1)); /* may take the mailbox back with nothing */
    return taken + (rc == WARD_OK);
}

static void run_fd(enum manner manner)
{
    struct world world = { .node = check_open(&(ward_opts){ .workers = 2 }) }, *at = &world;
    ward_spec producer = { .body = produce, .arg = &at, .arg_bytes = sizeof at };
    pthread_t threads[OUTSIDE];
    ward_ref producers[PRODUCERS];
    uint64_t taken = 0;
    bool joined = false;
    struct pollfd fd = { .events = POLLIN };
    ward_self *self;

    CHECK_IS(ward_attach(world.node, &self, &(ward_spec){ .mailbox_max = 64 }), WARD_OK);
    world.to = ward_me(self);
    fd.fd = ward_mail_fd(self);
    CHECK(fd.fd >= 0);
    for (int i = 0; i < PRODUCERS; i++)
        CHECK_IS(ward_spawn_at(self, &producers[i], &producer, WARD_HERE), WARD_OK);
    for (int i = 0; i < OUTSIDE; i++)
        CHECK_IS(pthread_create(&threads[i], NULL, produce_outside, &world), 0);
    while (taken < (uint64_t)PRODUCERS * SCALED(EACH)) {
        if (!CHECK_IS(poll(&fd, 1, POLL_MS), 1)) break;
        taken += take(self, manner);
    }
    for (int i = 0; i < OUTSIDE; i++)
        pthread_join(threads[i], NULL);
    while (!joined) {
        taken += take(self, ALL);
        joined = ward_join(self, producers, PRODUCERS, ward_in_ms(self, 1)) == WARD_OK;
    }
    taken += take(self, ALL);
    CHECK_IS(taken, world.sent);
    CHECK_IS(poll(&fd, 1, 0), 0); /* nothing there, and the fd says so */
    printf("manner %d: %llu taken\n", (int)manner, (unsigned long long)taken);
    ward_detach(self);
    check_close(world.node);
}

/* -- kept, and a full mailbox ------------------------------------------------------------------ */

static ward_status send_one(ward_self *self)
{
    uint32_t number = 7;

    return ward_send_by(self, *(const ward_ref *)ward_arg(self), &NUMBER, &number, WARD_FOREVER);
}

/* It keeps what fills its mailbox and gives it up; a sender parks; what it drops lets that in. */
static void run_kept(void)
{
    ward_node *node = check_open(&(ward_opts){ .workers = 1 });
    struct pollfd fd = { .events = POLLIN };
    const ward_msg *msg;
    ward_msg *kept;
    ward_self *self;
    ward_ref me, sender;

    CHECK_IS(ward_attach(node, &self, &(ward_spec){ .mailbox_max = 1 }), WARD_OK);
    me = ward_me(self);
    fd.fd = ward_mail_fd(self);
    for (int i = 0; i < SCALED(ROUNDS) / 4; i++) {
        ward_spec spec = { .body = send_one, .arg = &me, .arg_bytes = sizeof me };
        ward_status joined;

        CHECK_IS(ward_send(self, me, &NUMBER, &(uint32_t){ 1 }), WARD_OK);
        CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
        CHECK_IS(ward_keep(self, &kept, msg), WARD_OK);
        CHECK_IS(ward_receive(self, &msg, WARD_NOW), WARD_ETIMEDOUT);
        CHECK_IS(ward_spawn_at(self, &sender, &spec, WARD_HERE), WARD_OK);
        joined = ward_join(self, &sender, 1, ward_in_ms(self, i % 2));
        CHECK(joined == WARD_ETIMEDOUT || (i % 2 && joined == WARD_EDEADLK)); /* it waits for me */
        CHECK_IS(ward_receive(self, &msg, WARD_NOW), WARD_ETIMEDOUT);
        ward_drop(self, kept);
        CHECK_IS(poll(&fd, 1, POLL_MS), 1);
        CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
        CHECK_IS(ward_join(self, &sender, 1, WARD_FOREVER), WARD_OK);
    }
    ward_detach(self);
    check_close(node);
}

/* -- asking with a mailbox that was given up --------------------------------------------------- */

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &NUMBER, ward_value(msg, &NUMBER));
}

static void *send_always(void *arg)
{
    struct world *world = arg;
    uint32_t number = 0;

    while (!atomic_load(&world->over))
        (void)!ward_send(ward_outside(world->node), world->to, &NUMBER, &number);
    return NULL;
}

/* Mail wakes a thread that waits for an answer: it must not take that for the answer. */
static void run_asks(void)
{
    struct world world = { .node = check_open(&(ward_opts){ .workers = 1 }) };
    const ward_msg *msg;
    pthread_t sender;
    ward_self *self;
    ward_ref to;

    CHECK_IS(ward_attach(world.node, &self, &(ward_spec){ .mailbox_max = 4 }), WARD_OK);
    CHECK(ward_mail_fd(self) >= 0);
    world.to = ward_me(self);
    CHECK_IS(ward_spawn(self, &to, &(ward_spec){ .handle = echo, .mailbox_max = 1 }), WARD_OK);
    CHECK_IS(pthread_create(&sender, NULL, send_always, &world), 0);
    for (uint32_t i = 0; i < SCALED(EACH); i++) {
        while (ward_receive(self, &msg, WARD_NOW) == WARD_OK) {
        }
        if (CHECK_IS(ward_ask(self, &msg, to, &NUMBER, &i, WARD_FOREVER), WARD_OK))
            CHECK_IS(*(const uint32_t *)ward_value(msg, &NUMBER), i);
    }
    atomic_store(&world.over, true);
    pthread_join(sender, NULL);
    ward_detach(self);
    check_close(world.node);
}

/* -- attach, detach ---------------------------------------------------------------------------- */

static void *come_and_go(void *arg)
{
    static _Atomic uint32_t names;
    struct world *world = arg;
    uint32_t name = ward__add(&names, 1) % HOSTS;

    for (uint32_t i = 0; i < SCALED(ROUNDS); i++) {
        const ward_msg *msg;
        ward_self *self;

        if (!CHECK_IS(ward_attach(world->node, &self, NULL), WARD_OK)) break;
        if (i % 2) CHECK(ward_mail_fd(self) >= 0);
        pthread_mutex_lock(&world->lock);
        world->hosts[name] = ward_me(self);
        pthread_mutex_unlock(&world->lock);
        for (int k = 0; k < 3; k++) {
            ward_status rc = ward_receive(self, &msg, k == 1 ? ward_in_ms(self, 1) : WARD_NOW);
            CHECK(rc == WARD_OK || rc == WARD_ETIMEDOUT);
        }
        ward_detach(self);
    }
    return NULL;
}

static void *send_on(void *arg)
{
    struct world *world = arg;
    ward_self *self = ward_outside(world->node);

    for (uint32_t i = 0; !atomic_load(&world->over); i++) {
        ward_ref to;
        ward_status rc;

        pthread_mutex_lock(&world->lock);
        to = world->hosts[i % HOSTS];
        pthread_mutex_unlock(&world->lock);
        rc = ward_send(self, to, &NUMBER, &i);
        CHECK(rc == WARD_OK || rc == WARD_EGONE || rc == WARD_ECLOSED || rc == WARD_EFULL);
    }
    return NULL;
}

static void run_hosts(void)
{
    struct world world = { .node = check_open(&(ward_opts){ .workers = 1 }) };
    pthread_t hosts[HOSTS], senders[2];

    pthread_mutex_init(&world.lock, NULL);
    for (int i = 0; i < HOSTS; i++)
        CHECK_IS(pthread_create(&hosts[i], NULL, come_and_go, &world), 0);
    for (int i = 0; i < 2; i++)
        CHECK_IS(pthread_create(&senders[i], NULL, send_on, &world), 0);
    for (int i = 0; i < HOSTS; i++)
        pthread_join(hosts[i], NULL);
    atomic_store(&world.over, true);
    for (int i = 0; i < 2; i++)
        pthread_join(senders[i], NULL);
    check_close(world.node);
    pthread_mutex_destroy(&world.lock);
}

int main(void)
{
    check_begin("attach");
    for (int manner = ALL; manner <= MIXED; manner++)
        run_fd((enum manner)manner);
    run_kept();
    run_asks();
    run_hosts();
    return check_end();
}
