/* SPDX-License-Identifier: MIT */
/*
 * isolate.c - actors in processes of their own do what others do, and what they do to themselves
 * touches nobody.
 *
 * A handler answers, sends on, keeps, forwards, asks, monitors, finds, has timers; a body too. It
 * crashes in each way there is, or hangs: its monitor and its asker are told, its supervisor
 * restarts it, what waited is handled, the neighbour goes on. The host never gets a SIGCHLD or a
 * child, and nothing is left behind of what a process has forked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ward/census.h>
#include <ward/isolate.h>

#include "tests/support/check.h"

enum { BIG = 200000, HELD = 3 };
enum {
    ECHO,
    ADD,
    TOTAL,
    KEEP,
    ANSWER_KEPT,
    FORWARD,
    ASK_ON,
    SEND_ON,
    REFUSE,
    DROP,
    TICK,
    MONITOR,
    FIND,
    PARENT,
    SEGV,
    ABORT,
    EXIT,
    LOOP,
    FAIL,
    STOP,
    FORK,
    SPAWN,
    PLAIN,
    MEMORY,
    FILES,
    SLEEP,
    CANCEL_ME,
    BLOB
};

struct order {
    int32_t what;
    int64_t number;
    const char *text;
    ward_ref ref;
    const ward_blob *blob;
    const char *const *list;
    size_t list_count;
};
static const ward_type TEXT = WARD_TYPE_TEXT("text");
static const ward_field ORDER_ROWS[] = {
    WARD_FIELD(struct order, INT, what),
    WARD_FIELD(struct order, INT, number),
    WARD_FIELD(struct order, TEXT, text),
    WARD_FIELD(struct order, REF, ref),
    WARD_FIELD(struct order, BLOB, blob),
    WARD_FIELD_LIST(struct order, list, list_count, TEXT),
};
static const ward_type ORDER = WARD_TYPE("order", struct order, ORDER_ROWS);
static const ward_type PLAIN_TYPE = WARD_TYPE_PLAIN("plain", int64_t);
static const ward_type *const TYPES[] = { &ORDER, &TEXT, &PLAIN_TYPE };

static const struct order *order_of(const ward_msg *msg)
{
    return ward_value(msg, &ORDER);
}

static ward_status answer(ward_self *self, const ward_msg *msg, int64_t number)
{
    struct order out = { .number = number, .text = "answer" };

    return ward_reply(self, msg, &ORDER, &out);
}

/* -- inside ------------------------------------------------------------------------------------ */

struct state {
    int64_t total, downs, ticks;
    ward_msg *kept[HELD];
    int kept_count;
    ward_down down;
};

static void die(int32_t how)
{
    volatile int *nowhere = NULL;
    volatile bool forever = true;

    if (how == SEGV && (WARD__TSAN || WARD__ASAN)) { /* which would catch it, and exit */
        sigset_t none;
        (void)signal(SIGSEGV, SIG_DFL);
        sigemptyset(&none);
        pthread_sigmask(SIG_SETMASK, &none, NULL);
        (void)raise(SIGSEGV);
    }
    if (how == SEGV) *nowhere = 1;
    if (how == ABORT) abort();
    if (how == EXIT) _exit(7);
    while (how == LOOP && forever) {
    }
}

/* A child that ignores everything but SIGKILL, and has one of its own in another group. */
static int64_t leave_behind(void)
{
    pid_t pid = fork();

    if (pid) return pid;
    (void)signal(SIGTERM, SIG_IGN);
    if (fork() == 0) (void)setsid();
    for (;;)
        pause();
}

static ward_status ask_on(ward_self *self, const ward_msg *msg, const struct order *order)
{
    struct order out = { .what = ECHO, .number = order->number };
    const ward_msg *got = NULL;
    ward_status rc = ward_ask(self, &got, order->ref, &ORDER, &out, ward_in_ms(self, 5000));

    return answer(self, msg, rc ? rc : order_of(got)->number + 1);
}

static int64_t files(void)
{
    int64_t count = 0;

    while (open("/dev/null", O_RDONLY) >= 0)
        count++;
    return count;
}

