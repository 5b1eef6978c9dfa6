/* SPDX-License-Identifier: MIT */
/*
 * wire_fixture.h - what the tests of frames and of values on the wire start from: a heap that must
 * be empty in the end, a buffer to pack into, two blobs and a sample value that holds them.
 *
 * Included once in a test file, which gives with_buffer and nothing_left to its TestSuite.
 */
#ifndef WARD_TESTS_SUPPORT_WIRE_FIXTURE_H
#define WARD_TESTS_SUPPORT_WIRE_FIXTURE_H

#include <criterion/criterion.h>
#include <string.h>

#include "base/assert.h"
#include "mailbox/blob.h"
#include "net/wire.h"
#include "tests/support/values.h"

static struct ward__heap heap;
static struct ward__buf buf;
static ward_blob *one, *two;
static struct sample sample;

static void with_buffer(void)
{
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    buf = (struct ward__buf){ .heap = &heap };
    cr_assert_eq(ward__blob_new(&heap, &one, (ward_bytes){ "first blob", 10 }), WARD_OK);
    cr_assert_eq(ward__blob_new(&heap, &two, (ward_bytes){ NULL, 0 }), WARD_OK);
    sample_fill(&sample, one, two);
}

/* Criterion passes over an assertion that fails in here, but not over an abort. */
static void nothing_left(void)
{
    ward__buf_drop(&buf);
    ward__blob_drop(one);
    ward__blob_drop(two);
    ward__assert(ward__load(&heap.bytes) == 0);
}

static bool bytes_same(ward_bytes a, ward_bytes b)
{
    if (!a.at || !b.at) return a.at == b.at;
    return a.count == b.count && memcmp(a.at, b.at, a.count) == 0;
}

#endif
