/* SPDX-License-Identifier: MIT */
/*
 * isolate_life.c - one isolate from start to end, as the host sees it: mail to its process, news
 * from it, its end. The isolates' thread only, but for ward__isolate_drop.
 *
 * The mailbox word's SCHEDULED bit is the right to the mailbox, as for any actor; `held` says that
 * it is ours. It is given up when there is no mail, and kept while the process has all the mail it
 * may have, or is to stop; whoever wants to be seen meanwhile pokes. An end needs it back.
 *
 * What was taken from the mailbox and is not done stands in a list, in order, and goes on filling
 * its place there, but for the one in hand. It outlives the process: after a crash the oldest that
 * was given is in doubt, the others are given to the next.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/assert.h"
#include "mailbox/value.h"
#include "supervisor/isolate.h"

/* -- what was given ---------------------------------------------------------------------------- */

/* Somebody else may have it, who is about to grant it. */
static void take_back(struct ward__isolate *iso)
{
    iso->held = !(ward__or_seq(&iso->slot->box.word, WARD__SCHEDULED) & WARD__SCHEDULED);
}

/* The places in the mailbox that are taken: of all that is not done, but for the one in hand. */
static void publish(struct ward__isolate *iso)
{
    struct ward__mailbox *box = &iso->slot->box;
    uint32_t kept = iso->count - (iso->out > 0);

    ward__store(&box->kept, kept);
    ward__mailbox_publish(box);
}

struct ward__given *ward__given_find(struct ward__isolate *iso, uint64_t id)
{
    struct ward__given *given = iso->first;

    while (given && !(given->given && given->id == id))
        given = given->next;
    return given;
}

/* Takes it out of the list and frees it; an asker who has no answer gets `status`. */
static void settle(struct ward__here *here, struct ward__isolate *iso, struct ward__given *given,
    ward_status status)
{
    struct ward__given **at = &iso->first;
    struct ward_msg *mail = given->mail;
    ward_node *node = here->node;

    while (*at != given)
        at = &(*at)->next;
    *at = given->next;
    if (!given->next) iso->last = at;
    iso->count--;
    iso->kept -= given->kept;
    iso->out -= given->given && !given->kept;
    if (ward__asks(mail)) {
        struct ward__token token = ward__token_of(mail);
        ward__mail_set(mail, 0, WARD__MAIL_ASK);
        (void)ward__answer(here, token, status, 0);
    }
    ward__bump(&iso->slot->box.settled, 1);
    ward__mailbox_unreserve(&iso->slot->box, ward__mail_weight(mail));
    ward__mail_empty(&node->heap, mail);
    ward__mail_set(mail, 0, WARD__MAIL_KEPT);
    ward__mail_release(&node->pool, here->magazines, mail, WARD__MAIL_READ);
    ward__free(&node->heap, given, sizeof *given);
    publish(iso);
}

static void dead_letter(
    struct ward__here *here, struct ward__isolate *iso, struct ward__given *given, ward_status why)
{
    ward__fate(iso->slot, WARD__DEAD_LETTERED);
    here->node->ops->dead_letter(here, iso->slot, given->mail->type, why);
    settle(here, iso, given, why);
}

void ward__isolate_drop(struct ward__here *here, struct ward__slot *slot, ward_status status)
{
    struct ward__isolate *iso = slot->kind == WARD__ISOLATE ? ward__load(&slot->isolate) : NULL;

    while (iso && iso->first)
        dead_letter(here, iso, iso->first, status);
}

/* No more goes to its socket until it is writable; or never: the process has ended, as we are about
 * to hear. */
static void note(struct ward__isolate *iso, ward_status rc)
{
    if (rc == WARD_ELINK) iso->process->lost = true;
    if (rc == WARD_ELINK || rc == WARD_EFULL) iso->blocked = true;
}

/* What was in hand at a failure, or kept: it is in doubt, or comes again (.redeliver). */
static void fail(struct ward__here *here, struct ward__isolate *iso, struct ward__given *given)
{
    uint32_t tries = ward__mail_bits(given->mail) >> WARD__MAIL_TRIES;

    if (!given->kept && !iso->stuck && tries < ward__load(&iso->slot->spec)->redeliver) {
        ward__mail_set(given->mail, (tries + 1) << WARD__MAIL_TRIES,
            (uint32_t)WARD__TRIES_MAX << WARD__MAIL_TRIES);
        given->given = false;
        iso->out--;
    } else if (tries == 0 || given->kept) {
        ward__fate(iso->slot, WARD__IN_DOUBT);
        settle(here, iso, given, WARD_ENOREPLY);
    } else {
        dead_letter(here, iso, given, WARD_ENOREPLY);
    }
}

