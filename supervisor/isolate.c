/* SPDX-License-Identifier: MIT */
/*
 * isolate.c - the isolates' thread of a node: one epoll over the template's socket, two sockets of
 * each process, and an eventfd for actors that others have made ready. All that is an isolate's in
 * the host is this thread's alone, so it needs no locks; it runs no user code and never waits for
 * a process. Records of isolates are never freed while the node lives, only used again: somebody
 * late (ward__abandon) may still poke one.
 */
#include "supervisor/isolate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

enum { ARG_MAX_BYTES = 49152, EVENTS = 64, FRAMES_ROW = 32, TICK_MS = 10, FORK_WAIT_MS = 100 };

/* -- who may be one -----------------------------------------------------------------------------
 */

ward_status ward__isolate_spec(ward_node *node, const ward_spec *spec, size_t *place)
{
    const ward_table *table = ward__isolate_table();
    ward_spec room;

    if (node->sim || !table || node->table != table) return WARD_ESTATE;
    for (size_t i = 0; i < table->specs.count; i++) {
        const ward_spec *known = ward__spec_nth(&table->specs, i, &room);
        if (known->handle != spec->handle || known->body != spec->body) continue;
        if (known->start != spec->start || known->cleanup != spec->cleanup) continue;
        *place = i;
        return WARD_OK;
    }
    return WARD_EINVAL;
}

bool ward__isolate_arg(const void *arg, size_t arg_bytes)
{
    return (!arg || arg_bytes) && arg_bytes <= ARG_MAX_BYTES;
}

/* -- who is to be looked at -------------------------------------------------------------------- */

static void wake(struct ward__isolates *all)
{
    uint64_t one = 1;

    if (write(all->wake.fd, &one, sizeof one) < 0) { /* it is full: then it is readable */
    }
}

static void poke(struct ward__isolate *iso, uint32_t bits)
{
    struct ward__isolates *all = iso->all;
    struct ward__isolate *top;

    if (ward__or_seq(&iso->bits, bits)) return;
    top = ward__load(&all->ready);
    do {
        iso->next_ready = top;
    } while (!ward__cas_seq(&all->ready, &top, iso));
    wake(all);
}

void ward__isolate_poke(ward_node *node, struct ward__slot *slot, uint32_t bits)
{
    struct ward__isolate *iso = ward__load_acq(&slot->isolate);

    (void)node;
    if (iso) poke(iso, bits);
}

bool ward__isolate_new(ward_node *node, struct ward__slot *slot)
{
    struct ward__isolates *all = ward__load_acq(&node->isolates);
    struct ward__isolate *iso;

    if (!all) return false; /* a supervisor's child, before any was spawned: see spawn.c */
    pthread_mutex_lock(&all->lock);
    iso = all->unused;
    if (iso) {
        all->unused = iso->next_free;
    } else if ((iso = ward__alloc_zero(&node->heap, sizeof *iso)) != NULL) {
        iso->all = all;
        iso->next_all = all->everyone;
        all->everyone = iso;
    }
    pthread_mutex_unlock(&all->lock);
    if (!iso) return false;
    iso->slot = slot;
    iso->last = &iso->first;
    ward__store_rel(&slot->isolate, iso);
    return true;
}

void ward__isolate_end(struct ward__slot *slot)
{
    struct ward__isolate *iso = ward__load(&slot->isolate);

    if (!iso) return;
    ward__assert(!iso->first && !iso->running);
    ward__store_rel(&slot->isolate, NULL);
    poke(iso, WARD__ISO_DEAD);
}

static void bury(struct ward__isolate *iso)
{
    struct ward__isolates *all = iso->all;

    if (iso->standby) ward__process_leave(all, iso->standby);
    iso->standby = NULL;
    pthread_mutex_lock(&all->lock);
    iso->next_free = all->unused;
    all->unused = iso;
    pthread_mutex_unlock(&all->lock);
}

static void look_at_ready(struct ward__isolates *all)
{
    struct ward__isolate *iso = atomic_exchange_explicit(&all->ready, NULL, memory_order_seq_cst);

    while (iso) {
        struct ward__isolate *next = iso->next_ready;
        uint32_t bits = atomic_exchange_explicit(&iso->bits, 0, memory_order_seq_cst);
        if (bits & WARD__ISO_DEAD)
            bury(iso);
        else
            ward__isolate_look(iso, bits);
        iso = next;
    }
}

