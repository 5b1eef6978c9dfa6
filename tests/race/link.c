/* SPDX-License-Identifier: MIT */
/*
 * link.c - two nodes in one process, over ipc and over tcp: what travels, what is refused, and
 * what everybody is told when the link is lost. Also under ThreadSanitizer.
 */
#include "tests/support/link_fixture.h"

/* -- what travels ------------------------------------------------------------------------------ */

static void values_travel_whole(struct pair *pair)
{
    ward_ref at = find(pair, "echo");
    static char big[100000];
    const ward_msg *answer;
    const struct note *got;
    ward_blob *blob;
    struct note note = { .id = UINT64_MAX, .text = "a text that does not fit inside its message" };

    memset(big, 'b', sizeof big);
    CHECK_IS(ward_blob_copy(pair->self, &blob, (ward_bytes){ big, sizeof big }), WARD_OK);
    note.blob = blob;
    if (!CHECK_IS(ward_ask(pair->self, &answer, at, &NOTE, &note, soon(pair)), WARD_OK)) return;
    got = ward_value(answer, &NOTE);
    CHECK(got && got->id == UINT64_MAX && strcmp(got->text, note.text) == 0);
    CHECK(got && ward_blob_bytes(got->blob).count == sizeof big);
    CHECK(got && memcmp(ward_blob_bytes(got->blob).at, big, sizeof big) == 0);
    CHECK_IS(ward_ask(pair->self, &answer, at, &COUNT, "?", soon(pair)), WARD_EUSER - 1);
    ward_blob_drop(pair->self, blob);
}

static void a_ref_that_crosses_stays_a_ref(struct pair *pair)
{
    struct note note = { .id = 7, .back = ward_me(pair->self) };
    const ward_msg *msg;
    ward_ref at = find(pair, "echo");

    CHECK_IS(ward_send(pair->self, at, &NOTE, &note), WARD_OK);
    if (!CHECK_IS(ward_receive(pair->self, &msg, soon(pair)), WARD_OK)) return;
    CHECK_IS(((const struct note *)ward_value(msg, &NOTE))->id, 7);
    CHECK(strcmp(ward_home(pair->desk, at), "site") == 0);
    CHECK(strcmp(ward_home(pair->desk, note.back), "desk") == 0);
    CHECK(ward_home(pair->desk, (ward_ref){ at.node ^ 2, 1, 1 }) == NULL);
    at.life += 2;
    CHECK_IS(ward_ask(pair->self, &msg, at, &NOTE, &note, soon(pair)), WARD_EGONE);
    at = (ward_ref){ at.node, UINT32_MAX, 0 };
    CHECK_IS(ward_ask(pair->self, &msg, at, &NOTE, &note, soon(pair)), WARD_EGONE);
}

static void mail_keeps_its_order(struct pair *pair)
{
    ward_ref at = find(pair, "listener");
    uint64_t count = SCALED(100000);
    const ward_msg *answer;
    char expected[64];

    for (uint64_t i = 0; i < count; i++) {
        ward_status rc;
        while ((rc = ward_send(pair->self, at, &NOTE, &(struct note){ .id = i })) == WARD_EFULL)
            usleep(100);
        if (!CHECK_IS(rc, WARD_OK)) return;
    }
    if (!CHECK_IS(ward_ask(pair->self, &answer, at, &COUNT, "?", soon(pair)), WARD_OK)) return;
    snprintf(expected, sizeof expected, "%llu 0", (unsigned long long)count);
    CHECK(strcmp(ward_text(answer), expected) == 0);
}

/* From here to the relay at the site, by which it comes back here, and its answer goes the same
 * way back. */
static void a_question_is_forwarded_over_links(struct pair *pair)
{
    struct note note = { .id = 3 };
    const ward_msg *answer;
    ward_ref here;

    CHECK_IS(ward_spawn(pair->self, &here,
                 &(ward_spec){
                     .name = "counter", .handle = listener, .state_bytes = sizeof(struct heard) }),
        WARD_OK);
    note.back = here;
    /* A note is no question to the listener: its turn ends without an answer. */
    CHECK_IS(ward_ask(pair->self, &answer, find(pair, "relay"), &NOTE, &note, soon(pair)),
        WARD_ENOREPLY);
    note.back = find(pair, "echo");
    note.back.life += 2;
    CHECK_IS(ward_ask(pair->self, &answer, find(pair, "relay"), &NOTE, &note, soon(pair)),
        WARD_ENOREPLY);
    ward_cancel(pair->self, here);
    CHECK_IS(ward_join(pair->self, &here, 1, soon(pair)), WARD_OK);
}

