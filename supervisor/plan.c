/* SPDX-License-Identifier: MIT */
/*
 * plan.c - the rules of supervision. It knows nothing of actors, threads or clocks.
 *
 * Start: children start in order, each after the one before came up or ended for good. Ends: a
 * PERMANENT child comes back always, a TRANSIENT one unless it ended well, a TEMPORARY one
 * never, and nobody whom somebody else cancelled. Ended for good is for good: a group restart
 * does not bring it back. With all of them ended the supervisor stays, idle; but a significant
 * child that ends for good, and not because somebody cancelled it, takes the supervisor along: to
 * a good end, or to a failure (BY_CHILD) if it failed.
 *
 * ONE_FOR_ONE: each has a backoff of its own and delays nobody (but one that has never been up
 * delays those after it). ONE_FOR_ALL, REST_FOR_ONE: there is one start action. The live ones
 * from `stop_from` on are stopped in reverse order, one at a time; then, when the backoff of
 * all who failed is over, the waiting ones start in order. So a failure of an earlier child
 * widens the group, and one of a child of the group that came up again starts it over; both
 * count. Whoever ends while it is about to be stopped does not count, even if it failed: one
 * cause, one restart; else one fault that fells all children would be as many restarts.
 *
 * Limits: a restart counts once for the child and once for the supervisor, a start that failed
 * like any failure. The time it takes to stop a group does not age restarts: otherwise a child
 * that stops more slowly than the window is long restarts for ever (otp#4648). The backoff does
 * age them: who asks for slow restarts gets slow restarts.
 *
 * Backoff: full jitter, that is, a delay between nothing and a bound which doubles with each
 * restart in the window and starts anew after a quiet one. What fell together does not come back
 * together.
 *
 * At its limit a child with WARD_DEGRADE is parked instead, whichever limit it was, and its
 * siblings go on, under every strategy: nobody starts it again but WARD__EV_CHILD_REVIVE.
 *
 * Stop: waiting and degraded children are over at once, the live ones are cancelled in reverse
 * order, one at a time. A stop wins over giving up, as a cancelled supervisor is not restarted.
 */
#include "supervisor/plan.h"

#include <string.h>

#include "base/assert.h"
#include "base/random.h"

/* Without a limit this many restarts are remembered, which double any backoff to the full. */
enum { UNLIMITED_ROOM = 64 };

/* -- restarts within a window ------------------------------------------------------------------ */

static bool intensity_init(
    struct ward__intensity *intensity, struct ward__heap *heap, const struct ward__limits *limits)
{
    uint32_t max = limits->restarts_max;

    *intensity = (struct ward__intensity){ .max = max, .window_ns = limits->window_ns };
    if (max > WARD__RESTARTS_MAX && max != WARD_UNLIMITED) return false;
    intensity->room = max == WARD_UNLIMITED ? UNLIMITED_ROOM : max;
    if (!intensity->room) return true;
    intensity->at = ward__alloc(heap, intensity->room * sizeof *intensity->at);
    return intensity->at != NULL;
}

static void intensity_free(struct ward__intensity *intensity, struct ward__heap *heap)
{
    ward__free(heap, intensity->at, intensity->room * sizeof *intensity->at);
    *intensity = (struct ward__intensity){ 0 };
}

static void intensity_drop(struct ward__intensity *intensity)
{
    ward__assert(intensity->room > 0);
    intensity->head = (intensity->head + 1) % intensity->room;
    intensity->count--;
}

static void intensity_age(struct ward__intensity *intensity, int64_t at_ns)
{
    while (intensity->count && at_ns - intensity->at[intensity->head] >= intensity->window_ns)
        intensity_drop(intensity);
}

