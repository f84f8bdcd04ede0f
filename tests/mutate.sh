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
set -u

HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-build}/mutate"
work=$(cd "${1:-build}/mutate" && pwd)
pattern=${2:-.}
list=$HERE/${3:-mutations.txt}
share=${4:-90}
src=$work/src clean=$work/clean
caught=0 missed=0 broken=0

# One copy to break, and one to mend it from.
rm -rf "$src" "$clean"
mkdir -p "$clean"
for part in Makefile lib hv evtchn rings guests tools tests docs; do
    cp -R "$HERE/../$part" "$clean"
done
cp -R "$clean" "$src"
cd "$src" || exit 1

build() { # TARGET...
    make -s B=b WARN=-w "$@" > "$work/build.log" 2>&1
}

# Does it pass?  Its output is in $work/test.log.
passes() { # TEST
    case $1 in
    test_*)
        build "b/unit/$1" || return 2
        CK_VERBOSITY=normal timeout 120 "b/unit/$1" > "$work/test.log" 2>&1
        ;;
    explore-*)
        build b/models/explore || return 2
        timeout 300 b/models/explore "$(echo "${1#explore-}" | tr - ' ')" \
            > "$work/test.log" 2>&1
        ;;
    spin)
        timeout 300 sh tests/models/spin.sh b > "$work/test.log" 2>&1
        ;;
    relacy)
        build b/models/relacy || return 2
        timeout 300 b/models/relacy > "$work/test.log" 2>&1
        ;;
    *)
        build all || return 2
        sh tests/run.sh b "$1" > "$work/test.log" 2>&1
        ;;
    esac
}

# One line a fault: name, file, tests, with tabs between.
faults() {
    awk -v pattern="$pattern" '
        /^= / { name = substr($0, 3); file = "" }
        /^[a-z]+\// { file = $0 }
        /^\?/ && name ~ pattern { print name "\t" file "\t" substr($0, 2) }
    ' "$list"
}

# Make the fault of that name.
inject() { # NAME FILE
    perl -e '
        my ($list, $name, $path) = @ARGV;
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
        open(F, ">", $path) or die;
        print F $text;
    ' "$list" "$1" "$2"
}

try() { # NAME FILE TESTS
    if ! inject "$1" "$2"; then
        broken=$((broken + 1))
        echo "BROKEN $1: $2 has changed"
        return
    fi
    for test in $3; do
        passes "$test"
        status=$?
        [ $status -eq 0 ] && continue
        if [ $status -eq 2 ] && ! build all; then
            broken=$((broken + 1))
            echo "BROKEN $1: $(grep -m 1 error "$work/build.log")"
        else
            caught=$((caught + 1))
            echo "caught $1: by $test"
        fi
        return
    done
    missed=$((missed + 1))
    echo "MISSED $1: by $3"
}

faults > "$work/faults"
echo "$(wc -l < "$work/faults") faults"
for test in $(cut -f 3 "$work/faults" | tr ' ' '\n' | sort -u); do
    if ! passes "$test"; then
        echo "without a fault: $(tail -n 3 "$work/test.log" "$work/build.log")"
        exit 1
    fi
done

tab=$(printf '\t')
while IFS=$tab read -r name file tests; do
    try "$name" "$file" "$tests" < /dev/null
    cp "$clean/$file" "$file"
done < "$work/faults"

echo "$caught caught, $missed missed, $broken broken:" \
    "$((100 * caught / (caught + missed + broken))) %"
[ $((100 * caught)) -ge $((share * (caught + missed))) ] && [ $broken -eq 0 ]
