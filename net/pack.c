/* SPDX-License-Identifier: MIT */
/*
 * pack.c - the growing buffer and the packer's way into it. One thread at a time.
 */
#include "net/pack.h"

#include <string.h>

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

/* What the packer calls for each piece. */
static int append(void *arg, const char *bytes, size_t count)
{
    struct ward__pack *pack = arg;
    struct ward__buf *buf = pack->buf;

    if (pack->rc) return -1;
    if (count > pack->max - buf->bytes)
        pack->rc = WARD_ETOOBIG;
    else if (!ward__buf_room(buf, count))
        pack->rc = WARD_ENOMEM;
    if (pack->rc) return -1;
    if (count) memcpy(buf->data + buf->bytes, bytes, count);
    buf->bytes += count;
    return 0;
}

void ward__pack_init(struct ward__pack *pack, struct ward__buf *buf, size_t bytes_max)
{
    bool overflows = bytes_max > SIZE_MAX - buf->bytes;

    *pack = (struct ward__pack){ .buf = buf };
    pack->max = overflows ? SIZE_MAX : buf->bytes + bytes_max;
    msgpack_packer_init(&pack->packer, pack, append);
}

/* msgpack's lengths have 32 bits, and the packer cuts off what is over. */
static bool fits(struct ward__pack *pack, size_t count)
{
    if (pack->rc) return false;
    if (count > UINT32_MAX || count > pack->max - pack->buf->bytes) pack->rc = WARD_ETOOBIG;
    return !pack->rc;
}

void ward__pack_text(struct ward__pack *pack, ward_bytes text)
{
    if (!fits(pack, text.count)) return;
    msgpack_pack_str(&pack->packer, text.count);
    msgpack_pack_str_body(&pack->packer, text.at, text.count);
}

void ward__pack_bin(struct ward__pack *pack, ward_bytes bytes)
{
    if (!fits(pack, bytes.count)) return;
    msgpack_pack_bin(&pack->packer, bytes.count);
    msgpack_pack_bin_body(&pack->packer, bytes.at, bytes.count);
}

void ward__pack_array(struct ward__pack *pack, size_t count)
{
    if (fits(pack, count)) msgpack_pack_array(&pack->packer, count);
}
