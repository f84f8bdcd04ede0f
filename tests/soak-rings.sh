#!/bin/sh
# The rings' part of make soak: what their tests do, a thousand million times.
#
#   sh tests/soak-rings.sh BUILD
#
# MESSAGES=N of each kind between two threads under the thread sanitizer,
# MUTATIONS=N of shared pages by a hostile peer, RUNS=N of the fuzzer; SEED=N.
set -u

B=${1:-build}
export SEED="${SEED:-$(date +%Y%m%d)}"
export MESSAGES="${MESSAGES:-1000000000}" MUTATIONS="${MUTATIONS:-1000000000}"
export CK_TIMEOUT_MULTIPLIER=100
status=0

"$B/unit/test_reqrsp_threads.tsan" || status=1
"$B/unit/test_spsc_threads.tsan" || status=1
"$B/unit/test_reqrsp_hostile" || status=1
"$B/fuzz/rings" -runs="${RUNS:-20000000}" -max_len=256 -seed="$SEED" \
    -artifact_prefix="$B/test-logs/" > "$B/test-logs/fuzz-rings.log" 2>&1 ||
    status=1
tail -n 1 "$B/test-logs/fuzz-rings.log"
exit $status
