/* SPDX-License-Identifier: MIT */
/*
 * render.c - a census as text: a line an actor, the same as a tree, or a line a spawn site. Works
 * on the copy that a census is, so on any thread; what it needs besides is allocated for the time
 * of the call. A row has no payload in it, so neither has a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "census/census.h"
#include "census/table.h"

enum { STATES = WARD_ZOMBIE + 1, INDENT_MAX = 48 };

const char *ward__state_name(ward_state_of state)
{
    switch (state) {
    case WARD_STARTING: return "starting";
    case WARD_RUNNABLE: return "runnable";
    case WARD_RUNNING: return "running";
    case WARD_WAITING: return "waiting";
    case WARD_STOPPING: return "stopping";
    case WARD_BACKING_OFF: return "backing off";
    case WARD_DEGRADED: return "degraded";
    case WARD_ZOMBIE: break;
    }
    return "zombie";
}

ward_status ward__format_of(const char *word, size_t length, ward_format *out)
{
    static const char *const words[] = { [WARD_AS_TEXT] = "text",
        [WARD_AS_TREE] = "tree",
        [WARD_AS_SITES] = "sites",
        [WARD_AS_MSGPACK] = "msgpack" };

    for (size_t i = 0; i < WARD_COUNT(words); i++) {
        if (strlen(words[i]) != length || memcmp(words[i], word, length) != 0) continue;
        *out = (ward_format)i;
        return WARD_OK;
    }
    return WARD_EINVAL;
}

/* -- a line an actor --------------------------------------------------------------------------- */

enum {
    ACTOR,
    STATE,
    FOR,
    WAIT,
    LEFT,
    ON,
    MAIL,
    KEPT,
    BYTES,
    REFUSED,
    TAKEN,
    RUN,
    AT,
    SPAWNED,
    COLUMNS
};

static const struct ward__column actor_columns[COLUMNS] = {
    [ACTOR] = { "ACTOR", false },
    [STATE] = { "STATE", false },
    [FOR] = { "FOR", true },
    [WAIT] = { "WAIT", false },
    [LEFT] = { "LEFT", true },
    [ON] = { "ON", false },
    [MAIL] = { "MAIL", true },
    [KEPT] = { "KEPT", true },
    [BYTES] = { "BYTES", true },
    [REFUSED] = { "REFUSED", true },
    [TAKEN] = { "TAKEN", true },
    [RUN] = { "RUN", true },
    [AT] = { "WAITS AT", false },
    [SPAWNED] = { "SPAWNED AT", false },
};

/* A row in its place in the tree; indices into `places` plus 1, 0: none. */
struct place {
    uint32_t child, next;
    uint32_t depth;
};

struct listing {
    const ward_census *census;
    size_t slots_count; /* rows that are in order of slot: all but the zombies */
    uint32_t *order; /* of a tree: line to row; NULL: as they are */
    struct place *places; /* of a tree: by row */
};

/* Rows of actors come in order of slot. NULL: it is not among them. */
static const ward_row *row_of(const struct listing *listing, ward_ref ref)
{
    const ward_row *rows = listing->census->rows;
    size_t low = 0, high = listing->slots_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].ref.slot < ref.slot)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == listing->slots_count || !ward_same(rows[low].ref, ref)) return NULL;
    return &rows[low];
}

static size_t count_slots(const ward_census *census)
{
    size_t count = census->rows_count;

    while (count > 0 && census->rows[count - 1].state == WARD_ZOMBIE)
        count--;
    return count;
}

static void fill_mail(struct ward__line *line, const ward_row *row)
{
    snprintf(line->scratch[MAIL], WARD__CELL_BYTES, "%u/%u", row->mail, row->mail_max);
    line->cells[MAIL] = row->mail_max ? line->scratch[MAIL] : "-";
    ward__cell_count(line, KEPT, row->kept);
    ward__cell_count(line, BYTES, row->mail_bytes);
    ward__cell_count(line, REFUSED, row->refused);
    ward__cell_count(line, TAKEN, row->taken);
}

