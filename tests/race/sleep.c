/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - work that comes just when the only worker goes to sleep, and a close that does.
 *
 * A thread that is no actor sends one message, waits until it was handled, and sends the next one
 * after a moment that is as often a microsecond as a hundred: about when a worker that has nothing
 * to do gives up looking. Nobody else would wake it: a lost wake-up shows as a program that does
 * not end. Then nodes are opened and closed after such moments; no thread may be left behind.
 */
#include <sched.h>

#include "base/random.h"
#include "tests/support/check.h"

enum { ROUNDS = 150000, OPENS = 4000, SHORTEST = 8, LONGEST = 17 }; /* powers of two, in ns */

static const ward_type GO = WARD_TYPE_EMPTY("go");

static uint64_t chance = 1;
static _Atomic uint32_t handled;

static ward_status count(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    ward__add(&handled, 1);
    return WARD_OK;
}

/* Each power of two is as likely as the next. */
static void pause_somewhat(ward_self *self)
{
    uint32_t power = SHORTEST + ward__random_below(&chance, LONGEST - SHORTEST + 1);
    int64_t until_ns = ward_now_ns(self) + ward__random_below(&chance, 1u << power);

    while (ward_now_ns(self) < until_ns) {
    }
}

static void send_each(void)
{
    ward_node *node = check_open(&(ward_opts){ .workers = 1 });
    ward_self *self = ward_outside(node);
    ward_ref ref;

    CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .handle = count }), WARD_OK);
    for (uint32_t i = 1; i <= SCALED(ROUNDS); i++) {
        CHECK_IS(ward_send(self, ref, &GO, NULL), WARD_OK);
        while (ward__load_acq(&handled) < i)
            sched_yield();
        pause_somewhat(self);
    }
    check_close(node);
}

static void open_and_close(void)
{
    for (uint32_t i = 0; i < SCALED(OPENS); i++) {
        ward_node *node = check_open(&(ward_opts){ .workers = 1 });
        pause_somewhat(ward_outside(node));
        check_close(node);
    }
}

int main(void)
{
    check_begin("sleep");
    send_each();
    open_and_close();
    return check_end();
}
