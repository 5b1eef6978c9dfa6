/* SPDX-License-Identifier: MIT */
/*
 * hl7.h - reads HL7 v2 messages where they lie, and writes and reads acknowledgements. Nothing is
 * allocated or copied: a span points into the caller's bytes and is good as long as they are. The
 * bytes need no NUL at their end and may hold NULs and bytes above 0x7F. Every function is pure
 * and may be called on any thread; each is linear in the bytes it is given.
 *
 * Parts are numbered from 1, as in the standard. A part that is not there is a span of no bytes,
 * and `at` is never NULL. Knows nothing of sockets, frames, the journal or ward.
 *
 * The texts of reasons never hold content of a message: they may be logged and sent.
 */
#ifndef GATE_HL7_H
#define GATE_HL7_H

#include <stdbool.h>
#include <stddef.h>

struct gate_span {
    const char *at;
    size_t bytes;
};

/* ------------------------------------------------------------------------------- messages --- */

#define GATE_HL7_MSH_MAX 2048 /* an MSH segment longer than this is refused */
#define GATE_HL7_ID_MAX 255 /* and so is an MSH-10; the standard allows 199 */
#define GATE_HL7_MSH_FIELDS 18

/*
 * Why a message is refused. Each is a fault of the message itself, so the same bytes will never
 * be accepted: answer GATE_HL7_REJECT, which tells the sender not to repeat it.
 */
enum gate_hl7_reason {
    GATE_HL7_OK,
    GATE_HL7_EMPTY,
    GATE_HL7_BATCH, /* FHS or BHS first: a batch is a matter of files, not of MLLP */
    GATE_HL7_NO_MSH,
    GATE_HL7_MSH_SHORT,
    GATE_HL7_MSH_LONG,
    GATE_HL7_MSH_CONTROL_BYTES, /* its fields would be echoed and logged */
    GATE_HL7_BAD_SEPARATORS, /* too few or many, alike, or a letter, digit or blank */
    GATE_HL7_NO_TYPE,
    GATE_HL7_NO_CONTROL_ID,
    GATE_HL7_CONTROL_ID_LONG,
    GATE_HL7_FRAMING_BYTES, /* 0x0B or 0x1C in a segment: it could not be sent on in a frame */
    GATE_HL7_TWO_MESSAGES, /* a second MSH: one answer cannot stand for both */
    GATE_HL7_REASONS
};

struct gate_hl7_separators {
    char field, component, repetition, escape, subcomponent;
    char truncation; /* the fifth of MSH-2, from version 2.7 on; 0: there is none */
};

/*
 * A message that was parsed. For a reason of GATE_HL7_NO_TYPE or later the header is filled in
 * all the same, so that the refusal can name the message; for an earlier one it is empty, with
 * the usual separators.
 */
struct gate_hl7 {
    struct gate_span whole; /* from MSH on */
    struct gate_hl7_separators separators;
    struct gate_span msh[GATE_HL7_MSH_FIELDS + 1]; /* msh[n] is MSH-n; msh[0] is the segment */
};

/* `out` is filled in whatever the reason. A byte order mark and empty lines before MSH are
 * passed over; CR, LF and CRLF each end a segment, and the last segment needs no end. */
enum gate_hl7_reason gate_hl7_parse(struct gate_hl7 *out, const void *at, size_t bytes);

/* A static text for MSA-3 and for logs. */
const char *gate_hl7_reason_text(enum gate_hl7_reason reason);

/* The code of the reason in HL7's table 0357, for ERR-3; 0 for GATE_HL7_OK. */
unsigned gate_hl7_reason_error(enum gate_hl7_reason reason);

/* ----------------------------------------------------------------------------------- parts --- */

/* Nothing, only blanks, or "" (which is how HL7 writes a null). */
bool gate_hl7_blank(struct gate_span in);

/* Whether the segment has this name of three characters. */
bool gate_hl7_named(struct gate_span segment, const char *name);

/* Takes the next segment, without its end, off the front of `rest`; false when there is none.
 * Begin with `rest` = message.whole. Empty lines are passed over. */
bool gate_hl7_next_segment(struct gate_span *rest, struct gate_span *segment);

/* The nth segment of this name. Looks from the start each time: to see all, use the above. */
struct gate_span gate_hl7_segment(const struct gate_hl7 *m, const char *name, size_t nth);

/* SEG-n of a segment of this message. In MSH, FHS and BHS field 1 is the separator itself. */
struct gate_span gate_hl7_field(const struct gate_hl7 *m, struct gate_span segment, size_t number);

/* The nth repetition of a field, component of a repetition, subcomponent of a component. Not for
 * MSH-2, whose bytes are separators without that meaning. */
