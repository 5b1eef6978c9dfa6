/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - from a spec to an actor in the tree. Making is separate from joining the tree, so a
 * spawn that fails half-way has changed nothing: slots for all static children are there before
 * anyone is started. Any thread.
 */
#include <string.h>

#include "base/assert.h"
#include "supervisor/isolate.h"

/* A copied argument outlives its life while a zombie may still read it. */
struct arg_head {
    _Atomic uint32_t refs;
    _Alignas(16) unsigned char data[];
};

static struct arg_head *head_of(void *arg)
{
    return (struct arg_head *)((char *)arg - offsetof(struct arg_head, data));
}

void ward__arg_hold(void *arg)
{
    ward__add(&head_of(arg)->refs, 1);
}

void ward__arg_drop(struct ward__here *here, void *arg, size_t arg_bytes)
{
    struct arg_head *head = arg_bytes ? head_of(arg) : NULL;

    if (!head) return;
    if (atomic_fetch_sub_explicit(&head->refs, 1, memory_order_acq_rel) == 1)
        ward__small_free(here, head, sizeof *head + arg_bytes);
}

static bool copy_arg(
    struct ward__here *here, struct ward__slot *slot, const struct ward__birth *birth)
{
    struct arg_head *head;

    slot->arg = birth->arg;
    slot->arg_bytes = 0;
    if (!birth->arg_bytes) return true;
    head = ward__small_alloc(here, sizeof *head + birth->arg_bytes);
    if (!head) return false;
    ward__store(&head->refs, 1);
    memcpy(head->data, birth->arg, birth->arg_bytes);
    slot->arg = head->data;
    slot->arg_bytes = birth->arg_bytes;
    return true;
}

static bool init_child(
    ward_node *node, struct ward__plan_child *child, const struct ward__spec *spec)
{
    struct ward__limits limits = ward__limits_of(spec);

    if (!ward__plan_child_init(child, &node->heap, spec->restart, &limits)) return false;
    child->significant = spec->significant;
    child->at_limit = spec->at_limit;
    return true;
}

static bool make_supervisor(ward_node *node, struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);
    struct ward__limits limits = ward__limits_of(spec);
    struct ward__supervisor *sup = ward__alloc_zero(&node->heap, sizeof *sup);
    uint32_t count = (uint32_t)spec->children_count;

    if (!sup) return false;
    if (!ward__plan_init(&sup->plan, &node->heap, spec->strategy, count, &limits)) {
        ward__free(&node->heap, sup, sizeof *sup);
        return false;
    }
    slot->supervisor = sup;
    sup->plan.random = ward__chance(node) | 1;
    if (count) sup->slots = ward__alloc_zero(&node->heap, count * sizeof *sup->slots);
    if (count && !sup->slots) return false;
    for (uint32_t k = 0; k < count; k++)
        if (!init_child(node, &sup->plan.children[k], spec->children[k].spec)) return false;
    return true;
}

static void unmake_supervisor(ward_node *node, struct ward__slot *slot)
{
    struct ward__supervisor *sup = slot->supervisor;
    size_t count = ward__load(&slot->spec)->children_count;

    if (!sup) return;
    ward__plan_free(&sup->plan, &node->heap);
    if (sup->slots) ward__free(&node->heap, sup->slots, count * sizeof *sup->slots);
    ward__free(&node->heap, sup, sizeof *sup);
    slot->supervisor = NULL;
}

/* The parts of a slot that say nothing of a former use. */
static void reset(struct ward__here *here, struct ward__slot *slot, const struct ward__spec *spec)
{
    ward_node *node = here->node;
    uint32_t home =
        here->worker ? here->worker->index : ward__add(&node->next_home, 1) % node->workers_count;

    ward__store(&slot->spec, spec);
    ward__store(&slot->kind, (uint8_t)spec->kind);
    ward__store(&slot->signals, 0);
    ward__store(&slot->question_cell, 0);
    ward__store(&slot->requests, NULL);
    ward__store(&slot->wait_what, NULL);
    ward__store(&slot->wait_at, NULL);
    ward__store(&slot->edge, WARD__EDGE_NONE);
    ward__store(&slot->wait.deadline, 0);
    slot->wait.parcel = slot->wait.answer = 0;
    slot->wait.at = NULL;
    ward__store(&slot->incarnation, 1);
    ward__store(&slot->born, ward__load(&node->leak_checks));
    ward__store(&slot->on, NULL);
    ward__store(&slot->home, (uint16_t)home);
    slot->wheel_worker = (uint16_t)home;
    slot->inc = NULL;
    slot->again = 0;
    slot->fiber = NULL;
    slot->child = slot->next = slot->prev = slot->children = slot->place = 0;
    slot->reason = WARD_BY_CANCEL; /* should it never run */
    slot->status = WARD_ECANCELED;
    slot->marks = (struct ward__marks){ 0 };
    slot->watches = NULL;
    slot->supervisor = NULL;
    slot->plan_child = NULL;
    ward__store(&slot->since_ns, ward__about_now_ns(here));
}

