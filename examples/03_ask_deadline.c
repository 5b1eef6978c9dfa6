/* SPDX-License-Identifier: MIT */
/*
 * The leak that ward was made against. A patient submits a form; a task asks the terminology
 * service whether its codes are valid; the service hangs. With a deadline each task ends and the
 * form is parked for review. Then the deadline is removed on purpose: a hundred tasks wait for
 * ever, and the census says how many, in what, and at which line.
 *
 * Prints:
 *   with a deadline: 100 forms parked for review, 0 tasks left
 *   without one: 100 tasks wait in "ask" at 03_ask_deadline.c:55
 *   spawned at 03_ask_deadline.c:71
 */
#include <stdio.h>
#include <string.h>
#include <ward/census.h>
#include <ward/ward.h>

enum { FORMS = 100 };
static const ward_type VALIDATE = WARD_TYPE_TEXT("validate"), VALID = WARD_TYPE_EMPTY("valid");
static const ward_type PARKED = WARD_TYPE_EMPTY("parked");

struct job {
    ward_ref terms, clerk;
    bool leaks;
};

/* It takes each question and never answers. */
static ward_status terminology(ward_self *self, const ward_msg *msg)
{
    ward_msg *kept;
    return ward_keep(self, &kept, msg);
}

static ward_status valid(ward_self *self, const struct job *job, ward_deadline by)
{
    const ward_msg *answer;
    ward_status rc = ward_ask(self, &answer, job->terms, &VALIDATE, "8480-6", by);

    return !rc && !ward_is(answer, &VALID) ? WARD_EFAIL : rc;
}

static ward_status submission(ward_self *self)
{
    const struct job *job = ward_arg(self);
    ward_status rc;

    if (job->leaks) {
        const ward_msg *answer;
        /* What must not be written, and what no other runtime would point a finger at:
         * it waits for ever for a service that hangs. A thousand of these, one a form, and
         * the server dies at night. Here the census names this line. (The service keeps at
         * most what its mailbox holds; who comes later waits here, too.)
         *
         * The line below is the one. */
        rc = ward_ask(self, &answer, job->terms, &VALIDATE, "8480-6", WARD_FOREVER);
        return rc;
    }
    rc = valid(self, job, ward_in_ms(self, 200));
    return rc == WARD_ETIMEDOUT ? ward_send(self, job->clerk, &PARKED, NULL) : rc;
}

static ward_status submit_all(ward_self *self, ward_ref *tasks, const struct job *job)
{
    ward_status rc = WARD_OK;
    for (int i = 0; !rc && i < FORMS; i++) {
        ward_spec spec = { .body = submission,
            .arg = (void *)(uintptr_t)job,
            .arg_bytes = sizeof *job,
            .restart = WARD_TEMPORARY };
        /* Each task belongs to whoever started it: there is no other way to spawn. */
        rc = ward_spawn(self, &tasks[i], &spec);
    }
    return rc;
}

static const char *base(const char *site)
{
    const char *slash = strrchr(site, '/');
    return slash ? slash + 1 : site;
}

/* Counts who waits in an ask, and shows where. */
static ward_status show_leak(ward_self *self)
{
    ward_census *census;
    const ward_row *leak = NULL;
    int count = 0;
    ward_status rc = ward_census_take(ward_node_of(self), &census);

    if (rc) return rc;
    for (size_t i = 0; i < ward_census_count(census); i++) {
        const ward_row *row = ward_census_row(census, i);
        if (strcmp(row->wait, "ask") != 0) continue;
        leak = row;
        count++;
    }
    if (leak) {
        printf("without one: %d tasks wait in \"%s\" at %s\n", count, leak->wait,
            base(leak->wait_site));
        printf("spawned at %s\n", base(leak->spawn_site));
    }
    ward_census_free(census);
    return WARD_OK;
}

static ward_status server(ward_self *self)
{
    struct job job = { .clerk = ward_me(self) };
    ward_ref tasks[FORMS];
    const ward_msg *msg;
    int parked = 0;
    ward_mark mark;
    ward_spec terms = { .name = "terms", .handle = terminology };
    ward_status rc = ward_spawn(self, &job.terms, &terms);

    mark = ward_leakcheck_begin(self);
    if (!rc) rc = submit_all(self, tasks, &job);
    if (!rc) rc = ward_join(self, tasks, FORMS, ward_in_ms(self, 5000));
    while (!rc && ward_receive(self, &msg, WARD_NOW) == WARD_OK)
        parked += ward_is(msg, &PARKED);
    if (!rc) rc = ward_leakcheck_end(self, mark, 100);
    printf(
        "with a deadline: %d forms parked for review, %s tasks left\n", parked, rc ? "some" : "0");

    job.leaks = true;
    if (!rc) rc = submit_all(self, tasks, &job);
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 200));
    return rc ? rc : show_leak(self);
}

int main(void)
{
    return ward_run(server, NULL) != WARD_OK;
}