struct gate_span gate_hl7_repetition(const struct gate_hl7 *m, struct gate_span in, size_t number);
struct gate_span gate_hl7_component(const struct gate_hl7 *m, struct gate_span in, size_t number);
struct gate_span gate_hl7_subcomponent(
    const struct gate_hl7 *m, struct gate_span in, size_t number);

/*
 * Decodes the escape sequences \F\ \S\ \T\ \R\ \E\ \P\ \Xhh..\ and \.br\ (a line feed) into buf;
 * all others, and those that are malformed, are copied as they stand. False: it does not fit in
 * cap bytes, and then what buf holds is undefined. It never needs more than in.bytes.
 */
bool gate_hl7_unescape(
    const struct gate_hl7 *m, struct gate_span in, char *buf, size_t cap, size_t *bytes);

/* ------------------------------------------------------------------------ patient and codes --- */

/*
 * Whom the message is about, as a key to keep order by: of the first PID, the first repetition
 * of PID-3, its identifier and its assigning authority (components 1 and 4), decoded, with 0x1F
 * between them and between the parts of the authority. The separators of the sender do not show
 * in it. A longer key is cut at cap: patients who then share a key are kept in one order, which
 * does no harm. The bytes written; 0: the message names no patient. It is patient data.
 */
size_t gate_hl7_patient_key(const struct gate_hl7 *m, char *buf, size_t cap);

/* A coded value for the terminology service to check; raw spans, escapes not decoded. */
struct gate_hl7_code {
    struct gate_span code; /* component 1, never blank */
    struct gate_span system; /* component 3, may be empty */
    const char *segment; /* where it stands: "OBX" ... */
    unsigned field; /* ... 5 */
};

/* Walks the coded values of a message: OBX-3, OBX-5 when OBX-2 says CE, CWE or CNE, OBR-4,
 * DG1-3, PR1-3, AL1-3, IAM-3, PRB-3, RXA-5, RXO-1, RXE-2 and RXD-2, each repetition. */
struct gate_hl7_codes {
    const struct gate_hl7 *message; /* borrowed */
    struct gate_span segments; /* not looked at yet */
    struct gate_span segment;
    struct gate_span repetitions; /* of the present field, not looked at yet */
    size_t rule; /* the next one to try on the segment */
    bool in_field;
};

void gate_hl7_codes_init(struct gate_hl7_codes *codes, const struct gate_hl7 *message);
bool gate_hl7_codes_next(struct gate_hl7_codes *codes, struct gate_hl7_code *out);

/* ------------------------------------------------------------------------ acknowledgements --- */

enum gate_hl7_verdict {
    GATE_HL7_ACCEPT, /* AA: it is safely kept */
    GATE_HL7_ERROR, /* AE: not now (no room, journal full): send it again */
    GATE_HL7_REJECT /* AR: never: do not send these bytes again */
};

/* What to answer. The strings end in NUL, and separators in them are escaped. */
struct gate_hl7_answer {
    enum gate_hl7_verdict verdict;
    const char *text; /* MSA-3 and ERR-8, up to 128 bytes; "": none */
    unsigned error; /* ERR-3, from table 0357; 0: no ERR segment */
    const char *control_id; /* MSH-10 of the acknowledgement, up to 64 bytes */
    const char *time; /* its MSH-7, up to 32 bytes */
};

/* An acknowledgement to any message fits in so much. */
#define GATE_HL7_ACK_MAX 4096

/*
 * Whether MSH-15 or MSH-16 is not null. Then the verdicts are written CA, CE and CR, which mean
 * what ours do: committed to safe storage, or not. An acknowledgement is written even for NE
 * (never): over MLLP a sender waits for one, whatever it put there.
 */
bool gate_hl7_enhanced(const struct gate_hl7 *m);

/*
 * Writes the acknowledgement to `in`, in its separators, with sender and receiver exchanged and
 * its MSH-10 byte for byte in MSA-2; an ERR segment only where version 2.5 or later is spoken,
 * for its layout changed there. `in` NULL, or with an empty header: the usual separators and an
 * empty MSA-2. The bytes written, or 0 when it does not fit in cap.
 */
size_t gate_hl7_ack(
    void *buf, size_t cap, const struct gate_hl7 *in, const struct gate_hl7_answer *answer);

struct gate_hl7_reply {
    enum gate_hl7_verdict verdict;
    bool commit; /* it was one of CA, CE, CR */
    struct gate_span control_id; /* MSA-2, bytes of the acknowledgement */
};

/* Reads an acknowledgement; false when it is none that can be understood. Its text is left
 * alone: other systems quote the message in it. */
bool gate_hl7_read_ack(struct gate_hl7_reply *out, const void *at, size_t bytes);

#endif
