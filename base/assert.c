/* SPDX-License-Identifier: MIT */
/*
 * assert.c - where a broken invariant ends: the user's hook, then abort. Any thread.
 */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/atomics.h"

typedef void fail_hook(void *arg, const char *site, const char *what);

static _Atomic(fail_hook *) the_hook;
static _Atomic(void *) the_arg;

void ward__assert_hook(fail_hook *hook, void *arg)
{
    ward__store(&the_arg, arg);
    ward__store_rel(&the_hook, hook);
}

void ward__fail(const char *site, const char *what)
{
    fail_hook *hook = ward__load_acq(&the_hook);

    if (hook)
        hook(ward__load(&the_arg), site, what);
    else
        fprintf(stderr, "ward: %s: assertion failed: %s\n", site, what);
    abort();
}
