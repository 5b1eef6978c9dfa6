/* SPDX-License-Identifier: MIT */
/*
 * worker.c - the command line, the node and the tree of `gate worker`.
 *
 * The main thread is the node's attached actor and waits in poll(2) for the end: a signal, the
 * end of its input, or the tree giving up, which cancels it. All else is desk.c's.
 */
#include "examples/gate/worker.h"
#include "examples/gate/desk.h"
#include "examples/gate/http_check.h"
#include "examples/gate/options.h"
#include "examples/gate/types.h"
#include <poll.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <ward/census.h>
#include <ward/net.h>

enum { HEARTBEAT_MS = 500, DEAD_MS = 2000, STOP_MS = 2000 };

static const char CHECKS[] = "gate:/main/gate/checks";

static ward_status spawn_tree(ward_self *self, struct gate_config *config)
{
    const struct gate_registrar_arg registrar = { config, CHECKS };
    const ward_spec parts[] = {
        { .name = "steps", .strategy = WARD_DYNAMIC, .children_max = GATE_STEPS_MAX },
        { .name = "desk",
            .handle = gate_desk,
            .start = gate_desk_start,
            .state_bytes = gate_desk_state_bytes(),
            .arg = config },
        { .name = "registrar",
            .body = gate_registrar,
            .arg = (void *)&registrar,
            .arg_bytes = sizeof registrar },
    };
    const ward_spec worker = {
        .name = "worker", .children = WARD_CHILDREN(parts), .strategy = WARD_REST_FOR_ONE
    };
    ward_ref top;

    return ward_spawn(self, &top, &worker);
}

/* Until the end of the input, a signal, or cancellation: WARD_ECANCELED. */
static ward_status wait_for_end(ward_self *self, const struct gate_config *config)
{
    struct pollfd fds[] = { { .fd = config->signal_fd, .events = POLLIN },
        { .fd = ward_mail_fd(self), .events = POLLIN },
        { .fd = config->end_with_stdin ? STDIN_FILENO : -1, .events = POLLIN } };
    const ward_msg *msg;
    ward_status rc = WARD_OK;
    char rest[64];

    while (!rc) {
        if (poll(fds, 3, -1) < 0 && errno != EINTR) return WARD_EFAIL;
        if (fds[0].revents) return WARD_OK;
        if (fds[2].revents && read(STDIN_FILENO, rest, sizeof rest) <= 0) return WARD_OK;
        if (fds[1].revents) rc = ward_receive(self, &msg, WARD_NOW); /* which lowers it */
        if (rc == WARD_ETIMEDOUT) rc = WARD_OK;
    }
    return rc;
}

static ward_status run(ward_self *self)
{
    struct gate_config *config = ward_arg(self);
    const ward_link_opts link = {
        .peer = "gate", .heartbeat_ms = HEARTBEAT_MS, .dead_ms = DEAD_MS
    };
    ward_status rc = ward_connect(ward_node_of(self), config->link_url, &link);

    if (rc) {
        gate_log(&config->log, "cannot link to %s: %s", config->link_url, ward_strerror(rc));
        return rc;
    }
    if (config->census_url) {
        rc = ward_census_serve(ward_node_of(self), config->census_url);
        if (rc)
            gate_log(&config->log, "no census at %s: %s", config->census_url,
                ward_strerror(rc)); /* it can do without */
    }
    rc = spawn_tree(self, config);
    return rc ? rc : wait_for_end(self, config);
}

static const char USAGE[] =
    "usage: gate worker --link ipc://gate.link --terms http://127.0.0.1:8089 [options]\n"
    "\n"
    "Makes checks for a gate, in a process of its own. `gate run --workers N` starts N of them;\n"
    "more can be started by hand.\n"
    "\n"
    "  --link URL          where the gate is: its --link-at\n"
    "  --terms URL         the terminology service, on loopback\n"
    "  --name NAME         of this worker (default worker-PID)\n"
    "  --check-ms MS       how long one code may take (default 2000)\n"
    "  --census URL        serves the census there\n"
    "  --end-with-stdin    end when standard input ends\n";

static const struct gate_option KNOWN[] = {
    GATE_OPTION_TEXT("link", struct gate_config, link_url),
    GATE_OPTION_TEXT("terms", struct gate_config, terms_url),
    GATE_OPTION_TEXT("name", struct gate_config, name),
    GATE_OPTION_NUMBER("check-ms", struct gate_config, check_ms, 1, 3600000),
    GATE_OPTION_TEXT("census", struct gate_config, census_url),
    GATE_OPTION_FLAG("end-with-stdin", struct gate_config, end_with_stdin),
};

static const struct gate_options OPTIONS = { USAGE, KNOWN, WARD_COUNT(KNOWN) };

int gate_worker_main(int argc, char **argv)
{
    struct gate_config config = { .check_ms = 2000, .signal_fd = -1 };
    char name[32];
    const char *wrong;
    ward_status rc;
    int code;

    (void)snprintf(name, sizeof name, "worker-%ld", (long)getpid());
    config.name = name;
    if (!gate_options_read(&config, &OPTIONS, argc, argv, &code)) return code;
    wrong = config.link_url ? gate_options_terms(config.terms_url) : "--link is missing";
    if (wrong) return gate_options_wrong("worker", wrong);
    config.log.who = config.name;
    config.signal_fd = gate_config_signals();
    if (config.signal_fd < 0 || !gate_http_init()) return 1;
    rc = ward_run(run, &(ward_opts){ .name = config.name,
                           .arg = &config,
                           .table = &gate_table,
                           .stop_ms = STOP_MS,
                           .hook = &config.log,
                           .on_event = gate_log_event });
    close(config.signal_fd);
    if (rc) gate_log(&config.log, "ended: %s", ward_strerror(rc));
    return rc ? 1 : 0;
}
