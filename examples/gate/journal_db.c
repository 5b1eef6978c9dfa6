/* SPDX-License-Identifier: MIT */
/*
 * journal_db.c - the writer's side of the journal: batches, append, claim and the marks.
 *
 * Order per patient is made here and nowhere else. A message that comes while an earlier one of
 * its patient is in the queue is `behind`; whoever takes a message out of the queue makes the
 * next of that patient ready in the same batch. The key of a patient is a 63-bit hash of its
 * bytes: should two patients ever share one, they wait for each other, and nothing else happens.
 *
 * A message that was handed out is `running` on disk before its step begins, so a restart finds
 * every step that may have run. `attempts` names the run: a mark by an older run is refused.
 */
#include "examples/gate/journal_inside.h"
#include <assert.h>
#include <string.h>

enum { WAKE_MAX = 256, TEXT_MAX = 1024, REASON_MAX = 200, PAGES_A_ROW = 8 };

static const char DUPLICATES[] = "duplicates", REUSED[] = "control_id_reused",
                  LATE_MARKS[] = "late_marks";

/* FNV-1a. It only finds candidates quickly; no answer ever rests on it alone. */
static uint64_t hash_of(struct journal_bytes bytes)
{
    const unsigned char *at = bytes.at;
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes.count; i++)
        hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

/* Never negative, so that SQL's % agrees with C's; folded, so that few shards share evenly. */
static int64_t key_of(struct journal_bytes patient)
{
    uint64_t hash = hash_of(patient);

    return (int64_t)((hash ^ (hash >> 29)) & INT64_MAX);
}

static unsigned shard_of(const struct journal_db *db, int64_t key)
{
    return (unsigned)(key % (int64_t)db->opts.shards);
}

/* -- batches ----------------------------------------------------------------------------------- */

enum journal_result journal_db_begin(struct journal_db *db, int64_t now_ms)
{
    struct journal_call call = journal__call(db, QUERY_BEGIN);
    enum journal_result result;

    assert(db->lock_fd >= 0 && !db->batch);
    result = journal__run(&call);
    if (result != JOURNAL_OK) return result;
    db->batch = true;
    db->lost = JOURNAL_OK;
    db->now_ms = now_ms;
    return JOURNAL_OK;
}

void journal_db_rollback(struct journal_db *db)
{
    journal__settle(db);
    if (!db->batch) return;
    /* After some failures SQLite has rolled back on its own. */
    if (!sqlite3_get_autocommit(db->sql)) {
        struct journal_call call = journal__call(db, QUERY_ROLLBACK);
        (void)journal__run(&call);
    }
    db->batch = false;
}

enum journal_result journal_db_commit(struct journal_db *db)
{
    enum journal_result result = db->lost;

    assert(db->batch);
    if (result == JOURNAL_OK) {
        struct journal_call call = journal__call(db, QUERY_COMMIT);
        result = journal__run(&call);
    }
    if (result != JOURNAL_OK) {
        journal_db_rollback(db);
        return result;
    }
    db->batch = false;
    return JOURNAL_OK;
}

/* What each change starts with. */
static enum journal_result in_batch(struct journal_db *db)
{
    assert(db->batch);
    journal__settle(db);
    return db->lost;
}

static enum journal_result count(struct journal_db *db, const char *name)
{
    struct journal_call call = journal__call(db, QUERY_COUNT);

    journal__put_text(&call, 1, name, TEXT_MAX);
    return journal__run(&call);
}

static enum journal_result history(
    struct journal_db *db, int64_t id, const char *event, const char *reason)
{
    struct journal_call call = journal__call(db, QUERY_HISTORY);

    journal__put_int(&call, 1, id);
    journal__put_text(&call, 2, event, TEXT_MAX);
    journal__put_int(&call, 3, db->now_ms);
    journal__put_text(&call, 4, reason, REASON_MAX);
    return journal__run(&call);
}

/* -- append ------------------------------------------------------------------------------------ */

/* What is found out about a new message once. */
struct facts {
    int64_t sender, content_hash;
};

/* Under a bound, appends stop early and leave pages for the marks of what is kept. */
static enum journal_result room_for(struct journal_db *db, size_t bytes)
{
    int64_t pages, pages_free;
    enum journal_result result;
    struct journal_call call;

