/* SPDX-License-Identifier: MIT */
/*
 * graph.c - who waits for whom, as text, for the report of a simulation that could not go on. One
 * line for each actor that stands in a wait or a turn, and one for all handlers that only wait for
 * mail. Nobody else runs meanwhile; the tree lock is taken for the lists it guards.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/tree.h"

struct text {
    ward_node *node;
    bool named; /* write the node before each path */
    char *out;
    size_t length, bytes;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    size_t room = text->bytes - text->length;
    va_list args;
    int written;

    va_start(args, format);
    written = vsnprintf(text->out + text->length, room, format, args);
    va_end(args);
    if (written > 0) text->length += (size_t)written < room ? (size_t)written : room - 1;
}

static void add_path(struct text *text, const struct ward__slot *slot)
{
    char path[WARD__PATH_MAX];

    ward__path(text->node, slot, path, sizeof path);
    add(text, "%s%s%s", text->named ? text->node->name : "", text->named ? ":" : "", path);
}

/* Who is joined: those it stands at. */
static void add_joined(struct text *text, const struct ward__slot *waiter)
{
    uint32_t used = ward__load_acq(&text->node->slots_used);
    const char *before = ", for ";

    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++) {
        const struct ward__slot *slot = ward__slot(text->node, i);
        const struct ward__watch *watch = slot->watches;
        while (watch && !(watch->join_left && watch->watcher == waiter))
            watch = watch->next;
        if (!watch) continue;
        add(text, "%s", before);
        add_path(text, slot);
        before = " and ";
    }
}

static void add_whom(struct text *text, const struct ward__slot *slot)
{
    uint32_t holder = ward__load(&slot->wait.holder);

    if (holder == WARD__REMOTE) {
        add(text, ", for another node");
    } else if (holder) {
        add(text, ", for ");
        add_path(text, ward__slot(text->node, holder));
    } else if (slot->wait.listed) { /* parked at a full mailbox */
        add(text, ", for room at ");
        _Static_assert(offsetof(struct ward__slot, box) == 0, "a slot is where its mailbox is");
        add_path(text, (const struct ward__slot *)slot->wait.at);
    } else {
        add_joined(text, slot);
    }
}

static const char *phase_of(const struct ward__slot *slot)
{
    switch ((enum ward__phase)ward__load(&slot->phase)) {
    case WARD__FREE:
    case WARD__LIVE: break;
    case WARD__BETWEEN: return "is to be restarted";
    case WARD__START: return "is starting";
    case WARD__ENDING: return "waits for its children to end";
    case WARD__FINISH: return "is to clean up";
    case WARD__DEGRADED: return "is degraded";
    }
    return "is in a turn or about to be";
}

static void add_line(struct text *text, const struct ward__slot *slot)
{
    const char *what = ward__load(&slot->wait_what), *at = ward__load(&slot->wait_at);
    int64_t since_ns = ward__load(&slot->since_ns);

    add(text, "  ");
    add_path(text, slot);
    if (what) {
        add(text, " waits in %s since %lld.%06lld s", what, (long long)(since_ns / 1000000000),
            (long long)(since_ns % 1000000000 / 1000));
        if (at) add(text, " at %s", at);
        add_whom(text, slot);
    } else {
        add(text, " %s", phase_of(slot));
    }
    add(text, "\n");
}

/* It has nothing to do. */
static bool is_idle(const struct ward__slot *slot)
{
    return ward__load(&slot->phase) == WARD__LIVE && !ward__load(&slot->wait_what) &&
           !(ward__load(&slot->box.word) & WARD__SCHEDULED);
}

size_t ward__graph(ward_node *node, bool named, char *out, size_t length, size_t bytes)
{
    struct text text = { node, named, out, length, bytes };
    uint32_t used = ward__load_acq(&node->slots_used), idle = 0;

    ward__tree_lock(node);
    for (uint32_t i = WARD__ROOT_SLOT + 1; i < used; i++) {
        const struct ward__slot *slot = ward__slot(node, i);
        if (ward__load(&slot->phase) == WARD__FREE || slot->kind == WARD__SUPERVISOR) continue;
        if (is_idle(slot))
            idle++;
        else
            add_line(&text, slot);
    }
    ward__tree_unlock(node);
    if (idle)
        add(&text, "  %u%s%s wait for mail\n", idle, named ? " of " : "", named ? node->name : "");
    return text.length;
}
