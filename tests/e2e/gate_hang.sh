#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The terminology service hangs, drips, fails and resets in turn. That costs the messages their
# checks for a while, but no acknowledgement, actor or socket: ACK times stay what they were, all
# messages are done when the service is well again, and the census, the gate's files and the
# service's connections are what they were before.
#
# Usage: tests/e2e/gate_hang.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_hang
options=(--retry-ms 300 --retry-max-ms 1000 --check-ms 500 --attempts 100)

load() {
    messages 1000 50 "$1" >"$1.hl7"
    "$gate" send --to "$at" --connections 4 --rate 500 --ids ids "$1.hl7" >"$1.out" 2>send.err ||
        fail "with the service on $1 the sender lost messages: $(cat "$1.out")"
}

start_terms
start_gate --workers 1 "${options[@]}"
wait_for 10 registered 1 || give_up "the worker does not register"
load warm
wait_for 30 queue_is_empty
sites >sites.before
files=$(open_files "$gate_pid")
load answer
wait_for 30 queue_is_empty || fail "the healthy run did not end"
# CPU time of the worker, in ticks of 10 ms: who waits for a slow service must not spin.
worker_ticks() { awk '{ print $14 + $15 }' "/proc/$(workers | head -n 1)/stat"; }
for how in hang drip fail reset; do
    mode $how
    ticks=$(worker_ticks)
    load $how
    ticks=$(($(worker_ticks) - ticks))
    [ $ticks -lt 40 ] || fail "with the service on $how the worker computed for $ticks ticks"
done
waiting=$(figure queued)
[ "$waiting" -gt 0 ] || fail "nothing is queued, though the service was ill"
mode answer
wait_for 60 queue_is_empty || fail "$(figure queued) messages are still queued"
expect_figure received 6000
expect_figure "done" 6000
expect_kept ids
expect_no_faults
expect_same_sites sites.before
few_files() { [ "$(open_files "$gate_pid")" -le "$files" ]; }
wait_for 5 few_files || fail "the gate has $(open_files "$gate_pid") files open, not $files"
few_open() { [ "$(stat_of open)" -le 1 ]; }
wait_for 5 few_open || fail "$(stat_of open) connections are open at the service"
for how in answer hang drip fail reset; do
    echo "ACK p99 with the service on $how: $(p99_of $how.out) ms"
done
awk -v well="$(p99_of answer.out)" -v ill="$(p99_of hang.out)" \
    'BEGIN { printf "hang / answer: %.2f\n", ill / well; exit ill > 5 * well + 50 }' ||
    fail "acknowledgements are slow while the service hangs"
echo "retried: $(figure retried), queued when it was well again: $waiting"
stop_gate 15

# The same without workers: the checks are actors of the gate then, and seen in its census. What
# is tried too often is dead, with the reason.
start_gate --workers 0 --retry-ms 100 --retry-max-ms 100 --check-ms 200 --attempts 3
sites >sites.before
mode hang
load inside
checking() { sites | grep -q 'desk.c'; }
wait_for 10 checking || fail "no check is seen in the census"
some_dead() { [ "$(figure dead)" -gt 20 ]; }
wait_for 20 some_dead || fail "no message is dead after three tries"
mode answer
wait_for 60 queue_is_empty || fail "$(figure queued) messages are still queued"
expect_figure received 7000
[ $(($(figure "done") + $(figure dead))) -eq 7000 ] || fail "not every message is done or dead"
"$gate" status --journal gate.db | grep -q '^  dead.*: the terminology service did not answer' ||
    fail "the dead have no reason"
expect_kept ids
expect_no_faults
expect_same_sites sites.before
stop_gate 15
