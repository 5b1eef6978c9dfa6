/* SPDX-License-Identifier: MIT */
/*
 * writer.c - takes whatever is queued, up to a bound, does it all in one transaction, commits, and
 * only then answers everybody: one sync of the disk for as many senders as happen to wait.
 *
 * A question that is kept here has its right to an answer with it, so none is lost: a batch that
 * fails is refused as a whole (GATE_ENOTKEPT: nothing has changed, ask again), and should this
 * incarnation end, ward tells the askers. What a full disk refuses is refused and the writer goes
 * on; a file that cannot be read or is damaged ends it, and its supervisor judges.
 *
 * A run is read back from the disk here, its codes taken out, and only those handed on: a message
 * of 30 MiB does not travel. The journal's handle, the batch and what it allocated belong to the
 * incarnation. Runs on a thread of its own. Knows nothing of sockets.
 */
#include "examples/gate/writer.h"
#include "examples/gate/codes.h"
#include "examples/gate/journal_db.h"
#include "examples/gate/types.h"
#include <assert.h>
#include <string.h>

enum { BATCH_MAX = 128, WAKE_LOOK_MS = 1000, BUSY_MS = 2000 };
#define BATCH_BYTES ((size_t)8 << 20)
#define MAILBOX_SPARE ((size_t)16 << 20)

static const char LISTENER[] = "mllp"; /* a gate has one */

struct entry {
    ward_msg *question;
    enum journal_result kept; /* of a STORE */
    struct gate_run run; /* of a NEXT; its codes point into `codes` */
    struct gate_codes codes;
};

struct writer {
    ward_self *self;
    struct gate_config *config;
    struct journal_db *db;
    unsigned count;
    size_t bytes;
    struct entry entries[BATCH_MAX];
    ward_ref shards[GATE_SHARDS_MAX]; /* who works for it; nobody until it asked */
    bool idle[GATE_SHARDS_MAX]; /* it was told that nothing is ready */
    bool ready[GATE_SHARDS_MAX]; /* something became ready in this batch */
};

size_t gate_writer_mailbox_bytes(const struct gate_config *config)
{
    return (size_t)config->budget_bytes + (size_t)config->max_frame + MAILBOX_SPARE +
           (size_t)config->connections_max * GATE_BUFFER_FREE;
}

/* -- within a batch ---------------------------------------------------------------------------- */

static struct journal_bytes bytes_of(ward_bytes bytes)
{
    return (struct journal_bytes){ bytes.at, bytes.count };
}

static void keep_one(struct writer *w, struct entry *entry, const struct gate_store *store)
{
    const struct journal_new fresh = { .listener = LISTENER,
        .application = bytes_of(store->application),
        .facility = bytes_of(store->facility),
        .control_id = bytes_of(store->control_id),
        .patient = bytes_of(store->patient),
        .content = bytes_of(ward_blob_bytes(store->content)) };
    struct journal_kept kept;

    entry->kept = journal_db_append(w->db, &fresh, &kept);
    if (entry->kept == JOURNAL_OK) w->ready[kept.shard] = true;
}

/* An answer that got lost makes the asker repeat its mark: that the run is over is what it wants
 * to hear. */
static void end_run(struct writer *w, const struct gate_next *next)
{
    const struct journal_run run = { next->id, next->attempt, next->shard };
    const char *reason = next->reason ? next->reason : "";

    if (next->end == GATE_END_DONE)
        (void)journal_db_done(w->db, &run);
    else if (next->end == GATE_END_RETRY)
        (void)journal_db_retry(w->db, &run, gate_wall_ms() + next->delay_ms, reason);
    else if (next->end == GATE_END_DEAD)
        (void)journal_db_dead(w->db, &run, reason);
}

static void next_one(struct writer *w, struct entry *entry, const struct gate_next *next)
{
    struct journal_message message;
    struct journal_run run;
    int64_t taken_back;

    if (next->shard >= w->config->shards) return; /* id 0: there is nothing for it */
    w->shards[next->shard] = next->shard_ref;
    if (next->first) (void)journal_db_take_back(w->db, next->shard, &taken_back);
    end_run(w, next);
    w->idle[next->shard] = journal_db_claim(w->db, next->shard, &run) != JOURNAL_OK;
    if (w->idle[next->shard]) return;
    if (journal_db_load(w->db, run.id, &message) != JOURNAL_OK) return;
    gate_codes_read(&entry->codes, w->self, message.content.at, message.content.count);
    entry->run = (struct gate_run){ .id = run.id,
        .attempt = run.attempt,
        .problem = (uint8_t)entry->codes.problem,
        .codes = entry->codes.at,
        .codes_count = entry->codes.count };
}

static void note_ready(void *arg, unsigned shard)
{
    struct writer *w = arg;

    w->ready[shard] = true;
}

/* The result of the commit; the first hard failure within comes out of it too. */
static enum journal_result do_batch(struct writer *w)
{
    enum journal_result result = journal_db_begin(w->db, gate_wall_ms());

    if (result != JOURNAL_OK) return result;
    (void)journal_db_wake(w->db, note_ready, w);
    for (unsigned i = 0; i < w->count; i++) {
        struct entry *entry = &w->entries[i];
        const struct gate_store *store = ward_value(entry->question, &gate_store_type);
        const struct gate_next *next = ward_value(entry->question, &gate_next_type);
        if (store) keep_one(w, entry, store);
        if (next) next_one(w, entry, next);
    }
    return journal_db_commit(w->db);
}

