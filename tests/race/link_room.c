/* SPDX-License-Identifier: MIT */
/*
 * link_room.c - bounded mailboxes across a link: mail for a full one waits there, in order, and
 * costs nobody else anything; then the sender sees it, or waits; nothing is lost and nothing is
 * without a bound. Also under ThreadSanitizer.
 */
#include "tests/support/link_fixture.h"

/* An actor that looks at its mail only when the dam is open. It has room for four. */
static _Atomic bool dam_open;

static ward_status dam(ward_self *self)
{
    struct heard heard = { 0, 0 };
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && !dam_open)
        rc = ward_sleep(self, ward_in_ms(self, 1));
    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        const struct note *note = ward_value(msg, &NOTE);
        if (note)
            heard.wrong += note->id != heard.next++;
        else
            rc = ward_reply(self, msg, &COUNT,
                ward_textf(self, "%llu %llu", (unsigned long long)heard.next,
                    (unsigned long long)heard.wrong));
    }
    return rc;
}

static ward_ref new_dam(struct pair *pair, const char *name)
{
    ward_ref ref;

    dam_open = false;
    CHECK_IS(
        ward_spawn(ward_outside(pair->site), &ref,
            &(ward_spec){ .name = name, .body = dam, .mailbox_max = 4, .restart = WARD_TEMPORARY }),
        WARD_OK);
    return find(pair, name);
}

static bool hears(struct pair *pair, ward_ref at, uint64_t count)
{
    const ward_msg *answer;
    char expected[64];

    snprintf(expected, sizeof expected, "%llu 0", (unsigned long long)count);
    return CHECK_IS(ward_ask(pair->self, &answer, at, &COUNT, "?", soon(pair)), WARD_OK) &&
           strcmp(ward_text(answer), expected) == 0;
}

/* A question does not overtake mail. */
static void has_heard(struct pair *pair, ward_ref at, uint64_t count)
{
    CHECK(hears(pair, at, count));
}

/* Bytes of mail that wait at the site, of the one session. */
static size_t held(struct pair *pair)
{
    struct ward__net *net = net_of_node(pair->site);
    struct ward__session *session;
    size_t bytes = 0;

    pthread_mutex_lock(&net->lock);
    for (session = LIST_FIRST(&net->sessions); session; session = LIST_NEXT(session, list))
        if (session->up) bytes += ward__load(&session->held_bytes);
    pthread_mutex_unlock(&net->lock);
    return bytes;
}

/* Until the sender is told; how many were accepted. */
static uint64_t fill(struct pair *pair, ward_ref at, const char *text)
{
    struct ward__net *net = net_of_node(pair->desk);
    struct note note = { .text = text };

    while (!ward__load(&net->fulls)) {
        ward_status rc = ward_send(pair->self, at, &NOTE, &note);
        note.id += rc == WARD_OK;
        if (rc != WARD_OK && rc != WARD_EFULL && !CHECK_IS(rc, WARD_OK))
            break; /* the window is a reason, too */
    }
    CHECK_IS(ward_send(pair->self, at, &NOTE, &note), WARD_EFULL);
    CHECK_IS(
        ward_send_by(pair->self, at, &NOTE, &note, ward_in_ms(pair->self, 20)), WARD_ETIMEDOUT);
    return note.id;
}

static void a_full_mailbox_is_seen_here_and_stalls_nobody(
    struct pair *pair, const char *name, const char *text)
{
    ward_ref at = new_dam(pair, name), echo_at = find(pair, "echo");
    struct ward__net *net = net_of_node(pair->desk);
    uint64_t sent = fill(pair, at, text);
    const ward_msg *answer;
    struct note note = { 0 };

    for (int i = 0; i < 100; i++)
        CHECK_IS(ward_ask(pair->self, &answer, echo_at, &NOTE, &note, soon(pair)), WARD_OK);
    CHECK(held(pair) > 0 && held(pair) <= 2 * WARD__WINDOW);
    CHECK_IS(
        ward_ask(pair->self, &answer, at, &COUNT, "?", ward_in_ms(pair->self, 20)), WARD_ETIMEDOUT);
    dam_open = true;
    has_heard(pair, at, sent);
    EVENTUALLY(held(pair) == 0 && !ward__load(&net->fulls));
    CHECK_IS(ward__load(&net->refused_by_peers), 0);
    ward_cancel(pair->self, at);
}

