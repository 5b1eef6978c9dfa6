/* SPDX-License-Identifier: MIT */
/*
 * stuck.c - turns that really loop and really block: quarantined, replaced, and let back.
 *
 * Each case hangs an actor of one kind in one place, with a question in hand and others kept and
 * queued. Then: the askers of what was in hand and kept learn it, the others are answered by the
 * successor, on a replacement thread when there was only one; when the old turn is let go, all it
 * does through ward is refused, its clean-up runs once with BY_STUCK, and its memory is gone with
 * the node. A last case only takes long, and others are not to wait for its end.
 */
#include <string.h>
#include <sys/types.h>

#include "tests/support/check.h"

enum { STUCK_MS = 80, CALM_MS = 400 };

static const ward_type KEEP = WARD_TYPE_TEXT("keep");
static const ward_type HANG = WARD_TYPE_TEXT("hang");
static const ward_type PING = WARD_TYPE_TEXT("ping");
static const char words[] = "words that are long enough to lie beside the message and not in it";

enum how { LOOPS, BLOCKS };
enum where { IN_MESSAGE, IN_START, IN_CLEANUP };

/* What a case and its actors share; it outlives the node. */
struct ward_case {
    enum how how;
    enum where where;
    int pipe[2];
    _Atomic bool hangs_at_all; /* it is to hang, once */
    _Atomic uint32_t hanging, returned, started, kept;
    _Atomic uint32_t cleaned, cleaned_stuck;
    _Atomic uint32_t answered, unanswered, others;
    _Atomic uint32_t stuck_events, returned_events, restarts;
    _Atomic bool released;
    ward_ref service, echo;
};

static struct ward_case *case_of(ward_self *self)
{
    return *(struct ward_case *const *)ward_arg(self);
}

/* -- the service ------------------------------------------------------------------------------- */

static void hang(struct ward_case *at)
{
    char byte;

    ward__add(&at->hanging, 1);
    if (at->how == BLOCKS) {
        while (read(at->pipe[0], &byte, 1) < 0) {
        }
    } else {
        while (!atomic_load(&at->released)) {
        }
    }
    ward__add(&at->returned, 1);
}

static void let_go(struct ward_case *at)
{
    atomic_store(&at->released, true);
    if (at->how == BLOCKS) CHECK_IS(write(at->pipe[1], "x", 1), 1);
}

/* What a revoked turn does is refused, and what it was lent is still there. */
static void try_all(ward_self *self, struct ward_case *at, const ward_msg *msg)
{
    const ward_msg *other;
    ward_msg *kept;
    ward_blob *blob;
    ward_timer timer;
    ward_ref ref;

    CHECK(ward_cancelled(self));
    CHECK_IS(ward_send(self, at->echo, &PING, words), WARD_EFENCED);
    CHECK_IS(ward_reply(self, msg, &PING, words), WARD_EFENCED);
    CHECK_IS(ward_forward(self, at->echo, msg), WARD_EFENCED);
    CHECK_IS(ward_keep(self, &kept, msg), WARD_EFENCED);
    CHECK_IS(ward_spawn(self, &ref, &(ward_spec){ .handle = NULL, .body = NULL }), WARD_EFENCED);
    CHECK_IS(ward_monitor(self, at->echo), WARD_EFENCED);
    CHECK_IS(ward_timer_start(self, &timer, &PING, words, WARD_NOW), WARD_EFENCED);
    CHECK_IS(ward_blob_copy(self, &blob, (ward_bytes){ words, 3 }), WARD_EFENCED);
    CHECK_IS(ward_checkpoint(self), WARD_EFENCED);
    CHECK_IS(ward_ask(self, &other, at->echo, &PING, words, WARD_FOREVER), WARD_EFENCED);
    CHECK(ward_alloc(self, NULL, 10) == NULL);
    CHECK(ward_textf(self, "%s", words) == NULL);
    CHECK(ward_state(self) != NULL);
    if (msg) CHECK(strcmp(ward_text(msg), words) == 0);
}