/* False: one more would be too many, and is not recorded. */
static bool intensity_add(struct ward__intensity *intensity, int64_t at_ns)
{
    intensity_age(intensity, at_ns);
    if (intensity->max != WARD_UNLIMITED && intensity->count == intensity->max) return false;
    if (intensity->count == intensity->room) intensity_drop(intensity);
    intensity->at[(intensity->head + intensity->count) % intensity->room] = at_ns;
    intensity->count++;
    return true;
}

/* -- memory ------------------------------------------------------------------------------------ */

bool ward__plan_init(struct ward__plan *plan, struct ward__heap *heap, ward_strategy strategy,
    uint32_t count, const struct ward__limits *limits)
{
    ward__assert(strategy != WARD_DYNAMIC || !count);
    *plan = (struct ward__plan){
        .strategy = strategy, .count = count, .stop_from = count, .timer_ns = INT64_MAX
    };
    if (!intensity_init(&plan->restarts, heap, limits)) return false;
    if (!count) return true;
    plan->children = ward__alloc_zero(heap, count * sizeof *plan->children);
    if (plan->children) return true;
    intensity_free(&plan->restarts, heap);
    return false;
}

bool ward__plan_child_init(struct ward__plan_child *child, struct ward__heap *heap,
    ward_restart restart, const struct ward__limits *limits)
{
    *child = (struct ward__plan_child){ .restart = restart,
        .backoff_ns = limits->backoff_ns,
        .backoff_max_ns = limits->backoff_max_ns };
    return intensity_init(&child->restarts, heap, limits);
}

void ward__plan_child_free(struct ward__plan_child *child, struct ward__heap *heap)
{
    intensity_free(&child->restarts, heap);
}

void ward__plan_free(struct ward__plan *plan, struct ward__heap *heap)
{
    for (uint32_t k = 0; k < plan->count; k++)
        ward__plan_child_free(&plan->children[k], heap);
    ward__free(heap, plan->children, plan->count * sizeof *plan->children);
    intensity_free(&plan->restarts, heap);
    memset(plan, 0, sizeof *plan);
}

/* -- judging one end --------------------------------------------------------------------------- */

static bool live(const struct ward__plan_child *child)
{
    return child->state == WARD__CHILD_STARTING || child->state == WARD__CHILD_UP ||
           child->state == WARD__CHILD_STOPPING;
}

/* ours: the plan had cancelled it. It may have returned anything then, so its end says nothing. */
static bool ended_for_good(const struct ward__plan_child *child, enum ward__end end, bool ours)
{
    if (child->restart == WARD_TEMPORARY || child->final || end == WARD__END_FINAL) return true;
    if (ours) return false;
    if (end == WARD__END_CANCELLED) return true;
    return child->restart == WARD_TRANSIENT && end == WARD__END_NORMAL;
}

/* How the supervisor ends because this child did, or WARD_NOBODY: it does not. */
static ward_reason taken_along(const struct ward__plan *plan, const struct ward__plan_child *child,
    enum ward__end end, bool ours)
{
    if (!child->significant || ours || child->final || plan->phase != WARD__PLAN_RUNNING)
        return WARD_NOBODY;
    if (end == WARD__END_CANCELLED) return WARD_NOBODY;
    return end == WARD__END_FAILED || end == WARD__END_OVER ? WARD_BY_CHILD : WARD_BY_RETURN;
}

/* The clock that restarts age by: it stands still while a group is being stopped. */
static int64_t aging_clock(const struct ward__plan *plan, int64_t now_ns)
{
    bool stopping = plan->stop_from < plan->count;
    return (stopping ? plan->stop_since_ns : now_ns) - plan->stopped_ns;
}

/* The bound of the delay; it doubles with each restart in the window. */
static int64_t backoff(const struct ward__plan_child *child)
{
    uint32_t doublings = child->restarts.count ? child->restarts.count - 1 : 0;
    int64_t delay = child->backoff_ns, most = child->backoff_max_ns;

    if (delay == 0) return 0;
    if (doublings >= 63 || delay > most >> doublings) return most;
    return delay * (INT64_C(1) << doublings);
}

