/* SPDX-License-Identifier: MIT */
/*
 * pack.c - the growing buffer and what has a length. One thread at a time.
 */
#include "net/pack.h"

enum { FIRST_BYTES = 256 };

bool ward__buf_room(struct ward__buf *buf, size_t bytes)
{
    size_t need, cap = buf->cap > FIRST_BYTES / 2 ? buf->cap : FIRST_BYTES / 2;
    void *data;

    if (bytes <= buf->cap - buf->bytes) return true;
    if (bytes > SIZE_MAX / 4 - buf->bytes) return false;
    need = buf->bytes + bytes;
    do {
        cap *= 2;
    } while (cap < need);
    data = ward__realloc(buf->heap, buf->data, buf->cap, cap);
    if (!data) return false;
    buf->data = data;
    buf->cap = cap;
    return true;
}

void ward__buf_drop(struct ward__buf *buf)
{
    ward__free(buf->heap, buf->data, buf->cap);
    *buf = (struct ward__buf){ .heap = buf->heap };
}

static size_t end_of(const struct ward__pack *pack)
{
    return pack->buf->cap < pack->max ? pack->buf->cap : pack->max;
}

void ward__pack_init(struct ward__pack *pack, struct ward__buf *buf, size_t bytes_max)
{
    bool overflows = bytes_max > SIZE_MAX - buf->bytes;

    *pack = (struct ward__pack){ .buf = buf };
    pack->max = overflows ? SIZE_MAX : buf->bytes + bytes_max;
    pack->end = end_of(pack);
}

void ward__pack_fail(struct ward__pack *pack, ward_status rc)
{
    if (!pack->rc) pack->rc = rc;
    pack->end = pack->buf->bytes;
}

bool ward__pack_grow(struct ward__pack *pack, size_t count)
{
    if (pack->rc) return false;
    if (count > pack->max - pack->buf->bytes)
        ward__pack_fail(pack, WARD_ETOOBIG);
    else if (!ward__buf_room(pack->buf, count))
        ward__pack_fail(pack, WARD_ENOMEM);
    else
        pack->end = end_of(pack);
    return !pack->rc;
}

/* msgpack's lengths have 32 bits, and the packer cuts off what is over. */
static bool fits(struct ward__pack *pack, size_t count)
{
    if (count <= pack->end - pack->buf->bytes && count <= UINT32_MAX) return true;
    if (pack->rc) return false;
    if (count > UINT32_MAX || count > pack->max - pack->buf->bytes)
        ward__pack_fail(pack, WARD_ETOOBIG);
    return !pack->rc;
}

void ward__pack_text(struct ward__pack *pack, ward_bytes text)
{
    if (!fits(pack, text.count)) return;
    ward__put_str(pack, text.count);
    ward__put_str_body(pack, text.at, text.count);
}

void ward__pack_bin(struct ward__pack *pack, ward_bytes bytes)
{
    if (!fits(pack, bytes.count)) return;
    ward__put_bin(pack, bytes.count);
    ward__put_bin_body(pack, bytes.at, bytes.count);
}

void ward__pack_array(struct ward__pack *pack, size_t count)
{
    if (fits(pack, count)) ward__put_array(pack, count);
}
