/* SPDX-License-Identifier: MIT */
/*
 * gate_journal_fixture.h - what the tests of the gate's journal share: a folder for each test,
 * short words for the calls, an outsider's hand on the file.
 *
 * For gate_journal_*_test.c. Time is what the tests say it is.
 */
#ifndef GATE_JOURNAL_FIXTURE_H
#define GATE_JOURNAL_FIXTURE_H

#include "examples/gate/journal_db.h"
#include <criterion/criterion.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOW = 1000000 };

/* Criterion runs each test in a process of its own. */
static char folder[64], path[96];

static inline void make_folder(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/gate-journal-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/gate.db", folder);
}

static inline void remove_folder(void)
{
    const char *const ends[] = { "", "-wal", "-shm", "-lock", "-journal", ".link" };
    char name[128];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        (void)snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)unlink(name);
    }
    (void)snprintf(name, sizeof name, "%s.link-lock", path);
    (void)unlink(name);
    (void)rmdir(folder);
}

TestSuite(gate_journal, .init = make_folder, .fini = remove_folder, .timeout = 60);

/* -- short words ------------------------------------------------------------------------------- */

#define OK(call) cr_assert_eq((call), JOURNAL_OK)
#define IS(call, result) cr_assert_eq((call), (result))

static inline struct journal_bytes bytes(const char *text)
{
    return (struct journal_bytes){ text, strlen(text) };
}

static inline bool equal(struct journal_bytes a, struct journal_bytes b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.at, b.at, a.count) == 0);
}

static inline struct journal_new message(const char *id, const char *patient, const char *content)
{
    return (struct journal_new){ .listener = "127.0.0.1:2575",
        .application = bytes("LAB"),
        .facility = bytes("HOSP"),
        .control_id = bytes(id),
        .patient = bytes(patient),
        .content = bytes(content) };
}

static inline struct journal_db *open_with(struct journal_opts opts)
{
    struct journal_db *db;

    opts.now_ms = opts.now_ms ? opts.now_ms : NOW;
    OK(journal_db_open(&db, path, &opts));
    return db;
}

static inline struct journal_db *open_plain(void)
{
    return open_with((struct journal_opts){ 0 });
}

static inline int64_t put(struct journal_db *db, const char *id, const char *patient)
{
    struct journal_new msg = message(id, patient, id);
    struct journal_kept kept;

    OK(journal_db_append(db, &msg, &kept));
    return kept.id;
}

/* One message a batch. */
static inline int64_t put_alone(struct journal_db *db, const char *id, const char *patient)
{
    int64_t kept;

    OK(journal_db_begin(db, NOW));
    kept = put(db, id, patient);
    OK(journal_db_commit(db));
    return kept;
}

static inline struct journal_run claim(struct journal_db *db)
{
    struct journal_run run = { 0 };
    enum journal_result result = journal_db_claim(db, 0, &run);

    cr_assert(result == JOURNAL_OK || result == JOURNAL_NONE);
    return run;
}

static inline void count_wakes(void *arg, unsigned shard)
{
    (void)shard;
    ++*(int *)arg;
}

static inline struct journal_status status_of(struct journal_db *db)
{
    struct journal_status status;

    OK(journal_db_status(db, &status));
    return status;
}

static inline void sound(struct journal_db *db)
{
    struct journal_faults faults;

    OK(journal_db_check(db, &faults));
    cr_assert_eq(faults.order, 0);
    cr_assert_eq(faults.done_twice, 0);
    cr_assert_eq(faults.two_ends, 0);
    cr_assert_eq(faults.lost, 0);
    cr_assert_eq(faults.damaged, 0);
}

/* What an outsider may do to the file, with sqlite3's own shell for one. */
static inline void tamper(const char *sql)
{
    sqlite3 *raw;

    cr_assert_eq(sqlite3_open(path, &raw), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(raw, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(raw);
}

#endif
