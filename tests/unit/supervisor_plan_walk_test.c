/* SPDX-License-Identifier: MIT */
/*
 * supervisor_plan_walk_test.c - a walk through all that can happen to small supervisors. Every
 * sequence of events up to a depth is told to the plan and to a naive model beside it, which has
 * flags and a list of failures where plan.c has thresholds and rings. Each action has to be one
 * that the model allows, and when the plan wants nothing more, none may be missing: so it never
 * gets stuck, never forgets a live child, never starts anybody twice or after a stop.
 *
 * States that are alike (times relative to now) are walked through once. A failure prints the
 * way that led there.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/plan.h"

enum { CHILDREN = 3, FAILURES = 8, ROOM = 2 };
enum { WINDOW = 100, BACKOFF = 10, BACKOFF_MAX = 35, CHILD_MAX = 2, ALL_MAX = 2 };
/* Half a window: two of them are exactly the age at which a restart stops counting. */
enum { PAUSE = 50 };

/* What can happen beyond the plan's own events, which come first. */
enum { EV_PAUSE = WARD__EV_FAIL + 1, EV_EARLY_TIMER, EV_NEXT, EV_COUNT };

struct step {
    uint8_t event, child, end;
};

struct model_child {
    bool live, up, been_up, cancelled, doomed, final, over, forgotten;
    bool degraded, revived; /* revived: and not started yet */
    int64_t due_ns;
};

/* doomed: a group restart wants it down. over: its life is, so it has to be forgotten. */
struct model {
    struct model_child child[CHILDREN];
    struct {
        int64_t at_ns; /* on the clock that stands still while somebody is doomed */
        uint32_t child;
    } failures[FAILURES];
    uint32_t failures_count;
    int64_t clock_ns, group_due_ns, timer_ns;
    bool stop, gave_up, started, ended;
    ward_reason reason; /* of giving up */
};

struct world {
    struct ward__plan plan;
    struct ward__plan_child child[CHILDREN];
    int64_t at[CHILDREN + 1][ROOM];
    struct model model;
    int64_t now_ns;
};

struct node {
    struct world world;
    uint32_t parent, depth;
    struct step step; /* that led here from the parent */
};

struct setting {
    ward_strategy strategy;
    uint32_t count, depth;
    ward_restart kinds[CHILDREN];
    bool running; /* starts from all up */
    bool significant; /* all that may be */
    bool degrade; /* all, at their limit */
    bool piecemeal; /* events may come between any two actions */
};

struct walk {
    struct setting setting;
    struct node *nodes;
    size_t count, room;
    uint32_t *table; /* of indices into nodes, plus 1; by hash */
    size_t table_room;
    struct step trying;
    size_t from;
};

/* -- complaints -------------------------------------------------------------------------------- */

static void print_step(struct step step)
{
    static const char *const names[] = { "started", "ended", "cancelled by others", "revived",
        "timer", "stop", "fail", "pause", "early timer", "next" };
    static const char *const ends[] = { "normal", "failed", "cancelled", "abandoned", "final",
        "over" };

    fprintf(stderr, "  %s", names[step.event]);
    if (step.event <= WARD__EV_CHILD_REVIVE) fprintf(stderr, " %u", (unsigned)step.child);
    if (step.event == WARD__EV_CHILD_ENDED) fprintf(stderr, " %s", ends[step.end]);
    fprintf(stderr, "\n");
}

static void print_way(const struct walk *walk, size_t at)
{
    if (at) print_way(walk, walk->nodes[at].parent);
    if (at) print_step(walk->nodes[at].step);
}

static void complain(const struct walk *walk, const char *what, uint32_t child)
{
    const struct setting *s = &walk->setting;

    fprintf(stderr, "strategy %d, %u children of kinds %d %d %d%s:\n", (int)s->strategy,
        (unsigned)s->count, (int)s->kinds[0], (int)s->kinds[1], (int)s->kinds[2],
        s->piecemeal ? ", piecemeal" : "");
    print_way(walk, walk->from);
    print_step(walk->trying);
    cr_assert_fail("%s (child %u)", what, (unsigned)child);
}