/* -- questions without an answer --------------------------------------------------------------- */

static void a_question_ends_at_its_deadline(struct pair *pair)
{
    const ward_msg *answer;
    ward_ref at = find(pair, "hang");
    struct note note = { 0 };

    CHECK_IS(ward_ask(pair->self, &answer, at, &NOTE, &note, ward_in_ms(pair->self, 50)),
        WARD_ETIMEDOUT);
    CHECK_IS(
        ward_ask(pair->self, &answer, at, &NOTE, &note, ward_in_ms(pair->self, 0)), WARD_ETIMEDOUT);
    CHECK_IS(ward_ask(pair->self, &answer, at, &NOTE, &note, WARD_FOREVER), WARD_EINVAL);
}

static ward_status ask_chain(ward_self *self)
{
    const ward_msg *answer;
    struct note note = { 0 };

    return ward_ask(
        self, &answer, *(ward_ref *)ward_arg(self), &NOTE, &note, ward_in_ms(self, 60000));
}

static ward_status ask_relay(ward_self *self)
{
    const ward_ref *at = ward_arg(self);
    const ward_msg *answer;
    struct note note = { .back = at[0] };

    return ward_ask(self, &answer, at[1], &NOTE, &note, ward_in_ms(self, 60000));
}

static int hands_full(ward_node *node)
{
    uint32_t used = ward__load_acq(&node->slots_used);
    int full = 0;

    for (uint32_t i = 2; i < used; i++)
        full += ward__load_seq(&ward__slot(node, i)->question_cell) != 0;
    return full;
}

static void cancelling_reaches_who_works_for_it(struct pair *pair)
{
    ward_ref at = find(pair, "chain"), asker;
    const ward_msg *answer;

    CHECK_IS(
        ward_spawn(pair->self, &asker,
            &(ward_spec){ .name = "asker", .body = ask_chain, .arg = &at, .arg_bytes = sizeof at }),
        WARD_OK);
    EVENTUALLY(hands_full(pair->site) == 2); /* the chain has it, and the hanger the next one */
    ward_cancel(pair->self, asker);
    CHECK_IS(ward_join(pair->self, &asker, 1, soon(pair)), WARD_OK);
    if (CHECK_IS(ward_ask(pair->self, &answer, at, &COUNT, "?", soon(pair)), WARD_OK))
        CHECK(strcmp(ward_text(answer), "1") == 0);
    EVENTUALLY(hands_full(pair->site) == 0);
}

/* The desk's own relay passes it on to the site; the end of the asker follows it there. */
static void cancelling_follows_what_was_forwarded(struct pair *pair)
{
    ward_ref passes, asker, at[2] = { find(pair, "hang") };

    CHECK_IS(ward_spawn(pair->self, &passes, &(ward_spec){ .name = "relay", .handle = relay }), 0);
    at[1] = passes;
    CHECK_IS(
        ward_spawn(pair->self, &asker,
            &(ward_spec){ .name = "asker", .body = ask_relay, .arg = at, .arg_bytes = sizeof at }),
        WARD_OK);
    EVENTUALLY(hands_full(pair->site) == 1 && asks_out(pair->desk) == 1);
    ward_cancel(pair->self, asker);
    CHECK_IS(ward_join(pair->self, &asker, 1, soon(pair)), WARD_OK);
    EVENTUALLY(hands_full(pair->site) == 0);
    CHECK_IS(asks_out(pair->desk), 0);
    ward_cancel(pair->self, passes);
    CHECK_IS(ward_join(pair->self, &passes, 1, soon(pair)), WARD_OK);
}

/* -- refusals ---------------------------------------------------------------------------------- */