/* True: it is on its way. False: it was not wanted any more, or the socket is full for now. */
static bool give(struct ward__here *here, struct ward__isolate *iso, struct ward__given *given)
{
    ward_node *node = here->node;
    struct ward_msg *mail = given->mail;
    struct ward__iso_frame frame = { .kind = WARD__ISO_MAIL, .id = ++iso->last_id };
    ward_status rc;

    if (ward__asks(mail)) {
        frame.bits = WARD__ISO_BIT_ASKS;
        if (!ward__asker_waits(node, ward__token_of(mail), &frame.ns)) {
            ward__fate(iso->slot, WARD__EXPIRED);
            settle(here, iso, given, WARD_ETIMEDOUT);
            return false;
        }
    }
    rc = ward__iso_put_value(iso->process->mail.fd, &frame, node->table, mail->type,
        ward__value_of(mail->type, ward__mail_block(mail)));
    note(iso, rc);
    if (rc == WARD_EINVAL || rc == WARD_ENOMEM)
        dead_letter(here, iso, given, rc == WARD_EINVAL ? WARD_EDENIED : rc);
    if (rc) return false;
    given->given = true;
    given->id = frame.id;
    given->abandoned = false;
    if (iso->out++ == 0) iso->turn_ns = ward__now_ns();
    publish(iso);
    return true;
}

/* The message just taken joins the list. */
static bool enlist(struct ward__here *here, struct ward__isolate *iso)
{
    struct ward__given *given = ward__alloc_zero(&here->node->heap, sizeof *given);

    if (!given) { /* as any actor that fails to take what it was sent */
        ward__fate(iso->slot, WARD__DEAD_LETTERED);
        ward__hand_end(here, &iso->self, WARD_ENOMEM);
        return false;
    }
    given->mail = iso->self.hand;
    ward__mail_set(given->mail, WARD__MAIL_KEPT, 0);
    iso->self.hand = NULL;
    ward__store_seq(&iso->slot->question_cell, 0);
    *iso->last = given;
    iso->last = &given->next;
    iso->count++;
    publish(iso);
    return true;
}

/* -- to the process ---------------------------------------------------------------------------- */

static bool put(struct ward__isolate *iso, struct ward__iso_frame *frame)
{
    ward_status rc = ward__iso_put(iso->process->mail.fd, frame, NULL, 0, NULL);

    note(iso, rc);
    return rc != WARD_EFULL; /* gone: as if it had taken it */
}

/* The signal in hand, a DOWN. False: later. */
static bool put_down(struct ward__here *here, struct ward__isolate *iso)
{
    const ward_down *down = &iso->self.hand->u.down;
    struct ward__iso_frame frame = { .kind = WARD__ISO_DOWN,
        .ref = down->who,
        .status = down->status,
        .reason = (uint16_t)down->reason,
        .signal = down->signal,
        .exit_code = down->exit_code,
        .bits = down->final ? WARD__ISO_BIT_FINAL : 0,
        .incarnation = down->incarnation };

    if (!put(iso, &frame)) return false;
    iso->monitors -= iso->monitors > 0;
    ward__hand_end(here, &iso->self, WARD_OK);
    return true;
}

/* The outcome in hand of a question that it asked without waiting. */
static bool put_outcome(struct ward__here *here, struct ward__isolate *iso)
{
    struct ward_msg *hand = iso->self.hand;
    struct ward__asked **at = ward__asked_find(iso, ward_call_of(hand));
    struct ward__iso_frame frame = { .kind = WARD__ISO_ANSWER, .status = ward_status_of(hand) };
    ward_status rc = WARD_OK;

    if (*at) {
        frame.id = (*at)->id;
        frame.incarnation = (*at)->asker;
        if (!frame.status)
            rc = ward__iso_put_value(iso->process->mail.fd, &frame, here->node->table, hand->type,
                ward_value(hand, hand->type));
        if (rc == WARD_EINVAL || rc == WARD_ENOMEM) {
            frame.status = rc == WARD_EINVAL ? WARD_EDENIED : rc; /* it cannot travel */
            frame.type = frame.in_memfd = 0;
        }
        if (frame.status) rc = ward__iso_put(iso->process->mail.fd, &frame, NULL, 0, NULL);
        note(iso, rc);
        if (rc == WARD_EFULL) return false;
        ward__asked_free(iso, at);
    }
    ward__hand_end(here, &iso->self, WARD_OK);
    return true;
}

