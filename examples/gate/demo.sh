#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The gate's main job, with trouble in the middle: a terminology service, a gate with two worker
# processes and eight senders. While messages come in, the service hangs and a worker is killed;
# then the service is well again. Nothing that was acknowledged may be lost, nothing may be done
# twice or out of its patient's order, and no actor may be left over.
#
# Usage: examples/gate/demo.sh BUILD [DATA]
#   BUILD   where bin/gate and bin/ward are
#   DATA    a folder of further HL7 files to send
#
# The last line is "demo: OK", or "demo: FAILED: why" and exit code 1. Everything happens on
# loopback, in a temporary folder that is removed, and ends within a minute.
set -u
[ $# -ge 1 ] || {
    echo "usage: examples/gate/demo.sh BUILD [DATA]" >&2
    exit 2
}
here=$(cd "$(dirname "$0")" && pwd)
gate=$(cd "$1" && pwd)/bin/gate || exit 2
ward=${gate%/gate}/ward
sources=("$here/messages")
if [ -n "${2:-}" ]; then
    data=$(cd "$2" 2>/dev/null && pwd) || data=
    [ -n "$(find -L "${data:-/dev/null}" -iname '*.hl7' -print -quit 2>/dev/null)" ] || {
        echo "demo: FAILED: there is no folder with *.hl7 files at $2"
        exit 1
    }
    sources+=("$data")
fi
for program in "$gate" "$ward"; do
    [ -x "$program" ] || {
        echo "demo: FAILED: there is no $program"
        exit 1
    }
done
dir=$(mktemp -d) || exit 2
cd "$dir" || exit 2
census=ipc://$dir/census
started=() why=

# However it ends: our processes end, by their numbers, and the verdict is the last line.
finish() {
    trap - EXIT INT TERM
    for pid in "${started[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
    if [ -n "$why" ] && [ -s gate.err ]; then
        echo "the gate's last lines:"
        tail -n 15 gate.err
    fi
    cd / && rm -rf "$dir"
    [ -z "$why" ] && echo "demo: OK" && exit 0
    echo "demo: FAILED: $why"
    exit 1
}
trap finish EXIT
trap 'why=interrupted; exit 1' INT TERM

failed() {
    why=${why:-$*}
}

give_up() {
    failed "$@"
    exit 1
}

# wait_for SECONDS COMMAND...
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

