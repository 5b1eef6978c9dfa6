/* SPDX-License-Identifier: MIT */
/*
 * requests.c - simulation: questions without a wait, against servers that are slow, die, keep,
 * forward, refuse, hang, or say nothing.
 *
 * Holds for every request: its outcome comes exactly once, never after its deadline (but for the
 * slack of the clock), never with ETIMEDOUT before it, and never after ward_forget; an answer is
 * the answer to this very question. What an actor has open when its incarnation ends is void. When
 * an asker leaves, all who work for it are freed down a chain of asks, requests and forwards, also
 * through handlers that keep the question. At the end the books balance and each record is free.
 */
#include "actors/request.h"
#include "scenario.h"

enum { SERVERS = 6, SCATTERERS = 4, ASKERS = 3, ROUNDS = 4, WIDTH = 8, PENDING = 4, HOPS = 5 };
enum { KEPT = 3, REFUSAL = WARD_EUSER - 3 };

struct question {
    uint64_t id;
    const char *note; /* makes some too large to ride inside their message */
};
static const ward_field QUESTION_FIELDS[] = {
    WARD_FIELD(struct question, UINT, id),
    WARD_FIELD(struct question, TEXT, note),
};
static const ward_type QUESTION = WARD_TYPE("question", struct question, QUESTION_FIELDS);
static const ward_type ANSWER = WARD_TYPE("answer", struct question, QUESTION_FIELDS);

struct world;
struct hop {
    struct world *world;
    ward_ref ref, next;
    uint32_t received, freed;
};
struct world {
    ward_ref servers[SERVERS], desk;
    uint64_t ids;
    uint64_t seen, outcomes, answered;
    bool cancelled; /* somebody was */
    struct hop hops[HOPS];
    int64_t cut_ns; /* the first asker of the chain left; 0: not yet */
};

static const char *note(ward_self *self)
{
    return one_in(self, 3) ? "a note that does not fit inside the record of its message" : NULL;
}

/* -- servers ----------------------------------------------------------------------------------- */

struct server {
    ward_msg *kept[KEPT];
    uint32_t count;
};

static ward_status reply(ward_self *self, const ward_msg *msg)
{
    const struct question *question = ward_value(msg, &QUESTION);
    ward_status rc;

    CHECK(question);
    rc = ward_reply(self, msg, &ANSWER, question);
    CHECK(rc == WARD_OK || rc == WARD_EFENCED);
    return rc;
}

static ward_status settle_kept(ward_self *self)
{
    struct server *server = ward_state(self);
    ward_status rc = WARD_OK;

    while (!rc && server->count > 0) {
        ward_msg *kept = server->kept[--server->count];
        if (one_in(self, 2)) rc = reply(self, kept);
        ward_drop(self, kept);
    }
    return rc;
}

static ward_status serve(ward_self *self, const ward_msg *msg)
{
    struct world *world = ward_arg(self);
    struct server *server = ward_state(self);
    ward_status rc;

    world->seen++;
    switch (below(self, 12)) {
    case 0:
        rc = ward_sim_hang(self, below(self, 20) + (one_in(self, 3) ? 60 : 1));
        return rc ? rc : reply(self, msg);
    case 1: return WARD_EFAIL;
    case 2: ward_refuse(self, msg, (ward_status)REFUSAL); return WARD_OK;
    case 3:
        rc = server->count == KEPT ? settle_kept(self) : WARD_OK;
        return rc ? rc : ward_keep(self, &server->kept[server->count++], msg);
    case 4:
        rc = ward_forward(self, world->servers[below(self, SERVERS)], msg);
        CHECK(rc == WARD_OK || rc == WARD_EFULL || rc == WARD_EFENCED || world->cancelled);
        return rc == WARD_EFENCED ? rc : WARD_OK;
    case 5: return WARD_OK;
    default: return reply(self, msg);
    }
}

static ward_status handler(ward_self *self, const ward_msg *msg)
{
    return ward_kind_of(msg) == WARD_IDLE ? settle_kept(self) : serve(self, msg);
}

