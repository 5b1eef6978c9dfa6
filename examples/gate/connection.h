/* SPDX-License-Identifier: MIT */
/*
 * connection.h - one MLLP connection: frames in, each kept in the journal, answers out.
 *
 * A body actor, parked on its socket whenever there is nothing to do. Its argument is a
 * struct gate_connection_arg, copied; the fd in it is the connection's and closed by its clean-up.
 * Children of /main/gate/connections.
 */
#ifndef GATE_CONNECTION_H
#define GATE_CONNECTION_H

#include "examples/gate/config.h"

struct gate_connection_arg {
    struct gate_config *config;
    uint64_t number; /* for log lines */
    int fd; /* non-blocking */
};

ward_body gate_connection;
size_t gate_connection_state_bytes(void);
void gate_connection_cleanup(ward_self *self, ward_reason why);

#endif