/* -- processes --------------------------------------------------------------------------------- */

static bool watch(struct ward__isolates *all, struct ward__source *source, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = source };

    return !epoll_ctl(all->epoll, EPOLL_CTL_ADD, source->fd, &event);
}

static void source_close(struct ward__source *source)
{
    if (source->fd >= 0) close(source->fd); /* which takes it out of the epoll as well */
    source->fd = -1;
}

static bool template_up(struct ward__isolates *all)
{
    if (all->control.fd >= 0) return true;
    all->control.fd = ward__template_start();
    return all->control.fd >= 0 && watch(all, &all->control, EPOLLIN);
}

/* Asks the template; a full socket is waited for, a little. */
static ward_status request_fork(struct ward__isolates *all, uint64_t id, const int *fds)
{
    const ward_opts *opts = &all->node->opts;
    struct ward__inside_limits limits = { opts->message_bytes_max, opts->blob_bytes_max,
        opts->bytes_max };
    struct ward__iso_frame frame = { .kind = WARD__ISO_FORK, .id = id };
    ward_status rc = WARD_ELINK;

    for (int i = 0; i < 3 && rc; i++) {
        if (rc == WARD_EFULL) {
            struct pollfd polled = { all->control.fd, POLLOUT, 0 };
            (void)poll(&polled, 1, FORK_WAIT_MS);
        }
        if (!template_up(all)) return WARD_ENOMEM;
        rc = ward__iso_put(all->control.fd, &frame, &limits, sizeof limits, fds);
        if (rc == WARD_ELINK) source_close(&all->control); /* it was killed: another one */
    }
    return rc;
}

static bool make_sockets(struct ward__process *process, int *theirs)
{
    int mail[2], call[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, mail)) return false;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, call)) {
        close(mail[0]);
        close(mail[1]);
        return false;
    }
    process->mail = (struct ward__source){ WARD__SRC_MAIL, mail[0], process };
    process->call = (struct ward__source){ WARD__SRC_CALL, call[0], process };
    theirs[0] = mail[1];
    theirs[1] = call[1];
    (void)fcntl(mail[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(call[0], F_SETFL, O_NONBLOCK);
    return true;
}

struct ward__process *ward__process_new(struct ward__isolate *iso)
{
    struct ward__isolates *all = iso->all;
    struct ward__process *process = ward__alloc_zero(&all->node->heap, sizeof *process);
    int theirs[WARD__FRAME_FDS];
    bool made;

    if (!process) return NULL;
    if (!make_sockets(process, theirs)) {
        ward__free(&all->node->heap, process, sizeof *process);
        return NULL;
    }
    process->id = ++all->last_id;
    process->pidfd = -1;
    process->of = iso;
    made = watch(all, &process->mail, EPOLLIN) && watch(all, &process->call, EPOLLIN) &&
           !request_fork(all, process->id, theirs);
    close(theirs[0]);
    close(theirs[1]);
    if (!made) {
        source_close(&process->mail);
        source_close(&process->call);
        ward__free(&all->node->heap, process, sizeof *process);
        return NULL;
    }
    process->next = all->processes;
    all->processes = process;
    return process;
}

void ward__process_kill(struct ward__process *process)
{
    process->killed = true;
    if (process->pidfd >= 0 && !process->exited)
        (void)syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0);
}

/* To the graves: what epoll has said of it in this round may still be to come. */
static void process_end(struct ward__isolates *all, struct ward__process *process)
{
    struct ward__process **at = &all->processes;

    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
    source_close(&process->mail);
    source_close(&process->call);
    if (process->pidfd >= 0) close(process->pidfd);
    process->pidfd = -1;
    process->next = all->graves;
    all->graves = process;
}

void ward__process_leave(struct ward__isolates *all, struct ward__process *process)
{
    process->of = NULL;
    if (process->exited) {
        process_end(all, process);
        return;
    }
    source_close(&process->mail); /* it ends by itself then, too */
    source_close(&process->call);
    ward__process_kill(process);
}

static void empty_graves(struct ward__isolates *all)
{
    while (all->graves) {
        struct ward__process *process = all->graves;
        all->graves = process->next;
        ward__free(&all->node->heap, process, sizeof *process);
    }
}

