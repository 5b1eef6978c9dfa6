/* SPDX-License-Identifier: MIT */
/*
 * map.c - a table of chains that doubles when they get long. The caller has a lock.
 */
#include "net/map.h"

#include <string.h>

#include "base/assert.h"

enum { FIRST_BITS = 4, LAST_BITS = 24 };

static struct ward__entry **head_of(const struct ward__map *map, uint64_t key)
{
    return &map->heads[(key * map->factor) >> (64 - map->bits)];
}

static size_t bytes_of(const struct ward__map *map)
{
    return sizeof(void *) << map->bits;
}

/* False: the table stays as it is, which is slower but no failure if there is one. */
static bool grow(struct ward__map *map)
{
    struct ward__map larger = *map;

    larger.bits = map->heads ? map->bits + 1 : FIRST_BITS;
    if (larger.bits > LAST_BITS) return false;
    larger.heads = ward__alloc_zero(map->heap, bytes_of(&larger));
    if (!larger.heads) return false;
    for (struct ward__entry *entry = ward__map_take_any(map), *next; entry; entry = next) {
        struct ward__entry **head = head_of(&larger, entry->key);
        next = ward__map_take_any(map);
        entry->next = *head;
        *head = entry;
    }
    ward__map_drop(map);
    *map = larger;
    return true;
}

bool ward__map_put(struct ward__map *map, struct ward__entry *entry)
{
    struct ward__entry **head;

    if ((!map->heads || map->count >> map->bits > 1) && !grow(map) && !map->heads) return false;
    head = head_of(map, entry->key);
    entry->next = *head;
    *head = entry;
    map->count++;
    return true;
}

struct ward__entry *ward__map_find(const struct ward__map *map, uint64_t key)
{
    struct ward__entry *entry = map->heads ? *head_of(map, key) : NULL;

    while (entry && entry->key != key)
        entry = entry->next;
    return entry;
}

struct ward__entry *ward__map_take(struct ward__map *map, uint64_t key)
{
    struct ward__entry **at = map->heads ? head_of(map, key) : NULL, *entry;

    while (at && *at && (*at)->key != key)
        at = &(*at)->next;
    if (!at || !*at) return NULL;
    entry = *at;
    *at = entry->next;
    map->count--;
    return entry;
}

struct ward__entry *ward__map_take_any(struct ward__map *map)
{
    struct ward__entry *entry;

    if (map->count == 0) return NULL;
    ward__assert(map->heads != NULL);
    /* From where it stopped the last time, so that emptying the table looks at each head once. */
    for (;; map->drained++) {
        struct ward__entry **head = &map->heads[map->drained & ((1u << map->bits) - 1)];
        entry = *head;
        if (!entry) continue;
        *head = entry->next;
        map->count--;
        return entry;
    }
}

void ward__map_drop(struct ward__map *map)
{
    if (map->heads) ward__free(map->heap, map->heads, bytes_of(map));
    map->heads = NULL;
    map->bits = map->count = map->drained = 0;
}
