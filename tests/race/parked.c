/* SPDX-License-Identifier: MIT */
/*
 * parked.c - senders that park at full mailboxes: nobody hangs, nothing is lost or overtaken.
 *
 * Pairs with a bound of 1 pass three tokens for ever (four places, so there is always one free);
 * 64 producers send into bounds of 1, 4 and 64, some give up after a millisecond, some messages
 * bring bytes that fill the mailbox before its count does. The receiver is a body, a handler or a
 * blocking body, and between takes it sleeps, asks, or keeps what fills its mailbox. One asks what
 * is answered only when those it made room for have gone on. A lost
 * wake-up shows as a program that does not end.
 */
#include <string.h>

#include "tests/support/check.h"

enum { PRODUCERS = 64, PAIRS = 8, TOKENS = 3, HOPS = 20000, EACH = 240, TEXT_MAX = 90 };

static const ward_type TOKEN = WARD_TYPE_PLAIN("token", uint32_t);
static const ward_type ASK = WARD_TYPE_EMPTY("ask");
static const ward_type GO = WARD_TYPE_PLAIN("go", ward_ref);

struct parcel {
    uint32_t sender, number;
    const char *text; /* NULL: nothing lies beside it */
};
static const ward_field PARCEL_FIELDS[] = {
    WARD_FIELD(struct parcel, UINT, sender),
    WARD_FIELD(struct parcel, UINT, number),
    WARD_FIELD(struct parcel, TEXT, text),
};
static const ward_type PARCEL = WARD_TYPE("parcel", struct parcel, PARCEL_FIELDS);

/* -- pairs ------------------------------------------------------------------------------------- */

/* Gets its partner first, then passes each token on until one has no hops left. */
static ward_status pass_on(ward_self *self)
{
    const ward_msg *msg;
    ward_ref partner = { 0 };
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        const uint32_t *hops = ward_value(msg, &TOKEN);
        const ward_ref *go = ward_value(msg, &GO);
        uint32_t left;

        if (go) partner = *go;
        if (!hops) continue;
        left = *hops - 1;
        if (left == 0) return WARD_OK;
        rc = ward_send_by(self, partner, &TOKEN, &left, WARD_FOREVER);
        if (rc == WARD_EGONE || rc == WARD_ECLOSED) return WARD_OK; /* it got there first */
        CHECK_IS(rc, WARD_OK);
    }
    return rc;
}

static void run_pairs(ward_self *self, bool blocking)
{
    ward_spec spec = { .body = pass_on, .mailbox_max = 1, .blocking = blocking };
    int pairs = blocking ? 2 : PAIRS;
    ward_ref all[PAIRS][2];

    for (int i = 0; i < pairs; i++) {
        for (int k = 0; k < 2; k++)
            CHECK_IS(ward_spawn(self, &all[i][k], &spec), WARD_OK);
        for (int k = 0; k < 2; k++)
            CHECK_IS(ward_send(self, all[i][k], &GO, &all[i][!k]), WARD_OK);
        for (int k = 0; k < TOKENS; k++) {
            uint32_t hops = (uint32_t)(SCALED(blocking ? HOPS / 20 : HOPS) + k);
            ward_status rc = ward_send_by(self, all[i][k & 1], &TOKEN, &hops, WARD_FOREVER);
            /* The first ones may have come to their end already. */
            CHECK(rc == WARD_OK || rc == WARD_EGONE || rc == WARD_ECLOSED);
        }
    }
    for (int i = 0; i < pairs; i++)
        CHECK_IS(ward_join(self, all[i], 2, WARD_FOREVER), WARD_OK);
}

/* -- producers --------------------------------------------------------------------------------- */

enum habit { PLAIN, SLEEPS, ASKS, KEEPS };

struct shop {
    ward_ref to, echo;
    uint32_t bound, last[PRODUCERS];
    enum habit habit;
    bool is_patient;
    _Atomic uint32_t names; /* of producers */
    _Atomic uint64_t sent, given_up;
    uint64_t taken;
    ward_msg *kept[PRODUCERS];
    uint32_t kept_count;
};

static ward_status produce(ward_self *self)
{
    static const char dots[] =
        "......................................................................"
        "..............................";
    struct shop *shop = *(struct shop *const *)ward_arg(self);
    struct parcel parcel = { .sender = ward__add(&shop->names, 1), .number = 1 };

    for (uint32_t i = 0; i < SCALED(EACH); i++) {
        bool brief = !shop->is_patient && parcel.sender % 2;
        ward_status rc;

        parcel.text = i % 3 ? NULL : dots + sizeof dots - 1 - (i * 7 + parcel.sender) % TEXT_MAX;
        rc = ward_send_by(
            self, shop->to, &PARCEL, &parcel, brief ? ward_in_ms(self, 1) : WARD_FOREVER);
        if (rc == WARD_OK) {
            parcel.number++;
            ward__add(&shop->sent, 1);
        } else if (CHECK(brief) && CHECK_IS(rc, WARD_ETIMEDOUT)) {
            ward__add(&shop->given_up, 1);
        }
    }
    return WARD_OK;
}

