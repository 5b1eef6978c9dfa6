/* SPDX-License-Identifier: MIT */
/*
 * gate_hl7_test.c - reading HL7 v2 messages, good and odd, and acknowledging them. Each message is
 * copied into a block of exactly its size before it is read, so that AddressSanitizer sees a read
 * past its end, and there is no NUL to lean on. Pure functions, one thread.
 */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "examples/gate/hl7.h"

#define HEAD "MSH|^~\\&|APP|FAC|GATE|TRIAL|20240301||ADT^A01^ADT_A01|ID-1|P|2.5"

/* -- the means -----------------------------------------------------------------------------------
 */

struct message {
    struct gate_hl7 hl7;
    enum gate_hl7_reason reason;
    char *block;
};

static struct message read_bytes(const void *at, size_t bytes)
{
    struct message m = { .block = malloc(bytes ? bytes : 1) };

    cr_assert_not_null(m.block);
    if (bytes) memcpy(m.block, at, bytes);
    m.reason = gate_hl7_parse(&m.hl7, m.block, bytes);
    return m;
}

static struct message read_text(const char *text)
{
    return read_bytes(text, strlen(text));
}

static void done(struct message *m)
{
    free(m->block);
}

static bool is(struct gate_span in, const char *text)
{
    return in.at && in.bytes == strlen(text) && memcmp(in.at, text, in.bytes) == 0;
}

#define expect_span(in, text) \
    do { \
        struct gate_span got_ = (in); \
        cr_expect(is(got_, text), "got '%.*s' for '%s'", (int)got_.bytes, got_.at, (text)); \
    } while (0)

static enum gate_hl7_reason reason_of(const char *text)
{
    struct message m = read_text(text);
    enum gate_hl7_reason reason = m.reason;

    done(&m);
    return reason;
}

static void expect_unescaped(const char *in, const char *out)
{
    struct message m = read_text(HEAD "\r");
    struct gate_span coded = { in, strlen(in) };
    size_t bytes = 0;
    char *buf = malloc(strlen(in) + 1);

    cr_assert_not_null(buf);
    cr_expect(gate_hl7_unescape(&m.hl7, coded, buf, coded.bytes, &bytes));
    cr_expect(is((struct gate_span){ buf, bytes }, out), "%s became %.*s", in, (int)bytes, buf);
    free(buf);
    done(&m);
}

static const struct gate_hl7_answer accept = {
    .verdict = GATE_HL7_ACCEPT, .text = "", .control_id = "G1", .time = "20240301080001"
};

/* The acknowledgement to a message, as a string in `out`, which has GATE_HL7_ACK_MAX + 1. */
static void acknowledge(const char *text, const struct gate_hl7_answer *answer, char *out)
{
    struct message m = read_text(text);
    size_t bytes = gate_hl7_ack(out, GATE_HL7_ACK_MAX, &m.hl7, answer);

    cr_assert_gt(bytes, 0);
    out[bytes] = '\0';
    done(&m);
}

/* -- messages that are refused -------------------------------------------------------------------
 */

Test(gate_hl7, takes_a_plain_message)
{
    struct message m = read_text(HEAD "\rEVN|A01|20240301\rPID|1||P1\r");

    cr_expect_eq(m.reason, GATE_HL7_OK);
    expect_span(m.hl7.msh[0], HEAD);
    expect_span(m.hl7.msh[1], "|");
    expect_span(m.hl7.msh[2], "^~\\&");
    expect_span(m.hl7.msh[3], "APP");
    expect_span(m.hl7.msh[4], "FAC");
    expect_span(m.hl7.msh[8], "");
    expect_span(m.hl7.msh[9], "ADT^A01^ADT_A01");
    expect_span(m.hl7.msh[10], "ID-1");
    expect_span(m.hl7.msh[12], "2.5");
    expect_span(m.hl7.msh[15], "");
    expect_span(m.hl7.msh[18], "");
    done(&m);
}

Test(gate_hl7, says_why_it_refuses)
{
    cr_expect_eq(reason_of(""), GATE_HL7_EMPTY);
    cr_expect_eq(reason_of("\r\n\r"), GATE_HL7_EMPTY);
    cr_expect_eq(reason_of("PID|1||P1\r"), GATE_HL7_NO_MSH);
    cr_expect_eq(reason_of("GET / HTTP/1.1\r\n\r\n"), GATE_HL7_NO_MSH);
    cr_expect_eq(reason_of("MS"), GATE_HL7_NO_MSH);
    cr_expect_eq(reason_of("msh|^~\\&|"), GATE_HL7_NO_MSH);
    cr_expect_eq(reason_of("FHS|^~\\&|A\rBHS|^~\\&|A\r" HEAD "\r"), GATE_HL7_BATCH);
    cr_expect_eq(reason_of("BHS|^~\\&|A\r" HEAD "\r"), GATE_HL7_BATCH);
    cr_expect_eq(reason_of("MSH"), GATE_HL7_MSH_SHORT);
    cr_expect_eq(reason_of("MSH|"), GATE_HL7_MSH_SHORT);
    cr_expect_eq(reason_of("MSH|^~\\&"), GATE_HL7_MSH_SHORT);
    cr_expect_eq(reason_of("MSH|^~\\&\r|APP|FAC"), GATE_HL7_MSH_SHORT);
}

