/* SPDX-License-Identifier: MIT */
/*
 * sleep.c - waiting for time, and letting others run. On the actor's own thread.
 */
#include "actors/node.h"

ward_status ward_sleep_at(ward_self *self, ward_deadline by, const char *at)
{
    struct ward__here here;
    int64_t until;
    ward_status rc;

    if (self->kind == WARD__SELF_OUTSIDE) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = ward__wait_refused(self);
    until = ward__wait_until(self, by);
    if (rc == WARD_ESTATE && until <= ward__clock_ns(here.node)) rc = WARD_OK; /* no wait */
    if (!rc && until > ward__clock_ns(here.node)) {
        uint64_t cell = ward__wait_begin(&here, self, until, "sleep", at);
        rc = ward__wait_end(&here, self, cell);
        if (rc == WARD_ETIMEDOUT) rc = WARD_OK;
    }
    /* The question's deadline came first. */
    if (!rc && until < by.ns) rc = WARD_ETIMEDOUT;
    ward__waited(&here, self);
    ward__leave(self);
    return rc;
}

ward_status ward_checkpoint(ward_self *self)
{
    struct ward__here here;
    ward_status rc = WARD_OK;

    if (self->kind == WARD__SELF_OUTSIDE) return WARD_OK;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = ward__to_stop(self);
    if (!rc && self->waits && !self->ending) ward__yield(&here, self);
    ward__leave(self);
    return rc;
}
