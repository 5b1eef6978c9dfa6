/* SPDX-License-Identifier: MIT */
/*
 * census_render_test.c - a census as text: columns stand below their heads, a thousand leaked
 * actors are one line with the file and line that leaked them, and no form shows a payload.
 */
#include <msgpack.h>
#include <stdio.h>

#include "census/table.h"
#include "tests/support/census_fixture.h"

enum { LEAKED = 1000 };

static const char *leaks_at, *waits_at;

/* -- help with lines --------------------------------------------------------------------------- */

/* The first line with that text in it, copied; and how many there are. */
static int lines_with(const char *text, const char *needle, char *out, size_t bytes)
{
    int count = 0;

    while (*text) {
        size_t length = strcspn(text, "\n");
        char line[1024];
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        if (strstr(line, needle) && count++ == 0 && out) snprintf(out, bytes, "%s", line);
        text += length + (text[length] == '\n');
    }
    return count;
}

static size_t place_of(const char *line, const char *needle)
{
    const char *at = strstr(line, needle);

    cr_assert_not_null(at, "no %s in %s", needle, line);
    return (size_t)(at - line);
}

/* -- leaks ------------------------------------------------------------------------------------- */

static ward_status keep_all(ward_self *self, const ward_msg *msg)
{
    ward_msg *kept;

    return ward_keep(self, &kept, msg);
}

static ward_status ask_for_ever(ward_self *self)
{
    const ward_ref *whom = ward_arg(self);
    const ward_msg *answer;

    return NOTING(waits_at, ward_ask(self, &answer, *whom, &text_type, secret, WARD_FOREVER));
}

static ward_status sleeps(ward_self *self)
{
    return ward_sleep(self, WARD_FOREVER);
}

static ward_status leak(ward_self *self)
{
    ward_ref hangs =
        SPAWN(self, &(ward_spec){ .name = "hangs", .handle = keep_all, .mailbox_max = LEAKED });
    char line[1024], head[1024], *text;

    for (int i = 0; i < LEAKED; i++) {
        ward_spec spec = { .body = ask_for_ever, .arg = &hangs };
        NOTING(leaks_at, SPAWN(self, &spec));
    }
    for (int i = 0; i < 3; i++)
        SPAWN(self, &(ward_spec){ .body = sleeps });
    pass_time(self, 5500);
    take_census(self);
    text = write_census(WARD_AS_SITES);
    cr_expect_eq(lines_with(text, "", NULL, 0), 5, "%s", text);
    cr_assert_eq(lines_with(text, leaks_at, line, sizeof line), 1, "%s", text);
    cr_assert_eq(lines_with(text, "ACTORS", head, sizeof head), 1);
    cr_expect_eq(strstr(text, line), strchr(text, '\n') + 1, "not the first: %s", text);
    cr_expect(strstr(line, "  1000 ")); /* alive, and as many were spawned */
    cr_expect(strstr(line, "1000 waiting"));
    cr_expect_eq(place_of(line, "1000 ask"), place_of(head, "MOST WAIT"));
    cr_expect(strstr(line, " 5.4s  ") || strstr(line, " 5.5s  "), "%s", line);
    cr_expect_eq(place_of(line, waits_at), place_of(head, "WAITS AT"));
    cr_expect_eq(place_of(line, leaks_at), place_of(head, "SPAWNED AT"));
    free(text);
    ward_census_free(take);
    return WARD_OK;
}

Test(sites, show_a_thousand_leaked_actors_as_one_line)
{
    run_simulated(leak);
}

/* One site whose actors do not all wait alike: most of them counts. */
static ward_status sleeps_or_fails(ward_self *self)
{
    const int *which = ward_arg(self);
    const ward_msg *msg;

    if (*which < 2) return ward_receive(self, &msg, WARD_FOREVER);
    if (*which < 5) return NOTING(waits_at, ward_sleep(self, WARD_FOREVER));
    return ward_receive(self, &msg, WARD_FOREVER);
}

static ward_status mixed(ward_self *self)
{
    char line[1024], *text;

    for (int i = 0; i < 7; i++) {
        ward_spec spec = { .body = sleeps_or_fails, .arg = &i, .arg_bytes = sizeof i };
        NOTING(leaks_at, SPAWN(self, &spec));
        pass_time(self, 1000);
    }
    take_census(self);
    text = write_census(WARD_AS_SITES);
    cr_assert_eq(lines_with(text, leaks_at, line, sizeof line), 1, "%s", text);
    cr_expect(strstr(line, "7 waiting"));
    cr_expect(strstr(line, "3 sleep"), "%s", line); /* 2 and 2 at the other lines */
    cr_expect(strstr(line, waits_at));
    cr_expect(strstr(line, " 4.9s ") || strstr(line, " 5.0s "), "%s", line); /* the third one */
    free(text);
    ward_census_free(take);
    return WARD_OK;
}

