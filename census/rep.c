/* SPDX-License-Identifier: MIT */
/*
 * rep.c - reads and writes what rep.h describes. Every length is checked against the bytes that
 * are there before it is used.
 */
#include "census/rep.h"

#include <string.h>

static const unsigned char rep_hello[] = { 0, 'S', 'P', 0, 0, 0x31, 0, 0 };
static const unsigned char req_hello[] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };

void ward__rep_hello(unsigned char out[WARD__REP_HELLO_BYTES])
{
    memcpy(out, rep_hello, WARD__REP_HELLO_BYTES);
}

bool ward__rep_hello_ok(const unsigned char in[WARD__REP_HELLO_BYTES])
{
    return memcmp(in, req_hello, WARD__REP_HELLO_BYTES) == 0;
}

void ward__rep_head(unsigned char *out, bool ipc, uint64_t body_bytes)
{
    if (ipc) *out++ = 1;
    for (int shift = 56; shift >= 0; shift -= 8)
        *out++ = (unsigned char)(body_bytes >> shift);
}

size_t ward__rep_body_bytes(const unsigned char *head, bool ipc)
{
    uint64_t bytes = 0;

    if (ipc && *head++ != 1) return 0;
    for (int i = 0; i < 8; i++)
        bytes = bytes << 8 | head[i];
    return bytes >= 4 && bytes <= WARD__REP_BODY_MAX ? (size_t)bytes : 0;
}

size_t ward__rep_split(const unsigned char *body, size_t bytes, size_t *word_bytes)
{
    size_t way = 0, end;

    do {
        if (way == (size_t)4 * WARD__REP_HOPS_MAX || bytes - way < 4) return 0;
        way += 4;
    } while (!(body[way - 4] & 0x80));
    for (end = bytes; end > way; end--) {
        unsigned char last = body[end - 1];
        if (last != 0 && last != ' ' && last != '\n' && last != '\r') break;
    }
    *word_bytes = end - way;
    return way;
}