static int64_t jitter(struct ward__plan *plan, int64_t bound_ns)
{
    if (!plan->random || bound_ns == 0) return bound_ns;
    return (int64_t)(ward__random(&plan->random) % ((uint64_t)bound_ns + 1));
}

/* Counts a restart and says when it is due. False: it is one too many. */
static bool count_restart(
    struct ward__plan *plan, struct ward__plan_child *child, enum ward__end end, int64_t now_ns)
{
    int64_t at_ns = aging_clock(plan, now_ns), delay;

    /* One impatient client must not take a shared server over its limit. */
    if (end == WARD__END_ABANDONED)
        intensity_age(&child->restarts, at_ns);
    else if (!intensity_add(&child->restarts, at_ns) || !intensity_add(&plan->restarts, at_ns))
        return false;
    delay = jitter(plan, backoff(child));
    child->due_ns = now_ns > INT64_MAX - delay ? INT64_MAX : now_ns + delay;
    return true;
}

/* -- events ------------------------------------------------------------------------------------ */

static void end_for_good(struct ward__plan_child *child)
{
    child->state = WARD__CHILD_ENDED;
    child->forget = true;
}

static void skip_ended(struct ward__plan *plan)
{
    while (plan->first < plan->count && plan->children[plan->first].state >= WARD__CHILD_DEGRADED)
        plan->first++;
}

/* Nobody starts any more; next cancels the live ones and then ends. */
static void stop_all(struct ward__plan *plan, enum ward__plan_phase phase)
{
    plan->phase = phase;
    plan->stop_from = 0;
    for (uint32_t k = 0; k < plan->count; k++) {
        struct ward__plan_child *child = &plan->children[k];
        if (child->state == WARD__CHILD_WAITING || child->state == WARD__CHILD_DEGRADED)
            end_for_good(child);
    }
}

static void end_itself(struct ward__plan *plan, ward_reason reason)
{
    plan->reason = reason;
    stop_all(plan, WARD__PLAN_ENDING);
}

static bool any_live(const struct ward__plan *plan, uint32_t from)
{
    for (uint32_t k = from; k < plan->count; k++)
        if (live(&plan->children[k])) return true;
    return false;
}

/* The group is down: its children may start, and restarts age again. */
static void settle(struct ward__plan *plan, int64_t now_ns)
{
    if (plan->stop_from == plan->count || any_live(plan, plan->stop_from)) return;
    plan->stop_from = plan->count;
    plan->stopped_ns += now_ns - plan->stop_since_ns;
}

/* Child k waits for its restart; who else has to go down before? This only ever widens a group
 * that is being stopped: an end within one does not come here. */
static void stop_group(struct ward__plan *plan, uint32_t k, int64_t now_ns)
{
    uint32_t from = plan->strategy == WARD_ONE_FOR_ALL ? 0 : k + 1;

    if (plan->strategy == WARD_ONE_FOR_ONE) return;
    if (plan->due_ns < plan->children[k].due_ns) plan->due_ns = plan->children[k].due_ns;
    if (plan->stop_from == plan->count) plan->stop_since_ns = now_ns;
    plan->stop_from = from;
}

static void over_limit(struct ward__plan *plan, struct ward__plan_child *child)
{
    if (child->at_limit == WARD_ESCALATE) {
        end_itself(plan, WARD_BY_LIMIT);
        return;
    }
    child->state = WARD__CHILD_DEGRADED;
    skip_ended(plan);
}

