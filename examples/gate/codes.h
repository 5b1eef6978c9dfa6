/* SPDX-License-Identifier: MIT */
/*
 * codes.h - the coded values of a stored message, decoded and each once, for the check.
 *
 * Memory comes from ward_alloc and so dies with the incarnation that read them at the latest.
 * One actor at a time. Knows HL7; nothing of the journal or of the terminology service.
 */
#ifndef GATE_CODES_H
#define GATE_CODES_H

#include "examples/gate/types.h"

/* A form has some dozen; more than this is no form, and would not fit in a message. */
enum { GATE_CODES_MAX = 2048, GATE_CODES_BYTES_MAX = 262144 };

struct gate_codes {
    struct gate_coded *at;
    size_t count, room;
    char *text; /* what they point into */
    size_t text_bytes;
    enum gate_codes_problem problem;
};

/* *out is zeroed before. */
void gate_codes_read(struct gate_codes *out, ward_self *self, const void *at, size_t bytes);
void gate_codes_free(struct gate_codes *codes, ward_self *self);

#endif
