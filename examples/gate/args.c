/* SPDX-License-Identifier: MIT */
/*
 * args.c - numbers and loopback addresses from a command line.
 *
 * No name is looked up: "localhost" means 127.0.0.1 here whatever a hosts file says, so that what
 * was checked is what is used. Owns nothing; for any thread.
 */
#include "examples/gate/args.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { HOST_MAX = 46 };

bool gate_args_number(int64_t *out, const char *text, int64_t min, int64_t max)
{
    int64_t value = 0;

    if (*text == '\0') return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        if (value > (INT64_MAX - 9) / 10) return false;
        value = value * 10 + (*text - '0');
    }
    *out = value;
    return value >= min && value <= max;
}

static const char *address_v4(struct gate_address *out, const char *host, in_port_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&out->at;

    in->sin_family = AF_INET;
    in->sin_port = port;
    out->bytes = sizeof *in;
    if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
        return "the host is neither an address like 127.0.0.1 or [::1] nor localhost";
    if (ntohl(in->sin_addr.s_addr) >> 24 != 127)
        return "only loopback addresses are allowed: this is an example without encryption";
    return NULL;
}

static const char *address_v6(struct gate_address *out, const char *host, in_port_t port)
{
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&out->at;

    in->sin6_family = AF_INET6;
    in->sin6_port = port;
    out->bytes = sizeof *in;
    if (inet_pton(AF_INET6, host, &in->sin6_addr) != 1) return "that is no IPv6 address";
    if (!IN6_IS_ADDR_LOOPBACK(&in->sin6_addr))
        return "only loopback addresses are allowed: this is an example without encryption";
    return NULL;
}

const char *gate_args_address(struct gate_address *out, const char *text)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = *text == '[';
    char host[HOST_MAX];
    int64_t port;
    size_t bytes;

    memset(out, 0, sizeof *out);
    if (!colon || (bracketed && (colon == text || colon[-1] != ']')))
        return "an address has a port, as in 127.0.0.1:2575";
    if (!gate_args_number(&port, colon + 1, 0, 65535)) return "the port is no number up to 65535";
    bytes = (size_t)(colon - text) - (bracketed ? 2 : 0);
    if (bytes >= sizeof host) return "the host is too long";
    memcpy(host, text + (bracketed ? 1 : 0), bytes);
    host[bytes] = '\0';
    if (bracketed) return address_v6(out, host, htons((in_port_t)port));
    return address_v4(
        out, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, htons((in_port_t)port));
}

void gate_args_print_address(const struct gate_address *address, char out[GATE_ADDRESS_TEXT])
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->at;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->at;
    char host[INET6_ADDRSTRLEN] = "?";

    if (address->at.ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        (void)snprintf(out, GATE_ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        (void)snprintf(out, GATE_ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
    }
}
