/* SPDX-License-Identifier: MIT */
/*
 * link_fixture.h - two nodes of one process, "site" that listens and "desk" that connects, with
 * the actors that tests of links talk to, and a thread attached to "desk" that does the talking.
 * Events of both nodes are counted. Header only, for one file of a program.
 */
#ifndef WARD_TESTS_SUPPORT_LINK_FIXTURE_H
#define WARD_TESTS_SUPPORT_LINK_FIXTURE_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <ward/net.h>

#include "net/net.h"
#include "tests/support/check.h"

/* nng is not instrumented: what its own atomics order looks like a race in its frees. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "ignore_noninstrumented_modules=1";
}

struct note {
    uint64_t id;
    const char *text;
    const ward_blob *blob;
    ward_ref back;
};
static const ward_field NOTE_FIELDS[] = {
    WARD_FIELD(struct note, UINT, id),
    WARD_FIELD(struct note, TEXT, text),
    WARD_FIELD(struct note, BLOB, blob),
    WARD_FIELD(struct note, REF, back),
};
static const ward_type NOTE = WARD_TYPE("note", struct note, NOTE_FIELDS);
static const ward_type COUNT = WARD_TYPE_TEXT("count");
static const ward_type SECRET = WARD_TYPE_TEXT("secret"); /* in no table */
static const ward_type PLAIN = WARD_TYPE_PLAIN("plain", uint64_t);
static const ward_type *const note_types[] = { &NOTE, &COUNT };
static const ward_table note_table = { .types = note_types, .types_count = WARD_COUNT(note_types) };

struct counted {
    _Atomic int ups, downs, denied, letters;
};

MAYBE_UNUSED static void count_event(void *hook, const ward_event *event)
{
    struct counted *counted = hook;

    if (event->kind == WARD_EV_LINK_UP) counted->ups++;
    if (event->kind == WARD_EV_LINK_DOWN) counted->downs++;
    if (event->kind == WARD_EV_LINK_DOWN && event->status == WARD_EDENIED) counted->denied++;
    if (event->kind == WARD_EV_DEAD_LETTER) counted->letters++;
}

MAYBE_UNUSED static ward_node *open_node(const char *name, struct counted *counted)
{
    return check_open(&(ward_opts){ .name = name,
        .table = &note_table,
        .workers = 2,
        .hook = counted,
        .on_event = counted ? count_event : NULL });
}

/* What happens on other threads sooner or later; false: it has not in ten seconds. */
#define EVENTUALLY(condition) \
    do { \
        int64_t until_ = ward__now_ns() + 10000 * (int64_t)WARD__NS_MS; \
        while (!(condition) && ward__now_ns() < until_) \
            usleep(1000); \
        CHECK(condition); \
    } while (0)

/* -- addresses --------------------------------------------------------------------------------- */

static char link_dir[] = "/tmp/ward-link-XXXXXX";

MAYBE_UNUSED static int free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t bytes = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&at, bytes) || getsockname(fd, (struct sockaddr *)&at, &bytes))
        _exit(1);
    close(fd);
    return ntohs(at.sin_port);
}

MAYBE_UNUSED static void new_url(char out[WARD__URL_MAX], bool tcp)
{
    static int made;

    if (tcp)
        snprintf(out, WARD__URL_MAX, "tcp://127.0.0.1:%d", free_port());
    else
        snprintf(out, WARD__URL_MAX, "ipc://%s/%d", link_dir, ++made);
}

/* -- the actors at the site -------------------------------------------------------------------- */

/* Answers with the same note; a note with somebody to answer to is sent there instead. */
MAYBE_UNUSED static ward_status echo(ward_self *self, const ward_msg *msg)
{
    const struct note *note = ward_value(msg, &NOTE);
    ward_status rc;

    if (!note) {
        ward_refuse(self, msg, WARD_EUSER - 1);
        return WARD_OK;
    }
    if (note->back.node) {
        rc = ward_send(self, note->back, &NOTE, note);
        return rc == WARD_ELINK ? WARD_OK : rc;
    }
    return ward_reply(self, msg, &NOTE, note);
}

/* Sends a hundred notes to who asks by a note, then ends. */
MAYBE_UNUSED static ward_status swan(ward_self *self, const ward_msg *msg)
{
    const struct note *note = ward_value(msg, &NOTE);

    for (uint64_t i = 0; note && i < 100; i++)
        CHECK_IS(ward_send(self, note->back, &NOTE, &(struct note){ .id = i }), WARD_OK);
    return WARD_STOP;
}

struct heard {
    uint64_t next, wrong;
};

/* Checks that notes come in order; to a question it says how many there were. */
MAYBE_UNUSED static ward_status listener(ward_self *self, const ward_msg *msg)
{
    const struct note *note = ward_value(msg, &NOTE);
    struct heard *heard = ward_state(self);

    if (note) {
        heard->wrong += note->id != heard->next++;
        return WARD_OK;
    }
    return ward_reply(self, msg, &COUNT,
        ward_textf(
            self, "%llu %llu", (unsigned long long)heard->next, (unsigned long long)heard->wrong));
}

