/* SPDX-License-Identifier: MIT */
/*
 * send_wire.h - the connections of `gate send`: one message in flight on each, every answer
 * checked.
 *
 * An answer counts only when it came on the connection and during the try in which its message was
 * sent, and its MSA-2 is the message's MSH-10 byte for byte. A connection on which an answer did
 * not come in time, or a wrong one came, is closed and never used again: a late answer must not
 * stand for the next message. AE and CE, and whatever ends a connection, mean to try again, with
 * growing pauses, for retry_ms from the first failure of a message; AR and CR are final.
 *
 * Owns sockets and buffers; borrows the plan. One thread, poll(2), no locks. Waits only in
 * gate_wire_turn. Knows nothing of command lines or of what is printed.
 */
#ifndef GATE_SEND_WIRE_H
#define GATE_SEND_WIRE_H

#include "examples/gate/args.h"
#include "examples/gate/send_plan.h"

struct gate_wire_opts {
    struct gate_address to;
    unsigned connections, rounds;
    double rate; /* messages a second over all connections; 0: as fast as it goes */
    int64_t retry_ms, ack_ms;
    bool exact; /* later rounds repeat the control ids of the first */
};

/* Why a message had to be tried again. */
enum gate_wire_trouble {
    GATE_WIRE_AE, /* the receiver asked for it */
    GATE_WIRE_TIMEOUT, /* no answer, or no connection, within ack_ms */
    GATE_WIRE_BROKEN, /* the connection was refused, or ended */
    GATE_WIRE_WRONG, /* an answer for another message, or none that can be read */
    GATE_WIRE_TROUBLES
};

/* Counts of times in groups that are 1/32 wide, from 1 us to some hours. */
#define GATE_WIRE_TIMES 1024
struct gate_wire_times {
    uint64_t count, in_group[GATE_WIRE_TIMES];
    int64_t max_us;
};

struct gate_wire_counts {
    uint64_t sent; /* messages tried at least once */
    uint64_t acknowledged, refused, lost;
    uint64_t retried; /* further tries */
    uint64_t trouble[GATE_WIRE_TROUBLES];
    uint64_t refused_for[GATE_HL7_REASONS]; /* by the gate's texts; [GATE_HL7_OK]: another text */
    unsigned open; /* connections at this moment */
    struct gate_wire_times ack;
};

/* The control id of a message that was acknowledged, in two parts. */
typedef void gate_wire_acknowledged(void *arg, struct gate_span id, const char *suffix);

struct gate_wire;

/* NULL without memory. */
struct gate_wire *gate_wire_open(const struct gate_wire_opts *opts, const struct gate_plan *plan,
    gate_wire_acknowledged *acknowledged, void *arg);
void gate_wire_close(struct gate_wire *wire);

/* Does what can be done, and waits for more until wait_ms at most or until other_fd can be read.
 * False when all messages have their answer, or were given up. */
bool gate_wire_turn(struct gate_wire *wire, int other_fd, int64_t wait_ms);

const struct gate_wire_counts *gate_wire_counts(const struct gate_wire *wire);
uint64_t gate_wire_planned(const struct gate_wire *wire); /* messages in all rounds */

/* The time below which this share (0 to 1) of the times lies; 0 when there are none. */
int64_t gate_wire_share_us(const struct gate_wire_times *times, double share);

#endif