static void link_child(ward_node *node, struct ward__slot *parent, struct ward__slot *slot)
{
    uint32_t index = ward__index(node, slot);

    ward__store(&slot->parent, ward__index(node, parent));
    slot->next = parent->child;
    slot->prev = 0;
    if (slot->next) ward__slot(node, slot->next)->prev = index;
    parent->child = index;
    parent->children++;
    slot->marks.linked = true;
}

static void unlink_child(ward_node *node, struct ward__slot *slot)
{
    struct ward__slot *parent = ward__slot(node, ward__load(&slot->parent));

    if (!slot->marks.linked) return;
    if (slot->prev)
        ward__slot(node, slot->prev)->next = slot->next;
    else
        parent->child = slot->next;
    if (slot->next) ward__slot(node, slot->next)->prev = slot->prev;
    parent->children--;
    slot->marks.linked = false;
}

static ward_status make_children(struct ward__here *here, struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);
    ward_status rc = WARD_OK;

    for (uint32_t k = 0; !rc && k < spec->children_count; k++) {
        const struct ward__child *child = &spec->children[k];
        struct ward__birth birth = { child->spec, child->name, child->arg, child->arg_bytes };
        struct ward__slot *made;
        rc = ward__actor_make_locked(here, &made, slot, &birth);
        if (rc) break;
        made->place = k;
        slot->supervisor->slots[k] = ward__index(here->node, made);
    }
    return rc;
}

/* One's own tally, or the one that all other threads share. */
static void count(
    struct ward__here *here, _Atomic uint64_t *own, _Atomic uint64_t *shared, uint64_t more)
{
    if (here->worker)
        ward__bump(own, more);
    else
        ward__add(shared, more);
}

static struct ward__tally *tally_of(struct ward__here *here, const struct ward__spec *spec)
{
    return ward__tallies(spec) + (here->worker ? here->worker->index + 1 : 0);
}

/* Makes an actor that nobody knows of: not in the tree, and FREE for who walks the slots. */
static ward_status make(
    struct ward__here *here, struct ward__slot **out, const struct ward__birth *birth)
{
    ward_node *node = here->node;
    bool isolate = birth->spec->kind == WARD__ISOLATE;
    struct ward__slot *slot;
    uint32_t index;

    if (isolate && !ward__isolate_arg(birth->arg, birth->arg_bytes)) return WARD_EINVAL;
    index = ward__slot_get(here);
    slot = ward__slot(node, index);
    if (!index) return WARD_ELIMIT;
    reset(here, slot, birth->spec);
    if (!copy_arg(here, slot, birth)) {
        ward__slot_put(here, slot);
        return WARD_ENOMEM;
    }
    if (isolate && !ward__isolate_new(node, slot)) {
        ward__arg_drop(here, slot->arg, slot->arg_bytes);
        ward__slot_put(here, slot);
        return WARD_ENOMEM;
    }
    ward__name_set(node, slot, birth->name);
    ward__mailbox_open(&slot->box, birth->spec->mailbox_max, birth->spec->mailbox_bytes,
        &node->stripes[index & 63]);
    *out = slot;
    return WARD_OK;
}

/* The opposite, for one that is dead. */
static void unmake(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;

    if (slot->kind == WARD__ISOLATE) ward__isolate_end(slot);
    ward__mailbox_end(&slot->box, &node->pool, here->magazines);
    ward__arg_drop(here, slot->arg, slot->arg_bytes);
    ward__wheel_forget(node, slot);
    ward__name_set(node, slot, NULL);
    ward__slot_put(here, slot);
}

/* Puts it into the tree, with a supervisor's static children. */
static ward_status join_locked(
    struct ward__here *here, struct ward__slot *slot, struct ward__slot *parent)
{
    ward_node *node = here->node;
    const struct ward__spec *spec = ward__load(&slot->spec);
    ward_status rc = WARD_OK;

