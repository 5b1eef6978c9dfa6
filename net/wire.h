/* SPDX-License-Identifier: MIT */
/*
 * wire.h - what goes over a link, as bytes: frames and the values in them. No sockets, no actors,
 * no memory but the buffer packed into and the blobs of a decoded value.
 *
 * A frame is a big-endian u32, the bytes of what follows; a u8, the kind; and one msgpack array,
 * the heads of that kind in the order of the table in wire.c. Nothing is optional and nothing may
 * follow. A value travels as a bin in its frame, so that a link can pass on, refuse or count a
 * message without looking into it.
 *
 * A session: both sides send HELLO at once and answer the other's with WELCOME, or with BYE and
 * the reason. A side takes the session for up when it has sent and received a WELCOME, and only
 * then sends anything else. HELLO's first two heads, magic and version, are for ever; of another
 * version nothing else is read. Ids are drawn by the side that asks; each direction has its own.
 * Time travels as what is left of it.
 */
#ifndef WARD_NET_WIRE_H
#define WARD_NET_WIRE_H

#include <ward/ward.h>

#include "net/pack.h"

enum {
    WARD__WIRE_VERSION = 2,
    WARD__FRAME_HEAD = 5, /* bytes of length and kind */
    /* What follows the length, in frames that carry no value; and in those before WELCOME. */
    WARD__FRAME_SMALL_MAX = 2048,
    WARD__FRAME_HELLO_MAX = 256,
    /* Bytes of texts; none has a NUL in it. */
    WARD__NODE_NAME_MAX = 127,
    WARD__WIRE_PATH_MAX = 1023,
    WARD__WHY_MAX = 191,
    WARD__TYPE_NAME_MAX = 255
};

enum ward__frame_kind {
    WARD__FRAME_HELLO = 1, /* who I am: version, text (name), node, incarnation, frame_max,
                              dead_ms */
    WARD__FRAME_WELCOME, /* I accept your HELLO */
    WARD__FRAME_BYE, /* I close this session: text (why) */
    WARD__FRAME_PING, /* I am there; written when nothing else was */
    WARD__FRAME_FIND, /* id, text (path from the root), ms_left; ended early by CANCEL */
    WARD__FRAME_FOUND, /* id of the FIND, status, and with WARD_OK slot and life */
    WARD__FRAME_SEND, /* slot, life, type_name, value */
    WARD__FRAME_REFUSED, /* slot, life, status: so many SENDs (count) were refused with it */
    WARD__FRAME_ASK, /* id, slot, life, ms_left, type_name, value */
    WARD__FRAME_REPLY, /* id of the ASK, status, and with WARD_OK type_name and value */
    WARD__FRAME_CANCEL, /* id of an ASK or FIND: who asked is gone */
    WARD__FRAME_MONITOR, /* id, slot, life */
    WARD__FRAME_DEMONITOR, /* id of the MONITOR */
    WARD__FRAME_DOWN, /* id of the MONITOR, reason, status, final, incarnation */
    WARD__FRAME_STOP, /* slot, life: ward_cancel, or with mail_only ward_close_mail */
    WARD__FRAME_FULL, /* slot, life: mail for it waits here for room; send it no more for now */
    WARD__FRAME_ROOM, /* slot, life: go on */
    WARD__FRAME_TAKEN, /* id: so many more bytes of what you wrote are off my hands */
    WARD__FRAME_KINDS /* one more than there are */
};

/* Types that went over a link lately, so that none is looked at twice in a row. Zeroed is empty.
 * One thread at a time. */
struct ward__known_type {
    const ward_type *type;
    uint32_t shape, name_bytes;
};
struct ward__known {
    struct ward__known_type by_type[16], by_name[16];
};

/* The heads of a frame. Read: texts and value lie in the bytes read. Heads that a kind has not
 * are zero, and are ignored when packed. */
