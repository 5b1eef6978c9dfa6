/* SPDX-License-Identifier: MIT */
/*
 * mailbox.c - push, take, idle, and the parked senders. Flow 3 of 8.
 *
 * The orderings are those of the table in mailbox.h's design; each one that is not sequentially
 * consistent names its partner below. Senders are any threads, the owner is whoever runs the
 * actor; the run queue hands the owner's fields from one thread to the next.
 */
#include "mailbox/mailbox.h"

#include "base/assert.h"
#include "base/platform.h"
#include "mailbox/lane.h"
#include "mailbox/value.h"

/* A sender between its swap and its link: usually the next instruction, else preempted. */
enum { LOOK_NS = 1000 };

static uint64_t make_word(uint32_t index, uint32_t count, uint64_t flags)
{
    return (uint64_t)index << 32 | (uint64_t)(count & WARD__COUNT_MASK) << WARD__COUNT_SHIFT |
           flags;
}

void ward__mailbox_open(
    struct ward__mailbox *box, uint32_t bound, size_t bytes_max, pthread_mutex_t *lock)
{
    ward__assert(bound > 0 && bound <= WARD__BOUND_MAX);
    ward__assert(box->hand == 0 && box->head == NULL);
    if (box->lock != lock) box->lock = lock; /* the same in each life */
    ward__store(&box->bytes_max, bytes_max);
    ward__store(&box->first, 0);
    ward__store(&box->bound, bound);
    ward__store(&box->refused, 0);
    /* `bytes` is not reset: who holds a ref of an earlier life may have some reserved just now. */
    ward__store(&box->taken, 0);
    ward__store(&box->settled, 0);
    ward__store(&box->kept, 0);
    ward__store(&box->released, 0);
    /* Published once, in its final state: a sender with a stale word compares in vain. */
    ward__store_rel(
        &box->word, make_word((uint32_t)ward__load(&box->life), 0, WARD__EMPTY | WARD__SCHEDULED));
}

static bool full(struct ward__mailbox *box, uint64_t word, uint32_t released)
{
    return ((ward__word_count(word) - released) & WARD__COUNT_MASK) >= ward__load(&box->bound);
}

/* What the word says before anything is tried; WARD__PUSHED: try. */
static enum ward__pushed allowed(struct ward__mailbox *box, uint64_t word, bool hand_over)
{
    if (ward__unlikely(word & (WARD__DEAD | WARD__CLOSED | WARD__WAITED))) {
        if (word & WARD__DEAD) return WARD__PUSH_GONE;
        /* Who parked before it was closed and is claimed by now comes in still. */
        if ((word & WARD__CLOSED) && !hand_over) return WARD__PUSH_CLOSED;
        if (!hand_over) return WARD__PUSH_FULL; /* nobody overtakes those who wait */
    }
    /* Acquire: with the owner's release, a count of released ones is never ahead of the word. */
    if (ward__unlikely(full(box, word, ward__load_acq(&box->released)))) return WARD__PUSH_FULL;
    return WARD__PUSHED;
}

enum ward__pushed ward__mailbox_push(struct ward__mailbox *box, struct ward__pool *pool,
    uint64_t life, uint32_t index, bool hand_over)
{
    struct ward_msg *mail = ward__mail(pool, index);
    uint64_t word = ward__load_acq(&box->word); /* the word first, the life second */
    enum ward__pushed rc;

    if (ward__unlikely(ward__load(&box->life) != life)) return WARD__PUSH_GONE;
    mail->stamp = (uint32_t)life;
    ward__store(&mail->bits, ward__load(&mail->bits) | WARD__MAIL_BOXED);
    ward__store(&mail->next, 0);
    for (;;) {
        rc = allowed(box, word, hand_over);
        if (ward__unlikely(rc != WARD__PUSHED)) {
            /* `released` may be newer than this word: a refusal needs a fresh one. */
            uint64_t again = ward__load_acq(&box->word);
            if (again == word) break;
            word = again;
        } else {
            /* seq_cst: an ask looks at its cancel flag after this. */
            if (ward__cas_seq(&box->word, &word, ward__word_with(word, index))) break;
        }
        if (ward__load(&box->life) != life) return WARD__PUSH_GONE;
    }
    if (rc == WARD__PUSH_FULL) ward__add(&box->refused, 1);
    if (rc != WARD__PUSHED) return rc;
    ward__mailbox_link(box, pool, word, index);
    return word & WARD__SCHEDULED ? WARD__PUSHED : WARD__PUSHED_SCHEDULE;
}

