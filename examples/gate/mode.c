/* SPDX-License-Identifier: MIT */
/*
 * mode.c - one HTTP request to a `gate terms`, with a limit of 5 s.
 *
 * libcurl prints the answer to stdout by itself. Knows nothing of ward.
 */
#include "examples/gate/mode.h"
#include "examples/gate/options.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static const char USAGE[] =
    "usage: gate mode http://127.0.0.1:8089 answer|hang|drip|fail|reset|'slow MS'|stats\n"
    "\n"
    "Tells `gate terms` how to behave from now on; stats prints its counts instead.\n";

static int ask(CURL *easy, const char *url, const char *mode)
{
    bool stats = strcmp(mode, "stats") == 0;
    char at[256];
    CURLcode how;

    (void)snprintf(at, sizeof at, "%s/%s", url, stats ? "_stats" : "_mode");
    (void)curl_easy_setopt(easy, CURLOPT_URL, at);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 5000L);
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
    if (!stats) (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, mode);
    how = curl_easy_perform(easy);
    if (how != CURLE_OK) (void)fprintf(stderr, "mode: %s\n", curl_easy_strerror(how));
    return how == CURLE_OK ? 0 : 1;
}

int gate_mode_main(int argc, char **argv)
{
    const char *wrong = NULL;
    CURL *easy;
    int code;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(USAGE, stdout);
        return 0;
    }
    wrong = argc == 3 ? gate_options_terms(argv[1]) : "an address and a mode, please";
    if (wrong) return gate_options_wrong("mode", wrong);
    easy = curl_easy_init();
    if (!easy) return 1;
    code = ask(easy, argv[1], argv[2]);
    curl_easy_cleanup(easy);
    return code;
}
