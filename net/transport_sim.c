/* SPDX-License-Identifier: MIT */
/*
 * transport_sim.c - links between the nodes of one simulation: bytes in memory that take a time
 * the seed chooses, arrive in pieces, stay out while a direction is silent, and are lost when a
 * connection is cut. What is above, from link.c on, is what runs over nng.
 *
 * A connection has two ends, one for each node; what was sent to an end waits there until it is
 * due, and at most WINDOW bytes. Each io, end and door has one event in the simulation's queue, so
 * callbacks run in its loop and nowhere else. Memory is the simulator's own: no heap of a node
 * counts it, but making an io or a door fails when the plan says so. On the simulation's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "actors/node.h"
#include "actors/sim.h"
#include "base/assert.h"
#include "net/transport.h"

enum { WINDOW = 256 * 1024, SENT_US = 20, PIECES_ONE_IN = 4 };

struct links;

struct ward__io {
    struct ward__sim_event event; /* its end, or its deadline */
    struct links *links;
    void (*done)(void *arg);
    void *arg;
    struct ward__io **waits_at; /* NULL: nowhere, or it has ended and is to be told */
    bool busy, inside, dead;
    /* What it does. */
    void *data;
    size_t room;
    /* The outcome. */
    ward_status rc;
    size_t bytes;
    struct ward__stream *stream;
};

struct piece {
    struct piece *next;
    int64_t at_ns;
    size_t bytes, taken;
    unsigned char data[];
};

/* One end. */
struct ward__stream {
    struct ward__sim_event event; /* something arrives */
    struct connection *connection;
    struct ward__stream *peer;
    ward_node *node;
    struct ward__io *reader, *writer; /* that wait */
    struct piece *first, **last; /* on their way to this end */
    size_t queued;
    int64_t silent_ns; /* until then nothing arrives */
    int64_t over_ns; /* the peer's close arrives; INT64_MAX: it has not closed */
    bool closed, freed;
};

struct connection {
    struct links *links;
    struct ward__stream ends[2];
    bool cut;
    struct connection *next;
};

/* An end that waits to be accepted. */
struct guest {
    struct guest *next;
    struct ward__stream *end;
    int64_t at_ns;
};

struct ward__door {
    struct ward__sim_event event; /* a guest comes */
    struct links *links;
    ward_node *node;
    struct ward__io *waiting; /* to accept, or dialling */
    struct guest *guests; /* in the order in which they come */
    struct ward__door *next;
    bool listens, closed;
    char url[];
};

/* A direction that is silent. */
struct mute {
    struct mute *next;
    const ward_node *from, *to;
};

/* Of one simulation. */
struct links {
    ward_sim *sim;
    struct ward__door *doors;
    struct connection *connections;
    struct mute *mutes;
};

static void *own_memory(size_t bytes)
{
    void *at = calloc(1, bytes);

    ward__assert(at);
    return at;
}

static void links_free(void *arg)
{
    struct links *links = arg;

    ward__assert(!links->doors && !links->connections);
    while (links->mutes) {
        struct mute *mute = links->mutes;
        links->mutes = mute->next;
        free(mute);
    }
    free(links);
}

static struct links *links_of(ward_sim *sim)
{
    struct links *links = sim->links;

    if (links) return links;
    links = own_memory(sizeof *links);
    links->sim = sim;
    sim->links = links;
    sim->links_free = links_free;
    return links;
}

/* Some microseconds from now, chosen by the seed. */
static int64_t soon(ward_sim *sim, uint32_t us)
{
    return sim->now_ns + (int64_t)ward__random_below(&sim->random, us * 1000 + 1);
}

static bool chosen(ward_sim *sim, uint32_t one_in)
{
    bool hit = sim->faulty && one_in && ward__random_below(&sim->random, one_in) == 0;

    sim->faults += hit;
    return hit;
}

static bool is_muted(const struct links *links, const ward_node *from, const ward_node *to)
{
    const struct mute *mute = links->mutes;

    while (mute && !(mute->from == from && mute->to == to))
        mute = mute->next;
    return mute != NULL;
}

