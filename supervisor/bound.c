/* SPDX-License-Identifier: MIT */
/*
 * bound.c - how long a stop can take, from a spec alone, before anything runs.
 *
 * Static children are stopped one after another, so their bounds add up; those of a DYNAMIC
 * supervisor are stopped at once, so the longest counts: what it spells as its own stop_ms, to
 * which spawn holds its children, or that of a child that spells nothing. Any thread; no locks.
 */
#include <string.h>

#include "supervisor/tree.h"

static int64_t sum(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

const ward_spec *ward__spec_nth(const ward_children *children, size_t i, ward_spec *room)
{
    size_t bytes = children->spec_bytes < sizeof *room ? children->spec_bytes : sizeof *room;

    memset(room, 0, sizeof *room); /* an older caller's struct is shorter: the rest is 0 */
    memcpy(room, (const char *)children->at + i * children->spec_bytes, bytes);
    return room;
}

static int64_t ms_of(uint32_t ms)
{
    return ms == WARD_UNLIMITED ? INT64_MAX : ms ? ms : WARD__STOP_MS;
}

/* What the children of a supervisor need, ms; INT64_MAX: no bound, or nested too deep. */
static int64_t parts(const ward_spec *spec, int depth)
{
    int64_t need = 0;
    ward_spec room;

    if (depth > WARD__CHILDREN_DEPTH) return INT64_MAX;
    for (size_t i = 0; i < spec->children.count && need < INT64_MAX; i++) {
        const ward_spec *child = ward__spec_nth(&spec->children, i, &room);
        bool has_parts = child->children.count > 0;
        int64_t own = has_parts && !child->stop_ms ? 0 : ms_of(child->stop_ms);
        int64_t below = has_parts ? parts(child, depth + 1) : 0;
        need = sum(need, own > below ? own : below);
    }
    return need;
}

bool ward__stop_holds(const ward_spec *spec)
{
    uint32_t window_ms = spec->window_ms ? spec->window_ms : WARD__WINDOW_MS;
    bool supervises = spec->children.count > 0 || spec->strategy == WARD_DYNAMIC;

    if (!supervises || !spec->stop_ms) return true;
    if (spec->stop_ms == WARD_UNLIMITED) return window_ms == WARD_UNLIMITED;
    return spec->stop_ms >= parts(spec, 1) && spec->stop_ms <= window_ms;
}

int64_t ward_stop_bound_sized(const ward_spec *spec, size_t spec_bytes)
{
    ward_children one = { spec, 1, spec_bytes };
    ward_spec top = { .children = one };

    return spec && spec_bytes ? parts(&top, 0) : WARD_EINVAL;
}
