/* SPDX-License-Identifier: MIT */
/*
 * desk.c - a step for each check: an actor of its own that asks the terminology service for all
 * codes of one message, over one connection, and ends.
 *
 * The desk passes the question on with its asker and its deadline, so a step whose asker leaves,
 * or whose link is lost, is told in its wait and ends within the moment; its socket goes with it.
 * At most GATE_STEPS_MAX at once: who comes then is refused and tries again later. The first code
 * that gets no answer ends the check: a hung service costs one deadline, not one for each code.
 */
#include "examples/gate/desk.h"
#include "examples/gate/http_check.h"
#include "examples/gate/types.h"

/* libcurl needs more than a small stack. */
enum { STEP_STACK = 256 * 1024, FIRST_MS = 1000, AGAIN_MS = 200, ASK_MS = 2000, FIND_MS = 1000 };

static ward_status check_all(
    ward_self *self, const struct gate_check *check, struct gate_checked *out)
{
    const struct gate_config *config = ward_arg(self);
    struct gate_http *http;
    ward_status rc = gate_http_open(self, &http, config->terms_url);

    for (size_t i = 0; !rc && i < check->codes_count; i++) {
        bool valid = false;
        rc = gate_http_check(http, &check->codes[i], ward_in_ms(self, config->check_ms), &valid);
        if (rc) break;
        if (valid)
            out->valid++;
        else
            out->invalid++;
    }
    return rc;
}

static ward_status step(ward_self *self)
{
    const ward_msg *msg;
    struct gate_checked checked = { 0 };
    const struct gate_check *check;
    ward_status rc = ward_receive(self, &msg, ward_in_ms(self, FIRST_MS));

    if (rc) return rc == WARD_ETIMEDOUT ? WARD_OK : rc; /* its asker left before it was asked */
    check = ward_value(msg, &gate_check_type);
    rc = check ? check_all(self, check, &checked) : WARD_EINVAL;
    if (!rc) rc = ward_reply(self, msg, &gate_checked_type, &checked);
    if (rc) ward_refuse(self, msg, rc);
    return rc == WARD_ECANCELED ? rc : WARD_OK;
}

size_t gate_desk_state_bytes(void)
{
    return sizeof(ward_ref);
}

ward_status gate_desk_start(ward_self *self)
{
    return ward_find(self, ward_state(self), "../steps", WARD_NOW);
}

ward_status gate_desk(ward_self *self, const ward_msg *msg)
{
    const ward_spec spec = { .name = "step",
        .body = step,
        .arg = ward_arg(self),
        .stack_bytes = STEP_STACK,
        .mailbox_max = 1,
        .restart = WARD_TEMPORARY };
    ward_ref *steps = ward_state(self), one;
    ward_status rc;

    if (!ward_is(msg, &gate_check_type)) return WARD_OK;
    rc = ward_spawn_under(self, &one, *steps, &spec);
    if (!rc) rc = ward_forward(self, one, msg);
    if (rc) ward_refuse(self, msg, rc == WARD_ELIMIT || rc == WARD_ENOMEM ? WARD_EUNAVAIL : rc);
    return WARD_OK;
}

/* -- registering ------------------------------------------------------------------------------- */

static ward_status register_once(ward_self *self, ward_ref checks, ward_ref desk)
{
    const struct gate_registrar_arg *arg = ward_arg(self);
    const struct gate_register who = { desk, arg->config->name };
    const ward_msg *answer;
    ward_status rc = ward_monitor(self, checks);

    if (!rc)
        rc = ward_ask(self, &answer, checks, &gate_register_type, &who, ward_in_ms(self, ASK_MS));
    if (rc) ward_demonitor(self, checks);
    return rc;
}

/* Until the balancer, or the link to it, is gone. */
static ward_status until_down(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc;

    do
        rc = ward_receive(self, &msg, WARD_FOREVER);
    while (!rc && !ward_down_of(msg));
    return rc;
}

ward_status gate_registrar(ward_self *self)
{
    const struct gate_registrar_arg *arg = ward_arg(self);
    ward_ref desk, checks;
    ward_status rc = ward_find(self, &desk, "../desk", ward_in_ms(self, FIND_MS));

    while (!rc) {
        rc = ward_find(self, &checks, arg->checks, ward_in_ms(self, FIND_MS));
        if (!rc) rc = register_once(self, checks, desk);
        if (!rc) {
            gate_log(&arg->config->log, "registered for checks");
            rc = until_down(self);
            if (!rc) gate_log(&arg->config->log, "the gate is lost");
        }
        if (rc == WARD_ECANCELED || rc == WARD_EFENCED) break;
        if (rc) rc = ward_sleep(self, ward_in_ms(self, AGAIN_MS));
    }
    return rc;
}