Test(sites, say_what_most_wait_for_and_since_when_the_first_does)
{
    run_simulated(mixed);
}

/* -- text and tree ----------------------------------------------------------------------------- */

static ward_status nested(ward_self *self)
{
    ward_spec leaves[] = { { .name = "left", .handle = keep_all },
        { .name = "right", .handle = keep_all } };
    ward_spec shops[] = { { .name = "shop", .children = WARD_CHILDREN(leaves) } };
    char line[1024], head[1024], *text;

    SPAWN(self, &(ward_spec){ .name = "mall", .children = WARD_CHILDREN(shops) });
    SPAWN(self, &(ward_spec){ .name = "alone", .body = sleeps });
    pass_time(self, 1000);
    take_census(self);

    text = write_census(WARD_AS_TEXT);
    cr_expect_eq(lines_with(text, "", NULL, 0), 7, "%s", text);
    cr_assert_eq(lines_with(text, "/main/mall/shop/left ", line, sizeof line), 1);
    cr_assert_eq(lines_with(text, "ACTOR", head, sizeof head), 1);
    cr_expect_eq(place_of(line, "waiting"), place_of(head, "STATE"));
    cr_expect_eq(place_of(line, "receive"), place_of(head, "WAIT"));
    cr_expect_eq(place_of(line, "forever") + 7, place_of(head, "LEFT") + 4); /* at the right */
    cr_expect_eq(place_of(line, "0/1024") + 6, place_of(head, "MAIL") + 4);
    cr_expect_eq(place_of(line, __FILE__), place_of(head, "SPAWNED AT"));
    cr_expect_null(strstr(text, " \n"));
    free(text);

    text = write_census(WARD_AS_TREE);
    cr_expect_eq(lines_with(text, "", NULL, 0), 7, "%s", text);
    cr_expect_eq(lines_with(text, "\nmain ", NULL, 0) + lines_with(text, "main ", NULL, 0), 1);
    cr_expect(strstr(text, "\nmain "));
    cr_expect(strstr(text, "\n  mall "));
    cr_expect(strstr(text, "\n    shop "));
    cr_expect(strstr(text, "\n      left "));
    cr_expect(strstr(text, "\n      right "));
    cr_expect(strstr(text, "\n  alone "));
    cr_expect_lt(place_of(text, "    shop "), place_of(text, "      left "));
    cr_expect_lt(place_of(text, "      right "), place_of(text, "  alone "));
    free(text);
    ward_census_free(take);
    return WARD_OK;
}

Test(text, stands_in_columns_and_the_tree_below_parents)
{
    run_simulated(nested);
}

static ward_status stop_writing(ward_self *self)
{
    struct written written = { .pieces_max = 2 };

    for (int i = 0; i < 500; i++)
        SPAWN(self, &(ward_spec){ .body = sleeps });
    take_census(self);
    for (int form = WARD_AS_TEXT; form <= WARD_AS_MSGPACK; form++) {
        ward_status rc;
        written.pieces = 0;
        if (form == WARD_AS_SITES) written.pieces_max = 0; /* one piece */
        rc = ward_census_write(take, (ward_format)form, keep_piece, &written);
        cr_expect_eq(rc, form == WARD_AS_SITES ? WARD_OK : WARD_ECANCELED);
        if (form != WARD_AS_SITES) cr_expect_eq(written.pieces, 2);
        written.pieces_max = 2;
    }
    cr_expect_eq(ward_census_write(take, (ward_format)9, keep_piece, &written), WARD_EINVAL);
    cr_expect_eq(ward_census_write(take, WARD_AS_TEXT, NULL, NULL), WARD_EINVAL);
    free(written.at);
    ward_census_free(take);
    return WARD_OK;
}

Test(text, stops_when_the_writer_says_so)
{
    run_simulated(stop_writing);
}

/* -- payloads ---------------------------------------------------------------------------------- */

