#!/bin/sh
# make fuzz: a million random hypercalls of an unprivileged domain, from each
# of a few seeds, on the machine that `make test` uses.
#
#   sh tests/fuzz.sh BUILD
#
# SEED=N the first seed (default: the date), SEEDS=N how many (default 1),
# CALLS=N of each (default 1,000,000).
set -u

B=${1:-build}
HERE=$(dirname "$0")
SEED=${SEED:-$(date +%Y%m%d)}
last=$((SEED + ${SEEDS:-1}))
status=0

while [ "$SEED" -lt "$last" ]; do
    SEED=$SEED CALLS=${CALLS:-1000000} sh "$HERE/run.sh" "$B" fuzz || status=1
    grep -E '^[0-9]+ calls, ' "$B/test-logs/fuzz.log" || status=1
    SEED=$((SEED + 1))
done
exit $status
