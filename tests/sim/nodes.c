/* SPDX-License-Identifier: MIT */
/*
 * nodes.c - simulation: several nodes share one clock and one seed.
 *
 * Holds: what actors of three nodes do, as each sees it on its own clock, is one row in which time
 * never goes back, and the same seed is the same row; no node is served before another in all
 * seeds; each body is over before any node is closed, and the first status that is not OK is what
 * the run says; who waits for whom is told when nothing can ever happen again, with the place in
 * the code; what is not allowed says so and changes nothing.
 */
#include "scenario.h"

enum { NODES = 3, ROUNDS = 20, ROW = 512 };

struct world {
    ward_node *nodes[NODES];
    ward_ref refs[NODES];
    int64_t at_ns[ROW];
    uint32_t who[ROW], count, ended, closed_at;
};

struct place {
    struct world *world;
    uint32_t index;
};

static const ward_type HELLO = WARD_TYPE_PLAIN("hello", uint32_t);

static void note(const ward_self *self, const struct place *place)
{
    struct world *world = place->world;

    CHECK(ward_node_of(self) == world->nodes[place->index]);
    if (world->count == ROW) return;
    world->at_ns[world->count] = ward_now_ns(self);
    world->who[world->count++] = place->index;
}

static ward_status greeted(ward_self *self, const ward_msg *msg)
{
    CHECK(ward_is(msg, &HELLO));
    note(self, ward_arg(self));
    return WARD_OK;
}

/* Greets the others, as a thread of the host would. */
static ward_status greets(ward_self *self)
{
    struct place *place = ward_arg(self);
    struct world *world = place->world;
    ward_status rc = ward_spawn(ward_outside(ward_node_of(self)), &world->refs[place->index],
        &(ward_spec){ .handle = greeted, .arg = place }); /* outlives this body */

    for (uint32_t i = 0; !rc && i < ROUNDS; i++) {
        uint32_t to = below(self, NODES);
        rc = ward_sleep(self, ward_in_ms(self, 1 + below(self, 10)));
        if (!rc && world->refs[to].node)
            rc = ward_send(ward_outside(world->nodes[to]), world->refs[to], &HELLO, &i);
        note(self, place);
    }
    world->ended++;
    return rc;
}

static uint64_t run_nodes(uint64_t seed, struct world *world)
{
    static struct place places[NODES];
    ward_sim *sim;
    uint64_t hash;

    memset(world, 0, sizeof *world);
    CHECK(ward_sim_open(&sim, &(ward_sim_opts){ .seed = seed }) == WARD_OK);
    for (uint32_t i = 0; i < NODES; i++) {
        places[i] = (struct place){ world, i };
        CHECK(ward_sim_node(sim, &world->nodes[i], greets,
                  &(ward_opts){ .arg = &places[i], .actors_max = 256, .on_assert = on_assert }) ==
              WARD_OK);
    }
    CHECK(ward_close(world->nodes[0], NULL, WARD_NOW) == WARD_ESTATE);
    CHECK(ward_sim_run(sim) == WARD_OK);
    CHECK(ward_sim_run(sim) == WARD_ESTATE);
    CHECK(ward_sim_node(sim, NULL, greets, NULL) == WARD_ESTATE);
    CHECK(world->ended == NODES);
    for (uint32_t i = 1; i < world->count; i++)
        CHECK(world->at_ns[i] >= world->at_ns[i - 1]);
    hash = ward_sim_hash(sim);
    ward_sim_close(sim);
    return hash;
}

/* -- how a run ends ---------------------------------------------------------------------------- */

static const ward_type ASK = WARD_TYPE_EMPTY("ask");
static const char *asks_at;

static ward_status asks_next(ward_self *self)
{
    ward_ref *next = ward_arg(self);
    const ward_msg *msg, *answer;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    asks_at = WARD_AT;
    return rc ? rc : ward_ask_at(self, &answer, *next, &ASK, NULL, WARD_FOREVER, asks_at);
}

