/* SPDX-License-Identifier: MIT */
/*
 * links.c - simulation: two or three nodes, whose links are slow, cut at random moments, or silent
 * in one direction.
 *
 * Holds: an ask over a link ends once, with a status that is allowed, by its deadline, and at once
 * with the session it was asked on; what one actor sends another arrives in order, once, and with
 * a gap only where a session was lost, so nothing crosses from one session to the next; without a
 * loss all of it arrives; each monitor fires exactly once, and when its session is lost; a link
 * that is silent in one direction is found by heartbeats; when the faults are over everybody finds
 * everybody; the books balance; and the same seed is the same run.
 */
#include <ward/net.h>

#include "base/random.h"
#include "scenario.h"

enum { NODES_MAX = 3, TELLS = 20, ASKS = 12, BEAT_MS = 40, DEAD_MS = 160, REPLAY_ONE_IN = 8 };

struct item {
    uint32_t from;
    uint64_t seq;
};
static const ward_field item_fields[] = { WARD_FIELD(struct item, UINT, from),
    WARD_FIELD(struct item, UINT, seq) };
static const ward_type ITEM = WARD_TYPE("item", struct item, item_fields);
static const ward_type ASK = WARD_TYPE("ask", struct item, item_fields);
static const ward_type *const types[] = { &ITEM, &ASK };
static const ward_table table = { .types = types, .types_count = WARD_COUNT(types) };

/* What a node knows of its link to another. */
struct peer {
    bool up;
    char url[32]; /* of the session */
    uint32_t downs, gaps; /* sessions lost; jumps in what came */
    int64_t down_ns;
    uint64_t sent, got; /* items: accepted by the link, and the last that came */
    uint64_t received;
    uint32_t monitored, told, watched; /* watched: sessions lost before the last one */
};

struct site {
    struct world *world;
    ward_node *node;
    uint32_t index;
    struct peer peers[NODES_MAX];
    uint64_t seen; /* mail of "echo" */
    bool closing;
};

static struct world {
    uint32_t count, busy;
    uint64_t ends[32], asks, losses, downs, silences; /* ends: of asks, by status */
    struct site sites[NODES_MAX];
} world;

/* -- what is there ----------------------------------------------------------------------------- */

static void on_event(void *hook, const ward_event *event)
{
    struct site *site = hook;
    struct peer *peer;

    if (getenv("TRACE")) {
        char text[256];
        ward_event_text(event, text, sizeof text);
        fprintf(stderr, "%lld event n%u %s\n", (long long)event->at_ns / 1000, site->index, text);
    }
    if (event->kind != WARD_EV_LINK_UP && event->kind != WARD_EV_LINK_DOWN) return;
    if (!event->path[0]) return; /* a connection that never said who it was */
    peer = &site->peers[event->path[1] - '0'];
    if (event->kind == WARD_EV_LINK_UP) {
        CHECKF(!peer->up, "n%u: two sessions with %s", site->index, event->path);
        peer->up = true;
        snprintf(peer->url, sizeof peer->url, "%s", event->what);
    } else if (peer->up && strcmp(peer->url, event->what) == 0) { /* or it was one too many */
        peer->up = false;
        peer->down_ns = event->at_ns;
        if (site->closing) return;
        peer->downs++;
        world.losses++;
    }
}

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    struct site *site = ward_arg(self);
    const struct item *item = ward_value(msg, &ITEM);

    site->seen += is_counted(msg);
    if (!item) return ward_reply(self, msg, &ASK, ward_value(msg, &ASK));
    struct peer *peer = &site->peers[item->from];
    CHECKF(item->seq > peer->got, "n%u: %llu of n%u after %llu", site->index,
        (unsigned long long)item->seq, item->from, (unsigned long long)peer->got);
    peer->gaps += item->seq > peer->got + 1;
    CHECKF(peer->gaps <= peer->downs, "n%u: %llu of n%u after %llu: gap %u, %u sessions lost",
        site->index, (unsigned long long)item->seq, item->from, (unsigned long long)peer->got,
        peer->gaps, peer->downs);
    peer->got = item->seq;
    peer->received++;
    return WARD_OK;
}

/* -- clients: one of each kind for each peer --------------------------------------------------- */

