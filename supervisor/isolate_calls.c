/* SPDX-License-Identifier: MIT */
/*
 * isolate_calls.c - what an isolate asks of the host: each is a call of the public interface made
 * in its name, with the status sent back; so a send from inside is refused by a full mailbox as any
 * other. A question is asked with the isolate's own wait, as if its body stood here: it parks at a
 * full mailbox, and can be cancelled, abandoned, or found in a deadlock.
 *
 * The isolates' thread only. What comes from a process is checked; that it may be sent, and to
 * whom, is not: an isolate is no sandbox.
 */
#include <string.h>

#include "mailbox/value.h"
#include "supervisor/isolate.h"

ward_status ward__isolate_mail(const struct ward__isolate *iso, const struct ward__iso_got *got,
    const struct ward__token *token, uint32_t *out)
{
    ward_node *node = iso->all->node;
    struct ward__packed packed = ward__iso_packed(got, node->table, node->opts.blob_bytes_max);
    uint32_t index;
    struct ward_msg *mail;
    ward_status rc;

    if (!packed.type) return WARD_EINVAL;
    index = ward__mail_get(&node->pool, NULL);
    if (!index) return WARD_ENOMEM;
    mail = ward__mail(&node->pool, index);
    rc = ward__unpack(&node->pool, mail, token != NULL, &packed);
    if (rc) {
        ward__mail_put(&node->pool, NULL, index);
        return rc;
    }
    if (token) {
        mail->u.ask.cell = token->cell;
        mail->u.ask.asker = token->asker;
    }
    *out = index;
    return WARD_OK;
}

/* -- sending ----------------------------------------------------------------------------------- */

static ward_status send_on(struct ward__isolate *iso, const struct ward__iso_got *got)
{
    struct ward__here here = ward__isolate_here(iso);
    struct ward__slot *target = ward__resolve(here.node, got->head.ref);
    struct ward_msg *mail;
    uint32_t index;
    ward_status rc = ward__isolate_mail(iso, got, NULL, &index);

    if (rc) return rc;
    if (target) {
        rc = ward__deliver(&here, target, got->head.ref.life, index);
        if (!rc) return WARD_OK;
    } else {
        mail = ward__mail(&here.node->pool, index);
        rc = ward_send(&iso->self, got->head.ref, mail->type, ward_value(mail, mail->type));
    }
    ward__mail_free(&here, index);
    return rc;
}

/* -- asking ------------------------------------------------------------------------------------ */

static void wait_over(struct ward__slot *slot)
{
    ward__store(&slot->wait.deadline, 0);
    ward__store(&slot->wait.holder, 0);
    ward__store(&slot->wait_what, NULL);
    ward__store(&slot->wait_at, NULL);
    ward__store(&slot->edge, WARD__EDGE_NONE);
}

/* As ward__wait_begin, but the clock of this wait is inside. */
static void wait_begin(struct ward__slot *slot, int64_t until_ns)
{
    struct ward__wait *wait = &slot->wait;

    ward__store(&slot->wait_what, "ask");
    ward__store(&slot->wait_at, "inside an isolate");
    ward__store(&slot->since_ns, ward__now_ns());
    wait->status = WARD_OK;
    wait->answer = 0;
    wait->asks = true;
    (void)ward__wait_arm(wait, until_ns);
}

/* Delivers the parcel, or parks it. Errors: it is refused. */
static ward_status offer(
    struct ward__here *here, struct ward__slot *slot, struct ward__slot *target, uint64_t life)
{
    struct ward__wait *wait = &slot->wait;
    ward_status rc;

    while ((rc = ward__deliver(here, target, life, wait->parcel)) == WARD_EFULL) {
        enum ward__pushed pushed = ward__mailbox_park(&target->box, life, wait);
        if (pushed == WARD__PUSH_FULL) return WARD_OK; /* it is parked */
        if (pushed == WARD__PUSH_CLOSED) return ward__closed_status(target, life);
        if (pushed != WARD__PUSHED) return WARD_EGONE;
    }
    if (!rc) wait->parcel = 0;
    return rc;
}