static bool put_signal(struct ward__here *here, struct ward__isolate *iso)
{
    switch (ward_kind_of(iso->self.hand)) {
    case WARD_DOWN: return put_down(here, iso);
    case WARD_ANSWER: return put_outcome(here, iso);
    case WARD_MAIL: /* a tick: it has its timers inside */
    case WARD_IDLE: break;
    }
    ward__hand_end(here, &iso->self, WARD_OK);
    return true;
}

static void tell_cancel(struct ward__isolate *iso)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_CANCEL };

    iso->told_cancel = put(iso, &frame);
}

static void tell_close(struct ward__isolate *iso)
{
    struct ward__iso_frame frame = { .kind = WARD__ISO_CLOSE };

    iso->told_close = put(iso, &frame);
}

/* The oldest that was taken and is not with the process; NULL: none. */
static struct ward__given *waiting(const struct ward__isolate *iso)
{
    struct ward__given *given = iso->first;

    while (given && given->given)
        given = given->next;
    return given;
}

/* One step of giving; false: there is nothing to do now. */
static bool take_next(struct ward__here *here, struct ward__isolate *iso)
{
    struct ward__slot *slot = iso->slot;

    switch (ward__next(here, &iso->self)) {
    case WARD__NEXT_MAIL:
        if (ward__mail_bits(iso->self.hand) & WARD__MAIL_SIGNAL) return put_signal(here, iso);
        (void)enlist(here, iso);
        return true;
    case WARD__NEXT_CANCELED: tell_cancel(iso); return false;
    case WARD__NEXT_CLOSED: tell_close(iso); return false;
    case WARD__NEXT_AGAIN: return true;
    case WARD__NEXT_BUSY: ward__isolate_poke(here->node, slot, WARD__ISO_LOOK); return false;
    case WARD__NEXT_IDLE:
    case WARD__NEXT_NONE: break;
    }
    iso->held = !ward__mailbox_idle(&slot->box, &here->node->pool, here->magazines);
    return iso->held;
}

static void give_all(struct ward__here *here, struct ward__isolate *iso)
{
    struct ward__slot *slot = iso->slot;
    bool cancel = ward__load_seq(&slot->signals) & WARD__SIG_CANCEL;

    if (cancel && !ward__load(&slot->spec)->drain_on_stop) tell_cancel(iso);
    if (!iso->held && ward__mailbox_settle(&slot->box)) take_back(iso);
    while (iso->held && !iso->blocked && !iso->told_cancel && !iso->told_close) {
        struct ward__given *next = waiting(iso);
        bool full = iso->out >= WARD__AHEAD;
        if (iso->self.hand) { /* a signal that did not fit */
            if (!put_signal(here, iso)) break;
        } else if (full && !(ward__load_seq(&slot->signals) & WARD__SIG_QUEUE)) {
            break;
        } else if (next && !full) {
            if (!give(here, iso, next) && iso->blocked) break;
        } else if (!take_next(here, iso)) {
            break;
        }
    }
    /* Whether there is room for those who are parked is to be seen after what was published. */
    if (iso->held && ward__mailbox_settle(&slot->box)) ward__serve(here, slot);
    if (iso->blocked) ward__process_writable(iso->all, iso->process, true);
}

/* Questions that their askers have given up. */
static void tell_abandoned(struct ward__here *here, struct ward__isolate *iso)
{
    for (struct ward__given *given = iso->first; given; given = given->next) {
        struct ward__iso_frame frame = { .kind = WARD__ISO_ABANDON, .id = given->id };
        int64_t until;
        if (!given->given || given->abandoned || !ward__asks(given->mail)) continue;
        if (ward__asker_waits(here->node, ward__token_of(given->mail), &until)) continue;
        given->abandoned = put(iso, &frame);
    }
}

