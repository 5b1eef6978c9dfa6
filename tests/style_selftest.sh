#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Sees tools/style fail: a small clean tree passes, and with each breach planted in turn it fails
# and names the breach. What is planted is put together here, so that this file has none.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
failures=0
spdx='/* SPDX-License-Identifier: MIT */'

# A clean tree in $dir/tree.
clean() {
    rm -rf "$dir/tree"
    mkdir -p "$dir/tree/tools" "$dir/tree/base" "$dir/tree/net" "$dir/tree/include/ward" \
        "$dir/tree/examples"
    cp "$root/tools/style" "$dir/tree/tools/style"
    cd "$dir/tree" || exit 2
    printf '%s\nint ward__one(void);\n' "$spdx" >base/one.h
    printf '%s\n#include "base/one.h"\n\n' "$spdx" >base/one.c
    printf 'int ward__one(void)\n{\n    return 1;\n}\n' >>base/one.c
    printf '%s\n#include "base/one.h"\n#include <nng/nng.h>\n' "$spdx" >net/link.c
    printf '%s\n/* Does it. Errors: WARD_EGONE. */\nWARD_CHECKED int ward_do(int x);\n' "$spdx" \
        >include/ward/ward.h
    printf 'See [one](base/one.c) and `tools/style`.\n' >README.md
}

# fails NAME TEXT: tools/style fails and says TEXT, and nothing else.
fails() {
    said=$(tools/style build 2>&1)
    status=$?
    lines=$(printf '%s\n' "$said" | grep -c .)
    case "$status $lines $said" in
    "1 1 "*"$2"*) ;;
    *)
        echo "$1: ended with $status and said: $said"
        failures=$((failures + 1))
        ;;
    esac
}

repeat() { awk -v text="$1" -v count="$2" 'BEGIN { while (count-- > 0) print text }'; }

clean
said=$(tools/style build 2>&1) || {
    echo "the clean tree does not pass: $said"
    failures=$((failures + 1))
}

clean
echo '#include "net/link.h"' >>base/one.c
fails layer 'layer base may not include layer net'

clean
echo '#include "one.h"' >>base/one.c
fails folder '"one.h" names no layer'

clean
echo '#include <nng/nng.h>' >>base/one.c
fails wire 'may not know the wire'

clean
printf '%s\n#include "base/one.h"\n' "$spdx" >examples/01_one.c
fails example 'may not include what is not public'

clean
{
    printf '\nstatic int long_one(\n    int x)\n{\n'
    repeat '    x++;' 67
    printf '}\n'
} >>base/one.c
fails function 'a function of 71 lines'

clean
{
    printf '\nstatic int just_right(\n    int x)\n{\n'
    repeat '    x++;' 66
    printf '}\n'
} >>base/one.c
tools/style build || failures=$((failures + 1))

clean
repeat 'int x;' 800 >>base/one.c
fails file '807 lines, 800 at most'

clean
repeat '#define X' 640 >>include/ward/ward.h
fails header '643 lines, 640 at most'

clean
printf '/* %0100d */\n' 0 >>base/one.c
fails column '106 columns'

clean
printf '%s\n' 'int x; ' >>base/one.c
fails blank 'a space at the end'

clean
echo 'int ward__two(void);' >base/two.h
fails licence 'base/two.h:1: no SPDX line'

clean
printf '#!/bin/sh\necho\n' >tools/two.sh
fails licence-of-script 'tools/two.sh:2: no SPDX line'

clean
printf '\n/* Says nothing. */\nWARD_CHECKED int ward_mute(int x);\n' >>include/ward/ward.h
fails errors 'ward_mute does not say its Errors'

clean
printf '/* %s%s: later */\n' TO DO >>base/one.c
fails word 'work left to do'

clean
printf '/* see /%s/me/notes */\n' home >>base/one.c
fails path 'a path of one machine'

clean
printf 'See `%s`.\n' docs/nowhere.md >>README.md
fails readme 'there is no docs/nowhere.md'

clean
mkdir build
printf 'int stray(void);\nint stray(void)\n{\n    return 0;\n}\n' >"$dir/stray.c"
"${CC:-cc}" -c "$dir/stray.c" -o "$dir/stray.o" && ar rc build/libward.a "$dir/stray.o"
fails symbol 'symbol stray is neither ward_ nor ward__'

cd / || exit 2
[ "$failures" -eq 0 ] && echo "tools/style sees what it should"
[ "$failures" -eq 0 ]
