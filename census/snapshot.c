/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c - takes a census: walks the slots from first to last while everybody goes on working.
 * Flow 8 of 8.
 *
 * A row is read between two looks at the slot's life, and again when the life changed, so it never
 * mixes two actors. What it says of one actor is a few loads in a row, not an instant: a state and
 * its wait are read twice and believed when they agree, or at the third time. It follows no
 * pointer that can be freed: specs live as long as the node, names lie in the side table, waits
 * are named by literals.
 *
 * Who is in a turn is looked up once, under threads_lock (a leaf); zombies hang off their threads
 * and are copied under the tree lock, briefly. No allocation under either. Any thread that may use
 * the node; it needs no worker.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "census/census.h"
#include "supervisor/tree.h"

enum { TRIES = 3, CHUNK_BYTES = 1 << 16, ROOM_FIRST = 64, MARGIN = 16 };

/* A turn that was going on. */
struct running {
    uint32_t slot;
    int64_t since_ns;
};

struct walk {
    ward_node *node;
    ward_census *census;
    struct running *running; /* by slot */
    size_t running_count, running_room, running_next;
    /* The path of the parent seen last: siblings often are neighbours. */
    uint32_t parent;
    uint64_t parent_life;
    char prefix[WARD__PATH_MAX];
    size_t prefix_length;
};

/* A slot as it was read. */
struct raw {
    uint64_t life, word, cell;
    const struct ward__spec *spec;
    const char *what, *at;
    const struct running *running;
    int64_t since_ns, deadline_ns;
    uint32_t holder, parent;
    enum ward__phase phase;
    bool cancelled, on_thread;
};

/* -- memory ------------------------------------------------------------------------------------ */

/* Room for one more of `count` in a table of the census. */
static bool grow(struct ward__heap *heap, void **table, size_t count, size_t *room, size_t each)
{
    size_t more = *room ? *room * 2 : ROOM_FIRST;
    void *at;

    if (count < *room) return true;
    at = ward__realloc(heap, *table, *room * each, more * each);
    if (!at) return false;
    *table = at;
    *room = more;
    return true;
}

static ward_row *add_row(ward_census *census)
{
    if (!grow(&census->heap, (void **)&census->rows, census->rows_count, &census->rows_room,
            sizeof *census->rows))
        return NULL;
    memset(&census->rows[census->rows_count], 0, sizeof *census->rows);
    return &census->rows[census->rows_count];
}

static char *add_text(ward_census *census, size_t bytes)
{
    struct ward__strings *chunk = census->strings;

    if (!chunk || chunk->bytes - chunk->used < bytes) {
        chunk = ward__alloc(&census->heap, sizeof *chunk + CHUNK_BYTES);
        if (!chunk) return NULL;
        chunk->next = census->strings;
        chunk->bytes = CHUNK_BYTES;
        chunk->used = 0;
        census->strings = chunk;
    }
    chunk->used += bytes;
    return chunk->at + chunk->used - bytes;
}

static ward_census *new_census(const ward_node *node)
{
    struct ward__heap heap;
    ward_census *census;

    ward__heap_init(&heap, node->opts.alloc, node->opts.hook, SIZE_MAX);
    census = ward__alloc_zero(&heap, sizeof *census);
    if (!census) return NULL;
    ward__heap_init(&census->heap, node->opts.alloc, node->opts.hook, SIZE_MAX);
    return census;
}

void ward_census_free(ward_census *census)
{
    struct ward__heap heap;

    if (!census) return;
    while (census->strings) {
        struct ward__strings *chunk = census->strings;
        census->strings = chunk->next;
        ward__free(&census->heap, chunk, sizeof *chunk + chunk->bytes);
    }
    ward__free(&census->heap, census->rows, census->rows_room * sizeof *census->rows);
    ward__free(&census->heap, census->sites, census->sites_room * sizeof *census->sites);
    ward__heap_init(&heap, census->heap.hook, census->heap.arg, SIZE_MAX);
    ward__store(&heap.bytes, sizeof *census);
    ward__free(&heap, census, sizeof *census);
}