static ward_status more(ward_self *self, const ward_msg *msg, struct state *state)
{
    const struct order *order = order_of(msg);
    ward_ref ref = { 0 };
    int64_t plain = 1;

    switch (order->what) {
    case FORK: return answer(self, msg, leave_behind());
    case SPAWN:
        return answer(self, msg, ward_spawn(self, &ref, &(ward_spec){ .body = (ward_body *)1 }));
    case PLAIN: return answer(self, msg, ward_send(self, order->ref, &PLAIN_TYPE, &plain));
    case MEMORY: return answer(self, msg, malloc((size_t)order->number) != NULL);
    case FILES: return answer(self, msg, files());
    case MONITOR: return answer(self, msg, ward_monitor(self, order->ref));
    case FIND:
        if (ward_find(self, &ref, order->text, WARD_NOW)) return answer(self, msg, 0);
        return answer(self, msg, ward_same(ref, order->ref));
    case PARENT: return answer(self, msg, ward_same(ward_parent(self), order->ref));
    case CANCEL_ME: ward_cancel(self, ward_me(self)); return WARD_OK;
    case BLOB: {
        ward_bytes bytes = ward_blob_bytes(order->blob);
        int64_t sum = 0;
        for (size_t i = 0; i < bytes.count; i++)
            sum += ((const unsigned char *)bytes.at)[i];
        struct order out = { .number = sum, .blob = order->blob };
        return ward_reply(self, msg, &ORDER, &out);
    }
    default: state->total += order->number; return WARD_OK;
    }
}

static ward_status handle(ward_self *self, const ward_msg *msg)
{
    struct state *state = ward_state(self);
    const struct order *order = order_of(msg);
    ward_timer timer;

    if (ward_down_of(msg)) {
        state->down = *ward_down_of(msg);
        state->downs++;
        return WARD_OK;
    }
    if (!order) return WARD_EFAIL;
    switch (order->what) {
    case ECHO: return answer(self, msg, order->number);
    case TOTAL:
        return answer(self, msg, state->total + 1000 * state->downs + 100000 * state->down.signal);
    case KEEP: return ward_keep(self, &state->kept[state->kept_count++], msg);
    case ANSWER_KEPT:
        (void)answer(self, state->kept[--state->kept_count], order->number);
        ward_drop(self, state->kept[state->kept_count]);
        return WARD_OK;
    case FORWARD: return ward_forward(self, order->ref, msg);
    case ASK_ON: return ask_on(self, msg, order);
    case SEND_ON: {
        struct order out = { .what = ADD, .number = order->number, .ref = ward_me(self) };
        return answer(self, msg, ward_send(self, order->ref, &ORDER, &out));
    }
    case REFUSE: ward_refuse(self, msg, WARD_EUNAVAIL); return WARD_OK;
    case DROP: return WARD_OK;
    case TICK: {
        struct order out = { .what = ADD, .number = order->number };
        return ward_timer_start(self, &timer, &ORDER, &out, ward_in_ms(self, 5));
    }
    case SEGV:
    case ABORT:
    case EXIT:
    case LOOP: die(order->what); return WARD_OK;
    case FAIL: return WARD_EUSER;
    case STOP: return WARD_STOP;
    default: return more(self, msg, state);
    }
}

