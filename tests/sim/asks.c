/* SPDX-License-Identifier: MIT */
/*
 * asks.c - simulation: asks against callees that are slow, die, keep, forward, refuse, hang, or
 * say nothing at all.
 *
 * Holds for every ask: it ends with a status that its callees can have caused, never after its
 * deadline (but for the slack of the wheel), never with ETIMEDOUT before it, and an answer is the
 * answer to this very question. An asker that is cancelled frees everybody down the chain who
 * works for it: their own asks end with EABANDONED at once and they go on with the next message.
 * At the end the books balance: what callees have seen is what their mailboxes say they have.
 */
#include "scenario.h"

enum { CALLEES = 6, ASKERS = 5, ASKS = 8, HOPS = 4, KEPT = 3, REFUSAL = WARD_EUSER - 3 };

struct question {
    uint64_t id;
    const char *note; /* makes some too large to ride inside their message */
};
static const ward_field QUESTION_FIELDS[] = {
    WARD_FIELD(struct question, UINT, id),
    WARD_FIELD(struct question, TEXT, note),
};
static const ward_type QUESTION = WARD_TYPE("question", struct question, QUESTION_FIELDS);
static const ward_type ANSWER = WARD_TYPE_PLAIN("answer", uint64_t);
static const ward_type PING = WARD_TYPE_EMPTY("ping");

struct world;
struct asker {
    struct world *world;
    ward_ref ref;
    int64_t cancelled_ns; /* 0: it was not */
    uint32_t asks;
};

struct hop {
    struct world *world;
    ward_ref ref, next;
    uint32_t received, freed;
};

struct world {
    ward_ref callees[CALLEES];
    struct asker askers[ASKERS];
    uint64_t ids;
    bool callee_cancelled;
    uint64_t seen[2], in_doubt[2], abandoned[2]; /* of handlers, of bodies */
    struct hop hops[HOPS];
    struct asker first; /* asks the first hop */
    ward_deadline first_by;
};

static const char *note(ward_self *self)
{
    return one_in(self, 3) ? "a note that does not fit beside the token of its question" : NULL;
}

/* -- callees ----------------------------------------------------------------------------------- */

struct callee {
    ward_msg *kept[KEPT];
    uint32_t count;
};

static ward_status reply(ward_self *self, const ward_msg *msg)
{
    const struct question *question = ward_value(msg, &QUESTION);
    ward_status rc;

    CHECK(question);
    rc = ward_reply(self, msg, &ANSWER, &question->id);
    CHECK(rc == WARD_OK || rc == WARD_EFENCED);
    return rc;
}

static ward_status settle_kept(ward_self *self)
{
    struct callee *callee = ward_state(self);
    ward_status rc = WARD_OK;

    while (!rc && callee->count > 0) {
        ward_msg *kept = callee->kept[--callee->count];
        if (one_in(self, 2)) rc = reply(self, kept);
        ward_drop(self, kept);
    }
    return rc;
}

static ward_status keep(ward_self *self, const ward_msg *msg)
{
    struct callee *callee = ward_state(self);
    ward_msg *kept;
    ward_status rc = WARD_OK;

    if (callee->count == KEPT) rc = settle_kept(self);
    if (!rc) rc = ward_keep(self, &kept, msg);
    if (!rc) callee->kept[callee->count++] = kept;
    CHECK(rc == WARD_OK || rc == WARD_EFENCED);
    return rc;
}

/* The one in hand is in doubt, and what is kept. */
static ward_status fail(ward_self *self, struct world *world, bool body)
{
    world->in_doubt[body] += 1 + ((struct callee *)ward_state(self))->count;
    return WARD_EFAIL;
}

static ward_status forward(ward_self *self, struct world *world, const ward_msg *msg)
{
    ward_status rc = ward_forward(self, world->callees[below(self, CALLEES)], msg);

    CHECKF(rc == WARD_OK || rc == WARD_EFULL || rc == WARD_EFENCED || world->callee_cancelled,
        "forward: %s", ward_strerror(rc));
    return rc == WARD_EFENCED ? rc : WARD_OK;
}

/* What handlers and bodies do alike. */
static ward_status serve(ward_self *self, struct world *world, const ward_msg *msg, bool body)
{
    ward_status rc;

    if (is_counted(msg)) world->seen[body]++;
    switch (below(self, 14)) {
    case 0:
        /* Clearly shorter than stuck_ms, or longer. */
        if (ward_sim_hang(self, below(self, 20) + (one_in(self, 3) ? 60 : 1)) == WARD_OK)
            return reply(self, msg);
        return fail(self, world, body); /* quarantined */
    case 1: return fail(self, world, body);
    case 2: return WARD_STOP;
    case 3: ward_refuse(self, msg, WARD_EUNAVAIL); return WARD_OK;
    case 4: ward_refuse(self, msg, (ward_status)REFUSAL); return WARD_OK;
    case 5: return keep(self, msg);
    case 6: return forward(self, world, msg);
    case 7: return WARD_OK;
    case 8: rc = reply(self, msg); return rc ? rc : reply(self, msg);
    case 9:
        if (body) return WARD_OK;
        world->abandoned[body]++;
        return WARD_EABANDONED;
    case 10: rc = settle_kept(self); return rc ? rc : reply(self, msg);
    default: return reply(self, msg);
    }
}

