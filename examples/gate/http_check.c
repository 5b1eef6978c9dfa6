/* SPDX-License-Identifier: MIT */
/*
 * http_check.c - libcurl's multi interface with ward in the place of its event loop: curl says
 * which socket it waits for and how long, the actor parks on that socket and hands back what came.
 *
 * libcurl never blocks here and calls nothing of ward's, so no wait happens below it; its callbacks
 * only note what it wants. Addresses are numbers or localhost (the command line sees to that), so
 * there is one socket at a time and no look-up of names on threads of curl's own. Redirects are
 * not followed and proxies not used: patients' codes go to the service that was named, or nowhere.
 */
#include "examples/gate/http_check.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 4096, LOOK_MS = 1000 };

struct gate_http {
    ward_self *self;
    const char *url;
    CURLM *multi;
    CURL *easy;
    bool added;
    curl_socket_t socket; /* CURL_SOCKET_BAD: none */
    int want; /* CURL_POLL_* */
    ward_deadline timer; /* curl's; FOREVER: none. It goes off once */
    size_t bytes;
    char answer[ANSWER_MAX + 1];
};

bool gate_http_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

/* -- libcurl's callbacks ----------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *of_socket)
{
    struct gate_http *http = arg;

    (void)easy;
    (void)of_socket;
    if (what != CURL_POLL_REMOVE) {
        http->socket = socket;
        http->want = what;
    } else if (http->socket == socket) {
        http->socket = CURL_SOCKET_BAD;
    }
    return 0;
}

static int on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
    struct gate_http *http = arg;

    (void)multi;
    http->timer = timeout_ms < 0 ? WARD_FOREVER : ward_in_ms(http->self, timeout_ms);
    return 0;
}

/* What is over the bound is no answer; a short count makes curl end the transfer. */
static size_t on_bytes(char *at, size_t size, size_t count, void *arg)
{
    struct gate_http *http = arg;
    size_t bytes = size * count;

    if (bytes > ANSWER_MAX - http->bytes) return 0;
    memcpy(http->answer + http->bytes, at, bytes);
    http->bytes += bytes;
    return bytes;
}

/* -- a conversation ---------------------------------------------------------------------------- */

static void close_http(void *arg)
{
    struct gate_http *http = arg;

    if (http->added) (void)curl_multi_remove_handle(http->multi, http->easy);
    curl_easy_cleanup(http->easy);
    (void)curl_multi_cleanup(http->multi);
    free(http);
}

static bool set_up(struct gate_http *http)
{
    CURL *easy = http->easy;
    CURLM *multi = http->multi;

    return easy && multi &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, http) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
}

ward_status gate_http_open(ward_self *self, struct gate_http **out, const char *url)
{
    struct gate_http *http = calloc(1, sizeof *http);
    ward_status rc;

    if (!http) return WARD_ENOMEM;
    http->self = self;
    http->url = url;
    http->socket = CURL_SOCKET_BAD;
    http->timer = WARD_FOREVER;
    http->multi = curl_multi_init();
    http->easy = curl_easy_init();
    rc = set_up(http) ? ward_defer(self, close_http, http) : WARD_ENOMEM;
    if (rc)
        close_http(http);
    else
        *out = http;
    return rc;
}

/* The escaped text, or NULL; curl's. Bytes of any value; none for an empty one. */
static char *escaped(CURL *easy, ward_bytes bytes)
{
    /* A length of 0 would mean strlen. */
    return curl_easy_escape(easy, bytes.count ? bytes.at : "", (int)bytes.count);
}

static ward_status set_url(struct gate_http *http, const struct gate_coded *coded)
{
    static const char FORM[] = "%s/check?system=%s&code=%s";
    char *system = escaped(http->easy, coded->system), *code = escaped(http->easy, coded->code);
    const char *url = NULL;
    ward_status rc = WARD_ENOMEM;

    if (system && code) url = ward_textf(http->self, FORM, http->url, system, code);
    if (url && curl_easy_setopt(http->easy, CURLOPT_URL, url) == CURLE_OK) rc = WARD_OK;
    curl_free(system);
    curl_free(code);
    return rc;
}

