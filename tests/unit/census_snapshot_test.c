/* SPDX-License-Identifier: MIT */
/*
 * census_snapshot_test.c - what a row says of an actor in each state of its life. In simulated
 * nodes: time is virtual, so what is asserted of it is exact. Threads race with a census in
 * tests/race/census.c.
 */
#include <ward/sim.h>

#include "tests/support/census_fixture.h"

static const char *asks_at, *receives_at, *sleeps_at, *sends_at, *finds_at, *spawns_at;

/* -- bodies and handlers that come to rest in one state ---------------------------------------- */

static ward_status keep_all(ward_self *self, const ward_msg *msg)
{
    ward_msg *kept;

    return ward_keep(self, &kept, msg);
}

static ward_status ignore(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    return WARD_OK;
}

static ward_status asks(ward_self *self)
{
    const ward_ref *whom = ward_arg(self);
    const ward_msg *answer;
    ward_deadline by = ward_in_ms(self, 5000);

    return NOTING(asks_at, ward_ask(self, &answer, *whom, &text_type, secret, by));
}

static ward_status receives(ward_self *self)
{
    const ward_msg *msg;

    return NOTING(receives_at, ward_receive(self, &msg, WARD_FOREVER));
}

static ward_status sleeps(ward_self *self)
{
    return NOTING(sleeps_at, ward_sleep(self, ward_in_ms(self, 60000)));
}

static ward_status finds(ward_self *self)
{
    ward_ref found;

    return NOTING(finds_at, ward_find(self, &found, "/nobody", ward_in_ms(self, 60000)));
}

static ward_status sends(ward_self *self)
{
    const ward_ref *whom = ward_arg(self);

    return NOTING(sends_at, ward_send_by(self, *whom, &text_type, secret, WARD_FOREVER));
}

static ward_status fails(ward_self *self)
{
    (void)self;
    return WARD_EFAIL;
}

static ward_status hangs(ward_self *self)
{
    return ward_sim_hang(self, WARD_UNLIMITED);
}

static ward_status ends_late(ward_self *self)
{
    ward_status rc = ward_sleep(self, WARD_FOREVER);

    return rc == WARD_ECANCELED ? ward_sim_hang(self, 1000) : rc; /* it is slow to stop */
}

/* -- what each waits for ----------------------------------------------------------------------- */

static ward_status look_at_waits(ward_self *self)
{
    ward_ref service = SPAWN(self, &(ward_spec){ .name = "service", .handle = keep_all });
    const ward_row *row;
    int64_t began = ward_now_ns(self);

    SPAWN(self, &(ward_spec){ .name = "asks", .body = asks, .arg = &service });
    SPAWN(self, &(ward_spec){ .name = "receives", .body = receives });
    SPAWN(self, &(ward_spec){ .name = "sleeps", .body = sleeps });
    SPAWN(self, &(ward_spec){ .name = "finds", .body = finds });
    pass_time(self, 1000);
    take_census(self);
    cr_expect_eq(ward_census_count(take), 6);

    row = row_at("/main/asks");
    cr_expect_eq(row->state, WARD_WAITING);
    cr_expect_str_eq(row->wait, "ask");
    cr_expect_str_eq(row->wait_site, asks_at);
    cr_expect(ward_same(row->waits_on, service));
    cr_expect(row->since_ns >= began && row->since_ns < began + 100000000);
    cr_expect(row->deadline_ns >= began + INT64_C(5000000000));
    cr_expect(row->deadline_ns < began + INT64_C(5100000000));
    row = row_at("/main/receives");
    cr_expect_str_eq(row->wait, "receive");
    cr_expect_str_eq(row->wait_site, receives_at);
    cr_expect_eq(row->deadline_ns, INT64_MAX);
    cr_expect_eq(row->waits_on.slot, 0);
    row = row_at("/main/sleeps");
    cr_expect_str_eq(row->wait, "sleep");
    cr_expect_str_eq(row->wait_site, sleeps_at);
    row = row_at("/main/finds");
    cr_expect_str_eq(row->wait, "find");
    cr_expect_str_eq(row->wait_site, finds_at);
    row = row_at("/main/service");
    cr_expect_eq(row->state, WARD_WAITING);
    cr_expect_str_eq(row->wait, "receive");
    cr_expect_str_eq(row->wait_site, "");
    row = row_at("/main");
    cr_expect_eq(row->state, WARD_RUNNING);
    cr_expect_str_eq(row->wait, "");
    ward_census_free(take);
    return WARD_OK;
}

