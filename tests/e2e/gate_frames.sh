#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Frames as they should not be, and some that only look odd. Each gets the answer it deserves, or
# none when nobody could say to what; the connection goes on but for a frame over the limit; what
# is refused is not kept, what is taken is kept byte for byte.
#
# Usage: tests/e2e/gate_frames.sh BUILD
. "$(dirname "$0")/lib.sh"
begin "$1" gate_frames
start_terms
start_gate --max-frame 1M
head='MSH|^~\&|ODD|LAB|GATE|WARD|20240101120000||ADT^A04'
pid='PID|1||P1^^^ODD^MR||Invented^Name'

# frame ID [MORE]: a sound message with a line more, in a frame.
frame() {
    printf '\x0b%s|%s|P|2.5.1\r%s\r%b\x1c\r' "$head" "$1" "$pid" "${2:-}"
}
kept=0

# kept_bytes PATTERN: they are in the file as they were sent. Only once the gate has ended.
kept_bytes() {
    LC_ALL=C grep -qaP "$1" gate.db || fail "not kept byte for byte: $1"
}

raw_open
frame plain >&9
raw_expect AA plain "a sound message"
frame '' >&9
raw_expect AR '' "no MSH-10"
printf '\x0b\x1c\r' >&9
raw_expect AR '' "an empty frame"
printf '\x0bHELO|this is no HL7\r\x1c\r' >&9
raw_expect AR '' "no MSH"
printf '\x0bMSH|^~\r\x1c\r' >&9
raw_expect AR '' "an MSH cut short"
frame two "$head|second|P|2.5.1\\\\r" >&9
raw_expect AR two "two messages in one frame"
frame nul 'NTE|1||a\x00b\\\\r' >&9
raw_expect AA nul "a NUL byte in a segment"
frame latin 'NTE|1||M\xfcller\\\\r' >&9
raw_expect AA latin "Latin-1"
frame framing 'NTE|1||a\x1cb\\\\r' >&9
raw_expect AR framing "a framing byte within"
printf 'garbage\0\0\r\n and more' >&9
frame after-garbage >&9
raw_expect AA after-garbage "garbage between frames"
{ frame first && frame second; } >&9
raw_expect AA first "the first of two at once"
raw_expect AA second "the second of two at once"
printf '\x0b%s|cut|P|2.5.1\r%s' "$head" "$pid" >&9
frame after-cut >&9
raw_expect AA after-cut "a message after one cut short"
printf '\x0b%s|no-last-cr|P|2.5.1\r%s\r\x1c' "$head" "$pid" >&9
raw_expect AA no-last-cr "no last CR"
kept=8

# A byte at a time.
while IFS= read -r -d '' -n 1 byte; do
    printf '%s' "$byte" >&9
done < <(frame slow)
raw_expect AA slow "one byte at a time"
kept=$((kept + 1))

# A huge OBX, under the limit.
{
    printf '\x0b%s|huge|P|2.5.1\r%s\rOBX|1|ED|PDF||^^^Base64^' "$head" "$pid"
    head -c 900000 /dev/zero | tr '\0' A
    printf '\r\x1c\r'
} >&9
raw_expect AA huge "a huge OBX"
kept=$((kept + 1))

# Over the limit, by no more than the socket holds: a reason, and the end of the connection.
{
    printf '\x0b%s|over|P|2.5.1\r%s\rOBX|1|ED|PDF||' "$head" "$pid"
    head -c $((1 << 20)) /dev/zero | tr '\0' B
} >&9
raw_expect AR over "a frame over the limit"
grep -q 'over the limit' <<<"$answer" || fail "the answer does not say that it is over the limit"
IFS= read -r -t 1 -n 1 -u 9 # the last CR of the answer
raw_ended 10 || fail "the connection goes on after a frame over the limit"
raw_close

# Truncated by the end of the connection: nothing is kept, nobody is answered.
raw_open
printf '\x0b%s|lost|P|2.5.1\r' "$head" >&9
raw_close

raw_open
frame last >&9
raw_expect AA last "a sound message after all that"
raw_close
kept=$((kept + 1))

wait_for 20 queue_is_empty || fail "$(figure queued) messages are still queued"
expect_figure received $kept
expect_figure "done" $kept
"$gate" export-ids --journal gate.db | sort >ids.kept
printf '%s\n' plain nul latin after-garbage first second after-cut no-last-cr slow huge last |
    sort | diff - ids.kept >&2 || fail "other messages were kept"
grep -aq "Invented\|M.ller" gate.err && fail "patient data in the log"
"$ward" tree "$census" | grep -q 'mllp' && fail "a connection is left over"
stop_gate 15
kept_bytes 'plain\|P\|2\.5\.1\rPID\|1\|\|P1\^\^\^ODD\^MR\|\|Invented\^Name\r'
kept_bytes 'NTE\|1\|\|a\x00b'
kept_bytes 'NTE\|1\|\|M\xfcller'
[ "$(wc -c <gate.db)" -gt 900000 ] || fail "the huge OBX is not all there"

# A silent connection is ended.
start_gate --idle-ms 1000
raw_open
raw_ended 20 || fail "a silent connection is not ended"
raw_close
stop_gate 15
