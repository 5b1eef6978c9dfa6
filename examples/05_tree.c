/* SPDX-License-Identifier: MIT */
/*
 * A supervised tree that mends itself. A till jams; one_for_all restarts both with fresh state;
 * the ref is the same, and what was in the mailbox is still there.
 *
 * Prints:
 *   sold 1
 *   sold 2
 *   left ended by failure, it restarts
 *   sold 1
 */
#include <stdio.h>
#include <ward/ward.h>

static const ward_type SELL = WARD_TYPE_EMPTY("sell"), JAM = WARD_TYPE_EMPTY("jam");
static const ward_type SOLD = WARD_TYPE_PLAIN("sold", int);

static ward_status till(ward_self *self, const ward_msg *msg)
{
    int *sold = ward_state(self); /* zeroed at each start: a crash forgets it */

    if (ward_is(msg, &JAM)) return WARD_EFAIL; /* let it crash */
    ++*sold;
    return ward_reply(self, msg, &SOLD, sold);
}

static const ward_spec tills[] = {
    { .name = "left", .handle = till, .state_bytes = sizeof(int), .stuck_ms = 2000 },
    { .name = "right", .handle = till, .state_bytes = sizeof(int), .restart = WARD_TRANSIENT },
};
static const ward_spec shop = { .name = "shop",
    .children = WARD_CHILDREN(tills),
    .strategy = WARD_ONE_FOR_ALL,
    .restarts_max = 5,
    .window_ms = 60000,
    .backoff_ms = 100 };

static ward_status sell(ward_self *self, ward_ref left)
{
    const ward_msg *answer;
    ward_status rc = ward_ask(self, &answer, left, &SELL, NULL, ward_in_ms(self, 1000));
    const int *sold = rc ? NULL : ward_value(answer, &SOLD);

    if (sold) printf("sold %d\n", *sold);
    return rc;
}

static ward_status day(ward_self *self)
{
    const ward_msg *msg;
    ward_ref top, left;
    ward_status rc = ward_spawn(self, &top, &shop);

    if (!rc) rc = ward_find(self, &left, "shop/left", ward_in_ms(self, 1000));
    if (!rc) rc = ward_monitor(self, left);
    if (!rc) rc = sell(self, left);
    if (!rc) rc = sell(self, left);
    if (!rc) rc = ward_send(self, left, &JAM, NULL);
    if (!rc) rc = ward_receive(self, &msg, ward_in_ms(self, 1000));
    const ward_down *down = rc ? NULL : ward_down_of(msg);
    if (down && down->reason == WARD_BY_FAILURE && !down->final)
        puts("left ended by failure, it restarts");
    return rc ? rc : sell(self, left); /* the same ref, a new incarnation */
}

/* Events go to stderr: what failed, what restarted, where it was spawned. */
static void log_event(void *hook, const ward_event *event)
{
    char line[256];
    (void)hook;
    ward_event_text(event, line, sizeof line);
    fprintf(stderr, "%s\n", line);
}

int main(void)
{
    return ward_run(day, &(ward_opts){ .on_event = log_event }) != WARD_OK;
}
