/* SPDX-License-Identifier: MIT */
/*
 * census.c - censuses and totals are taken in a loop, from two threads that are no actors, while
 * actors are spawned and end, send, ask, keep, time out, fail, and are restarted. A census must
 * never mix two actors, nor name one that cannot be; and when all is at rest the books add up to
 * the message. Ends by itself.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <ward/census.h>

#include "tests/support/check.h"

enum { CHURNERS = 8, ROUNDS = 5000, CENSUSES_MIN = 50 };

static const ward_type text_type = WARD_TYPE_TEXT("race.text");
static _Atomic bool over;
static _Atomic long censuses, rows;
static _Atomic(const char *) odd_at, even_at;

#define NOTING(at, call) (atomic_store(&(at), WARD_AT), (call))

/* -- what goes on meanwhile -------------------------------------------------------------------- */

/* Answers, keeps and drops, fails now and then: before what it keeps fills its mailbox. */
static ward_status serve(ward_self *self, const ward_msg *msg)
{
    uint64_t chance = ward_random(self) % 64;
    ward_msg *kept;
    ward_status rc;

    if (chance < 3) return WARD_EFAIL;
    if (chance < 8) {
        rc = ward_keep(self, &kept, msg);
        if (!rc && chance > 3) ward_drop(self, kept);
        return rc;
    }
    return chance < 16 ? WARD_OK : ward_reply(self, msg, &text_type, "yes");
}

static ward_status short_life(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, ward_in_ms(self, (int64_t)(ward_random(self) % 3)));

    return rc == WARD_ETIMEDOUT ? WARD_OK : rc;
}

/* Two kinds take turns in the same slots; each has a name, a bound and a line of its own. */
static ward_status spawn_short(ward_self *self, ward_ref *out, int i)
{
    ward_spec odd = { .name = "odd", .body = short_life, .mailbox_max = 3 };
    ward_spec even = { .name = "even", .body = short_life, .mailbox_max = 4 };

    odd.restart = even.restart = WARD_TEMPORARY;
    if (i % 2) return NOTING(odd_at, ward_spawn(self, out, &odd));
    return NOTING(even_at, ward_spawn(self, out, &even));
}

/* One of the things that may go wrong without being wrong. */
static bool usual(ward_status rc)
{
    return rc == WARD_OK || rc == WARD_ETIMEDOUT || rc == WARD_ENOREPLY || rc == WARD_EFULL ||
           rc == WARD_EGONE || rc == WARD_ECLOSED || rc == WARD_EDEADLK;
}

static ward_status churn(ward_self *self)
{
    const ward_ref *service = ward_arg(self);
    ward_status rc = WARD_OK;

    for (int i = 0; i < SCALED(ROUNDS); i++) {
        const ward_msg *answer;
        ward_ref child;
        rc = spawn_short(self, &child, i);
        if (!CHECK_IS(rc, WARD_OK)) return rc;
        CHECK(usual(ward_send(self, child, &text_type, "hello")));
        CHECK(usual(ward_send_by(self, *service, &text_type, "hello", ward_in_ms(self, 2))));
        rc = ward_ask(self, &answer, *service, &text_type, "well?", ward_in_ms(self, 5));
        CHECK(usual(rc));
        if (i % 16 == 0) ward_cancel(self, child);
    }
    return WARD_OK;
}

static ward_status program(ward_self *self)
{
    ward_spec child[] = { { .name = "service",
        .handle = serve,
        .mailbox_max = 16,
        .restarts_max = WARD_UNLIMITED,
        .backoff_ms = 1,
        .backoff_max_ms = 1 } };
    ward_ref sup, service, churners[CHURNERS];
    ward_totals totals;
    ward_status rc;

    rc = ward_spawn(self, &sup,
        &(ward_spec){
            .name = "sup", .children = WARD_CHILDREN(child), .restarts_max = WARD_UNLIMITED });
    if (!rc) rc = ward_find(self, &service, "sup/service", ward_in_ms(self, 5000));
    for (int i = 0; !rc && i < CHURNERS; i++)
        rc = ward_spawn(self, &churners[i],
            &(ward_spec){ .body = churn, .arg = &service, .restart = WARD_TEMPORARY });
    if (!rc) rc = ward_join(self, churners, CHURNERS, ward_in_ms(self, 100000));
    while (!rc && atomic_load(&censuses) < CENSUSES_MIN)
        rc = ward_sleep(self, ward_in_ms(self, 1));
    ward_cancel(self, sup);
    if (!rc) rc = ward_join(self, &sup, 1, ward_in_ms(self, 10000));
    CHECK_IS(rc, WARD_OK);
    ward_census_totals(ward_node_of(self), &totals, sizeof totals);
    CHECK_IS(totals.unaccounted, 0);
    CHECK_IS(totals.queued + totals.in_hand + totals.kept, 0);
    CHECK_IS(totals.live, 1);
    CHECK_IS(totals.spawned, totals.ended + totals.live);
    CHECK(totals.accepted > 0 && totals.handled > 0 && totals.restarts > 0);
    atomic_store(&over, true);
    return rc;
}

