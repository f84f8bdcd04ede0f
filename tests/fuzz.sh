#!/bin/sh
# make fuzz: ten million random hypercalls of two unprivileged domains with two
# vCPUs each, on two CPUs.
#
#   sh tests/fuzz.sh BUILD
#
# SEED=N the first seed (default: the date), SEEDS=N how many (default 1),
# CALLS=N of each (default 10,000,000), CPUS=N (default 2).
set -u

B=${1:-build}
HERE=$(dirname "$0")
SEED=${SEED:-$(date +%Y%m%d)}
CALLS=${CALLS:-10000000}
test=fuzz-${CPUS:-2}cpus
last=$((SEED + ${SEEDS:-1}))
status=0

export CALLS SEED
while [ "$SEED" -lt "$last" ]; do
    # A slow host makes some 3,000 a second.
    LIMIT=$((300 + CALLS / 3000)) sh "$HERE/run.sh" "$B" "$test" || status=1
    grep -E '^fuzzer[0-9], vCPU|^[0-9]+ calls, [0-9]+ accepted' "$B/test-logs/$test.log" ||
        status=1
    SEED=$((SEED + 1))
done
exit $status
