/* SPDX-License-Identifier: MIT */
/*
 * calls.c - each call that makes something, with the n-th allocation and all after it failing, for
 * every n until it needs no more.
 *
 * A call then either works or says WARD_ENOMEM (an ask may also end as a question that was dropped:
 * the callee had no memory for its answer), and when there is memory again the same call works.
 * Nothing may leak, which ward_close asserts, and nobody may hang. Simulated nodes, so that a
 * failure is the same each time; an attached thread needs a real one.
 */
#include <string.h>

#include "actors/node.h"
#include "tests/support/check.h"

enum { SEEDS = 3, N_MAX = 400, MANY = 150 };

static const ward_type TEXT = WARD_TYPE_TEXT("text");
static const char words[] = "words that are long enough to lie beside the message and not in it";

struct scenario {
    const char *name;
    ward_status (*call)(ward_self *self);
};

struct world {
    const struct scenario *scenario;
    int64_t n;
    bool over; /* the call needed no more than n allocations */
    ward_ref echo, sink, next;
    int released;
};

static struct world *world_of(ward_self *self)
{
    return *(struct world *const *)ward_arg(self);
}

/* -- others ------------------------------------------------------------------------------------ */

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    ward_status rc = ward_reply(self, msg, &TEXT, ward_text(msg));

    CHECK(rc == WARD_OK || rc == WARD_ENOMEM);
    return WARD_OK;
}

static ward_status sink(ward_self *self, const ward_msg *msg)
{
    (void)self;
    if (ward_kind_of(msg) == WARD_MAIL) CHECK(strcmp(ward_text(msg), words) == 0);
    return WARD_OK;
}

static ward_status wait_for_end(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static ward_status end_at_once(ward_self *self)
{
    (void)self;
    return WARD_OK;
}

/* -- calls ------------------------------------------------------------------------------------- */

static ward_status send_beside(ward_self *self)
{
    return ward_send(self, world_of(self)->sink, &TEXT, words);
}

static ward_status send_many(ward_self *self)
{
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < MANY; i++)
        rc = send_beside(self);
    return rc;
}

static ward_status send_parked(ward_self *self)
{
    struct world *world = world_of(self);
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < 5; i++)
        rc = ward_send_by(self, world->next, &TEXT, words, WARD_FOREVER);
    return rc;
}

static ward_status ask(ward_self *self)
{
    const ward_msg *answer;
    ward_status rc = ward_ask(self, &answer, world_of(self)->echo, &TEXT, words, WARD_FOREVER);

    if (rc == WARD_OK) CHECK(strcmp(ward_text(answer), words) == 0);
    return rc == WARD_ENOREPLY ? WARD_ENOMEM : rc;
}

static ward_status monitor(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_monitor(self, world_of(self)->echo);

    ward_demonitor(self, world_of(self)->echo);
    if (!rc) rc = ward_monitor(self, (ward_ref){ ward_me(self).node, 3, 999 });
    if (!rc) CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
    return rc;
}

/* Each has an earlier deadline than the one before; what is open when one fails is forgotten. */
static ward_status request(ward_self *self)
{
    const ward_msg *answer;
    ward_call calls[3];
    ward_status rc = WARD_OK;
    int open = 0;

    while (open < 3 && !(rc = ward_request(self, &calls[open], world_of(self)->echo, &TEXT, words,
                             ward_in_ms(self, 3000 - 900 * open))))
        open++;
    for (int i = 1; !rc && i < open; i++) {
        CHECK_IS(ward_await(self, &answer, WARD_FOREVER), WARD_OK);
        rc = ward_status_of(answer);
        if (rc == WARD_OK) CHECK(strcmp(ward_text(answer), words) == 0);
    }
    for (int i = 0; i < open; i++)
        ward_forget(self, calls[i]);
    CHECK_IS(ward_await(self, &answer, WARD_NOW), WARD_ESTATE);
    return rc == WARD_ENOREPLY ? WARD_ENOMEM : rc;
}

static ward_status timer(ward_self *self)
{
    ward_timer timers[2];
    const ward_msg *msg;
    ward_status rc = ward_timer_start(self, &timers[0], &TEXT, words, ward_in_ms(self, 5));

    if (rc) return rc;
    rc = ward_timer_start(self, &timers[1], &TEXT, words, WARD_FOREVER);
    CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
    CHECK(strcmp(ward_text(msg), words) == 0);
    return rc;
}