/* -- who is in a turn -------------------------------------------------------------------------- */

static bool in_turn(const struct ward__thread *thread, uint64_t turn)
{
    return (turn & 1) && thread->kind != WARD__RUNS_NONE &&
           !(ward__load(&thread->hand) & WARD__TURN_GONE);
}

/* Copies those in a turn as far as there is room; returns how many there are. */
static size_t look_at_threads(struct walk *walk)
{
    ward_node *node = walk->node;
    size_t count = 0;

    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread; thread = thread->next) {
        uint64_t turn = ward__load_acq(&thread->turn);
        if (!in_turn(thread, turn)) continue;
        if (count < walk->running_room) {
            bool seen = ward__load(&thread->seen_turn) == turn;
            walk->running[count].slot = ward__load(&thread->slot);
            /* The watchdog has not seen this turn yet, so it began within its last tick. */
            walk->running[count].since_ns =
                seen ? ward__load(&thread->seen_ns) : walk->census->now_ns;
        }
        count++;
    }
    pthread_mutex_unlock(&node->threads_lock);
    return count;
}

static int by_slot(const void *left, const void *right)
{
    uint32_t a = ((const struct running *)left)->slot, b = ((const struct running *)right)->slot;

    return a < b ? -1 : a > b;
}

static bool find_running(struct walk *walk)
{
    size_t count = look_at_threads(walk); /* no room yet: counts */

    walk->running = ward__alloc(&walk->census->heap, (count + MARGIN) * sizeof *walk->running);
    if (!walk->running) return false;
    walk->running_room = count + MARGIN;
    count = look_at_threads(walk);
    walk->running_count = count < walk->running_room ? count : walk->running_room;
    qsort(walk->running, walk->running_count, sizeof *walk->running, by_slot);
    return true;
}

/* Slots come in order, so does the list. */
static const struct running *running_of(struct walk *walk, uint32_t slot)
{
    while (
        walk->running_next < walk->running_count && walk->running[walk->running_next].slot < slot)
        walk->running_next++;
    if (walk->running_next == walk->running_count) return NULL;
    return walk->running[walk->running_next].slot == slot ? &walk->running[walk->running_next]
                                                          : NULL;
}

/* -- one slot ---------------------------------------------------------------------------------- */

static void read_wait(struct ward__slot *slot, struct raw *raw)
{
    for (int i = 0; i < TRIES; i++) {
        raw->cell = ward__load_acq(&slot->wait.cell);
        raw->what = ward__load_acq(&slot->wait_what);
        raw->at = ward__load_acq(&slot->wait_at);
        raw->since_ns = ward__load_acq(&slot->since_ns);
        raw->deadline_ns = ward__load_acq(&slot->wait.deadline);
        raw->holder = ward__load_acq(&slot->wait.holder) & ~WARD__MOVING;
        raw->word = ward__load_acq(&slot->box.word);
        if (ward__load_acq(&slot->wait.cell) == raw->cell &&
            ward__load_acq(&slot->wait_what) == raw->what &&
            ward__load_acq(&slot->since_ns) == raw->since_ns)
            return;
    }
}

/* Also what of the mailbox goes into the row. */
static void read_mailbox(struct ward__slot *slot, const struct raw *raw, ward_row *row)
{
    uint32_t released = ward__load_acq(&slot->box.released);
    uint64_t word = ward__load_acq(&slot->box.word); /* after: never behind `released` */

    row->taken = ward__load_acq(&slot->box.taken);
    row->kept = ward__load_acq(&slot->box.kept);
    row->refused = ward__load_acq(&slot->box.refused);
    row->mail_bytes = ward__load_acq(&slot->box.bytes);
    if (raw->spec->kind == WARD__SUPERVISOR) return; /* takes no mail */
    row->mail_max = ward__load_acq(&slot->box.bound);
    row->mail = (ward__word_count(word) - released) & WARD__COUNT_MASK;
    if (row->mail > row->mail_max) row->mail = row->mail_max; /* the two are not of one instant */
}