static ward_status body(ward_self *self)
{
    int64_t total = *(const int64_t *)ward_arg(self);
    const ward_msg *msg;
    ward_status rc;

    while ((rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        const struct order *order = order_of(msg);
        switch (order->what) {
        case ECHO: (void)answer(self, msg, total + order->number); break;
        case ASK_ON: (void)ask_on(self, msg, order); break;
        case SLEEP:
            rc = ward_sleep(self, ward_in_ms(self, order->number));
            if (rc == WARD_EABANDONED) total += 1000;
            if (rc == WARD_OK) (void)answer(self, msg, 0);
            break;
        default: die(order->what); total += order->number;
        }
    }
    return rc;
}

static const ward_spec SPECS[] = { { .handle = handle }, { .body = body } };
static const ward_table TABLE = {
    .types = TYPES, .types_count = WARD_COUNT(TYPES), .specs = WARD_CHILDREN(SPECS)
};

/* -- the host ---------------------------------------------------------------------------------- */

static _Atomic int children_told;

static void on_child(int signal)
{
    (void)signal;
    ward__add(&children_told, 1);
}

static ward_status neighbour(ward_self *self, const ward_msg *msg)
{
    int64_t *total = ward_state(self);
    const struct order *order = order_of(msg);

    if (!order) return WARD_OK;
    if (order->what == ADD) *total += order->number;
    if (order->what == TOTAL) return answer(self, msg, *total);
    if (order->what == STOP) return WARD_STOP;
    return answer(self, msg, order->number);
}

static int64_t ask(ward_self *self, ward_ref whom, struct order order)
{
    const ward_msg *got = NULL;
    ward_status rc = ward_ask(self, &got, whom, &ORDER, &order, ward_in_ms(self, 20000));

    return rc ? rc : order_of(got)->number;
}

static void tell(ward_self *self, ward_ref whom, struct order order)
{
    CHECK_IS(ward_send_by(self, whom, &ORDER, &order, ward_in_ms(self, 20000)), WARD_OK);
}

static ward_down wait_down(ward_self *self, ward_ref whom)
{
    const ward_msg *msg;

    for (;;) {
        if (!CHECK_IS(ward_receive(self, &msg, ward_in_ms(self, 20000)), WARD_OK))
            return (ward_down){ 0 };
        if (ward_down_of(msg) && ward_same(ward_down_of(msg)->who, whom)) return *ward_down_of(msg);
    }
}

static ward_spec isolate(void)
{
    return (ward_spec){ .name = "iso",
        .handle = handle,
        .state_bytes = sizeof(struct state),
        .isolate = true,
        .restart = WARD_PERMANENT,
        .restarts_max = WARD_UNLIMITED,
        .backoff_ms = WARD_AT_ONCE };
}

struct stage {
    ward_ref sup, iso, other;
};

static struct stage set_up(ward_self *self, ward_spec spec)
{
    struct stage stage = { 0 };

    CHECK_IS(ward_spawn(self, &stage.sup,
                 &(ward_spec){
                     .name = "sup", .strategy = WARD_DYNAMIC, .restarts_max = WARD_UNLIMITED }),
        WARD_OK);
    CHECK_IS(ward_spawn_under(self, &stage.iso, stage.sup, &spec), WARD_OK);
    CHECK_IS(ward_spawn_under(self, &stage.other, stage.sup,
                 &(ward_spec){ .name = "other",
                     .handle = neighbour,
                     .state_bytes = sizeof(int64_t),
                     .restart = WARD_TEMPORARY }),
        WARD_OK);
    return stage;
}

static void tear_down(ward_self *self, struct stage stage)
{
    ward_cancel(self, stage.sup);
    CHECK_IS(ward_join(self, &stage.sup, 1, ward_in_ms(self, 20000)), WARD_OK);
}

static void test_messages(ward_self *self)
{
    struct stage stage = set_up(self, isolate());
    static const char *const list[] = { "a", "", NULL };
    ward_ref iso = stage.iso;

    CHECK_IS(ask(self, iso,
                 (struct order){
                     .what = ECHO, .number = 42, .text = "x", .list = list, .list_count = 3 }),
        42);
    for (int i = 0; i < 100; i++)
        tell(self, iso, (struct order){ .what = ADD, .number = 1 });
    CHECK_IS(ask(self, iso, (struct order){ .what = TOTAL }), 100);
    CHECK_IS(ask(self, iso, (struct order){ .what = REFUSE }), WARD_EUNAVAIL);
    CHECK_IS(ask(self, iso, (struct order){ .what = DROP }), WARD_ENOREPLY);
    CHECK_IS(ask(self, iso, (struct order){ .what = SPAWN }), WARD_ESTATE);
    CHECK_IS(ask(self, iso, (struct order){ .what = PLAIN, .ref = stage.other }), WARD_EINVAL);
    CHECK_IS(ask(self, iso, (struct order){ .what = SEND_ON, .number = 5, .ref = stage.other }), 0);
    CHECK_IS(ask(self, stage.other, (struct order){ .what = TOTAL }), 5);
    CHECK_IS(ask(self, iso, (struct order){ .what = FORWARD, .number = 9, .ref = stage.other }), 9);
    CHECK_IS(ask(self, iso, (struct order){ .what = SEND_ON, .number = 5, .ref = iso }), 0);
    CHECK_IS(ask(self, iso, (struct order){ .what = TOTAL }), 105);
    CHECK_IS(ask(self, iso, (struct order){ .what = PARENT, .ref = stage.sup }), 1);
    CHECK_IS(
        ask(self, iso, (struct order){ .what = FIND, .text = "../other", .ref = stage.other }), 1);
    CHECK_IS(ask(self, iso, (struct order){ .what = FIND, .text = "../nobody" }), 0);
    CHECK_IS(ask(self, iso, (struct order){ .what = ASK_ON, .ref = stage.other }), WARD_ESTATE);
    /* A tick is mail that nobody sent. */
    tell(self, iso, (struct order){ .what = TICK, .number = 7 });
    while (ask(self, iso, (struct order){ .what = TOTAL }) != 112)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    /* A DOWN finds its way in. */
    CHECK_IS(ask(self, iso, (struct order){ .what = MONITOR, .ref = stage.other }), WARD_OK);
    tell(self, stage.other, (struct order){ .what = STOP });
    while (ask(self, iso, (struct order){ .what = TOTAL }) != 1112)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    tear_down(self, stage);
}

/* In each way there is: the monitor is told how, the neighbour goes on, the ref lives. */
static void test_crashes(ward_self *self)
{
    static const int32_t how[] = { SEGV, ABORT, EXIT, FAIL };
    static const int signals[] = { SIGSEGV, SIGABRT, 0, 0 };
    struct stage stage = set_up(self, isolate());

    for (int i = 0; i < 4; i++) {
        ward_down down;
        CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = how[i] }), WARD_ENOREPLY);
        down = wait_down(self, stage.iso);
        CHECK_IS(down.reason, how[i] == FAIL ? WARD_BY_FAILURE : WARD_BY_CRASH);
        CHECK_IS(down.status, how[i] == FAIL ? WARD_EUSER : WARD_EFAIL);
        CHECK_IS(down.signal, signals[i]);
        CHECK_IS(down.exit_code, how[i] == EXIT ? 7 : 0);
        CHECK(!down.final);
        CHECK_IS(ask(self, stage.other, (struct order){ .what = ECHO, .number = i }), i);
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = i }), i);
    }
    tear_down(self, stage);
}