#define expect(condition, what, child) \
    do { \
        if (!(condition)) complain(walk, (what), (child)); \
    } while (0)

/* -- the model --------------------------------------------------------------------------------- */

static bool closing(const struct model *m)
{
    return m->stop || m->gave_up;
}

static bool anybody_doomed(const struct model *m)
{
    for (uint32_t k = 0; k < CHILDREN; k++)
        if (m->child[k].live && m->child[k].doomed) return true;
    return false;
}

static void model_close(struct model *m, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        if (!m->child[k].live) m->child[k].over = true;
}

static uint32_t recent_failures(const struct model *m, uint32_t child)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < m->failures_count; i++) {
        if (m->clock_ns - m->failures[i].at_ns >= WINDOW) continue;
        if (child == CHILDREN || m->failures[i].child == child) count++;
    }
    return count;
}

static void drop_old_failures(struct model *m)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < m->failures_count; i++)
        if (m->clock_ns - m->failures[i].at_ns < WINDOW) m->failures[kept++] = m->failures[i];
    memset(&m->failures[kept], 0, (FAILURES - kept) * sizeof m->failures[0]);
    m->failures_count = kept;
}

/* It is not counted: nobody restarts it. */
static void model_over_limit(struct walk *walk, struct world *w, uint32_t k)
{
    struct model *m = &w->model;

    if (walk->setting.degrade) {
        m->child[k].degraded = m->child[k].been_up = true;
        return;
    }
    m->gave_up = true;
    m->reason = WARD_BY_LIMIT;
    model_close(m, walk->setting.count);
}

static void model_revive(struct model *m, uint32_t k)
{
    if (!m->child[k].degraded) return;
    m->child[k].degraded = false;
    m->child[k].revived = true;
    m->child[k].due_ns = 0;
    for (uint32_t i = 0; i < m->failures_count; i++)
        if (m->failures[i].child == k) m->failures[i].child = CHILDREN + 1; /* all but its own */
}

static void model_restart(struct walk *walk, struct world *w, uint32_t k, enum ward__end end)
{
    struct model *m = &w->model;
    uint32_t count = walk->setting.count, of_child;
    int64_t delay = BACKOFF * (k + 1);

    if (end != WARD__END_ABANDONED) {
        expect(m->failures_count < FAILURES, "the model's list is too short", k);
        m->failures[m->failures_count].at_ns = m->clock_ns;
        m->failures[m->failures_count++].child = k;
    }
    of_child = recent_failures(m, k);
    if (of_child > CHILD_MAX || recent_failures(m, CHILDREN) > ALL_MAX) {
        if (end != WARD__END_ABANDONED)
            memset(&m->failures[--m->failures_count], 0, sizeof m->failures[0]);
        model_over_limit(walk, w, k);
        return;
    }
    for (uint32_t i = 1; i < of_child; i++)
        delay *= 2;
    if (delay > BACKOFF_MAX) delay = BACKOFF_MAX;
    m->child[k].due_ns = w->now_ns + delay;
    if (walk->setting.strategy == WARD_ONE_FOR_ONE) return;
    if (m->group_due_ns < m->child[k].due_ns) m->group_due_ns = m->child[k].due_ns;
    for (uint32_t j = 0; j < count; j++)
        if (walk->setting.strategy == WARD_ONE_FOR_ALL || j > k)
            if (m->child[j].live) m->child[j].doomed = true;
}

static void model_ended(struct walk *walk, struct world *w, uint32_t k, enum ward__end end)
{
    struct model *m = &w->model;
    struct model_child *child = &m->child[k];
    struct model_child was = *child;
    ward_restart kind = walk->setting.kinds[k];

    if (!child->live) return;
    child->live = child->up = child->cancelled = child->doomed = false;
    child->over = closing(m) || kind == WARD_TEMPORARY || was.final || end == WARD__END_FINAL;
    if (!was.cancelled && end == WARD__END_CANCELLED) child->over = true;
    if (!was.cancelled && end == WARD__END_NORMAL && kind == WARD_TRANSIENT) child->over = true;
    if (!child->over && end == WARD__END_OVER)
        model_over_limit(walk, w, k);
    else if (!child->over && !was.doomed)
        model_restart(walk, w, k, end);
    if (!child->over || closing(m) || !walk->setting.significant || kind == WARD_PERMANENT) return;
    if (was.cancelled || was.final || end == WARD__END_CANCELLED) return;
    m->gave_up = true;
    m->reason = end == WARD__END_FAILED || end == WARD__END_OVER ? WARD_BY_CHILD : WARD_BY_RETURN;
}

