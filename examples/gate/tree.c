/* SPDX-License-Identifier: MIT */
/*
 * tree.c - the specs of the gate's actors, put together from the configuration.
 *
 * ward copies specs with their names and arguments when it spawns, so all of this is gone again
 * afterwards. Limits on restarts are wide where the cause lies outside (a worker process can be
 * killed any number of times) and ward's own elsewhere: a gate whose journal fails again and again
 * ends, and says so.
 */
#include "examples/gate/tree.h"
#include "examples/gate/checks.h"
#include "examples/gate/desk.h"
#include "examples/gate/listener.h"
#include "examples/gate/patients.h"
#include "examples/gate/workers.h"
#include "examples/gate/writer.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { PARTS_MAX = 8, JOURNAL_STOP_MS = 8000, JOURNAL_STUCK_MS = 300000, START_MS = 60000 };
enum { PART_STOP_MS = 500, RESTARTS_MAX = 1000, WORKER_BACKOFF_MS = 50, BACKOFF_MAX_MS = 2000 };

struct tree {
    struct gate_config *config;
    struct gate_listener_arg listener;
    struct gate_registrar_arg registrar;
    ward_spec parts[PARTS_MAX];
    size_t parts_count;
    ward_spec workers[GATE_WORKERS_MAX];
    struct gate_workers_arg worker_args[GATE_WORKERS_MAX];
    ward_spec patients[GATE_SHARDS_MAX];
    struct gate_patients_arg patient_args[GATE_SHARDS_MAX];
    char patient_names[GATE_SHARDS_MAX][24];
};

static void add(struct tree *tree, ward_spec spec)
{
    assert(tree->parts_count < PARTS_MAX);
    tree->parts[tree->parts_count++] = spec;
}

static void add_journal(struct tree *tree)
{
    add(tree, (ward_spec){ .name = "journal",
                  .body = gate_writer,
                  .start = gate_writer_start,
                  .state_bytes = gate_writer_state_bytes(),
                  .arg = tree->config,
                  .blocking = true,
                  .drain_on_stop = true,
                  .mailbox_max = 4096,
                  .mailbox_bytes = gate_writer_mailbox_bytes(tree->config),
                  .start_ms = START_MS,
                  .stop_ms = JOURNAL_STOP_MS,
                  .stuck_ms = JOURNAL_STUCK_MS });
}

static void add_checks(struct tree *tree)
{
    add(tree, (ward_spec){ .name = "checks",
                  .handle = gate_checks,
                  .state_bytes = gate_checks_state_bytes(),
                  .arg = tree->config,
                  .stop_ms = PART_STOP_MS });
}

/* Checks are made in this process. */
static void add_desk(struct tree *tree)
{
    tree->registrar = (struct gate_registrar_arg){ tree->config, "/main/gate/checks" };
    add(tree,
        (ward_spec){ .name = "steps", .strategy = WARD_DYNAMIC, .children_max = GATE_STEPS_MAX });
    add(tree, (ward_spec){ .name = "desk",
                  .handle = gate_desk,
                  .start = gate_desk_start,
                  .state_bytes = gate_desk_state_bytes(),
                  .arg = tree->config,
                  .stop_ms = PART_STOP_MS });
    add(tree, (ward_spec){ .name = "registrar",
                  .body = gate_registrar,
                  .arg = &tree->registrar,
                  .arg_bytes = sizeof tree->registrar,
                  .stop_ms = PART_STOP_MS });
}

static void add_workers(struct tree *tree)
{
    for (unsigned i = 0; i < tree->config->workers; i++) {
        struct gate_workers_arg *arg = &tree->worker_args[i];
        arg->config = tree->config;
        (void)snprintf(arg->name, sizeof arg->name, "worker-%u", i + 1);
        tree->workers[i] = (ward_spec){ .name = arg->name,
            .body = gate_worker_keeper,
            .arg = arg,
            .arg_bytes = sizeof *arg,
            .restarts_max = RESTARTS_MAX,
            .backoff_ms = WORKER_BACKOFF_MS,
            .backoff_max_ms = BACKOFF_MAX_MS,
            .stop_ms = PART_STOP_MS };
    }
    add(tree, (ward_spec){ .name = "workers",
                  .children = { tree->workers, tree->config->workers, sizeof(ward_spec) },
                  .restarts_max = RESTARTS_MAX });
}

static void add_patients(struct tree *tree)
{
    for (unsigned i = 0; i < tree->config->shards; i++) {
        struct gate_patients_arg *arg = &tree->patient_args[i];
        *arg = (struct gate_patients_arg){ tree->config, i };
        (void)snprintf(tree->patient_names[i], sizeof tree->patient_names[i], "shard-%u", i);
        tree->patients[i] = (ward_spec){ .name = tree->patient_names[i],
            .body = gate_patients,
            .arg = arg,
            .arg_bytes = sizeof *arg,
            .mailbox_max = 4,
            .restarts_max = RESTARTS_MAX,
            .stop_ms = PART_STOP_MS };
    }
    add(tree, (ward_spec){ .name = "patients",
                  .children = { tree->patients, tree->config->shards, sizeof(ward_spec) },
                  .restarts_max = RESTARTS_MAX });
}

static void add_connections(struct tree *tree, int listen_fd)
{
    tree->listener = (struct gate_listener_arg){ tree->config, listen_fd };
    add(tree, (ward_spec){ .name = "connections",
                  .strategy = WARD_DYNAMIC,
                  .children_max = (uint32_t)tree->config->connections_max });
    add(tree, (ward_spec){ .name = "listener",
                  .body = gate_listener,
                  .arg = &tree->listener,
                  .arg_bytes = sizeof tree->listener,
                  .stop_ms = PART_STOP_MS });
}

ward_status gate_tree_spawn(ward_self *self, struct gate_config *config, int listen_fd)
{
    struct tree *tree = calloc(1, sizeof *tree);
    ward_spec gate = { .name = "gate", .strategy = WARD_REST_FOR_ONE, .backoff_ms = 100 };
    ward_ref top;
    ward_status rc;

    if (!tree) return WARD_ENOMEM;
    tree->config = config;
    add_journal(tree);
    add_checks(tree);
    if (config->workers)
        add_workers(tree);
    else
        add_desk(tree);
    add_patients(tree);
    add_connections(tree, listen_fd);
    gate.children = (ward_children){ tree->parts, tree->parts_count, sizeof(ward_spec) };
    rc = ward_spawn(self, &top, &gate);
    free(tree);
    return rc;
}