    if (db->opts.bytes_max == 0) return JOURNAL_OK;
    call = journal__call(db, QUERY_PAGES);
    result = journal__one(&call, &pages);
    if (result != JOURNAL_OK) return result;
    call = journal__call(db, QUERY_PAGES_FREE);
    result = journal__one(&call, &pages_free);
    if (result != JOURNAL_OK) return result;
    pages += (int64_t)bytes / db->page_bytes + PAGES_A_ROW - pages_free;
    return pages > db->pages_for_append ? JOURNAL_NOSPACE : JOURNAL_OK;
}

static enum journal_result sender_of(
    struct journal_db *db, const struct journal_new *msg, int64_t *out)
{
    const enum journal_query ways[] = { QUERY_SENDER, QUERY_SENDER_NEW };
    enum journal_result result = JOURNAL_NONE;

    for (size_t i = 0; i < 2 && result == JOURNAL_NONE; i++) {
        struct journal_call call = journal__call(db, ways[i]);
        journal__put_text(&call, 1, msg->listener, TEXT_MAX);
        journal__put_bytes(&call, 2, msg->application);
        journal__put_bytes(&call, 3, msg->facility);
        result = journal__one(&call, out);
    }
    assert(result != JOURNAL_NONE);
    return result;
}

/* JOURNAL_OK with the id of the same message, or JOURNAL_NONE. */
static enum journal_result find_same(
    struct journal_db *db, const struct journal_new *msg, const struct facts *facts, int64_t *out)
{
    struct journal_call call = journal__call(db, QUERY_SAME);

    journal__put_int(&call, 1, facts->sender);
    journal__put_bytes(&call, 2, msg->control_id);
    journal__put_int(&call, 3, facts->content_hash);
    journal__put_bytes(&call, 4, msg->content);
    return journal__one(&call, out);
}

static enum journal_result count_if_reused(
    struct journal_db *db, const struct journal_new *msg, int64_t sender)
{
    struct journal_call call = journal__call(db, QUERY_REUSED);
    enum journal_result result;
    int64_t one;

    journal__put_int(&call, 1, sender);
    journal__put_bytes(&call, 2, msg->control_id);
    result = journal__one(&call, &one);
    if (result == JOURNAL_OK) return count(db, REUSED);
    return result == JOURNAL_NONE ? JOURNAL_OK : result;
}

static enum journal_result keep(
    struct journal_db *db, const struct journal_new *msg, const struct facts *facts, int64_t *out)
{
    struct journal_call call = journal__call(db, QUERY_KEEP);
    enum journal_result result;

    journal__put_int(&call, 1, facts->sender);
    journal__put_bytes(&call, 2, msg->control_id);
    journal__put_int(&call, 3, facts->content_hash);
    journal__put_int(&call, 4, db->now_ms);
    journal__put_bytes(&call, 5, msg->patient);
    journal__put_bytes(&call, 6, msg->content);
    result = journal__run(&call);
    *out = sqlite3_last_insert_rowid(db->sql);
    return result;
}

/* Behind the patient's others, or ready when there are none. */
static enum journal_result enqueue(
    struct journal_db *db, const struct journal_new *msg, struct journal_kept *out)
{
    bool keyed = msg->patient.count > 0;
    int64_t key = keyed ? key_of(msg->patient) : out->id, one;
    enum journal_result result = JOURNAL_NONE;
    struct journal_call call;
    const char *state;

    out->shard = shard_of(db, key);
    if (keyed) {
        call = journal__call(db, QUERY_KEY_BUSY);
        journal__put_int(&call, 1, key);
        result = journal__one(&call, &one);
    }
    if (result != JOURNAL_OK && result != JOURNAL_NONE) return result;
    state = result == JOURNAL_OK ? "behind" : "ready";
    call = journal__call(db, QUERY_ENQUEUE);
    journal__put_int(&call, 1, out->id);
    if (keyed) journal__put_int(&call, 2, key);
    journal__put_int(&call, 3, out->shard);
    journal__put_text(&call, 4, state, TEXT_MAX);
    return journal__run(&call);
}