/* Given ahead: the one in hand is in doubt, the others are handled by the next, in order. */
static void test_ahead(ward_self *self)
{
    ward_spec spec = isolate();
    ward_totals before, after;
    struct stage stage;

    spec.state_bytes = sizeof(struct state);
    stage = set_up(self, spec);
    ward_census_totals(ward_node_of(self), &before, sizeof before);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 3; i++)
            tell(self, stage.iso, (struct order){ .what = ADD, .number = 1 });
        tell(self, stage.iso, (struct order){ .what = round % 2 ? SEGV : EXIT });
        for (int i = 0; i < 20; i++) /* more than is given ahead */
            tell(self, stage.iso, (struct order){ .what = ADD, .number = 1 });
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = TOTAL }), 20);
        tell(self, stage.iso, (struct order){ .what = FAIL });
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = TOTAL }), 0);
    }
    ward_census_totals(ward_node_of(self), &after, sizeof after);
    CHECK_IS(after.in_doubt - before.in_doubt, 40);
    CHECK_IS(after.dead_lettered - before.dead_lettered, 0);
    CHECK_IS(after.unaccounted, 0);
    tear_down(self, stage);
}

/* A mailbox of three: one in hand and three waiting, wherever they are. */
static void test_bound(ward_self *self)
{
    struct order order = { .what = ADD };
    ward_spec spec = isolate();
    struct stage stage;
    int accepted = 0;

    spec.mailbox_max = 3;
    spec.stuck_ms = 2000;
    spec.restart = WARD_TEMPORARY;
    stage = set_up(self, spec);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO }), 0);
    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    tell(self, stage.iso, (struct order){ .what = LOOP });
    for (int i = 0; i < 100 && accepted < 4; i++) { /* until the first has gone */
        accepted += ward_send(self, stage.iso, &ORDER, &order) == WARD_OK;
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    }
    CHECK_IS(accepted, 3);
    CHECK_IS(wait_down(self, stage.iso).reason, WARD_BY_STUCK);
    tear_down(self, stage);
}

