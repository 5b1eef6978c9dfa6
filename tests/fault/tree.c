/* SPDX-License-Identifier: MIT */
/*
 * tree.c - spawning and restarting with the n-th allocation and all after it failing, for every n.
 *
 * A spawn that fails has changed nothing: no child, no slot, and the same one works when there is
 * memory again. An actor that starts without memory for its state, its stack or its own calls
 * fails, and its supervisor goes on trying until there is some: after a while everyone in the tree
 * is there again. Nothing leaks, which ward_close asserts. Simulated nodes; the last case lets the
 * host's allocator fail while a real node opens.
 */
#include <stdlib.h>
#include <string.h>

#include "actors/node.h"
#include "tests/support/check.h"

enum { SEEDS = 3, N_MAX = 400, LACK_MS = 30 };

static const ward_type TEXT = WARD_TYPE_TEXT("text");
static const char words[] = "words that are long enough to lie beside the message and not in it";

struct world {
    int64_t n;
    bool over;
    const struct scenario *scenario;
    ward_ref pool;
    _Atomic int live; /* started and not cleaned up */
};

struct scenario {
    const char *name;
    ward_status (*spawn)(ward_self *self, ward_ref *ref, struct world *world);
    const char *paths[4]; /* of who must be there afterwards, below the one spawned */
};

/* -- who is spawned ---------------------------------------------------------------------------- */

static struct world *world_of(ward_self *self)
{
    return *(struct world *const *)ward_arg(self);
}

/* Needs memory of its own at each start. */
static ward_status start(ward_self *self)
{
    if (!ward_alloc(self, NULL, 500)) return WARD_ENOMEM;
    world_of(self)->live++;
    *(bool *)ward_state(self) = true;
    return WARD_OK;
}

static void clean_up(ward_self *self, ward_reason why)
{
    bool *counted = ward_state(self);

    (void)why;
    if (counted && *counted) world_of(self)->live--;
}

static ward_status fail(ward_self *self, const ward_msg *msg)
{
    (void)self;
    return ward_is(msg, &TEXT) ? WARD_EFAIL : WARD_OK;
}

static ward_status fail_later(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    return rc == WARD_OK ? WARD_EFAIL : rc;
}

static ward_spec child_of(const char *name, bool body, struct world **world)
{
    ward_spec spec = { .name = name,
        .start = start,
        .cleanup = clean_up,
        .state_bytes = 64,
        .arg = world,
        .arg_bytes = sizeof *world,
        .backoff_ms = 1,
        .backoff_max_ms = 4,
        .restarts_max = WARD_UNLIMITED };

    if (body)
        spec.body = fail_later;
    else
        spec.handle = fail;
    if (body) spec.stack_bytes = 100000; /* of its own */
    return spec;
}

static ward_status spawn_handler(ward_self *self, ward_ref *ref, struct world *world)
{
    ward_spec spec = child_of("one", false, &world);

    spec.restart = WARD_TEMPORARY; /* under an ordinary parent nothing restarts */
    return ward_spawn_at(self, ref, &spec, WARD_HERE);
}

static ward_status spawn_body(ward_self *self, ward_ref *ref, struct world *world)
{
    ward_spec spec = child_of("one", true, &world);

    spec.restart = WARD_TEMPORARY;
    return ward_spawn_at(self, ref, &spec, WARD_HERE);
}

static ward_status spawn_tree(ward_self *self, ward_ref *ref, struct world *world)
{
    ward_spec below[2] = { child_of("low", false, &world), child_of("lower", true, &world) };
    ward_spec children[3] = { child_of("a", false, &world), child_of("b", true, &world),
        { .name = "c",
            .children = WARD_CHILDREN(below),
            .strategy = WARD_ONE_FOR_ALL,
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 1,
            .backoff_max_ms = 4 } };
    ward_spec tree = { .name = "tree",
        .children = WARD_CHILDREN(children),
        .strategy = WARD_REST_FOR_ONE,
        .restarts_max = WARD_UNLIMITED };

    return ward_spawn_at(self, ref, &tree, WARD_HERE);
}

static ward_status spawn_under(ward_self *self, ward_ref *ref, struct world *world)
{
    ward_spec spec = child_of("one", true, &world);

    return ward_spawn_under_at(self, ref, world->pool, &spec, WARD_HERE);
}

static ward_status spawn_pool(ward_self *self, ward_ref *ref, struct world *world)
{
    ward_spec spec = { .strategy = WARD_DYNAMIC, .restarts_max = WARD_UNLIMITED };

    (void)world;
    return ward_spawn_at(self, ref, &spec, WARD_HERE);
}

static const struct scenario scenarios[] = {
    { "a handler", spawn_handler, { NULL } },
    { "a body", spawn_body, { NULL } },
    { "a tree", spawn_tree, { "/main/tree/a", "/main/tree/b", "/main/tree/c/lower", NULL } },
    { "a dynamic child", spawn_under, { "/main/pool/one", NULL } },
    { "a dynamic supervisor", spawn_pool, { NULL } },
};

