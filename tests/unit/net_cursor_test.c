/* SPDX-License-Identifier: MIT */
/*
 * net_cursor_test.c - items are read to the byte, and what is cut off, too deep, lying about its
 * length or of a kind that ward does not write is refused.
 */
#include "net/cursor.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(cursor);

#define CHECK(...) \
    ward__cursor_check((ward_bytes){ \
        (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }) })

Test(cursor, takes_one_whole_item_and_nothing_more)
{
    cr_expect(CHECK(0xc0));
    cr_expect(CHECK(0x93, 1, 0xa1, 'x', 0x90));
    cr_expect_not(CHECK(0x93, 1, 0xa1, 'x'), "an element is missing");
    cr_expect_not(CHECK(0xc0, 0xc0), "something follows");
    cr_expect_not(ward__cursor_check((ward_bytes){ "", 0 }));
    cr_expect_not(ward__cursor_check((ward_bytes){ NULL, 0 }));
}

Test(cursor, refuses_what_ward_never_writes)
{
    cr_expect_not(CHECK(0x80), "map");
    cr_expect_not(CHECK(0xde, 0, 0), "map 16");
    cr_expect_not(CHECK(0xdf, 0, 0, 0, 0), "map 32");
    cr_expect_not(CHECK(0xc1), "unused");
    cr_expect_not(CHECK(0xc7, 0, 0), "ext 8");
    cr_expect_not(CHECK(0xd4, 0, 0), "fixext 1");
}

Test(cursor, believes_no_length)
{
    cr_expect_not(CHECK(0xdd, 0x0f, 0xff, 0xff, 0xff), "array 32");
    cr_expect_not(CHECK(0xdc, 0x00, 0x02, 0xc0), "array 16");
    cr_expect_not(CHECK(0xdb, 0xff, 0xff, 0xff, 0xff, 'x'), "str 32");
    cr_expect_not(CHECK(0xda, 0x00, 0x02, 'x'), "str 16");
    cr_expect_not(CHECK(0xc6, 0x00, 0x00, 0x00, 0x02, 'x'), "bin 32");
    cr_expect_not(CHECK(0xc4, 0x02, 'x'), "bin 8");
    cr_expect_not(CHECK(0xa2, 'x'), "fixstr");
    cr_expect_not(CHECK(0xcf, 0, 0, 0, 0, 0, 0, 0), "half a number");
}

Test(cursor, nests_to_sixteen_and_not_to_seventeen)
{
    uint8_t nested[18];

    memset(nested, 0x91, sizeof nested);
    nested[16] = 0xc0;
    cr_expect(ward__cursor_check((ward_bytes){ nested, 17 }));
    nested[15] = 0x90;
    cr_expect(ward__cursor_check((ward_bytes){ nested, 16 }));
    nested[15] = nested[16] = 0x91;
    nested[17] = 0xc0;
    cr_expect_not(ward__cursor_check((ward_bytes){ nested, 18 }));
}

static struct ward__item item_of(const uint8_t *at, size_t count)
{
    struct ward__cursor cursor = ward__cursor_on((ward_bytes){ at, count });
    struct ward__item item = { .kind = WARD__ITEM_NIL };

    cr_assert(ward__cursor_next(&cursor, &item));
    cr_assert(ward__cursor_done(&cursor));
    return item;
}

#define ITEM(...) \
    item_of((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

Test(cursor, reads_every_form_of_an_integer)
{
    cr_expect_eq(ITEM(0x7f).u.number, 127);
    cr_expect_eq(ITEM(0xcc, 0xff).u.number, 255);
    cr_expect_eq(ITEM(0xcd, 1, 0).u.number, 256);
    cr_expect_eq(ITEM(0xce, 0xff, 0, 0, 1).u.number, 0xff000001u);
    cr_expect_eq(ITEM(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff).u.number, UINT64_MAX);
    cr_expect_eq(ITEM(0xe0).u.negative, -32);
    cr_expect_eq(ITEM(0xff).u.negative, -1);
    cr_expect_eq(ITEM(0xd0, 0x80).u.negative, INT8_MIN);
    cr_expect_eq(ITEM(0xd1, 0x80, 0).u.negative, INT16_MIN);
    cr_expect_eq(ITEM(0xd2, 0x80, 0, 0, 0).u.negative, INT32_MIN);
    cr_expect_eq(ITEM(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0).u.negative, INT64_MIN);
    cr_expect_eq(ITEM(0xd0, 0x7f).kind, WARD__ITEM_UINT, "a signed one that is not negative");
    cr_expect_eq(ITEM(0xd0, 0x7f).u.number, 127);
    cr_expect_eq(ITEM(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0).kind, WARD__ITEM_INT);
}