static ward_status body(ward_self *self)
{
    struct world *world = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, ward_in_ms(self, 15));
        if (rc == WARD_ETIMEDOUT) {
            rc = settle_kept(self);
        } else if (!rc && one_in(self, 3)) {
            world->seen++;
            rc = ward_sleep(self, ward_in_ms(self, below(self, 40)));
            if (rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT)
                rc = WARD_OK;
            else if (!rc)
                rc = reply(self, msg);
        } else if (!rc) {
            rc = serve(self, msg);
        }
    }
    return rc;
}

/* -- a handler that asks before it answers ----------------------------------------------------- */

struct desk {
    struct {
        ward_call call;
        ward_msg *kept;
        uint64_t id;
    } pending[PENDING];
};

static ward_status desk_asks(ward_self *self, struct desk *desk, const ward_msg *msg)
{
    struct world *world = ward_arg(self);
    const struct question *question = ward_value(msg, &QUESTION);
    int i = 0;
    ward_status rc;

    while (i < PENDING && desk->pending[i].kept)
        i++;
    if (i == PENDING) {
        ward_refuse(self, msg, WARD_EUNAVAIL);
        return WARD_OK;
    }
    desk->pending[i].id = question->id;
    rc = ward_request(self, &desk->pending[i].call, world->servers[below(self, SERVERS)], &QUESTION,
        question, ward_in_ms(self, 30));
    if (!rc) rc = ward_keep(self, &desk->pending[i].kept, msg);
    if (rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT) return WARD_OK;
    CHECKF(rc == WARD_OK || rc == WARD_EFULL || rc == WARD_EFENCED || world->cancelled, "%s",
        ward_strerror(rc));
    if (rc) ward_refuse(self, msg, WARD_EUNAVAIL);
    return WARD_OK;
}

static ward_status desk_handler(ward_self *self, const ward_msg *msg)
{
    struct desk *desk = ward_state(self);
    struct world *world = ward_arg(self);
    const struct question *answer = ward_value(msg, &ANSWER);
    int i = 0;

    if (one_in(self, 40)) return WARD_EFAIL; /* what it has open is void */
    if (ward_is(msg, &QUESTION)) return desk_asks(self, desk, msg);
    CHECK(ward_kind_of(msg) == WARD_ANSWER);
    while (i < PENDING && desk->pending[i].call.id != ward_call_of(msg).id)
        i++;
    CHECKF(i < PENDING, "an outcome that nobody asked for, or a second one");
    CHECK(!answer == (ward_status_of(msg) != WARD_OK));
    if (answer) {
        CHECK(answer->id == desk->pending[i].id);
        CHECK(ward_reply(self, desk->pending[i].kept, &ANSWER, answer) == WARD_OK);
    }
    world->outcomes++;
    ward_drop(self, desk->pending[i].kept);
    desk->pending[i].kept = NULL;
    desk->pending[i].call.id = 0;
    return WARD_OK;
}

static ward_status ask_the_desk(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < ROUNDS * 2; i++) {
        struct question question = { ++world->ids, note(self) };
        const ward_msg *answer;
        rc = ward_ask(self, &answer, world->desk, &QUESTION, &question,
            ward_in_ms(self, 5 + below(self, 60)));
        if (!rc) CHECK(((const struct question *)ward_value(answer, &ANSWER))->id == question.id);
        CHECKF(rc == WARD_OK || rc == WARD_ETIMEDOUT || rc == WARD_ENOREPLY ||
                   rc == WARD_EUNAVAIL || world->cancelled,
            "the desk: %s", ward_strerror(rc));
        if (rc != WARD_ECANCELED) rc = ward_sleep(self, ward_in_ms(self, below(self, 5)));
    }
    return rc;
}

/* -- scatter and gather ------------------------------------------------------------------------ */

struct round {
    struct {
        ward_call call; /* 0: not open */
        uint64_t id;
        ward_deadline by;
    } of[WIDTH];
    uint32_t open;
};

