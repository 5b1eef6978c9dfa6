/* SPDX-License-Identifier: MIT */
/*
 * wire.c - frames: one table of kinds and their heads, one reader and one writer for all of them.
 *
 * Both directions pass the same check of what a frame may say, so what is packed here is what a
 * peer will read. Allocates only when the buffer packed into grows. Any thread.
 */
#include "net/wire.h"

#include <string.h>

#include "base/assert.h"
#include "net/cursor.h"

enum { MAGIC = 0x77617264, LENGTH_BYTES = 4, HEADS_MAX = 7 };

enum what {
    IS_MAGIC,
    IS_VERSION,
    IS_U32,
    IS_U64,
    IS_MS,
    IS_STATUS,
    IS_REASON,
    IS_BOOL,
    IS_TEXT,
    IS_TYPE, /* a text, or nil when there is no value */
    IS_VALUE /* a bin, or nil */
};

struct head {
    uint16_t what, offset, max; /* max: of texts */
};

struct kind {
    struct head heads[HEADS_MAX];
    uint8_t count;
    bool carries_value;
};

/* clang-format off */
#define HEAD(what, member) { IS_##what, offsetof(struct ward__frame, member), 0 }
#define TEXT_HEAD(member, max) { IS_TEXT, offsetof(struct ward__frame, member), (max) }
#define TYPE_HEAD { IS_TYPE, offsetof(struct ward__frame, type_name), WARD__TYPE_NAME_MAX }
#define VALUE_HEAD HEAD(VALUE, value)

static const struct kind kinds[WARD__FRAME_KINDS] = {
    [WARD__FRAME_HELLO] = { { HEAD(MAGIC, version), HEAD(VERSION, version),
        TEXT_HEAD(text, WARD__NODE_NAME_MAX), HEAD(U32, node), HEAD(U64, incarnation),
        HEAD(U64, frame_max), HEAD(U32, dead_ms) }, 7, false },
    [WARD__FRAME_WELCOME] = { { { 0 } }, 0, false },
    [WARD__FRAME_BYE] = { { TEXT_HEAD(text, WARD__WHY_MAX) }, 1, false },
    [WARD__FRAME_PING] = { { { 0 } }, 0, false },
    [WARD__FRAME_FIND] = { { HEAD(U64, id), TEXT_HEAD(text, WARD__WIRE_PATH_MAX),
        HEAD(MS, ms_left) }, 3, false },
    [WARD__FRAME_FOUND] = { { HEAD(U64, id), HEAD(STATUS, status), HEAD(U32, slot),
        HEAD(U64, life) }, 4, false },
    [WARD__FRAME_SEND] = { { HEAD(U32, slot), HEAD(U64, life), TYPE_HEAD, VALUE_HEAD },
        4, true },
    [WARD__FRAME_REFUSED] = { { HEAD(U32, slot), HEAD(U64, life), HEAD(STATUS, status),
        HEAD(U32, count) }, 4, false },
    [WARD__FRAME_ASK] = { { HEAD(U64, id), HEAD(U32, slot), HEAD(U64, life),
        HEAD(MS, ms_left), TYPE_HEAD, VALUE_HEAD }, 6, true },
    [WARD__FRAME_REPLY] = { { HEAD(U64, id), HEAD(STATUS, status), TYPE_HEAD, VALUE_HEAD },
        4, true },
    [WARD__FRAME_CANCEL] = { { HEAD(U64, id) }, 1, false },
    [WARD__FRAME_MONITOR] = { { HEAD(U64, id), HEAD(U32, slot), HEAD(U64, life) }, 3, false },
    [WARD__FRAME_DEMONITOR] = { { HEAD(U64, id) }, 1, false },
    [WARD__FRAME_DOWN] = { { HEAD(U64, id), HEAD(REASON, reason), HEAD(STATUS, status),
        HEAD(BOOL, final), HEAD(U64, incarnation) }, 5, false },
    [WARD__FRAME_STOP] = { { HEAD(U32, slot), HEAD(U64, life), HEAD(BOOL, mail_only) },
        3, false },
    [WARD__FRAME_FULL] = { { HEAD(U32, slot), HEAD(U64, life) }, 2, false },
    [WARD__FRAME_ROOM] = { { HEAD(U32, slot), HEAD(U64, life) }, 2, false },
    [WARD__FRAME_TAKEN] = { { HEAD(U64, id) }, 1, false },
};
/* clang-format on */

static bool is_kind(unsigned kind)
{
    return kind > 0 && kind < WARD__FRAME_KINDS;
}

/* What single heads cannot say; the same for what is read and what is packed. */
static bool makes_sense(const struct ward__frame *frame)
{
    bool has_value = frame->type || (frame->type_name.at && frame->value.at);
    bool has_neither = !frame->type && !frame->type_name.at && !frame->value.at;

    switch (frame->kind) {
    case WARD__FRAME_SEND: return has_value;
    case WARD__FRAME_ASK: return has_value && frame->ms_left >= -1;
    case WARD__FRAME_FIND: return frame->ms_left >= -1;
    case WARD__FRAME_REPLY:
        return frame->status == WARD_OK ? has_value : frame->status < 0 && has_neither;
    case WARD__FRAME_FOUND: return frame->status <= 0;
    case WARD__FRAME_REFUSED: return frame->status < 0;
    default: return true;
    }
}