/* The shard of a duplicate is that of its patient, whether or not it is still queued. */
static enum journal_result answer_duplicate(
    struct journal_db *db, const struct journal_new *msg, struct journal_kept *out)
{
    enum journal_result result = count(db, DUPLICATES);

    out->shard = shard_of(db, msg->patient.count > 0 ? key_of(msg->patient) : out->id);
    return result == JOURNAL_OK ? JOURNAL_DUPLICATE : result;
}

enum journal_result journal_db_append(
    struct journal_db *db, const struct journal_new *msg, struct journal_kept *out)
{
    struct facts facts = { .content_hash = (int64_t)hash_of(msg->content) };
    enum journal_result result = in_batch(db);

    assert(msg->listener);
    if (result == JOURNAL_OK) result = sender_of(db, msg, &facts.sender);
    if (result != JOURNAL_OK) return result;
    result = find_same(db, msg, &facts, &out->id);
    if (result == JOURNAL_OK) return answer_duplicate(db, msg, out);
    if (result != JOURNAL_NONE) return result;
    result = room_for(db, msg->content.count);
    if (result == JOURNAL_OK) result = count_if_reused(db, msg, facts.sender);
    if (result == JOURNAL_OK) result = keep(db, msg, &facts, &out->id);
    return result == JOURNAL_OK ? enqueue(db, msg, out) : result;
}

/* -- runs and their marks ---------------------------------------------------------------------- */

enum journal_result journal_db_claim(struct journal_db *db, unsigned shard, struct journal_run *out)
{
    enum journal_result result = in_batch(db);
    struct journal_call call;

    assert(shard < db->opts.shards);
    if (result != JOURNAL_OK) return result;
    call = journal__call(db, QUERY_CLAIM);
    journal__put_int(&call, 1, shard);
    result = journal__row(&call);
    if (result != JOURNAL_OK) return result;
    out->id = sqlite3_column_int64(call.stmt, 0);
    out->attempt = (unsigned)sqlite3_column_int64(call.stmt, 1);
    out->shard = shard;
    return journal__run(&call);
}

/* Why no row of the queue fitted a mark. */
static enum journal_result refuse_mark(struct journal_db *db, int64_t id)
{
    const enum journal_query asked[] = { QUERY_IS_QUEUED, QUERY_IS_KEPT };
    const enum journal_result answer[] = { JOURNAL_STALE, JOURNAL_ALREADY };
    enum journal_result result = JOURNAL_NONE;
    int64_t one;

    for (size_t i = 0; i < 2; i++) {
        struct journal_call call = journal__call(db, asked[i]);
        journal__put_int(&call, 1, id);
        result = journal__one(&call, &one);
        if (result == JOURNAL_OK)
            result = count(db, LATE_MARKS);
        else if (result == JOURNAL_NONE)
            continue;
        return result == JOURNAL_OK ? answer[i] : result;
    }
    return result;
}

/* Takes a run's message out of the queue, writes down why, and lets the patient's next go. */
static enum journal_result finish(
    struct journal_db *db, const struct journal_run *run, const char *event, const char *reason)
{
    enum journal_result result = in_batch(db);
    struct journal_call call;
    bool keyed;
    int64_t key;

    if (result != JOURNAL_OK) return result;
    call = journal__call(db, QUERY_END);
    journal__put_int(&call, 1, run->id);
    journal__put_int(&call, 2, run->attempt);
    result = journal__row(&call);
    if (result == JOURNAL_NONE) return refuse_mark(db, run->id);
    if (result != JOURNAL_OK) return result;
    keyed = sqlite3_column_type(call.stmt, 0) != SQLITE_NULL;
    key = sqlite3_column_int64(call.stmt, 0);
    result = journal__run(&call);
    if (result == JOURNAL_OK) result = history(db, run->id, event, reason);
    if (result != JOURNAL_OK || !keyed) return result;
    call = journal__call(db, QUERY_NEXT_OF_KEY);
    journal__put_int(&call, 1, key);
    return journal__run(&call);
}

enum journal_result journal_db_done(struct journal_db *db, const struct journal_run *run)
{
    return finish(db, run, "done", NULL);
}

