/* SPDX-License-Identifier: MIT */
/*
 * mail.c - message records: the pool, the magazines, filling and emptying.
 *
 * A record that was carved from the range is never given back to the system before the node
 * closes; the range costs memory only where it was used. Any thread; magazines belong to one.
 */
#include "mailbox/mail.h"

#include <string.h>

#include "base/assert.h"
#include "base/platform.h"
#include "mailbox/slab.h"
#include "mailbox/value.h"

bool ward__pool_open(
    struct ward__pool *pool, struct ward__heap *heap, uint32_t max, size_t value_max)
{
    memset(pool, 0, sizeof *pool);
    pool->at = ward__reserve_table((size_t)max * sizeof(struct ward_msg));
    if (!pool->at) return false;
    pool->max = max;
    pool->heap = heap;
    pool->value_max = value_max;
    pool->fresh = 1;
    ward__lock_init(&pool->lock);
    return true;
}

void ward__pool_close(struct ward__pool *pool)
{
    ward__heap_release(pool->heap, (size_t)(pool->fresh - 1) * sizeof(struct ward_msg));
    ward__unreserve(pool->at, (size_t)pool->max * sizeof(struct ward_msg));
    pthread_mutex_destroy(&pool->lock);
}

/* Carves a chain of records never used before. The pool is locked. 0: no more. */
static uint32_t carve(struct ward__pool *pool)
{
    uint32_t first = pool->fresh;

    if (pool->max - first < WARD__MAGAZINE) return 0;
    if (!ward__heap_reserve(pool->heap, WARD__MAGAZINE * sizeof(struct ward_msg))) return 0;
    pool->fresh += WARD__MAGAZINE;
    for (uint32_t i = 0; i < WARD__MAGAZINE; i++)
        ward__store(&pool->at[first + i].next, i + 1 < WARD__MAGAZINE ? first + i + 1 : 0);
    return first;
}

/* A full chain. The pool is locked. */
static uint32_t pop_chain(struct ward__pool *pool)
{
    uint32_t first = pool->chains;

    if (!first) return carve(pool);
    pool->chains = pool->at[first].stamp;
    return first;
}

static uint32_t pop(struct ward__pool *pool, uint32_t *chain)
{
    uint32_t index = *chain;

    *chain = ward__load(&pool->at[index].next);
    return index;
}

static void push(struct ward__pool *pool, uint32_t *chain, uint32_t index)
{
    ward__store(&pool->at[index].next, *chain);
    *chain = index;
}

static uint32_t get_loose(struct ward__pool *pool)
{
    uint32_t index = 0;

    pthread_mutex_lock(&pool->lock);
    if (!pool->loose) pool->loose = pop_chain(pool);
    if (pool->loose) index = pop(pool, &pool->loose);
    pthread_mutex_unlock(&pool->lock);
    return index;
}

uint32_t ward__mail_get_slow(struct ward__pool *pool, struct ward__magazines *mag)
{
    if (!mag) return get_loose(pool);
    if (!mag->loaded) {
        if (mag->spare) {
            mag->loaded = mag->spare;
            mag->loaded_count = mag->spare_count;
            mag->spare = mag->spare_count = 0;
        } else {
            pthread_mutex_lock(&pool->lock);
            mag->loaded = pop_chain(pool);
            pthread_mutex_unlock(&pool->lock);
            if (!mag->loaded) return get_loose(pool); /* the last few may be there */
            mag->loaded_count = WARD__MAGAZINE;
        }
    }
    mag->loaded_count--;
    return pop(pool, &mag->loaded);
}

void ward__mail_put_slow(struct ward__pool *pool, struct ward__magazines *mag, uint32_t index)
{
    ward__assert(index != 0);
    if (!mag) {
        pthread_mutex_lock(&pool->lock);
        push(pool, &pool->loose, index);
        pthread_mutex_unlock(&pool->lock);
        return;
    }
    if (mag->loaded_count == WARD__MAGAZINE) {
        if (mag->spare_count == WARD__MAGAZINE) {
            pthread_mutex_lock(&pool->lock);
            pool->at[mag->spare].stamp = pool->chains;
            pool->chains = mag->spare;
            pthread_mutex_unlock(&pool->lock);
        } else {
            ward__assert(!mag->spare);
        }
        mag->spare = mag->loaded;
        mag->spare_count = WARD__MAGAZINE;
        mag->loaded = mag->loaded_count = 0;
    }
    push(pool, &mag->loaded, index);
    mag->loaded_count++;
}

void ward__magazines_flush(struct ward__pool *pool, struct ward__magazines *mag)
{
    while (mag->loaded)
        ward__mail_put(pool, NULL, pop(pool, &mag->loaded));
    while (mag->spare)
        ward__mail_put(pool, NULL, pop(pool, &mag->spare));
    mag->loaded_count = mag->spare_count = 0;
}

ward_status ward__mail_fill_slow(struct ward__pool *pool, struct ward_msg *mail, bool asks,
    const ward_type *type, const void *value)
{
    size_t bytes, room = asks ? WARD__INLINE_ASK_MAX : WARD__INLINE_MAX;
    bool has_blobs = false;
    void *block = mail->u.value;
    ward_status rc;

    rc = ward__value_bytes(type, value, pool->value_max, &bytes, &has_blobs);
    if (rc) return rc;
    mail->type = type;
    ward__store(&mail->bits, (has_blobs ? WARD__MAIL_BLOBS : 0u) | (asks ? WARD__MAIL_ASK : 0u));
    if (bytes > room) {
        block = ward__alloc(pool->heap, bytes);
        if (!block) return WARD_ENOMEM;
        mail->u.beside = (struct ward__beside){ block, bytes };
        ward__mail_set(mail, WARD__MAIL_BESIDE, 0);
    }
    if (bytes) ward__value_copy(type, value, block, bytes);
    return WARD_OK;
}

void ward__mail_empty(struct ward__heap *heap, struct ward_msg *mail)
{
    uint32_t bits = ward__mail_bits(mail);

    if (ward__likely(!(bits & (WARD__MAIL_BESIDE | WARD__MAIL_BLOBS)))) return;
    if (bits & WARD__MAIL_BLOBS) ward__value_drop(mail->type, ward__mail_block(mail));
    if (bits & WARD__MAIL_SLAB)
        ward__slab_give(heap, mail->u.beside.block);
    else if (bits & WARD__MAIL_BESIDE)
        ward__free(heap, mail->u.beside.block, mail->u.beside.bytes);
    ward__mail_set(mail, 0, WARD__MAIL_BESIDE | WARD__MAIL_BLOBS | WARD__MAIL_SLAB);
}
