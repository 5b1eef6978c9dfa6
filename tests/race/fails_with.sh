#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A program that must fail, and say why: shows its output, and succeeds if a line of that matches.
#
# Usage: fails_with.sh PATTERN PROGRAM [ARGUMENT...]
set -u
pattern=$1
shift
output=$("$@" 2>&1)
status=$?
printf '%s\n' "$output"
[ "$status" -ne 0 ] && printf '%s\n' "$output" | grep -q "$pattern"
