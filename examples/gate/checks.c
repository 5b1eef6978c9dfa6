/* SPDX-License-Identifier: MIT */
/*
 * checks.c - passes each check on to the next desk, with its asker and its deadline, and forgets
 * it: the answer goes straight to who asked, and the loss of a link or of a desk reaches him
 * without this actor. It never waits, so one hung worker delays no other.
 *
 * A desk is known by its ref; a process that was started anew registers a new one, and the old
 * one's DOWN takes it out. Whoever runs the process is told both, as he cannot see the link. The
 * state belongs to the incarnation; a successor learns of the desks again, as workers register
 * when they lose it.
 */
#include "examples/gate/checks.h"
#include "examples/gate/types.h"
#include <stdio.h>
#include <string.h>

enum { DESKS_MAX = 64, NAME_MAX_BYTES = 48 };

struct desk {
    ward_ref ref;
    char name[NAME_MAX_BYTES]; /* of its worker */
};

struct checks {
    unsigned count, turn;
    struct desk desks[DESKS_MAX];
};

size_t gate_checks_state_bytes(void)
{
    return sizeof(struct checks);
}

/* Workers that were started by hand have no actor here. */
static void tell_worker(ward_self *self, const char *name, const ward_type *type)
{
    const char *path = ward_textf(self, "../workers/%s", name);
    ward_ref worker;

    if (!path || ward_find(self, &worker, path, WARD_NOW) != WARD_OK) return;
    (void)!ward_send(self, worker, type, NULL);
}

static struct desk *desk_of(struct checks *checks, ward_ref ref)
{
    for (unsigned i = 0; i < checks->count; i++)
        if (ward_same(checks->desks[i].ref, ref)) return &checks->desks[i];
    return NULL;
}

static ward_status add(ward_self *self, struct checks *checks, const struct gate_register *who)
{
    struct gate_config *config = ward_arg(self);
    struct desk *desk = desk_of(checks, who->desk);
    ward_status rc;

    if (desk) return WARD_OK; /* it asks whether we know it */
    if (checks->count == DESKS_MAX) return WARD_ELIMIT;
    rc = ward_monitor(self, who->desk);
    if (rc) return rc;
    desk = &checks->desks[checks->count++];
    desk->ref = who->desk;
    (void)snprintf(desk->name, sizeof desk->name, "%s", who->name ? who->name : "");
    if (ward_me(self).node == who->desk.node) return WARD_OK; /* in this process */
    gate_log(&config->log, "a worker has registered, %u in all", checks->count);
    tell_worker(self, desk->name, &gate_arrived_type);
    return WARD_OK;
}

static void take_out(ward_self *self, struct checks *checks, ward_ref ref)
{
    struct gate_config *config = ward_arg(self);
    struct desk *desk = desk_of(checks, ref), gone;

    if (!desk) return;
    gone = *desk;
    *desk = checks->desks[--checks->count];
    if (ward_me(self).node == ref.node) return;
    gate_log(&config->log, "a worker is lost, %u left", checks->count);
    tell_worker(self, gone.name, &gate_lost_type);
}

/* To the next one that takes it; one that does not is about to be reported gone. */
static void pass_on(ward_self *self, struct checks *checks, const ward_msg *check)
{
    ward_status rc = WARD_EGONE;

    for (unsigned tries = 0; rc && tries < checks->count; tries++)
        rc = ward_forward(self, checks->desks[checks->turn++ % checks->count].ref, check);
    if (rc) ward_refuse(self, check, checks->count ? WARD_EUNAVAIL : GATE_ENOWORKER);
}

ward_status gate_checks(ward_self *self, const ward_msg *msg)
{
    struct checks *checks = ward_state(self);
    const struct gate_register *who = ward_value(msg, &gate_register_type);
    const ward_down *down = ward_down_of(msg);
    ward_status rc;

    if (down) take_out(self, checks, down->who);
    if (ward_is(msg, &gate_check_type)) pass_on(self, checks, msg);
    if (!who) return WARD_OK;
    rc = add(self, checks, who);
    if (!rc) rc = ward_reply(self, msg, &gate_registered_type, NULL);
    if (rc) ward_refuse(self, msg, rc);
    return WARD_OK;
}
