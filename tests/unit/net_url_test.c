/* SPDX-License-Identifier: MIT */
/*
 * net_url_test.c - which addresses are of this machine, which are another's, and which are none.
 */
#include "net/url.h"

#include <criterion/criterion.h>
#include <string.h>

static void expect_all(const char *const *urls, size_t count, ward_status want)
{
    for (size_t i = 0; i < count; i++) {
        ward_status rc = ward__url_check(urls[i]);
        cr_expect_eq(rc, want, "%s: %s", urls[i], ward_strerror(rc));
    }
}

Test(url, allows_ipc_and_loopback)
{
    static const char *const urls[] = { "ipc://gate.census", "ipc:///run/ward/a b.sock", "ipc://x",
        "tcp://127.0.0.1:1", "tcp://127.0.0.1:65535", "tcp://127.255.0.9:80", "tcp://[::1]:80" };

    expect_all(urls, WARD_COUNT(urls), WARD_OK);
}

Test(url, denies_what_leaves_the_machine_or_might)
{
    static const char *const urls[] = { "tcp://0.0.0.0:80", "tcp://10.0.0.1:80", "tcp://*:80",
        "tcp://:80", "tcp://localhost:80", "tcp://localhost.example.org:80", "tcp://[::]:80",
        "tcp://[::ffff:10.0.0.1]:80", "tcp://128.0.0.1:80", "tcp://127.1:80",
        "tcp://127.0.0.1.example.org:80", "tcp://0x7f.0.0.1:80", "tls+tcp://127.0.0.1:80",
        "ws://127.0.0.1:80", "abstract://ward", "inproc://ward",
        "tcp://a-very-long-name-that-is-longer-than-any-address-could-ever-be.example.org:80" };

    expect_all(urls, WARD_COUNT(urls), WARD_EDENIED);
}

Test(url, knows_what_is_no_address)
{
    static const char *const urls[] = { "", "ipc", "ipc:", "ipc:/", "ipc://", "://x", "IPC://x",
        "gate.census", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:65536", "tcp://127.0.0.1:123456", "tcp://127.0.0.1:+80",
        "tcp://127.0.0.1:80/", "tcp://127.0.0.1:80x", "tcp://user@127.0.0.1:80",
        "tcp://127.0.0.1/:80", "tcp://127.0.0.1?:80", "tcp://127.0.0.1 :80", "tcp://", "ws://" };
    char path[200] = "ipc://";

    expect_all(urls, WARD_COUNT(urls), WARD_EINVAL);
    cr_expect_eq(ward__url_check(NULL), WARD_EINVAL);
    memset(path + 6, 'x', 107);
    cr_expect_eq(ward__url_check(path), WARD_OK);
    path[6 + 107] = 'x'; /* no room for the NUL in a socket's address */
    cr_expect_eq(ward__url_check(path), WARD_EINVAL);
}