static ward_status echo(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &ASK, NULL);
}

static void note(struct shop *shop, const ward_msg *msg)
{
    const struct parcel *parcel = ward_value(msg, &PARCEL);

    if (!CHECK(parcel != NULL)) return;
    CHECK_IS(parcel->number, shop->last[parcel->sender] + 1);
    if (parcel->text) CHECK(strspn(parcel->text, ".") == strlen(parcel->text));
    shop->last[parcel->sender] = parcel->number;
    shop->taken++;
}

/* What fills the mailbox is given back when it is full of it. */
static void keep(ward_self *self, struct shop *shop, const ward_msg *msg)
{
    uint32_t most = shop->bound < 16 ? shop->bound : 16;

    CHECK_IS(ward_keep(self, &shop->kept[shop->kept_count++], msg), WARD_OK);
    if (shop->kept_count < most) return;
    while (shop->kept_count > 0)
        ward_drop(self, shop->kept[--shop->kept_count]);
}

static ward_status consume_one(ward_self *self, const ward_msg *msg)
{
    struct shop *shop = *(struct shop *const *)ward_arg(self);

    note(shop, msg);
    if (shop->habit == KEEPS) keep(self, shop, msg);
    return WARD_OK;
}

static ward_status consume(ward_self *self)
{
    struct shop *shop = *(struct shop *const *)ward_arg(self);
    const ward_msg *msg, *answer;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        note(shop, msg);
        if (shop->habit == KEEPS) keep(self, shop, msg);
        if (shop->habit == SLEEPS && shop->taken % 64 == 0)
            rc = ward_sleep(self, ward_in_ms(self, 1));
        if (shop->habit == ASKS)
            CHECK_IS(ward_ask(self, &answer, shop->echo, &ASK, NULL, WARD_FOREVER), WARD_OK);
        if (rc) break;
    }
    return rc;
}

static void run_shop(ward_self *self, ward_spec receiver, uint32_t bound, enum habit habit)
{
    static struct shop shop;
    struct shop *at = &shop;
    ward_ref producers[PRODUCERS];

    memset(&shop, 0, sizeof shop);
    shop.bound = bound;
    shop.habit = habit;
    shop.is_patient = habit == PLAIN;
    receiver.arg = &at;
    receiver.arg_bytes = sizeof at;
    receiver.mailbox_max = bound;
    receiver.mailbox_bytes = habit == KEEPS ? 4096 : 300; /* all that is kept must fit */
    CHECK_IS(ward_spawn(self, &shop.echo, &(ward_spec){ .handle = echo }), WARD_OK);
    CHECK_IS(ward_spawn(self, &shop.to, &receiver), WARD_OK);
    for (int i = 0; i < PRODUCERS; i++)
        CHECK_IS(ward_spawn(self, &producers[i],
                     &(ward_spec){ .body = produce, .arg = &at, .arg_bytes = sizeof at }),
            WARD_OK);
    CHECK_IS(ward_join(self, producers, PRODUCERS, WARD_FOREVER), WARD_OK);
    ward_close_mail(self, shop.to);
    CHECK_IS(ward_join(self, &shop.to, 1, WARD_FOREVER), WARD_OK);
    ward_cancel(self, shop.echo);
    CHECK_IS(ward_join(self, &shop.echo, 1, WARD_FOREVER), WARD_OK);
    CHECK_IS(shop.taken, shop.sent);
    CHECK_IS(shop.sent + shop.given_up, (uint64_t)SCALED(EACH) * PRODUCERS);
    printf("bound %u, habit %d: %llu taken, %llu given up\n", bound, (int)habit,
        (unsigned long long)shop.taken, (unsigned long long)shop.given_up);
}

/* -- handlers, which cannot wait --------------------------------------------------------------- */

static ward_status send_from_handler(ward_self *self, const ward_msg *msg)
{
    ward_ref full = *(const ward_ref *)ward_arg(self);
    ward_deadline by = ward_in_ms(self, 1000);

    (void)msg;
    CHECK_IS(ward_send_by(self, full, &ASK, NULL, by), WARD_OK); /* there is room */
    CHECK_IS(ward_send_by(self, full, &ASK, NULL, by), WARD_ESTATE);
    CHECK_IS(ward_sleep(self, WARD_NOW), WARD_OK);
    CHECK_IS(ward_sleep(self, by), WARD_ESTATE);
    return WARD_STOP;
}

