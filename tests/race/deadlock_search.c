/* SPDX-License-Identifier: MIT */
/*
 * deadlock_search.c - real threads: the search against waits that come and go as fast as they can.
 *
 * The actors are slots without code: threads arm and end their waits as the runtime would, without
 * its messages, so that edges change while they are followed thousands of times more often than in
 * a program. One that waits for nobody may answer who waits for it, pass the question on (the next
 * may refuse it), or begin to wait and be refused. All search when they park.
 *
 * Holds: a victim's cycle is still there when the victim looks, because nobody in it could go on;
 * and no cycle stays.
 */
#include <pthread.h>
#include <sched.h>

#include "supervisor/tree.h"
#include "tests/support/check.h"

/* The code under test, with a pause before each of its looks: what can come between two of them is
 * too rare else. This copy takes the place of the library's. */
static void pause_sometimes(void)
{
    static _Thread_local uint64_t random = 1;

    random = random * 6364136223846793005u + 1442695040888963407u;
    for (uint64_t i = random >> 58 > 48 ? random >> 56 & 63 : 0; i > 0; i--)
        ward__pause();
    if (random >> 54 == 0) sched_yield();
}
#undef ward__load_seq
#define ward__load_seq(p) (pause_sometimes(), atomic_load_explicit((p), memory_order_seq_cst))
#include "supervisor/deadlock.c"
#undef ward__load_seq
#define ward__load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)

enum { ACTORS = 6, MUTATORS = 2, EACH = ACTORS / MUTATORS, ROUNDS = 2000000, HANG_S = 20 };

static struct {
    ward_node *node;
    ward_self *selves[ACTORS];
    _Atomic bool answered[ACTORS]; /* by one of us, not by the search */
    _Atomic uint64_t victims, steps;
    _Atomic bool stop;
} world;

static struct ward__slot *slot_of(uint32_t actor)
{
    return world.selves[actor]->slot;
}

static uint32_t index_of(uint32_t actor)
{
    return ward__index(world.node, slot_of(actor));
}

static uint32_t actor_at(uint32_t index)
{
    uint32_t actor = 0;

    while (actor < ACTORS && index_of(actor) != index)
        actor++;
    return actor;
}

static uint32_t below(uint64_t *random, uint32_t n)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % n;
}

/* -- what an actor does that waits for nobody ----------------------------------------------------
 */

/* Ends the wait of somebody who waits for it, or passes that question on. */
static void work(uint32_t me, uint64_t *random)
{
    uint32_t asker = below(random, ACTORS), mine = index_of(me);
    struct ward__wait *wait = &slot_of(asker)->wait;
    uint64_t cell = ward__load_seq(&wait->cell);
    uint32_t to = index_of(below(random, ACTORS)), moving = to | WARD__MOVING;

    if (!ward__waiting(cell) || ward__load_seq(&slot_of(asker)->edge) == WARD__EDGE_NONE ||
        ward__load_seq(&wait->holder) != mine)
        return;
    if (below(random, 2) == 0) {
        if (!ward__wait_claim(wait, cell)) return;
        ward__store_seq(&world.answered[asker], true);
    } else if (ward__cas_seq(&wait->holder, &mine, moving)) {
        bool refused = below(random, 2);
        pause_sometimes();
        if (!ward__cas_seq(&wait->holder, &moving, refused ? index_of(me) : to) || refused) return;
        struct ward__here here = { world.node, NULL, NULL };
        if (ward__load_seq(&ward__slot(world.node, to)->edge)) ward__cycle(&here, slot_of(asker));
    }
}

/* -- waiting ----------------------------------------------------------------------------------- */

/* All on the cycle of a victim are parked for each other: none of them can have gone on. */
static void check_cycle(uint32_t victim)
{
    uint32_t at = victim, hops = 0;

    do {
        uint32_t holder = ward__load_seq(&slot_of(at)->wait.holder);
        if (!CHECK_IS(ward__load_seq(&slot_of(at)->edge), WARD__EDGE_ONE | WARD__EDGE_SURE)) return;
        if (!CHECK_IS(holder & WARD__MOVING, 0)) return;
        if (!CHECK(at == victim || ward__waiting(ward__load_seq(&slot_of(at)->wait.cell)))) return;
        at = actor_at(holder);
    } while (at != victim && ++hops < ACTORS);
    CHECK_IS(at, victim);
}

