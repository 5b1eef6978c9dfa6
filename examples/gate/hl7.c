/* SPDX-License-Identifier: MIT */
/*
 * hl7.c - HL7 v2 messages in place. Parsing reads the MSH segment field by field and the rest only
 * for what would make the message unfit: a second MSH, bytes that belong to framing. All else is
 * found when asked for. Pure functions over the caller's bytes; any thread.
 *
 * CR and LF both end a segment wherever they stand. A byte loop looks for them, not two memchr,
 * which would read to the end of the message for the one that never comes.
 */
#include "examples/gate/hl7.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#define VT '\x0B'
#define FS '\x1C'
#define KEY_SEPARATOR '\x1F'

static const struct gate_hl7_separators usual = { '|', '^', '~', '\\', '&', 0 };

/* ---------------------------------------------------------------------------------- spans --- */

static struct gate_span span(const char *at, size_t bytes)
{
    return (struct gate_span){ at, bytes };
}

static struct gate_span none(void)
{
    return span("", 0);
}

static struct gate_span tail(struct gate_span in, size_t bytes)
{
    return span(in.at + bytes, in.bytes - bytes);
}

static bool begins(struct gate_span in, const char *with)
{
    size_t bytes = strlen(with);
    return in.bytes >= bytes && memcmp(in.at, with, bytes) == 0;
}

static bool same(struct gate_span in, const char *as)
{
    return in.bytes == strlen(as) && begins(in, as);
}

static bool alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7F;
}

/* Takes what stands before the separator off the front; false when it was the last part. */
static bool cut(struct gate_span *rest, char separator, struct gate_span *out)
{
    const char *end = memchr(rest->at, separator, rest->bytes);
    size_t bytes = end ? (size_t)(end - rest->at) : rest->bytes;

    *out = span(rest->at, bytes);
    *rest = tail(*rest, end ? bytes + 1 : bytes);
    return end != NULL;
}

static struct gate_span part(struct gate_span in, char separator, size_t number)
{
    struct gate_span out;

    assert(number >= 1);
    while (cut(&in, separator, &out)) {
        if (--number == 0) return out;
    }
    return number == 1 ? out : none();
}

bool gate_hl7_blank(struct gate_span in)
{
    if (same(in, "\"\"")) return true;
    for (size_t i = 0; i < in.bytes; i++) {
        if (in.at[i] != ' ' && in.at[i] != '\t') return false;
    }
    return true;
}

/* -------------------------------------------------------------------------------- reasons --- */

/* The errors are those of table 0357: 100 segment sequence, 101 required field missing, 102 data
 * type, 200 unsupported message type. */
static const struct {
    const char *text;
    unsigned error;
} reasons[GATE_HL7_REASONS] = {
    [GATE_HL7_OK] = { "ok", 0 },
    [GATE_HL7_EMPTY] = { "empty frame", 100 },
    [GATE_HL7_BATCH] = { "batch envelope: send its messages one by one", 200 },
    [GATE_HL7_NO_MSH] = { "message does not begin with MSH", 100 },
    [GATE_HL7_MSH_SHORT] = { "MSH too short", 101 },
    [GATE_HL7_MSH_LONG] = { "MSH too long", 102 },
    [GATE_HL7_MSH_CONTROL_BYTES] = { "control bytes in MSH", 102 },
    [GATE_HL7_BAD_SEPARATORS] = { "bad separators in MSH-1 or MSH-2", 102 },
    [GATE_HL7_NO_TYPE] = { "MSH-9 missing", 101 },
    [GATE_HL7_NO_CONTROL_ID] = { "MSH-10 missing", 101 },
    [GATE_HL7_CONTROL_ID_LONG] = { "MSH-10 too long", 102 },
    [GATE_HL7_FRAMING_BYTES] = { "0x0B or 0x1C within the message", 102 },
    [GATE_HL7_TWO_MESSAGES] = { "two messages in one frame", 100 },
};

