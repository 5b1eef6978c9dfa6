#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the build into a prefix of its own, then builds and runs two programs against it: once
# with find_package(ward), once with pkg-config. The prefix is moved in between, since packages get
# moved. Called by ctest.
#
# Usage: run.sh BUILD CMAKE CC
set -eu
build=$1
cmake=$2
cc=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$build/consumer
rm -rf "$work"
mkdir -p "$work"

"$cmake" --install "$build" --prefix "$work/first" >"$work/log" || {
    cat "$work/log"
    exit 1
}
mv "$work/first" "$work/prefix"

see() {
    want=$1
    shift
    got=$("$@")
    [ "$got" = "$want" ] || {
        echo "$*: printed \"$got\", not \"$want\""
        exit 1
    }
}

"$cmake" -S "$here" -B "$work/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$work/prefix"
"$cmake" --build "$work/build"
see "hello, consumer" "$work/build/plain"
see "refused, counted" "$work/build/linked"

pc=$(find "$work/prefix" -name ward.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
# shellcheck disable=SC2046  # flags are words
"$cc" "$here/plain.c" -o "$work/plain" $(pkg-config --cflags --libs ward)
# shellcheck disable=SC2046
"$cc" "$here/linked.c" -o "$work/linked" $(pkg-config --cflags --libs ward-net)
see "hello, consumer" "$work/plain"
see "refused, counted" "$work/linked"
