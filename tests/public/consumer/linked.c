/* SPDX-License-Identifier: MIT */
/*
 * linked.c - a user's program on ward and ward-net: an address outside this machine is refused,
 * and the census finds the actor that runs this. One attached thread.
 */
#include <stdio.h>
#include <ward/census.h>
#include <ward/net.h>

static ward_status body(ward_self *self)
{
    ward_node *node = ward_node_of(self);
    ward_census *census;
    ward_status status;

    if (ward_listen(node, "tcp://192.0.2.1:9", NULL) != WARD_EDENIED) return WARD_EFAIL;
    status = ward_census_take(node, &census);
    if (status) return status;
    if (ward_census_count(census) < 1) status = WARD_EFAIL;
    ward_census_free(census);
    if (!status) puts("refused, counted");
    return status;
}

int main(void)
{
    ward_status status = ward_run(body, NULL);

    if (status) fprintf(stderr, "%s\n", ward_strerror(status));
    return status != WARD_OK;
}
