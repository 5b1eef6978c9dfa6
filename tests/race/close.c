/* SPDX-License-Identifier: MIT */
/*
 * close.c - a close comes back by its deadline, whatever is still running, and nothing is leaked.
 *
 * Turns that loop and that block when the deadline comes are counted, named, and left; what they
 * do afterwards is refused; when the last of them is let go the node is freed, which the hook that
 * allocates for it sees. Deadlines so short that healthy actors are left behind too, with messages
 * in hand and questions under way. Attached threads are told to stop and leave, or come later.
 * In an actor, close is refused.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"

enum {
    CLOSE_MS = 150,
    SLACK_MS = 4000,
    HOSTS = 3,
    CROWD = 40,
    ROUNDS = 60,
    HOGS = 20,
    HOLDERS = 12,
    HELD = 10,
    SHORT_MS = 5,
    MS = 1000000
};

static const ward_type WORK = WARD_TYPE_TEXT("work");
static const char words[] = "words that are long enough to lie beside the message and not in it";

struct world {
    ward_node *node;
    _Atomic size_t blocks; /* allocated for the node and not freed */
    _Atomic uint32_t hanging, holding, named, refused, cleaned;
    _Atomic bool released;
    ward_ref others[CROWD];
};

static void *counted(void *hook, void *old, size_t old_bytes, size_t bytes)
{
    struct world *world = hook;
    void *at;

    (void)old_bytes;
    if (bytes == 0) {
        free(old);
        atomic_fetch_sub(&world->blocks, 1);
        return NULL;
    }
    at = realloc(old, bytes);
    if (at && !old) atomic_fetch_add(&world->blocks, 1);
    return at;
}

static void note(void *hook, const ward_event *event)
{
    struct world *world = hook;

    if (event->kind == WARD_EV_ABANDONED) ward__add(&world->named, 1);
}

static ward_node *open_in(struct world *world, uint32_t workers)
{
    memset(world, 0, sizeof *world);
    world->node = check_open(
        &(ward_opts){ .workers = workers, .hook = world, .alloc = counted, .on_event = note });
    return world->node;
}

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

static void nap(void)
{
    usleep(1000);
}

/* -- those who are left behind ----------------------------------------------------------------- */

static ward_status hang_then_try(ward_self *self)
{
    struct world *world = world_of(self);
    ward_ref ref;

    ward__add(&world->hanging, 1);
    while (!atomic_load(&world->released)) {
    }
    for (int i = 0; i < 3; i++)
        if (ward_send(self, ward_me(self), &WORK, words) == WARD_EFENCED)
            ward__add(&world->refused, 1);
    CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .body = hang_then_try }), WARD_EFENCED);
    CHECK_IS(ward_sleep(self, WARD_FOREVER), WARD_EFENCED);
    return WARD_OK;
}

static ward_status hang_in_handler(ward_self *self, const ward_msg *msg)
{
    (void)hang_then_try(self);
    CHECK(strcmp(ward_text(msg), words) == 0);
    return WARD_OK;
}

static void cleaned(ward_self *self, ward_reason why)
{
    CHECK_IS(why, WARD_BY_STUCK);
    ward__add(&world_of(self)->cleaned, 1);
}

static ward_status close_in(struct world *world, int64_t ms, size_t *abandoned)
{
    ward_self *outside = ward_outside(world->node);
    int64_t began_ns = ward_now_ns(outside), took_ns;
    struct timespec now;
    ward_status rc = ward_close(world->node, abandoned, ward_in_ms(outside, ms));

    clock_gettime(CLOCK_MONOTONIC, &now); /* the node may be gone */
    took_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec - began_ns;
    CHECK(took_ns < (ms + SLACK_MS) * MS);
    return rc;
}

static void let_go(struct world *world)
{
    atomic_store(&world->released, true);
    while (atomic_load(&world->blocks) > 0)
        nap(); /* the last to leave frees the node */
}

