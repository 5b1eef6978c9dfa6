/* SPDX-License-Identifier: MIT */
/*
 * run.c - the command line, the node and the life of `gate run`.
 *
 * What can be wrong from the start is found out before the node opens, and said in a line: the
 * address, the journal, the link. The main thread is the node's attached actor and waits for a
 * signal. After that nothing new is taken, the tree is stopped from the edge to the journal, and
 * ward_run returns by --stop-ms at the latest.
 */
#include "examples/gate/run.h"
#include "examples/gate/config.h"
#include "examples/gate/http_check.h"
#include "examples/gate/journal_db.h"
#include "examples/gate/listener.h"
#include "examples/gate/options.h"
#include "examples/gate/tree.h"
#include "examples/gate/types.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <ward/census.h>
#include <ward/net.h>

enum { HEARTBEAT_MS = 500, DEAD_MS = 2000, UP_MS = 60000, FDS_BESIDE = 1200 };

#define MIB ((int64_t)1 << 20)

/* -- the node's own actor ---------------------------------------------------------------------- */

struct life {
    struct gate_config *config;
    int listen_fd;
};

static ward_status open_doors(ward_self *self, const struct gate_config *config)
{
    const ward_link_opts link = { .heartbeat_ms = HEARTBEAT_MS, .dead_ms = DEAD_MS };
    ward_node *node = ward_node_of(self);
    ward_status rc = WARD_OK;

    if (config->link_url) rc = ward_listen(node, config->link_url, &link);
    if (rc) gate_log(&config->log, "no link at %s: %s", config->link_url, ward_strerror(rc));
    if (rc || !config->census_url) return rc;
    rc = ward_census_serve(node, config->census_url);
    if (rc) gate_log(&config->log, "no census at %s: %s", config->census_url, ward_strerror(rc));
    return rc;
}

static void say_listening(const struct gate_config *config)
{
    char text[GATE_ADDRESS_TEXT];

    gate_args_print_address(&config->listen_at, text);
    (void)printf("gate: listening on %s\n", text);
    (void)fflush(stdout);
}

static void say_stopping(ward_self *self, const struct gate_config *config)
{
    ward_totals totals;

    ward_census_totals(ward_node_of(self), &totals, sizeof totals);
    gate_log(&config->log,
        "stopping: actors spawned %llu, live %llu, restarted %llu, reaped %llu; messages %llu",
        (unsigned long long)totals.spawned, (unsigned long long)totals.live,
        (unsigned long long)totals.restarts, (unsigned long long)totals.reaped,
        (unsigned long long)totals.accepted);
}

static ward_status live(ward_self *self)
{
    const struct life *life = ward_arg(self);
    struct gate_config *config = life->config;
    ward_ref listener;
    ward_status rc = open_doors(self, config);

    if (!rc) rc = gate_tree_spawn(self, config, life->listen_fd);
    if (!rc) rc = ward_find(self, &listener, "gate/listener", ward_in_ms(self, UP_MS));
    if (!rc) {
        say_listening(config);
        /* Should the tree give up, this body is cancelled: a failed child takes its parent along.
         */
        rc = ward_poll_fd(self, NULL, config->signal_fd, WARD_READABLE, WARD_FOREVER);
    }
    /* From here on the kernel refuses who knocks. */
    (void)shutdown(life->listen_fd, SHUT_RDWR);
    say_stopping(self, config);
    return rc;
}

/* -- before it --------------------------------------------------------------------------------- */

/* Who has the journal, and whether it can be read, is told before anything listens. */
static bool try_journal(const struct gate_config *config)
{
    const struct journal_opts opts = { .shards = config->shards, .now_ms = gate_wall_ms() };
    struct journal_db *db;
    enum journal_result result = journal_db_open(&db, config->journal_path, &opts);

    if (result != JOURNAL_OK) {
        (void)fprintf(stderr, "run: %s: %s\n", config->journal_path, journal_strerror(result));
        return false;
    }
    if (journal_db_taken_back(db))
        gate_log(&config->log, "%lld messages were being processed: they are taken up again",
            (long long)journal_db_taken_back(db));
    journal_db_close(db);
    return true;
}

