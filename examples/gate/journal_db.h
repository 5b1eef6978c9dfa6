/* SPDX-License-Identifier: MIT */
/*
 * journal_db.h - the gate's journal: messages kept in one SQLite file, and what became of each.
 *
 * Knows nothing of ward, HL7 or sockets: bytes go in, ids and states come out. One process holds
 * the writer (an flock on "<path>-lock" that the kernel drops with the process, so there are no
 * stale locks); any number of readers in other processes look on, also while it writes. A handle
 * belongs to one thread at a time; calls block on the disk. No clock is read here: the caller says
 * what time it is.
 *
 * All changes are made in batches, begin to commit. Nothing of a batch counts before commit has
 * answered JOURNAL_OK: acknowledge, hand out and report only then. The first hard failure (an
 * answer from JOURNAL_BUSY on) loses the whole batch: each later call of it gives the same answer,
 * and commit too, having changed nothing.
 *
 * Life of a message: behind (an earlier one of its patient is unfinished) -> ready -> running ->
 * done | dead, or -> waiting (for its next try) -> ready. Only the oldest unfinished message of a
 * patient is ever ready, running or waiting, so order per patient is held here, by whatever number
 * of actors the work is done, and a retry holds back its own patient and nobody else.
 */
#ifndef GATE_JOURNAL_DB_H
#define GATE_JOURNAL_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum journal_result {
    JOURNAL_OK,
    JOURNAL_DUPLICATE, /* append: kept already, this is its id */
    JOURNAL_NONE, /* nothing there: no such message, nothing ready, no such file */
    JOURNAL_ALREADY, /* a mark for a message that is done or dead: nothing changed */
    JOURNAL_STALE, /* a mark by a run that was given up; a later run counts: nothing changed */
    JOURNAL_NOSPACE, /* append: over bytes_max. The batch goes on; this message is not kept */
    JOURNAL_BUSY, /* somebody outside held the file for longer than busy_ms */
    JOURNAL_FULL, /* no space on the device, or none left for marks under bytes_max */
    JOURNAL_IO, /* the device failed, or the path cannot be opened or written */
    JOURNAL_CORRUPT, /* this is no database, or a damaged one */
    JOURNAL_NOMEM,
    JOURNAL_TOOBIG, /* more than SQLite takes in one row */
    JOURNAL_LOCKED, /* open: another gate writes to this journal */
    JOURNAL_FOREIGN, /* open: a sound database, but not a journal */
    JOURNAL_VERSION /* open: a journal of a version this program does not know */
};

struct journal_db;

struct journal_opts {
    unsigned shards; /* classes of patients for claim(); 0: 1. May differ at each open */
    unsigned busy_ms; /* 0: 5000 */
    int64_t bytes_max; /* of the file; append leaves 1/16 of it for marks. 0: no bound */
    int64_t retry_ms_max; /* a retry due later than this from now is due now: the clock was set
                             back. 0: no such rule */
    int64_t now_ms; /* wall clock, for the history of what open() takes back */
};

struct journal_bytes {
    const void *at; /* NULL only with count 0 */
    size_t count;
};

/* A message to keep. All bytes are lent for the call. */
struct journal_new {
    const char *listener;
    struct journal_bytes application, facility; /* MSH-3 and MSH-4 */
    struct journal_bytes control_id; /* MSH-10 */
    struct journal_bytes patient; /* what order is kept by; empty: waits for nobody */
    struct journal_bytes content; /* kept as it is */
};

struct journal_kept {
    int64_t id; /* grows with each message kept; never used again */
    unsigned shard;
};

/* One run of a message: what a mark must show. */
struct journal_run {
    int64_t id;
    unsigned attempt; /* 1 for the first run */
    unsigned shard;
};

/* A message read back. All bytes are lent until the next call with the same handle. */
struct journal_message {
    int64_t id, stored_ms;
    struct journal_bytes listener, application, facility, control_id, patient, content;
};

/* -- the writer -------------------------------------------------------------------------------- */

/* Opens or makes the journal and becomes its one writer. What a killed process had running is
 * ready again and counts as retried. *out is NULL after a failure. Loads no message. */
enum journal_result journal_db_open(
    struct journal_db **out, const char *path, const struct journal_opts *opts);

/* How many messages open() found running: their steps will run again. */
int64_t journal_db_taken_back(const struct journal_db *db);

/* Gives up an open batch. NULL is fine. */
void journal_db_close(struct journal_db *db);