static ward_status keep(ward_self *self)
{
    ward_msg *kept[6] = { NULL };
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < 6; i++) {
        rc = ward_send(self, ward_me(self), &TEXT, words);
        if (!rc) CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
        if (!rc) rc = ward_keep(self, &kept[i], msg);
    }
    for (int i = 0; i < 3; i++)
        ward_drop(self, kept[i]); /* the others end with the actor */
    return rc;
}

static ward_status forward(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_send(self, ward_me(self), &TEXT, words);

    if (rc) return rc;
    CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
    return ward_forward(self, world_of(self)->sink, msg);
}

static void count_release(void *arg)
{
    ++*(int *)arg;
}

static ward_status defer(ward_self *self)
{
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < 9; i++) {
        rc = ward_defer(self, count_release, &world_of(self)->released);
        if (!rc) world_of(self)->released--;
    }
    return rc;
}

static ward_status alloc(ward_self *self)
{
    char *at = ward_alloc(self, NULL, 100), *more = at ? ward_alloc(self, at, 10000) : NULL;

    if (at && !more) memset(at, 1, 100); /* as it was */
    if (more) memset(more, 1, 10000);
    return more ? WARD_OK : WARD_ENOMEM;
}

static ward_status textf(ward_self *self)
{
    return ward_send(self, world_of(self)->sink, &TEXT, ward_textf(self, "%s", words));
}

static ward_status blob(ward_self *self)
{
    static const ward_type BLOB = WARD_TYPE_BLOB("blob");
    ward_blob *copy, *wrapped, *kept;
    ward_status rc = ward_blob_copy(self, &copy, (ward_bytes){ words, sizeof words });

    if (rc) return rc;
    rc = ward_blob_wrap(self, &wrapped, (ward_bytes){ words, sizeof words }, count_release,
        &world_of(self)->released);
    if (rc) return rc;
    world_of(self)->released--; /* it is ours now, and will be released once */
    rc = ward_blob_keep(self, &kept, wrapped);
    if (!rc) rc = ward_send(self, ward_me(self), &BLOB, copy);
    ward_blob_drop(self, copy);
    return rc;
}

static ward_status join(ward_self *self)
{
    ward_spec spec = { .body = end_at_once, .restart = WARD_TEMPORARY };
    ward_ref refs[3];
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < 3; i++)
        rc = ward_spawn_at(self, &refs[i], &spec, WARD_HERE);
    return rc ? rc : ward_join(self, refs, 3, WARD_FOREVER);
}

static const struct scenario scenarios[] = {
    { "send", send_beside },
    { "send many", send_many },
    { "send and park", send_parked },
    { "ask", ask },
    { "monitor", monitor },
    { "request", request },
    { "timer", timer },
    { "keep", keep },
    { "forward", forward },
    { "defer", defer },
    { "alloc", alloc },
    { "textf", textf },
    { "blob", blob },
    { "join", join },
};

/* -- a run ------------------------------------------------------------------------------------- */

/* The call with few allocations left, and again with all there are. */
static ward_status try_call(ward_self *self)
{
    struct world *world = world_of(self);
    struct ward__heap *heap = &ward_node_of(self)->heap;
    ward_status rc;

    ward__store(&heap->fail_in, world->n);
    rc = world->scenario->call(self);
    world->over = rc == WARD_OK && ward__load(&heap->fail_in) > 0;
    ward__store(&heap->fail_in, -1);
    if (!CHECK(rc == WARD_OK || rc == WARD_ENOMEM))
        fprintf(stderr, "%s, n %lld: %s\n", world->scenario->name, (long long)world->n,
            ward_strerror(rc));
    if (rc == WARD_ENOMEM) CHECK_IS(world->scenario->call(self), WARD_OK);
    return WARD_OK;
}