static void go_on(struct ward__here *here, struct ward__isolate *iso)
{
    if (!iso->process || iso->process->exited || iso->blocked) return;
    if (iso->ask_over) ward__isolate_ask_over(iso);
    if (!iso->blocked) tell_abandoned(here, iso);
    if (!iso->blocked && iso->started) {
        give_all(here, iso);
    } else if (!iso->blocked && !iso->told_cancel &&
               (ward__load_seq(&iso->slot->signals) & WARD__SIG_CANCEL)) {
        tell_cancel(iso); /* in its .start */
    }
    if (iso->blocked) ward__process_writable(iso->all, iso->process, true);
}

void ward__isolate_unblocked(struct ward__isolate *iso)
{
    struct ward__here here = ward__isolate_here(iso);

    if (!iso->running) return;
    iso->blocked = false;
    go_on(&here, iso);
}

/* -- the start --------------------------------------------------------------------------------- */

static uint32_t ms_of(int64_t ns)
{
    return ns == INT64_MAX ? WARD_UNLIMITED : (uint32_t)(ns / WARD__NS_MS);
}

static ward_status put_start(struct ward__isolate *iso)
{
    ward_node *node = iso->all->node;
    struct ward__slot *slot = iso->slot;
    const struct ward__spec *spec = ward__load(&slot->spec);
    uint32_t parent = ward__load(&slot->parent);
    struct ward__iso_frame frame = { .kind = WARD__ISO_START };
    size_t bytes = sizeof(struct ward__iso_start) + slot->arg_bytes;
    struct ward__iso_start *start = ward__alloc_zero(&node->heap, bytes);
    ward_status rc;

    if (!start) return WARD_ENOMEM;
    start->me = ward__ref(node, slot);
    if (parent > WARD__ROOT_SLOT) start->parent = ward__ref(node, ward__slot(node, parent));
    start->incarnation = ward__load(&slot->incarnation);
    start->place = spec->isolate_place;
    start->state_bytes = spec->state_bytes;
    start->stack_bytes = spec->stack_bytes;
    start->arg_bytes = slot->arg_bytes;
    start->memory_max = spec->isolate_bytes_max;
    start->cpu_s = spec->isolate_cpu_s;
    start->files_max = spec->isolate_files_max;
    start->idle_ms = spec->idle_ns == INT64_MAX ? 0 : ms_of(spec->idle_ns);
    start->stuck_ms = ms_of(spec->stuck_ns);
    start->mailbox_max = spec->mailbox_max;
    start->on_idle = spec->on_idle;
    start->drain_on_stop = spec->drain_on_stop;
    start->blocking = spec->isolate_blocks;
    (void)ward__name_get(node, ward__index(node, slot), start->name);
    if (slot->arg_bytes) memcpy(start + 1, slot->arg, slot->arg_bytes);
    rc = ward__iso_put(iso->process->mail.fd, &frame, start, bytes, NULL);
    ward__free(&node->heap, start, bytes);
    return rc;
}

static void finish(struct ward__isolate *iso);

/* Its turn to begin: a process that waits, or a new one. */
static void begin(struct ward__isolate *iso)
{
    struct ward__slot *slot = iso->slot;
    struct ward__here here = ward__isolate_here(iso);
    ward_node *node = iso->all->node;
    bool cancelled = ward__load_seq(&slot->signals) & WARD__SIG_CANCEL;

    if (!slot->inc) slot->inc = ward__inc_new(&here, ward__load(&slot->spec));
    ward__self_init(&iso->self, node, &node->outside, slot);
    iso->running = true;
    iso->started = iso->blocked = iso->told_cancel = iso->told_close = false;
    iso->ended = iso->stuck = iso->asking = iso->ask_over = false;
    iso->monitors = 0;
    iso->status = WARD_ENOMEM; /* if it cannot be started */
    if (!cancelled && slot->inc) {
        iso->process = iso->standby;
        iso->standby = NULL;
        if (!iso->process) iso->process = ward__process_new(iso);
    }
    if (cancelled || !iso->process || put_start(iso)) {
        iso->ended = true;
        if (cancelled) iso->status = WARD_ECANCELED;
        if (iso->process) ward__process_leave(iso->all, iso->process);
        iso->process = NULL;
        finish(iso);
        return;
    }
    if (ward__load(&slot->spec)->isolate_standby && !iso->standby)
        iso->standby = ward__process_new(iso); /* it fails: then the next start takes longer */
}

const char *ward__isolate_crash(const struct ward__slot *slot, char room[64])
{
    const char *name = sigdescr_np(slot->marks.signal);

    if (slot->reason != WARD_BY_CRASH) return NULL;
    if (slot->marks.signal)
        snprintf(room, 64, "signal %d, %s", slot->marks.signal, name ? name : "?");
    else
        snprintf(room, 64, "exit %d", slot->marks.exit_code);
    return room;
}

