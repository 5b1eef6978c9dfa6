/* SPDX-License-Identifier: MIT */
/*
 * check.h - what plain mains share: checks that count instead of stopping, so that threads may
 * fail too; a bound on the time of the whole program; sizes that shrink under a sanitizer.
 *
 * Header only, for one file of a program. The two statics are that file's.
 */
#ifndef WARD_TESTS_SUPPORT_CHECK_H
#define WARD_TESTS_SUPPORT_CHECK_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <ward/ward.h>

#include "base/atomics.h"

#define MAYBE_UNUSED __attribute__((unused))

/* A twentieth under a sanitizer, so that each program takes seconds everywhere. */
#define SCALED(n) (WARD__TSAN || WARD__ASAN ? ((n) + 19) / 20 : (n))

/* A hang is a failure: SIGALRM ends the program. */
enum { CHECK_SECONDS = 110 };

static _Atomic int check_failures;

MAYBE_UNUSED static bool check_is(long long got, long long want, const char *at, const char *what)
{
    if (got == want) return true;
    if (atomic_fetch_add(&check_failures, 1) < 20)
        fprintf(stderr, "%s: %s: %lld, not %lld\n", at, what, got, want);
    return false;
}

/* Both are true when the check holds; the second shows a status or a count. */
#define CHECK(condition) check_is((condition) ? 1 : 0, 1, WARD_AT, #condition)
#define CHECK_IS(got, want) check_is((long long)(got), (long long)(want), WARD_AT, #got)

MAYBE_UNUSED static void check_begin(const char *name)
{
    alarm(CHECK_SECONDS);
    printf("%s\n", name);
    fflush(stdout);
}

MAYBE_UNUSED static int check_end(void)
{
    int failures = atomic_load(&check_failures);

    if (failures) fprintf(stderr, "%d checks failed\n", failures);
    return failures ? 1 : 0;
}

/* Opens a node or ends the program: nothing can be tested without. */
MAYBE_UNUSED static ward_node *check_open(const ward_opts *opts)
{
    ward_node *node = NULL;

    if (!CHECK_IS(ward_open_sized(&node, opts, sizeof *opts), WARD_OK)) _exit(1);
    return node;
}

/* Closes a node from which nobody is to be left behind. */
MAYBE_UNUSED static void check_close(ward_node *node)
{
    size_t abandoned = 0;

    CHECK_IS(ward_close(node, &abandoned, ward_in_ms(ward_outside(node), 20000)), WARD_OK);
    CHECK_IS(abandoned, 0);
}

#endif