static void fill_times(struct ward__line *line, const ward_row *row, int64_t now_ns)
{
    line->cells[FOR] = line->cells[LEFT] = "-";
    if (row->since_ns) ward__cell_time(line, FOR, now_ns - row->since_ns);
    if (row->deadline_ns == INT64_MAX)
        line->cells[LEFT] = "forever";
    else if (row->deadline_ns)
        ward__cell_time(line, LEFT, row->deadline_ns - now_ns);
}

static void fill_on(struct ward__line *line, const struct listing *listing, const ward_row *row)
{
    const ward_row *on = row->waits_on.slot ? row_of(listing, row->waits_on) : NULL;

    snprintf(line->scratch[ON], WARD__CELL_BYTES, "#%u", row->waits_on.slot);
    line->cells[ON] = on ? on->path : row->waits_on.slot ? line->scratch[ON] : "-";
}

static void fill_actor(void *arg, size_t index, struct ward__line *line)
{
    const struct listing *listing = arg;
    size_t at = listing->order ? listing->order[index] : index;
    const ward_row *row = &listing->census->rows[at];

    ward__cell_text(line, ACTOR, row->path);
    if (listing->order) {
        size_t indent = 2 * (size_t)listing->places[at].depth;
        const char *name = strrchr(row->path, '/');
        int width = (int)(indent < INDENT_MAX ? indent : INDENT_MAX);
        snprintf(line->first, sizeof line->first, "%*s%s", width, "", name ? name + 1 : row->path);
        line->cells[ACTOR] = line->first;
    }
    ward__cell_text(line, STATE, ward__state_name(row->state));
    ward__cell_text(line, WAIT, row->wait);
    ward__cell_text(line, AT, row->wait_site);
    ward__cell_text(line, SPAWNED, row->spawn_site);
    ward__cell_count(line, RUN, row->incarnation);
    fill_times(line, row, listing->census->now_ns);
    fill_mail(line, row);
    fill_on(line, listing, row);
}

static bool write_listing(struct listing *listing, struct ward__out *out)
{
    struct ward__table table = { .columns = actor_columns,
        .columns_count = COLUMNS,
        .lines_count = listing->census->rows_count,
        .fill = fill_actor,
        .arg = listing };

    return ward__table_write(&table, out);
}

/* -- the tree ---------------------------------------------------------------------------------- */

/* Hangs each row below its parent's, the last row first, so that children stand in order. Returns
 * the first of those without one. */
static uint32_t hang_up(struct listing *listing)
{
    const ward_census *census = listing->census;
    uint32_t top = 0;

    for (size_t i = census->rows_count; i-- > 0;) {
        const ward_row *row = &census->rows[i];
        const ward_row *parent = row->parent.slot ? row_of(listing, row->parent) : NULL;
        uint32_t *head = parent ? &listing->places[parent - census->rows].child : &top;
        listing->places[i].next = *head;
        *head = (uint32_t)i + 1;
    }
    return top;
}

/* Parents before children. A parent's ref is older than its child's, so there are no circles. */
static void put_in_order(struct listing *listing, uint32_t top, uint32_t *stack)
{
    size_t lines = 0, depth = 0;

    stack[0] = top;
    for (;;) {
        uint32_t at = stack[depth];
        if (!at) {
            if (depth-- == 0) return;
            continue;
        }
        listing->order[lines++] = at - 1;
        listing->places[at - 1].depth = (uint32_t)depth;
        stack[depth] = listing->places[at - 1].next;
        stack[++depth] = listing->places[at - 1].child;
    }
}

static ward_status write_tree(struct listing *listing, struct ward__out *out, bool *stopped)
{
    size_t count = listing->census->rows_count;
    struct ward__heap heap;
    uint32_t *stack;
    ward_status rc = WARD_ENOMEM;

    ward__heap_init(&heap, listing->census->heap.hook, listing->census->heap.arg, SIZE_MAX);
    listing->order = ward__alloc(&heap, (count + 1) * sizeof *listing->order);
    listing->places = ward__alloc_zero(&heap, (count + 1) * sizeof *listing->places);
    stack = ward__alloc(&heap, (count + 2) * sizeof *stack);
    if (listing->order && listing->places && stack) {
        put_in_order(listing, hang_up(listing), stack);
        *stopped = !write_listing(listing, out);
        rc = WARD_OK;
    }
    ward__free(&heap, listing->order, (count + 1) * sizeof *listing->order);
    ward__free(&heap, listing->places, (count + 1) * sizeof *listing->places);
    ward__free(&heap, stack, (count + 2) * sizeof *stack);
    return rc;
}