/* -- the end ----------------------------------------------------------------------------------- */

/* What it says of itself is no more than a status; the rest is known better here. */
static struct ward__outcome outcome_of(const struct ward__isolate *iso)
{
    bool cancelled = ward__load_seq(&iso->slot->signals) & WARD__SIG_CANCEL;
    bool closed = ward__load_acq(&iso->slot->box.word) & WARD__CLOSED;
    ward_status rc = iso->status;

    if (!iso->ended && iso->stuck) return (struct ward__outcome){ WARD_BY_STUCK, WARD_EFENCED };
    if (!iso->ended) return (struct ward__outcome){ WARD_BY_CRASH, WARD_EFAIL };
    if (cancelled && (rc >= 0 || rc == WARD_ECANCELED || rc == WARD_ECLOSED))
        return (struct ward__outcome){ WARD_BY_CANCEL, rc };
    if (closed && (rc >= 0 || rc == WARD_ECLOSED))
        return (struct ward__outcome){ WARD_BY_CLOSE, rc };
    if (rc >= 0 || rc == WARD_EABANDONED) return (struct ward__outcome){ WARD_BY_RETURN, rc };
    return (struct ward__outcome){ WARD_BY_FAILURE, rc };
}

/* The oldest it had in hand and what it kept are in doubt, unless it ended by itself and has said
 * what became of them. The others wait for the next. */
static void end_given(struct ward__here *here, struct ward__isolate *iso)
{
    struct ward__given *given = iso->first, *next;
    bool in_hand = !iso->ended;

    for (; given; given = next) {
        next = given->next;
        if (!given->given) continue;
        if (given->kept || in_hand) {
            in_hand = in_hand && given->kept;
            fail(here, iso, given);
            continue;
        }
        given->given = false;
        iso->out--;
    }
    publish(iso);
}

