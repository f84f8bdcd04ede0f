#!/bin/sh
# make bench: the cost of each operation in instructions, beside the recorded
# figures of Xen and seL4, and build/bench.json.
#
#   sh tests/bench.sh BUILD
#
# Status 0; 1 if a row is missing, worse than Xen's, or grows with the number
# of domains and ports.
set -u

B=${1:-build}
HERE=$(dirname "$0")
WORK=$B/bench
CROWD=62 # domains that only sleep, for the second run
PORTS=4000

mkdir -p "$WORK"

# The systems run here are nobody else's to stop.
XDG_RUNTIME_DIR=$(mktemp -d)
export XDG_RUNTIME_DIR
trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT

# One run: its image is built from the configuration on standard input.
run() { # NAME
    { cat; echo boot; } > "$WORK/$1.cfg"
    "$B/belfry" image "$WORK/$1.cfg" --root "$B" -o "$WORK/$1.iso" \
        > "$WORK/$1.image.log" 2>&1 &&
    "$B/belfry" run "$WORK/$1.iso" --icount --accel tcg --timeout 300 \
        < /dev/null > "$WORK/$1.out" 2>&1
    status=$?
    tr -d '\r' < "$WORK/$1.out" > "$WORK/$1.log"
    [ $status -eq 0 ] && return
    echo "bench: the run $1 ended with status $status:" >&2
    tail -n 20 "$WORK/$1.log" >&2
    return 1
}

# The same system with many domains more, and many ports in use.
crowded() {
    sed "s/name=bench /name=bench cmdline=ports=$PORTS /" \
        "$HERE/guest/bench/grub.cfg"
    i=1
    while [ $i -le $CROWD ]; do
        echo "module2 /guests/bench.elf name=idle$i mem=4M"
        i=$((i + 1))
    done
}

# Both at once: where the clock counts instructions, neither disturbs the
# other.
crowded | run many &
crowd=$!
run few < "$HERE/guest/bench/grub.cfg" || exit 1
wait $crowd || exit 1
awk -v json="$B/bench.json" -f "$HERE/bench.awk" "$HERE/bench.rows" \
    "$WORK/few.log" "$WORK/many.log"
