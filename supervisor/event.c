/* SPDX-License-Identifier: MIT */
/*
 * event.c - what operators are told. Events go into a ring under a leaf lock, from any thread and
 * under any lock; a thread of its own, started only when there is a hook, calls the user's hook
 * outside of all locks, so a slow hook delays nobody. Like ones in a row become one with a count,
 * and what does not fit is counted in the next. Never a payload: names, types, places, statuses.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/tree.h"

/* At the deadline of a close: a hook that has been in one call for so long hangs; what is left to
 * tell may take so much longer. */
enum { HANGS_MS = 50, TELL_MS = 250, STEP_MS = 2 };

static struct ward__event_entry *newest(struct ward__tree *tree)
{
    if (tree->events_count == 0) return NULL;
    return &tree->events[(tree->events_head + tree->events_count - 1) % WARD__EVENTS_MAX];
}

/* Floods are of one kind, place and type. */
static bool alike(const struct ward__event_entry *entry, const struct ward__news *news)
{
    const ward_event *event = &entry->event;

    return event->kind == news->kind && event->status == news->status &&
           event->reason == news->reason && event->kind == WARD_EV_DEAD_LETTER &&
           strcmp(event->what, news->what ? news->what : "") == 0;
}

void ward__event(ward_node *node, const struct ward__news *news)
{
    struct ward__tree *tree = node->tree;
    struct ward__event_entry *entry;
    const struct ward__spec *spec = news->slot ? ward__load(&news->slot->spec) : NULL;

    if (!node->opts.on_event) return;
    pthread_mutex_lock(&tree->events_lock);
    entry = tree->events ? newest(tree) : NULL;
    if (!tree->events) {
        /* The node was closed around who has this news. */
    } else if (entry && alike(entry, news)) {
        entry->event.count++;
    } else if (tree->events_count == WARD__EVENTS_MAX) {
        tree->events_lost++;
    } else {
        entry = &tree->events[(tree->events_head + tree->events_count++) % WARD__EVENTS_MAX];
        memset(&entry->event, 0, sizeof entry->event);
        entry->event.kind = news->kind;
        if (news->slot) {
            entry->event.who = ward__ref(node, news->slot);
            ward__path(node, news->slot, entry->path, sizeof entry->path);
        } else {
            snprintf(entry->path, sizeof entry->path, "%s", news->path ? news->path : "");
        }
        snprintf(entry->what, sizeof entry->what, "%s", news->what ? news->what : "");
        entry->event.what = entry->what;
        entry->event.site = news->site ? news->site : spec ? spec->site : "";
        entry->event.reason = news->reason;
        entry->event.status = news->status;
        entry->event.count = 1 + tree->events_lost;
        tree->events_lost = 0;
        entry->event.at_ns = ward__clock_ns(node);
        entry->event.took_ns = news->took_ns;
        pthread_cond_broadcast(&tree->events_cond);
    }
    pthread_mutex_unlock(&tree->events_lock);
}

void ward__events_drain(ward_node *node)
{
    struct ward__tree *tree = node->tree;
    struct ward__event_entry entry;

    if (!tree->events) return;
    pthread_mutex_lock(&tree->events_lock);
    while (tree->events_count > 0 && !tree->events_dropped) {
        entry = tree->events[tree->events_head];
        tree->events_head = (tree->events_head + 1) % WARD__EVENTS_MAX;
        tree->events_count--;
        tree->events_hook_ns = ward__now_ns();
        pthread_mutex_unlock(&tree->events_lock);
        entry.event.path = entry.path;
        entry.event.what = entry.what;
        node->opts.on_event(node->opts.hook, &entry.event);
        pthread_mutex_lock(&tree->events_lock);
        tree->events_hook_ns = 0;
    }
    pthread_mutex_unlock(&tree->events_lock);
}

static void free_ring(ward_node *node)
{
    struct ward__tree *tree = node->tree;

    pthread_mutex_lock(&tree->events_lock); /* turns that were abandoned may still have news */
    ward__free(&node->heap, tree->events, WARD__EVENTS_MAX * sizeof *tree->events);
    tree->events = NULL;
    pthread_mutex_unlock(&tree->events_lock);
}

static void *events_main(void *arg)
{
    ward_node *node = arg;
    struct ward__tree *tree = node->tree;
    bool left;

    pthread_mutex_lock(&tree->events_lock);
    while (!tree->events_stop || (tree->events_count > 0 && !tree->events_dropped)) {
        if (tree->events_count == 0) {
            pthread_cond_wait(&tree->events_cond, &tree->events_lock);
            continue;
        }
        pthread_mutex_unlock(&tree->events_lock);
        ward__events_drain(node);
        pthread_mutex_lock(&tree->events_lock);
    }
    left = tree->events_left;
    tree->events_over = true;
    pthread_cond_broadcast(&tree->events_cond);
    pthread_mutex_unlock(&tree->events_lock);
    if (!left) return NULL;
    free_ring(node);
    if (ward__hook_over(node)) node->ops->left(node);
    return NULL;
}

