/* SPDX-License-Identifier: MIT */
/*
 * One actor, one question, one answer.
 *
 * Prints:
 *   hello, world
 */
#include <stdio.h>
#include <ward/ward.h>

static const ward_type GREET = WARD_TYPE_TEXT("greet"), GREETING = WARD_TYPE_TEXT("greeting");

static ward_status greeter(ward_self *self, const ward_msg *msg)
{
    return ward_reply(self, msg, &GREETING, ward_textf(self, "hello, %s", ward_text(msg)));
}

static ward_status hello(ward_self *self)
{
    const ward_msg *answer;
    ward_ref id;
    ward_status rc = ward_spawn(self, &id, &(ward_spec){ .name = "greeter", .handle = greeter });

    if (!rc) rc = ward_ask(self, &answer, id, &GREET, "world", ward_in_ms(self, 1000));
    puts(rc ? ward_strerror(rc) : ward_text(answer));
    return rc;
}

int main(void)
{
    return ward_run(hello, NULL) != WARD_OK;
}