/* now_ms is the wall clock for all that happens in the batch. */
enum journal_result journal_db_begin(struct journal_db *db, int64_t now_ms);
enum journal_result journal_db_commit(struct journal_db *db);
void journal_db_rollback(struct journal_db *db); /* also without a batch: then it does nothing */

/* JOURNAL_OK: kept under a new id. JOURNAL_DUPLICATE: same listener, sender, control id and
 * content as *out. JOURNAL_NOSPACE: not kept. Both OK and DUPLICATE may be acknowledged after
 * commit. */
enum journal_result journal_db_append(
    struct journal_db *db, const struct journal_new *msg, struct journal_kept *out);

/* Hands out the oldest ready message of a shard, which is running from here on; JOURNAL_NONE when
 * there is none. Release it to whoever runs it after commit, so that a run is on disk before its
 * step begins. */
enum journal_result journal_db_claim(
    struct journal_db *db, unsigned shard, struct journal_run *out);

/* Ends a run. Only the run that holds the message can: others get JOURNAL_ALREADY or
 * JOURNAL_STALE, or JOURNAL_NONE for an id never kept. done and dead let the next message of the
 * patient go. A reason is a short fixed text without patient data; 200 bytes of it are kept. */
enum journal_result journal_db_done(struct journal_db *db, const struct journal_run *run);
enum journal_result journal_db_retry(
    struct journal_db *db, const struct journal_run *run, int64_t due_ms, const char *reason);
enum journal_result journal_db_dead(
    struct journal_db *db, const struct journal_run *run, const char *reason);

/* Takes back all that a shard has running, because who ran it is gone: ready again, counted as
 * retried. */
enum journal_result journal_db_take_back(struct journal_db *db, unsigned shard, int64_t *taken);

/* Makes waiting messages whose time has come ready, a bounded number a call, and tells the shard
 * of each; woken must not call the journal. Call again when next_due still lies in the past, and
 * every few seconds in any case: only here it is noticed that the clock was set back. */
typedef void journal_woken(void *arg, unsigned shard);
enum journal_result journal_db_wake(struct journal_db *db, journal_woken *woken, void *arg);

/* When the next waiting message is due, or JOURNAL_NONE. In a batch or outside. */
enum journal_result journal_db_next_due(struct journal_db *db, int64_t *due_ms);

/* Reads a message; outside of a batch it sees what is committed. */
enum journal_result journal_db_load(struct journal_db *db, int64_t id, struct journal_message *out);

/* -- readers, in any process; with the writer's handle outside of a batch only ------------------
 */

/* JOURNAL_NONE when there is no such file. */
enum journal_result journal_db_open_reader(struct journal_db **out, const char *path);

struct journal_status {
    int64_t received, done, dead; /* messages */
    int64_t behind, ready, running, waiting; /* unfinished messages; queued is their sum */
    int64_t queued;
    int64_t oldest_queued_ms; /* when the oldest unfinished one was stored; 0: none */
    int64_t retried; /* runs given up: by a retry, or by taking back */
    int64_t taken_back; /* the second kind alone */
    int64_t duplicates; /* acknowledged again, not kept again */
    int64_t control_id_reused; /* kept, though sender and control id were known */
    int64_t late_marks; /* refused: JOURNAL_ALREADY and JOURNAL_STALE */
};

enum journal_result journal_db_status(struct journal_db *db, struct journal_status *out);

/* Calls each for every reason why messages are dead, or else why they are waiting, by falling
 * count. The text is lent. */
typedef void journal_reason(void *arg, const char *reason, int64_t count);
enum journal_result journal_db_reasons(
    struct journal_db *db, bool dead, journal_reason *each, void *arg);

/* Streams control ids: what is finished in order of processing, then, unless done_only, what is
 * unfinished in order of id. done_only leaves out the dead too. Stops when each answers false. */
typedef bool journal_export(void *arg, struct journal_bytes control_id);
enum journal_result journal_db_export(
    struct journal_db *db, bool done_only, journal_export *each, void *arg);

/* What must all be 0. */
struct journal_faults {
    int64_t order; /* a message done or dead before an earlier one of its patient */
    int64_t done_twice; /* messages with more than one done mark */
    int64_t two_ends; /* messages both done and dead, or finished and still queued */
    int64_t lost; /* messages kept that are neither queued nor finished */
    int64_t damaged; /* complaints of SQLite's own check of the file */
};

enum journal_result journal_db_check(struct journal_db *db, struct journal_faults *out);

/* -- texts ------------------------------------------------------------------------------------- */

const char *journal_strerror(enum journal_result result); /* static text */

/* SQLite's words for the last failure, for a log: static text that never holds data. */
const char *journal_db_detail(const struct journal_db *db);

#endif
