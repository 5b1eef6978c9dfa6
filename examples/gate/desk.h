/* SPDX-License-Identifier: MIT */
/*
 * desk.h - where checks are made: a desk that takes them and a step actor for each.
 *
 * The same in the gate's own process (--workers 0) and in a worker. The desk is a handler, its
 * argument the struct gate_config; its steps are children of the dynamic supervisor "steps" beside
 * it. gate_desk_register is a body that keeps the desk registered with the gate's checks.
 */
#ifndef GATE_DESK_H
#define GATE_DESK_H

#include "examples/gate/config.h"

enum { GATE_STEPS_MAX = 512 };

ward_handler gate_desk;
ward_body gate_desk_start;
size_t gate_desk_state_bytes(void);

/* Registers the desk beside it at `checks` of its argument, and again whenever that is lost. */
struct gate_registrar_arg {
    struct gate_config *config;
    const char *checks; /* a path; of another node in a worker */
};
ward_body gate_registrar;

#endif
