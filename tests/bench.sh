#!/bin/sh
# make bench: the cost of each operation in instructions, beside Xen's and
# seL4's, and build/bench.json.
#
#   sh tests/bench.sh BUILD [xen]
#
# With `xen` the same guests also run on Debian's Xen, if that can be had;
# otherwise its figures are the recorded ones, as seL4's are; and what takes
# two domains is also timed by the clock, on 1 and on 2 CPUs.  Status 0; 1 if a
# row is missing, worse than Xen's, or grows with the number of domains and
# ports.
set -u

B=${1:-build}
BESIDE=${2:-}
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
run() { # NAME OPTION ...
    name=$1
    shift
    { cat; echo boot; } > "$WORK/$name.cfg"
    "$B/belfry" image "$WORK/$name.cfg" --root "$B" -o "$WORK/$name.iso" \
        > "$WORK/$name.image.log" 2>&1 &&
    "$B/belfry" run "$WORK/$name.iso" "$@" --accel tcg --timeout 300 \
        < /dev/null > "$WORK/$name.out" 2>&1
    status=$?
    tr -d '\r' < "$WORK/$name.out" > "$WORK/$name.log"
    [ $status -eq 0 ] && return
    echo "bench: the run $name ended with status $status:" >&2
    tail -n 20 "$WORK/$name.log" >&2
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

# Two domains there, and nothing else awake; no log if there is no Xen.
run_xen() { # NAME
    sh "$HERE/xen/run-job.sh" "$B" "$HERE/xen/job-bench.sh" "$WORK/$1.log" \
        "$B/guests/bench.elf" > "$WORK/$1.messages" 2>&1
    status=$?
    [ $status -eq 0 ] && grep -q 'verdict: pass bench' "$WORK/$1.log" && return
    if [ $status -eq 3 ]; then
        echo "bench: no Xen here, its figures are recorded ones:" >&2
        head -n 1 "$WORK/$1.messages" >&2
        rm -f "$WORK/$1.log"
        return
    fi
    echo "bench: the run $1 on Xen ended with status $status:" >&2
    cat "$WORK/$1.messages" >&2
    tail -n 20 "$WORK/$1.log" >&2
    return 1
}

# By the clock: one after the other, and nobody is judged by it.
time_all() {
    run time1 --cpus 1 < "$HERE/guest/bench/grub.cfg" || return 1
    run time2 --cpus 2 < "$HERE/guest/bench/grub.cfg" || return 1
    ICOUNT=no run_xen xen-time || return 1
    [ -f "$WORK/xen-time.log" ] || : > "$WORK/xen-time.log"
    awk -f "$HERE/bench-time.awk" "$WORK/time1.log" "$WORK/time2.log" \
        "$WORK/xen-time.log"
}

# All at once: where the clock counts instructions, none disturbs another.
rm -f "$WORK/xen.log" "$WORK/xen-time.log"
xen=
if [ "$BESIDE" = xen ]; then
    run_xen xen &
    xen=$!
fi
crowded | run many --icount &
crowd=$!
status=0
run few --icount < "$HERE/guest/bench/grub.cfg" || status=1
wait $crowd || status=1
[ -z "$xen" ] || wait "$xen" || status=1
[ $status -eq 0 ] || exit 1
set -- "$WORK/few.log" "$WORK/many.log"
[ ! -f "$WORK/xen.log" ] || set -- "$@" "$WORK/xen.log"
awk -v json="$B/bench.json" -f "$HERE/bench.awk" "$HERE/bench.rows" "$@" ||
    status=1
[ "$BESIDE" != xen ] || time_all || status=1
exit $status
