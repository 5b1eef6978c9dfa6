/* SPDX-License-Identifier: MIT */
/*
 * isolate_pack.c - values to bytes and back, see isolate_pack.h.
 *
 * A struct is its rows in order: numbers and refs as they lie, a count and the bytes for what is
 * behind a pointer (ABSENT: NULL), a count and the elements for a list. Both directions are one
 * walk done twice, first to measure. Depth is bounded by the type, work by the bytes there are.
 */
#include "supervisor/isolate_pack.h"

#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "mailbox/value.h"

#define ABSENT UINT64_MAX

uint32_t ward__pack_place(const ward_table *table, const ward_type *type)
{
    size_t count = table ? table->types_count : 0;

    for (size_t i = 0; i < count; i++)
        if (table->types[i] == type) return (uint32_t)i + 1;
    for (size_t i = 0; i < count; i++)
        if (ward__type_same(table->types[i], type)) return (uint32_t)i + 1;
    return 0;
}

bool ward__pack_possible(const ward_type *type)
{
    bool possible = type->form != WARD_FORM_STRUCT || type->fields_count > 0;

    for (uint32_t i = 0; possible && i < type->fields_count; i++) {
        const ward_field *row = &type->fields[i];
        possible = row->kind < WARD_STRUCT || ward__pack_possible(row->of);
    }
    return possible;
}

/* -- to bytes ---------------------------------------------------------------------------------- */

struct packing {
    char *at; /* NULL: only measures */
    size_t used;
};

