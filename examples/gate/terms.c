/* SPDX-License-Identifier: MIT */
/*
 * terms.c - the stand-in terminology service: one thread, libmicrohttpd, no request holds more
 * than its own memory however long it hangs.
 *
 * A request that is not to be answered yet is suspended in libmicrohttpd and stands in our list
 * of held ones; it goes on when it is due, when the mode changes, or when its client leaves.
 * libmicrohttpd does not see the last while a connection is suspended, so we watch the socket
 * with an epoll of our own: `open` in /_stats then tells a client that leaks connections from one
 * that closes them. libmicrohttpd owns the connections; a request is ours, from the first call of
 * on_request to on_completed. Codes are patient data and are never printed.
 */
#include "examples/gate/terms.h"
#include "examples/gate/args.h"
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 2000, FDS_BESIDE = 64, BODY_MAX = 64, IDLE_S = 120, DRIP_MS = 1000 };
enum { SLOW_MS_MAX = 3600000, CHANGED_MAX = 64 };

enum mode { ANSWER, HANG, DRIP, FAIL, RESET, SLOW, MODES };

static const char *const MODE_NAME[MODES] = { "answer", "hang", "drip", "fail", "reset", "slow" };

struct request {
    struct terms *terms;
    struct MHD_Connection *connection;
    struct request *next, *before; /* in the list of held ones */
    int64_t due_ms; /* when held: INT64_MAX is never */
    int fd;
    bool held, watched;
    bool counted; /* in by_mode: once, however often it is held */
    bool waited; /* slow: it has */
    bool gone; /* its client has left */
    bool hurry; /* drip: the rest at once */
    const char *answer; /* drip */
    size_t sent, body_bytes;
    char body[BODY_MAX];
};

struct terms {
    struct MHD_Daemon *daemon;
    struct request *held;
    enum mode mode;
    int64_t slow_ms;
    bool stopping;
    bool let_go; /* since the last turn: libmicrohttpd must have one without waiting */
    int gone_fd, signal_fd;
    int64_t requests, by_mode[MODES], held_count, left;
};

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* -- holding a request ------------------------------------------------------------------------- */

/* Only from within libmicrohttpd's callbacks for this connection. */
static void hold(struct request *request, int64_t due_ms)
{
    struct terms *terms = request->terms;
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = request };
    int op = request->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    assert(!request->held);
    request->held = true;
    request->due_ms = due_ms;
    request->before = NULL;
    request->next = terms->held;
    if (terms->held) terms->held->before = request;
    terms->held = request;
    terms->held_count++;
    MHD_suspend_connection(request->connection);
    /* Should it fail, a client that leaves is noticed late, and nothing else happens. */
    if (epoll_ctl(terms->gone_fd, op, request->fd, &event) == 0) request->watched = true;
}

static void let_go(struct request *request)
{
    struct terms *terms = request->terms;

    assert(request->held);
    request->held = false;
    if (request->before)
        request->before->next = request->next;
    else
        terms->held = request->next;
    if (request->next) request->next->before = request->before;
    terms->held_count--;
    terms->let_go = true;
    MHD_resume_connection(request->connection);
}

static void let_all_go(struct terms *terms)
{
    while (terms->held) {
        terms->held->hurry = true;
        let_go(terms->held);
    }
}

static void let_due_go(struct terms *terms, int64_t now)
{
    struct request *request = terms->held;

    while (request) {
        struct request *next = request->next;
        if (request->due_ms <= now) let_go(request);
        request = next;
    }
}

static int64_t first_due(const struct terms *terms)
{
    int64_t due = INT64_MAX;

    for (const struct request *request = terms->held; request; request = request->next)
        due = request->due_ms < due ? request->due_ms : due;
    return due;
}

static void notice_gone(struct terms *terms)
{
    struct epoll_event events[CHANGED_MAX];
    int count = epoll_wait(terms->gone_fd, events, CHANGED_MAX, 0);

    for (int i = 0; i < count; i++) {
        struct request *request = events[i].data.ptr;
        if (!request->held) continue;
        request->gone = true;
        terms->left++;
        let_go(request);
    }
}

/* -- answers ----------------------------------------------------------------------------------- */

