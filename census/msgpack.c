/* SPDX-License-Identifier: MIT */
/*
 * msgpack.c - a census for programs: an array with a map for each actor, its keys those of
 * ward_row, refs as [node, slot, life] or nil, the state as its word. Times come twice: as they are
 * in the row, on the clock of the node, and as an age and a rest, which need no clock; nil where
 * they do not apply, and a rest of INT64_MAX for ever. Handed on in pieces of a few KiB; nothing is
 * allocated.
 */
#include <msgpack.h>
#include <string.h>

#include "census/census.h"
#include "census/table.h"

enum { KEYS = 19 };

static int sink(void *data, const char *at, size_t bytes)
{
    struct ward__out *out = data;

    ward__out_put(out, at, bytes);
    return out->stopped ? -1 : 0;
}

static void pack_text(msgpack_packer *pack, const char *text)
{
    size_t bytes = strlen(text);

    (void)msgpack_pack_str(pack, bytes);
    (void)msgpack_pack_str_body(pack, text, bytes);
}

static void pack_pair(msgpack_packer *pack, const char *key, const char *text)
{
    pack_text(pack, key);
    pack_text(pack, text);
}

static void pack_count(msgpack_packer *pack, const char *key, uint64_t value)
{
    pack_text(pack, key);
    (void)msgpack_pack_uint64(pack, value);
}

/* applies false: nil. */
static void pack_time(msgpack_packer *pack, const char *key, bool applies, int64_t ns)
{
    pack_text(pack, key);
    if (applies)
        (void)msgpack_pack_int64(pack, ns);
    else
        (void)msgpack_pack_nil(pack);
}

static void pack_ref(msgpack_packer *pack, const char *key, ward_ref ref)
{
    pack_text(pack, key);
    if (!ref.slot) {
        (void)msgpack_pack_nil(pack);
        return;
    }
    (void)msgpack_pack_array(pack, 3);
    (void)msgpack_pack_uint32(pack, ref.node);
    (void)msgpack_pack_uint32(pack, ref.slot);
    (void)msgpack_pack_uint64(pack, ref.life);
}

static void pack_row(msgpack_packer *pack, const ward_row *row, int64_t now_ns)
{
    int64_t left = row->deadline_ns == INT64_MAX ? INT64_MAX : row->deadline_ns - now_ns;

    (void)msgpack_pack_map(pack, KEYS);
    pack_pair(pack, "path", row->path);
    pack_ref(pack, "ref", row->ref);
    pack_ref(pack, "parent", row->parent);
    pack_ref(pack, "waits_on", row->waits_on);
    pack_pair(pack, "state", ward__state_name(row->state));
    pack_pair(pack, "spawn_site", row->spawn_site);
    pack_pair(pack, "wait", row->wait);
    pack_pair(pack, "wait_site", row->wait_site);
    pack_time(pack, "since_ns", row->since_ns != 0, row->since_ns);
    pack_time(pack, "age_ns", row->since_ns != 0, now_ns - row->since_ns);
    pack_time(pack, "deadline_ns", row->deadline_ns != 0, row->deadline_ns);
    pack_time(pack, "left_ns", row->deadline_ns != 0, left);
    pack_count(pack, "incarnation", row->incarnation);
    pack_count(pack, "taken", row->taken);
    pack_count(pack, "mail", row->mail);
    pack_count(pack, "mail_max", row->mail_max);
    pack_count(pack, "kept", row->kept);
    pack_count(pack, "refused", row->refused);
    pack_count(pack, "mail_bytes", row->mail_bytes);
}

ward_status ward__census_pack(const ward_census *census, ward__census_sink *write, void *arg)
{
    struct ward__out out = { .write = write, .arg = arg };
    msgpack_packer pack;

    msgpack_packer_init(&pack, &out, sink);
    (void)msgpack_pack_array(&pack, census->rows_count);
    for (size_t i = 0; i < census->rows_count && !out.stopped; i++)
        pack_row(&pack, &census->rows[i], census->now_ns);
    return ward__out_flush(&out) ? WARD_OK : WARD_ECANCELED;
}
