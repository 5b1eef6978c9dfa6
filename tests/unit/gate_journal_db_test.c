/* SPDX-License-Identifier: MIT */
/*
 * gate_journal_db_test.c - the gate's journal: what is kept, in which order it is handed out, the
 * marks of runs, and that its check finds each fault it is meant to find.
 *
 * Each test has a folder of its own. Faults are made by an outsider's hand, with plain SQL.
 */
#include "tests/unit/gate_journal_fixture.h"

/* -- what is kept ------------------------------------------------------------------------------ */

Test(gate_journal, keeps_the_bytes_of_a_message_as_they_are)
{
    static const char content[] = "MSH|^~\\&|LAB\0x\xff\rPID|1\r";
    struct journal_db *db = open_plain();
    struct journal_new msg = message("id-1", "P1", "");
    struct journal_kept kept;
    struct journal_message back;

    msg.content = (struct journal_bytes){ content, sizeof content - 1 };
    OK(journal_db_begin(db, NOW));
    OK(journal_db_append(db, &msg, &kept));
    OK(journal_db_commit(db));
    OK(journal_db_load(db, kept.id, &back));
    cr_assert(equal(back.content, msg.content));
    cr_assert(equal(back.control_id, msg.control_id));
    cr_assert(equal(back.application, msg.application));
    cr_assert(equal(back.facility, msg.facility));
    cr_assert(equal(back.patient, msg.patient));
    cr_assert(equal(back.listener, bytes(msg.listener)));
    cr_assert_eq(back.stored_ms, NOW);
    IS(journal_db_load(db, kept.id + 1, &back), JOURNAL_NONE);
    journal_db_close(db);
}

Test(gate_journal, keeps_empty_parts_and_finds_them_again)
{
    struct journal_db *db = open_plain();
    struct journal_new msg = { .listener = "a" };
    struct journal_kept first, again;
    struct journal_message back;

    OK(journal_db_begin(db, NOW));
    OK(journal_db_append(db, &msg, &first));
    IS(journal_db_append(db, &msg, &again), JOURNAL_DUPLICATE);
    OK(journal_db_commit(db));
    cr_assert_eq(first.id, again.id);
    OK(journal_db_load(db, first.id, &back));
    cr_assert_eq(back.content.count, 0);
    journal_db_close(db);
}

Test(gate_journal, answers_a_duplicate_with_the_id_of_the_first)
{
    struct journal_db *db = open_with((struct journal_opts){ .shards = 7 });
    struct journal_new msg = message("id-1", "P1", "content");
    struct journal_kept first, again;

    OK(journal_db_begin(db, NOW));
    OK(journal_db_append(db, &msg, &first));
    IS(journal_db_append(db, &msg, &again), JOURNAL_DUPLICATE);
    cr_assert_eq(first.id, again.id);
    cr_assert_eq(first.shard, again.shard);
    OK(journal_db_commit(db));
    journal_db_close(db);

    db = open_with((struct journal_opts){ .shards = 7 });
    OK(journal_db_begin(db, NOW));
    IS(journal_db_append(db, &msg, &again), JOURNAL_DUPLICATE);
    cr_assert_eq(first.id, again.id);
    OK(journal_db_commit(db));
    cr_assert_eq(status_of(db).received, 1);
    cr_assert_eq(status_of(db).duplicates, 2);
    cr_assert_eq(status_of(db).control_id_reused, 0);
    journal_db_close(db);
}

Test(gate_journal, takes_a_known_id_with_other_content_for_another_message)
{
    struct journal_db *db = open_plain();
    struct journal_new msg = message("MSG00001", "P1", "one");
    struct journal_kept first, second;

    OK(journal_db_begin(db, NOW));
    OK(journal_db_append(db, &msg, &first));
    msg.content = bytes("two");
    OK(journal_db_append(db, &msg, &second));
    OK(journal_db_commit(db));
    cr_assert_gt(second.id, first.id);
    cr_assert_eq(status_of(db).received, 2);
    cr_assert_eq(status_of(db).control_id_reused, 1);
    journal_db_close(db);
}

