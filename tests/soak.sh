#!/bin/sh
# make soak: what `make test` does in a small way, for longer: the fuzzer from
# many seeds, a thousand cycles of create and destroy from a few, and every
# guest again and again.
#
#   sh tests/soak.sh BUILD
#
# ROUNDS=N times (default 3), the first with SEED=N (default: the date).
set -u

B=${1:-build}
HERE=$(dirname "$0")
SEED=${SEED:-$(date +%Y%m%d)}
rounds=${ROUNDS:-3}
guests=$(cd "$HERE/guest" && for dir in */; do echo "${dir%/}"; done)
status=0

while [ "$rounds" -gt 0 ]; do
    # shellcheck disable=SC2086 # names, one word each
    SEED=$SEED CALLS=1000000 CYCLES=1000 sh "$HERE/run.sh" "$B" $guests ||
        status=1
    grep -hE '^[0-9]+ (calls|cycles), ' "$B/test-logs/fuzz.log" \
        "$B/test-logs/cycles.log"
    SEED=$((SEED + 1000))
    rounds=$((rounds - 1))
done
exit $status
