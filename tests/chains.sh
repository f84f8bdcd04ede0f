#!/bin/sh
# make test-chains: on A calls B calls C, one of them ends at every step
# (tests/guest/chains); prints what the others saw.
#
#   sh tests/chains.sh BUILD
#
# KILLS=N at least, over all roles and steps; CPUS="1 2".
set -u

B=${1:-build}
HERE=$(dirname "$0")
status=0

for cpus in ${CPUS:-1 2}; do
    name=chains-${cpus}cpus
    [ "$cpus" = 1 ] && name=chains
    CPUS=$cpus KILLS=${KILLS:-1} LIMIT=${LIMIT:-900} \
        sh "$HERE/run.sh" "$B" "$name" || status=1
    grep '^| ' "$B/test-logs/$name.log"
done
exit $status
