/* SPDX-License-Identifier: MIT */
/*
 * send.c - `gate send`: the command line, the progress and the summary; the file of ids.
 *
 * What is printed are counts, times and texts of our own; never a byte of a message. The file of
 * ids is the exception, by its purpose: the control id of each message that was acknowledged, one
 * a line, to be compared with `gate export-ids`. The plan and the wire do the work.
 */
#include "examples/gate/send.h"
#include "examples/gate/send_wire.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 1000, ROUNDS_MAX = 1000000, RATE_MAX = 1000000, MS_MAX = 3600000 };
enum { PROGRESS_MS = 1000, FDS_BESIDE = 32 };
enum { DONE = 0, LOSS = 1, USAGE = 2 };

static const char USAGE_TEXT[] =
    "usage: gate send --to 127.0.0.1:2575 [options] FILE|DIR ...\n"
    "\n"
    "Sends the HL7 v2 messages of files, and of the *.hl7 files in folders, over MLLP. Checks\n"
    "each answer. Messages of one patient go over one connection, in order.\n"
    "\n"
    "  --to HOST:PORT     the receiver, on loopback\n"
    "  --connections N    connections, one message in flight on each (default 1)\n"
    "  --rate R           messages a second over all of them (default: as fast as it goes)\n"
    "  --rounds N         send everything N times (default 1). From the second time on the\n"
    "                     control id gets -r2, -r3, ... at its end\n"
    "  --exact            but leave it as it is, so that later rounds are duplicates\n"
    "  --retry-ms MS      try a message again for so long after its first AE, time-out or\n"
    "                     broken connection (default 5000)\n"
    "  --ack-ms MS        how long to wait for an answer (default 10000)\n"
    "  --ids FILE         append the control id of each acknowledged message\n"
    "\n"
    "Exit code: 0 when each message was acknowledged or refused for good, 1 when one was lost,\n"
    "2 for wrong usage.\n";

struct options {
    struct gate_wire_opts wire;
    const char *ids_path;
    char **paths;
    int paths_count;
};

struct run {
    struct gate_wire *wire;
    FILE *ids;
    bool ids_failed;
    int signal_fd;
    bool tty, interrupted;
    int64_t start_ms, shown_ms;
    uint64_t shown_answers;
};

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* -- command line -------------------------------------------------------------------------------
 */

static const struct option KNOWN[] = { { "to", required_argument, NULL, 't' },
    { "connections", required_argument, NULL, 'c' }, { "rate", required_argument, NULL, 'r' },
    { "rounds", required_argument, NULL, 'n' }, { "exact", no_argument, NULL, 'x' },
    { "retry-ms", required_argument, NULL, 'y' }, { "ack-ms", required_argument, NULL, 'a' },
    { "ids", required_argument, NULL, 'i' }, { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 } };

/* What is wrong with it, or NULL. */
static const char *read_option(struct options *options, int option)
{
    struct gate_wire_opts *wire = &options->wire;
    int64_t value = 0;

    switch (option) {
    case 't': return gate_args_address(&wire->to, optarg);
    case 'x': wire->exact = true; return NULL;
    case 'i': options->ids_path = optarg; return NULL;
    case 'c':
        if (!gate_args_number(&value, optarg, 1, CONNECTIONS_MAX))
            return "--connections takes a number from 1 to 1000";
        wire->connections = (unsigned)value;
        return NULL;
    case 'r':
        if (!gate_args_number(&value, optarg, 1, RATE_MAX))
            return "--rate takes a number from 1 to 1000000";
        wire->rate = (double)value;
        return NULL;
    case 'n':
        if (!gate_args_number(&value, optarg, 1, ROUNDS_MAX))
            return "--rounds takes a number from 1 to 1000000";
        wire->rounds = (unsigned)value;
        return NULL;
    case 'y':
        return gate_args_number(&wire->retry_ms, optarg, 0, MS_MAX)
                   ? NULL
                   : "--retry-ms takes a number from 0 to 3600000";
    default:
        return gate_args_number(&wire->ack_ms, optarg, 1, MS_MAX)
                   ? NULL
                   : "--ack-ms takes a number from 1 to 3600000";
    }
}

