/* SPDX-License-Identifier: MIT */
/*
 * value.h - a message's value as one flat block: the struct first, then its strings, bytes and
 * lists, each where its alignment wants it, with the pointers of the struct turned to them. A
 * block is filled once, does not move afterwards, and is freed as a whole; only the blobs in it
 * are counted references, so they are dropped first.
 *
 * What is NULL in the source is NULL in the copy, and nothing else is. Knows the field tables of
 * ward.h and blobs; knows no messages and no mailboxes. Pure functions: any thread, and that
 * nobody writes to the source meanwhile is the caller's matter.
 */
#ifndef WARD_MAILBOX_VALUE_H
#define WARD_MAILBOX_VALUE_H

#include <stddef.h>
#include <ward/ward.h>

/* Structs inside structs and lists, the outermost counted. */
enum { WARD__TYPE_DEPTH_MAX = 8 };

/* WARD_EINVAL for a malformed type: unknown kinds, widths no member can have, members outside of
 * the struct, nested types that are missing, of the wrong size or too deep. What may be nested:
 * under STRUCT a struct type; under LIST a struct, text or blob type, whose elements are then
 * structs, `const char *` or `const ward_blob *`. A few ns a row; next to nothing without rows. */
ward_status ward__type_check(const ward_type *type);

/* Equal by name, form, bytes and rows. */
bool ward__type_same(const ward_type *a, const ward_type *b);

/* Whether values of that type can hold blobs. The type must have passed ward__type_check. */
bool ward__type_has_blobs(const ward_type *type);

/* The bytes of the flat copy of `value`, which is what ward_send takes: a pointer to the struct,
 * the string, the blob, or anything for an empty type. *has_blobs: this value holds some. Errors:
 * WARD_EINVAL for the type, a NULL value, or a NULL pointer with a count; WARD_ENOMEM for a NULL
 * string (a ward_textf that failed); WARD_ETOOBIG over max. On error nothing is written. */
ward_status ward__value_bytes(
    const ward_type *type, const void *value, size_t max, size_t *bytes, bool *has_blobs);

/* Fills a block with what ward__value_bytes measured, and takes one reference of each blob. The
 * block is aligned to 16; for what has no long double, __int128 or vector in it, to 8 is enough. */
void ward__value_copy(const ward_type *type, const void *value, void *block, size_t bytes);

/* Drops the references to blobs. The block may be zeroed in parts, as one half made is. */
void ward__value_drop(const ward_type *type, void *block);

/* The value in a block, as ward_value hands it out: the struct, the string, the blob, NULL. */
const void *ward__value_of(const ward_type *type, const void *block);

/* The bytes in all blobs of a block, each counted as often as it is there. */
size_t ward__value_blob_bytes(const ward_type *type, const void *block);

/* -- laying out: shared with the decoder of net/, so that both make the same blocks ------------ */

/* With block NULL only measures. used <= max always holds. */
struct ward__layout {
    char *block;
    size_t used, max;
};

/* The alignment of an array element of that size: alignof divides sizeof, so the lowest bit set
 * is enough, up to that of max_align_t. */
static inline size_t ward__align_of(size_t element_bytes)
{
    size_t lowest = element_bytes & (~element_bytes + 1);
    return lowest > 16 ? 16 : lowest;
}

/* Takes the next piece; false when it goes over max, and then nothing is taken. */
static inline bool ward__layout_take(
    struct ward__layout *layout, size_t bytes, size_t align, char **piece)
{
    size_t pad = (~layout->used + 1) & (align - 1);
    size_t room = layout->max - layout->used;

    if (pad > room || bytes > room - pad) return false;
    *piece = layout->block ? layout->block + layout->used + pad : NULL;
    layout->used += pad + bytes;
    return true;
}

/* The same for count elements, overflow included. */
static inline bool ward__layout_take_list(
    struct ward__layout *layout, size_t count, size_t element_bytes, char **piece)
{
    if (count > layout->max / element_bytes) return false;
    return ward__layout_take(layout, count * element_bytes, ward__align_of(element_bytes), piece);
}

#endif
