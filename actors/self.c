/* SPDX-License-Identifier: MIT */
/*
 * self.c - what an actor has: its state, memory, texts, blobs, kept messages and deferred calls.
 * All of it hangs off the incarnation and goes with it, whatever way it ends. Runs on the actor's
 * own thread; the incarnation is made when the first of these is needed.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "actors/node.h"
#include "actors/sim.h"
#include "base/assert.h"
#include "base/random.h"
#include "mailbox/blob.h"

struct ward__inc *ward__inc_new(struct ward__here *here, const struct ward__spec *spec)
{
    size_t bytes = sizeof(struct ward__inc) + spec->state_bytes;
    struct ward__inc *inc = ward__small_alloc(here, bytes);

    if (!inc) return NULL;
    memset(inc, 0, bytes);
    inc->bytes = bytes;
    inc->signals_end = &inc->signals;
    return inc;
}

struct ward__inc *ward__inc_of(ward_self *self)
{
    if (!self->inc) {
        struct ward__here here = { self->node, NULL, NULL };
        self->inc = ward__inc_new(&here, self->spec);
        self->slot->inc = self->inc;
    }
    return self->inc;
}

static void free_blocks(struct ward__heap *heap, struct ward__block *block)
{
    while (block) {
        struct ward__block *next = block->next;
        ward__free(heap, block, block->bytes);
        block = next;
    }
}

static void drop_kept(struct ward__here *here, struct ward_msg *mail)
{
    if (ward__asks(mail)) {
        struct ward__token token = ward__token_of(mail);
        ward__mail_set(mail, 0, WARD__MAIL_ASK);
        (void)ward__answer(here, token, WARD_ENOREPLY, 0);
    }
    if (ward__mail_bits(mail) & WARD__MAIL_GIVEN) ward__given_done(here->node, mail, WARD__FATES);
    ward__mail_empty(&here->node->heap, mail);
    ward__mail_set(mail, 0, WARD__MAIL_KEPT);
    ward__mail_release(&here->node->pool, here->magazines, mail, WARD__MAIL_READ);
}

void ward__inc_free(struct ward__here *here, struct ward__inc *inc)
{
    struct ward__heap *heap = &here->node->heap;

    if (!inc) return;
    here->node->ops->forget(here, inc);
    while (ward__unlikely(inc->signals != NULL)) {
        struct ward__signal *signal = inc->signals;
        inc->signals = signal->next;
        signal->release(here, signal);
    }
    for (uint32_t i = 0; i < inc->kept_count; i++)
        drop_kept(here, inc->kept[i]);
    for (uint32_t i = 0; i < inc->blobs_count; i++)
        ward__blob_drop(inc->blobs[i]);
    free_blocks(heap, inc->blocks);
    free_blocks(heap, inc->texts);
    ward__free(heap, inc->kept, inc->kept_room * sizeof *inc->kept);
    ward__free(heap, inc->blobs, inc->blobs_room * sizeof *inc->blobs);
    ward__free(heap, inc->deferred, inc->deferred_room * sizeof *inc->deferred);
    ward__small_free(here, inc, inc->bytes);
}

/* Room for one more in a table of an incarnation. */
static bool grow(struct ward__heap *heap, void **table, uint32_t count, uint32_t *room, size_t each)
{
    uint32_t more = *room ? *room * 2 : 4;
    void *at;

    if (count < *room) return true;
    at = ward__realloc(heap, *table, *room * each, more * each);
    if (!at) return false;
    *table = at;
    *room = more;
    return true;
}

/* -- who and what ------------------------------------------------------------------------------ */

ward_ref ward_me(const ward_self *self)
{
    if (self->kind == WARD__SELF_OUTSIDE) return (ward_ref){ 0, 0, 0 };
    if (ward__unlikely(self->node->inside != NULL)) return self->node->inside->me;
    return (ward_ref){ self->node->id, ward__index(self->node, self->slot), self->life };
}

ward_ref ward_parent(const ward_self *self)
{
    uint32_t parent;

    if (self->kind == WARD__SELF_OUTSIDE) return (ward_ref){ 0, 0, 0 };
    if (self->node->inside) return self->node->inside->parent;
    parent = ward__load(&self->slot->parent);
    if (parent <= 1) return (ward_ref){ 0, 0, 0 }; /* the root is nobody to talk to */
    return ward__ref(self->node, ward__slot(self->node, parent));
}

ward_node *ward_node_of(const ward_self *self)
{
    return self->node;
}

void *ward_arg(const ward_self *self)
{
    return self->arg;
}

void *ward_state(ward_self *self)
{
    return self->inc && self->spec && self->spec->state_bytes ? self->inc->state : NULL;
}

uint64_t ward_random(ward_self *self)
{
    return ward__chance(self->node);
}

