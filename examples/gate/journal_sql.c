/* SPDX-License-Identifier: MIT */
/*
 * journal_sql.c - the journal's statements, and how one is called.
 *
 * Knows SQLite; nothing of when a statement is right to use, which is journal_db.c's. Statements
 * are owned by the handle and finalized when it closes. The texts speak of the tables that
 * journal_open.c makes. On whatever thread has the handle.
 */
#include "examples/gate/journal_inside.h"
#include <assert.h>
#include <string.h>

static const char *const TEXT[QUERIES] = {
    [QUERY_BEGIN] = "BEGIN IMMEDIATE",
    [QUERY_COMMIT] = "COMMIT",
    [QUERY_ROLLBACK] = "ROLLBACK",
    [QUERY_PAGES] = "PRAGMA page_count",
    [QUERY_PAGES_FREE] = "PRAGMA freelist_count",
    [QUERY_SENDER] = "SELECT id FROM senders"
                     " WHERE listener = ?1 AND application = ?2 AND facility = ?3",
    [QUERY_SENDER_NEW] = "INSERT INTO senders (listener, application, facility)"
                         " VALUES (?1, ?2, ?3) RETURNING id",
    /* The hash only finds candidates: equal bytes make a duplicate. */
    [QUERY_SAME] = "SELECT id FROM messages WHERE sender = ?1 AND control_id = ?2"
                   " AND content_hash = ?3 AND content = ?4 ORDER BY id LIMIT 1",
    [QUERY_REUSED] = "SELECT 1 FROM messages WHERE sender = ?1 AND control_id = ?2 LIMIT 1",
    [QUERY_KEEP] = "INSERT INTO messages"
                   " (sender, control_id, content_hash, stored_ms, patient, content)"
                   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [QUERY_KEY_BUSY] = "SELECT 1 FROM queue WHERE key = ?1 LIMIT 1",
    [QUERY_ENQUEUE] = "INSERT INTO queue (id, key, shard, state) VALUES (?1, ?2, ?3, ?4)",
    [QUERY_COUNT] = "UPDATE counters SET n = n + 1 WHERE name = ?1",
    [QUERY_CLAIM] = "UPDATE queue SET state = 'running', attempts = attempts + 1"
                    " WHERE id = (SELECT id FROM queue WHERE state = 'ready' AND shard = ?1"
                    " ORDER BY id LIMIT 1) RETURNING id, attempts",
    [QUERY_END] = "DELETE FROM queue WHERE id = ?1 AND state = 'running' AND attempts = ?2"
                  " RETURNING key",
    [QUERY_WAIT] = "UPDATE queue SET state = 'waiting', due_ms = ?3, reason = ?4"
                   " WHERE id = ?1 AND state = 'running' AND attempts = ?2 RETURNING 1",
    [QUERY_HISTORY] = "INSERT INTO history (message, event, at_ms, reason)"
                      " VALUES (?1, ?2, ?3, ?4)",
    [QUERY_NEXT_OF_KEY] = "UPDATE queue SET state = 'ready' WHERE id ="
                          " (SELECT id FROM queue WHERE key = ?1 ORDER BY id LIMIT 1)",
    [QUERY_IS_QUEUED] = "SELECT 1 FROM queue WHERE id = ?1",
    [QUERY_IS_KEPT] = "SELECT 1 FROM messages WHERE id = ?1",
    [QUERY_TAKE_BACK_HISTORY] = "INSERT INTO history (message, event, at_ms)"
                                " SELECT id, 'taken back', ?2 FROM queue"
                                " WHERE state = 'running' AND shard = ?1",
    [QUERY_TAKE_BACK] = "UPDATE queue SET state = 'ready'"
                        " WHERE state = 'running' AND shard = ?1",
    [QUERY_WAKE] = "UPDATE queue SET state = 'ready' WHERE id IN"
                   " (SELECT id FROM queue WHERE state = 'waiting' AND due_ms > ?1"
                   " AND due_ms <= ?2 ORDER BY due_ms LIMIT ?3) RETURNING shard",
    [QUERY_NEXT_DUE] = "SELECT due_ms FROM queue WHERE state = 'waiting'"
                       " ORDER BY due_ms LIMIT 1",
    [QUERY_LOAD] = "SELECT m.id, m.stored_ms, s.listener, s.application, s.facility,"
                   " m.control_id, m.patient, m.content"
                   " FROM messages m JOIN senders s ON s.id = m.sender WHERE m.id = ?1",
};