void ward__process_writable(struct ward__isolates *all, struct ward__process *process, bool yes)
{
    struct epoll_event event = { .events = yes ? EPOLLIN | EPOLLOUT : EPOLLIN,
        .data.ptr = &process->mail };

    if (process->writable == yes || process->mail.fd < 0 || process->lost) return;
    process->writable = yes;
    (void)epoll_ctl(all->epoll, EPOLL_CTL_MOD, process->mail.fd, &event);
}

/* Reads what a process wrote. True: there may be more. */
static bool read_some(struct ward__isolates *all, struct ward__source *source)
{
    struct ward__process *process = source->process;
    size_t most = all->node->opts.message_bytes_max + 16 * all->node->opts.blob_bytes_max;

    for (int i = 0; i < FRAMES_ROW && source->fd >= 0; i++) {
        struct ward__isolate *iso = process->of;
        bool ours = iso && iso->process == process && iso->running;
        struct ward__iso_got got;
        ward_status rc = ward__iso_get(source->fd, &got, &all->buffer, most);
        bool well = true;
        if (rc == WARD_ETIMEDOUT) return false;
        if (!rc && ours)
            well = source->kind == WARD__SRC_MAIL ? ward__isolate_frame(iso, &got)
                                                  : ward__isolate_call(iso, &got);
        if (!rc) ward__iso_release(&got);
        if (rc == WARD_ELINK) source_close(source);
        if (rc || !well) ward__process_kill(process); /* closed, too: what is it without us? */
    }
    return source->fd >= 0;
}

/* -- the template says ------------------------------------------------------------------------- */

static void exited(struct ward__isolates *all, struct ward__process *process, int status)
{
    struct ward__isolate *iso = process->of;

    process->exited = true;
    process->status = status;
    while (read_some(all, &process->call)) {
    }
    while (read_some(all, &process->mail)) {
    }
    if (!iso) {
        process_end(all, process);
    } else if (iso->standby == process) {
        iso->standby = NULL; /* there will be another with the next start */
        ward__process_leave(all, process);
    } else {
        ward__isolate_exited(iso);
    }
}

static void template_lost(struct ward__isolates *all)
{
    struct ward__process *next;

    source_close(&all->control);
    for (struct ward__process *process = all->processes; process; process = next) {
        next = process->next;
        ward__process_kill(process); /* as the kernel does by their death signal */
        exited(all, process, SIGKILL);
    }
}

static struct ward__process *find(struct ward__isolates *all, uint64_t id)
{
    struct ward__process *process = all->processes;

    while (process && process->id != id)
        process = process->next;
    return process;
}

static void forked(
    struct ward__isolates *all, struct ward__process *process, struct ward__iso_got *got)
{
    process->pidfd = got->fds[0];
    got->fds[0] = -1;
    process->failed = got->head.status != WARD_OK;
    if (process->failed)
        exited(all, process, 0);
    else if (process->killed)
        ward__process_kill(process);
}

static void template_says(struct ward__isolates *all)
{
    while (all->control.fd >= 0) {
        struct ward__process *process;
        struct ward__iso_got got;
        ward_status rc = ward__iso_get(all->control.fd, &got, &all->buffer, 0);
        if (rc == WARD_ETIMEDOUT) return;
        if (rc) {
            template_lost(all);
            return;
        }
        process = find(all, got.head.id);
        if (process && got.head.kind == WARD__ISO_FORKED)
            forked(all, process, &got);
        else if (process && got.head.kind == WARD__ISO_EXITED)
            exited(all, process, got.head.status);
        ward__iso_release(&got);
    }
}

/* -- the thread -------------------------------------------------------------------------------- */

static void serve(struct ward__isolates *all, struct ward__source *source, uint32_t events)
{
    struct ward__process *process = source->process;
    uint64_t count;

    switch (source->kind) {
    case WARD__SRC_WAKE:
        if (read(source->fd, &count, sizeof count) < 0) {
        }
        return;
    case WARD__SRC_CONTROL: template_says(all); return;
    case WARD__SRC_MAIL:
        if ((events & EPOLLOUT) && process->of && process->of->process == process) {
            ward__process_writable(all, process, false);
            ward__isolate_unblocked(process->of);
        }
        (void)read_some(all, source);
        return;
    case WARD__SRC_CALL: (void)read_some(all, source); return;
    }
}

