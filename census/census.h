/* SPDX-License-Identifier: MIT */
/*
 * census.h - what a census consists of, for the files of this folder.
 *
 * A census is a copy: it owns its rows and the paths in them, and points to spawn and wait sites,
 * which are literals of the program. It has a heap of its own (the node's allocator, no budget), so
 * that it can be taken when the node's budget is used up, and freed when the node is gone.
 *
 * One thread at a time; after it was taken it knows nothing of its node.
 */
#ifndef WARD_CENSUS_CENSUS_H
#define WARD_CENSUS_CENSUS_H

#include <ward/census.h>

#include "base/alloc.h"

/* Chunks of text; freed whole. */
struct ward__strings {
    struct ward__strings *next;
    size_t used, bytes;
    char at[];
};

/* What the node has counted of one spec; several may share a site. */
struct ward__site_count {
    const char *site;
    uint64_t spawned, restarts;
};

struct ward_census {
    struct ward__heap heap;
    int64_t now_ns; /* when it was taken, on the node's clock */
    ward_row *rows; /* by slot; zombies at the end */
    size_t rows_count, rows_room;
    struct ward__strings *strings;
    struct ward__site_count *sites;
    size_t sites_count, sites_room;
};

typedef bool ward__census_sink(void *arg, const void *at, size_t bytes);

/* "waiting" and so on; static. */
const char *ward__state_name(ward_state_of state);

/* A row of a table for people is a row of cells; see table.c. The WARD_AS_MSGPACK form. */
ward_status ward__census_pack(const ward_census *census, ward__census_sink *write, void *arg);

/* WARD_EINVAL: no such word. */
ward_status ward__format_of(const char *word, size_t length, ward_format *out);

#endif