/* Ends the incarnation if all is there that it needs: the mailbox, and no answer on its way. */
static void finish(struct ward__isolate *iso)
{
    struct ward__here here = ward__isolate_here(iso);
    struct ward__slot *slot = iso->slot;
    struct ward__process *process = iso->process;
    struct ward__outcome outcome;

    if (!iso->held) take_back(iso);
    if (iso->asking) ward__isolate_ask_forget(iso);
    if (!iso->held || iso->asking) return; /* somebody is about to poke */
    outcome = outcome_of(iso);
    if (outcome.reason == WARD_BY_CRASH && process) {
        int status = process->status;
        slot->marks.signal = (uint8_t)(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        slot->marks.exit_code = (uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    } else if (outcome.reason == WARD_BY_STUCK) {
        slot->marks.signal = SIGKILL;
    }
    if (iso->self.hand) ward__hand_end(&here, &iso->self, WARD_ENOREPLY);
    while (iso->asked)
        ward__asked_free(iso, &iso->asked);
    end_given(&here, iso);
    if (process) ward__process_leave(iso->all, process);
    iso->process = NULL;
    iso->running = iso->held = false;
    /* From here on it may be begun again, or be gone. */
    (void)here.node->ops->over(&here, slot, outcome, true);
}

void ward__isolate_abandon(struct ward__isolate *iso)
{
    struct ward__here here = ward__isolate_here(iso);

    if (iso->self.hand) ward__hand_end(&here, &iso->self, WARD_ENOREPLY);
    while (iso->asked)
        ward__asked_free(iso, &iso->asked);
    if (iso->asking) (void)ward__mailbox_unpark(&iso->slot->wait);
    iso->process = iso->standby = NULL;
    iso->running = false;
}

void ward__isolate_exited(struct ward__isolate *iso)
{
    if (iso->process->failed) iso->ended = true; /* with WARD_ENOMEM, as it has from the start */
    if (iso->running) finish(iso);
}

int64_t ward__isolate_stuck_ns(const struct ward__isolate *iso)
{
    const struct ward__spec *spec = ward__load(&iso->slot->spec);

    /* Of a body we see no turns: its own watchdog tells. */
    if (!spec->handle || iso->out == 0 || spec->stuck_ns == INT64_MAX || iso->process->killed)
        return INT64_MAX;
    return iso->turn_ns + spec->stuck_ns;
}

void ward__isolate_stuck(struct ward__isolate *iso)
{
    ward_node *node = iso->all->node;
    int64_t now = ward__now_ns();

    if (!iso->process || iso->process->killed) return;
    iso->stuck = true;
    ward__event(node, &(struct ward__news){ .kind = WARD_EV_STUCK,
                          .slot = iso->slot,
                          .what = "isolate",
                          .took_ns = iso->out ? now - iso->turn_ns : 0 });
    ward__add(&node->reaped, 1);
    ward__add(&ward__counts(ward__load(&iso->slot->spec))->reaped, 1);
    ward__process_kill(iso->process);
}

/* -- what the process says --------------------------------------------------------------------- */

static bool started(struct ward__here *here, struct ward__isolate *iso)
{
    if (iso->started) return false;
    iso->started = true;
    here->node->ops->started(here, iso->slot);
    go_on(here, iso);
    return true;
}

static void done(
    struct ward__here *here, struct ward__isolate *iso, const struct ward__iso_frame *head)
{
    struct ward__given *given = ward__given_find(iso, head->id);

    if (!given) return; /* it has said so before, with its fate */
    if (head->bits == WARD__IN_DOUBT) { /* it has failed, and ends now */
        iso->blocked = true;
        fail(here, iso, given);
        return;
    }
    if (head->bits < WARD__FATES) ward__fate(iso->slot, (enum ward__fate)head->bits);
    if (!given->kept) iso->turn_ns = ward__now_ns();
    settle(here, iso, given, WARD_ENOREPLY);
    go_on(here, iso);
}

static void kept(struct ward__here *here, struct ward__isolate *iso, uint64_t id)
{
    struct ward__given *given = ward__given_find(iso, id);

    if (!given || given->kept) return;
    given->kept = true;
    iso->kept++;
    iso->out--;
    iso->turn_ns = ward__now_ns();
    publish(iso);
    go_on(here, iso);
}

static bool replied(
    struct ward__here *here, struct ward__isolate *iso, const struct ward__iso_got *got)
{
    struct ward__given *given = ward__given_find(iso, got->head.id);
    struct ward__token token;
    uint32_t mail = 0;
    ward_status rc = got->head.status;

    if (!given || !ward__asks(given->mail)) return true;
    if (!rc) rc = ward__isolate_mail(iso, got, NULL, &mail);
    if (!got->head.status && rc == WARD_EINVAL) return false;
    token = ward__token_of(given->mail);
    ward__mail_set(given->mail, 0, WARD__MAIL_ASK);
    (void)ward__answer(here, token, rc < 0 ? rc : WARD_OK, mail);
    return true;
}

bool ward__isolate_frame(struct ward__isolate *iso, const struct ward__iso_got *got)
{
    struct ward__here here = ward__isolate_here(iso);

    switch ((enum ward__iso_kind)got->head.kind) {
    case WARD__ISO_STARTED: return started(&here, iso);
    case WARD__ISO_DONE: done(&here, iso, &got->head); return true;
    case WARD__ISO_KEPT: kept(&here, iso, got->head.id); return true;
    case WARD__ISO_REPLY: return replied(&here, iso, got);
    case WARD__ISO_FORGET: ward__isolate_forget(iso, &got->head); return true;
    case WARD__ISO_STUCK: ward__isolate_stuck(iso); return true;
    case WARD__ISO_ENDED:
        if (!iso->stuck) {
            iso->ended = true;
            iso->status = got->head.status;
        }
        ward__process_kill(iso->process);
        return true;
    default: return false;
    }
}

/* -- ready ------------------------------------------------------------------------------------- */

void ward__isolate_look(struct ward__isolate *iso, uint32_t bits)
{
    struct ward__here here = ward__isolate_here(iso);
    uint8_t phase = ward__load_acq(&iso->slot->phase);

    if (bits & WARD__ISO_GRANT) iso->held = true;
    if (!iso->running) {
        if (iso->held && phase == WARD__START) begin(iso);
        return;
    }
    if (bits & WARD__ISO_RESUMED) iso->ask_over = true;
    if ((bits & WARD__ISO_KILL) && iso->process && !iso->process->killed) {
        iso->stuck = true;
        ward__process_kill(iso->process);
    }
    if (!iso->process || iso->process->exited) {
        if (iso->ask_over) ward__isolate_ask_over(iso);
        finish(iso);
    } else {
        go_on(&here, iso);
    }
}