static ward_status serve_one(ward_self *self, const ward_msg *msg)
{
    struct ward_case *at = case_of(self);
    ward_msg *kept;

    ++*(int *)ward_state(self);
    if (ward_is(msg, &KEEP)) {
        CHECK_IS(ward_keep(self, &kept, msg), WARD_OK);
        ward__add(&at->kept, 1);
    } else if (ward_is(msg, &PING)) {
        CHECK_IS(ward_reply(self, msg, &PING, ward_text(msg)), WARD_OK);
    } else if (at->where == IN_MESSAGE && atomic_exchange(&at->hangs_at_all, false)) {
        hang(at);
        try_all(self, at, msg);
    }
    return WARD_OK;
}

static ward_status serve(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER)))
        (void)serve_one(self, msg);
    return rc;
}

static ward_status start(ward_self *self)
{
    struct ward_case *at = case_of(self);

    ward__add(&at->started, 1);
    CHECK(ward_alloc(self, NULL, 1000) != NULL);
    if (at->where == IN_START && atomic_exchange(&at->hangs_at_all, false)) hang(at);
    return WARD_OK;
}

static void clean_up(ward_self *self, ward_reason why)
{
    struct ward_case *at = case_of(self);

    ++*(int *)ward_state(self);
    ward__add(why == WARD_BY_STUCK ? &at->cleaned_stuck : &at->cleaned, 1);
    if (at->where == IN_CLEANUP && atomic_exchange(&at->hangs_at_all, false)) hang(at);
}

/* -- those who ask ----------------------------------------------------------------------------- */

static ward_status ask(ward_self *self, const ward_type *type)
{
    struct ward_case *at = case_of(self);
    const ward_msg *answer;
    ward_status rc = ward_ask(self, &answer, at->service, type, words, ward_in_ms(self, 60000));

    if (rc == WARD_OK)
        CHECK(strcmp(ward_text(answer), words) == 0);
    else
        CHECK_IS(rc, WARD_ENOREPLY);
    ward__add(rc == WARD_OK ? &at->answered : &at->unanswered, 1);
    return WARD_OK;
}

static ward_status ask_kept(ward_self *self)
{
    return ask(self, &KEEP);
}

static ward_status ask_hang(ward_self *self)
{
    return ask(self, &HANG);
}

static ward_status ask_ping(ward_self *self)
{
    return ask(self, &PING);
}

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &PING, ward_text(msg));
}

/* Others go on while somebody hangs: counts, so that the case can see it. */
static ward_status ask_echo(ward_self *self)
{
    struct ward_case *at = case_of(self);
    const ward_msg *answer;
    ward_status rc;

    while (!(rc = ward_ask(self, &answer, at->echo, &PING, words, WARD_FOREVER))) {
        ward__add(&at->others, 1);
        rc = ward_sleep(self, ward_in_ms(self, 1));
        if (rc) break;
    }
    return rc;
}

/* -- a case ------------------------------------------------------------------------------------ */

static void note(void *hook, const ward_event *event)
{
    struct ward_case *at = hook;

    if (event->kind == WARD_EV_STUCK) ward__add(&at->stuck_events, 1);
    if (event->kind == WARD_EV_RETURNED) ward__add(&at->returned_events, 1);
    if (event->kind == WARD_EV_RESTARTED) ward__add(&at->restarts, 1);
}

/* Waits for a count without a bound of its own: the program has one. */
static void until(ward_self *self, _Atomic uint32_t *count, uint32_t least)
{
    while (atomic_load(count) < least)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
}

static void ask_apart(ward_self *self, ward_ref *out, ward_body *body)
{
    struct ward_case *at = case_of(self);
    ward_spec spec = { .body = body, .arg = &at, .arg_bytes = sizeof at };

    CHECK_IS(ward_spawn(self, out, &spec), WARD_OK);
}

