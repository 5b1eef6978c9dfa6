/* SPDX-License-Identifier: MIT */
/*
 * mailbox.c - many senders and one owner at a mailbox, without actors.
 *
 * The owner's role is a token that push hands out and idle gives back, as the run queue does, and
 * two threads compete for it. Checked at each step of the owner, when nobody else can release: no
 * more than the bound is in the mailbox, in messages and in bytes; each sender's messages come in
 * order; all that was accepted comes, once. Senders that park are handed over for, in order, or
 * time out; some push many messages at once. Ends by itself.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "mailbox/chain.h"
#include "mailbox/mailbox.h"
#include "tests/support/check.h"

enum { SENDERS_MAX = 6, OWNERS = 2, MANY = 40000, BLOCK = 64 };

struct letter {
    uint32_t sender, number;
    uint64_t bytes; /* reserved for it */
};
static const ward_type LETTER = WARD_TYPE_PLAIN("letter", struct letter);

enum mode { TRY, PARK, PARK_BRIEFLY, CHAIN };

/* One run: the owner's fields are plain on purpose, so that a token held twice is a data race. */
struct post {
    struct ward__mailbox box;
    struct ward__pool pool;
    struct ward__heap heap;
    pthread_mutex_t lock;
    enum mode mode;
    uint32_t bound, senders, each;
    size_t bytes_max;
    _Atomic int tokens; /* the owner's role is to be had */
    _Atomic uint32_t done; /* senders that have finished */
    _Atomic uint64_t accepted, timed_out;
    uint64_t taken;
    uint32_t last[SENDERS_MAX];
};

struct sender {
    struct post *post;
    uint32_t index;
    struct ward__magazines magazines;
    struct ward__wait wait;
};

static void to_owner(struct post *post, enum ward__pushed pushed)
{
    if (pushed == WARD__PUSHED_SCHEDULE) CHECK_IS(atomic_fetch_add(&post->tokens, 1), 0);
}

/* -- senders ----------------------------------------------------------------------------------- */

static uint32_t write_letter(struct sender *sender, uint32_t number, size_t bytes)
{
    struct post *post = sender->post;
    struct letter letter = { sender->index, number, bytes };
    uint32_t mail = ward__mail_get(&post->pool, &sender->magazines);

    if (!CHECK(mail != 0)) _exit(1);
    CHECK_IS(ward__mail_fill(&post->pool, ward__mail(&post->pool, mail), false, &LETTER, &letter),
        WARD_OK);
    return mail;
}

/* As ward__deliver does it. */
static enum ward__pushed offer(struct sender *sender, uint32_t mail, size_t bytes)
{
    struct post *post = sender->post;
    enum ward__pushed pushed;

    if (bytes && ward__mailbox_reserve(&post->box, bytes)) return WARD__PUSH_FULL;
    pushed = ward__mailbox_push(&post->box, &post->pool, 1, mail, false);
    to_owner(post, pushed);
    if (pushed > WARD__PUSHED_SCHEDULE && ward__mailbox_withdraw(&post->box, bytes))
        to_owner(post, WARD__PUSHED_SCHEDULE);
    return pushed;
}

/* Parks until the hand-over or, when it is to be brief, until it gives up. True: accepted. */
static bool park(struct sender *sender, uint32_t mail, size_t bytes)
{
    struct post *post = sender->post;
    struct ward__wait *wait = &sender->wait;
    enum ward__pushed pushed = WARD__PUSHED;
    uint64_t cell;
    int looks = 0;

    wait->parcel = mail;
    wait->parcel_bytes = bytes;
    cell = ward__wait_arm(wait, INT64_MAX);
    while (pushed == WARD__PUSHED && offer(sender, mail, bytes) == WARD__PUSH_FULL)
        pushed = ward__mailbox_park(&post->box, 1, wait);
    if (pushed == WARD__PUSHED) { /* there was room after all */
        CHECK(ward__wait_claim(wait, cell));
        wait->parcel = 0;
        (void)ward__mailbox_unpark(wait);
        return true;
    }
    while (ward__waiting(ward__load_acq(&wait->cell))) {
        sched_yield();
        if (post->mode == PARK_BRIEFLY && ++looks > (int)(mail % 5))
            (void)ward__wait_claim(wait, cell);
    }
    return !ward__mailbox_unpark(wait);
}