Test(census, says_what_each_waits_for_where_and_until_when)
{
    run_simulated(look_at_waits);
}

static ward_status look_at_sender(ward_self *self)
{
    ward_ref full =
        SPAWN(self, &(ward_spec){ .name = "full", .handle = keep_all, .mailbox_max = 1 });
    const ward_row *row;

    for (int i = 0; i < 2; i++) { /* the first is kept, the second parks */
        SPAWN(self, &(ward_spec){ .body = sends, .arg = &full });
        pass_time(self, 100);
    }
    take_census(self);
    row = row_at("/main/full");
    cr_expect_eq(row->mail, 1);
    for (size_t i = 0; i < ward_census_count(take); i++) {
        row = ward_census_row(take, i);
        if (strcmp(row->wait, "send") != 0) continue;
        cr_expect_str_eq(row->wait_site, sends_at);
        cr_expect(ward_same(row->waits_on, full));
        ward_census_free(take);
        return WARD_OK;
    }
    cr_assert_fail("nobody waits for room");
    return WARD_OK;
}

Test(census, says_who_waits_for_room_and_at_whom)
{
    run_simulated(look_at_sender);
}

/* -- mailboxes --------------------------------------------------------------------------------- */

static ward_status look_at_mail(ward_self *self)
{
    char long_text[500];
    ward_ref kept, asleep;
    const ward_row *row;

    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    kept = SPAWN(self, &(ward_spec){ .name = "keeps", .handle = keep_all, .mailbox_max = 3 });
    asleep = SPAWN(self, &(ward_spec){ .name = "asleep", .body = sleeps, .mailbox_max = 2 });
    for (int i = 0; i < 5; i++) {
        ward_status rc = ward_send(self, asleep, &text_type, long_text);
        cr_expect_eq(rc, i < 2 ? WARD_OK : WARD_EFULL);
    }
    for (int i = 0; i < 3; i++)
        cr_expect_eq(ward_send(self, kept, &text_type, "short"), WARD_OK);
    pass_time(self, 100);
    take_census(self);

    row = row_at("/main/asleep");
    cr_expect_eq(row->mail, 2);
    cr_expect_eq(row->mail_max, 2);
    cr_expect_eq(row->refused, 3);
    cr_expect_eq(row->taken, 0);
    cr_expect_geq(row->mail_bytes, 1000);
    row = row_at("/main/keeps");
    cr_expect_eq(row->mail, 3);
    cr_expect_eq(row->kept, 3);
    cr_expect_eq(row->taken, 3);
    cr_expect_eq(row->refused, 0);
    ward_census_free(take);
    return WARD_OK;
}

Test(census, counts_what_a_mailbox_holds_and_refused)
{
    run_simulated(look_at_mail);
}

/* -- lives ------------------------------------------------------------------------------------- */

static ward_status look_at_tree(ward_self *self)
{
    ward_spec children[] = {
        { .name = "left", .handle = ignore },
        { .name = "right", .body = fails, .backoff_ms = 10000 },
    };
    ward_spec sup = { .name = "shop", .children = WARD_CHILDREN(children) };
    const ward_row *shop, *left, *right;

    NOTING(spawns_at, SPAWN(self, &sup));
    pass_time(self, 1000);
    take_census(self);
    shop = row_at("/main/shop");
    left = row_at("/main/shop/left");
    right = row_at("/main/shop/right");
    cr_expect(ward_same(left->parent, shop->ref));
    cr_expect(ward_same(shop->parent, row_at("/main")->ref));
    cr_expect_eq(row_at("/main")->parent.slot, 0);
    cr_expect_str_eq(left->spawn_site, spawns_at);
    cr_expect_str_eq(shop->spawn_site, spawns_at);
    cr_expect_eq(shop->state, WARD_WAITING);
    cr_expect_eq(shop->mail_max, 0);
    cr_expect_eq(left->incarnation, 1);
    cr_expect_eq(right->incarnation, 2);
    cr_expect_eq(right->state, WARD_BACKING_OFF);
    cr_expect_str_eq(right->wait, "");
    ward_census_free(take);
    return WARD_OK;
}

