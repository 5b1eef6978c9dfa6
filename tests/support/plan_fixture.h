/* SPDX-License-Identifier: MIT */
/*
 * plan_fixture.h - a supervisor's plan in words: tells it what happened, and says what it wants
 * done as one line of text. Header only, for Criterion tests.
 */
#ifndef WARD_TESTS_SUPPORT_PLAN_FIXTURE_H
#define WARD_TESTS_SUPPORT_PLAN_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/plan.h"

#define MAYBE_UNUSED __attribute__((unused))

struct fixture {
    struct ward__heap heap;
    struct ward__plan plan;
    char done[512];
};

static const struct ward__limits usual = {
    .restarts_max = 5, .window_ns = 1000, .backoff_ns = 10, .backoff_max_ns = 100
};

/* kinds: a letter a child: p, t (transient), o (temporary: once); T, O: and significant. */
MAYBE_UNUSED static void set_up(struct fixture *f, ward_strategy strategy, const char *kinds,
    const struct ward__limits *limits, const struct ward__limits *child_limits)
{
    uint32_t count = (uint32_t)strlen(kinds);

    memset(f, 0, sizeof *f);
    ward__heap_init(&f->heap, NULL, NULL, SIZE_MAX);
    cr_assert(ward__plan_init(&f->plan, &f->heap, strategy, count, limits));
    for (uint32_t k = 0; k < count; k++) {
        ward_restart kind = kinds[k] == 'p'                      ? WARD_PERMANENT
                            : kinds[k] == 't' || kinds[k] == 'T' ? WARD_TRANSIENT
                                                                 : WARD_TEMPORARY;
        cr_assert(ward__plan_child_init(&f->plan.children[k], &f->heap, kind, child_limits));
        f->plan.children[k].significant = kinds[k] == 'T' || kinds[k] == 'O';
    }
}

static void tear_down(struct fixture *f)
{
    ward__plan_free(&f->plan, &f->heap);
    cr_assert_eq(ward__load(&f->heap.bytes), 0);
}

static void note(struct fixture *f, const struct ward__action *action)
{
    static const char *const names[] = { "none", "start", "cancel", "forget", "timer", "started",
        "end" };
    size_t at = strlen(f->done);
    char *out = f->done + at;
    size_t room = sizeof f->done - at;
    const char *name = names[action->act], *gap = at ? ", " : "";

    if (action->act == WARD__ACT_TIMER)
        snprintf(out, room, "%s%s %lld", gap, name, (long long)action->at_ns);
    else if (action->act == WARD__ACT_STARTED)
        snprintf(out, room, "%s%s", gap, name);
    else if (action->act == WARD__ACT_END)
        snprintf(out, room, "%s%s %s", gap, name,
            action->reason == WARD_BY_LIMIT && action->status == WARD_EFAIL        ? "limit"
            : action->reason == WARD_BY_CANCEL && action->status == WARD_ECANCELED ? "cancel"
            : action->reason == WARD_BY_RETURN && action->status == WARD_OK        ? "well"
            : action->reason == WARD_BY_CHILD && action->status == WARD_EFAIL      ? "child"
                                                                                   : "?");
    else
        snprintf(out, room, "%s%s %u", gap, name, (unsigned)action->child);
}

/* All that the plan wants done now. */
MAYBE_UNUSED static const char *wants(struct fixture *f, int64_t now_ns)
{
    struct ward__action action;

    f->done[0] = '\0';
    for (int i = 0; i < 32 && ward__plan_next(&f->plan, now_ns, &action); i++)
        note(f, &action);
    return f->done;
}

MAYBE_UNUSED static const char *up(struct fixture *f, uint32_t k, int64_t now_ns)
{
    ward__plan_event(&f->plan, WARD__EV_CHILD_STARTED, k, WARD__END_NORMAL, now_ns);
    return wants(f, now_ns);
}

MAYBE_UNUSED static const char *ended(
    struct fixture *f, uint32_t k, enum ward__end how, int64_t now_ns)
{
    ward__plan_event(&f->plan, WARD__EV_CHILD_ENDED, k, how, now_ns);
    return wants(f, now_ns);
}

MAYBE_UNUSED static const char *failed(struct fixture *f, uint32_t k, int64_t now_ns)
{
    return ended(f, k, WARD__END_FAILED, now_ns);
}

MAYBE_UNUSED static const char *stopped(struct fixture *f, uint32_t k, int64_t now_ns)
{
    return ended(f, k, WARD__END_CANCELLED, now_ns);
}

MAYBE_UNUSED static const char *told(struct fixture *f, enum ward__plan_event event, int64_t now_ns)
{
    ward__plan_event(&f->plan, event, 0, WARD__END_NORMAL, now_ns);
    return wants(f, now_ns);
}

MAYBE_UNUSED static const char *cancelled_by_others(struct fixture *f, uint32_t k, int64_t now_ns)
{
    ward__plan_event(&f->plan, WARD__EV_CHILD_CANCEL, k, WARD__END_NORMAL, now_ns);
    return wants(f, now_ns);
}

/* All children up at time 0, everything done. */
static void set_up_running(struct fixture *f, ward_strategy strategy, const char *kinds)
{
    set_up(f, strategy, kinds, &usual, &usual);
    wants(f, 0);
    for (uint32_t k = 0; k < f->plan.count; k++)
        up(f, k, 0);
    cr_assert(f->plan.started);
}

#define says(expected, actual) cr_assert_str_eq((actual), (expected))

#endif