static void what_cannot_travel_is_refused(struct pair *pair)
{
    ward_ref at = find(pair, "echo"), full = find(pair, "deaf");
    struct ward__net *net = net_of_node(pair->desk);
    const ward_msg *answer;
    static char big[100000];
    struct note note = { 0 };
    uint64_t number = 1;
    ward_blob *blob;

    CHECK_IS(ward_send(pair->self, at, &PLAIN, &number), WARD_EINVAL);
    CHECK_IS(ward_ask(pair->self, &answer, at, &PLAIN, &number, soon(pair)), WARD_EINVAL);
    CHECK_IS(ward_ask(pair->self, &answer, at, &SECRET, "x", soon(pair)), WARD_EDENIED);
    CHECK_IS(ward_send(pair->self, at, &SECRET, "x"), WARD_OK);
    EVENTUALLY(ward__load(&net->refused_by_peers) == 1);
    EVENTUALLY(pair->at_desk.letters > 0);
    for (int i = 0; i < 10; i++) /* more than it has room for: they wait there */
        CHECK_IS(ward_send(pair->self, full, &NOTE, &note), WARD_OK);
    CHECK_IS(ward_ask(pair->self, &answer, full, &NOTE, &note, ward_in_ms(pair->self, 50)),
        WARD_ETIMEDOUT);
    CHECK_IS(ward__load(&net->refused_by_peers), 1);
    CHECK_IS(ward_blob_copy(pair->self, &blob, (ward_bytes){ big, sizeof big }), WARD_OK);
    note.blob = blob;
    CHECK_IS(ward_send(pair->self, at, &NOTE, &note), WARD_OK);
    CHECK_IS(ward_send(pair->self, (ward_ref){ at.node ^ 2, 5, 5 }, &NOTE, &note), WARD_ELINK);
    CHECK_IS(
        ward_find(pair->self, &at, "site:/nobody", ward_in_ms(pair->self, 30)), WARD_ETIMEDOUT);
    CHECK_IS(ward_find(pair->self, &at, "nowhere:/x", ward_in_ms(pair->self, 30)), WARD_ETIMEDOUT);
    ward_blob_drop(pair->self, blob);
}

static ward_status answers_too_much(ward_self *self, const ward_msg *msg)
{
    static char big[100000];
    uint64_t plain = 1;
    ward_blob *blob;

    CHECK_IS(ward_reply(self, msg, &PLAIN, &plain), WARD_EINVAL);
    CHECK_IS(ward_blob_copy(self, &blob, (ward_bytes){ big, sizeof big }), WARD_OK);
    CHECK_IS(ward_reply(self, msg, &NOTE, &(struct note){ .blob = blob }), WARD_ETOOBIG);
    return ward_reply(self, msg, &NOTE, &(struct note){ .id = 5 });
}

static void a_link_bounds_messages(bool tcp)
{
    struct pair pair = { 0 };
    static char big[100000];
    struct note note = { 0 };
    const ward_msg *answer;
    ward_blob *blob;
    ward_ref at;

    new_url(pair.url, tcp);
    open_site(&pair);
    CHECK_IS(ward_spawn(ward_outside(pair.site), &at,
                 &(ward_spec){ .name = "waster", .handle = answers_too_much }),
        WARD_OK);
    open_desk(&pair, &(ward_link_opts){ .frame_max = 65536 });
    at = find(&pair, "echo");
    CHECK_IS(ward_blob_copy(pair.self, &blob, (ward_bytes){ big, sizeof big }), WARD_OK);
    note.blob = blob;
    CHECK_IS(ward_send(pair.self, at, &NOTE, &note), WARD_ETOOBIG);
    CHECK_IS(ward_ask(pair.self, &answer, at, &NOTE, &note, soon(&pair)), WARD_ETOOBIG);
    if (CHECK_IS(ward_ask(pair.self, &answer, find(&pair, "waster"), &COUNT, "", soon(&pair)), 0))
        CHECK_IS(((const struct note *)ward_value(answer, &NOTE))->id, 5);
    close_pair(&pair);
}

/* -- monitors ---------------------------------------------------------------------------------- */

static void down_comes_once_after_the_mail(struct pair *pair)
{
    ward_ref at = find(pair, "swan");
    const ward_msg *msg;
    uint64_t count = 0;

    CHECK_IS(ward_monitor(pair->self, at), WARD_OK);
    CHECK_IS(ward_monitor(pair->self, at), WARD_OK); /* again: nothing */
    CHECK_IS(ward_send(pair->self, at, &NOTE, &(struct note){ .back = ward_me(pair->self) }), 0);
    while (ward_receive(pair->self, &msg, soon(pair)) == WARD_OK && ward_kind_of(msg) == WARD_MAIL)
        CHECK_IS(((const struct note *)ward_value(msg, &NOTE))->id, count++);
    CHECK_IS(count, 100);
    if (CHECK(ward_down_of(msg) != NULL)) {
        CHECK(ward_same(ward_down_of(msg)->who, at));
        CHECK_IS(ward_down_of(msg)->reason, WARD_BY_RETURN);
        CHECK(ward_down_of(msg)->final);
    }
    CHECK_IS(ward_monitor(pair->self, at), WARD_OK); /* of the dead: at once */
    if (CHECK_IS(ward_receive(pair->self, &msg, soon(pair)), WARD_OK))
        CHECK_IS(ward_down_of(msg)->reason, WARD_NOBODY);
    CHECK_IS(ward_receive(pair->self, &msg, ward_in_ms(pair->self, 20)), WARD_ETIMEDOUT);
}

