/* SPDX-License-Identifier: MIT */
/*
 * Four workers, a hundred images, and a shutdown that loses none: closing a mailbox is closing a
 * channel (the rest is handled, then the worker ends), and join is the wait group.
 *
 * Prints:
 *   done 100 of 100
 */
#include <stdio.h>
#include <ward/ward.h>

enum { WORKERS = 4, IMAGES = 100 };
struct image {
    int id;
};
static const ward_type IMAGE = WARD_TYPE_PLAIN("image", struct image);
static const ward_type DONE = WARD_TYPE_PLAIN("done", int);

static ward_status worker(ward_self *self)
{
    const ward_ref *boss = ward_arg(self);
    const ward_msg *msg;
    int done = 0;
    ward_status rc;

    while ((rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        const struct image *image = ward_value(msg, &IMAGE);
        if (image) done++; /* resize it */
    }
    if (rc != WARD_ECLOSED) return rc;
    return ward_send(self, *boss, &DONE, &done); /* closed and empty: range over a channel ends */
}

/* To whoever has room; if nobody has, parks until the first one does. */
static ward_status give(ward_self *self, const ward_ref *workers, int id, ward_deadline by)
{
    struct image image = { id };
    ward_status rc = WARD_EFULL;

    for (int n = 0; rc == WARD_EFULL && n < WORKERS; n++)
        rc = ward_send(self, workers[(id + n) % WORKERS], &IMAGE, &image);
    if (rc == WARD_EFULL) rc = ward_send_by(self, workers[id % WORKERS], &IMAGE, &image, by);
    return rc;
}

static ward_status pool(ward_self *self)
{
    ward_ref me = ward_me(self), workers[WORKERS];
    ward_spec spec = {
        .name = "worker", .body = worker, .arg = &me, .arg_bytes = sizeof me, .mailbox_max = 8
    };
    ward_deadline by = ward_in_ms(self, 10000);
    const ward_msg *msg;
    ward_status rc = WARD_OK;
    int total = 0;

    for (int i = 0; !rc && i < WORKERS; i++)
        rc = ward_spawn(self, &workers[i], &spec);
    for (int i = 0; !rc && i < IMAGES; i++)
        rc = give(self, workers, i, by);
    for (int i = 0; !rc && i < WORKERS; i++)
        ward_close_mail(self, workers[i]);
    if (!rc) rc = ward_join(self, workers, WORKERS, by);
    while (!rc && ward_receive(self, &msg, WARD_NOW) == WARD_OK) {
        const int *done = ward_value(msg, &DONE);
        if (done) total += *done;
    }
    printf("done %d of %d\n", total, IMAGES);
    return rc;
}

int main(void)
{
    return ward_run(pool, NULL) != WARD_OK;
}
