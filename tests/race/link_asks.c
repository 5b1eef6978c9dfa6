/* SPDX-License-Identifier: MIT */
/*
 * link_asks.c - questions over a link: requests and what becomes of them, and that an asker who
 * leaves frees whoever works for it at the peer, however the question went on from there: asked on,
 * passed on, kept by a handler that asks on without waiting. None of them costs the peer a restart.
 */
#include "actors/request.h"
#include "tests/support/link_fixture.h"

/* -- more actors at the site ------------------------------------------------------------------- */

struct keeper {
    ward_msg *kept;
    uint32_t freed;
};

/* Keeps each question and asks the hanger for it; says how often it was told to leave it. */
static ward_status keeper(ward_self *self, const ward_msg *msg)
{
    struct keeper *keeper = ward_state(self);
    ward_ref hang;
    ward_call call;

    if (ward_is(msg, &COUNT))
        return ward_reply(self, msg, &COUNT, ward_textf(self, "%u", keeper->freed));
    if (ward_kind_of(msg) == WARD_ANSWER) {
        keeper->freed += ward_status_of(msg) == WARD_EABANDONED;
        ward_drop(self, keeper->kept);
        return WARD_OK;
    }
    CHECK_IS(ward_find(self, &hang, "/hang", WARD_NOW), WARD_OK);
    CHECK_IS(ward_request(self, &call, hang, &NOTE, ward_value(msg, &NOTE), WARD_FOREVER), WARD_OK);
    return ward_keep(self, &keeper->kept, msg);
}

static _Atomic uint32_t begun, ends;

/* Ends with each asker that leaves; more than once would be over its limit. */
static ward_status fragile(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, WARD_FOREVER);

    if (rc) return rc;
    ward__add(&begun, 1);
    rc = ward_sleep(self, WARD_FOREVER);
    ward__add(&ends, rc == WARD_EABANDONED);
    return rc;
}

static const ward_spec fragile_spec = {
    .name = "fragile", .body = fragile, .restarts_max = 1, .backoff_ms = WARD_AT_ONCE
};
static const ward_spec more_actors[] = {
    { .name = "keeper", .handle = keeper, .state_bytes = sizeof(struct keeper) },
    { .name = "tree", .children = { &fragile_spec, 1, sizeof fragile_spec } },
};

/* -- askers at the desk ------------------------------------------------------------------------ */

struct job {
    ward_ref to;
    struct note note;
    bool requests;
};

static ward_status work(ward_self *self)
{
    const struct job *job = ward_arg(self);
    ward_deadline by = ward_in_ms(self, 60000);
    const ward_msg *answer;
    ward_call call;
    ward_status rc;

    if (!job->requests) return ward_ask(self, &answer, job->to, &NOTE, &job->note, by);
    rc = ward_request(self, &call, job->to, &NOTE, &job->note, by);
    if (!rc) rc = ward_await(self, &answer, by);
    return rc;
}

static ward_ref begin(struct pair *pair, ward_ref to, ward_ref on, bool requests)
{
    struct job job = { .to = to, .note.back = on, .requests = requests };
    ward_ref asker = { 0 };
    ward_spec spec = { .name = "asker",
        .body = work,
        .arg = &job,
        .arg_bytes = sizeof job,
        .restart = WARD_TEMPORARY };

    CHECK_IS(ward_spawn(pair->self, &asker, &spec), WARD_OK);
    return asker;
}

static void leave(struct pair *pair, ward_ref asker)
{
    ward_cancel(pair->self, asker);
    CHECK_IS(ward_join(pair->self, &asker, 1, soon(pair)), WARD_OK);
}

/* How often that actor was told that its asker has left. */
static unsigned freed(struct pair *pair, ward_ref who)
{
    const ward_msg *answer;

    if (!CHECK_IS(ward_ask(pair->self, &answer, who, &COUNT, "", soon(pair)), WARD_OK)) return 0;
    return (unsigned)atoi(ward_text(answer));
}

static bool is_in(struct pair *pair, const char *name, const char *what)
{
    ward_ref ref = { 0 };

    CHECK_IS(ward_find(ward_outside(pair->site), &ref, name, WARD_NOW), WARD_OK);
    const char *now = ward__load(&ward__slot(pair->site, ref.slot)->wait_what);
    return now && strcmp(now, what) == 0;
}

/* -- requests ---------------------------------------------------------------------------------- */

static void outcomes_come_once(struct pair *pair)
{
    enum { EACH = 50 };
    ward_ref to[3] = { find(pair, "echo"), find(pair, "deaf"), find(pair, "echo") };
    ward_deadline by = ward_in_ms(pair->self, 300);
    ward_call calls[EACH * 3];
    const ward_msg *answer;
    unsigned open = 0, got[3] = { 0 };

    to[2].life += 1000; /* nobody */
    for (unsigned i = 0; i < EACH * 3; i++) {
        ward_ref who = to[i % 3];
        ward_status rc =
            ward_request(pair->self, &calls[i], who, &NOTE, &(struct note){ .id = i }, by);
        CHECK_IS(rc, WARD_OK);
        open += !rc;
    }
    for (; open > 0; open--) {
        unsigned i = 0;
        if (!CHECK_IS(ward_await(pair->self, &answer, soon(pair)), WARD_OK)) return;
        while (i < EACH * 3 && calls[i].id != ward_call_of(answer).id)
            i++;
        if (!CHECK(i < EACH * 3)) return;
        calls[i].id = 0;
        got[i % 3]++;
        if (i % 3 == 0 && CHECK_IS(ward_status_of(answer), WARD_OK))
            CHECK_IS(((const struct note *)ward_value(answer, &NOTE))->id, i);
        if (i % 3 == 1) /* four wait in its mailbox */
            CHECK(ward_status_of(answer) == WARD_ETIMEDOUT || ward_status_of(answer) == WARD_EFULL);
        if (i % 3 == 1 && ward_status_of(answer) == WARD_ETIMEDOUT)
            CHECK(ward_now_ns(pair->self) >= by.ns);
        if (i % 3 == 2) CHECK_IS(ward_status_of(answer), WARD_EGONE);
    }
    CHECK(got[0] == EACH && got[1] == EACH && got[2] == EACH);
    CHECK_IS(ward_await(pair->self, &answer, WARD_NOW), WARD_ESTATE);
    EVENTUALLY(asks_out(pair->desk) == 0);
    CHECK_IS(ward_request(pair->self, &calls[0], to[0], &NOTE, &(struct note){ 0 }, WARD_FOREVER),
        WARD_EINVAL);
}