static void begin_wait(uint32_t me, uint64_t *random)
{
    struct ward__slot *slot = slot_of(me);
    struct ward__here here = { world.node, NULL, NULL };
    uint32_t to = below(random, ACTORS - 1);
    uint64_t cell;

    ward__store(&slot->wait.holder, index_of(to + (to >= me)));
    ward__store(&slot->edge, WARD__EDGE_ONE);
    cell = ward__wait_arm(&slot->wait, INT64_MAX - (int64_t)below(random, 3));
    pause_sometimes();
    if (below(random, 4) == 0 && ward__wait_claim(&slot->wait, cell)) { /* refused */
        ward__store_seq(&world.answered[me], true);
        return;
    }
    ward__fence();
    ward__store_seq(&slot->edge, WARD__EDGE_ONE | WARD__EDGE_SURE);
    ward__cycle(&here, slot);
}

/* False: it still waits. */
static bool is_over(uint32_t me)
{
    struct ward__slot *slot = slot_of(me);
    bool ended = ward__load_seq(&slot->thread->wake) & WARD__WAKE_OVER;

    if (!ended && !ward__load_seq(&world.answered[me])) return false;
    if (ended) {
        CHECK_IS(slot->wait.status, WARD_EDEADLK);
        ward__add(&world.victims, 1);
        check_cycle(me);
    }
    ward__store_seq(&slot->edge, WARD__EDGE_NONE);
    ward__store_seq(&slot->wait.holder, 0);
    ward__store_seq(&world.answered[me], false);
    (void)ward__and_seq(&slot->thread->wake, ~(uint32_t)WARD__WAKE_OVER);
    return true;
}

/* -- the threads ------------------------------------------------------------------------------- */

static void *mutate(void *arg)
{
    uint32_t first = *(const uint32_t *)arg;
    uint64_t random = first + 1;
    bool waits[EACH] = { false };

    while (!atomic_load(&world.stop)) {
        bool idle = true;
        for (uint32_t i = 0; i < EACH; i++) {
            uint32_t me = first + i;
            if (waits[i]) waits[i] = !is_over(me);
            if (waits[i]) continue;
            idle = false;
            work(me, &random);
            if (below(&random, 3) > 0) continue;
            ward__add(&world.steps, 1);
            waits[i] = true;
            begin_wait(me, &random);
        }
        if (idle) sched_yield();
    }
    for (uint32_t i = 0; i < EACH; i++) /* who still waits is left there: nobody is to be woken */
        if (waits[i]) ward__store_seq(&slot_of(first + i)->edge, WARD__EDGE_NONE);
    return NULL;
}

/* Also where nobody who parks would search, because the edges do not lead back just then. */
static void *search(void *arg)
{
    struct ward__here here = { world.node, NULL, NULL };

    (void)arg;
    for (uint32_t i = 0; !atomic_load(&world.stop); i++) {
        ward__tree_lock(world.node);
        begin(world.node);
        (void)search_all(&here, slot_of(i % ACTORS), LIMIT);
        ward__tree_unlock(world.node);
        sched_yield();
    }
    return NULL;
}

/* Until enough waits have begun; they go on to, so no cycle stays. */
static void watch(void)
{
    uint64_t before = 0, steps;
    int64_t moved_ns = ward__now_ns();

    while ((steps = ward__load_seq(&world.steps)) < SCALED(ROUNDS)) {
        if (steps != before) moved_ns = ward__now_ns();
        before = steps;
        if (!CHECK(ward__now_ns() - moved_ns < HANG_S * INT64_C(1000000000))) return;
        sched_yield();
    }
}

int main(void)
{
    pthread_t threads[MUTATORS], searcher;
    uint32_t firsts[MUTATORS];

    check_begin("deadlock search");
    world.node = check_open(&(ward_opts){ .workers = 1 });
    for (int i = 0; i < ACTORS; i++)
        CHECK_IS(ward_attach(world.node, &world.selves[i], NULL), WARD_OK);
    for (uint32_t i = 0; i < MUTATORS; i++) {
        firsts[i] = i * EACH;
        pthread_create(&threads[i], NULL, mutate, &firsts[i]);
    }
    pthread_create(&searcher, NULL, search, NULL);
    watch();
    atomic_store(&world.stop, true);
    for (int i = 0; i < MUTATORS; i++)
        pthread_join(threads[i], NULL);
    pthread_join(searcher, NULL);
    printf("  %llu victims\n", (unsigned long long)ward__load(&world.victims));
    CHECK(ward__load(&world.victims) > 0);
    for (uint32_t i = 0; i < ACTORS; i++) {
        uint64_t cell = ward__load(&slot_of(i)->wait.cell);
        if (ward__waiting(cell)) (void)ward__wait_claim(&slot_of(i)->wait, cell);
        ward_detach(world.selves[i]);
    }
    check_close(world.node);
    return check_end();
}
