/* SPDX-License-Identifier: MIT */
/*
 * leaky.c - the program that census.sh looks into: it leaks actors in the two ways of the article.
 * A thousand ask, without a deadline, a service that never answers; three hundred wait for mail
 * that nobody sends any more. All workers but none of the census' threads are stuck in handlers
 * that loop. Serves its census at the URL given, prints "ready", ends when its input does.
 *
 * The markers "leak here" and "waits here" are looked up by the script, so that it need not know
 * line numbers.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <ward/census.h>
#include <ward/ward.h>

enum { ASKERS = 1000, LISTENERS = 300, WORKERS = 2 };

static const char secret[] = "DOE^JANE^19700101";
static const ward_type question = WARD_TYPE_TEXT("leaky.question");
static _Atomic bool over;
static _Atomic int looping;

/* Keeps every question and answers none. */
static ward_status hang(ward_self *self, const ward_msg *msg)
{
    ward_msg *kept;

    return ward_keep(self, &kept, msg);
}

static ward_status ask(ward_self *self)
{
    const ward_ref *service = ward_arg(self);
    const ward_msg *answer;

    return ward_ask(self, &answer, *service, &question, secret, WARD_FOREVER); /* waits here */
}

static ward_status listen_for_ever(ward_self *self)
{
    const ward_msg *msg;

    return ward_receive(self, &msg, WARD_FOREVER);
}

/* Holds its worker until the end. */
static ward_status loop(ward_self *self, const ward_msg *msg)
{
    struct timespec step = { .tv_nsec = 1000000 };

    (void)self;
    (void)msg;
    atomic_fetch_add(&looping, 1);
    while (!atomic_load(&over))
        nanosleep(&step, NULL);
    return WARD_OK;
}

static ward_status spawn_all(ward_self *self, ward_ref *service)
{
    ward_ref made;
    ward_status rc = ward_spawn(self, service,
        &(ward_spec){ .name = "service", .handle = hang, .mailbox_max = 2 * ASKERS });

    for (int i = 0; !rc && i < ASKERS; i++) {
        ward_spec spec = { .body = ask, .arg = service, .arg_bytes = sizeof *service };
        rc = ward_spawn(self, &made, &spec); /* leak here */
    }
    for (int i = 0; !rc && i < LISTENERS; i++)
        rc = ward_spawn(self, &made, &(ward_spec){ .body = listen_for_ever });
    return rc;
}

/* Only when all others have come to rest. */
static ward_status stick_workers(ward_self *self)
{
    ward_ref stuck;
    ward_totals totals;
    ward_status rc = WARD_OK;

    do {
        rc = ward_sleep(self, ward_in_ms(self, 5));
        ward_census_totals(ward_node_of(self), &totals, sizeof totals);
    } while (!rc && totals.kept < ASKERS);
    for (int i = 0; !rc && i < WORKERS; i++) {
        rc = ward_spawn(self, &stuck, &(ward_spec){ .name = "stuck", .handle = loop });
        if (!rc) rc = ward_send(self, stuck, &question, secret);
        while (!rc && atomic_load(&looping) <= i)
            rc = ward_sleep(self, ward_in_ms(self, 1));
    }
    return rc;
}

static ward_status program(ward_self *self)
{
    const char *url = ward_arg(self);
    ward_ref service;
    ward_status rc = spawn_all(self, &service);
    char byte;

    if (!rc) rc = stick_workers(self);
    if (!rc) rc = ward_census_serve(ward_node_of(self), url);
    if (!rc) {
        printf("ready\n");
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0) {
        }
    }
    atomic_store(&over, true);
    return rc;
}

int main(int argc, char **argv)
{
    ward_status rc;

    if (argc != 2) return 2;
    alarm(60); /* whatever happens */
    rc = ward_run(program, &(ward_opts){ .arg = argv[1], .workers = WORKERS });
    if (rc) fprintf(stderr, "leaky: %s\n", ward_strerror(rc));
    return rc ? 1 : 0;
}
