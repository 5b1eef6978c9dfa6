/* SPDX-License-Identifier: MIT */
/*
 * assert.h - asserts that stay on in release: they are for ward's own mistakes, never for a
 * user's, which are a ward_status. One hook, process-wide by nature, because an invariant may
 * break where no node is at hand; without one the process aborts.
 */
#ifndef WARD_BASE_ASSERT_H
#define WARD_BASE_ASSERT_H

#define WARD__STR_(x) #x
#define WARD__STR(x) WARD__STR_(x)

/* clang-format off */
#define ward__assert(condition) \
    (__builtin_expect(!!(condition), 1) \
        ? (void)0 : ward__fail(__FILE__ ":" WARD__STR(__LINE__), #condition))
/* clang-format on */

/* Calls the hook; aborts when there is none or when it returns. */
_Noreturn void ward__fail(const char *site, const char *what);

/* The hook of the node opened last; the arguments are ward_opts.on_assert and ward_opts.hook. */
void ward__assert_hook(void (*hook)(void *arg, const char *site, const char *what), void *arg);

#endif
