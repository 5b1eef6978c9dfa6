/* SPDX-License-Identifier: MIT */
/*
 * fuzz_wire.c - anything at all as what came over a link.
 *
 * The input is read as frames one after the other, as a link does it, and once more as a value
 * alone, its first byte choosing the type, so that the fuzzer need not first find a frame around
 * it. What is taken must come out the same when it is packed and read again, and nothing may be
 * left in the heap. The corpus is one frame or value a file, named after what is in it: those of
 * tests/unit/net_wire_test.c, and what a fuzzer found. One thread.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "mailbox/value.h"
#include "net/cursor.h"
#include "net/wire.h"
#include "tests/support/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { VALUE_MAX = 1 << 16, BLOB_MAX = 1 << 12, FRAME_MAX = 1 << 20, TYPES = 8 };

static const ward_type *const types[TYPES] = { &ALL, &NUMBERS, &SHEET, &POINT, &TEXT, &BLOB, &EMPTY,
    &PLAIN };
static const ward_table table = { .types = types, .types_count = TYPES };

static bool bytes_same(ward_bytes a, ward_bytes b)
{
    if (!a.at || !b.at) return a.at == b.at;
    return a.count == b.count && memcmp(a.at, b.at, a.count) == 0;
}

static void pack_again(struct ward__buf *buf, const ward_type *type, const void *block)
{
    struct ward__pack pack;

    ward__pack_init(&pack, buf, SIZE_MAX);
    ward__wire_pack_value(&pack, type, ward__value_of(type, block));
    ward__assert(pack.rc == WARD_OK);
}

/* The block of a value, or NULL when it was refused. The caller drops and frees it. */
static void *unpack(
    struct ward__heap *heap, const ward_type *type, ward_bytes value, size_t *block_bytes)
{
    struct ward__wire_max max = { VALUE_MAX, BLOB_MAX, NULL };
    bool has_blobs;
    char *block;

    if (ward__wire_value_bytes(type, value, max, block_bytes, &has_blobs)) return NULL;
    ward__assert(*block_bytes <= VALUE_MAX);
    block = malloc(*block_bytes ? *block_bytes : 1);
    ward__assert(ward__wire_value_copy(heap, type, value, block, *block_bytes) == WARD_OK);
    ward__assert(!has_blobs || ward__type_has_blobs(type));
    return block;
}

static void try_value(struct ward__heap *heap, const ward_type *type, ward_bytes value)
{
    struct ward__buf once = { .heap = heap }, twice = { .heap = heap };
    size_t block_bytes, again_bytes, copy_bytes;
    bool has_blobs;
    void *block = unpack(heap, type, value, &block_bytes), *again;

    if (!block) return;
    pack_again(&once, type, block);
    again = unpack(heap, type, (ward_bytes){ once.data, once.bytes }, &again_bytes);
    ward__assert(again && again_bytes == block_bytes);
    pack_again(&twice, type, again);
    ward__assert(
        bytes_same((ward_bytes){ once.data, once.bytes }, (ward_bytes){ twice.data, twice.bytes }));
    ward__assert(ward__value_bytes(type, ward__value_of(type, block), VALUE_MAX, &copy_bytes,
                     &has_blobs) == WARD_OK);
    ward__assert(copy_bytes == block_bytes);
    ward__value_drop(type, block);
    ward__value_drop(type, again);
    free(block);
    free(again);
    ward__buf_drop(&once);
    ward__buf_drop(&twice);
}

static void try_frame(struct ward__heap *heap, ward_bytes bytes)
{
    struct ward__buf once = { .heap = heap }, twice = { .heap = heap };
    struct ward__frame frame, again;
    const ward_type *type;

    if (ward__wire_read(&frame, bytes)) return;
    ward__assert(ward__wire_put(&once, &frame, UINT32_MAX) == WARD_OK);
    ward__assert(ward__wire_read(&again, (ward_bytes){ once.data, once.bytes }) == WARD_OK);
    ward__assert(bytes_same(frame.text, again.text) && bytes_same(frame.value, again.value));
    ward__assert(bytes_same(frame.type_name, again.type_name));
    ward__assert(frame.kind == again.kind && frame.id == again.id && frame.life == again.life);
    ward__assert(ward__wire_put(&twice, &again, UINT32_MAX) == WARD_OK);
    ward__assert(
        bytes_same((ward_bytes){ once.data, once.bytes }, (ward_bytes){ twice.data, twice.bytes }));
    ward__buf_drop(&once);
    ward__buf_drop(&twice);
    type = frame.value.at ? ward__wire_type(NULL, &table, frame.type_name) : NULL;
    if (type) try_value(heap, type, frame.value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    ward_bytes in = { data, bytes };
    struct ward__heap heap;
    size_t length;

    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    while (ward__wire_frame(in, FRAME_MAX, &length) == WARD_OK && length && length <= in.count) {
        try_frame(&heap, (ward_bytes){ in.at, length });
        in = (ward_bytes){ (const uint8_t *)in.at + length, in.count - length };
    }
    if (bytes) {
        ward_bytes value = { data + 1, bytes - 1 };

        (void)ward__cursor_check(value);
        try_value(&heap, types[data[0] % TYPES], value);
    }
    ward__assert(ward__load(&heap.bytes) == 0);
    return 0;
}
