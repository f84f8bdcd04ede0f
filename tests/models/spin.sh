#!/bin/sh
# The handshake of guests/drivers in Spin: every interleaving, with and
# without impatience, deaths and a backend that throws its frontend out.
#
#   sh tests/models/spin.sh BUILD
#
# One line a variant; status 1 and the trail at the first that is wrong.
set -u

model=$(cd "$(dirname "$0")" && pwd)/handshake.pml
mkdir -p "${1:-build}/models/spin"
cd "${1:-build}/models/spin" || exit 2

try() { # FLAG...
    rm -f handshake.pml.trail
    cp "$model" handshake.pml
    spin "$@" -a handshake.pml > spin.log &&
        gcc -O2 -w -DSAFETY -DNOREDUCE -o pan pan.c &&
        ./pan -m100000 > pan.log || exit 2
    awk -v what="handshake $*" '
        /errors: / { errors = $NF }
        /states, stored/ { print what ": " $1 " states, errors: " errors }
    ' pan.log
    grep -q 'errors: 0$' pan.log && ! grep -q 'max search depth too small' pan.log &&
        return
    spin "$@" -t -p -g handshake.pml | tail -n 60
    exit 1
}

try -DOPENS=3
try -DOPENS=3 -DSTAYS -DBANS
try -DOPENS=3 -DIMPATIENT
try -DOPENS=3 -DIMPATIENT -DBANS
try -DOPENS=3 -DFRONT_DIES
try -DOPENS=3 -DFRONT_DIES -DIMPATIENT
try -DOPENS=3 -DBACK_DIES -DSTAYS
try -DOPENS=2 -DBACK_DIES -DIMPATIENT
