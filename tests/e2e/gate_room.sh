#!/bin/bash
# SPDX-License-Identifier: MIT
#
# No room, step by step. While one sender holds all of a small budget with half a frame, another
# one's big frame is answered with AE and passed over, wherever its framing bytes lie, and the
# connection goes on; small messages get through; the room is there again as soon as the first
# sender is gone. A full journal is told to senders as well, and loses nothing.
#
# Usage: tests/e2e/gate_room.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_room
start_terms
start_gate --max-frame 64k --budget 64k

# The start of a message of this id, and this many bytes of an OBX.
begun() {
    printf '\x0bMSH|^~\\&|ROOM|LAB|GATE|WARD|20240101120000||ORU^R01|%s|P|2.5.1\r' "$1"
    printf 'PID|1||P1^^^ROOM^MR||Invented^Name\rOBX|1|ED|PDF||'
    head -c "$2" /dev/zero | tr '\0' A
}
whole() {
    begun "$1" "$2"
    printf '\r\x1c\r'
}

raw_open
whole before 50000 >&9
raw_expect AA before "a big message with nobody else there"

exec 8<>"/dev/tcp/127.0.0.1/$gate_port" || give_up "cannot connect"
begun holder 60000 >&8
held() { "$ward" census "$census" | grep -c 'connections/mllp\|mllp' | grep -qx 2; }
wait_for 5 held || fail "two connections, please"
told_so() {
    whole big 50000 >&9
    raw_answer && grep -q '^MSA|AE|big|no room now' <<<"$answer"
}
wait_for 10 told_so || fail "the second big message is answered: $answer"
whole small 100 >&9
raw_expect AA small "a small message after it"
for fill in '\x1c' '\x0b' '\x1c\x1c' '\x0bMS' 'A\x1cB'; do
    { begun odd 40000 && printf '%b' "$fill" && head -c 9000 /dev/zero | tr '\0' C &&
        printf '%b\r\x1c\r' "$fill" && whole next 10; } >&9
    raw_expect AE odd "a big message with framing bytes in it"
    raw_expect AA next "the small one behind it"
done
{ begun given-up 40000 && whole instead 10; } >&9
raw_expect AA instead "a small message after a big one that was given up"
for piece in 1 2 3 4; do
    { begun given-up 40000 && sleep 0.2 && whole "at-last$piece" 10 | head -c $piece; } >&9
    sleep 0.2
    whole "at-last$piece" 10 | tail -c +$((piece + 1)) >&9
    raw_expect AA "at-last$piece" "the same, $piece bytes of it apart"
done
{ begun unended 40000 && printf '\r\x1c'; } >&9
raw_expect AE unended "a big message without its last CR"

exec 8>&-
taken() {
    whole after 50000 >&9
    raw_answer && grep -q '^MSA|AA|after' <<<"$answer"
}
wait_for 10 taken || fail "the room is not given back: $answer"
whole over 70000 >&9
raw_expect AR over "a message over the limit, after others that had no room"
raw_close
wait_for 20 queue_is_empty || fail "$(figure queued) messages are still queued"
expect_no_faults
stop_gate 15

# A journal with a bound.
start_gate --journal-max 1M
messages 5000 20 full >load.hl7
"$gate" send --to "$at" --connections 4 --retry-ms 0 --ids ids load.hl7 >send.out 2>send.err &&
    fail "a full journal took everything"
grep -q 'answered AE [1-9]' send.out || fail "nobody was told: $(cat send.out)"
wait_for 20 queue_is_empty || fail "$(figure queued) messages are still queued"
"$gate" export-ids --journal gate.db | sort -u >kept
[ "$(comm -23 <(sort -u ids) kept | wc -l)" -eq 0 ] || fail "acknowledged messages are lost"
expect_no_faults
grep -q 'Invented' gate.err && fail "patient data in the log"
echo "journal full: $(wc -l <ids) acknowledged, all kept"
stop_gate 15
