#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `ward` against a running node that leaks (leaky.c), all of whose workers are stuck: the thousand
# leaked actors are one line with the file and line that leaked them and where they wait, no form
# shows the payload they asked with, and what goes wrong is said, with an exit code of its own.
#
# Usage: tests/e2e/census.sh BUILD
set -u
build=$(cd "$1" && pwd) || exit 2
source=$(cd "$(dirname "$0")" && pwd)/leaky.c
ward=$build/bin/ward
dir=$(mktemp -d) || exit 2
url=ipc://$dir/census
failures=0
node=

finish() {
    exec 3>&- # its input ends, so does it
    [ -z "$node" ] || wait "$node" || fail "the node exits $?"
    rm -rf "$dir"
    [ "$failures" -eq 0 ] && echo "census: OK"
    exit "$failures"
}

fail() {
    echo "census: $1" >&2
    failures=1
}

# expect CODE NAME ARGUMENT...: runs ward, its output goes to NAME and NAME.err.
expect() {
    code=$1 name=$dir/$2
    shift 2
    "$ward" "$@" >"$name" 2>"$name.err"
    got=$?
    [ "$got" -eq "$code" ] || fail "ward $* exits $got, not $code: $(cat "$name.err")"
}

# has NAME PATTERN: one line at least.
has() {
    grep -q -- "$2" "$dir/$1" || { fail "no '$2' in:"; head -5 "$dir/$1" >&2; }
}

line_of() {
    grep -n "/\* $1 \*/" "$source" | cut -d: -f1
}

mkfifo "$dir/in" "$dir/out" || exit 2
"$build/bin/leaky" "$url" <"$dir/in" >"$dir/out" &
node=$!
exec 3>"$dir/in"
read -r said <"$dir/out"
[ "$said" = ready ] || { fail "the node says '$said'"; finish; }

# "ready" is said when all were spawned; a moment later the last of them waits, too.
tries=100
until "$ward" sites "$url" 2>/dev/null | grep -q '^ *300 .* 300 receive ' || [ "$tries" -eq 0 ]; do
    tries=$((tries - 1))
    sleep 0.1
done
expect 0 sites sites "$url"
leak=leaky\\.c:$(line_of 'leak here')\$
has sites "^ *1000 .* 1000 ask .*leaky\.c:$(line_of 'waits here') .*$leak"
[ "$(grep -c "$leak" "$dir/sites")" -eq 1 ] || fail "not one line"
sed -n 2p "$dir/sites" | grep -q '^ *1000 ' || fail "the leak is not the first line"
has sites '^ *300 .* 300 receive '

expect 0 text census "$url"
[ "$(grep -c ' ask .*forever  /main/service ' "$dir/text")" -eq 1000 ] || fail "who asks whom?"
[ "$(grep -c '^/main/stuck .*running' "$dir/text")" -eq 2 ] || fail "nobody is stuck"
expect 0 tree tree "$url"
has tree '^main '
has tree '^  service  *waiting'
expect 0 msgpack census -f msgpack "$url"
for name in sites text tree msgpack; do
    ! grep -q DOE "$dir/$name" || fail "a payload in $name"
done

expect 0 help --help
has help '^usage: ward census'
expect 0 version --version
has version '^ward [0-9]*\.[0-9]*\.[0-9]*$'
expect 1 gone sites "ipc://$dir/nobody"
has gone.err "$dir/nobody: "
expect 1 refused tree tcp://127.0.0.1:1
expect 2 denied tree tcp://192.0.2.1:80
has denied.err 'loopback'
expect 2 noturl tree nonsense
expect 2 none
expect 2 nourl census
expect 2 noform census -f html "$url"
has noform.err 'no such form: html'
expect 2 two tree "$url" "$url"
expect 2 command frobnicate "$url"
finish
