/* SPDX-License-Identifier: MIT */
/*
 * pack.h - writes msgpack into a buffer that grows. The writers are msgpack-c's, made here from its
 * template with an append of our own: called through a pointer for each piece, as its packer does,
 * packing was half of what a send over a link cost.
 *
 * Errors stick: after the first one all further writes are ignored, so a caller packs a whole
 * thing and looks at `rc` once. Knows nothing of frames. One thread at a time.
 */
#ifndef WARD_NET_PACK_H
#define WARD_NET_PACK_H

#include <limits.h>
#include <msgpack/sysdep.h>
#include <msgpack/timestamp.h>
#include <string.h>
#include <ward/ward.h>

#include "base/alloc.h"

/* Bytes that grow at the end. {.heap = heap} is an empty one. */
struct ward__buf {
    uint8_t *data;
    size_t bytes, cap;
    struct ward__heap *heap;
};

/* Room for so many more bytes behind buf->bytes; false: no memory, and nothing has changed. */
bool ward__buf_room(struct ward__buf *buf, size_t bytes);

/* Frees the memory; the buffer is empty and can be used again. */
void ward__buf_drop(struct ward__buf *buf);

struct ward__known;

struct ward__pack {
    struct ward__buf *buf;
    size_t max; /* buf->bytes does not go over it */
    size_t end; /* nor, without growing, over this; after an error nothing fits */
    struct ward__known *known; /* see wire.h */
    ward_status rc; /* WARD_OK, WARD_ENOMEM, WARD_ETOOBIG, or what the caller put there */
};

/* At most bytes_max more bytes into buf. */
void ward__pack_init(struct ward__pack *pack, struct ward__buf *buf, size_t bytes_max);
/* The first error; what was packed before it is the caller's to take back. */
void ward__pack_fail(struct ward__pack *pack, ward_status rc);
/* Makes room, or fails. */
bool ward__pack_grow(struct ward__pack *pack, size_t count);

static inline int ward__pack_append(struct ward__pack *pack, const void *bytes, size_t count)
{
    struct ward__buf *buf = pack->buf;

    if (count > pack->end - buf->bytes && !ward__pack_grow(pack, count)) return -1;
    if (count) memcpy(buf->data + buf->bytes, bytes, count);
    buf->bytes += count;
    return 0;
}

/* ward__put_uint64(pack, number) and so on. They are not for what has a length. */
#define msgpack_pack_inline_func(name) static inline int ward__put##name
#define msgpack_pack_inline_func_cint(name) static inline int ward__put##name
#define msgpack_pack_inline_func_fixint(name) static inline int ward__put_fix##name
#define msgpack_pack_user struct ward__pack *
#define msgpack_pack_append_buffer(user, bytes, count) \
    return ward__pack_append((user), (bytes), (count))
#define msgpack_pack_ext ward__put_ext /* the template calls it by that name */
#include <msgpack/pack_template.h>
#undef msgpack_pack_ext

/* These refuse a length that msgpack or the limit has no room for before they write of it. */
void ward__pack_text(struct ward__pack *pack, ward_bytes text);
void ward__pack_bin(struct ward__pack *pack, ward_bytes bytes);
void ward__pack_array(struct ward__pack *pack, size_t count);

#endif
