/* SPDX-License-Identifier: MIT */
/*
 * worker.h - `gate worker`: a process that makes checks for a gate, over a link.
 *
 * Its tree: steps (one for each check under way), desk, registrar. Runs until SIGTERM or SIGINT,
 * or with --end-with-stdin until its input ends, which is how a gate's own workers end with it.
 */
#ifndef GATE_WORKER_H
#define GATE_WORKER_H

/* argv[0] is the command's name. The exit code: 0, 1 for a failure, 2 for wrong usage. */
int gate_worker_main(int argc, char **argv);

#endif