static void note(const struct links *links, const ward_node *node, const char *what, size_t number)
{
    ward__sim_note(links->sim, node->sim, NULL, what, (int64_t)number);
}

/* -- operations -------------------------------------------------------------------------------- */

static void end_unheard(struct ward__stream *end);

static void io_fire(struct ward__sim_event *event)
{
    struct ward__io *io = (struct ward__io *)event;

    if (io->waits_at) *io->waits_at = NULL;
    io->waits_at = NULL;
    io->busy = false;
    io->inside = true;
    io->done(io->arg);
    io->inside = false;
    if (io->dead) free(io);
}

static ward_status io_new(
    ward_node *node, struct ward__io **out, void (*done)(void *arg), void *arg)
{
    ward_sim *sim = node->sim->sim;
    struct ward__io *io;

    if (ward__sim_fault(sim, sim->opts.memory_one_in, sim->opts.memory_at, &sim->allocations))
        return WARD_ENOMEM;
    io = own_memory(sizeof *io);
    io->event.fire = io_fire;
    io->links = links_of(sim);
    io->done = done;
    io->arg = arg;
    *out = io;
    return WARD_OK;
}

static void io_free(struct ward__io *io)
{
    ward__assert(!io->busy);
    io->dead = true;
    if (!io->inside) free(io);
}

/* It waits for what only time or others can bring. ms as in nng: much is for ever. */
static void wait_at(struct ward__io *io, struct ward__io **place, ward_status late, uint64_t ms)
{
    ward_sim *sim = io->links->sim;

    io->busy = true;
    io->rc = late;
    io->bytes = 0;
    io->stream = NULL;
    io->waits_at = place;
    if (place) *place = io;
    if (ms >= INT32_MAX) return;
    ward__sim_at(sim, &io->event, sim->now_ns + (int64_t)(ms ? ms : 1) * WARD__NS_MS);
}

/* Its outcome is known, and told at that time. */
static void end_at(struct ward__io *io, ward_status rc, size_t bytes, int64_t at_ns)
{
    if (io->waits_at) *io->waits_at = NULL;
    io->waits_at = NULL;
    io->busy = true;
    io->rc = rc;
    io->bytes = bytes;
    if (rc && io->stream) end_unheard(io->stream);
    if (rc) io->stream = NULL;
    ward__sim_at(io->links->sim, &io->event, at_ns);
}

static void end_now(struct ward__io *io, ward_status rc)
{
    end_at(io, rc, 0, io->links->sim->now_ns);
}

static void io_cancel(struct ward__io *io)
{
    if (io->busy) end_now(io, WARD_ELINK);
}

static ward_status io_end(struct ward__io *io, size_t *bytes, struct ward__stream **stream)
{
    if (bytes) *bytes = io->bytes;
    if (stream) *stream = io->stream;
    io->stream = NULL;
    return io->rc;
}

static void sleep_for(struct ward__io *io, uint64_t ms)
{
    wait_at(io, NULL, WARD_OK, ms);
}

/* -- streams ----------------------------------------------------------------------------------- */

static void drop_pieces(struct ward__stream *end)
{
    while (end->first) {
        struct piece *piece = end->first;
        end->first = piece->next;
        free(piece);
    }
    end->last = &end->first;
    end->queued = 0;
}

static bool is_due(const struct ward__stream *end, int64_t at_ns)
{
    int64_t now = end->connection->links->sim->now_ns;

    return at_ns <= now && end->silent_ns <= now;
}

/* When the next thing arrives is when this end is to be looked at. */
static void expect(struct ward__stream *end)
{
    ward_sim *sim = end->connection->links->sim;
    int64_t at = end->first ? end->first->at_ns : end->over_ns;

    if (at < end->silent_ns) at = end->silent_ns;
    if (at == INT64_MAX || end->closed || end->connection->cut || !end->reader)
        ward__sim_unset(sim, &end->event);
    else
        ward__sim_at(sim, &end->event, at);
}

