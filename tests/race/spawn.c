/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - short lives, and many who still send to them.
 *
 * Actors are spawned, get a message or none, and end, as fast as it goes; their refs are given to
 * others, to fibers and to threads that are no actors, who send to them long after they are dead,
 * with and without bytes beside. Each message says whom it is for: nobody may get one that was for
 * an earlier life of its slot. Then the limit of actors: refused when it is reached, had again
 * when some have ended.
 */
#include <pthread.h>
#include <string.h>

#include "tests/support/check.h"

enum { SPAWNERS = 3, PESTERERS = 4, THREADS = 2, EACH = 30000, REFS = 256, LIMIT = 50 };

struct letter {
    ward_ref to;
    const char *text;
};
static const ward_field LETTER_FIELDS[] = {
    WARD_FIELD(struct letter, REF, to),
    WARD_FIELD(struct letter, TEXT, text),
};
static const ward_type LETTER = WARD_TYPE("letter", struct letter, LETTER_FIELDS);

struct world {
    ward_node *node;
    pthread_mutex_t lock;
    ward_ref refs[REFS];
    _Atomic uint32_t number, spawning;
    _Atomic uint64_t received, sent, gone, full;
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

/* -- short lives ------------------------------------------------------------------------------- */

static void read_it(ward_self *self, const ward_msg *msg)
{
    const struct letter *letter = ward_value(msg, &LETTER);

    CHECK(ward_same(letter->to, ward_me(self)));
    if (letter->text) CHECK(strspn(letter->text, "x") == strlen(letter->text));
    ward__add(&world_of(self)->received, 1);
}

static ward_status live_briefly(ward_self *self, const ward_msg *msg)
{
    read_it(self, msg);
    return WARD_STOP;
}

static ward_status look_once(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, WARD_NOW);

    if (rc == WARD_OK) read_it(self, msg);
    return WARD_OK;
}

static ward_status send_to(ward_self *self, struct world *world, ward_ref ref, uint32_t n)
{
    static const char text[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    struct letter letter = { ref, n % 2 ? text + n % 64 : NULL };
    ward_status rc = ward_send(self, ref, &LETTER, &letter);

    if (rc == WARD_OK)
        ward__add(&world->sent, 1);
    else if (rc == WARD_EFULL)
        ward__add(&world->full, 1);
    else if (CHECK(rc == WARD_EGONE || rc == WARD_ECLOSED))
        ward__add(&world->gone, 1);
    return rc;
}

static void give_out(struct world *world, ward_ref ref)
{
    uint32_t at = ward__add(&world->number, 1) % REFS;

    pthread_mutex_lock(&world->lock);
    world->refs[at] = ref;
    pthread_mutex_unlock(&world->lock);
}

static ward_status spawn_all(ward_self *self)
{
    struct world *world = world_of(self);

    for (uint32_t i = 0; i < SCALED(EACH); i++) {
        ward_spec spec = { .handle = live_briefly, .mailbox_max = 2, .mailbox_bytes = 200 };
        ward_ref ref;

        if (i % 4 == 1) spec = (ward_spec){ .body = look_once, .mailbox_max = 2 };
        if (i % 64 == 2) spec = (ward_spec){ .body = look_once, .blocking = true };
        ref = begin(self, spec, world);
        give_out(world, ref);
        (void)send_to(self, world, ref, i / 4);
        if (i % 8 == 0) ward_cancel(self, ref);
        if (i % 256 == 0) CHECK_IS(ward_checkpoint(self), WARD_OK);
    }
    ward__sub(&world->spawning, 1);
    return WARD_OK;
}

/* -- those who send ---------------------------------------------------------------------------- */

static void pester(ward_self *self, struct world *world, uint32_t n)
{
    ward_ref ref;

    pthread_mutex_lock(&world->lock);
    ref = world->refs[n % REFS];
    pthread_mutex_unlock(&world->lock);
    for (uint32_t i = 0; i < 4; i++)
        (void)send_to(self, world, ref, n + i);
}

static ward_status pester_all(ward_self *self)
{
    struct world *world = world_of(self);

    for (uint32_t n = 0; atomic_load(&world->spawning) > 0; n++) {
        pester(self, world, n * 7 + ward_me(self).slot);
        if (n % 16 == 0) CHECK_IS(ward_checkpoint(self), WARD_OK);
    }
    return WARD_OK;
}

static void *pester_from_outside(void *arg)
{
    struct world *world = arg;

    for (uint32_t n = 0; atomic_load(&world->spawning) > 0; n++)
        pester(ward_outside(world->node), world, n * 13);
    return NULL;
}

static ward_status run_lives(ward_self *self)
{
    static struct world world;
    ward_ref all[SPAWNERS + PESTERERS];
    pthread_t threads[THREADS];

    world.node = ward_node_of(self);
    pthread_mutex_init(&world.lock, NULL);
    atomic_store(&world.spawning, SPAWNERS);
    for (int i = 0; i < SPAWNERS; i++)
        all[i] = begin(self, (ward_spec){ .body = spawn_all }, &world);
    for (int i = 0; i < PESTERERS; i++)
        all[SPAWNERS + i] = begin(self, (ward_spec){ .body = pester_all }, &world);
    for (int i = 0; i < THREADS; i++)
        CHECK_IS(pthread_create(&threads[i], NULL, pester_from_outside, &world), 0);
    CHECK_IS(ward_join(self, all, WARD_COUNT(all), WARD_FOREVER), WARD_OK);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK(world.received <= world.sent);
    CHECK(world.gone > 0);
    printf("%llu sent, %llu received, %llu gone, %llu full\n", (unsigned long long)world.sent,
        (unsigned long long)world.received, (unsigned long long)world.gone,
        (unsigned long long)world.full);
    pthread_mutex_destroy(&world.lock);
    return WARD_OK;
}

/* -- the limit --------------------------------------------------------------------------------- */

static ward_status wait_for_end(ward_self *self)
{
    const ward_msg *msg;

    return ward_receive(self, &msg, WARD_FOREVER);
}

static ward_status run_limit(ward_self *self)
{
    ward_ref all[LIMIT + 1];
    uint32_t count[2] = { 0, 0 };
    ward_status rc = WARD_OK;

    for (int round = 0; round < 2; round++) {
        while (count[round] <= LIMIT &&
               !(rc = ward_spawn(self, &all[count[round]], &(ward_spec){ .body = wait_for_end })))
            count[round]++;
        CHECK_IS(rc, WARD_ELIMIT);
        for (uint32_t i = 0; i < count[round]; i++)
            ward_cancel(self, all[i]);
        CHECK_IS(ward_join(self, all, count[round], WARD_FOREVER), WARD_OK);
    }
    CHECK(count[0] >= LIMIT - 2 && count[0] <= LIMIT);
    CHECK_IS(count[1], count[0]);
    return WARD_OK;
}

/* -- one that waits to begin while others keep coming ------------------------------------------ */

enum { LINKS = 100000 };

struct chain {
    ward_ref sup;
    _Atomic uint32_t links;
    _Atomic bool began;
};

static ward_status begin_at_last(ward_self *self)
{
    atomic_store(&((struct chain *)ward_arg(self))->began, true);
    return WARD_OK;
}

static void spawn_in(ward_self *self, struct chain *chain, ward_body *body)
{
    ward_ref ref;
    ward_spec spec = { .body = body, .arg = chain, .restart = WARD_TEMPORARY };

    CHECK_IS(ward_spawn_under(self, &ref, chain->sup, &spec), WARD_OK);
}

/* Each spawns the next one and ends. */
static ward_status go_on(ward_self *self)
{
    struct chain *chain = ward_arg(self);

    if (ward__add(&chain->links, 1) < LINKS && !atomic_load(&chain->began))
        spawn_in(self, chain, go_on);
    return WARD_OK;
}

static ward_status start_chain(ward_self *self)
{
    spawn_in(self, ward_arg(self), begin_at_last);
    spawn_in(self, ward_arg(self), go_on);
    return WARD_OK;
}

static ward_status run_chain(ward_self *self)
{
    static struct chain chain;
    ward_ref ref;

    CHECK_IS(ward_spawn(self, &chain.sup, &(ward_spec){ .strategy = WARD_DYNAMIC }), WARD_OK);
    CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .body = start_chain, .arg = &chain }), WARD_OK);
    while (!atomic_load(&chain.began))
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    CHECK(atomic_load(&chain.links) < LINKS);
    return WARD_OK;
}