static void *load(const char *at)
{
    void *pointer;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

static void put(struct packing *packing, const void *at, size_t bytes)
{
    if (packing->at && bytes) memcpy(packing->at + packing->used, at, bytes);
    packing->used += bytes;
}

static void put_count(struct packing *packing, uint64_t count)
{
    put(packing, &count, sizeof count);
}

static void put_bytes(struct packing *packing, ward_bytes bytes)
{
    put_count(packing, bytes.at ? bytes.count : ABSENT);
    if (bytes.at) put(packing, bytes.at, bytes.count);
}

static void put_text(struct packing *packing, const char *text)
{
    put_bytes(packing, (ward_bytes){ text, text ? strlen(text) : 0 });
}

static void put_blob(struct packing *packing, const ward_blob *blob)
{
    ward_bytes bytes = ward__blob_bytes(blob);

    if (blob && !bytes.at) bytes.at = "";
    put_bytes(packing, bytes);
}

static void put_value(struct packing *packing, const ward_type *type, const char *value);

static void put_list(struct packing *packing, const ward_field *row, const char *from)
{
    const ward_type *of = row->of;
    const char *elements = load(from + row->offset);
    size_t count;

    memcpy(&count, from + row->count_offset, sizeof count);
    put_count(packing, elements ? count : ABSENT);
    for (size_t i = 0; elements && i < count; i++) {
        const char *element = elements + i * of->bytes;
        put_value(packing, of, of->form == WARD_FORM_STRUCT ? element : load(element));
    }
}

static void put_row(struct packing *packing, const ward_field *row, const char *from)
{
    const char *member = from + row->offset;
    ward_bytes bytes;

    switch (row->kind) {
    case WARD_TEXT: put_text(packing, load(member)); return;
    case WARD_BYTES:
        memcpy(&bytes, member, sizeof bytes);
        put_bytes(packing, bytes);
        return;
    case WARD_BLOB: put_blob(packing, load(member)); return;
    case WARD_STRUCT: put_value(packing, row->of, member); return;
    case WARD_LIST: put_list(packing, row, from); return;
    case WARD_REF: put(packing, member, sizeof(ward_ref)); return;
    case WARD_INT:
    case WARD_UINT:
    case WARD_REAL:
    case WARD_BOOL: put(packing, member, row->bytes); return;
    }
}

static void put_value(struct packing *packing, const ward_type *type, const char *value)
{
    switch (type->form) {
    case WARD_FORM_STRUCT:
        for (uint32_t i = 0; i < type->fields_count; i++)
            put_row(packing, &type->fields[i], value);
        return;
    case WARD_FORM_TEXT: put_text(packing, value); return;
    case WARD_FORM_BLOB: put_blob(packing, (const ward_blob *)(const void *)value); return;
    case WARD_FORM_EMPTY: return;
    }
}

size_t ward__packed_bytes(const ward_type *type, const void *value)
{
    struct packing packing = { 0 };

    put_value(&packing, type, value);
    return packing.used;
}

void ward__pack(const ward_type *type, const void *value, void *out, size_t bytes)
{
    struct packing packing = { .at = out };

    put_value(&packing, type, value);
    ward__assert(packing.used == bytes);
}

/* -- and back ---------------------------------------------------------------------------------- */

struct unpacking {
    struct ward__layout to; /* no block: measures */
    const char *at;
    size_t left, blob_max;
    struct ward__heap *heap;
    bool has_blobs;
};

static ward_status get(struct unpacking *from, void *out, size_t bytes)
{
    if (bytes > from->left) return WARD_EINVAL;
    if (out) memcpy(out, from->at, bytes);
    from->at += bytes;
    from->left -= bytes;
    return WARD_OK;
}

/* A count and that many bytes; at NULL: absent. */
static ward_status get_bytes(struct unpacking *from, ward_bytes *out)
{
    uint64_t count;
    ward_status rc = get(from, &count, sizeof count);

    *out = (ward_bytes){ 0 };
    if (rc || count == ABSENT) return rc;
    if (count > from->left) return WARD_EINVAL;
    *out = (ward_bytes){ from->at, (size_t)count };
    return get(from, NULL, (size_t)count);
}

static void store(char *slot, const void *pointer)
{
    if (slot) memcpy(slot, &pointer, sizeof pointer);
}

/* slot NULL: it is the value itself. */
static ward_status get_text(struct unpacking *from, char *slot)
{
    ward_bytes bytes;
    char *piece;
    ward_status rc = get_bytes(from, &bytes);

    if (rc || !bytes.at) return rc;
    if (bytes.count && memchr(bytes.at, 0, bytes.count)) return WARD_EINVAL;
    if (!ward__layout_take(&from->to, bytes.count + 1, 1, &piece)) return WARD_ETOOBIG;
    if (piece) {
        memcpy(piece, bytes.at, bytes.count);
        piece[bytes.count] = 0;
    }
    store(slot, piece);
    return WARD_OK;
}

static ward_status get_raw(struct unpacking *from, char *slot)
{
    ward_bytes bytes;
    char *piece;
    ward_status rc = get_bytes(from, &bytes);

    if (rc || !bytes.at) return rc;
    if (!ward__layout_take(&from->to, bytes.count, 1, &piece)) return WARD_ETOOBIG;
    if (piece) {
        if (bytes.count) memcpy(piece, bytes.at, bytes.count);
        bytes.at = piece;
        memcpy(slot, &bytes, sizeof bytes);
    }
    return WARD_OK;
}

static ward_status get_blob(struct unpacking *from, char *slot)
{
    ward_bytes bytes;
    ward_blob *blob;
    ward_status rc = get_bytes(from, &bytes);

    if (rc || !bytes.at) return rc;
    if (bytes.count > from->blob_max) return WARD_ETOOBIG;
    from->has_blobs = true;
    if (!from->to.block) return WARD_OK;
    rc = ward__blob_new(from->heap, &blob, bytes);
    if (!rc) store(slot, blob);
    return rc;
}

static ward_status get_rows(struct unpacking *from, const ward_type *type, char *to);

static ward_status get_element(struct unpacking *from, const ward_type *of, char *to)
{
    if (of->form == WARD_FORM_TEXT) return get_text(from, to);
    return of->form == WARD_FORM_BLOB ? get_blob(from, to) : get_rows(from, of, to);
}

static ward_status get_list(struct unpacking *from, const ward_field *row, char *to)
{
    const ward_type *of = row->of;
    uint64_t count;
    size_t whole;
    char *piece;
    ward_status rc = get(from, &count, sizeof count);

    if (rc || count == ABSENT) return rc;
    if (count > from->left) return WARD_EINVAL; /* each element takes a byte at least */
    whole = (size_t)count;
    if (!ward__layout_take_list(&from->to, whole, of->bytes, &piece)) return WARD_ETOOBIG;
    if (piece) { /* it is zeroed: what is half made can be dropped */
        store(to + row->offset, piece);
        memcpy(to + row->count_offset, &whole, sizeof whole);
    }
    for (size_t i = 0; !rc && i < whole; i++)
        rc = get_element(from, of, piece ? piece + i * of->bytes : NULL);
    return rc;
}

static ward_status get_row(struct unpacking *from, const ward_field *row, char *to)
{
    char *slot = to ? to + row->offset : NULL;
    unsigned char byte;
    ward_status rc;

    switch (row->kind) {
    case WARD_TEXT: return get_text(from, slot);
    case WARD_BYTES: return get_raw(from, slot);
    case WARD_BLOB: return get_blob(from, slot);
    case WARD_STRUCT: return get_rows(from, row->of, slot);
    case WARD_LIST: return get_list(from, row, to);
    case WARD_REF: return get(from, slot, sizeof(ward_ref));
    case WARD_BOOL:
        rc = get(from, &byte, 1);
        if (!rc && byte > 1) rc = WARD_EINVAL;
        if (!rc && slot) memcpy(slot, &byte, 1);
        return rc;
    case WARD_INT:
    case WARD_UINT:
    case WARD_REAL: break;
    }
    return get(from, slot, row->bytes);
}

static ward_status get_rows(struct unpacking *from, const ward_type *type, char *to)
{
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < type->fields_count; i++)
        rc = get_row(from, &type->fields[i], to);
    return rc;
}

