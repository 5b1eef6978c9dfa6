/* SPDX-License-Identifier: MIT */
/*
 * value.c - checks field tables and copies values by them.
 *
 * One walk does both passes: with no block it only measures, with one it fills, so the two cannot
 * disagree about where a piece lies. Members are read and written by memcpy, because a user's
 * struct may be packed. Recursion is bounded by ward__type_check. Knows no messages. Any thread.
 */
#include "mailbox/value.h"

#include <string.h>

#include "base/assert.h"
#include "base/atomics.h"
#include "mailbox/blob.h"

/* -- types ------------------------------------------------------------------------------------- */

static ward_status type_check(const ward_type *type, unsigned depth);

static bool is_inside(const ward_type *type, uint32_t offset, size_t bytes)
{
    return bytes <= type->bytes && offset <= type->bytes - bytes;
}

/* The bytes the member takes in the struct; 0: no member of that kind can be like that. */
static size_t member_bytes(const ward_field *row)
{
    uint32_t n = row->bytes;

    switch (row->kind) {
    case WARD_INT:
    case WARD_UINT: return n == 1 || n == 2 || n == 4 || n == 8 ? n : 0;
    case WARD_REAL: return n == sizeof(float) || n == sizeof(double) ? n : 0;
    case WARD_BOOL: return n == sizeof(bool) ? n : 0;
    case WARD_TEXT:
    case WARD_BLOB: return n == sizeof(void *) ? n : 0;
    case WARD_BYTES: return n == sizeof(ward_bytes) ? n : 0;
    case WARD_REF: return n == sizeof(ward_ref) ? n : 0;
    case WARD_STRUCT: return row->of && row->of->form == WARD_FORM_STRUCT ? n : 0;
    case WARD_LIST: return row->of && row->of->form != WARD_FORM_EMPTY ? sizeof(void *) : 0;
    }
    return 0;
}

static ward_status row_check(const ward_type *type, const ward_field *row, unsigned depth)
{
    size_t bytes = member_bytes(row);

    if (!row->name || !bytes || !is_inside(type, row->offset, bytes)) return WARD_EINVAL;
    if (row->kind < WARD_STRUCT) return WARD_OK;
    if (row->of->bytes != row->bytes) return WARD_EINVAL;
    if (row->kind == WARD_LIST && !is_inside(type, row->count_offset, sizeof(size_t)))
        return WARD_EINVAL;
    return type_check(row->of, depth + 1);
}

/* `depth` counts structs; a text or blob in a list is a leaf. */
static ward_status type_check(const ward_type *type, unsigned depth)
{
    ward_status rc = WARD_OK;

    if (!type->name) return WARD_EINVAL;
    if (type->form != WARD_FORM_STRUCT) {
        bool is_empty = type->form == WARD_FORM_EMPTY;

        if (type->form > WARD_FORM_EMPTY || type->fields_count) return WARD_EINVAL;
        return type->bytes == (is_empty ? 0 : sizeof(void *)) ? WARD_OK : WARD_EINVAL;
    }
    if (!type->bytes || depth > WARD__TYPE_DEPTH_MAX) return WARD_EINVAL;
    if (type->fields_count && !type->fields) return WARD_EINVAL;
    for (uint32_t i = 0; !rc && i < type->fields_count; i++)
        rc = row_check(type, &type->fields[i], depth);
    return rc;
}

ward_status ward__type_check(const ward_type *type)
{
    return type ? type_check(type, 1) : WARD_EINVAL;
}

static bool type_same(const ward_type *a, const ward_type *b, unsigned depth);

static bool row_same(const ward_field *a, const ward_field *b, unsigned depth)
{
    if (a->kind != b->kind || a->offset != b->offset || a->bytes != b->bytes) return false;
    if (a->count_offset != b->count_offset || strcmp(a->name, b->name) != 0) return false;
    return a->kind < WARD_STRUCT || type_same(a->of, b->of, depth + 1);
}

static bool type_same(const ward_type *a, const ward_type *b, unsigned depth)
{
    bool same;

    if (a == b) return true;
    if (a->form != b->form || a->bytes != b->bytes || a->fields_count != b->fields_count)
        return false;
    same = depth <= WARD__TYPE_DEPTH_MAX + 1 && strcmp(a->name, b->name) == 0;
    for (uint32_t i = 0; same && i < a->fields_count; i++)
        same = row_same(&a->fields[i], &b->fields[i], depth);
    return same;
}

bool ward__type_same(const ward_type *a, const ward_type *b)
{
    if (ward__likely(a == b)) return true;
    /* Most types that differ have other names, and nothing else of them need be looked at. One
     * that is malformed is the same as itself only: it never was in a message. */
    if (!a || !b || !a->name || !b->name || strcmp(a->name, b->name) != 0) return false;
    if (ward__type_check(a) || ward__type_check(b)) return false;
    return type_same(a, b, 1);
}