static ward_status ask_local(struct ward__here *here, struct ward__isolate *iso,
    const struct ward__iso_got *got, struct ward__slot *target)
{
    struct ward__slot *slot = iso->slot;
    struct ward__wait *wait = &slot->wait;
    struct ward__token token = { ward__load(&wait->cell) + 1, ward__index(here->node, slot) };
    ward_status rc;

    if (target == slot && ward__life(slot) == got->head.ref.life) return WARD_EDEADLK;
    rc = ward__isolate_mail(iso, got, &token, &wait->parcel);
    if (rc) return rc;
    wait->parcel_bytes = ward__mail_weight(ward__mail(&here->node->pool, wait->parcel));
    ward__store(&wait->holder, ward__index(here->node, target));
    ward__store(&slot->edge, WARD__EDGE_ONE);
    wait_begin(slot, got->head.ns);
    rc = offer(here, slot, target, got->head.ref.life);
    if (rc) {
        ward__mail_free(here, wait->parcel);
        wait->parcel = 0;
        ward__store(&slot->edge, WARD__EDGE_NONE);
        return rc;
    }
    /* As ward__wait_end: those it has room for are served, then a cycle is looked for. */
    ward__fence();
    if (iso->held && ward__mailbox_settle(&slot->box)) ward__serve(here, slot);
    ward__store_rel(&slot->edge, WARD__EDGE_ONE | WARD__EDGE_SURE);
    here->node->ops->cycle(here, slot);
    return WARD_OK;
}

static ward_status ask_remote(
    struct ward__here *here, struct ward__isolate *iso, const struct ward__iso_got *got)
{
    struct ward__route *route = ward__load_acq(&here->node->route);
    struct ward__token token = { .asker = ward__index(here->node, iso->slot) };
    struct ward__question question = { .deadline_ns = got->head.ns };
    struct ward_msg *mail;
    uint32_t index;
    ward_status rc;

    if (got->head.ref.node == 0 || got->head.ref.node == here->node->id) return WARD_EGONE;
    if (!route) return WARD_ELINK;
    if (got->head.ns == INT64_MAX) return WARD_EINVAL;
    rc = ward__isolate_mail(iso, got, NULL, &index);
    if (rc) return rc;
    mail = ward__mail(&here->node->pool, index);
    question.type = mail->type;
    question.value = ward_value(mail, mail->type);
    wait_begin(iso->slot, got->head.ns);
    token.cell = ward__load(&iso->slot->wait.cell);
    rc = route->ask(route->arg, token, got->head.ref, &question);
    ward__mail_free(here, index);
    return rc;
}

static ward_status ask_on(struct ward__isolate *iso, const struct ward__iso_got *got)
{
    struct ward__here here = ward__isolate_here(iso);
    struct ward__slot *slot = iso->slot, *target = ward__resolve(here.node, got->head.ref);
    uint64_t before = ward__load(&slot->wait.cell);
    ward_status rc;

    if (iso->asking) return WARD_ELIMIT;
    if (ward__load_seq(&slot->signals) & WARD__SIG_CANCEL) return WARD_ECANCELED;
    rc = target ? ask_local(&here, iso, got, target) : ask_remote(&here, iso, got);
    iso->ask_id = got->head.id;
    iso->asker = (uint32_t)got->head.incarnation;
    iso->ask_remote = !target;
    iso->ask_forgotten = iso->ask_over = false;
    if (!rc) {
        uint64_t cell;
        iso->asking = true;
        /* Who cancelled it before the wait was armed saw none: see wait.h. */
        ward__fence();
        cell = ward__load_seq(&slot->wait.cell);
        if (!(ward__load_seq(&slot->signals) & WARD__SIG_CANCEL)) return WARD_OK;
        if (!ward__waiting(cell) || !ward__wait_claim(&slot->wait, cell)) return WARD_OK;
        slot->wait.status = WARD_ECANCELED;
        iso->ask_over = true;
        ward__isolate_poke(here.node, slot, WARD__ISO_LOOK);
        return WARD_OK;
    }
    if (ward__load(&slot->wait.cell) != before) { /* it was armed */
        if (!ward__wait_claim(&slot->wait, before + 1)) { /* somebody was faster, and resumes it */
            iso->asking = iso->ask_forgotten = true;
            return rc;
        }
        wait_over(slot);
    }
    return rc;
}

