/* SPDX-License-Identifier: MIT */
/*
 * url.h - which addresses ward may listen at or dial, for links, the census and its client alike:
 * as long as links are not authenticated, only those that do not leave the machine. Knows no
 * sockets and resolves no names: what a name stands for is somebody else's to say, so a name is
 * refused, "localhost" too. Any thread.
 */
#ifndef WARD_NET_URL_H
#define WARD_NET_URL_H

#include <ward/ward.h>

/* WARD_OK: "ipc://PATH", whose path fits a socket's address, or "tcp://127.x.y.z:PORT" or
 * "tcp://[::1]:PORT" with a port from 1 to 65535.
 * Errors: WARD_EINVAL: it is not written as a URL should be, or the path is too long;
 * WARD_EDENIED: it is, but names another transport or another machine. */
ward_status ward__url_check(const char *url);

#endif