/* Up to n bytes, in one piece or as many as the seed says. */
static size_t some(ward_sim *sim, size_t n)
{
    if (n < 2 || ward__random_below(&sim->random, PIECES_ONE_IN)) return n;
    return 1 + ward__random_below(&sim->random, (uint32_t)n);
}

static size_t take(struct ward__stream *end, unsigned char *out, size_t room)
{
    size_t taken = 0;

    while (end->first && taken < room && is_due(end, end->first->at_ns)) {
        struct piece *piece = end->first;
        size_t left = piece->bytes - piece->taken, n = left < room - taken ? left : room - taken;
        memcpy(out + taken, piece->data + piece->taken, n);
        piece->taken += n;
        end->queued -= n;
        taken += n;
        if (piece->taken < piece->bytes) break;
        end->first = piece->next;
        if (!end->first) end->last = &end->first;
        free(piece);
    }
    return taken;
}

static void put(struct ward__stream *end, struct ward__io *io)
{
    struct links *links = end->connection->links;
    ward_sim *sim = links->sim;
    struct ward__stream *to = end->peer;
    size_t bytes = io->room < WINDOW - to->queued ? io->room : WINDOW - to->queued;
    struct piece *piece;

    bytes = some(sim, bytes);
    piece = own_memory(sizeof *piece + bytes);
    piece->bytes = bytes;
    memcpy(piece->data, io->data, bytes);
    piece->at_ns = soon(sim, sim->opts.link_delay_us); /* or when those before it have come */
    *to->last = piece;
    to->last = &piece->next;
    to->queued += bytes;
    note(links, end->node, "link sends, bytes:", bytes);
    expect(to);
    end_at(io, WARD_OK, bytes, soon(sim, SENT_US));
}

static void read_on(struct ward__stream *end)
{
    struct links *links = end->connection->links;
    struct ward__io *io = end->reader;
    size_t bytes = take(end, io->data, some(links->sim, io->room));

    if (bytes) {
        note(links, end->node, "link receives, bytes:", bytes);
        end_at(io, WARD_OK, bytes, links->sim->now_ns);
        if (end->peer->writer && end->queued < WINDOW) put(end->peer, end->peer->writer);
    } else if (is_due(end, end->over_ns) && !end->first) {
        end_now(io, WARD_ELINK);
    }
    expect(end);
}

static void end_fire(struct ward__sim_event *event)
{
    struct ward__stream *end = (struct ward__stream *)event;

    if (end->reader) read_on(end);
}

/* Whoever waits at it. */
static void wake(struct ward__stream *end)
{
    if (end->reader) end_now(end->reader, WARD_ELINK);
    if (end->writer) end_now(end->writer, WARD_ELINK);
    ward__sim_unset(end->connection->links->sim, &end->event);
}

static void cut(struct connection *connection)
{
    connection->cut = true;
    note(connection->links, connection->ends[0].node, "link is cut", 0);
    for (int i = 0; i < 2; i++) {
        wake(&connection->ends[i]);
        drop_pieces(&connection->ends[i]);
    }
}

static void send_some(
    struct ward__stream *end, struct ward__io *io, const void *data, size_t bytes, uint64_t ms)
{
    ward_sim *sim = io->links->sim;

    io->data = (void *)(uintptr_t)data;
    io->room = bytes;
    if (!end->connection->cut && chosen(sim, sim->opts.cut_one_in)) cut(end->connection);
    if (chosen(sim, sim->opts.silent_one_in) && end->peer->silent_ns <= sim->now_ns) {
        end->peer->silent_ns =
            soon(sim, 1000) +
            (int64_t)WARD__NS_MS * ward__random_below(&sim->random, sim->opts.silent_ms);
        note(io->links, end->node, "link falls silent", 0);
    }
    wait_at(io, &end->writer, WARD_ETIMEDOUT, ms);
    if (end->connection->cut || end->closed || end->peer->closed)
        end_now(io, WARD_ELINK);
    else if (end->peer->queued < WINDOW)
        put(end, io);
}