static void demonitored_is_not_told(struct pair *pair)
{
    ward_ref at;
    const ward_msg *msg;

    CHECK_IS(ward_spawn(ward_outside(pair->site), &at,
                 &(ward_spec){ .name = "mortal", .body = deaf, .restart = WARD_TEMPORARY }),
        0);
    CHECK(ward_same(find(pair, "mortal"), at));
    CHECK_IS(ward_monitor(pair->self, at), WARD_OK);
    ward_demonitor(pair->self, at);
    ward_cancel(pair->self, at); /* over the link */
    CHECK_IS(ward_monitor(pair->self, at), WARD_OK);
    if (!CHECK_IS(ward_receive(pair->self, &msg, soon(pair)), WARD_OK)) return;
    CHECK(ward_down_of(msg) && ward_down_of(msg)->final);
    CHECK_IS(ward_receive(pair->self, &msg, ward_in_ms(pair->self, 20)), WARD_ETIMEDOUT);
}

static ward_status only_takes(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    return WARD_OK;
}

static void closing_mail_crosses(struct pair *pair)
{
    ward_ref at;
    const ward_msg *msg;

    CHECK_IS(ward_spawn(ward_outside(pair->site), &at,
                 &(ward_spec){ .name = "closing", .handle = only_takes }),
        WARD_OK);
    CHECK_IS(ward_monitor(pair->self, at), WARD_OK);
    ward_close_mail(pair->self, at);
    if (CHECK_IS(ward_receive(pair->self, &msg, soon(pair)), WARD_OK) && ward_down_of(msg))
        CHECK_IS(ward_down_of(msg)->reason, WARD_BY_CLOSE);
}

/* -- the loss of a link ------------------------------------------------------------------------ */

static ward_status ask_until_lost(ward_self *self)
{
    ward_status rc = ask_chain(self);

    CHECK_IS(rc, WARD_ELINK);
    return rc;
}

static void watch_three(struct pair *pair, ward_ref who[3])
{
    const char *names[] = { "echo", "hang", "listener" };

    for (int i = 0; i < 3; i++) {
        who[i] = find(pair, names[i]);
        CHECK_IS(ward_monitor(pair->self, who[i]), WARD_OK);
    }
}

static void three_are_lost(struct pair *pair, const ward_ref who[3])
{
    const ward_msg *msg;
    int seen[3] = { 0 };

    for (int n = 0; n < 3; n++) {
        if (!CHECK_IS(ward_receive(pair->self, &msg, soon(pair)), WARD_OK)) return;
        if (!CHECK(ward_down_of(msg) != NULL)) continue;
        for (int i = 0; i < 3; i++)
            seen[i] += ward_same(ward_down_of(msg)->who, who[i]);
        CHECK_IS(ward_down_of(msg)->reason, WARD_BY_LINK);
        CHECK_IS(ward_down_of(msg)->status, WARD_ELINK);
        CHECK(!ward_down_of(msg)->final);
    }
    for (int i = 0; i < 3; i++)
        CHECK_IS(seen[i], 1);
    CHECK_IS(ward_receive(pair->self, &msg, ward_in_ms(pair->self, 20)), WARD_ETIMEDOUT);
}