static ward_status handler(ward_self *self, const ward_msg *msg)
{
    struct world *world = ward_arg(self);

    if (ward_kind_of(msg) == WARD_IDLE) return settle_kept(self);
    return serve(self, world, msg, false);
}

/* An ask made while a question is in hand. */
static ward_status nested(ward_self *self, struct world *world, const ward_msg *msg)
{
    ward_deadline by = ward_in_ms(self, 1 + below(self, 30)), limit = ward_by(self);
    struct question question = { ++world->ids, note(self) };
    const ward_msg *answer;
    ward_status rc;
    int64_t now;

    if (limit.ns > by.ns) limit = by;
    rc = ward_ask(self, &answer, world->callees[below(self, CALLEES)], &QUESTION, &question, by);
    now = ward_now_ns(self);
    CHECKF(now <= limit.ns + SIM_SLACK_NS, "nested ask: %s, %lld ns late", ward_strerror(rc),
        (long long)(now - limit.ns));
    CHECK(rc != WARD_ETIMEDOUT || now >= limit.ns);
    CHECKF(rc != WARD_EFULL && rc != WARD_ESTATE && rc != WARD_EFAIL, "nested ask: %s",
        ward_strerror(rc));
    if (rc == WARD_ECANCELED || rc == WARD_EFENCED) return rc;
    if (rc == WARD_OK) {
        CHECK(*(const uint64_t *)ward_value(answer, &ANSWER) == question.id);
        return reply(self, msg);
    }
    return WARD_OK;
}

static ward_status slow(ward_self *self, const ward_msg *msg)
{
    ward_status rc = ward_sleep(self, ward_in_ms(self, below(self, 40)));

    if (rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT) return WARD_OK;
    return rc ? rc : reply(self, msg);
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
            world->seen[1] += is_counted(msg);
            rc = nested(self, world, msg);
        } else if (!rc && one_in(self, 4)) {
            world->seen[1] += is_counted(msg);
            rc = slow(self, msg);
        } else if (!rc) {
            rc = serve(self, world, msg, true);
        }
    }
    return rc;
}

static ward_status start_service(ward_self *self, struct world *world, ward_ref *service)
{
    ward_spec specs[CALLEES];
    char names[CALLEES][8], path[24];
    ward_status rc;

    for (uint32_t i = 0; i < CALLEES; i++) {
        snprintf(names[i], sizeof names[i], "c%u", i);
        specs[i] = (ward_spec){ .name = names[i],
            .arg = world,
            .mailbox_max = 1 + i % 4,
            .state_bytes = sizeof(struct callee),
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 1,
            .backoff_max_ms = 20,
            .stuck_ms = one_in(self, 2) ? 40 : 0,
            .zombies_max = 1000 };
        if (i % 2)
            specs[i].body = body;
        else
            specs[i].handle = handler, specs[i].idle_ms = 15;
    }
    rc = ward_spawn(self, service,
        &(ward_spec){ .name = "service",
            .children = WARD_CHILDREN(specs),
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = 1000 });
    for (uint32_t i = 0; !rc && i < CALLEES; i++) {
        snprintf(path, sizeof path, "service/c%u", i);
        rc = ward_find(self, &world->callees[i], path, ward_in_ms(self, 1000));
    }
    CHECK(rc == WARD_OK);
    return rc;
}

/* -- askers ------------------------------------------------------------------------------------ */

static void check_ask(
    const ward_self *self, const struct asker *asker, ward_status rc, ward_deadline by)
{
    const struct world *world = asker->world;
    int64_t now = ward_now_ns(self);

    if (by.ns != INT64_MAX)
        CHECKF(now <= by.ns + SIM_SLACK_NS, "ask: %s, %lld ns late", ward_strerror(rc),
            (long long)(now - by.ns));
    if (rc == WARD_ETIMEDOUT) CHECKF(now >= by.ns, "%lld ns early", (long long)(by.ns - now));
    switch (rc) {
    case WARD_OK:
    case WARD_ETIMEDOUT:
    case WARD_ENOREPLY:
    case WARD_EUNAVAIL: break;
    case WARD_EGONE:
    case WARD_ECLOSED: CHECK(world->callee_cancelled); break;
    case WARD_ECANCELED:
        CHECK(asker->cancelled_ns);
        CHECK(now <= asker->cancelled_ns + SIM_SLACK_NS);
        break;
    default: CHECKF(rc == (ward_status)REFUSAL, "ask: %s", ward_strerror(rc));
    }
}