Test(census, shows_parents_sites_and_who_backs_off)
{
    run_simulated(look_at_tree);
}

static ward_status look_at_stopping(ward_self *self)
{
    ward_ref late = SPAWN(self, &(ward_spec){ .name = "late", .body = ends_late });
    int64_t told;

    SPAWN(self, &(ward_spec){ .name = "starts", .body = receives, .start = sleeps });
    pass_time(self, 100);
    told = ward_now_ns(self);
    ward_cancel(self, late);
    pass_time(self, 100);
    take_census(self);
    cr_expect_eq(row_at("/main/late")->state, WARD_STOPPING);
    cr_expect_geq(row_at("/main/late")->since_ns, told);
    cr_expect_eq(row_at("/main/starts")->state, WARD_STARTING);
    cr_expect_str_eq(row_at("/main/starts")->wait, "sleep");
    ward_census_free(take);
    return WARD_OK;
}

Test(census, shows_who_starts_and_who_stops)
{
    run_simulated(look_at_stopping);
}

static ward_status look_at_zombie(ward_self *self)
{
    ward_spec child[] = {
        { .name = "stuck", .body = hangs, .stuck_ms = 1000, .backoff_ms = 1000 }
    };
    ward_spec sup = { .name = "shop", .children = WARD_CHILDREN(child) };
    const ward_row *zombie = NULL;
    ward_totals totals;
    size_t zombies = 0;

    NOTING(spawns_at, SPAWN(self, &sup));
    pass_time(self, 1500);
    take_census(self);
    for (size_t i = 0; i < ward_census_count(take); i++) {
        const ward_row *row = ward_census_row(take, i);
        if (row->state != WARD_ZOMBIE) continue;
        zombie = row;
        zombies++;
    }
    cr_assert_eq(zombies, 1);
    cr_expect_str_eq(zombie->spawn_site, spawns_at);
    cr_expect_str_eq(zombie->path, "/main/shop/stuck");
    cr_expect_eq(zombie->incarnation, 1);
    cr_expect(ward_same(zombie->ref, row_at("/main/shop/stuck")->ref)); /* its successor's */
    cr_expect_eq(row_at("/main/shop/stuck")->incarnation, 2);
    ward_census_totals(ward_node_of(self), &totals, sizeof totals);
    cr_expect_eq(totals.zombies, 1);
    cr_expect_eq(totals.reaped, 1);
    ward_census_free(take);
    return WARD_OK;
}

Test(census, shows_a_zombie_beside_its_successor)
{
    ward_status rc = ward_run(look_at_zombie, &(ward_opts){ .sim_seed = 3 });

    cr_assert_eq(rc, WARD_ETIMEDOUT); /* it had to be left behind */
}

/* -- ownership, memory, mistakes --------------------------------------------------------------- */

Test(census, lives_longer_than_its_node)
{
    ward_node *node;
    ward_ref ref;

    cr_assert_eq(ward_open(&node, NULL), WARD_OK);
    cr_assert_eq(
        ward_spawn(ward_outside(node), &ref, &(ward_spec){ .name = "idle", .handle = ignore }),
        WARD_OK);
    cr_assert_eq(ward_census_take(node, &take), WARD_OK);
    cr_assert_eq(ward_close(node, NULL, WARD_FOREVER), WARD_OK);
    cr_expect_eq(ward_census_count(take), 1);
    cr_expect(ward_same(row_at("/idle")->ref, ref));
    free(write_census(WARD_AS_TEXT));
    ward_census_free(take);
}

/* Fails the n-th allocation and all after it, once armed. */
struct failing {
    int64_t left;
    bool armed;
    long blocks;
};

static void *allocate(void *hook, void *old, size_t old_bytes, size_t bytes)
{
    struct failing *failing = hook;

    (void)old_bytes;
    if (bytes == 0) {
        failing->blocks--;
        free(old);
        return NULL;
    }
    if (failing->armed && failing->left-- <= 0) return NULL;
    failing->blocks += old == NULL;
    return realloc(old, bytes);
}

static bool count_bytes(void *arg, const void *at, size_t bytes)
{
    (void)at;
    *(size_t *)arg += bytes;
    return true;
}

