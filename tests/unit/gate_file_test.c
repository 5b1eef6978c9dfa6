/* SPDX-License-Identifier: MIT */
/*
 * gate_file_test.c - messages out of files: line ends, envelopes, framing bytes, rubbish, and the
 * demo's own messages, which are beside this file's folder and are checked here for what their
 * README says of them. Writes files of its own into the folder for temporary files only.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "examples/gate/file.h"

#define HEAD "MSH|^~\\&|A|B|C|D|||ADT^A01|"

/* -- the means -----------------------------------------------------------------------------------
 */

/* The messages of these bytes, one after the other, with "$" behind each, as a string. */
static void expect_messages(const char *in, size_t bytes, const char *expected, size_t skipped)
{
    struct gate_file f = { .at = malloc(bytes + 1) };
    struct gate_span message;
    char seen[1024] = "";
    size_t used = 0;

    cr_assert_not_null(f.at);
    memcpy(f.at, in, bytes);
    f.bytes = gate_file_normalise(f.at, bytes);
    cr_assert_leq(f.bytes, bytes + 1);
    while (gate_file_next(&f, &message)) {
        cr_assert_lt(used + message.bytes + 2, sizeof(seen));
        memcpy(seen + used, message.at, message.bytes);
        used += message.bytes;
        seen[used++] = '$';
    }
    cr_expect_not(gate_file_next(&f, &message));
    cr_expect(used == strlen(expected) && memcmp(seen, expected, used) == 0, "%s", seen);
    cr_expect_eq(f.skipped, skipped);
    gate_file_close(&f);
}

static void expect_text(const char *in, const char *expected, size_t skipped)
{
    expect_messages(in, strlen(in), expected, skipped);
}

static void write_file(char path[], const char *at, size_t bytes)
{
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, at, bytes), (ssize_t)bytes);
    close(fd);
}

/* Opens a file of the demo; this file's name tells where they are. */
static void open_demo(struct gate_file *f, const char *name)
{
    static const char here[] = "tests/unit/gate_file_test.c";
    char path[1024];
    size_t root = strlen(__FILE__) - strlen(here);

    cr_assert_str_eq(&__FILE__[root], here);
    snprintf(path, sizeof(path), "%.*sexamples/gate/messages/%s", (int)root, __FILE__, name);
    cr_assert_eq(gate_file_open(f, path, 1 << 20), 0, "%s", path);
}

/* -- lines ----------------------------------------------------------------------------------------
 */

Test(gate_file, puts_cr_behind_each_line)
{
    expect_text(HEAD "1\rPID|1\r", HEAD "1\rPID|1\r$", 0);
    expect_text(HEAD "1\nPID|1\n", HEAD "1\rPID|1\r$", 0);
    expect_text(HEAD "1\r\nPID|1\r\n", HEAD "1\rPID|1\r$", 0);
    expect_text(HEAD "1\n\rPID|1", HEAD "1\rPID|1\r$", 0);
    expect_text(HEAD "1", HEAD "1\r$", 0);
}

Test(gate_file, leaves_out_blank_lines)
{
    static const char nul[] = HEAD "1\n\0\0\nPID|1\n";

    expect_text("\n\n" HEAD "1\n\n  \t\nPID|1\n\n\n", HEAD "1\rPID|1\r$", 0);
    expect_messages(nul, sizeof(nul) - 1, HEAD "1\rPID|1\r$", 0);
    expect_text("", "", 0);
    expect_text("\r\n \r\n", "", 0);
}

Test(gate_file, leaves_out_byte_order_marks_and_the_framing_of_mllp)
{
    expect_text("\xEF\xBB\xBF" HEAD "1\nPID|1\n", HEAD "1\rPID|1\r$", 0);
    expect_text(
        "\x0B" HEAD "1\rPID|1\r\x1C\r\x0B" HEAD "2\r\x1C\r", HEAD "1\rPID|1\r$" HEAD "2\r$", 0);
    expect_text("\x0B" HEAD "1\rPID|1\x1C\r\n\x0B" HEAD "2\x1C", HEAD "1\rPID|1\r$" HEAD "2\r$", 0);
    expect_text("\x0B" HEAD "1\r\x1C\x0B" HEAD "2\r\x1C", HEAD "1\r$" HEAD "2\r$", 0);
}

Test(gate_file, leaves_the_content_of_lines_alone)
{
    static const char odd[] = HEAD "1\rNTE|1||\xE9\0\x1C.\x0B.  \r";
    static const char same[] = HEAD "1\rNTE|1||\xE9\0\x1C.\x0B.  \r$";
    struct gate_file f = { .at = malloc(sizeof(odd)) };
    struct gate_span m;

    cr_assert_not_null(f.at);
    memcpy(f.at, odd, sizeof(odd) - 1);
    f.bytes = gate_file_normalise(f.at, sizeof(odd) - 1);
    cr_assert(gate_file_next(&f, &m));
    cr_expect(m.bytes == sizeof(odd) - 1 && memcmp(m.at, same, m.bytes) == 0);
    gate_file_close(&f);
}

/* -- messages -------------------------------------------------------------------------------------
 */

Test(gate_file, each_msh_begins_a_message_and_envelopes_are_none)
{
    expect_text(HEAD "1\rPID|1\r" HEAD "2\rPID|2\r", HEAD "1\rPID|1\r$" HEAD "2\rPID|2\r$", 0);
    expect_text("FHS|^~\\&|A\rBHS|^~\\&|A\r" HEAD "1\rPID|1\rBTS|1\rBHS|^~\\&|A\r" HEAD
                "2\rBTS|1\rFTS|2\r",
        HEAD "1\rPID|1\r$" HEAD "2\r$", 0);
    expect_text("FHS\rFTS\r", "", 0);
    expect_text(HEAD "1\rMSHX|1\rZBTS|1\r", HEAD "1\rMSHX|1\rZBTS|1\r$", 0);
}