/* False: nobody is there. What it reads counts only if the slot has still the same life after. */
static bool read_slot(struct ward__slot *slot, struct raw *raw, ward_row *row)
{
    uint8_t phase;

    raw->life = ward__life(slot);
    phase = ward__load_acq(&slot->phase);
    if (phase == WARD__FREE) return false;
    raw->phase = (enum ward__phase)phase;
    raw->spec = ward__load_acq(&slot->spec);
    raw->parent = ward__load_acq(&slot->parent);
    raw->cancelled = ward__load_acq(&slot->signals) & WARD__SIG_CANCEL;
    raw->on_thread = ward__load_acq(&slot->on) != NULL;
    read_wait(slot, raw);
    read_mailbox(slot, raw, row);
    row->incarnation = ward__load_acq(&slot->incarnation);
    return true;
}

/* It has given its thread up, and nobody has made it runnable again. */
static bool is_parked(const struct raw *raw)
{
    if (!raw->what || raw->on_thread) return false;
    if (strcmp(raw->what, "receive") == 0) return !(raw->word & WARD__SCHEDULED);
    return ward__waiting(raw->cell);
}

static bool is_handler(const struct raw *raw)
{
    return raw->spec->kind == WARD__HANDLER || raw->spec->kind == WARD__POOLED;
}

static ward_state_of state_when_live(const struct raw *raw)
{
    bool scheduled = raw->word & WARD__SCHEDULED;

    if (raw->cancelled) return WARD_STOPPING;
    switch (raw->spec->kind) {
    case WARD__SUPERVISOR:
    case WARD__ROOT: return WARD_WAITING;
    case WARD__HANDLER:
    case WARD__POOLED:
        return raw->running ? WARD_RUNNING : scheduled ? WARD_RUNNABLE : WARD_WAITING;
    case WARD__BODY:
        if (raw->on_thread) return WARD_RUNNING;
        return is_parked(raw) ? WARD_WAITING : WARD_RUNNABLE;
    case WARD__ISOLATE: return raw->word & WARD__EMPTY ? WARD_WAITING : WARD_RUNNING;
    case WARD__THREAD:
    case WARD__ATTACHED: break;
    }
    return is_parked(raw) ? WARD_WAITING : WARD_RUNNING;
}

static ward_state_of state_of(const struct raw *raw, uint64_t incarnation)
{
    switch (raw->phase) {
    case WARD__FREE:
    case WARD__BETWEEN: return incarnation > 1 ? WARD_BACKING_OFF : WARD_STARTING;
    case WARD__START: return WARD_STARTING;
    case WARD__LIVE: break;
    case WARD__ENDING:
    case WARD__FINISH: return WARD_STOPPING;
    case WARD__DEGRADED: return WARD_DEGRADED;
    }
    return state_when_live(raw);
}

static ward_ref ref_at(const ward_node *node, uint32_t index)
{
    const struct ward__slot *slot = ward__slot(node, index);
    ward_ref ref = { 0, 0, 0 };

    if (index <= WARD__ROOT_SLOT || index >= ward__load_acq(&node->slots_used)) return ref;
    return ward__load_acq(&slot->phase) == WARD__FREE ? ref : ward__ref(node, slot);
}

static void fill_wait(const struct walk *walk, const struct raw *raw, ward_row *row)
{
    int64_t deadline = raw->deadline_ns ? raw->deadline_ns : INT64_MAX;

    row->wait = row->wait_site = "";
    if (is_parked(raw)) {
        row->wait = raw->what;
        if (raw->at) row->wait_site = raw->at;
        row->deadline_ns = deadline;
        if (strcmp(raw->what, "ask") == 0 || strcmp(raw->what, "send") == 0)
            row->waits_on = ref_at(walk->node, raw->holder);
    } else if (row->state == WARD_WAITING && is_handler(raw)) {
        row->wait = "receive";
        row->deadline_ns = deadline; /* of .idle_ms */
    } else if (row->state == WARD_RUNNABLE && ward__load(&ward__counts(raw->spec)->held)) {
        row->wait = "thread"; /* hung ones of its service have enough of them */
    }
}