ward_status ward__events_open(ward_node *node)
{
    struct ward__tree *tree = node->tree;

    tree->events_opened = true;
    if (!node->opts.on_event) return WARD_OK;
    tree->events = ward__alloc(&node->heap, WARD__EVENTS_MAX * sizeof *tree->events);
    if (!tree->events) return WARD_ENOMEM;
    if (node->sim) return WARD_OK; /* the simulator's loop drains */
    tree->events_started =
        ward__thread_start(&tree->events_thread, "ward-events", 0, events_main, node);
    return tree->events_started ? WARD_OK : WARD_ENOMEM;
}

/* The time is up: nothing more is told, since what it would be told with may be gone. If the hook
 * is not back its thread goes on alone. False: it is, and the thread about to end. */
static bool leave_behind(ward_node *node)
{
    struct ward__tree *tree = node->tree;
    bool hangs;

    ward__hook_hangs(node, true); /* before the thread can see that it was left */
    pthread_mutex_lock(&tree->events_lock);
    hangs = tree->events_hook_ns != 0;
    tree->events_dropped = true;
    tree->events_left = hangs;
    pthread_mutex_unlock(&tree->events_lock);
    if (hangs)
        pthread_detach(tree->events_thread);
    else
        ward__hook_hangs(node, false);
    return hangs;
}

static bool hook_hangs(const struct ward__tree *tree, int64_t now_ns, int64_t by_ns)
{
    int64_t since = tree->events_hook_ns;

    if (!since || now_ns < by_ns) return false;
    return now_ns - since > (int64_t)HANGS_MS * WARD__NS_MS ||
           now_ns - by_ns > (int64_t)TELL_MS * WARD__NS_MS;
}

/* Sends the thread home; false: it will not be there by then, because its hook hangs. */
static bool wait_over(struct ward__tree *tree, int64_t by_ns)
{
    int64_t now;
    bool over;

    pthread_mutex_lock(&tree->events_lock);
    tree->events_stop = true;
    pthread_cond_broadcast(&tree->events_cond);
    while (!tree->events_over && (now = ward__now_ns(), !hook_hangs(tree, now, by_ns))) {
        int64_t next = by_ns > now ? by_ns : now + (int64_t)STEP_MS * WARD__NS_MS;
        struct timespec until = { .tv_sec = next / 1000000000, .tv_nsec = next % 1000000000 };
        (void)pthread_cond_clockwait(
            &tree->events_cond, &tree->events_lock, CLOCK_MONOTONIC, &until);
    }
    over = tree->events_over;
    pthread_mutex_unlock(&tree->events_lock);
    return over;
}

bool ward__events_close(ward_node *node, int64_t by_ns)
{
    struct ward__tree *tree = node->tree;

    if (tree->events_started) {
        tree->events_started = false;
        if (!wait_over(tree, by_ns) && leave_behind(node)) return false;
        pthread_join(tree->events_thread, NULL);
    }
    ward__events_drain(node);
    free_ring(node);
    return true;
}

static const char *word_for(ward_event_kind kind)
{
    switch (kind) {
    case WARD_EV_ENDED: return "failed";
    case WARD_EV_RESTARTED: return "restarted";
    case WARD_EV_LIMIT: return "gave up";
    case WARD_EV_SLOW: return "slow";
    case WARD_EV_STUCK: return "stuck, quarantined";
    case WARD_EV_RETURNED: return "returned from quarantine";
    case WARD_EV_ABANDONED: return "abandoned at close";
    case WARD_EV_DEAD_LETTER: return "dead letter";
    case WARD_EV_DEGRADED: return "degraded";
    case WARD_EV_LINK_UP: return "link up";
    case WARD_EV_LINK_DOWN: return "link down";
    case WARD_EV_DEADLOCK: return "deadlock";
    }
    return "event";
}

static const char *word_of(ward_reason reason)
{
    static const char *const words[] = { "by return", "by failure", "by cancel", "by stuck",
        "by close", "by a child", "by link", "by limit", "nobody", "by crash" };

    return (size_t)reason < WARD_COUNT(words) ? words[reason] : "?";
}

size_t ward_event_text(const ward_event *event, char *out, size_t bytes)
{
    const char *in = event->kind == WARD_EV_DEADLOCK ? ": " : " in ";
    char took[32] = "", times[32] = "", reason[96] = "";
    int length;

    if (event->took_ns)
        snprintf(took, sizeof took, " after %lld ms", (long long)(event->took_ns / WARD__NS_MS));
    if (event->count > 1)
        snprintf(times, sizeof times, " (%llu times)", (unsigned long long)event->count);
    if (event->kind == WARD_EV_ENDED || event->kind == WARD_EV_LIMIT ||
        event->kind == WARD_EV_DEGRADED)
        snprintf(
            reason, sizeof reason, " %s: %s", word_of(event->reason), ward_strerror(event->status));
    else if (event->status)
        snprintf(reason, sizeof reason, ": %s", ward_strerror(event->status));
    length = snprintf(out, bytes, "%s %s%s%s%s%s%s%s%s%s", event->path, word_for(event->kind), took,
        reason, event->what[0] ? in : "", event->what, event->site[0] ? " [" : "", event->site,
        event->site[0] ? "]" : "", times);
    return length < 0 ? 0 : (size_t)length;
}