static void model_event(struct walk *walk, struct world *w, struct step step)
{
    struct model *m = &w->model;
    struct model_child *child = &m->child[step.child];

    switch (step.event) {
    case WARD__EV_CHILD_STARTED:
        if (child->live && !child->cancelled) child->up = child->been_up = true;
        break;
    case WARD__EV_CHILD_ENDED: model_ended(walk, w, step.child, (enum ward__end)step.end); break;
    case WARD__EV_CHILD_CANCEL:
        child->final = true;
        if (!child->live) child->over = true;
        break;
    case WARD__EV_CHILD_REVIVE: model_revive(m, step.child); break;
    case WARD__EV_TIMER: m->timer_ns = INT64_MAX; break;
    case WARD__EV_STOP: m->stop = true; break;
    case WARD__EV_FAIL:
        if (!closing(m)) m->reason = WARD_BY_LIMIT;
        m->gave_up = true;
        break;
    default: break;
    }
    if (closing(m)) model_close(m, walk->setting.count);
}

/* -- what the model says to an action ---------------------------------------------------------- */

static void check_start(struct walk *walk, struct world *w, uint32_t k)
{
    struct model *m = &w->model;
    bool alone = walk->setting.strategy == WARD_ONE_FOR_ONE;

    expect(!closing(m) && !m->ended, "starts after a stop", k);
    expect(!m->child[k].live, "starts twice", k);
    expect(!m->child[k].over, "starts one that ended for good", k);
    expect(!m->child[k].degraded, "starts one that is degraded", k);
    expect((alone ? m->child[k].due_ns : m->group_due_ns) <= w->now_ns, "starts too early", k);
    for (uint32_t j = 0; j < walk->setting.count; j++) {
        const struct model_child *other = &m->child[j];
        expect(!other->live || !other->doomed, "starts while a group is being stopped", k);
        if (j < k && alone && !m->child[k].been_up)
            expect(other->been_up || other->over, "starts before its elder came up", k);
        if (j < k && !alone)
            expect(other->up || other->over || other->degraded, "starts before its elder", k);
        if (!alone) expect(!other->live || other->up, "starts two at a time", k);
        if (j > k && !alone && !m->child[k].revived)
            expect(!other->live, "starts while a younger one is live", k);
    }
    m->child[k].live = true;
    m->child[k].revived = false;
}

static void check_cancel(struct walk *walk, struct world *w, uint32_t k)
{
    struct model *m = &w->model;

    expect(m->child[k].live, "cancels a dead one", k);
    expect(!m->child[k].cancelled, "cancels twice", k);
    expect(closing(m) || m->child[k].doomed, "cancels for no reason", k);
    for (uint32_t j = 0; j < walk->setting.count; j++) {
        expect(!m->child[j].live || j <= k, "cancels an elder first", k);
        expect(!m->child[j].cancelled, "cancels two at a time", k);
    }
    m->child[k].cancelled = true;
}

static void check_end(struct walk *walk, struct world *w, const struct ward__action *action)
{
    struct model *m = &w->model;

    expect(!m->ended, "ends twice", 0);
    expect(closing(m), "ends for no reason", 0);
    expect(action->reason == (m->stop ? WARD_BY_CANCEL : m->reason), "wrong reason", 0);
    expect(action->status == (m->stop                          ? WARD_ECANCELED
                                 : m->reason == WARD_BY_RETURN ? WARD_OK
                                                               : WARD_EFAIL),
        "wrong status", 0);
    for (uint32_t k = 0; k < walk->setting.count; k++)
        expect(!m->child[k].live && m->child[k].forgotten, "ends before a child", k);
    m->ended = true;
}

static bool all_came_up(const struct walk *walk, const struct model *m)
{
    for (uint32_t k = 0; k < walk->setting.count; k++)
        if (!m->child[k].been_up && !m->child[k].over) return false;
    return true;
}