Test(gate_journal, tells_senders_and_listeners_apart)
{
    struct journal_db *db = open_plain();
    struct journal_new msg = message("id-1", "P1", "same");
    struct journal_kept kept;

    OK(journal_db_begin(db, NOW));
    OK(journal_db_append(db, &msg, &kept));
    msg.listener = "127.0.0.1:2576";
    OK(journal_db_append(db, &msg, &kept));
    msg.application = bytes("LABH");
    msg.facility = bytes("OSP");
    OK(journal_db_append(db, &msg, &kept));
    msg.application = bytes("LAB");
    OK(journal_db_append(db, &msg, &kept));
    OK(journal_db_commit(db));
    cr_assert_eq(status_of(db).received, 4);
    cr_assert_eq(status_of(db).control_id_reused, 0);
    journal_db_close(db);
}

Test(gate_journal, compares_bytes_where_hashes_agree)
{
    struct journal_db *db = open_plain();
    struct journal_new msg = message("id-1", "P1", "b");
    struct journal_kept kept;

    (void)put_alone(db, "id-1", "P1");
    /* FNV-1a of "b": as if the two contents had one hash. */
    tamper("UPDATE messages SET content_hash = -5808553574619024987");
    OK(journal_db_begin(db, NOW));
    OK(journal_db_append(db, &msg, &kept));
    IS(journal_db_append(db, &msg, &kept), JOURNAL_DUPLICATE);
    OK(journal_db_commit(db));
    tamper("CREATE TABLE proof (n INTEGER CHECK (n = 1));"
           "INSERT INTO proof SELECT count(DISTINCT content_hash) FROM messages");
    journal_db_close(db);
}

Test(gate_journal, reads_its_messages_by_nobody_else)
{
    struct stat info;
    struct journal_db *db = open_plain();

    cr_assert_eq(stat(path, &info), 0);
    cr_assert_eq(info.st_mode & 0777, 0600);
    journal_db_close(db);
}

/* -- batches ----------------------------------------------------------------------------------- */

Test(gate_journal, forgets_a_batch_that_was_not_committed)
{
    struct journal_db *db = open_plain();
    struct journal_run run;

    (void)put_alone(db, "kept", "P1");
    OK(journal_db_begin(db, NOW));
    (void)put(db, "lost", "P2");
    run = claim(db);
    OK(journal_db_done(db, &run));
    journal_db_rollback(db);
    cr_assert_eq(status_of(db).received, 1);
    cr_assert_eq(status_of(db).ready, 1);
    cr_assert_eq(status_of(db).done, 0);

    OK(journal_db_begin(db, NOW));
    (void)put(db, "lost", "P2");
    journal_db_close(db);
    db = open_plain();
    cr_assert_eq(status_of(db).received, 1);
    sound(db);
    journal_db_close(db);
}

Test(gate_journal, shows_readers_what_is_committed_and_nothing_else)
{
    struct journal_db *db = open_plain(), *reader;

    (void)put_alone(db, "first", "P1");
    OK(journal_db_open_reader(&reader, path));
    OK(journal_db_begin(db, NOW));
    (void)put(db, "second", "P1");
    cr_assert_eq(status_of(reader).received, 1);
    OK(journal_db_commit(db));
    cr_assert_eq(status_of(reader).received, 2);
    sound(reader);
    journal_db_close(reader);
    journal_db_close(db);
}

/* -- order ------------------------------------------------------------------------------------- */

Test(gate_journal, hands_out_one_message_of_a_patient_at_a_time_in_order)
{
    struct journal_db *db = open_plain();
    int64_t a1, a2, b1;
    struct journal_run run;

    OK(journal_db_begin(db, NOW));
    a1 = put(db, "a1", "A");
    a2 = put(db, "a2", "A");
    b1 = put(db, "b1", "B");
    OK(journal_db_commit(db));
    OK(journal_db_begin(db, NOW));
    run = claim(db);
    cr_assert_eq(run.id, a1);
    cr_assert_eq(run.attempt, 1);
    cr_assert_eq(claim(db).id, b1);
    cr_assert_eq(claim(db).id, 0);
    OK(journal_db_done(db, &run));
    cr_assert_eq(claim(db).id, a2);
    OK(journal_db_commit(db));
    sound(db);
    journal_db_close(db);
}

