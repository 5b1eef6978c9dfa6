/* SPDX-License-Identifier: MIT */
/*
 * late.c - what the watchdog says of turns that are late, and whom it does not blame.
 *
 * A handler loops, sleeps, reads an empty pipe, or waits for a lock that another one holds: the
 * event that it is slow says so, and the one of its quarantine. A process that was stopped, a
 * thread that got no processor, and a process under a debugger are nobody's fault: turns that are
 * short but for that are not quarantined.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/support/check.h"

enum { STUCK_MS = 800, TEXTS = 64, TEXT_BYTES = 300, MS = 1000000 };

static const ward_type GO = WARD_TYPE_EMPTY("go");

/* One node and what is heard of it. */
static struct {
    pthread_mutex_t lock; /* of texts */
    char texts[TEXTS][TEXT_BYTES];
    uint32_t texts_count;
    _Atomic uint32_t stuck, in_turn, done;
    _Atomic bool released;
    pthread_mutex_t shared; /* of the actors */
    int pipe[2];
} all = { .lock = PTHREAD_MUTEX_INITIALIZER, .shared = PTHREAD_MUTEX_INITIALIZER };

static void note(void *hook, const ward_event *event)
{
    (void)hook;
    if (event->kind == WARD_EV_STUCK) ward__add(&all.stuck, 1);
    pthread_mutex_lock(&all.lock);
    if (all.texts_count < TEXTS)
        (void)ward_event_text(event, all.texts[all.texts_count++], TEXT_BYTES);
    pthread_mutex_unlock(&all.lock);
}

/* Whether an event said both. */
static bool was_said(const char *one, const char *other)
{
    bool said = false;

    pthread_mutex_lock(&all.lock);
    for (uint32_t i = 0; i < all.texts_count; i++)
        said |= strstr(all.texts[i], one) && strstr(all.texts[i], other);
    pthread_mutex_unlock(&all.lock);
    return said;
}

static void nap(void)
{
    struct timespec ms = { 0, MS };
    nanosleep(&ms, NULL);
}

static int64_t clock_ns(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void compute(int64_t ms)
{
    int64_t until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ms * MS;

    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until) {
    }
}

/* -- what they do ------------------------------------------------------------------------------ */

static ward_status loop(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    while (!atomic_load(&all.released)) {
    }
    return WARD_OK;
}

static ward_status doze(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    while (!atomic_load(&all.released)) {
        struct timespec second = { 1, 0 };
        nanosleep(&second, NULL);
    }
    return WARD_OK;
}

static ward_status read_pipe(ward_self *self, const ward_msg *msg)
{
    char byte;

    (void)self;
    (void)msg;
    CHECK_IS(read(all.pipe[0], &byte, 1), 0); /* until its other end is closed */
    return WARD_OK;
}

static ward_status own_lock(ward_self *self, const ward_msg *msg)
{
    pthread_mutex_lock(&all.shared);
    ward__add(&all.in_turn, 1);
    (void)loop(self, msg);
    pthread_mutex_unlock(&all.shared);
    return WARD_OK;
}

static ward_status want_lock(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    pthread_mutex_lock(&all.shared);
    pthread_mutex_unlock(&all.shared);
    return WARD_OK;
}

static ward_self *begin(ward_node **node, uint32_t workers)
{
    all.texts_count = all.stuck = all.in_turn = all.done = 0;
    all.released = false;
    *node = check_open(&(ward_opts){ .workers = workers, .on_event = note });
    return ward_outside(*node);
}

static void go(ward_self *self, ward_ref *ref, const char *name, ward_handler *handle, uint32_t ms)
{
    CHECK_IS(ward_spawn(self, ref,
                 &(ward_spec){ .name = name, .handle = handle, .stuck_ms = ms, .blocking = true }),
        WARD_OK);
    CHECK_IS(ward_send(self, *ref, &GO, NULL), WARD_OK);
}

static void wait_said(const char *one, const char *other)
{
    while (!was_said(one, other))
        nap();
    printf("said: %s %s\n", one, other);
    fflush(stdout);
}

