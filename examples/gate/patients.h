/* SPDX-License-Identifier: MIT */
/*
 * patients.h - the actors that process messages, each for a share of the patients.
 *
 * A body actor; its argument is a struct gate_patients_arg, copied. Pulls its own from the
 * journal, one after the other, has the codes of each checked, and says what became of it.
 */
#ifndef GATE_PATIENTS_H
#define GATE_PATIENTS_H

#include "examples/gate/config.h"

struct gate_patients_arg {
    struct gate_config *config;
    uint32_t shard;
};

ward_body gate_patients;

#endif
