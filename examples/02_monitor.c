/* SPDX-License-Identifier: MIT */
/*
 * A bedside monitor: two event streams in one receive, a timeout when both are silent, and
 * cancellation, which every wait learns of.
 *
 * Prints:
 *   alarm level 2
 *   pulse 60
 *   pulse 61
 *   pulse 62
 *   silence: is the sensor on?
 *   cancelled: the ward closes
 */
#include <stdio.h>
#include <ward/ward.h>

struct vitals {
    int pulse;
};
struct alarm {
    int level;
};
static const ward_type VITALS = WARD_TYPE_PLAIN("vitals", struct vitals);
static const ward_type ALARM = WARD_TYPE_PLAIN("alarm", struct alarm);

static ward_status monitor(ward_self *self)
{
    for (;;) {
        const ward_msg *msg;
        ward_status rc = ward_receive(self, &msg, ward_in_ms(self, 500));

        if (rc == WARD_ETIMEDOUT) {
            puts("silence: is the sensor on?");
            continue;
        }
        if (rc == WARD_ECANCELED) puts("cancelled: the ward closes");
        if (rc) return rc;

        const struct vitals *v = ward_value(msg, &VITALS);
        const struct alarm *a = ward_value(msg, &ALARM);
        if (v) printf("pulse %d\n", v->pulse);
        if (a) printf("alarm level %d\n", a->level);
    }
}

static ward_status sensor(ward_self *self)
{
    const ward_ref *to = ward_arg(self);

    for (int i = 0; i < 3; i++) {
        struct vitals now = { 60 + i };
        ward_status rc = ward_send_by(self, *to, &VITALS, &now, ward_in_ms(self, 1000));
        if (!rc) rc = ward_sleep(self, ward_in_ms(self, 100));
        if (rc) return rc;
    }
    return WARD_OK;
}

static ward_status ward_room(ward_self *self)
{
    ward_ref mon, sens;
    ward_status rc = ward_spawn(self, &mon, &(ward_spec){ .name = "monitor", .body = monitor });
    ward_spec spec = { .name = "pulse", .body = sensor, .arg = &mon, .arg_bytes = sizeof mon };

    if (!rc) rc = ward_send(self, mon, &ALARM, &(struct alarm){ 2 });
    if (!rc) rc = ward_spawn(self, &sens, &spec);
    if (!rc) rc = ward_join(self, &sens, 1, ward_in_ms(self, 2000));
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 700));
    ward_cancel(self, mon);
    return rc ? rc : ward_join(self, &mon, 1, ward_in_ms(self, 1000));
}

int main(void)
{
    return ward_run(ward_room, NULL) != WARD_OK;
}
