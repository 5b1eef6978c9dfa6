#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A hundred senders of 30 MiB at once: each gets an answer, AA or "send it again"; the process never
# takes more than 160 MiB, ordinary messages get through meanwhile, and once it is quiet the same
# big message is taken. The budget is given back.
#
# Usage: tests/e2e/gate_budget.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_budget
senders=100
sanitized && senders=20 # three gigabytes, byte by byte, would take minutes
head -c $((30 << 20)) /dev/zero | tr '\0' A >body

# One big message of this id; its answer's code and id, or "silence", go to the file big.ID.
send_big() {
    raw_open
    {
        printf '\x0bMSH|^~\\&|BIG|LAB|GATE|WARD|20240101120000||MDM^T02|%s|P|2.5.1\r' "$1"
        printf 'PID|1||B%s^^^BIG^MR||Invented^Name\rOBX|1|ED|PDF||' "$1"
        cat body
        printf '\r\x1c\r'
    } >&9
    answer=silence
    raw_answer 60
    sed -n 's/^MSA|\([A-Z]*|[^|]*\).*/\1/p; s/^silence$/&/p' <<<"$answer" >"big.$1"
    raw_close
}

start_terms
start_gate
for ((i = 1; i <= senders; i++)); do
    send_big "$i" &
    senders_pids[i]=$!
    started+=($!)
done
messages 300 20 small >small.hl7
"$gate" send --to "$at" --connections 4 --rate 100 --ids ids small.hl7 >small.out 2>send.err ||
    fail "small messages were lost: $(cat small.out)"
for pid in "${senders_pids[@]}"; do wait_pid 60 "$pid" || fail "a big sender does not end"; done
taken=$(grep -l '^AA|' big.* | wc -l)
again=$(grep -l '^AE|' big.* | wc -l)
[ $((taken + again)) -eq $senders ] || fail "$((senders - taken - again)) big senders got no answer"
for ((i = 1; i <= senders; i++)); do
    [ "$(cut -d'|' -f2 "big.$i")" = "$i" ] || fail "sender $i got an answer for another message"
done
[ "$taken" -gt 0 ] || fail "none of the big messages was taken"
send_big last
grep -q '^AA|last' big.last || fail "alone, a big message is answered $(cat big.last)"
wait_for 60 queue_is_empty || fail "$(figure queued) messages are still queued"
peak=$(awk '$1 == "VmHWM:" { print int($2 / 1024) }' "/proc/$gate_pid/status")
echo "big messages taken $taken, told to come again $again; peak $peak MiB;" \
    "small ones' $(sed 's/.*ACK/ACK/' small.out)"
sanitized || [ "$peak" -le 160 ] || fail "the gate took $peak MiB at its peak"
expect_figure received $((300 + taken + 1))
expect_kept ids
expect_no_faults
stop_gate 15