Test(gate_hl7, refuses_separators_that_are_alike_or_no_punctuation)
{
    cr_expect_eq(reason_of("MSH||||APP"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^^\\&|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^~|&|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^~\\|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^~\\\\&|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^~\\&#!|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^~\\a|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^~ &|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH|^~\xA7&|A"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSHX^~\\&XA"), GATE_HL7_BAD_SEPARATORS);
    cr_expect_eq(reason_of("MSH7^~\\&7A"), GATE_HL7_BAD_SEPARATORS);
}

Test(gate_hl7, wants_a_type_and_a_control_id)
{
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01|\r"), GATE_HL7_NO_CONTROL_ID);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01||P|2.5\r"), GATE_HL7_NO_CONTROL_ID);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01|  |P|2.5\r"), GATE_HL7_NO_CONTROL_ID);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01|\"\"|P|2.5\r"), GATE_HL7_NO_CONTROL_ID);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01"), GATE_HL7_NO_CONTROL_ID);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T|||ID|P|2.5\r"), GATE_HL7_NO_TYPE);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B"), GATE_HL7_NO_TYPE);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01|7"), GATE_HL7_OK);
}

Test(gate_hl7, bounds_the_control_id_and_the_msh)
{
    char text[GATE_HL7_MSH_MAX + 64];
    int head = snprintf(text, sizeof(text), "MSH|^~\\&|A|B|C|D|T||ADT^A01|");

    memset(text + head, 'i', sizeof(text) - (size_t)head);
    for (size_t id = GATE_HL7_ID_MAX; id <= GATE_HL7_ID_MAX + 1; id++) {
        struct message m = read_bytes(text, (size_t)head + id);
        cr_expect_eq(m.reason, id > GATE_HL7_ID_MAX ? GATE_HL7_CONTROL_ID_LONG : GATE_HL7_OK);
        cr_expect_eq(m.hl7.msh[10].bytes, id);
        done(&m);
    }
    text[head + 1] = '|';
    for (size_t bytes = GATE_HL7_MSH_MAX; bytes <= GATE_HL7_MSH_MAX + 1; bytes++) {
        struct message m = read_bytes(text, bytes);
        cr_expect_eq(m.reason, bytes > GATE_HL7_MSH_MAX ? GATE_HL7_MSH_LONG : GATE_HL7_OK);
        done(&m);
    }
}