static enum MHD_Result reply(
    struct MHD_Connection *connection, unsigned status, const char *type, const char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    enum MHD_Result result;

    if (!response) return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result reply_text(struct request *request, unsigned status, const char *text)
{
    return reply(request->connection, status, "text/plain", text);
}

static enum MHD_Result reply_json(struct request *request, unsigned status, const char *text)
{
    return reply(request->connection, status, "application/json", text);
}

/* One byte, then none for a second. */
static ssize_t drip_some(void *arg, uint64_t at, char *buf, size_t max)
{
    struct request *request = arg;
    size_t length = strlen(request->answer), count;

    assert(at == request->sent && at < length);
    (void)at;
    if (request->gone || request->terms->stopping) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!request->hurry && now_ms() < request->due_ms) {
        hold(request, request->due_ms);
        return 0;
    }
    count = request->hurry ? length - request->sent : 1;
    count = count < max ? count : max;
    memcpy(buf, request->answer + request->sent, count);
    request->sent += count;
    request->due_ms = now_ms() + DRIP_MS;
    return (ssize_t)count;
}

static enum MHD_Result reply_drip(struct request *request, const char *answer)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    request->answer = answer;
    request->due_ms = now_ms() + DRIP_MS;
    response = MHD_create_response_from_callback(strlen(answer), 64, drip_some, request, NULL);
    if (!response) return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    result = MHD_queue_response(request->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

/* Disconnecting a TCP socket resets it at once. libmicrohttpd would end it in an orderly way. */
static enum MHD_Result reset(struct request *request)
{
    const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

    (void)connect(request->fd, &nobody, sizeof nobody);
    return MHD_NO;
}

/* -- what is asked ------------------------------------------------------------------------------
 */

static enum MHD_Result check(struct request *request)
{
    struct terms *terms = request->terms;
    const char *code =
        MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, "code");
    const char *answer;

    if (!code || *code == '\0') return reply_text(request, MHD_HTTP_BAD_REQUEST, "which code?\n");
    if (!request->counted) terms->by_mode[terms->mode]++;
    request->counted = true;
    answer = strncmp(code, "BAD", 3) == 0 ? "{\"result\":false}\n" : "{\"result\":true}\n";
    switch (terms->mode) {
    case HANG: hold(request, INT64_MAX); return MHD_YES;
    case DRIP: return reply_drip(request, answer);
    case FAIL:
        return reply_json(
            request, MHD_HTTP_INTERNAL_SERVER_ERROR, "{\"error\":\"told to fail\"}\n");
    case RESET: return reset(request);
    case SLOW:
        if (request->waited) break;
        request->waited = true;
        hold(request, now_ms() + terms->slow_ms);
        return MHD_YES;
    default: break;
    }
    return reply_json(request, MHD_HTTP_OK, answer);
}

static enum MHD_Result stats(struct request *request)
{
    struct terms *terms = request->terms;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(terms->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    char text[512];

    (void)snprintf(text, sizeof text,
        "{\"mode\":\"%s\",\"requests\":%lld,\"open\":%u,\"held\":%lld,\"left\":%lld,"
        "\"by_mode\":{\"answer\":%lld,\"hang\":%lld,\"drip\":%lld,\"fail\":%lld,"
        "\"reset\":%lld,\"slow\":%lld}}\n",
        MODE_NAME[terms->mode], (long long)terms->requests, info ? info->num_connections : 0,
        (long long)terms->held_count, (long long)terms->left, (long long)terms->by_mode[ANSWER],
        (long long)terms->by_mode[HANG], (long long)terms->by_mode[DRIP],
        (long long)terms->by_mode[FAIL], (long long)terms->by_mode[RESET],
        (long long)terms->by_mode[SLOW]);
    return reply_json(request, MHD_HTTP_OK, text);
}

static bool read_mode(const char *text, enum mode *mode, int64_t *slow_ms)
{
    for (unsigned i = 0; i < MODES; i++) {
        size_t length = strlen(MODE_NAME[i]);
        if (strncmp(text, MODE_NAME[i], length) != 0) continue;
        *mode = (enum mode)i;
        if (i != SLOW) return text[length] == '\0';
        return text[length] == ' ' && gate_args_number(slow_ms, text + length + 1, 0, SLOW_MS_MAX);
    }
    return false;
}

static enum MHD_Result change_mode(struct request *request)
{
    struct terms *terms = request->terms;
    enum mode mode;
    int64_t slow_ms = 0;

