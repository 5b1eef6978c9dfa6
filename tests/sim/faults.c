/* SPDX-License-Identifier: MIT */
/*
 * faults.c - simulation: a supervised service and its clients while code crashes at any call,
 * hangs, runs out of memory at any allocation, and is cancelled at any turn.
 *
 * Holds: each ask and send ends, with a status that is allowed, and in time unless the asker
 * itself was stuck; what an incarnation took it gives back, by ward_defer and .cleanup, however it
 * ended; when the faults are over all who were not cancelled are there and answer; every accepted
 * message was seen once or counted; nothing is left, which ward_close asserts.
 */
#include "base/random.h"
#include "scenario.h"

enum { WORKERS = 4, CLIENTS = 3, ASKS = 12, KEPT = 3 };

static const ward_type WORK = WARD_TYPE_TEXT("work"), PING = WARD_TYPE_EMPTY("ping");
static const char words[] = "a text that is too long to ride inside of its message";

struct world {
    ward_sim_opts plan;
    uint64_t seen[2], starts; /* of handlers and bodies */
    int64_t held, open; /* by deferred calls, by clean-up */
    uint32_t done;
};

static struct world world; /* plan() is given no other way to tell the run */

struct state {
    bool open;
    uint32_t kept_count;
    ward_msg *kept[KEPT];
    char *memory;
};

/* -- workers ----------------------------------------------------------------------------------- */

static void give_back(void *arg)
{
    (void)arg;
    world.held--;
}

static ward_status start(ward_self *self)
{
    struct state *state = ward_state(self);
    ward_status rc = ward_defer(self, give_back, NULL);

    world.starts++;
    if (rc) return rc;
    world.held++;
    state->open = true;
    world.open++;
    state->memory = ward_alloc(self, NULL, 100);
    return state->memory ? WARD_OK : WARD_ENOMEM;
}

static void cleanup(ward_self *self, ward_reason why)
{
    struct state *state = ward_state(self);

    (void)why;
    if (state && state->open) world.open--;
}

static bool is_expected(ward_status rc)
{
    switch (rc) {
    case WARD_OK:
    case WARD_ENOMEM:
    case WARD_EFULL:
    case WARD_EGONE:
    case WARD_ECLOSED:
    case WARD_ETIMEDOUT:
    case WARD_ECANCELED:
    case WARD_EABANDONED:
    case WARD_ENOREPLY:
    case WARD_EUNAVAIL:
    case WARD_EFENCED: return true;
    default: return false;
    }
}

/* Some are kept and answered later, or never. */
static ward_status keep(ward_self *self, struct state *state, const ward_msg *msg)
{
    ward_status rc = ward_keep(self, &state->kept[state->kept_count], msg);

    if (!rc) state->kept_count++;
    return rc;
}

static ward_status work(ward_self *self, const ward_msg *msg)
{
    struct state *state = ward_state(self);
    ward_status rc = WARD_OK;
    char *more;

    if (ward_is(msg, &PING)) return ward_reply(self, msg, &PING, NULL);
    if (one_in(self, 4) && state->kept_count < KEPT) return keep(self, state, msg);
    if (one_in(self, 8)) return WARD_EFAIL;
    more = ward_alloc(self, state->memory, 100 + below(self, 1000));
    if (!more) return WARD_ENOMEM;
    state->memory = more;
    while (!rc && state->kept_count) {
        ward_msg *kept = state->kept[--state->kept_count];
        rc = ward_reply(self, kept, &WORK, words);
        ward_drop(self, kept);
    }
    if (!rc) rc = ward_reply(self, msg, &WORK, ward_textf(self, "%s", words));
    CHECKF(is_expected(rc), "work: %s", ward_strerror(rc));
    return rc;
}

static ward_status handler(ward_self *self, const ward_msg *msg)
{
    world.seen[0] += is_counted(msg);
    return work(self, msg);
}

static ward_status body(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        world.seen[1] += is_counted(msg);
        rc = work(self, msg);
        if (!rc && one_in(self, 4)) rc = ward_sleep(self, ward_in_ms(self, below(self, 5)));
        if (rc == WARD_ETIMEDOUT || rc == WARD_EABANDONED) rc = WARD_OK;
    }
    return rc;
}

/* -- clients ----------------------------------------------------------------------------------- */

static ward_status call_one(ward_self *self)
{
    ward_deadline by = ward_in_ms(self, 1 + below(self, 40));
    const ward_msg *answer;
    ward_ref whom;
    char path[32];
    ward_status rc;

    snprintf(path, sizeof path, "/main/top/service/w%u", below(self, WORKERS));
    rc = ward_find(self, &whom, path, by);
    if (!rc && one_in(self, 3))
        rc = ward_send_by(self, whom, &WORK, words, by);
    else if (!rc)
        rc = ward_ask(self, &answer, whom, &WORK, words, by);
    CHECKF(is_expected(rc), "call: %s", ward_strerror(rc));
    if (!world.plan.stuck_one_in)
        CHECKF(ward_now_ns(self) <= by.ns + SIM_SLACK_NS || world.plan.change_points,
            "%lld ns late", (long long)(ward_now_ns(self) - by.ns));
    return rc == WARD_ECANCELED || rc == WARD_EFENCED ? rc : WARD_OK;
}

static ward_status client(ward_self *self)
{
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < ASKS; i++) {
        rc = call_one(self);
        if (!rc && one_in(self, 2)) rc = ward_sleep(self, ward_in_ms(self, below(self, 4)));
    }
    world.done += !rc;
    return rc;
}