Test(gate_hl7, refuses_control_bytes_in_msh_and_then_trusts_none_of_it)
{
    static const char with_nul[] = "MSH|^~\\&|APP|F\0C|||||ADT^A01|ID-1|P|2.5\r";
    struct message m = read_bytes(with_nul, sizeof(with_nul) - 1);

    cr_expect_eq(m.reason, GATE_HL7_MSH_CONTROL_BYTES);
    expect_span(m.hl7.msh[10], "");
    expect_span(m.hl7.msh[3], "");
    done(&m);
    cr_expect_eq(
        reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01|I\x1B[2J|P\r"), GATE_HL7_MSH_CONTROL_BYTES);
    cr_expect_eq(reason_of("MSH|^~\\&|A|B|C|D|T||ADT^A01|I\x7F|P\r"), GATE_HL7_MSH_CONTROL_BYTES);
}

Test(gate_hl7, refuses_two_messages_in_one_frame_and_names_the_first)
{
    struct message m = read_text(HEAD "\rPID|1\rMSH!*%?@!B!B!!!!!ADT*A08!ID-2!P!2.5\rPID!1\r");

    cr_expect_eq(m.reason, GATE_HL7_TWO_MESSAGES);
    expect_span(m.hl7.msh[10], "ID-1");
    done(&m);
    cr_expect_eq(reason_of(HEAD "\rMSH"), GATE_HL7_TWO_MESSAGES);
    cr_expect_eq(reason_of(HEAD "\rMSHA|1\rNTE|1||MSH|^~\r"), GATE_HL7_OK);
}

Test(gate_hl7, refuses_framing_bytes_but_takes_nul_and_latin1)
{
    static const char nul[] = HEAD "\rPID|1||P\0001\rNTE|1||\0\0|\xE9\xFF\x80\x1B\r\0";
    struct message m = read_bytes(nul, sizeof(nul) - 1);
    struct gate_span note = gate_hl7_segment(&m.hl7, "NTE", 1);

    cr_expect_eq(m.reason, GATE_HL7_OK);
    expect_span(gate_hl7_field(&m.hl7, note, 4), "\xE9\xFF\x80\x1B");
    cr_expect_eq(gate_hl7_field(&m.hl7, note, 3).bytes, 2);
    done(&m);

    m = read_text(HEAD "\rNTE|1||a\x0B"
                       "b\r");
    cr_expect_eq(m.reason, GATE_HL7_FRAMING_BYTES);
    expect_span(m.hl7.msh[10], "ID-1");
    done(&m);
    cr_expect_eq(reason_of(HEAD "\rNTE|1||a\x1C"), GATE_HL7_FRAMING_BYTES);
}

Test(gate_hl7, every_reason_has_a_text_fit_for_an_acknowledgement)
{
    for (int r = GATE_HL7_OK; r < GATE_HL7_REASONS; r++) {
        const char *text = gate_hl7_reason_text((enum gate_hl7_reason)r);
        unsigned error = gate_hl7_reason_error((enum gate_hl7_reason)r);

        cr_assert_not_null(text);
        cr_expect(*text && strlen(text) <= 80 && !strpbrk(text, "|^~\\&\r\n"), "%s", text);
        cr_expect(r == GATE_HL7_OK ? error == 0 : error >= 100 && error <= 207);
    }
}

/* -- segments and parts --------------------------------------------------------------------------
 */

Test(gate_hl7, ends_segments_at_cr_lf_and_crlf_and_passes_over_blank_lines)
{
    static const char *const ends[] = { "\r", "\n", "\r\n", "\r\r", "\n\n\r" };

    for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
        char text[256];
        snprintf(text, sizeof(text), "%s%sPID|1||P1%sZXX|z%sZZZ", HEAD, ends[e], ends[e], ends[e]);
        struct message m = read_text(text);
        struct gate_span rest = m.hl7.whole;
        struct gate_span segment;

        cr_expect_eq(m.reason, GATE_HL7_OK);
        cr_expect(gate_hl7_next_segment(&rest, &segment));
        expect_span(segment, HEAD);
        cr_expect(gate_hl7_next_segment(&rest, &segment));
        expect_span(segment, "PID|1||P1");
        cr_expect(gate_hl7_next_segment(&rest, &segment));
        expect_span(segment, "ZXX|z");
        cr_expect(gate_hl7_next_segment(&rest, &segment));
        expect_span(segment, "ZZZ");
        cr_expect_not(gate_hl7_next_segment(&rest, &segment));
        cr_expect_not(gate_hl7_next_segment(&rest, &segment));
        done(&m);
    }
}

Test(gate_hl7, passes_over_a_byte_order_mark_and_empty_lines_before_msh)
{
    struct message m = read_text("\xEF\xBB\xBF\r\n\r" HEAD "\r");

    cr_expect_eq(m.reason, GATE_HL7_OK);
    expect_span(m.hl7.whole, HEAD "\r");
    done(&m);
}

Test(gate_hl7, finds_the_nth_segment_by_its_whole_name)
{
    struct message m = read_text(HEAD "\rOBX|1\rOBXX|no\rOBX|2\rNTE\rOB\rOBX");

    expect_span(gate_hl7_segment(&m.hl7, "OBX", 1), "OBX|1");
    expect_span(gate_hl7_segment(&m.hl7, "OBX", 2), "OBX|2");
    expect_span(gate_hl7_segment(&m.hl7, "OBX", 3), "OBX");
    expect_span(gate_hl7_segment(&m.hl7, "OBX", 4), "");
    expect_span(gate_hl7_segment(&m.hl7, "NTE", 1), "NTE");
    expect_span(gate_hl7_segment(&m.hl7, "PID", 1), "");
    expect_span(gate_hl7_field(&m.hl7, gate_hl7_segment(&m.hl7, "PID", 1), 3), "");
    done(&m);
}

Test(gate_hl7, counts_the_fields_of_header_segments_from_the_separator)
{
    struct message m = read_text(HEAD "\rPID|one|two||four|\rBHS|^~\\&|app\r");
    struct gate_span msh = m.hl7.msh[0];
    struct gate_span pid = gate_hl7_segment(&m.hl7, "PID", 1);
    struct gate_span bhs = gate_hl7_segment(&m.hl7, "BHS", 1);

    expect_span(gate_hl7_field(&m.hl7, msh, 1), "|");
    expect_span(gate_hl7_field(&m.hl7, msh, 2), "^~\\&");
    expect_span(gate_hl7_field(&m.hl7, msh, 12), "2.5");
    expect_span(gate_hl7_field(&m.hl7, msh, 13), "");
    for (size_t i = 1; i <= GATE_HL7_MSH_FIELDS; i++) {
        struct gate_span field = gate_hl7_field(&m.hl7, msh, i);
        cr_expect_eq(field.bytes, m.hl7.msh[i].bytes);
        cr_expect_eq(memcmp(field.at, m.hl7.msh[i].at, field.bytes), 0);
    }
    expect_span(gate_hl7_field(&m.hl7, pid, 1), "one");
    expect_span(gate_hl7_field(&m.hl7, pid, 3), "");
    expect_span(gate_hl7_field(&m.hl7, pid, 4), "four");
    expect_span(gate_hl7_field(&m.hl7, pid, 5), "");
    expect_span(gate_hl7_field(&m.hl7, pid, 600), "");
    expect_span(gate_hl7_field(&m.hl7, bhs, 1), "|");
    expect_span(gate_hl7_field(&m.hl7, bhs, 3), "app");
    done(&m);
}

Test(gate_hl7, takes_fields_apart_with_the_separators_of_the_message)
{
    struct message m =
        read_text("MSH!*%?@!A!B!!!!!ADT*A01!ID!P!2.5\rPID!1!!7*1|^~\\&*x%8***H@2.9@ISO*MR!\r");
    struct gate_span pid_3 = gate_hl7_field(&m.hl7, gate_hl7_segment(&m.hl7, "PID", 1), 3);
    struct gate_span second = gate_hl7_repetition(&m.hl7, pid_3, 2);
    struct gate_span authority = gate_hl7_component(&m.hl7, second, 4);

    cr_expect_eq(m.reason, GATE_HL7_OK);
    expect_span(gate_hl7_component(&m.hl7, gate_hl7_repetition(&m.hl7, pid_3, 1), 2), "1|^~\\&");
    expect_span(second, "8***H@2.9@ISO*MR");
    expect_span(gate_hl7_component(&m.hl7, second, 1), "8");
    expect_span(gate_hl7_component(&m.hl7, second, 6), "");
    expect_span(gate_hl7_subcomponent(&m.hl7, authority, 2), "2.9");
    expect_span(gate_hl7_subcomponent(&m.hl7, authority, 3), "ISO");
    expect_span(gate_hl7_subcomponent(&m.hl7, authority, 4), "");
    expect_span(gate_hl7_repetition(&m.hl7, pid_3, 3), "");
    done(&m);
}

Test(gate_hl7, takes_the_truncation_character_of_version_2_7)
{
    struct message m = read_text("MSH|^~\\&#|A|B|||||ADT^A01|ID|P|2.7\r");
    char buf[16];
    size_t bytes;

    cr_expect_eq(m.reason, GATE_HL7_OK);
    cr_expect_eq(m.hl7.separators.truncation, '#');
    cr_expect(
        gate_hl7_unescape(&m.hl7, (struct gate_span){ "\\P\\", 3 }, buf, sizeof(buf), &bytes));
    expect_span(((struct gate_span){ buf, bytes }), "#");
    done(&m);
}

/* -- escapes --------------------------------------------------------------------------------------
 */

Test(gate_hl7, decodes_escape_sequences)
{
    expect_unescaped("", "");
    expect_unescaped("plain", "plain");
    expect_unescaped("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f");
    expect_unescaped("\\X41\\", "A");
    expect_unescaped("\\X0D0a\\x", "\r\nx");
    expect_unescaped("one\\.br\\two", "one\ntwo");
    expect_unescaped("\\E\\F\\E\\", "\\F\\");
}

Test(gate_hl7, keeps_sequences_that_are_unknown_or_malformed)
{
    expect_unescaped("\\H\\bold\\N\\", "\\H\\bold\\N\\");
    expect_unescaped("\\H\\X41\\N\\", "\\H\\X41\\N\\");
    expect_unescaped("\\Zlocal\\", "\\Zlocal\\");
    expect_unescaped("\\X4\\", "\\X4\\");
    expect_unescaped("\\X4G\\", "\\X4G\\");
    expect_unescaped("\\X414\\F", "\\X414\\F");
    expect_unescaped("\\X\\", "\\X\\");
    expect_unescaped("\\f\\", "\\f\\");
    expect_unescaped("\\P\\", "\\P\\");
    expect_unescaped("\\\\", "\\\\");
    expect_unescaped("never closed \\F", "never closed \\F");
    expect_unescaped("C:\\", "C:\\");
    expect_unescaped("\\", "\\");
    expect_unescaped("\\T\\\\", "&\\");
}

Test(gate_hl7, unescape_never_writes_past_the_room_it_has)
{
    struct message m = read_text(HEAD "\r");
    struct gate_span in = { "ab\\T\\cd\\X4142\\", 14 };
    size_t bytes;

    for (size_t cap = 0; cap <= 7; cap++) {
        char *buf = malloc(cap + 1);
        cr_assert_not_null(buf);
        buf[cap] = '!';
        cr_expect_eq(gate_hl7_unescape(&m.hl7, in, buf, cap, &bytes), cap >= 7, "%zu", cap);
        cr_expect_eq(buf[cap], '!');
        free(buf);
    }
    cr_expect_eq(bytes, 7);
    done(&m);
}

/* -- whom and what it is about
 * --------------------------------------------------------------------- */

static void expect_key(const char *head, const char *pid, const char *key)
{
    char text[512];
    char buf[64];

    snprintf(text, sizeof(text), "%s\r%s\r", head, pid);
    struct message m = read_text(text);
    size_t bytes = gate_hl7_patient_key(&m.hl7, buf, sizeof(buf));
    cr_expect(is((struct gate_span){ buf, bytes }, key), "%s: got %.*s", pid, (int)bytes, buf);
    done(&m);
}

Test(gate_hl7, names_the_patient_by_identifier_and_authority)
{
    expect_key(HEAD, "PID|1||P1", "P1");
    expect_key(HEAD, "PID|1||P1^^^HOSP^MR~P2^^^OTHER", "P1\x1FHOSP");
    expect_key(HEAD, "PID|1||P1^5^M11^HOSP&2.16.1&ISO^MR",
        "P1\x1FHOSP\x1F"
        "2.16.1\x1FISO");
    expect_key(HEAD, "PID|1||P1^^^HOSP&&^MR", "P1\x1FHOSP");
    expect_key(HEAD, "PID|1||P1^^^&2.16.1&ISO",
        "P1\x1F\x1F"
        "2.16.1\x1FISO");
    expect_key(HEAD, "PID|1||A\\T\\B^^^H\\S\\", "A&B\x1FH^");
    expect_key(HEAD, "PID|1||P\xE9^^^H", "P\xE9\x1FH");
}

Test(gate_hl7, patient_key_does_not_depend_on_the_separators_of_the_sender)
{
    expect_key("MSH!*%?@!A!B!!!!!ADT*A01!ID!P!2.5", "PID!1!!P|1***H@2.9@ISO*MR%P2",
        "P|1\x1FH\x1F"
        "2.9\x1FISO");
    expect_key(HEAD, "PID|1||P\\F\\1^^^H&2.9&ISO",
        "P|1\x1FH\x1F"
        "2.9\x1FISO");
}

Test(gate_hl7, no_patient_is_no_key)
{
    expect_key(HEAD, "EVN|A01", "");
    expect_key(HEAD, "PID|1||", "");
    expect_key(HEAD, "PID|1|P0", "");
    expect_key(HEAD, "PID|1||^^^HOSP", "");
    expect_key(HEAD, "PID|1||\"\"^^^HOSP", "");
    expect_key(HEAD, "PID|1||~P2^^^HOSP", "");
}

Test(gate_hl7, a_long_patient_key_is_cut_and_not_lost)
{
    struct message m = read_text(HEAD "\rPID|1||0123456789^^^HOSP\r");
    char buf[8];

    cr_expect_eq(gate_hl7_patient_key(&m.hl7, buf, sizeof(buf)), sizeof(buf));
    expect_span(((struct gate_span){ buf, sizeof(buf) }), "01234567");
    done(&m);
}

Test(gate_hl7, finds_the_codes_to_check)
{
    static const struct {
        const char *segment;
        unsigned field;
        const char *code, *system;
    } expected[] = {
        { "OBR", 4, "24323-8", "LN" },
        { "OBX", 3, "718-7", "LN" },
        { "OBX", 3, "883-9", "LN" },
        { "OBX", 5, "112144000", "SCT" },
        { "OBX", 3, "1-8", "LN" },
        { "OBX", 5, "A", "" },
        { "OBX", 5, "C", "L" },
        { "OBX", 3, "30956-7", "LN" },
        { "OBX", 5, "08", "CVX" },
        { "DG1", 3, "I10", "I10" },
        { "AL1", 3, "7980", "RXNORM" },
        { "RXA", 5, "08", "CVX" },
        { "ZXX", 0, NULL, NULL },
    };
    struct message m = read_text(HEAD "\rPID|1||P1\rOBR|1|||24323-8^CMP^LN\r"
                                      "OBX|1|NM|718-7^Hb^LN||13.9^no^no\r"
                                      "OBX|2|CWE|883-9^ABO^LN||112144000^A^SCT\r"
                                      "OBX|3|CE|1-8^x^LN||A~^only text~\"\"~C^c^L\r"
                                      "OBX|4|CWE^^HL70125|30956-7^v^LN||08^HepB^CVX\r"
                                      "OBX|5|ST|||text^a^b\rOBX|6||\rDG1|1||I10^Hyp^I10|\r"
                                      "AL1|1|DA|7980^Pen^RXNORM\rRXA|0|1|2024||08^HepB^CVX|1\r"
                                      "DG1\rOBXX|1|CE|no^^no\rZDG|1||no^no^no");
    struct gate_hl7_codes codes;
    struct gate_hl7_code code;
    size_t i = 0;

    gate_hl7_codes_init(&codes, &m.hl7);
    for (; gate_hl7_codes_next(&codes, &code); i++) {
        cr_assert_not_null(expected[i].code);
        cr_expect_str_eq(code.segment, expected[i].segment);
        cr_expect_eq(code.field, expected[i].field);
        expect_span(code.code, expected[i].code);
        expect_span(code.system, expected[i].system);
    }
    cr_expect_null(expected[i].code, "%zu codes", i);
    cr_expect_not(gate_hl7_codes_next(&codes, &code));
    done(&m);
}

Test(gate_hl7, reads_a_huge_observation)
{
    size_t huge = (size_t)8 << 20;
    static const char before[] = HEAD "\rPID|1||P1\rOBX|1|ED|PDF^doc^L||^TEXT^^Base64^";
    static const char after[] = "||||||F\rOBX|2|CE|a^b^L||c^d^L\r";
    size_t bytes = sizeof(before) - 1 + huge + sizeof(after) - 1;
    char *text = malloc(bytes);
    struct gate_hl7 m;
    struct gate_hl7_codes codes;
    struct gate_hl7_code code;
    int count = 0;

    cr_assert_not_null(text);
    memcpy(text, before, sizeof(before) - 1);
    memset(text + sizeof(before) - 1, 'Q', huge);
    memcpy(text + bytes - (sizeof(after) - 1), after, sizeof(after) - 1);
    cr_expect_eq(gate_hl7_parse(&m, text, bytes), GATE_HL7_OK);
    struct gate_span value = gate_hl7_field(&m, gate_hl7_segment(&m, "OBX", 1), 5);
    cr_expect_eq(gate_hl7_component(&m, value, 5).bytes, huge);
    gate_hl7_codes_init(&codes, &m);
    while (gate_hl7_codes_next(&codes, &code))
        count++;
    cr_expect_eq(count, 3);
    free(text);
}

/* -- acknowledgements
 * -------------------------------------------------------------------------------- */

Test(gate_hl7, acknowledges_with_sender_and_receiver_exchanged)
{
    char ack[GATE_HL7_ACK_MAX + 1];

    acknowledge(HEAD "\rPID|1||P1\r", &accept, ack);
    cr_expect_str_eq(
        ack, "MSH|^~\\&|GATE|TRIAL|APP|FAC|20240301080001||ACK^A01^ACK|G1|P|2.5\rMSA|AA|ID-1\r");
    acknowledge("MSH|^~\\&|A|||||no|ADT|9||2.3\r", &accept, ack);
    cr_expect_str_eq(ack, "MSH|^~\\&|||A||20240301080001||ACK|G1|P|2.3\rMSA|AA|9\r");
    acknowledge("MSH|^~\\&|A|||||no|ADT^A08|9|T|2.3\r", &accept, ack);
    cr_expect_str_eq(ack, "MSH|^~\\&|||A||20240301080001||ACK^A08|G1|T|2.3\rMSA|AA|9\r");
}

Test(gate_hl7, acknowledges_in_the_separators_of_the_sender)
{
    struct gate_hl7_answer answer = accept;
    char ack[GATE_HL7_ACK_MAX + 1];

    acknowledge("MSH!*%?@!A@b!B!C!D!!!ADT*A01!I|D!P!2.4!\r", &answer, ack);
    cr_expect_str_eq(ack, "MSH!*%?@!C!D!A@b!B!20240301080001!!ACK*A01!G1!P!2.4\rMSA!AA!I|D\r");
    acknowledge("MSH|^~\\&#|A|B|C|D|||ADT^A01|9|P|2.7\r", &answer, ack);
    cr_expect_str_eq(ack, "MSH|^~\\&#|C|D|A|B|20240301080001||ACK^A01|G1|P|2.7\rMSA|AA|9\r");
}

Test(gate_hl7, says_why_in_msa_and_from_version_2_5_in_err)
{
    struct gate_hl7_answer answer = accept;
    char ack[GATE_HL7_ACK_MAX + 1];

    answer.verdict = GATE_HL7_REJECT;
    answer.text = gate_hl7_reason_text(GATE_HL7_NO_CONTROL_ID);
    answer.error = gate_hl7_reason_error(GATE_HL7_NO_CONTROL_ID);
    acknowledge("MSH|^~\\&|A|B|C|D|||ADT^A01||P|2.5.1\r", &answer, ack);
    cr_expect_str_eq(ack, "MSH|^~\\&|C|D|A|B|20240301080001||ACK^A01|G1|P|2.5.1\r"
                          "MSA|AR||MSH-10 missing\rERR|||101^^HL70357|E||||MSH-10 missing\r");
    acknowledge("MSH|^~\\&|A|B|C|D|||ADT^A01||P|2.4\r", &answer, ack);
    cr_expect_str_eq(ack, "MSH|^~\\&|C|D|A|B|20240301080001||ACK^A01|G1|P|2.4\r"
                          "MSA|AR||MSH-10 missing\r");
}

Test(gate_hl7, escapes_its_own_text)
{
    struct gate_hl7_answer answer = accept;
    char ack[GATE_HL7_ACK_MAX + 1];

    answer.verdict = GATE_HL7_ERROR;
    answer.text = "a|b^c~d\\e&f\r\ng";
    answer.control_id = "G&1";
    acknowledge(HEAD "\r", &answer, ack);
    cr_expect_not_null(strstr(ack, "|G\\T\\1|P|2.5\rMSA|AE|ID-1|"));
    cr_expect_not_null(strstr(ack, "|ID-1|a\\F\\b\\S\\c\\R\\d\\E\\e\\T\\fg\r"));
}

Test(gate_hl7, answers_what_it_cannot_read_with_an_empty_msa_2)
{
    static const char minimal[] = "MSH|^~\\&|||||20240301080001||ACK|G1|P|2.5\rMSA|AR|"
                                  "|message does not begin with MSH\r"
                                  "ERR|||100^^HL70357|E||||message does not begin with MSH\r";
    struct gate_hl7_answer answer = accept;
    char ack[GATE_HL7_ACK_MAX + 1];

    answer.verdict = GATE_HL7_REJECT;
    answer.text = gate_hl7_reason_text(GATE_HL7_NO_MSH);
    answer.error = gate_hl7_reason_error(GATE_HL7_NO_MSH);
    acknowledge("nonsense", &answer, ack);
    cr_expect_str_eq(ack, minimal);
    cr_expect_eq(gate_hl7_ack(ack, sizeof(ack), NULL, &answer), strlen(minimal));
    acknowledge("MSH|^^\\&|A|B|C|D|||ADT^A01|ID|P|2.5\r", &answer, ack);
    cr_expect_str_eq(ack, minimal);
    acknowledge("MSH|^~\\&|A|B|C|D|||ADT^A01|I\x1C\x0D|P|2.5\r", &answer, ack);
    cr_expect_str_eq(ack, minimal);
}

Test(gate_hl7, speaks_the_enhanced_mode_when_msh_15_or_16_is_not_null)
{
    static const struct {
        const char *tail, *code;
    } cases[] = {
        { "|||AL|NE", "MSA|CA|ID-1" },
        { "|||NE|NE", "MSA|CA|ID-1" },
        { "|||AL", "MSA|CA|ID-1" },
        { "||||NE", "MSA|CA|ID-1" },
        { "||||", "MSA|AA|ID-1" },
        { "|||\"\"|\"\"", "MSA|AA|ID-1" },
        { "||||||UNICODE UTF-8", "MSA|AA|ID-1" },
    };
    char ack[GATE_HL7_ACK_MAX + 1];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), HEAD "%s\rPID|1\r", cases[i].tail);
        acknowledge(text, &accept, ack);
        cr_expect_not_null(strstr(ack, cases[i].code), "%s: %s", cases[i].tail, ack);
    }
}

