#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Duplicates, and a second gate. The same message again is acknowledged and kept once; the same
# control id with other content is another message; a second gate on the same journal is refused
# with a reason, before it listens, and the first one does not notice.
#
# Usage: tests/e2e/gate_twice.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_twice
start_terms
start_gate
messages 200 20 twice >load.hl7
"$gate" send --to "$at" --connections 4 --rounds 3 --exact --ids ids load.hl7 >send.out ||
    fail "the sender lost messages: $(cat send.out)"
sed 's/Invented/Renamed/g' load.hl7 >other.hl7
"$gate" send --to "$at" --connections 4 other.hl7 >other.out || fail "$(cat other.out)"
wait_for 30 queue_is_empty || fail "$(figure queued) messages are still queued"
[ "$(wc -l <ids)" -eq 600 ] || fail "not every duplicate was acknowledged"
expect_figure received 400
expect_figure duplicates 400
expect_figure control-id-reused 200
expect_figure "done" 400
expect_no_faults
timeout 10 "$gate" run --listen 127.0.0.1:0 --journal gate.db --terms "$terms" \
    >second.out 2>second.err
code=$?
[ "$code" -eq 1 ] || fail "a second gate ended with $code"
grep -q 'another gate writes to this journal' second.err || fail "it says: $(cat second.err)"
[ -s second.out ] && fail "a second gate listened"
"$gate" send --to "$at" --exact load.hl7 >again.out || fail "the first gate is disturbed"
stop_gate 15
