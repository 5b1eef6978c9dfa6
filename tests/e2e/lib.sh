#!/bin/bash
# SPDX-License-Identifier: MIT
#
# lib.sh - what the gate's drills share: sourced, not run. A drill calls `begin BUILD NAME` first
# and ends by itself: the trap of `begin` ends each process that was started here, by its number,
# prints "NAME: OK" or what failed, and removes the folder. All addresses are on loopback and free
# ones; nothing waits without a limit.

begin() {
    build=$(cd "$1" && pwd) || exit 2
    drill=$2
    gate=$build/bin/gate
    ward=$build/bin/ward
    dir=$(mktemp -d) || exit 2
    cd "$dir" || exit 2
    started=() failures=0 gate_port=0 gate_pid='' terms_pid=''
    census=ipc://$dir/census
    trap finish EXIT
    trap 'failures=1; exit 1' INT TERM
    # Else the drill would end without a word when it writes to a connection that is gone.
    trap 'give_up "a connection was ended in the middle of a frame"' PIPE
}

finish() {
    local pid
    trap - EXIT INT TERM
    for pid in "${started[@]}"; do
        kill -CONT "$pid" 2>/dev/null
        kill -KILL "$pid" 2>/dev/null
    done
    wait 2>/dev/null
    # Of gates that were killed, and of workers, it is the only sign.
    if grep -qs 'Sanitizer: \|runtime error: \|ssertion' gate.err; then
        fail "the gate or a worker says:"
        grep -A 30 'Sanitizer: \|runtime error: \|ssertion' gate.err >&2
    fi
    if [ "$failures" -ne 0 ] && [ -f gate.err ]; then
        echo "$drill: the gate's last lines:" >&2
        tail -n 20 gate.err >&2
    fi
    cd / && rm -rf "$dir"
    [ "$failures" -eq 0 ] && echo "$drill: OK"
    exit "$failures"
}

fail() {
    echo "$drill: FAILED: $*" >&2
    failures=1
}

# Ends the drill: what comes would make no sense.
give_up() {
    fail "$@"
    exit 1
}

# wait_for SECONDS COMMAND...: until the command succeeds. 1 when the time is over.
wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# wait_pid SECONDS PID: until it has ended; its exit code, or 124.
wait_pid() {
    wait_for "$1" has_ended "$2" || return 124
    wait "$2"
}

has_ended() {
    case $(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null) in
        '' | Z) return 0 ;;
        *) return 1 ;;
    esac
}

listening() {
    grep -q "listening on" "$1" 2>/dev/null
}

# start_terms: the terminology service, at $terms.
start_terms() {
    "$gate" terms --listen 127.0.0.1:0 >terms.out 2>terms.err &
    terms_pid=$!
    started+=("$terms_pid")
    wait_for 20 listening terms.out || give_up "the terminology service does not start"
    terms=http://$(sed -n 's/.*listening on //p' terms.out)
}

mode() {
    "$gate" mode "$terms" "$1" >/dev/null || give_up "the terminology service is not there"
}

# stat NAME: a number from the service's counts.
stat_of() {
    "$gate" mode "$terms" stats | tr ',{' '\n\n' | sed -n "s/^\"$1\"://p" | head -n 1
}