Test(gate_hl7, acknowledges_in_the_character_set_of_the_sender)
{
    char ack[GATE_HL7_ACK_MAX + 1];

    acknowledge("MSH|^~\\&|A|H\xD4PITAL|C|D|||ADT^A01|\xE9|P|2.5||||||8859/1\r", &accept, ack);
    cr_expect_str_eq(ack, "MSH|^~\\&|C|D|A|H\xD4PITAL|20240301080001||ACK^A01|G1|P|2.5||||||8859/1"
                          "\rMSA|AA|\xE9\r");
}

Test(gate_hl7, an_acknowledgement_fits_or_is_not_written)
{
    struct message m = read_text(HEAD "\r");
    char ack[GATE_HL7_ACK_MAX];
    size_t bytes = gate_hl7_ack(ack, sizeof(ack), &m.hl7, &accept);

    for (size_t cap = 0; cap <= bytes; cap++) {
        char *small = malloc(cap + 1);
        cr_assert_not_null(small);
        small[cap] = '!';
        cr_expect_eq(gate_hl7_ack(small, cap, &m.hl7, &accept), cap == bytes ? bytes : 0);
        cr_expect_eq(small[cap], '!');
        free(small);
    }
    done(&m);
}

Test(gate_hl7, the_longest_acknowledgement_fits_in_the_size_promised_and_is_read)
{
    char text[GATE_HL7_MSH_MAX + 1];
    char long_text[129], long_id[65], long_time[33];
    char ack[GATE_HL7_ACK_MAX];
    struct gate_hl7_answer answer = { GATE_HL7_REJECT, long_text, 207, long_id, long_time };
    struct gate_hl7_reply reply;
    struct message m;
    size_t bytes;

    memset(text, 'x', sizeof(text));
    memcpy(text, "MSH|^~\\&|", 9);
    memcpy(text + GATE_HL7_MSH_MAX - 30, "|a|a|a||no|ADT^A01^A|id|P|2.8", 29);
    memset(long_text, '&', 128);
    memset(long_id, '&', 64);
    memset(long_time, '&', 32);
    long_text[128] = long_id[64] = long_time[32] = '\0';
    m = read_bytes(text, GATE_HL7_MSH_MAX);
    cr_expect_eq(m.reason, GATE_HL7_OK);
    bytes = gate_hl7_ack(ack, sizeof(ack), &m.hl7, &answer);
    cr_expect_gt(bytes, GATE_HL7_MSH_MAX);
    cr_expect(gate_hl7_read_ack(&reply, ack, bytes));
    done(&m);
}

