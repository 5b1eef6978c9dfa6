/* SPDX-License-Identifier: MIT */
/*
 * spec.c - from what a user wrote to what the runtime keeps: checks a ward_spec, fills in the
 * defaults, and finds an equal one of the same spawn site. Entries live as long as the node, so a
 * census, a zombie and a late event may always follow a pointer to one. Any thread.
 */
#include <string.h>

#include "actors/sim.h"
#include "base/assert.h"
#include "supervisor/isolate.h"

enum { CACHE_LINES = 16 };

bool ward__name_valid(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= WARD__NAME_MAX || name[0] == '.') return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
           length;
}

static int64_t ns_of(uint32_t ms, uint32_t otherwise)
{
    if (ms == WARD_UNLIMITED) return INT64_MAX;
    return (int64_t)(ms ? ms : otherwise) * WARD__NS_MS;
}

static int64_t ns_of_bound(int64_t ms)
{
    return ms > INT64_MAX / WARD__NS_MS ? INT64_MAX : ms * WARD__NS_MS;
}

static uint32_t or (uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static bool valid(const ward_spec *spec)
{
    int behaviours = (spec->handle != NULL) + (spec->body != NULL) +
                     (spec->children.count > 0 || spec->strategy == WARD_DYNAMIC);

    if (behaviours != 1) return false;
    if (spec->name && !ward__name_valid(spec->name)) return false;
    if (spec->mailbox_max > WARD__BOUND_MAX && spec->mailbox_max != 0) return false;
    if (spec->strategy > WARD_DYNAMIC || spec->restart > WARD_TEMPORARY) return false;
    if (spec->at_limit > WARD_DEGRADE) return false;
    if (spec->on_idle > WARD_IDLE_STOP) return false;
    if (spec->redeliver > WARD__TRIES_MAX) return false;
    if (spec->redeliver && spec->discard_on_restart) return false;
    if (spec->significant && spec->restart == WARD_PERMANENT) return false; /* it never ends */
    if (spec->strategy == WARD_DYNAMIC && spec->children.count > 0) return false;
    if (spec->children.count > 0 && (!spec->children.at || !spec->children.spec_bytes))
        return false;
    if (spec->idle_ms && !spec->handle) return false; /* a body has the argument of ward_receive */
    if (spec->arg_bytes && !spec->arg) return false;
    if (spec->arg_bytes > PTRDIFF_MAX || spec->state_bytes > PTRDIFF_MAX) return false;
    if (spec->restarts_max > WARD__RESTARTS_MAX && spec->restarts_max != WARD_UNLIMITED)
        return false;
    if (!ward__stop_holds(spec)) return false;
    if (spec->children.count > 0 || spec->strategy == WARD_DYNAMIC)
        return !spec->start && !spec->cleanup && !spec->blocking && !spec->state_bytes &&
               !spec->isolate;
    return true;
}

static enum ward__kind kind_of(const ward_node *node, const ward_spec *spec)
{
    bool blocking = spec->blocking && !node->sim; /* simulated actors share one thread */

    if (spec->isolate) return WARD__ISOLATE;
    if (spec->handle) return blocking ? WARD__POOLED : WARD__HANDLER;
    if (spec->body) return blocking ? WARD__THREAD : WARD__BODY;
    return WARD__SUPERVISOR;
}

static void fill(const ward_node *node, struct ward__spec *out, const ward_spec *spec)
{
    uint32_t stack = spec->blocking ? 1u << 20 : 65536;

    out->handle = out->user.handle = spec->handle;
    out->body = out->user.body = spec->body;
    out->start = out->user.start = spec->start;
    if (node->sim && spec->handle) out->handle = ward__sim_handle;
    if (node->sim && spec->body) out->body = ward__sim_body;
    if (node->sim && spec->start) out->start = ward__sim_start;
    out->cleanup = spec->cleanup;
    out->kind = kind_of(node, spec);
    out->state_bytes = spec->state_bytes;
    out->mailbox_max = or (spec->mailbox_max, 1024);
    out->mailbox_bytes = spec->mailbox_bytes ? spec->mailbox_bytes : (size_t)16 << 20;
    out->stack_bytes = or (spec->stack_bytes, stack);
    if (out->stack_bytes < 16384) out->stack_bytes = 16384;
    out->idle_ns = spec->idle_ms ? ns_of(spec->idle_ms, 0) : INT64_MAX;
    out->start_ns = ns_of(spec->start_ms, 5000);
    out->stop_ns = ns_of(spec->stop_ms, WARD__STOP_MS);
    out->bound_ns = spec->children.count ? ns_of_bound(ward_stop_bound(spec)) : out->stop_ns;
    out->stop_spelled = spec->stop_ms != 0;
    out->stuck_ns = ns_of(spec->stuck_ms, 30000);
    out->window_ns = ns_of(spec->window_ms, WARD__WINDOW_MS);
    out->backoff_ns = spec->backoff_ms == WARD_AT_ONCE ? 0 : ns_of(spec->backoff_ms, 10);
    out->backoff_max_ns = ns_of(spec->backoff_max_ms, 30000);
    out->restarts_max = or (spec->restarts_max, 5);
    out->children_max = or (spec->children_max, 65536);
    out->zombies_max = or (spec->zombies_max, 8);
    out->site_max = spec->site_max ? spec->site_max : WARD_UNLIMITED;
    out->redeliver = spec->redeliver;
    out->on_idle = spec->on_idle;
    out->restart = spec->restart;
    out->at_limit = spec->at_limit;
    out->strategy = spec->strategy;
    out->drain_on_stop = spec->drain_on_stop;
    out->discard_on_restart = spec->discard_on_restart;
    out->isolate_bytes_max = spec->isolate_bytes_max;
    out->isolate_cpu_s = spec->isolate_cpu_s;
    out->isolate_files_max = spec->isolate_files_max;
    out->isolate_standby = spec->isolate_standby;
    out->isolate_blocks = spec->isolate && spec->blocking;
    out->significant = spec->significant;
}

/* Children are equal when they are, one by one; the rest of a spec has no padding that differs,
 * because it is made field by field in zeroed memory. */
static bool same(const struct ward__spec *a, const struct ward__spec *b)
{
    struct ward__spec left = *a, right = *b;

    if (a->children_count != b->children_count) return false;
    for (size_t i = 0; i < a->children_count; i++) {
        const struct ward__child *x = &a->children[i], *y = &b->children[i];
        if (x->spec != y->spec || x->arg_bytes != y->arg_bytes) return false;
        if ((x->name != NULL) != (y->name != NULL)) return false;
        if (x->name && strcmp(x->name, y->name) != 0) return false;
        if (x->arg_bytes ? memcmp(x->arg, y->arg, x->arg_bytes) != 0 : x->arg != y->arg)
            return false;
    }
    left.children = right.children = NULL;
    return memcmp(&left, &right, sizeof left) == 0;
}

static void free_children(ward_node *node, struct ward__spec *spec)
{
    struct ward__child *children = (struct ward__child *)(uintptr_t)spec->children;

    for (size_t i = 0; i < spec->children_count; i++) {
        if (children[i].name)
            ward__free(
                &node->heap, (void *)(uintptr_t)children[i].name, strlen(children[i].name) + 1);
        if (children[i].arg_bytes) ward__free(&node->heap, children[i].arg, children[i].arg_bytes);
    }
    ward__free(&node->heap, children, spec->children_count * sizeof *children);
}

static ward_status intern(ward_node *node, const struct ward__spec **out, const ward_spec *spec,
    ward_site site, int depth);

/* Names are unique among static children. */
static bool named_before(const struct ward__child *children, size_t count, const char *name)
{
    for (size_t i = 0; name && i < count; i++)
        if (children[i].name && strcmp(children[i].name, name) == 0) return true;
    return false;
}

static void *copy(ward_node *node, const void *at, size_t bytes)
{
    void *out = ward__alloc(&node->heap, bytes);
    if (out) memcpy(out, at, bytes);
    return out;
}

static ward_status one_child(
    ward_node *node, struct ward__spec *into, const ward_spec *spec, ward_site site, int depth)
{
    struct ward__child *child =
        (struct ward__child *)(uintptr_t)into->children + into->children_count;
    ward_status rc = intern(node, &child->spec, spec, site, depth);

    if (rc) return rc;
    if (named_before(into->children, into->children_count, spec->name)) return WARD_EINVAL;
    child->arg = spec->arg;
    if (spec->arg_bytes) {
        child->arg = copy(node, spec->arg, spec->arg_bytes);
        if (!child->arg) return WARD_ENOMEM;
        child->arg_bytes = spec->arg_bytes;
    }
    into->children_count++; /* from here on free_children sees it */
    if (spec->name) {
        child->name = copy(node, spec->name, strlen(spec->name) + 1);
        if (!child->name) return WARD_ENOMEM;
    }
    return WARD_OK;
}

static ward_status add_children(
    ward_node *node, struct ward__spec *into, const ward_spec *spec, ward_site site, int depth)
{
    size_t count = spec->children.count;
    struct ward__child *children = NULL;
    ward_status rc = WARD_OK;
    ward_spec room;

    if (count == 0) return WARD_OK;
    if (count > UINT32_MAX) return WARD_EINVAL;
    children = ward__alloc_zero(&node->heap, count * sizeof *children);
    if (!children) return WARD_ENOMEM;
    into->children = children;
    for (size_t i = 0; !rc && i < count; i++)
        rc = one_child(node, into, ward__spec_nth(&spec->children, i, &room), site, depth + 1);
    if (rc) {
        size_t made = into->children_count;
        into->children_count = count;
        (void)made; /* the rest is zeroed */
        free_children(node, into);
        into->children = NULL;
        into->children_count = 0;
    }
    return rc;
}

static const struct ward__spec *find(
    const struct ward__spec_entry *entry, const struct ward__spec *spec)
{
    for (; entry; entry = entry->next)
        if (entry->spec.site == spec->site && same(&entry->spec, spec)) return &entry->spec;
    return NULL;
}

static size_t entry_bytes(const ward_node *node)
{
    return sizeof(struct ward__spec_entry) + (node->workers_count + 1) * sizeof(struct ward__tally);
}

void ward__books_of(
    const ward_node *node, const struct ward__spec_entry *entry, struct ward__books *books)
{
    for (uint32_t i = 0; i <= node->workers_count; i++) {
        const struct ward__tally *tally = &entry->tallies[i];
        books->ended += ward__load_acq(&tally->ended);
        books->accepted += ward__load_acq(&tally->accepted);
        books->refused += ward__load_acq(&tally->refused);
        books->settled += ward__load_acq(&tally->settled);
    }
    /* Last, so that no more have ended than were spawned. */
    for (uint32_t i = 0; i <= node->workers_count; i++)
        books->spawned += ward__load_acq(&entry->tallies[i].spawned);
}

/* Puts it in front of the list, unless somebody else did meanwhile. */
static ward_status add(
    ward_node *node, const struct ward__spec **out, const struct ward__spec *spec)
{
    struct ward__spec_entry *first, *entry = ward__alloc_zero(&node->heap, entry_bytes(node));

    if (!entry) return WARD_ENOMEM;
    memcpy(&entry->spec, spec, sizeof *spec);
    pthread_mutex_lock(&node->tree->specs_lock);
    first = ward__load(&node->tree->specs);
    *out = find(first, spec);
    if (!*out) {
        entry->next = first;
        ward__store_rel(&node->tree->specs, entry);
        *out = &entry->spec;
        entry = NULL;
    }
    pthread_mutex_unlock(&node->tree->specs_lock);
    ward__free(&node->heap, entry, entry_bytes(node));
    return WARD_OK;
}

static ward_status intern(ward_node *node, const struct ward__spec **out, const ward_spec *spec,
    ward_site site, int depth)
{
    struct ward__spec whole;
    ward_status rc;

    if (!valid(spec) || depth > WARD__CHILDREN_DEPTH) return WARD_EINVAL;
    memset(&whole, 0, sizeof whole); /* padding as well: specs are compared byte by byte */
    fill(node, &whole, spec);
    rc = spec->isolate ? ward__isolate_spec(node, spec, &whole.isolate_place) : WARD_OK;
    if (rc) return rc;
    whole.site = site.at;
    whole.function = site.function;
    rc = add_children(node, &whole, spec, site, depth);
    if (rc) return rc;
    *out = find(ward__load_acq(&node->tree->specs), &whole);
    if (!*out) rc = add(node, out, &whole);
    if (rc || (*out)->children != whole.children) free_children(node, &whole);
    return rc;
}

/* The last specs that a worker's actors spawned, by the place in the code: as they were written,
 * but for what belongs to one actor alone. Its thread's only. */
struct ward__spec_cache {
    struct {
        const char *at;
        const struct ward__spec *spec;
        ward_spec raw;
    } lines[CACHE_LINES];
};

static uint32_t line_of(const char *at)
{
    return (uint32_t)(((uintptr_t)at * UINT64_C(0x9e3779b97f4a7c15)) >> 32) % CACHE_LINES;
}

/* Whatever is equal byte by byte is the same spec; static children are compared by what they point
 * to, which may have changed. */
static const struct ward__spec *cached(
    const struct ward__spec_cache *cache, const ward_spec *raw, const char *at)
{
    uint32_t i = line_of(at);

    if (cache->lines[i].at != at || memcmp(&cache->lines[i].raw, raw, sizeof *raw) != 0)
        return NULL;
    return cache->lines[i].spec;
}

static void remember(
    struct ward__spec_cache *cache, const ward_spec *raw, const struct ward__spec *spec)
{
    uint32_t i = line_of(spec->site);

    if (spec->children_count > 0) return;
    cache->lines[i].at = spec->site;
    cache->lines[i].spec = spec;
    memcpy(&cache->lines[i].raw, raw, sizeof *raw);
}

ward_status ward__spec_intern(
    struct ward__here *here, const struct ward__spec **out, const ward_spec *spec, ward_site site)
{
    struct ward__spec_cache *cache =
        here->worker ? here->node->tree->caches[here->worker->index] : NULL;
    ward_spec room;
    ward_status rc;

    if (!spec || !site.at) return WARD_EINVAL;
    if (ward__likely(site.spec_bytes == sizeof room)) {
        memcpy(&room, spec, sizeof room);
    } else { /* an older caller's struct is shorter: the rest is 0 */
        memset(&room, 0, sizeof room);
        memcpy(&room, spec, site.spec_bytes < sizeof room ? site.spec_bytes : sizeof room);
    }
    if ((room.name && !ward__name_valid(room.name)) || (room.arg_bytes && !room.arg) ||
        room.arg_bytes > PTRDIFF_MAX)
        return WARD_EINVAL;
    room.name = NULL;
    room.arg = NULL;
    room.arg_bytes = 0;
    if (cache && (*out = cached(cache, &room, site.at)) != NULL) return WARD_OK;
    rc = intern(here->node, out, &room, site, 0);
    if (!rc && cache) remember(cache, &room, *out);
    return rc;
}

ward_status ward__spec_caches_open(ward_node *node)
{
    size_t count = node->workers_count;

    node->tree->caches = ward__alloc_zero(&node->heap, count * sizeof *node->tree->caches);
    if (!node->tree->caches) return WARD_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        node->tree->caches[i] = ward__alloc_zero(&node->heap, sizeof *node->tree->caches[i]);
        if (!node->tree->caches[i]) return WARD_ENOMEM;
    }
    return WARD_OK;
}

static void caches_free(ward_node *node)
{
    size_t count = node->workers_count;
    struct ward__spec_cache **caches = node->tree->caches;

    for (size_t i = 0; caches && i < count; i++)
        ward__free(&node->heap, caches[i], sizeof *caches[i]);
    ward__free(&node->heap, caches, count * sizeof *caches);
}

struct ward__limits ward__limits_of(const struct ward__spec *spec)
{
    return (struct ward__limits){ .restarts_max = spec->restarts_max,
        .window_ns = spec->window_ns,
        .backoff_ns = spec->backoff_ns,
        .backoff_max_ns = spec->backoff_max_ns };
}

void ward__specs_free(ward_node *node)
{
    caches_free(node);
    while (node->tree->specs) {
        struct ward__spec_entry *entry = node->tree->specs;
        node->tree->specs = entry->next;
        free_children(node, &entry->spec);
        ward__free(&node->heap, entry, entry_bytes(node));
    }
}
