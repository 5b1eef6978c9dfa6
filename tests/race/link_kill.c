/* SPDX-License-Identifier: MIT */
/*
 * link_kill.c - a peer in a process of its own: killed with -9, stopped, gone on, and busy with
 * all its workers. The program runs itself again as the peer. Times are only bounded from above,
 * generously.
 */
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "tests/support/link_fixture.h"

enum { DEAD_MS = 1000, SLACK_MS = 9000 };

static const ward_link_opts quick = { .heartbeat_ms = 200, .dead_ms = DEAD_MS };

/* -- the peer ---------------------------------------------------------------------------------- */

/* A worker of its own for three times what a silent peer is given. */
static ward_status burn(ward_self *self, const ward_msg *msg)
{
    int64_t until = ward_now_ns(self) + 3 * DEAD_MS * (int64_t)WARD__NS_MS;

    (void)msg;
    while (ward__now_ns() < until) {
    }
    return WARD_OK;
}

static int serve(const char *url)
{
    ward_node *node = open_node("site", NULL);
    ward_ref ref;
    ward_self *self;

    for (size_t i = 0; i < WARD_COUNT(site_actors); i++)
        CHECK_IS(ward_spawn(ward_outside(node), &ref, &site_actors[i]), WARD_OK);
    for (int i = 0; i < 2; i++) {
        char name[] = { 'b', 'u', 'r', 'n', (char)('0' + i), 0 };
        CHECK_IS(ward_spawn(ward_outside(node), &ref, &(ward_spec){ .name = name, .handle = burn }),
            WARD_OK);
    }
    CHECK_IS(ward_listen(node, url, &quick), WARD_OK);
    CHECK_IS(ward_attach(node, &self, NULL), WARD_OK);
    (void)!ward_sleep(self, ward_in_ms(self, 100000));
    return 0; /* nobody has killed it: its own end */
}

static pid_t start(const char *url)
{
    char *args[] = { "link_kill", "serve", (char *)(uintptr_t)url, NULL };
    extern char **environ;
    pid_t child;

    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, args, environ)) _exit(1);
    return child;
}

/* -- this side --------------------------------------------------------------------------------- */

static ward_status ask_until_lost(ward_self *self)
{
    const ward_msg *answer;
    struct note note = { 0 };
    ward_status rc =
        ward_ask(self, &answer, *(ward_ref *)ward_arg(self), &NOTE, &note, ward_in_ms(self, 60000));

    CHECK_IS(rc, WARD_ELINK);
    return rc;
}

/* A monitor and a question are under way when the signal comes; both are told of the loss. */
static void loses(struct pair *pair, pid_t child, int signal)
{
    ward_ref hang = find(pair, "hang"), asker;
    const ward_msg *msg;
    int64_t began, took_ms;

    CHECK_IS(ward_monitor(pair->self, hang), WARD_OK);
    CHECK_IS(ward_spawn(pair->self, &asker,
                 &(ward_spec){ .name = "asker",
                     .body = ask_until_lost,
                     .arg = &hang,
                     .arg_bytes = sizeof hang,
                     .restart = WARD_TEMPORARY }),
        WARD_OK);
    EVENTUALLY(asks_out(pair->desk) == 1);
    began = ward__now_ns();
    CHECK_IS(kill(child, signal), 0);
    if (!CHECK_IS(ward_receive(pair->self, &msg, ward_in_ms(pair->self, DEAD_MS + SLACK_MS)), 0))
        return;
    took_ms = (ward__now_ns() - began) / WARD__NS_MS;
    CHECK(ward_down_of(msg) && ward_down_of(msg)->reason == WARD_BY_LINK);
    CHECK_IS(ward_join(pair->self, &asker, 1, soon(pair)), WARD_OK);
    CHECK_IS(ward_receive(pair->self, &msg, ward_in_ms(pair->self, 20)), WARD_ETIMEDOUT);
    CHECK_IS(ward_send(pair->self, hang, &NOTE, &(struct note){ 0 }), WARD_ELINK);
    printf("%s: told after %lld ms\n", strsignal(signal), (long long)took_ms);
    fflush(stdout);
}

static void killed(struct pair *pair, pid_t *child)
{
    ward_ref before = find(pair, "echo");

    loses(pair, *child, SIGKILL);
    CHECK_IS(waitpid(*child, NULL, 0), *child);
    *child = start(pair->url);
    CHECK(!ward_same(find(pair, "echo"), before));
    CHECK_IS(ward_send(pair->self, before, &NOTE, &(struct note){ 0 }), WARD_ELINK);
}

static void stopped(struct pair *pair, pid_t child)
{
    ward_ref before = find(pair, "echo");
    const ward_msg *answer;

    loses(pair, child, SIGSTOP);
    CHECK_IS(kill(child, SIGCONT), 0);
    CHECK(ward_same(find(pair, "echo"), before)); /* it has lived on */
    CHECK_IS(ward_ask(pair->self, &answer, before, &NOTE, &(struct note){ .id = 1 }, soon(pair)),
        WARD_OK);
}

static void busy_is_not_dead(struct pair *pair)
{
    ward_ref echo = find(pair, "echo");
    ward_ref burns[2] = { find(pair, "burn0"), find(pair, "burn1") };
    const ward_msg *msg;

    CHECK_IS(ward_monitor(pair->self, echo), WARD_OK);
    for (int i = 0; i < 2; i++)
        CHECK_IS(ward_send(pair->self, burns[i], &NOTE, &(struct note){ 0 }), WARD_OK);
    CHECK_IS(ward_receive(pair->self, &msg, ward_in_ms(pair->self, 3 * DEAD_MS)), WARD_ETIMEDOUT);
    ward_demonitor(pair->self, echo);
}

static void with_a_process(bool tcp)
{
    struct pair pair = { 0 };
    pid_t child;

    new_url(pair.url, tcp);
    child = start(pair.url);
    open_desk(&pair, &quick);
    busy_is_not_dead(&pair);
    stopped(&pair, child);
    killed(&pair, &child);
    killed(&pair, &child);
    stopped(&pair, child);
    CHECK_IS(kill(child, SIGKILL), 0);
    CHECK_IS(waitpid(child, NULL, 0), child);
    if (!tcp) CHECK_IS(unlink(pair.url + strlen("ipc://")), 0);
    close_pair(&pair);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0) return serve(argv[2]);
    check_begin("a peer that is killed, stopped, busy");
    if (!mkdtemp(link_dir)) return 1;
    with_a_process(false);
    with_a_process(true);
    CHECK_IS(rmdir(link_dir), 0);
    return check_end();
}