static ward_status hide(ward_self *self)
{
    ward_ref keeps = SPAWN(self, &(ward_spec){ .name = "keeps", .handle = keep_all });
    ward_ref asleep = SPAWN(self, &(ward_spec){ .name = "asleep", .body = sleeps });
    struct written written = { 0 };

    SPAWN(self, &(ward_spec){ .body = ask_for_ever, .arg = &keeps });
    cr_assert_eq(ward_send(self, asleep, &text_type, secret), WARD_OK); /* queued */
    cr_assert_eq(ward_send(self, keeps, &text_type, secret), WARD_OK); /* kept */
    pass_time(self, 100);
    take_census(self);
    cr_expect_eq(row_at("/main/keeps")->kept, 2);
    cr_expect_eq(row_at("/main/asleep")->mail, 1);
    for (int form = WARD_AS_TEXT; form <= WARD_AS_MSGPACK; form++)
        cr_assert_eq(ward_census_write(take, (ward_format)form, keep_piece, &written), WARD_OK);
    cr_expect_null(memmem(written.at, written.bytes, "DOE", 3));
    cr_expect_null(memmem(written.at, written.bytes, "1970", 4));
    free(written.at);
    ward_census_free(take);
    return WARD_OK;
}

Test(payload, is_in_no_form_of_a_census)
{
    run_simulated(hide);
}

/* -- msgpack ----------------------------------------------------------------------------------- */

static const msgpack_object *value_of(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (pair->key.via.str.size == strlen(key) &&
            memcmp(pair->key.via.str.ptr, key, strlen(key)) == 0)
            return &pair->val;
    }
    cr_assert_fail("no %s", key);
    return NULL;
}

static bool says(const msgpack_object *map, const char *key, const char *text)
{
    const msgpack_object *value = value_of(map, key);

    return value->type == MSGPACK_OBJECT_STR && value->via.str.size == strlen(text) &&
           memcmp(value->via.str.ptr, text, strlen(text)) == 0;
}

static ward_status unpack(ward_self *self)
{
    ward_ref hangs = SPAWN(self, &(ward_spec){ .name = "hangs", .handle = keep_all });
    struct written written = { 0 };
    msgpack_unpacked result;
    const msgpack_object *row, *on;
    size_t off = 0;

    SPAWN(self, &(ward_spec){ .name = "asks", .body = ask_for_ever, .arg = &hangs });
    pass_time(self, 2000);
    take_census(self);
    cr_assert_eq(ward_census_write(take, WARD_AS_MSGPACK, keep_piece, &written), WARD_OK);
    msgpack_unpacked_init(&result);
    cr_assert_eq(
        msgpack_unpack_next(&result, written.at, written.bytes, &off), MSGPACK_UNPACK_SUCCESS);
    cr_expect_eq(off, written.bytes);
    cr_assert_eq(result.data.type, MSGPACK_OBJECT_ARRAY);
    cr_assert_eq(result.data.via.array.size, 3);
    row = &result.data.via.array.ptr[2];
    cr_expect(says(row, "path", "/main/asks"));
    cr_expect(says(row, "state", "waiting"));
    cr_expect(says(row, "wait", "ask"));
    cr_expect(says(row, "wait_site", waits_at));
    on = value_of(row, "waits_on");
    cr_assert_eq(on->type, MSGPACK_OBJECT_ARRAY);
    cr_expect_eq(on->via.array.ptr[0].via.u64, hangs.node);
    cr_expect_eq(on->via.array.ptr[1].via.u64, hangs.slot);
    cr_expect_eq(on->via.array.ptr[2].via.u64, hangs.life);
    cr_expect_eq(value_of(row, "left_ns")->via.i64, INT64_MAX);
    cr_expect(value_of(row, "age_ns")->via.i64 / 100000000 == 19 ||
              value_of(row, "age_ns")->via.i64 / 100000000 == 20);
    cr_expect_eq(value_of(row, "mail_max")->via.u64, 1024);
    cr_expect_eq(value_of(&result.data.via.array.ptr[0], "waits_on")->type, MSGPACK_OBJECT_NIL);
    msgpack_unpacked_destroy(&result);
    free(written.at);
    ward_census_free(take);
    return WARD_OK;
}

Test(msgpack, is_an_array_with_a_map_for_each_actor)
{
    run_simulated(unpack);
}

/* -- times ------------------------------------------------------------------------------------- */

Test(table, writes_times_so_that_people_can_read_them)
{
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {
        { -5, "0ms" },
        { 0, "0ms" },
        { 999, "999ms" },
        { 1000, "1.0s" },
        { 59999, "59.9s" },
        { 60000, "1m00s" },
        { 3599000, "59m59s" },
        { 3600000, "1h00m" },
        { 86400000, "1d00h" },
    };
    struct ward__line line;

    for (size_t i = 0; i < WARD_COUNT(times); i++) {
        ward__cell_time(&line, 3, times[i].ms * 1000000);
        cr_expect_str_eq(line.cells[3], times[i].text);
    }
    ward__cell_time(&line, 0, INT64_MAX);
    cr_expect_str_eq(line.cells[0], "106751d23h");
}
