/* SPDX-License-Identifier: MIT */
/*
 * journal_inside.h - what the files of the journal share: the handle and calls of statements.
 *
 * For journal_*.c only. A statement is prepared at its first use and kept with the handle. A
 * journal_call is one use of it: put the parameters, then row, one or run. The first failure of a
 * call is remembered and comes out of its last step, so that a caller checks once; within a batch
 * it also marks the batch as lost. At most one call may stay on its row between two functions of
 * the journal (journal_db_load lends that row); journal__settle ends it.
 */
#ifndef GATE_JOURNAL_INSIDE_H
#define GATE_JOURNAL_INSIDE_H

#include "examples/gate/journal_db.h"
#include <sqlite3.h>

enum journal_query {
    QUERY_BEGIN,
    QUERY_COMMIT,
    QUERY_ROLLBACK,
    QUERY_PAGES,
    QUERY_PAGES_FREE,
    QUERY_SENDER,
    QUERY_SENDER_NEW,
    QUERY_SAME,
    QUERY_REUSED,
    QUERY_KEEP,
    QUERY_KEY_BUSY,
    QUERY_ENQUEUE,
    QUERY_COUNT,
    QUERY_CLAIM,
    QUERY_END,
    QUERY_WAIT,
    QUERY_HISTORY,
    QUERY_NEXT_OF_KEY,
    QUERY_IS_QUEUED,
    QUERY_IS_KEPT,
    QUERY_TAKE_BACK_HISTORY,
    QUERY_TAKE_BACK,
    QUERY_WAKE,
    QUERY_NEXT_DUE,
    QUERY_LOAD,
    QUERIES
};

struct journal_db {
    sqlite3 *sql;
    int lock_fd; /* -1 for a reader */
    struct journal_opts opts; /* with the defaults filled in */
    int64_t page_bytes, pages_for_append;
    int64_t taken_back;
    bool batch;
    enum journal_result lost; /* why the open batch is lost; JOURNAL_OK: it is not */
    int64_t now_ms; /* of the open batch */
    int detail; /* SQLite's extended code of the last failure */
    sqlite3_stmt *lent; /* its row is lent to the caller */
    sqlite3_stmt *kept[QUERIES];
};

struct journal_call {
    struct journal_db *db;
    sqlite3_stmt *stmt;
    int rc;
};

struct journal_call journal__call(struct journal_db *db, enum journal_query query);
void journal__put_int(struct journal_call *call, int at, int64_t value);
/* What is over bytes_max is cut off. NULL is SQL's NULL. */
void journal__put_text(struct journal_call *call, int at, const char *text, size_t bytes_max);
void journal__put_bytes(struct journal_call *call, int at, struct journal_bytes bytes);

/* JOURNAL_OK: stands on a row, end or ask again. JOURNAL_NONE: no more, ended. Else it failed. */
enum journal_result journal__row(struct journal_call *call);
void journal__end(struct journal_call *call);

/* The first column of the first row, or JOURNAL_NONE; ended. */
enum journal_result journal__one(struct journal_call *call, int64_t *out);
enum journal_result journal__run(struct journal_call *call);

/* One statement that is not kept: for opening and for reports. */
enum journal_result journal__sql(struct journal_db *db, const char *text);
enum journal_result journal__sql_one(struct journal_db *db, const char *text, int64_t *out);
typedef bool journal_each_row(void *arg, sqlite3_stmt *stmt);
enum journal_result journal__sql_each(
    struct journal_db *db, const char *text, journal_each_row *each, void *arg);

struct journal_bytes journal__column(sqlite3_stmt *stmt, int column);
void journal__settle(struct journal_db *db);
enum journal_result journal__failed(struct journal_db *db, int rc);

#endif
