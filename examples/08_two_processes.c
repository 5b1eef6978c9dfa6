/* SPDX-License-Identifier: MIT */
/*
 * A question to another process, answered within two seconds or not at all.
 *
 * The program starts itself once more as the terminology service, finds its actor by name, asks
 * it, and stops it. Beside the listen and connect nothing knows that there are two processes: the
 * deadline travels along, and a service that hangs costs its caller two seconds. The types that
 * may come from elsewhere are in a table.
 *
 * Prints:
 *   8480-6: Systolic blood pressure
 *   9999-9: no such actor
 *   hang: the deadline passed
 *   the service has returned
 */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ward/net.h>
#include <ward/ward.h>

extern char **environ;

struct lookup {
    const char *system, *code;
};
static const ward_field LOOKUP_FIELDS[] = {
    WARD_FIELD(struct lookup, TEXT, system),
    WARD_FIELD(struct lookup, TEXT, code),
};
static const ward_type LOOKUP = WARD_TYPE("lookup", struct lookup, LOOKUP_FIELDS);
static const ward_type DISPLAY = WARD_TYPE_TEXT("display");
static const ward_type STOP = WARD_TYPE_EMPTY("stop");

static const ward_type *const types[] = { &LOOKUP, &DISPLAY, &STOP };
static const ward_table table = { .types = types, .types_count = WARD_COUNT(types) };

/* -- the service ------------------------------------------------------------------------------- */

static ward_status terms(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = WARD_OK;

    while (!rc && (rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        const struct lookup *lookup = ward_value(msg, &LOOKUP);
        if (ward_is(msg, &STOP)) return WARD_STOP;
        if (!lookup) continue;
        if (strcmp(lookup->code, "hang") == 0) {
            rc = ward_sleep(self, WARD_FOREVER); /* until nobody waits for it any more */
            if (rc == WARD_ETIMEDOUT || rc == WARD_EABANDONED) rc = WARD_OK;
        } else if (strcmp(lookup->code, "8480-6") == 0) {
            rc = ward_reply(self, msg, &DISPLAY, "Systolic blood pressure");
        } else {
            ward_refuse(self, msg, WARD_EGONE);
        }
    }
    return rc;
}

static ward_status serve(ward_self *self)
{
    static const ward_spec spec = { .name = "terms", .body = terms, .restart = WARD_TEMPORARY };
    ward_ref ref;
    ward_status rc = ward_spawn(self, &ref, &spec);

    if (!rc) rc = ward_listen(ward_node_of(self), ward_arg(self), NULL);
    return rc ? rc : ward_join(self, &ref, 1, ward_in_ms(self, 30000));
}

/* -- who asks ---------------------------------------------------------------------------------- */

static ward_status ask(ward_self *self, ward_ref service, const char *code)
{
    struct lookup lookup = { .system = "http://loinc.org", .code = code };
    const ward_msg *answer;
    ward_status rc = ward_ask(self, &answer, service, &LOOKUP, &lookup, ward_in_ms(self, 2000));

    printf("%s: %s\n", code, rc ? ward_strerror(rc) : ward_text(answer));
    return rc == WARD_ELINK ? rc : WARD_OK;
}

static ward_status client(ward_self *self)
{
    const ward_msg *msg;
    ward_ref service;
    ward_status rc = ward_connect(ward_node_of(self), ward_arg(self), NULL);

    if (!rc) rc = ward_find(self, &service, "terms-node:/main/terms", ward_in_ms(self, 10000));
    if (!rc) rc = ask(self, service, "8480-6");
    if (!rc) rc = ask(self, service, "9999-9");
    if (!rc) rc = ask(self, service, "hang");
    if (!rc) rc = ward_monitor(self, service);
    if (!rc) rc = ward_send(self, service, &STOP, NULL);
    while (!rc && (rc = ward_receive(self, &msg, ward_in_ms(self, 10000))) == WARD_OK) {
        const ward_down *down = ward_down_of(msg); /* had it crashed: WARD_BY_LINK */
        if (!down) continue;
        puts(down->reason == WARD_BY_RETURN ? "the service has returned" : "the link is lost");
        break;
    }
    return rc;
}

static int run(ward_body *body, const char *name, char *url)
{
    return ward_run(body, &(ward_opts){ .name = name, .table = &table, .arg = url }) != WARD_OK;
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/ward-08-XXXXXX", url[64];
    char *args[] = { argv[0], "serve", url, NULL };
    int failed, status;
    pid_t service;

    if (argc == 3 && strcmp(argv[1], "serve") == 0) return run(serve, "terms-node", argv[2]);
    if (!mkdtemp(dir)) return 1;
    snprintf(url, sizeof url, "ipc://%s/link", dir);
    if (posix_spawn(&service, "/proc/self/exe", NULL, NULL, args, environ)) return 1;
    failed = run(client, "client", url);
    if (waitpid(service, &status, 0) != service || status != 0) failed = 1;
    rmdir(dir);
    return failed;
}
