/* SPDX-License-Identifier: MIT */
/*
 * table.c - the range of slots and its free list. A slot is used last in, first out; its life and
 * its cell go on counting from one use to the next, so whatever still names an earlier use is
 * refused. Any thread; the free list is under its lock, a leaf. A worker holds a few free ones of
 * its own, unless actors_max is near. Held by tests/models/slot.pml, tests/race/stale.c, spawn.c.
 */
#include "actors/node.h"
#include "base/assert.h"

enum { SLOTS_HELD = 64 }; /* free ones, by a worker */

ward_status ward__slots_open(ward_node *node, uint32_t max)
{
    node->slots_max = max;
    node->slots = ward__reserve_table((size_t)max * sizeof(struct ward__slot));
    node->names = ward__reserve((size_t)max * WARD__NAME_MAX);
    ward__lock_init(&node->slots_lock);
    for (int i = 0; i < 64; i++)
        ward__lock_init(&node->stripes[i]);
    ward__store(&node->slots_used, 1); /* slot 0 is nobody */
    return node->slots && node->names ? WARD_OK : WARD_ENOMEM;
}

void ward__slots_close(ward_node *node)
{
    ward__unreserve(node->slots, (size_t)node->slots_max * sizeof(struct ward__slot));
    ward__unreserve(node->names, (size_t)node->slots_max * WARD__NAME_MAX);
    pthread_mutex_destroy(&node->slots_lock);
    for (int i = 0; i < 64; i++)
        pthread_mutex_destroy(&node->stripes[i]);
}

/* From the list, or one never used; slots_lock is held. 0: no more. */
static uint32_t get(ward_node *node)
{
    uint32_t index = node->slot_free;

    if (index) {
        node->slot_free = node->slots[index].queue_next;
    } else if ((index = ward__load(&node->slots_used)) < node->slots_max) {
        struct ward__slot *slot = node->slots + index;
        ward__store(&slot->box.word, WARD__DEAD | WARD__EMPTY | WARD__SCHEDULED);
        ward__store(&slot->box.life, 1);
        ward__store_rel(&node->slots_used, index + 1);
    } else {
        index = 0;
    }
    return index;
}

static void put(ward_node *node, uint32_t index)
{
    node->slots[index].queue_next = node->slot_free;
    node->slot_free = index;
}

/* So few were never used that what workers hold would be missed. */
static bool is_short(const ward_node *node)
{
    return ward__load(&node->slots_used) + node->workers_count * SLOTS_HELD >= node->slots_max;
}

/* Gives a worker some of those that were given back, or one never used. */
static void fetch(ward_node *node, struct ward__worker *worker)
{
    uint32_t index;

    pthread_mutex_lock(&node->slots_lock);
    while (worker->slots_free < SLOTS_HELD / 2 && (index = get(node)) != 0) {
        node->slots[index].queue_next = worker->slot_free;
        worker->slot_free = index;
        worker->slots_free++;
        if (!node->slot_free) break;
    }
    pthread_mutex_unlock(&node->slots_lock);
}

static uint32_t pop(ward_node *node, struct ward__worker *worker)
{
    uint32_t index = worker->slot_free;

    if (!index) return 0;
    worker->slot_free = node->slots[index].queue_next;
    worker->slots_free--;
    return index;
}

uint32_t ward__slot_get(struct ward__here *here)
{
    ward_node *node = here->node;
    struct ward__worker *worker = here->worker;
    uint32_t index;

    if (worker) {
        if (!worker->slot_free && !is_short(node)) fetch(node, worker);
        index = pop(node, worker);
        if (index) return index;
    }
    pthread_mutex_lock(&node->slots_lock);
    index = get(node);
    pthread_mutex_unlock(&node->slots_lock);
    return index;
}

void ward__slot_put(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;
    struct ward__worker *worker = here->worker;
    uint32_t keep = is_short(node) ? 0 : SLOTS_HELD / 2;

    ward__assert(ward__load(&slot->box.word) & WARD__DEAD);
    if (worker && worker->slots_free < SLOTS_HELD && keep) {
        slot->queue_next = worker->slot_free;
        worker->slot_free = ward__index(node, slot);
        worker->slots_free++;
        return;
    }
    pthread_mutex_lock(&node->slots_lock);
    while (worker && worker->slots_free > keep)
        put(node, pop(node, worker));
    put(node, ward__index(node, slot));
    pthread_mutex_unlock(&node->slots_lock);
}
