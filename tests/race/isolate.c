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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ward/census.h>
#include <ward/isolate.h>

#include "tests/support/isolate_fixture.h"

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
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ANSWER_AND_LOOP }), 1);
    ward_cancel(self, stage.iso);
    down = wait_down(self, stage.iso);
    CHECK_IS(down.reason, WARD_BY_STUCK);
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

/* Questions without a wait, many at once, also while as much as may be is given ahead. */
static void test_requests(ward_self *self)
{
    static const int64_t base = 0;
    struct stage stage = set_up(self, isolate());
    const ward_msg *got;
    ward_call call;

    tell(self, stage.iso, (struct order){ .what = REQUEST, .number = 5, .ref = stage.other });
    while (ask(self, stage.iso, (struct order){ .what = TOTAL }) != 100)
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 1)), WARD_OK);
    tell(self, stage.iso, (struct order){ .what = REQUEST, .ref = { 0, 9, 9 } });
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 1 }), 1);
    tear_down(self, stage);
    stage = set_up(self, isolated_body(&base));
    for (int i = 0; i < 50; i++) {
        struct order order = { .what = AWAIT, .number = 4, .ref = stage.other };
        CHECK_IS(
            ward_request(self, &call, stage.iso, &ORDER, &order, ward_in_ms(self, 20000)), WARD_OK);
    }
    for (int i = 0; i < 50; i++) {
        CHECK_IS(ward_await(self, &got, ward_in_ms(self, 20000)), WARD_OK);
        if (CHECK_IS(ward_status_of(got), WARD_OK)) CHECK_IS(order_of(got)->number, 8);
    }
    tear_down(self, stage);
}

/* Stopped as a whole, it cannot say that it is stuck. */
static void test_frozen(ward_self *self)
{
    ward_spec spec = isolate();
    struct stage stage;

    spec.stuck_ms = 500;
    stage = set_up(self, spec);
    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = FROZEN }), WARD_ENOREPLY);
    CHECK_IS(wait_down(self, stage.iso).reason, WARD_BY_STUCK);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = ECHO, .number = 3 }), 3);
    tear_down(self, stage);
}

/* Somebody kills the process that makes them: there is another. */
static void test_template(ward_self *self)
{
    struct stage stage = set_up(self, isolate());
    int64_t pid = ask(self, stage.iso, (struct order){ .what = PARENT_PID });

    CHECK_IS(ward_monitor(self, stage.iso), WARD_OK);
    CHECK_IS(kill((pid_t)pid, SIGKILL), 0);
    CHECK_IS(wait_down(self, stage.iso).reason, WARD_BY_CRASH);
    CHECK(ask(self, stage.iso, (struct order){ .what = PARENT_PID }) != pid);
    tear_down(self, stage);
}

/* What crashes it comes again as often as the spec says, before what waits, and is then poison. */
static void test_poison(ward_self *self)
{
    ward_spec spec = isolate();
    struct stage stage;
    ward_totals before, after;

    spec.redeliver = 2;
    stage = set_up(self, spec);
    ward_census_totals(ward_node_of(self), &before, sizeof before);
    tell(self, stage.iso, (struct order){ .what = SEGV });
    for (int i = 0; i < 5; i++)
        tell(self, stage.iso, (struct order){ .what = ADD, .number = 1 });
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = TOTAL }), 5);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = FAIL }), WARD_ENOREPLY);
    CHECK_IS(ask(self, stage.iso, (struct order){ .what = TOTAL }), 0);
    ward_census_totals(ward_node_of(self), &after, sizeof after);
    CHECK_IS(after.restarts - before.restarts, 6);
    CHECK_IS(after.dead_lettered - before.dead_lettered, 2);
    CHECK_IS(after.in_doubt, before.in_doubt);
    tear_down(self, stage);
    ward_census_totals(ward_node_of(self), &after, sizeof after);
    CHECK_IS(after.unaccounted, 0);
}

static ward_status host(ward_self *self)
{
    static const int64_t base = 0;

    test_poison(self);
    test_requests(self);
    test_frozen(self);
    test_template(self);
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