const char *gate_hl7_reason_text(enum gate_hl7_reason reason)
{
    assert(reason < GATE_HL7_REASONS);
    return reasons[reason].text;
}

unsigned gate_hl7_reason_error(enum gate_hl7_reason reason)
{
    assert(reason < GATE_HL7_REASONS);
    return reasons[reason].error;
}

/* -------------------------------------------------------------------------------- parsing --- */

static bool line_end(char c)
{
    return c == '\r' || c == '\n';
}

bool gate_hl7_named(struct gate_span segment, const char *name)
{
    assert(strlen(name) == 3);
    return begins(segment, name) && (segment.bytes == 3 || !alphanumeric(segment.at[3]));
}

bool gate_hl7_next_segment(struct gate_span *rest, struct gate_span *segment)
{
    size_t start = 0;
    size_t end;

    while (start < rest->bytes && line_end(rest->at[start]))
        start++;
    for (end = start; end < rest->bytes && !line_end(rest->at[end]);)
        end++;
    *segment = span(rest->at + start, end - start);
    *rest = tail(*rest, end);
    return segment->bytes > 0;
}

/* Of an MSH segment of four bytes or more; `out` is written for GATE_HL7_OK only. */
static enum gate_hl7_reason read_separators(
    struct gate_hl7_separators *out, struct gate_span msh, struct gate_span *msh_2)
{
    struct gate_span rest = tail(msh, 4);
    char all[6] = { msh.at[3] };

    if (!cut(&rest, msh.at[3], msh_2)) return GATE_HL7_MSH_SHORT;
    /* Chapter 2 lets a sender leave out the last ones; but MSH-2 is short as well when one of
     * them is like MSH-1 by mistake, and then each field would be taken for its neighbour. */
    if (msh_2->bytes < 4 || msh_2->bytes > 5) return GATE_HL7_BAD_SEPARATORS;
    memcpy(all + 1, msh_2->at, msh_2->bytes);
    for (size_t i = 0; i <= msh_2->bytes; i++) {
        /* Bytes above 0x7F are parts of characters in some encodings. */
        if (all[i] <= ' ' || all[i] > '~' || alphanumeric(all[i])) return GATE_HL7_BAD_SEPARATORS;
        if (memchr(all, all[i], i)) return GATE_HL7_BAD_SEPARATORS;
    }
    *out = (struct gate_hl7_separators){ all[0], all[1], all[2], all[3], all[4], all[5] };
    return GATE_HL7_OK;
}

static bool has_control_bytes(struct gate_span in)
{
    for (size_t i = 0; i < in.bytes; i++) {
        if (control(in.at[i])) return true;
    }
    return false;
}

/* Reads the first segment as an MSH; fills in msh[] only when all of it can be relied upon. */
static enum gate_hl7_reason read_header(struct gate_hl7 *m, size_t msh_max)
{
    struct gate_span rest = m->whole;
    struct gate_span msh, msh_2;
    enum gate_hl7_reason reason;

    if (!gate_hl7_next_segment(&rest, &msh)) return GATE_HL7_EMPTY;
    if (gate_hl7_named(msh, "FHS") || gate_hl7_named(msh, "BHS")) return GATE_HL7_BATCH;
    if (!begins(msh, "MSH")) return GATE_HL7_NO_MSH;
    if (msh.bytes > msh_max) return GATE_HL7_MSH_LONG;
    if (has_control_bytes(msh)) return GATE_HL7_MSH_CONTROL_BYTES;
    if (msh.bytes < 4) return GATE_HL7_MSH_SHORT;
    reason = read_separators(&m->separators, msh, &msh_2);
    if (reason) return reason;
    m->msh[0] = msh;
    m->msh[1] = span(msh.at + 3, 1);
    m->msh[2] = msh_2;
    rest = tail(msh, 4 + msh_2.bytes + 1);
    for (size_t i = 3; i <= GATE_HL7_MSH_FIELDS; i++) {
        if (!cut(&rest, m->separators.field, &m->msh[i])) break;
    }
    if (gate_hl7_blank(m->msh[9])) return GATE_HL7_NO_TYPE;
    if (gate_hl7_blank(m->msh[10])) return GATE_HL7_NO_CONTROL_ID;
    if (m->msh[10].bytes > GATE_HL7_ID_MAX) return GATE_HL7_CONTROL_ID_LONG;
    return GATE_HL7_OK;
}