static bool fits(struct ward__mailbox *box, size_t bytes)
{
    size_t before = ward__load(&box->bytes), max = ward__load(&box->bytes_max);

    do {
        if (bytes > max || before > max - bytes) return false;
    } while (!ward__cas_seq(&box->bytes, &before, before + bytes));
    return true;
}

ward_status ward__mailbox_reserve(struct ward__mailbox *box, size_t bytes)
{
    if (bytes > ward__load(&box->bytes_max)) return WARD_ETOOBIG;
    if (!(ward__load(&box->word) & WARD__WAITED) && fits(box, bytes)) return WARD_OK;
    ward__add(&box->refused, 1);
    return WARD_EFULL;
}

void ward__mailbox_unreserve(struct ward__mailbox *box, size_t bytes)
{
    /* seq_cst: the owner looks at WAITED after it, as after storing `released`. */
    if (bytes) atomic_fetch_sub_explicit(&box->bytes, bytes, memory_order_seq_cst);
}

bool ward__mailbox_withdraw(struct ward__mailbox *box, size_t bytes)
{
    ward__mailbox_unreserve(box, bytes);
    return bytes && (ward__load_seq(&box->word) & WARD__WAITED) && ward__mailbox_signal(box);
}

/* -- parked senders ---------------------------------------------------------------------------- */

static bool has_room(struct ward__mailbox *box, uint64_t word, size_t bytes)
{
    return !full(box, word, ward__load_seq(&box->released)) &&
           (bytes == 0 || ward__load_seq(&box->bytes) + bytes <= ward__load(&box->bytes_max));
}

static void append(struct ward__mailbox *box, struct ward__wait *wait)
{
    wait->at = box;
    wait->listed = true;
    wait->next = NULL;
    wait->prev = box->tail;
    if (box->tail)
        box->tail->next = wait;
    else
        box->head = wait;
    box->tail = wait;
}

static void unlist(struct ward__mailbox *box, struct ward__wait *wait)
{
    if (wait->prev)
        wait->prev->next = wait->next;
    else
        box->head = wait->next;
    if (wait->next)
        wait->next->prev = wait->prev;
    else
        box->tail = wait->prev;
    wait->listed = false;
}

/* The last one out takes WAITED along, else a try-send would see "full" for ever. It does so after
 * its hand-over, else somebody could take the place that was made for it. */
static void unwait(struct ward__mailbox *box)
{
    if (!box->head) (void)ward__and_seq(&box->word, ~WARD__WAITED);
}

/* WARD__PUSH_FULL: who has so many bytes to send may stand in the list; nobody overtakes. */
static enum ward__pushed admit_locked(struct ward__mailbox *box, uint64_t life, size_t bytes)
{
    enum ward__pushed rc = WARD__PUSH_FULL;
    uint64_t word = ward__load_seq(&box->word);

    while (rc == WARD__PUSH_FULL) {
        if (ward__load(&box->life) != life || (word & WARD__DEAD)) {
            rc = WARD__PUSH_GONE;
        } else if (word & WARD__CLOSED) {
            rc = WARD__PUSH_CLOSED;
        } else if (word & WARD__WAITED) {
            break;
        } else if (ward__cas_seq(&box->word, &word, word | WARD__WAITED)) {
            /* The other half of the Dekker pair with `released`. */
            if (has_room(box, word, bytes)) {
                (void)ward__and_seq(&box->word, ~WARD__WAITED);
                rc = WARD__PUSHED;
            }
            break;
        }
    }
    return rc;
}

