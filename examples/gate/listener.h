/* SPDX-License-Identifier: MIT */
/*
 * listener.h - accepts MLLP connections and has an actor started for each.
 *
 * A body actor; its argument is the struct gate_listener_arg, whose socket is the command's: it is
 * bound before the node opens, so that a wrong address is told at once, and outlives restarts.
 */
#ifndef GATE_LISTENER_H
#define GATE_LISTENER_H

#include "examples/gate/config.h"

/* A listening socket, or -1 with errno. *at becomes the address with the port that was given. */
int gate_listener_open(struct gate_address *at);

struct gate_listener_arg {
    struct gate_config *config;
    int fd;
};

ward_body gate_listener;

#endif