static enum gate_hl7_reason check_rest(const struct gate_hl7 *m)
{
    struct gate_span rest = m->whole;
    struct gate_span segment;

    if (memchr(rest.at, VT, rest.bytes) || memchr(rest.at, FS, rest.bytes))
        return GATE_HL7_FRAMING_BYTES;
    (void)gate_hl7_next_segment(&rest, &segment);
    while (gate_hl7_next_segment(&rest, &segment)) {
        if (gate_hl7_named(segment, "MSH")) return GATE_HL7_TWO_MESSAGES;
    }
    return GATE_HL7_OK;
}

static void set_empty(struct gate_hl7 *m)
{
    m->whole = none();
    m->separators = usual;
    for (size_t i = 0; i <= GATE_HL7_MSH_FIELDS; i++)
        m->msh[i] = none();
}

static void find_start(struct gate_hl7 *m, const void *at, size_t bytes)
{
    set_empty(m);
    if (bytes == 0) return;
    m->whole = span(at, bytes);
    if (begins(m->whole, "\xEF\xBB\xBF")) m->whole = tail(m->whole, 3);
    while (m->whole.bytes && line_end(m->whole.at[0]))
        m->whole = tail(m->whole, 1);
}

enum gate_hl7_reason gate_hl7_parse(struct gate_hl7 *out, const void *at, size_t bytes)
{
    enum gate_hl7_reason reason;

    find_start(out, at, bytes);
    reason = read_header(out, GATE_HL7_MSH_MAX);
    return reason ? reason : check_rest(out);
}

/* ----------------------------------------------------------------------------------- parts --- */

struct gate_span gate_hl7_segment(const struct gate_hl7 *m, const char *name, size_t nth)
{
    struct gate_span rest = m->whole;
    struct gate_span segment;

    assert(nth >= 1);
    while (gate_hl7_next_segment(&rest, &segment)) {
        if (gate_hl7_named(segment, name) && --nth == 0) return segment;
    }
    return none();
}

struct gate_span gate_hl7_field(const struct gate_hl7 *m, struct gate_span segment, size_t number)
{
    bool header = gate_hl7_named(segment, "MSH") || gate_hl7_named(segment, "FHS") ||
                  gate_hl7_named(segment, "BHS");

    assert(number >= 1);
    if (!header) return part(segment, m->separators.field, number + 1);
    if (number == 1) return segment.bytes > 3 ? span(segment.at + 3, 1) : none();
    return part(segment, m->separators.field, number);
}

struct gate_span gate_hl7_repetition(const struct gate_hl7 *m, struct gate_span in, size_t number)
{
    return part(in, m->separators.repetition, number);
}

struct gate_span gate_hl7_component(const struct gate_hl7 *m, struct gate_span in, size_t number)
{
    return part(in, m->separators.component, number);
}

struct gate_span gate_hl7_subcomponent(const struct gate_hl7 *m, struct gate_span in, size_t number)
{
    return part(in, m->separators.subcomponent, number);
}

/* --------------------------------------------------------------------------------- escapes --- */

/* Where bytes go, with the room there is. */
struct writer {
    char *at;
    size_t cap;
    size_t bytes;
    bool full; /* something did not fit: the first cap bytes are there */
};

static void put(struct writer *w, struct gate_span in)
{
    size_t bytes = in.bytes;

    if (bytes > w->cap - w->bytes) {
        bytes = w->cap - w->bytes;
        w->full = true;
    }
    if (bytes) memcpy(w->at + w->bytes, in.at, bytes);
    w->bytes += bytes;
}