enum ward__pushed ward__mailbox_park(
    struct ward__mailbox *box, uint64_t life, struct ward__wait *wait)
{
    enum ward__pushed rc;

    pthread_mutex_lock(box->lock);
    rc = admit_locked(box, life, wait->parcel_bytes);
    if (rc == WARD__PUSH_FULL) append(box, wait);
    pthread_mutex_unlock(box->lock);
    return rc;
}

bool ward__mailbox_unpark(struct ward__wait *wait)
{
    struct ward__mailbox *box = wait->at;
    bool had;

    if (!box) return wait->parcel != 0;
    pthread_mutex_lock(box->lock);
    if (wait->listed) {
        unlist(box, wait);
        unwait(box);
    }
    had = wait->parcel != 0;
    wait->at = NULL;
    pthread_mutex_unlock(box->lock);
    return had;
}

/* Claims and hands over for one; false: it had timed out or was cancelled. An ask waits on, for the
 * answer, and goes from one odd value to the next: it must never look as if it were over. */
static bool hand_over(struct ward__mailbox *box, struct ward__pool *pool, struct ward__wait *wait)
{
    uint32_t parcel = wait->parcel;
    uint64_t cell = ward__load_acq(&wait->cell), then = wait->asks ? cell + 2 : cell + 1;
    enum ward__pushed rc;

    if (!ward__waiting(cell) || !ward__cas_seq(&wait->cell, &cell, then)) return false;
    wait->parcel = 0;
    if (wait->asks)
        ward__mail(pool, parcel)->u.ask.cell = then;
    else
        wait->status = WARD_OK;
    rc = ward__mailbox_push(box, pool, ward__load(&box->life), parcel, true);
    ward__assert(rc == WARD__PUSHED); /* the owner, who is running, made room */
    return true;
}

/* -- lanes ------------------------------------------------------------------------------------- */

static struct ward__lane *lane_of(struct ward__wait *wait)
{
    return (struct ward__lane *)(void *)((char *)wait - offsetof(struct ward__lane, wait));
}

/* What must be reserved for it. */
static size_t weight(struct ward_msg *mail)
{
    size_t bytes = ward__mail_beside_bytes(mail);

    if (ward__mail_bits(mail) & WARD__MAIL_BLOBS)
        bytes += ward__value_blob_bytes(mail->type, ward__mail_block(mail));
    return bytes;
}

static size_t chain_weight(struct ward__pool *pool, const struct ward__chain *chain)
{
    size_t bytes = 0;

    for (uint32_t i = chain->count, at = chain->first; i; i--) {
        struct ward_msg *mail = ward__mail(pool, at);
        bytes += weight(mail);
        at = ward__load(&mail->next);
    }
    return bytes;
}

static size_t first_weight(struct ward__pool *pool, const struct ward__chain *chain)
{
    return chain->count ? weight(ward__mail(pool, chain->first)) : 0;
}

enum ward__pushed ward__lane_park(struct ward__mailbox *box, struct ward__pool *pool, uint64_t life,
    struct ward__lane *lane, struct ward__chain *chain)
{
    size_t bytes = chain_weight(pool, chain) + chain->count * sizeof(struct ward_msg);
    enum ward__pushed rc;

    pthread_mutex_lock(box->lock);
    rc = admit_locked(box, life, first_weight(pool, chain));
    if (rc == WARD__PUSH_FULL) {
        ward__chain_join(&lane->chain, pool, chain);
        lane->bytes += bytes;
        lane->wait.parcel_bytes = first_weight(pool, &lane->chain);
        if (!lane->wait.listed) append(box, &lane->wait);
        lane->news(lane, WARD_OK);
    }
    pthread_mutex_unlock(box->lock);
    return rc;
}