/* -- answers ----------------------------------------------------------------------------------- */

static void answer_one(struct writer *w, const struct entry *entry)
{
    const struct gate_stored stored = { entry->kept == JOURNAL_OK,
        entry->kept == JOURNAL_DUPLICATE };
    ward_status rc;

    if (ward_is(entry->question, &gate_store_type))
        rc = ward_reply(w->self, entry->question, &gate_stored_type, &stored);
    else
        rc = ward_reply(w->self, entry->question, &gate_run_type, &entry->run);
    if (rc) ward_refuse(w->self, entry->question, rc);
}

/* A tell to one who has been told already may find the mailbox full: then he looks anyway. */
static void wake_shards(struct writer *w)
{
    for (unsigned i = 0; i < w->config->shards; i++) {
        if (w->ready[i] && w->idle[i])
            w->idle[i] = ward_send(w->self, w->shards[i], &gate_wake_type, NULL) != WARD_OK;
        w->ready[i] = false;
    }
}

static void end_entries(struct writer *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        ward_drop(w->self, w->entries[i].question);
        gate_codes_free(&w->entries[i].codes, w->self);
        w->entries[i] = (struct entry){ 0 };
    }
    w->count = 0;
    w->bytes = 0;
}

/* WARD_OK: the writer may go on. */
static ward_status refuse_all(struct writer *w, enum journal_result result)
{
    bool broken = result == JOURNAL_IO || result == JOURNAL_CORRUPT;

    gate_log_limited(&w->config->log, GATE_LOG_JOURNAL, "the journal refused %u requests: %s (%s)",
        w->count, journal_strerror(result), journal_db_detail(w->db));
    for (unsigned i = 0; i < w->count; i++)
        ward_refuse(w->self, w->entries[i].question, GATE_ENOTKEPT);
    /* Nobody was told anything: who was thought idle may not be, and looks by itself in time. */
    memset(w->ready, 0, sizeof w->ready);
    return broken ? WARD_EFAIL : WARD_OK;
}

static ward_status run_batch(struct writer *w)
{
    enum journal_result result = do_batch(w);
    ward_status rc = WARD_OK;

    if (result == JOURNAL_OK) {
        for (unsigned i = 0; i < w->count; i++)
            answer_one(w, &w->entries[i]);
        wake_shards(w);
    } else {
        rc = refuse_all(w, result);
    }
    end_entries(w);
    return rc;
}

/* -- the loop ---------------------------------------------------------------------------------- */

static ward_status take(struct writer *w, const ward_msg *msg)
{
    const struct gate_store *store = ward_value(msg, &gate_store_type);
    struct entry *entry = &w->entries[w->count];
    ward_status rc;

    if (!store && !ward_is(msg, &gate_next_type)) return WARD_OK;
    rc = ward_keep(w->self, &entry->question, msg);
    if (rc) return rc;
    w->count++;
    if (store) w->bytes += ward_blob_bytes(store->content).count;
    return WARD_OK;
}

/* WARD_OK: there is a batch. WARD_ETIMEDOUT: there is none, but something may be due. */
static ward_status gather(struct writer *w, ward_deadline by)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(w->self, &msg, by);

    while (!rc) {
        rc = take(w, msg);
        if (!rc && (w->count == BATCH_MAX || w->bytes >= BATCH_BYTES)) return WARD_OK;
        if (!rc) rc = ward_receive(w->self, &msg, WARD_NOW);
    }
    /* Cancelled or out of memory: what was taken is done first, and it comes up again. */
    return w->count > 0 ? WARD_OK : rc;
}

static ward_deadline look_by(struct writer *w)
{
    int64_t due_ms, wait = WAKE_LOOK_MS;

    if (journal_db_next_due(w->db, &due_ms) == JOURNAL_OK) {
        due_ms -= gate_wall_ms();
        wait = due_ms < wait ? due_ms : wait;
    }
    return ward_in_ms(w->self, wait < 1 ? 1 : wait);
}

static void close_db(void *arg)
{
    journal_db_close(arg);
}

static ward_status open_db(struct writer *w)
{
    const struct journal_opts opts = { .shards = w->config->shards,
        .busy_ms = BUSY_MS,
        .bytes_max = w->config->journal_bytes_max,
        .retry_ms_max = w->config->retry_max_ms * 2,
        .now_ms = gate_wall_ms() };
    enum journal_result result = journal_db_open(&w->db, w->config->journal_path, &opts);
    ward_status rc;

    if (result != JOURNAL_OK) {
        gate_log(&w->config->log, "the journal cannot be opened: %s", journal_strerror(result));
        return WARD_EFAIL;
    }
    rc = ward_defer(w->self, close_db, w->db);
    if (rc) {
        journal_db_close(w->db);
        return rc;
    }
    if (journal_db_taken_back(w->db))
        gate_log(&w->config->log, "the journal took back %lld messages that were being processed",
            (long long)journal_db_taken_back(w->db));
    return WARD_OK;
}

ward_status gate_writer_start(ward_self *self)
{
    struct writer *w = ward_state(self);

    w->self = self;
    w->config = ward_arg(self);
    return open_db(w);
}

ward_status gate_writer(ward_self *self)
{
    struct writer *w = ward_state(self);
    ward_status rc = WARD_OK;

    while (!rc) {
        rc = gather(w, look_by(w));
        if (!rc || rc == WARD_ETIMEDOUT) rc = run_batch(w);
    }
    return rc;
}

size_t gate_writer_state_bytes(void)
{
    return sizeof(struct writer);
}