struct pair {
    struct site *site;
    uint32_t to;
};

static ward_status find_echo(ward_self *self, const struct pair *pair, ward_ref *out, int ms)
{
    char path[32];

    snprintf(path, sizeof path, "n%u:/echo", pair->to);
    return ward_find(self, out, path, ward_in_ms(self, ms));
}

static ward_status tells(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    struct peer *peer = &pair->site->peers[pair->to];
    ward_ref to = { 0 };
    ward_status rc = WARD_OK;

    for (uint64_t i = 1; i <= TELLS; i++) {
        struct item item = { pair->site->index, peer->sent + 1 };
        if (!to.node) rc = find_echo(self, pair, &to, 30000);
        if (rc) return rc;
        rc = ward_send(self, to, &ITEM, &item);
        CHECKF(rc == WARD_OK || rc == WARD_ELINK, "send: %s", ward_strerror(rc));
        peer->sent += !rc;
        rc = ward_sleep(self, ward_in_ms(self, one_in(self, 3) ? below(self, 60) : 0));
        if (rc) return rc;
    }
    return WARD_OK;
}

static void check_ask(
    ward_self *self, const struct pair *pair, ward_status rc, int64_t began, ward_deadline by)
{
    const struct peer *peer = &pair->site->peers[pair->to];
    int64_t now = ward_now_ns(self), latest = by.ns;

    if (peer->down_ns > began && peer->down_ns < latest) latest = peer->down_ns;
    CHECKF(now <= latest + SIM_SLACK_NS, "ask: %s, %lld ns late", ward_strerror(rc),
        (long long)(now - latest));
    CHECKF(rc == WARD_OK || rc == WARD_ETIMEDOUT || rc == WARD_ELINK, "ask: %s", ward_strerror(rc));
    world.ends[-rc]++;
}

static ward_status asks(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    ward_ref to = { 0 };
    ward_status rc = WARD_OK;

    for (uint64_t i = 1; !rc && i <= ASKS; i++) {
        struct item item = { pair->site->index, i };
        ward_deadline by = ward_in_ms(self, 1 + below(self, 400));
        int64_t began = ward_now_ns(self);
        const ward_msg *answer;
        if (!to.node) rc = find_echo(self, pair, &to, 30000);
        if (rc) return rc;
        began = ward_now_ns(self);
        by = ward_in_ms(self, 1 + below(self, 400));
        rc = ward_ask(self, &answer, to, &ASK, &item, by);
        check_ask(self, pair, rc, began, by);
        if (!rc) CHECK(((const struct item *)ward_value(answer, &ASK))->seq == i);
        world.asks++;
        rc = ward_sleep(self, ward_in_ms(self, below(self, 40)));
    }
    return rc;
}

/* Monitors again and again, until it is cancelled. */
static ward_status watches(ward_self *self)
{
    struct pair *pair = ward_arg(self);
    struct peer *peer = &pair->site->peers[pair->to];
    const ward_msg *msg;
    ward_ref to;
    ward_status rc = find_echo(self, pair, &to, 30000);

    while (!rc) {
        uint32_t downs = peer->downs;
        rc = ward_monitor(self, to);
        if (rc == WARD_ELINK) {
            rc = ward_sleep(self, ward_in_ms(self, 5));
            continue;
        }
        CHECKF(rc == WARD_OK, "monitor: %s", ward_strerror(rc));
        peer->monitored++;
        peer->watched = peer->downs;
        rc = ward_receive(self, &msg, WARD_FOREVER);
        if (rc) break;
        CHECK(ward_down_of(msg)->reason == WARD_BY_LINK && !ward_down_of(msg)->final);
        CHECKF(peer->downs > downs, "a DOWN, and the link was not lost");
        CHECK(ward_now_ns(self) <= peer->down_ns + SIM_SLACK_NS);
        peer->told++;
        world.downs++;
    }
    return rc;
}

/* -- what happens to links --------------------------------------------------------------------- */

