/* SPDX-License-Identifier: MIT */
/*
 * Five laboratories are asked at once, with one deadline, and the best offer in time is taken. Each
 * question has its outcome exactly once, by the deadline; who is too slow learns that nobody waits.
 *
 * Prints:
 *   lab 0: 40
 *   lab 1: 35
 *   lab 2: the deadline passed
 *   lab 3: not available now
 *   lab 4: 50
 *   best: lab 1
 */
#include <stdio.h>
#include <ward/ward.h>

enum { LABS = 5 };

static const ward_type OFFER = WARD_TYPE_TEXT("offer"); /* for this test, by its LOINC code */
static const ward_type PRICE = WARD_TYPE_PLAIN("price", int);

static ward_status lab(ward_self *self)
{
    static const int prices[LABS] = { 40, 35, 10, 0, 50 };
    int i = *(const int *)ward_arg(self);
    const ward_msg *msg;
    ward_status rc;

    while ((rc = ward_receive(self, &msg, WARD_FOREVER)) == WARD_OK) {
        if (i == 3) {
            ward_refuse(self, msg, WARD_EUNAVAIL);
            continue;
        }
        if (i == 2) rc = ward_sleep(self, ward_in_ms(self, 60000)); /* ends with the question */
        if (!rc) rc = ward_reply(self, msg, &PRICE, &prices[i]);
        if (rc && rc != WARD_ETIMEDOUT && rc != WARD_EABANDONED) return rc;
    }
    return rc;
}

static int index_of(const ward_call *calls, ward_call call)
{
    int i = 0;

    while (calls[i].id != call.id)
        i++;
    return i;
}

static ward_status buyer(ward_self *self)
{
    ward_ref labs[LABS];
    ward_call calls[LABS];
    int price[LABS] = { 0 }, best = 0;
    ward_status status[LABS], rc = WARD_OK;
    ward_deadline by = ward_in_ms(self, 500);

    for (int i = 0; !rc && i < LABS; i++)
        rc = ward_spawn(self, &labs[i],
            &(ward_spec){ .name = "lab", .body = lab, .arg = &i, .arg_bytes = sizeof i });
    for (int i = 0; !rc && i < LABS; i++)
        rc = ward_request(self, &calls[i], labs[i], &OFFER, "8480-6", by);

    for (int n = 0; !rc && n < LABS; n++) { /* in whatever order they come */
        const ward_msg *answer;
        rc = ward_await(self, &answer, WARD_FOREVER);
        if (rc) break;
        int i = index_of(calls, ward_call_of(answer));
        const int *value = ward_value(answer, &PRICE);
        status[i] = ward_status_of(answer);
        if (value) price[i] = *value;
    }
    for (int i = 0; !rc && i < LABS; i++) {
        if (status[i])
            printf("lab %d: %s\n", i, ward_strerror(status[i]));
        else
            printf("lab %d: %d\n", i, price[i]);
        if (!status[i] && price[i] < price[best]) best = i;
    }
    if (!rc) printf("best: lab %d\n", best);
    return rc;
}

int main(void)
{
    return ward_run(buyer, NULL) != WARD_OK;
}