static void child_ended(struct ward__plan *plan, uint32_t k, enum ward__end end, int64_t now_ns)
{
    struct ward__plan_child *child = &plan->children[k];
    bool ours = child->state == WARD__CHILD_STOPPING, to_stop = k >= plan->stop_from;

    if (!live(child)) return;
    if (plan->phase != WARD__PLAN_RUNNING || ended_for_good(child, end, ours)) {
        ward_reason why = taken_along(plan, child, end, ours);
        end_for_good(child);
        skip_ended(plan);
        if (why != WARD_NOBODY) end_itself(plan, why);
    } else {
        child->state = WARD__CHILD_WAITING;
        if (end == WARD__END_OVER || (!to_stop && !count_restart(plan, child, end, now_ns)))
            over_limit(plan, child);
        else if (!to_stop)
            stop_group(plan, k, now_ns);
    }
    if (plan->phase == WARD__PLAN_RUNNING) settle(plan, now_ns);
}

static void child_started(struct ward__plan *plan, uint32_t k)
{
    if (plan->children[k].state != WARD__CHILD_STARTING) return;
    plan->children[k].state = WARD__CHILD_UP;
    if (k == plan->first) plan->first++;
    skip_ended(plan);
}

static void child_cancel(struct ward__plan *plan, uint32_t k)
{
    struct ward__plan_child *child = &plan->children[k];

    child->final = true;
    if (child->state == WARD__CHILD_WAITING || child->state == WARD__CHILD_DEGRADED)
        end_for_good(child);
    skip_ended(plan);
}

static void child_revive(struct ward__plan_child *child)
{
    if (child->state != WARD__CHILD_DEGRADED) return;
    child->state = WARD__CHILD_WAITING;
    child->due_ns = 0;
    child->restarts.head = child->restarts.count = 0;
}

void ward__plan_dynamic_revive(struct ward__plan_child *child)
{
    child_revive(child);
}

void ward__plan_event(struct ward__plan *plan, enum ward__plan_event event, uint32_t child,
    enum ward__end end, int64_t now_ns)
{
    if (plan->phase == WARD__PLAN_OVER) return;
    ward__assert(event > WARD__EV_CHILD_REVIVE || child < plan->count);
    switch (event) {
    case WARD__EV_CHILD_STARTED: child_started(plan, child); break;
    case WARD__EV_CHILD_ENDED: child_ended(plan, child, end, now_ns); break;
    case WARD__EV_CHILD_CANCEL: child_cancel(plan, child); break;
    case WARD__EV_CHILD_REVIVE: child_revive(&plan->children[child]); break;
    case WARD__EV_TIMER: plan->timer_ns = INT64_MAX; break;
    case WARD__EV_STOP: stop_all(plan, WARD__PLAN_CANCELLED); break;
    case WARD__EV_FAIL:
        if (plan->phase == WARD__PLAN_RUNNING) end_itself(plan, WARD_BY_LIMIT);
        break;
    }
}

enum ward__verdict ward__plan_dynamic_ended(struct ward__plan *plan, struct ward__plan_child *child,
    enum ward__end end, int64_t now_ns, int64_t *due_ns)
{
    bool cancelled = child->state == WARD__CHILD_STOPPING;

    ward__assert(plan->strategy == WARD_DYNAMIC);
    child->state = WARD__CHILD_ENDED;
    if (plan->phase != WARD__PLAN_RUNNING || cancelled || ended_for_good(child, end, false)) {
        ward_reason why = taken_along(plan, child, end, cancelled);
        if (why == WARD_NOBODY) return WARD__VERDICT_FORGET;
        end_itself(plan, why);
        return WARD__VERDICT_END;
    }
    if (end == WARD__END_OVER || !count_restart(plan, child, end, now_ns)) {
        over_limit(plan, child);
        return child->state == WARD__CHILD_DEGRADED ? WARD__VERDICT_DEGRADE : WARD__VERDICT_END;
    }
    child->state = WARD__CHILD_WAITING;
    *due_ns = child->due_ns;
    return WARD__VERDICT_RESTART;
}

/* -- actions ----------------------------------------------------------------------------------- */

static bool next_forget(struct ward__plan *plan, struct ward__action *action)
{
    for (uint32_t k = 0; k < plan->count; k++) {
        if (!plan->children[k].forget) continue;
        plan->children[k].forget = false;
        *action = (struct ward__action){ .act = WARD__ACT_FORGET, .child = k };
        return true;
    }
    return false;
}

