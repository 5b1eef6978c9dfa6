#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Checks a model with spin. The head of a model says what is to be checked, a line each:
#
#   run: quick|long holds|caught [-DOPTION...]
#
# holds: no state violates anything, and all were looked at. caught: this is the model with a
# mistake in it, and one must be found: an assertion, or a rest in which somebody waits for ever.
# (Out of memory, or a search that was cut short, is neither.)
#
# Usage: tests/models/run.sh MODEL.pml [quick|long|all]     quick is the default
set -u
model=$(realpath "${1:?usage: tests/models/run.sh MODEL.pml [quick|long|all]}") || exit 2
which=${2:-quick}
MEMORY_MB=${MEMORY_MB:-900} # of one search
compress=
if [ "$which" != quick ]; then
    MEMORY_MB=${LONG_MEMORY_MB:-6000}
    compress=-DCOLLAPSE
fi
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 2
failed=0
runs=0

# Prints what happened: holds, caught, or why neither. A mistake is found after a few states, so
# its program need not be fast.
check() {
    rm -f pan.* ./*.trail
    if [ "$1" = holds ]; then level=-O1; else level=-O0; fi
    # shellcheck disable=SC2086  # a list of options
    if ! spin -a $2 "$model" >log 2>&1 || ! ${CC:-cc} $level -w -DSAFETY $compress \
        "-DMEMLIM=$MEMORY_MB" -o pan pan.c >>log 2>&1; then
        echo "does not build"
        return
    fi
    timeout "${SECONDS_MAX:-600}" ./pan -m500000 -n >log 2>&1
    if grep -Eq 'pan:[0-9]+: (assertion violated|invalid end state)' log; then
        echo caught
    elif grep -q 'errors: 0' log && ! grep -Eq 'not completed|too small|out of memory' log; then
        echo holds
    else
        echo "not decided"
    fi
}

sed -n 's/^ \* run: \([a-z]*\) *\([a-z]*\) *\(.*\)/\1 \2 \3/p' "$model" >runs
while read -r size wanted options; do
    [ "$which" = all ] || [ "$size" = "$which" ] || continue
    runs=$((runs + 1))
    got=$(check "$wanted" "$options")
    states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' log)
    echo "${model##*/} $options: $got, ${states:-?} states"
    if [ "$got" != "$wanted" ]; then
        failed=$((failed + 1))
        echo "WRONG: it was to be: $wanted"
        tail -n 20 log
    fi
done <runs
# A model without runs, or a head that this script cannot read, has proven nothing.
if [ "$runs" -eq 0 ] && [ "$which" = quick ]; then
    echo "${model##*/}: no runs"
    exit 1
fi
echo "${model##*/}: $runs runs, $failed wrong"
[ "$failed" -eq 0 ]