/* closes: the other node; else this one takes its link back. */
static void a_lost_link_is_told(bool tcp, bool closes)
{
    struct pair pair = { 0 };
    ward_ref who[3], asker;

    new_url(pair.url, tcp);
    open_site(&pair);
    open_desk(&pair, NULL);
    watch_three(&pair, who);
    CHECK_IS(ward_spawn(pair.self, &asker,
                 &(ward_spec){ .name = "asker",
                     .body = ask_until_lost,
                     .arg = &who[1],
                     .arg_bytes = sizeof who[1],
                     .restart = WARD_TEMPORARY }),
        0);
    EVENTUALLY(hands_full(pair.site) == 1);
    if (closes) {
        check_close(pair.site);
        pair.site = NULL;
    } else {
        ward_unlink_url(pair.desk, pair.url);
    }
    CHECK_IS(ward_join(pair.self, &asker, 1, soon(&pair)), WARD_OK);
    three_are_lost(&pair, who);
    CHECK_IS(ward_send(pair.self, who[0], &NOTE, &(struct note){ 0 }), WARD_ELINK);
    CHECK_IS(ward_monitor(pair.self, who[0]), WARD_ELINK);
    if (closes) { /* the next incarnation has other refs */
        open_site(&pair);
        CHECK(!ward_same(find(&pair, "echo"), who[0]));
        CHECK_IS(ward_send(pair.self, who[0], &NOTE, &(struct note){ 0 }), WARD_ELINK);
    } else { /* the same node: the ref has lived on */
        EVENTUALLY(hands_full(pair.site) == 0); /* whoever asked from here is gone */
        CHECK_IS(ward_connect(pair.desk, pair.url, NULL), WARD_OK);
        CHECK(ward_same(find(&pair, "echo"), who[0]));
        CHECK_IS(ward_monitor(pair.self, who[0]), WARD_OK);
    }
    close_pair(&pair);
}

static ward_status find_early(ward_self *self)
{
    ward_ref ref;
    ward_status rc = ward_find(self, &ref, "site:/late", ward_in_ms(self, 60000));

    CHECK_IS(rc, WARD_OK);
    return rc;
}

static void a_find_waits_for_node_and_actor(bool tcp)
{
    struct pair pair = { 0 };
    ward_ref finder, late;

    new_url(pair.url, tcp);
    open_desk(&pair, NULL);
    CHECK_IS(ward_spawn(pair.self, &finder, &(ward_spec){ .name = "finder", .body = find_early }),
        WARD_OK);
    open_site(&pair);
    (void)find(&pair, "echo");
    ward_unlink_url(pair.desk, pair.url); /* what it asked the first session it asks the second */
    CHECK_IS(ward_connect(pair.desk, pair.url, NULL), WARD_OK);
    (void)find(&pair, "echo");
    CHECK_IS(
        ward_spawn(ward_outside(pair.site), &late, &(ward_spec){ .name = "late", .body = deaf }),
        WARD_OK);
    CHECK_IS(ward_join(pair.self, &finder, 1, soon(&pair)), WARD_OK);
    close_pair(&pair);
}

/* -- who is let in ----------------------------------------------------------------------------- */

static void addresses_are_checked(void)
{
    static const struct {
        const char *url;
        ward_status rc;
    } tries[] = { { "tcp://10.0.0.1:4000", WARD_EDENIED }, { "tcp://0.0.0.0:4000", WARD_EDENIED },
        { "tcp://example.com:80", WARD_EDENIED }, { "ws://127.0.0.1:80/x", WARD_EDENIED },
        { "tls+tcp://127.0.0.1:80", WARD_EDENIED }, { "tcp://127.0.0.1", WARD_EINVAL },
        { "ipc://", WARD_EINVAL }, { "hello", WARD_EINVAL },
        { "ipc:///nowhere/at/all", WARD_ELINK } };
    ward_node *node = open_node("alone", NULL);
    char url[WARD__URL_MAX], local[WARD__URL_MAX];

    for (size_t i = 0; i < WARD_COUNT(tries); i++)
        if (!CHECK_IS(ward_listen(node, tries[i].url, NULL), tries[i].rc))
            fprintf(stderr, "%s\n", tries[i].url);
    snprintf(local, sizeof local, "tcp://localhost:%d", free_port());
    CHECK_IS(ward_listen(node, local, NULL), WARD_OK);
    CHECK_IS(ward_connect(node, local, NULL), WARD_EINVAL); /* it is this node itself */
    new_url(url, true);
    CHECK_IS(ward_listen(node, url, NULL), WARD_OK);
    CHECK_IS(ward_listen(node, url, NULL), WARD_EINVAL);
    ward_unlink_url(node, url);
    CHECK_IS(ward_listen(node, url, &(ward_link_opts){ .frame_max = 1 }), WARD_EINVAL);
    CHECK_IS(ward_connect(node, url, &(ward_link_opts){ .peer = "a b" }), WARD_EINVAL);
    check_close(node);
}

