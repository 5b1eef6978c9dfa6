/* SPDX-License-Identifier: MIT */
/*
 * link_storm.c - a link that is taken back and made anew again and again, while many actors ask,
 * send, find and monitor over it. Each question ends, each monitor is told exactly once, and when
 * it is over nothing is left under way at either side.
 */
#include "tests/support/link_fixture.h"

enum { BUSY = 12 };

static _Atomic bool over;
static _Atomic uint64_t answers, losses, downs;

static bool may_be(ward_status rc)
{
    return rc == WARD_OK || rc == WARD_ELINK || rc == WARD_ETIMEDOUT || rc == WARD_EFULL;
}

/* One monitor, then until its DOWN. */
static void watch(ward_self *self, ward_ref at)
{
    const ward_msg *msg;
    ward_status rc = ward_monitor(self, at);

    CHECK(rc == WARD_OK || rc == WARD_ELINK);
    if (rc) return;
    while ((rc = ward_receive(self, &msg, ward_in_ms(self, 20000))) == WARD_OK &&
           ward_kind_of(msg) != WARD_DOWN) {
    }
    if (CHECK_IS(rc, WARD_OK)) CHECK_IS(ward_down_of(msg)->reason, WARD_BY_LINK);
    downs++;
}

static ward_status busy(ward_self *self)
{
    const ward_msg *answer;
    ward_ref echo, hang;
    uint64_t id = 0;

    while (!over) {
        struct note note = { .id = ++id, .text = "a text that lies beside its message record" };
        ward_status rc = ward_find(self, &echo, "site:/echo", ward_in_ms(self, 20000));
        if (!CHECK_IS(rc, WARD_OK)) return rc;
        rc = ward_ask(self, &answer, echo, &NOTE, &note, ward_in_ms(self, 20000));
        CHECK(may_be(rc));
        if (rc == WARD_OK) {
            CHECK_IS(((const struct note *)ward_value(answer, &NOTE))->id, id);
            answers++;
        }
        losses += rc == WARD_ELINK;
        note.back = ward_me(self);
        CHECK(may_be(ward_send(self, echo, &NOTE, &note)));
        if (ward_random(self) % 4 == 0 &&
            ward_find(self, &hang, "site:/hang", ward_in_ms(self, 20000)) == WARD_OK)
            CHECK(may_be(ward_ask(
                self, &answer, hang, &NOTE, &note, ward_in_ms(self, ward_random(self) % 4))));
        if (ward_random(self) % 4 == 0) watch(self, echo);
        while (ward_receive(self, &answer, WARD_NOW) == WARD_OK) {
        }
    }
    return WARD_OK;
}

/* Nothing is under way any more. */
static bool is_quiet(ward_node *node)
{
    struct ward__net *net = net_of_node(node);
    const struct ward__session *session;
    bool quiet;

    ward__tree_lock(node);
    pthread_mutex_lock(&net->lock);
    quiet = net->pending.count == 0 && net->fars.count == 0;
    for (session = LIST_FIRST(&net->sessions); session; session = LIST_NEXT(session, list))
        quiet = quiet && session->calls.count == 0 && session->nears.count == 0 &&
                session->seekers.count == 0;
    pthread_mutex_unlock(&net->lock);
    ward__tree_unlock(node);
    return quiet;
}

static void storm(bool tcp)
{
    struct pair pair = { 0 };
    ward_ref who[BUSY];

    new_url(pair.url, tcp);
    open_site(&pair);
    open_desk(&pair, NULL);
    over = false;
    for (int i = 0; i < BUSY; i++)
        CHECK_IS(ward_spawn(pair.self, &who[i], &(ward_spec){ .name = "busy", .body = busy }), 0);
    for (int i = 0; i < SCALED(400); i++) {
        uint64_t before = answers;
        EVENTUALLY(answers >= before + BUSY);
        ward_unlink_url(pair.desk, pair.url);
        CHECK_IS(ward_connect(pair.desk, pair.url, NULL), WARD_OK);
    }
    over = true;
    for (int i = 0; i < 100; i++) { /* whoever waits for a DOWN is to get one */
        ward_status rc = ward_join(pair.self, who, BUSY, ward_in_ms(pair.self, 200));
        if (rc == WARD_OK) break;
        CHECK_IS(rc, WARD_ETIMEDOUT);
        ward_unlink_url(pair.desk, pair.url);
        CHECK_IS(ward_connect(pair.desk, pair.url, NULL), WARD_OK);
    }
    CHECK_IS(ward_join(pair.self, who, BUSY, soon(&pair)), WARD_OK);
    EVENTUALLY(is_quiet(pair.desk) && is_quiet(pair.site));
    CHECK(losses > 0 && downs > 0);
    close_pair(&pair);
}

int main(void)
{
    check_begin("a link in a storm");
    if (!mkdtemp(link_dir)) return 1;
    storm(false);
    storm(true);
    CHECK_IS(rmdir(link_dir), 0);
    printf("%llu answers, %llu lost, %llu downs\n", (unsigned long long)answers,
        (unsigned long long)losses, (unsigned long long)downs);
    return check_end();
}
