/* SPDX-License-Identifier: MIT */
/*
 * blob.h - immutable bytes shared by reference: a count, and either the bytes right behind the
 * header or memory of the user's with a function that gives it back. The heap it was made in must
 * outlive it, and pays for the bytes in both cases. Knows nothing of messages. Any thread.
 */
#ifndef WARD_MAILBOX_BLOB_H
#define WARD_MAILBOX_BLOB_H

#include <ward/ward.h>

#include "base/alloc.h"

/* A blob with one reference, the caller's. copy: the bytes are copied. wrap: they are taken over,
 * and release(arg) is called once when the last reference is gone, by the thread that dropped it;
 * NULL: nothing to call. When wrap fails nothing is taken over.
 * Errors: WARD_EINVAL (NULL with a count), WARD_ENOMEM. */
ward_status ward__blob_new(struct ward__heap *heap, ward_blob **out, ward_bytes bytes);
ward_status ward__blob_wrap(struct ward__heap *heap, ward_blob **out, ward_bytes bytes,
    void (*release)(void *arg), void *arg);

/* One more reference; the caller has one, so the blob is alive. */
ward_blob *ward__blob_hold(const ward_blob *blob);

/* One less; the last one frees. NULL: nothing. */
void ward__blob_drop(const ward_blob *blob);

/* Zero bytes for NULL. */
ward_bytes ward__blob_bytes(const ward_blob *blob);

#endif
