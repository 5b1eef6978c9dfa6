/* SPDX-License-Identifier: MIT */
/*
 * run.h - `gate run`: takes HL7 v2 over MLLP, keeps every message, has it checked.
 *
 * Runs until SIGTERM or SIGINT and then exits within --stop-ms; what was acknowledged is in the
 * journal, and what was not finished goes on at the next start.
 */
#ifndef GATE_RUN_H
#define GATE_RUN_H

/* argv[0] is the command's name. The exit code: 0, 1 for a failure, 2 for wrong usage. */
int gate_run_main(int argc, char **argv);

#endif
