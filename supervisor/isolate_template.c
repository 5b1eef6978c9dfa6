/* SPDX-License-Identifier: MIT */
/*
 * isolate_template.c - the template: a small process, this very program begun anew, that forks the
 * processes of isolates. It stays small and has one thread, so a fork is cheap however large the
 * host is; and it is their parent, so the host has no child and no SIGCHLD of theirs.
 *
 * It reaps them and says how they ended, kills what they have left behind (it is a subreaper: an
 * orphan comes to it), and ends with all of them when its socket does, which is when the host ends,
 * by whatever cause. What is on that socket stands in isolate_wire.h.
 *
 * The host starts it through an intermediate without an exit signal, which ends at once and is
 * reaped by its id. Knows no nodes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ward/isolate.h>

#include "base/platform.h"
#include "supervisor/isolate.h"

enum { CONTROL = 3, STACK_BYTES = 65536, SWEEP_MS = 1, SWEEP_ROW = 8, LAST_MS = 2000 };

static const char TEMPLATE_NAME[] = "ward-isolates";

/* What main said: it is the same for the whole program, and the only thing of its kind. */
static const ward_table *_Atomic main_table;

const ward_table *ward__isolate_table(void)
{
    return ward__load_acq(&main_table);
}

/* -- the host's side --------------------------------------------------------------------------- */

struct launch {
    int socket;
    char *stack; /* of the second one */
};

/* In the host's memory, with all signals blocked, until it executes: nothing but system calls. */
static int execute(void *arg)
{
    static char *const argv[] = { (char *)(uintptr_t)TEMPLATE_NAME, NULL };
    const struct launch *launch = arg;

    if (launch->socket == CONTROL)
        (void)fcntl(CONTROL, F_SETFD, 0);
    else if (dup2(launch->socket, CONTROL) < 0)
        _exit(127);
    (void)syscall(SYS_close_range, CONTROL + 1, ~0U, 0);
    (void)execve("/proc/self/exe", argv, environ);
    _exit(127);
}

static int flags(void)
{
    /* The sanitizers keep records of memory: there it is copied. */
    return WARD__TSAN || WARD__ASAN ? CLONE_VFORK : CLONE_VM | CLONE_VFORK;
}

static int intermediate(void *arg)
{
    const struct launch *launch = arg;

    _exit(clone(execute, launch->stack + STACK_BYTES, flags() | SIGCHLD, arg) < 0);
}

static bool launch_from(int socket, char *stacks)
{
    struct launch launch = { socket, stacks };
    sigset_t all, before;
    int status = 1, pid, reaped;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = clone(intermediate, stacks + 2 * STACK_BYTES, flags(), &launch);
    do {
        reaped = pid < 0 ? 0 : waitpid(pid, &status, __WALL);
    } while (reaped < 0 && errno == EINTR);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid > 0 && status == 0;
}

int ward__template_start(void)
{
    int sockets[2];
    char *stacks = malloc(2 * STACK_BYTES);
    bool started;

    if (!stacks || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) {
        free(stacks);
        return -1;
    }
    started = launch_from(sockets[1], stacks);
    close(sockets[1]);
    free(stacks);
    if (started && !fcntl(sockets[0], F_SETFL, O_NONBLOCK)) return sockets[0];
    close(sockets[0]);
    return -1;
}

/* -- the template ------------------------------------------------------------------------------ */

struct forked {
    pid_t pid;
    uint64_t id;
};

struct template
{
    struct forked *at;
    size_t count, room;
    int signals;
    ward_node *node; /* what each of them begins with */
    DIR *all; /* of a sweep under way */
    bool sweep; /* there is to be one, or one more */
    struct ward__iso_buffer buffer;
};

static struct forked *find(struct template *template, pid_t pid)
{
    for (size_t i = 0; i < template->count; i++)
        if (template->at[i].pid == pid) return &template->at[i];
    return NULL;
}

static bool grow(struct template *template)
{
    size_t room = template->room ? 2 * template->room : 64;
    struct forked *at;

    if (template->count < template->room) return true;
    at = realloc(template->at, room * sizeof *at);
    if (!at) return false;
    template->at = at;
    template->room = room;
    return true;
}

/* In the process of an isolate, which is new. */
static _Noreturn void become_isolate(
    struct template *template, struct ward__iso_got *got, pid_t parent)
{
    struct ward__inside_args args = { .mail = got->fds[0], .call = got->fds[1] };
    sigset_t none;

    memcpy(&args.limits, got->body, sizeof args.limits);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)prctl(PR_SET_NAME, "ward-isolate");
    close(CONTROL);
    close(template->signals);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    args.table = ward__isolate_table();
    args.node = template->node;
    ward__inside_main(&args);
}

