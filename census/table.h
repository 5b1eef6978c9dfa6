/* SPDX-License-Identifier: MIT */
/*
 * table.h - a table for people: a line of heads, then lines of cells in columns as wide as their
 * widest cell. It is gone through twice, once to measure and once to write, so a cell is made twice
 * and nothing is kept. Knows no actors. One thread at a time.
 */
#ifndef WARD_CENSUS_TABLE_H
#define WARD_CENSUS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WARD__COLUMNS_MAX = 16, WARD__CELL_BYTES = 40, WARD__FIRST_CELL_BYTES = 192 };

/* Text on its way out, in pieces. */
struct ward__out {
    bool (*write)(void *arg, const void *at, size_t bytes);
    void *arg;
    bool stopped; /* write has said so */
    size_t used;
    char at[4096];
};

void ward__out_put(struct ward__out *out, const char *at, size_t bytes);
/* False: it was stopped. */
bool ward__out_flush(struct ward__out *out);

struct ward__column {
    const char *head;
    bool right; /* numbers stand at the right */
};

/* One line under way: a cell points to text that lives longer, or into its scratch. */
struct ward__line {
    const char *cells[WARD__COLUMNS_MAX];
    char first[WARD__FIRST_CELL_BYTES];
    char scratch[WARD__COLUMNS_MAX][WARD__CELL_BYTES];
};

struct ward__table {
    const struct ward__column *columns;
    size_t columns_count, lines_count;
    void (*fill)(void *arg, size_t index, struct ward__line *line);
    void *arg;
};

/* False: it was stopped. */
bool ward__table_write(const struct ward__table *table, struct ward__out *out);

/* Cells. */
void ward__cell_count(struct ward__line *line, size_t column, uint64_t value);
/* "12ms", "3.4s", "5m06s", "7h08m", "9d10h"; negative: "0ms". */
void ward__cell_time(struct ward__line *line, size_t column, int64_t ns);
void ward__cell_text(struct ward__line *line, size_t column, const char *text); /* "": "-" */

#endif
