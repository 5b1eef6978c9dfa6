/* SPDX-License-Identifier: MIT */
/*
 * wheel.c - a timer wheel, its own thread, and others who arm and end waits in it.
 *
 * Each slot is played by one thread: the wheel's own (which arms by a store when it can), or one of
 * two others. A wait for one thing ends by its time or is ended by its player, once; a wait for
 * mail is told that its time has come. None is told early, and none is forgotten: a lost timer
 * shows as a program that does not end. There is no runtime around it but what the wheel touches.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "actors/node.h"
#include "tests/support/check.h"

enum {
    PLAYERS = 3,
    EACH = 24,
    SLOTS = PLAYERS * EACH,
    ROUNDS = 60,
    MAIL_IN = 3,
    HASTE_NS = 1200000
};

struct fixture {
    ward_node node;
    struct ward__worker worker;
    struct ward__slot slots[SLOTS + 1];
    _Atomic bool resumed[SLOTS + 1];
    _Atomic uint32_t playing;
    _Atomic uint64_t timed_out, ended, told;
};

struct player {
    struct fixture *of;
    uint32_t first;
    uint64_t random;
    bool busy[EACH];
    uint32_t rounds[EACH];
    struct ward__here here;
};

static int64_t some_time(struct player *player)
{
    static const int64_t most_us[] = { 500, 3000, 3000, 9000 };

    player->random = player->random * UINT64_C(6364136223846793005) + 1;
    return ward__now_ns() + 1 +
           (int64_t)(player->random >> 33) % (most_us[player->random >> 60 & 3] * 1000);
}

/* -- players ----------------------------------------------------------------------------------- */

static void begin(struct player *player, struct ward__slot *slot, bool mail)
{
    int64_t until_ns = some_time(player);

    if (mail)
        ward__store_seq(&slot->wait.deadline, until_ns);
    else
        (void)ward__wait_arm(&slot->wait, until_ns);
    ward__wheel_arm(&player->here, slot, until_ns);
}

static void over(struct ward__slot *slot)
{
    ward__store(&slot->wait.deadline, 0);
}

/* True when the wait is over. */
static bool is_told(struct player *player, struct ward__slot *slot)
{
    if (!(ward__load_seq(&slot->signals) & WARD__SIG_TIME)) return false;
    (void)ward__and_seq(&slot->signals, ~(uint32_t)WARD__SIG_TIME);
    /* It may be an echo of the last wait: then it is no more than a look. */
    if (ward__now_ns() < ward__load(&slot->wait.deadline)) return false;
    ward__add(&player->of->told, 1);
    return true;
}

static bool is_over(struct player *player, struct ward__slot *slot)
{
    _Atomic bool *resumed = &player->of->resumed[slot - player->of->slots];
    uint64_t cell = ward__load_acq(&slot->wait.cell);

    player->random = player->random * UINT64_C(6364136223846793005) + 1;
    if (ward__waiting(cell) && player->random >> 55 == 0 && ward__wait_claim(&slot->wait, cell)) {
        ward__add(&player->of->ended, 1);
        return true;
    }
    if (!atomic_exchange(resumed, false)) return false;
    CHECK_IS(slot->wait.status, WARD_ETIMEDOUT);
    CHECK(ward__now_ns() >= ward__load(&slot->wait.deadline));
    CHECK(!ward__waiting(ward__load(&slot->wait.cell)));
    ward__add(&player->of->timed_out, 1);
    return true;
}

/* The next two are quick around the time at which the wheel comes by. What it saw of one wait must
 * not end the next one... */
static void begin_and_end(struct player *player, struct ward__slot *slot)
{
    _Atomic bool *resumed = &player->of->resumed[slot - player->of->slots];
    int64_t near_ns = ward__now_ns() + HASTE_NS, far_ns = near_ns + 20 * HASTE_NS;

    for (int i = 0; ward__now_ns() < near_ns + HASTE_NS / 4; i++) {
        int64_t until_ns = i % 2 ? far_ns : near_ns;
        uint64_t cell = ward__wait_arm(&slot->wait, until_ns);

        ward__wheel_arm(&player->here, slot, until_ns);
        if (ward__wait_claim(&slot->wait, cell)) continue;
        while (!atomic_exchange(resumed, false))
            sched_yield();
        CHECK(ward__now_ns() >= until_ns);
    }
}

/* ... and what it drops must not be armed again just then. Ends armed. */
static void arm_and_disarm(struct player *player, struct ward__slot *slot)
{
    int64_t near_ns = ward__now_ns() + HASTE_NS;

    while (ward__now_ns() < near_ns + HASTE_NS / 4) {
        ward__store_seq(&slot->wait.deadline, 0);
        ward__store_seq(&slot->wait.deadline, near_ns);
        ward__wheel_arm(&player->here, slot, near_ns);
    }
}