static ward_status ask_one(ward_self *self, struct asker *asker)
{
    struct world *world = asker->world;
    ward_deadline by = one_in(self, 8) ? WARD_FOREVER : ward_in_ms(self, 1 + below(self, 40));
    struct question question = { ++world->ids, note(self) };
    const ward_msg *answer;
    ward_status rc =
        ward_ask(self, &answer, world->callees[below(self, CALLEES)], &QUESTION, &question, by);

    check_ask(self, asker, rc, by);
    if (rc == WARD_OK) CHECK(*(const uint64_t *)ward_value(answer, &ANSWER) == question.id);
    asker->asks++;
    return rc == WARD_ECANCELED ? rc : WARD_OK;
}

static ward_status ask_around(ward_self *self)
{
    struct asker *asker = ward_arg(self);
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < ASKS; i++) {
        if (one_in(self, 3)) rc = ward_sleep(self, ward_in_ms(self, below(self, 5)));
        if (!rc) rc = ask_one(self, asker);
    }
    CHECK(rc == WARD_OK || (rc == WARD_ECANCELED && asker->cancelled_ns));
    return rc;
}

static void cancel_someone(ward_self *self, struct world *world)
{
    struct asker *asker = &world->askers[below(self, ASKERS)];

    if (one_in(self, 4)) {
        world->callee_cancelled = true;
        ward_cancel(self, world->callees[below(self, CALLEES)]);
    } else {
        if (!asker->cancelled_ns) asker->cancelled_ns = ward_now_ns(self);
        ward_cancel(self, asker->ref);
    }
}

static void crowd(ward_self *self, struct world *world)
{
    ward_ref refs[ASKERS];
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < ASKERS; i++) {
        struct asker *asker = &world->askers[i];
        asker->world = world;
        rc = ward_spawn(self, &asker->ref, &(ward_spec){ .body = ask_around, .arg = asker });
        refs[i] = asker->ref;
    }
    for (uint32_t i = below(self, 4); !rc && i > 0; i--) {
        rc = ward_sleep(self, ward_in_ms(self, below(self, 60)));
        if (!rc && one_in(self, 2)) cancel_someone(self, world);
    }
    CHECK(rc == WARD_OK);
    rc = ward_join(self, refs, ASKERS, ward_in_ms(self, 60000));
    CHECKF(rc == WARD_OK, "askers: %s", ward_strerror(rc));
    for (uint32_t i = 0; i < ASKERS; i++)
        CHECK(world->askers[i].asks >= ASKS || world->askers[i].cancelled_ns);
}

/* -- a chain of callees, each asking the next -------------------------------------------------- */

/* The ask of a hop has ended: with a cancelled asker it is abandoned, with a deadline any of the
 * hops may see first that it has passed. */
static ward_status freed(ward_self *self, struct hop *hop, ward_status rc)
{
    if (hop->world->first_by.ns == INT64_MAX) {
        CHECKF(rc == WARD_EABANDONED, "hop: %s", ward_strerror(rc));
        CHECK(hop->world->first.cancelled_ns);
        CHECK(ward_now_ns(self) <= hop->world->first.cancelled_ns + SIM_SLACK_NS);
    } else {
        CHECKF(rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT || rc == WARD_ENOREPLY, "hop: %s",
            ward_strerror(rc));
        CHECK(ward_now_ns(self) >= hop->world->first_by.ns);
    }
    hop->freed++;
    return WARD_OK;
}

/* The last hop. */
static ward_status hop_on(ward_self *self)
{
    struct hop *hop = ward_arg(self);
    const ward_msg *msg, *answer;
    ward_status rc = WARD_OK;
    uint64_t id = 0;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        if (ward_is(msg, &PING)) {
            rc = ward_reply(self, msg, &ANSWER, &id);
            continue;
        }
        hop->received++;
        rc = ward_ask(self, &answer, hop->next, &PING, NULL, WARD_FOREVER);
        if (rc == WARD_ECANCELED) break; /* the run is over */
        rc = freed(self, hop, rc);
    }
    return rc;
}

static ward_status hop_ask(ward_self *self)
{
    struct hop *hop = ward_arg(self);
    struct question question = { 0, NULL };
    const ward_msg *msg, *answer;
    ward_status rc = WARD_OK;
    uint64_t id = 0;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        if (ward_is(msg, &PING)) {
            rc = ward_reply(self, msg, &ANSWER, &id);
            continue;
        }
        hop->received++;
        rc = ward_ask(self, &answer, hop->next, &QUESTION, &question, WARD_FOREVER);
        if (rc == WARD_ECANCELED) break; /* the run is over */
        rc = freed(self, hop, rc);
    }
    return rc;
}

