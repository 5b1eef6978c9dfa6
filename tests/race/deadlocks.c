/* SPDX-License-Identifier: MIT */
/*
 * deadlocks.c - real threads: cycles are found, and nothing else ever is.
 *
 *   at_once  two ask each other at the same moment: one of them is the victim, each time
 *   graphs   actors ask each other at random, some through a relay; a victim checks, before it
 *            does anything else, that each of its cycle really is in an ask: nobody else could
 *            have ended it
 *   refused  questions that are refused, or whose forwarding is: never a victim
 *   served   a sender at a mailbox with room, whose owner asks it: never a victim
 *
 * Meanwhile a thread searches from the same actors all the time, far more often than those who park
 * do. Deadlines are far longer than the test, so a cycle that is not found fails it.
 */
#include <pthread.h>
#include <sched.h>

#include "supervisor/tree.h"
#include "tests/support/check.h"

enum { LONG_MS = 60000, ACTORS = 9, ROUNDS = 20000, ROOM = 4 };

struct asking {
    uint32_t from, round;
};
static const ward_type QUESTION = WARD_TYPE_PLAIN("question", struct asking);
static const ward_type ANSWER = WARD_TYPE_EMPTY("answer");

static void answer(ward_self *self, const ward_msg *msg)
{
    CHECK_IS(ward_reply(self, msg, &ANSWER, NULL), WARD_OK);
}

static _Atomic int victims, events;

static void on_event(void *hook, const ward_event *event)
{
    (void)hook;
    if (event->kind == WARD_EV_DEADLOCK) atomic_fetch_add(&events, (int)event->count);
}

/* Without events a search is much shorter. */
static ward_node *open_node(bool with_events)
{
    atomic_store(&victims, 0);
    atomic_store(&events, 0);
    return check_open(&(ward_opts){ .workers = 3, .on_event = with_events ? on_event : NULL });
}

static void close_node(ward_node *node)
{
    check_close(node);
    printf("  %d victims\n", atomic_load(&victims));
}

/* Searches from some actors, again and again. */
struct searcher {
    ward_node *node;
    const ward_ref *from;
    int count;
    _Atomic bool stop;
    pthread_t thread;
};

static void *search(void *arg)
{
    struct searcher *searcher = arg;
    struct ward__here here = { searcher->node, NULL, NULL };

    while (!atomic_load(&searcher->stop))
        for (int i = 0; i < searcher->count; i++)
            ward__cycle(&here, ward__slot(searcher->node, searcher->from[i].slot));
    return NULL;
}

static void search_end(struct searcher *searcher)
{
    atomic_store(&searcher->stop, true);
    pthread_join(searcher->thread, NULL);
}

/* -- at once ----------------------------------------------------------------------------------- */

struct two {
    ward_node *node;
    ward_ref refs[2];
    _Atomic int there, round[2];
    int rounds, victims[2];
};

struct side {
    struct two *two;
    int me;
};

/* Both are in the same round. */
static void meet(struct two *two, int me, int round)
{
    atomic_store(&two->round[me], round);
    for (int i = 0; atomic_load(&two->round[!me]) < round; i++)
        if (i % 1000 == 999) sched_yield();
}

static void *asks_at_once(void *arg)
{
    const struct side *side = arg;
    struct two *two = side->two;
    const ward_msg *msg;
    ward_self *self = NULL;
    ward_status rc;

    CHECK_IS(ward_attach(two->node, &self, NULL), WARD_OK);
    two->refs[side->me] = ward_me(self);
    for (int i = 1; i <= two->rounds; i++) {
        meet(two, side->me, i);
        rc = ward_ask(self, &msg, two->refs[!side->me], &QUESTION, &(struct asking){ 0, 0 },
            ward_in_ms(self, LONG_MS));
        if (rc == WARD_EDEADLK) two->victims[side->me]++;
        if (!CHECK(rc == WARD_OK || rc == WARD_EDEADLK)) fprintf(stderr, "%s\n", ward_strerror(rc));
        /* The victim answers; the other finds its question expired. */
        rc = ward_receive(self, &msg, rc ? ward_in_ms(self, LONG_MS) : WARD_NOW);
        if (rc == WARD_OK) answer(self, msg);
    }
    meet(two, side->me, two->rounds + 1);
    ward_detach(self);
    return NULL;
}

static void at_once(void)
{
    struct two two = { .node = open_node(true), .rounds = SCALED(ROUNDS) };
    struct side sides[2] = { { &two, 0 }, { &two, 1 } };
    pthread_t threads[2];

    check_begin("at once");
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, asks_at_once, &sides[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&victims, two.victims[0] + two.victims[1]);
    CHECK_IS(atomic_load(&victims), two.rounds); /* one a round */
    CHECK(atomic_load(&events) > 0 && atomic_load(&events) <= two.rounds); /* floods lose some */
    close_node(two.node);
}

