/* SPDX-License-Identifier: MIT */
/*
 * stuck.c - simulation: handlers and bodies hang, for longer than stuck_ms or for ever, on a
 * message, in .start or in their clean-up, while others send to them and ask them.
 *
 * Holds: whoever hangs too long is quarantined and his successor gets the mailbox, every message
 * once and in order; the question in hand and the kept ones end with ENOREPLY when that happens;
 * children of the old one have ended before the successor starts; its timers and monitors are
 * void. When the old one returns, all it does through ward is refused, its state is still its own,
 * and its clean-up runs once. A cancel, a limit of zombies and the end of the node in the middle
 * change none of this.
 */
#include "scenario.h"

enum { VICTIMS = 3, CLIENTS = 3, INCS = 512, IDS = 1024, KEPT = 2, STUCK_MS = 40 };

struct item {
    uint64_t seq;
};
struct question {
    uint64_t id;
    const char *note;
};
static const ward_field QUESTION_FIELDS[] = {
    WARD_FIELD(struct question, UINT, id),
    WARD_FIELD(struct question, TEXT, note),
};
static const ward_type ITEM = WARD_TYPE_PLAIN("item", struct item);
static const ward_type QUESTION = WARD_TYPE("question", struct question, QUESTION_FIELDS);
static const ward_type ANSWER = WARD_TYPE_PLAIN("answer", uint64_t);
static const ward_type TICK = WARD_TYPE_PLAIN("tick", uint32_t);

/* One incarnation of a victim. */
struct inc {
    uint32_t victim, number;
    bool hangs, forever, quarantined; /* hangs: too long */
    bool ended, child_alive;
    uint32_t cleaned, deferred, kept_count;
    uint64_t hand, kept[KEPT]; /* questions it has not answered */
};

struct world;
struct victim {
    struct world *world;
    uint32_t index, now; /* its incarnation in the table; 0: none yet */
    bool body, cancelled, gone; /* cancelled: is about to be; gone: was */
    ward_ref ref;
    uint64_t sent, seen;
};

struct client {
    struct world *world;
    uint32_t index;
};

struct world {
    struct client clients[CLIENTS];
    struct victim victims[VICTIMS];
    struct inc incs[INCS];
    uint32_t incs_count;
    uint64_t ids;
    int64_t due_ns[IDS]; /* when the one who had the question was quarantined */
    bool forever_ok, quiet, gave_up, over; /* gave_up: it must; over: it did */
    int64_t gave_up_ns;
    uint32_t zombies, zombies_max;
    uint64_t seen[2], refused;
    ward_ref other; /* for zombies to talk to */
    uint64_t other_seen;
};

/* -- the old one, after it returned ------------------------------------------------------------ */

static void nothing(void *arg)
{
    (void)arg;
}

