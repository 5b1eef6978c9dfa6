#!/bin/bash
# SPDX-License-Identifier: MIT
#
# SIGTERM under load, with a service that hangs: the gate takes nothing new, ends within --stop-ms,
# and what it acknowledged is kept and goes on at the next start. The workers end with it.
#
# Usage: tests/e2e/gate_stop.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_stop
start_terms
start_gate --workers 2 --stop-ms 3000
wait_for 10 registered 2 || give_up "the workers do not register"
mode hang
messages 20000 80 stop >load.hl7
"$gate" send --to "$at" --connections 16 --retry-ms 0 --ids ids load.hl7 >send.out 2>send.err &
sender=$!
started+=("$sender")
some_kept() { [ "$(figure received)" -gt 1000 ]; }
wait_for 20 some_kept || give_up "no load"
began=$(date +%s%3N)
stop_gate 10
took=$(($(date +%s%3N) - began))
[ "$took" -le 3500 ] || fail "it took $took ms to stop, with --stop-ms 3000"
wait_for 5 no_workers || fail "workers outlived the gate: $(workers)"
kill -TERM "$sender" 2>/dev/null
wait_pid 20 "$sender"
expect_kept ids
expect_no_faults
kept=$(figure received)
mode answer
start_gate --workers 2
wait_for 100 queue_is_empty || fail "$(figure queued) messages are still queued"
expect_figure received "$kept"
expect_figure "done" "$kept"
expect_no_faults
echo "stopped in $took ms with $kept messages kept, $(wc -l <ids) acknowledged"
stop_gate 15