static void check_action(struct walk *walk, struct world *w, const struct ward__action *action)
{
    struct model *m = &w->model;
    uint32_t k = action->child;

    expect(!m->ended, "goes on after its end", k);
    switch (action->act) {
    case WARD__ACT_START: check_start(walk, w, k); break;
    case WARD__ACT_CANCEL: check_cancel(walk, w, k); break;
    case WARD__ACT_FORGET:
        expect(!m->child[k].live, "forgets a live one", k);
        expect(m->child[k].over, "forgets one that is to come back", k);
        expect(!m->child[k].forgotten, "forgets twice", k);
        m->child[k].forgotten = true;
        break;
    case WARD__ACT_TIMER:
        expect(action->at_ns > w->now_ns, "wants a timer in the past", k);
        m->timer_ns = action->at_ns;
        break;
    case WARD__ACT_STARTED:
        expect(!m->started && !closing(m) && all_came_up(walk, m), "has not started", k);
        m->started = true;
        break;
    case WARD__ACT_END: check_end(walk, w, action); break;
    default: expect(false, "unknown action", k);
    }
}

/* -- what may not be missing when the plan wants nothing --------------------------------------- */

/* Somebody is on the way down, and it is the last one. */
static void check_stopping(struct walk *walk, const struct model *m)
{
    for (uint32_t k = walk->setting.count; k-- > 0;) {
        if (!m->child[k].live) continue;
        expect(m->child[k].cancelled, "is stuck in stopping", k);
        return;
    }
    expect(false, "has nobody to stop", 0);
}

static void check_waiting(struct walk *walk, const struct world *w)
{
    const struct model *m = &w->model;
    bool alone = walk->setting.strategy == WARD_ONE_FOR_ONE;

    for (uint32_t k = 0; k < walk->setting.count; k++)
        if (!alone && m->child[k].live && !m->child[k].up) return; /* one start at a time */
    for (uint32_t k = 0; k < walk->setting.count; k++) {
        const struct model_child *child = &m->child[k];
        int64_t due_ns = alone ? child->due_ns : m->group_due_ns;
        if (!child->live && !child->over && !child->degraded) {
            expect(due_ns > w->now_ns, "does not start one that is due", k);
            expect(m->timer_ns > w->now_ns && m->timer_ns <= due_ns, "waits without a timer", k);
        }
        /* The others are behind this one. */
        if (!alone && !child->up && !child->over && !child->degraded) return;
        if (alone && !child->been_up && !child->over) {
            for (uint32_t j = k + 1; j < walk->setting.count; j++)
                expect(!m->child[j].been_up, "was too early", j);
            return;
        }
    }
}

static void check_rest(struct walk *walk, const struct world *w)
{
    const struct model *m = &w->model;
    bool any_live = false;

    for (uint32_t k = 0; k < walk->setting.count; k++) {
        expect(m->child[k].over == m->child[k].forgotten, "forgot to forget", k);
        any_live |= m->child[k].live;
    }
    if (m->ended) return;
    if (closing(m)) {
        expect(any_live, "does not end", 0);
        check_stopping(walk, m);
    } else if (anybody_doomed(m)) {
        check_stopping(walk, m);
    } else {
        expect(m->started == all_came_up(walk, m), "does not say that it started", 0);
        check_waiting(walk, w);
    }
}

/* -- one step ---------------------------------------------------------------------------------- */

static void repoint(struct world *w, uint32_t count)
{
    w->plan.children = w->child;
    w->plan.restarts.at = w->at[CHILDREN];
    for (uint32_t k = 0; k < count; k++)
        w->child[k].restarts.at = w->at[k];
}

static bool act_once(struct walk *walk, struct world *w)
{
    struct ward__action action;

    if (ward__plan_next(&w->plan, w->now_ns, &action) == WARD__ACT_NONE) {
        check_rest(walk, w);
        return false;
    }
    check_action(walk, w, &action);
    return true;
}

static void drain(struct walk *walk, struct world *w)
{
    for (int i = 0; act_once(walk, w); i++)
        expect(i < 4 * CHILDREN, "never has enough", 0);
}

