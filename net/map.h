/* SPDX-License-Identifier: MIT */
/*
 * map.h - entries by a number: what is under way on a link, by the id it has there. Entries are
 * part of their owner's record, so that taking one out and finding one cannot fail; putting one in
 * needs memory only for the first. Numbers may come from a peer: they are spread by a random
 * factor. The caller has a lock. Knows nothing of links.
 */
#ifndef WARD_NET_MAP_H
#define WARD_NET_MAP_H

#include <stdint.h>

#include "base/alloc.h"

struct ward__entry {
    struct ward__entry *next;
    uint64_t key;
};

/* Zeroed is empty, but for the heap and the factor, which is odd and drawn at random. */
struct ward__map {
    struct ward__heap *heap;
    struct ward__entry **heads;
    uint64_t factor;
    uint32_t bits, count, drained; /* heads below that were found empty by take_any */
};

/* Keys are different, which is the caller's matter. False: no memory. */
bool ward__map_put(struct ward__map *map, struct ward__entry *entry);
struct ward__entry *ward__map_find(const struct ward__map *map, uint64_t key);
/* Takes it out; NULL: it is not there. */
struct ward__entry *ward__map_take(struct ward__map *map, uint64_t key);
/* Takes any one out; NULL: there is none. */
struct ward__entry *ward__map_take_any(struct ward__map *map);
/* Frees the table; it is empty then. */
void ward__map_drop(struct ward__map *map);

/* The record that an entry is part of. */
#define ward__entry_of(entry, type, member) \
    ((type *)(void *)((char *)(entry)-offsetof(type, member)))

#endif