#define REFUSED(call) \
    do { \
        ward_status refused = (call); \
        CHECKF(refused == WARD_EFENCED, "%s: %s", #call, ward_strerror(refused)); \
        world->refused++; \
    } while (0)

static ward_status refused_body(ward_self *self)
{
    (void)self;
    NEVER("a zombie's child");
}

static void is_refused_all(ward_self *self, struct world *world, const ward_msg *msg)
{
    ward_ref ref;
    ward_msg *kept;
    ward_blob *blob;
    ward_timer timer;
    const ward_msg *got;
    uint64_t id = 0;

    CHECK(ward_cancelled(self));
    REFUSED(ward_send(self, world->other, &ANSWER, &id));
    REFUSED(ward_spawn(self, &ref, &(ward_spec){ .body = refused_body }));
    REFUSED(ward_monitor(self, world->other));
    REFUSED(ward_defer(self, nothing, NULL));
    REFUSED(ward_checkpoint(self));
    REFUSED(ward_blob_copy(self, &blob, (ward_bytes){ "x", 1 }));
    REFUSED(ward_timer_start(self, &timer, &ANSWER, &id, ward_in_ms(self, 1)));
    REFUSED(ward_find(self, &ref, "/main", WARD_NOW));
    REFUSED(ward_sleep(self, ward_in_ms(self, 5)));
    REFUSED(ward_send_by(self, world->other, &ANSWER, &id, ward_in_ms(self, 5)));
    REFUSED(ward_ask(self, &got, world->other, &ANSWER, &id, ward_in_ms(self, 5)));
    REFUSED(ward_join(self, &world->other, 1, ward_in_ms(self, 5)));
    CHECK(ward_alloc(self, NULL, 10) == NULL && ward_textf(self, "x") == NULL);
    ward_cancel(self, world->other);
    ward_close_mail(self, world->other);
    if (!msg) return;
    REFUSED(ward_reply(self, msg, &ANSWER, &id));
    ward_refuse(self, msg, WARD_EUNAVAIL);
    if (is_counted(msg)) {
        REFUSED(ward_keep(self, &kept, msg));
        REFUSED(ward_forward(self, world->other, msg));
    }
}

static ward_status be_a_zombie(ward_self *self, struct inc *inc, const ward_msg *msg)
{
    struct victim *victim = ward_arg(self);
    const ward_msg *got;
    struct world *world = victim->world;

    CHECK(inc->quarantined && inc->hangs);
    CHECK(*(uint32_t *)ward_state(self) == inc->number); /* its state is its own */
    if (msg && ward_is(msg, &QUESTION)) /* and what was lent is still there */
        CHECK(((const struct question *)ward_value(msg, &QUESTION))->id > 0);
    is_refused_all(self, world, msg);
    if (victim->body) REFUSED(ward_receive(self, &got, WARD_FOREVER));
    if (one_in(self, 4)) CHECK(ward_sim_hang(self, below(self, 60)) == WARD_EFENCED);
    is_refused_all(self, world, msg);
    return one_in(self, 2) ? WARD_EFAIL : one_in(self, 2) ? WARD_STOP : WARD_EFENCED;
}

/* Clearly shorter than stuck_ms, or longer than it can take to be noticed. False: quarantined. */
static bool hang(ward_self *self, struct inc *inc, bool may_be_long)
{
    struct world *world = ((struct victim *)ward_arg(self))->world;
    uint32_t ms = below(self, 15);
    ward_status rc;

    if (may_be_long && one_in(self, 3)) {
        inc->hangs = true;
        ms = 75 + below(self, 150);
        inc->forever = world->forever_ok && one_in(self, 4);
    }
    rc = ward_sim_hang(self, inc->forever ? WARD_UNLIMITED : ms);
    CHECK(!inc->forever);
    CHECKF(inc->hangs || rc == WARD_OK, "%u ms is not stuck: %s", ms, ward_strerror(rc));
    CHECKF(!inc->hangs || rc == WARD_EFENCED, "%u ms is stuck: %s", ms, ward_strerror(rc));
    return rc == WARD_OK;
}

/* -- victims ----------------------------------------------------------------------------------- */

static struct inc *inc_of(ward_self *self)
{
    const struct victim *victim = ward_arg(self);
    uint32_t number = *(uint32_t *)ward_state(self);

    CHECK(number > 0 && number < INCS);
    return &victim->world->incs[number];
}

static void ended_deferred(void *arg)
{
    struct inc *inc = arg;

    CHECK(inc->cleaned == 0 && inc->deferred == 1);
    inc->deferred--;
}

/* A child says by what it defers whether it is there. */
static void child_ends(void *arg)
{
    struct inc *inc = arg;

    CHECK(inc->child_alive);
    inc->child_alive = false;
}

static ward_status child_body(ward_self *self)
{
    struct inc *inc = ward_arg(self);
    ward_status rc = ward_defer(self, child_ends, inc);

    if (rc) return rc;
    inc->child_alive = true;
    return ward_sleep(self, WARD_FOREVER);
}

static ward_status start(ward_self *self)
{
    struct victim *victim = ward_arg(self);
    struct world *world = victim->world;
    struct inc *old = &world->incs[victim->now], *inc;
    ward_timer timer;
    ward_ref ref;
    ward_status rc;

    CHECK(world->incs_count + 1 < INCS && !victim->gone);
    CHECK(!victim->now || ((old->ended || old->quarantined) && !old->child_alive));
    victim->now = ++world->incs_count;
    inc = &world->incs[victim->now];
    *inc = (struct inc){ .victim = victim->index, .number = victim->now };
    *(uint32_t *)ward_state(self) = inc->number;
    if (victim->ref.slot) CHECK(ward_same(victim->ref, ward_me(self)));
    victim->ref = ward_me(self);
    rc = ward_defer(self, ended_deferred, inc);
    if (!rc) inc->deferred++;
    if (!rc) rc = ward_spawn(self, &ref, &(ward_spec){ .body = child_body, .arg = inc });
    if (!rc && one_in(self, 2))
        rc = ward_timer_start(self, &timer, &TICK, &inc->number, ward_in_ms(self, below(self, 90)));
    if (!rc && one_in(self, 4)) rc = ward_monitor(self, world->other);
    if (!rc && one_in(self, 6) && !hang(self, inc, true)) return be_a_zombie(self, inc, NULL);
    return rc;
}

static void cleanup(ward_self *self, ward_reason why)
{
    const struct victim *victim = ward_arg(self);
    uint32_t number = *(uint32_t *)ward_state(self);
    struct inc *inc = &victim->world->incs[number];
    uint64_t id = 0;

    if (!number) return; /* cancelled before it began */
    inc->cleaned++;
    CHECK(inc->cleaned == 1 && inc->deferred == 0 && inc->victim == victim->index);
    CHECK((why == WARD_BY_STUCK) == inc->quarantined);
    CHECK(!inc->child_alive);
    if (why == WARD_BY_STUCK) {
        CHECK(ward_send(self, victim->world->other, &ANSWER, &id) == WARD_EFENCED);
    } else if (one_in(self, 8)) {
        (void)hang(self, inc, true);
    }
    inc->ended = true;
}

static ward_status answer(ward_self *self, struct inc *inc, const ward_msg *msg)
{
    const struct question *question = ward_value(msg, &QUESTION);
    ward_status rc = question ? ward_reply(self, msg, &ANSWER, &question->id) : WARD_OK;

    CHECK(rc == WARD_OK);
    if (question && inc->hand == question->id) inc->hand = 0;
    return rc;
}

static ward_status keep(ward_self *self, struct inc *inc, const ward_msg *msg)
{
    const struct question *question = ward_value(msg, &QUESTION);
    ward_msg *kept;
    ward_status rc;

    if (!question || inc->kept_count == KEPT) return answer(self, inc, msg);
    rc = ward_keep(self, &kept, msg);
    CHECK(rc == WARD_OK);
    inc->kept[inc->kept_count++] = question->id;
    inc->hand = 0;
    return rc;
}

static ward_status serve(ward_self *self, const ward_msg *msg)
{
    struct victim *victim = ward_arg(self);
    struct inc *inc = inc_of(self);
    const struct item *item = ward_value(msg, &ITEM);
    const struct question *question = ward_value(msg, &QUESTION);
    const uint32_t *tick = ward_value(msg, &TICK);

    CHECK(victim->now == inc->number && !inc->quarantined);
    if (is_counted(msg)) victim->world->seen[victim->body]++;
    if (item) {
        CHECKF(item->seq == victim->seen + 1, "%llu after %llu", (unsigned long long)item->seq,
            (unsigned long long)victim->seen);
        victim->seen = item->seq;
    }
    if (tick) CHECKF(*tick == inc->number, "a tick of incarnation %u", *tick);
    inc->hand = question ? question->id : 0;
    if (one_in(self, 8)) return keep(self, inc, msg);
    if (one_in(self, 5) && !hang(self, inc, true)) return be_a_zombie(self, inc, msg);
    if (one_in(self, 20)) return WARD_EFAIL;
    return answer(self, inc, msg);
}

static ward_status body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (!rc) rc = serve(self, msg);
        if (!rc && one_in(self, 5)) rc = ward_sleep(self, ward_in_ms(self, below(self, 6)));
        /* Inside a deadline that is the asker's: what is in hand is over then. */
        if (rc == WARD_ETIMEDOUT || rc == WARD_EABANDONED) rc = WARD_OK;
    }
    return rc;
}

