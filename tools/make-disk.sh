#!/bin/sh
# Make a disk image with recognisable content, the same on every machine:
#
#   make-disk.sh FILE [MIB]
#
# Each sector of 512 bytes is lines of text that begin with its number, so that
# a sector at the wrong place is seen at a glance.
set -eu

file=${1:?usage: make-disk.sh FILE [MIB]}
mib=${2:-2}

awk -v sectors=$((mib * 2048)) 'BEGIN {
    for (s = 0; s < sectors; s++) {
        text = sprintf("Belfry disk, sector %08d of %08d\n", s, sectors)
        line = sprintf("%08d the bell rings, the ring turns, a page moves\n", s)
        while (length(text) + length(line) <= 512)
            text = text line
        printf "%s", text
        for (n = length(text); n < 511; n++)
            printf "."
        if (n == 511)
            printf "\n"
    }
}' > "$file.part"
mv "$file.part" "$file"
