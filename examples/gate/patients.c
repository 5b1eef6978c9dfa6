/* SPDX-License-Identifier: MIT */
/*
 * patients.c - one run after the other: ask the journal for the next, have it checked, report.
 *
 * The journal is the queue and keeps the order of each patient, so nothing is lost here: an
 * incarnation that ends in the middle leaves a run behind which its successor has taken back
 * before it asks for more. Ending a run and asking for the next is one question, answered after
 * the commit; it is repeated as it is when the journal could not write, and a second end of a run
 * changes nothing. What is waited for between runs is WAKE; the slow look besides is a second
 * belt, not how the work comes.
 *
 * A check that did not come about is the message's trouble: it is tried again later, and in the
 * end set aside as dead, with the reason. Codes that are unknown to the service are a result.
 * Bodies on the pool; no thread is held while a check hangs.
 */
#include "examples/gate/patients.h"
#include "examples/gate/types.h"

enum { JOURNAL_MS = 60000, LOOK_MS = 5000, PAUSE_MS = 200, FIND_MS = 5000 };

struct shard {
    ward_self *self;
    const struct gate_patients_arg *arg;
    ward_ref journal, checks;
};

/* Doubles with each try, and a little by chance, so that what failed together does not come back
 * together. */
static uint32_t delay_ms(const struct shard *s, uint32_t attempt)
{
    const struct gate_config *config = s->arg->config;
    int64_t ms = config->retry_ms, max = config->retry_max_ms;

    for (uint32_t i = 1; i < attempt && ms < max; i++)
        ms *= 2;
    if (ms > max) ms = max;
    return (uint32_t)(ms + (int64_t)(ward_random(s->self) % (uint64_t)(ms / 8 + 1)));
}

static void set_retry(
    const struct shard *s, struct gate_next *next, uint32_t attempt, const char *reason)
{
    struct gate_config *config = s->arg->config;

    next->reason = reason;
    next->end = attempt < config->attempts ? GATE_END_RETRY : GATE_END_DEAD;
    next->delay_ms = delay_ms(s, attempt);
    if (next->end == GATE_END_DEAD)
        gate_log_limited(&config->log, GATE_LOG_DEAD, "message %lld is dead after %u tries: %s",
            (long long)next->id, attempt, reason);
    else
        gate_log_limited(&config->log, GATE_LOG_RETRY, "message %lld is tried again: %s",
            (long long)next->id, reason);
}

/* WARD_OK: its codes were looked up, whatever the result. */
static ward_status check(const struct shard *s, const struct gate_run *run)
{
    const struct gate_check question = { run->codes, run->codes_count };
    const ward_msg *checked;

    if (run->codes_count == 0) return WARD_OK;
    return ward_ask(s->self, &checked, s->checks, &gate_check_type, &question,
        ward_in_ms(s->self, s->arg->config->check_all_ms));
}

/* Works on a run; what is to be said of it goes into *next. An error ends this incarnation. */
static ward_status work(const struct shard *s, struct gate_next *next, const struct gate_run *run)
{
    ward_status rc;

    next->id = run->id;
    next->attempt = run->attempt;
    /* Runs that were taken back count as well: a message that ends whoever works on it would
     * otherwise come again for ever. */
    if (run->attempt > s->arg->config->attempts) {
        set_retry(s, next, run->attempt, "it was tried too often");
        return WARD_OK;
    }
    if (run->problem == GATE_CODES_TOO_MANY) {
        set_retry(s, next, UINT32_MAX, "it has more codes than can be checked");
        return WARD_OK;
    }
    rc = run->problem == GATE_CODES_NO_MEMORY ? WARD_ENOMEM : check(s, run);
    if (rc == WARD_ECANCELED || rc == WARD_EFENCED) return rc;
    next->end = GATE_END_DONE;
    if (rc) set_retry(s, next, run->attempt, gate_check_reason(rc));
    return WARD_OK;
}

/* Says how the last run ended, and gets the next. */
static ward_status ask_next(
    const struct shard *s, const struct gate_next *next, const struct gate_run **run)
{
    const ward_msg *answer;
    ward_status rc;

    for (;;) {
        rc = ward_ask(
            s->self, &answer, s->journal, &gate_next_type, next, ward_in_ms(s->self, JOURNAL_MS));
        if (rc != GATE_ENOTKEPT) break;
        rc = ward_sleep(s->self, ward_in_ms(s->self, PAUSE_MS));
        if (rc) return rc;
    }
    if (rc) return rc;
    *run = ward_value(answer, &gate_run_type);
    return *run ? WARD_OK : WARD_EFAIL;
}

static ward_status wait_for_wake(ward_self *self)
{
    const ward_msg *msg;
    ward_status rc = ward_receive(self, &msg, ward_in_ms(self, LOOK_MS));

    return rc == WARD_ETIMEDOUT ? WARD_OK : rc;
}

ward_status gate_patients(ward_self *self)
{
    struct shard s = { .self = self, .arg = ward_arg(self) };
    struct gate_next next = { .shard = s.arg->shard, .shard_ref = ward_me(self), .first = true };
    const struct gate_run *run;
    ward_status rc = ward_find(self, &s.journal, "/main/gate/journal", ward_in_ms(self, FIND_MS));

    if (!rc) rc = ward_find(self, &s.checks, "/main/gate/checks", ward_in_ms(self, FIND_MS));
    while (!rc) {
        rc = ask_next(&s, &next, &run);
        next.first = false;
        next.end = GATE_END_NONE;
        if (rc) break;
        rc = run->id ? work(&s, &next, run) : wait_for_wake(self);
    }
    return rc;
}
