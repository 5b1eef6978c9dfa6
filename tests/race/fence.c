/* SPDX-License-Identifier: MIT */
/*
 * fence.c - no message of a revoked incarnation is accepted after its DOWN.
 *
 * Senders are quarantined again and again while they send as fast as they can, more of them than
 * there are processors, so that many are revoked while their thread stands still in the middle of
 * a send. Each message says which incarnation sent it; one that comes after that incarnation's
 * DOWN is an error. The same program is built with a watchdog that does not wait for a send in
 * progress (see CMakeLists.txt), and must fail then: race/fence_mutant. There all senders have
 * threads apart, because such a watchdog also takes workers away that are in use.
 *
 * Usage: race_fence [MESSAGES [apart]]     10000000 is the soak of docs/stuck.md
 */
#include <sched.h>
#include <stdlib.h>

#include "tests/support/check.h"

enum { SENDERS = 8, STUCK_MS = 2, SENDS = 500000, SPIN = 100 };

struct said {
    uint64_t sender, incarnation;
};
static const ward_type SAID = WARD_TYPE_PLAIN("said", struct said);
static const ward_type GO = WARD_TYPE_EMPTY("go");

/* The senders count for themselves; the rest is the one's who receives. */
static struct {
    _Atomic uint64_t incarnations[SENDERS];
    ward_ref me, senders[SENDERS];
    uint64_t received, downs, after_down, wanted;
    bool apart;
    uint64_t down[SENDERS]; /* the last incarnation whose DOWN has come */
} all;

/* Goes on until it is revoked, so each incarnation has one turn. */
static ward_status send_for_ever(ward_self *self, const ward_msg *msg)
{
    struct said said = { .sender = *(const uint64_t *)ward_arg(self) };
    ward_status rc = WARD_OK;

    (void)msg;
    said.incarnation = atomic_fetch_add(&all.incarnations[said.sender], 1) + 1;
    while (rc == WARD_OK || rc == WARD_EFULL) {
        rc = ward_send(self, all.me, &SAID, &said);
        if (rc == WARD_EFULL) sched_yield();
        for (volatile int i = 0; i < SPIN; i++) { /* here it can be caught */
        }
    }
    CHECK(rc == WARD_EFENCED || rc == WARD_EGONE || rc == WARD_ECLOSED); /* or all is over */
    return rc;
}

static void go(ward_self *self, uint64_t i)
{
    CHECK_IS(ward_monitor(self, all.senders[i]), WARD_OK);
    CHECK_IS(ward_send(self, all.senders[i], &GO, NULL), WARD_OK);
}

static void look(ward_self *self, const ward_msg *msg)
{
    const struct said *said = ward_value(msg, &SAID);
    const ward_down *down = ward_down_of(msg);

    if (said) {
        all.received++;
        all.after_down += said->incarnation <= all.down[said->sender];
    }
    for (uint64_t i = 0; down && i < SENDERS; i++) {
        if (!ward_same(down->who, all.senders[i])) continue;
        CHECK_IS(down->reason, WARD_BY_STUCK);
        CHECK(down->incarnation > all.down[i]);
        all.down[i] = down->incarnation;
        all.downs++;
        go(self, i);
    }
}

static ward_status run(ward_self *self)
{
    ward_spec many = {
        .strategy = WARD_DYNAMIC, .restarts_max = WARD_UNLIMITED, .zombies_max = WARD_UNLIMITED
    };
    const ward_msg *msg;
    ward_ref sup;
    ward_status rc;

    all.me = ward_me(self);
    rc = ward_spawn(self, &sup, &many);
    for (uint64_t i = 0; !rc && i < SENDERS; i++) {
        rc = ward_spawn_under(self, &all.senders[i], sup,
            &(ward_spec){ .handle = send_for_ever,
                .arg = &i,
                .arg_bytes = sizeof i,
                .blocking = all.apart || i % 2 == 0,
                .stuck_ms = STUCK_MS,
                .restarts_max = WARD_UNLIMITED,
                .backoff_ms = WARD_AT_ONCE });
        if (!rc) go(self, i);
    }
    while (!rc && (all.received < all.wanted || all.downs < 2 * SENDERS) && !all.after_down) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) look(self, msg);
    }
    return rc;
}

int main(int argc, char **argv)
{
    check_begin("fence");
    all.wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : SCALED(SENDS);
    all.apart = argc > 2;
    if (argc == 2) alarm(0); /* a soak has the time it needs */
    CHECK_IS(
        ward_run(run,
            &(ward_opts){ .workers = 2, .blocking_max = SENDERS, .zombies_max = WARD_UNLIMITED }),
        WARD_OK);
    printf("%llu messages, %llu revoked, %llu of them came after the DOWN\n",
        (unsigned long long)all.received, (unsigned long long)all.downs,
        (unsigned long long)all.after_down);
    CHECK_IS(all.after_down, 0);
    CHECK(all.downs >= SENDERS);
    return check_end();
}