# start_gate OPTION...: a gate at $at; the second time at the same port, on the same journal.
start_gate() {
    : >gate.out
    "$gate" run --listen "127.0.0.1:$gate_port" --journal gate.db --terms "$terms" \
        --census "$census" "$@" >gate.out 2>>gate.err &
    gate_pid=$!
    started+=("$gate_pid")
    wait_for 20 listening gate.out || give_up "the gate does not start"
    at=$(sed -n 's/.*listening on //p' gate.out)
    gate_port=${at##*:}
}

# stop_gate SECONDS: by SIGTERM; it must end well within that time.
stop_gate() {
    kill -TERM "$gate_pid"
    wait_pid "$1" "$gate_pid"
    local code=$?
    [ "$code" -eq 0 ] || fail "after SIGTERM the gate ended with $code"
}

# figure NAME: a number from gate status.
figure() {
    "$gate" status --journal gate.db | awk -v name="$1" '!/^ / && $1 == name { print $2 }'
}

expect_figure() {
    local got
    got=$(figure "$1")
    [ "$got" = "$2" ] || fail "$1 is $got, not $2"
}

queue_is_empty() {
    [ "$(figure queued)" = 0 ]
}

# No message out of order, done twice, lost; the file is sound.
expect_no_faults() {
    "$gate" status --journal gate.db --check >check.out || {
        fail "the journal has faults"
        grep fault check.out >&2
    }
}

# expect_kept IDS: each acknowledged id is in the journal, and with unique ids none is there twice.
expect_kept() {
    local lost twice
    "$gate" export-ids --journal gate.db >kept || fail "export-ids failed"
    lost=$(comm -23 <(sort -u "$1") <(sort -u kept) | wc -l)
    twice=$(sort kept | uniq -d | wc -l)
    [ "$lost" -eq 0 ] || fail "$lost acknowledged messages are lost"
    [ "$twice" -eq 0 ] || fail "$twice messages are kept twice"
}

# Number and spawn site of all actors of the gate.
sites() {
    "$ward" sites "$census" | awk 'NR > 1 { print $1, $NF }' | sort
}

# settles FILE: the sites are as in the file again.
same_sites() {
    sites >sites.now && cmp -s "$1" sites.now
}

expect_same_sites() {
    wait_for 10 same_sites "$1" || {
        fail "actors of some spawn site are left over, or missing"
        diff "$1" sites.now >&2
    }
}

# Built with a sanitizer: slower, and of another size.
sanitized() {
    grep -qa '__[at]san_init' "$gate"
}

open_files() {
    find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

# registered N: N workers have registered since the gate's last start.
registered() {
    [ "$("$ward" tree "$census" 2>/dev/null | grep -c ' watch ')" -ge "$1" ] &&
        tail -n 200 gate.err | grep -q "registered, $1 in all"
}

# The processes of this drill's workers, one a line.
workers() {
    local file
    for file in /proc/[0-9]*/cmdline; do
        { tr '\0' ' ' <"$file" | grep -q "worker --link .*--terms $terms "; } 2>/dev/null ||
            continue
        file=${file#/proc/}
        echo "${file%/cmdline}"
    done
}

no_workers() {
    [ -z "$(workers)" ]
}

# messages COUNT PATIENTS PREFIX: HL7 with unique ids and two codes each.
messages() {
    awk -v count="$1" -v patients="$2" -v prefix="$3" 'BEGIN {
        for (i = 1; i <= count; i++) {
            printf "MSH|^~\\&|DRILL|LAB|GATE|WARD|20240101120000||ORU^R01"
            printf "|%s-%d|P|2.5.1\r", prefix, i
            printf "PID|1||P%d^^^DRILL^MR||Invented^Name%d\r", i % patients, i % patients
            printf "OBR|1|||24323-8^Panel^LN\rOBX|1|NM|2345-7^Glucose^LN||%d|mg/dL\r", i
        }
    }'
}

# p99 FILE: of the summary of gate send, in ms.
p99_of() {
    sed -n 's/.*ACK ms p50 [0-9.]* p99 \([0-9.]*\).*/\1/p' "$1"
}

# -- a raw MLLP client: one connection on descriptor 9 ---------------------------------------------

raw_open() {
    exec 9<>"/dev/tcp/127.0.0.1/$gate_port" || give_up "cannot connect"
}

raw_close() {
    exec 9>&-
}

# The next answer without its framing, CR as newline; 1 when none comes in time.
raw_answer() {
    local LC_ALL=C
    IFS= read -r -t "${1:-20}" -d $'\x1c' -u 9 answer || return 1
    answer=$(tr -d '\013' <<<"$answer" | tr '\r' '\n')
}

# The connection is ended within so many seconds, and nothing more was sent on it.
raw_ended() {
    IFS= read -r -t "$1" -n 1 -u 9
    [ $? -eq 1 ]
}

# raw_expect CODE ID WHAT: the next answer has that MSA-1 and MSA-2.
raw_expect() {
    local msa
    raw_answer || {
        fail "$3: no answer"
        return
    }
    msa=$(sed -n 's/^MSA|\([A-Z]*|[^|]*\).*/\1/p' <<<"$answer")
    [ "$msa" = "$1|$2" ] || fail "$3: answered $msa, not $1|$2"
}
