/* SPDX-License-Identifier: MIT */
/*
 * status.h - `gate status` and `gate export-ids`: what a journal holds, also while a gate writes
 * to it. Readers only; block on the disk; the calling thread alone. Nothing of a message is shown
 * by status; the ids that export-ids prints are its purpose.
 */
#ifndef GATE_STATUS_H
#define GATE_STATUS_H

/* argv[0] is the command's name. The exit code: 0, 1 for a failure or faults found, 2 for wrong
 * usage. */
int gate_status_main(int argc, char **argv);
int gate_export_main(int argc, char **argv);

#endif
