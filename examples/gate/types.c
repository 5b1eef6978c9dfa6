/* SPDX-License-Identifier: MIT */
/*
 * types.c - field tables of what the gate's actors say to each other, and texts of statuses.
 *
 * Constant data: any thread.
 */
#include "examples/gate/types.h"

/* NOLINTBEGIN(bugprone-sizeof-expression): the sizes of pointers are meant */
static const ward_field STORE[] = {
    WARD_FIELD(struct gate_store, BLOB, content),
    WARD_FIELD(struct gate_store, BYTES, application),
    WARD_FIELD(struct gate_store, BYTES, facility),
    WARD_FIELD(struct gate_store, BYTES, control_id),
    WARD_FIELD(struct gate_store, BYTES, patient),
};
static const ward_field NEXT[] = {
    WARD_FIELD(struct gate_next, REF, shard_ref),
    WARD_FIELD(struct gate_next, UINT, shard),
    WARD_FIELD(struct gate_next, BOOL, first),
    WARD_FIELD(struct gate_next, UINT, end),
    WARD_FIELD(struct gate_next, INT, id),
    WARD_FIELD(struct gate_next, UINT, attempt),
    WARD_FIELD(struct gate_next, UINT, delay_ms),
    WARD_FIELD(struct gate_next, TEXT, reason),
};
static const ward_field CODED[] = {
    WARD_FIELD(struct gate_coded, BYTES, system),
    WARD_FIELD(struct gate_coded, BYTES, code),
};
static const ward_type CODED_TYPE = WARD_TYPE("coded", struct gate_coded, CODED);
static const ward_field RUN[] = {
    WARD_FIELD(struct gate_run, INT, id),
    WARD_FIELD(struct gate_run, UINT, attempt),
    WARD_FIELD(struct gate_run, UINT, problem),
    WARD_FIELD_LIST(struct gate_run, codes, codes_count, CODED_TYPE),
};
static const ward_field CHECK[] = {
    WARD_FIELD_LIST(struct gate_check, codes, codes_count, CODED_TYPE),
};
static const ward_field CHECKED[] = {
    WARD_FIELD(struct gate_checked, UINT, valid),
    WARD_FIELD(struct gate_checked, UINT, invalid),
};
static const ward_field REGISTER[] = {
    WARD_FIELD(struct gate_register, REF, desk),
    WARD_FIELD(struct gate_register, TEXT, name),
};

const ward_type gate_store_type = WARD_TYPE("store", struct gate_store, STORE);
const ward_type gate_stored_type = WARD_TYPE_PLAIN("stored", struct gate_stored);
const ward_type gate_next_type = WARD_TYPE("next", struct gate_next, NEXT);
const ward_type gate_run_type = WARD_TYPE("run", struct gate_run, RUN);
const ward_type gate_wake_type = WARD_TYPE_EMPTY("wake");
const ward_type gate_check_type = WARD_TYPE("check", struct gate_check, CHECK);
const ward_type gate_checked_type = WARD_TYPE("checked", struct gate_checked, CHECKED);
const ward_type gate_register_type = WARD_TYPE("register", struct gate_register, REGISTER);
const ward_type gate_registered_type = WARD_TYPE_EMPTY("registered");
const ward_type gate_arrived_type = WARD_TYPE_EMPTY("arrived");
const ward_type gate_lost_type = WARD_TYPE_EMPTY("lost");

static const ward_type *const TRAVEL[] = { &gate_check_type, &gate_checked_type,
    &gate_register_type, &gate_registered_type };
const ward_table gate_table = { .types = TRAVEL, .types_count = WARD_COUNT(TRAVEL) };
/* NOLINTEND(bugprone-sizeof-expression) */

const char *gate_check_reason(ward_status status)
{
    switch ((int)status) {
    case WARD_ETIMEDOUT: return "the terminology service did not answer in time";
    case WARD_ELINK:
    case WARD_EGONE:
    case WARD_ENOREPLY: return "the worker was lost during the check";
    case WARD_EUNAVAIL: return "too many checks at once";
    case GATE_ENOWORKER: return "no worker was there to check it";
    case GATE_EREFUSED: return "the terminology service cannot be reached";
    case GATE_EANSWER: return "the terminology service answered with an error";
    case GATE_EUNREADABLE: return "the answer of the terminology service is unreadable";
    default: return "the check failed";
    }
}