static void strangers_are_refused(bool tcp)
{
    struct counted at_other = { 0 }, at_twin = { 0 };
    struct pair pair = { 0 };
    ward_node *other = open_node("desk", &at_other), *twin = open_node("site", &at_twin);
    char own[WARD__URL_MAX], alias[sizeof own + 16];

    new_url(pair.url, tcp);
    new_url(own, tcp);
    open_site(&pair);
    open_desk(&pair, NULL);
    (void)find(&pair, "echo");
    CHECK_IS(ward_connect(other, pair.url, NULL), WARD_OK); /* the name is taken */
    EVENTUALLY(at_other.denied > 0);
    CHECK_IS(at_other.ups, 0);
    ward_unlink_url(other, pair.url);
    CHECK_IS(ward_connect(other, pair.url, &(ward_link_opts){ .peer = "sight" }), WARD_OK);
    EVENTUALLY(at_other.denied > 1);
    CHECK_IS(at_other.ups, 0);
    CHECK_IS(ward_connect(twin, pair.url, NULL), WARD_OK); /* both have one name */
    EVENTUALLY(at_twin.denied > 0);
    check_close(twin);
    CHECK_IS(ward_listen(pair.site, own, NULL), WARD_OK);
    CHECK_IS(ward_connect(pair.site, own, NULL), WARD_EINVAL); /* with itself */
    if (tcp)
        snprintf(alias, sizeof alias, "tcp://localhost%s", strrchr(own, ':'));
    else
        snprintf(alias, sizeof alias, "ipc:///%s", own + strlen("ipc://"));
    CHECK_IS(ward_connect(pair.site, alias, NULL), WARD_OK); /* so it is seen later */
    pair.at_site.denied = 0;
    EVENTUALLY(pair.at_site.denied > 0);
    CHECK_IS(sessions_up(pair.site), 1);
    CHECK_IS(pair.at_desk.downs, 0);
    check_close(other);
    close_pair(&pair);
}

static void of_two_links_one_stays(bool tcp)
{
    for (int round = 0; round < SCALED(60); round++) {
        struct pair pair = { 0 };
        char back[WARD__URL_MAX];
        new_url(pair.url, tcp);
        new_url(back, tcp);
        open_site(&pair);
        pair.desk = open_node("desk", &pair.at_desk);
        CHECK_IS(ward_listen(pair.desk, back, NULL), WARD_OK);
        CHECK_IS(ward_connect(pair.desk, pair.url, NULL), WARD_OK);
        CHECK_IS(ward_connect(pair.site, back, NULL), WARD_OK);
        CHECK_IS(ward_attach(pair.desk, &pair.self, NULL), WARD_OK);
        for (int i = 0; i < 3; i++) {
            (void)find(&pair, "echo");
            CHECK_IS(sessions_up(pair.desk), 1);
        }
        EVENTUALLY(pair.at_desk.ups == 1 && pair.at_site.ups == 1);
        CHECK_IS(pair.at_desk.downs + pair.at_site.downs, 0);
        close_pair(&pair);
    }
}

static void in_one_pair(bool tcp)
{
    struct pair pair = { 0 };

    new_url(pair.url, tcp);
    open_site(&pair);
    open_desk(&pair, &(ward_link_opts){ .peer = "site" });
    values_travel_whole(&pair);
    a_ref_that_crosses_stays_a_ref(&pair);
    mail_keeps_its_order(&pair);
    a_question_is_forwarded_over_links(&pair);
    a_question_ends_at_its_deadline(&pair);
    cancelling_reaches_who_works_for_it(&pair);
    cancelling_follows_what_was_forwarded(&pair);
    what_cannot_travel_is_refused(&pair);
    down_comes_once_after_the_mail(&pair);
    demonitored_is_not_told(&pair);
    closing_mail_crosses(&pair);
    CHECK_IS(pair.at_desk.ups, 1);
    CHECK_IS(pair.at_desk.downs, 0);
    close_pair(&pair);
}

int main(void)
{
    check_begin("links between two nodes");
    if (!mkdtemp(link_dir)) return 1;
    addresses_are_checked();
    for (int tcp = 0; tcp < 2; tcp++) {
        in_one_pair(tcp);
        a_link_bounds_messages(tcp);
        a_lost_link_is_told(tcp, true);
        a_lost_link_is_told(tcp, false);
        a_find_waits_for_node_and_actor(tcp);
        strangers_are_refused(tcp);
        of_two_links_one_stays(tcp);
    }
    CHECK_IS(rmdir(link_dir), 0); /* no socket is left behind */
    return check_end();
}
