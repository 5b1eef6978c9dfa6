/* SPDX-License-Identifier: MIT */
/*
 * checks.h - the balancer: one address for all checks, whoever makes them.
 *
 * A handler actor; its argument is the struct gate_config. Desks register themselves (REGISTER)
 * and are given checks in turn until they are gone (DOWN).
 */
#ifndef GATE_CHECKS_H
#define GATE_CHECKS_H

#include "examples/gate/config.h"

ward_handler gate_checks;
size_t gate_checks_state_bytes(void);

#endif
