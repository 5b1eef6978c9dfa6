/* SPDX-License-Identifier: MIT */
/*
 * pack.h - writes msgpack into a buffer that grows, through msgpack-c's packer.
 *
 * Errors stick: after the first one all further writes are ignored, so a caller packs a whole
 * thing and looks at `rc` once. Knows nothing of frames. One thread at a time.
 */
#ifndef WARD_NET_PACK_H
#define WARD_NET_PACK_H

#include <msgpack/pack.h>
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

struct ward__pack {
    msgpack_packer packer; /* use it with msgpack_pack_* for all that has no length */
    struct ward__buf *buf;
    size_t max; /* buf->bytes does not go over it */
    ward_status rc; /* WARD_OK, WARD_ENOMEM, WARD_ETOOBIG, or what the caller put there */
};

/* At most bytes_max more bytes into buf. */
void ward__pack_init(struct ward__pack *pack, struct ward__buf *buf, size_t bytes_max);

/* These refuse a length that msgpack or the limit has no room for before they write of it. */
void ward__pack_text(struct ward__pack *pack, ward_bytes text);
void ward__pack_bin(struct ward__pack *pack, ward_bytes bytes);
void ward__pack_array(struct ward__pack *pack, size_t count);

#endif
