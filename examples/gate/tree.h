/* SPDX-License-Identifier: MIT */
/*
 * tree.h - the gate's supervision tree: who is there, in which order, restarted how.
 *
 *   gate            rest_for_one: who fails takes those below along, who build on it
 *     journal       a thread: the writer
 *     checks        the balancer
 *     workers       worker-1, worker-2, ...   or, with --workers 0: steps, desk, registrar
 *     patients      shard-0, shard-1, ...
 *     connections   mllp, mllp, ...           as many as there are
 *     listener
 *
 * Stopping goes from the last to the first: nobody new, then nobody who waits, the journal last.
 */
#ifndef GATE_TREE_H
#define GATE_TREE_H

#include "examples/gate/config.h"

/* Starts the tree below this actor. `listen_fd` stays the caller's and outlives it. */
ward_status gate_tree_spawn(ward_self *self, struct gate_config *config, int listen_fd);

#endif
