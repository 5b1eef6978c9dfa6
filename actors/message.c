/* SPDX-License-Identifier: MIT */
/*
 * message.c - what a reader asks of a message. Any thread that was lent it; never waits.
 */
#include "actors/node.h"
#include "mailbox/value.h"

const ward_type ward__nothing = WARD_TYPE_EMPTY("nothing");

ward_kind ward_kind_of(const ward_msg *msg)
{
    return (ward_kind)(ward__mail_bits(msg) >> WARD__MAIL_KIND & 7);
}

/* An answer has one if it is one. */
static bool has_value(const ward_msg *msg)
{
    ward_kind kind = ward_kind_of(msg);

    return kind == WARD_MAIL || (kind == WARD_ANSWER && ward_status_of(msg) == WARD_OK);
}

bool ward_is(const ward_msg *msg, const ward_type *type)
{
    return has_value(msg) && ward__type_same(msg->type, type);
}

const void *ward_value(const ward_msg *msg, const ward_type *type)
{
    if (!ward_is(msg, type)) return NULL;
    return ward__value_of(type, ward__mail_block((struct ward_msg *)(uintptr_t)msg));
}

const char *ward_text(const ward_msg *msg)
{
    if (!has_value(msg) || msg->type->form != WARD_FORM_TEXT) return "";
    return ward__mail_block((struct ward_msg *)(uintptr_t)msg);
}

const ward_type *ward_type_of(const ward_msg *msg)
{
    return has_value(msg) ? msg->type : &ward__nothing;
}

const ward_down *ward_down_of(const ward_msg *msg)
{
    return ward_kind_of(msg) == WARD_DOWN ? &msg->u.down : NULL;
}

ward_deadline ward_deadline_of(const ward_self *self, const ward_msg *msg)
{
    int64_t deadline;

    if (!ward__asks(msg) || !ward__asker_waits(self->node, ward__token_of(msg), &deadline))
        return WARD_FOREVER;
    return (ward_deadline){ deadline };
}

bool ward_same(ward_ref a, ward_ref b)
{
    return a.node == b.node && a.slot == b.slot && a.life == b.life;
}

const char *ward_strerror(ward_status status)
{
    switch (status) {
    case WARD_STOP: return "stop";
    case WARD_OK: return "ok";
    case WARD_EINVAL: return "an argument is wrong";
    case WARD_ENOMEM: return "no memory";
    case WARD_EFULL: return "the mailbox is full";
    case WARD_EGONE: return "no such actor";
    case WARD_ECLOSED: return "the mailbox is closed";
    case WARD_ETIMEDOUT: return "the deadline passed";
    case WARD_ECANCELED: return "cancelled";
    case WARD_EABANDONED: return "the asker has left";
    case WARD_ENOREPLY: return "the question was dropped unanswered";
    case WARD_EUNAVAIL: return "not available now";
    case WARD_EDEADLK: return "this wait could never end";
    case WARD_EFENCED: return "this incarnation was quarantined";
    case WARD_ESTATE: return "not possible here";
    case WARD_ETOOBIG: return "too big";
    case WARD_ELIMIT: return "a limit was reached";
    case WARD_ELINK: return "the link is down";
    case WARD_EDENIED: return "not allowed";
    case WARD_EFAIL: return "failed";
    case WARD_EUSER:
    case WARD_EUSER_LAST: break;
    }
    return status <= WARD_EUSER && status >= WARD_EUSER_LAST ? "an error of the application"
                                                             : "unknown status";
}