/* Two bodies, a thread's body and two handlers hang for ever; three others end well. */
static void run_stuck(uint32_t workers)
{
    static struct world world;
    ward_self *self = ward_outside(open_in(&world, workers));
    size_t abandoned = 0;
    ward_ref handlers[2];

    for (int i = 0; i < 3; i++)
        begin(self, (ward_spec){ .body = hang_then_try, .cleanup = cleaned, .blocking = i == 2 },
            &world);
    for (int i = 0; i < 2; i++) {
        handlers[i] = begin(self,
            (ward_spec){ .handle = hang_in_handler, .cleanup = cleaned, .blocking = i == 1 },
            &world);
        CHECK_IS(ward_send(self, handlers[i], &WORK, words), WARD_OK);
        CHECK_IS(ward_send(self, handlers[i], &WORK, words), WARD_OK); /* stays in the mailbox */
    }
    while (atomic_load(&world.hanging) < 5)
        nap();
    CHECK_IS(close_in(&world, CLOSE_MS, &abandoned), WARD_ETIMEDOUT);
    CHECK_IS(abandoned, 5);
    CHECK_IS(world.named, 5);
    let_go(&world);
    CHECK_IS(world.refused, 15);
    CHECK_IS(world.cleaned, 5);
}

/* -- who cannot run to its end ------------------------------------------------------------------
 */

/* Has the only worker, which gets another thread after 20 ms: sooner than that, nobody can run. */
static void hog(ward_self *self, struct world *world)
{
    begin(self, (ward_spec){ .body = hang_then_try }, world);
    while (atomic_load(&world->hanging) < 1)
        nap();
}

static ward_status be_mute(ward_self *self, const ward_msg *msg)
{
    ward_msg *kept;

    return ward_keep(self, &kept, msg);
}

/* Waits with one message in hand, one kept, a question under way or one that could not be sent. */
static ward_status hold(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg, *answer;
    ward_msg *kept;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    if (!rc) rc = ward_keep(self, &kept, msg);
    if (!rc) rc = ward_receive(self, &msg, WARD_FOREVER);
    ward__add(&world->holding, 1);
    if (!rc) rc = ward_ask(self, &answer, world->others[0], &WORK, words, WARD_FOREVER);
    return rc;
}

static void run_held(void)
{
    static struct world world;
    ward_self *self = ward_outside(open_in(&world, 1));
    size_t abandoned = 0;

    world.others[0] =
        begin(self, (ward_spec){ .handle = be_mute, .mailbox_max = HOLDERS / 2 }, &world);
    for (int i = 0; i < HOLDERS; i++) {
        ward_ref ref = begin(self, (ward_spec){ .body = hold, .restart = WARD_TEMPORARY }, &world);
        for (int k = 0; k < 3; k++)
            CHECK_IS(ward_send(self, ref, &WORK, words), WARD_OK);
    }
    while (atomic_load(&world.holding) < HOLDERS)
        nap();
    hog(self, &world);
    CHECK_IS(close_in(&world, SHORT_MS, &abandoned), WARD_ETIMEDOUT);
    CHECK(abandoned >= 1);
    let_go(&world);
}

/* -- a crowd and no time ----------------------------------------------------------------------- */

static ward_status chatter(ward_self *self)
{
    struct world *world = world_of(self);
    const ward_msg *msg, *answer;
    ward_msg *kept = NULL;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER); /* all are there by then */
    uint64_t n = 0;

    while (!rc || rc == WARD_ETIMEDOUT || rc == WARD_EGONE || rc == WARD_EABANDONED) {
        ward_ref to = world->others[ward_random(self) % CROWD];

        rc = ward_receive(self, &msg, ward_in_ms(self, 1));
        if (rc == WARD_OK && n % 3 == 0) rc = ward_reply(self, msg, &WORK, words);
        if (rc == WARD_OK && n % 3 == 1 && !kept) rc = ward_keep(self, &kept, msg);
        if (rc == WARD_OK) {
            rc = n % 2 ? ward_ask(self, &answer, to, &WORK, words, ward_in_ms(self, 2))
                       : ward_send_by(self, to, &WORK, words, ward_in_ms(self, 2));
        }
        if (rc == WARD_ENOREPLY || rc == WARD_EDEADLK || rc == WARD_ECLOSED) rc = WARD_OK;
        if (ward_cancelled(self)) break;
        n++;
    }
    return WARD_OK;
}

/* From no time at all to enough for most: whoever cannot end is counted, and none is leaked. */
static void run_crowd(uint32_t round)
{
    static struct world world;
    ward_self *self = ward_outside(open_in(&world, 2));
    size_t abandoned = 0;
    ward_status rc;

    for (int i = 0; i < CROWD; i++)
        world.others[i] = begin(self,
            (ward_spec){ .body = chatter,
                .mailbox_max = 1 + (uint32_t)i % 4,
                .restart = WARD_TEMPORARY,
                .blocking = i % 8 == 0 },
            &world);
    for (int i = 0; i < CROWD; i++)
        (void)!ward_send(self, world.others[i], &WORK, words);
    for (uint32_t i = 0; i < round % 8; i++)
        nap();
    rc = close_in(&world, round % 4, &abandoned);
    CHECK_IS(rc, abandoned ? WARD_ETIMEDOUT : WARD_OK);
    let_go(&world);
}

