/* SPDX-License-Identifier: MIT */
/*
 * mode.h - `gate mode`: tells the stand-in terminology service how to behave, or asks it for its
 * counts; what curl(1) would do, for drills on machines without it. The calling thread alone.
 */
#ifndef GATE_MODE_H
#define GATE_MODE_H

/* argv[0] is the command's name. The exit code: 0, 1 for a failure, 2 for wrong usage. */
int gate_mode_main(int argc, char **argv);

#endif