static ward_status chaos(ward_self *self, uint64_t kind)
{
    struct site *a = &world.sites[below(self, world.count)], *b;
    ward_status rc = ward_sleep(self, ward_in_ms(self, below(self, 200)));

    do
        b = &world.sites[below(self, world.count)];
    while (a == b);
    if (rc) return rc;
    if (kind == 0 || !one_in(self, 3)) return ward_sim_link(a->node, b->node, WARD_SIM_CUT);
    bool up = b->peers[a->index].up;
    uint32_t downs = b->peers[a->index].downs, ms = below(self, 2) ? 3 * DEAD_MS : below(self, 200);
    rc = ward_sim_link(a->node, b->node, WARD_SIM_SILENT);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, ms));
    if (up && ms > 2 * DEAD_MS) {
        world.silences++;
        CHECKF(b->peers[a->index].downs > downs, "n%u has not noticed that n%u is silent", b->index,
            a->index);
    }
    return rc ? rc : ward_sim_link(a->node, b->node, WARD_SIM_MENDED);
}

static uint64_t kind_of(uint64_t seed)
{
    return seed % 6;
}

/* -- a node ------------------------------------------------------------------------------------ */

static ward_status open_links(ward_self *self, const struct site *site)
{
    ward_link_opts opts = { .heartbeat_ms = BEAT_MS, .dead_ms = DEAD_MS };
    ward_node *node = ward_node_of(self);
    char url[32];
    ward_status rc;

    snprintf(url, sizeof url, "ipc:///sim/%u", site->index);
    rc = ward_listen(node, url, &opts);
    for (uint32_t i = 0; !rc && i < world.count; i++) {
        /* Sometimes both dial. */
        if (i == site->index || (i > site->index && !one_in(self, 3))) continue;
        snprintf(url, sizeof url, "ipc:///sim/%u", i);
        rc = ward_connect(node, url, &opts);
    }
    return rc;
}

static ward_status start(
    ward_self *self, struct site *site, struct pair *pairs, ward_ref *works, ward_ref *watchers)
{
    ward_ref at;
    ward_status rc = ward_spawn(ward_outside(ward_node_of(self)), &at,
        &(ward_spec){ .name = "echo", .handle = echo, .arg = site }); /* until the close */
    uint32_t n = 0;

    if (!rc) rc = open_links(self, site);
    for (uint32_t i = 0; !rc && i < world.count; i++) {
        if (i == site->index) continue;
        pairs[i] = (struct pair){ site, i };
        rc = ward_spawn(self, &works[2 * n], &(ward_spec){ .body = tells, .arg = &pairs[i] });
        if (!rc)
            rc =
                ward_spawn(self, &works[2 * n + 1], &(ward_spec){ .body = asks, .arg = &pairs[i] });
        if (!rc)
            rc = ward_spawn(self, &watchers[n], &(ward_spec){ .body = watches, .arg = &pairs[i] });
        n++;
    }
    return rc;
}

static ward_status all_there(ward_self *self, const struct pair *pairs, uint32_t me)
{
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < world.count; i++) {
        struct item item = { me, 0 };
        const ward_msg *answer;
        ward_ref to;
        if (i == me) continue;
        rc = find_echo(self, &pairs[i], &to, 20000);
        if (!rc) rc = ward_ask(self, &answer, to, &ASK, &item, ward_in_ms(self, 1000));
        CHECKF(rc == WARD_OK, "n%u to n%u at the end: %s", me, i, ward_strerror(rc));
    }
    return rc;
}

static ward_status node_body(ward_self *self)
{
    static struct pair pairs[NODES_MAX][NODES_MAX];
    struct site *site = ward_arg(self);
    ward_ref works[2 * NODES_MAX], watchers[NODES_MAX];
    uint64_t kind = kind_of(running.seed);
    ward_status rc = start(self, site, pairs[site->index], works, watchers);

    CHECKF(rc == WARD_OK, "%s", ward_strerror(rc));
    for (uint32_t i = below(self, 6); site->index == 0 && kind >= 3 && !rc && i > 0; i--)
        rc = chaos(self, kind - 3);
    if (!rc) rc = ward_join(self, works, 2 * (world.count - 1), ward_in_ms(self, 60000));
    CHECKF(rc == WARD_OK, "%s", ward_strerror(rc));
    ward_sim_faults(self, false);
    world.busy--;
    while (!rc && world.busy)
        rc = ward_sleep(self, ward_in_ms(self, 10));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 1500)); /* the silence of a fault is over */
    if (!rc) rc = all_there(self, pairs[site->index], site->index);
    site->closing = true;
    return rc;
}