/* A turn: as many as fit. False: not even one does. */
static bool serve_lane(struct ward__mailbox *box, struct ward__pool *pool, struct ward__lane *lane)
{
    uint32_t fill = (ward__word_count(ward__load_acq(&box->word)) - ward__load(&box->released)) &
                    WARD__COUNT_MASK;
    uint32_t count = ward__load(&box->bound) - fill;
    struct ward__chain turn;
    size_t bytes;

    if (count > WARD__LANE_TURN) count = WARD__LANE_TURN;
    if (count > lane->chain.count) count = lane->chain.count;
    turn = ward__chain_cut(&lane->chain, pool, count);
    bytes = chain_weight(pool, &turn);
    if (bytes && !fits(box, bytes)) { /* then one at a time */
        struct ward__chain rest = turn;
        turn = ward__chain_cut(&rest, pool, 1);
        ward__chain_join(&rest, pool, &lane->chain);
        lane->chain = rest;
        count = 1;
        bytes = first_weight(pool, &turn);
        if (bytes && !fits(box, bytes)) {
            ward__chain_join(&turn, pool, &lane->chain);
            lane->chain = turn;
            return false;
        }
    }
    lane->bytes -= bytes + count * sizeof(struct ward_msg);
    unlist(box, &lane->wait);
    (void)ward__mailbox_hand_chain(box, pool, &turn);
    ward__assert(turn.count == 0); /* the owner, who is running, made room */
    lane->wait.parcel_bytes = first_weight(pool, &lane->chain);
    if (lane->chain.count) append(box, &lane->wait);
    unwait(box);
    lane->news(lane, WARD_OK);
    return true;
}

/* -- what the owner does for them -------------------------------------------------------------- */

void ward__mailbox_serve(
    struct ward__mailbox *box, struct ward__pool *pool, ward__wake *wake, void *arg)
{
    pthread_mutex_lock(box->lock);
    while (box->head && !full(box, ward__load_acq(&box->word), ward__load(&box->released))) {
        struct ward__wait *wait = box->head;
        size_t bytes = wait->parcel_bytes;
        if (wait->lane) {
            if (!serve_lane(box, pool, lane_of(wait))) break;
            continue;
        }
        if (bytes && !fits(box, bytes)) break;
        unlist(box, wait);
        if (hand_over(box, pool, wait))
            wake(arg, wait, true);
        else
            ward__mailbox_unreserve(box, bytes);
        unwait(box);
    }
    pthread_mutex_unlock(box->lock);
}

void ward__mailbox_evict(struct ward__mailbox *box, ward_status status, ward__wake *wake, void *arg)
{
    pthread_mutex_lock(box->lock);
    while (box->head) {
        struct ward__wait *wait = box->head;
        uint64_t cell = ward__load_acq(&wait->cell);
        unlist(box, wait);
        unwait(box);
        if (wait->lane) {
            lane_of(wait)->news(lane_of(wait), status);
            continue;
        }
        if (!ward__waiting(cell) || !ward__wait_claim(wait, cell)) continue;
        wait->status = status;
        wake(arg, wait, false);
    }
    pthread_mutex_unlock(box->lock);
}

/* The first parked sender could not be served even now: what fills the mailbox is kept, and who
 * drops it serves them. */
static bool stalled(struct ward__mailbox *box, uint64_t word)
{
    bool yes;

    if (!ward__load(&box->kept)) return false;
    pthread_mutex_lock(box->lock);
    yes = box->head && !has_room(box, word, box->head->parcel_bytes);
    pthread_mutex_unlock(box->lock);
    return yes;
}

bool ward__mailbox_settle(struct ward__mailbox *box)
{
    ward__fence(); /* between storing `released` and reading WAITED; see mailbox.h */
    return ward__load(&box->word) & WARD__WAITED;
}

/* -- the owner --------------------------------------------------------------------------------- */

void ward__mail_release_shared(struct ward__pool *pool, struct ward__magazines *magazines,
    struct ward_msg *mail, uint32_t holder_bit)
{
    uint32_t bits = ward__mail_bits(mail), holders = WARD__MAIL_BOXED | WARD__MAIL_READ;

