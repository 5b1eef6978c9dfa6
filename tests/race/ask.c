/* SPDX-License-Identifier: MIT */
/*
 * ask.c - a million questions with short deadlines: none ends early, none is lost, and an answer
 * that comes too late is counted and goes nowhere.
 *
 * Askers are fibers, threads of their own and a host's thread. One callee answers at once, one
 * late and out of order, one fails every now and then, one never answers, one is dead; mailboxes
 * are short, so that askers park and are handed over for. After an ask of a dead actor a wait with
 * a deadline must still last until it. Each answer must be the one to its question.
 *
 * Usage: race_ask [TIMES]     TIMES 10: ten million
 */
#include <stdlib.h>

#include "actors/node.h"
#include "tests/support/check.h"

enum { ASKERS = 8, THREADS = 2, EACH = 130000, KEPT = 7 };

static uint64_t times = 1;

struct number {
    uint64_t n;
};
static const ward_type NUMBER = WARD_TYPE_PLAIN("number", struct number);

struct world {
    ward_ref quick, late, failing, silent, dead;
    _Atomic uint64_t asked, answered, timed_out, broken, gone, replies;
};

static struct world *world_of(ward_self *self)
{
    return *(struct world *const *)ward_arg(self);
}

/* -- callees ----------------------------------------------------------------------------------- */

static void answer(ward_self *self, const ward_msg *msg)
{
    ward__add(&world_of(self)->replies, 1);
    CHECK_IS(ward_reply(self, msg, &NUMBER, ward_value(msg, &NUMBER)), WARD_OK);
}

static ward_status be_quick(ward_self *self, const ward_msg *msg)
{
    answer(self, msg);
    return WARD_OK;
}

/* Keeps up to seven and answers the newest, now and then. */
static ward_status be_late(ward_self *self, const ward_msg *msg)
{
    struct {
        ward_msg *kept[KEPT];
        uint32_t count;
    } *state = ward_state(self);

    CHECK_IS(ward_keep(self, &state->kept[state->count++], msg), WARD_OK);
    while (state->count == KEPT || (state->count > 0 && ward_random(self) % 8 == 0)) {
        ward_msg *kept = state->kept[--state->count];

        answer(self, kept);
        ward_drop(self, kept);
    }
    return WARD_OK;
}

static ward_status fail_at_times(ward_self *self, const ward_msg *msg)
{
    const struct number *number = ward_value(msg, &NUMBER);

    if (number->n % 5 == 3) return WARD_EFAIL;
    answer(self, msg);
    return WARD_OK;
}

static ward_status be_silent(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        rc = ward_sleep(self, ward_in_ms(self, 60000));
        CHECK(rc == WARD_ETIMEDOUT || rc == WARD_EABANDONED || rc == WARD_ECANCELED);
    }
    return rc;
}

/* -- askers ------------------------------------------------------------------------------------ */

static void count(struct world *world, ward_status rc)
{
    ward__add(&world->asked, 1);
    if (rc == WARD_OK)
        ward__add(&world->answered, 1);
    else if (rc == WARD_ETIMEDOUT)
        ward__add(&world->timed_out, 1);
    else if (rc == WARD_ENOREPLY)
        ward__add(&world->broken, 1);
    else if (CHECK_IS(rc, WARD_EGONE))
        ward__add(&world->gone, 1);
}

static void ask_once(ward_self *self, struct world *world, uint64_t n)
{
    ward_ref to = n % 1000 == 0  ? world->silent
                  : n % 97 == 0  ? world->dead
                  : n % 128 == 3 ? world->failing
                  : n % 8 == 1   ? world->late
                                 : world->quick;
    ward_deadline by = ward_in_ms(self, n % 3 == 0 ? 1 + (int64_t)(n % 4) : 5);
    struct number number = { n };
    const ward_msg *got = NULL, *none;
    ward_status rc;

    rc = ward_ask(self, &got, to, &NUMBER, &number, by);
    count(world, rc);
    if (rc == WARD_OK) CHECK_IS(((const struct number *)ward_value(got, &NUMBER))->n, n);
    if (rc == WARD_ETIMEDOUT) CHECK(ward_now_ns(self) >= by.ns);
    if (rc != WARD_EGONE || n % 31) return;
    by = ward_in_ms(self, 2);
    CHECK_IS(ward_receive(self, &none, by), WARD_ETIMEDOUT);
    CHECK(ward_now_ns(self) >= by.ns);
}

static void ask_all(ward_self *self, uint64_t from, uint64_t each)
{
    struct world *world = world_of(self);

    for (uint64_t i = 0; i < each; i++)
        ask_once(self, world, from + i);
}

