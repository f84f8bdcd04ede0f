#!/bin/sh
# Spoilt images for this test, made of a good one.
#
#   sh prepare.sh BUILD DIRECTORY
set -eu

good=$1/guests/smoke.elf
cd "$2"
case $good in
/*) ;;
*) good=$OLDPWD/$good ;;
esac

# Overwrite bytes, given in octal escapes, at an offset.
poke() { # FILE OFFSET BYTES
    # shellcheck disable=SC2059 # the escapes are the point
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}

# Where the first program header of type 1 (PT_LOAD) starts.
first_load() {
    readelf -lW "$good" | awk '
        / +LOAD / { print 64 + 56 * n; exit }
        /^  [A-Z]+ +0x/ { n++ }'
}

load=$(first_load)
head -c 6000 "$good" > truncated.elf
head -c 64 "$good" > header.elf
objcopy --remove-section .note.Xen "$good" nonotes.elf
cp "$good" bigsegment.elf
poke bigsegment.elf $((load + 40)) '\0\0\0\100\0\0\0\0' # p_memsz: 1 GiB
cp "$good" farsegment.elf
poke farsegment.elf $((load + 24)) '\0\0\0\0\0\1\0\0' # p_paddr: 1 TiB
echo "this is no program" > text.elf
cp "$good" elf32.elf
poke elf32.elf 4 '\1' # EI_CLASS
head -c 65536 /dev/zero > zeros.elf
