#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Neighbours of bad senders: a connection that sends nothing but broken messages, one that sends
# garbage and one that never ends a frame do not slow the acknowledgements of the others.
#
# Usage: tests/e2e/gate_bad.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_bad

load() {
    messages 3000 60 "$1" >"$1.hl7"
    "$gate" send --to "$at" --connections 8 --rate 1000 --ids ids "$1.hl7" >"$1.out" 2>send.err ||
        fail "the sender lost messages: $(cat "$1.out")"
}

start_terms
start_gate
load warm
load healthy
sed 's/|ORU^R01|[^|]*|/|ORU^R01||/g' healthy.hl7 >bad.hl7
"$gate" send --to "$at" --connections 2 --rate 200 --rounds 20 bad.hl7 >bad.out 2>/dev/null &
bad=$!
started+=("$bad")
raw_open
while printf 'garbage between frames, and no frame at all \0\r\n' >&9; do
    read -rt 0.01 -u 9 _ || true # a pause without a process: those would be felt, too
done 2>/dev/null &
started+=($!)
exec 8<>"/dev/tcp/127.0.0.1/$gate_port" || give_up "cannot connect"
printf '\x0bMSH|^~\\&|BAD|LAB|GATE|WARD|20240101120000||ORU^R01|unended|P|2.5.1\rOBX|1|ED|PDF||' >&8
while printf 'and so on, without an end' >&8; do
    read -rt 0.01 -u 8 _ || true
done 2>/dev/null &
started+=($!)
load neighbours
kill -TERM "$bad"
wait_pid 10 "$bad"
grep -q 'refused [1-9][0-9][0-9]' bad.out || fail "bad messages were not refused: $(cat bad.out)"
grep -q 'acknowledged 0, ' bad.out || fail "bad messages were acknowledged: $(cat bad.out)"
grep -q 'refused' gate.err || fail "refusals are not logged"
[ "$(grep -c 'refused' gate.err)" -lt 60 ] || fail "refusals flood the log"
wait_for 30 queue_is_empty || fail "$(figure queued) messages are still queued"
expect_figure received 9000
expect_kept ids
awk -v well="$(p99_of healthy.out)" -v bad="$(p99_of neighbours.out)" 'BEGIN {
    printf "ACK p99 healthy %s ms, beside bad senders %s ms, ratio %.2f\n", well, bad, bad / well
    exit bad > 5 * well + 50 }' || fail "bad senders slow the others"
stop_gate 15
