#!/bin/sh
# make conformance: what Belfry's hypercalls give, beside what Xen's give.
#
#   sh tests/conformance.sh BUILD
#
# The guests of tests/conformance and those of tests/guest that need no second
# domain run as the initial domain on Debian's Xen 4.17 and on Belfry, both in
# QEMU.  Their transcripts must be the same but for the differences that
# conformance/differences lists with their reasons.  Random calls are compared
# by the hashes of blocks of 1000; the first block that differs is run again on
# both and shown.  The last line is `N calls compared, N unexplained
# differences, N intended`; status 1 if any is unexplained.
#
# SEED=N another seed, BLOCKS=N how many blocks of random calls.
set -u

B=${1:-build}
HERE=$(cd "$(dirname "$0")" && pwd)
OUT=$B/conformance
SEED=${SEED:-1} BLOCKS=${BLOCKS:-1000}
calls=0 unexplained=0 intended=0

mkdir -p "$OUT"

on_both() { # LABEL GUEST WORDS: the transcripts, in LABEL.xen and LABEL.belfry
    sh "$HERE/../tools/run-on-xen.sh" "$B" "$2" "$3" < /dev/null > "$OUT/$1.xen" &
    {
        echo "multiboot2 /belfry.elf"
        echo "module2 /guests/$2.elf name=$2 mem=64M cmdline=\"$3\""
        echo boot
    } > "$OUT/$1.cfg"
    "$B/belfry" image "$OUT/$1.cfg" --root "$B" -o "$OUT/$1.iso" > /dev/null &&
    "$B/belfry" run "$OUT/$1.iso" --accel tcg --mem 512M --timeout 300 \
        < /dev/null 2>&1 | tr -d '\r' > "$OUT/$1.belfry"
    wait
    rm -f "$OUT/$1.iso"
}

compare() { # LABEL: adds to the counts; true if there is no difference
    awk -f "$HERE/conformance/compare.awk" "$HERE/conformance/differences" \
        "$OUT/$1.xen" "$OUT/$1.belfry" > "$OUT/$1.diff"
    counts=$(tail -n 1 "$OUT/$1.diff")
    # shellcheck disable=SC2086 # "N compared N unexplained N intended"
    set -- "$1" $counts
    calls=$((calls + $2))
    unexplained=$((unexplained + $4))
    intended=$((intended + $6))
    echo "$1: $2 lines, $4 unexplained, $6 intended"
    [ "$4" -eq 0 ] || sed '$d' "$OUT/$1.diff"
    [ "$4" -eq 0 ]
}

# A guest that ended in any way but with its last line proves nothing.
whole() { # LABEL
    for side in xen belfry; do
        grep -q '^verdict: pass' "$OUT/$1.$side" && continue
        echo "$1: no pass on $side: $(tail -n 1 "$OUT/$1.$side" | cut -c 1-200)"
        unexplained=$((unexplained + 1))
    done
}

transcript() { # LABEL GUEST WORDS
    on_both "$1" "$2" "$3"
    compare "$1"
    whole "$1"
}

random_calls() {
    on_both random calls "random=$BLOCKS seed=$SEED"
    whole random
    blocks=$(grep -c '^| block' "$OUT/random.belfry")
    first=$(diff "$OUT/random.xen" "$OUT/random.belfry" |
        sed -n 's/^< | block \([0-9]*\): .*/\1/p' | head -n 1)
    calls=$((calls + blocks * 1000))
    [ "$blocks" -eq "$BLOCKS" ] || unexplained=$((unexplained + 1))
    echo "random: seed $SEED, $blocks blocks of 1000 calls, first that differs: ${first:-none}"
    [ -z "$first" ] && return
    unexplained=$((unexplained + 1))
    on_both block calls "random=1 seed=$SEED first=$first show"
    compare block
}

sh "$HERE/../tools/linux/fetch.sh" "$B/xen" xen || exit 1
transcript calls calls transcript
random_calls
for dir in "$HERE"/conformance/*/; do
    name=$(basename "$dir")
    [ "$name" != calls ] && [ -f "$dir/main.c" ] &&
        transcript "$name" "$name" transcript
done
for name in smoke runtime traps user evtchn grant mmu ldt timers; do
    on_both "$name" "$name" ""
    whole "$name"
done

echo "$calls calls compared, $unexplained unexplained differences, $intended intended"
[ $unexplained -eq 0 ]
