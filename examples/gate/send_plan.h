/* SPDX-License-Identifier: MIT */
/*
 * send_plan.h - which messages `gate send` sends, and over which of its connections each goes.
 *
 * All messages of one patient go over one connection, in the order of the files, so that the
 * order in which they are acknowledged is known. Messages that name no patient are dealt out in
 * turn. Owns the files' bytes, which the messages are spans of; reading blocks on the disk. One
 * thread at a time. Knows nothing of sockets.
 */
#ifndef GATE_SEND_PLAN_H
#define GATE_SEND_PLAN_H

#include "examples/gate/file.h"
#include <stdint.h>

#define GATE_PLAN_BYTES_MAX ((size_t)512 << 20) /* of all files together */

struct gate_plan_message {
    struct gate_span whole;
    struct gate_span id; /* its MSH-10: in whole, or empty */
    uint64_t key; /* equal for messages of one patient */
};

struct gate_plan {
    struct gate_plan_message *messages;
    size_t count;
    size_t skipped; /* lines of files that belong to no message */
    struct gate_file *files;
    size_t files_count, bytes;
};

/* Adds the messages of a file, or of all *.hl7 files in a folder and those in it, sorted by name.
 * 0 or an errno value; what was added before stays. */
int gate_plan_add(struct gate_plan *plan, const char *path);
void gate_plan_close(struct gate_plan *plan);

#endif
