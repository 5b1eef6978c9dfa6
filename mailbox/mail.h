/* SPDX-License-Identifier: MIT */
/*
 * mail.h - the record of one message, and the pool the records come from.
 *
 * A record is 64 bytes in one reserved range and is named by a 32-bit index, so that the mailbox
 * word has room for a long count. A value of up to 40 bytes rides inside (24 when the message is a
 * question, whose last 16 bytes say who waits for the answer); a larger one lies beside, in the
 * node's heap.
 *
 * A record has two holders: the mailbox it was accepted by (until a later message is taken, or the
 * mailbox is idle) and its reader (until the handler returns, the body receives again, or a kept
 * one is dropped). Both are the owner of the mailbox, so plain flags do; only quarantine makes the
 * record SHARED, and then the last of the two frees it.
 *
 * Knows no actors. Records are carried in chains of 64 (magazines): each worker has two of its
 * own and swaps whole ones with the pool under the pool's lock (a leaf).
 */
#ifndef WARD_MAILBOX_MAIL_H
#define WARD_MAILBOX_MAIL_H

#include <pthread.h>
#include <string.h>
#include <ward/ward.h>

#include "base/alloc.h"
#include "base/atomics.h"

enum {
    WARD__INLINE_MAX = 40,
    WARD__INLINE_ASK_MAX = 24,
    WARD__MAGAZINE = 64,
};

enum ward__mail_bits {
    WARD__MAIL_ASK = 1, /* someone waits for the answer */
    WARD__MAIL_BESIDE = 2, /* the value lies beside */
    WARD__MAIL_BLOBS = 4, /* the value has blobs to drop */
    WARD__MAIL_BOXED = 8, /* held by its mailbox */
    WARD__MAIL_READ = 16, /* held by its reader */
    WARD__MAIL_KEPT = 32, /* ward_keep: `stamp` is its place in the table of kept ones */
    WARD__MAIL_SHARED = 64, /* its two holders are on different threads */
    WARD__MAIL_SIGNAL = 128, /* not from the pool: part of a monitor or timer record */
    WARD__MAIL_KIND = 8, /* shift: the ward_kind, three bits */
    WARD__MAIL_PASSED = 2048, /* its reader passed it on to another node */
    WARD__MAIL_SLAB = 4096, /* what lies beside is of a slab */
    WARD__MAIL_GIVEN = 8192, /* to an isolate, by its host: u.ask.cell is its number there */
    WARD__MAIL_TRIES = 16, /* shift: how often its reader failed with it, and it came again */
    WARD__TRIES_MAX = 0xffff
};

/* Who waits for an answer: a slot of this node, a request (actors/request.h) or a call of a link,
 * and the value of its cell. */
struct ward__token {
    uint64_t cell;
    uint32_t asker;
};
/* An asker at or above this is a call of a link: see ward__route. */
#define WARD__REMOTE 0x80000000u
/* At or above this one, and below that, it is a request of this node. */
#define WARD__REQUEST 0x40000000u

struct ward__beside {
    void *block;
    size_t bytes;
};

struct ward_msg {
    _Atomic uint32_t next; /* the message accepted after this one; in a chain: the next free one */
    uint32_t stamp; /* low half of the life it is for; once kept: its index */
    const ward_type *type;
    uint32_t tick; /* ms since the node opened, when it was accepted */
    _Atomic uint32_t bits;
    union {
        _Alignas(8) unsigned char value[WARD__INLINE_MAX];
        struct ward__beside beside;
        struct {
            unsigned char value[WARD__INLINE_ASK_MAX];
            uint64_t cell;
            uint32_t asker;
        } ask;
        ward_down down;
    } u;
};
_Static_assert(sizeof(struct ward_msg) == 64, "a message is one cache line");

/* Two chains of free records, of one thread at a time. */
struct ward__magazines {
    uint32_t loaded, loaded_count;
    uint32_t spare, spare_count;
};

struct ward__pool {
    struct ward_msg *at; /* the reserved range; index 0 is nobody */
    uint32_t max;
    size_t value_max; /* ward_opts.message_bytes_max */
    struct ward__heap *heap;
    pthread_mutex_t lock;
    uint32_t chains; /* full chains, linked through `stamp` of their first */
    uint32_t loose; /* single ones, of threads without magazines */
    uint32_t fresh; /* records from here on were never used */
};

