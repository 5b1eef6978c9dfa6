/* SPDX-License-Identifier: MIT */
/*
 * plain.c - a user's program on ward alone: asks an actor and prints the answer. Linked with
 * ward::ward only, so it does not link when the core needs nng or msgpack-c.
 */
#include <stdio.h>
#include <ward/ward.h>

static const ward_type question = WARD_TYPE_TEXT("question");
static const ward_type answer = WARD_TYPE_TEXT("answer");

static ward_status greeter(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &answer, ward_textf(self, "hello, %s", ward_text(msg)));
}

static ward_status body(ward_self *self)
{
    const ward_msg *msg;
    ward_ref who;
    ward_status status;

    status = ward_spawn(self, &who, &(ward_spec){ .name = "greeter", .handle = greeter });
    if (!status) status = ward_ask(self, &msg, who, &question, "consumer", ward_in_ms(self, 10000));
    if (!status) puts(ward_text(msg));
    return status;
}

int main(void)
{
    ward_status status = ward_run(body, NULL);

    if (status) fprintf(stderr, "%s\n", ward_strerror(status));
    return status != WARD_OK;
}
