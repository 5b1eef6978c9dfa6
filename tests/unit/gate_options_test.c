/* SPDX-License-Identifier: MIT */
/*
 * gate_options_test.c - command lines by a table: what is taken, and that what is wrong is refused
 * with exit code 2 and not half taken for something else.
 */
#include "examples/gate/args.h"
#include "examples/gate/options.h"
#include <criterion/criterion.h>
#include <criterion/redirect.h>

struct target {
    const char *text;
    int64_t number, bytes;
    unsigned count;
    bool flag;
    struct gate_address address;
};

static const struct gate_option KNOWN[] = {
    GATE_OPTION_TEXT("text", struct target, text),
    GATE_OPTION_NUMBER("number", struct target, number, 5, 10),
    GATE_OPTION_BYTES("bytes", struct target, bytes, 1024, (int64_t)1 << 40),
    GATE_OPTION_COUNT("count", struct target, count, 0, 3),
    GATE_OPTION_FLAG("flag", struct target, flag),
    GATE_OPTION_ADDRESS("at", struct target, address),
};
static const struct gate_options OPTIONS = { "usage: this\n", KNOWN, 6 };

/* One option, or two words. */
static bool reads(struct target *out, int *code, const char *first, const char *second)
{
    char *argv[] = { (char *)"test", (char *)(uintptr_t)first, (char *)(uintptr_t)second, NULL };

    *out = (struct target){ 0 };
    return gate_options_read(out, &OPTIONS, second ? 3 : 2, argv, code);
}

Test(gate_options, takes_each_kind)
{
    struct target t;
    int code;

    cr_assert(reads(&t, &code, "--text", "ipc://x"));
    cr_assert_str_eq(t.text, "ipc://x");
    cr_assert(reads(&t, &code, "--number", "10"));
    cr_assert_eq(t.number, 10);
    cr_assert(reads(&t, &code, "--count", "3"));
    cr_assert_eq(t.count, 3);
    cr_assert(reads(&t, &code, "--flag", NULL));
    cr_assert(t.flag);
    cr_assert(reads(&t, &code, "--at", "127.0.0.1:2575"));
    cr_assert_neq(t.address.bytes, 0);
}

Test(gate_options, takes_sizes_with_their_unit)
{
    struct target t;
    int code;

    cr_assert(reads(&t, &code, "--bytes", "1024"));
    cr_assert_eq(t.bytes, 1024);
    cr_assert(reads(&t, &code, "--bytes", "3000000000"));
    cr_assert_eq(t.bytes, 3000000000);
    cr_assert(reads(&t, &code, "--bytes", "64k"));
    cr_assert_eq(t.bytes, 65536);
    cr_assert(reads(&t, &code, "--bytes", "32M"));
    cr_assert_eq(t.bytes, (int64_t)32 << 20);
    cr_assert(reads(&t, &code, "--bytes", "2G"));
    cr_assert_eq(t.bytes, (int64_t)2 << 30);
}

Test(gate_options, refuses_what_is_out_of_bounds_or_no_number, .init = cr_redirect_stderr)
{
    static const char *const wrong[][2] = { { "--number", "4" }, { "--number", "11" },
        { "--number", "x" }, { "--number", "" }, { "--number", "-7" }, { "--count", "4" },
        { "--bytes", "1023" }, { "--bytes", "M" }, { "--bytes", "1T" }, { "--bytes", "" },
        { "--bytes", "99999999999999999999999999" }, { "--bytes", "9000000000G" },
        { "--at", "10.0.0.1:2575" }, { "--at", "127.0.0.1" } };
    struct target t;
    int code;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_not(
            reads(&t, &code, wrong[i][0], wrong[i][1]), "%s '%s'", wrong[i][0], wrong[i][1]);
        cr_assert_eq(code, 2);
    }
}

Test(gate_options, refuses_what_it_does_not_know, .init = cr_redirect_stderr)
{
    struct target t;
    int code;

    cr_assert_not(reads(&t, &code, "--other", "1"));
    cr_assert_eq(code, 2);
    cr_assert_not(reads(&t, &code, "word", NULL));
    cr_assert_eq(code, 2);
    cr_assert_not(reads(&t, &code, "--text", NULL), "without its value");
    cr_assert_eq(code, 2);
}

Test(gate_options, prints_help_and_ends_well, .init = cr_redirect_stdout)
{
    struct target t;
    int code;

    cr_assert_not(reads(&t, &code, "--help", NULL));
    cr_assert_eq(code, 0);
    (void)fflush(stdout);
    cr_assert_stdout_eq_str("usage: this\n");
}

Test(gate_options, takes_a_terminology_service_on_loopback_only)
{
    cr_assert_null(gate_options_terms("http://127.0.0.1:8089"));
    cr_assert_null(gate_options_terms("http://localhost:8089"));
    cr_assert_not_null(gate_options_terms(NULL));
    cr_assert_not_null(gate_options_terms("https://127.0.0.1:8089"));
    cr_assert_not_null(gate_options_terms("http://192.168.0.1:8089"));
    cr_assert_not_null(gate_options_terms("http://127.0.0.1:8089/path"));
}
