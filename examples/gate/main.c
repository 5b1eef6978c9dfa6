/* SPDX-License-Identifier: MIT */
/*
 * main.c - `gate`: finds the command and hands over to it.
 *
 * Each command has its own file, options and --help, and runs to its end here.
 */
#include "examples/gate/mode.h"
#include "examples/gate/run.h"
#include "examples/gate/send.h"
#include "examples/gate/status.h"
#include "examples/gate/terms.h"
#include "examples/gate/worker.h"
#include <stdio.h>
#include <string.h>
#include <ward/ward.h>

struct command {
    const char *name;
    int (*main)(int argc, char **argv);
    const char *what;
};

static const struct command COMMANDS[] = {
    { "run", gate_run_main, "take messages over MLLP, keep them, have them checked" },
    { "worker", gate_worker_main, "make checks for a gate, in a process of its own" },
    { "send", gate_send_main, "send HL7 files to a gate and check every answer" },
    { "terms", gate_terms_main, "be the terminology service, or misbehave in its place" },
    { "mode", gate_mode_main, "tell `gate terms` how to misbehave" },
    { "status", gate_status_main, "what a journal holds" },
    { "export-ids", gate_export_main, "the control ids in a journal" },
};

static void usage(FILE *to)
{
    (void)fputs("usage: gate COMMAND [options]      gate COMMAND --help      gate --version\n\n"
                "An HL7 v2 gateway on ward: an example, for loopback only.\n\n",
        to);
    for (size_t i = 0; i < WARD_COUNT(COMMANDS); i++)
        (void)fprintf(to, "  %-11s %s\n", COMMANDS[i].name, COMMANDS[i].what);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        (void)printf("gate %d.%d.%d\n", WARD_VERSION_MAJOR, WARD_VERSION_MINOR, WARD_VERSION_PATCH);
        return 0;
    }
    for (size_t i = 0; i < WARD_COUNT(COMMANDS); i++)
        if (strcmp(name, COMMANDS[i].name) == 0) return COMMANDS[i].main(argc - 1, argv + 1);
    usage(stderr);
    return 2;
}