/* False: it ends here, with this exit code. */
static bool read_options(struct options *options, int argc, char **argv, int *code)
{
    const char *wrong = NULL;
    int option;

    *options = (struct options){
        .wire = { .connections = 1, .rounds = 1, .retry_ms = 5000, .ack_ms = 10000 }
    };
    *code = USAGE;
    optind = 1;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads */
    while (!wrong && (option = getopt_long(argc, argv, "", KNOWN, NULL)) != -1) {
        if (option == '?') return false;
        if (option == 'h') {
            (void)fputs(USAGE_TEXT, stdout);
            *code = DONE;
            return false;
        }
        wrong = read_option(options, option);
    }
    if (!wrong && options->wire.to.bytes == 0) wrong = "--to is missing";
    if (!wrong && optind == argc) wrong = "no file or folder is given";
    if (wrong) (void)fprintf(stderr, "send: %s (see gate send --help)\n", wrong);
    options->paths = argv + optind;
    options->paths_count = argc - optind;
    return wrong == NULL;
}

static bool read_plan(struct gate_plan *plan, const struct options *options)
{
    for (int i = 0; i < options->paths_count; i++) {
        int error = gate_plan_add(plan, options->paths[i]);
        if (!error) continue;
        (void)fprintf(stderr, "send: %s: %s\n", options->paths[i], strerrordesc_np(error));
        return false;
    }
    if (plan->count == 0) (void)fprintf(stderr, "send: there is no message in these files\n");
    if (plan->skipped)
        (void)fprintf(
            stderr, "send: passed over %zu lines that belong to no message\n", plan->skipped);
    return plan->count > 0;
}

/* -- progress and summary -----------------------------------------------------------------------
 */

static void show_progress(struct run *run, int64_t now)
{
    const struct gate_wire_counts *c = gate_wire_counts(run->wire);
    uint64_t answers = c->acknowledged + c->refused;
    double seconds = (double)(now - run->shown_ms) / 1000;

    (void)fprintf(stderr,
        "%ssend: %" PRIu64 " of %" PRIu64 " sent, %" PRIu64 " acknowledged, %" PRIu64
        " refused, %" PRIu64 " retried, %u connections, %.0f msg/s%s",
        run->tty ? "\r\033[K" : "", c->sent, gate_wire_planned(run->wire), c->acknowledged,
        c->refused, c->retried, c->open, (double)(answers - run->shown_answers) / seconds,
        run->tty ? "" : "\n");
    (void)fflush(stderr);
    run->shown_ms = now;
    run->shown_answers = answers;
}

static void show_refusals(const struct gate_wire_counts *c)
{
    for (unsigned i = 0; i < GATE_HL7_REASONS; i++) {
        if (c->refused_for[i] == 0) continue;
        (void)printf("send: refused %" PRIu64 ": %s\n", c->refused_for[i],
            i == GATE_HL7_OK ? "another reason" : gate_hl7_reason_text((enum gate_hl7_reason)i));
    }
}

static void show_trouble(const struct gate_wire_counts *c)
{
    if (c->retried == 0 && c->lost == 0) return;
    (void)printf("send: answered AE %" PRIu64 ", timed out %" PRIu64 ", connection broken %" PRIu64
                 ", wrong answer %" PRIu64 "; retried %" PRIu64 "\n",
        c->trouble[GATE_WIRE_AE], c->trouble[GATE_WIRE_TIMEOUT], c->trouble[GATE_WIRE_BROKEN],
        c->trouble[GATE_WIRE_WRONG], c->retried);
}