static void *send_all(void *arg)
{
    struct sender *sender = arg;
    struct post *post = sender->post;
    uint32_t number = 1;

    for (uint32_t i = 0; i < post->each; i++) {
        size_t bytes = post->bytes_max && i % 2 ? i % post->bytes_max + 1 : 0;
        uint32_t mail = write_letter(sender, number, bytes);
        bool in = post->mode == TRY ? offer(sender, mail, bytes) != WARD__PUSH_FULL
                                    : park(sender, mail, bytes);
        if (in) {
            number++;
            ward__add(&post->accepted, 1);
            continue;
        }
        ward__mail_put(&post->pool, &sender->magazines, mail);
        sender->wait.parcel = 0;
        ward__add(&post->timed_out, 1);
        sched_yield();
    }
    ward__magazines_flush(&post->pool, &sender->magazines);
    ward__add(&post->done, 1);
    return NULL;
}

static size_t bytes_of(struct post *post, const struct ward__chain *chain)
{
    size_t bytes = 0;

    for (uint32_t i = chain->count, mail = chain->first; i; i--) {
        struct letter letter;
        memcpy(&letter, ward__mail_block(ward__mail(&post->pool, mail)), sizeof letter);
        bytes += letter.bytes;
        mail = ward__load(&ward__mail(&post->pool, mail)->next);
    }
    return bytes;
}

/* Until all are in. */
static void push_chain(struct post *post, struct ward__chain *chain)
{
    while (chain->count) {
        size_t bytes = bytes_of(post, chain);
        enum ward__pushed pushed = WARD__PUSH_FULL;
        if (!bytes || !ward__mailbox_reserve(&post->box, bytes)) {
            uint32_t before = chain->count;
            pushed = ward__mailbox_push_chain(&post->box, &post->pool, 1, chain);
            to_owner(post, pushed);
            CHECK(pushed == WARD__PUSH_FULL ? chain->count == before : chain->count < before);
            if (ward__mailbox_withdraw(&post->box, bytes_of(post, chain)))
                to_owner(post, WARD__PUSHED_SCHEDULE);
        }
        if (pushed == WARD__PUSH_FULL) sched_yield();
    }
}

static void *chain_all(void *arg)
{
    struct sender *sender = arg;
    struct post *post = sender->post;
    uint32_t number = 1;

    while (number <= post->each) {
        struct ward__chain chain = { 0 };
        uint32_t most = 1 + number % 7;
        while (number <= post->each && chain.count < most) {
            size_t bytes = post->bytes_max && number % 2 ? 1 + number % 8 : 0;
            ward__chain_add(&chain, &post->pool, 1, write_letter(sender, number++, bytes));
        }
        ward__add(&post->accepted, chain.count);
        push_chain(post, &chain);
    }
    ward__magazines_flush(&post->pool, &sender->magazines);
    ward__add(&post->done, 1);
    return NULL;
}

/* -- the owner --------------------------------------------------------------------------------- */

static void wake(void *arg, struct ward__wait *wait, bool handed_over)
{
    (void)arg;
    CHECK(handed_over && wait->status == WARD_OK);
}

static void bounds_hold(struct post *post)
{
    size_t bytes = ward__load_seq(&post->box.bytes);

    CHECK(ward__mailbox_depth(&post->box) <= post->bound);
    if (post->bytes_max) CHECK(bytes <= post->bytes_max);
}

static void read_letter(struct post *post, uint32_t mail)
{
    struct letter letter;

    memcpy(&letter, ward__mail_block(ward__mail(&post->pool, mail)), sizeof letter);
    CHECK_IS(letter.number, post->last[letter.sender] + 1);
    post->last[letter.sender] = letter.number;
    post->taken++;
    ward__mailbox_unreserve(&post->box, letter.bytes);
}

