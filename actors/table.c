/* SPDX-License-Identifier: MIT */
/*
 * table.c - the range of slots and its free list. A slot is used last in, first out; its life and
 * its cell go on counting from one use to the next, so whatever still names an earlier use is
 * refused. Any thread; the free list is under its lock, a leaf.
 */
#include "actors/node.h"
#include "base/assert.h"

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

uint32_t ward__slot_get(ward_node *node)
{
    uint32_t index;

    pthread_mutex_lock(&node->slots_lock);
    index = node->slot_free;
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
    pthread_mutex_unlock(&node->slots_lock);
    return index;
}

void ward__slot_put(ward_node *node, struct ward__slot *slot)
{
    ward__assert(ward__load(&slot->box.word) & WARD__DEAD);
    pthread_mutex_lock(&node->slots_lock);
    slot->queue_next = node->slot_free;
    node->slot_free = ward__index(node, slot);
    pthread_mutex_unlock(&node->slots_lock);
}