/* One look at each slot; false: all have had their rounds. */
static bool play_once(struct player *player)
{
    bool any = false;

    for (uint32_t i = 0; i < EACH; i++) {
        struct ward__slot *slot = &player->of->slots[player->first + i];
        bool mail = i % MAIL_IN == 0;

        if (player->busy[i] && (mail ? is_told(player, slot) : is_over(player, slot))) {
            over(slot);
            player->busy[i] = false;
        } else if (!player->busy[i] && player->rounds[i]++ < SCALED(ROUNDS) * 4) {
            bool hasty = !player->here.worker && player->rounds[i] % 8 == 0;

            slot->wait.status = WARD_OK;
            player->busy[i] = true;
            if (hasty && !mail) begin_and_end(player, slot);
            if (hasty && mail)
                arm_and_disarm(player, slot);
            else
                begin(player, slot, mail);
        }
        any |= player->busy[i] || player->rounds[i] < SCALED(ROUNDS) * 4;
    }
    return any;
}

static void *play(void *arg)
{
    struct player *player = arg;

    while (play_once(player))
        sched_yield();
    ward__sub(&player->of->playing, 1);
    return NULL;
}

/* -- the wheel's thread ------------------------------------------------------------------------ */

static void resume(struct fixture *fixture, uint32_t index)
{
    CHECK(!atomic_exchange(&fixture->resumed[index], true)); /* once */
}

/* What the wheel made runnable. */
static void run_all(struct fixture *fixture)
{
    struct ward__worker *worker = &fixture->worker;
    uint32_t last_in = ward__load(&worker->last_in), index = worker->head, next;

    worker->head = worker->tail = 0;
    ward__store(&worker->last_in, 0);
    for (; index; index = next) {
        next = fixture->slots[index].queue_next;
        resume(fixture, index);
    }
    if (last_in) resume(fixture, last_in);
}

static void *turn(void *arg)
{
    struct player *player = arg;
    struct fixture *fixture = player->of;
    bool plays = true;

    while (plays || atomic_load(&fixture->playing) > 0) {
        int64_t now_ns = ward__now_ns();
        if (ward__wheel_next_ns(&fixture->worker) <= now_ns)
            (void)ward__wheel_run(&player->here, &fixture->worker, now_ns);
        run_all(fixture);
        if (plays) plays = play_once(player);
        sched_yield();
    }
    return NULL;
}

/* -- the run ----------------------------------------------------------------------------------- */

static void set_up(struct fixture *fixture)
{
    ward_node *node = &fixture->node;

    node->opened_ns = ward__now_ns();
    node->slots = fixture->slots;
    node->slots_max = SLOTS + 1;
    node->workers = &fixture->worker;
    node->workers_count = 1;
    fixture->worker.node = node;
    ward__wheel_open(&fixture->worker.wheel);
    for (uint32_t i = 1; i <= SLOTS; i++) {
        struct ward__slot *slot = &fixture->slots[i];
        ward__store(&slot->kind, WARD__HANDLER);
        ward__store(&slot->phase, WARD__LIVE);
        ward__store(&slot->box.word, WARD__EMPTY | WARD__SCHEDULED);
    }
}

int main(void)
{
    struct fixture *fixture;
    struct player players[PLAYERS];
    pthread_t threads[PLAYERS];
    uint64_t all = (uint64_t)SLOTS * SCALED(ROUNDS) * 4;

    check_begin("wheel");
    if (posix_memalign((void **)&fixture, 64, sizeof *fixture)) return 1;
    memset(fixture, 0, sizeof *fixture);
    memset(players, 0, sizeof players);
    set_up(fixture);
    atomic_store(&fixture->playing, PLAYERS - 1);
    for (uint32_t i = 0; i < PLAYERS; i++) {
        players[i] = (struct player){ .of = fixture, .first = 1 + i * EACH, .random = i + 1 };
        players[i].here =
            (struct ward__here){ &fixture->node, i == 0 ? &fixture->worker : NULL, NULL };
        pthread_create(&threads[i], NULL, i == 0 ? turn : play, &players[i]);
    }
    for (int i = 0; i < PLAYERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_IS(fixture->timed_out + fixture->ended + fixture->told, all);
    CHECK(fixture->timed_out > 0 && fixture->ended > 0 && fixture->told > 0);
    for (uint32_t i = 1; i <= SLOTS; i++)
        ward__wheel_forget(&fixture->node, &fixture->slots[i]);
    CHECK_IS(fixture->worker.wheel.count, 0);
    for (int level = 0; level < WARD__WHEEL_LEVELS; level++)
        CHECK_IS(fixture->worker.wheel.used[level], 0);
    printf("%llu timed out, %llu ended, %llu told\n", (unsigned long long)fixture->timed_out,
        (unsigned long long)fixture->ended, (unsigned long long)fixture->told);
    ward__wheel_close(&fixture->worker.wheel);
    free(fixture);
    return check_end();
}
