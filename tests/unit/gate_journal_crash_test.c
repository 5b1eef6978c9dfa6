/* SPDX-License-Identifier: MIT */
/*
 * gate_journal_crash_test.c - the gate's journal: who may open it, and what is left of it after a
 * kill, a full disk, a failing disk, or any order of events.
 *
 * Each test has a folder of its own. A killed process is a child that was forked for it, and it is
 * killed after a number of acknowledgements read from a pipe, never after a time.
 */
#include "tests/unit/gate_journal_fixture.h"
#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* -- who may open ------------------------------------------------------------------------------ */

Test(gate_journal, refuses_a_second_writer_but_no_reader)
{
    struct journal_opts opts = { 0 };
    struct journal_db *db = open_plain(), *second, *reader;
    char name[128];

    IS(journal_db_open(&second, path, &opts), JOURNAL_LOCKED);
    cr_assert_null(second);
    (void)snprintf(name, sizeof name, "%s.link", path);
    cr_assert_eq(symlink(path, name), 0);
    IS(journal_db_open(&second, name, &opts), JOURNAL_LOCKED);
    OK(journal_db_open_reader(&reader, path));
    journal_db_close(reader);
    journal_db_close(db);
    OK(journal_db_open(&second, path, &opts));
    journal_db_close(second);
}

Test(gate_journal, has_nothing_to_read_where_there_is_no_file)
{
    struct journal_opts opts = { 0 };
    struct journal_db *db;

    IS(journal_db_open_reader(&db, path), JOURNAL_NONE);
    cr_assert_null(db);
    cr_assert_eq(access(path, F_OK), -1);
    IS(journal_db_open(&db, "/tmp/no-such-folder/gate.db", &opts), JOURNAL_IO);
    IS(journal_db_open(&db, ":memory:", &opts), JOURNAL_IO);
    IS(journal_db_open(&db, "", &opts), JOURNAL_IO);
    cr_assert_eq(access(":memory:", F_OK), -1);
}

Test(gate_journal, leaves_files_alone_that_are_not_its_own)
{
    struct journal_opts opts = { 0 };
    struct journal_db *db;
    FILE *file;

    tamper("CREATE TABLE theirs (n)");
    IS(journal_db_open(&db, path, &opts), JOURNAL_FOREIGN);
    IS(journal_db_open_reader(&db, path), JOURNAL_FOREIGN);
    /* Still with a rollback journal: nothing was written to it. */
    tamper("CREATE TABLE proof (n CHECK (n = 'delete'));"
           "INSERT INTO proof SELECT journal_mode FROM pragma_journal_mode");
    cr_assert_eq(unlink(path), 0);
    file = fopen(path, "w");
    cr_assert_not_null(file);
    for (int i = 0; i < 1000; i++)
        (void)fputs("not a database at all\n", file);
    cr_assert_eq(fclose(file), 0);
    IS(journal_db_open(&db, path, &opts), JOURNAL_CORRUPT);
    IS(journal_db_open_reader(&db, path), JOURNAL_CORRUPT);
}

Test(gate_journal, refuses_a_journal_of_another_version)
{
    struct journal_opts opts = { 0 };
    struct journal_db *db = open_plain();

    journal_db_close(db);
    tamper("PRAGMA user_version = 99");
    IS(journal_db_open(&db, path, &opts), JOURNAL_VERSION);
    IS(journal_db_open_reader(&db, path), JOURNAL_VERSION);
}

/* -- kill -9 ----------------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int from; /* what the child tells */
};