Test(gate_hl7, reads_the_acknowledgements_it_writes)
{
    static const char *const messages[] = { HEAD "\r", HEAD "|||AL|AL\r",
        "MSH!*%?@!A!B!C!D!!!ADT*A01!I|D!P!2.4!\r", "nonsense" };

    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        for (int v = GATE_HL7_ACCEPT; v <= GATE_HL7_REJECT; v++) {
            struct message m = read_text(messages[i]);
            struct gate_hl7_answer answer = accept;
            struct gate_hl7_reply reply;
            char ack[GATE_HL7_ACK_MAX];
            size_t bytes;

            answer.verdict = (enum gate_hl7_verdict)v;
            bytes = gate_hl7_ack(ack, sizeof(ack), &m.hl7, &answer);
            cr_assert(gate_hl7_read_ack(&reply, ack, bytes));
            cr_expect_eq(reply.verdict, answer.verdict);
            cr_expect_eq(reply.commit, gate_hl7_enhanced(&m.hl7));
            cr_expect_eq(reply.control_id.bytes, m.hl7.msh[10].bytes);
            cr_expect_eq(memcmp(reply.control_id.at, m.hl7.msh[10].at, m.hl7.msh[10].bytes), 0);
            done(&m);
        }
    }
}

static bool readable(const char *text)
{
    struct gate_hl7_reply reply;
    return gate_hl7_read_ack(&reply, text, strlen(text));
}

Test(gate_hl7, reads_the_acknowledgements_of_others_or_says_that_it_cannot)
{
    cr_expect(readable("MSH|^~\\&|A|B|C|D|||ACK|1|P|2.3\rMSA|AA|7"));
    cr_expect(readable("MSH|^~\\&|A|B|C|D|||ACK\nMSA|AE|7|text\n"));
    cr_expect(readable("MSH|^~\\&|\r\nMSA|CR\r\n"));
    cr_expect_not(readable(""));
    cr_expect_not(readable("MSA|AA|7\r"));
    cr_expect_not(readable("MSH|^~\\&|A|B|C|D|||ACK|1|P|2.3\r"));
    cr_expect_not(readable("MSH|^~\\&|A|B|C|D|||ACK|1|P|2.3\rMSA\r"));
    cr_expect_not(readable("MSH|^~\\&|A|B|C|D|||ACK|1|P|2.3\rMSA|OK|7\r"));
    cr_expect_not(readable("MSH|^~\\&|A|B|C|D|||ACK|1|P|2.3\rMSA|AX|7\r"));
    cr_expect_not(readable("MSH|^~\\&|A|B|C|D|||ACK|1|P|2.3\rMSA|AAA|7\r"));
}
