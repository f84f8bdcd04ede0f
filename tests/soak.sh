#!/bin/sh
# make soak: what `make test` does in a small way, for longer: the fuzzer from
# many seeds, a thousand cycles of create and destroy from a few, and every
# guest again and again, on 1, 2 and 4 CPUs; before that, rings (soak-rings.sh),
# SENDS=N (default 100,000,000) sends that race with sleeps, and ten thousand
# deaths in chains of calls (chains.sh; KILLS=N).
#
#   sh tests/soak.sh BUILD
#
# ROUNDS=N times (default 3), the first with SEED=N (default: the date);
# CPUS="4" on so many only.
set -u

B=${1:-build}
HERE=$(dirname "$0")
SEED=${SEED:-$(date +%Y%m%d)}
rounds=${ROUNDS:-3}
CPUS=${CPUS:-1 2 4}
guests=$(cd "$HERE/guest" && for dir in */; do
    name=${dir%/}
    echo "$name"
    for cpus in $CPUS; do echo "$name-${cpus}cpus"; done
done)
status=0

SEED=$SEED sh "$HERE/soak-rings.sh" "$B" || status=1
SENDS=${SENDS:-100000000} LIMIT=7200 SEED=$SEED sh "$HERE/run.sh" "$B" \
    eventloss || status=1
unset SENDS
for cpus in $CPUS; do
    CPUS=$cpus KILLS=${KILLS:-10000} LIMIT=10000 sh "$HERE/chains.sh" "$B" ||
        status=1
done
while [ "$rounds" -gt 0 ]; do
    # shellcheck disable=SC2086 # names, one word each
    CPUS=$CPUS SEED=$SEED CALLS=1000000 CYCLES=1000 LIMIT=900 \
        sh "$HERE/run.sh" "$B" $guests || status=1
    grep -hE '^[0-9]+ (calls|cycles), [0-9]+ ' "$B"/test-logs/fuzz*.log \
        "$B"/test-logs/cycles*.log
    SEED=$((SEED + 1000))
    rounds=$((rounds - 1))
done
exit $status