static void run_names(void)
{
    ward_node *node;
    ward_self *self = begin(&node, 1);
    ward_ref ref;

    CHECK_IS(pipe(all.pipe), 0);
    go(self, &ref, "owner", own_lock, 600000);
    while (!all.in_turn)
        nap();
    go(self, &ref, "looper", loop, STUCK_MS);
    go(self, &ref, "sleeper", doze, STUCK_MS);
    go(self, &ref, "reader", read_pipe, STUCK_MS);
    go(self, &ref, "waiter", want_lock, STUCK_MS);
    wait_said("/looper slow", "in go: spinning");
    wait_said("/sleeper slow", "in go: nanosleep()");
    wait_said("/reader slow", "in go: read(fd ");
    wait_said("/reader slow", " = pipe)");
    wait_said("/waiter slow", "in go: lock held by /owner");
    wait_said("/reader stuck, quarantined", " = pipe)");
    wait_said("/waiter stuck, quarantined", "in go: lock held by /owner");
    atomic_store(&all.released, true);
    close(all.pipe[1]);
    check_close(node);
    close(all.pipe[0]);
}

/* -- whom it does not blame -------------------------------------------------------------------- */

static ward_status compute_a_little(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    ward__add(&all.in_turn, 1);
    compute(100);
    ward__add(&all.done, 1);
    return WARD_OK;
}

/* Begins a turn that needs 100 ms of a processor and may take 400. */
static ward_node *begin_little(ward_handler *handle)
{
    ward_node *node;
    ward_self *self = begin(&node, 2);
    ward_ref ref;

    go(self, &ref, "little", handle, 400);
    while (!all.in_turn)
        nap();
    return node;
}

static void end_little(ward_node *node, const char *what)
{
    while (!all.done)
        nap();
    CHECK_IS(all.stuck, 0);
    check_close(node);
    printf("not blamed: %s\n", what);
    fflush(stdout);
}

static void run_stopped(void)
{
    ward_node *node = begin_little(compute_a_little);
    pid_t child, parent = getpid();

    child = fork();
    if (child == 0) {
        struct timespec second = { 1, 0 };
        kill(parent, SIGSTOP);
        nanosleep(&second, NULL);
        kill(parent, SIGCONT);
        _exit(0);
    }
    end_little(node, "a process that was stopped");
    CHECK_IS(waitpid(child, NULL, 0), child);
}

static void *hog(void *arg)
{
    (void)arg;
    while (!all.done) {
    }
    return NULL;
}

/* Has the least share of the processors there is. */
static ward_status be_starved(ward_self *self, const ward_msg *msg)
{
    (void)self;
    (void)msg;
    CHECK_IS(setpriority(PRIO_PROCESS, (id_t)gettid(), 19), 0);
    ward__add(&all.in_turn, 1);
    compute(20);
    ward__add(&all.done, 1);
    return WARD_OK;
}

static void run_starved(void)
{
    enum { HOGS = 16 };
    pthread_t hogs[HOGS];
    ward_node *node;
    int count = (int)sysconf(_SC_NPROCESSORS_ONLN) * 2;

    all.done = 0;
    for (int i = 0; i < count && i < HOGS; i++)
        CHECK_IS(pthread_create(&hogs[i], NULL, hog, NULL), 0);
    node = begin_little(be_starved);
    end_little(node, "a turn without a processor");
    for (int i = 0; i < count && i < HOGS; i++)
        pthread_join(hogs[i], NULL);
}

static ward_status take_a_second(ward_self *self, const ward_msg *msg)
{
    struct timespec second = { 1, 0 };

    (void)self;
    (void)msg;
    ward__add(&all.in_turn, 1);
    nanosleep(&second, NULL);
    ward__add(&all.done, 1);
    return WARD_OK;
}

/* Somebody is attached, as gdb and strace are; nothing is stopped. */
static void run_traced(void)
{
    pid_t child, parent = getpid();
    int ready[2];
    char byte = 'n';

    CHECK_IS(pipe(ready), 0);
    (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    child = fork();
    if (child == 0) {
        byte = ptrace(PTRACE_SEIZE, parent, NULL, NULL) ? 'n' : 'y';
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        for (;;)
            pause();
    }
    CHECK_IS(read(ready[0], &byte, 1), 1);
    if (byte == 'y')
        end_little(begin_little(take_a_second), "a debugger");
    else
        printf("no debugger here: this process may not be traced\n");
    kill(child, SIGKILL);
    CHECK_IS(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
}

/* starved: also a turn without a processor, which is still blamed on some machines. */
int main(int argc, char **argv)
{
    (void)argv;
    check_begin("late");
    run_names();
    run_stopped();
    run_traced();
    if (argc > 1) run_starved(); /* last: its hogs are in nobody's way then */
    return check_end();
}