static void receive_some(
    struct ward__stream *end, struct ward__io *io, void *data, size_t bytes, uint64_t ms)
{
    io->data = data;
    io->room = bytes;
    wait_at(io, &end->reader, WARD_ETIMEDOUT, ms);
    if (end->connection->cut || end->closed)
        end_now(io, WARD_ELINK);
    else
        read_on(end);
}

/* What was sent before still arrives, unless nothing does. */
static void close_stream(struct ward__stream *end)
{
    ward_sim *sim = end->connection->links->sim;

    if (end->closed) return;
    end->closed = true;
    wake(end);
    drop_pieces(end);
    if (end->connection->cut) return;
    end->peer->over_ns = soon(sim, sim->opts.link_delay_us);
    if (end->peer->writer) end_now(end->peer->writer, WARD_ELINK);
    expect(end->peer);
}

static void free_stream(struct ward__stream *end)
{
    struct connection *connection = end->connection, **at = &connection->links->connections;

    close_stream(end);
    end->freed = true;
    if (!end->peer->freed) return;
    while (*at != connection)
        at = &(*at)->next;
    *at = connection->next;
    free(connection);
}

/* Made, and nobody has come to have it. */
static void end_unheard(struct ward__stream *end)
{
    free_stream(end);
}

static bool is_ours(const struct ward__stream *end, const char *url)
{
    (void)end;
    (void)url;
    return true;
}

static struct connection *connection_new(struct links *links, ward_node *from, ward_node *to)
{
    struct connection *connection = own_memory(sizeof *connection);

    connection->links = links;
    for (int i = 0; i < 2; i++) {
        struct ward__stream *end = &connection->ends[i];
        end->event.fire = end_fire;
        end->connection = connection;
        end->peer = &connection->ends[1 - i];
        end->node = i ? to : from;
        end->last = &end->first;
        end->over_ns = INT64_MAX;
    }
    connection->next = links->connections;
    links->connections = connection;
    return connection;
}

/* -- where streams come from ------------------------------------------------------------------- */

/* Those who have come, to who accepts. */
static void admit(struct ward__door *door)
{
    ward_sim *sim = door->links->sim;
    struct guest *guest = door->guests;

    if (guest && guest->at_ns <= sim->now_ns && door->waiting) {
        struct ward__io *io = door->waiting;
        door->guests = guest->next;
        io->stream = guest->end;
        free(guest);
        end_at(io, WARD_OK, 0, sim->now_ns);
    }
    if (door->guests && door->waiting)
        ward__sim_at(sim, &door->event, door->guests->at_ns);
    else
        ward__sim_unset(sim, &door->event);
}

static void door_fire(struct ward__sim_event *event)
{
    admit((struct ward__door *)event);
}

static struct ward__door *listener_at(const struct links *links, const char *url)
{
    struct ward__door *door = links->doors;

    while (door && !(door->listens && !door->closed && strcmp(door->url, url) == 0))
        door = door->next;
    return door;
}

static ward_status open_door(
    ward_node *node, struct ward__door **out, const char *url, bool listens)
{
    ward_sim *sim = node->sim->sim;
    struct links *links = links_of(sim);
    struct ward__door *door;

    if (listens && listener_at(links, url)) return WARD_ELINK;
    if (ward__sim_fault(sim, sim->opts.memory_one_in, sim->opts.memory_at, &sim->allocations))
        return WARD_ENOMEM;
    door = own_memory(sizeof *door + strlen(url) + 1);
    door->event.fire = door_fire;
    door->links = links;
    door->node = node;
    door->listens = listens;
    strcpy(door->url, url);
    door->next = links->doors;
    links->doors = door;
    *out = door;
    return WARD_OK;
}

static ward_status listen_at(ward_node *node, struct ward__door **out, const char *url)
{
    return open_door(node, out, url, true);
}

static ward_status dialler_to(ward_node *node, struct ward__door **out, const char *url)
{
    return open_door(node, out, url, false);
}

