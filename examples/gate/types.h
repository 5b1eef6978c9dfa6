/* SPDX-License-Identifier: MIT */
/*
 * types.h - what the gate's actors say to each other. CHECK, CHECKED, REGISTER and REGISTERED
 * travel between processes and stand in gate_table; all others stay in the gate.
 *
 *   connection -> journal    STORE     -> STORED       answered after the commit
 *   patients   -> journal    NEXT      -> RUN          ends a run and claims the next, likewise
 *   journal    -> patients   WAKE                      something is ready
 *   patients   -> checks     CHECK     -> CHECKED      forwarded to a desk, and by it to a step
 *   worker     -> checks     REGISTER  -> REGISTERED   this desk takes checks
 *   checks     -> its worker ARRIVED, LOST             it has registered; its link is gone
 *
 * Statuses below WARD_EUSER say why a check did not come about; they cross the link as they are.
 */
#ifndef GATE_TYPES_H
#define GATE_TYPES_H

#include <ward/ward.h>

#define GATE_ENOWORKER ((ward_status)(WARD_EUSER - 1)) /* nobody takes checks at this moment */
#define GATE_EREFUSED \
    ((ward_status)(WARD_EUSER - 2)) /* no connection to the service, or it broke */
#define GATE_EANSWER ((ward_status)(WARD_EUSER - 3)) /* the service answered with an error */
#define GATE_EUNREADABLE ((ward_status)(WARD_EUSER - 4)) /* or with what is no answer */
#define GATE_ENOTKEPT ((ward_status)(WARD_EUSER - 5)) /* the journal could not write: no change */

/* For reasons in the journal and in log lines: fixed texts. */
const char *gate_check_reason(ward_status status);

struct gate_store {
    const ward_blob *content;
    ward_bytes application, facility, control_id, patient;
};
struct gate_stored {
    bool kept, duplicate; /* neither: no space */
};

enum gate_end { GATE_END_NONE, GATE_END_DONE, GATE_END_RETRY, GATE_END_DEAD };
struct gate_next {
    ward_ref shard_ref; /* whom to wake */
    uint32_t shard;
    bool first; /* of this incarnation: what its shard has running is taken back */
    uint8_t end; /* enum gate_end, of the run below */
    int64_t id;
    uint32_t attempt;
    uint32_t delay_ms; /* of a retry */
    const char *reason; /* of a retry and of the dead */
};

enum gate_codes_problem { GATE_CODES_FINE, GATE_CODES_TOO_MANY, GATE_CODES_NO_MEMORY };
struct gate_coded {
    ward_bytes system, code;
};
struct gate_run {
    int64_t id; /* 0: nothing is ready */
    uint32_t attempt;
    uint8_t problem; /* enum gate_codes_problem: why there can be no check */
    const struct gate_coded *codes;
    size_t codes_count;
};

struct gate_check {
    const struct gate_coded *codes;
    size_t codes_count;
};
struct gate_checked {
    uint32_t valid, invalid;
};

struct gate_register {
    ward_ref desk;
    const char *name; /* of the worker */
};

extern const ward_type gate_store_type, gate_stored_type, gate_next_type, gate_run_type;
extern const ward_type gate_wake_type, gate_check_type, gate_checked_type;
extern const ward_type gate_register_type, gate_registered_type;
extern const ward_type gate_arrived_type, gate_lost_type;

/* What may come over the link. */
extern const ward_table gate_table;

#endif