Test(gate_journal, lets_messages_without_a_patient_wait_for_nobody)
{
    struct journal_db *db = open_plain();

    OK(journal_db_begin(db, NOW));
    (void)put(db, "1", "");
    (void)put(db, "2", "");
    cr_assert_neq(claim(db).id, 0);
    cr_assert_neq(claim(db).id, 0);
    OK(journal_db_commit(db));
    journal_db_close(db);
}

Test(gate_journal, holds_back_by_a_retry_its_own_patient_only)
{
    struct journal_db *db = open_plain();
    int64_t a1, a2, b1, due;
    struct journal_run run;
    int woken = 0;

    OK(journal_db_begin(db, NOW));
    a1 = put(db, "a1", "A");
    a2 = put(db, "a2", "A");
    b1 = put(db, "b1", "B");
    run = claim(db);
    OK(journal_db_retry(db, &run, NOW + 500, "timed out"));
    run = claim(db);
    cr_assert_eq(run.id, b1);
    OK(journal_db_done(db, &run));
    cr_assert_eq(claim(db).id, 0);
    OK(journal_db_next_due(db, &due));
    cr_assert_eq(due, NOW + 500);
    OK(journal_db_commit(db));

    OK(journal_db_begin(db, NOW + 499));
    OK(journal_db_wake(db, count_wakes, &woken));
    cr_assert_eq(woken, 0);
    OK(journal_db_commit(db));
    OK(journal_db_begin(db, NOW + 500));
    OK(journal_db_wake(db, count_wakes, &woken));
    cr_assert_eq(woken, 1);
    IS(journal_db_next_due(db, &due), JOURNAL_NONE);
    run = claim(db);
    cr_assert_eq(run.id, a1);
    cr_assert_eq(run.attempt, 2);
    OK(journal_db_done(db, &run));
    cr_assert_eq(claim(db).id, a2);
    OK(journal_db_commit(db));
    cr_assert_eq(status_of(db).retried, 1);
    cr_assert_eq(status_of(db).taken_back, 0);
    sound(db);
    journal_db_close(db);
}

Test(gate_journal, lets_a_patient_go_on_after_a_dead_message)
{
    struct journal_db *db = open_plain();
    struct journal_run run;
    int64_t second;

    OK(journal_db_begin(db, NOW));
    (void)put(db, "a1", "A");
    second = put(db, "a2", "A");
    run = claim(db);
    OK(journal_db_dead(db, &run, "code unknown"));
    cr_assert_eq(claim(db).id, second);
    OK(journal_db_commit(db));
    cr_assert_eq(status_of(db).dead, 1);
    cr_assert_eq(status_of(db).queued, 1);
    sound(db);
    journal_db_close(db);
}

Test(gate_journal, wakes_a_bounded_number_at_once_and_all_in_the_end)
{
    struct journal_db *db = open_plain();
    int woken = 0, before;
    char id[16];

    OK(journal_db_begin(db, NOW));
    for (int i = 0; i < 600; i++) {
        struct journal_run run;
        (void)snprintf(id, sizeof id, "%d", i);
        (void)put(db, id, "");
        run = claim(db);
        OK(journal_db_retry(db, &run, NOW + i, "again"));
    }
    OK(journal_db_commit(db));
    OK(journal_db_begin(db, NOW + 600));
    do {
        before = woken;
        OK(journal_db_wake(db, count_wakes, &woken));
        cr_assert_leq(woken - before, 256);
    } while (woken > before);
    OK(journal_db_commit(db));
    cr_assert_eq(woken, 600);
    journal_db_close(db);
}