static ward_status get_value(struct unpacking *from, const ward_type *type)
{
    size_t before = from->to.used;
    ward_status rc;
    char *piece;

    switch (type->form) {
    case WARD_FORM_STRUCT:
        if (!ward__layout_take(&from->to, type->bytes, 1, &piece)) return WARD_ETOOBIG;
        return get_rows(from, type, piece);
    case WARD_FORM_TEXT:
        rc = get_text(from, NULL);
        return !rc && from->to.used == before ? WARD_EINVAL : rc; /* NULL is no text */
    case WARD_FORM_BLOB:
        if (!ward__layout_take(&from->to, sizeof(void *), 1, &piece)) return WARD_ETOOBIG;
        rc = get_blob(from, piece);
        return !rc && !from->has_blobs ? WARD_EINVAL : rc;
    case WARD_FORM_EMPTY: break;
    }
    return WARD_OK;
}

static struct unpacking begin(struct ward__pool *pool, const struct ward__packed *packed)
{
    return (struct unpacking){ .to = { .max = pool->value_max },
        .at = packed->at,
        .left = packed->count,
        .blob_max = packed->blob_max,
        .heap = pool->heap };
}

ward_status ward__unpack(
    struct ward__pool *pool, struct ward_msg *mail, bool asks, const struct ward__packed *packed)
{
    struct unpacking from = begin(pool, packed);
    size_t bytes, room = asks ? WARD__INLINE_ASK_MAX : WARD__INLINE_MAX;
    void *block = mail->u.value;
    ward_status rc = get_value(&from, packed->type);

    if (!rc && from.left) rc = WARD_EINVAL;
    if (rc) return rc;
    bytes = from.to.used;
    if (bytes > room && !(block = ward__alloc(pool->heap, bytes))) return WARD_ENOMEM;
    if (bytes) memset(block, 0, bytes);
    from = begin(pool, packed);
    from.to.block = block;
    rc = get_value(&from, packed->type);
    if (rc) { /* no memory for a blob */
        ward__value_drop(packed->type, block);
        if (bytes > room) ward__free(pool->heap, block, bytes);
        return rc;
    }
    mail->type = packed->type;
    if (bytes > room) mail->u.beside = (struct ward__beside){ block, bytes };
    ward__store(&mail->bits, (asks ? WARD__MAIL_ASK : 0u) |
                                 (from.has_blobs ? WARD__MAIL_BLOBS : 0u) |
                                 (bytes > room ? WARD__MAIL_BESIDE : 0u));
    return WARD_OK;
}
