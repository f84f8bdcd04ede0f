#!/bin/sh
# make mutate: do the tests see faults?
#
#   sh tests/mutate.sh BUILD [PATTERN [LIST [SHARE]]]
#
# Makes the faults of LIST (tests/mutations.txt; those whose name matches
# PATTERN), one at a time, in a copy of the sources under BUILD/mutate, and
# runs the tests named there until one fails.  First all of these tests must
# pass on the copy as it is.  Prints `caught` with the test, or `MISSED`; the
# last line is the share.  Status 1 if less than SHARE (90) of 100 are caught,
# or if a fault cannot be made any more because the text it replaces has
# changed.
#
# A run that was stopped goes on where it was, as long as the sources are the
# same; one that came to its end begins anew.
set -u

HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-build}/mutate"
work=$(cd "${1:-build}/mutate" && pwd)
pattern=${2:-.}
list=$HERE/${3:-mutations.txt}
share=${4:-90}
src=$work/src clean=$work/clean
ledger=$work/ledger.$(echo "${3:-mutations.txt}" | tr / -)
tab=$(printf '\t')
parts="Makefile grub.cfg lib hv evtchn rings links library guests tools tests docs"

# ---- The copy that is broken, and the one that it is mended from. -----------

fingerprint() {
    # shellcheck disable=SC2086 # names, one word each
    (cd "$HERE/.." && find $parts -type f | sort | xargs sha256sum) | sha256sum
}

copy_sources() {
    rm -rf "$src" "$clean" "$work"/ledger.*
    mkdir -p "$clean"
    for part in $parts; do
        cp -R "$HERE/../$part" "$clean"
    done
    cp -R "$clean" "$src"
    fingerprint > "$work/fingerprint"
}

# What a run that was stopped has left broken.
mend_all() {
    cut -f 2 "$work/faults" | sort -u | while read -r file; do
        cmp -s "$clean/$file" "$src/$file" || cp "$clean/$file" "$src/$file"
    done
}

# A fault of the rings shows in a few, or not in a hundred million either.
export MESSAGES=1000000 MUTATIONS=5000000
# A host that is busy is no fault.
export CK_TIMEOUT_MULTIPLIER=4

build() { # TARGET...
    make -s -j2 B=b WARN=-w "$@" > "$work/build.log" 2>&1
}

# ---- Tests. -------------------------------------------------------------------

run_unit() { # TEST
    build "b/unit/$1" || return 2
    CK_VERBOSITY=normal timeout 900 "b/unit/$1" > "$work/test.log" 2>&1
}

run_model() { # TEST
    case $1 in
    explore-*)
        build b/models/explore || return 2
        set -- b/models/explore "$(echo "${1#explore-}" | tr - ' ')"
        ;;
    spin) set -- sh tests/models/spin.sh b ;;
    relacy)
        build b/models/relacy || return 2
        set -- b/models/relacy
        ;;
    esac
    timeout 300 "$@" > "$work/test.log" 2>&1
}

# What has timed out has another try.
run_guest() { # TEST
    build all || return 2
    sh tests/run.sh b "$1" > "$work/test.log" 2>&1 && return 0
    grep -q 'timed out' "$work/test.log" || return 1
    sh tests/run.sh b "$1" > "$work/test.log" 2>&1
}

# 0 it passes, 1 it fails, 2 it cannot be built.  Output is in test.log.
run_test() { # TEST
    case $1 in
    test_*) run_unit "$1" ;;
    explore-* | spin | relacy) run_model "$1" ;;
    *) run_guest "$1" ;;
    esac
}

passes_without_fault() { # TEST
    grep -qxF "passes $1" "$ledger" && return 0
    for try in 1 2 3; do
        run_test "$1" && echo "passes $1" >> "$ledger" && return 0
        echo "without a fault, try $try: $1: $(tail -n 2 "$work/test.log")"
    done
    return 1
}

# ---- Faults. ------------------------------------------------------------------

# One line a fault: name, file, tests, with tabs between.
faults() {
    awk -v pattern="$pattern" '
        /^= / { name = substr($0, 3); file = "" }
        /^[a-z]+\// { file = $0 }
        /^\?/ && name ~ pattern { print name "\t" file "\t" substr($0, 2) }
    ' "$list"
}

# The file with the fault of that name in it, as OUT.
inject() { # NAME FILE OUT
    perl -e '
        my ($list, $name, $path, $out) = @ARGV;
        my ($in, $old, $new) = (0, "", "");
        open(L, $list) or die;
        while (<L>) {
            $in = ($_ eq "= $name\n") if /^= /;
            next unless $in;
            $old .= $1 if /^-(.*\n)/s;
            $new .= $1 if /^\+(.*\n)/s;
        }
        chomp($old, $new);
        open(F, $path) or die;
        my $text = join("", <F>);
        my $at = index($text, $old);
        exit 1 if $at < 0 || $old eq "";
        substr($text, $at, length $old) = $new;
        open(F, ">", $out) or die;
        print F $text;
    ' "$list" "$1" "$clean/$2" "$3"
}

# One that cannot be made is told at once, and not after hours.
all_can_be_made() {
    made=0
    while IFS=$tab read -r name file tests; do
        inject "$name" "$file" /dev/null && continue
        echo "BROKEN $name: $file has changed"
        made=1
    done < "$work/faults"
    return $made
}

# The outcome, in a line: caught, MISSED or BROKEN.
try() { # NAME FILE TESTS
    inject "$1" "$2" "$2"
    for test in $3; do
        run_test "$test"
        status=$?
        [ $status -eq 0 ] && continue
        if [ $status -eq 2 ] && ! build all; then
            echo "BROKEN $1: $(grep -m 1 error "$work/build.log")"
        else
            echo "caught $1: by $test"
        fi
        return
    done
    echo "MISSED $1: by $3"
}

outcome_of() { # NAME FILE TESTS
    grep -E '^(caught|MISSED|BROKEN) ' "$ledger" | grep -F " $1: " && return
    try "$@" | tee -a "$ledger"
    cp "$clean/$2" "$2"
}

# ---- All of it. -----------------------------------------------------------------

faults > "$work/faults"
if [ "$(fingerprint)" = "$(cat "$work/fingerprint" 2> /dev/null)" ]; then
    mend_all
else
    copy_sources
fi
touch "$ledger"
cd "$src" || exit 1

echo "$(wc -l < "$work/faults") faults"
all_can_be_made || exit 1
for test in $(cut -f 3 "$work/faults" | tr ' ' '\n' | sort -u); do
    passes_without_fault "$test" || exit 1
done

while IFS=$tab read -r name file tests; do
    outcome_of "$name" "$file" "$tests" < /dev/null
done < "$work/faults" | tee "$work/outcomes"
rm "$ledger"

awk -v share="$share" '{ n[$1]++; all++ }
    END {
        printf "%d caught, %d missed, %d broken: %d %%\n", n["caught"],
            n["MISSED"], n["BROKEN"], 100 * n["caught"] / all
        exit n["BROKEN"] > 0 || 100 * n["caught"] < share * all
    }' "$work/outcomes"
