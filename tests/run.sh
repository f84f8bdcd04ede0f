#!/bin/sh
# make test: everything that must hold.
#
#   sh tests/run.sh BUILD [NAME ...]
#
# Runs the host suites in BUILD/unit, the fuzzers in BUILD/fuzz, the guests of
# tests/guest in QEMU (on one CPU as NAME, and as NAME-2cpus on two; CPUS="1 2 4"
# for more), the benchmark twice, and the tool against live systems
# (tests/tool/run.sh); with names, only those.  Prints `ok NAME (seconds)` or `FAIL NAME: why` for each;
# logs stay in BUILD/test-logs.  The last line is `N passed, N failed`, where
# each case of a host suite, each guest's verdict and each check of the tool
# counts as one; status 1 if any failed.
#
# SEED=N gives the guests with random moments or arguments another seed,
# CALLS, CYCLES, SENDS and KILLS set how much the fuzzer, the cycles, eventloss
# and the chains do, and LIMIT=N gives each guest so many seconds.
set -u

B=${1:-build}
[ $# -gt 0 ] && shift
ONLY=$*
HERE=$(cd "$(dirname "$0")" && pwd)
LOGS=$B/test-logs
CPUS=${CPUS:-${ONLY:+1 2 4}}
CPUS=${CPUS:-1 2}
SEED=${SEED:-1} CALLS=${CALLS:-200000} CYCLES=${CYCLES:-1000}
SENDS=${SENDS:-10000000} KILLS=${KILLS:-1}
passed=0 failed=0

mkdir -p "$LOGS"

# Systems of these tests are nobody else's to stop or to talk to.
XDG_RUNTIME_DIR=$(mktemp -d)
export XDG_RUNTIME_DIR
trap 'rm -rf "$XDG_RUNTIME_DIR"' EXIT
trap 'exit 1' INT TERM

# ---- Results. ---------------------------------------------------------------

seconds() { # SINCE
    echo "$(date +%s.%N) $1" | awk '{ printf "%.1f s", $1 - $2 }'
}

ok() { # NAME SINCE [COUNT]
    passed=$((passed + ${3:-1}))
    echo "ok $1 ($(seconds "$2"))"
}

fail() { # NAME WHY [COUNT]
    failed=$((failed + ${3:-1}))
    echo "FAIL $1: $2"
}

wanted() { # NAME
    [ -z "$ONLY" ] && return 0
    for one in $ONLY; do
        [ "$one" = "$1" ] && return 0
    done
    return 1
}

# ---- Host suites: Check's own summary is counted. ---------------------------

# "97%: Checks: 42, Failures: 1, Errors: 0" to "42 1"; nothing otherwise.
check_counts() { # LOG
    sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' \
        "$1" | awk '{ c += $1; f += $2 + $3 } END { if (NR) print c, f }'
}

run_suite() { # PROGRAM
    name=$(basename "$1")
    log=$LOGS/$name.log
    since=$(date +%s.%N)
    CK_VERBOSITY=normal timeout 600 "$1" > "$log" 2>&1
    status=$?
    counts=$(check_counts "$log")
    bad=${counts#* }
    if [ -z "$counts" ]; then
        fail "$name" "no summary, status $status: $(tail -n 1 "$log")"
    elif [ "$bad" -gt 0 ]; then
        passed=$((passed + ${counts% *} - bad))
        fail "$name" "$bad of ${counts% *}: $(grep -m 1 ':[FE]:' "$log")" "$bad"
    elif [ $status -ne 0 ]; then
        fail "$name" "all passed, yet status $status: $(tail -n 1 "$log")"
    else
        ok "$name" "$since" "${counts% *}"
    fi
}

# ---- libFuzzer: from an empty corpus, the same again from the same seed. -----

run_fuzzer() { # PROGRAM
    name=fuzz-$(basename "$1")
    log=$LOGS/$name.log
    since=$(date +%s.%N)
    if timeout 300 "$1" -runs="${RUNS:-200000}" -max_len=256 -seed="$SEED" \
        -artifact_prefix="$LOGS/" > "$log" 2>&1; then
        ok "$name" "$since"
    else
        fail "$name" "$(grep -m 1 -E 'not so:|ERROR|runtime error' "$log")"
    fi
}

# ---- Guests. ------------------------------------------------------------------

# "# timeout 300" in a test's grub.cfg.
timeout_of() { # CFG
    given=$(sed -n 's/^# timeout \([0-9]*\)$/\1/p' "$1" 2> /dev/null)
    echo "${given:-90}"
}

# "# cpus 2" in a test's grub.cfg.
fixed_cpus() { # CFG
    sed -n 's/^# cpus \([0-9]*\).*$/\1/p' "$1" 2> /dev/null
}

# A test's grub.cfg with its parameters filled in, or one line for a guest
# that needs no more than itself.
config_of() { # NAME CMDLINE
    own=$HERE/guest/$1/grub.cfg
    if [ -f "$own" ]; then
        sed "s/@SEED@/$SEED/g; s/@CALLS@/$CALLS/g; s/@CYCLES@/$CYCLES/g
            s/@SENDS@/$SENDS/g; s/@KILLS@/$KILLS/g" "$own"
        grep -q '^menuentry' "$own" || echo boot
    else
        echo "multiboot2 /belfry.elf"
        echo "module2 /guests/$1.elf name=$1 mem=64M cmdline=\"$2\""
        echo boot
    fi
}

# An image whose grub.cfg is wrong on purpose ("# unchecked"): the tool builds
# one with the same files and a right grub.cfg, which is then replaced.
unchecked_image() { # CFG ISO FILE-OPTION...
    wrong=$1 out=$2
    shift 2
    files=$(awk '$1 == "module2" { print $2 }' "$wrong" | sort -u)
    {
        echo "multiboot2 /belfry.elf"
        n=0
        for file in $files; do
            n=$((n + 1))
            echo "module2 /guests/smoke.elf name=d$n autostart=no"
            echo "module2 $file ramdisk=d$n"
        done
        echo boot
    } > "$wrong.right"
    "$B/belfry" image "$wrong.right" --root "$B" "$@" -o "$out.right" &&
    rm -f "$out" &&
    xorriso -report_about SORRY -indev "$out.right" -outdev "stdio:$out" \
        -boot_image any replay -overwrite on -map "$wrong" /boot/grub/grub.cfg
}

build_image() { # TEST CFG ISO
    [ -f "$B/disk.img" ] && set -- "$@" --file "disk.img=$B/disk.img"
    prepare=$HERE/guest/$1/prepare.sh
    if [ -f "$prepare" ]; then
        rm -rf "$LOGS/$1.files"
        mkdir -p "$LOGS/$1.files"
        sh "$prepare" "$B" "$LOGS/$1.files" || return 1
        for made in "$LOGS/$1.files"/*; do
            set -- "$@" --file "bad/$(basename "$made")=$made"
        done
    fi
    shift
    if grep -q '^# unchecked' "$1"; then
        unchecked_image "$@"
    else
        built=$1 out=$2
        shift 2
        "$B/belfry" image "$built" --root "$B" "$@" -o "$out"
    fi
}

# The line that tells why: a failed check, a panic, or the very last.  The log
# is kept, also when the test runs again.
reason_of() { # LOG
    cp "$1" "${1%.log}.failed.log"
    { grep -m 1 -E 'not so:|should be' "$1" ||
      grep -m 1 -E '^(\[ *[0-9.]+\] )?(panic|PANIC|BUG)' "$1" ||
      tail -n 1 "$1"; } | cut -c 1-200
}

judge() { # LABEL TEST STATUS SINCE LOG
    verdict=$(sed -n "s/^.*verdict: \([a-z]*\) $2\$/\1/p" "$5" | tail -n 1)
    case $3:$verdict in
    0:pass) ok "$1" "$4" ;;
    0:skip) echo "skip $1" ;;
    6:*) fail "$1" "timed out; $(reason_of "$5")" ;;
    2:*) fail "$1" "the hypervisor stopped itself: $(reason_of "$5")" ;;
    *:broken) fail "$1" "the test itself is broken: $(reason_of "$5")" ;;
    *) fail "$1" "verdict ${verdict:-missing}, status $3: $(reason_of "$5")" ;;
    esac
}

run_guest() { # LABEL TEST CMDLINE RUN-OPTION...
    label=$1 test=$2
    log=$LOGS/$label.log iso=$LOGS/$label.iso cfg=$LOGS/$label.cfg
    config_of "$test" "$3" > "$cfg"
    limit=${LIMIT:-$(timeout_of "$cfg")}
    shift 3
    grep -q '^# icount' "$cfg" && set -- --icount "$@"
    since=$(date +%s.%N)
    if ! build_image "$test" "$cfg" "$iso" > "$log" 2>&1; then
        fail "$label" "no image: $(tail -n 1 "$log")"
        return
    fi
    "$B/belfry" run "$iso" --accel tcg --mem "${MEM:-512M}" \
        --timeout "$limit" "$@" < /dev/null > "$log.raw" 2>&1
    status=$?
    tr -d '\r' < "$log.raw" > "$log"
    rm -f "$log.raw" "$iso" "$iso.right"
    judge "$label" "$test" $status "$since" "$log"
}

# With SMAP on, guests return from their handlers by hypercall.
SMAP_TESTS="smoke runtime traps user evtchn grant mmu pointers timers"

# Every guest, on so many CPUs; `# cpus N` in its grub.cfg: on N only.
run_guests() { # CPUS
    for dir in "$HERE"/guest/*/; do
        name=$(basename "$dir")
        label=$name-$1cpus
        fixed=$(fixed_cpus "$dir/grub.cfg")
        [ "$name" = bench ] || [ ! -f "$dir/main.c" ] && continue
        [ "$1" = 1 ] || [ -z "$fixed" ] || continue
        [ "$1" = 1 ] && label=$name
        wanted "$label" && run_guest "$label" "$name" "" --cpus "${fixed:-$1}"
    done
}

# ---- The benchmark: twice the same. -------------------------------------------

run_bench() {
    log=$LOGS/bench.log
    since=$(date +%s.%N)
    if ! sh "$HERE/bench.sh" "$B" > "$log" 2>&1; then
        fail bench "$(grep -m 1 -E 'MISSING|WORSE|GROWS|bench:' "$log")"
        return
    fi
    cp "$B/bench.json" "$LOGS/bench.first.json"
    sh "$HERE/bench.sh" "$B" > "$log" 2>&1
    if cmp -s "$B/bench.json" "$LOGS/bench.first.json"; then
        ok bench "$since"
    else
        fail bench "two runs differ: see $LOGS/bench.first.json"
    fi
}

# ---- The tool and the library: the script's own last line is counted. -----------

run_script() { # NAME SCRIPT
    log=$LOGS/$1.log
    sh "$2" "$B" > "$log" 2>&1
    status=$?
    grep -E '^(ok|FAIL|skip) ' "$log"
    counts=$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" |
        tail -n 1)
    if [ -z "$counts" ]; then
        fail "$1" "ended early, status $status: $(tail -n 1 "$log")"
        return
    fi
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
}

# ---- All of it. -------------------------------------------------------------------

echo "seed $SEED"
for program in "$B"/unit/test_*; do
    case $program in
    *.d | *.o) continue ;;
    esac
    [ -x "$program" ] && wanted "$(basename "$program")" &&
        run_suite "$program"
done
for program in "$B"/fuzz/*; do
    [ -x "$program" ] && wanted "fuzz-$(basename "$program")" &&
        run_fuzzer "$program"
done
for cpus in $CPUS; do
    run_guests "$cpus"
done
for name in $SMAP_TESTS; do
    wanted "$name-smap" && run_guest "$name-smap" "$name" iret --smap
done
wanted bench && run_bench
wanted bench-rings && run_script bench-rings "$HERE/bench-rings/test.sh"
wanted library && run_script library "$HERE/library.sh"
wanted machine && run_script machine "$HERE/machine/run.sh"
wanted tool && run_script tool "$HERE/tool/run.sh"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