Test(gate_journal, does_not_wait_an_hour_because_the_clock_was_set_back)
{
    struct journal_db *db = open_with((struct journal_opts){ .retry_ms_max = 60000 });
    struct journal_run run;
    int woken = 0;

    OK(journal_db_begin(db, NOW));
    (void)put(db, "a1", "A");
    run = claim(db);
    OK(journal_db_retry(db, &run, NOW + 60000, "timed out"));
    OK(journal_db_wake(db, count_wakes, &woken));
    cr_assert_eq(woken, 0);
    OK(journal_db_commit(db));
    OK(journal_db_begin(db, NOW - 3600000));
    OK(journal_db_wake(db, count_wakes, &woken));
    cr_assert_eq(woken, 1);
    OK(journal_db_commit(db));
    journal_db_close(db);
}

Test(gate_journal, spreads_patients_over_shards_and_keeps_each_in_one)
{
    struct journal_db *db = open_with((struct journal_opts){ .shards = 8 });
    unsigned seen[8] = { 0 }, shard_of_a = 0;
    struct journal_run run;
    char id[16], patient[16];

    OK(journal_db_begin(db, NOW));
    for (int i = 0; i < 400; i++) {
        struct journal_new msg;
        struct journal_kept kept;
        (void)snprintf(id, sizeof id, "%d", i);
        (void)snprintf(patient, sizeof patient, "P%d", i / 2);
        msg = message(id, i % 4 == 3 ? "" : patient, id);
        OK(journal_db_append(db, &msg, &kept));
        seen[kept.shard]++;
        if (i % 4 == 0) shard_of_a = kept.shard;
        if (i % 4 == 1) cr_assert_eq(kept.shard, shard_of_a);
    }
    for (unsigned shard = 0; shard < 8; shard++) {
        cr_assert_gt(seen[shard], 20);
        OK(journal_db_claim(db, shard, &run));
        cr_assert_eq(run.shard, shard);
    }
    OK(journal_db_commit(db));
    journal_db_close(db);
}

/* Claims and finishes all that a shard has; each must be where a new one of its patient goes. */
static int empty_shard(struct journal_db *db, unsigned shard)
{
    struct journal_run run;
    int claimed = 0;

    for (; journal_db_claim(db, shard, &run) == JOURNAL_OK; claimed++) {
        struct journal_new again;
        struct journal_kept kept;
        char id[16];
        (void)snprintf(id, sizeof id, "%d", (int)run.id - 1);
        again = message(id, run.id % 2 ? "" : id, id);
        IS(journal_db_append(db, &again, &kept), JOURNAL_DUPLICATE);
        cr_assert_eq(kept.id, run.id);
        cr_assert_eq(kept.shard, shard);
        OK(journal_db_done(db, &run));
    }
    return claimed;
}

Test(gate_journal, deals_its_queue_out_anew_when_the_number_of_shards_changes)
{
    struct journal_db *db = open_with((struct journal_opts){ .shards = 8 });
    char id[16];
    int claimed = 0;

    OK(journal_db_begin(db, NOW));
    for (int i = 0; i < 50; i++) {
        (void)snprintf(id, sizeof id, "%d", i);
        (void)put(db, id, i % 2 ? id : "");
    }
    OK(journal_db_commit(db));
    journal_db_close(db);
    db = open_with((struct journal_opts){ .shards = 3 });
    OK(journal_db_begin(db, NOW));
    for (unsigned shard = 0; shard < 3; shard++)
        claimed += empty_shard(db, shard);
    OK(journal_db_commit(db));
    cr_assert_eq(claimed, 50);
    sound(db);
    journal_db_close(db);
}

/* -- marks ------------------------------------------------------------------------------------- */

Test(gate_journal, marks_nothing_done_twice)
{
    struct journal_db *db = open_plain();
    struct journal_run run, never = { .id = 4711, .attempt = 1 };

    OK(journal_db_begin(db, NOW));
    (void)put(db, "a1", "A");
    run = claim(db);
    OK(journal_db_done(db, &run));
    IS(journal_db_done(db, &run), JOURNAL_ALREADY);
    IS(journal_db_dead(db, &run, "late"), JOURNAL_ALREADY);
    IS(journal_db_retry(db, &run, NOW, "late"), JOURNAL_ALREADY);
    IS(journal_db_done(db, &never), JOURNAL_NONE);
    OK(journal_db_commit(db));
    cr_assert_eq(status_of(db).done, 1);
    cr_assert_eq(status_of(db).dead, 0);
    cr_assert_eq(status_of(db).late_marks, 3);
    sound(db);
    journal_db_close(db);
}

