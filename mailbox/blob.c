/* SPDX-License-Identifier: MIT */
/*
 * blob.c - shared immutable bytes with a counted end. The bytes are written before the blob is
 * handed to anybody and never again, so readers need no order of their own: whoever got the blob
 * got it through a mailbox or a lock. Only the end needs one, see ward__blob_drop. The count is
 * a word of 64 bits, which cannot overflow in the life of a machine. Any thread.
 */
#include "mailbox/blob.h"

#include <string.h>

#include "base/assert.h"

struct ward_blob {
    _Atomic uint64_t refs;
    struct ward__heap *heap;
    ward_bytes bytes;
    void (*release)(void *arg); /* of wrapped memory; NULL: none */
    void *arg;
    bool wrapped;
};

/* Copied bytes start behind the header, aligned for anything. */
enum { HEADER_BYTES = (sizeof(struct ward_blob) + 15) & ~(size_t)15 };

static struct ward_blob *blob_made(struct ward__heap *heap, size_t bytes)
{
    struct ward_blob *blob = ward__alloc(heap, bytes);

    if (!blob) return NULL;
    *blob = (struct ward_blob){ .heap = heap };
    ward__store(&blob->refs, 1);
    return blob;
}

ward_status ward__blob_new(struct ward__heap *heap, ward_blob **out, ward_bytes bytes)
{
    struct ward_blob *blob;
    char *to;

    if (!bytes.at && bytes.count) return WARD_EINVAL;
    if (bytes.count > SIZE_MAX - HEADER_BYTES) return WARD_ENOMEM;
    blob = blob_made(heap, HEADER_BYTES + bytes.count);
    if (!blob) return WARD_ENOMEM;
    to = (char *)blob + HEADER_BYTES;
    if (bytes.count) memcpy(to, bytes.at, bytes.count);
    blob->bytes = (ward_bytes){ to, bytes.count };
    *out = blob;
    return WARD_OK;
}

ward_status ward__blob_wrap(struct ward__heap *heap, ward_blob **out, ward_bytes bytes,
    void (*release)(void *arg), void *arg)
{
    struct ward_blob *blob;

    if (!bytes.at && bytes.count) return WARD_EINVAL;
    if (!ward__heap_reserve(heap, bytes.count)) return WARD_ENOMEM;
    blob = blob_made(heap, HEADER_BYTES);
    if (!blob) {
        ward__heap_release(heap, bytes.count);
        return WARD_ENOMEM;
    }
    blob->bytes = bytes;
    blob->release = release;
    blob->arg = arg;
    blob->wrapped = true;
    *out = blob;
    return WARD_OK;
}

ward_blob *ward__blob_hold(const ward_blob *blob)
{
    ward_blob *held = (ward_blob *)blob;

    /* Relaxed: who holds one already has all there is to see, and a count publishes nothing. */
    uint64_t before = ward__add(&held->refs, 1);
    ward__assert(before > 0);
    return held;
}

static void blob_end(struct ward_blob *blob)
{
    struct ward__heap *heap = blob->heap;
    size_t count = blob->bytes.count;

    if (!blob->wrapped) {
        ward__free(heap, blob, HEADER_BYTES + count);
        return;
    }
    if (blob->release) blob->release(blob->arg);
    ward__free(heap, blob, HEADER_BYTES);
    ward__heap_release(heap, count);
}

void ward__blob_drop(const ward_blob *blob)
{
    ward_blob *dropped = (ward_blob *)blob;
    uint64_t before;

    if (!blob) return;
    /* Release: what this thread read of the bytes stays before its decrement. The last one then
     * acquires, and so comes after all those reads, before it frees. The load reads what the
     * decrements wrote, which are one release sequence; a fence would do as well, but
     * ThreadSanitizer does not know fences. */
    before = atomic_fetch_sub_explicit(&dropped->refs, 1, memory_order_release);
    ward__assert(before > 0);
    if (before > 1) return;
    (void)ward__load_acq(&dropped->refs);
    blob_end(dropped);
}

ward_bytes ward__blob_bytes(const ward_blob *blob)
{
    return blob ? blob->bytes : (ward_bytes){ NULL, 0 };
}

ward_bytes ward_blob_bytes(const ward_blob *blob)
{
    return ward__blob_bytes(blob);
}
