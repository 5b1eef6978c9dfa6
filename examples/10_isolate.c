/* SPDX-License-Identifier: MIT */
/*
 * A parser of what strangers send, in a process of its own. It trusts the number of repetitions
 * that a message declares, as such code does, and one message lies: the parser dies of it, and
 * nobody else. Another never comes to an end. Who asked is told, the supervisor starts the parser
 * anew, and the messages behind are parsed.
 *
 * Prints:
 *   MSH|^~\&|LAB|WARD: 2 fields
 *   OBX|99999999: no answer, the parser ended by crash
 *   PID|||4711: 3 fields
 *   ZZZ: no answer, the parser ended by stuck
 *   PV1|1|I: 2 fields
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ward/isolate.h>

struct parsed {
    int32_t fields;
};
static const ward_type RAW = WARD_TYPE_TEXT("hl7-segment");
static const ward_field PARSED_ROWS[] = { WARD_FIELD(struct parsed, INT, fields) };
static const ward_type PARSED = WARD_TYPE("parsed", struct parsed, PARSED_ROWS);

/* OBX|N says that N fields follow, and is believed. */
static int32_t count_fields(const char *text)
{
    volatile bool more = strncmp(text, "ZZZ", 3) == 0;
    int32_t count = 0;

    while (more) { /* a state machine without a way out */
    }
    if (strncmp(text, "OBX|", 4) == 0) text += strtol(text + 4, NULL, 10) * 4096;
    for (text = strchr(text, '|'); text; text = strchr(text + 1, '|'))
        count += text[1] != '^';
    return count;
}

static ward_status parse(ward_self *self, const ward_msg *msg)
{
    struct parsed parsed = { count_fields(ward_text(msg)) };

    return ward_reply(self, msg, &PARSED, &parsed);
}

static const ward_type *const types[] = { &RAW, &PARSED };
static const ward_spec specs[] = { { .handle = parse } };
static const ward_table table = {
    .types = types, .types_count = WARD_COUNT(types), .specs = WARD_CHILDREN(specs)
};

static const char *how_it_ended(ward_self *self)
{
    const ward_msg *msg;

    if (ward_receive(self, &msg, ward_in_ms(self, 10000)) || !ward_down_of(msg)) return "?";
    return ward_down_of(msg)->reason == WARD_BY_CRASH ? "crash" : "stuck";
}

static ward_status receive_all(ward_self *self)
{
    static const char *const segments[] = { "MSH|^~\\&|LAB|WARD", "OBX|99999999", "PID|||4711",
        "ZZZ", "PV1|1|I" };
    const ward_spec children[] = { { .name = "parser",
        .handle = parse,
        .isolate = true,
        .stuck_ms = 500,
        .isolate_bytes_max = (size_t)64 << 20 } };
    ward_ref sup, parser;
    ward_status rc = ward_spawn(
        self, &sup, &(ward_spec){ .name = "parsers", .children = WARD_CHILDREN(children) });

    if (!rc) rc = ward_find(self, &parser, "parsers/parser", ward_in_ms(self, 10000));
    for (size_t i = 0; !rc && i < WARD_COUNT(segments); i++) {
        const ward_msg *answer;
        rc = ward_monitor(self, parser);
        if (rc) break;
        rc = ward_ask(self, &answer, parser, &RAW, segments[i], ward_in_ms(self, 10000));
        if (!rc)
            printf("%s: %d fields\n", segments[i],
                (int)((const struct parsed *)ward_value(answer, &PARSED))->fields);
        if (rc != WARD_ENOREPLY) continue;
        printf("%s: no answer, the parser ended by %s\n", segments[i], how_it_ended(self));
        rc = WARD_OK;
    }
    return rc;
}

int main(int argc, char **argv)
{
    ward_isolate_main(argc, argv, &table); /* first of all */
    return ward_run(receive_all, &(ward_opts){ .table = &table }) != WARD_OK;
}