static enum journal_result result_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return JOURNAL_OK;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return JOURNAL_BUSY;
    case SQLITE_FULL: return JOURNAL_FULL;
    case SQLITE_NOMEM: return JOURNAL_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return JOURNAL_CORRUPT;
    case SQLITE_TOOBIG: return JOURNAL_TOOBIG;
    case SQLITE_IOERR: return rc == SQLITE_IOERR_NOMEM ? JOURNAL_NOMEM : JOURNAL_IO;
    default: return JOURNAL_IO;
    }
}

enum journal_result journal__failed(struct journal_db *db, int rc)
{
    enum journal_result result = result_of(rc);

    assert(result != JOURNAL_OK);
    db->detail = rc;
    if (db->batch && db->lost == JOURNAL_OK) db->lost = result;
    return result;
}

void journal__settle(struct journal_db *db)
{
    if (!db->lent) return;
    sqlite3_reset(db->lent);
    sqlite3_clear_bindings(db->lent);
    db->lent = NULL;
}

struct journal_call journal__call(struct journal_db *db, enum journal_query query)
{
    struct journal_call call = { .db = db, .rc = SQLITE_OK };

    journal__settle(db);
    if (!db->kept[query])
        call.rc = sqlite3_prepare_v3(
            db->sql, TEXT[query], -1, SQLITE_PREPARE_PERSISTENT, &db->kept[query], NULL);
    call.stmt = db->kept[query];
    return call;
}

void journal__put_int(struct journal_call *call, int at, int64_t value)
{
    if (call->rc == SQLITE_OK) call->rc = sqlite3_bind_int64(call->stmt, at, value);
}

void journal__put_text(struct journal_call *call, int at, const char *text, size_t bytes_max)
{
    int bytes = text ? (int)strnlen(text, bytes_max) : 0;

    if (call->rc == SQLITE_OK)
        call->rc = sqlite3_bind_text(call->stmt, at, text, bytes, SQLITE_STATIC);
}

void journal__put_bytes(struct journal_call *call, int at, struct journal_bytes bytes)
{
    if (call->rc != SQLITE_OK) return;
    /* A NULL pointer would be SQL's NULL, which equals nothing, not even itself. */
    if (bytes.count == 0)
        call->rc = sqlite3_bind_zeroblob(call->stmt, at, 0);
    else
        call->rc = sqlite3_bind_blob64(call->stmt, at, bytes.at, bytes.count, SQLITE_STATIC);
}

void journal__end(struct journal_call *call)
{
    if (!call->stmt) return;
    sqlite3_reset(call->stmt);
    sqlite3_clear_bindings(call->stmt);
}

enum journal_result journal__row(struct journal_call *call)
{
    int rc = call->rc;

    if (rc == SQLITE_OK) rc = sqlite3_step(call->stmt);
    if (rc == SQLITE_ROW) return JOURNAL_OK;
    journal__end(call);
    return rc == SQLITE_DONE ? JOURNAL_NONE : journal__failed(call->db, rc);
}

enum journal_result journal__one(struct journal_call *call, int64_t *out)
{
    enum journal_result result = journal__row(call);

    if (result != JOURNAL_OK) return result;
    *out = sqlite3_column_int64(call->stmt, 0);
    /* To the end: a statement that changes something and returns a row is not over before. */
    result = journal__run(call);
    return result;
}

enum journal_result journal__run(struct journal_call *call)
{
    enum journal_result result;

    do
        result = journal__row(call);
    while (result == JOURNAL_OK);
    return result == JOURNAL_NONE ? JOURNAL_OK : result;
}

struct journal_bytes journal__column(sqlite3_stmt *stmt, int column)
{
    struct journal_bytes bytes;

    bytes.at = sqlite3_column_blob(stmt, column);
    bytes.count = (size_t)sqlite3_column_bytes(stmt, column);
    return bytes;
}

/* -- statements that are used once ------------------------------------------------------------- */

enum journal_result journal__sql_each(
    struct journal_db *db, const char *text, journal_each_row *each, void *arg)
{
    sqlite3_stmt *stmt = NULL;
    int rc;

    journal__settle(db);
    rc = sqlite3_prepare_v2(db->sql, text, -1, &stmt, NULL);
    while (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW) break;
        rc = each && !each(arg, stmt) ? SQLITE_DONE : SQLITE_OK;
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? JOURNAL_OK : journal__failed(db, rc);
}

static bool first_column(void *arg, sqlite3_stmt *stmt)
{
    *(int64_t *)arg = sqlite3_column_int64(stmt, 0);
    return true;
}

enum journal_result journal__sql_one(struct journal_db *db, const char *text, int64_t *out)
{
    return journal__sql_each(db, text, first_column, out);
}

enum journal_result journal__sql(struct journal_db *db, const char *text)
{
    return journal__sql_each(db, text, NULL, NULL);
}
