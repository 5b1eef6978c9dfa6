/* SPDX-License-Identifier: MIT */
/*
 * journal_open.c - the journal's file: who may write, its tables, opening, closing, texts.
 *
 * The writer's lock is an flock on a file of its own beside the database. SQLite's exclusive
 * locking would keep readers out, and a lock on the database itself would be in the way of the
 * locks SQLite takes there. The lock file stays; its content means nothing.
 *
 * The database is in WAL mode with synchronous=FULL: what commit answered for has been synced,
 * and readers never wait for the writer or it for them.
 */
#include "examples/gate/journal_inside.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { APPLICATION_ID = 0x47415445, SCHEMA_VERSION = 1, PAGES_MIN = 64, RESERVED_SHARE = 16 };

/* AUTOINCREMENT: an id or a place in the order of processing is never given twice, whatever is
 * pruned later. Content stands last, so that nothing else has to be read through it. */
static const char *const SCHEMA[] = {
    "CREATE TABLE senders (id INTEGER PRIMARY KEY, listener TEXT NOT NULL,"
    " application BLOB NOT NULL, facility BLOB NOT NULL,"
    " UNIQUE (listener, application, facility))",

    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " sender INTEGER NOT NULL REFERENCES senders, control_id BLOB NOT NULL,"
    " content_hash INTEGER NOT NULL, stored_ms INTEGER NOT NULL, patient BLOB NOT NULL,"
    " content BLOB NOT NULL)",
    "CREATE INDEX messages_same ON messages (sender, control_id, content_hash)",

    /* What is unfinished. state: behind, ready, running, waiting. */
    "CREATE TABLE queue (id INTEGER PRIMARY KEY REFERENCES messages, key INTEGER,"
    " shard INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
    " due_ms INTEGER NOT NULL DEFAULT 0, reason TEXT)",
    "CREATE INDEX queue_state ON queue (state, shard)",
    "CREATE INDEX queue_key ON queue (key) WHERE key IS NOT NULL",
    "CREATE INDEX queue_due ON queue (due_ms) WHERE state = 'waiting'",

    /* What happened, in order. event: retried, taken back, done, dead. That a message was kept
     * is its row in messages. A message ends once: the index would refuse a second end. */
    "CREATE TABLE history (seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " message INTEGER NOT NULL REFERENCES messages, event TEXT NOT NULL,"
    " at_ms INTEGER NOT NULL, reason TEXT)",
    "CREATE UNIQUE INDEX history_end ON history (message) WHERE event IN ('done', 'dead')",

    "CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO counters VALUES ('duplicates', 0), ('control_id_reused', 0)",
    "INSERT INTO counters VALUES ('late_marks', 0), ('shards', 0)",
};

/* -- the lock ---------------------------------------------------------------------------------- */

/* Beside the file that SQLite has really opened, so that no symbolic link makes a second lock. */
static enum journal_result lock(struct journal_db *db)
{
    const char *file = sqlite3_db_filename(db->sql, "main");
    size_t bytes = strlen(file) + sizeof "-lock";
    char *path = malloc(bytes);

    if (!path) return JOURNAL_NOMEM;
    (void)snprintf(path, bytes, "%s-lock", file);
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    if (db->lock_fd < 0) return JOURNAL_IO;
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) == 0) return JOURNAL_OK;
    return errno == EWOULDBLOCK ? JOURNAL_LOCKED : JOURNAL_IO;
}

/* -- schema ------------------------------------------------------------------------------------ */

static enum journal_result create(struct journal_db *db)
{
    char text[64];
    enum journal_result result = journal__sql(db, "BEGIN IMMEDIATE");

    for (size_t i = 0; i < sizeof SCHEMA / sizeof *SCHEMA && result == JOURNAL_OK; i++)
        result = journal__sql(db, SCHEMA[i]);
    (void)snprintf(text, sizeof text, "PRAGMA application_id = %d", APPLICATION_ID);
    if (result == JOURNAL_OK) result = journal__sql(db, text);
    (void)snprintf(text, sizeof text, "PRAGMA user_version = %d", SCHEMA_VERSION);
    if (result == JOURNAL_OK) result = journal__sql(db, text);
    return result == JOURNAL_OK ? journal__sql(db, "COMMIT") : result;
}

/* JOURNAL_NONE: an empty database, in which a journal can be made. */
static enum journal_result recognise(struct journal_db *db)
{
    int64_t application = 0, version = 0, tables = 0;
    enum journal_result result = journal__sql_one(db, "PRAGMA application_id", &application);