/* Big buffers come from the system one by one and go back to it at once: what the budget counts
 * is then what the process really takes. */
static void set_limits(const struct gate_config *config)
{
    struct rlimit files;
    rlim_t wanted = (rlim_t)config->connections_max + FDS_BESIDE;

    /* NOLINTBEGIN(concurrency-mt-unsafe): there are no threads yet */
    (void)mallopt(M_MMAP_THRESHOLD, 65536);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
    (void)mallopt(M_ARENA_MAX, 4);
    /* NOLINTEND(concurrency-mt-unsafe) */
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return;
    files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

static ward_status run_node(struct gate_config *config, int listen_fd)
{
    struct life life = { config, listen_fd };
    size_t frame = (size_t)config->max_frame;

    return ward_run(live, &(ward_opts){ .name = "gate",
                              .arg = &life,
                              .table = &gate_table,
                              .blob_bytes_max = frame > (size_t)(64 * MIB) ? frame : 0,
                              .bytes_max = (size_t)(1024 * MIB + config->budget_bytes),
                              .stop_ms = (uint32_t)config->stop_ms,
                              .hook = &config->log,
                              .on_event = gate_log_event });
}

static int run(struct gate_config *config)
{
    int listen_fd;
    ward_status rc;

    config->log.who = "gate";
    config->started_ms = gate_wall_ms();
    config->budget.bytes_max = (size_t)config->budget_bytes;
    set_limits(config);
    config->signal_fd = gate_config_signals();
    if (config->signal_fd < 0 || !gate_http_init() || !try_journal(config)) return 1;
    listen_fd = gate_listener_open(&config->listen_at);
    if (listen_fd < 0) {
        (void)fprintf(stderr, "run: cannot listen: %s\n", strerrordesc_np(errno));
        return 1;
    }
    rc = run_node(config, listen_fd);
    close(listen_fd);
    close(config->signal_fd);
    gate_log(&config->log, "ended: %s", ward_strerror(rc));
    return rc ? 1 : 0;
}

/* -- command line ------------------------------------------------------------------------------ */

static const char USAGE[] =
    "usage: gate run --listen 127.0.0.1:2575 --journal gate.db --terms http://127.0.0.1:8089\n"
    "                [options]\n"
    "\n"
    "Takes HL7 v2 messages over MLLP, acknowledges each when it is safely in the journal, and\n"
    "has its codes checked by a terminology service. On loopback only. SIGTERM stops it.\n"
    "\n"
    "  --listen HOST:PORT     where senders connect; port 0 takes a free one\n"
    "  --journal FILE         the journal, one gate each; made when it is not there\n"
    "  --terms URL            the terminology service\n"
    "  --workers N            processes that make the checks; 0: in this one (default 0)\n"
    "  --link-at URL          where workers connect (default, with workers: beside the journal)\n"
    "  --census URL           serves the census there: see `ward --help`. With ipc://PATH, worker\n"
    "                         1 serves its own at ipc://PATH.worker-1\n"
    "\n"
    "  --max-frame SIZE       a longer message ends its connection (default 32M)\n"
    "  --budget SIZE          of all messages being received together (default 64M)\n"
    "  --journal-max SIZE     of the journal; then messages are refused (default: none)\n"
    "  --max-connections N    (default 10000)\n"
    "  --idle-ms MS           a silent connection is ended after so long (default 300000)\n"
    "  --frame-ms MS          and one whose message takes longer than this (default 120000)\n"
    "\n"
    "  --shards N             actors that process patients' messages (default 32)\n"
    "  --check-ms MS          how long the check of one code may take (default 2000)\n"
    "  --check-all-ms MS      and of all codes of a message (default 10000)\n"
    "  --attempts N           tries before a message is dead (default 8)\n"
    "  --retry-ms MS          pause before the second try, then doubling (default 1000)\n"
    "  --retry-max-ms MS      but no longer than this (default 30000)\n"
    "  --stop-ms MS           from SIGTERM to the end (default 10000)\n";

#define MS_MAX 86400000
static const struct gate_option KNOWN[] = {
    GATE_OPTION_ADDRESS("listen", struct gate_config, listen_at),
    GATE_OPTION_TEXT("journal", struct gate_config, journal_path),
    GATE_OPTION_TEXT("terms", struct gate_config, terms_url),
    GATE_OPTION_COUNT("workers", struct gate_config, workers, 0, GATE_WORKERS_MAX),
    GATE_OPTION_TEXT("link-at", struct gate_config, link_url),
    GATE_OPTION_TEXT("census", struct gate_config, census_url),
    GATE_OPTION_BYTES("max-frame", struct gate_config, max_frame, 4096, 512 * MIB),
    GATE_OPTION_BYTES("budget", struct gate_config, budget_bytes, 65536, 65536 * MIB),
    GATE_OPTION_BYTES("journal-max", struct gate_config, journal_bytes_max, MIB, INT64_MAX),
    GATE_OPTION_NUMBER("max-connections", struct gate_config, connections_max, 1, 65536),
    GATE_OPTION_NUMBER("idle-ms", struct gate_config, idle_ms, 10, MS_MAX),
    GATE_OPTION_NUMBER("frame-ms", struct gate_config, frame_ms, 10, MS_MAX),
    GATE_OPTION_COUNT("shards", struct gate_config, shards, 1, GATE_SHARDS_MAX),
    GATE_OPTION_NUMBER("check-ms", struct gate_config, check_ms, 1, MS_MAX),
    GATE_OPTION_NUMBER("check-all-ms", struct gate_config, check_all_ms, 1, MS_MAX),
    GATE_OPTION_COUNT("attempts", struct gate_config, attempts, 1, 1000),
    GATE_OPTION_NUMBER("retry-ms", struct gate_config, retry_ms, 1, MS_MAX),
    GATE_OPTION_NUMBER("retry-max-ms", struct gate_config, retry_max_ms, 1, MS_MAX),
    GATE_OPTION_NUMBER("stop-ms", struct gate_config, stop_ms, 100, MS_MAX),
};
static const struct gate_options OPTIONS = { USAGE, KNOWN, WARD_COUNT(KNOWN) };

static const char *check_options(struct gate_config *config)
{
    if (config->listen_at.bytes == 0) return "--listen is missing";
    if (!config->journal_path) return "--journal is missing";
    if (config->budget_bytes < config->max_frame)
        return "--budget is smaller than --max-frame: such a message could never be received";
    if (config->retry_max_ms < config->retry_ms) config->retry_max_ms = config->retry_ms;
    return gate_options_terms(config->terms_url);
}

int gate_run_main(int argc, char **argv)
{
    struct gate_config config = { .shards = 32,
        .attempts = 8,
        .connections_max = 10000,
        .max_frame = 32 * MIB,
        .budget_bytes = 64 * MIB,
        .idle_ms = 300000,
        .frame_ms = 120000,
        .stop_ms = 10000,
        .retry_ms = 1000,
        .retry_max_ms = 30000,
        .check_ms = 2000,
        .check_all_ms = 10000,
        .signal_fd = -1 };
    char *beside = NULL;
    const char *wrong;
    int code;

    if (!gate_options_read(&config, &OPTIONS, argc, argv, &code)) return code;
    wrong = check_options(&config);
    if (wrong) return gate_options_wrong("run", wrong);
    if (config.workers && !config.link_url) {
        if (asprintf(&beside, "ipc://%s.link", config.journal_path) < 0) return 1;
        config.link_url = beside;
    }
    code = run(&config);
    free(beside);
    return code;
}