static void check_outcome(ward_self *self, struct round *round, const ward_msg *msg)
{
    struct world *world = ward_arg(self);
    const struct question *answer = ward_value(msg, &ANSWER);
    ward_status status = ward_status_of(msg);
    int64_t now = ward_now_ns(self);
    int i = 0;

    CHECK(ward_kind_of(msg) == WARD_ANSWER);
    while (i < WIDTH && round->of[i].call.id != ward_call_of(msg).id)
        i++;
    CHECKF(i < WIDTH, "an outcome that nobody asked for, a second one, or a forgotten one");
    if (round->of[i].by.ns != INT64_MAX) CHECK(now <= round->of[i].by.ns + SIM_SLACK_NS);
    if (status == WARD_ETIMEDOUT) CHECK(now >= round->of[i].by.ns);
    CHECK((answer != NULL) == (status == WARD_OK));
    if (answer) CHECK(answer->id == round->of[i].id);
    CHECKF(status == WARD_OK || status == WARD_ETIMEDOUT || status == WARD_ENOREPLY ||
               status == (ward_status)REFUSAL || world->cancelled,
        "outcome: %s", ward_strerror(status));
    world->answered += status == WARD_OK;
    world->outcomes++;
    round->of[i].call.id = 0;
    round->open--;
}

static ward_status gather_one(ward_self *self, struct round *round)
{
    ward_deadline by = one_in(self, 3) ? ward_in_ms(self, below(self, 10)) : WARD_FOREVER;
    const ward_msg *msg;
    ward_status rc;

    rc = one_in(self, 2) ? ward_await(self, &msg, by) : ward_receive(self, &msg, by);
    if (rc == WARD_OK)
        check_outcome(self, round, msg);
    else if (rc == WARD_ETIMEDOUT)
        CHECK(ward_now_ns(self) >= by.ns);
    else
        CHECKF(rc == WARD_ECANCELED, "await: %s", ward_strerror(rc));
    return rc == WARD_ETIMEDOUT ? WARD_OK : rc;
}

static void scatter(ward_self *self, struct round *round)
{
    struct world *world = ward_arg(self);
    ward_deadline common = ward_in_ms(self, 1 + below(self, 40)), by;

    for (int i = 0; i < WIDTH; i++) {
        struct question question = { ++world->ids, note(self) };
        ward_status rc;
        by = one_in(self, 3) ? ward_in_ms(self, 1 + below(self, 40)) : common;
        if (one_in(self, 16)) by = WARD_FOREVER;
        round->of[i].by = by;
        rc = ward_request(self, &round->of[i].call, world->servers[below(self, SERVERS)], &QUESTION,
            &question, by);
        round->of[i].id = question.id;
        if (rc == WARD_OK) CHECK(round->of[i].call.id != 0);
        if (rc == WARD_ETIMEDOUT) CHECK(ward_now_ns(self) >= by.ns);
        CHECKF(rc == WARD_OK || rc == WARD_EFULL || rc == WARD_ETIMEDOUT || world->cancelled,
            "request: %s", ward_strerror(rc));
        round->open += rc == WARD_OK;
    }
}

static ward_status scatterer(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < ROUNDS; i++) {
        struct round round = { 0 };
        scatter(self, &round);
        if (i == ROUNDS - 1 && one_in(self, 2)) return WARD_OK; /* the rest is void */
        for (int k = 0; k < WIDTH; k++) {
            if (!round.of[k].call.id || !one_in(self, 6)) continue;
            ward_forget(self, round.of[k].call);
            if (one_in(self, 2)) ward_forget(self, round.of[k].call); /* nothing is there */
            round.of[k].call.id = 0;
            round.open--;
        }
        while (!rc && round.open > 0)
            rc = gather_one(self, &round);
        if (rc) break;
        rc = ward_await(self, &msg, WARD_FOREVER); /* none is open */
        CHECK(rc == WARD_ESTATE || rc == WARD_ECANCELED);
        if (rc == WARD_ESTATE) rc = WARD_OK;
        if (!rc) CHECK(ward_receive(self, &msg, WARD_NOW) != WARD_OK);
    }
    return rc;
}

/* -- a chain whose first asker leaves ---------------------------------------------------------- */

static void freed(ward_self *self, struct hop *hop, ward_status rc)
{
    CHECKF(rc == WARD_EABANDONED, "hop: %s", ward_strerror(rc));
    CHECK(hop->world->cut_ns && ward_now_ns(self) <= hop->world->cut_ns + SIM_SLACK_NS);
    hop->freed++;
}

