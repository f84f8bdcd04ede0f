#!/bin/sh
# make bench-rings: our rings beside others, on two CPUs of this machine.
#
#   sh tests/bench-rings/run.sh BUILD [ROUNDS [MS]]
#
# Measures, counts instructions, and leaves BUILD/bench-rings.json, .md (the
# table, also on standard output) and .svg.  With RECORD=yes the table and the
# plot go to docs/.  Status 1 if a row of ours is below its bound.
set -u

B=${1:-build}
ROUNDS=${2:-11}
MS=${3:-40}
HERE=$(dirname "$0")
OUT=$B/bench-rings
COUNT=6400 # messages under callgrind

fail() {
    echo "bench-rings: $1" >&2
    exit 1
}

# What one row needs under callgrind: "instructions KIND PEER SIZE BATCH N".
count_row() { # KIND PEER SIZE BATCH
    valgrind --tool=callgrind --callgrind-out-file="$OUT.callgrind" \
        --toggle-collect='batch_*' "$OUT" --one-thread "$@" $COUNT \
        > "$OUT.log" 2>&1 || fail "callgrind: $(tail -n 1 "$OUT.log")"
    awk -v row="$*" -v count=$COUNT '$1 == "totals:" {
        printf "instructions %s %.1f\n", row, $2 / count }' "$OUT.callgrind"
}

count_all() {
    "$OUT" --countable | while read -r kind peer size batch; do
        count_row "$kind" "$peer" "$size" "$batch"
    done
}

"$OUT" --rounds "$ROUNDS" --ms "$MS" > "$OUT.samples" || fail "no samples"
if command -v valgrind > /dev/null; then
    count_all >> "$OUT.samples"
else
    echo "bench-rings: no valgrind, so no instructions" >&2
fi

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
date=$(date +%Y-%m-%d)
awk -f "$HERE/stats.awk" "$OUT.samples" > "$OUT.rows"
awk -v cpu="$cpu" -v date="$date" -v rounds="$ROUNDS" -f "$HERE/json.awk" \
    "$OUT.rows" > "$OUT.json"
awk -v cpu="$cpu" -v date="$date" -f "$HERE/svg.awk" "$OUT.rows" > "$OUT.svg"
awk -f "$HERE/table.awk" "$OUT.rows" > "$OUT.table"
status=$?
{
    sed "s/@CPU@/$cpu/; s/@DATE@/$date/; s/@ROUNDS@/$ROUNDS/; s/@MS@/$MS/" \
        "$HERE/head.md"
    cat "$OUT.table"
} > "$OUT.md"
cat "$OUT.table"
if [ "${RECORD:-}" = yes ]; then
    cp "$OUT.md" "$OUT.svg" "$HERE/../../docs/"
fi
exit $status
