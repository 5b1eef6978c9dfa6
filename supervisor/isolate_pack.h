/* SPDX-License-Identifier: MIT */
/*
 * isolate_pack.h - a value as bytes for another process of the same program, and back.
 *
 * Written by the field table, in the machine's own form: both ends are the same executable. What
 * comes back is looked at as bytes from a stranger all the same, because the process that wrote
 * them may have been taken over: counts are bounded by the bytes there are, texts have no NUL in
 * them, a bool is 0 or 1. Knows types and blobs; no processes. Pure functions, any thread.
 */
#ifndef WARD_SUPERVISOR_ISOLATE_PACK_H
#define WARD_SUPERVISOR_ISOLATE_PACK_H

#include "mailbox/mail.h"

/* Place of a type in the table, from 1; 0: it is not there. */
uint32_t ward__pack_place(const ward_table *table, const ward_type *type);

/* Whether values of that type can leave the process: no struct without fields in it. */
bool ward__pack_possible(const ward_type *type);

/* Bytes of the packed value, which ward__value_bytes has accepted; its blobs are among them. */
size_t ward__packed_bytes(const ward_type *type, const void *value);
void ward__pack(const ward_type *type, const void *value, void *out, size_t bytes);

/* Makes a message record of packed bytes. asks: leaves room for a token.
 * Errors: WARD_EINVAL: they are no such value; WARD_ETOOBIG; WARD_ENOMEM. */
struct ward__packed {
    const ward_type *type;
    const void *at;
    size_t count;
    size_t blob_max;
};
ward_status ward__unpack(
    struct ward__pool *pool, struct ward_msg *mail, bool asks, const struct ward__packed *packed);

#endif