/* -- a line a spawn site ----------------------------------------------------------------------- */

struct group {
    const char *site;
    size_t actors, zombies;
    uint64_t spawned, mail;
    size_t states[STATES];
    const ward_row *most; /* a row that waits as most of them do; NULL: none waits */
    size_t most_count;
    int64_t oldest_ns; /* since when the first of them waits */
};

struct sites {
    const ward_census *census;
    struct group *groups;
    size_t count;
};

enum { S_ACTORS, S_ZOMBIES, S_SPAWNED, S_STATE, S_WAIT, S_OLDEST, S_MAIL, S_AT, S_SITE, S_COLUMNS };

static const struct ward__column site_columns[S_COLUMNS] = {
    [S_ACTORS] = { "ACTORS", true },
    [S_ZOMBIES] = { "ZOMBIES", true },
    [S_SPAWNED] = { "SPAWNED", true },
    [S_STATE] = { "MOST ARE", false },
    [S_WAIT] = { "MOST WAIT", false },
    [S_OLDEST] = { "OLDEST", true },
    [S_MAIL] = { "MAIL", true },
    [S_AT] = { "WAITS AT", false },
    [S_SITE] = { "SPAWNED AT", false },
};

static int compare_text(const char *a, const char *b)
{
    return a == b ? 0 : strcmp(a, b); /* literals: mostly the same one */
}

static bool waits_alike(const ward_row *a, const ward_row *b)
{
    return compare_text(a->wait, b->wait) == 0 && compare_text(a->wait_site, b->wait_site) == 0;
}

static int by_site_and_wait(const void *left, const void *right)
{
    const ward_row *a = *(const ward_row *const *)left, *b = *(const ward_row *const *)right;
    int order = compare_text(a->spawn_site, b->spawn_site);

    if (!order) order = compare_text(a->wait, b->wait);
    if (!order) order = compare_text(a->wait_site, b->wait_site);
    if (!order) order = a->since_ns < b->since_ns ? -1 : a->since_ns > b->since_ns;
    return order;
}

static int by_actors(const void *left, const void *right)
{
    const struct group *a = left, *b = right;
    size_t many = a->actors + a->zombies, more = b->actors + b->zombies;

    if (many != more) return many > more ? -1 : 1;
    return compare_text(a->site, b->site);
}

static void add_spawned(const ward_census *census, struct group *group)
{
    for (size_t i = 0; i < census->sites_count; i++)
        if (compare_text(census->sites[i].site, group->site) == 0)
            group->spawned += census->sites[i].spawned;
}

/* One site's rows, those that wait alike side by side, the one that waits longest first. Returns
 * how many there are. */
static size_t gather(
    const ward_census *census, const ward_row *const *rows, size_t count, struct group *group)
{
    size_t first = 0, i;

    *group = (struct group){ .site = rows[0]->spawn_site };
    for (i = 0; i < count && compare_text(rows[i]->spawn_site, group->site) == 0; i++) {
        const ward_row *row = rows[i];
        if (row->state == WARD_ZOMBIE)
            group->zombies++;
        else
            group->actors++;
        group->states[row->state]++;
        group->mail += row->mail;
        if (!waits_alike(rows[first], row)) first = i;
        if (!*row->wait || i - first + 1 <= group->most_count) continue;
        group->most = row;
        group->most_count = i - first + 1;
        group->oldest_ns = rows[first]->since_ns;
    }
    add_spawned(census, group);
    return i;
}

