#!/bin/sh
# The bench of the rings: its statistics and what it draws, on samples whose
# answers are known; and a short run of the bench itself where it is built
# (make test does not need its packages).
#
#   test.sh BUILD
#
# Each test prints `ok NAME` or `FAIL NAME: why`; the last line is
# `N passed, N failed`.
set -u

B=${1:?usage: test.sh BUILD}
HERE=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
passed=0 failed=0
trap 'rm -rf "$work"' EXIT

same() { # NAME WANTED GOT
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1: '$3' instead of '$2'"
    fi
}

# Samples of one row: a rate each, and a billion cycles a second.
samples() { # KIND PEER RATE...
    kind=$1 peer=$2
    shift 2
    for rate in "$@"; do
        echo "$kind $peer 16 1 $rate" | awk '{ print $0, 1e9 / $5 }'
    done
}

rows() {
    awk -f "$HERE/stats.awk"
}

# ---- Medians, spreads, noise. ----

same "odd median" "300" "$(samples one-way a 100 900 300 | rows | cut -d' ' -f5)"
same "even median" "250" \
    "$(samples one-way a 400 200 100 300 | rows | cut -d' ' -f5)"
same "one sample" "one-way a 16 1 500 2000000.0 500 500 0.0 - -" \
    "$(samples one-way a 500 | rows)"
same "of eleven, the lowest and the highest do not count" "100 110 9.5 - -" \
    "$(samples one-way a 1 100 110 105 105 105 105 105 105 105 9999 | rows |
        cut -d' ' -f7-)"
same "of ten, all count" "1 9999" \
    "$(samples one-way a 1 100 110 105 105 105 105 105 105 9999 | rows |
        cut -d' ' -f7-8)"
same "a spread of 20 % is no noise" "20.0 - -" \
    "$(samples one-way a 90 100 110 | rows | cut -d' ' -f9-)"
same "a spread above it is" "21.0 - noise" \
    "$(samples one-way a 90 100 111 | rows | cut -d' ' -f9-)"
same "interleaved rows are told apart" "one-way a 150,answered b 20," \
    "$({ samples one-way a 100; samples answered b 10; samples one-way a 200
         samples answered b 30; } | rows | cut -d' ' -f1,2,5 | tr '\n' ',')"
same "instructions join their row" "42.5" \
    "$({ samples one-way a 100; echo "instructions one-way a 16 1 42.5"; } |
        rows | cut -d' ' -f10)"

# ---- The verdict of the table. ----

verdict() { # samples on standard input
    rows | awk -f "$HERE/table.awk" > "$work/table"
    echo "$? $(sed -n '3s/.*| \([^|]*[^ |]\) *|$/\1/p' "$work/table")"
}

same "as fast as ring.h" "0 1.00 of ring.h" \
    "$({ samples answered reqrsp 100; samples answered ring.h 100; } | verdict)"
same "slower than ring.h" "1 0.90 of ring.h, BELOW" \
    "$({ samples answered reqrsp 90; samples answered ring.h 100; } | verdict)"
same "slower by less than the samples spread" "0 0.98 of ring.h, even" \
    "$({ samples answered reqrsp 95 98 101
         samples answered ring.h 99 100 105; } | verdict)"
same "slower, but noise" "0 0.50 of ring.h, noise" \
    "$({ samples answered reqrsp 30 50 60; samples answered ring.h 100; } |
        verdict)"
same "the fastest that checks nothing is what counts" \
    "1 0.83 of rte_ring, BELOW" \
    "$({ samples one-way spsc-quiet 83; samples one-way ck_ring 10
         samples one-way rte_ring 100; } | verdict)"
same "within 1.2 of it" "0 0.84 of rte_ring" \
    "$({ samples one-way spsc-quiet 84; samples one-way ck_ring 10
         samples one-way rte_ring 100; } | verdict)"

# ---- JSON and the plot. ----

{
    samples one-way a 100 200
    samples trip-sleep b 7
    echo "instructions one-way a 16 1 9"
} | rows > "$work/rows"
awk -v cpu="A CPU" -v date=2000-01-01 -v rounds=2 -f "$HERE/json.awk" \
    "$work/rows" > "$work/json"
same "JSON has every row" '["A CPU",2,[150,7],[9,null],[true,false]]' \
    "$(jq -c '[.cpu, .rounds, [.rows[].per_second], [.rows[].instructions],
        [.rows[].noise]]' "$work/json")"
awk -v cpu="A CPU" -v date=2000-01-01 -f "$HERE/svg.awk" "$work/rows" \
    > "$work/svg"
same "the plot has a mark a row" 2 "$(grep -c '<title>' "$work/svg")"
same "and is whole" "1 1" \
    "$(grep -c '^<svg ' "$work/svg") $(grep -c '^</svg>$' "$work/svg")"

# ---- The bench itself. ----

# As it is now, not as it once was.
if [ "$B/bench-rings" -nt "$HERE/main.c" ] && [ "$(nproc)" -gt 1 ]; then
    "$B/bench-rings" --rounds 1 --ms 1 > "$work/samples" 2> "$work/errors"
    same "a short run ends well" "0 " "$? $(cat "$work/errors")"
    # 6 peers one way and 8 answered, by 9 of sizes and batches; round trips.
    same "and has all rows" "54 72 8 7 " \
        "$(awk '{ n[$1]++ } END { print n["one-way"], n["answered"],
            n["trip-poll"], n["trip-sleep"], "" }' "$work/samples")"
    rows < "$work/samples" | awk -f "$HERE/json.awk" > "$work/json"
    same "whose JSON parses" 141 "$(jq '.rows | length' "$work/json")"
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