    if (!ward__alarm_reserve_locked(node, &slot->alarm)) return WARD_ENOMEM;
    ward__alarm_clear_locked(&slot->alarm);
    ward__store_rel(&slot->phase, WARD__BETWEEN);
    link_child(node, parent, slot);
    count(here, &tally_of(here, spec)->spawned, &ward__tallies(spec)->spawned, 1);
    if (spec->kind == WARD__SUPERVISOR) {
        (void)ward__mailbox_close(&slot->box, ward__life(slot));
        rc = make_supervisor(node, slot) ? make_children(here, slot) : WARD_ENOMEM;
    }
    return rc;
}

ward_status ward__actor_make_locked(struct ward__here *here, struct ward__slot **out,
    struct ward__slot *parent, const struct ward__birth *birth)
{
    ward_status rc = make(here, out, birth);

    if (rc) return rc;
    rc = join_locked(here, *out, parent);
    if (rc) ward__actor_unmake_locked(here, *out);
    return rc;
}

ward_status ward__supervisor_renew_locked(struct ward__here *here, struct ward__slot *slot)
{
    ward_status rc;

    unmake_supervisor(here->node, slot);
    rc = make_supervisor(here->node, slot) ? make_children(here, slot) : WARD_ENOMEM;
    while (rc && slot->child)
        ward__actor_unmake_locked(here, ward__slot(here->node, slot->child));
    return rc;
}

/* The books of a life that ends. */
static void count_end(struct ward__here *here, const struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);
    struct ward__tally *own = tally_of(here, spec), *shared = ward__tallies(spec);
    uint64_t refused = ward__load(&slot->box.refused);

    count(here, &own->accepted, &shared->accepted, ward__mailbox_accepted(&slot->box));
    count(here, &own->settled, &shared->settled, ward__load(&slot->box.settled));
    if (refused) count(here, &own->refused, &shared->refused, refused);
    count(here, &own->ended, &shared->ended, 1);
}

/* Out of the tree; nobody finds it by its parent any more, and who has its ref finds it FREE. */
void ward__actor_leave_locked(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;

    ward__mailbox_kill(&slot->box);
    ward__store_rel(&slot->phase, WARD__FREE);
    unlink_child(node, slot);
    ward__alarm_clear_locked(&slot->alarm);
}

void ward__actor_left(struct ward__here *here, struct ward__slot *slot)
{
    ward__evict(here, slot, WARD_EGONE);
    ward__isolate_drop(here, slot, WARD_EGONE);
    ward__drain(here, slot, WARD__DEAD_LETTERED, WARD_EGONE, UINT32_MAX);
    count_end(here, slot);
    unmake(here, slot);
}

void ward__actor_unmake_locked(struct ward__here *here, struct ward__slot *slot)
{
    ward_node *node = here->node;

    while (slot->child) /* only when it was never started */
        ward__actor_unmake_locked(here, ward__slot(node, slot->child));
    if (slot->marks.linked) count_end(here, slot); /* else it was never counted as spawned */
    ward__actor_leave_locked(here, slot);
    unmake_supervisor(node, slot);
    if (slot->plan_child) {
        ward__plan_child_free(slot->plan_child, &node->heap);
        ward__free(&node->heap, slot->plan_child, sizeof(struct ward__plan_child));
        slot->plan_child = NULL;
    }
    unmake(here, slot);
}

/* -- the calls --------------------------------------------------------------------------------- */

static bool stopping(const struct ward__slot *slot)
{
    uint8_t phase = ward__load(&slot->phase);

    return slot->marks.asked || phase == WARD__ENDING || phase == WARD__FINISH ||
           phase == WARD__FREE;
}

/* A dynamic child has a plan of its own, unless it is never restarted. */
static ward_status give_plan(struct ward__here *here, struct ward__slot *slot)
{
    const struct ward__spec *spec = ward__load(&slot->spec);
    struct ward__plan_child *child;

    if (spec->restart == WARD_TEMPORARY && !spec->significant) return WARD_OK;
    child = ward__alloc(&here->node->heap, sizeof *child);
    if (!child) return WARD_ENOMEM;
    if (!init_child(here->node, child, spec)) {
        ward__free(&here->node->heap, child, sizeof *child);
        return WARD_ENOMEM;
    }
    slot->plan_child = child;
    return WARD_OK;
}

/* A child given to a supervisor that is on its way down, or waits to be started again, would be
 * cancelled by nobody. */
static ward_status takes_children(const struct ward__slot *sup)
{
    uint8_t phase = ward__load(&sup->phase);

    if (sup->marks.final) return WARD_EGONE;
    if (sup->supervisor->plan.phase != WARD__PLAN_RUNNING) return WARD_EUNAVAIL;
    return phase == WARD__START || phase == WARD__LIVE ? WARD_OK : WARD_EUNAVAIL;
}

