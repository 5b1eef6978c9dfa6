/* SPDX-License-Identifier: MIT */
/*
 * isolate_kill.c - a host that dies by SIGKILL leaves nothing behind: no template, no isolate that
 * hangs, no process that one has forked.
 *
 * The host is this program, run once more. This one is a subreaper, so whatever the host leaves
 * becomes its child, and it waits until it has none: something left behind would be waited for
 * until the alarm.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ward/isolate.h>

#include "tests/support/check.h"

enum { ROUNDS = 5, ISOLATES = 3 };

static const ward_type GO = WARD_TYPE_EMPTY("go");
static const ward_type HANG = WARD_TYPE_EMPTY("hang");
static const ward_type *const TYPES[] = { &GO, &HANG };

/* Forks one that ignores what it can, in a session of its own, with a child. */
static void fork_stubborn(void)
{
    if (fork()) return;
    (void)setsid();
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)fork();
    for (;;)
        pause();
}

static ward_status handle(ward_self *self, const ward_msg *msg)
{
    volatile bool forever = true;

    if (ward_is(msg, &GO)) {
        fork_stubborn();
        return ward_reply(self, msg, &GO, NULL);
    }
    while (forever) {
    }
    return WARD_OK;
}

static const ward_spec SPECS[] = { { .handle = handle } };
static const ward_table TABLE = {
    .types = TYPES, .types_count = WARD_COUNT(TYPES), .specs = WARD_CHILDREN(SPECS)
};

/* The host: says on its output when all is as bad as it can be. */
static ward_status host(ward_self *self)
{
    const ward_spec spec = { .handle = handle, .isolate = true, .isolate_standby = true };
    const ward_msg *got;
    ward_ref ref;

    for (int i = 0; i < ISOLATES; i++) {
        if (ward_spawn(self, &ref, &spec)) _exit(1);
        if (ward_ask(self, &got, ref, &GO, NULL, ward_in_ms(self, 20000))) _exit(1);
        if (ward_send(self, ref, &HANG, NULL)) _exit(1);
    }
    if (write(1, "x", 1) != 1) _exit(1);
    return ward_sleep(self, WARD_FOREVER);
}

static void one_round(char *program)
{
    int ends[2], count = 0;
    char byte = 0;
    pid_t pid;

    CHECK_IS(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], 1);
        execl("/proc/self/exe", program, "host", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    CHECK_IS(read(ends[0], &byte, 1), 1);
    CHECK_IS(kill(pid, SIGKILL), 0);
    while (wait(NULL) > 0)
        count++;
    /* The host, the template at least, and whatever else came to us in the order of their ends. */
    CHECK(count >= 2);
    close(ends[0]);
}

int main(int argc, char **argv)
{
    ward_isolate_main(argc, argv, &TABLE);
    if (argc > 1) return ward_run(host, &(ward_opts){ .table = &TABLE, .workers = 2 });
    check_begin("isolate_kill");
    CHECK_IS(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    for (int i = 0; i < ROUNDS; i++)
        one_round(argv[0]);
    return check_end();
}