    while (request->body_bytes > 0 && strchr(" \t\r\n", request->body[request->body_bytes - 1]))
        request->body_bytes--;
    request->body[request->body_bytes] = '\0';
    if (!read_mode(request->body, &mode, &slow_ms))
        return reply_text(request, MHD_HTTP_BAD_REQUEST,
            "POST one of: answer, hang, drip, fail, reset, slow MS\n");
    terms->mode = mode;
    terms->slow_ms = slow_ms;
    let_all_go(terms);
    return reply_text(request, MHD_HTTP_OK, "ok\n");
}

static enum MHD_Result route(struct request *request, const char *url, const char *method)
{
    bool get = strcmp(method, MHD_HTTP_METHOD_GET) == 0;
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;

    if (strcmp(url, "/check") == 0 && get) return check(request);
    if (strcmp(url, "/_stats") == 0 && get) return stats(request);
    if (strcmp(url, "/_mode") == 0 && post) return change_mode(request);
    if (strcmp(url, "/check") == 0 || strcmp(url, "/_stats") == 0 || strcmp(url, "/_mode") == 0)
        return reply_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "not with this method\n");
    return reply_text(request, MHD_HTTP_NOT_FOUND, "no such thing here\n");
}

/* -- libmicrohttpd's callbacks ------------------------------------------------------------------
 */

static struct request *new_request(struct terms *terms, struct MHD_Connection *connection)
{
    struct request *request = calloc(1, sizeof *request);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    if (!request) return NULL;
    request->terms = terms;
    request->connection = connection;
    request->fd = info ? info->connect_fd : -1;
    terms->requests++;
    return request;
}

/* Called with the headers, for each piece of a body, at its end, and after each time held. */
/* NOLINTNEXTLINE(readability-function-size): its parameters are libmicrohttpd's */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *body, size_t *body_bytes, void **own)
{
    struct terms *terms = arg;
    struct request *request = *own;
    size_t room;

    (void)version;
    if (!request) {
        *own = new_request(terms, connection);
        return *own ? MHD_YES : MHD_NO;
    }
    if (request->gone || terms->stopping) return MHD_NO;
    if (*body_bytes == 0) return route(request, url, method);
    room = BODY_MAX - 1 - request->body_bytes;
    room = room < *body_bytes ? room : *body_bytes;
    memcpy(request->body + request->body_bytes, body, room);
    request->body_bytes += room;
    *body_bytes = 0; /* what is over the room is no mode anyway */
    return MHD_YES;
}

static void on_completed(
    void *arg, struct MHD_Connection *connection, void **own, enum MHD_RequestTerminationCode why)
{
    struct terms *terms = arg;
    struct request *request = *own;

    (void)connection;
    (void)why;
    if (!request) return;
    assert(!request->held);
    if (request->watched) (void)epoll_ctl(terms->gone_fd, EPOLL_CTL_DEL, request->fd, NULL);
    free(request);
    *own = NULL;
}

/* -- running ------------------------------------------------------------------------------------
 */

struct options {
    struct gate_address listen;
    int64_t for_ms; /* 0: until told */
};

static const char USAGE[] =
    "usage: gate terms --listen 127.0.0.1:8089 [--for-ms N]\n"
    "\n"
    "A stand-in for an external terminology service, on loopback only.\n"
    "\n"
    "  --listen HOST:PORT  where; port 0 takes a free one\n"
    "  --for-ms N          end by itself after N milliseconds\n"
    "\n"
    "  GET  /check?system=S&code=C  {\"result\":true}, false for a code that begins with BAD\n"
    "  POST /_mode                  answer | hang | drip | fail | reset | slow MS\n"
    "  GET  /_stats                 requests, open connections, held ones, by mode\n";

/* False: it ends here, with this exit code. */
static bool read_options(struct options *options, int argc, char **argv, int *code)
{
    static const struct option known[] = { { "listen", required_argument, NULL, 'l' },
        { "for-ms", required_argument, NULL, 'f' }, { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 } };
    const char *wrong = "--listen is missing", *wrong_too = NULL;
    int option;

    memset(options, 0, sizeof *options);
    *code = 2;
    optind = 1;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads */
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'l': wrong = gate_args_address(&options->listen, optarg); break;
        case 'f':
            if (!gate_args_number(&options->for_ms, optarg, 1, INT32_MAX))
                wrong_too = "--for-ms takes a number of milliseconds";
            break;
        case 'h':
            (void)fputs(USAGE, stdout);
            *code = 0;
            return false;
        default: return false;
        }
    }
    if (optind < argc) wrong_too = "there is an argument too many";
    if (!wrong) wrong = wrong_too;
    if (wrong) (void)fprintf(stderr, "terms: %s (see gate terms --help)\n", wrong);
    return wrong == NULL;
}