/* Takes a question and says nothing, until it is told that nobody waits. */
MAYBE_UNUSED static ward_status hanger(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        rc = ward_sleep(self, WARD_FOREVER);
        if (rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT) rc = WARD_OK;
    }
    return rc;
}

/* Asks the hanger for each note; counts how often it was told to leave it. */
MAYBE_UNUSED static ward_status chain(ward_self *self)
{
    unsigned freed = 0;
    const ward_msg *msg, *answer;
    ward_ref hang;
    ward_status rc = ward_find(self, &hang, "/hang", ward_in_ms(self, 5000));

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        if (ward_is(msg, &COUNT)) {
            rc = ward_reply(self, msg, &COUNT, ward_textf(self, "%u", freed));
            continue;
        }
        rc = ward_ask(self, &answer, hang, &NOTE, ward_value(msg, &NOTE), WARD_FOREVER);
        freed += rc == WARD_EABANDONED;
        if (rc == WARD_EABANDONED || rc == WARD_ETIMEDOUT) rc = WARD_OK;
    }
    return rc;
}

/* Never looks at its mail. */
MAYBE_UNUSED static ward_status deaf(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

/* Passes questions on to the ref in them. */
MAYBE_UNUSED static ward_status relay(ward_self *self, const ward_msg *msg)
{
    const struct note *note = ward_value(msg, &NOTE);

    return note ? ward_forward(self, note->back, msg) : WARD_OK;
}

static const ward_spec site_actors[] = {
    { .name = "echo", .handle = echo },
    { .name = "swan", .handle = swan, .restart = WARD_TEMPORARY },
    { .name = "listener",
        .handle = listener,
        .state_bytes = sizeof(struct heard),
        .mailbox_max = 1u << 20 },
    { .name = "hang", .body = hanger },
    { .name = "chain", .body = chain },
    { .name = "deaf", .body = deaf, .mailbox_max = 4 },
    { .name = "relay", .handle = relay },
};

/* -- both nodes -------------------------------------------------------------------------------- */

struct pair {
    ward_node *site, *desk;
    ward_self *self; /* this thread, at the desk */
    char url[WARD__URL_MAX];
    struct counted at_site, at_desk;
};

MAYBE_UNUSED static void open_site(struct pair *pair)
{
    ward_ref ref;

    pair->site = open_node("site", &pair->at_site);
    for (size_t i = 0; i < WARD_COUNT(site_actors); i++)
        CHECK_IS(ward_spawn(ward_outside(pair->site), &ref, &site_actors[i]), WARD_OK);
    CHECK_IS(ward_listen(pair->site, pair->url, NULL), WARD_OK);
}

MAYBE_UNUSED static void open_desk(struct pair *pair, const ward_link_opts *opts)
{
    pair->desk = open_node("desk", &pair->at_desk);
    CHECK_IS(ward_connect(pair->desk, pair->url, opts), WARD_OK);
    CHECK_IS(ward_attach(pair->desk, &pair->self, &(ward_spec){ .name = "teller" }), WARD_OK);
}

MAYBE_UNUSED static ward_deadline soon(const struct pair *pair)
{
    return ward_in_ms(pair->self, 10000);
}

/* Of an actor at the site. */
MAYBE_UNUSED static ward_ref find(struct pair *pair, const char *name)
{
    char path[64];
    ward_ref ref = { 0 };

    snprintf(path, sizeof path, "site:/%s", name);
    CHECK_IS(ward_find(pair->self, &ref, path, soon(pair)), WARD_OK);
    return ref;
}

MAYBE_UNUSED static struct ward__net *net_of_node(ward_node *node)
{
    return ward__load_acq(&node->route)->arg;
}

/* Sessions that are up. */
MAYBE_UNUSED static int sessions_up(ward_node *node)
{
    struct ward__net *net = net_of_node(node);
    const struct ward__session *session;
    int up = 0;

    pthread_mutex_lock(&net->lock);
    for (session = LIST_FIRST(&net->sessions); session; session = LIST_NEXT(session, list))
        up += session->up;
    pthread_mutex_unlock(&net->lock);
    return up;
}

/* Questions and finds under way. */
MAYBE_UNUSED static uint32_t asks_out(ward_node *node)
{
    struct ward__net *net = net_of_node(node);
    uint32_t count;

    pthread_mutex_lock(&net->lock);
    count = net->pending.count;
    pthread_mutex_unlock(&net->lock);
    return count;
}

MAYBE_UNUSED static void close_pair(struct pair *pair)
{
    if (pair->self) ward_detach(pair->self);
    if (pair->desk) check_close(pair->desk);
    if (pair->site) check_close(pair->site);
    *pair = (struct pair){ 0 };
}

#endif