/* The last live one, unless somebody is on the way down: stop_ms is each one's own. */
static bool next_cancel(struct ward__plan *plan, struct ward__action *action)
{
    uint32_t last = plan->count;

    for (uint32_t k = plan->stop_from; k < plan->count; k++) {
        if (plan->children[k].state == WARD__CHILD_STOPPING) return false;
        if (live(&plan->children[k])) last = k;
    }
    if (last == plan->count) return false;
    plan->children[last].state = WARD__CHILD_STOPPING;
    *action = (struct ward__action){ .act = WARD__ACT_CANCEL, .child = last };
    return true;
}

static void end(struct ward__plan *plan, struct ward__action *action)
{
    bool cancelled = plan->phase == WARD__PLAN_CANCELLED;
    ward_reason reason = cancelled ? WARD_BY_CANCEL : plan->reason;

    plan->phase = WARD__PLAN_OVER;
    *action = (struct ward__action){ .act = WARD__ACT_END,
        .reason = reason,
        .status = cancelled                  ? WARD_ECANCELED
                  : reason == WARD_BY_RETURN ? WARD_OK
                                             : WARD_EFAIL };
}

static bool any_starting(const struct ward__plan *plan)
{
    for (uint32_t k = 0; k < plan->count; k++)
        if (plan->children[k].state == WARD__CHILD_STARTING) return true;
    return false;
}

/* The next child that may start, once its time has come; when that is, in *due_ns. */
static uint32_t to_start(const struct ward__plan *plan, int64_t now_ns, int64_t *due_ns)
{
    bool alone = plan->strategy == WARD_ONE_FOR_ONE;

    *due_ns = INT64_MAX;
    if (!alone && any_starting(plan)) return plan->count;
    for (uint32_t k = 0; k < plan->count && k <= plan->first; k++) {
        const struct ward__plan_child *child = &plan->children[k];
        int64_t due = alone ? child->due_ns : plan->due_ns;

        if (child->state != WARD__CHILD_WAITING) continue;
        if (due <= now_ns) return k;
        if (due < *due_ns) *due_ns = due;
        if (!alone) break;
    }
    return plan->count;
}

static bool next_start(struct ward__plan *plan, int64_t now_ns, struct ward__action *action)
{
    int64_t due_ns;
    uint32_t k = to_start(plan, now_ns, &due_ns);

    if (k < plan->count) {
        plan->children[k].state = WARD__CHILD_STARTING;
        *action = (struct ward__action){ .act = WARD__ACT_START, .child = k };
        return true;
    }
    /* A timer that should have fired is taken for fired, so that none is ever waited for. */
    if (plan->timer_ns <= now_ns) plan->timer_ns = INT64_MAX;
    if (due_ns >= plan->timer_ns) return false;
    plan->timer_ns = due_ns;
    *action = (struct ward__action){ .act = WARD__ACT_TIMER, .at_ns = due_ns };
    return true;
}

enum ward__act ward__plan_next(struct ward__plan *plan, int64_t now_ns, struct ward__action *action)
{
    *action = (struct ward__action){ .act = WARD__ACT_NONE };
    if (plan->phase == WARD__PLAN_OVER) return WARD__ACT_NONE;
    if (next_forget(plan, action)) return action->act;
    if (plan->phase != WARD__PLAN_RUNNING) {
        if (!next_cancel(plan, action) && !any_live(plan, 0)) end(plan, action);
        return action->act;
    }
    if (plan->stop_from < plan->count) {
        next_cancel(plan, action);
    } else if (!plan->started && plan->first == plan->count) {
        plan->started = true;
        action->act = WARD__ACT_STARTED;
    } else {
        next_start(plan, now_ns, action);
    }
    return action->act;
}
