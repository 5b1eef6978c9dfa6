/* SPDX-License-Identifier: MIT */
/*
 * rep.h - the REP side of the SP protocol, as bytes: enough for any nng REQ socket, and none of
 * the bugs of a REP socket in nng 1.5 (see docs/census.md). Knows no sockets and keeps nothing.
 *
 * Both sides open with 8 bytes that name their protocol. A message is its length in 8 bytes, in
 * front of which ipc has a byte 1, and the body: first the way back, words of 4 bytes up to and
 * including the first with its top bit set, which the reply repeats; then what is asked.
 */
#ifndef WARD_CENSUS_REP_H
#define WARD_CENSUS_REP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WARD__REP_HELLO_BYTES = 8,
    WARD__REP_HEAD_MAX = 9,
    WARD__REP_HOPS_MAX = 16,
    WARD__REP_WORD_MAX = 64, /* bytes of what is asked */
    WARD__REP_BODY_MAX = 4 * WARD__REP_HOPS_MAX + WARD__REP_WORD_MAX
};

/* What we say first. */
void ward__rep_hello(unsigned char out[WARD__REP_HELLO_BYTES]);
/* Whether the peer is a REQ socket. */
bool ward__rep_hello_ok(const unsigned char in[WARD__REP_HELLO_BYTES]);

static inline size_t ward__rep_head_bytes(bool ipc)
{
    return ipc ? 9 : 8;
}
void ward__rep_head(unsigned char *out, bool ipc, uint64_t body_bytes);
/* The bytes of the body that follows; 0: no head, or a body that is too short or too long. */
size_t ward__rep_body_bytes(const unsigned char *head, bool ipc);

/* Splits a body: the bytes of the way back, 0: it has none that ends. What follows is the word;
 * spaces, line ends and NULs behind it do not count. */
size_t ward__rep_split(const unsigned char *body, size_t bytes, size_t *word_bytes);

#endif