/* How many connections the limit on open files leaves room for. */
static unsigned connections_max(void)
{
    struct rlimit files;
    const rlim_t beside = FDS_BESIDE, wanted = CONNECTIONS_MAX + beside;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return CONNECTIONS_MAX / 4;
    if (files.rlim_cur < wanted) {
        files.rlim_cur = files.rlim_max < wanted ? files.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= wanted) return CONNECTIONS_MAX;
    return (unsigned)(files.rlim_cur > 2 * beside ? files.rlim_cur - beside : beside);
}

static int open_signals(void)
{
    sigset_t ending;
    const struct sigaction ignore = { .sa_handler = SIG_IGN };

    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &ending, NULL) != 0) return -1;
    return signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool start(struct terms *terms, const struct options *options)
{
    const union MHD_DaemonInfo *info;
    struct gate_address at = options->listen;
    char text[GATE_ADDRESS_TEXT];
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;

    if (at.at.ss_family == AF_INET6) flags |= MHD_USE_IPv6;
    terms->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, terms, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&at.at, MHD_OPTION_CONNECTION_LIMIT, connections_max(),
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, terms, MHD_OPTION_END);
    if (!terms->daemon) return false;
    info = MHD_get_daemon_info(terms->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    if (!info || getsockname(info->listen_fd, (struct sockaddr *)&at.at, &at.bytes) != 0)
        return false;
    gate_args_print_address(&at, text);
    (void)printf("terms: listening on %s\n", text);
    return fflush(stdout) == 0;
}

static int wait_ms(struct terms *terms, int64_t end_ms)
{
    MHD_UNSIGNED_LONG_LONG theirs;
    int64_t now = now_ms(), due = first_due(terms), wait;

    due = end_ms < due ? end_ms : due;
    wait = due <= now ? 0 : due - now;
    /* A connection resumed by another one's callback is in neither its timeout nor its epoll. */
    if (terms->let_go) return 0;
    if (MHD_get_timeout(terms->daemon, &theirs) == MHD_YES && (int64_t)theirs < wait)
        wait = (int64_t)theirs;
    return wait > 60000 ? 60000 : (int)wait;
}

/* True: ended as it was told to. */
static bool serve(struct terms *terms, int64_t end_ms)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(terms->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd fds[] = { { .fd = terms->signal_fd, .events = POLLIN },
        { .fd = terms->gone_fd, .events = POLLIN },
        { .fd = info ? info->epoll_fd : -1, .events = POLLIN } };

    assert(info);
    while (now_ms() < end_ms) {
        if (poll(fds, 3, wait_ms(terms, end_ms)) < 0 && errno != EINTR) return false;
        if (fds[0].revents) return true;
        if (fds[1].revents) notice_gone(terms);
        let_due_go(terms, now_ms());
        terms->let_go = false;
        if (MHD_run(terms->daemon) != MHD_YES) return false;
    }
    return true;
}

/* libmicrohttpd may not be stopped while a connection is suspended. */
static void stop(struct terms *terms)
{
    if (terms->daemon) {
        terms->stopping = true;
        let_all_go(terms);
        (void)MHD_run(terms->daemon);
        assert(!terms->held);
        MHD_stop_daemon(terms->daemon);
    }
    if (terms->gone_fd >= 0) close(terms->gone_fd);
    if (terms->signal_fd >= 0) close(terms->signal_fd);
}

int gate_terms_main(int argc, char **argv)
{
    struct terms terms = { .gone_fd = -1, .signal_fd = -1 };
    struct options options;
    bool ended = false;
    int code;

    if (!read_options(&options, argc, argv, &code)) return code;
    errno = 0; /* libmicrohttpd may fail without saying why */
    terms.signal_fd = open_signals();
    terms.gone_fd = epoll_create1(EPOLL_CLOEXEC);
    if (terms.signal_fd < 0 || terms.gone_fd < 0 || !start(&terms, &options))
        (void)fprintf(stderr, "terms: cannot listen: %s\n",
            errno ? strerrordesc_np(errno) : "libmicrohttpd does not start");
    else
        ended = serve(&terms, options.for_ms ? now_ms() + options.for_ms : INT64_MAX);
    stop(&terms);
    return ended ? 0 : 1;
}