/* -- the run ----------------------------------------------------------------------------------- */

static ward_status start_top(ward_self *self, ward_ref *top)
{
    static const char *const names[] = { "w0", "w1", "w2", "w3" };
    ward_spec workers[WORKERS], clients[CLIENTS], parts[2];

    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (ward_spec){ .name = names[i],
            .start = start,
            .cleanup = cleanup,
            .state_bytes = sizeof(struct state),
            .mailbox_max = KEPT + 1 + i, /* what is kept goes on filling its place */
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 1,
            .backoff_max_ms = 4,
            .stuck_ms = 40,
            .discard_on_restart = i == 3 };
        if (i % 2)
            workers[i].body = body;
        else
            workers[i].handle = handler;
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        clients[i] = (ward_spec){ .body = client,
            .restart = WARD_TRANSIENT,
            .restarts_max = WARD_UNLIMITED,
            .backoff_ms = 1,
            .backoff_max_ms = 4,
            .stuck_ms = 40 };
    parts[0] = (ward_spec){ .name = "service",
        .children = WARD_CHILDREN(workers),
        .strategy = (ward_strategy)below(self, WARD_REST_FOR_ONE + 1),
        .restarts_max = WARD_UNLIMITED,
        .zombies_max = 1000 };
    parts[1] = (ward_spec){ .name = "clients",
        .children = WARD_CHILDREN(clients),
        .restarts_max = WARD_UNLIMITED,
        .zombies_max = 1000 };
    return ward_spawn(self, top,
        &(ward_spec){ .name = "top",
            .children = WARD_CHILDREN(parts),
            .restart = WARD_TEMPORARY,
            .restarts_max = WARD_UNLIMITED,
            .zombies_max = 1000 });
}

static void all_answer(ward_self *self)
{
    for (uint32_t i = 0; i < WORKERS; i++) {
        const ward_msg *answer;
        ward_ref whom;
        char path[32];
        ward_status rc;
        snprintf(path, sizeof path, "/main/top/service/w%u", i);
        rc = ward_find(self, &whom, path, ward_in_ms(self, 1000));
        CHECKF(rc == WARD_OK, "%s is not there: %s", path, ward_strerror(rc));
        rc = ward_ask(self, &answer, whom, &PING, NULL, ward_in_ms(self, 5000));
        CHECKF(rc == WARD_OK || rc == WARD_ENOREPLY, "%s: %s", path, ward_strerror(rc));
    }
}

static ward_status run(ward_self *self)
{
    ward_ref top;
    ward_status rc = start_top(self, &top);

    CHECK(rc == WARD_OK); /* this body is spared */
    rc = ward_sleep(self, ward_in_ms(self, 20 + below(self, 100)));
    CHECK(rc == WARD_OK);
    ward_sim_faults(self, false);
    rc = ward_sleep(self, ward_in_ms(self, 1000));
    CHECK(rc == WARD_OK);
    if (!world.plan.cancel_one_in && !world.plan.cancel_at) all_answer(self);
    ward_cancel(self, top);
    rc = ward_join(self, &top, 1, ward_in_ms(self, 60000));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 1000));
    CHECKF(rc == WARD_OK, "%s", ward_strerror(rc));
    for (int i = 0; i < 2; i++) {
        struct books books = books_of(self, i ? NULL : handler, i ? body : NULL);
        CHECKF(seen_by_books(&books) == world.seen[i], "%s: %llu by the books, %llu seen",
            i ? "bodies" : "handlers", (unsigned long long)seen_by_books(&books),
            (unsigned long long)world.seen[i]);
    }
    return WARD_OK;
}

/* One kind of fault for each seed, or all of them; and every second in an order of priorities. */
static void plan(ward_sim_opts *opts, uint64_t seed)
{
    uint64_t chance = seed;
    uint32_t kind = (uint32_t)(ward__random(&chance) % 8);

    if (kind == 0 || kind == 7) opts->crash_one_in = 10 + ward__random_below(&chance, 200);
    if (kind == 1) opts->crash_at = 1 + ward__random_below(&chance, 300);
    if (kind == 2 || kind == 7) opts->memory_one_in = 5 + ward__random_below(&chance, 100);
    if (kind == 3) opts->memory_at = 1 + ward__random_below(&chance, 200);
    if (kind == 4 || kind == 7) opts->stuck_one_in = 20 + ward__random_below(&chance, 200);
    if (kind == 5 || kind == 7) opts->cancel_one_in = 100 + ward__random_below(&chance, 200);
    if (kind == 6) opts->cancel_at = 1 + ward__random_below(&chance, 400);
    opts->stuck_ms = seed % 3 ? 100 : 0;
    opts->change_points = seed % 2 ? 1 + ward__random_below(&chance, 4) : 0;
    opts->change_steps = 300;
    world.plan = *opts;
}

static uint64_t starts, asks_done;

static void after(void *arg)
{
    (void)arg;
    CHECKF(world.held == 0, "%lld deferred calls have not run", (long long)world.held);
    CHECKF(world.open == 0, "%lld incarnations were not cleaned up", (long long)world.open);
    starts += world.starts;
    asks_done += world.done;
}

int main(int argc, char **argv)
{
    static const struct scenario scenario = { .name = "faults",
        .body = run,
        .world = &world,
        .world_bytes = sizeof world,
        .after = after,
        .plan = plan };
    int rc = simulate(&scenario, argc, argv);

    printf("faults: %llu starts, %llu clients done\n", (unsigned long long)starts,
        (unsigned long long)asks_done);
    return rc;
}
