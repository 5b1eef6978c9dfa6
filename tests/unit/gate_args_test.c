/* SPDX-License-Identifier: MIT */
/*
 * gate_args_test.c - numbers and addresses from the gate's command lines: what is taken, and that
 * nothing but loopback is.
 */
#include "examples/gate/args.h"
#include <criterion/criterion.h>
#include <string.h>

static const char *printed(const char *text, char out[GATE_ADDRESS_TEXT])
{
    struct gate_address address;

    if (gate_args_address(&address, text)) return "refused";
    gate_args_print_address(&address, out);
    return out;
}

Test(gate_args, takes_loopback_addresses)
{
    char out[GATE_ADDRESS_TEXT];

    cr_assert_str_eq(printed("127.0.0.1:2575", out), "127.0.0.1:2575");
    cr_assert_str_eq(printed("127.9.8.7:0", out), "127.9.8.7:0");
    cr_assert_str_eq(printed("localhost:65535", out), "127.0.0.1:65535");
    cr_assert_str_eq(printed("[::1]:2575", out), "[::1]:2575");
}

Test(gate_args, refuses_every_other_address)
{
    static const char *const wrong[] = { "", ":", ":2575", "127.0.0.1",
        "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:2575x", "0.0.0.0:2575",
        "128.0.0.1:2575", "10.0.0.1:2575", "[::]:2575", "[::ffff:127.0.0.1]:2575", "[::1:2575",
        "::1:2575", "[127.0.0.1]:2575", "example.org:2575", "127.1:2575",
        "127.0.0.1.a.name.that.is.longer.than.any.address.may.be:1", "[]:1", "[:1", "]:1" };
    char out[GATE_ADDRESS_TEXT];

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_str_eq(printed(wrong[i], out), "refused", "%s", wrong[i]);
}

Test(gate_args, takes_numbers_within_their_bounds)
{
    int64_t value = -1;

    cr_assert(gate_args_number(&value, "0", 0, 10));
    cr_assert_eq(value, 0);
    cr_assert(gate_args_number(&value, "10", 0, 10));
    cr_assert_eq(value, 10);
    cr_assert(!gate_args_number(&value, "11", 0, 10));
    cr_assert(!gate_args_number(&value, "0", 1, 10));
    cr_assert(!gate_args_number(&value, "", 0, 10));
    cr_assert(!gate_args_number(&value, "-1", -5, 10));
    cr_assert(!gate_args_number(&value, " 1", 0, 10));
    cr_assert(!gate_args_number(&value, "1 ", 0, 10));
    cr_assert(!gate_args_number(&value, "99999999999999999999999", 0, INT64_MAX));
}