    if (bits & WARD__MAIL_SIGNAL) return;
    bits = atomic_fetch_and_explicit(&mail->bits, ~holder_bit, memory_order_acq_rel);
    if (!(bits & ~holder_bit & holders))
        ward__mail_put(pool, magazines, ward__mail_index(pool, mail));
}

void ward__mailbox_publish(struct ward__mailbox *box)
{
    uint64_t taken = ward__load(&box->taken);

    ward__store_rel(&box->released, (uint32_t)taken - ward__load(&box->kept));
}

uint32_t ward__mailbox_look(_Atomic uint32_t *link)
{
    uint32_t index = ward__load_acq(link);
    int64_t until;

    if (ward__likely(index != 0)) return index;
    until = ward__now_ns() + LOOK_NS;
    while (!(index = ward__load_acq(link)) && ward__now_ns() < until) {
    }
    return index;
}

bool ward__mailbox_idle(
    struct ward__mailbox *box, struct ward__pool *pool, struct ward__magazines *magazines)
{
    uint32_t hand = box->hand;
    uint64_t word = ward__load_acq(&box->word), empty;

    box->hand = 0; /* after the swap the mailbox may be another thread's */
    for (;;) {
        bool last = hand ? ward__word_index(word) == hand && !(word & WARD__EMPTY)
                         : (word & WARD__EMPTY) != 0;
        /* CLOSED: the owner must look once more, and then ends; nobody would wake it for that. */
        if (!last || (word & (WARD__SIGNAL | WARD__CLOSED)) ||
            ((word & WARD__WAITED) && !stalled(box, word))) {
            box->hand = hand;
            return false;
        }
        empty = make_word((uint32_t)ward__load(&box->life), ward__word_count(word),
            ((word & WARD__FLAGS) | WARD__EMPTY) & ~WARD__SCHEDULED);
        /* Publishes the owner's state to whoever runs it next. */
        if (ward__cas_seq(&box->word, &word, empty)) break;
    }
    if (hand) ward__mail_release(pool, magazines, ward__mail(pool, hand), WARD__MAIL_BOXED);
    return true;
}

bool ward__mailbox_close(struct ward__mailbox *box, uint64_t life)
{
    uint64_t word = ward__load_acq(&box->word);

    do {
        if (ward__load(&box->life) != life || (word & (WARD__DEAD | WARD__CLOSED))) return false;
    } while (!ward__cas_seq(&box->word, &word, word | WARD__CLOSED | WARD__SCHEDULED));
    return !(word & WARD__SCHEDULED);
}

void ward__mailbox_reopen(struct ward__mailbox *box)
{
    (void)ward__and_seq(&box->word, ~WARD__CLOSED);
}

bool ward__mailbox_signal(struct ward__mailbox *box)
{
    uint64_t word = ward__load_acq(&box->word);

    do {
        if (word & WARD__DEAD) return false;
    } while (!ward__cas_seq(&box->word, &word, word | WARD__SIGNAL | WARD__SCHEDULED));
    return !(word & WARD__SCHEDULED);
}

void ward__mailbox_kill(struct ward__mailbox *box)
{
    (void)ward__or_seq(&box->word, WARD__DEAD | WARD__SCHEDULED);
}

void ward__mailbox_end(
    struct ward__mailbox *box, struct ward__pool *pool, struct ward__magazines *magazines)
{
    uint32_t hand = box->hand;

    ward__assert(!box->head && (ward__load(&box->word) & WARD__DEAD));
    box->hand = 0;
    if (hand) ward__mail_release(pool, magazines, ward__mail(pool, hand), WARD__MAIL_BOXED);
    ward__store(&box->life, ward__load(&box->life) + 1);
    ward__store_rel(&box->word, WARD__DEAD | WARD__EMPTY | WARD__SCHEDULED);
}
