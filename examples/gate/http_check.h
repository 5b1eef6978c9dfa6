/* SPDX-License-Identifier: MIT */
/*
 * http_check.h - asks the terminology service about codes, over HTTP, from a body actor.
 *
 * A struct gate_http is one conversation over one connection that is kept between questions. It
 * belongs to the incarnation that opened it and is closed with it, also in the middle of a
 * question. No thread is held while the service thinks. Knows nothing of messages or the journal.
 */
#ifndef GATE_HTTP_CHECK_H
#define GATE_HTTP_CHECK_H

#include "examples/gate/types.h"

struct gate_http;

/* Once a process, before any thread. False: libcurl does not start. */
bool gate_http_init(void);

ward_status gate_http_open(ward_self *self, struct gate_http **out, const char *url);

/* WARD_ETIMEDOUT, or why there is no answer (types.h), or the errors of a wait. After any of
 * these the connection is not used again. */
ward_status gate_http_check(
    struct gate_http *http, const struct gate_coded *coded, ward_deadline by, bool *valid);

#endif