/* -- the run ----------------------------------------------------------------------------------- */

static void plan(ward_sim_opts *opts, uint64_t seed)
{
    uint64_t kind = kind_of(seed), chance = seed;

    opts->link_delay_us = ward__random_below(&chance, 2) ? 0 : 5000;
    if (kind == 1 || kind == 5) opts->cut_one_in = 10 + ward__random_below(&chance, 100);
    if (kind == 2 || kind == 5) opts->silent_one_in = 20 + ward__random_below(&chance, 200);
    opts->silent_ms = 1000;
    opts->change_points = 0;
}

static void check_end(void)
{
    for (uint32_t i = 0; i < world.count; i++)
        for (uint32_t k = 0; k < world.count; k++) {
            const struct peer *from = &world.sites[i].peers[k], *to = &world.sites[k].peers[i];
            if (i == k) continue;
            CHECK(to->received <= from->sent);
            CHECKF(to->received == from->sent || to->downs > 0, "%llu sent, %llu received",
                (unsigned long long)from->sent, (unsigned long long)to->received);
            if (from->monitored == from->told) continue;
            CHECK(from->monitored == from->told + 1);
            CHECKF(from->watched == from->downs, "n%u was not told of the loss of n%u", i, k);
        }
}

static uint64_t one_run(uint64_t seed)
{
    static const char *const names[] = { "n0", "n1", "n2" };
    ward_sim_opts opts = { .seed = seed,
        .report = running.report,
        .report_bytes = sizeof running.report,
        .on_step = getenv("TRACE") ? print_step : NULL };
    ward_sim *sim;
    uint64_t hash;
    ward_status rc;

    memset(&world, 0, sizeof world);
    plan(&opts, seed);
    world.count = world.busy = 2 + (uint32_t)(seed / 6 % 2);
    CHECK(ward_sim_open(&sim, &opts) == WARD_OK);
    for (uint32_t i = 0; i < world.count; i++) {
        struct site *site = &world.sites[i];
        *site = (struct site){ .world = &world, .index = i };
        rc = ward_sim_node(sim, &site->node, node_body,
            &(ward_opts){ .name = names[i],
                .table = &table,
                .arg = site,
                .actors_max = 256,
                .hook = site,
                .on_event = on_event,
                .on_assert = on_assert });
        CHECK(rc == WARD_OK);
    }
    rc = ward_sim_run(sim);
    CHECKF(rc == WARD_OK, "the run ended with \"%s\"\n%s", ward_strerror(rc), running.report);
    hash = ward_sim_hash(sim);
    ward_sim_close(sim);
    check_end();
    return hash;
}

static struct {
    uint64_t ends[32], asks, losses, downs, silences;
} sums;

static void after(void *arg)
{
    uint64_t hash = one_run(running.seed);

    (void)arg;
    for (int i = 0; i < 32; i++)
        sums.ends[i] += world.ends[i];
    sums.asks += world.asks;
    sums.losses += world.losses;
    sums.downs += world.downs;
    sums.silences += world.silences;
    if (running.seed % REPLAY_ONE_IN == 0)
        CHECKF(one_run(running.seed) == hash, "the second run differs");
}

static ward_status run(ward_self *self)
{
    (void)self;
    return WARD_OK;
}

int main(int argc, char **argv)
{
    static uint64_t nothing;
    static const struct scenario scenario = { .name = "links",
        .body = run,
        .world = &nothing,
        .world_bytes = sizeof nothing,
        .after = after };
    int rc = simulate(&scenario, argc, argv);

    printf("links: %llu asks, %llu timed out, %llu lost; %llu sessions lost, %llu downs, %llu "
           "silent\n",
        (unsigned long long)sums.asks, (unsigned long long)sums.ends[-WARD_ETIMEDOUT],
        (unsigned long long)sums.ends[-WARD_ELINK], (unsigned long long)sums.losses,
        (unsigned long long)sums.downs, (unsigned long long)sums.silences);
    return rc;
}
