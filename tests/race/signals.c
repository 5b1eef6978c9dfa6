/* SPDX-License-Identifier: MIT */
/*
 * signals.c - a signal that comes just when its receiver is done: none is forgotten.
 *
 * A handler is sent a message, and at about the same time one whom it monitors ends on another
 * worker. It must learn of that although nothing else comes: a DOWN that is lost between its last
 * look at its signals and its rest shows as a program that does not end. Moments are chosen at
 * random around the one that matters.
 */
#include <sched.h>

#include "base/random.h"
#include "tests/support/check.h"

enum { ROUNDS = 150000, LONGEST = 9 }; /* a power of two, of pauses */

static const ward_type WATCH = WARD_TYPE_PLAIN("watch", ward_ref);

static _Atomic uint32_t watched, downs;

static ward_status watch(ward_self *self, const ward_msg *msg)
{
    const ward_ref *whom = ward_value(msg, &WATCH);

    if (ward_kind_of(msg) == WARD_DOWN) {
        ward__add(&downs, 1);
        return WARD_OK;
    }
    if (CHECK(whom != NULL)) CHECK_IS(ward_monitor(self, *whom), WARD_OK);
    ward__add(&watched, 1);
    return WARD_OK;
}

static ward_status rest(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    return WARD_OK;
}

static void wait_for(_Atomic uint32_t *what, uint32_t value)
{
    while (ward__load_acq(what) < value)
        sched_yield();
}

int main(void)
{
    ward_node *node = check_open(&(ward_opts){ .workers = 2 });
    ward_self *self = ward_outside(node);
    ward_ref watcher, now, next;
    uint64_t random = 1;
    uint32_t rounds = SCALED(ROUNDS);

    check_begin("signals");
    CHECK_IS(ward_spawn(self, &watcher, &(ward_spec){ .handle = watch }), WARD_OK);
    CHECK_IS(ward_spawn(self, &now, &(ward_spec){ .handle = rest }), WARD_OK);
    CHECK_IS(ward_send(self, watcher, &WATCH, &now), WARD_OK);
    for (uint32_t i = 1; i <= rounds; i++) {
        wait_for(&watched, i);
        CHECK_IS(ward_spawn(self, &next, &(ward_spec){ .handle = rest }), WARD_OK);
        if (i % 2) CHECK_IS(ward_send(self, watcher, &WATCH, &next), WARD_OK);
        for (uint32_t n =
                 ward__random_below(&random, 1u << ward__random_below(&random, LONGEST + 1));
             n > 0; n--)
            ward__pause();
        ward_cancel(self, now);
        if (i % 2 == 0) CHECK_IS(ward_send(self, watcher, &WATCH, &next), WARD_OK);
        wait_for(&downs, i);
        now = next;
    }
    check_close(node);
    return check_end();
}
