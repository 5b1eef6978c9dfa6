/* SPDX-License-Identifier: MIT */
/*
 * url.c - the check of an address. It reads the text as nng does, and refuses whatever the two
 * could read differently: no user, no path or query behind a port, no names, no signs or spaces in
 * a number, and of the many ways to write an IPv4 address only the one with four decimal parts.
 */
#include "net/url.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

enum { PORT_DIGITS = 5, PORT_MAX = 65535 };

static ward_status check_path(const char *path)
{
    size_t length = strlen(path);

    return length > 0 && length < sizeof((struct sockaddr_un *)0)->sun_path ? WARD_OK : WARD_EINVAL;
}

static bool is_port(const char *text)
{
    size_t length = strspn(text, "0123456789");
    unsigned port = 0;

    if (length == 0 || length > PORT_DIGITS || text[length]) return false;
    for (size_t i = 0; i < length; i++)
        port = port * 10 + (unsigned)(text[i] - '0');
    return port > 0 && port <= PORT_MAX;
}

static ward_status check_address(const char *at)
{
    const char *colon = strrchr(at, ':');
    char host[INET6_ADDRSTRLEN + 2];
    struct in_addr v4;
    size_t length;

    if (!colon || !is_port(colon + 1)) return WARD_EINVAL;
    length = (size_t)(colon - at);
    if (strcspn(at, "/?#@ \t\r\n") < length) return WARD_EINVAL;
    if (length >= sizeof host) return WARD_EDENIED;
    memcpy(host, at, length);
    host[length] = 0;
    if (strcmp(host, "[::1]") == 0) return WARD_OK;
    if (inet_pton(AF_INET, host, &v4) != 1) return WARD_EDENIED; /* a name, "*", or nothing */
    return ntohl(v4.s_addr) >> 24 == 127 ? WARD_OK : WARD_EDENIED;
}

ward_status ward__url_check(const char *url)
{
    size_t scheme;

    if (!url) return WARD_EINVAL;
    scheme = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
    if (scheme == 0 || strncmp(url + scheme, "://", 3) != 0) return WARD_EINVAL;
    if (scheme == 3 && strncmp(url, "ipc", 3) == 0) return check_path(url + 6);
    if (scheme == 3 && strncmp(url, "tcp", 3) == 0) return check_address(url + 6);
    return url[scheme + 3] ? WARD_EDENIED : WARD_EINVAL;
}
