/* SPDX-License-Identifier: MIT */
/*
 * workers.c - starts `gate worker` and is there until it ends.
 *
 * The process's standard input is a pipe whose other end is ours. The kernel closes it when this
 * process dies in whatever way, and the worker ends at the end of its input, so a killed gate
 * leaves none behind. (PR_SET_PDEATHSIG would speak of the thread that started it, and those come
 * and go here.) The process is held by a pidfd, so no other process is ever hit by its number.
 *
 * A child actor waits for the end of the process, and this one for mail: LOST, when the link to
 * the process has fallen silent, as with a stopped one. Either way this incarnation ends, its
 * deferred calls kill and reap the process, and the successor starts a new one. A worker holds
 * nothing that could be lost: a check under way ends with WARD_ELINK and is asked again.
 */
#include "examples/gate/workers.h"
#include "examples/gate/types.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REGISTER_MS = 15000 };

extern char **environ;

/* -- the process ------------------------------------------------------------------------------- */

struct process {
    pid_t pid;
    int pidfd, input; /* -1: none */
};

/* Reaping waits for a process that was just killed: a moment. */
static void end_process(void *arg)
{
    struct process *process = arg;
    siginfo_t info;

    if (process->input >= 0) close(process->input);
    if (process->pid > 0) {
        (void)kill(process->pid, SIGKILL); /* not reaped yet, so the number is still its own */
        while (waitid(P_PID, (id_t)process->pid, &info, WEXITED) < 0 && errno == EINTR)
            continue;
    }
    if (process->pidfd >= 0) close(process->pidfd);
    free(process);
}

/* Signals are blocked in all our threads and would stay so in the process. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP;

    (void)sigemptyset(&none);
    /* A group of its own: Ctrl-C is for the gate, which then ends its workers. */
    return posix_spawnattr_setflags(attributes, flags) ||
           posix_spawnattr_setpgroup(attributes, 0) ||
           posix_spawnattr_setsigmask(attributes, &none);
}

/* Beside the gate's own; a port cannot be shared, so only where that is a path. */
static bool census_of(char *out, size_t bytes, const struct gate_workers_arg *arg)
{
    const char *url = arg->config->census_url;
    int length;

    if (!url || strncmp(url, "ipc://", 6) != 0) return false;
    length = snprintf(out, bytes, "%s.%s", url, arg->name);
    return length > 0 && (size_t)length < bytes;
}

static int spawn_with(struct process *process, const posix_spawn_file_actions_t *files,
    const posix_spawnattr_t *attributes, const struct gate_workers_arg *arg)
{
    char check_ms[32], census[256];
    const char *argv[] = { "gate", "worker", "--link", arg->config->link_url, "--terms",
        arg->config->terms_url, "--name", arg->name, "--check-ms", check_ms, "--end-with-stdin",
        "--census", census, NULL };

    (void)snprintf(check_ms, sizeof check_ms, "%lld", (long long)arg->config->check_ms);
    if (!census_of(census, sizeof census, arg)) argv[WARD_COUNT(argv) - 3] = NULL;
    return posix_spawn(
        &process->pid, "/proc/self/exe", files, attributes, (char *const *)argv, environ);
}

static int spawn_process(struct process *process, int input, const struct gate_workers_arg *arg)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&files);

    if (error) return error;
    error = posix_spawnattr_init(&attributes);
    if (!error) {
        if (posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO) ||
            posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1) ||
            set_attributes(&attributes))
            error = ENOMEM;
        if (!error) error = spawn_with(process, &files, &attributes, arg);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    if (error) process->pid = 0;
    return error;
}

static ward_status start_process(
    ward_self *self, struct process *process, const struct gate_workers_arg *arg)
{
    int ends[2], error;

    *process = (struct process){ .pidfd = -1, .input = -1 };
    if (ward_defer(self, end_process, process)) {
        free(process);
        return WARD_ENOMEM;
    }
    if (pipe2(ends, O_CLOEXEC) < 0) return WARD_EFAIL;
    process->input = ends[1];
    error = spawn_process(process, ends[0], arg);
    close(ends[0]);
    if (!error) {
        process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
        if (process->pidfd < 0) error = errno;
    }
    if (!error) {
        gate_log(&arg->config->log, "%s is process %ld", arg->name, (long)process->pid);
        return WARD_OK;
    }
    gate_log(&arg->config->log, "%s cannot be started: %s", arg->name, strerrordesc_np(error));
    return WARD_EFAIL;
}

/* -- the actors -------------------------------------------------------------------------------- */

/* Ends when the process does. */
static ward_status watch(ward_self *self)
{
    const int *pidfd = ward_arg(self);

    return ward_poll_fd(self, NULL, *pidfd, WARD_READABLE, WARD_FOREVER);
}

/* What comes first: it registers, in time; it is lost; it ends. */
static ward_status keep(ward_self *self, const struct gate_workers_arg *arg)
{
    ward_deadline by = ward_in_ms(self, REGISTER_MS);
    const char *why = "it did not register";
    const ward_msg *msg;
    ward_status rc;

    for (;;) {
        rc = ward_receive(self, &msg, by);
        if (rc && rc != WARD_ETIMEDOUT) return rc;
        if (rc) break;
        if (ward_is(msg, &gate_arrived_type)) by = WARD_FOREVER;
        if (ward_down_of(msg)) why = "its process has ended";
        if (ward_is(msg, &gate_lost_type)) why = "its link was lost";
        if (ward_down_of(msg) || ward_is(msg, &gate_lost_type)) break;
    }
    gate_log(&arg->config->log, "%s is started anew: %s", arg->name, why);
    return WARD_EFAIL;
}

ward_status gate_worker_keeper(ward_self *self)
{
    const struct gate_workers_arg *arg = ward_arg(self);
    struct process *process = calloc(1, sizeof *process);
    ward_spec spec = { .name = "watch", .body = watch, .arg_bytes = sizeof(int) };
    ward_ref watcher;
    ward_status rc = process ? start_process(self, process, arg) : WARD_ENOMEM;

    if (rc) return rc;
    spec.arg = &process->pidfd;
    rc = ward_spawn(self, &watcher, &spec);
    if (!rc) rc = ward_monitor(self, watcher); /* so its end is ours to judge */
    return rc ? rc : keep(self, arg);
}