/* A slice: true when the mailbox was given up, and with it all that is the owner's. */
static bool own(struct post *post, struct ward__magazines *magazines)
{
    for (int n = 0; n < 64; n++) {
        bool missing;
        uint32_t mail;

        bounds_hold(post);
        mail = ward__mailbox_take(&post->box, &post->pool, magazines, &missing);
        if (mail) read_letter(post, mail);
        if (ward__load(&post->box.word) & WARD__SIGNAL)
            (void)ward__and_seq(&post->box.word, ~WARD__SIGNAL);
        if (ward__load(&post->box.word) & WARD__WAITED)
            ward__mailbox_serve(&post->box, &post->pool, wake, NULL);
        if (!mail && !missing && ward__mailbox_idle(&post->box, &post->pool, magazines))
            return true;
    }
    return false;
}

static void *receive_all(void *arg)
{
    struct post *post = arg;
    struct ward__magazines magazines = { 0 }; /* a thread's, not the owner's */
    int one = 1;

    while (ward__load_acq(&post->done) < post->senders || atomic_load(&post->tokens) > 0) {
        one = 1;
        if (!atomic_compare_exchange_strong(&post->tokens, &one, 0)) {
            sched_yield();
            continue;
        }
        if (!own(post, &magazines)) CHECK_IS(atomic_fetch_add(&post->tokens, 1), 0);
    }
    ward__magazines_flush(&post->pool, &magazines);
    return NULL;
}

/* -- a run ------------------------------------------------------------------------------------- */

static void run(enum mode mode, uint32_t senders, uint32_t bound, size_t bytes_max)
{
    static struct post post;
    static struct sender all[SENDERS_MAX];
    pthread_t threads[SENDERS_MAX], owners[OWNERS];

    memset(&post, 0, sizeof post);
    memset(all, 0, sizeof all);
    post.mode = mode;
    post.senders = senders;
    post.bound = bound;
    post.bytes_max = bytes_max;
    post.each = SCALED(MANY) / senders;
    pthread_mutex_init(&post.lock, NULL);
    ward__heap_init(&post.heap, NULL, NULL, SIZE_MAX);
    if (!CHECK(ward__pool_open(&post.pool, &post.heap, 1u << 20, 1u << 20))) _exit(1);
    ward__store(&post.box.life, 1);
    ward__mailbox_open(&post.box, bound, bytes_max ? bytes_max : 1, &post.lock);
    CHECK(ward__mailbox_idle(&post.box, &post.pool, NULL));
    for (uint32_t i = 0; i < senders; i++) {
        all[i].post = &post;
        all[i].index = i;
        pthread_create(&threads[i], NULL, mode == CHAIN ? chain_all : send_all, &all[i]);
    }
    for (int i = 0; i < OWNERS; i++)
        pthread_create(&owners[i], NULL, receive_all, &post);
    for (uint32_t i = 0; i < senders; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < OWNERS; i++)
        pthread_join(owners[i], NULL);
    CHECK_IS(post.taken, post.accepted);
    CHECK_IS(post.accepted + post.timed_out, (uint64_t)post.each * senders);
    if (mode == PARK) CHECK_IS(post.timed_out, 0);
    CHECK_IS(ward__load(&post.box.bytes), 0);
    CHECK_IS(ward__load(&post.box.word) & WARD__FLAGS, WARD__EMPTY);
    ward__mailbox_kill(&post.box);
    ward__mailbox_end(&post.box, &post.pool, NULL);
    ward__pool_close(&post.pool);
    CHECK_IS(ward__load(&post.heap.bytes), 0);
    pthread_mutex_destroy(&post.lock);
    printf("%s, %u senders, bound %u, bytes %zu: %llu accepted, %llu given up\n",
        mode == TRY     ? "try"
        : mode == PARK  ? "park"
        : mode == CHAIN ? "chains"
                        : "park briefly",
        senders, bound, bytes_max, (unsigned long long)post.accepted,
        (unsigned long long)post.timed_out);
}

int main(void)
{
    static const uint32_t bounds[] = { 1, 3, 64 };

    check_begin("mailbox");
    for (size_t b = 0; b < WARD_COUNT(bounds); b++) {
        for (int mode = TRY; mode <= CHAIN; mode++) {
            run((enum mode)mode, 1, bounds[b], 0);
            run((enum mode)mode, SENDERS_MAX, bounds[b], 0);
            run((enum mode)mode, SENDERS_MAX, bounds[b], BLOCK);
        }
    }
    return check_end();
}