/* Nobody's question any more: of who would answer it, too. */
static void abandon(struct ward__here *here, struct ward__isolate *iso)
{
    struct ward__wait *wait = &iso->slot->wait;
    struct ward__token token = { ward__load(&wait->cell) - 1, ward__index(here->node, iso->slot) };
    struct ward__route *route = ward__load_acq(&here->node->route);
    uint32_t holder = ward__load(&wait->holder) & ~WARD__MOVING;

    if ((iso->ask_remote || holder == WARD__REMOTE) && route)
        route->forget(route->arg, token);
    else if (!iso->ask_remote)
        ward__abandon(here, holder, token);
}

void ward__isolate_ask_over(struct ward__isolate *iso)
{
    struct ward__here here = ward__isolate_here(iso);
    struct ward__wait *wait = &iso->slot->wait;
    struct ward__iso_frame frame = { .kind = WARD__ISO_ANSWER,
        .id = iso->ask_id,
        .incarnation = iso->asker,
        .status = wait->status };
    struct ward_msg *mail = wait->answer ? ward__mail(&here.node->pool, wait->answer) : NULL;
    bool wanted = iso->process && !iso->process->exited && !iso->ask_forgotten;
    ward_status rc = WARD_OK;

    iso->ask_over = false;
    if (!iso->asking) return;
    if (wanted && mail) {
        rc = ward__iso_put_value(iso->process->mail.fd, &frame, here.node->table, mail->type,
            ward__value_of(mail->type, ward__mail_block(mail)));
        if (rc == WARD_EINVAL || rc == WARD_ENOMEM) {
            frame.status = rc == WARD_EINVAL ? WARD_EDENIED : rc; /* it cannot travel */
            frame.type = frame.in_memfd = 0;
            mail = NULL;
        }
    }
    if (wanted && !mail) rc = ward__iso_put(iso->process->mail.fd, &frame, NULL, 0, NULL);
    if (rc == WARD_EFULL) { /* once more when it is writable */
        iso->ask_over = iso->blocked = true;
        return;
    }
    if (ward__mailbox_unpark(wait)) {
        ward__mail_free(&here, wait->parcel);
        wait->parcel = 0;
    } else if (wait->status == WARD_ECANCELED || wait->status == WARD_EABANDONED ||
               wait->status == WARD_EDEADLK) {
        abandon(&here, iso);
    }
    ward__mail_free(&here, wait->answer);
    wait->answer = 0;
    iso->asking = false;
    wait_over(iso->slot);
}

void ward__isolate_ask_forget(struct ward__isolate *iso)
{
    struct ward__wait *wait = &iso->slot->wait;
    uint64_t cell = ward__load_seq(&wait->cell);

    iso->ask_forgotten = true;
    /* It may have gone on from one odd value to the next meanwhile. */
    while (ward__waiting(cell) && !iso->ask_over) {
        if (ward__wait_claim(wait, cell)) {
            wait->status = WARD_ECANCELED;
            iso->ask_over = true;
        }
        cell = ward__load_seq(&wait->cell);
    }
    if (iso->ask_over) ward__isolate_ask_over(iso); /* else who ended it is about to poke */
}

/* -- asking without waiting -------------------------------------------------------------------- */

struct ward__asked **ward__asked_find(struct ward__isolate *iso, ward_call call)
{
    struct ward__asked **at = &iso->asked;

    while (*at && (*at)->call.id != call.id)
        at = &(*at)->next;
    return at;
}

void ward__asked_free(struct ward__isolate *iso, struct ward__asked **at)
{
    struct ward__asked *asked = *at;

    *at = asked->next;
    ward__free(&iso->all->node->heap, asked, sizeof *asked);
}