static void forgetting_reaches_the_peer(struct pair *pair)
{
    ward_ref to = find(pair, "chain");
    unsigned before = freed(pair, to);
    ward_call call;

    CHECK_IS(ward_request(pair->self, &call, to, &NOTE, &(struct note){ 0 }, soon(pair)), WARD_OK);
    EVENTUALLY(is_in(pair, "/hang", "sleep"));
    ward_forget(pair->self, call);
    CHECK_IS(freed(pair, to), before + 1);
    EVENTUALLY(is_in(pair, "/hang", "receive"));
    CHECK_IS(asks_out(pair->desk), 0);
}

/* -- an asker leaves --------------------------------------------------------------------------- */

/* It asks `to`, which may pass it on to `on`; `worker` has to be freed, and the hanger. */
static void leaving_frees(struct pair *pair, ward_ref to, ward_ref on, ward_ref worker)
{
    for (int requests = 0; requests < 2; requests++) {
        unsigned before = freed(pair, worker);
        ward_ref asker = begin(pair, to, on, requests);
        EVENTUALLY(is_in(pair, "/hang", "sleep"));
        leave(pair, asker);
        EVENTUALLY(is_in(pair, "/hang", "receive"));
        CHECK_IS(freed(pair, worker), before + 1);
    }
}

static void ending_with_it_costs_nothing(struct pair *pair)
{
    ward_ref to = find(pair, "tree/fragile");

    for (uint32_t i = 1; i <= 5; i++) {
        ward_ref asker = begin(pair, to, (ward_ref){ 0 }, i % 2);
        EVENTUALLY(begun == i);
        leave(pair, asker);
        EVENTUALLY(ends == i);
    }
    CHECK(ward_same(find(pair, "tree/fragile"), to));
}

/* -- the loss of the link ---------------------------------------------------------------------- */

static void a_loss_is_an_outcome(struct pair *pair)
{
    ward_ref to[2] = { find(pair, "chain"), find(pair, "keeper") };
    ward_call calls[2];
    const ward_msg *answer;

    for (int i = 0; i < 2; i++)
        CHECK_IS(ward_request(pair->self, &calls[i], to[i], &NOTE, &(struct note){ 0 }, soon(pair)),
            WARD_OK);
    EVENTUALLY(is_in(pair, "/hang", "sleep"));
    ward_unlink_url(pair->desk, pair->url);
    for (int i = 0; i < 2; i++)
        if (CHECK_IS(ward_await(pair->self, &answer, soon(pair)), WARD_OK))
            CHECK_IS(ward_status_of(answer), WARD_ELINK);
    EVENTUALLY(is_in(pair, "/hang", "receive"));
    EVENTUALLY(is_in(pair, "/chain", "receive"));
    CHECK_IS(ward_request(pair->self, &calls[0], to[0], &NOTE, &(struct note){ 0 }, soon(pair)),
        WARD_ELINK);
}

/* Requests that are not free again. */
static uint32_t records(ward_node *node)
{
    struct ward__requests *all = node->requests;
    uint32_t used;

    pthread_mutex_lock(&all->lock);
    used = all->used - 1;
    for (const struct ward__request *request = all->free; request; request = request->after)
        used--;
    pthread_mutex_unlock(&all->lock);
    return used;
}

int main(void)
{
    struct pair pair = { 0 };
    ward_ref ref, chain, keeper, relay, none = { 0 };

    check_begin("link_asks");
    if (!mkdtemp(link_dir)) return 1;
    new_url(pair.url, false);
    open_site(&pair);
    for (size_t i = 0; i < WARD_COUNT(more_actors); i++)
        CHECK_IS(ward_spawn(ward_outside(pair.site), &ref, &more_actors[i]), WARD_OK);
    open_desk(&pair, NULL);
    chain = find(&pair, "chain");
    keeper = find(&pair, "keeper");
    relay = find(&pair, "relay");
    outcomes_come_once(&pair);
    forgetting_reaches_the_peer(&pair);
    leaving_frees(&pair, chain, none, chain);
    leaving_frees(&pair, relay, chain, chain);
    leaving_frees(&pair, keeper, none, keeper);
    leaving_frees(&pair, relay, keeper, keeper);
    ending_with_it_costs_nothing(&pair);
    a_loss_is_an_outcome(&pair);
    ward_detach(pair.self);
    pair.self = NULL;
    EVENTUALLY(records(pair.desk) == 0 && records(pair.site) == 0);
    close_pair(&pair);
    rmdir(link_dir);
    return check_end();
}