static void test_kept(ward_self *self)
{
    struct stage stage = set_up(self, isolate());
    ward_totals before, after;

    ward_census_totals(ward_node_of(self), &before, sizeof before);
    tell(self, stage.iso, (struct order){ .what = KEEP });
    tell(self, stage.iso, (struct order){ .what = KEEP });
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 1 }), 1);
    ward_census_totals(ward_node_of(self), &after, sizeof after);
    CHECK_IS(after.kept - before.kept, 2);
    tell(self, stage.iso, (struct order){ .what = ANSWER_KEPT });
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 1 }), 1);
    ward_census_totals(ward_node_of(self), &after, sizeof after);
    CHECK_IS(after.kept - before.kept, 1);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = SEGV }), WARD_ENOREPLY);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 1 }), 1);
    ward_census_totals(ward_node_of(self), &after, sizeof after);
    CHECK_IS(after.kept, before.kept);
    CHECK_IS(after.in_doubt - before.in_doubt, 2);
    tear_down(self, stage);
}

/* A blob of that size there and back: inside a frame, or in a memfd. */
static void test_blob(ward_self *self, size_t count)
{
    struct stage stage = set_up(self, isolate());
    struct order order = { .what = BLOB };
    unsigned char *bytes = malloc(count);
    ward_blob *blob = NULL;
    const ward_msg *got = NULL;
    int64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += bytes[i] = (unsigned char)(i * 7);
    CHECK_IS(ward_blob_copy(self, &blob, (ward_bytes){ bytes, count }), WARD_OK);
    order.blob = blob;
    for (int i = 0; i < 20; i++) {
        ward_bytes back;
        if (!CHECK_IS(
                ward_ask(self, &got, stage.iso, &ORDER, &order, ward_in_ms(self, 20000)), WARD_OK))
            break;
        CHECK_IS(order_of(got)->number, sum);
        back = ward_blob_bytes(order_of(got)->blob);
        CHECK(back.count == count && memcmp(back.at, bytes, count) == 0);
    }
    ward_blob_drop(self, blob);
    free(bytes);
    tear_down(self, stage);
}

/* A loop ends by SIGKILL after stuck_ms, and so does a clean stop that does not come. */
static void test_stuck(ward_self *self, ward_spec spec)
{
    struct stage stage;
    ward_down down;

    spec.stuck_ms = 500;
    stage = set_up(self, spec);
    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = LOOP }), WARD_ENOREPLY);
    down = wait_down(self, stage.iso);
    CHECK_IS(down.reason, WARD_BY_STUCK);
    CHECK_IS(down.signal, SIGKILL);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 3 }), 3);
    tear_down(self, stage);
    spec.stuck_ms = WARD_UNLIMITED;
    spec.stop_ms = 100;
    stage = set_up(self, spec);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 4 }), 4);
    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    tell(self, stage.iso, (struct order){ .what = LOOP });
    ward_cancel(self, stage.iso);
    down = wait_down(self, stage.iso);
    CHECK(down.reason == WARD_BY_STUCK || down.reason == WARD_BY_CANCEL);
    CHECK(down.final);
    tear_down(self, stage);
}

static ward_spec isolated_body(const int64_t *base)
{
    ward_spec spec = isolate();

    spec.handle = NULL;
    spec.state_bytes = 0;
    spec.body = body;
    spec.arg = (void *)(uintptr_t)base;
    spec.arg_bytes = sizeof *base;
    return spec;
}

