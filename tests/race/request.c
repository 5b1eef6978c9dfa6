/* SPDX-License-Identifier: MIT */
/*
 * request.c - many requests whose answer, deadline, cancellation, death and ward_forget come at the
 * same time: each has exactly one outcome, or none if it was forgotten.
 *
 * Requesters are fibers, threads of their own and a host's thread; they gather with ward_await or
 * ward_receive, forget some, and end with some open. Between them and the servers stand handlers
 * that keep a question and ask on for it; their askers are cancelled at any time. At the end each
 * record is free again.
 */
#include "actors/request.h"
#include "tests/support/check.h"

enum { REQUESTERS = 6, THREADS = 2, ROUNDS = 6000, WIDTH = 6, KEPT = 7, LIVES = 3000 };

struct number {
    uint64_t n;
};
static const ward_type NUMBER = WARD_TYPE_PLAIN("number", struct number);

struct world {
    ward_ref servers[5], desks[2];
    _Atomic uint64_t asked, refused, forgotten, outcomes, answered, timed_out, broken, abandoned;
};
enum { QUICK, LATE, FAILING, SILENT, DEAD };

static struct world *world_of(ward_self *self)
{
    return *(struct world *const *)ward_arg(self);
}

/* -- servers ----------------------------------------------------------------------------------- */

static ward_status answer(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &NUMBER, ward_value(msg, &NUMBER));
}

static ward_status be_quick(ward_self *self, const ward_msg *msg)
{
    return answer(self, msg);
}

/* Answers the newest of up to seven now and then. */
static ward_status be_late(ward_self *self, const ward_msg *msg)
{
    struct {
        ward_msg *kept[KEPT];
        uint32_t count;
    } *state = ward_state(self);

    CHECK_IS(ward_keep(self, &state->kept[state->count++], msg), WARD_OK);
    while (state->count == KEPT || (state->count > 0 && ward_random(self) % 3 == 0)) {
        ward_msg *kept = state->kept[--state->count];
        CHECK_IS(answer(self, kept), WARD_OK);
        ward_drop(self, kept);
    }
    return WARD_OK;
}

static ward_status fail_at_times(ward_self *self, const ward_msg *msg)
{
    const struct number *number = ward_value(msg, &NUMBER);

    return number->n % 64 == 3 ? WARD_EFAIL : answer(self, msg);
}

static ward_status be_silent(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        rc = ward_sleep(self, WARD_FOREVER);
        CHECK(rc == WARD_ETIMEDOUT || rc == WARD_EABANDONED || rc == WARD_ECANCELED);
    }
    return rc;
}

/* -- requesters -------------------------------------------------------------------------------- */

struct open {
    ward_call call;
    uint64_t n;
    ward_deadline by;
};

static void take(ward_self *self, struct open *open, uint32_t count, const ward_msg *msg)
{
    struct world *world = world_of(self);
    const struct number *number = ward_value(msg, &NUMBER);
    ward_status status = ward_status_of(msg);
    uint32_t i = 0;

    CHECK_IS(ward_kind_of(msg), WARD_ANSWER);
    while (i < count && open[i].call.id != ward_call_of(msg).id)
        i++;
    if (!CHECK(i < count)) return; /* nobody's, a second one, or forgotten */
    ward__add(&world->outcomes, 1);
    open[i].call.id = 0;
    if (status == WARD_OK && CHECK(number != NULL)) {
        ward__add(&world->answered, 1);
        CHECK_IS(number->n, open[i].n);
    } else if (status == WARD_ETIMEDOUT) {
        ward__add(&world->timed_out, 1);
        CHECK(ward_now_ns(self) >= open[i].by.ns);
    } else if (CHECK_IS(status, WARD_ENOREPLY)) {
        ward__add(&world->broken, 1);
    }
}

static uint32_t scatter(ward_self *self, struct open *open, uint64_t n)
{
    struct world *world = world_of(self);
    uint32_t count = 0;

    for (uint32_t i = 0; i < WIDTH; i++) {
        uint64_t which = ward_random(self) % 32;
        struct number number = { n + i };
        ward_ref to = world->servers[which < 20 ? QUICK : which - 20 < 5 ? which - 20 : LATE];
        ward_status rc;
        open[count].n = number.n;
        open[count].by = ward_in_ms(self, 1 + (int64_t)(ward_random(self) % 4));
        rc = ward_request(self, &open[count].call, to, &NUMBER, &number, open[count].by);
        ward__add(&world->asked, 1);
        if (rc == WARD_OK) {
            count++;
            continue;
        }
        ward__add(&world->refused, 1);
        CHECK(rc == WARD_EFULL || rc == WARD_EGONE || rc == WARD_ETIMEDOUT);
    }
    return count;
}

