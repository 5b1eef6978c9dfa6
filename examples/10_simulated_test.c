/* SPDX-License-Identifier: MIT */
/*
 * A test of an actor, by simulation: whatever crashes, an order that was confirmed is not lost.
 *
 * The shop writes an order down and confirms it; the code may crash at any call. The test buys, and
 * counts what was confirmed. A thousand seeds are a thousand runs that differ in order, timing and
 * crashes. The same test of a careless shop, which confirms first, finds the seed that shows it,
 * and that seed shows it again. See docs/simulation.md.
 *
 * Prints:
 *   careful: 1000 seeds
 *   careless: a confirmed order is lost
 *   and again with its seed
 */
#include <stdio.h>
#include <ward/sim.h>

enum { ORDERS = 20, LOST = WARD_EUSER };

static const ward_type BUY = WARD_TYPE_EMPTY("buy"), DONE = WARD_TYPE_EMPTY("done");
static const ward_type SOLD = WARD_TYPE_PLAIN("sold", uint32_t);

/* -- what is tested ---------------------------------------------------------------------------- */

/* It survives a crash, as a disk does. */
struct disk {
    uint32_t orders;
};

struct shop {
    struct disk *disk;
    ward_ref audit;
    bool careless;
};

static ward_status shop(ward_self *self, const ward_msg *msg)
{
    struct shop *shop = ward_arg(self);
    uint32_t sold = shop->disk->orders + 1;
    ward_status rc;

    if (!shop->careless) shop->disk->orders = sold;
    rc = ward_reply(self, msg, &DONE, NULL);
    if (!rc) rc = ward_send(self, shop->audit, &SOLD, &sold);
    if (shop->careless) shop->disk->orders = sold;
    return rc == WARD_EFULL ? WARD_OK : rc; /* the audit may miss one */
}

static ward_status audit(ward_self *self, const ward_msg *msg)
{
    (void)self;
    return ward_is(msg, &SOLD) ? WARD_OK : WARD_EFAIL;
}

/* -- the test ---------------------------------------------------------------------------------- */

static ward_status open_shop(ward_self *self, ward_ref *at, struct disk *disk)
{
    struct shop arg = { .disk = disk, .careless = *(const bool *)ward_arg(self) };
    ward_spec children[] = { { .name = "shop",
        .handle = shop,
        .arg = &arg,
        .arg_bytes = sizeof arg,
        .restarts_max = WARD_UNLIMITED } };
    ward_ref top;
    /* Nothing restarts below a body, so what is to be restarted has a supervisor. */
    ward_status rc =
        ward_spawn(self, &arg.audit, &(ward_spec){ .handle = audit, .restart = WARD_TEMPORARY });

    if (!rc)
        rc = ward_spawn(self, &top,
            &(ward_spec){ .name = "top",
                .children = WARD_CHILDREN(children),
                .restarts_max = WARD_UNLIMITED });
    return rc ? rc : ward_find(self, at, "top/shop", ward_in_ms(self, 1000));
}

/* The body of the run. It is spared by all faults, so what it says of the shop is true. */
static ward_status confirmed_is_kept(ward_self *self)
{
    struct disk disk = { 0 };
    uint32_t confirmed = 0;
    const ward_msg *answer;
    ward_ref at;
    ward_status rc = open_shop(self, &at, &disk);

    for (int i = 0; !rc && i < ORDERS; i++) {
        rc = ward_ask(self, &answer, at, &BUY, NULL, ward_in_ms(self, 60000));
        if (!rc) confirmed++;
        if (rc == WARD_ENOREPLY) rc = WARD_OK; /* in doubt: it may be kept or not */
    }
    ward_sim_faults(self, false); /* from here on all must heal */
    if (!rc) rc = ward_ask(self, &answer, at, &BUY, NULL, ward_in_ms(self, 60000));
    if (!rc && disk.orders < confirmed + 1) rc = (ward_status)LOST;
    return rc;
}

static ward_status simulate(uint64_t *seed, bool careless, uint32_t runs)
{
    char report[1000];
    ward_opts node = { .arg = &careless };
    ward_sim_opts opts = { .seed = *seed,
        .node = &node,
        .crash_one_in = 40,
        .change_points = 2,
        .report = report,
        .report_bytes = sizeof report };
    ward_status rc = ward_simulate(seed, confirmed_is_kept, runs, &opts);

    if (rc && rc != (ward_status)LOST) fputs(report, stdout);
    return rc;
}

int main(void)
{
    uint64_t seed = 1;

    if (simulate(&seed, false, 1000) != WARD_OK) return 1;
    printf("careful: 1000 seeds\n");
    if (simulate(&seed, true, 1000) == (ward_status)LOST)
        printf("careless: a confirmed order is lost\n");
    if (simulate(&seed, true, 1) == (ward_status)LOST) printf("and again with its seed\n");
    return 0;
}