    if (result == JOURNAL_OK) result = journal__sql_one(db, "PRAGMA user_version", &version);
    if (result == JOURNAL_OK)
        result = journal__sql_one(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (result != JOURNAL_OK) return result;
    if (application == 0 && version == 0 && tables == 0) return JOURNAL_NONE;
    if (application != APPLICATION_ID) return JOURNAL_FOREIGN;
    return version == SCHEMA_VERSION ? JOURNAL_OK : JOURNAL_VERSION;
}

static bool is_wal(void *arg, sqlite3_stmt *stmt)
{
    const char *mode = (const char *)sqlite3_column_text(stmt, 0);

    *(bool *)arg = mode && strcmp(mode, "wal") == 0;
    return true;
}

/* Only after recognise(): turning WAL on writes to the file, and it may not be ours. */
static enum journal_result make_durable(struct journal_db *db)
{
    bool wal = false;
    enum journal_result result = journal__sql_each(db, "PRAGMA journal_mode = WAL", is_wal, &wal);

    if (result != JOURNAL_OK) return result;
    if (!wal) /* a place where shared memory does not work, such as a network disk */
        return JOURNAL_IO;
    result = journal__sql(db, "PRAGMA synchronous = FULL");
    /* A long reader lets the WAL grow; this gives the space back afterwards. */
    return result == JOURNAL_OK ? journal__sql(db, "PRAGMA journal_size_limit = 67108864") : result;
}

static enum journal_result set_bound(struct journal_db *db)
{
    char text[64];
    int64_t pages;
    enum journal_result result = journal__sql_one(db, "PRAGMA page_size", &db->page_bytes);

    if (result != JOURNAL_OK || db->opts.bytes_max <= 0) return result;
    pages = db->opts.bytes_max / db->page_bytes;
    pages = pages < PAGES_MIN ? PAGES_MIN : pages;
    db->pages_for_append = pages - pages / RESERVED_SHARE;
    (void)snprintf(text, sizeof text, "PRAGMA max_page_count = %lld", (long long)pages);
    return journal__sql(db, text);
}

/* A shard is stored with each message of the queue, so a new number of them is a change to all. */
static enum journal_result set_shards(struct journal_db *db)
{
    char text[96];
    int64_t shards = 0;
    unsigned wanted = db->opts.shards;
    enum journal_result result =
        journal__sql_one(db, "SELECT n FROM counters WHERE name = 'shards'", &shards);

    if (result != JOURNAL_OK || shards == (int64_t)wanted) return result;
    result = journal__sql(db, "BEGIN IMMEDIATE");
    (void)snprintf(text, sizeof text, "UPDATE queue SET shard = coalesce(key, id) %% %u", wanted);
    if (result == JOURNAL_OK) result = journal__sql(db, text);
    (void)snprintf(text, sizeof text, "UPDATE counters SET n = %u WHERE name = 'shards'", wanted);
    if (result == JOURNAL_OK) result = journal__sql(db, text);
    return result == JOURNAL_OK ? journal__sql(db, "COMMIT") : result;
}

/* -- opening ----------------------------------------------------------------------------------- */

static enum journal_result connect(struct journal_db *db, const char *path, int flags)
{
    int rc = sqlite3_open_v2(path, &db->sql, flags | SQLITE_OPEN_NOMUTEX, NULL);
    enum journal_result result;

    if (rc != SQLITE_OK) return journal__failed(db, rc);
    sqlite3_extended_result_codes(db->sql, 1);
    sqlite3_busy_timeout(db->sql, (int)db->opts.busy_ms);
    /* Sorting for a report would otherwise put patient keys into files elsewhere. */
    result = journal__sql(db, "PRAGMA temp_store = MEMORY");
    return result == JOURNAL_OK ? journal__sql(db, "PRAGMA trusted_schema = OFF") : result;
}

static enum journal_result take_all_back(struct journal_db *db)
{
    enum journal_result result = journal_db_begin(db, db->opts.now_ms), committed;

    if (result != JOURNAL_OK) return result;
    for (unsigned shard = 0; shard < db->opts.shards && result == JOURNAL_OK; shard++) {
        int64_t taken;
        result = journal_db_take_back(db, shard, &taken);
        db->taken_back += taken;
    }
    committed = journal_db_commit(db);
    return result == JOURNAL_OK ? committed : result;
}

/* Messages are patient data: nobody else reads them. Only a file that is not there yet may be
 * opened here, as closing it would drop the locks of another connection of this process. */
static void make_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0) close(fd);
}