static ward_status never_receive(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static void run_handler(ward_self *self)
{
    ward_ref full, sender;

    CHECK_IS(
        ward_spawn(self, &full, &(ward_spec){ .body = never_receive, .mailbox_max = 1 }), WARD_OK);
    CHECK_IS(
        ward_spawn(self, &sender,
            &(ward_spec){ .handle = send_from_handler, .arg = &full, .arg_bytes = sizeof full }),
        WARD_OK);
    CHECK_IS(ward_send(self, sender, &ASK, NULL), WARD_OK);
    CHECK_IS(ward_join(self, &sender, 1, WARD_FOREVER), WARD_OK);
    ward_cancel(self, full);
    CHECK_IS(ward_join(self, &full, 1, WARD_FOREVER), WARD_OK);
}

static ward_status run_all(ward_self *self)
{
    static const uint32_t bounds[] = { 1, 4, 64 };

    run_pairs(self, false);
    run_pairs(self, true);
    run_handler(self);
    for (size_t i = 0; i < WARD_COUNT(bounds); i++) {
        for (int habit = PLAIN; habit <= KEEPS; habit++)
            run_shop(self, (ward_spec){ .body = consume }, bounds[i], (enum habit)habit);
        run_shop(self, (ward_spec){ .handle = consume_one }, bounds[i], PLAIN);
        run_shop(self, (ward_spec){ .handle = consume_one }, bounds[i], KEEPS);
        run_shop(self, (ward_spec){ .handle = consume_one, .blocking = true }, bounds[i], PLAIN);
        run_shop(self, (ward_spec){ .body = consume, .blocking = true }, bounds[i], ASKS);
        run_shop(self, (ward_spec){ .body = consume, .blocking = true }, bounds[i], KEEPS);
    }
    return WARD_OK;
}

/* -- room that is made before a wait ----------------------------------------------------------- */

enum { ROOM = 8, TAKES = 20 };

static _Atomic uint32_t sent_on;

static ward_status send_on(ward_self *self)
{
    uint32_t number = 0;
    ward_status rc = WARD_OK;

    for (; !rc; number++) {
        rc = ward_send_by(self, ward_parent(self), &TOKEN, &number, WARD_FOREVER);
        if (!rc) ward__add(&sent_on, 1);
    }
    return rc == WARD_ECANCELED ? WARD_OK : rc;
}

/* Answers when so many were sent. */
static ward_status await_sender(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    while (!(rc = ward_receive(self, &msg, WARD_FOREVER))) {
        uint32_t wanted = *(const uint32_t *)ward_value(msg, &TOKEN);
        while (!rc && atomic_load(&sent_on) < wanted)
            rc = ward_sleep(self, ward_in_ms(self, 1));
        if (!rc) CHECK_IS(ward_reply(self, msg, &ASK, NULL), WARD_OK);
    }
    return WARD_OK;
}

/* Takes two, of which the second need not be served at once, and waits for what can only happen if
 * it is before the wait. */
static ward_status take_two_and_ask(ward_self *self)
{
    ward_ref sender, helper;
    const ward_msg *msg;
    uint32_t taken = 0, wanted;

    CHECK_IS(ward_spawn(self, &helper, &(ward_spec){ .body = await_sender }), WARD_OK);
    CHECK_IS(ward_spawn(self, &sender, &(ward_spec){ .body = send_on }), WARD_OK);
    while (taken < TAKES) {
        wanted = ROOM + taken;
        CHECK_IS(ward_ask(self, &msg, helper, &TOKEN, &wanted, ward_in_ms(self, 20000)), WARD_OK);
        for (int i = 0; i < 2; i++, taken++)
            CHECK_IS(ward_receive(self, &msg, WARD_FOREVER), WARD_OK);
    }
    return WARD_OK;
}

static ward_status run_settle(ward_self *self)
{
    ward_ref ref;
    ward_spec spec = { .body = take_two_and_ask, .mailbox_max = ROOM };

    CHECK_IS(ward_spawn_at(self, &ref, &spec, WARD_HERE), WARD_OK);
    return ward_join(self, &ref, 1, WARD_FOREVER);
}

int main(void)
{
    check_begin("parked");
    CHECK_IS(ward_run(run_all, &(ward_opts){ .workers = 2 }), WARD_OK);
    CHECK_IS(ward_run(run_settle, &(ward_opts){ .workers = 1 }), WARD_OK);
    return check_end();
}
