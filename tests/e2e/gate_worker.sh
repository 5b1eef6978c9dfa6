#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Worker processes are killed and stopped (SIGSTOP) under load: their supervisor starts new ones,
# a stopped one is not left behind, every message is done, none twice, and the number of actors of
# each spawn site is what it was.
#
# Usage: tests/e2e/gate_worker.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_worker
count=3000

new_workers() {
    local now
    now=$(workers | sort)
    [ "$(wc -l <<<"$now")" -eq 2 ] && [ "$(comm -12 <(echo "$now") <(echo "$1") | wc -l)" -eq "$2" ]
}

start_terms
start_gate --workers 2 --retry-ms 200 --retry-max-ms 1000
wait_for 10 registered 2 || give_up "the workers do not register"
sites >sites.before
mode 'slow 20'
messages $count 60 worker >load.hl7
"$gate" send --to "$at" --connections 8 --rate 400 --ids ids load.hl7 >send.out 2>send.err &
sender=$!
started+=("$sender")
before=$(workers | sort)
sleep 0.5
kill -KILL "$(head -n 1 <<<"$before")"
wait_for 10 new_workers "$before" 1 || fail "the killed worker was not replaced"
before=$(workers | sort)
kill -STOP "$(tail -n 1 <<<"$before")"
wait_for 15 new_workers "$before" 1 || fail "the stopped worker was not replaced"
before=$(workers | sort)
for pid in $before; do kill -KILL "$pid"; done
wait_for 15 new_workers "$before" 0 || fail "two killed workers were not replaced"
wait_pid 60 "$sender" || fail "the sender lost messages: $(cat send.out)"
mode answer
wait_for 60 queue_is_empty || fail "$(figure queued) messages are still queued"
cat send.out
expect_figure received $count
expect_figure "done" $count
expect_kept ids
expect_no_faults
expect_same_sites sites.before
echo "retried: $(figure retried)"
stop_gate 15
wait_for 5 no_workers || fail "workers outlived the gate: $(workers)"
