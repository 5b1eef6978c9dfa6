/* SPDX-License-Identifier: MIT */
/*
 * workers.h - the actors that keep worker processes running: one process an incarnation.
 *
 * A body actor; its argument is a struct gate_workers_arg, copied. Its supervisor restarts it,
 * and the process with it, when the process ends, or falls silent, or never registers.
 */
#ifndef GATE_WORKERS_H
#define GATE_WORKERS_H

#include "examples/gate/config.h"

struct gate_workers_arg {
    struct gate_config *config;
    char name[32]; /* its own, and that of the process's node */
};

ward_body gate_worker_keeper;

#endif
