/* SPDX-License-Identifier: MIT */
/*
 * late.c - what a turn that takes too long is doing, and how much of its time was not its own.
 *
 * The watchdog gathers whom it must look at more closely, lets go of its locks, has ward__due_look
 * ask the kernel about them, and then judges with the locks held again: a turn that ended
 * meanwhile is left alone. Nothing here stops or signals the thread looked at.
 *
 * Not the turn's own is the time its thread could run and had no processor, and all the time that
 * a debugger is attached. The clock thread only; ward__due_text and ward__due_credit under the
 * tree lock.
 */
#include <stdio.h>
#include <string.h>

#include "base/proc.h"
#include "supervisor/tree.h"

void ward__due_look(struct ward__dues *dues)
{
    bool takes_fd;

    dues->traced = ward__traced();
    for (uint32_t i = 0; i < dues->count; i++) {
        struct ward__due *due = &dues->at[i];
        due->times = ward__task_times(due->tid);
        if (due->first) continue;
        due->call = ward__task_syscall(due->tid);
        due->owner = ward__mutex_owner(&due->call);
        if (ward__syscall_name(due->call.number, &takes_fd) && takes_fd)
            ward__fd_text((int)due->call.args[0], due->fd, sizeof due->fd);
    }
}

void ward__due_credit_locked(struct ward__due *due, bool traced, int64_t now_ns)
{
    struct ward__thread *thread = due->thread;
    struct ward__late *late = &thread->late;

    if (late->turn != due->turn) {
        late->turn = due->turn;
        late->told_ns = 0;
        late->ran_ns = due->times.ran_ns;
        late->looked = late->behind_zombie = false;
    } else if (due->times.delayed_ns > late->delayed_ns) {
        thread->seen_ns += due->times.delayed_ns - late->delayed_ns;
    }
    late->delayed_ns = due->times.delayed_ns;
    if (traced) thread->seen_ns = now_ns;
}

static void lock_text(ward_node *node, struct ward__due *due, char *out, size_t bytes)
{
    char who[WARD__WHO_MAX] = "";
    bool zombie = false;

    pthread_mutex_lock(&node->threads_lock);
    for (struct ward__thread *thread = node->threads; thread; thread = thread->next) {
        if (ward__load(&thread->tid) != due->owner) continue;
        zombie = thread->zombie.spec != NULL;
        if (zombie)
            snprintf(who, sizeof who, "%s", thread->zombie.path);
        else if (ward__load(&thread->turn) & 1)
            ward__path(node, ward__slot(node, ward__load(&thread->slot)), who, sizeof who);
    }
    pthread_mutex_unlock(&node->threads_lock);
    due->thread->late.behind_zombie = zombie;
    if (*who)
        snprintf(out, bytes, "lock held by %s%.60s", zombie ? "the zombie " : "", who);
    else
        snprintf(out, bytes, "lock held by thread %d", due->owner);
}

static void running_text(const struct ward__due *due, int64_t age_ns, char *out, size_t bytes)
{
    int64_t ran = due->times.ran_ns - due->thread->late.ran_ns;

    snprintf(out, bytes, "%s", ran < age_ns / 16 ? "not scheduled" : "spinning");
}

static void call_text(const struct ward__due *due, char *out, size_t bytes)
{
    bool takes_fd;
    const char *name = ward__syscall_name(due->call.number, &takes_fd);

    if (ward__is_futex(&due->call))
        snprintf(out, bytes, "a lock or condition");
    else if (name)
        snprintf(out, bytes, "%s(%s)", name, due->fd);
    else
        snprintf(out, bytes, "system call %ld", due->call.number);
}

void ward__due_text_locked(ward_node *node, struct ward__due *due, int64_t age_ns)
{
    struct ward__late *late = &due->thread->late;
    char text[WARD__DOING_MAX] = "";

    late->behind_zombie = false;
    switch (due->call.where) {
    case WARD__WHERE_UNKNOWN: break;
    case WARD__ON_PROCESSOR: running_text(due, age_ns, text, sizeof text); break;
    case WARD__IN_FAULT: snprintf(text, sizeof text, "page fault"); break;
    case WARD__IN_CALL:
        if (due->owner)
            lock_text(node, due, text, sizeof text);
        else
            call_text(due, text, sizeof text);
        break;
    }
    pthread_mutex_lock(&node->threads_lock); /* the census reads it */
    late->looked = true;
    memcpy(late->doing, text, sizeof text);
    pthread_mutex_unlock(&node->threads_lock);
}

void ward__late_what(const struct ward__thread *thread, char *out, size_t bytes)
{
    const char *what = ward__load(&thread->what);
    bool known = thread->late.turn == ward__load(&thread->turn) && thread->late.looked &&
                 *thread->late.doing;

    snprintf(
        out, bytes, "%s%s%s", what ? what : "", known ? ": " : "", known ? thread->late.doing : "");
}
