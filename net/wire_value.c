/* SPDX-License-Identifier: MIT */
/*
 * wire_value.c - values by their field tables, to and from msgpack.
 *
 * Decoding is one walk done twice, like the copying in mailbox/value.c: without a block it checks
 * everything and measures, with one it fills. It recurses over the type, whose depth is bounded,
 * and never over what came in; each step of a list takes a byte of it. Any thread.
 */
#include <endian.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "mailbox/value.h"
#include "net/cursor.h"
#include "net/wire.h"

static void *load(const char *at)
{
    void *pointer;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

/* -- types ------------------------------------------------------------------------------------- */

/* Eight bytes at a time, as little-endian words: 0 to 7 zero bytes count as none, which a text with
 * its NUL does not mind. */
static void shape_add(uint64_t *shape, const void *bytes, size_t count)
{
    const char *at = bytes;

    while (count > 0) {
        size_t step = count < sizeof(uint64_t) ? count : sizeof(uint64_t);
        uint64_t word = 0;

        memcpy(&word, at, step);
        *shape = (*shape ^ le64toh(word)) * 0x9e3779b97f4a7c15u;
        *shape ^= *shape >> 32;
        at += step;
        count -= step;
    }
}

/* False when the type cannot travel. `type` has passed ward__type_check. */
static bool shape_rows(uint64_t *shape, const ward_type *type)
{
    /* No two of these bytes are the same, and none is part of a name. */
    uint8_t form = (uint8_t)(type->form + 1);

    shape_add(shape, &form, 1);
    if (type->form != WARD_FORM_STRUCT) return true;
    if (type->fields_count == 0) return false;
    for (uint32_t i = 0; i < type->fields_count; i++) {
        const ward_field *row = &type->fields[i];
        uint8_t kind = (uint8_t)(row->kind + 0x80);

        shape_add(shape, &kind, 1);
        shape_add(shape, row->name, strlen(row->name) + 1);
        if (row->kind >= WARD_STRUCT && !shape_rows(shape, row->of)) return false;
    }
    shape_add(shape, "\xff", 1);
    return true;
}

/* False when the type is malformed or cannot travel. */
static bool shape_of(uint32_t *out, const ward_type *type)
{
    uint64_t shape = 1;

    if (ward__type_check(type) || !shape_rows(&shape, type)) return false;
    *out = (uint32_t)shape;
    return true;
}

struct span {
    uint32_t from, to;
};

/* The bytes of the struct that a row writes; a list writes two spans. */
static unsigned spans_of(const ward_field *row, struct span out[2])
{
    uint32_t bytes = row->kind == WARD_LIST ? (uint32_t)sizeof(void *) : row->bytes;

    out[0] = (struct span){ row->offset, row->offset + bytes };
    if (row->kind != WARD_LIST) return 1;
    out[1] = (struct span){ row->count_offset, row->count_offset + (uint32_t)sizeof(size_t) };
    return 2;
}

static bool rows_overlap(const ward_field *a, const ward_field *b)
{
    struct span of_a[2], of_b[2];
    unsigned count_a = spans_of(a, of_a), count_b = spans_of(b, of_b);

    for (unsigned i = 0; i < count_a; i++)
        for (unsigned k = 0; k < count_b; k++)
            if (of_a[i].from < of_b[k].to && of_b[k].from < of_a[i].to) return true;
    return false;
}

/* Rows that share bytes would let a number from the wire become a pointer here. */
static bool is_disjoint(const ward_type *type)
{
    for (uint32_t i = 0; i < type->fields_count; i++) {
        const ward_field *row = &type->fields[i];
        struct span own[2];

        if (spans_of(row, own) == 2 && own[0].from < own[1].to && own[1].from < own[0].to)
            return false;
        for (uint32_t k = 0; k < i; k++)
            if (rows_overlap(row, &type->fields[k])) return false;
        if (row->kind >= WARD_STRUCT && !is_disjoint(row->of)) return false;
    }
    return true;
}

ward_status ward__wire_type_check(const ward_type *type)
{
    uint32_t shape;

    if (!shape_of(&shape, type) || strlen(type->name) > WARD__TYPE_NAME_MAX) return WARD_EINVAL;
    return is_disjoint(type) ? WARD_OK : WARD_EINVAL;
}

static bool is_called(const ward_type *type, size_t name_bytes, ward_bytes name)
{
    return name_bytes == name.count && memcmp(type->name, name.at, name.count) == 0;
}

/* By its first, middle and last byte. */
static struct ward__known_type *named(struct ward__known *known, ward_bytes name)
{
    const uint8_t *at = name.at;
    size_t hash = name.count;

    if (hash) hash += at[0] * 3u + at[name.count / 2] * 5u + at[name.count - 1];
    return &known->by_name[hash % WARD_COUNT(known->by_name)];
}

const ward_type *ward__wire_type(
    struct ward__known *known, const ward_table *table, ward_bytes name)
{
    struct ward__known_type *entry = known ? named(known, name) : NULL;

    if (entry && entry->type && is_called(entry->type, entry->name_bytes, name)) return entry->type;
    for (size_t i = 0; table && i < table->types_count; i++) {
        const ward_type *type = table->types[i];

        if (!is_called(type, strlen(type->name), name)) continue;
        if (entry) *entry = (struct ward__known_type){ type, 0, (uint32_t)name.count };
        return type;
    }
    return NULL;
}

bool ward__known_type(
    struct ward__known *known, const ward_type *type, struct ward__known_type *out)
{
    uintptr_t at = (uintptr_t)type;
    struct ward__known_type *entry =
        known ? &known->by_type[(at >> 4 ^ at >> 8) % WARD_COUNT(known->by_type)] : NULL;
    size_t name_bytes;

    if (entry && type && entry->type == type) {
        *out = *entry;
        return true;
    }
    if (!shape_of(&out->shape, type)) return false;
    name_bytes = strlen(type->name);
    if (name_bytes > WARD__TYPE_NAME_MAX) return false;
    out->type = type;
    out->name_bytes = (uint32_t)name_bytes;
    if (entry) *entry = *out;
    return true;
}

/* -- packing ----------------------------------------------------------------------------------- */

static void pack_struct(struct ward__pack *pack, const ward_type *type, const char *at);

/* An integer member, not yet sign-extended. */
static uint64_t load_number(uint32_t width, const char *at)
{
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (width) {
    case 1: memcpy(&u8, at, sizeof u8); return u8;
    case 2: memcpy(&u16, at, sizeof u16); return u16;
    case 4: memcpy(&u32, at, sizeof u32); return u32;
    default: memcpy(&u64, at, sizeof u64); return u64;
    }
}

static void pack_int(struct ward__pack *pack, uint32_t width, const char *at)
{
    uint64_t sign = (uint64_t)1 << (8 * width - 1);

    ward__put_int64(pack, (int64_t)((load_number(width, at) ^ sign) - sign));
}

static void pack_real(struct ward__pack *pack, uint32_t width, const char *at)
{
    float single;
    double real;

    if (width == sizeof single) {
        memcpy(&single, at, sizeof single);
        ward__put_float(pack, single);
    } else {
        memcpy(&real, at, sizeof real);
        ward__put_double(pack, real);
    }
}

static void pack_text(struct ward__pack *pack, const char *text)
{
    if (text)
        ward__pack_text(pack, (ward_bytes){ text, strlen(text) });
    else
        ward__put_nil(pack);
}

static void pack_bytes(struct ward__pack *pack, ward_bytes bytes)
{
    if (bytes.at)
        ward__pack_bin(pack, bytes);
    else if (bytes.count)
        ward__pack_fail(pack, WARD_EINVAL);
    else
        ward__put_nil(pack);
}

static void pack_blob(struct ward__pack *pack, const ward_blob *blob)
{
    ward_bytes bytes = ward__blob_bytes(blob);

    if (blob && !bytes.at) bytes.at = ""; /* wrapped nothing is a blob all the same */
    pack_bytes(pack, bytes);
}

static void pack_ref(struct ward__pack *pack, const char *at)
{
    ward_ref ref;

    memcpy(&ref, at, sizeof ref);
    ward__pack_array(pack, 3);
    ward__put_uint32(pack, ref.node);
    ward__put_uint32(pack, ref.slot);
    ward__put_uint64(pack, ref.life);
}

static void pack_list(struct ward__pack *pack, const ward_field *row, const char *at)
{
    const char *elements = load(at + row->offset);
    size_t count;

    memcpy(&count, at + row->count_offset, sizeof count);
    if (!elements) {
        pack_bytes(pack, (ward_bytes){ NULL, count });
        return;
    }
    ward__pack_array(pack, count);
    for (size_t i = 0; i < count && !pack->rc; i++) {
        const char *element = elements + i * row->bytes;

        if (row->of->form == WARD_FORM_TEXT)
            pack_text(pack, load(element));
        else if (row->of->form == WARD_FORM_BLOB)
            pack_blob(pack, load(element));
        else
            pack_struct(pack, row->of, element);
    }
}

static void pack_row(struct ward__pack *pack, const ward_field *row, const char *at)
{
    const char *member = at + row->offset;
    ward_bytes bytes;

    switch (row->kind) {
    case WARD_INT: pack_int(pack, row->bytes, member); break;
    case WARD_UINT: ward__put_uint64(pack, load_number(row->bytes, member)); break;
    case WARD_REAL: pack_real(pack, row->bytes, member); break;
    case WARD_BOOL:
        if (*(const uint8_t *)member)
            ward__put_true(pack);
        else
            ward__put_false(pack);
        break;
    case WARD_TEXT: pack_text(pack, load(member)); break;
    case WARD_BYTES:
        memcpy(&bytes, member, sizeof bytes);
        pack_bytes(pack, bytes);
        break;
    case WARD_BLOB: pack_blob(pack, load(member)); break;
    case WARD_REF: pack_ref(pack, member); break;
    case WARD_STRUCT: pack_struct(pack, row->of, member); break;
    case WARD_LIST: pack_list(pack, row, at); break;
    }
}

static void pack_rows(struct ward__pack *pack, const ward_type *type, const char *at)
{
    for (uint32_t i = 0; i < type->fields_count && !pack->rc; i++)
        pack_row(pack, &type->fields[i], at);
}

static void pack_struct(struct ward__pack *pack, const ward_type *type, const char *at)
{
    ward__pack_array(pack, type->fields_count);
    pack_rows(pack, type, at);
}

void ward__wire_pack_value(struct ward__pack *pack, const ward_type *type, const void *value)
{
    struct ward__known_type own;

    if (pack->rc) return;
    if (!ward__known_type(pack->known, type, &own))
        ward__pack_fail(pack, WARD_EINVAL);
    else if (type->form == WARD_FORM_EMPTY)
        ward__put_nil(pack);
    else if (!value)
        ward__pack_fail(pack, type->form == WARD_FORM_TEXT ? WARD_ENOMEM : WARD_EINVAL);
    else if (type->form == WARD_FORM_TEXT)
        pack_text(pack, value);
    else if (type->form == WARD_FORM_BLOB)
        pack_blob(pack, value);
    else {
        ward__pack_array(pack, (size_t)type->fields_count + 1);
        ward__put_uint32(pack, own.shape);
        pack_rows(pack, type, value);
    }
}

/* -- decoding ---------------------------------------------------------------------------------- */

struct decode {
    struct ward__cursor in;
    struct ward__layout to; /* no block: check and measure */
    struct ward__heap *heap;
    size_t blob_max;
    uint32_t shape; /* of the type, while measuring */
    bool has_blobs;
};

static ward_status get_struct(struct decode *decode, const ward_type *type, char *to);

/* Writes a member, unless only measuring. */
static void set(char *to, const void *member, size_t bytes)
{
    if (to) memcpy(to, member, bytes);
}

/* The next item if it is of that kind or nil; item->kind says which. */
static bool next_or_nil(struct decode *decode, enum ward__item_kind kind, struct ward__item *item)
{
    return ward__cursor_next(&decode->in, item) &&
           (item->kind == kind || item->kind == WARD__ITEM_NIL);
}

/* An integer into a member of its width, which it is known to fit. */
static void set_number(char *to, uint32_t width, uint64_t number)
{
    switch (width) {
    case 1: set(to, &(uint8_t){ (uint8_t)number }, 1); break;
    case 2: set(to, &(uint16_t){ (uint16_t)number }, 2); break;
    case 4: set(to, &(uint32_t){ (uint32_t)number }, 4); break;
    default: set(to, &number, 8); break;
    }
}

static ward_status get_int(struct decode *decode, uint32_t width, char *to)
{
    uint64_t most = UINT64_MAX >> (65 - 8 * width); /* ~most is the least */
    struct ward__item item;

    if (!ward__cursor_next(&decode->in, &item)) return WARD_EINVAL;
    if (item.kind == WARD__ITEM_UINT && item.u.number <= most)
        set_number(to, width, item.u.number);
    else if (item.kind == WARD__ITEM_INT && item.u.negative >= -(int64_t)most - 1)
        set_number(to, width, (uint64_t)item.u.negative);
    else
        return WARD_EINVAL;
    return WARD_OK;
}

static ward_status get_uint(struct decode *decode, uint32_t width, char *to)
{
    uint64_t most = UINT64_MAX >> (64 - 8 * width);
    struct ward__item item;

    if (!ward__cursor_take(&decode->in, WARD__ITEM_UINT, &item)) return WARD_EINVAL;
    if (item.u.number > most) return WARD_EINVAL;
    set_number(to, width, item.u.number);
    return WARD_OK;
}

/* A double as a float, if nothing of it is lost. */
static bool narrowed(double real, float *single)
{
    if (isfinite(real) && fabs(real) > FLT_MAX) return false;
    *single = (float)real;
    return isnan(real) || (double)*single == real;
}

static ward_status get_real(struct decode *decode, uint32_t width, char *to)
{
    bool is_single = width == sizeof(float);
    struct ward__item item;
    float single;
    double real;

    if (!ward__cursor_next(&decode->in, &item)) return WARD_EINVAL;
    if (item.kind == WARD__ITEM_FLOAT)
        real = single = item.u.single;
    else if (item.kind == WARD__ITEM_DOUBLE)
        real = item.u.real;
    else
        return WARD_EINVAL;
    if (item.kind == WARD__ITEM_DOUBLE && is_single && !narrowed(real, &single)) return WARD_EINVAL;
    if (is_single)
        set(to, &single, sizeof single);
    else
        set(to, &real, sizeof real);
    return WARD_OK;
}

static ward_status get_bool(struct decode *decode, char *to)
{
    struct ward__item item;

    if (!ward__cursor_take(&decode->in, WARD__ITEM_BOOL, &item)) return WARD_EINVAL;
    set(to, &item.u.truth, sizeof item.u.truth);
    return WARD_OK;
}

/* The bytes of a text or bin as a piece of the block, `extra` zeroes behind them. */
static ward_status get_piece(struct decode *decode, ward_bytes bytes, size_t extra, char **piece)
{
    /* bytes.count is no more than what came in, so there is no overflow. */
    if (!ward__layout_take(&decode->to, bytes.count + extra, 1, piece)) return WARD_ETOOBIG;
    if (*piece && bytes.count) memcpy(*piece, bytes.at, bytes.count);
    return WARD_OK;
}

static ward_status get_text(struct decode *decode, char *to)
{
    struct ward__item item;
    ward_status rc;
    char *piece;

    if (!next_or_nil(decode, WARD__ITEM_TEXT, &item)) return WARD_EINVAL;
    if (item.kind == WARD__ITEM_NIL) return WARD_OK;
    if (memchr(item.u.bytes.at, 0, item.u.bytes.count)) return WARD_EINVAL;
    rc = get_piece(decode, item.u.bytes, 1, &piece);
    if (!rc) set(to, &piece, sizeof piece);
    return rc;
}

static ward_status get_bytes(struct decode *decode, char *to)
{
    struct ward__item item;
    ward_status rc;
    char *piece;

    if (!next_or_nil(decode, WARD__ITEM_BIN, &item)) return WARD_EINVAL;
    if (item.kind == WARD__ITEM_NIL) return WARD_OK;
    rc = get_piece(decode, item.u.bytes, 0, &piece);
    if (!rc) set(to, &(ward_bytes){ piece, item.u.bytes.count }, sizeof(ward_bytes));
    return rc;
}

static ward_status get_blob(struct decode *decode, char *to)
{
    struct ward__item item;
    ward_status rc = WARD_OK;
    ward_blob *blob;

    if (!next_or_nil(decode, WARD__ITEM_BIN, &item)) return WARD_EINVAL;
    if (item.kind == WARD__ITEM_NIL) return WARD_OK;
    if (item.u.bytes.count > decode->blob_max) return WARD_ETOOBIG;
    decode->has_blobs = true;
    if (!to) return WARD_OK;
    rc = ward__blob_new(decode->heap, &blob, item.u.bytes);
    if (!rc) set(to, &blob, sizeof(void *));
    return rc;
}

static ward_status get_ref(struct decode *decode, char *to)
{
    ward_ref ref;
    ward_status rc;

    if (!ward__cursor_array(&decode->in, 3)) return WARD_EINVAL;
    rc = get_uint(decode, sizeof ref.node, (char *)&ref.node);
    if (!rc) rc = get_uint(decode, sizeof ref.slot, (char *)&ref.slot);
    if (!rc) rc = get_uint(decode, sizeof ref.life, (char *)&ref.life);
    if (!rc) set(to, &ref, sizeof ref);
    return rc;
}

static ward_status get_element(struct decode *decode, const ward_type *of, char *to)
{
    if (of->form == WARD_FORM_TEXT) return get_text(decode, to);
    if (of->form == WARD_FORM_BLOB) return get_blob(decode, to);
    return get_struct(decode, of, to);
}

static ward_status get_list(struct decode *decode, const ward_field *row, char *to)
{
    ward_status rc = WARD_OK;
    struct ward__item item;
    size_t count;
    char *piece;

    if (!next_or_nil(decode, WARD__ITEM_ARRAY, &item)) return WARD_EINVAL;
    if (item.kind == WARD__ITEM_NIL) return WARD_OK;
    count = item.u.count;
    if (!ward__layout_take_list(&decode->to, count, row->bytes, &piece)) return WARD_ETOOBIG;
    if (to) {
        /* Before the elements, which are zero now: a list half made can be dropped. */
        memcpy(to + row->offset, &piece, sizeof piece);
        memcpy(to + row->count_offset, &count, sizeof count);
    }
    for (size_t i = 0; !rc && i < count; i++)
        rc = get_element(decode, row->of, piece ? piece + i * row->bytes : NULL);
    return rc;
}

static ward_status get_row(struct decode *decode, const ward_field *row, char *to)
{
    char *member = to ? to + row->offset : NULL;

    switch (row->kind) {
    case WARD_INT: return get_int(decode, row->bytes, member);
    case WARD_UINT: return get_uint(decode, row->bytes, member);
    case WARD_REAL: return get_real(decode, row->bytes, member);
    case WARD_BOOL: return get_bool(decode, member);
    case WARD_TEXT: return get_text(decode, member);
    case WARD_BYTES: return get_bytes(decode, member);
    case WARD_BLOB: return get_blob(decode, member);
    case WARD_REF: return get_ref(decode, member);
    case WARD_STRUCT: return get_struct(decode, row->of, member);
    case WARD_LIST: return get_list(decode, row, to);
    }
    return WARD_EINVAL;
}

static ward_status get_rows(struct decode *decode, const ward_type *type, char *to)
{
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < type->fields_count; i++)
        rc = get_row(decode, &type->fields[i], to);
    return rc;
}