/* -- clients ----------------------------------------------------------------------------------- */

static void check_ask(const ward_self *self, const struct victim *victim, uint64_t id,
    ward_status rc, ward_deadline by)
{
    int64_t now = ward_now_ns(self), due = victim->world->due_ns[id];

    if (due) {
        CHECKF(rc == WARD_ENOREPLY || (rc == WARD_ETIMEDOUT && by.ns <= due + SIM_MS),
            "its callee was quarantined: %s", ward_strerror(rc));
        CHECKF(now <= due + SIM_SLACK_NS, "%lld ns after", (long long)(now - due));
    }
    if (rc == WARD_ETIMEDOUT) CHECK(now >= by.ns);
    if (by.ns != INT64_MAX) CHECK(now <= by.ns + SIM_SLACK_NS);
    CHECKF(rc == WARD_OK || rc == WARD_ENOREPLY || rc == WARD_ETIMEDOUT ||
               ((rc == WARD_EGONE || rc == WARD_ECLOSED) &&
                   (victim->cancelled || victim->world->gave_up)),
        "ask: %s", ward_strerror(rc));
}

static ward_status ask(ward_self *self, struct victim *victim)
{
    uint64_t id = ++victim->world->ids;
    struct question question = { id, one_in(self, 2) ? "a note that lies beside its message" : "" };
    ward_deadline by = one_in(self, 2) ? WARD_FOREVER : ward_in_ms(self, 1 + below(self, 200));
    const ward_msg *got;
    ward_status rc;

    if (id >= IDS) return WARD_OK;
    rc = ward_ask(self, &got, victim->ref, &QUESTION, &question, by);
    check_ask(self, victim, id, rc, by);
    if (rc == WARD_OK) CHECK(*(const uint64_t *)ward_value(got, &ANSWER) == id);
    return WARD_OK;
}