/* -- a run ------------------------------------------------------------------------------------- */

static bool all_there(ward_self *self, const struct scenario *scenario)
{
    ward_ref ref;

    for (int i = 0; scenario->paths[i]; i++)
        if (!CHECK_IS(ward_find(self, &ref, scenario->paths[i], ward_in_ms(self, 60000)), WARD_OK))
            return false;
    return true;
}

/* Each of them fails, while memory is short for a time. */
static void restart_all(ward_self *self, struct world *world)
{
    const struct scenario *scenario = world->scenario;
    struct ward__heap *heap = &ward_node_of(self)->heap;

    for (int i = 0; scenario->paths[i]; i++) {
        ward_ref ref;

        if (!CHECK_IS(ward_find(self, &ref, scenario->paths[i], WARD_FOREVER), WARD_OK)) return;
        CHECK_IS(ward_send(self, ref, &TEXT, words), WARD_OK);
        ward__store(&heap->fail_in, world->n);
        CHECK_IS(ward_sleep(self, ward_in_ms(self, LACK_MS)), WARD_OK);
        ward__store(&heap->fail_in, -1);
        CHECK_IS(ward_sleep(self, ward_in_ms(self, LACK_MS)), WARD_OK);
        if (!all_there(self, scenario)) return;
    }
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    struct ward__heap *heap = &ward_node_of(self)->heap;
    ward_spec pool = { .name = "pool", .strategy = WARD_DYNAMIC, .restarts_max = WARD_UNLIMITED };
    ward_ref ref = { 0 };
    ward_status rc;
    int64_t left;

    CHECK_IS(ward_spawn_at(self, &world->pool, &pool, WARD_HERE), WARD_OK);
    ward__store(&heap->fail_in, world->n);
    rc = world->scenario->spawn(self, &ref, world);
    if (rc == WARD_OK) CHECK_IS(ward_sleep(self, ward_in_ms(self, LACK_MS)), WARD_OK);
    left = ward__load(&heap->fail_in);
    ward__store(&heap->fail_in, -1);
    world->over = rc == WARD_OK && left > 0;
    CHECK(rc == WARD_OK || rc == WARD_ENOMEM);
    if (rc == WARD_ENOMEM) CHECK_IS(world->scenario->spawn(self, &ref, world), WARD_OK);
    if (!all_there(self, world->scenario)) return WARD_EFAIL;
    restart_all(self, world);
    ward_cancel(self, ref);
    return ward_join(self, &ref, 1, WARD_FOREVER);
}

static void run_all(const struct scenario *scenario)
{
    struct world world = { .scenario = scenario };
    int64_t most = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world.over = false;
        for (world.n = 0; !world.over && CHECK(world.n < N_MAX); world.n++) {
            CHECK_IS(ward_run(run, &(ward_opts){ .arg = &world, .sim_seed = seed }), WARD_OK);
            if (!CHECK_IS(world.live, 0))
                fprintf(stderr, "%s, seed %llu, n %lld\n", scenario->name, (unsigned long long)seed,
                    (long long)world.n);
            world.live = 0;
            most = world.n > most ? world.n : most;
        }
    }
    printf("%s: %lld allocations\n", scenario->name, (long long)most);
}

/* -- opening a node ---------------------------------------------------------------------------- */

struct lack {
    _Atomic int64_t left;
    _Atomic size_t blocks;
};

static void *fail_in_time(void *hook, void *old, size_t old_bytes, size_t bytes)
{
    struct lack *lack = hook;
    void *at;

    (void)old_bytes;
    if (bytes == 0) {
        free(old);
        atomic_fetch_sub(&lack->blocks, 1);
        return NULL;
    }
    if (atomic_fetch_sub(&lack->left, 1) <= 0) return NULL;
    at = realloc(old, bytes);
    if (at && !old) atomic_fetch_add(&lack->blocks, 1);
    return at;
}

static void ignore(void *hook, const ward_event *event)
{
    (void)hook;
    (void)event;
}

static ward_status do_nothing(ward_self *self)
{
    (void)self;
    return WARD_OK;
}

static void run_open(void)
{
    ward_status rc = WARD_ENOMEM;

    for (int64_t n = 0; rc == WARD_ENOMEM && CHECK(n < N_MAX); n++) {
        struct lack lack = { .left = n };

        rc = ward_run(do_nothing,
            &(ward_opts){ .hook = &lack, .alloc = fail_in_time, .on_event = ignore, .workers = 2 });
        CHECK_IS(lack.blocks, 0);
    }
    CHECK_IS(rc, WARD_OK);
}

int main(void)
{
    check_begin("fault/tree");
    for (size_t i = 0; i < WARD_COUNT(scenarios); i++)
        run_all(&scenarios[i]);
    run_open();
    return check_end();
}
