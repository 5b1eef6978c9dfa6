/* SPDX-License-Identifier: MIT */
/*
 * terms.h - `gate terms`: a stand-in for an external terminology service that misbehaves when told.
 *
 *   GET  /check?system=S&code=C   {"result":true}, or false for a code that begins with BAD
 *   POST /_mode                   answer | hang | drip | fail | reset | slow MS
 *   GET  /_stats                  counts, as JSON
 *
 * drip sends the answer a byte a second, fail answers 500, reset closes the connection unanswered.
 * A change of mode lets go of every request that is held: it is treated in the new mode. Runs on
 * the calling thread alone until SIGTERM, SIGINT or the end of --for-ms; knows nothing of ward.
 */
#ifndef GATE_TERMS_H
#define GATE_TERMS_H

/* argv[0] is the command's name. The exit code: 0, 1 for a failure, 2 for wrong usage. */
int gate_terms_main(int argc, char **argv);

#endif