static void pass_time(struct world *w, int64_t ns)
{
    w->now_ns += ns;
    if (!anybody_doomed(&w->model)) w->model.clock_ns += ns;
    drop_old_failures(&w->model);
}

/* False: the step makes no sense here. */
static bool take(struct walk *walk, struct world *w, struct step step)
{
    if (step.event == EV_NEXT) return walk->setting.piecemeal && act_once(walk, w);
    if (step.event == WARD__EV_TIMER) {
        if (w->model.timer_ns == INT64_MAX) return false;
        if (w->model.timer_ns > w->now_ns) pass_time(w, w->model.timer_ns - w->now_ns);
    }
    if (step.event == EV_PAUSE) pass_time(w, PAUSE);
    if (step.event == EV_EARLY_TIMER || (step.event == EV_PAUSE && w->model.timer_ns <= w->now_ns))
        step.event = WARD__EV_TIMER;
    if (step.event <= WARD__EV_FAIL) {
        model_event(walk, w, step);
        ward__plan_event(&w->plan, (enum ward__plan_event)step.event, step.child,
            (enum ward__end)step.end, w->now_ns);
    }
    if (!walk->setting.piecemeal) drain(walk, w);
    return true;
}

/* -- telling states apart ---------------------------------------------------------------------- */

/* All that decides what comes, times relative to now; small, so that it can be compared whole. */
struct key {
    uint8_t states[CHILDREN], phase, first, stop_from, more;
    uint16_t flags[CHILDREN];
    int16_t due[CHILDREN], group_due, timer, ages[CHILDREN + 1][ROOM];
    int16_t model_due[CHILDREN], model_group_due, model_timer, failures[FAILURES];
};

static int16_t ahead(int64_t ns, int64_t now_ns)
{
    if (ns == INT64_MAX) return INT16_MAX;
    return (int16_t)(ns > now_ns ? ns - now_ns : 0);
}

static void key_ages(int16_t ages[ROOM], const struct ward__intensity *restarts, int64_t clock_ns)
{
    uint32_t out = 0;

    for (uint32_t i = 0; i < restarts->count; i++) {
        int64_t age = clock_ns - restarts->at[(restarts->head + i) % restarts->room];
        /* One that just stopped counting is kept, or a plan that still counts it would not show. */
        if (age <= WINDOW) ages[out++] = (int16_t)(age + 1);
    }
}

static void key_child(struct key *key, const struct world *w, uint32_t k, int64_t clock_ns)
{
    const struct model_child *m = &w->model.child[k];

    key->states[k] = (uint8_t)w->child[k].state;
    key->flags[k] =
        (uint16_t)(w->child[k].final + 2 * w->child[k].forget + 4 * m->over + 8 * m->forgotten +
                   16 * m->live + 32 * m->up + 64 * m->been_up + 128 * m->cancelled +
                   256 * m->doomed + 512 * m->final + 1024 * m->degraded + 2048 * m->revived);
    key->due[k] = ahead(w->child[k].due_ns, w->now_ns);
    key->model_due[k] = ahead(m->due_ns, w->now_ns);
    key_ages(key->ages[k], &w->child[k].restarts, clock_ns);
}

static struct key key_of(const struct walk *walk, const struct world *w)
{
    const struct model *m = &w->model;
    const struct ward__plan *plan = &w->plan;
    bool frozen = plan->stop_from < plan->count;
    int64_t clock_ns = (frozen ? plan->stop_since_ns : w->now_ns) - plan->stopped_ns;
    struct key key;

    memset(&key, 0, sizeof key);
    for (uint32_t k = 0; k < walk->setting.count; k++)
        key_child(&key, w, k, clock_ns);
    key_ages(key.ages[CHILDREN], &plan->restarts, clock_ns);
    key.phase = (uint8_t)plan->phase;
    key.first = (uint8_t)plan->first;
    key.stop_from = (uint8_t)plan->stop_from;
    key.more =
        (uint8_t)(plan->started + 2 * m->stop + 4 * m->gave_up + 8 * m->started + 16 * m->ended);
    key.more |= (uint8_t)(m->reason == WARD_BY_RETURN ? 32 : m->reason == WARD_BY_CHILD ? 64 : 0);
    key.group_due = ahead(plan->due_ns, w->now_ns);
    key.timer = ahead(plan->timer_ns, w->now_ns);
    key.model_group_due = ahead(m->group_due_ns, w->now_ns);
    key.model_timer = ahead(m->timer_ns, w->now_ns);
    for (uint32_t i = 0; i < m->failures_count; i++)
        key.failures[i] = (int16_t)((m->clock_ns - m->failures[i].at_ns) * (CHILDREN + 2) +
                                    m->failures[i].child + 1);
    return key;
}

