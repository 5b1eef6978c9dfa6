/* SPDX-License-Identifier: MIT */
/*
 * census_rep_test.c - the SP protocol as bytes, and what a REQ socket would never send.
 */
#include "census/rep.h"

#include <criterion/criterion.h>
#include <string.h>

Test(rep, greets_req_and_nobody_else)
{
    static const unsigned char req[8] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
    unsigned char hello[8], other[8];

    ward__rep_hello(hello);
    cr_expect_arr_eq(hello, ((unsigned char[8]){ 0, 'S', 'P', 0, 0, 0x31, 0, 0 }), 8);
    cr_expect(ward__rep_hello_ok(req));
    cr_expect_not(ward__rep_hello_ok(hello));
    for (int i = 0; i < 8; i++) {
        memcpy(other, req, 8);
        other[i] ^= 1;
        cr_expect_not(ward__rep_hello_ok(other), "byte %d", i);
    }
}

Test(rep, bounds_the_length_of_a_body)
{
    unsigned char head[9];

    for (uint64_t bytes = 0; bytes < 300; bytes++) {
        size_t want = bytes >= 4 && bytes <= WARD__REP_BODY_MAX ? (size_t)bytes : 0;
        ward__rep_head(head, false, bytes);
        cr_expect_eq(ward__rep_body_bytes(head, false), want);
        ward__rep_head(head, true, bytes);
        cr_expect_eq(head[0], 1);
        cr_expect_eq(ward__rep_body_bytes(head, true), want);
    }
    ward__rep_head(head, false, UINT64_C(0xffffffffffffffe0)); /* killed nng's own */
    cr_expect_eq(ward__rep_body_bytes(head, false), 0);
    ward__rep_head(head, false, UINT64_C(0x1000000000000008));
    cr_expect_eq(ward__rep_body_bytes(head, false), 0);
    ward__rep_head(head, true, 8);
    head[0] = 2;
    cr_expect_eq(ward__rep_body_bytes(head, true), 0);
}

Test(rep, splits_the_way_back_from_the_word)
{
    static const char direct[] = "\x80\0\0\1tree";
    static const char hops[] = "\0\0\0\1\0\0\0\2\xff\0\0\3sites \r\n\0";
    size_t word;

    cr_expect_eq(ward__rep_split((const unsigned char *)direct, 8, &word), 4);
    cr_expect_eq(word, 4);
    cr_expect_eq(ward__rep_split((const unsigned char *)hops, sizeof hops, &word), 12);
    cr_expect_eq(word, 5);
    cr_expect_eq(ward__rep_split((const unsigned char *)direct, 4, &word), 4);
    cr_expect_eq(word, 0);
}

Test(rep, refuses_a_way_that_does_not_end)
{
    unsigned char body[WARD__REP_BODY_MAX] = { 0 };
    size_t word;

    for (size_t bytes = 0; bytes <= sizeof body; bytes++)
        cr_expect_eq(ward__rep_split(body, bytes, &word), 0);
    body[4 * (WARD__REP_HOPS_MAX - 1)] = 0x80; /* the last that is allowed */
    cr_expect_eq(ward__rep_split(body, sizeof body, &word), 4 * WARD__REP_HOPS_MAX);
    memset(body, 0, sizeof body);
    body[4 * WARD__REP_HOPS_MAX] = 0x80;
    cr_expect_eq(ward__rep_split(body, sizeof body, &word), 0);
}