static void gather(ward_self *self, struct open *open, uint32_t count)
{
    uint32_t left = count;
    const ward_msg *msg;
    ward_status rc;

    for (uint32_t i = 0; i < count; i++) {
        if (ward_random(self) % 8) continue;
        ward_forget(self, open[i].call);
        ward__add(&world_of(self)->forgotten, 1);
        open[i].call.id = 0;
        left--;
    }
    while (left > 0) {
        rc = ward_random(self) % 2 ? ward_await(self, &msg, WARD_FOREVER)
                                   : ward_receive(self, &msg, WARD_FOREVER);
        if (!CHECK_IS(rc, WARD_OK)) return;
        take(self, open, count, msg);
        left--;
    }
    CHECK_IS(ward_await(self, &msg, WARD_FOREVER), WARD_ESTATE);
}

static void request_all(ward_self *self, uint32_t rounds)
{
    uint64_t n = ward_me(self).slot * UINT64_C(1000003);
    struct open open[WIDTH];

    for (uint32_t i = 0; i < rounds; i++, n += WIDTH)
        gather(self, open, scatter(self, open, n));
    ward__add(&world_of(self)->forgotten, scatter(self, open, n)); /* void with its end */
}

static ward_status requester(ward_self *self)
{
    request_all(self, SCALED(ROUNDS));
    return WARD_OK;
}

static ward_status requester_apart(ward_self *self)
{
    request_all(self, SCALED(ROUNDS / 10));
    return WARD_OK;
}

/* -- a handler that asks on, for askers that are cancelled ------------------------------------- */

struct desk {
    struct {
        ward_call call;
        ward_msg *kept;
    } of[32];
};

static ward_status desk(ward_self *self, const ward_msg *msg)
{
    struct world *world = world_of(self);
    struct desk *desk = ward_state(self);
    bool is_answer = ward_kind_of(msg) == WARD_ANSWER;
    int i = 0;
    ward_status rc;

    while (i < 32 && desk->of[i].call.id != (is_answer ? ward_call_of(msg).id : 0))
        i++;
    if (!is_answer && i == 32) return WARD_OK;
    if (!CHECK(i < 32)) return WARD_OK;
    if (!is_answer) {
        rc = ward_request(self, &desk->of[i].call,
            world->servers[ward_random(self) % 2 ? SILENT : LATE], &NUMBER,
            ward_value(msg, &NUMBER), WARD_FOREVER);
        CHECK(rc == WARD_OK || rc == WARD_EFULL || rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT);
        if (!rc) CHECK_IS(ward_keep(self, &desk->of[i].kept, msg), WARD_OK);
        return WARD_OK;
    }
    if (ward_status_of(msg) == WARD_OK)
        CHECK_IS(ward_reply(self, desk->of[i].kept, &NUMBER, ward_value(msg, &NUMBER)), WARD_OK);
    if (ward_status_of(msg) == WARD_EABANDONED) ward__add(&world->abandoned, 1);
    ward_drop(self, desk->of[i].kept);
    desk->of[i].call.id = 0;
    return WARD_OK;
}

static ward_status client(ward_self *self)
{
    struct world *world = world_of(self);
    struct number number = { ward_random(self) };
    const ward_msg *msg;
    ward_call call;
    ward_deadline by = ward_in_ms(self, 5000);
    ward_ref to = world->desks[ward_random(self) % 2];
    ward_status rc;

    if (ward_random(self) % 2) return ward_ask(self, &msg, to, &NUMBER, &number, by);
    rc = ward_request(self, &call, to, &NUMBER, &number, by);
    return rc ? rc : ward_await(self, &msg, by);
}