/* Looks for turns that are too long; true: there are turns under way. */
static bool look_for_stuck(struct ward__isolates *all)
{
    int64_t now = ward__now_ns();
    bool late, any = false;

    /* It was late itself: then they get the time back. */
    late = all->looked_ns && now - all->looked_ns > 10 * (int64_t)TICK_MS * WARD__NS_MS;
    for (struct ward__process *process = all->processes; process; process = process->next) {
        struct ward__isolate *iso = process->of;
        int64_t at;
        if (!iso || iso->process != process || !iso->running) continue;
        if (late) iso->turn_ns += now - all->looked_ns;
        at = ward__isolate_stuck_ns(iso);
        any |= at != INT64_MAX;
        if (at <= now) ward__isolate_stuck(iso);
    }
    all->looked_ns = any ? now : 0;
    return any;
}

static void *isolates_main(void *arg)
{
    struct ward__isolates *all = arg;
    struct epoll_event events[EVENTS];

    while (!ward__load_seq(&all->stop)) {
        int timeout = look_for_stuck(all) ? TICK_MS : -1, count;
        count = epoll_wait(all->epoll, events, EVENTS, timeout);
        for (int i = 0; i < count; i++) {
            struct ward__source *source = events[i].data.ptr;
            if (source->fd >= 0) serve(all, source, events[i].events);
        }
        look_at_ready(all);
        empty_graves(all);
    }
    return NULL;
}

static void close_all(struct ward__isolates *all)
{
    source_close(&all->wake);
    source_close(&all->control);
    if (all->epoll >= 0) close(all->epoll);
    pthread_mutex_destroy(&all->lock);
    ward__free(&all->node->heap, all, sizeof *all);
}

static struct ward__isolates *isolates_new(ward_node *node)
{
    struct ward__isolates *all = ward__alloc_zero(&node->heap, sizeof *all);

    if (!all) return NULL;
    all->node = node;
    ward__lock_init(&all->lock);
    all->epoll = epoll_create1(EPOLL_CLOEXEC);
    all->wake =
        (struct ward__source){ WARD__SRC_WAKE, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), NULL };
    all->control = (struct ward__source){ WARD__SRC_CONTROL, -1, NULL };
    if (all->epoll >= 0 && all->wake.fd >= 0 && watch(all, &all->wake, EPOLLIN) && template_up(all))
        return all;
    close_all(all);
    return NULL;
}

ward_status ward__isolates_open(ward_node *node)
{
    struct ward__isolates *all = ward__load_acq(&node->isolates), *none = NULL;

    if (all) return WARD_OK;
    all = isolates_new(node);
    if (!all) return WARD_ENOMEM;
    all->thread_started = ward__thread_start(&all->thread, "ward-isolates", 0, isolates_main, all);
    if (all->thread_started && ward__cas_seq(&node->isolates, &none, all)) return WARD_OK;
    if (all->thread_started) { /* somebody was faster */
        ward__store_seq(&all->stop, true);
        wake(all);
        pthread_join(all->thread, NULL);
    }
    close_all(all);
    return none ? WARD_OK : WARD_ENOMEM;
}

void ward__isolates_stop(ward_node *node)
{
    struct ward__isolates *all = ward__load_acq(&node->isolates);

    if (!all || !all->thread_started) return;
    ward__store_seq(&all->stop, true);
    wake(all);
    pthread_join(all->thread, NULL);
    all->thread_started = false;
    source_close(&all->control); /* with which the template ends, and they all */
    while (all->processes) {
        struct ward__process *process = all->processes;
        ward__process_kill(process);
        process_end(all, process);
    }
    empty_graves(all);
    for (struct ward__isolate *iso = all->everyone; iso; iso = iso->next_all)
        if (iso->running) ward__isolate_abandon(iso);
}

void ward__isolates_free(ward_node *node)
{
    struct ward__isolates *all = ward__load_acq(&node->isolates);

    if (!all) return;
    while (all->everyone) {
        struct ward__isolate *iso = all->everyone;
        all->everyone = iso->next_all;
        ward__free(&node->heap, iso, sizeof *iso);
    }
    close_all(all);
    ward__store(&node->isolates, NULL);
}