Test(gate_journal, refuses_the_mark_of_a_run_that_was_given_up)
{
    struct journal_db *db = open_plain();
    struct journal_run old, new;
    int64_t taken;
    int woken = 0;

    OK(journal_db_begin(db, NOW));
    (void)put(db, "a1", "A");
    old = claim(db);
    OK(journal_db_take_back(db, 0, &taken));
    cr_assert_eq(taken, 1);
    IS(journal_db_done(db, &old), JOURNAL_STALE);
    new = claim(db);
    cr_assert_eq(new.id, old.id);
    IS(journal_db_retry(db, &old, NOW, "late"), JOURNAL_STALE);
    IS(journal_db_done(db, &old), JOURNAL_STALE);
    OK(journal_db_retry(db, &new, NOW, "again"));
    IS(journal_db_done(db, &new), JOURNAL_STALE);
    OK(journal_db_wake(db, count_wakes, &woken));
    IS(journal_db_done(db, &new), JOURNAL_STALE);
    new = claim(db);
    cr_assert_eq(new.attempt, 3);
    OK(journal_db_done(db, &new));
    OK(journal_db_commit(db));
    cr_assert_eq(status_of(db).retried, 2);
    cr_assert_eq(status_of(db).taken_back, 1);
    sound(db);
    journal_db_close(db);
}

static void add_reason(void *arg, const char *reason, int64_t count)
{
    char *text = arg;
    size_t used = strlen(text);

    (void)snprintf(text + used, 1024 - used, "%.20s(%zu)=%d ", reason, strlen(reason), (int)count);
}

Test(gate_journal, counts_the_dead_and_the_waiting_by_reason)
{
    static const char *const reasons[] = { "rare", "often", "often" };
    struct journal_db *db = open_plain();
    char text[1024] = "", lengthy[501];
    struct journal_run run;

    memset(lengthy, 'x', 500);
    lengthy[500] = '\0';
    OK(journal_db_begin(db, NOW));
    for (int i = 0; i < 3; i++) {
        const char id[] = { (char)('1' + i), '\0' };
        (void)put(db, id, id);
        run = claim(db);
        OK(journal_db_dead(db, &run, reasons[i]));
    }
    (void)put(db, "4", "4");
    run = claim(db);
    OK(journal_db_retry(db, &run, NOW, lengthy));
    OK(journal_db_commit(db));
    OK(journal_db_reasons(db, true, add_reason, text));
    cr_assert_str_eq(text, "often(5)=2 rare(4)=1 ");
    text[0] = '\0';
    OK(journal_db_reasons(db, false, add_reason, text));
    cr_assert_str_eq(text, "xxxxxxxxxxxxxxxxxxxx(200)=1 ");
    journal_db_close(db);
}

Test(gate_journal, writes_down_what_happened_to_a_message)
{
    struct journal_db *db = open_plain();
    struct journal_run run;
    int woken = 0;

    (void)put_alone(db, "a1", "A");
    OK(journal_db_begin(db, NOW));
    run = claim(db);
    OK(journal_db_retry(db, &run, NOW, "timed out"));
    OK(journal_db_wake(db, count_wakes, &woken));
    (void)claim(db);
    OK(journal_db_commit(db));
    journal_db_close(db);
    db = open_plain();
    OK(journal_db_begin(db, NOW + 1));
    run = claim(db);
    OK(journal_db_dead(db, &run, "no use"));
    OK(journal_db_commit(db));
    journal_db_close(db);
    tamper("CREATE TABLE proof (n CHECK (n = 'retried timed out 1000000, taken back - 1000000,"
           " dead no use 1000001'));"
           "INSERT INTO proof SELECT group_concat(event || ' ' || coalesce(reason, '-') || ' '"
           " || at_ms, ', ') FROM (SELECT * FROM history WHERE message = 1 ORDER BY seq)");
}

