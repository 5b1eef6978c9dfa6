/* SPDX-License-Identifier: MIT */
/*
 * find.c - names and paths. A name lies in a side table by slot, written and read in words, so
 * that a census may read it while the slot is used anew; a path is made by walking parents. Who
 * looks for something that is not there yet waits in a list that each start looks through.
 */
#include <stdio.h>
#include <string.h>

#include "supervisor/tree.h"

enum { WORDS = WARD__NAME_MAX / 8, FIND_STEP_MAX_MS = 64 };

static _Atomic uint64_t *words_of(const ward_node *node, uint32_t slot)
{
    return (_Atomic uint64_t *)(void *)node->names[slot];
}

void ward__name_set(ward_node *node, const struct ward__slot *slot, const char *name)
{
    uint32_t index = ward__index(node, slot);
    char padded[WARD__NAME_MAX];
    uint64_t word;

    if (!name && !ward__load(&words_of(node, index)[0]))
        return; /* it is empty already, and its page untouched */
    memset(padded, 0, sizeof padded);
    if (name) memcpy(padded, name, strlen(name) + 1);
    for (int i = 0; i < WORDS; i++) {
        memcpy(&word, padded + i * 8, 8);
        ward__store(&words_of(node, index)[i], word);
    }
}

const char *ward__name_get(const ward_node *node, uint32_t slot, char out[WARD__NAME_MAX])
{
    for (int i = 0; i < WORDS; i++) {
        uint64_t word = ward__load_acq(&words_of(node, slot)[i]);
        memcpy(out + i * 8, &word, 8);
        if (!word && i == 0) break;
    }
    out[WARD__NAME_MAX - 1] = 0;
    if (!out[0]) snprintf(out, WARD__NAME_MAX, "#%u", slot);
    return out;
}

void ward__path(const ward_node *node, const struct ward__slot *slot, char *out, size_t bytes)
{
    uint32_t chain[32], depth = 0, index = ward__index(node, slot);
    char name[WARD__NAME_MAX];
    size_t used = 0;

    for (; index > WARD__ROOT_SLOT && index < node->slots_max && depth < 32; depth++) {
        chain[depth] = index;
        index = ward__load(&node->slots[index].parent);
    }
    snprintf(out, bytes, "/");
    while (depth > 0 && used + 1 < bytes)
        used += (size_t)snprintf(
            out + used, bytes - used, "/%s", ward__name_get(node, chain[--depth], name));
}

/* A child by the first `length` characters of `name`. */
static ward_status child_of(ward_node *node, struct ward__slot **out,
    const struct ward__slot *parent, const char *name, size_t length)
{
    char own[WARD__NAME_MAX];

    *out = NULL;
    for (uint32_t i = parent->child; i; i = ward__slot(node, i)->next) {
        ward__name_get(node, i, own);
        if (strlen(own) != length || strncmp(own, name, length) != 0) continue;
        if (*out) return WARD_EINVAL; /* several share the name */
        *out = ward__slot(node, i);
    }
    return WARD_OK;
}

ward_status ward__lookup_locked(
    ward_node *node, struct ward__slot **out, const struct ward__slot *from, const char *path)
{
    struct ward__slot *at = (struct ward__slot *)(uintptr_t)from;
    uint8_t phase;

    *out = NULL;
    if (*path == '/') at = ward__slot(node, WARD__ROOT_SLOT);
    while (at && *path) {
        size_t length = strcspn(path, "/");
        ward_status rc = WARD_OK;
        if (length == 2 && strncmp(path, "..", 2) == 0)
            at = ward__load(&at->parent) ? ward__slot(node, ward__load(&at->parent)) : NULL;
        else if (length > 0)
            rc = child_of(node, &at, at, path, length);
        if (rc) return rc;
        path += length;
        path += *path == '/';
    }
    if (!at) return WARD_OK;
    phase = ward__load(&at->phase);
    if (phase == WARD__LIVE || phase == WARD__DEGRADED) *out = at;
    return WARD_OK;
}

void ward__finders_look_locked(struct ward__here *here)
{
    struct ward__finder **at = &here->node->tree->finders;

    while (*at) {
        struct ward__finder *finder = *at;
        struct ward__slot *found;
        ward_status rc = ward__lookup_locked(here->node, &found, finder->from, finder->path);
        if (!rc && !found) {
            at = &finder->next;
            continue;
        }
        *at = finder->next;
        ward__sub(&here->node->tree->finders_count, 1);
        finder->from = NULL; /* it is in no list any more */
        if (found) finder->ref = ward__ref(here->node, found);
        if (finder->found) {
            finder->found(here, finder, found, rc);
            continue;
        }
        if (!ward__wait_claim(&finder->slot->wait, finder->cell)) continue;
        finder->slot->wait.status = rc;
        ward__resume(here, finder->slot);
    }
}

static void unlist(ward_node *node, struct ward__finder *finder)
{
    struct ward__finder **at = &node->tree->finders;

    if (!finder->from) return;
    while (*at && *at != finder)
        at = &(*at)->next;
    if (*at) *at = finder->next;
    ward__sub(&node->tree->finders_count, 1);
}

