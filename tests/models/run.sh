#!/bin/sh
# make test-models: the rings' code, explored.
#
#   sh tests/models/run.sh BUILD
#
# All states of explore's list, random schedules of relacy, the handshake in
# Spin, then the faults of mutations.txt, of which all must be caught.
set -u

B=${1:-build}
HERE=$(cd "$(dirname "$0")" && pwd)
status=0

"$B/models/explore" > "$B/models/explore.log" || status=1
cat "$B/models/explore.log"
awk '/ states, / { for (i = 2; i <= NF; i++) if ($i == "states,") n += $(i - 1) }
     END { print n " states in " NR " models" }' "$B/models/explore.log"

"$B/models/relacy" > "$B/models/relacy.log" || status=1
grep -E 'iterations|RACE|LIVELOCK|ASSERT' "$B/models/relacy.log" |
    sed 's/^/relacy: /'

sh "$HERE/spin.sh" "$B" || status=1

sh "$HERE/../mutate.sh" "$B" . models/mutations.txt 100 || status=1

[ $status -eq 0 ] && echo "test-models: pass" || echo "test-models: FAIL"
exit $status