/* Two questions are kept, one hangs, two wait in the mailbox; then it hangs. */
static void ask_all(ward_self *self, ward_ref asked[3], ward_ref queued[2])
{
    struct ward_case *at = case_of(self);

    ask_apart(self, &asked[0], ask_kept);
    ask_apart(self, &asked[1], ask_kept);
    until(self, &at->kept, 2);
    ask_apart(self, &asked[2], ask_hang);
    until(self, &at->hanging, 1);
    ask_apart(self, &queued[0], ask_ping);
    ask_apart(self, &queued[1], ask_ping);
}

static void find_service(ward_self *self)
{
    struct ward_case *at = case_of(self);

    CHECK_IS(ward_find(self, &at->service, "/tree/service", WARD_FOREVER), WARD_OK);
}

/* It hangs, others go on, its successor works, and it comes back. */
static void meet(ward_self *self)
{
    struct ward_case *at = case_of(self);
    bool in_message = at->where == IN_MESSAGE, in_cleanup = at->where == IN_CLEANUP;
    ward_ref asked[3], queued[2];
    uint32_t others;

    if (at->where != IN_START) find_service(self);
    if (in_message) ask_all(self, asked, queued);
    if (in_cleanup) ward_close_mail(self, at->service);
    until(self, &at->stuck_events, 1);
    others = atomic_load(&at->others);
    until(self, &at->others, others + 20);
    if (in_message) {
        CHECK_IS(ward_join(self, asked, 3, WARD_FOREVER), WARD_OK);
        CHECK_IS(at->unanswered, 3);
        CHECK_IS(ward_join(self, queued, 2, WARD_FOREVER), WARD_OK);
        CHECK_IS(at->answered, 2);
    }
    if (!in_cleanup) {
        find_service(self);
        ask_apart(self, &queued[0], ask_ping);
        CHECK_IS(ward_join(self, queued, 1, WARD_FOREVER), WARD_OK);
        CHECK_IS(at->answered, in_message ? 3 : 1);
    }
    CHECK_IS(at->returned + at->cleaned_stuck, 0);
    let_go(at);
    until(self, &at->returned_events, 1);
    if (in_cleanup) until(self, &at->cleaned, 2);
    CHECK_IS(at->stuck_events, 1);
    CHECK_IS(at->started, 2);
    /* Stuck in it: that one is not run again. The successor's mailbox is closed, too. */
    CHECK_IS(at->cleaned, in_cleanup ? 2 : 0);
    CHECK_IS(at->cleaned_stuck, in_cleanup ? 0 : 1);
}

static void run(ward_spec service, enum how how, enum where where, uint32_t workers)
{
    static struct ward_case all;
    struct ward_case *at = &all;
    ward_opts opts = { .workers = workers, .blocking_max = 1, .hook = at, .on_event = note };
    ward_spec mine = { .arg = &at, .arg_bytes = sizeof at };
    ward_spec other = { .body = ask_echo, .arg = &at, .arg_bytes = sizeof at };
    ward_spec tree = { .name = "tree", .children = { &service, 1, sizeof service } };
    ward_node *node;
    ward_self *self;
    ward_ref ref;

    memset(at, 0, sizeof *at);
    at->how = how;
    at->where = where;
    at->hangs_at_all = true;
    CHECK_IS(pipe(at->pipe), 0);
    node = check_open(&opts);
    service.name = "service";
    service.arg = &at;
    service.arg_bytes = sizeof at;
    service.state_bytes = sizeof(int);
    service.start = start;
    service.cleanup = clean_up;
    service.stuck_ms = STUCK_MS;
    service.start_ms = service.stop_ms = 60000;
    CHECK_IS(ward_attach_at(node, &self, &mine, WARD_HERE), WARD_OK);
    CHECK_IS(ward_spawn(self, &at->echo, &(ward_spec){ .handle = echo }), WARD_OK);
    CHECK_IS(ward_spawn_at(self, &ref, &other, WARD_HERE), WARD_OK);
    CHECK_IS(ward_spawn_at(ward_outside(node), &ref, &tree, WARD_HERE), WARD_OK);
    meet(self);
    ward_detach(self);
    check_close(node);
    close(at->pipe[0]);
    close(at->pipe[1]);
}

/* -- a long turn ------------------------------------------------------------------------------- */