/* -- one question ------------------------------------------------------------------------------ */

/* Parks until what curl waits for; what it is to be told goes into *socket and *bits. */
static ward_status wait_for_it(
    struct gate_http *http, ward_deadline by, curl_socket_t *socket, int *bits)
{
    ward_deadline look = ward_in_ms(http->self, LOOK_MS);
    unsigned ready = 0, want = 0;
    ward_status rc;

    if (look.ns > http->timer.ns) look = http->timer;
    if (look.ns > by.ns) look = by;
    *socket = CURL_SOCKET_TIMEOUT;
    *bits = 0;
    if (http->socket == CURL_SOCKET_BAD || http->want == CURL_POLL_NONE)
        return ward_sleep(http->self, look);
    if (http->want & CURL_POLL_IN) want |= WARD_READABLE;
    if (http->want & CURL_POLL_OUT) want |= WARD_WRITABLE;
    rc = ward_poll_fd(http->self, &ready, http->socket, want, look);
    if (rc == WARD_ETIMEDOUT && ward_ms_left(http->self, by) > 0) return WARD_OK;
    if (rc) return rc;
    *socket = http->socket;
    if (ready & WARD_READABLE) *bits |= CURL_CSELECT_IN;
    if (ready & WARD_WRITABLE) *bits |= CURL_CSELECT_OUT;
    return WARD_OK;
}

/* Runs the transfer to its end; *how is curl's word for it. */
static ward_status transfer(struct gate_http *http, ward_deadline by, CURLcode *how)
{
    curl_socket_t socket = CURL_SOCKET_TIMEOUT;
    int running = 1, left, bits = 0;
    const CURLMsg *msg;
    ward_status rc = WARD_OK;

    while (!rc) {
        /* A timer that has gone off is curl's to set anew; left as it is, it would be due for
         * ever, and this loop would spin. */
        if (ward_ms_left(http->self, http->timer) == 0) http->timer = WARD_FOREVER;
        if (curl_multi_socket_action(http->multi, socket, bits, &running) != CURLM_OK)
            return WARD_ENOMEM;
        if (running == 0) break;
        if (ward_ms_left(http->self, by) <= 0) return WARD_ETIMEDOUT;
        rc = wait_for_it(http, by, &socket, &bits);
    }
    if (rc) return rc;
    msg = curl_multi_info_read(http->multi, &left);
    *how = msg && msg->msg == CURLMSG_DONE ? msg->data.result : CURLE_RECV_ERROR;
    return WARD_OK;
}

/* {"result": true} or false, with whatever beside it. */
static ward_status read_answer(struct gate_http *http, bool *valid)
{
    long status = 0;
    const char *at;

    (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) return GATE_EANSWER;
    http->answer[http->bytes] = '\0';
    at = strstr(http->answer, "\"result\"");
    if (!at) return GATE_EUNREADABLE;
    at += strlen("\"result\"");
    at += strspn(at, " \t\r\n:");
    *valid = strncmp(at, "true", 4) == 0;
    return *valid || strncmp(at, "false", 5) == 0 ? WARD_OK : GATE_EUNREADABLE;
}

ward_status gate_http_check(
    struct gate_http *http, const struct gate_coded *coded, ward_deadline by, bool *valid)
{
    ward_deadline asked = ward_by(http->self);
    CURLcode how = CURLE_OK;
    ward_status rc = set_url(http, coded);

    if (asked.ns < by.ns) by = asked;
    if (rc) return rc;
    http->bytes = 0;
    if (curl_multi_add_handle(http->multi, http->easy) != CURLM_OK) return WARD_ENOMEM;
    http->added = true;
    rc = transfer(http, by, &how);
    (void)curl_multi_remove_handle(http->multi, http->easy);
    http->added = false;
    if (rc) return rc;
    if (how == CURLE_WRITE_ERROR) return GATE_EUNREADABLE;
    if (how == CURLE_OUT_OF_MEMORY) return WARD_ENOMEM;
    return how == CURLE_OK ? read_answer(http, valid) : GATE_EREFUSED;
}