/* -- reading ----------------------------------------------------------------------------------- */

static bool read_number(struct ward__cursor *in, uint64_t max, uint64_t *out)
{
    struct ward__item item;

    if (!ward__cursor_take(in, WARD__ITEM_UINT, &item) || item.u.number > max) return false;
    *out = item.u.number;
    return true;
}

static bool read_u32(struct ward__cursor *in, uint32_t *out)
{
    uint64_t number;

    if (!read_number(in, UINT32_MAX, &number)) return false;
    *out = (uint32_t)number;
    return true;
}

static bool read_signed(struct ward__cursor *in, int64_t *out)
{
    struct ward__item item;

    if (!ward__cursor_next(in, &item)) return false;
    if (item.kind == WARD__ITEM_UINT && item.u.number <= INT64_MAX)
        *out = (int64_t)item.u.number;
    else if (item.kind == WARD__ITEM_INT)
        *out = item.u.negative;
    else
        return false;
    return true;
}

static bool read_text(struct ward__cursor *in, size_t max, ward_bytes *out)
{
    struct ward__item item;

    if (!ward__cursor_take(in, WARD__ITEM_TEXT, &item) || item.u.bytes.count > max) return false;
    if (memchr(item.u.bytes.at, 0, item.u.bytes.count)) return false;
    *out = item.u.bytes;
    return true;
}

static bool read_value(struct ward__cursor *in, ward_bytes *out)
{
    struct ward__item item;

    if (!ward__cursor_take(in, WARD__ITEM_BIN, &item)) return false;
    *out = item.u.bytes;
    return true;
}

static bool read_head(struct ward__cursor *in, const struct head *head, void *member)
{
    struct ward__item item;
    uint64_t number;
    int64_t integer;

    switch ((enum what)head->what) {
    case IS_MAGIC: return read_number(in, MAGIC, &number) && number == MAGIC;
    case IS_VERSION:
    case IS_U32: return read_u32(in, member);
    case IS_U64: return read_number(in, UINT64_MAX, member);
    case IS_MS: return read_signed(in, member);
    case IS_STATUS:
        if (!read_signed(in, &integer) || integer < INT32_MIN || integer > INT32_MAX) return false;
        *(ward_status *)member = (ward_status)integer;
        return true;
    case IS_REASON:
        if (!read_number(in, WARD_BY_CRASH, &number)) return false;
        *(ward_reason *)member = (ward_reason)number;
        return true;
    case IS_BOOL:
        if (!ward__cursor_take(in, WARD__ITEM_BOOL, &item)) return false;
        *(bool *)member = item.u.truth;
        return true;
    case IS_TEXT: return read_text(in, head->max, member);
    case IS_TYPE:
        return ward__cursor_take(in, WARD__ITEM_NIL, &item) || read_text(in, head->max, member);
    case IS_VALUE: return ward__cursor_take(in, WARD__ITEM_NIL, &item) || read_value(in, member);
    }
    return false;
}

static bool read_heads(struct ward__cursor *in, struct ward__frame *frame)
{
    const struct kind *kind = &kinds[frame->kind];
    struct ward__item array;

    if (!ward__cursor_take(in, WARD__ITEM_ARRAY, &array)) return false;
    for (uint8_t i = 0; i < kind->count; i++) {
        const struct head *head = &kind->heads[i];

        if (i == array.u.count || !read_head(in, head, (char *)frame + head->offset)) return false;
        if (head->what == IS_VERSION && frame->version != WARD__WIRE_VERSION) return true;
    }
    return array.u.count == kind->count && ward__cursor_done(in);
}