/* -- graphs ------------------------------------------------------------------------------------ */

struct graph {
    ward_ref actors[ACTORS], relay;
    /* Whom each asks, 1 and up, beside the number of the ask; 0: nobody. */
    _Atomic uint64_t asks[ACTORS];
    _Atomic int ready, done;
    int rounds;
    ward_node *node;
};
static struct graph graph;

static uint64_t edge(uint32_t round, uint32_t to)
{
    return (uint64_t)round << 32 | (to + 1);
}

/* What a victim sees: nobody on its cycle can have gone on. */
static void check_cycle(uint32_t me)
{
    uint32_t at = me, hops = 0;

    do {
        uint32_t to = (uint32_t)atomic_load(&graph.asks[at]);
        if (!CHECK(to != 0 && to <= ACTORS)) return; /* no ask, or one at the relay */
        at = to - 1;
    } while (at != me && ++hops < ACTORS);
    CHECK_IS(at, me);
}

static ward_status relay(ward_self *self, const ward_msg *msg)
{
    const struct asking *asking = ward_value(msg, &QUESTION);
    uint32_t to = (uint32_t)(ward_random(self) % ACTORS);
    uint64_t before = edge(asking->round, ACTORS);
    ward_status rc;

    if (!atomic_compare_exchange_strong(
            &graph.asks[asking->from], &before, edge(asking->round, to)))
        return WARD_OK; /* its asker has left */
    rc = ward_forward(self, graph.actors[to], msg);
    CHECK(rc == WARD_OK || rc == WARD_ECLOSED || rc == WARD_EGONE);
    return WARD_OK;
}

static void ask_somebody(ward_self *self, uint32_t me, uint32_t round)
{
    uint32_t to = (uint32_t)(ward_random(self) % (ACTORS + 1));
    struct asking asking = { me, round };
    const ward_msg *msg;
    ward_status rc;

    if (to == me) return;
    atomic_store(&graph.asks[me], edge(round, to));
    rc = ward_ask(self, &msg, to == ACTORS ? graph.relay : graph.actors[to], &QUESTION, &asking,
        ward_in_ms(self, LONG_MS));
    if (rc == WARD_EDEADLK) {
        atomic_fetch_add(&victims, 1);
        check_cycle(me);
    }
    atomic_store(&graph.asks[me], 0);
    if (!CHECK(rc == WARD_OK || rc == WARD_EDEADLK || rc == WARD_ENOREPLY || rc == WARD_EGONE))
        fprintf(stderr, "%s\n", ward_strerror(rc));
}

static ward_status asker(ward_self *self)
{
    uint32_t me = *(const uint32_t *)ward_arg(self), round = 0;
    const ward_msg *msg;
    ward_msg *kept;

    atomic_fetch_add(&graph.ready, 1);
    while (atomic_load(&graph.ready) < ACTORS + 1)
        if (ward_sleep(self, ward_in_ms(self, 1)) != WARD_OK) return WARD_OK;
    for (int i = 1; i <= graph.rounds; i++) {
        ask_somebody(self, me, ++round);
        while (ward_receive(self, &msg, WARD_NOW) == WARD_OK) {
            CHECK_IS(ward_keep(self, &kept, msg), WARD_OK);
            if (ward_random(self) % 4 == 0) ask_somebody(self, me, ++round);
            answer(self, kept);
            ward_drop(self, kept);
        }
    }
    atomic_fetch_add(&graph.done, 1);
    while (atomic_load(&graph.done) < ACTORS)
        if (ward_receive(self, &msg, ward_in_ms(self, 1)) == WARD_OK) answer(self, msg);
    return WARD_OK;
}

static ward_status graph_main(ward_self *self)
{
    ward_status rc = ward_spawn(self, &graph.relay, &(ward_spec){ .handle = relay });

    for (uint32_t i = 0; !rc && i < ACTORS; i++)
        rc = ward_spawn(self, &graph.actors[i],
            &(ward_spec){
                .body = asker, .arg = &i, .arg_bytes = sizeof i, .blocking = i % 4 == 3 });
    struct searcher searcher = { graph.node, graph.actors, ACTORS, false, 0 };
    pthread_create(&searcher.thread, NULL, search, &searcher);
    atomic_fetch_add(&graph.ready, 1);
    if (!rc) rc = ward_join(self, graph.actors, ACTORS, ward_in_ms(self, LONG_MS));
    search_end(&searcher);
    ward_cancel(self, graph.relay);
    return rc;
}

