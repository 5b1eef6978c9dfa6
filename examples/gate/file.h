/* SPDX-License-Identifier: MIT */
/*
 * file.h - HL7 messages out of a file, ready to be sent. A file may hold one message or many, with
 * or without the envelope of a batch (FHS, BHS, BTS, FTS); its lines may end in CR, LF or CRLF;
 * it may begin with a byte order mark or carry the framing bytes of MLLP. Each MSH begins a
 * message. What comes out has CR after each segment, as the wire wants it, and no blank lines.
 *
 * Owns one buffer of the file's size, which the messages are spans of. Opening blocks on the
 * disk; use it on one thread at a time. Knows nothing of sockets or of what a message says.
 */
#ifndef GATE_FILE_H
#define GATE_FILE_H

#include "examples/gate/hl7.h"

struct gate_file {
    char *at;
    size_t bytes;
    size_t next; /* where the iterator stands */
    size_t skipped; /* lines passed over that belong to no message, envelopes not counted */
};

/* 0, or an errno value: EFBIG for a file over bytes_max, EISDIR, EINVAL for what is no file. */
int gate_file_open(struct gate_file *f, const char *path, size_t bytes_max);
void gate_file_close(struct gate_file *f);

/* The next message; good until the file is closed. False when there is none. */
bool gate_file_next(struct gate_file *f, struct gate_span *message);

/* Puts CR behind each line in place and leaves out blank lines and framing bytes; `at` has room
 * for bytes + 1. The bytes it has then. Part of gate_file_open, apart for those with bytes. */
size_t gate_file_normalise(char *at, size_t bytes);

#endif