static size_t declared(const uint8_t *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

ward_status ward__wire_frame(ward_bytes in, size_t max, size_t *frame_bytes)
{
    const uint8_t *at = in.at;
    size_t length;

    *frame_bytes = 0;
    if (in.count < LENGTH_BYTES) return WARD_OK;
    length = declared(at);
    if (length == 0) return WARD_EINVAL;
    if (length > max) return WARD_ETOOBIG;
    if (in.count > LENGTH_BYTES) {
        uint8_t kind = at[LENGTH_BYTES];

        if (!is_kind(kind)) return WARD_EINVAL;
        if (!kinds[kind].carries_value && length > WARD__FRAME_SMALL_MAX) return WARD_ETOOBIG;
    }
    *frame_bytes = LENGTH_BYTES + length;
    return WARD_OK;
}

ward_status ward__wire_heads(struct ward__frame *out, ward_bytes in)
{
    struct ward__frame frame = { 0 };
    struct ward__cursor cursor = ward__cursor_on(in);
    size_t bytes;

    if (ward__wire_frame(in, UINT32_MAX, &bytes) || !bytes || bytes != in.count) return WARD_EINVAL;
    frame.kind = (enum ward__frame_kind)cursor.at[LENGTH_BYTES];
    cursor.at += WARD__FRAME_HEAD;
    if (!read_heads(&cursor, &frame) || !makes_sense(&frame)) return WARD_EINVAL;
    *out = frame;
    return WARD_OK;
}

ward_status ward__wire_read(struct ward__frame *out, ward_bytes in)
{
    struct ward__frame frame;
    ward_status rc = ward__wire_heads(&frame, in);

    if (!rc) rc = ward__wire_value_check(&frame);
    if (!rc) *out = frame;
    return rc;
}

ward_status ward__wire_value_check(const struct ward__frame *frame)
{
    return !frame->value.at || ward__cursor_check(frame->value) ? WARD_OK : WARD_EINVAL;
}

/* -- packing ----------------------------------------------------------------------------------- */

static void put_be32(uint8_t *at, size_t number)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(number >> (24 - 8 * i));
}

static void put_text(struct ward__pack *pack, size_t max, ward_bytes text)
{
    if (text.count > max || (text.count && memchr(text.at, 0, text.count)))
        ward__pack_fail(pack, WARD_EINVAL);
    else
        ward__pack_text(pack, text);
}

static void put_type(struct ward__pack *pack, size_t max, const struct ward__frame *frame)
{
    struct ward__known_type own;

    if (frame->type && !ward__known_type(pack->known, frame->type, &own))
        ward__pack_fail(pack, WARD_EINVAL);
    else if (frame->type)
        ward__pack_text(pack, (ward_bytes){ frame->type->name, own.name_bytes });
    else if (frame->type_name.at)
        put_text(pack, max, frame->type_name);
    else
        ward__put_nil(pack);
}

/* The value is packed in place, behind the longest header a bin can have, whose length is written
 * when it is known. */
static void put_value(struct ward__pack *pack, const struct ward__frame *frame)
{
    static const char bin32[5] = { (char)0xc6 };
    size_t at;

    if (!frame->type) {
        if (!frame->value.at)
            ward__put_nil(pack);
        else
            ward__pack_bin(pack, frame->value);
        return;
    }
    (void)ward__pack_append(pack, bin32, sizeof bin32);
    at = pack->buf->bytes;
    ward__wire_pack_value(pack, frame->type, frame->source);
    if (!pack->rc) put_be32(pack->buf->data + at - 4, pack->buf->bytes - at);
}

static void put_head(
    struct ward__pack *pack, const struct head *head, const struct ward__frame *frame)
{
    const void *member = (const char *)frame + head->offset;

    switch ((enum what)head->what) {
    case IS_MAGIC: ward__put_uint32(pack, MAGIC); break;
    case IS_VERSION:
    case IS_U32: ward__put_uint32(pack, *(const uint32_t *)member); break;
    case IS_U64: ward__put_uint64(pack, *(const uint64_t *)member); break;
    case IS_MS: ward__put_int64(pack, *(const int64_t *)member); break;
    case IS_STATUS: ward__put_int(pack, *(const ward_status *)member); break;
    case IS_REASON: ward__put_uint32(pack, *(const ward_reason *)member); break;
    case IS_BOOL:
        if (*(const bool *)member)
            ward__put_true(pack);
        else
            ward__put_false(pack);
        break;
    case IS_TEXT: put_text(pack, head->max, *(const ward_bytes *)member); break;
    case IS_TYPE: put_type(pack, head->max, frame); break;
    case IS_VALUE: put_value(pack, frame); break;
    }
}

ward_status ward__wire_put(struct ward__buf *buf, const struct ward__frame *frame, size_t max)
{
    return ward__wire_put_known(buf, frame, max, NULL);
}

ward_status ward__wire_put_known(
    struct ward__buf *buf, const struct ward__frame *frame, size_t max, struct ward__known *known)
{
    size_t before = buf->bytes;
    char head[WARD__FRAME_HEAD] = { 0, 0, 0, 0, (char)frame->kind };
    const struct kind *kind;
    struct ward__pack pack;

    ward__assert(is_kind(frame->kind));
    if (!makes_sense(frame)) return WARD_EINVAL;
    kind = &kinds[frame->kind];
    ward__pack_init(&pack, buf, LENGTH_BYTES + (max < UINT32_MAX ? max : UINT32_MAX));
    pack.known = known;
    (void)ward__pack_append(&pack, head, sizeof head);
    ward__pack_array(&pack, kind->count);
    for (uint8_t i = 0; i < kind->count && !pack.rc; i++)
        put_head(&pack, &kind->heads[i], frame);
    if (pack.rc)
        buf->bytes = before;
    else
        put_be32(buf->data + before, buf->bytes - before - LENGTH_BYTES);
    return pack.rc;
}