/* Keeps the question, and waits for more. */
static ward_status hoards(ward_self *self)
{
    const ward_msg *msg;
    ward_msg *kept;
    ward_status rc;

    while ((rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK)
        if (ward_keep(self, &kept, msg)) return WARD_EFAIL;
    return rc;
}

/* "a" asks "b", which never answers; main joins "a". */
static ward_status joins_who_waits(ward_self *self)
{
    static ward_ref a, b;
    ward_status rc;

    rc = ward_spawn(self, &b, &(ward_spec){ .name = "b", .body = hoards });
    if (!rc) rc = ward_spawn(self, &a, &(ward_spec){ .name = "a", .body = asks_next, .arg = &b });
    if (!rc) rc = ward_send(self, a, &ASK, NULL);
    return rc ? rc : ward_join(self, &a, 1, WARD_FOREVER);
}

static ward_status ends_well(ward_self *self)
{
    return ward_sleep(self, ward_in_ms(self, 5));
}

static ward_status ends_badly(ward_self *self)
{
    ward_status rc = ward_sleep(self, ward_in_ms(self, 1));

    return rc ? rc : WARD_EUNAVAIL;
}

static ward_status two(uint64_t seed, ward_body *first, ward_body *second, char report[1024])
{
    ward_sim_opts opts = { .seed = seed, .report = report, .report_bytes = 1024 };
    ward_sim *sim;
    ward_status rc;

    CHECK(ward_sim_open(&sim, &opts) == WARD_OK);
    CHECK(ward_sim_node(sim, NULL, first, &(ward_opts){ .name = "one", .actors_max = 256 }) ==
          WARD_OK);
    CHECK(ward_sim_node(sim, NULL, second, &(ward_opts){ .name = "two", .actors_max = 256 }) ==
          WARD_OK);
    rc = ward_sim_run(sim);
    ward_sim_close(sim);
    return rc;
}

static void has(const char *report, const char *format, ...)
{
    char line[256];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    CHECKF(strstr(report, line), "\"%s\" is not in:\n%s", line, report);
}

static void endings(uint64_t seed)
{
    char report[1024];

    CHECK(two(seed, ends_well, ends_well, report) == WARD_OK);
    CHECK(report[0] == '\0');
    CHECK(two(seed, ends_well, ends_badly, report) == WARD_EUNAVAIL);
    has(report, "seed %llu, at ", (unsigned long long)seed);
    has(report, ward_strerror(WARD_EUNAVAIL));
    CHECK(two(seed, ends_well, joins_who_waits, report) == WARD_EDEADLK);
    has(report, "at %s, for two:/main/b\n", asks_at);
    has(report, "two:/main waits in join");
    has(report, ", for two:/main/a\n");
}

/* -- the run ----------------------------------------------------------------------------------- */

static uint32_t first_one[NODES]; /* how often each was the first */

static ward_status run(ward_self *self)
{
    ward_sim *sim;

    /* Inside of a simulation one may make another, but not close the own node. */
    CHECK(ward_close(ward_node_of(self), NULL, WARD_NOW) == WARD_ESTATE);
    CHECK(ward_sim_open(&sim, NULL) == WARD_OK);
    ward_sim_close(sim);
    return WARD_OK;
}

static void after(void *arg)
{
    static struct world first, second;
    uint64_t seed = running.seed, hash = run_nodes(seed, &first);

    (void)arg;
    CHECKF(run_nodes(seed, &second) == hash, "the second run differs");
    CHECK(
        second.count == first.count && memcmp(second.at_ns, first.at_ns, sizeof first.at_ns) == 0);
    CHECK(run_nodes(seed + 1000000, &second) != hash);
    first_one[first.who[0]]++;
    if (seed % 4 == 0) endings(seed);
}

int main(int argc, char **argv)
{
    static uint64_t world;
    static const struct scenario scenario = {
        .name = "nodes", .body = run, .world = &world, .world_bytes = sizeof world, .after = after
    };
    int rc = simulate(&scenario, argc, argv);

    for (int i = 0; i < NODES && number_of(getenv("SEEDS"), SEEDS) >= 100; i++)
        CHECK(first_one[i] > 0);
    return rc;
}