static void test_body(ward_self *self)
{
    static const int64_t base = 0;
    struct stage stage = set_up(self, isolated_body(&base));
    struct order sleep_long = { .what = SLEEP, .number = 60000 };
    const ward_msg *got;

    CHECK_IS(
        ask(self, stage.iso, (struct order){ .what = ASK_ON, .number = 4, .ref = stage.other }), 5);
    CHECK_IS(
        ask(self, stage.iso, (struct order){ .what = ASK_ON, .ref = stage.iso }), WARD_EDEADLK);
    CHECK_IS(
        ask(self, stage.iso, (struct order){ .what = ASK_ON, .ref = { 0, 9, 9 } }), WARD_EGONE);
    /* Whoever asked leaves: the wait inside ends, and it goes on with the next. */
    CHECK_IS(
        ward_ask(self, &got, stage.iso, &ORDER, &sleep_long, ward_in_ms(self, 20)), WARD_ETIMEDOUT);
    CHECK(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 1 }) % 1000 == 1);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = SLEEP, .number = 1 }), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = SEGV }), WARD_ENOREPLY);
        CHECK_IS(
            ask(self, stage.iso, (struct order){ .what = ASK_ON, .number = i, .ref = stage.other }),
            i + 1);
    }
    tear_down(self, stage);
}

static ward_status leaver(ward_self *self)
{
    struct order order = { .what = SLEEP, .number = 60000 };
    const ward_msg *got;

    return ward_ask(self, &got, *(const ward_ref *)ward_arg(self), &ORDER, &order, WARD_FOREVER);
}

/* An asker that is cancelled reaches the wait inside. */
static void test_abandoned(ward_self *self)
{
    static const int64_t base = 0;
    struct stage stage = set_up(self, isolated_body(&base));
    ward_ref asker;

    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO }), 0);
    CHECK_IS(ward_spawn(self, &asker,
                 &(ward_spec){ .body = leaver,
                     .arg = &stage.iso,
                     .arg_bytes = sizeof stage.iso,
                     .restart = WARD_TEMPORARY }),
        WARD_OK);
    CHECK_IS(ward_sleep(self, ward_in_ms(self, 50)), WARD_OK); /* sooner is right, too */
    ward_cancel(self, asker);
    CHECK(ask(self, stage.iso, (struct order){ .what = ECHO }) % 1000 == 0);
    tear_down(self, stage);
}

static bool lives(int64_t pid)
{
    return kill((pid_t)pid, 0) == 0;
}

/* What it has forked ends with it. */
static void test_grandchildren(ward_self *self)
{
    struct stage stage = set_up(self, isolate());
    int64_t pid = ask(self, stage.iso, (struct order){ .what = FORK });

    CHECK(pid > 0 && lives(pid));
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = SEGV }), WARD_ENOREPLY);
    while (lives(pid))
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    tear_down(self, stage);
}

static void test_limits(ward_self *self)
{
    ward_spec spec = isolate();
    struct stage stage;

    spec.isolate_files_max = 20;
    spec.isolate_bytes_max = (size_t)64 << 20;
    stage = set_up(self, spec);
    if (!WARD__TSAN && !WARD__ASAN) { /* which need terabytes */
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = MEMORY, .number = 1 << 20 }), 1);
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = MEMORY, .number = 128 << 20 }), 0);
    }
    CHECK(ask(self, stage.iso, (struct order){ .what = FILES }) < 20);
    tear_down(self, stage);
}

/* A process that waits takes over, each time. */
static void test_standby(ward_self *self)
{
    ward_spec spec = isolate();
    struct stage stage;

    spec.isolate_standby = true;
    stage = set_up(self, spec);
    for (int i = 0; i < 20; i++) {
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = EXIT }), WARD_ENOREPLY);
        CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = i }), i);
    }
    tear_down(self, stage);
}

