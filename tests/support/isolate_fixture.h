/* SPDX-License-Identifier: MIT */
/*
 * isolate_fixture.h - an isolate that does what it is told, in all ways an actor can and in all
 * ways a process can die, and a stage for it: a supervisor above, a neighbour beside.
 *
 * Header only, for one file of a program.
 */
#ifndef WARD_TESTS_SUPPORT_ISOLATE_FIXTURE_H
#define WARD_TESTS_SUPPORT_ISOLATE_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
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
    BLOB,
    REQUEST,
    AWAIT,
    FROZEN,
    PARENT_PID,
    ANSWER_AND_LOOP
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

/* Two questions at once; who is awaited may be behind mail that waits. */
static ward_status await_on(ward_self *self, const ward_msg *msg, const struct order *order)
{
    struct order out = { .what = ECHO, .number = order->number };
    const ward_msg *got = NULL;
    ward_call calls[2];
    int64_t sum = 0;

    for (int i = 0; i < 2; i++)
        if (ward_request(self, &calls[i], order->ref, &ORDER, &out, ward_in_ms(self, 20000)))
            return WARD_EFAIL;
    for (int i = 0; i < 2; i++) {
        ward_status rc = ward_await(self, &got, ward_in_ms(self, 20000));
        if (!rc) rc = ward_status_of(got);
        sum += rc ? rc : order_of(got)->number;
    }
    return answer(self, msg, sum);
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
    case REQUEST: {
        struct order out = { .what = ECHO, .number = order->number };
        ward_call call;
        for (int i = 0; i < 20; i++)
            if (ward_request(self, &call, order->ref, &ORDER, &out, ward_in_ms(self, 20000)))
                return WARD_EFAIL;
        return WARD_OK;
    }
    case ANSWER_AND_LOOP:
        (void)answer(self, msg, 1);
        die(LOOP);
        return WARD_OK;
    case FROZEN: return raise(SIGSTOP) ? WARD_EFAIL : WARD_OK;
    case PARENT_PID: return answer(self, msg, getppid());
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
    if (ward_kind_of(msg) == WARD_ANSWER) {
        state->total += ward_status_of(msg) ? 1000000 : order->number;
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
        case ANSWER_AND_LOOP:
            (void)answer(self, msg, 1);
            die(LOOP);
            break;
        case AWAIT: (void)await_on(self, msg, order); break;
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

#endif
