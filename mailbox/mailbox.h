/* SPDX-License-Identifier: MIT */
/*
 * mailbox.h - a bounded queue of messages: many senders, one owner. Flow 3 of 8.
 *
 * One 64-bit word decides everything with one compare-and-swap: whether a message is accepted
 * (the bound is exact), where it goes in the order, and who must make the owner runnable.
 *
 *     word = newest message's index (32 bits; while EMPTY: low half of the life)
 *          | count of accepted messages (26) | flags (6)
 *
 * The message in hand stays in the word until the mailbox is idle, so EMPTY means taken and
 * finished. The owner publishes `released` (taken minus kept); count minus released is what fills
 * the mailbox. Refusing needs a second look at the word: `released` may be newer than a stale one.
 *
 * Parked senders stand in a list under `lock`. While there are any the word has WAITED and nobody
 * overtakes them: the owner hands over for them, in order. Setting WAITED and then reading
 * `released`, against storing `released` and then reading WAITED, is a Dekker pair: the owner's
 * side is ordered by the compare-and-swap of `idle`, or by the fence of `settle` when it parks on
 * something that is not its mailbox (without it: a permanent hang, on x86 too).
 *
 * Held by tests/models/mailbox.pml and slot.pml, which name the mistakes they find, and by
 * tests/race/mailbox.c, bound.c, parked.c, signals.c and stale.c.
 *
 * The bound is at most a sixteenth of the count's range, else a stale word could look valid.
 * Design after Vyukov's intrusive MPSC queue, with the word in place of
 * its exchange.
 *
 * Knows messages and waits, no actors: who must be woken is said in a return value or through
 * `wake`. The fields below the second comment belong to the owner.
 */
#ifndef WARD_MAILBOX_MAILBOX_H
#define WARD_MAILBOX_MAILBOX_H

#include "mailbox/mail.h"
#include "mailbox/wait.h"

#define WARD__SCHEDULED UINT64_C(1) /* someone runs the owner, or will */
#define WARD__EMPTY UINT64_C(2)
#define WARD__WAITED UINT64_C(4) /* senders are parked */
#define WARD__SIGNAL UINT64_C(8) /* the owner must look at its signals */
#define WARD__CLOSED UINT64_C(16)
#define WARD__DEAD UINT64_C(32)
#define WARD__FLAGS UINT64_C(63)
#define WARD__COUNT_SHIFT 6
#define WARD__COUNT_MASK UINT32_C(0x3ffffff)
#define WARD__BOUND_MAX UINT32_C(4194304)