static void fill_site(void *arg, size_t index, struct ward__line *line)
{
    const struct sites *sites = arg;
    const struct group *group = &sites->groups[index];
    size_t most = 0;

    for (size_t i = 1; i < STATES; i++)
        if (group->states[i] > group->states[most]) most = i;
    ward__cell_count(line, S_ACTORS, group->actors);
    ward__cell_count(line, S_ZOMBIES, group->zombies);
    ward__cell_count(line, S_SPAWNED, group->spawned);
    ward__cell_count(line, S_MAIL, group->mail);
    snprintf(line->scratch[S_STATE], WARD__CELL_BYTES, "%zu %s", group->states[most],
        ward__state_name((ward_state_of)most));
    line->cells[S_STATE] = line->scratch[S_STATE];
    line->cells[S_WAIT] = line->cells[S_OLDEST] = line->cells[S_AT] = "-";
    ward__cell_text(line, S_SITE, group->site);
    if (!group->most) return;
    snprintf(
        line->scratch[S_WAIT], WARD__CELL_BYTES, "%zu %s", group->most_count, group->most->wait);
    line->cells[S_WAIT] = line->scratch[S_WAIT];
    if (group->oldest_ns) ward__cell_time(line, S_OLDEST, sites->census->now_ns - group->oldest_ns);
    ward__cell_text(line, S_AT, group->most->wait_site);
}

/* Groups rows that are in order; NULL: no memory. */
static struct group *make_groups(struct ward__heap *heap, const ward_census *census,
    const ward_row *const *rows, size_t *groups_count)
{
    size_t count = census->rows_count, groups = 0, done = 0;
    struct group *made;

    for (size_t i = 0; i < count; i++)
        groups += i == 0 || compare_text(rows[i]->spawn_site, rows[i - 1]->spawn_site) != 0;
    *groups_count = groups;
    made = ward__alloc(heap, (groups + 1) * sizeof *made);
    if (!made) return NULL;
    for (size_t i = 0; i < groups; i++)
        done += gather(census, rows + done, count - done, &made[i]);
    qsort(made, groups, sizeof *made, by_actors);
    return made;
}

static ward_status write_sites(const ward_census *census, struct ward__out *out, bool *stopped)
{
    size_t count = census->rows_count;
    struct ward__heap heap;
    struct sites sites = { .census = census };
    const ward_row **rows;

    ward__heap_init(&heap, census->heap.hook, census->heap.arg, SIZE_MAX);
    rows = ward__alloc(&heap, (count + 1) * sizeof(ward_row *));
    if (!rows) return WARD_ENOMEM;
    for (size_t i = 0; i < count; i++)
        rows[i] = &census->rows[i];
    qsort(rows, count, sizeof(ward_row *), by_site_and_wait);
    sites.groups = make_groups(&heap, census, (const ward_row *const *)rows, &sites.count);
    if (sites.groups) {
        struct ward__table table = { .columns = site_columns,
            .columns_count = S_COLUMNS,
            .lines_count = sites.count,
            .fill = fill_site,
            .arg = &sites };
        *stopped = !ward__table_write(&table, out);
    }
    ward__free(&heap, rows, (count + 1) * sizeof(ward_row *));
    if (!sites.groups) return WARD_ENOMEM;
    ward__free(&heap, sites.groups, (sites.count + 1) * sizeof *sites.groups);
    return WARD_OK;
}

/* -- all forms --------------------------------------------------------------------------------- */

ward_status ward_census_write(const ward_census *census, ward_format format,
    bool (*write)(void *arg, const void *at, size_t bytes), void *arg)
{
    struct ward__out out = { .write = write, .arg = arg };
    struct listing listing = { .census = census };
    bool stopped = false;
    ward_status rc = WARD_OK;

    if (!census || !write) return WARD_EINVAL;
    listing.slots_count = count_slots(census);
    switch (format) {
    case WARD_AS_TEXT: stopped = !write_listing(&listing, &out); break;
    case WARD_AS_TREE: rc = write_tree(&listing, &out, &stopped); break;
    case WARD_AS_SITES: rc = write_sites(census, &out, &stopped); break;
    case WARD_AS_MSGPACK: return ward__census_pack(census, write, arg);
    default: return WARD_EINVAL;
    }
    if (!rc && stopped) rc = WARD_ECANCELED;
    return rc;
}
