#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kill -9 of the gate under load, three times: each acknowledged message is in the journal once and
# is processed after the restart, in its patient's order, and none is marked done twice.
#
# Usage: tests/e2e/gate_kill.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_kill
count=3000
messages $count 60 kill >load.hl7
start_terms
start_gate --workers 2
"$gate" send --to "$at" --connections 8 --rate 500 --retry-ms 30000 --ids ids load.hl7 \
    >send.out 2>send.err &
sender=$!
started+=("$sender")
for round in 1 2 3; do
    sleep 1.2
    kill -KILL "$gate_pid"
    wait "$gate_pid" 2>/dev/null
    has_ended "$sender" && fail "the load was over before kill $round"
    start_gate --workers 2
done
wait_pid 60 "$sender" || fail "the sender lost messages: $(cat send.out)"
wait_for 60 queue_is_empty || fail "$(figure queued) messages are still queued"
cat send.out
expect_figure received $count
expect_figure "done" $count
expect_figure dead 0
expect_kept ids
expect_no_faults
echo "taken back after kills: $(figure taken-back), duplicates answered: $(figure duplicates)"
stop_gate 15
wait_for 5 no_workers || fail "workers outlived their gates: $(workers)"