static struct child start(void (*work)(int to))
{
    struct child child;
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    child.pid = fork();
    cr_assert_geq(child.pid, 0);
    if (child.pid == 0) {
        close(ends[0]);
        /* A test that fails leaves nothing behind. */
        cr_assert_eq(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        work(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    child.from = ends[0];
    return child;
}

static bool hear(const struct child *child, int64_t *value)
{
    return read(child->from, value, sizeof *value) == (ssize_t)sizeof *value;
}

static void tell(int to, int64_t value)
{
    if (write(to, &value, sizeof value) != (ssize_t)sizeof value) _exit(1);
}

static void kill_it(const struct child *child)
{
    int status;

    cr_assert_eq(kill(child->pid, SIGKILL), 0);
    cr_assert_eq(waitpid(child->pid, &status, 0), child->pid);
    cr_assert(WIFSIGNALED(status));
    close(child->from);
}

static void stop_in_mid_batch(int to)
{
    struct journal_db *db = open_plain();

    OK(journal_db_begin(db, NOW));
    (void)put(db, "kept 1", "A");
    (void)put(db, "kept 2", "A");
    (void)put(db, "kept 3", "B");
    OK(journal_db_commit(db));
    OK(journal_db_begin(db, NOW));
    (void)claim(db);
    OK(journal_db_commit(db));
    OK(journal_db_begin(db, NOW));
    for (int i = 0; i < 200; i++) {
        char id[24];
        (void)snprintf(id, sizeof id, "lost %d", i);
        (void)put(db, id, "A");
    }
    (void)claim(db);
    tell(to, 1);
    (void)pause();
}

Test(gate_journal, has_nothing_of_a_batch_in_which_the_gate_was_killed)
{
    struct child child = start(stop_in_mid_batch);
    struct journal_opts opts = { 0 };
    struct journal_db *db, *reader;
    struct journal_status status;
    struct journal_run run;
    int64_t ready;

    cr_assert(hear(&child, &ready));
    IS(journal_db_open(&db, path, &opts), JOURNAL_LOCKED);
    kill_it(&child);

    /* A reader finds it as it was left; the next writer takes back what was running. */
    OK(journal_db_open_reader(&reader, path));
    cr_assert_eq(status_of(reader).running, 1);
    journal_db_close(reader);
    db = open_plain();
    cr_assert_eq(journal_db_taken_back(db), 1);
    status = status_of(db);
    cr_assert_eq(status.received, 3);
    cr_assert_eq(status.running, 0);
    cr_assert_eq(status.ready, 2);
    cr_assert_eq(status.behind, 1);
    cr_assert_eq(status.retried, 1);
    OK(journal_db_begin(db, NOW));
    run = claim(db);
    cr_assert_eq(run.id, 1);
    cr_assert_eq(run.attempt, 2);
    OK(journal_db_commit(db));
    sound(db);
    journal_db_close(db);
}

Test(gate_journal, counts_what_it_takes_back_once)
{
    struct journal_db *db = open_plain();

    (void)put_alone(db, "a1", "A");
    OK(journal_db_begin(db, NOW));
    (void)claim(db);
    OK(journal_db_commit(db));
    journal_db_close(db);
    for (int i = 0; i < 3; i++) {
        db = open_plain();
        cr_assert_eq(journal_db_taken_back(db), i == 0 ? 1 : 0);
        cr_assert_eq(status_of(db).retried, 1);
        journal_db_close(db);
    }
}

/* Appends for ever, and works at what is there; tells each id after the commit that kept it. */
static void work_for_ever(int to)
{
    struct journal_db *db = open_with((struct journal_opts){ .shards = 4 });
    int64_t next = status_of(db).received;

    for (;; next += 5) {
        int64_t kept[5];
        OK(journal_db_begin(db, NOW));
        for (int i = 0; i < 5; i++) {
            char id[24], patient[8];
            (void)snprintf(id, sizeof id, "%" PRId64, next + i);
            (void)snprintf(patient, sizeof patient, "P%d", (int)(next + i) % 7);
            kept[i] = put(db, id, patient);
        }
        for (unsigned shard = 0; shard < 4; shard++) {
            struct journal_run run;
            if (journal_db_claim(db, shard, &run) == JOURNAL_OK && (run.id + next) % 3 != 0)
                OK(journal_db_done(db, &run));
        }
        OK(journal_db_commit(db));
        for (int i = 0; i < 5; i++)
            tell(to, kept[i]);
    }
}

Test(gate_journal, has_every_acknowledged_message_once_after_many_kills)
{
    int64_t acknowledged = 0, id;

    for (int round = 1; round <= 6; round++) {
        struct child child = start(work_for_ever);
        struct journal_db *db;
        for (int i = 0; i < 37 * round; i++) {
            cr_assert(hear(&child, &id));
            cr_assert_gt(id, acknowledged);
            acknowledged = id;
        }
        kill_it(&child);
        OK(journal_db_open_reader(&db, path));
        sound(db);
        for (id = 1; id <= acknowledged; id++) {
            struct journal_message back;
            char text[24];
            OK(journal_db_load(db, id, &back));
            (void)snprintf(text, sizeof text, "%" PRId64, id - 1);
            cr_assert(equal(back.control_id, bytes(text)));
        }
        journal_db_close(db);
    }
}

/* -- disks that are full or fail ----------------------------------------------------------------
 */

static enum journal_result put_big(struct journal_db *db, int n)
{
    static char content[20000];
    struct journal_new msg = message("", "", "");
    struct journal_kept kept;
    char id[24];

    (void)snprintf(id, sizeof id, "%d", n);
    msg.control_id = bytes(id);
    msg.content = (struct journal_bytes){ content, sizeof content };
    return journal_db_append(db, &msg, &kept);
}

Test(gate_journal, refuses_a_message_over_its_size_and_still_marks_what_it_has)
{
    struct journal_db *db = open_with((struct journal_opts){ .bytes_max = 1 << 20 });
    enum journal_result result = JOURNAL_OK;
    struct stat info;
    int kept = 0;

    OK(journal_db_begin(db, NOW));
    for (; kept < 1000 && result == JOURNAL_OK; kept += result == JOURNAL_OK)
        result = put_big(db, kept);
    IS(result, JOURNAL_NOSPACE);
    /* The batch goes on: what fits is kept, and a duplicate needs no room. */
    IS(put_big(db, 0), JOURNAL_DUPLICATE);
    for (struct journal_run run = claim(db); run.id; run = claim(db))
        OK(journal_db_done(db, &run));
    OK(journal_db_commit(db));
    cr_assert_gt(kept, 30);
    cr_assert_eq(status_of(db).done, kept);
    sound(db);
    journal_db_close(db);
    cr_assert_eq(stat(path, &info), 0);
    cr_assert_leq(info.st_size, 1 << 20);
}

/* Marks too have an end, and a batch that meets it is lost as a whole. */
Test(gate_journal, loses_the_whole_batch_when_the_file_is_full)
{
    struct journal_db *db = open_with((struct journal_opts){ .bytes_max = 1 << 20 });
    enum journal_result result = JOURNAL_OK;
    struct journal_status before, after;
    struct journal_run run;

    (void)put_alone(db, "first", "");
    before = status_of(db);
    OK(journal_db_begin(db, NOW));
    (void)put(db, "second", "");
    for (int i = 0; i < 100000 && result == JOURNAL_OK; i++) {
        int woken = 0;
        run = claim(db);
        result = journal_db_retry(db, &run, NOW, "a reason of some length, to fill the file");
        if (result == JOURNAL_OK) result = journal_db_wake(db, count_wakes, &woken);
    }
    IS(result, JOURNAL_FULL);
    IS(journal_db_claim(db, 0, &run), JOURNAL_FULL);
    IS(put_big(db, 1), JOURNAL_FULL);
    IS(journal_db_commit(db), JOURNAL_FULL);
    cr_assert_str_eq(journal_db_detail(db), sqlite3_errstr(SQLITE_FULL));
    after = status_of(db);
    cr_assert_eq(memcmp(&before, &after, sizeof before), 0);
    (void)put_alone(db, "third", "");
    sound(db);
    journal_db_close(db);
}

/* A write that fails with an error of the device: the limit on file sizes stands for it. */
static void fill_until_the_disk_fails(int to)
{
    struct journal_db *db = open_plain();
    struct rlimit limit = { 300000, 300000 };
    enum journal_result result = JOURNAL_OK;
    int64_t kept = 0;

    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(1);
    while (result == JOURNAL_OK) {
        OK(journal_db_begin(db, NOW));
        for (int i = 0; i < 3 && result == JOURNAL_OK; i++)
            result = put_big(db, (int)kept + i);
        if (result == JOURNAL_OK)
            result = journal_db_commit(db);
        else
            journal_db_rollback(db);
        kept += result == JOURNAL_OK ? 3 : 0;
    }
    tell(to, (int64_t)result);
    tell(to, kept);
    tell(to, status_of(db).received);
    journal_db_close(db);
}

Test(gate_journal, keeps_what_it_answered_for_when_the_disk_fails)
{
    struct child child = start(fill_until_the_disk_fails);
    int64_t result, kept, received;
    struct journal_db *db;
    int status;

    cr_assert(hear(&child, &result));
    cr_assert(hear(&child, &kept));
    cr_assert(hear(&child, &received));
    cr_assert_eq(waitpid(child.pid, &status, 0), child.pid);
    cr_assert_eq(status, 0);
    close(child.from);
    cr_assert(result == JOURNAL_IO || result == JOURNAL_FULL);
    cr_assert_gt(kept, 0);
    cr_assert_eq(received, kept);
    db = open_plain();
    cr_assert_eq(status_of(db).received, kept);
    (void)put_alone(db, "space again", "");
    sound(db);
    journal_db_close(db);
}

Test(gate_journal, says_busy_when_somebody_outside_holds_the_file)
{
    struct journal_db *db = open_with((struct journal_opts){ .busy_ms = 1 });
    sqlite3 *raw;

    cr_assert_eq(sqlite3_open(path, &raw), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    IS(journal_db_begin(db, NOW), JOURNAL_BUSY);
    cr_assert_eq(sqlite3_exec(raw, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    (void)put_alone(db, "a1", "A");
    sqlite3_close(raw);
    journal_db_close(db);
}

/* -- any order of events ------------------------------------------------------------------------
 */

struct random {
    uint64_t state;
};

static unsigned draw(struct random *random, unsigned below)
{
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random->state >> 33) % below;
}

struct play {
    struct journal_db *db;
    struct random random;
    struct journal_run hand[64]; /* some of them given up long ago */
    size_t in_hand;
    int64_t now, next;
};

static void play_mark(struct play *play)
{
    size_t at = draw(&play->random, (unsigned)play->in_hand);
    struct journal_run run = play->hand[at];
    enum journal_result result;

    switch (draw(&play->random, 4)) {
    case 0: result = journal_db_retry(play->db, &run, play->now + 50, "again"); break;
    case 1: result = journal_db_dead(play->db, &run, "bad"); break;
    default: result = journal_db_done(play->db, &run); break;
    }
    cr_assert(result == JOURNAL_OK || result == JOURNAL_ALREADY || result == JOURNAL_STALE ||
              result == JOURNAL_NONE);
    /* Every third stays, to be marked again later. */
    if (draw(&play->random, 3)) play->hand[at] = play->hand[--play->in_hand];
}

static void play_event(struct play *play)
{
    unsigned shard = draw(&play->random, 3);
    char id[24], patient[8] = "";
    struct journal_run run;
    int64_t taken;
    int woken = 0;

    switch (draw(&play->random, 10)) {
    case 0:
    case 1:
    case 2:
        (void)snprintf(id, sizeof id, "%d", (int)play->next++);
        if (draw(&play->random, 5))
            (void)snprintf(patient, sizeof patient, "P%u", draw(&play->random, 6));
        (void)put(play->db, id, patient);
        break;
    case 3: OK(journal_db_wake(play->db, count_wakes, &woken)); break;
    case 4:
        if (draw(&play->random, 8) == 0) OK(journal_db_take_back(play->db, shard, &taken));
        break;
    case 5:
    case 6:
        if (play->in_hand < 64 && journal_db_claim(play->db, shard, &run) == JOURNAL_OK)
            play->hand[play->in_hand++] = run;
        break;
    default:
        if (play->in_hand) play_mark(play);
    }
}

Test(gate_journal, is_sound_after_any_order_of_events)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct play play = { .random = { seed }, .now = NOW };
        play.db = open_with((struct journal_opts){ .shards = 3 });
        for (int batch = 0; batch < 60; batch++) {
            OK(journal_db_begin(play.db, play.now += 10));
            for (unsigned i = draw(&play.random, 12); i > 0; i--)
                play_event(&play);
            if (draw(&play.random, 6))
                OK(journal_db_commit(play.db));
            else
                journal_db_rollback(play.db);
            if (draw(&play.random, 20) == 0) {
                journal_db_close(play.db);
                play.db = open_with((struct journal_opts){ .shards = 3 });
            }
        }
        sound(play.db);
        cr_assert_gt(status_of(play.db).done, 0);
        journal_db_close(play.db);
        remove_folder();
        make_folder();
    }
}
