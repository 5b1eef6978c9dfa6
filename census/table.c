/* SPDX-License-Identifier: MIT */
/*
 * table.c - measures, then writes. The last column is not padded, so no line ends in spaces.
 */
#include "census/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

bool ward__out_flush(struct ward__out *out)
{
    if (!out->stopped && out->used > 0) out->stopped = !out->write(out->arg, out->at, out->used);
    out->used = 0;
    return !out->stopped;
}

void ward__out_put(struct ward__out *out, const char *at, size_t bytes)
{
    while (bytes > 0 && !out->stopped) {
        size_t room = sizeof out->at - out->used, piece = bytes < room ? bytes : room;
        memcpy(out->at + out->used, at, piece);
        out->used += piece;
        at += piece;
        bytes -= piece;
        if (out->used == sizeof out->at) (void)ward__out_flush(out);
    }
}

static void put_spaces(struct ward__out *out, size_t count)
{
    for (; count > 0; count--)
        ward__out_put(out, " ", 1);
}

static void put_line(const struct ward__table *table, struct ward__out *out,
    const struct ward__line *line, const size_t *widths)
{
    for (size_t i = 0; i < table->columns_count; i++) {
        size_t length = strlen(line->cells[i]), pad = widths[i] - length;
        if (i > 0) put_spaces(out, 2);
        if (table->columns[i].right) put_spaces(out, pad);
        ward__out_put(out, line->cells[i], length);
        if (!table->columns[i].right && i + 1 < table->columns_count) put_spaces(out, pad);
    }
    ward__out_put(out, "\n", 1);
}

static void measure(const struct ward__table *table, const struct ward__line *line, size_t *widths)
{
    for (size_t i = 0; i < table->columns_count; i++) {
        size_t length = strlen(line->cells[i]);
        if (length > widths[i]) widths[i] = length;
    }
}

bool ward__table_write(const struct ward__table *table, struct ward__out *out)
{
    size_t widths[WARD__COLUMNS_MAX] = { 0 };
    struct ward__line line;

    ward__assert(table->columns_count > 0 && table->columns_count <= WARD__COLUMNS_MAX);
    for (size_t i = 0; i < table->columns_count; i++)
        widths[i] = strlen(table->columns[i].head);
    for (size_t i = 0; i < table->lines_count; i++) {
        table->fill(table->arg, i, &line);
        measure(table, &line, widths);
    }
    for (size_t i = 0; i < table->columns_count; i++)
        line.cells[i] = table->columns[i].head;
    put_line(table, out, &line, widths);
    for (size_t i = 0; i < table->lines_count && !out->stopped; i++) {
        table->fill(table->arg, i, &line);
        put_line(table, out, &line, widths);
    }
    return ward__out_flush(out);
}

/* -- cells ------------------------------------------------------------------------------------- */

void ward__cell_text(struct ward__line *line, size_t column, const char *text)
{
    line->cells[column] = text && *text ? text : "-";
}

void ward__cell_count(struct ward__line *line, size_t column, uint64_t value)
{
    snprintf(line->scratch[column], WARD__CELL_BYTES, "%" PRIu64, value);
    line->cells[column] = line->scratch[column];
}

void ward__cell_time(struct ward__line *line, size_t column, int64_t ns)
{
    char *out = line->scratch[column];
    int64_t ms = ns > 0 ? ns / 1000000 : 0, s = ms / 1000;

    line->cells[column] = out;
    if (ms < 1000)
        snprintf(out, WARD__CELL_BYTES, "%" PRId64 "ms", ms);
    else if (s < 60)
        snprintf(out, WARD__CELL_BYTES, "%" PRId64 ".%" PRId64 "s", s, ms % 1000 / 100);
    else if (s < 3600)
        snprintf(out, WARD__CELL_BYTES, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, WARD__CELL_BYTES, "%" PRId64 "h%02" PRId64 "m", s / 3600, s % 3600 / 60);
    else
        snprintf(out, WARD__CELL_BYTES, "%" PRId64 "d%02" PRId64 "h", s / 86400, s % 86400 / 3600);
}