/* Live actors of a line of code, of whatever spec: as the census counts them. */
static uint64_t live_of_site(const ward_node *node, const char *site)
{
    uint64_t live = 0;

    for (struct ward__spec_entry *entry = ward__load_acq(&node->tree->specs); entry;
         entry = entry->next) {
        struct ward__books books = { 0 };
        if (entry->spec.site != site) continue;
        ward__books_of(node, entry, &books);
        live += books.spawned - books.ended;
    }
    return live;
}

/* Whether `parent` may have one more child of this spec now. */
static ward_status may_spawn(
    struct ward__here *here, const struct ward__slot *parent, const struct ward__spec *spec)
{
    ward_status rc;

    if (here->node->tree->closing) return WARD_ECANCELED;
    rc = parent->supervisor ? takes_children(parent) : WARD_OK;
    if (!rc && stopping(parent)) rc = WARD_ECANCELED;
    if (rc) return rc;
    if (parent->supervisor && ward__load(&parent->spec)->stop_spelled &&
        spec->bound_ns > ward__load(&parent->spec)->stop_ns)
        return WARD_EINVAL;
    if (parent->supervisor && parent->children >= ward__load(&parent->spec)->children_max)
        return WARD_ELIMIT;
    if (spec->site_max != WARD_UNLIMITED && live_of_site(here->node, spec->site) >= spec->site_max)
        return WARD_ELIMIT;
    return WARD_OK;
}

/* On failure it was never in the tree, or is not any more. */
static ward_status spawn_locked(
    struct ward__here *here, ward_ref *out, struct ward__slot *parent, struct ward__slot *slot)
{
    ward_status rc = may_spawn(here, parent, ward__load(&slot->spec));

    if (!rc) rc = join_locked(here, slot, parent);
    if (!rc && parent->supervisor) rc = give_plan(here, slot);
    if (rc) {
        ward__actor_unmake_locked(here, slot);
        return rc;
    }
    *out = ward__ref(here->node, slot);
    ward__start_locked(here, slot);
    return WARD_OK;
}

static ward_status find_parent_locked(ward_node *node, struct ward__slot **parent, ward_ref sup)
{
    *parent = ward__resolve(node, sup);
    if (!*parent || ward__life(*parent) != sup.life || ward__load(&(*parent)->phase) == WARD__FREE)
        return WARD_EGONE;
    if ((*parent)->kind != WARD__SUPERVISOR ||
        ward__load(&(*parent)->spec)->strategy != WARD_DYNAMIC)
        return WARD_EINVAL;
    return WARD_OK;
}

/* Among those it brings along, as well. */
static bool has_isolates(const struct ward__spec *spec)
{
    bool has = spec->kind == WARD__ISOLATE;

    for (size_t i = 0; !has && i < spec->children_count; i++)
        has = has_isolates(spec->children[i].spec);
    return has;
}

static ward_status spawn(
    ward_self *self, ward_ref *out, const ward_ref *sup, const ward_spec *spec, ward_site site)
{
    struct ward__here here;
    struct ward__birth birth;
    struct ward__slot *parent = self->slot, *slot;
    ward_status rc;

    if (!out || !spec) return WARD_EINVAL;
    if (self->ending) return WARD_ECANCELED;
    if (self->node->inside && (self->kind != WARD__SELF_OUTSIDE || self->node->inside->sealed))
        return WARD_ESTATE;
    if (!ward__enter(self, &here)) return WARD_EFENCED;
    rc = ward__spec_intern(&here, &birth.spec, spec, site);
    birth.name = spec->name;
    birth.arg = spec->arg;
    birth.arg_bytes = spec->arg_bytes;
    if (!rc && has_isolates(birth.spec)) rc = ward__isolates_open(here.node);
    if (!rc) rc = make(&here, &slot, &birth);
    if (!rc) {
        ward__tree_lock(here.node);
        if (sup) rc = find_parent_locked(here.node, &parent, *sup);
        if (rc)
            ward__actor_unmake_locked(&here, slot);
        else
            rc = spawn_locked(&here, out, parent, slot);
        ward__tree_unlock(here.node);
    }
    ward__leave(self);
    return rc;
}

ward_status ward_spawn_at(ward_self *self, ward_ref *out, const ward_spec *spec, ward_site site)
{
    return spawn(self, out, NULL, spec, site);
}

ward_status ward_spawn_under_at(
    ward_self *self, ward_ref *out, ward_ref sup, const ward_spec *spec, ward_site site)
{
    if (sup.node && sup.node != self->node->id) return WARD_EINVAL; /* of this node only */
    return spawn(self, out, &sup, spec, site);
}