struct ward__frame {
    enum ward__frame_kind kind;
    uint32_t slot;
    uint64_t life;
    uint64_t id;
    int64_t ms_left; /* -1: for ever */
    ward_status status;
    ward_reason reason;
    bool final, mail_only;
    uint32_t count;
    uint64_t incarnation; /* of the node in HELLO, of the actor in DOWN */
    uint32_t version, node, dead_ms;
    uint64_t frame_max; /* the longest length that the sender of this HELLO takes */
    ward_bytes text;
    ward_bytes type_name; /* .at NULL: there is none */
    ward_bytes value; /* as packed; well-formed msgpack, but not yet held against its type */
    /* To pack only: with a type, its name and the value of `source` (as for ward_send) are packed
     * instead of type_name and value. */
    const ward_type *type;
    const void *source;
};

/* How long the first frame of `in` is, its four bytes of length included; 0: they are not all
 * there. It is complete when in.count is as much. max bounds the length that is declared.
 * Errors, as soon as they can be seen: WARD_EINVAL (no length, unknown kind), WARD_ETOOBIG. */
ward_status ward__wire_frame(ward_bytes in, size_t max, size_t *frame_bytes);

/* Reads the one complete frame that `in` is. Errors: WARD_EINVAL: the peer does not keep to the
 * protocol, and the link should end. */
ward_status ward__wire_read(struct ward__frame *out, ward_bytes in);

/* The same in two steps, so that a value that is decoded is not walked once more before: what
 * ward__wire_value_bytes accepts is well formed, and only of what it refuses must be known if it
 * is. */
ward_status ward__wire_heads(struct ward__frame *out, ward_bytes in);
ward_status ward__wire_value_check(const struct ward__frame *frame);

/* Appends a frame of at most max declared bytes. Errors, and then buf is as it was: WARD_EINVAL
 * (a text too long, a type that cannot travel, what ward__value_bytes refuses), WARD_ENOMEM,
 * WARD_ETOOBIG. */
ward_status ward__wire_put(struct ward__buf *buf, const struct ward__frame *frame, size_t max);
/* The same with types that were looked at before. */
ward_status ward__wire_put_known(
    struct ward__buf *buf, const struct ward__frame *frame, size_t max, struct ward__known *known);

/* -- values ------------------------------------------------------------------------------------ */

/* A struct travels as an array: the shape of its type, then its rows. The shape is a hash of the
 * names and kinds of all rows, so that two processes with different field tables under one name
 * notice, also where the bytes would fit. It leaves out widths and offsets: a number is checked
 * against the member that takes it. NULL texts, bytes, blobs and lists are nil. */

/* For each type of a ward_table, once: WARD_EINVAL when values of it cannot travel (it or a type
 * in it is a struct without fields; a name is too long) or its rows overlap. */
ward_status ward__wire_type_check(const ward_type *type);

/* The type of that name; NULL: not in the table. The table and `known` may be NULL. */
const ward_type *ward__wire_type(
    struct ward__known *known, const ward_table *table, ward_bytes name);

/* What packing needs of a type; false: its values cannot travel. known may be NULL. */
bool ward__known_type(
    struct ward__known *known, const ward_type *type, struct ward__known_type *out);

/* Packs a value as it is in a frame. Errors are left in pack->rc. */
void ward__wire_pack_value(struct ward__pack *pack, const ward_type *type, const void *value);

/* What a receiver takes. */
struct ward__wire_max {
    size_t value_bytes; /* of the flat block, ward_opts.message_bytes_max */
    size_t blob_bytes; /* of one blob */
    struct ward__known *known; /* NULL: none */
};

/* The bytes of the flat block (mailbox/value.h) for a value in a frame, of this type. Errors:
 * WARD_EINVAL: it is not a value of this type (other rows, a wrong kind, a number the member
 * cannot hold, a text with a NUL in it) or the type cannot travel; WARD_ETOOBIG. */
ward_status ward__wire_value_bytes(const ward_type *type, ward_bytes value,
    struct ward__wire_max max, size_t *bytes, bool *has_blobs);

/* Fills a block of what ward__wire_value_bytes measured; the result is as if ward__value_copy had
 * made it, with new blobs in the heap. Errors: WARD_ENOMEM, and then there are no blobs. */
ward_status ward__wire_value_copy(
    struct ward__heap *heap, const ward_type *type, ward_bytes value, void *block, size_t bytes);

#endif