/* Asks on, one way or the other; the last one sleeps. */
static ward_status ask_on(ward_self *self, struct hop *hop)
{
    struct question question = { 0, NULL };
    const ward_msg *answer;
    ward_call call;
    ward_status rc;

    if (!hop->next.life) return ward_sleep(self, WARD_FOREVER);
    if (one_in(self, 2))
        return ward_ask(self, &answer, hop->next, &QUESTION, &question, WARD_FOREVER);
    rc = ward_request(self, &call, hop->next, &QUESTION, &question, WARD_FOREVER);
    if (!rc) rc = ward_await(self, &answer, WARD_FOREVER);
    return rc ? rc : ward_status_of(answer);
}

static ward_status hop_body(ward_self *self)
{
    struct hop *hop = ward_arg(self);
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        if (ward_kind_of(msg) == WARD_ANSWER) { /* its await was over before its request was */
            CHECK(ward_status_of(msg) == WARD_EABANDONED);
            continue;
        }
        hop->received++;
        rc = ask_on(self, hop);
        if (rc == WARD_ECANCELED) break; /* the run is over */
        freed(self, hop, rc);
        rc = WARD_OK;
    }
    return rc;
}

/* Keeps the question and requests; or only requests; or passes it on. */
static ward_status hop_handler(ward_self *self, const ward_msg *msg)
{
    struct hop *hop = ward_arg(self);
    struct question question = { 0, NULL };
    struct server *state = ward_state(self);
    ward_call call;
    ward_status rc;

    if (ward_kind_of(msg) == WARD_ANSWER) {
        freed(self, hop, ward_status_of(msg));
        ward_drop(self, state->kept[0]);
        return WARD_OK;
    }
    if (one_in(self, 3)) {
        CHECK(ward_forward(self, hop->next, msg) == WARD_OK);
        return WARD_OK;
    }
    hop->received++;
    rc = ward_request(self, &call, hop->next, &QUESTION, &question, WARD_FOREVER);
    if (rc) {
        freed(self, hop, rc); /* too late to ask */
        return rc;
    }
    CHECK(ward_keep(self, &state->kept[0], msg) == WARD_OK);
    return WARD_OK;
}

static ward_status first_asker(ward_self *self)
{
    struct world *world = ward_arg(self);
    struct question question = { 0, note(self) };
    const ward_msg *answer;
    ward_call call;
    ward_status rc;

    if (one_in(self, 2))
        return ward_ask(self, &answer, world->hops[0].ref, &QUESTION, &question, WARD_FOREVER);
    CHECK(ward_request(self, &call, world->hops[0].ref, &QUESTION, &question, WARD_FOREVER) ==
          WARD_OK);
    rc = ward_sleep(self, ward_in_ms(self, 20));
    if (rc || world->cut_ns) return rc;
    world->cut_ns = ward_now_ns(self);
    ward_forget(self, call);
    return ward_sleep(self, WARD_FOREVER);
}

static void chain(ward_self *self, struct world *world)
{
    ward_ref first;
    ward_status rc = WARD_OK;

    for (int i = HOPS - 1; !rc && i >= 0; i--) {
        struct hop *hop = &world->hops[i];
        ward_spec spec = { .arg = hop, .state_bytes = sizeof(struct server) };
        hop->world = world;
        if (i < HOPS - 1) hop->next = world->hops[i + 1].ref;
        if (i < HOPS - 1 && one_in(self, 2))
            spec.handle = hop_handler;
        else
            spec.body = hop_body;
        rc = ward_spawn(self, &hop->ref, &spec);
    }
    if (!rc) rc = ward_spawn(self, &first, &(ward_spec){ .body = first_asker, .arg = world });
    /* Before they have all been asked, or after. */
    if (!rc)
        rc = ward_sleep(self, ward_in_ms(self, one_in(self, 2) ? below(self, 2) : below(self, 30)));
    CHECK(rc == WARD_OK);
    if (!world->cut_ns) world->cut_ns = ward_now_ns(self);
    ward_cancel(self, first);
    rc = ward_join(self, &first, 1, ward_in_ms(self, 100));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 30));
    CHECK(rc == WARD_OK);
    for (int i = 0; i < HOPS; i++) {
        CHECKF(world->hops[i].received == world->hops[i].freed, "hop %d works on", i);
        ward_cancel(self, world->hops[i].ref);
    }
}

