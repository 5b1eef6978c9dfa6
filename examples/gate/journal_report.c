/* SPDX-License-Identifier: MIT */
/*
 * journal_report.c - what the journal says about itself: status, reasons, export, check.
 *
 * Each report reads one snapshot, so its figures belong together while a writer goes on. Rows are
 * streamed; only what SQL itself sorts is held in memory. The check asks the tables again and
 * trusts none of the rules by which they were filled. On whatever thread has the handle; never
 * within a batch, whose half-done work it would report.
 */
#include "examples/gate/journal_inside.h"
#include <assert.h>
#include <string.h>

static enum journal_result start_snapshot(struct journal_db *db)
{
    assert(!db->batch);
    return journal__sql(db, "BEGIN");
}

static enum journal_result end_snapshot(struct journal_db *db, enum journal_result result)
{
    enum journal_result ended = JOURNAL_OK;

    if (!sqlite3_get_autocommit(db->sql)) ended = journal__sql(db, "COMMIT");
    return result == JOURNAL_OK ? ended : result;
}

struct figure {
    const char *text; /* one row, one column */
    int64_t *out;
};

static enum journal_result ask_all(
    struct journal_db *db, const struct figure *figures, size_t count)
{
    enum journal_result result = start_snapshot(db);

    if (result != JOURNAL_OK) return result;
    for (size_t i = 0; i < count && result == JOURNAL_OK; i++)
        result = journal__sql_one(db, figures[i].text, figures[i].out);
    return end_snapshot(db, result);
}

/* -- status ------------------------------------------------------------------------------------ */

#define EVENTS(event) "SELECT count(*) FROM history WHERE event = '" event "'"
#define QUEUED(state) "SELECT count(*) FROM queue WHERE state = '" state "'"
#define COUNTER(name) "SELECT n FROM counters WHERE name = '" name "'"

enum journal_result journal_db_status(struct journal_db *db, struct journal_status *out)
{
    int64_t given_up = 0;
    const struct figure figures[] = {
        { "SELECT count(*) FROM messages", &out->received },
        { EVENTS("done"), &out->done },
        { EVENTS("dead"), &out->dead },
        { EVENTS("retried"), &given_up },
        { EVENTS("taken back"), &out->taken_back },
        { QUEUED("behind"), &out->behind },
        { QUEUED("ready"), &out->ready },
        { QUEUED("running"), &out->running },
        { QUEUED("waiting"), &out->waiting },
        { "SELECT stored_ms FROM messages WHERE id = (SELECT min(id) FROM queue)",
            &out->oldest_queued_ms },
        { COUNTER("duplicates"), &out->duplicates },
        { COUNTER("control_id_reused"), &out->control_id_reused },
        { COUNTER("late_marks"), &out->late_marks },
    };
    enum journal_result result;

    memset(out, 0, sizeof *out);
    result = ask_all(db, figures, sizeof figures / sizeof *figures);
    out->queued = out->behind + out->ready + out->running + out->waiting;
    out->retried = given_up + out->taken_back;
    return result;
}

struct reasons {
    journal_reason *each;
    void *arg;
};

static bool reason_row(void *arg, sqlite3_stmt *stmt)
{
    const struct reasons *to = arg;
    const char *reason = (const char *)sqlite3_column_text(stmt, 0);

    to->each(to->arg, reason ? reason : "", sqlite3_column_int64(stmt, 1));
    return true;
}

enum journal_result journal_db_reasons(
    struct journal_db *db, bool dead, journal_reason *each, void *arg)
{
    struct reasons to = { each, arg };

    assert(!db->batch);
    return journal__sql_each(db,
        dead ? "SELECT reason, count(*) AS n FROM history WHERE event = 'dead'"
               " GROUP BY reason ORDER BY n DESC, reason"
             : "SELECT reason, count(*) AS n FROM queue WHERE state = 'waiting'"
               " GROUP BY reason ORDER BY n DESC, reason",
        reason_row, &to);
}

