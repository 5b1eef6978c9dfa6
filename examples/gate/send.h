/* SPDX-License-Identifier: MIT */
/*
 * send.h - `gate send`: sends HL7 v2 files over MLLP and checks every answer.
 *
 * Prints progress on stderr and a summary on stdout. Exit code 0 when each message was
 * acknowledged or refused for good, 1 when one was lost (no answer, or never taken), 2 for wrong
 * usage or files that cannot be read. Only loopback targets. Runs on the calling thread alone and
 * ends by itself; SIGINT and SIGTERM end it early. Knows nothing of ward.
 */
#ifndef GATE_SEND_H
#define GATE_SEND_H

/* argv[0] is the command's name. The exit code. */
int gate_send_main(int argc, char **argv);

#endif