enum { MANY = 100000 };

static ward_status pour(ward_self *self)
{
    const ward_ref *at = ward_arg(self);
    struct note note = { .text = "some words that do not fit into the record of the message" };
    ward_status rc = WARD_OK;

    for (; !rc && note.id < SCALED(MANY); note.id++)
        rc = ward_send_by(self, *at, &NOTE, &note, ward_in_ms(self, 60000));
    CHECK_IS(rc, WARD_OK);
    return rc;
}

static void who_may_wait_loses_nothing(struct pair *pair)
{
    struct ward__net *net = net_of_node(pair->desk);
    ward_ref at = new_dam(pair, "pool"), who;

    CHECK_IS(ward_spawn(pair->self, &who,
                 &(ward_spec){ .body = pour, .arg = &at, .arg_bytes = sizeof at }),
        WARD_OK);
    EVENTUALLY(held(pair) > 0);
    dam_open = true;
    CHECK_IS(ward_join(pair->self, &who, 1, ward_in_ms(pair->self, 60000)), WARD_OK);
    has_heard(pair, at, SCALED(MANY));
    CHECK_IS(ward__load(&net->refused_by_peers), 0);
    ward_cancel(pair->self, at);
}

static void mail_that_waits_ends_with_its_actor(struct pair *pair)
{
    struct ward__net *net = net_of_node(pair->desk);
    ward_ref at = new_dam(pair, "mortal");
    uint64_t sent = fill(pair, at, "x");
    uint64_t before = ward__load(&net->refused_by_peers);

    ward_cancel(pair->self, at);
    EVENTUALLY(ward__load(&net->refused_by_peers) > before && !ward__load(&net->fulls));
    CHECK(ward__load(&net->refused_by_peers) - before <= sent);
    CHECK_IS(held(pair), 0);
    EVENTUALLY(ward_send(pair->self, at, &NOTE, &(struct note){ 0 }) == WARD_OK);
}

static void what_has_arrived_outlives_its_session(struct pair *pair)
{
    ward_ref at = new_dam(pair, "heir");
    struct note note = { 0 };

    for (; note.id < 100; note.id++)
        CHECK_IS(ward_send(pair->self, at, &NOTE, &note), WARD_OK);
    EVENTUALLY(held(pair) > 0);
    ward_unlink_url(pair->desk, pair->url);
    EVENTUALLY(sessions_up(pair->site) == 0);
    CHECK_IS(ward_connect(pair->desk, pair->url, NULL), WARD_OK);
    at = find(pair, "heir");
    dam_open = true;
    EVENTUALLY(hears(pair, at, 100)); /* over another session, so in no order with it */
    ward_cancel(pair->self, at);
}

/* Both close with mail that waits: the books of both balance. */
static void closes_with_mail_that_waits(struct pair *pair)
{
    (void)fill(pair, new_dam(pair, "last"), "some words that lie beside the record");
    close_pair(pair);
}

int main(void)
{
    static char words[4000];

    check_begin("room across a link");
    if (!mkdtemp(link_dir)) return 1;
    memset(words, 'w', sizeof words - 1);
    for (int tcp = 0; tcp < 2; tcp++) {
        struct pair pair = { 0 };
        new_url(pair.url, tcp);
        open_site(&pair);
        open_desk(&pair, NULL);
        a_full_mailbox_is_seen_here_and_stalls_nobody(&pair, "brook", NULL);
        a_full_mailbox_is_seen_here_and_stalls_nobody(&pair, "river", words);
        who_may_wait_loses_nothing(&pair);
        mail_that_waits_ends_with_its_actor(&pair);
        what_has_arrived_outlives_its_session(&pair);
        closes_with_mail_that_waits(&pair);
    }
    CHECK_IS(rmdir(link_dir), 0);
    return check_end();
}
