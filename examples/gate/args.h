/* SPDX-License-Identifier: MIT */
/*
 * args.h - what the gate's commands read from their command lines: numbers and addresses.
 *
 * Only loopback addresses are taken. The gate is an example: it has no encryption and asks nobody
 * who he is, and its sender could flood a stranger. Knows nothing of sockets beyond the address;
 * pure, for any thread.
 */
#ifndef GATE_ARGS_H
#define GATE_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct gate_address {
    struct sockaddr_storage at;
    socklen_t bytes;
};

/* The longest text of an address with its port, and NUL. */
#define GATE_ADDRESS_TEXT 64

/* "127.0.0.1:2575", "[::1]:2575" or "localhost:2575". NULL, or a static text that says what is
 * wrong with it. */
const char *gate_args_address(struct gate_address *out, const char *text);
void gate_args_print_address(const struct gate_address *address, char out[GATE_ADDRESS_TEXT]);

/* Digits only, from min to max. */
bool gate_args_number(int64_t *out, const char *text, int64_t min, int64_t max);

#endif