/* -- oneself ----------------------------------------------------------------------------------- */

static ward_status find_oneself(ward_self *self)
{
    const char *const paths[] = { "/main/me", "../me" };
    ward_ref ref = { 0 };

    for (size_t i = 0; i < WARD_COUNT(paths); i++) {
        CHECK_IS(ward_find(self, &ref, paths[i], ward_in_ms(self, 1000)), WARD_OK);
        CHECK(ward_same(ref, ward_me(self)));
    }
    return WARD_OK;
}

static ward_status run_oneself(ward_self *self)
{
    ward_ref ref;

    CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .name = "me", .body = find_oneself }), WARD_OK);
    return ward_join(self, &ref, 1, WARD_FOREVER);
}

/* -- sizes that cannot be ---------------------------------------------------------------------- */

static ward_status run_sizes(ward_self *self)
{
    ward_ref ref;
    char byte = 0;
    ward_spec spec = { .body = wait_for_end, .state_bytes = SIZE_MAX - 64 };

    CHECK_IS(ward_spawn_at(self, &ref, &spec, WARD_HERE), WARD_EINVAL);
    spec = (ward_spec){ .body = wait_for_end, .arg = &byte, .arg_bytes = SIZE_MAX - 4 };
    CHECK_IS(ward_spawn_at(self, &ref, &spec, WARD_HERE), WARD_EINVAL);
    return WARD_OK;
}

int main(void)
{
    check_begin("spawn");
    CHECK_IS(ward_run(run_lives, &(ward_opts){ .workers = 2 }), WARD_OK);
    CHECK_IS(ward_run(run_limit, &(ward_opts){ .workers = 2, .actors_max = LIMIT }), WARD_OK);
    CHECK_IS(ward_run(run_chain, &(ward_opts){ .workers = 1 }), WARD_OK);
    CHECK_IS(ward_run(run_oneself, NULL), WARD_OK);
    CHECK_IS(ward_run(run_sizes, NULL), WARD_OK);
    return check_end();
}