bool ward__type_has_blobs(const ward_type *type)
{
    bool found = type->form == WARD_FORM_BLOB;

    if (type->form != WARD_FORM_STRUCT) return found;
    for (uint32_t i = 0; !found && i < type->fields_count; i++) {
        const ward_field *row = &type->fields[i];
        found =
            row->kind == WARD_BLOB || (row->kind >= WARD_STRUCT && ward__type_has_blobs(row->of));
    }
    return found;
}

/* True when a copy of the bytes is a copy of the value. */
static bool is_flat(const ward_type *type)
{
    bool flat = type->form == WARD_FORM_STRUCT;

    for (uint32_t i = 0; flat && i < type->fields_count; i++) {
        const ward_field *row = &type->fields[i];
        flat = row->kind < WARD_TEXT || row->kind == WARD_REF ||
               (row->kind == WARD_STRUCT && is_flat(row->of));
    }
    return flat;
}

/* -- copying ----------------------------------------------------------------------------------- */

struct copy {
    struct ward__layout to; /* no block: measure */
    bool has_blobs;
};

_Static_assert(offsetof(ward_bytes, at) == 0, "a pointer is stored at the start of ward_bytes");

static ward_status copy_rows(struct copy *copy, const ward_type *type, const char *from, char *to);

static void *load(const char *at)
{
    void *pointer;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

/* Turns the pointer at `slot` to its piece, unless nothing is being filled. */
static void store(char *slot, const char *piece)
{
    if (slot) memcpy(slot, &piece, sizeof piece);
}

static ward_status copy_bytes(struct copy *copy, ward_bytes bytes, char *slot)
{
    char *piece;

    if (!bytes.at) return bytes.count ? WARD_EINVAL : WARD_OK;
    if (!ward__layout_take(&copy->to, bytes.count, 1, &piece)) return WARD_ETOOBIG;
    if (piece && bytes.count) memcpy(piece, bytes.at, bytes.count);
    store(slot, piece);
    return WARD_OK;
}

static ward_status copy_text(struct copy *copy, const char *text, char *slot)
{
    size_t room = copy->to.max - copy->to.used;

    if (!text) return WARD_OK;
    /* One that is cut off at the room there is does not fit with its NUL. */
    return copy_bytes(copy, (ward_bytes){ text, strnlen(text, room) + 1 }, slot);
}

static void copy_blob(struct copy *copy, const ward_blob *blob)
{
    if (!blob) return;
    if (copy->to.block) ward__blob_hold(blob);
    copy->has_blobs = true;
}

static ward_status copy_list(struct copy *copy, const ward_field *row, const char *from, char *to)
{
    const ward_type *of = row->of;
    const char *elements = load(from + row->offset);
    ward_status rc = WARD_OK;
    size_t count;
    char *piece;

    memcpy(&count, from + row->count_offset, sizeof count);
    if (!elements) return count ? WARD_EINVAL : WARD_OK;
    if (!ward__layout_take_list(&copy->to, count, of->bytes, &piece)) return WARD_ETOOBIG;
    if (piece && count) memcpy(piece, elements, count * of->bytes);
    store(to ? to + row->offset : NULL, piece);
    if (is_flat(of)) return WARD_OK;
    for (size_t i = 0; !rc && i < count; i++) {
        const char *element = elements + i * of->bytes;
        char *element_to = piece ? piece + i * of->bytes : NULL;

        if (of->form == WARD_FORM_TEXT)
            rc = copy_text(copy, load(element), element_to);
        else if (of->form == WARD_FORM_BLOB)
            copy_blob(copy, load(element));
        else
            rc = copy_rows(copy, of, element, element_to);
    }
    return rc;
}

static ward_status copy_row(struct copy *copy, const ward_field *row, const char *from, char *to)
{
    const char *member = from + row->offset;
    char *slot = to ? to + row->offset : NULL;
    ward_bytes bytes;

    switch (row->kind) {
    case WARD_TEXT: return copy_text(copy, load(member), slot);
    case WARD_BYTES:
        memcpy(&bytes, member, sizeof bytes);
        return copy_bytes(copy, bytes, slot); /* the count is there already */
    case WARD_BLOB: copy_blob(copy, load(member)); return WARD_OK;
    case WARD_STRUCT: return copy_rows(copy, row->of, member, slot);
    case WARD_LIST: return copy_list(copy, row, from, to);
    case WARD_INT:
    case WARD_UINT:
    case WARD_REAL:
    case WARD_BOOL:
    case WARD_REF: break;
    }
    return WARD_OK;
}

/* What the pointers of a struct lead to; the struct itself is there already. */
static ward_status copy_rows(struct copy *copy, const ward_type *type, const char *from, char *to)
{
    ward_status rc = WARD_OK;

    for (uint32_t i = 0; !rc && i < type->fields_count; i++)
        rc = copy_row(copy, &type->fields[i], from, to);
    return rc;
}

static bool is_plain(const ward_type *type)
{
    return type->form == WARD_FORM_STRUCT && type->fields_count == 0;
}

static ward_status copy_struct(struct copy *copy, const ward_type *type, const void *value)
{
    char *piece;

    if (!ward__layout_take(&copy->to, type->bytes, 1, &piece)) return WARD_ETOOBIG;
    if (piece) memcpy(piece, value, type->bytes);
    return copy_rows(copy, type, value, piece);
}

static ward_status copy_value(struct copy *copy, const ward_type *type, const void *value)
{
    char *piece;

    switch (type->form) {
    case WARD_FORM_STRUCT: return value ? copy_struct(copy, type, value) : WARD_EINVAL;
    case WARD_FORM_TEXT: return value ? copy_text(copy, value, NULL) : WARD_ENOMEM;
    case WARD_FORM_BLOB:
        if (!value) return WARD_EINVAL;
        if (!ward__layout_take(&copy->to, sizeof value, 1, &piece)) return WARD_ETOOBIG;
        store(piece, value);
        copy_blob(copy, value);
        return WARD_OK;
    case WARD_FORM_EMPTY: break;
    }
    return WARD_OK;
}

ward_status ward__value_bytes(
    const ward_type *type, const void *value, size_t max, size_t *bytes, bool *has_blobs)
{
    struct copy copy = { .to = { .max = max } };
    ward_status rc = ward__type_check(type);

    if (rc) return rc;
    if (is_plain(type) && value && type->bytes <= max) { /* most of what is sent */
        *bytes = type->bytes;
        *has_blobs = false;
        return WARD_OK;
    }
    rc = copy_value(&copy, type, value);
    if (rc) return rc;
    *bytes = copy.to.used;
    *has_blobs = copy.has_blobs;
    return WARD_OK;
}

void ward__value_copy(const ward_type *type, const void *value, void *block, size_t bytes)
{
    struct copy copy = { .to = { .block = block, .max = bytes } };
    ward_status rc;

    if (is_plain(type)) {
        memcpy(block, value, bytes);
        return;
    }
    rc = copy_value(&copy, type, value);
    /* It was measured; only a source that somebody writes to can come out longer or shorter. */
    ward__assert(rc == WARD_OK && copy.to.used == bytes);
}

/* -- blobs in a block -------------------------------------------------------------------------- */

/* Calls fn for each blob; the sum of what it returns. */
typedef size_t blob_fn(const ward_blob *blob);

static size_t each_blob(const ward_type *type, const char *at, blob_fn *fn);

static size_t each_blob_of_list(const ward_field *row, const char *at, blob_fn *fn)
{
    const char *elements = load(at + row->offset);
    size_t count, sum = 0;

    memcpy(&count, at + row->count_offset, sizeof count);
    if (!elements || !ward__type_has_blobs(row->of)) return 0;
    for (size_t i = 0; i < count; i++)
        sum += each_blob(row->of, elements + i * row->bytes, fn);
    return sum;
}

static size_t each_blob(const ward_type *type, const char *at, blob_fn *fn)
{
    size_t sum = 0;

    if (type->form == WARD_FORM_BLOB) return fn(load(at));
    if (type->form != WARD_FORM_STRUCT) return 0;
    for (uint32_t i = 0; i < type->fields_count; i++) {
        const ward_field *row = &type->fields[i];

        if (row->kind == WARD_BLOB)
            sum += fn(load(at + row->offset));
        else if (row->kind == WARD_STRUCT)
            sum += each_blob(row->of, at + row->offset, fn);
        else if (row->kind == WARD_LIST)
            sum += each_blob_of_list(row, at, fn);
    }
    return sum;
}

static size_t drop_one(const ward_blob *blob)
{
    ward__blob_drop(blob);
    return 0;
}

static size_t bytes_of_one(const ward_blob *blob)
{
    return ward__blob_bytes(blob).count;
}

void ward__value_drop(const ward_type *type, void *block)
{
    (void)each_blob(type, block, drop_one);
}

size_t ward__value_blob_bytes(const ward_type *type, const void *block)
{
    return each_blob(type, block, bytes_of_one);
}

const void *ward__value_of(const ward_type *type, const void *block)
{
    switch (type->form) {
    case WARD_FORM_STRUCT:
    case WARD_FORM_TEXT: return block;
    case WARD_FORM_BLOB: return load(block);
    case WARD_FORM_EMPTY: break;
    }
    return NULL;
}