static size_t hash_of(const struct key *key)
{
    const unsigned char *at = (const unsigned char *)key;
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < sizeof *key; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return (size_t)(hash ^ hash >> 32);
}

/* -- the walk ---------------------------------------------------------------------------------- */

static void table_put(struct walk *walk, const struct key *key, uint32_t index)
{
    size_t at = hash_of(key) & (walk->table_room - 1);

    while (walk->table[at])
        at = (at + 1) & (walk->table_room - 1);
    walk->table[at] = index + 1;
}

static void table_grow(struct walk *walk)
{
    walk->table_room = walk->table_room ? 2 * walk->table_room : 1024;
    free(walk->table);
    walk->table = calloc(walk->table_room, sizeof *walk->table);
    cr_assert_not_null(walk->table);
    for (size_t i = 0; i < walk->count; i++) {
        struct key key = key_of(walk, &walk->nodes[i].world);
        table_put(walk, &key, (uint32_t)i);
    }
}

static bool seen(const struct walk *walk, const struct key *key)
{
    size_t at = hash_of(key) & (walk->table_room - 1);

    for (; walk->table[at]; at = (at + 1) & (walk->table_room - 1)) {
        struct node *node = &walk->nodes[walk->table[at] - 1];
        struct key other;
        repoint(&node->world, walk->setting.count); /* nodes move when their array grows */
        other = key_of(walk, &node->world);
        if (memcmp(&other, key, sizeof other) == 0) return true;
    }
    return false;
}

static void add_node(struct walk *walk, const struct world *world, uint32_t depth)
{
    struct key key = key_of(walk, world);

    if (walk->count && seen(walk, &key)) return;
    if (walk->count == walk->room) {
        walk->room = walk->room ? 2 * walk->room : 256;
        walk->nodes = realloc(walk->nodes, walk->room * sizeof *walk->nodes);
        cr_assert_not_null(walk->nodes);
        for (size_t i = 0; i < walk->count; i++)
            repoint(&walk->nodes[i].world, walk->setting.count);
    }
    if (2 * walk->count >= walk->table_room) table_grow(walk);
    walk->nodes[walk->count] = (struct node){
        .world = *world, .parent = (uint32_t)walk->from, .depth = depth, .step = walk->trying
    };
    repoint(&walk->nodes[walk->count].world, walk->setting.count);
    table_put(walk, &key, (uint32_t)walk->count++);
}

static void try_step(struct walk *walk, struct step step)
{
    struct world world = walk->nodes[walk->from].world;

    repoint(&world, walk->setting.count);
    walk->trying = step;
    if (take(walk, &world, step)) add_node(walk, &world, walk->nodes[walk->from].depth + 1);
}

static void expand(struct walk *walk)
{
    for (uint8_t event = 0; event < EV_COUNT; event++) {
        uint8_t children = event <= WARD__EV_CHILD_REVIVE ? (uint8_t)walk->setting.count : 1;
        uint8_t last = walk->setting.degrade ? WARD__END_OVER : WARD__END_FINAL;
        uint8_t ends = event == WARD__EV_CHILD_ENDED ? last + 1 : 1;
        if (event == WARD__EV_CHILD_REVIVE && !walk->setting.degrade) continue;
        for (uint8_t child = 0; child < children; child++)
            for (uint8_t end = 0; end < ends; end++)
                try_step(walk, (struct step){ event, child, end });
    }
}

