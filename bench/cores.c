/* SPDX-License-Identifier: MIT */
/*
 * cores.c - do W actors that only compute get W cores? Handlers and bodies, spawned by a host's
 * thread and by another body, as many as there are workers and one more. For each it prints the
 * share of the workers' time that was computing: 1.00 is all of it.
 *
 * Usage: bench_cores [WORKERS [UNIT_US]]     defaults 2 and 200; takes 8 seconds
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ward/ward.h>

enum { MEASURE_MS = 1000, CASES = 4 };

static const ward_type GO = WARD_TYPE_EMPTY("go");
static atomic_long units;
static long unit_us = 200;
static uint32_t workers = 2;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void compute(void)
{
    double end = seconds() + (double)unit_us * 1e-6;

    while (seconds() < end) {
    }
    atomic_fetch_add(&units, 1);
}

static ward_status handler(ward_self *self, const ward_msg *msg)
{
    (void)msg;
    compute();
    return ward_send(self, ward_me(self), &GO, NULL);
}

static ward_status body(ward_self *self)
{
    ward_status rc = WARD_OK;

    while (!rc) {
        compute();
        rc = ward_checkpoint(self);
    }
    return rc;
}

struct plan {
    bool bodies;
    uint32_t count;
};

static ward_status start(ward_self *self, const struct plan *plan)
{
    ward_spec spec = { .restart = WARD_TEMPORARY };
    ward_status rc = WARD_OK;
    ward_ref one;

    if (plan->bodies)
        spec.body = body;
    else
        spec.handle = handler;
    for (uint32_t i = 0; !rc && i < plan->count; i++) {
        rc = ward_spawn(self, &one, &spec);
        if (!rc && !plan->bodies) rc = ward_send(self, one, &GO, NULL);
    }
    return rc;
}

/* They are its children, so they end with it. */
static ward_status parent(ward_self *self)
{
    ward_status rc = start(self, ward_arg(self));
    return rc ? rc : ward_sleep(self, WARD_FOREVER);
}

static ward_status measure(ward_self *self, bool bodies, bool blocking, uint32_t count)
{
    struct plan plan = { bodies, count };
    ward_spec spec = { .body = parent,
        .blocking = blocking,
        .arg = &plan,
        .arg_bytes = sizeof plan,
        .restart = WARD_TEMPORARY };
    ward_ref top;
    double began;
    ward_status rc = ward_spawn(self, &top, &spec);

    if (!rc) rc = ward_sleep(self, ward_in_ms(self, 100));
    atomic_store(&units, 0);
    began = seconds();
    if (!rc) rc = ward_sleep(self, ward_in_ms(self, MEASURE_MS));
    printf("cores %s from a %s, %u on %u workers: %.2f\n", bodies ? "bodies" : "handlers",
        blocking ? "thread" : "body", count, workers,
        (double)atomic_load(&units) * (double)unit_us * 1e-6 / (seconds() - began) / workers);
    ward_cancel(self, top);
    return rc ? rc : ward_join(self, &top, 1, ward_in_ms(self, 5000));
}

static ward_status run(ward_self *self)
{
    ward_status rc = WARD_OK;

    for (int i = 0; !rc && i < CASES; i++)
        for (uint32_t extra = 0; !rc && extra < 2; extra++)
            rc = measure(self, i & 1, i & 2, workers + extra);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc > 1) workers = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2) unit_us = strtol(argv[2], NULL, 10);
    if (workers == 0 || workers > 64 || unit_us <= 0) {
        fprintf(stderr, "usage: bench_cores [WORKERS [UNIT_US]]\n");
        return 2;
    }
    return ward_run(run, &(ward_opts){ .workers = workers }) != WARD_OK;
}