Test(gate_file, counts_the_lines_that_belong_to_no_message)
{
    expect_text("PID|1\rnonsense\r" HEAD "1\rFTS|1\rafter\r", HEAD "1\r$", 3);
    expect_text("PID|1\rOBX|1", "", 2);
}

/* -- files ----------------------------------------------------------------------------------------
 */

Test(gate_file, opens_a_file_up_to_the_size_allowed)
{
    static const char text[] = HEAD "1\nPID|1";
    char path[] = "/tmp/gate_file_test.XXXXXX";
    struct gate_file f;
    struct gate_span m;

    write_file(path, text, sizeof(text) - 1);
    cr_expect_eq(gate_file_open(&f, path, sizeof(text) - 2), EFBIG);
    cr_expect_null(f.at);
    cr_assert_eq(gate_file_open(&f, path, sizeof(text) - 1), 0);
    cr_assert(gate_file_next(&f, &m));
    cr_expect(m.bytes == sizeof(text) && memcmp(m.at, HEAD "1\rPID|1\r", m.bytes) == 0);
    cr_expect_not(gate_file_next(&f, &m));
    gate_file_close(&f);
    gate_file_close(&f);
    unlink(path);
}

Test(gate_file, opens_an_empty_file_that_has_no_messages)
{
    char path[] = "/tmp/gate_file_test.XXXXXX";
    struct gate_file f;
    struct gate_span m;

    write_file(path, "", 0);
    cr_assert_eq(gate_file_open(&f, path, 0), 0);
    cr_expect_not(gate_file_next(&f, &m));
    gate_file_close(&f);
    unlink(path);
}

Test(gate_file, says_why_it_cannot_open)
{
    struct gate_file f;

    cr_expect_eq(gate_file_open(&f, "/tmp/gate_file_test.none", 100), ENOENT);
    cr_expect_eq(gate_file_open(&f, "/tmp", 100), EISDIR);
    cr_expect_eq(gate_file_open(&f, "/dev/null", 100), EINVAL);
    gate_file_close(&f);
}

/* -- the demo's messages --------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    size_t messages, codes;
} demo[] = {
    { "01_admit_then_update.hl7", 2, 2 },
    { "02_results_coded.hl7", 1, 7 },
    { "03_other_separators.hl7", 1, 1 },
    { "04_escapes.hl7", 1, 5 },
    { "05_repetitions.hl7", 1, 6 },
    { "06_z_segments_lf.hl7", 1, 0 },
    { "07_latin1.hl7", 1, 0 },
    { "08_enhanced_mode.hl7", 1, 2 },
    { "09_batch.hl7", 3, 6 },
    { "10_same_id_other_content.hl7", 1, 7 },
    { "11_exact_duplicate_of_02.hl7", 1, 7 },
    { "12_large_observation.hl7", 1, 2 },
};

Test(gate_file, the_messages_of_the_demo_are_what_their_readme_says)
{
    for (size_t i = 0; i < sizeof(demo) / sizeof(demo[0]); i++) {
        struct gate_file f;
        struct gate_span message;
        size_t messages = 0, found = 0;

        open_demo(&f, demo[i].name);
        for (; gate_file_next(&f, &message); messages++) {
            struct gate_hl7 m;
            struct gate_hl7_codes codes;
            struct gate_hl7_code code;
            char key[64];

            cr_assert_eq(gate_hl7_parse(&m, message.at, message.bytes), GATE_HL7_OK);
            cr_expect_gt(gate_hl7_patient_key(&m, key, sizeof(key)), 0);
            cr_expect_eq(gate_hl7_enhanced(&m), strstr(demo[i].name, "enhanced") != NULL);
            gate_hl7_codes_init(&codes, &m);
            while (gate_hl7_codes_next(&codes, &code))
                found++;
        }
        cr_expect_eq(messages, demo[i].messages, "%s: %zu", demo[i].name, messages);
        cr_expect_eq(found, demo[i].codes, "%s: %zu codes", demo[i].name, found);
        cr_expect_eq(f.skipped, 0);
        gate_file_close(&f);
    }
}

/* The first message of a demo file; its patient's key as a string. */
static struct gate_span first(struct gate_file *f, const char *name, char key[64])
{
    struct gate_span message;
    struct gate_hl7 m;

    open_demo(f, name);
    cr_assert(gate_file_next(f, &message));
    cr_assert_eq(gate_hl7_parse(&m, message.at, message.bytes), GATE_HL7_OK);
    key[gate_hl7_patient_key(&m, key, 63)] = '\0';
    return message;
}

Test(gate_file, the_demo_has_a_duplicate_and_one_that_only_looks_like_it)
{
    struct gate_file files[3];
    char keys[3][64];
    struct gate_span original = first(&files[0], "02_results_coded.hl7", keys[0]);
    struct gate_span twin = first(&files[1], "11_exact_duplicate_of_02.hl7", keys[1]);
    struct gate_span other = first(&files[2], "10_same_id_other_content.hl7", keys[2]);
    size_t msh = (size_t)((const char *)memchr(original.at, '\r', original.bytes) - original.at);

    cr_expect_eq(original.bytes, twin.bytes);
    cr_expect_eq(memcmp(original.at, twin.at, original.bytes), 0);
    cr_expect_eq(memcmp(original.at, other.at, msh), 0);
    cr_expect_str_neq(keys[0], keys[2]);
    cr_expect_str_eq(keys[0], "TP0002\x1FWARDA");
    for (int i = 0; i < 3; i++)
        gate_file_close(&files[i]);
}
