/* SPDX-License-Identifier: MIT */
/*
 * spares.c - a hundred handlers block at once on two workers: other threads take the queues over,
 * but never more than there may be, and all of the handlers get their turn.
 */
#include <dirent.h>
#include <stdatomic.h>
#include <unistd.h>
#include <ward/ward.h>

#include "tests/support/check.h"

enum { SLEEPERS = 100, SLEEP_US = 2500000, SPARES_MAX = 64, WORKERS = 2, OTHERS = 8 };

static const ward_type GO = WARD_TYPE_EMPTY("go");
static atomic_int in_turn, most_in_turn, done;

static ward_status sleeper(ward_self *self, const ward_msg *msg)
{
    int now = atomic_fetch_add(&in_turn, 1) + 1, most = atomic_load(&most_in_turn);

    (void)self;
    (void)msg;
    while (most < now && !atomic_compare_exchange_weak(&most_in_turn, &most, now)) {
    }
    usleep(SLEEP_US);
    atomic_fetch_sub(&in_turn, 1);
    atomic_fetch_add(&done, 1);
    return WARD_STOP;
}

static int threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;

    (void)CHECK(tasks != NULL);
    while (tasks && readdir(tasks))
        count++;
    if (tasks) closedir(tasks);
    return count - 2; /* . and .. */
}

static ward_status run(ward_self *self)
{
    ward_ref all[SLEEPERS];
    int before = threads(), most = 0;
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < SLEEPERS; i++) {
        rc = ward_spawn(self, &all[i], &(ward_spec){ .handle = sleeper });
        if (!rc) rc = ward_send(self, all[i], &GO, NULL);
    }
    for (int i = 0; !rc && atomic_load(&done) < SLEEPERS && i < 6000; i++) {
        int now = threads();
        if (now > most) most = now;
        rc = ward_sleep(self, ward_in_ms(self, 10));
    }
    (void)CHECK(atomic_load(&done) == SLEEPERS);
    (void)CHECK(atomic_load(&most_in_turn) > WORKERS);
    (void)CHECK(most - before <= SPARES_MAX + OTHERS);
    return rc;
}

int main(void)
{
    check_begin("spares");
    (void)CHECK(ward_run(run, &(ward_opts){ .workers = WORKERS }) == WARD_OK);
    return check_end();
}
