/* SPDX-License-Identifier: MIT */
/*
 * options.h - long options by a table: where each goes, and what it may be.
 *
 * Texts are kept as pointers into argv. Prints what is wrong on stderr. The calling thread alone,
 * before any other is there (getopt has globals). Knows nothing of what the options mean.
 */
#ifndef GATE_OPTIONS_H
#define GATE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gate_option_kind {
    GATE_TEXT_OPTION, /* const char * */
    GATE_NUMBER_OPTION, /* int64_t */
    GATE_COUNT_OPTION, /* unsigned */
    GATE_BYTES_OPTION, /* int64_t; with k, M or G behind it */
    GATE_FLAG_OPTION, /* bool */
    GATE_ADDRESS_OPTION /* struct gate_address */
};

struct gate_option {
    const char *name;
    enum gate_option_kind kind;
    size_t offset;
    int64_t min, max;
};

#define GATE_OPTION_TEXT(name, T, member) \
    { \
        (name), GATE_TEXT_OPTION, offsetof(T, member), 0, 0 \
    }
#define GATE_OPTION_NUMBER(name, T, member, min, max) \
    { \
        (name), GATE_NUMBER_OPTION, offsetof(T, member), (min), (max) \
    }
#define GATE_OPTION_COUNT(name, T, member, min, max) \
    { \
        (name), GATE_COUNT_OPTION, offsetof(T, member), (min), (max) \
    }
#define GATE_OPTION_BYTES(name, T, member, min, max) \
    { \
        (name), GATE_BYTES_OPTION, offsetof(T, member), (min), (max) \
    }
#define GATE_OPTION_FLAG(name, T, member) \
    { \
        (name), GATE_FLAG_OPTION, offsetof(T, member), 0, 0 \
    }
#define GATE_OPTION_ADDRESS(name, T, member) \
    { \
        (name), GATE_ADDRESS_OPTION, offsetof(T, member), 0, 0 \
    }

struct gate_options {
    const char *usage; /* what --help prints */
    const struct gate_option *known;
    size_t known_count;
};

/* Reads argv (argv[0] is the command's name) into `out`. False: it ends here, with this exit
 * code. */
bool gate_options_read(
    void *out, const struct gate_options *options, int argc, char **argv, int *code);

/* Says what is wrong with the command line; the exit code. */
int gate_options_wrong(const char *command, const char *what);

/* What is wrong with the address of a terminology service, or NULL. */
const char *gate_options_terms(const char *url);

#endif