static ward_status forwarder(ward_self *self, const ward_msg *msg)
{
    struct hop *hop = ward_arg(self);
    ward_status rc = ward_forward(self, hop->next, msg);

    CHECK(rc == WARD_OK);
    return rc;
}

static ward_status black_hole(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static ward_status ask_first(ward_self *self)
{
    struct asker *asker = ward_arg(self);
    struct question question = { 0, note(self) };
    const ward_msg *answer;
    ward_deadline by = asker->world->first_by;
    ward_status rc = ward_ask(self, &answer, asker->world->hops[0].ref, &QUESTION, &question, by);

    check_ask(self, asker, rc, by);
    CHECK(rc == WARD_ECANCELED || (rc != WARD_OK && ward_now_ns(self) >= by.ns));
    return rc == WARD_ECANCELED ? rc : WARD_OK;
}

/* The last hop asks one who never receives: its question waits in the mailbox, or parks. */
static void start_hops(ward_self *self, struct world *world)
{
    ward_ref hole;
    ward_status rc = ward_spawn(self, &hole, &(ward_spec){ .body = black_hole, .mailbox_max = 1 });

    if (!rc && one_in(self, 2)) rc = ward_send(self, hole, &PING, NULL);
    for (int i = HOPS - 1; !rc && i >= 0; i--) {
        struct hop *hop = &world->hops[i];
        ward_spec spec = { .arg = hop, .mailbox_max = 4 };
        hop->world = world;
        hop->next = i == HOPS - 1 ? hole : world->hops[i + 1].ref;
        if (i == HOPS - 1)
            spec.body = hop_on;
        else if (i > 0 && one_in(self, 3))
            spec.handle = forwarder;
        else
            spec.body = hop_ask;
        rc = ward_spawn(self, &hop->ref, &spec);
    }
    CHECK(rc == WARD_OK);
}

static void chain(ward_self *self, struct world *world)
{
    const ward_msg *answer;
    ward_status rc;

    start_hops(self, world);
    world->first.world = world;
    world->first_by = one_in(self, 3) ? ward_in_ms(self, 5 + below(self, 10)) : WARD_FOREVER;
    rc = ward_spawn(
        self, &world->first.ref, &(ward_spec){ .body = ask_first, .arg = &world->first });
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, below(self, 4)));
    if (!rc && world->first_by.ns == INT64_MAX) {
        world->first.cancelled_ns = ward_now_ns(self);
        ward_cancel(self, world->first.ref);
    }
    if (!rc) rc = ward_join(self, &world->first.ref, 1, ward_in_ms(self, 100));
    CHECK(rc == WARD_OK);
    for (int i = 0; i < HOPS; i++) {
        /* One that forwards asks nobody, and would forward the ping. */
        const struct ward__slot *slot = ward__slot(ward_node_of(self), world->hops[i].ref.slot);
        if (slot->kind == WARD__HANDLER) continue;
        rc = ward_ask(self, &answer, world->hops[i].ref, &PING, NULL, ward_in_ms(self, 60));
        CHECKF(rc == WARD_OK, "hop %d after the chain was cut: %s", i, ward_strerror(rc));
        CHECK(world->hops[i].received == world->hops[i].freed);
    }
}

/* -- the run ----------------------------------------------------------------------------------- */

static void check_books(ward_self *self, const struct world *world)
{
    struct books books[2] = { books_of(self, handler, NULL), books_of(self, NULL, body) };

    for (int i = 0; i < 2; i++) {
        CHECKF(seen_by_books(&books[i]) == world->seen[i], "%s: %llu by the books, %llu seen",
            i ? "bodies" : "handlers", (unsigned long long)seen_by_books(&books[i]),
            (unsigned long long)world->seen[i]);
        CHECKF(books[i].fates[WARD__IN_DOUBT] == world->in_doubt[i], "%llu in doubt, not %llu",
            (unsigned long long)books[i].fates[WARD__IN_DOUBT],
            (unsigned long long)world->in_doubt[i]);
        CHECK(books[i].fates[WARD__ABANDONED] == world->abandoned[i]);
    }
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref service;
    ward_status rc = start_service(self, world, &service);

    if (rc) return rc;
    if (one_in(self, 2)) chain(self, world);
    crowd(self, world);
    ward_cancel(self, service);
    rc = ward_join(self, &service, 1, ward_in_ms(self, 30000));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 100)); /* those in quarantine come back */
    CHECK(rc == WARD_OK);
    check_books(self, world);
    return WARD_OK;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = {
        .name = "asks", .body = run, .world = &world, .world_bytes = sizeof world
    };

    return simulate(&scenario, argc, argv);
}
