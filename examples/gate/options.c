/* SPDX-License-Identifier: MIT */
/*
 * options.c - long options by a table, on top of getopt_long.
 *
 * Owns nothing. One thread, at the start of a command.
 */
#include "examples/gate/options.h"
#include "examples/gate/args.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { KNOWN_MAX = 32 };

static bool read_bytes(int64_t *out, const char *text, const struct gate_option *option)
{
    static const char UNITS[] = "kMG";
    size_t length = strlen(text);
    const char *unit = length ? strchr(UNITS, text[length - 1]) : NULL;
    unsigned shift = unit && *unit ? 10 * (unsigned)(unit - UNITS + 1) : 0;
    char digits[24];

    if (length >= sizeof digits) return false;
    memcpy(digits, text, length + 1);
    if (shift) digits[length - 1] = '\0';
    if (!gate_args_number(out, digits, 0, INT64_MAX >> shift)) return false;
    *out *= (int64_t)1 << shift;
    return *out >= option->min && *out <= option->max;
}

/* What is wrong with it, or NULL. */
static const char *read_one(void *out, const struct gate_option *option, const char *text)
{
    void *at = (char *)out + option->offset;
    int64_t number = 0;

    switch (option->kind) {
    case GATE_TEXT_OPTION: *(const char **)at = text; return NULL;
    case GATE_FLAG_OPTION: *(bool *)at = true; return NULL;
    case GATE_ADDRESS_OPTION: return gate_args_address(at, text);
    case GATE_BYTES_OPTION:
        if (!read_bytes(&number, text, option)) return "takes a size, such as 64M, within bounds";
        *(int64_t *)at = number;
        return NULL;
    default:
        if (!gate_args_number(&number, text, option->min, option->max))
            return "takes a number within bounds";
        if (option->kind == GATE_COUNT_OPTION)
            *(unsigned *)at = (unsigned)number;
        else
            *(int64_t *)at = number;
        return NULL;
    }
}

static void make_table(struct option *out, const struct gate_options *options)
{
    size_t i;

    for (i = 0; i < options->known_count; i++) {
        const struct gate_option *known = &options->known[i];
        out[i] = (struct option){ .name = known->name,
            .has_arg = known->kind == GATE_FLAG_OPTION ? no_argument : required_argument,
            .val = (int)i + 256 };
    }
    out[i++] = (struct option){ .name = "help", .has_arg = no_argument, .val = 'h' };
    out[i] = (struct option){ 0 };
}

bool gate_options_read(
    void *out, const struct gate_options *options, int argc, char **argv, int *code)
{
    struct option table[KNOWN_MAX + 2];
    const char *wrong;
    int value;

    *code = 2;
    if (options->known_count > KNOWN_MAX) return false;
    make_table(table, options);
    optind = 1;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet */
    while ((value = getopt_long(argc, argv, "", table, NULL)) != -1) {
        if (value == '?') return false;
        if (value == 'h') {
            (void)fputs(options->usage, stdout);
            *code = 0;
            return false;
        }
        wrong = read_one(out, &options->known[value - 256], optarg);
        if (!wrong) continue;
        (void)fprintf(stderr, "%s: --%s: %s\n", argv[0], options->known[value - 256].name, wrong);
        return false;
    }
    if (optind == argc) return true;
    *code = gate_options_wrong(argv[0], "there is an argument too many");
    return false;
}

int gate_options_wrong(const char *command, const char *what)
{
    (void)fprintf(stderr, "%s: %s (see gate %s --help)\n", command, what, command);
    return 2;
}

const char *gate_options_terms(const char *url)
{
    static const char SCHEME[] = "http://";
    struct gate_address address;

    if (!url) return "--terms is missing";
    if (strncmp(url, SCHEME, strlen(SCHEME)) != 0) return "--terms takes http://HOST:PORT";
    return gate_args_address(&address, url + strlen(SCHEME));
}