static void put_byte(struct writer *w, char c)
{
    put(w, span(&c, 1));
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/* The inside of \Xhh..\, with the X; false, and nothing written, when it is malformed. */
static bool put_hex(struct writer *w, struct gate_span in)
{
    if (in.bytes < 3 || in.bytes % 2 == 0 || in.at[0] != 'X') return false;
    for (size_t i = 1; i < in.bytes; i++) {
        if (hex(in.at[i]) < 0) return false;
    }
    for (size_t i = 1; i < in.bytes; i += 2)
        put_byte(w, (char)(hex(in.at[i]) * 16 + hex(in.at[i + 1])));
    return true;
}

/* The inside of an escape sequence of one letter: what it stands for, or 0. */
static char named_separator(const struct gate_hl7_separators *s, struct gate_span in)
{
    if (in.bytes != 1) return 0;
    switch (in.at[0]) {
    case 'F': return s->field;
    case 'S': return s->component;
    case 'T': return s->subcomponent;
    case 'R': return s->repetition;
    case 'E': return s->escape;
    case 'P': return s->truncation;
    default: return 0;
    }
}

static void put_decoded(struct writer *w, const struct gate_hl7 *m, struct gate_span in)
{
    const char escape = m->separators.escape;
    struct gate_span text, sequence;

    while (cut(&in, escape, &text)) {
        struct gate_span from = span(text.at + text.bytes, in.bytes + 1);

        put(w, text);
        if (!cut(&in, escape, &sequence)) {
            put(w, from); /* never closed: it is no escape sequence */
            return;
        }
        char c = named_separator(&m->separators, sequence);
        if (c)
            put_byte(w, c);
        else if (same(sequence, ".br"))
            put_byte(w, '\n');
        else if (!put_hex(w, sequence))
            put(w, span(from.at, sequence.bytes + 2));
    }
    put(w, text);
}

bool gate_hl7_unescape(
    const struct gate_hl7 *m, struct gate_span in, char *buf, size_t cap, size_t *bytes)
{
    struct writer w = { .at = buf, .cap = cap };

    put_decoded(&w, m, in);
    *bytes = w.bytes;
    return !w.full;
}

/* ----------------------------------------------------------------------- patient and codes --- */

size_t gate_hl7_patient_key(const struct gate_hl7 *m, char *buf, size_t cap)
{
    struct gate_span pid = gate_hl7_segment(m, "PID", 1);
    struct gate_span who = gate_hl7_repetition(m, gate_hl7_field(m, pid, 3), 1);
    struct gate_span id = gate_hl7_component(m, who, 1);
    struct gate_span authority = gate_hl7_component(m, who, 4);
    struct gate_span one;
    struct writer w = { .at = buf, .cap = cap };
    bool more;

    if (gate_hl7_blank(id)) return 0;
    put_decoded(&w, m, id);
    do {
        more = cut(&authority, m->separators.subcomponent, &one);
        put_byte(&w, KEY_SEPARATOR);
        put_decoded(&w, m, one);
    } while (more);
    /* HOSPITAL and HOSPITAL&& are one authority, and so are none and an empty one. */
    while (w.bytes > 1 && buf[w.bytes - 1] == KEY_SEPARATOR)
        w.bytes--;
    return w.bytes;
}

static const struct {
    const char *segment;
    unsigned field;
    bool if_coded; /* only when OBX-2 says that the value is a code */
} coded[] = {
    { "OBX", 3, false },
    { "OBX", 5, true },
    { "OBR", 4, false },
    { "DG1", 3, false },
    { "PR1", 3, false },
    { "AL1", 3, false },
    { "IAM", 3, false },
    { "PRB", 3, false },
    { "RXA", 5, false },
    { "RXO", 1, false },
    { "RXE", 2, false },
    { "RXD", 2, false },
};
#define CODED (sizeof(coded) / sizeof(coded[0]))

static bool says_coded(const struct gate_hl7 *m, struct gate_span obx)
{
    struct gate_span type = gate_hl7_component(m, gate_hl7_field(m, obx, 2), 1);
    return same(type, "CE") || same(type, "CWE") || same(type, "CNE");
}

void gate_hl7_codes_init(struct gate_hl7_codes *codes, const struct gate_hl7 *message)
{
    *codes = (struct gate_hl7_codes){ .message = message, .segments = message->whole };
    codes->segment = codes->repetitions = none();
    codes->rule = CODED;
}

/* Goes to the next field that may hold codes; false at the end of the message. */
static bool next_coded_field(struct gate_hl7_codes *c)
{
    for (;;) {
        for (; c->rule < CODED; c->rule++) {
            if (!gate_hl7_named(c->segment, coded[c->rule].segment)) continue;
            if (coded[c->rule].if_coded && !says_coded(c->message, c->segment)) continue;
            c->repetitions = gate_hl7_field(c->message, c->segment, coded[c->rule].field);
            c->rule++;
            return true;
        }
        if (!gate_hl7_next_segment(&c->segments, &c->segment)) return false;
        c->rule = 0;
    }
}

bool gate_hl7_codes_next(struct gate_hl7_codes *c, struct gate_hl7_code *out)
{
    const struct gate_hl7 *m = c->message;
    struct gate_span one;

    for (;;) {
        while (c->in_field) {
            c->in_field = cut(&c->repetitions, m->separators.repetition, &one);
            out->code = gate_hl7_component(m, one, 1);
            out->system = gate_hl7_component(m, one, 3);
            out->segment = coded[c->rule - 1].segment;
            out->field = coded[c->rule - 1].field;
            if (!gate_hl7_blank(out->code)) return true;
        }
        if (!next_coded_field(c)) return false;
        c->in_field = true;
    }
}

/* ------------------------------------------------------------------------ acknowledgements --- */

bool gate_hl7_enhanced(const struct gate_hl7 *m)
{
    return !gate_hl7_blank(m->msh[15]) || !gate_hl7_blank(m->msh[16]);
}

static void put_string(struct writer *w, const char *text)
{
    put(w, span(text, strlen(text)));
}

/* Our own text, escaped; it has no control bytes, or they are left out. */
static void put_escaped(struct writer *w, const struct gate_hl7 *m, const char *text)
{
    static const char letters[] = "FSTREP";

    for (; *text; text++) {
        size_t i = 0;
        while (letters[i] && named_separator(&m->separators, span(&letters[i], 1)) != *text)
            i++;
        if (letters[i]) {
            put_byte(w, m->separators.escape);
            put_byte(w, letters[i]);
            put_byte(w, m->separators.escape);
        } else if (!control(*text)) {
            put_byte(w, *text);
        }
    }
}

/* Ends a field, and leaves out so many after it. */
static void put_field_end(struct writer *w, const struct gate_hl7 *m, unsigned left_out)
{
    for (unsigned i = 0; i <= left_out; i++)
        put_byte(w, m->separators.field);
}

/* MSH-9: ACK, the event of the message, and the structure when the message names its own. */
static void put_ack_type(struct writer *w, const struct gate_hl7 *m)
{
    struct gate_span event = gate_hl7_component(m, m->msh[9], 2);

    put_string(w, "ACK");
    if (gate_hl7_blank(event)) return;
    put_byte(w, m->separators.component);
    put(w, event);
    if (gate_hl7_blank(gate_hl7_component(m, m->msh[9], 3))) return;
    put_byte(w, m->separators.component);
    put_string(w, "ACK");
}

static void put_ack_header(
    struct writer *w, const struct gate_hl7 *m, const struct gate_hl7_answer *answer)
{
    static const int exchanged[] = { 5, 6, 3, 4 };
    struct gate_span msh_2 = m->msh[2];

    put_string(w, "MSH");
    put_byte(w, m->separators.field);
    put(w, msh_2.bytes ? msh_2 : span("^~\\&", 4));
    for (size_t i = 0; i < 4; i++) {
        put_field_end(w, m, 0);
        put(w, m->msh[exchanged[i]]);
    }
    put_field_end(w, m, 0);
    put_escaped(w, m, answer->time);
    put_field_end(w, m, 1);
    put_ack_type(w, m);
    put_field_end(w, m, 0);
    put_escaped(w, m, answer->control_id);
    put_field_end(w, m, 0);
    put(w, m->msh[11].bytes ? m->msh[11] : span("P", 1));
    put_field_end(w, m, 0);
    put(w, m->msh[12].bytes ? m->msh[12] : span("2.5", 3));
    if (m->msh[18].bytes) {
        /* What is echoed is in the sender's character set. */
        put_field_end(w, m, 5);
        put(w, m->msh[18]);
    }
    put_byte(w, '\r');
}

/* Version 2.5 or later, or not said, for then the acknowledgement says 2.5 itself. */
static bool has_error_fields(const struct gate_hl7 *m)
{
    struct gate_span version = gate_hl7_component(m, m->msh[12], 1);

    if (m->msh[12].bytes == 0) return true;
    if (!begins(version, "2.") || version.bytes < 3) return false;
    return version.at[2] >= '5' && version.at[2] <= '9';
}

size_t gate_hl7_ack(
    void *buf, size_t cap, const struct gate_hl7 *in, const struct gate_hl7_answer *answer)
{
    static const char letters[] = { 'A', 'E', 'R' };
    struct writer w = { .at = buf, .cap = cap };
    struct gate_hl7 unknown;

    assert((size_t)answer->verdict < sizeof(letters));
    set_empty(&unknown);
    if (!in) in = &unknown;

    put_ack_header(&w, in, answer);
    put_string(&w, "MSA");
    put_field_end(&w, in, 0);
    put_byte(&w, gate_hl7_enhanced(in) ? 'C' : 'A');
    put_byte(&w, letters[answer->verdict]);
    put_field_end(&w, in, 0);
    put(&w, in->msh[10]);
    if (*answer->text) {
        put_field_end(&w, in, 0);
        put_escaped(&w, in, answer->text);
    }
    put_byte(&w, '\r');
    if (answer->error && has_error_fields(in)) {
        char code[3] = { (char)('0' + answer->error / 100 % 10),
            (char)('0' + answer->error / 10 % 10), (char)('0' + answer->error % 10) };

        put_string(&w, "ERR");
        put_field_end(&w, in, 2);
        put(&w, span(code, 3));
        put_byte(&w, in->separators.component);
        put_byte(&w, in->separators.component);
        put_string(&w, "HL70357");
        put_field_end(&w, in, 0);
        put_byte(&w, 'E');
        put_field_end(&w, in, 3);
        put_escaped(&w, in, answer->text);
        put_byte(&w, '\r');
    }
    return w.full ? 0 : w.bytes;
}

bool gate_hl7_read_ack(struct gate_hl7_reply *out, const void *at, size_t bytes)
{
    struct gate_hl7 m;
    struct gate_span msa, code;
    enum gate_hl7_reason reason;

    find_start(&m, at, bytes);
    /* The header is wanted for its separators only, so other faults of it do not matter; and it
     * may be longer than that of a message, for it holds parts of two. */
    reason = read_header(&m, 2 * GATE_HL7_MSH_MAX);
    if (reason && reason < GATE_HL7_NO_TYPE) return false;
    msa = gate_hl7_segment(&m, "MSA", 1);
    code = gate_hl7_field(&m, msa, 1);
    if (code.bytes != 2 || (code.at[0] != 'A' && code.at[0] != 'C')) return false;
    switch (code.at[1]) {
    case 'A': out->verdict = GATE_HL7_ACCEPT; break;
    case 'E': out->verdict = GATE_HL7_ERROR; break;
    case 'R': out->verdict = GATE_HL7_REJECT; break;
    default: return false;
    }
    out->commit = code.at[0] == 'C';
    out->control_id = gate_hl7_field(&m, msa, 2);
    return true;
}