static ward_status get_struct(struct decode *decode, const ward_type *type, char *to)
{
    if (!ward__cursor_array(&decode->in, type->fields_count)) return WARD_EINVAL;
    return get_rows(decode, type, to);
}

/* The outermost struct. Its shape comes first, and was looked at when the value was measured. */
static ward_status get_whole(struct decode *decode, const ward_type *type)
{
    struct ward__item item;
    char *to;

    if (!ward__layout_take(&decode->to, type->bytes, 1, &to)) return WARD_ETOOBIG;
    if (!ward__cursor_array(&decode->in, (size_t)type->fields_count + 1)) return WARD_EINVAL;
    if (!ward__cursor_take(&decode->in, WARD__ITEM_UINT, &item)) return WARD_EINVAL;
    return to || item.u.number == decode->shape ? get_rows(decode, type, to) : WARD_EINVAL;
}

static ward_status get_value(struct decode *decode, const ward_type *type)
{
    struct ward__cursor second = decode->in;
    ward_status rc = WARD_EINVAL;
    struct ward__item item;
    char *to;

    /* Nil is the value of an empty type, and of no other. */
    if (!ward__cursor_next(&second, &item)) return WARD_EINVAL;
    if ((item.kind == WARD__ITEM_NIL) != (type->form == WARD_FORM_EMPTY)) return WARD_EINVAL;
    switch (type->form) {
    case WARD_FORM_STRUCT: rc = get_whole(decode, type); break;
    case WARD_FORM_TEXT: rc = get_text(decode, NULL); break;
    case WARD_FORM_BLOB:
        if (!ward__layout_take(&decode->to, sizeof(void *), 1, &to)) return WARD_ETOOBIG;
        rc = get_blob(decode, to);
        break;
    case WARD_FORM_EMPTY:
        decode->in = second;
        rc = WARD_OK;
        break;
    }
    return !rc && !ward__cursor_done(&decode->in) ? WARD_EINVAL : rc;
}

ward_status ward__wire_value_bytes(const ward_type *type, ward_bytes value,
    struct ward__wire_max max, size_t *bytes, bool *has_blobs)
{
    struct decode decode = { .in = ward__cursor_on(value), .blob_max = max.blob_bytes };
    struct ward__known_type own;
    ward_status rc;

    decode.to.max = max.value_bytes;
    if (!ward__known_type(max.known, type, &own)) return WARD_EINVAL;
    decode.shape = own.shape;
    rc = get_value(&decode, type);
    if (rc) return rc;
    *bytes = decode.to.used;
    *has_blobs = decode.has_blobs;
    return WARD_OK;
}

ward_status ward__wire_value_copy(
    struct ward__heap *heap, const ward_type *type, ward_bytes value, void *block, size_t bytes)
{
    struct decode decode = { .in = ward__cursor_on(value), .heap = heap, .blob_max = SIZE_MAX };
    ward_status rc;

    decode.to = (struct ward__layout){ .block = block, .max = bytes };
    if (bytes) memset(block, 0, bytes);
    rc = get_value(&decode, type);
    ward__assert(rc == WARD_ENOMEM || (rc == WARD_OK && decode.to.used == bytes));
    if (rc) ward__value_drop(type, block);
    return rc;
}