static ward_status take_long(ward_self *self, const ward_msg *msg)
{
    hang(case_of(self));
    return ward_reply(self, msg, &PING, ward_text(msg));
}

/* One worker, and a turn on it that is far from stuck but does not end before others have come on:
 * who asks, and who sleeps, waits only until the worker has another thread. */
static void run_long(void)
{
    static struct ward_case all;
    struct ward_case *at = &all;
    ward_opts opts = { .workers = 1, .hook = at, .on_event = note };
    ward_spec mine = { .arg = &at, .arg_bytes = sizeof at };
    ward_spec slow = { .handle = take_long, .arg = &at, .arg_bytes = sizeof at };
    ward_spec other = { .body = ask_echo, .arg = &at, .arg_bytes = sizeof at };
    const ward_msg *answer;
    ward_node *node;
    ward_self *self;
    ward_ref asked, ref;
    int64_t began_ns;

    memset(at, 0, sizeof *at);
    node = check_open(&opts);
    CHECK_IS(ward_attach_at(node, &self, &mine, WARD_HERE), WARD_OK);
    CHECK_IS(ward_spawn(self, &at->echo, &(ward_spec){ .handle = echo }), WARD_OK);
    CHECK_IS(ward_spawn_at(self, &at->service, &slow, WARD_HERE), WARD_OK);
    CHECK_IS(ward_spawn_at(self, &ref, &other, WARD_HERE), WARD_OK);
    until(self, &at->others, 3);
    ask_apart(self, &asked, ask_ping);
    until(self, &at->hanging, 1);
    began_ns = ward_now_ns(self);
    CHECK_IS(ward_ask(self, &answer, at->echo, &PING, words, WARD_FOREVER), WARD_OK);
    printf("behind a long turn: an ask took %lld us\n",
        (long long)(ward_now_ns(self) - began_ns) / 1000);
    until(self, &at->others, atomic_load(&at->others) + 20);
    CHECK_IS(at->returned, 0);
    let_go(at);
    CHECK_IS(ward_join(self, &asked, 1, WARD_FOREVER), WARD_OK);
    CHECK_IS(at->answered, 1);
    CHECK_IS(at->stuck_events, 0);
    ward_detach(self);
    check_close(node);
}

/* -- a long computation that lets others run --------------------------------------------------- */

static ward_status compute(ward_self *self)
{
    int64_t until_ns = ward_now_ns(self) + 3 * CALM_MS * INT64_C(1000000);

    while (ward_now_ns(self) < until_ns)
        CHECK_IS(ward_checkpoint(self), WARD_OK);
    return WARD_OK;
}

/* Three times longer than a turn may last; but each checkpoint of a body begins another. */
static void run_calm(void)
{
    static struct ward_case all;
    ward_opts opts = { .workers = 1, .hook = &all, .on_event = note };
    ward_node *node = check_open(&opts);
    ward_self *self;
    ward_ref refs[2];

    CHECK_IS(ward_attach(node, &self, NULL), WARD_OK);
    for (int i = 0; i < 2; i++)
        CHECK_IS(ward_spawn(self, &refs[i],
                     &(ward_spec){ .body = compute, .stuck_ms = CALM_MS, .blocking = i == 1 }),
            WARD_OK);
    CHECK_IS(ward_join(self, refs, 2, WARD_FOREVER), WARD_OK);
    CHECK_IS(all.stuck_events, 0);
    ward_detach(self);
    check_close(node);
}

int main(void)
{
    static const ward_spec specs[] = {
        { .handle = serve_one },
        { .body = serve },
        { .handle = serve_one, .blocking = true },
        { .body = serve, .blocking = true },
    };

    check_begin("stuck");
    for (size_t i = 0; i < WARD_COUNT(specs); i++) {
        for (int where = IN_MESSAGE; where <= IN_CLEANUP; where++) {
            printf("spec %zu, place %d\n", i, where);
            fflush(stdout);
            run(specs[i], LOOPS, (enum where)where, 1);
            run(specs[i], BLOCKS, (enum where)where, 2);
        }
    }
    run_long();
    run_calm();
    return check_end();
}