bool ward__pool_open(
    struct ward__pool *pool, struct ward__heap *heap, uint32_t max, size_t value_max);
void ward__pool_close(struct ward__pool *pool);

static inline struct ward_msg *ward__mail(const struct ward__pool *pool, uint32_t index)
{
    return pool->at + index;
}

static inline uint32_t ward__mail_index(const struct ward__pool *pool, const struct ward_msg *mail)
{
    return (uint32_t)(mail - pool->at);
}

static inline uint32_t ward__mail_bits(const struct ward_msg *mail)
{
    return ward__load(&mail->bits);
}

static inline void ward__mail_set(struct ward_msg *mail, uint32_t set, uint32_t clear)
{
    uint32_t bits = ward__load(&mail->bits);

    if (ward__unlikely(bits & WARD__MAIL_SHARED)) /* the other holder writes, too */
        while (!ward__cas(&mail->bits, &bits, (bits & ~clear) | set)) {
        }
    else
        ward__store(&mail->bits, (bits & ~clear) | set);
}

/* magazines may be NULL: slower, for threads that have none. 0: no memory. */
uint32_t ward__mail_get_slow(struct ward__pool *pool, struct ward__magazines *magazines);
void ward__mail_put_slow(
    struct ward__pool *pool, struct ward__magazines *magazines, uint32_t index);

static inline uint32_t ward__mail_get(struct ward__pool *pool, struct ward__magazines *magazines)
{
    uint32_t index = magazines ? magazines->loaded : 0;

    if (ward__unlikely(!index)) return ward__mail_get_slow(pool, magazines);
    magazines->loaded_count--;
    magazines->loaded = ward__load(&pool->at[index].next);
    return index;
}
static inline void ward__mail_put(
    struct ward__pool *pool, struct ward__magazines *magazines, uint32_t index)
{
    if (ward__unlikely(!magazines || magazines->loaded_count == WARD__MAGAZINE)) {
        ward__mail_put_slow(pool, magazines, index);
        return;
    }
    ward__store(&pool->at[index].next, magazines->loaded);
    magazines->loaded = index;
    magazines->loaded_count++;
}
/* Gives all records of a pair of magazines back. */
void ward__magazines_flush(struct ward__pool *pool, struct ward__magazines *magazines);

/* Copies the value into the record. asks: leave room for a token. Errors: as ward_send. */
ward_status ward__mail_fill_slow(struct ward__pool *pool, struct ward_msg *mail, bool asks,
    const ward_type *type, const void *value);
static inline ward_status ward__mail_fill(struct ward__pool *pool, struct ward_msg *mail, bool asks,
    const ward_type *type, const void *value)
{
    size_t bytes = type->bytes, room = asks ? WARD__INLINE_ASK_MAX : WARD__INLINE_MAX;

    /* A small struct without a table, as most messages of a busy program are. */
    if (ward__unlikely(type->form != WARD_FORM_STRUCT || type->fields_count || !type->name ||
                       !value || bytes - 1 >= room))
        return ward__mail_fill_slow(pool, mail, asks, type, value);
    mail->type = type;
    ward__store(&mail->bits, asks ? WARD__MAIL_ASK : 0u);
    if (bytes == 8)
        memcpy(mail->u.value, value, 8);
    else if (bytes == 16)
        memcpy(mail->u.value, value, 16);
    else
        memcpy(mail->u.value, value, bytes);
    return WARD_OK;
}
/* The block of the value, inside or beside. */
static inline void *ward__mail_block(struct ward_msg *mail)
{
    return ward__mail_bits(mail) & WARD__MAIL_BESIDE ? mail->u.beside.block : mail->u.value;
}
static inline size_t ward__mail_beside_bytes(const struct ward_msg *mail)
{
    return ward__mail_bits(mail) & WARD__MAIL_BESIDE ? mail->u.beside.bytes : 0;
}
/* Frees what lies beside and drops the blobs; the record stays. */
void ward__mail_empty(struct ward__heap *heap, struct ward_msg *mail);

#endif
