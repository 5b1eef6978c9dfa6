/* SPDX-License-Identifier: MIT */
/*
 * A handler cannot wait, and need not: an admission desk that has to ask the insurer first keeps
 * the question, asks without waiting, and answers when the outcome comes as a message. What is kept
 * fills its place in the mailbox, so a desk that is flooded says WARD_EFULL.
 *
 * Prints:
 *   Ada: admitted, insured
 *   Bert: admitted, insurance to be checked
 */
#include <stdio.h>
#include <string.h>
#include <ward/ward.h>

enum { OPEN = 32 };

static const ward_type ADMIT = WARD_TYPE_TEXT("admit"), ADMITTED = WARD_TYPE_TEXT("admitted");
static const ward_type INSURED = WARD_TYPE_TEXT("insured"), YES = WARD_TYPE_EMPTY("yes");

struct desk {
    struct {
        ward_call call;
        ward_msg *question; /* NULL: this place is free */
    } open[OPEN];
};

static ward_status insurer(ward_self *self, const ward_msg *msg)
{
    if (strcmp(ward_text(msg), "Ada") == 0) return ward_reply(self, msg, &YES, NULL);
    return WARD_OK; /* no answer is one, too: WARD_ENOREPLY */
}

static ward_status ask_insurer(ward_self *self, struct desk *desk, const ward_msg *msg)
{
    const ward_ref *to = ward_arg(self);
    int i = 0;
    ward_status rc = WARD_EFULL;

    while (i < OPEN && desk->open[i].question)
        i++;
    if (i < OPEN)
        rc = ward_request(
            self, &desk->open[i].call, *to, &INSURED, ward_text(msg), ward_in_ms(self, 2000));
    if (!rc) rc = ward_keep(self, &desk->open[i].question, msg);
    if (rc) ward_refuse(self, msg, rc); /* who asked decides, the desk goes on */
    return WARD_OK;
}

static ward_status desk(ward_self *self, const ward_msg *msg)
{
    struct desk *desk = ward_state(self);
    const char *text = ward_is(msg, &YES) ? "admitted, insured"
                                          : "admitted, insurance to be checked";
    ward_status rc;

    if (ward_is(msg, &ADMIT)) return ask_insurer(self, desk, msg);
    if (ward_kind_of(msg) != WARD_ANSWER) return WARD_OK;
    for (int i = 0; i < OPEN; i++) {
        if (!desk->open[i].question || desk->open[i].call.id != ward_call_of(msg).id) continue;
        rc = ward_reply(self, desk->open[i].question, &ADMITTED, text);
        ward_drop(self, desk->open[i].question);
        desk->open[i].question = NULL;
        return rc;
    }
    return WARD_OK;
}

static ward_status hospital(ward_self *self)
{
    static const char *const patients[] = { "Ada", "Bert" };
    ward_ref ins, front;
    const ward_msg *answer;
    ward_status rc = ward_spawn(self, &ins, &(ward_spec){ .name = "insurer", .handle = insurer });
    ward_spec spec = { .name = "desk",
        .handle = desk,
        .arg = &ins,
        .arg_bytes = sizeof ins,
        .state_bytes = sizeof(struct desk) };

    if (!rc) rc = ward_spawn(self, &front, &spec);
    for (size_t i = 0; !rc && i < WARD_COUNT(patients); i++) {
        rc = ward_ask(self, &answer, front, &ADMIT, patients[i], ward_in_ms(self, 5000));
        if (!rc) printf("%s: %s\n", patients[i], ward_text(answer));
    }
    return rc;
}

int main(void)
{
    return ward_run(hospital, NULL) != WARD_OK;
}