static ward_status client(ward_self *self)
{
    const struct client *me = ward_arg(self);
    struct world *world = me->world;
    ward_status rc = WARD_OK;

    while (!rc && !world->quiet) {
        struct victim *victim = &world->victims[below(self, VICTIMS)];
        struct item item = { victim->sent + 1 };
        if (!victim->ref.slot) {
            rc = ward_sleep(self, ward_in_ms(self, 5)); /* it has not started yet */
        } else if (one_in(self, 3)) {
            rc = ask(self, victim);
        } else {
            /* Only one of them may be between the number and the send. */
            ward_status sent = WARD_EFULL;
            if (me->index == victim->index) sent = ward_send(self, victim->ref, &ITEM, &item);
            if (sent == WARD_OK) victim->sent++;
            CHECK(sent == WARD_OK || sent == WARD_EFULL || victim->cancelled || world->gave_up);
        }
        if (!rc) rc = ward_sleep(self, ward_in_ms(self, 1 + below(self, 12)));
    }
    return rc;
}

/* -- the run ----------------------------------------------------------------------------------- */

static ward_status other(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    NEVER("a message of a zombie");
}

static ward_status grow(ward_self *self, struct world *world, ward_ref *sup)
{
    ward_spec specs[VICTIMS];
    static const char *const names[] = { "v0", "v1", "v2" };

    for (uint32_t i = 0; i < VICTIMS; i++) {
        struct victim *victim = &world->victims[i];
        victim->world = world;
        victim->index = i;
        victim->body = one_in(self, 2);
        specs[i] = (ward_spec){ .name = names[i],
            .arg = victim,
            .start = start,
            .cleanup = cleanup,
            .state_bytes = sizeof(uint32_t),
            .mailbox_max = KEPT + 1 + i,
            .stuck_ms = STUCK_MS,
            .stop_ms = 30,
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 1,
            .backoff_max_ms = 10 };
        if (victim->body)
            specs[i].body = body;
        else
            specs[i].handle = serve;
    }
    return ward_spawn(self, sup,
        &(ward_spec){ .name = "sup",
            .children = WARD_CHILDREN(specs),
            .restart = WARD_TEMPORARY,
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = world->zombies_max });
}

