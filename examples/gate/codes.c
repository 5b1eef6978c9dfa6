/* SPDX-License-Identifier: MIT */
/*
 * codes.c - walks the coded values of a message and copies those not seen yet.
 *
 * The text is measured first and allocated once, so that nothing that points into it ever moves.
 */
#include "examples/gate/codes.h"
#include "examples/gate/hl7.h"
#include <string.h>

static bool same(ward_bytes a, ward_bytes b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.at, b.at, a.count) == 0);
}

static bool known(const struct gate_codes *codes, const struct gate_coded *one)
{
    for (size_t i = 0; i < codes->count; i++)
        if (same(codes->at[i].code, one->code) && same(codes->at[i].system, one->system))
            return true;
    return false;
}

/* Decodes a part to the end of the text, which has room for it. */
static ward_bytes decoded(struct gate_codes *codes, const struct gate_hl7 *m, struct gate_span in)
{
    char *to = codes->text + codes->text_bytes;
    size_t bytes = 0;

    if (in.bytes && !gate_hl7_unescape(m, in, to, in.bytes, &bytes)) bytes = 0;
    codes->text_bytes += bytes;
    return (ward_bytes){ bytes ? to : NULL, bytes };
}

static void add(struct gate_codes *codes, const struct gate_hl7 *m, const struct gate_hl7_code *one)
{
    size_t before = codes->text_bytes;
    struct gate_coded *to = &codes->at[codes->count];

    to->system = decoded(codes, m, one->system);
    to->code = decoded(codes, m, one->code);
    if (to->code.count == 0 || known(codes, to))
        codes->text_bytes = before;
    else
        codes->count++;
}

/* How many there are, and how many bytes, before any is left out. */
static void measure(const struct gate_hl7 *m, size_t *count, size_t *bytes)
{
    struct gate_hl7_codes walk;
    struct gate_hl7_code one;

    *count = *bytes = 0;
    gate_hl7_codes_init(&walk, m);
    while (gate_hl7_codes_next(&walk, &one)) {
        ++*count;
        *bytes += one.code.bytes + one.system.bytes;
    }
}

void gate_codes_read(struct gate_codes *out, ward_self *self, const void *at, size_t bytes)
{
    struct gate_hl7_codes walk;
    struct gate_hl7_code one;
    struct gate_hl7 m;
    size_t text_bytes;

    if (gate_hl7_parse(&m, at, bytes) != GATE_HL7_OK) return; /* it was stored as sound */
    measure(&m, &out->room, &text_bytes);
    if (out->room == 0) return;
    if (out->room > GATE_CODES_MAX || text_bytes > GATE_CODES_BYTES_MAX) {
        out->problem = GATE_CODES_TOO_MANY;
        return;
    }
    out->at = ward_alloc(self, NULL, out->room * sizeof *out->at);
    out->text = ward_alloc(self, NULL, text_bytes);
    if (!out->at || !out->text) {
        out->problem = GATE_CODES_NO_MEMORY;
        return;
    }
    gate_hl7_codes_init(&walk, &m);
    while (gate_hl7_codes_next(&walk, &one))
        add(out, &m, &one);
}

void gate_codes_free(struct gate_codes *codes, ward_self *self)
{
    if (codes->at) (void)ward_alloc(self, codes->at, 0);
    if (codes->text) (void)ward_alloc(self, codes->text, 0);
    *codes = (struct gate_codes){ 0 };
}