void ward__finder_add_locked(struct ward__here *here, struct ward__finder *finder)
{
    struct ward__tree *tree = here->node->tree;

    finder->next = tree->finders;
    tree->finders = finder;
    atomic_fetch_add_explicit(&tree->finders_count, 1, memory_order_seq_cst);
    /* Who started without the lock did so before it could see us, so look once more. */
    ward__finders_look_locked(here);
}

void ward__finder_remove_locked(ward_node *node, struct ward__finder *finder)
{
    unlist(node, finder);
}

/* What is looked for, until when, and where the call stands. */
struct search {
    const char *path;
    int64_t until_ns;
    const char *at;
};

static ward_status find_local(
    struct ward__here *here, ward_self *self, ward_ref *out, const struct search *search)
{
    ward_node *node = here->node;
    struct ward__finder finder = { .slot = self->slot, .from = self->slot, .path = search->path };
    struct ward__slot *found;
    ward_status rc;
    bool wait;

    ward__tree_lock(node);
    rc = ward__lookup_locked(node, &found, self->slot, search->path);
    wait = !rc && !found && search->until_ns > ward__clock_ns(node);
    if (found) *out = ward__ref(node, found);
    if (!rc && !found && !wait) rc = search->until_ns == 0 ? WARD_EGONE : WARD_ETIMEDOUT;
    if (wait) rc = ward__wait_refused(self);
    if (wait && !rc) {
        finder.cell = ward__wait_begin(here, self, search->until_ns, "find", search->at);
        ward__finder_add_locked(here, &finder);
    }
    ward__tree_unlock(node);
    if (!wait || !finder.cell) return rc;
    rc = ward__wait_end(here, self, finder.cell);
    ward__tree_lock(node);
    unlist(node, &finder);
    if (!rc) *out = finder.ref;
    ward__tree_unlock(node);
    return rc;
}

static ward_status find_remote(
    struct ward__here *here, ward_self *self, ward_ref *out, const struct search *search)
{
    struct ward__route *route = ward__load_acq(&here->node->route);
    const char *path = search->path, *colon = strchr(path, ':');
    char name[WARD__NAME_MAX];
    struct ward__token token = { .asker = ward__index(here->node, self->slot) };
    ward_status rc = ward__wait_refused(self);
    struct ward_msg *mail;

    if (colon - path >= WARD__NAME_MAX || colon[1] != '/') return WARD_EINVAL;
    if (rc) return rc;
    if (!route) return WARD_ELINK;
    if (search->until_ns <= ward__clock_ns(here->node)) return WARD_ETIMEDOUT;
    memcpy(name, path, (size_t)(colon - path));
    name[colon - path] = 0;
    token.cell = ward__wait_begin(here, self, search->until_ns, "find", search->at);
    self->slot->wait.asks = true;
    rc = route->find(route->arg, token, name, colon + 1, search->until_ns);
    if (rc) {
        ward__wait_undo(self);
        return rc;
    }
    rc = ward__wait_end(here, self, token.cell);
    if (rc) {
        route->forget(route->arg, token);
        return rc;
    }
    mail = ward__mail(&here->node->pool, self->slot->wait.answer); /* a ward_ref, inline */
    memcpy(out, mail->u.value, sizeof *out);
    ward__mail_free(here, self->slot->wait.answer);
    self->slot->wait.answer = 0;
    return WARD_OK;
}

/* In an isolate: the host looks, again and again, since nobody stands there in a list for us. */
static ward_status find_outside(
    struct ward__here *here, ward_self *self, ward_ref *out, const struct search *search)
{
    struct ward__route *route = ward__load_acq(&here->node->route);
    int64_t step = WARD__NS_MS;
    ward_status rc;

    while ((rc = route->look(route->arg, out, search->path)) == WARD_EGONE && search->until_ns) {
        int64_t now = ward__clock_ns(here->node), until = now + step;
        uint64_t cell;
        if (search->until_ns <= now) return WARD_ETIMEDOUT;
        rc = ward__wait_refused(self);
        if (rc) return rc;
        cell = ward__wait_begin(
            here, self, until < search->until_ns ? until : search->until_ns, "find", search->at);
        rc = ward__wait_end(here, self, cell);
        if (rc != WARD_ETIMEDOUT) return rc;
        if (step < FIND_STEP_MAX_MS * (int64_t)WARD__NS_MS) step *= 2;
    }
    return rc;
}

ward_status ward_find_at(
    ward_self *self, ward_ref *out, const char *path, ward_deadline by, const char *at)
{
    struct search search = { .path = path, .at = at };
    bool local = path && !strchr(path, ':');
    struct ward__here here;
    ward_status rc;

    if (!out || !path || !*path) return WARD_EINVAL;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    if (ward__unlikely(here.node->inside != NULL)) {
        search.until_ns = self->kind == WARD__SELF_OUTSIDE ? 0 : ward__wait_until(self, by);
        rc = find_outside(&here, self, out, &search);
    } else if (self->kind == WARD__SELF_OUTSIDE) {
        rc = local ? find_local(&here, self, out, &search) : WARD_ESTATE;
        if (rc == WARD_EGONE && by.ns > 0) rc = WARD_ESTATE; /* it would have to wait */
    } else {
        search.until_ns = ward__wait_until(self, by);
        rc = local ? find_local(&here, self, out, &search) : find_remote(&here, self, out, &search);
        ward__waited(&here, self);
    }
    ward__leave(self);
    return rc;
}