static void check_end(ward_self *self, const struct world *world)
{
    struct books handlers = books_of(self, serve, NULL), bodies = books_of(self, NULL, body);
    uint64_t reaped = 0, zombies = 0;

    for (uint32_t i = 1; i <= world->incs_count; i++) {
        const struct inc *inc = &world->incs[i];
        reaped += inc->quarantined;
        zombies += inc->forever;
        CHECKF(inc->forever || (inc->ended && inc->cleaned == 1), "incarnation %u", i);
        CHECK(!inc->child_alive);
        CHECK(inc->hangs == inc->quarantined);
    }
    CHECK(seen_by_books(&handlers) == world->seen[0] && seen_by_books(&bodies) == world->seen[1]);
    CHECK(handlers.reaped + bodies.reaped == reaped);
    CHECK(ward_node_of(self)->zombies == zombies);
}

static ward_status run(ward_self *self)
{
    struct world *world = ward_arg(self);
    ward_ref sup, clients[CLIENTS];
    ward_status rc = ward_spawn(self, &world->other, &(ward_spec){ .handle = other });

    world->forever_ok = one_in(self, 2);
    world->zombies_max = one_in(self, 3) ? 1 + below(self, 2) : 30;
    if (!rc) rc = grow(self, world, &sup);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 10));
    for (uint32_t i = 0; !rc && i < CLIENTS; i++) {
        world->clients[i] = (struct client){ world, i };
        rc = ward_spawn(
            self, &clients[i], &(ward_spec){ .body = client, .arg = &world->clients[i] });
    }
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 50 + below(self, 600)));
    if (!rc && one_in(self, 2)) {
        struct victim *victim = &world->victims[below(self, VICTIMS)];
        victim->cancelled = victim->ref.slot;
        if (victim->cancelled) ward_cancel(self, victim->ref);
        victim->gone = victim->cancelled;
        rc = ward_sleep(self, ward_in_ms(self, below(self, 100)));
    }
    CHECK(rc == WARD_OK);
    world->quiet = true;
    rc = ward_sleep(self, ward_in_ms(self, 100));
    if (world->gave_up && ward_now_ns(self) > world->gave_up_ns + (VICTIMS * 30 + 40) * SIM_MS)
        CHECK(world->over);
    for (uint32_t i = 0; i < VICTIMS; i++)
        world->victims[i].cancelled = true;
    ward_cancel(self, sup);
    rc = ward_join(self, &sup, 1, ward_in_ms(self, VICTIMS * 30 + 40));
    CHECKF(rc == WARD_OK, "the supervisor: %s", ward_strerror(rc));
    rc = ward_join(self, clients, CLIENTS, ward_in_ms(self, 300));
    CHECKF(rc == WARD_OK, "the clients: %s", ward_strerror(rc));
    rc = ward_sleep(self, ward_in_ms(self, 500)); /* those in quarantine come back */
    check_end(self, world);
    return rc;
}

/* Comes at the very time of the quarantine, before anything else runs. */
static void on_event(void *arg, const ward_event *event)
{
    struct world *world = arg;
    struct inc *inc;
    unsigned index;

    if (event->kind == WARD_EV_LIMIT) {
        CHECK(world->gave_up);
        world->over = true;
    }
    if (event->kind == WARD_EV_RETURNED) world->zombies--;
    if (event->kind != WARD_EV_STUCK) return;
    CHECKF(sscanf(event->path, "/main/sup/v%u", &index) == 1 && index < VICTIMS, "%s is stuck",
        event->path);
    inc = &world->incs[world->victims[index].now];
    CHECK(inc->hangs && !inc->quarantined);
    inc->quarantined = true;
    if (++world->zombies > world->zombies_max && !world->gave_up) {
        world->gave_up = true;
        world->gave_up_ns = event->at_ns;
    }
    if (inc->hand) world->due_ns[inc->hand] = event->at_ns;
    for (uint32_t i = 0; i < inc->kept_count; i++)
        world->due_ns[inc->kept[i]] = event->at_ns;
}

static bool abandons(const void *arg)
{
    const struct world *world = arg;

    for (uint32_t i = 1; i <= world->incs_count; i++)
        if (world->incs[i].forever) return true;
    return false;
}

int main(int argc, char **argv)
{
    static struct world world;
    static const struct scenario scenario = { .name = "stuck",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .on_event = on_event,
        .abandons = abandons };

    return simulate(&scenario, argc, argv);
}
