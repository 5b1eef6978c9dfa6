/* SPDX-License-Identifier: MIT */
/*
 * file.c - reads a file of HL7 messages whole, puts its lines into the form of the wire in place,
 * and walks its messages. Putting right never makes the bytes more, save for the end of a last
 * line that has none. Owns the buffer; blocks on the disk while opening; one thread at a time.
 */
#include "examples/gate/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VT '\x0B'
#define FS '\x1C'

/* --------------------------------------------------------------------------------- lines --- */

static struct gate_span without_framing(struct gate_span line)
{
    for (;;) {
        size_t front = 0;
        if (line.bytes && (line.at[0] == VT || line.at[0] == FS)) front = 1;
        if (line.bytes >= 3 && memcmp(line.at, "\xEF\xBB\xBF", 3) == 0) front = 3;
        if (!front) break;
        line.at += front;
        line.bytes -= front;
    }
    while (line.bytes && line.at[line.bytes - 1] == FS)
        line.bytes--;
    return line;
}

static bool blank(struct gate_span line)
{
    for (size_t i = 0; i < line.bytes; i++) {
        if (line.at[i] != ' ' && line.at[i] != '\t' && line.at[i] != '\0') return false;
    }
    return true;
}

size_t gate_file_normalise(char *at, size_t bytes)
{
    size_t in = 0;
    size_t out = 0;

    while (in < bytes) {
        size_t end = in;
        struct gate_span line;

        while (end < bytes && at[end] != '\r' && at[end] != '\n')
            end++;
        line = without_framing((struct gate_span){ at + in, end - in });
        if (!blank(line)) {
            memmove(at + out, line.at, line.bytes);
            out += line.bytes;
            at[out++] = '\r';
        }
        in = end + 1;
    }
    return out;
}

/* ------------------------------------------------------------------------------ messages --- */

static bool envelope(struct gate_span line)
{
    return gate_hl7_named(line, "FHS") || gate_hl7_named(line, "BHS") ||
           gate_hl7_named(line, "BTS") || gate_hl7_named(line, "FTS");
}

/* The line that begins at f->next, without its end; false when all are read. */
static bool line_here(const struct gate_file *f, struct gate_span *line)
{
    const char *at = f->at + f->next;
    size_t bytes = f->bytes - f->next;
    const char *end;

    if (bytes == 0) return false;
    end = memchr(at, '\r', bytes);
    *line = (struct gate_span){ at, end ? (size_t)(end - at) : bytes };
    return true;
}

static void pass(struct gate_file *f, struct gate_span line)
{
    f->next += line.bytes + 1;
    if (f->next > f->bytes) f->next = f->bytes;
}

bool gate_file_next(struct gate_file *f, struct gate_span *message)
{
    struct gate_span line;
    size_t start;

    for (;;) {
        if (!line_here(f, &line)) return false;
        if (gate_hl7_named(line, "MSH")) break;
        if (!envelope(line)) f->skipped++;
        pass(f, line);
    }
    start = f->next;
    do {
        pass(f, line);
    } while (line_here(f, &line) && !gate_hl7_named(line, "MSH") && !envelope(line));
    *message = (struct gate_span){ f->at + start, f->next - start };
    return true;
}

/* --------------------------------------------------------------------------------- files --- */

/* Reads up to `bytes`; fewer when the file has become shorter. */
static int read_all(int fd, char *at, size_t bytes, size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        ssize_t n = read(fd, at + *got, bytes - *got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) break;
        *got += (size_t)n;
    }
    return 0;
}

static int read_file(struct gate_file *f, int fd, size_t bytes_max)
{
    struct stat st;
    int error;

    if (fstat(fd, &st)) return errno;
    if (S_ISDIR(st.st_mode)) return EISDIR;
    if (!S_ISREG(st.st_mode)) return EINVAL;
    if ((uintmax_t)st.st_size > bytes_max) return EFBIG;
    f->at = malloc((size_t)st.st_size + 1);
    if (!f->at) return ENOMEM;
    error = read_all(fd, f->at, (size_t)st.st_size, &f->bytes);
    if (error) {
        gate_file_close(f);
        return error;
    }
    f->bytes = gate_file_normalise(f->at, f->bytes);
    return 0;
}

int gate_file_open(struct gate_file *f, const char *path, size_t bytes_max)
{
    /* Without O_NONBLOCK opening a named pipe would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int error;

    *f = (struct gate_file){ 0 };
    if (fd < 0) return errno;
    error = read_file(f, fd, bytes_max);
    close(fd);
    return error;
}

void gate_file_close(struct gate_file *f)
{
    free(f->at);
    *f = (struct gate_file){ 0 };
}