static void dial(struct ward__door *door, struct ward__io *io)
{
    struct links *links = door->links;
    ward_sim *sim = links->sim;
    struct ward__door *listener = listener_at(links, door->url);
    struct connection *connection;
    struct guest *guest, **at;

    if (!listener) {
        end_at(io, WARD_ELINK, 0, soon(sim, sim->opts.link_delay_us));
        return;
    }
    if (is_muted(links, door->node, listener->node) || is_muted(links, listener->node, door->node))
        return; /* until it is too late */
    connection = connection_new(links, door->node, listener->node);
    guest = own_memory(sizeof *guest);
    guest->end = &connection->ends[1];
    guest->at_ns = soon(sim, sim->opts.link_delay_us);
    for (at = &listener->guests; *at && (*at)->at_ns <= guest->at_ns;)
        at = &(*at)->next;
    guest->next = *at;
    *at = guest;
    admit(listener);
    io->stream = &connection->ends[0];
    end_at(io, WARD_OK, 0, guest->at_ns);
}

static void next(struct ward__door *door, struct ward__io *io, uint64_t ms)
{
    wait_at(io, &door->waiting, WARD_ETIMEDOUT, door->listens ? UINT64_MAX : ms);
    if (door->closed)
        end_now(io, WARD_ELINK);
    else if (door->listens)
        admit(door);
    else
        dial(door, io);
}

static void close_door(struct ward__door *door)
{
    if (door->closed) return;
    door->closed = true;
    if (door->waiting) end_now(door->waiting, WARD_ELINK);
    ward__sim_unset(door->links->sim, &door->event);
    while (door->guests) {
        struct guest *guest = door->guests;
        door->guests = guest->next;
        end_unheard(guest->end);
        free(guest);
    }
}

static void free_door(struct ward__door *door)
{
    struct ward__door **at = &door->links->doors;

    close_door(door);
    while (*at != door)
        at = &(*at)->next;
    *at = door->next;
    free(door);
}

static uint64_t chance(ward_node *node)
{
    return ward__random(&node->sim->sim->random);
}

const struct ward__transport ward__simulated = {
    .now_ns = ward__clock_ns,
    .chance = chance,
    .io_new = io_new,
    .io_free = io_free,
    .io_cancel = io_cancel,
    .io_end = io_end,
    .sleep = sleep_for,
    .send = send_some,
    .receive = receive_some,
    .close = close_stream,
    .free = free_stream,
    .ours = is_ours,
    .listen = listen_at,
    .dialler = dialler_to,
    .next = next,
    .door_close = close_door,
    .door_free = free_door,
};

/* -- what a test does to links ----------------------------------------------------------------- */

static void unmute(struct links *links, const ward_node *from, const ward_node *to)
{
    for (struct mute **at = &links->mutes; *at;) {
        struct mute *mute = *at;
        if (mute->from != from || mute->to != to) {
            at = &mute->next;
            continue;
        }
        *at = mute->next;
        free(mute);
    }
}

ward_status ward_sim_link(ward_node *from, ward_node *to, ward_sim_way way)
{
    struct links *links;
    struct mute *mute;

    if (!from || !to || way > WARD_SIM_SILENT) return WARD_EINVAL;
    if (!from->sim || !to->sim || from->sim->sim != to->sim->sim) return WARD_ESTATE;
    links = links_of(from->sim->sim);
    if (way != WARD_SIM_CUT) unmute(links, from, to);
    if (way == WARD_SIM_SILENT) {
        mute = own_memory(sizeof *mute);
        *mute = (struct mute){ links->mutes, from, to };
        links->mutes = mute;
    }
    for (struct connection *each = links->connections; each; each = each->next) {
        struct ward__stream *end = each->ends[0].node == to ? &each->ends[0] : &each->ends[1];
        if (end->node != to || end->peer->node != from || each->cut) continue;
        if (way == WARD_SIM_CUT) {
            cut(each);
            continue;
        }
        end->silent_ns = way == WARD_SIM_SILENT ? INT64_MAX : links->sim->now_ns;
        expect(end);
    }
    return WARD_OK;
}