static void set_up(struct walk *walk, struct world *w)
{
    struct ward__limits child = { CHILD_MAX, WINDOW, BACKOFF, BACKOFF_MAX };
    static const struct ward__limits all = { ALL_MAX, WINDOW, 0, 0 };
    const struct setting *s = &walk->setting;
    struct ward__heap heap;
    struct ward__plan made, copy;

    memset(w, 0, sizeof *w);
    ward__heap_init(&heap, NULL, NULL, SIZE_MAX);
    cr_assert(ward__plan_init(&made, &heap, s->strategy, s->count, &all));
    copy = made;
    for (uint32_t k = 0; k < s->count; k++) {
        child.backoff_ns = BACKOFF * (k + 1);
        cr_assert(ward__plan_child_init(&made.children[k], &heap, s->kinds[k], &child));
        w->child[k] = made.children[k];
        w->child[k].at_limit = s->degrade ? WARD_DEGRADE : WARD_ESCALATE;
        w->child[k].significant = s->significant && s->kinds[k] != WARD_PERMANENT;
    }
    ward__plan_free(&made, &heap);
    w->plan = copy;
    w->model.timer_ns = INT64_MAX;
    repoint(w, s->count);
}

/* Returns the number of states that are not alike. */
static size_t walk_all(const struct setting *setting)
{
    struct walk *walk = calloc(1, sizeof *walk);
    struct world world;
    size_t count;

    cr_assert_not_null(walk);
    walk->setting = *setting;
    set_up(walk, &world);
    if (!setting->piecemeal) drain(walk, &world);
    for (uint8_t k = 0; setting->running && k < setting->count; k++)
        take(walk, &world, (struct step){ WARD__EV_CHILD_STARTED, k, WARD__END_NORMAL });
    add_node(walk, &world, 0);
    for (; walk->from < walk->count && walk->nodes[walk->from].depth < setting->depth; walk->from++)
        expand(walk);
    count = walk->count;
    free(walk->nodes);
    free(walk->table);
    free(walk);
    return count;
}

/* Every combination of restart kinds of that many children. */
static void walk_kinds(struct setting setting)
{
    uint32_t combinations = 1;
    size_t states = 0;

    for (uint32_t k = 0; k < setting.count; k++)
        combinations *= 3;
    for (uint32_t c = 0; c < combinations; c++) {
        for (uint32_t k = 0, rest = c; k < setting.count; k++, rest /= 3)
            setting.kinds[k] = (ward_restart)(rest % 3);
        states += walk_all(&setting);
    }
    cr_log_info("strategy %d, %u children, depth %u%s%s: %zu states", (int)setting.strategy,
        (unsigned)setting.count, (unsigned)setting.depth, setting.running ? ", running" : "",
        setting.piecemeal ? ", piecemeal" : "", states);
    cr_assert_gt(states, combinations * setting.depth);
}

static void walk_strategy(ward_strategy strategy)
{
    static const struct setting settings[] = {
        { .count = 1, .depth = 12 },
        { .count = 1, .depth = 14, .piecemeal = true },
        { .count = 2, .depth = 8 },
        { .count = 2, .depth = 9, .piecemeal = true },
        { .count = 3, .depth = 6 },
        { .count = 3, .depth = 6, .running = true },
        { .count = 2, .depth = 7, .significant = true },
        { .count = 3, .depth = 5, .running = true, .significant = true },
        { .count = 1, .depth = 10, .degrade = true },
        { .count = 2, .depth = 6, .degrade = true },
        { .count = 2, .depth = 7, .piecemeal = true, .degrade = true },
        { .count = 3, .depth = 4, .running = true, .degrade = true },
    };

    for (size_t i = 0; i < WARD_COUNT(settings); i++) {
        struct setting setting = settings[i];
        setting.strategy = strategy;
        walk_kinds(setting);
    }
}

Test(supervisor_plan_walk, one_for_one_does_what_a_naive_model_expects)
{
    walk_strategy(WARD_ONE_FOR_ONE);
}

Test(supervisor_plan_walk, one_for_all_does_what_a_naive_model_expects)
{
    walk_strategy(WARD_ONE_FOR_ALL);
}

Test(supervisor_plan_walk, rest_for_one_does_what_a_naive_model_expects)
{
    walk_strategy(WARD_REST_FOR_ONE);
}
