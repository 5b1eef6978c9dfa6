/* SPDX-License-Identifier: MIT */
/*
 * ward.c - the program `ward`: asks a running node for its census and prints it.
 *
 * It is a plain REQ client of nng and knows of ward only the four words a census server takes, so
 * whatever it can do, any REQ client can. One request, one answer, 2 s for each step. What it
 * prints is the server's answer as it came.
 *
 * Exit: 0; 1: the node cannot be reached or has refused; 2: called the wrong way.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ward/ward.h>

#include "net/url.h"

enum { TIMEOUT_MS = 2000, OK = 0, FAILED = 1, USAGE = 2 };

#define ANSWER_MAX ((size_t)64 << 20)

static const char *const usage =
    "usage: ward census [-f text|tree|sites|msgpack] URL\n"
    "       ward tree URL\n"
    "       ward sites URL\n"
    "       ward --help | --version\n"
    "\n"
    "Prints who lives in a node that serves its census: a line an actor (text), the same\n"
    "below their parents (tree), or a line a spawn site, most actors first (sites).\n"
    "URL is what the node serves at: ipc://PATH or tcp://127.0.0.1:PORT.\n"
    "Exit: 0; 1 when the node cannot be reached; 2 when called the wrong way.\n";

static int wrong(const char *what, const char *which)
{
    fprintf(stderr, "ward: %s%s%s\n%s", what, *which ? ": " : "", which, usage);
    return USAGE;
}

static int failed(const char *url, const char *why)
{
    fprintf(stderr, "ward: %s: %s\n", url, why);
    return FAILED;
}

static int set_up(nng_socket socket)
{
    int rc = nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, TIMEOUT_MS);

    if (!rc) rc = nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, TIMEOUT_MS);
    if (!rc) rc = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, ANSWER_MAX); /* 0: no bound */
    if (!rc) rc = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    return rc;
}

/* Prints an answer. One that begins with "error:" is the server's refusal. */
static int print(const char *url, const char *at, size_t bytes)
{
    static const char refusal[] = "error: ";
    size_t length = sizeof refusal - 1;

    if (bytes >= length && memcmp(at, refusal, length) == 0) {
        fprintf(stderr, "ward: %s: %.*s", url, (int)(bytes - length), at + length);
        return FAILED;
    }
    if (fwrite(at, 1, bytes, stdout) != bytes || fflush(stdout)) return failed(url, "cannot write");
    return OK;
}

static int ask(nng_socket socket, const char *url, char *word)
{
    char *at;
    size_t bytes;
    int rc = set_up(socket), result;

    if (!rc) rc = nng_dial(socket, url, NULL, 0);
    if (!rc) rc = nng_send(socket, word, strlen(word), 0);
    if (!rc) rc = nng_recv(socket, &at, &bytes, NNG_FLAG_ALLOC);
    if (rc == NNG_ETIMEDOUT) return failed(url, "no answer within 2 s; is it a census?");
    if (rc) return failed(url, nng_strerror(rc));
    result = print(url, at, bytes);
    nng_free(at, bytes);
    return result;
}

static int census(const char *url, char *word)
{
    ward_status rc = ward__url_check(url);
    nng_socket socket;
    int result;

    if (rc == WARD_EINVAL) return wrong("not a URL like ipc://PATH or tcp://127.0.0.1:PORT", url);
    if (rc) return wrong("only ipc and loopback addresses can be asked", url);
    if (nng_req0_open(&socket)) return failed(url, "cannot open a socket");
    result = ask(socket, url, word);
    nng_close(socket);
    return result;
}

static bool is_form(const char *word)
{
    static const char *const forms[] = { "text", "tree", "sites", "msgpack" };

    for (size_t i = 0; i < WARD_COUNT(forms); i++)
        if (strcmp(word, forms[i]) == 0) return true;
    return false;
}

int main(int argc, char **argv)
{
    static char none[] = "", text[] = "text"; /* nng's send takes no const */
    char *command = argc > 1 ? argv[1] : none, *word = command;
    int next = 2;

    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        fputs(usage, stdout);
        return OK;
    }
    if (strcmp(command, "--version") == 0) {
        printf("ward %d.%d.%d\n", WARD_VERSION_MAJOR, WARD_VERSION_MINOR, WARD_VERSION_PATCH);
        return OK;
    }
    if (!*command) return wrong("what to do?", "");
    if (strcmp(command, "census") == 0) {
        word = text;
        if (argc > 3 && strcmp(argv[2], "-f") == 0) {
            word = argv[3];
            next = 4;
        }
    } else if (strcmp(command, "tree") != 0 && strcmp(command, "sites") != 0) {
        return wrong("no such command", command);
    }
    if (!is_form(word)) return wrong("no such form", word);
    if (next >= argc) return wrong("which node?", "");
    if (next + 1 < argc) return wrong("one URL, please", argv[next + 1]);
    return census(argv[next], word);
}