static int show_summary(struct run *run)
{
    const struct gate_wire_counts *c = gate_wire_counts(run->wire);
    double seconds = (double)(now_ms() - run->start_ms) / 1000;
    uint64_t answers = c->acknowledged + c->refused, planned = gate_wire_planned(run->wire);
    uint64_t lost = c->lost;

    if (run->tty) (void)fputs("\r\033[K", stderr);
    /* Interrupted: in flight is lost as far as anybody can tell. */
    if (run->interrupted) {
        lost = c->sent - answers;
        (void)printf("send: interrupted, not sent %" PRIu64 "\n", planned - c->sent);
    }
    show_refusals(c);
    show_trouble(c);
    (void)printf("send: messages %" PRIu64 ", acknowledged %" PRIu64 ", refused %" PRIu64
                 ", lost %" PRIu64 ", retried %" PRIu64 ", seconds %.1f, msg/s %.0f"
                 ", ACK ms p50 %.2f p99 %.2f max %.2f\n",
        c->sent, c->acknowledged, c->refused, lost, c->retried, seconds,
        seconds > 0 ? (double)answers / seconds : 0,
        (double)gate_wire_share_us(&c->ack, 0.5) / 1000,
        (double)gate_wire_share_us(&c->ack, 0.99) / 1000, (double)c->ack.max_us / 1000);
    (void)fflush(stdout);
    return lost || run->interrupted ? LOSS : DONE;
}

/* -- running ------------------------------------------------------------------------------------
 */

static void note_id(void *arg, struct gate_span id, const char *suffix)
{
    struct run *run = arg;

    if (!run->ids) return;
    if (fwrite(id.at, 1, id.bytes, run->ids) != id.bytes || fputs(suffix, run->ids) < 0 ||
        fputc('\n', run->ids) < 0)
        run->ids_failed = true;
}

static int open_signals(void)
{
    sigset_t ending;

    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &ending, NULL) != 0) return -1;
    return signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void allow_files(unsigned connections)
{
    struct rlimit files;
    rlim_t wanted = connections + FDS_BESIDE;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return;
    files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static int send_all(struct run *run)
{
    struct signalfd_siginfo info;
    int64_t now = now_ms();

    run->start_ms = run->shown_ms = now;
    while (gate_wire_turn(run->wire, run->signal_fd, run->shown_ms + PROGRESS_MS - now)) {
        now = now_ms();
        if (read(run->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            run->interrupted = true;
            break;
        }
        if (now - run->shown_ms >= PROGRESS_MS) {
            show_progress(run, now);
            if (run->ids && fflush(run->ids) != 0) run->ids_failed = true;
        }
    }
    return show_summary(run);
}

static int run_plan(const struct options *options, const struct gate_plan *plan)
{
    struct run run = { .tty = isatty(STDERR_FILENO) == 1, .signal_fd = open_signals() };
    int code = LOSS;

    if (options->ids_path) {
        run.ids = fopen(options->ids_path, "ae");
        if (!run.ids) {
            (void)fprintf(stderr, "send: %s: %s\n", options->ids_path, strerrordesc_np(errno));
            return USAGE;
        }
    }
    allow_files(options->wire.connections);
    run.wire = gate_wire_open(&options->wire, plan, note_id, &run);
    if (run.wire)
        code = send_all(&run);
    else
        (void)fprintf(stderr, "send: out of memory\n");
    gate_wire_close(run.wire);
    if (run.ids && fclose(run.ids) != 0) run.ids_failed = true;
    if (run.ids_failed) {
        (void)fprintf(stderr, "send: the file of ids could not be written\n");
        code = LOSS;
    }
    if (run.signal_fd >= 0) close(run.signal_fd);
    return code;
}

int gate_send_main(int argc, char **argv)
{
    struct gate_plan plan = { 0 };
    struct options options;
    int code;

    if (!read_options(&options, argc, argv, &code)) return code;
    code = read_plan(&plan, &options) ? run_plan(&options, &plan) : USAGE;
    gate_plan_close(&plan);
    return code;
}
