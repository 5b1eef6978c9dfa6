/* SPDX-License-Identifier: MIT */
/*
 * gate_codes_test.c - what of a stored message goes to the terminology service: each code once,
 * decoded, and nothing at all when there are too many.
 */
#include "examples/gate/codes.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MSH "MSH|^~\\&|A|B|C|D|20240101||ORU^R01|1|P|2.5\rPID|1||P1\r"

struct wanted {
    const char *message;
    size_t bytes;
    size_t count;
    enum gate_codes_problem problem;
    const char *system[4], *code[4];
};

static bool is(ward_bytes bytes, const char *text)
{
    return bytes.count == strlen(text) &&
           (!bytes.count || memcmp(bytes.at, text, bytes.count) == 0);
}

/* The memory is an actor's, so an actor reads. */
static ward_status read_all(ward_self *self)
{
    const struct wanted *wanted = ward_arg(self);
    struct gate_codes codes = { 0 };

    gate_codes_read(&codes, self, wanted->message, wanted->bytes);
    cr_assert_eq(codes.problem, wanted->problem);
    cr_assert_eq(codes.count, wanted->count, "%zu codes", codes.count);
    for (size_t i = 0; i < wanted->count && i < 4 && wanted->code[i]; i++) {
        cr_assert(is(codes.at[i].code, wanted->code[i]), "code %zu", i);
        cr_assert(is(codes.at[i].system, wanted->system[i]), "system %zu", i);
    }
    gate_codes_free(&codes, self);
    cr_assert_eq(codes.count, 0);
    return WARD_OK;
}

static void expect(struct wanted wanted)
{
    if (!wanted.bytes) wanted.bytes = strlen(wanted.message);
    cr_assert_eq(ward_run(read_all, &(ward_opts){ .arg = &wanted }), WARD_OK);
}

Test(gate_codes, are_read_with_their_systems)
{
    expect((struct wanted){ .message = MSH "OBR|1|||24323-8^Panel^LN\r"
                                           "OBX|1|CE|2345-7^Glucose^LN||BAD1^x^L\r",
        .count = 3,
        .code = { "24323-8", "2345-7", "BAD1" },
        .system = { "LN", "LN", "L" } });
}

Test(gate_codes, are_taken_once_each)
{
    expect((struct wanted){ .message = MSH "OBX|1|NM|1^x^LN||5\rOBX|2|NM|1^y^LN||6\r"
                                           "OBX|3|NM|1^x^L||7\rOBX|4|NM|1^x^LN||8\r",
        .count = 2,
        .code = { "1", "1" },
        .system = { "LN", "L" } });
}

Test(gate_codes, are_decoded_and_may_have_no_system)
{
    expect((struct wanted){ .message = MSH "OBX|1|NM|a\\T\\b^x||5\rOBX|2|NM|a&c||5\r",
        .count = 2,
        .code = { "a&b" },
        .system = { "" } });
}

Test(gate_codes, are_none_in_a_message_without_any)
{
    expect((struct wanted){ .message = MSH "PV1|1|I\rOBX|1|TX|||text\r", .count = 0 });
}

Test(gate_codes, are_none_in_what_is_no_message)
{
    expect((struct wanted){ .message = "HELO|world\r", .count = 0 });
}

Test(gate_codes, are_not_read_when_there_are_too_many)
{
    size_t bytes = sizeof MSH + (size_t)(GATE_CODES_MAX + 1) * 32, used;
    char *message = malloc(bytes);

    cr_assert_not_null(message);
    for (int extra = 0; extra < 2; extra++) {
        used = (size_t)snprintf(message, bytes, "%s", MSH);
        for (int i = 0; i < GATE_CODES_MAX + extra; i++)
            used += (size_t)snprintf(message + used, bytes - used, "OBX|1|NM|c%d^x^L||5\r", i);
        expect((struct wanted){ .message = message,
            .bytes = used,
            .count = extra ? 0 : GATE_CODES_MAX,
            .problem = extra ? GATE_CODES_TOO_MANY : GATE_CODES_FINE });
    }
    free(message);
}
