#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A program with a mistake in it that must show within so many runs of ten seconds at most: shows
# the output of the last one, and succeeds if a line of that matches and it failed.
#
# Usage: fails_with.sh RUNS PATTERN PROGRAM [ARGUMENT...]
set -u
runs=$1
pattern=$2
shift 2
while [ "$runs" -gt 0 ]; do
    output=$(timeout 10 "$@" 2>&1)
    status=$?
    if [ "$status" -ne 0 ] && printf '%s\n' "$output" | grep -q "$pattern"; then
        printf '%s\n' "$output"
        exit 0
    fi
    runs=$((runs - 1))
done
printf '%s\n' "$output"
exit 1
