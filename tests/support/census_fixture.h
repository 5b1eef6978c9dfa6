/* SPDX-License-Identifier: MIT */
/*
 * census_fixture.h - what the tests of the census share: a simulated run whose body may fail an
 * assertion, rows by path, and a census as text in memory. For one file of a program each.
 */
#ifndef WARD_TESTS_SUPPORT_CENSUS_FIXTURE_H
#define WARD_TESTS_SUPPORT_CENSUS_FIXTURE_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <ward/census.h>

#define UNUSED __attribute__((unused))

static const ward_type text_type UNUSED = WARD_TYPE_TEXT("test.text");

/* What must never be seen; sent as a value wherever one is needed. */
static const char secret[] UNUSED = "DOE^JANE^19700101";

static ward_census *take UNUSED;

UNUSED static void take_census(ward_self *self)
{
    cr_assert_eq(ward_census_take(ward_node_of(self), &take), WARD_OK);
}

UNUSED static const ward_row *row_at(const char *path)
{
    const ward_row *found = NULL;

    for (size_t i = 0; i < ward_census_count(take); i++) {
        const ward_row *row = ward_census_row(take, i);
        if (row->state == WARD_ZOMBIE || strcmp(row->path, path) != 0) continue;
        cr_assert_null(found, "two of %s", path);
        found = row;
    }
    cr_assert_not_null(found, "there is no %s", path);
    return found;
}

struct written {
    char *at;
    size_t bytes;
    size_t pieces_max; /* write returns false after so many; 0: never */
    size_t pieces;
};

UNUSED static bool keep_piece(void *arg, const void *at, size_t bytes)
{
    struct written *written = arg;

    if (written->pieces_max && written->pieces == written->pieces_max) return false;
    written->pieces++;
    written->at = realloc(written->at, written->bytes + bytes + 1);
    memcpy(written->at + written->bytes, at, bytes);
    written->bytes += bytes;
    written->at[written->bytes] = 0;
    return true;
}

/* The census taken last, in that form; the caller's to free. */
UNUSED static char *write_census(ward_format format)
{
    struct written written = { 0 };

    cr_assert_eq(ward_census_write(take, format, keep_piece, &written), WARD_OK);
    cr_assert_not_null(written.at);
    return written.at;
}

/* Runs a body in a simulated node: nothing in it depends on the machine. */
UNUSED static void run_simulated(ward_body *body)
{
    ward_status rc = ward_run(body, &(ward_opts){ .sim_seed = 7 });

    cr_assert_eq(rc, WARD_OK, "%s", ward_strerror(rc));
}

UNUSED static ward_ref spawn_one(ward_self *self, const ward_spec *spec, ward_site site)
{
    ward_ref ref;

    cr_assert_eq(ward_spawn_at(self, &ref, spec, site), WARD_OK);
    return ref;
}
#define SPAWN(self, ...) spawn_one((self), (__VA_ARGS__), WARD_HERE)

/* Notes "file:line" of a call, which must fit on one line with this. */
#define NOTING(at, call) ((at) = WARD_AT, (call))

UNUSED static void pass_time(ward_self *self, int64_t ms)
{
    cr_assert_eq(ward_sleep(self, ward_in_ms(self, ms)), WARD_OK);
}

#endif