/* -- attached threads -------------------------------------------------------------------------- */

static void *be_told(void *arg)
{
    struct world *world = arg;
    static _Atomic uint32_t names;
    uint32_t name = ward__add(&names, 1);
    const ward_msg *msg;
    ward_status rc;
    ward_self *self;

    if (!CHECK_IS(ward_attach(world->node, &self, NULL), WARD_OK)) return NULL;
    ward__add(&world->hanging, 1);
    rc = name % 2 ? ward_receive(self, &msg, WARD_FOREVER) : ward_sleep(self, WARD_FOREVER);
    CHECK_IS(rc, WARD_ECANCELED);
    ward_detach(self);
    return NULL;
}

static void run_hosts(void)
{
    static struct world world;
    pthread_t hosts[HOSTS];
    size_t abandoned = 1;

    (void)open_in(&world, 1);
    for (int i = 0; i < HOSTS; i++)
        CHECK_IS(pthread_create(&hosts[i], NULL, be_told, &world), 0);
    while (atomic_load(&world.hanging) < HOSTS)
        nap();
    CHECK_IS(close_in(&world, 20000, &abandoned), WARD_OK);
    CHECK_IS(abandoned, 0);
    for (int i = 0; i < HOSTS; i++)
        pthread_join(hosts[i], NULL);
    CHECK_IS(world.blocks, 0);
}

static ward_status rest(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

/* Has children, of which some cannot even run, and detaches only when the close is over. */
static void *come_late(void *arg)
{
    struct world *world = arg;
    ward_self *self;

    if (!CHECK_IS(ward_attach(world->node, &self, NULL), WARD_OK)) return NULL;
    for (int i = 0; i < HOLDERS; i++)
        begin(self, (ward_spec){ .body = rest }, world);
    hog(self, world);
    ward__add(&world->hanging, 1);
    while (!atomic_load(&world->released))
        nap();
    CHECK_IS(ward_sleep(self, WARD_FOREVER), WARD_ECANCELED);
    ward_detach(self);
    return NULL;
}

static void run_late_host(void)
{
    static struct world world;
    pthread_t host;
    size_t abandoned = 0;

    (void)open_in(&world, 1);
    CHECK_IS(pthread_create(&host, NULL, come_late, &world), 0);
    while (atomic_load(&world.hanging) < 2)
        nap();
    CHECK_IS(close_in(&world, SHORT_MS, &abandoned), WARD_ETIMEDOUT);
    CHECK(abandoned >= 1);
    let_go(&world);
    pthread_join(host, NULL);
}

/* -- where it is refused ----------------------------------------------------------------------- */

static ward_status close_here(ward_self *self)
{
    size_t abandoned;

    CHECK_IS(ward_close(ward_node_of(self), &abandoned, WARD_FOREVER), WARD_ESTATE);
    return WARD_OK;
}

static ward_status close_in_handler(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    (void)close_here(self);
    return WARD_STOP;
}

static void run_refused(void)
{
    static struct world world;
    ward_self *self;
    ward_ref refs[4];

    (void)open_in(&world, 2);
    CHECK_IS(ward_attach(world.node, &self, NULL), WARD_OK);
    for (int i = 0; i < 2; i++)
        refs[i] = begin(self, (ward_spec){ .body = close_here, .blocking = i == 1 }, &world);
    for (int i = 2; i < 4; i++) {
        refs[i] =
            begin(self, (ward_spec){ .handle = close_in_handler, .blocking = i == 3 }, &world);
        CHECK_IS(ward_send(self, refs[i], &WORK, words), WARD_OK);
    }
    CHECK_IS(ward_join(self, refs, 4, WARD_FOREVER), WARD_OK);
    (void)close_here(self);
    ward_detach(self);
    check_close(world.node);
    CHECK_IS(world.blocks, 0);
}

int main(void)
{
    check_begin("close");
    run_refused();
    run_stuck(1);
    run_stuck(2);
    run_hosts();
    for (int i = 0; i < HELD; i++) {
        run_held();
        run_late_host();
    }
    for (uint32_t round = 0; round < SCALED(ROUNDS) + 8; round++)
        run_crowd(round);
    return check_end();
}