static void graphs(void)
{
    ward_self *self = NULL;
    ward_node *node = open_node(false);

    check_begin("graphs");
    graph = (struct graph){ .rounds = SCALED(ROUNDS), .node = node };
    CHECK_IS(ward_attach(node, &self, NULL), WARD_OK);
    CHECK_IS(graph_main(self), WARD_OK);
    ward_detach(self);
    CHECK(atomic_load(&victims) > 0);
    close_node(node);
}

/* -- never ------------------------------------------------------------------------------------- */

struct never {
    ward_ref closed, passes, fills, owner; /* refused: the first two; served: the others */
    _Atomic bool go;
    int rounds;
};

/* They know of each other. */
static void wait_for_all(ward_self *self, const struct never *never)
{
    while (!atomic_load(&never->go))
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
}

/* Its mailbox is closed, so nobody can wait for its answer; it asks on. */
static ward_status is_closed(ward_self *self)
{
    struct never *never = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    wait_for_all(self, never);
    ward_close_mail(self, ward_me(self));
    for (int i = 0; !rc && i < never->rounds; i++)
        rc = ward_ask(self, &msg, never->passes, &QUESTION, &(struct asking){ 0, (uint32_t)i },
            ward_in_ms(self, LONG_MS));
    CHECK_IS(rc, WARD_OK);
    return WARD_OK;
}

/* Asks back, or passes on, and is refused. */
static ward_status asks_back(ward_self *self)
{
    struct never *never = ward_arg(self);
    const ward_msg *msg, *reply;
    ward_status rc;

    while ((rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        const struct asking *asking = ward_value(msg, &QUESTION);
        if (asking->round % 2)
            rc = ward_forward(self, never->closed, msg);
        else
            rc = ward_ask(self, &reply, never->closed, &QUESTION, asking, WARD_FOREVER);
        CHECK_IS(rc, WARD_ECLOSED);
        answer(self, msg);
    }
    return rc;
}

/* Fills a mailbox; then one more, which is taken for it, for each question it answers. */
static ward_status fills(ward_self *self)
{
    struct never *never = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    wait_for_all(self, never);
    for (int i = 0; !rc && i < never->rounds; i++) {
        rc = ward_send_by(self, never->owner, &ANSWER, NULL, ward_in_ms(self, LONG_MS));
        if (rc || i < ROOM) continue;
        rc = ward_receive(self, &msg, ward_in_ms(self, LONG_MS));
        if (!rc) answer(self, msg);
    }
    CHECK_IS(rc, WARD_OK);
    ward_close_mail(self, never->owner);
    while (ward_receive(self, &msg, WARD_FOREVER) == WARD_OK)
        answer(self, msg);
    return WARD_OK;
}

/* Takes one, so there is room for one, and asks who fills it. */
static ward_status owns(ward_self *self)
{
    struct never *never = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK)
        rc = ward_ask(self, &msg, never->fills, &QUESTION, &(struct asking){ 0, 0 },
            ward_in_ms(self, LONG_MS));
    CHECK_IS(rc, WARD_ECLOSED);
    ward_close_mail(self, never->fills);
    return WARD_OK;
}

static void never_a_victim(void)
{
    ward_node *node = open_node(false);
    struct never never = { .rounds = SCALED(ROUNDS) };
    ward_self *self = NULL;
    ward_status rc;

    check_begin("refused, served");
    CHECK_IS(ward_attach(node, &self, NULL), WARD_OK);
    rc = ward_spawn(self, &never.passes, &(ward_spec){ .body = asks_back, .arg = &never });
    if (!rc) rc = ward_spawn(self, &never.closed, &(ward_spec){ .body = is_closed, .arg = &never });
    if (!rc)
        rc = ward_spawn(
            self, &never.owner, &(ward_spec){ .body = owns, .arg = &never, .mailbox_max = ROOM });
    if (!rc) rc = ward_spawn(self, &never.fills, &(ward_spec){ .body = fills, .arg = &never });
    CHECK_IS(rc, WARD_OK);
    ward_ref refs[4] = { never.closed, never.owner, never.fills, never.passes };
    struct searcher searcher = { node, refs, 4, false, 0 };
    pthread_create(&searcher.thread, NULL, search, &searcher);
    atomic_store(&never.go, true);
    CHECK_IS(ward_join(self, refs, 3, ward_in_ms(self, LONG_MS)), WARD_OK);
    search_end(&searcher);
    ward_cancel(self, never.passes);
    ward_detach(self);
    close_node(node);
}

int main(void)
{
    at_once();
    graphs();
    never_a_victim();
    return check_end();
}