static void fork_one(struct template *template, struct ward__iso_got *got)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_FORKED, .id = got->head.id };
    int fds[WARD__FRAME_FDS] = { -1, -1 };
    pid_t me = getpid(), pid;

    if (!template->node) template->node = ward__inside_node(got->body, ward__isolate_table());
    pid = grow(template) && template->node ? fork() : -1;
    if (pid == 0) become_isolate(template, got, me);
    if (pid > 0) {
        template->at[template->count++] = (struct forked){ pid, got->head.id };
        fds[0] = (int)syscall(SYS_pidfd_open, pid, 0);
        if (fds[0] < 0) kill(pid, SIGKILL); /* we could not do it later */
    }
    frame.status = pid > 0 ? WARD_OK : WARD_ENOMEM;
    (void)ward__iso_put(CONTROL, &frame, NULL, 0, fds);
    if (fds[0] >= 0) close(fds[0]);
}

/* Who has ended and waits to be reaped; 0: nobody. */
static pid_t ended(void)
{
    siginfo_t info = { .si_pid = 0 };

    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) ? 0 : info.si_pid;
}

static void reap(struct template *template, bool tell)
{
    pid_t pid;

    while ((pid = ended()) > 0) {
        struct ward__iso_frame frame = { .kind = WARD__ISO_EXITED };
        struct forked *forked = find(template, pid);
        if (forked) (void)kill(-pid, SIGKILL); /* its group, while the number is still its own */
        (void)waitpid(pid, &frame.status, 0);
        if (!forked) continue;
        frame.id = forked->id;
        *forked = template->at[--template->count];
        if (tell) (void)ward__iso_put(CONTROL, &frame, NULL, 0, NULL);
        template->sweep = true;
    }
}

/* 0: it has gone. */
static pid_t parent_of(pid_t pid)
{
    char path[32], text[256], *end;
    FILE *file;
    int parent = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file) return 0;
    end = fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (!end || sscanf(end, ") %*c %d", &parent) != 1) parent = 0;
    (void)fclose(file);
    return parent;
}

/* Kills what has come to us and is no isolate: an isolate that lives keeps its orphans itself. A
 * few at a time, since forks must not wait for it. False: all were looked at. */
static bool sweep_some(struct template *template)
{
    pid_t me = getpid();

    if (!template->all) template->all = opendir("/proc");
    for (int i = 0; template->all && i < SWEEP_ROW; i++) {
        struct dirent *entry = readdir(template->all);
        pid_t pid = entry ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
        if (!entry) {
            (void)closedir(template->all);
            template->all = NULL;
        } else if (pid > 0 && parent_of(pid) == me && !find(template, pid)) {
            (void)kill(pid, SIGKILL);
            template->sweep = true; /* its own children come next */
        }
    }
    return template->all != NULL;
}

/* The host is gone, or its node: so are we, with all that is ours. */
static _Noreturn void end_all(struct template *template)
{
    int64_t until = ward__now_ns() + (int64_t)LAST_MS * WARD__NS_MS;

    for (size_t i = 0; i < template->count; i++)
        (void)kill(template->at[i].pid, SIGKILL);
    while (ward__now_ns() < until) {
        bool none;
        reap(template, false);
        none = waitpid(-1, NULL, WNOHANG) < 0;
        if (none) break; /* no child is left */
        template->sweep = false;
        while (sweep_some(template)) {
        }
        if (!template->sweep) (void)poll(NULL, 0, 1);
    }
    _exit(0);
}

static void set_up(struct template *template)
{
    struct sigaction normal = { .sa_handler = SIG_DFL };
    sigset_t child;
    int null;

    (void)setsid(); /* a terminal's signals are the host's */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    (void)prctl(PR_SET_NAME, TEMPLATE_NAME);
    for (int i = 1; i < NSIG; i++)
        (void)sigaction(i, &normal, NULL); /* ignored ones are inherited */
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    template->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null >= 0) (void)dup2(null, 0);
    if (null > 0) close(null);
    if (fcntl(CONTROL, F_SETFD, FD_CLOEXEC)) _exit(127);
}

static void one_request(struct template *template)
{
    struct ward__iso_got got;
    ward_status rc = ward__iso_get(CONTROL, &got, &template->buffer, 0);

    if (rc == WARD_ELINK) end_all(template);
    if (rc) return;
    if (got.head.kind == WARD__ISO_FORK) fork_one(template, &got);
    ward__iso_release(&got);
}

static _Noreturn void template_main(void)
{
    static struct template template;
    struct signalfd_siginfo info;

    set_up(&template);
    for (;;) {
        struct pollfd polled[2] = { { CONTROL, POLLIN, 0 }, { template.signals, POLLIN, 0 } };
        /* A little at a time: who was just forked shares a processor with us. */
        int ready = poll(polled, 2, template.all || template.sweep ? SWEEP_MS : -1);
        if (ready == 0) {
            if (!template.all) template.sweep = false; /* it begins */
            (void)sweep_some(&template);
        }
        if (ready <= 0) continue;
        while (polled[1].revents && read(template.signals, &info, sizeof info) > 0) {
        }
        if (polled[1].revents) reap(&template, true);
        if (polled[0].revents) one_request(&template);
    }
}

void ward_isolate_main(int argc, char **argv, const ward_table *table)
{
    ward__store_rel(&main_table, table);
    if (argc == 1 && strcmp(argv[0], TEMPLATE_NAME) == 0) template_main();
}
