/* SPDX-License-Identifier: MIT */
/*
 * cursor.h - reads msgpack from bytes that nobody has checked: one item at a time, never past the
 * end, never by a declared length alone, without memory of its own.
 *
 * A text or bin item is given out only if all its bytes are there, and an array only if as many
 * bytes are left as it says it has elements. What ward never writes (maps, extensions, the unused
 * 0xc1) is refused. Knows nothing of frames. Any thread; a cursor belongs to one.
 */
#ifndef WARD_NET_CURSOR_H
#define WARD_NET_CURSOR_H

#include <ward/ward.h>

#include "base/atomics.h"

/* Arrays in arrays. Eight structs in each other, each in a list, with a list in the innermost. */
enum { WARD__WIRE_DEPTH_MAX = 16 };

enum ward__item_kind {
    WARD__ITEM_NIL,
    WARD__ITEM_BOOL,
    WARD__ITEM_UINT, /* every integer that is not negative */
    WARD__ITEM_INT, /* every integer that is */
    WARD__ITEM_FLOAT,
    WARD__ITEM_DOUBLE,
    WARD__ITEM_TEXT,
    WARD__ITEM_BIN,
    WARD__ITEM_ARRAY
};

struct ward__item {
    enum ward__item_kind kind;
    union {
        bool truth;
        uint64_t number; /* of UINT */
        int64_t negative; /* of INT */
        float single;
        double real;
        ward_bytes bytes; /* of TEXT and BIN; in what is read */
        uint32_t count; /* of ARRAY; its elements are the next items */
    } u;
};

struct ward__cursor {
    const uint8_t *at, *end;
};

static inline struct ward__cursor ward__cursor_on(ward_bytes bytes)
{
    const uint8_t *at = bytes.at;
    return (struct ward__cursor){ at, at ? at + bytes.count : at };
}

static inline bool ward__cursor_done(const struct ward__cursor *cursor)
{
    return cursor->at == cursor->end;
}

bool ward__cursor_next_long(struct ward__cursor *cursor, struct ward__item *item);

/* The next item; false: truncated or refused, and the cursor has not moved. */
static WARD__INLINE bool ward__cursor_next(struct ward__cursor *cursor, struct ward__item *item)
{
    const uint8_t *at = cursor->at;
    size_t left = (size_t)(cursor->end - at);
    uint8_t first;

    if (left == 0) return false;
    first = *at++;
    left--;
    if (first < 0x80) {
        item->kind = WARD__ITEM_UINT;
        item->u.number = first;
    } else if (first >= 0xa0 && first < 0xc0 && (first & 0x1fu) <= left) {
        item->kind = WARD__ITEM_TEXT;
        item->u.bytes = (ward_bytes){ at, first & 0x1fu };
        at += first & 0x1fu;
    } else if (first == 0xc4 && left && *at <= left - 1) {
        item->kind = WARD__ITEM_BIN;
        item->u.bytes = (ward_bytes){ at + 1, *at };
        at += 1 + *at;
    } else {
        return ward__cursor_next_long(cursor, item);
    }
    cursor->at = at;
    return true;
}

/* The next item if it is of that kind; false: it is not, and the cursor has not moved. */
static WARD__INLINE bool ward__cursor_take(
    struct ward__cursor *cursor, enum ward__item_kind kind, struct ward__item *item)
{
    const uint8_t *before = cursor->at;

    if (!ward__cursor_next(cursor, item)) return false;
    if (item->kind == kind) return true;
    cursor->at = before;
    return false;
}

/* An array of exactly `count` elements. */
bool ward__cursor_array_long(struct ward__cursor *cursor, size_t count);
static inline bool ward__cursor_array(struct ward__cursor *cursor, size_t count)
{
    if (count >= 16 || cursor->at == cursor->end || *cursor->at != (0x90u | count) ||
        count > (size_t)(cursor->end - cursor->at) - 1)
        return ward__cursor_array_long(cursor, count);
    cursor->at++;
    return true;
}

/* Whether the bytes are exactly one item with all that is in it, no deeper than allowed. */
bool ward__cursor_check(ward_bytes bytes);

#endif