bool ward_cancelled(const ward_self *self)
{
    if (self->kind == WARD__SELF_OUTSIDE) return false;
    if (ward__load_acq(&self->thread->hand) & WARD__TURN_GONE) return true;
    return (ward__load_acq(&self->slot->signals) & WARD__SIG_CANCEL) || ward__abandoned(self);
}

ward_deadline ward_by(const ward_self *self)
{
    return (ward_deadline){
        self->kind == WARD__SELF_OUTSIDE ? INT64_MAX : ward__wait_until(self, WARD_FOREVER)
    };
}

/* -- memory ------------------------------------------------------------------------------------ */

static void unlink_block(struct ward__inc *inc, struct ward__block *block)
{
    if (block->prev)
        block->prev->next = block->next;
    else
        inc->blocks = block->next;
    if (block->next) block->next->prev = block->prev;
}

static void link_block(struct ward__inc *inc, struct ward__block *block, size_t bytes)
{
    block->bytes = bytes;
    block->prev = NULL;
    block->next = inc->blocks;
    if (block->next) block->next->prev = block;
    inc->blocks = block;
}

void *ward__resize(ward_self *self, struct ward__here *here, void *old, size_t bytes)
{
    struct ward__inc *inc = ward__inc_of(self);
    struct ward__block *block = old ? (struct ward__block *)old - 1 : NULL, *fresh;
    size_t total = bytes + sizeof *block, before = block ? block->bytes : 0;

    if (!inc || total < bytes) return NULL;
    if (bytes == 0) {
        if (block) {
            unlink_block(inc, block);
            ward__free(&here->node->heap, block, before);
        }
        return NULL;
    }
    if (block) unlink_block(inc, block);
    fresh = ward__realloc(&here->node->heap, block, before, total);
    if (fresh)
        link_block(inc, fresh, total);
    else if (block)
        link_block(inc, block, before);
    return fresh ? fresh + 1 : NULL;
}

void *ward_alloc(ward_self *self, void *old, size_t bytes)
{
    struct ward__here here;
    void *at;

    if (self->kind == WARD__SELF_OUTSIDE || !ward__enter(self, &here)) return NULL;
    at = ward__resize(self, &here, old, bytes);
    ward__leave(self);
    return at;
}

void ward__texts_free(struct ward__here *here, ward_self *self)
{
    if (ward__likely(!self->inc || !self->inc->texts)) return;
    free_blocks(&here->node->heap, self->inc->texts);
    self->inc->texts = NULL;
}

const char *ward_textf(ward_self *self, const char *fmt, ...)
{
    struct ward__here here;
    struct ward__inc *inc;
    struct ward__block *block = NULL;
    va_list args;
    int length;
    size_t bytes;

    if (self->kind == WARD__SELF_OUTSIDE) return NULL;
    va_start(args, fmt);
    length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0 || !ward__enter(self, &here)) return NULL;
    bytes = sizeof *block + (size_t)length + 1;
    inc = ward__inc_of(self);
    if (inc) block = ward__alloc(&here.node->heap, bytes);
    if (block) {
        block->bytes = bytes;
        block->next = inc->texts;
        inc->texts = block;
    }
    ward__leave(self);
    if (!block) return NULL;
    va_start(args, fmt);
    (void)vsnprintf((char *)(block + 1), (size_t)length + 1, fmt, args);
    va_end(args);
    return (char *)(block + 1);
}

ward_status ward_defer(ward_self *self, void (*fn)(void *arg), void *arg)
{
    struct ward__here here;
    struct ward__inc *inc;
    ward_status rc = WARD_OK;

    if (!fn) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE || self->ending) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    inc = ward__inc_of(self);
    if (!inc)
        rc = WARD_ENOMEM;
    else if (inc->deferred_count == WARD__DEFERRED_MAX)
        rc = WARD_ELIMIT;
    else if (!grow(&here.node->heap, (void **)&inc->deferred, inc->deferred_count,
                 &inc->deferred_room, sizeof *inc->deferred))
        rc = WARD_ENOMEM;
    else
        inc->deferred[inc->deferred_count++] = (struct ward__deferred){ fn, arg };
    ward__leave(self);
    return rc;
}

/* -- kept messages ----------------------------------------------------------------------------- */

ward_status ward_keep(ward_self *self, ward_msg **out, const ward_msg *msg)
{
    struct ward_msg *mail = (struct ward_msg *)(uintptr_t)msg;
    struct ward__here here;
    struct ward__inc *inc;

    if (!out || !msg || mail != self->hand || (ward__mail_bits(mail) & WARD__MAIL_SIGNAL))
        return WARD_EINVAL;
    if (ward__mail_bits(mail) & WARD__MAIL_KEPT) {
        *out = mail;
        return WARD_OK;
    }
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    inc = ward__inc_of(self);
    if (!inc || !grow(&here.node->heap, (void **)&inc->kept, inc->kept_count, &inc->kept_room,
                    sizeof *inc->kept)) {
        ward__leave(self);
        return WARD_ENOMEM;
    }
    mail->stamp = inc->kept_count;
    inc->kept[inc->kept_count++] = mail;
    ward__mail_set(mail, WARD__MAIL_KEPT, 0);
    ward__bump(&self->slot->box.kept, 1);
    ward__mailbox_publish(&self->slot->box);
    ward__store_seq(&self->slot->question_cell, 0); /* kept is not in hand */
    if (ward__mail_bits(mail) & WARD__MAIL_GIVEN) {
        struct ward__route *route = ward__load_acq(&here.node->route);
        route->kept(route->arg, mail->u.ask.cell);
    }
    *out = mail;
    ward__leave(self);
    return WARD_OK;
}