enum journal_result journal_db_dead(
    struct journal_db *db, const struct journal_run *run, const char *reason)
{
    assert(reason);
    return finish(db, run, "dead", reason);
}

enum journal_result journal_db_retry(
    struct journal_db *db, const struct journal_run *run, int64_t due_ms, const char *reason)
{
    enum journal_result result = in_batch(db);
    struct journal_call call;
    int64_t one;

    assert(reason);
    if (result != JOURNAL_OK) return result;
    call = journal__call(db, QUERY_WAIT);
    journal__put_int(&call, 1, run->id);
    journal__put_int(&call, 2, run->attempt);
    journal__put_int(&call, 3, due_ms);
    journal__put_text(&call, 4, reason, REASON_MAX);
    result = journal__one(&call, &one);
    if (result == JOURNAL_NONE) return refuse_mark(db, run->id);
    return result == JOURNAL_OK ? history(db, run->id, "retried", reason) : result;
}

enum journal_result journal_db_take_back(struct journal_db *db, unsigned shard, int64_t *taken)
{
    enum journal_result result = in_batch(db);
    struct journal_call call;

    assert(shard < db->opts.shards);
    *taken = 0;
    if (result != JOURNAL_OK) return result;
    call = journal__call(db, QUERY_TAKE_BACK_HISTORY);
    journal__put_int(&call, 1, shard);
    journal__put_int(&call, 2, db->now_ms);
    result = journal__run(&call);
    if (result != JOURNAL_OK) return result;
    call = journal__call(db, QUERY_TAKE_BACK);
    journal__put_int(&call, 1, shard);
    result = journal__run(&call);
    if (result == JOURNAL_OK) *taken = sqlite3_changes64(db->sql);
    return result;
}

/* -- waiting ----------------------------------------------------------------------------------- */

static enum journal_result wake_between(
    struct journal_db *db, int64_t after_ms, int64_t until_ms, journal_woken *woken, void *arg)
{
    struct journal_call call = journal__call(db, QUERY_WAKE);
    enum journal_result result;

    journal__put_int(&call, 1, after_ms);
    journal__put_int(&call, 2, until_ms);
    journal__put_int(&call, 3, WAKE_MAX);
    for (;;) {
        result = journal__row(&call);
        if (result != JOURNAL_OK) return result == JOURNAL_NONE ? JOURNAL_OK : result;
        woken(arg, (unsigned)sqlite3_column_int64(call.stmt, 0));
    }
}

enum journal_result journal_db_wake(struct journal_db *db, journal_woken *woken, void *arg)
{
    enum journal_result result = in_batch(db);

    if (result == JOURNAL_OK) result = wake_between(db, INT64_MIN, db->now_ms, woken, arg);
    if (result == JOURNAL_OK && db->opts.retry_ms_max > 0)
        result = wake_between(db, db->now_ms + db->opts.retry_ms_max, INT64_MAX, woken, arg);
    return result;
}

enum journal_result journal_db_next_due(struct journal_db *db, int64_t *due_ms)
{
    struct journal_call call = journal__call(db, QUERY_NEXT_DUE);

    return journal__one(&call, due_ms);
}

enum journal_result journal_db_load(struct journal_db *db, int64_t id, struct journal_message *out)
{
    struct journal_call call = journal__call(db, QUERY_LOAD);
    enum journal_result result;

    journal__put_int(&call, 1, id);
    result = journal__row(&call);
    if (result != JOURNAL_OK) return result;
    out->id = sqlite3_column_int64(call.stmt, 0);
    out->stored_ms = sqlite3_column_int64(call.stmt, 1);
    out->listener = journal__column(call.stmt, 2);
    out->application = journal__column(call.stmt, 3);
    out->facility = journal__column(call.stmt, 4);
    out->control_id = journal__column(call.stmt, 5);
    out->patient = journal__column(call.stmt, 6);
    out->content = journal__column(call.stmt, 7);
    /* Empty content has no pointer; more without one is a failed allocation. */
    if (sqlite3_errcode(db->sql) == SQLITE_NOMEM) {
        journal__end(&call);
        return journal__failed(db, SQLITE_NOMEM);
    }
    db->lent = call.stmt;
    return JOURNAL_OK;
}