static void fill_since(const struct walk *walk, const struct raw *raw, ward_row *row)
{
    if (row->state == WARD_RUNNABLE) return; /* nobody notes when that began */
    row->since_ns = raw->since_ns;
    if (row->state == WARD_RUNNING) row->since_ns = raw->running ? raw->running->since_ns : 0;
    if (row->since_ns > walk->census->now_ns) row->since_ns = walk->census->now_ns;
}

/* -- paths ------------------------------------------------------------------------------------- */

static void find_prefix(struct walk *walk, uint32_t parent)
{
    const struct ward__slot *slot = ward__slot(walk->node, parent);
    uint64_t life = ward__life(slot);

    if (parent == walk->parent && life == walk->parent_life) return;
    walk->parent = parent;
    walk->parent_life = life;
    walk->prefix[0] = 0;
    if (parent > WARD__ROOT_SLOT) ward__path(walk->node, slot, walk->prefix, sizeof walk->prefix);
    walk->prefix_length = strlen(walk->prefix);
}

static const char *path_of(struct walk *walk, uint32_t slot, uint32_t parent)
{
    char name[WARD__NAME_MAX];
    size_t length;
    char *path;

    find_prefix(walk, parent);
    ward__name_get(walk->node, slot, name);
    length = strlen(name);
    path = add_text(walk->census, walk->prefix_length + length + 2);
    if (!path) return NULL;
    memcpy(path, walk->prefix, walk->prefix_length);
    path[walk->prefix_length] = '/';
    memcpy(path + walk->prefix_length + 1, name, length + 1);
    return path;
}

/* -- the walk ---------------------------------------------------------------------------------- */

/* False: no memory. */
static bool take_slot(struct walk *walk, uint32_t index)
{
    struct ward__slot *slot = ward__slot(walk->node, index);
    struct raw raw = { 0 };
    ward_row *row;
    bool there = false;

    if (ward__load(&slot->phase) == WARD__FREE) return true;
    row = add_row(walk->census);
    if (!row) return false;
    raw.running = running_of(walk, index);
    for (int i = 0; i < TRIES && !there; i++) {
        there = read_slot(slot, &raw, row);
        if (!there) continue;
        row->path = path_of(walk, index, raw.parent);
        if (!row->path) return false;
        there = ward__life(slot) == raw.life && ward__load_acq(&slot->phase) != WARD__FREE;
    }
    if (!there) return true; /* it went while we looked, or there is none */
    row->ref = (ward_ref){ walk->node->id, index, raw.life };
    row->parent = ref_at(walk->node, raw.parent);
    row->spawn_site = raw.spec->site;
    row->state = state_of(&raw, row->incarnation);
    fill_wait(walk, &raw, row);
    fill_since(walk, &raw, row);
    walk->census->rows_count++;
    return true;
}

/* A turn that was revoked. Its slot may be its successor's or a stranger's by now. */
static void fill_zombie(ward_row *row, const ward_node *node, const struct ward__zombie *zombie)
{
    *row = (ward_row){ .ref = { node->id, zombie->slot, zombie->life },
        .spawn_site = zombie->spec->site,
        .wait = "",
        .wait_site = "",
        .state = WARD_ZOMBIE,
        .since_ns = zombie->since_ns,
        .incarnation = zombie->incarnation };
}