void ward_drop(ward_self *self, ward_msg *mail)
{
    struct ward__here here;
    struct ward__slot *slot = self->slot;
    struct ward__inc *inc = self->inc;
    uint32_t index;

    if (!mail || !(ward__mail_bits(mail) & WARD__MAIL_KEPT)) return;
    if (!ward__enter(self, &here)) return;
    index = mail->stamp;
    if (!inc || index >= inc->kept_count || inc->kept[index] != mail) { /* not this actor's */
        ward__leave(self);
        return;
    }
    inc->kept[index] = inc->kept[--inc->kept_count];
    inc->kept[index]->stamp = index;
    if (mail == self->hand) self->hand = NULL;
    if (ward__mail_bits(mail) & WARD__MAIL_PASSED) ward__fate(slot, WARD__HANDED_OVER);
    ward__mailbox_unreserve(&slot->box, ward__mail_weight(mail));
    drop_kept(&here, mail);
    ward__bump(&slot->box.settled, 1);
    ward__bump(&slot->box.kept, (uint32_t)-1);
    ward__mailbox_publish(&slot->box);
    if (ward__mailbox_settle(&slot->box)) ward__serve(&here, slot);
    ward__leave(self);
}

/* -- blobs ------------------------------------------------------------------------------------- */

/* Hands a fresh reference to the incarnation; drops it when there is no memory. */
static ward_status own(ward_self *self, struct ward__here *here, ward_blob **out, ward_blob *blob)
{
    struct ward__inc *inc = ward__inc_of(self);

    if (!inc || !grow(&here->node->heap, (void **)&inc->blobs, inc->blobs_count, &inc->blobs_room,
                    sizeof *inc->blobs)) {
        ward__blob_drop(blob);
        return WARD_ENOMEM;
    }
    inc->blobs[inc->blobs_count++] = blob;
    *out = blob;
    return WARD_OK;
}

ward_status ward_blob_copy(ward_self *self, ward_blob **out, ward_bytes bytes)
{
    struct ward__here here;
    ward_blob *blob;
    ward_status rc;

    if (!out || (!bytes.at && bytes.count)) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE) return WARD_ESTATE;
    if (bytes.count > self->node->opts.blob_bytes_max) return WARD_ETOOBIG;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = ward__blob_new(&here.node->heap, &blob, bytes);
    if (!rc) rc = own(self, &here, out, blob);
    ward__leave(self);
    return rc;
}

ward_status ward_blob_wrap(
    ward_self *self, ward_blob **out, ward_bytes bytes, void (*release)(void *arg), void *arg)
{
    struct ward__here here;
    ward_blob *blob;
    ward_status rc;

    if (!out || !release || (!bytes.at && bytes.count)) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE) return WARD_ESTATE;
    if (bytes.count > self->node->opts.blob_bytes_max) return WARD_ETOOBIG;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    /* Room first: a failure must not have called release. */
    struct ward__inc *inc = ward__inc_of(self);
    rc = inc && grow(&here.node->heap, (void **)&inc->blobs, inc->blobs_count, &inc->blobs_room,
                    sizeof *inc->blobs)
             ? ward__blob_wrap(&here.node->heap, &blob, bytes, release, arg)
             : WARD_ENOMEM;
    if (!rc) rc = own(self, &here, out, blob);
    ward__leave(self);
    return rc;
}

ward_status ward_blob_keep(ward_self *self, ward_blob **out, const ward_blob *blob)
{
    struct ward__here here;
    ward_status rc;

    if (!out || !blob) return WARD_EINVAL;
    if (self->kind == WARD__SELF_OUTSIDE) return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    ward__blob_hold(blob);
    rc = own(self, &here, out, (ward_blob *)(uintptr_t)blob);
    ward__leave(self);
    return rc;
}

void ward_blob_drop(ward_self *self, ward_blob *blob)
{
    struct ward__here here;
    struct ward__inc *inc = self->inc;

    if (!blob || !inc || !ward__enter(self, &here)) return;
    for (uint32_t i = inc->blobs_count; i-- > 0;) {
        if (inc->blobs[i] != blob) continue;
        inc->blobs[i] = inc->blobs[--inc->blobs_count];
        ward__blob_drop(blob);
        break;
    }
    ward__leave(self);
}