/* -- export ------------------------------------------------------------------------------------ */

struct export
{
    journal_export *each;
    void *arg;
    bool stopped;
};

static bool export_row(void *arg, sqlite3_stmt *stmt)
{
    struct export *to = arg;

    to->stopped = !to->each(to->arg, journal__column(stmt, 0));
    return !to->stopped;
}

enum journal_result journal_db_export(
    struct journal_db *db, bool done_only, journal_export *each, void *arg)
{
    struct export to = { .each = each, .arg = arg };
    enum journal_result result = start_snapshot(db);

    if (result != JOURNAL_OK) return result;
    result = journal__sql_each(db,
        done_only ? "SELECT m.control_id FROM history h JOIN messages m ON m.id = h.message"
                    " WHERE h.event = 'done' ORDER BY h.seq"
                  : "SELECT m.control_id FROM history h JOIN messages m ON m.id = h.message"
                    " WHERE h.event IN ('done', 'dead') ORDER BY h.seq",
        export_row, &to);
    if (result == JOURNAL_OK && !done_only && !to.stopped)
        result = journal__sql_each(db,
            "SELECT m.control_id FROM queue q JOIN messages m ON m.id = q.id ORDER BY q.id",
            export_row, &to);
    return end_snapshot(db, result);
}

/* -- check ------------------------------------------------------------------------------------- */

/* Two ways to overtake: ended before an earlier one ended, or while an earlier one is queued. */
static const char OVERTOOK_ENDED[] =
    "SELECT count(*) FROM (SELECT m.id AS id, lag(m.id) OVER"
    " (PARTITION BY m.patient ORDER BY h.seq) AS before"
    " FROM history h JOIN messages m ON m.id = h.message"
    " WHERE h.event IN ('done', 'dead') AND length(m.patient) > 0) WHERE before > id";

static const char OVERTOOK_QUEUED[] =
    "SELECT count(*) FROM history h JOIN messages m ON m.id = h.message"
    " JOIN (SELECT n.patient AS patient, min(n.id) AS id FROM queue q"
    " JOIN messages n ON n.id = q.id WHERE length(n.patient) > 0 GROUP BY n.patient) AS first"
    " ON first.patient = m.patient AND m.id > first.id WHERE h.event IN ('done', 'dead')";

/* The + keeps the unique index out: what it promises is what is being checked. */
static const char DONE_TWICE[] = "SELECT count(*) FROM (SELECT 1 FROM history"
                                 " WHERE +event = 'done' GROUP BY +message HAVING count(*) > 1)";

static const char TWO_ENDS[] =
    "SELECT (SELECT count(*) FROM (SELECT 1 FROM history WHERE +event IN ('done', 'dead')"
    " GROUP BY +message HAVING count(DISTINCT event) > 1))"
    " + (SELECT count(*) FROM queue q JOIN history h ON h.message = q.id"
    " AND h.event IN ('done', 'dead'))";

static const char LOST[] =
    "SELECT count(*) FROM messages m WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = m.id)"
    " AND NOT EXISTS (SELECT 1 FROM history h WHERE h.message = m.id"
    " AND h.event IN ('done', 'dead'))";

static const char DAMAGED[] =
    "SELECT count(*) FROM pragma_integrity_check(100) WHERE integrity_check <> 'ok'";

enum journal_result journal_db_check(struct journal_db *db, struct journal_faults *out)
{
    int64_t behind_queued = 0;
    const struct figure figures[] = {
        { OVERTOOK_ENDED, &out->order },
        { OVERTOOK_QUEUED, &behind_queued },
        { DONE_TWICE, &out->done_twice },
        { TWO_ENDS, &out->two_ends },
        { LOST, &out->lost },
        { DAMAGED, &out->damaged },
    };
    enum journal_result result;

    memset(out, 0, sizeof *out);
    result = ask_all(db, figures, sizeof figures / sizeof *figures);
    out->order += behind_queued;
    return result;
}