static inline uint32_t ward__word_count(uint64_t word)
{
    return (uint32_t)(word >> WARD__COUNT_SHIFT) & WARD__COUNT_MASK;
}
static inline uint32_t ward__word_index(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

struct ward__mailbox {
    _Atomic uint64_t word;
    _Atomic uint64_t life; /* of the address; changes only when it dies */
    _Atomic uint32_t first; /* set by who made it non-empty */
    _Atomic uint32_t released;
    _Atomic uint32_t bound;
    _Atomic uint32_t refused;
    _Atomic size_t bytes; /* beside messages and reserved for them */
    _Atomic size_t bytes_max;
    /* The owner's. */
    _Atomic uint64_t taken; /* of this life */
    _Atomic uint64_t settled; /* of them: neither in hand nor kept any more */
    uint32_t hand; /* the last one taken, still in the word; 0: none since idle */
    _Atomic uint32_t kept;
    /* Parked senders. */
    pthread_mutex_t *lock;
    struct ward__wait *head, *tail;
};

enum ward__pushed {
    WARD__PUSHED, /* accepted; the owner runs or will */
    WARD__PUSHED_SCHEDULE, /* accepted, and the caller must make the owner runnable */
    WARD__PUSH_FULL,
    WARD__PUSH_CLOSED,
    WARD__PUSH_GONE
};

/* Starts a life. The mailbox is SCHEDULED: it belongs to who starts the actor. */
void ward__mailbox_open(
    struct ward__mailbox *box, uint32_t bound, size_t bytes_max, pthread_mutex_t *lock);

/* Offers the message `index`, fresh from being filled, to the life `life`. hand_over: for a parked
 * sender, by the owner. Not accepted: the caller still has it. Any thread. */
enum ward__pushed ward__mailbox_push(struct ward__mailbox *box, struct ward__pool *pool,
    uint64_t life, uint32_t index, bool hand_over);

/* What a push makes of the word: the message is the newest, there is one more, someone runs it. */
static inline uint64_t ward__word_with(uint64_t word, uint32_t index)
{
    /* The count is at the top of the lower half, where it wraps by itself. */
    uint32_t low = (uint32_t)word + (1u << WARD__COUNT_SHIFT);

    return (uint64_t)index << 32 | ((low | WARD__SCHEDULED) & ~(uint32_t)WARD__EMPTY);
}
/* Release, read with acquire in take: the swap does not order the payload before the link. */
static inline void ward__mailbox_link(
    struct ward__mailbox *box, struct ward__pool *pool, uint64_t before, uint32_t index)
{
    if (before & WARD__EMPTY)
        ward__store_rel(&box->first, index);
    else
        ward__store_rel(&ward__mail(pool, ward__word_index(before))->next, index);
}
/* ward__mailbox_push, with its first try inline: there is room and nobody else is at it. */
static WARD__INLINE enum ward__pushed ward__mailbox_offer(
    struct ward__mailbox *box, struct ward__pool *pool, uint64_t life, uint32_t index)
{
    struct ward_msg *mail = ward__mail(pool, index);
    uint64_t word = ward__load_acq(&box->word); /* the word first, the life second */
    uint32_t fill;

    if (ward__unlikely(
            ward__load(&box->life) != life || (word & (WARD__DEAD | WARD__CLOSED | WARD__WAITED))))
        return ward__mailbox_push(box, pool, life, index, false);
    fill = (ward__word_count(word) - ward__load_acq(&box->released)) & WARD__COUNT_MASK;
    mail->stamp = (uint32_t)life;
    ward__store(&mail->bits, ward__load(&mail->bits) | WARD__MAIL_BOXED);
    ward__store(&mail->next, 0);
    if (ward__unlikely(fill >= ward__load(&box->bound)) ||
        ward__unlikely(!ward__cas_seq(&box->word, &word, ward__word_with(word, index))))
        return ward__mailbox_push(box, pool, life, index, false);
    ward__mailbox_link(box, pool, word, index);
    return word & WARD__SCHEDULED ? WARD__PUSHED : WARD__PUSHED_SCHEDULE;
}

/* Reserves bytes for what lies beside a message, before the push. Any thread.
 * Errors: WARD_EFULL; WARD_ETOOBIG when it can never fit. */
ward_status ward__mailbox_reserve(struct ward__mailbox *box, size_t bytes);
void ward__mailbox_unreserve(struct ward__mailbox *box, size_t bytes);
/* The same by a sender whose push was refused: somebody may have parked because of these bytes.
 * True: the caller must make the owner runnable. */
bool ward__mailbox_withdraw(struct ward__mailbox *box, size_t bytes);

/* Parks `wait` (armed, its parcel set) unless there is room now. WARD__PUSH_FULL: it is parked.
 * WARD__PUSHED: there is room, push again. Any thread. */
enum ward__pushed ward__mailbox_park(
    struct ward__mailbox *box, uint64_t life, struct ward__wait *wait);
/* Takes `wait` out of the list it may be in; true: it still had its parcel. */
bool ward__mailbox_unpark(struct ward__wait *wait);

/* -- the owner only -- */

/* The holder of a record gives it up; the last one frees it. Owner, or a zombie when SHARED. */
void ward__mail_release_shared(struct ward__pool *pool, struct ward__magazines *magazines,
    struct ward_msg *mail, uint32_t holder_bit);
static inline void ward__mail_release(struct ward__pool *pool, struct ward__magazines *magazines,
    struct ward_msg *mail, uint32_t holder_bit)
{
    uint32_t bits = ward__mail_bits(mail);

    if (ward__unlikely(bits & (WARD__MAIL_SHARED | WARD__MAIL_SIGNAL))) {
        ward__mail_release_shared(pool, magazines, mail, holder_bit);
        return;
    }
    bits &= ~holder_bit;
    ward__store(&mail->bits, bits);
    if (!(bits & (WARD__MAIL_BOXED | WARD__MAIL_READ)))
        ward__mail_put(pool, magazines, ward__mail_index(pool, mail));
}

/* The link of a message that is known to be coming; 0: it does not come soon. */
uint32_t ward__mailbox_look(_Atomic uint32_t *link);

/* The next message, or 0: none. *missing: a sender stopped between its swap and its link; go to
 * the end of the run queue. The message taken before loses its first holder. A message whose stamp
 * is not this life's is a dead letter: its sender stood still before its swap while the life it
 * meant ended, and the word came to be the same again. */
static WARD__INLINE uint32_t ward__mailbox_take(struct ward__mailbox *box, struct ward__pool *pool,
    struct ward__magazines *magazines, bool *missing)
{
    uint32_t hand = box->hand, index, taken;
    _Atomic uint32_t *link = hand ? &ward__mail(pool, hand)->next : &box->first;
    uint64_t word;

    *missing = false;
    index = ward__load_acq(link);
    if (!index) {
        word = ward__load_acq(&box->word);
        if (word & WARD__EMPTY || (hand && ward__word_index(word) == hand)) return 0;
        index = ward__mailbox_look(link);
        *missing = !index;
        if (!index) return 0;
    }
    box->hand = index;
    if (hand)
        ward__mail_release(pool, magazines, ward__mail(pool, hand), WARD__MAIL_BOXED);
    else
        ward__store(&box->first, 0);
    taken = (uint32_t)ward__load(&box->taken) + 1;
    ward__bump(&box->taken, 1);
    ward__store_rel(&box->released, taken - ward__load(&box->kept));
    return index;
}

/* Gives the mailbox up: true, and it is not SCHEDULED any more, so another thread may run the
 * owner at once. False: there is mail, a signal, or a parked sender to be served; or it was
 * closed. */
bool ward__mailbox_idle(
    struct ward__mailbox *box, struct ward__pool *pool, struct ward__magazines *magazines);
/* The same with the usual case inline: the last message was taken, and nothing else is there. */
static WARD__INLINE bool ward__mailbox_rest(
    struct ward__mailbox *box, struct ward__pool *pool, struct ward__magazines *magazines)
{
    const uint32_t other = WARD__EMPTY | WARD__SIGNAL | WARD__CLOSED | WARD__WAITED;
    uint32_t hand = box->hand, low;
    uint64_t word = ward__load_acq(&box->word), empty;

    if (ward__unlikely(!hand || ward__word_index(word) != hand || ((uint32_t)word & other)))
        return ward__mailbox_idle(box, pool, magazines);
    low = ((uint32_t)word | (uint32_t)WARD__EMPTY) & ~(uint32_t)WARD__SCHEDULED;
    empty = ward__load(&box->life) << 32 | low;
    box->hand = 0; /* after the swap the mailbox may be another thread's */
    if (ward__unlikely(!ward__cas_seq(&box->word, &word, empty))) {
        box->hand = hand;
        return false;
    }
    ward__mail_release(pool, magazines, ward__mail(pool, hand), WARD__MAIL_BOXED);
    return true;
}

/* Publishes `released` after the number of kept ones changed. */
void ward__mailbox_publish(struct ward__mailbox *box);

typedef void ward__wake(void *arg, struct ward__wait *wait, bool handed_over);

/* Hands over for parked senders while there is room. wake is called under the lock for each wait
 * that was claimed; for an ask the cell was armed again for the answer. */
void ward__mailbox_serve(
    struct ward__mailbox *box, struct ward__pool *pool, ward__wake *wake, void *arg);

/* Before the owner parks on something that is not its mailbox: true when senders are parked. */
bool ward__mailbox_settle(struct ward__mailbox *box);

/* Claims all parked senders with `status`. Any thread, once new ones cannot come. */
void ward__mailbox_evict(
    struct ward__mailbox *box, ward_status status, ward__wake *wake, void *arg);

/* No more mail comes in. True: the caller must make the owner runnable. Any thread. */
bool ward__mailbox_close(struct ward__mailbox *box, uint64_t life);

/* Mail comes in again. Owner, or who starts the actor. */
void ward__mailbox_reopen(struct ward__mailbox *box);

/* Sets SIGNAL; true: the caller must make the owner runnable. Any thread. */
bool ward__mailbox_signal(struct ward__mailbox *box);

/* The address is dead: no push succeeds from now on. The mailbox must then be drained with take
 * until it is empty; `end` makes it ready for another life. */
void ward__mailbox_kill(struct ward__mailbox *box);
void ward__mailbox_end(
    struct ward__mailbox *box, struct ward__pool *pool, struct ward__magazines *magazines);

/* All that came in in this life: the word's count, extended by what was taken. */
static inline uint64_t ward__mailbox_accepted(const struct ward__mailbox *box)
{
    uint64_t taken = ward__load_acq(&box->taken);

    return taken +
           ((ward__word_count(ward__load_acq(&box->word)) - (uint32_t)taken) & WARD__COUNT_MASK);
}

static inline uint32_t ward__mailbox_depth(const struct ward__mailbox *box)
{
    return (ward__word_count(ward__load(&box->word)) - ward__load(&box->released)) &
           WARD__COUNT_MASK;
}

#endif