static bool collect(void *arg, struct journal_bytes id)
{
    char *text = arg;

    size_t used = strlen(text);

    (void)snprintf(text + used, 256 - used, "%.*s ", (int)id.count, (const char *)id.at);
    return true;
}

Test(gate_journal, exports_ids_in_the_order_of_processing)
{
    struct journal_db *db = open_plain();
    struct journal_run a, b;
    char text[256] = "";

    OK(journal_db_begin(db, NOW));
    (void)put(db, "a1", "A");
    (void)put(db, "a2", "A");
    (void)put(db, "b1", "B");
    (void)put(db, "c1", "C");
    a = claim(db);
    b = claim(db);
    OK(journal_db_done(db, &b));
    OK(journal_db_dead(db, &a, "bad"));
    a = claim(db);
    OK(journal_db_done(db, &a));
    OK(journal_db_commit(db));
    OK(journal_db_export(db, false, collect, text));
    cr_assert_str_eq(text, "b1 a1 a2 c1 ");
    text[0] = '\0';
    OK(journal_db_export(db, true, collect, text));
    cr_assert_str_eq(text, "b1 a2 ");
    journal_db_close(db);
}

/* -- the check has teeth ----------------------------------------------------------------------- */

static struct journal_faults faults_of(void)
{
    struct journal_db *reader;
    struct journal_faults faults;

    OK(journal_db_open_reader(&reader, path));
    OK(journal_db_check(reader, &faults));
    journal_db_close(reader);
    return faults;
}

/* Messages 1 to 3 are of patient A, 4 of B; none is finished. */
static void keep_four(void)
{
    struct journal_db *db = open_plain();

    OK(journal_db_begin(db, NOW));
    (void)put(db, "1", "A");
    (void)put(db, "2", "A");
    (void)put(db, "3", "A");
    (void)put(db, "4", "B");
    OK(journal_db_commit(db));
    journal_db_close(db);
    sound(db = open_plain());
    journal_db_close(db);
}

#define END(id, event) "INSERT INTO history (message, event, at_ms) VALUES (" id ", " event ", 1);"

Test(gate_journal, check_finds_a_message_that_overtook_another)
{
    keep_four();
    tamper("DELETE FROM queue; " END("2", "'done'") END("1", "'done'") END("4", "'done'")
            END("3", "'done'"));
    cr_assert_eq(faults_of().order, 1);
}

Test(gate_journal, check_finds_a_message_that_overtook_one_still_queued)
{
    keep_four();
    tamper("DELETE FROM queue WHERE id > 1; " END("2", "'done'") END("3", "'dead'")
            END("4", "'done'"));
    cr_assert_eq(faults_of().order, 2);
    cr_assert_eq(faults_of().lost, 0);
}

Test(gate_journal, check_finds_second_ends_and_lost_messages)
{
    struct journal_faults faults;

    keep_four();
    tamper("DROP INDEX history_end; DELETE FROM queue WHERE id IN (1, 2, 3);" END("1", "'done'")
            END("1", "'done'") END("2", "'done'") END("2", "'dead'") END("4", "'done'"));
    faults = faults_of();
    cr_assert_eq(faults.done_twice, 1);
    cr_assert_eq(faults.two_ends, 2);
    cr_assert_eq(faults.lost, 1);
}

Test(gate_journal, the_file_itself_refuses_a_second_end)
{
    sqlite3 *raw;

    keep_four();
    tamper(END("1", "'done'"));
    cr_assert_eq(sqlite3_open(path, &raw), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(raw, END("1", "'dead'"), NULL, NULL, NULL), SQLITE_CONSTRAINT);
    cr_assert_eq(sqlite3_exec(raw, END("1", "'done'"), NULL, NULL, NULL), SQLITE_CONSTRAINT);
    sqlite3_close(raw);
}