figure() {
    "$gate" status --journal gate.db | awk -v name="$1" '!/^ / && $1 == name { print $2 }'
}
listening() { grep -qs 'listening on' "$1"; }
registered() { grep -qs 'registered, 2 in all' gate.err; }
queue_is_empty() { [ "$(figure queued)" = 0 ]; }
# Of the gate and of both workers.
sites() {
    local who
    for who in '' .worker-1 .worker-2; do
        echo "-- ${who:-.gate}" | tr -d .
        "$ward" sites "$census$who" || return 1
    done
}
counted() { awk '$1 == "--" { who = $2 } $1 ~ /^[0-9]/ { print who, $1, $NF }' "$1" | sort; }
same_as_before() { sites >after && [ "$(counted before)" = "$(counted after)" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }

# sent_of WHAT FILE: a number from the last line of a sender.
sent_of() { sed -n "s/.*[ ,]$1 \([0-9]*\).*/\1/p" "$2" | tail -n 1; }

say() {
    printf '\n== %s\n' "$*"
}

# -- start -----------------------------------------------------------------------------------------

say "a terminology service, and a gate with two workers"
"$gate" terms --listen 127.0.0.1:0 >terms.out 2>terms.err &
started+=($!)
wait_for 10 listening terms.out || give_up "the terminology service does not start"
terms=http://$(sed -n 's/.*listening on //p' terms.out)
"$gate" run --listen 127.0.0.1:0 --journal gate.db --terms "$terms" --workers 2 \
    --census "$census" --retry-ms 500 --retry-max-ms 2000 >gate.out 2>gate.err &
gate_pid=$!
started+=("$gate_pid")
wait_for 10 listening gate.out || give_up "the gate does not start"
at=$(sed -n 's/.*listening on //p' gate.out)
wait_for 10 registered || give_up "the workers do not register"
cat terms.out gate.out
sites >before || give_up "there is no census"

# -- load, and trouble in the middle ---------------------------------------------------------------

say "each message once, over 8 connections"
"$gate" send --to "$at" --connections 8 --ids ids "${sources[@]}" >first.out 2>first.err ||
    give_up "the first messages were lost: $(cat first.out first.err)"
cat first.out
rate=200
count=$(sent_of messages first.out)
rounds=$(((12 * rate + count - 1) / count))
say "$rounds rounds of all of them, $rate a second"
"$gate" send --to "$at" --connections 8 --rounds $rounds --rate $rate --ids ids "${sources[@]}" \
    >send.out 2>send.err &
sender=$!
started+=("$sender")
sleep 3
say "the terminology service hangs"
"$gate" mode "$terms" hang >/dev/null || give_up "the terminology service is gone"
sleep 1.5
worker=$(sed -n 's/.*worker-1 is process \([0-9]*\).*/\1/p' gate.err | tail -n 1)
say "kill -9 of worker-1, process $worker"
kill -KILL "$worker" || failed "there was no worker to kill"
sleep 1.2
sites >during
sleep 2
say "the terminology service is well again"
"$gate" mode "$terms" answer >/dev/null || give_up "the terminology service is gone"
wait_for 30 ended "$sender" || give_up "the sender does not end"
wait "$sender" || failed "the sender lost messages"
wait_for 20 queue_is_empty || failed "$(figure queued) messages are still in the queue"
wait_for 10 same_as_before || failed "the census is not what it was before"
"$gate" status --journal gate.db --check >status || failed "the journal has faults"
"$gate" export-ids --journal gate.db >kept || failed "the ids cannot be exported"
kill -TERM "$gate_pid"
wait_for 15 ended "$gate_pid" || give_up "the gate does not stop"
wait "$gate_pid" || failed "the gate ended badly"

# -- what came of it -------------------------------------------------------------------------------

value() { awk -v name="$1" '!/^ / && $1 == name { print $2 }' status; }
in_all() { echo $(($(sent_of "$1" first.out) + $(sent_of "$1" send.out))); }
at_stop() { sed -n "s/.*stopping: .*$1 \([0-9]*\).*/\1/p" gate.err; }
lost=$(comm -23 <(sort -u ids) <(sort -u kept) | wc -l)
missing=$(($(in_all acknowledged) - $(value received) - $(value duplicates)))

say "the census by spawn site: before"
cat before
say "during"
cat during
say "after"
cat after
say "result"
sed -n 's/^send: //p' send.out
printf '%-22s %s\n' "messages in" "$(in_all messages)" acknowledged "$(in_all acknowledged)" \
    "kept" "$(value received)" "duplicates" "$(value duplicates)" "done" "$(value "done")" \
    "retried" "$(value retried)" "dead" "$(value dead)"
grep '^  dead' status
printf '%-22s %s\n' "actors spawned" "$(at_stop spawned)" \
    "actors restarted" "$(at_stop restarted)" "actors reaped (stuck)" "$(at_stop reaped)" \
    "acknowledged and lost" "$lost" "done twice" "$(value fault-done-twice)" \
    "out of order" "$(value fault-order)"
echo
[ "$lost" -eq 0 ] || failed "$lost acknowledged messages are lost"
[ "$missing" -le 0 ] || failed "$missing more messages were acknowledged than kept"
[ "$(($(value "done") + $(value dead)))" = "$(value received)" ] || failed "not all are finished"
[ "$(value retried)" -gt 0 ] || failed "the hung service was not noticed"
[ "$(at_stop restarted)" -gt 0 ] || failed "the killed worker was not restarted"
exit 0