static enum journal_result open_writer(struct journal_db *db, const char *path)
{
    enum journal_result result;
    bool is_new;

    /* What SQLite keeps in memory, or deletes at the end, is no journal. */
    if (*path == '\0' || strcmp(path, ":memory:") == 0) return JOURNAL_IO;
    make_private(path);
    result = connect(db, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (result == JOURNAL_OK) result = lock(db);
    if (result != JOURNAL_OK) return result;
    result = recognise(db);
    is_new = result == JOURNAL_NONE;
    /* Messages are of 2 to 4 KB mostly: in pages of 4 KB every second byte would be empty. */
    if (is_new) result = journal__sql(db, "PRAGMA page_size = 8192");
    if (result == JOURNAL_OK) result = make_durable(db);
    if (result == JOURNAL_OK && is_new) result = create(db);
    if (result == JOURNAL_OK) result = set_bound(db);
    if (result == JOURNAL_OK) result = set_shards(db);
    return result == JOURNAL_OK ? take_all_back(db) : result;
}

static struct journal_db *new_handle(const struct journal_opts *opts)
{
    struct journal_db *db = calloc(1, sizeof *db);

    if (!db) return NULL;
    db->lock_fd = -1;
    if (opts) db->opts = *opts;
    if (db->opts.shards == 0) db->opts.shards = 1;
    if (db->opts.busy_ms == 0) db->opts.busy_ms = 5000;
    return db;
}

enum journal_result journal_db_open(
    struct journal_db **out, const char *path, const struct journal_opts *opts)
{
    struct journal_db *db = new_handle(opts);
    enum journal_result result = db ? open_writer(db, path) : JOURNAL_NOMEM;

    *out = result == JOURNAL_OK ? db : NULL;
    if (result != JOURNAL_OK) journal_db_close(db);
    return result;
}

enum journal_result journal_db_open_reader(struct journal_db **out, const char *path)
{
    struct journal_db *db = NULL;
    enum journal_result result = JOURNAL_NONE;

    *out = NULL;
    if (access(path, F_OK) != 0) return errno == ENOENT ? JOURNAL_NONE : JOURNAL_IO;
    db = new_handle(NULL);
    result = db ? connect(db, path, SQLITE_OPEN_READONLY) : JOURNAL_NOMEM;
    if (result == JOURNAL_OK) result = recognise(db);
    if (result == JOURNAL_OK)
        *out = db;
    else
        journal_db_close(db);
    return result;
}

int64_t journal_db_taken_back(const struct journal_db *db)
{
    return db->taken_back;
}

void journal_db_close(struct journal_db *db)
{
    int rc;

    if (!db) return;
    journal_db_rollback(db);
    for (int i = 0; i < QUERIES; i++)
        sqlite3_finalize(db->kept[i]);
    rc = sqlite3_close(db->sql);
    assert(rc == SQLITE_OK); /* else a statement was left open */
    (void)rc;
    /* Last: until here the file was in use. */
    if (db->lock_fd >= 0) close(db->lock_fd);
    free(db);
}

/* -- texts ------------------------------------------------------------------------------------- */

const char *journal_strerror(enum journal_result result)
{
    switch (result) {
    case JOURNAL_OK: return "no error";
    case JOURNAL_DUPLICATE: return "kept already";
    case JOURNAL_NONE: return "nothing there";
    case JOURNAL_ALREADY: return "finished already";
    case JOURNAL_STALE: return "that run was given up";
    case JOURNAL_NOSPACE: return "the journal has reached its size";
    case JOURNAL_BUSY: return "another program holds the journal";
    case JOURNAL_FULL: return "no space left";
    case JOURNAL_IO: return "the journal cannot be read or written";
    case JOURNAL_CORRUPT: return "the journal is damaged, or no database";
    case JOURNAL_NOMEM: return "out of memory";
    case JOURNAL_TOOBIG: return "too big for the journal";
    case JOURNAL_LOCKED: return "another gate writes to this journal";
    case JOURNAL_FOREIGN: return "this database is not a journal";
    case JOURNAL_VERSION: return "the journal is of another version";
    }
    return "unknown result";
}

const char *journal_db_detail(const struct journal_db *db)
{
    return sqlite3_errstr(db->detail);
}
