/* SPDX-License-Identifier: MIT */
/*
 * writer.h - the journal's actor: the one writer of the journal, with group commit.
 *
 * A blocking body; its argument is the struct gate_config. Answers STORE and NEXT after the commit
 * that holds what they asked for, and sends WAKE to a patients' actor when something of its share
 * is ready.
 */
#ifndef GATE_WRITER_H
#define GATE_WRITER_H

#include "examples/gate/config.h"

ward_body gate_writer, gate_writer_start;
size_t gate_writer_state_bytes(void);

/* What its mailbox holds at most: more than all frames that may be under way. */
size_t gate_writer_mailbox_bytes(const struct gate_config *config);

#endif
