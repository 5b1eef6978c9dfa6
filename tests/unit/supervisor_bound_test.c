/* SPDX-License-Identifier: MIT */
/*
 * The longest that a stop can take, from a spec alone; and specs that could not keep it are
 * refused when they are spawned.
 */
#include <criterion/criterion.h>
#include <ward/ward.h>

static ward_status body(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static const ward_spec leaves[] = {
    { .name = "a", .body = body, .stop_ms = 100 },
    { .name = "b", .body = body, .stop_ms = 20 },
    { .name = "c", .body = body },
};
static const ward_spec parts[] = {
    { .name = "left", .children = WARD_CHILDREN(leaves) },
    { .name = "right", .children = WARD_CHILDREN(leaves), .stop_ms = 7000 },
    { .name = "many", .strategy = WARD_DYNAMIC, .stop_ms = 300 },
};
static const ward_spec tree = { .name = "tree", .children = WARD_CHILDREN(parts) };

Test(bound, of_an_actor_is_its_stop_ms)
{
    cr_assert_eq(ward_stop_bound(&leaves[0]), 100);
    cr_assert_eq(ward_stop_bound(&leaves[2]), 5000);
    cr_assert_eq(
        ward_stop_bound(&(ward_spec){ .body = body, .stop_ms = WARD_UNLIMITED }), INT64_MAX);
}

Test(bound, of_static_children_is_their_sum)
{
    cr_assert_eq(ward_stop_bound(&parts[0]), 5120);
    cr_assert_eq(ward_stop_bound(&tree), 5120 + 7000 + 300);
}

Test(bound, of_a_supervisor_is_what_it_spells_if_that_is_more)
{
    cr_assert_eq(ward_stop_bound(&parts[1]), 7000);
}

Test(bound, of_dynamic_children_is_what_their_supervisor_spells)
{
    cr_assert_eq(ward_stop_bound(&parts[2]), 300);
    cr_assert_eq(ward_stop_bound(&(ward_spec){ .strategy = WARD_DYNAMIC }), 5000);
}

Test(bound, of_a_child_without_one_is_none)
{
    const ward_spec child = { .body = body, .stop_ms = WARD_UNLIMITED };
    const ward_spec two[] = { child, child };

    cr_assert_eq(ward_stop_bound(&(ward_spec){ .children = WARD_CHILDREN(two) }), INT64_MAX);
}

Test(bound, of_nothing_is_an_error)
{
    cr_assert_eq(ward_stop_bound((const ward_spec *)NULL), WARD_EINVAL);
}

/* -- what is refused --------------------------------------------------------------------------- */

static ward_status spawned(ward_spec spec)
{
    ward_node *node;
    ward_ref ref;
    size_t abandoned;
    ward_status rc;

    cr_assert_eq(ward_open(&node, &(ward_opts){ .workers = 1 }), WARD_OK);
    rc = ward_spawn(ward_outside(node), &ref, &spec);
    cr_assert_eq(ward_close(node, &abandoned, ward_in_ms(ward_outside(node), 20000)), WARD_OK);
    return rc;
}

Test(refused, is_a_stop_shorter_than_its_parts_need)
{
    ward_spec spec = { .children = WARD_CHILDREN(leaves), .stop_ms = 5119 };

    cr_assert_eq(spawned(spec), WARD_EINVAL);
    spec.stop_ms = 5120;
    cr_assert_eq(spawned(spec), WARD_OK);
}

Test(refused, is_that_of_a_supervisor_further_down)
{
    const ward_spec inner[] = { { .children = WARD_CHILDREN(leaves), .stop_ms = 100 } };

    cr_assert_eq(spawned((ward_spec){ .children = WARD_CHILDREN(inner) }), WARD_EINVAL);
}

Test(refused, is_a_stop_longer_than_the_window)
{
    ward_spec spec = { .children = WARD_CHILDREN(leaves), .stop_ms = 6000, .window_ms = 5999 };

    cr_assert_eq(spawned(spec), WARD_EINVAL);
    spec.window_ms = 6000;
    cr_assert_eq(spawned(spec), WARD_OK);
    spec.stop_ms = WARD_UNLIMITED;
    cr_assert_eq(spawned(spec), WARD_EINVAL);
    spec.window_ms = WARD_UNLIMITED;
    cr_assert_eq(spawned(spec), WARD_OK);
}

Test(refused, is_a_dynamic_child_longer_than_its_supervisor_spells)
{
    ward_spec sup = { .strategy = WARD_DYNAMIC, .stop_ms = 300 };
    ward_node *node;
    ward_self *self;
    ward_ref ref, child;
    size_t abandoned;

    cr_assert_eq(ward_open(&node, &(ward_opts){ .workers = 1 }), WARD_OK);
    self = ward_outside(node);
    cr_assert_eq(ward_spawn(self, &ref, &sup), WARD_OK);
    cr_assert_eq(ward_spawn_under(self, &child, ref, &(ward_spec){ .body = body }), WARD_EINVAL);
    cr_assert_eq(
        ward_spawn_under(self, &child, ref, &(ward_spec){ .body = body, .stop_ms = 300 }), WARD_OK);
    cr_assert_eq(ward_close(node, &abandoned, ward_in_ms(self, 20000)), WARD_OK);
}