/* -- who looks --------------------------------------------------------------------------------- */

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static bool spawned_at(const ward_row *row, _Atomic(const char *) *at)
{
    const char *site = atomic_load(at);

    return site && strcmp(row->spawn_site, site) == 0;
}

/* Nothing of one actor is in the row of another. */
static void check_identity(const ward_row *row)
{
    bool odd = spawned_at(row, &odd_at), even = spawned_at(row, &even_at);

    CHECK_IS(ends_in(row->path, "/odd"), odd);
    CHECK_IS(ends_in(row->path, "/even"), even);
    if (odd || even) {
        CHECK_IS(row->mail_max, odd ? 3 : 4);
        CHECK(strncmp(row->path, "/main/#", 7) == 0); /* its parent has no name */
        CHECK_IS(row->incarnation, 1);
    } else {
        CHECK(strcmp(row->path, "/main") == 0 || strcmp(row->path, "/main/sup") == 0 ||
              strcmp(row->path, "/main/sup/service") == 0 || !strchr(row->path + 6, '/'));
    }
}

static void check_row(const ward_row *row)
{
    if (row->state != WARD_ZOMBIE) check_identity(row);
    CHECK(row->state <= WARD_ZOMBIE);
    CHECK(row->mail <= row->mail_max);
    CHECK(row->incarnation >= 1);
    CHECK(strcmp(row->spawn_site, "main") == 0 || strstr(row->spawn_site, "census.c:"));
    CHECK(!*row->wait_site || strstr(row->wait_site, "census.c:"));
}

static bool count_bytes(void *arg, const void *at, size_t bytes)
{
    (void)at;
    *(size_t *)arg += bytes;
    return true;
}

static void *look(void *arg)
{
    ward_node *node = arg;
    struct timespec breath = { .tv_nsec = 100000 }; /* else two lookers are all that runs */

    for (; !atomic_load(&over); nanosleep(&breath, NULL)) {
        ward_census *census;
        ward_totals totals;
        size_t bytes = 0;
        if (!CHECK_IS(ward_census_take(node, &census), WARD_OK)) break;
        for (size_t i = 0; i < ward_census_count(census); i++)
            check_row(ward_census_row(census, i));
        CHECK_IS(ward_census_write(
                     census, (ward_format)(atomic_load(&censuses) % 4), count_bytes, &bytes),
            WARD_OK);
        CHECK(bytes > 0);
        atomic_fetch_add(&rows, (long)ward_census_count(census));
        atomic_fetch_add(&censuses, 1);
        ward_census_free(census);
        ward_census_totals(node, &totals, sizeof totals);
    }
    return NULL;
}

/* -- since when -------------------------------------------------------------------------------- */

enum { TURN_MS = 300 };

static ward_status work_then_sleep(ward_self *self)
{
    int64_t *began_ns = ward_arg(self), until = ward_now_ns(self) + TURN_MS * INT64_C(1000000);

    while (ward_now_ns(self) < until) {
    }
    *began_ns = ward_now_ns(self);
    return ward_sleep(self, ward_in_ms(self, 60000));
}

/* A sleep after a long turn began when the turn was over, to about 10 ms. */
static ward_status run_since(ward_self *self)
{
    static int64_t began_ns;
    ward_census *census;
    ward_ref ref;
    bool seen = false;

    CHECK_IS(
        ward_spawn(self, &ref, &(ward_spec){ .body = work_then_sleep, .arg = &began_ns }), WARD_OK);
    while (!seen) {
        CHECK_IS(ward_sleep(self, ward_in_ms(self, 10)), WARD_OK);
        if (!CHECK_IS(ward_census_take(ward_node_of(self), &census), WARD_OK)) break;
        for (size_t i = 0; i < ward_census_count(census); i++) {
            const ward_row *row = ward_census_row(census, i);
            if (!ward_same(row->ref, ref) || row->state != WARD_WAITING) continue;
            seen = true;
            CHECK(row->since_ns > began_ns - TURN_MS * INT64_C(1000000) / 4);
        }
        ward_census_free(census);
    }
    return WARD_OK;
}

int main(void)
{
    pthread_t lookers[2];
    ward_node *node;
    ward_ref main_actor;

    check_begin("censuses while actors come and go");
    node = check_open(&(ward_opts){ .workers = 3 });
    for (int i = 0; i < 2; i++)
        if (pthread_create(&lookers[i], NULL, look, node)) return 1;
    CHECK_IS(ward_spawn(ward_outside(node), &main_actor,
                 &(ward_spec){ .name = "main", .body = program, .restart = WARD_TEMPORARY }),
        WARD_OK);
    for (int i = 0; i < 2; i++)
        pthread_join(lookers[i], NULL);
    check_close(node);
    printf("%ld censuses, %ld rows\n", atomic_load(&censuses), atomic_load(&rows));
    CHECK_IS(ward_run(run_since, &(ward_opts){ .workers = 1 }), WARD_OK);
    return check_end();
}
