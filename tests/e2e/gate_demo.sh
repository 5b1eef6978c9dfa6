#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The demo, as `make demo` runs it: its last line says OK, it leaves no process behind, and it ends
# within a minute.
#
# Usage: tests/e2e/gate_demo.sh BUILD
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
begin "$1" gate_demo
demo=$here/../../examples/gate/demo.sh
mkdir empty
for data in nowhere empty; do
    "$demo" "$build" "$data" >demo.out 2>&1 && fail "it ends well with DATA=$data"
    grep -q "FAILED: there is no folder" demo.out || fail "of DATA=$data it says: $(cat demo.out)"
done
"$demo" "$build" >demo.out 2>&1
code=$?
[ "$code" -eq 0 ] || fail "the demo ended with $code"
[ "$(tail -n 1 demo.out)" = "demo: OK" ] || fail "its last line: $(tail -n 1 demo.out)"
[ "$failures" -eq 0 ] || cat demo.out >&2
for line in 'messages in' acknowledged kept retried dead 'actors restarted' 'actors reaped'; do
    grep -q "^$line " demo.out || fail "it does not print: $line"
done
sanitized || [ "$SECONDS" -le 60 ] || fail "it took $SECONDS s"
terms=$(sed -n 's/^terms: listening on /http:\/\//p' demo.out)
wait_for 5 no_workers || fail "workers outlived the demo: $(workers)"