/* What is queued is handled, or goes to dead letters; its clean stop is no failure. */
static void test_stop(ward_self *self, bool drain)
{
    ward_spec spec = isolate();
    struct stage stage;
    ward_totals before, after;
    ward_down down;

    spec.drain_on_stop = drain;
    stage = set_up(self, spec);
    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 1 }), 1);
    ward_census_totals(ward_node_of(self), &before, sizeof before);
    for (int i = 0; i < 100; i++)
        tell(self, stage.iso, (struct order){ .what = SEND_ON, .number = 1, .ref = stage.other });
    if (drain)
        ward_cancel(self, stage.iso);
    else
        ward_close_mail(self, stage.iso);
    down = wait_down(self, stage.iso);
    CHECK_IS(down.reason, drain ? WARD_BY_CANCEL : WARD_BY_CLOSE);
    CHECK(down.final);
    CHECK_IS(ward_join(self, &stage.iso, 1, ward_in_ms(self, 20000)), WARD_OK);
    CHECK_IS(ask(self, stage.other, (struct order){ .what = TOTAL }), 100);
    ward_census_totals(ward_node_of(self), &after, sizeof after);
    CHECK_IS(after.unaccounted, 0);
    CHECK_IS(after.dead_lettered, before.dead_lettered);
    tear_down(self, stage);
}

/* Cancelled with mail in its queue, or by itself. */
static void test_cancel(ward_self *self)
{
    struct stage stage = set_up(self, isolate());
    ward_totals totals;

    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    for (int i = 0; i < 500; i++)
        tell(self, stage.iso, (struct order){ .what = ADD, .number = 1 });
    ward_cancel(self, stage.iso);
    CHECK_IS(wait_down(self, stage.iso).reason, WARD_BY_CANCEL);
    CHECK_IS(ward_join(self, &stage.iso, 1, ward_in_ms(self, 20000)), WARD_OK);
    ward_census_totals(ward_node_of(self), &totals, sizeof totals);
    CHECK_IS(totals.unaccounted, 0);
    tear_down(self, stage);
    stage = set_up(self, isolate());
    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    tell(self, stage.iso, (struct order){ .what = CANCEL_ME });
    CHECK_IS(wait_down(self, stage.iso).reason, WARD_BY_CANCEL);
    tear_down(self, stage);
}

/* What cannot be one is refused when it is spawned. */
static void test_refused(ward_self *self)
{
    int64_t local = 0;
    ward_ref ref;
    ward_spec spec = isolate();

    spec.arg = &local;
    CHECK_IS(ward_spawn(self, &ref, &spec), WARD_EINVAL); /* a mere pointer */
    spec = isolate();
    spec.handle = neighbour;
    CHECK_IS(ward_spawn(self, &ref, &spec), WARD_EINVAL); /* not in the table */
    /* A type that is not in the table reaches nobody, and its asker is told. */
    static const ward_type other = WARD_TYPE_TEXT("other");
    struct stage stage = set_up(self, isolate());
    const ward_msg *got;
    CHECK_IS(ward_ask(self, &got, stage.iso, &other, "x", ward_in_ms(self, 20000)), WARD_EDENIED);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 1 }), 1);
    tear_down(self, stage);
}

static ward_status host(ward_self *self)
{
    static const int64_t base = 0;

    test_grandchildren(self);
    test_limits(self);
    test_standby(self);
    test_stop(self, true);
    test_stop(self, false);
    test_cancel(self);
    test_refused(self);

    test_messages(self);
    test_crashes(self);
    test_ahead(self);
    test_bound(self);
    test_kept(self);
    test_blob(self, 10);
    test_blob(self, 60000);
    test_blob(self, BIG);
    test_stuck(self, isolate());
    test_stuck(self, isolated_body(&base));
    test_body(self);
    test_abandoned(self);
    return WARD_OK;
}

int main(int argc, char **argv)
{
    ward_opts opts = { .table = &TABLE, .workers = 2 };

    ward_isolate_main(argc, argv, &TABLE);
    check_begin("isolate");
    (void)signal(SIGCHLD, on_child);
    CHECK_IS(ward_run(host, &opts), WARD_OK);
    CHECK_IS(children_told, 0);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    return check_end();
}