/* -- the run ----------------------------------------------------------------------------------- */

static void start_service(ward_self *self, struct world *world, ward_ref *service)
{
    ward_spec specs[SERVERS + 1];
    char names[SERVERS + 1][8], path[24];
    ward_status rc;

    for (uint32_t i = 0; i <= SERVERS; i++) {
        snprintf(names[i], sizeof names[i], "s%u", i);
        specs[i] = (ward_spec){ .name = names[i],
            .arg = world,
            .mailbox_max = 1 + i % 4,
            .state_bytes = sizeof(struct server),
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 1,
            .backoff_max_ms = 20,
            .stuck_ms = one_in(self, 2) ? 40 : 0,
            .zombies_max = 1000 };
        if (i == SERVERS)
            specs[i].handle = desk_handler, specs[i].state_bytes = sizeof(struct desk),
            specs[i].mailbox_max = 2 * PENDING;
        else if (i % 2)
            specs[i].body = body;
        else
            specs[i].handle = handler, specs[i].idle_ms = 15;
    }
    rc = ward_spawn(self, service,
        &(ward_spec){ .name = "service",
            .children = WARD_CHILDREN(specs),
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = 1000 });
    for (uint32_t i = 0; !rc && i <= SERVERS; i++) {
        snprintf(path, sizeof path, "service/s%u", i);
        rc = ward_find(
            self, i == SERVERS ? &world->desk : &world->servers[i], path, ward_in_ms(self, 1000));
    }
    CHECK(rc == WARD_OK);
}

static void crowd(ward_self *self, struct world *world)
{
    ward_ref refs[SCATTERERS + ASKERS];
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < SCATTERERS + ASKERS; i++)
        rc = ward_spawn(self, &refs[i],
            &(ward_spec){ .body = i < SCATTERERS ? scatterer : ask_the_desk, .arg = world });
    for (uint32_t i = below(self, 4); !rc && i > 0; i--) {
        rc = ward_sleep(self, ward_in_ms(self, below(self, 60)));
        if (!one_in(self, 2)) continue;
        world->cancelled = true;
        ward_cancel(self, one_in(self, 4) ? world->servers[below(self, SERVERS)]
                                          : refs[below(self, SCATTERERS + ASKERS)]);
    }
    CHECK(rc == WARD_OK);
    rc = ward_join(self, refs, SCATTERERS + ASKERS, ward_in_ms(self, 60000));
    CHECKF(rc == WARD_OK, "askers: %s", ward_strerror(rc));
}

/* Each record that was ever used is free again, and free once. */
static void check_records(ward_self *self)
{
    const struct ward__requests *all = ward_node_of(self)->requests;
    uint32_t free = 0;

    for (const struct ward__request *request = all->free; request; request = request->after)
        CHECK(++free < all->used);
    CHECKF(free + 1 == all->used, "%u of %u records are free", free, all->used - 1);
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    struct books books[3];
    ward_ref service;
    ward_status rc;

    start_service(self, world, &service);
    if (one_in(self, 2)) chain(self, world);
    crowd(self, world);
    world->cancelled = true; /* questions that nobody waits for may still be handled */
    ward_cancel(self, service);
    rc = ward_join(self, &service, 1, ward_in_ms(self, 30000));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 100)); /* those in quarantine come back */
    CHECK(rc == WARD_OK);
    books[0] = books_of(self, handler, NULL);
    books[1] = books_of(self, NULL, body);
    books[2] = books_of(self, desk_handler, NULL);
    CHECK(seen_by_books(&books[0]) + seen_by_books(&books[1]) == world->seen);
    (void)seen_by_books(&books[2]);
    check_records(self);
    return WARD_OK;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = {
        .name = "requests", .body = run, .world = &world, .world_bytes = sizeof world
    };

    return simulate(&scenario, argc, argv);
}