/* As if it had called ward_request here: the outcome comes among its signals. */
static ward_status request_on(struct ward__isolate *iso, const struct ward__iso_got *got)
{
    struct ward__here here = ward__isolate_here(iso);
    struct ward__asked *asked = ward__alloc_zero(&here.node->heap, sizeof *asked);
    ward_deadline by = { got->head.ns };
    struct ward_msg *mail;
    uint32_t index = 0;
    ward_status rc = asked ? ward__isolate_mail(iso, got, NULL, &index) : WARD_ENOMEM;

    if (!rc) {
        mail = ward__mail(&here.node->pool, index);
        rc = ward_request(
            &iso->self, &asked->call, got->head.ref, mail->type, ward_value(mail, mail->type), by);
    }
    ward__mail_free(&here, index);
    if (rc) {
        ward__free(&here.node->heap, asked, sizeof *asked);
        return rc;
    }
    asked->id = got->head.id;
    asked->asker = (uint32_t)got->head.incarnation;
    asked->next = iso->asked;
    iso->asked = asked;
    return WARD_OK;
}

void ward__isolate_forget(struct ward__isolate *iso, const struct ward__iso_frame *head)
{
    struct ward_msg *hand = iso->self.hand;
    struct ward__asked **at = &iso->asked;
    uint32_t asker = (uint32_t)head->incarnation;

    if (iso->asking && iso->ask_id == head->id && iso->asker == asker)
        ward__isolate_ask_forget(iso);
    while (*at && ((*at)->id != head->id || (*at)->asker != asker))
        at = &(*at)->next;
    if (!*at) return;
    /* An outcome on its way to the process goes with its turn. */
    if (!hand || ward_call_of(hand).id != (*at)->call.id) ward_forget(&iso->self, (*at)->call);
    ward__asked_free(iso, at);
}

/* -- the other calls --------------------------------------------------------------------------- */

static ward_status forward(struct ward__isolate *iso, const struct ward__iso_frame *head)
{
    struct ward__given *given = ward__given_find(iso, head->id);

    return given ? ward_forward(&iso->self, head->ref, given->mail) : WARD_EINVAL;
}

static ward_status monitor(struct ward__isolate *iso, ward_ref whom)
{
    ward_status rc;

    if (iso->monitors >= WARD__ISO_MONITORS_MAX) return WARD_ELIMIT;
    rc = ward_monitor(&iso->self, whom);
    iso->monitors += !rc;
    return rc;
}

static void demonitor(struct ward__isolate *iso, ward_ref whom)
{
    struct ward_msg *hand = iso->self.hand;

    /* One that is on its way to the process is not to be freed under our hands. */
    if (hand && ward_same(hand->u.down.who, whom)) return;
    ward_demonitor(&iso->self, whom);
    iso->monitors -= iso->monitors > 0;
}

static ward_status find(struct ward__isolate *iso, const struct ward__iso_got *got, ward_ref *out)
{
    char path[WARD__PATH_MAX];

    if (got->head.body_bytes == 0 || got->head.body_bytes >= sizeof path) return WARD_EINVAL;
    memcpy(path, got->body, got->head.body_bytes);
    path[got->head.body_bytes] = 0;
    return ward_find_at(&iso->self, out, path, WARD_NOW, "inside an isolate");
}

bool ward__isolate_call(struct ward__isolate *iso, const struct ward__iso_got *got)
{
    struct ward__iso_frame result = { .kind = WARD__ISO_RESULT };
    ward_ref ref = got->head.ref;

    switch ((enum ward__iso_kind)got->head.kind) {
    case WARD__ISO_SEND: result.status = send_on(iso, got); break;
    case WARD__ISO_ASK:
        result.status = (uint32_t)got->head.incarnation < WARD__REQUEST ? ask_on(iso, got)
                                                                        : request_on(iso, got);
        break;
    case WARD__ISO_FORWARD: result.status = forward(iso, &got->head); break;
    case WARD__ISO_MONITOR: result.status = monitor(iso, ref); break;
    case WARD__ISO_DEMONITOR: demonitor(iso, ref); break;
    case WARD__ISO_STOP:
        if (got->head.bits & WARD__ISO_BIT_FINAL)
            ward_cancel(&iso->self, ref);
        else
            ward_close_mail(&iso->self, ref);
        break;
    case WARD__ISO_FIND: result.status = find(iso, got, &result.ref); break;
    default: return false;
    }
    return !ward__iso_put(iso->process->call.fd, &result, NULL, 0, NULL);
}