static ward_status canceller(ward_self *self)
{
    struct world *at = world_of(self);

    for (int i = 0; i < SCALED(LIVES); i++) {
        ward_ref refs[4];
        for (int k = 0; k < 4; k++) {
            ward_spec spec = {
                .body = client, .restart = WARD_TEMPORARY, .arg = &at, .arg_bytes = sizeof at
            };
            CHECK_IS(ward_spawn(self, &refs[k], &spec), WARD_OK);
        }
        for (uint64_t k = ward_random(self) % 4; k > 0; k--)
            CHECK_IS(ward_checkpoint(self), WARD_OK);
        for (int k = 0; k < 4; k++)
            ward_cancel(self, refs[k]);
        CHECK_IS(ward_join(self, refs, 4, WARD_FOREVER), WARD_OK);
    }
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

static void check_records(const ward_node *node)
{
    const struct ward__requests *all = node->requests;
    uint32_t free = 0;

    for (const struct ward__request *request = all->free; request && free < all->used;
         request = request->after)
        free++;
    CHECK_IS(free, all->used - 1);
    printf("%u records\n", all->used - 1);
}

static void start_servers(ward_self *self, struct world *at)
{
    ward_spec failing = { .name = "failing",
        .handle = fail_at_times,
        .arg = &at,
        .arg_bytes = sizeof at,
        .backoff_ms = 1,
        .backoff_max_ms = 1,
        .restarts_max = WARD_UNLIMITED };
    ward_spec tree = {
        .name = "tree", .children = { &failing, 1, sizeof failing }, .restarts_max = WARD_UNLIMITED
    };
    ward_ref ref;

    at->servers[QUICK] = begin(self, (ward_spec){ .handle = be_quick, .mailbox_max = 8 }, at);
    at->servers[LATE] =
        begin(self, (ward_spec){ .handle = be_late, .mailbox_max = 64, .state_bytes = 128 }, at);
    at->servers[SILENT] = begin(self, (ward_spec){ .body = be_silent, .mailbox_max = 16 }, at);
    at->servers[DEAD] = begin(self, (ward_spec){ .handle = be_quick }, at);
    ward_cancel(self, at->servers[DEAD]);
    CHECK_IS(ward_join(self, &at->servers[DEAD], 1, WARD_FOREVER), WARD_OK);
    CHECK_IS(ward_spawn_at(self, &ref, &tree, WARD_HERE), WARD_OK);
    CHECK_IS(ward_find(self, &at->servers[FAILING], "tree/failing", WARD_FOREVER), WARD_OK);
    for (int i = 0; i < 2; i++)
        at->desks[i] =
            begin(self, (ward_spec){ .handle = desk, .state_bytes = sizeof(struct desk) }, at);
}

static ward_status run(ward_self *self)
{
    struct world *at = world_of(self);
    ward_ref all[REQUESTERS + THREADS + 1];

    start_servers(self, at);
    for (int i = 0; i < REQUESTERS; i++)
        all[i] = begin(self, (ward_spec){ .body = requester }, at);
    for (int i = REQUESTERS; i < REQUESTERS + THREADS; i++)
        all[i] = begin(self, (ward_spec){ .body = requester_apart, .blocking = true }, at);
    all[REQUESTERS + THREADS] = begin(self, (ward_spec){ .body = canceller }, at);
    request_all(self, SCALED(ROUNDS / 10));
    CHECK_IS(ward_join(self, all, REQUESTERS + THREADS + 1, WARD_FOREVER), WARD_OK);
    /* This one's last are still open, and void with it. */
    CHECK_IS(at->asked, at->refused + at->forgotten + at->outcomes);
    CHECK_IS(at->outcomes, at->answered + at->timed_out + at->broken);
    CHECK(at->answered > 0 && at->timed_out > 0 && at->broken > 0 && at->abandoned > 0);
    printf("%llu asked, %llu refused, %llu forgotten, %llu answered, %llu timed out, %llu broken, "
           "%llu abandoned\n",
        (unsigned long long)at->asked, (unsigned long long)at->refused,
        (unsigned long long)at->forgotten, (unsigned long long)at->answered,
        (unsigned long long)at->timed_out, (unsigned long long)at->broken,
        (unsigned long long)at->abandoned);
    return WARD_OK;
}

static ward_status run_inside(ward_self *self)
{
    ward_ref ref = begin(self, (ward_spec){ .body = run }, world_of(self));

    CHECK_IS(ward_join(self, &ref, 1, WARD_FOREVER), WARD_OK);
    check_records(ward_node_of(self));
    return WARD_OK;
}

int main(void)
{
    static struct world worlds[2];
    struct world *at[2] = { &worlds[0], &worlds[1] };

    check_begin("request");
    CHECK_IS(ward_run(run_inside, &(ward_opts){ .workers = 2, .arg = &at[0] }), WARD_OK);
    CHECK_IS(ward_run(run, &(ward_opts){ .workers = 2, .arg = &at[1] }), WARD_OK); /* a host's */
    return check_end();
}