static ward_status asker(ward_self *self)
{
    ask_all(self, ward_me(self).slot * UINT64_C(1000003), times * SCALED(EACH));
    return WARD_OK;
}

static ward_status asker_apart(ward_self *self)
{
    ask_all(self, ward_me(self).slot * UINT64_C(1000003), times * SCALED(EACH / 20));
    return WARD_OK;
}

/* -- the run ----------------------------------------------------------------------------------- */

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
    static struct world world;
    struct world *at = &world;
    ward_spec failing = { .name = "failing",
        .handle = fail_at_times,
        .mailbox_max = 4,
        .arg = &at,
        .arg_bytes = sizeof at,
        .backoff_ms = 1,
        .backoff_max_ms = 1,
        .restarts_max = WARD_UNLIMITED };
    ward_spec tree = {
        .name = "tree", .children = { &failing, 1, sizeof failing }, .restarts_max = WARD_UNLIMITED
    };
    ward_ref all[ASKERS + THREADS], ref;

    world.quick = begin(self, (ward_spec){ .handle = be_quick, .mailbox_max = 3 }, at);
    world.late =
        begin(self, (ward_spec){ .handle = be_late, .mailbox_max = 16, .state_bytes = 128 }, at);
    world.silent = begin(self, (ward_spec){ .body = be_silent, .mailbox_max = 1 }, at);
    world.dead = begin(self, (ward_spec){ .handle = be_quick }, at);
    ward_cancel(self, world.dead);
    CHECK_IS(ward_join(self, &world.dead, 1, WARD_FOREVER), WARD_OK);
    CHECK_IS(ward_spawn_at(self, &ref, &tree, WARD_HERE), WARD_OK);
    CHECK_IS(ward_find(self, &world.failing, "tree/failing", WARD_FOREVER), WARD_OK);
    for (int i = 0; i < ASKERS; i++)
        all[i] = begin(self, (ward_spec){ .body = asker }, at);
    for (int i = ASKERS; i < ASKERS + THREADS; i++)
        all[i] = begin(self, (ward_spec){ .body = asker_apart, .blocking = true }, at);
    for (uint64_t i = 0; i < times * SCALED(EACH / 20); i++)
        ask_once(self, at, i);
    CHECK_IS(ward_join(self, all, ASKERS + THREADS, WARD_FOREVER), WARD_OK);
    CHECK_IS(world.asked, world.answered + world.timed_out + world.broken + world.gone);
    CHECK(world.gone > 0 && world.broken > 0 && world.timed_out > 0 && world.answered > 0);
    /* And that a question was dropped may come too late for its asker as well. */
    CHECK(ward__load(&ward_node_of(self)->late_replies) >= world.replies - world.answered);
    printf("%llu asked, %llu answered, %llu timed out, %llu broken, %llu gone, %llu late\n",
        (unsigned long long)world.asked, (unsigned long long)world.answered,
        (unsigned long long)world.timed_out, (unsigned long long)world.broken,
        (unsigned long long)world.gone, (unsigned long long)(world.replies - world.answered));
    return WARD_OK;
}

/* -- texts for questions ----------------------------------------------------------------------- */

enum { TEXTS = 4000, TEXTS_BYTES = 1 << 20 };

static ward_status say_it_again(ward_self *self, const ward_msg *msg)
{
    static const ward_type SAID = WARD_TYPE_TEXT("said");

    return ward_reply(self, msg, &SAID, ward_text(msg));
}

/* A client never receives: what it made for one question must be gone by the next. */
static ward_status run_texts(ward_self *self)
{
    static const ward_type SAY = WARD_TYPE_TEXT("say");
    const ward_msg *answer;
    ward_ref ref;
    ward_status rc = ward_spawn(self, &ref, &(ward_spec){ .handle = say_it_again });

    for (int i = 0; !rc && i < TEXTS; i++)
        rc = ward_ask(self, &answer, ref, &SAY, ward_textf(self, "%0900d", i), WARD_FOREVER);
    CHECK_IS(rc, WARD_OK);
    for (int i = 0; !rc && i < TEXTS; i++)
        rc = ward_textf(self, "%0900d", i) ? ward_sleep(self, WARD_NOW) : WARD_ENOMEM;
    CHECK_IS(rc, WARD_OK);
    return WARD_OK;
}

int main(int argc, char **argv)
{
    check_begin("ask");
    if (argc > 1) {
        times = (uint64_t)atoi(argv[1]);
        alarm((unsigned)(CHECK_SECONDS * times));
    }
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 2 }), WARD_OK);
    CHECK_IS(ward_run(run_texts, &(ward_opts){ .workers = 1, .bytes_max = TEXTS_BYTES }), WARD_OK);
    return check_end();
}