/* One census, in that form, with n allocations. */
static ward_status census_with(
    ward_node *node, struct failing *failing, int64_t n, ward_format form)
{
    ward_census *census;
    size_t bytes = 0;
    long before = failing->blocks;
    ward_status rc;

    failing->left = n;
    failing->armed = true;
    rc = ward_census_take(node, &census);
    if (!rc) {
        rc = ward_census_write(census, form, count_bytes, &bytes);
        ward_census_free(census);
    }
    failing->armed = false;
    cr_assert_eq(failing->blocks, before);
    cr_assert(rc == WARD_ENOMEM || bytes > 0);
    return rc;
}

Test(census, fails_cleanly_whenever_memory_does)
{
    struct failing failing = { 0 };
    ward_opts opts = { .sim_seed = 1, .hook = &failing, .alloc = allocate };
    ward_node *node;
    ward_ref ref;

    cr_assert_eq(ward_open(&node, &opts), WARD_OK);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(
            ward_spawn(ward_outside(node), &ref, &(ward_spec){ .handle = ignore }), WARD_OK);
    for (int form = WARD_AS_TEXT; form <= WARD_AS_MSGPACK; form++) {
        int64_t n = 0;
        while (n < 100 && census_with(node, &failing, n, (ward_format)form) == WARD_ENOMEM)
            n++;
        cr_expect(n > 3 && n < 100, "form %d needed %d allocations", form, (int)n);
    }
    cr_assert_eq(ward_close(node, NULL, WARD_FOREVER), WARD_OK);
    cr_expect_eq(failing.blocks, 0);
}

/* With so few slots no worker holds free ones. Puts another actor into the slot just when the
 * census has read the first one's fields, and makes room for its path. */
struct swapping {
    ward_node *node;
    ward_ref old;
    bool armed;
};

static void swap(struct swapping *swapping)
{
    ward_self *outside = ward_outside(swapping->node);
    ward_ref fresh;

    ward_cancel(outside, swapping->old);
    while (ward_send(outside, swapping->old, &text_type, "are you there?") != WARD_EGONE) {
    }
    do { /* its address is dead; the slot is free a little later */
        fresh = SPAWN(outside, &(ward_spec){ .name = "new", .handle = ignore, .mailbox_max = 4 });
        if (fresh.slot == swapping->old.slot) return;
        ward_cancel(outside, fresh);
    } while (true);
}

static void *allocate_and_swap(void *hook, void *old, size_t old_bytes, size_t bytes)
{
    struct swapping *swapping = hook;

    (void)old_bytes;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    if (swapping->armed && bytes > 60000) {
        swapping->armed = false;
        swap(swapping);
    }
    return realloc(old, bytes);
}

Test(census, never_mixes_two_actors_of_one_slot, .timeout = 50)
{
    struct swapping swapping = { 0 };
    const ward_row *row;

    cr_assert_eq(
        ward_open(&swapping.node,
            &(ward_opts){
                .hook = &swapping, .alloc = allocate_and_swap, .workers = 1, .actors_max = 64 }),
        WARD_OK);
    swapping.old = SPAWN(ward_outside(swapping.node),
        &(ward_spec){ .name = "old", .handle = ignore, .mailbox_max = 3 });
    swapping.armed = true;
    cr_assert_eq(ward_census_take(swapping.node, &take), WARD_OK);
    cr_assert_not(swapping.armed);
    row = ward_census_row(take, 0);
    cr_expect_str_eq(row->path, "/new");
    cr_expect_eq(row->mail_max, 4);
    cr_expect_eq(row->ref.slot, swapping.old.slot);
    cr_expect_neq(row->ref.life, swapping.old.life);
    ward_census_free(take);
    cr_assert_eq(ward_close(swapping.node, NULL, WARD_FOREVER), WARD_OK);
}

Test(census, refuses_nothing_at_all)
{
    ward_totals totals = { .spawned = 1 };

    cr_expect_eq(ward_census_take(NULL, &take), WARD_EINVAL);
    cr_expect_eq(ward_census_count(NULL), 0);
    cr_expect_null(ward_census_row(NULL, 0));
    cr_expect_eq(ward_census_write(NULL, WARD_AS_TEXT, keep_piece, NULL), WARD_EINVAL);
    ward_census_totals(NULL, &totals, sizeof totals);
    cr_expect_eq(totals.spawned, 0);
    ward_census_free(NULL);
}
