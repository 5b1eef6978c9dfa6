/* SPDX-License-Identifier: MIT */
/*
 * values.h - message types with a member of every kind and width, for the tests of copying and of
 * the wire, and a value of them that is filled in everywhere.
 *
 * Header only; what a test does not use is unused without a warning. Owns nothing: the blobs in a
 * sample are the caller's.
 */
#ifndef WARD_TESTS_SUPPORT_VALUES_H
#define WARD_TESTS_SUPPORT_VALUES_H

#include <ward/ward.h>

#define MAYBE_UNUSED __attribute__((unused))

struct point {
    int16_t x;
    double y;
};
MAYBE_UNUSED static const ward_field POINT_FIELDS[] = {
    WARD_FIELD(struct point, INT, x),
    WARD_FIELD(struct point, REAL, y),
};
MAYBE_UNUSED static const ward_type POINT = WARD_TYPE("point", struct point, POINT_FIELDS);

/* Element types of lists of strings and blobs. */
MAYBE_UNUSED static const ward_type WORD = WARD_TYPE_TEXT("word");
MAYBE_UNUSED static const ward_type SCAN = WARD_TYPE_BLOB("scan");

struct line {
    const char *code;
    const ward_blob *scan;
    uint8_t weight;
};
MAYBE_UNUSED static const ward_field LINE_FIELDS[] = {
    WARD_FIELD(struct line, TEXT, code),
    WARD_FIELD(struct line, BLOB, scan),
    WARD_FIELD(struct line, UINT, weight),
};
MAYBE_UNUSED static const ward_type LINE = WARD_TYPE("line", struct line, LINE_FIELDS);

struct sheet {
    const struct line *lines;
    size_t lines_count;
    const char *const *notes;
    size_t notes_count;
};
MAYBE_UNUSED static const ward_field SHEET_FIELDS[] = {
    WARD_FIELD_LIST(struct sheet, lines, lines_count, LINE),
    WARD_FIELD_LIST(struct sheet, notes, notes_count, WORD),
};
MAYBE_UNUSED static const ward_type SHEET = WARD_TYPE("sheet", struct sheet, SHEET_FIELDS);

struct numbers {
    int8_t i8;
    uint8_t u8;
    int16_t i16;
    uint16_t u16;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    float f32;
    double f64;
    bool yes;
    ward_ref ref;
};
MAYBE_UNUSED static const ward_field NUMBERS_FIELDS[] = {
    WARD_FIELD(struct numbers, INT, i8),
    WARD_FIELD(struct numbers, UINT, u8),
    WARD_FIELD(struct numbers, INT, i16),
    WARD_FIELD(struct numbers, UINT, u16),
    WARD_FIELD(struct numbers, INT, i32),
    WARD_FIELD(struct numbers, UINT, u32),
    WARD_FIELD(struct numbers, INT, i64),
    WARD_FIELD(struct numbers, UINT, u64),
    WARD_FIELD(struct numbers, REAL, f32),
    WARD_FIELD(struct numbers, REAL, f64),
    WARD_FIELD(struct numbers, BOOL, yes),
    WARD_FIELD(struct numbers, REF, ref),
};
MAYBE_UNUSED static const ward_type NUMBERS = WARD_TYPE("numbers", struct numbers, NUMBERS_FIELDS);

struct all {
    struct numbers numbers;
    const char *text;
    ward_bytes bytes;
    const ward_blob *blob;
    const struct point *points;
    size_t points_count;
    const struct sheet *sheets;
    size_t sheets_count;
    const ward_blob *const *scans;
    size_t scans_count;
};
MAYBE_UNUSED static const ward_field ALL_FIELDS[] = {
    WARD_FIELD_STRUCT(struct all, numbers, NUMBERS),
    WARD_FIELD(struct all, TEXT, text),
    WARD_FIELD(struct all, BYTES, bytes),
    WARD_FIELD(struct all, BLOB, blob),
    WARD_FIELD_LIST(struct all, points, points_count, POINT),
    WARD_FIELD_LIST(struct all, sheets, sheets_count, SHEET),
    WARD_FIELD_LIST(struct all, scans, scans_count, SCAN),
};
MAYBE_UNUSED static const ward_type ALL = WARD_TYPE("all", struct all, ALL_FIELDS);

MAYBE_UNUSED static const ward_type TEXT = WARD_TYPE_TEXT("text");
MAYBE_UNUSED static const ward_type BLOB = WARD_TYPE_BLOB("blob");
MAYBE_UNUSED static const ward_type EMPTY = WARD_TYPE_EMPTY("empty");
MAYBE_UNUSED static const ward_type PLAIN = WARD_TYPE_PLAIN("plain", struct point);

/* A value with everything in it, and the memory its pointers lead to. */
struct sample {
    struct all all;
    struct point points[3];
    struct line lines[2];
    const char *notes[3];
    struct sheet sheets[2];
    const ward_blob *scans[3];
    char text[16];
};

MAYBE_UNUSED static void sample_fill(struct sample *s, const ward_blob *one, const ward_blob *two)
{
    *s = (struct sample){
        .points = { { -1, 0.5 }, { 2, -1e300 }, { 0, 0 } },
        .lines = { { "8867-4", one, 200 }, { NULL, NULL, 0 } },
        .notes = { "first", NULL, "" },
        .scans = { two, NULL, one },
        .text = "a text",
    };
    s->sheets[0] = (struct sheet){ s->lines, 2, s->notes, 3 };
    s->sheets[1] = (struct sheet){ NULL, 0, s->notes, 0 };
    s->all = (struct all){
        .numbers = { INT8_MIN, UINT8_MAX, INT16_MIN, UINT16_MAX, INT32_MIN, UINT32_MAX, INT64_MIN,
            UINT64_MAX, 1.5f, -2.25, true, { 7, 8, UINT64_MAX } },
        .text = s->text,
        .bytes = { "\0\1\2", 3 },
        .blob = one,
        .points = s->points,
        .points_count = 3,
        .sheets = s->sheets,
        .sheets_count = 2,
        .scans = s->scans,
        .scans_count = 3,
    };
}

/* A chain of the given number of structs, each in a list of the one before, the last with a list
 * of words: as deep as the wire gets for 8. */
struct chain {
    const struct chain *next;
    size_t next_count;
    const char *const *words;
    size_t words_count;
};

enum { CHAIN_MAX = 12 };

struct chain_types {
    ward_field fields[CHAIN_MAX][2];
    ward_type types[CHAIN_MAX];
};

MAYBE_UNUSED static const ward_type *chain_type(struct chain_types *chain, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++) {
        bool last = i + 1 == depth;
        ward_field list = WARD_FIELD_LIST(struct chain, next, next_count, SHEET);
        ward_field words = WARD_FIELD_LIST(struct chain, words, words_count, WORD);

        list.of = last ? NULL : &chain->types[i + 1];
        chain->fields[i][0] = words;
        chain->fields[i][1] = list;
        chain->types[i] = (ward_type)WARD_TYPE_PLAIN("chain", struct chain);
        chain->types[i].fields = chain->fields[i];
        chain->types[i].fields_count = last ? 1 : 2;
    }
    return &chain->types[0];
}

MAYBE_UNUSED static const struct chain *chain_value(struct chain at[CHAIN_MAX], unsigned depth)
{
    static const char *const words[] = { "deep", NULL };

    for (unsigned i = 0; i < depth; i++) {
        bool last = i + 1 == depth;
        at[i] = (struct chain){ last ? NULL : &at[i + 1], last ? 0 : 1, words, 2 };
    }
    return &at[0];
}

#endif