static ward_ref begin(ward_self *self, ward_spec spec, struct world *world)
{
    ward_ref ref = { 0 };

    spec.arg = &world;
    spec.arg_bytes = sizeof world;
    CHECK_IS(ward_spawn_at(self, &ref, &spec, WARD_HERE), WARD_OK);
    return ref;
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref tries;

    world->echo = begin(self, (ward_spec){ .handle = echo }, world);
    world->sink = begin(self, (ward_spec){ .handle = sink }, world);
    world->next = begin(self, (ward_spec){ .handle = sink, .mailbox_max = 1 }, world);
    begin(self, (ward_spec){ .body = wait_for_end }, world);
    tries = begin(self, (ward_spec){ .body = try_call }, world);
    return ward_join(self, &tries, 1, WARD_FOREVER);
}

static void run_all(const struct scenario *scenario)
{
    struct world world = { .scenario = scenario };
    int64_t most = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        world.over = false;
        for (world.n = 0; !world.over && CHECK(world.n < N_MAX); world.n++) {
            world.released = 0;
            CHECK_IS(ward_run(run, &(ward_opts){ .arg = &world, .sim_seed = seed }), WARD_OK);
            CHECK_IS(world.released, 0);
            most = world.n > most ? world.n : most;
        }
    }
    printf("%s: %lld allocations\n", scenario->name, (long long)most);
}

/* -- threads ----------------------------------------------------------------------------------- */

static ward_status count(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    atomic_fetch_add(*(_Atomic uint32_t *const *)ward_arg(self), 1);
    return WARD_OK;
}

static ward_status count_once(ward_self *self)
{
    return count(self, NULL);
}

/* A handler of the blocking pool gets its thread when there is memory for one again; a blocking
 * body that gets none fails. */
static void run_threads(void)
{
    for (int64_t n = 0; n < 6; n++) {
        static _Atomic uint32_t counted;
        _Atomic uint32_t *at = &counted;
        ward_node *node = check_open(&(ward_opts){ .workers = 1 });
        struct ward__heap *heap = &node->heap;
        ward_spec handler = {
            .handle = count, .arg = &at, .arg_bytes = sizeof at, .blocking = true
        };
        ward_spec body = {
            .body = count_once, .arg = &at, .arg_bytes = sizeof at, .blocking = true
        };
        ward_ref refs[2];
        ward_status rc;

        atomic_store(&counted, 0);
        CHECK_IS(ward_spawn_at(ward_outside(node), &refs[0], &handler, WARD_HERE), WARD_OK);
        ward__store(&heap->fail_in, n);
        rc = ward_send(ward_outside(node), refs[0], &TEXT, words);
        CHECK(rc == WARD_OK || rc == WARD_ENOMEM);
        ward__store(&heap->fail_in, -1);
        if (rc) CHECK_IS(ward_send(ward_outside(node), refs[0], &TEXT, words), WARD_OK);
        while (atomic_load(&counted) < 1)
            usleep(1000);
        ward__store(&heap->fail_in, n);
        rc = ward_spawn_at(ward_outside(node), &refs[1], &body, WARD_HERE);
        CHECK(rc == WARD_OK || rc == WARD_ENOMEM);
        ward__store(&heap->fail_in, -1);
        check_close(node);
        CHECK(atomic_load(&counted) <= 2);
    }
}

/* -- attach ------------------------------------------------------------------------------------ */

static void run_attach(void)
{
    ward_node *node = check_open(&(ward_opts){ .workers = 1 });
    struct ward__heap *heap = &node->heap;
    bool over = false;

    for (int64_t n = 0; !over && CHECK(n < N_MAX); n++) {
        ward_spec spec = { .name = "host",
            .arg = (void *)(uintptr_t)words,
            .arg_bytes = 20,
            .mailbox_max = (uint32_t)n + 1 }; /* another spec each time */
        ward_self *self;
        ward_status rc;

        ward__store(&heap->fail_in, n);
        rc = ward_attach_at(node, &self, &spec, WARD_HERE);
        over = rc == WARD_OK && ward__load(&heap->fail_in) > 0;
        ward__store(&heap->fail_in, -1);
        CHECK(rc == WARD_OK || rc == WARD_ENOMEM);
        if (rc == WARD_OK) ward_detach(self);
    }
    check_close(node);
}

int main(void)
{
    check_begin("fault/calls");
    for (size_t i = 0; i < WARD_COUNT(scenarios); i++)
        run_all(&scenarios[i]);
    run_attach();
    run_threads();
    return check_end();
}