/* Copies zombies into rows as far as there is room; returns how many there are. */
static size_t look_at_zombies(struct walk *walk, size_t room)
{
    ward_node *node = walk->node;
    ward_census *census = walk->census;
    size_t count = 0;

    ward__tree_lock(node);
    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread; thread = thread->next) {
        if (!thread->zombie.spec) continue;
        if (count < room)
            fill_zombie(&census->rows[census->rows_count + count], node, &thread->zombie);
        count++;
    }
    pthread_mutex_unlock(&node->threads_lock);
    ward__tree_unlock(node);
    return count;
}

static const char *zombie_path(struct walk *walk, const ward_row *row, bool same)
{
    const struct ward__slot *slot = ward__slot(walk->node, row->ref.slot);
    char name[16], *copy;

    if (same) return path_of(walk, row->ref.slot, ward__load_acq(&slot->parent));
    snprintf(name, sizeof name, "#%u", row->ref.slot);
    copy = add_text(walk->census, sizeof name);
    return copy ? memcpy(copy, name, sizeof name) : NULL;
}

/* Room for `count` more rows. */
static bool reserve_rows(ward_census *census, size_t count)
{
    size_t was = census->rows_count;
    bool done = true;

    while (done && census->rows_room - was < count) {
        census->rows_count = census->rows_room; /* so that it grows */
        done = add_row(census) != NULL;
    }
    census->rows_count = was;
    return done;
}

static bool take_zombies(struct walk *walk)
{
    ward_census *census = walk->census;
    size_t count = look_at_zombies(walk, 0), was = census->rows_count, room;

    if (count == 0) return true;
    if (!reserve_rows(census, count)) return false;
    room = census->rows_room - was;
    count = look_at_zombies(walk, room); /* there may be more by now, or fewer */
    if (count > room) count = room;
    for (size_t i = was; i < was + count; i++) {
        ward_row *row = &census->rows[i];
        const struct ward__slot *slot = ward__slot(walk->node, row->ref.slot);
        bool same = ward__life(slot) == row->ref.life && ward__load_acq(&slot->phase) != WARD__FREE;
        if (same) row->parent = ref_at(walk->node, ward__load_acq(&slot->parent));
        row->path = zombie_path(walk, row, same);
        if (!row->path) return false;
    }
    census->rows_count += count;
    return true;
}

/* Entries are only ever added in front, so the list can be walked without its lock. */
static bool take_sites(struct walk *walk)
{
    ward_census *census = walk->census;
    struct ward__spec_entry *entry;

    entry = ward__load_acq(&walk->node->tree->specs);
    for (; entry; entry = entry->next) {
        struct ward__books books = { 0 };
        ward__books_of(walk->node, entry, &books);
        if (!books.spawned) continue;
        if (!grow(&census->heap, (void **)&census->sites, census->sites_count, &census->sites_room,
                sizeof *census->sites))
            return false;
        census->sites[census->sites_count++] = (struct ward__site_count){ entry->spec.site,
            books.spawned, ward__load(&entry->counts.restarts) };
    }
    return true;
}

ward_status ward_census_take(ward_node *node, ward_census **out)
{
    struct walk walk = { .node = node };
    bool done;

    if (!node || !out) return WARD_EINVAL;
    walk.census = new_census(node);
    if (!walk.census) return WARD_ENOMEM;
    walk.census->now_ns = ward__clock_ns(node);
    done = find_running(&walk);
    for (uint32_t i = WARD__ROOT_SLOT + 1; done && i < ward__load_acq(&node->slots_used); i++)
        done = take_slot(&walk, i);
    done = done && take_zombies(&walk) && take_sites(&walk);
    ward__free(&walk.census->heap, walk.running, walk.running_room * sizeof *walk.running);
    if (!done) {
        ward_census_free(walk.census);
        return WARD_ENOMEM;
    }
    *out = walk.census;
    return WARD_OK;
}

size_t ward_census_count(const ward_census *census)
{
    return census ? census->rows_count : 0;
}

const ward_row *ward_census_row(const ward_census *census, size_t index)
{
    return census && index < census->rows_count ? &census->rows[index] : NULL;
}
