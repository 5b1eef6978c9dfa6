/* SPDX-License-Identifier: MIT */
/*
 * status.c - prints a journal's figures, its faults, and the ids it keeps.
 *
 * One line a figure, name first, so that a script can read it. Knows nothing of ward.
 */
#include "examples/gate/status.h"
#include "examples/gate/config.h"
#include "examples/gate/journal_db.h"
#include "examples/gate/options.h"
#include <stdio.h>

struct asked {
    const char *journal;
    bool check, done_only;
};

static struct journal_db *open_journal(const char *command, const struct asked *asked, int *code)
{
    struct journal_db *db = NULL;
    enum journal_result result;

    *code = 1;
    if (!asked->journal) {
        *code = gate_options_wrong(command, "--journal is missing");
        return NULL;
    }
    result = journal_db_open_reader(&db, asked->journal);
    if (result != JOURNAL_OK)
        (void)fprintf(stderr, "%s: %s: %s\n", command, asked->journal,
            result == JOURNAL_NONE ? "there is no such file" : journal_strerror(result));
    return result == JOURNAL_OK ? db : NULL;
}

static int failed(const char *command, enum journal_result result)
{
    (void)fprintf(stderr, "%s: %s\n", command, journal_strerror(result));
    return 1;
}

/* -- status ------------------------------------------------------------------------------------ */

struct line {
    const char *name;
    int64_t value;
};

static void print_lines(const struct line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)printf("%-18s %lld\n", lines[i].name, (long long)lines[i].value);
}

static void print_reason(void *arg, const char *reason, int64_t count)
{
    (void)printf("  %s %lld: %s\n", (const char *)arg, (long long)count, reason);
}

static enum journal_result print_status(struct journal_db *db)
{
    struct journal_status s;
    enum journal_result result = journal_db_status(db, &s);
    int64_t age = s.oldest_queued_ms ? gate_wall_ms() - s.oldest_queued_ms : 0;
    const struct line lines[] = { { "received", s.received }, { "done", s.done },
        { "dead", s.dead }, { "queued", s.queued }, { "queued-ready", s.ready },
        { "queued-running", s.running }, { "queued-behind", s.behind },
        { "queued-waiting", s.waiting }, { "oldest-queued-ms", age < 0 ? 0 : age },
        { "retried", s.retried }, { "taken-back", s.taken_back }, { "duplicates", s.duplicates },
        { "control-id-reused", s.control_id_reused }, { "late-marks", s.late_marks } };

    if (result != JOURNAL_OK) return result;
    print_lines(lines, WARD_COUNT(lines));
    result = journal_db_reasons(db, true, print_reason, (void *)"dead");
    if (result == JOURNAL_OK)
        result = journal_db_reasons(db, false, print_reason, (void *)"waiting");
    return result;
}

static enum journal_result print_faults(struct journal_db *db, bool *found)
{
    struct journal_faults f;
    enum journal_result result = journal_db_check(db, &f);
    const struct line lines[] = { { "fault-order", f.order }, { "fault-done-twice", f.done_twice },
        { "fault-two-ends", f.two_ends }, { "fault-lost", f.lost },
        { "fault-damaged", f.damaged } };

    if (result != JOURNAL_OK) return result;
    print_lines(lines, WARD_COUNT(lines));
    *found = f.order || f.done_twice || f.two_ends || f.lost || f.damaged;
    return result;
}

static const char STATUS_USAGE[] =
    "usage: gate status --journal gate.db [--check]\n"
    "\n"
    "Prints how many messages were received, are done, dead or queued, and why they are dead or\n"
    "wait. Works while a gate writes to the journal.\n"
    "\n"
    "  --check   also looks for what must not be, and exits 1 when it finds any: messages done\n"
    "            out of their patient's order, done twice, both done and dead, lost, or a\n"
    "            damaged file\n";

static const struct gate_option STATUS_KNOWN[] = {
    GATE_OPTION_TEXT("journal", struct asked, journal),
    GATE_OPTION_FLAG("check", struct asked, check),
};
static const struct gate_options STATUS_OPTIONS = { STATUS_USAGE, STATUS_KNOWN,
    WARD_COUNT(STATUS_KNOWN) };

int gate_status_main(int argc, char **argv)
{
    struct asked asked = { 0 };
    struct journal_db *db;
    enum journal_result result;
    bool faults = false;
    int code;

    if (!gate_options_read(&asked, &STATUS_OPTIONS, argc, argv, &code)) return code;
    db = open_journal("status", &asked, &code);
    if (!db) return code;
    result = print_status(db);
    if (result == JOURNAL_OK && asked.check) result = print_faults(db, &faults);
    journal_db_close(db);
    if (result != JOURNAL_OK) return failed("status", result);
    return faults || fflush(stdout) != 0 || ferror(stdout) ? 1 : 0;
}

/* -- export-ids -------------------------------------------------------------------------------- */

static bool print_id(void *arg, struct journal_bytes id)
{
    (void)arg;
    return fwrite(id.at, 1, id.count, stdout) == id.count && putchar('\n') != EOF;
}

static const char EXPORT_USAGE[] =
    "usage: gate export-ids --journal gate.db [--done]\n"
    "\n"
    "Prints the control id (MSH-10) of each message kept, one a line: first what is finished, in\n"
    "the order of processing, then what is not.\n"
    "\n"
    "  --done   only what is done\n";

static const struct gate_option EXPORT_KNOWN[] = {
    GATE_OPTION_TEXT("journal", struct asked, journal),
    GATE_OPTION_FLAG("done", struct asked, done_only),
};
static const struct gate_options EXPORT_OPTIONS = { EXPORT_USAGE, EXPORT_KNOWN,
    WARD_COUNT(EXPORT_KNOWN) };

int gate_export_main(int argc, char **argv)
{
    struct asked asked = { 0 };
    struct journal_db *db;
    enum journal_result result;
    int code;

    if (!gate_options_read(&asked, &EXPORT_OPTIONS, argc, argv, &code)) return code;
    db = open_journal("export-ids", &asked, &code);
    if (!db) return code;
    result = journal_db_export(db, asked.done_only, print_id, NULL);
    journal_db_close(db);
    if (result != JOURNAL_OK) return failed("export-ids", result);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
