/* SPDX-License-Identifier: MIT */
/*
 * gate_terms_test.c - the stand-in terminology service: its answers, its misbehaviour, and that it
 * lets go of everything when its mode changes or it is stopped.
 *
 * The service runs in a child with a port of its own and is ended by a signal; the tests talk to it
 * over plain sockets. What takes effect in its own time is waited for by asking /_stats again, a
 * bounded number of times.
 */
#include "examples/gate/args.h"
#include "examples/gate/terms.h"
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(gate_terms, .timeout = 30);

enum { HELD = 120, ASKS = 100000 };

struct service {
    pid_t pid;
    struct gate_address at;
};

static struct service start(void)
{
    char *args[] = { (char *)"terms", (char *)"--listen", (char *)"127.0.0.1:0", NULL };
    struct service service;
    char line[128], *at;
    int ends[2];
    FILE *said;

    cr_assert_eq(pipe(ends), 0);
    service.pid = fork();
    cr_assert_geq(service.pid, 0);
    if (service.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(gate_terms_main(3, args));
    }
    close(ends[1]);
    said = fdopen(ends[0], "r");
    cr_assert_not_null(said);
    cr_assert_not_null(fgets(line, sizeof line, said));
    cr_assert_eq(fclose(said), 0);
    cr_assert_eq(strncmp(line, "terms: listening on ", 20), 0);
    at = line + 20;
    at[strcspn(at, "\n")] = '\0';
    cr_assert_null(gate_args_address(&service.at, at));
    return service;
}

static int stop(const struct service *service)
{
    int status;

    cr_assert_eq(kill(service->pid, SIGTERM), 0);
    cr_assert_eq(waitpid(service->pid, &status, 0), service->pid);
    return status;
}

static int ask(
    const struct service *service, const char *method, const char *what, const char *body)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char request[512];

    cr_assert_eq(connect(fd, (const struct sockaddr *)&service->at.at, service->at.bytes), 0);
    (void)snprintf(request, sizeof request,
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method,
        what, strlen(body), body);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return fd;
}

/* The rest of what comes, to the end. -1: it was reset. */
static int read_all(int fd, char *out, size_t room)
{
    size_t used = 0;
    ssize_t n;

    do {
        n = recv(fd, out + used, room - 1 - used, 0);
        used += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    out[used] = '\0';
    close(fd);
    return n < 0 ? -1 : (int)used;
}

static void expect(const struct service *service, const char *method, const char *what,
    const char *body, const char *wanted)
{
    char text[2048];

    cr_assert_geq(read_all(ask(service, method, what, body), text, sizeof text), 0);
    cr_assert_not_null(strstr(text, wanted), "%s %s: no %s in: %s", method, what, wanted, text);
}

static void mode(const struct service *service, const char *mode)
{
    expect(service, "POST", "/_mode", mode, " 200 ");
}

static void wait_for(const struct service *service, const char *wanted)
{
    char text[2048];

    for (int i = 0; i < ASKS; i++) {
        (void)read_all(ask(service, "GET", "/_stats", ""), text, sizeof text);
        if (strstr(text, wanted)) return;
    }
    cr_assert_fail("never came: %s", wanted);
}

Test(gate_terms, answers_by_the_code)
{
    struct service service = start();

    expect(&service, "GET", "/check?system=http%3A%2F%2Floinc.org&code=718-7", "", ":true}");
    expect(&service, "GET", "/check?code=BAD", "", ":false}");
    expect(&service, "GET", "/check?code=%42%41D1", "", ":false}");
    expect(&service, "GET", "/check?code=", "", " 400 ");
    expect(&service, "GET", "/check", "", " 400 ");
    expect(&service, "POST", "/check?code=1", "", " 405 ");
    expect(&service, "GET", "/else", "", " 404 ");
    expect(&service, "POST", "/_mode", "dance", " 400 ");
    expect(&service, "POST", "/_mode", "slow", " 400 ");
    expect(&service, "POST", "/_mode", "hangs", " 400 ");
    expect(&service, "GET", "/_stats", "", "\"mode\":\"answer\"");
    expect(&service, "GET", "/_stats", "", "\"by_mode\":{\"answer\":3,");
    cr_assert_eq(stop(&service), 0);
}

Test(gate_terms, misbehaves_as_told)
{
    struct service service = start();
    char text[2048];

    mode(&service, "fail\n");
    expect(&service, "GET", "/check?code=1", "", " 500 ");
    mode(&service, "reset");
    cr_assert_eq(read_all(ask(&service, "GET", "/check?code=1", ""), text, sizeof text), -1);
    cr_assert_str_eq(text, "");
    mode(&service, "slow 1");
    expect(&service, "GET", "/check?code=1", "", ":true}");
    mode(&service, "slow 3600000");
    cr_assert_geq(ask(&service, "GET", "/check?code=1", ""), 0);
    wait_for(&service, "\"held\":1,");
    cr_assert_eq(stop(&service), 0);
}

Test(gate_terms, answers_what_hangs_when_its_mode_changes)
{
    struct service service = start();
    char text[2048];
    int fds[HELD];

    mode(&service, "hang");
    for (int i = 0; i < HELD; i++)
        fds[i] = ask(&service, "GET", "/check?code=1", "");
    wait_for(&service, "\"held\":120,");
    mode(&service, "answer");
    for (int i = 0; i < HELD; i++) {
        cr_assert_gt(read_all(fds[i], text, sizeof text), 0);
        cr_assert_not_null(strstr(text, ":true}"));
    }
    wait_for(&service, "\"open\":1,\"held\":0,\"left\":0,");
    cr_assert_eq(stop(&service), 0);
}

Test(gate_terms, lets_go_of_clients_that_leave)
{
    struct service service = start();
    int fds[HELD];

    mode(&service, "hang");
    for (int i = 0; i < HELD; i++)
        fds[i] = ask(&service, "GET", "/check?code=1", "");
    wait_for(&service, "\"held\":120,");
    for (int i = 0; i < HELD; i++)
        close(fds[i]);
    wait_for(&service, "\"open\":1,\"held\":0,\"left\":120,");
    cr_assert_eq(stop(&service), 0);
}

Test(gate_terms, drips_and_hurries_when_its_mode_changes)
{
    struct service service = start();
    char text[2048];
    int fd;

    mode(&service, "drip");
    fd = ask(&service, "GET", "/check?code=BAD", "");
    wait_for(&service, "\"held\":1,");
    mode(&service, "hang");
    cr_assert_gt(read_all(fd, text, sizeof text), 0);
    cr_assert_not_null(strstr(text, "{\"result\":false}"));
    cr_assert_eq(stop(&service), 0);
}

Test(gate_terms, ends_while_clients_hang_and_drip)
{
    struct service service = start();
    char text[2048];
    int fds[HELD];

    mode(&service, "drip");
    fds[0] = ask(&service, "GET", "/check?code=1", "");
    wait_for(&service, "\"held\":1,");
    cr_assert_eq(stop(&service), 0);
    (void)read_all(fds[0], text, sizeof text);
    cr_assert_null(strstr(text, ":true}"));

    service = start();
    mode(&service, "hang");
    for (int i = 0; i < HELD; i++)
        fds[i] = ask(&service, "GET", "/check?code=1", "");
    wait_for(&service, "\"held\":120,");
    cr_assert_eq(stop(&service), 0);
    for (int i = 0; i < HELD; i++) {
        (void)read_all(fds[i], text, sizeof text);
        cr_assert_str_eq(text, "");
    }
}
