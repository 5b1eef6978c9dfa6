/* SPDX-License-Identifier: MIT */
/*
 * taken.c - a turn whose worker was given to another thread, and goes on calling.
 *
 * One worker, two handlers that pass a message to each other, and one that does not return: when
 * the others are seen to go on, its worker is another thread's. From then on it sends, asks for
 * nothing of that worker, spawns, and is sent to; all that it sent comes, once and in order, and
 * those it spawned live and end. Then it returns, and does the same again.
 */
#include "tests/support/check.h"

enum { ROUNDS = 4, MESSAGES = 60000, CHILDREN = 200, PATIENCE_MS = 20000, ROOM = 1 << 20 };

static const ward_type NUMBER = WARD_TYPE_PLAIN("number", uint32_t);
static const ward_type PEER = WARD_TYPE_PLAIN("peer", ward_ref);
static const ward_type GO = WARD_TYPE_EMPTY("go");

static ward_ref sink;
static _Atomic bool stop;
static _Atomic uint64_t passed;
static _Atomic uint32_t received, children;

static ward_status pass_on(ward_self *self, const ward_msg *msg)
{
    ward_ref *peer = ward_state(self);
    const ward_ref *given = ward_value(msg, &PEER);

    ward__add(&passed, 1);
    if (given) *peer = *given;
    if (atomic_load(&stop) || peer->node == 0) return WARD_OK;
    return ward_send(self, *peer, &GO, NULL);
}

static ward_status receive_all(ward_self *self, const ward_msg *msg)
{
    const uint32_t *number = ward_value(msg, &NUMBER);

    (void)self;
    if (CHECK(number != NULL)) CHECK_IS(*number, atomic_load(&received));
    ward__add(&received, 1);
    return WARD_OK;
}

static ward_status live_briefly(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    ward__add(&children, 1);
    return WARD_STOP;
}

static void wait_until_taken(ward_self *self)
{
    int64_t until_ns = ward_now_ns(self) + PATIENCE_MS * INT64_C(1000000);
    uint64_t before = ward__load(&passed);

    while (ward__load(&passed) == before && ward_now_ns(self) < until_ns) {
    }
    CHECK(ward__load(&passed) != before);
}

static ward_status take_long(ward_self *self, const ward_msg *msg)
{
    uint32_t *sent = ward_state(self), each = SCALED(MESSAGES);
    ward_ref child;

    (void)msg;
    wait_until_taken(self);
    for (uint32_t i = 0; i < each; i++) {
        CHECK_IS(ward_send(self, sink, &NUMBER, sent), WARD_OK);
        ++*sent;
        if (i % (each / CHILDREN + 1)) continue;
        CHECK_IS(ward_spawn(self, &child,
                     &(ward_spec){ .handle = live_briefly, .restart = WARD_TEMPORARY }),
            WARD_OK);
        CHECK_IS(ward_send(self, child, &GO, NULL), WARD_OK);
    }
    return WARD_OK;
}

static ward_status run(ward_self *self)
{
    ward_ref pair[2], slow;
    ward_spec passes = { .handle = pass_on, .state_bytes = sizeof(ward_ref) };
    uint32_t all = ROUNDS * SCALED(MESSAGES);

    CHECK_IS(ward_spawn(self, &sink, &(ward_spec){ .handle = receive_all, .mailbox_max = ROOM }),
        WARD_OK);
    CHECK_IS(
        ward_spawn(self, &slow, &(ward_spec){ .handle = take_long, .state_bytes = sizeof all }),
        WARD_OK);
    for (int i = 0; i < 2; i++)
        CHECK_IS(ward_spawn_at(self, &pair[i], &passes, WARD_HERE), WARD_OK);
    for (int i = 0; i < 2; i++)
        CHECK_IS(ward_send(self, pair[i], &PEER, &pair[!i]), WARD_OK);
    for (int i = 0; i < ROUNDS; i++)
        CHECK_IS(ward_send(self, slow, &GO, NULL), WARD_OK);
    while (atomic_load(&received) < all)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    atomic_store(&stop, true);
    CHECK(atomic_load(&children) > 0);
    return WARD_OK;
}

int main(void)
{
    check_begin("taken");
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 1 }), WARD_OK);
    CHECK_IS(atomic_load(&received), ROUNDS * SCALED(MESSAGES));
    return check_end();
}
