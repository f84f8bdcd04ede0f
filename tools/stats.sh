#!/bin/sh
# Lines of code, neither blank nor comment, headers in, by room.
set -eu
cd "$(dirname "$0")/.."

# Code lines of the files named on standard input.  A string that contains
# the start of a comment does not open one.
count() {
    xargs -r awk '
        FNR == 1 { comment = 0 }
        {
            line = $0
            asm = FILENAME ~ /\.asm$/
            shell = FILENAME ~ /\.(sh|mk)$/ || FILENAME ~ /(Makefile|run)$/
            code = ""
            while (line != "") {
                if (comment) {
                    end = index(line, "*/")
                    if (!end) { line = ""; break }
                    line = substr(line, end + 2)
                    comment = 0
                } else if (asm && match(line, /^[^;"'\''`]+/)) {
                    code = code substr(line, 1, RLENGTH)
                    line = substr(line, RLENGTH + 1)
                } else if (asm && line ~ /^;/ || shell && line ~ /^[ \t]*#/) {
                    line = ""
                } else if (!asm && !shell && line ~ /^\/\*/) {
                    line = substr(line, 3)
                    comment = 1
                } else if (!asm && !shell && line ~ /^\/\//) {
                    line = ""
                } else if (match(line, /^"([^"\\]|\\.)*"/)) {
                    code = code "s"
                    line = substr(line, RLENGTH + 1)
                } else {
                    code = code substr(line, 1, 1)
                    line = substr(line, 2)
                }
            }
            if (code ~ /[^ \t\r]/) n++
        }
        END { print n + 0 }'
}

sources() {
    [ -d "$1" ] || return 0
    find "$1" -type f \( -name '*.[chS]' -o -name '*.asm' -o -name '*.sh' \
        -o -name '*.lds' \) | sort
}

total=0
for room in hv evtchn lib rings guests tools tests; do
    lines=$(sources "$room" | count)
    lines=$(echo "$lines" | awk '{ n += $1 } END { print n + 0 }')
    printf '%-10s %6d\n' "$room" "$lines"
    total=$((total + lines))
    case $room in hv|evtchn) kernel=$((${kernel:-0} + lines)) ;; esac
done
printf '%-10s %6d\n' total "$total"
printf 'hypervisor (hv and evtchn): %d lines of code\n' "$kernel"
