#!/bin/sh
# The host tool against live systems.  Usage: run.sh BUILD_DIR
#
# Each test prints `ok NAME` or `FAIL NAME: why`; the last line is
# `N passed, N failed`.  Systems run under names of their own in a state
# directory of their own, so that others are not disturbed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
export XDG_RUNTIME_DIR="$work/run"
mkdir -m 700 "$XDG_RUNTIME_DIR"
state=$XDG_RUNTIME_DIR/belfry
passed=0 failed=0

belfry() { "$build/belfry" "$@"; }

cleanup() {
    belfry runs -q 2>/dev/null | while read -r name; do
        belfry stop --name "$name" >/dev/null 2>&1
    done
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# ---- What tests are made of. ---------------------------------------------

pass() { passed=$((passed + 1)); echo "ok $1"; }
fail() { failed=$((failed + 1)); echo "FAIL $1: $2"; }

# status NAME EXPECTED COMMAND...: the exit status; output is kept in
# $work/out and $work/err.
status() {
    _name=$1 _want=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err" </dev/null
    _got=$?
    if [ $_got = "$_want" ]; then
        pass "$_name"
    else
        fail "$_name" "status $_got, not $_want: $(head -n 3 "$work/err" |
            tr '\n' ' ')"
    fi
}

# said NAME PATTERN: the last command's output or complaint has it.
said() {
    if grep -qE -e "$2" "$work/out" "$work/err"; then
        pass "$1"
    else
        fail "$1" "no '$2' in: $(head -n 5 "$work/out" "$work/err" |
            tr '\n' ' ')"
    fi
}

# holds NAME COMMAND...: it is true.
holds() {
    _name=$1
    shift
    if "$@" >"$work/out" 2>"$work/err" </dev/null; then
        pass "$_name"
    else
        fail "$_name" "$(head -n 3 "$work/err" "$work/out" | tr '\n' ' ')"
    fi
}

# within NAME SECONDS COMMAND...: becomes true.
within() {
    _name=$1 _tries=$(($2 * 20))
    shift 2
    while [ $_tries -gt 0 ]; do
        if "$@" >/dev/null 2>&1 </dev/null; then
            pass "$_name"
            return
        fi
        sleep 0.05
        _tries=$((_tries - 1))
    done
    fail "$_name" "not in time"
}

# Of a listing: rows that a jq expression selects.
rows() { belfry "$1" --json | jq -e ".data[] | select($2)"; }
state_is() { rows list ".name == \"$1\" and .state == \"$2\""; }
alive() { rows list ".name == \"$1\" and .state != \"gone\""; }
schema() { # VERB ARGUMENT...
    belfry "$@" --json | jq -e --arg verb "$1" -f "$here/schema.jq"
}

# ---- Without a system. ---------------------------------------------------

# These are used from test_ functions and through `holds`.
same_mistakes() {
    (cd "$here" && belfry check bad.cfg --root "$build" \
        --file disk.img="$work/zeros" --cpus 2 --mem 256M 2>&1) |
        sed "s#$build/#ROOT/#; s#$work/zeros#DISK#" |
        diff "$here/check.expected" -
}

man_section_in_step() {
    sed -n '/^; verbs: begin/,/^; verbs: end/p' \
        "$here/../../docs/belfry.1.scd" | sed '1d;$d' >"$work/section"
    belfry help man | diff "$work/section" -
}

# Every name with an underscore in the tables is a test's, or a function's.
security_names_what_is_there() {
    sed -n 's/^| [A-Z][0-9].*|\(.*\)|$/\1/p' "$here/../../docs/security.md" |
        grep -oE '[A-Za-z0-9]+_[A-Za-z0-9_]+' | sort -u >"$work/names"
    test -s "$work/names" || return 1
    while read -r name; do
        grep -rqwF --include='*.c' --include='*.py' "$name" "$here/.." "$here/../../hv" ||
            test -f "$here/../unit/$name.c" || echo "$name is not there"
    done <"$work/names" | grep . && return 1
    return 0
}

# A row that is defended is found by its name where its test is.
security_rows_are_in_tests() {
    sed -n '/out of scope/d; s/^| \([EGMXD][0-9]*\) .*/\1/p' \
        "$here/../../docs/security.md" >"$work/rows"
    [ "$(wc -l <"$work/rows")" -ge 86 ] || return 1
    while read -r row; do
        grep -rqE --include='*.c' --include='*.py' \
            "(^|[^A-Za-z0-9])$row([^A-Za-z0-9]|\$)" "$here/.." ||
            echo "no test names $row"
    done <"$work/rows" | grep . && return 1
    return 0
}

completes_every_verb() {
    belfry completion bash >"$work/completion"
    bash -n "$work/completion" || return 1
    belfry help | awk '/^  [a-z]/ { print $1 }' | while read -r verb; do
        grep -q "^    $verb)" "$work/completion" || echo "$verb is missing"
    done | grep . && return 1
    # shellcheck disable=SC2016 # for the inner shell
    bash -c '. "$1"; COMP_WORDS=(belfry check --ro); COMP_CWORD=2; _belfry
        [ "${COMPREPLY[*]}" = --root ]' - "$work/completion"
}

test_without_system() {
    head -c 1048576 /dev/zero >"$work/zeros"
    status "no verb is a usage error" 2 belfry
    status "an unknown verb is a usage error" 2 belfry lsit
    status "one argument too many is a usage error" 2 belfry list x
    status "a missing argument is a usage error" 2 belfry why
    status "an unknown option is a usage error" 2 belfry list --jsn
    status "help" 0 belfry help
    status "a verb's help" 0 belfry channels --help
    status "no system is running" 5 belfry list
    said "how to start one is said" 'start one with: belfry run -d IMAGE'
    holds "check finds every mistake, with its place" same_mistakes
    status "check fails on mistakes" 1 belfry check "$here/bad.cfg"
    status "a grub.cfg that is not there" 1 belfry check "$work/none.cfg"
    status "an image that is not there" 1 belfry run "$work/none.iso"
    status "an image that is none" 1 belfry run "$work/zeros"
    said "what builds one is said" 'belfry image builds one'
    holds "the man page has the table's verbs" man_section_in_step
    holds "completion has the table's verbs" completes_every_verb
    holds "docs/security.md names tests that exist" security_names_what_is_there
    holds "every row of docs/security.md has a test of its name" \
        security_rows_are_in_tests
}

# ---- Images. -------------------------------------------------------------

make_image() { # NAME CFG DISK
    belfry image "$2" --root "$build" --file disk.img="$3" -o "$work/$1.iso"
}

same_image_linked() {
    make_image again "$here/live.cfg" "$work/link" &&
        cmp "$work/live.iso" "$work/again.iso"
}
same_image() {
    make_image again "$here/live.cfg" "$work/disk" &&
        cmp "$work/live.iso" "$work/again.iso"
}

test_images() {
    # Large enough that reading it takes seconds: it can be interrupted.
    head -c 25165824 /dev/urandom >"$work/disk"
    head -c 3145728 /dev/urandom >"$work/small"
    holds "image builds" make_image live "$here/live.cfg" "$work/disk"
    said "image reports the domains" '^reader +16M .*vbd=disk:xvda'
    holds "the same input gives the same image" same_image
    ln -s "$work/disk" "$work/link"
    holds "also through a link" same_image_linked
    status "a dry run prints the command" 0 belfry run --dry-run \
        "$work/live.iso"
    said "with QEMU in it" '^qemu-system-x86_64 .*isa-debug-exit'
    status "arguments for QEMU stand behind --" 0 belfry run --dry-run \
        "$work/live.iso" --cpus 2 -- -name theirs
    said "and reach it" '-smp 2 .*-name theirs'
}

# ---- Kernels that nobody here built. --------------------------------------

# A bzImage as Linux builds it, of any ELF file: LZ4 blocks of literals alone.
make_bzimage() { # ELF MAGIC
    perl -e '
        local $/; open(F, "<:raw", $ARGV[0]) or die; my $elf = <F>;
        my $n = length($elf) - 15;
        my $block = "\xf0" . "\xff" x int($n / 255) . chr($n % 255) . $elf;
        my $payload = pack("VV", hex $ARGV[1], length $block) . $block .
            pack("V", length $elf);
        my $setup = "\0" x 1024;
        substr($setup, 0x1f1, 1) = "\1";
        substr($setup, 0x1fe, 10) = "\x55\xaa\0\0HdrS\x0f\x02";
        substr($setup, 0x248, 8) = pack("VV", 0, length $payload);
        print $setup, $payload;' "$1" "$2"
}

# What check says of a system whose kernel and ramdisk are these files.
check_foreign() { # KERNEL RAMDISK
    printf '%s\n' 'multiboot2 /belfry.elf' \
        'module2 /guests/control.elf name=control' \
        "module2 /kernel name=linux mem=16M vbd=${3:-disk}:xvda" \
        'module2 /ramdisk ramdisk=linux' \
        'module2 /guests/disk.elf name=disk' \
        'module2 /small ramdisk=disk' boot >"$work/foreign.cfg"
    belfry check "$work/foreign.cfg" --root "$build" --file "kernel=$1" \
        --file "ramdisk=$2" --file "small=$work/small"
}

test_foreign() {
    _lz4=184c2102 _good=$build/guests/hello.elf
    make_bzimage "$_good" $_lz4 >"$work/bz"
    status "a bzImage is unpacked" 0 check_foreign "$work/bz" "$work/small"
    head -c 20000 "$work/bz" >"$work/bad"
    status "one that is cut off" 1 check_foreign "$work/bad" "$work/small"
    said "is called so" ':3:9: .* its header names no payload .*cut off'
    { head -c 1032 "$work/bz"; head -c 1 "$work/zeros"
        tail -c +1034 "$work/bz"; } >"$work/bad"
    status "a damaged one" 1 check_foreign "$work/bad" "$work/small"
    said "is called so" ':3:9: .* its compressed kernel is damaged'
    make_bzimage "$_good" 00088b1f >"$work/bad"
    status "one compressed otherwise" 1 check_foreign "$work/bad" "$work/small"
    said "what to give instead is said" 'not compressed by LZ4; give the vmlinux'
    objcopy --remove-section .note.Xen "$_good" "$work/plain"
    make_bzimage "$work/plain" $_lz4 >"$work/bad"
    status "a kernel without PV support" 1 check_foreign "$work/bad" "$work/small"
    said "the option it lacks is said" ':3:9: .*no Xen PV64 kernel.*CONFIG_XEN_PV'
    gzip -c "$_good" >"$work/bad"
    status "a kernel that is an archive" 1 check_foreign "$work/bad" "$work/small"
    said "what to do is said" "'$work/bad' is compressed; gunzip it first"
    head -c 9000 "$_good" >"$work/bad"
    status "an ELF image that is cut off" 1 check_foreign "$work/bad" "$work/small"
    said "is called so" ':3:9: .*the ELF image is cut off'
    status "a ramdisk that is too large" 1 check_foreign "$_good" "$work/disk"
    said "how much memory it takes is said" \
        ":3:28: domain 'linux' has 16384 KiB of memory, its start needs mem=[0-9]+K"
    status "a ramdisk that is not there" 1 check_foreign "$_good" "$work/none"
    said "which, is said" ":4:9: file '/ramdisk' is missing"
    status "a disk that is not there" 1 check_foreign "$_good" "$work/small" dusk
    said "which there are, is said" \
        ":3:36: there is no domain 'dusk' \(have: control, linux, disk\)"
}

# ---- Runs to the end. ----------------------------------------------------

# What the domains said, without times and counts that differ with each run.
domain_lines() {
    tr -d '\r' <"$1" | grep -E '^(disk|reader|ping|pong): ' |
        sed -E 's/[0-9.]+ (ns|us|ms|s|TSC ticks|requests)/N/g' | sort
}
same_lines() {
    domain_lines "$work/bios" >"$work/bios.lines"
    test -s "$work/bios.lines" &&
        domain_lines "$work/uefi" | diff "$work/bios.lines" -
}

hash_of() { sha256sum "$1" | cut -d ' ' -f 1; }

test_batch() {
    make_image batch "$here/live.cfg" "$work/small" >/dev/null
    status "a batch run passes" 0 belfry run --timeout 60 "$work/batch.iso"
    said "the disk arrives whole" "reader: sha256 $(hash_of "$work/small")"
    said "the time to the last domain's first line is said" \
        '^up: [0-9]+ domains in [0-9.]+ s'
    head -c 1572864 /dev/urandom >"$work/other"
    status "a run with another disk passes" 0 belfry run --timeout 60 \
        --disk "$work/other" "$work/batch.iso"
    said "the other disk arrives whole" \
        "reader: sha256 $(hash_of "$work/other")"
    cp "$work/out" "$work/bios"
    status "the same run under UEFI passes" 0 belfry run --uefi --timeout 60 \
        --disk "$work/other" "$work/batch.iso"
    cp "$work/out" "$work/uefi"
    holds "its domains say the same" same_lines
    head -c 1000 /dev/urandom >"$work/odd"
    status "check refuses a disk of an odd size" 1 belfry check \
        "$here/live.cfg" --root "$build" --file disk.img="$work/odd"
    said "and says why" ':9:[0-9]+: the disk behind it.*multiple of 512'
    status "so does run" 1 belfry run \
        --disk "$work/odd" "$work/batch.iso"
    status "a run that is too long is ended" 6 belfry run --timeout 3 \
        --interactive "$work/batch.iso"
    status "a guest that ends before it answers" 6 belfry run -d \
        "$work/hello.iso"
    said "its last lines are shown" 'hello from domain 0'
}

# ---- A live system. ------------------------------------------------------

test_start() {
    status "run -d returns when the system answers" 0 belfry run -d \
        --name live "$work/live.iso"
    status "its name is taken now" 1 belfry run -d --name live \
        "$work/live.iso"
    said "by whom is said" "'live' is running already"
    status "runs lists it" 0 belfry runs -q
    said "by its name" '^live$'
}

no_escapes() { ! belfry list | grep -q "$(printf '\033')"; }
sorted_by_id() { belfry list -q --sort -id | tail -n 1 | grep -qx control; }

test_listings() {
    for verb in list vcpus channels rings grants refused modules machine \
        audit runs; do
        holds "$verb --json is as the protocol says" schema "$verb"
        status "$verb prints" 0 belfry "$verb"
    done
    holds "log --json is as the protocol says" schema log
    status "channels -v has a line an end" 0 belfry channels -v
    said "with both ends" '^disk.store +control:'
    holds "log has what domains said" grep_log 'disk: serving'
    holds "log of one source has no other" only_source disk
    within "a healthy domain is not called stuck" 10 belfry why -q disk
    holds "the table has titles" grep_verb '^ID +NAME +STATE' list
    holds "and can go without" lacks_verb '^ID ' list --no-header
    holds "rows can be sorted" sorted_by_id
    status "by a column that is there" 2 belfry list --sort nonsense
    said "which, is said" 'have: ID, NAME'
    holds "no colour where no terminal is" no_escapes
    holds "an id does for a name" same_output 'vcpus -q control' 'vcpus -q 0'
}

grep_log() { belfry log | grep -q "$1"; }
grep_verb() { _p=$1; shift; belfry "$@" | grep -qE "$_p"; }
lacks_verb() { _p=$1; shift; ! belfry "$@" | grep -qE "$_p"; }
only_source() { belfry log "$1" | awk -v s="$1:" '$1 !~ /^\[/ || $0 !~ s {
    bad = 1 } END { exit bad || NR == 0 }'; }
same_output() {
    # shellcheck disable=SC2086 # words of a command
    [ "$(belfry $1)" = "$(belfry $2)" ]
}

reads_back() {
    belfry store write /tool/key "$1" && [ "$(belfry store read /tool/key)" = "$1" ]
}

test_store() {
    holds "a value comes back" reads_back plain
    holds "with spaces, quotes and backslashes" reads_back 'a "b" \c d'
    holds "and with letters of other scripts" reads_back 'Glöckchen 鐘'
    holds "ls shows the key" grep_verb '^key$' store ls /tool
    status "rm removes it" 0 belfry store rm /tool/key
    status "then it is not there" 3 belfry store read /tool/key
    status "a verb the store does not have" 2 belfry store frob /x
    status "a missing value" 2 belfry store write /x
}

generation() { belfry list --json |
    jq "[.data[] | select(.name == \"$1\") | .generation] | max"; }
has_new_generation() { [ "$(generation "$1")" -gt "$2" ]; }

test_domains() {
    status "create a domain from its module" 0 belfry create late
    within "it speaks" 5 grep_log 'late: hello from domain'
    status "create one that panics" 0 belfry create panic
    within "its panic is the reason of its end" 5 grep_verb \
        '^ *[0-9]+ +panic +gone .*reason crash: panic: as asked$' list
    holds "its last lines stand below the list" grep_verb '^  panic: as asked$' list
    holds "the log has its lines" grep_log '^.* panic: panic: as asked$'
    holds "and its end, with the reason" \
        grep_log '^.* panic: failed: .*crash: panic: as asked$'
    holds "list --json is as the protocol says after it too" schema list
    status "create what has no module" 3 belfry create nothing
    status "create what lives already" 4 belfry create disk
    status "pause" 0 belfry pause disk
    holds "it is paused" state_is disk paused
    status "unpause" 0 belfry unpause disk
    within "it is not paused any more" 2 lacks_paused disk
    _before=$(generation disk)
    status "pin" 0 belfry pin disk 0-1
    holds "it may run where it was told" rows vcpus \
        '.domain == "disk" and .cpus == "0"'
    status "pin to a CPU that is not there" 4 belfry pin disk 1
    said "which is said" 'none of these CPUs'
    status "pin to no list of CPUs" 2 belfry pin disk 1-
    status "restart" 0 belfry restart disk
    holds "it has a new generation" has_new_generation disk "$_before"
    status "destroy what is not there" 3 belfry destroy nothing
    said "what is there is said" 'have: control'
    status "the control domain itself is not destroyed" 1 belfry destroy control
}

lacks_paused() { ! state_is "$1" paused; }
transferring() {
    rows rings '.protocol == "blkif" and (.rsp_prod // 0) > 64 and
        (.rsp_prod // 0) < 400'
}
indices_move() {
    _first=$(belfry rings --json | jq '[.data[].rsp_prod // 0] | max')
    sleep 0.1
    _second=$(belfry rings --json | jq '[.data[].rsp_prod // 0] | max')
    [ "$_second" -gt "$_first" ]
}

# reader is made anew and the disk behind it destroyed while it reads.
test_death() {
    belfry destroy reader >/dev/null 2>&1
    status "a new reader" 0 belfry create reader
    within "moves data" 10 transferring
    within "and its ring's indices move" 10 indices_move
    status "destroy the backend in mid-transfer" 0 belfry destroy disk
    status "why has something to say" 8 belfry why reader.xvda
    said "it names the dead, the reason and since when" \
        '^PEER-DEAD: disk .*destroyed.* [0-9.]+ [mun]?s ago'
    status "why of the domain too" 8 belfry why disk
    holds "why --json is as the protocol says" schema why reader.xvda
    status "why of nothing" 3 belfry why nothing
    said "what there is, is said" 'have: '
    belfry create disk >/dev/null
    holds "the audit is clean afterwards" belfry audit
}

console_says() { belfry console "$1" | grep -q "$2"; }
echo_through() { # the same bytes reach a second console call
    belfry console "$1" >"$work/console1" && belfry console "$1" |
        cmp -s - "$work/console1"
}

test_console() {
    belfry restart disk >/dev/null
    within "a console shows what its domain printed" 5 console_says disk serving
    holds "and again, from its start" echo_through disk
    status "a console of nobody" 3 belfry console nothing
}

# ---- Lines that are no requests. -----------------------------------------

raw_is_refused() {
    belfry raw "$1" | jq -e '.ok == false and .error.code == 2'
}

empty_lines_have_no_reply() {
    belfry raw '\x0a\x0d\x0a9 hello' | tee "$work/reply" |
        jq -e '.ok and .id == "9"' || { cat "$work/reply"; return 1; }
}

test_garbled() {
    holds "a line without a verb" raw_is_refused 'nonsense'
    holds "a verb that is none" raw_is_refused '7 frobnicate'
    holds "bytes that are no text" raw_is_refused '7 list \x01\xff\xfe'
    holds "an open quote" raw_is_refused '7 store read "/x'
    holds "a line that is too long" raw_is_refused \
        "7 store read $(head -c 3000 /dev/zero | tr '\0' a)"
    holds "empty lines before a request" empty_lines_have_no_reply
    holds "the next one works" belfry list
    belfry raw '8 li\c' >/dev/null 2>&1
    belfry list >/dev/null 2>&1 # takes the rest of that line with it
    holds "after a line that was cut off too" belfry list
    belfry raw '\c' >/dev/null 2>&1
    holds "and after nothing at all" belfry list
}

# ---- Several clients. ----------------------------------------------------

ask_at_once() {
    for i in 1 2 3 4 5 6 7 8; do
        belfry channels --json >"$work/answer$i" 2>&1 &
    done
    wait
    for i in 1 2 3 4 5 6 7 8; do
        jq -e '.schema == "belfry.channels"' "$work/answer$i" || return 1
    done
}

# A client that sends what it is told and then neither reads nor leaves.
hang_on() {
    perl -MIO::Socket::UNIX -e '
        $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
        $s->syswrite($ARGV[1] x $ARGV[2]); sleep 20;' "$state/live.sock" \
        "$1" "$2" &
    hanging="$hanging $!"
}

broken_request() {
    perl -MIO::Socket::UNIX -e '
        $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
        $s->syswrite("\xff no\n" . "9 list\n"); $_ = <$s>; print;
        $_ = <$s>; print;' "$state/live.sock" >"$work/two"
    head -n 1 "$work/two" | jq -e '.ok == false and .id == "?"' &&
        tail -n 1 "$work/two" | jq -e '.ok and .id == "9"'
}

test_clients() {
    holds "many clients at once" ask_at_once
    hanging=
    hang_on 'half a line' 1
    hang_on "1 channels
" 200
    hang_on x 100000
    holds "clients that hang do not hold up others" belfry list
    holds "nor many others" ask_at_once
    holds "a broken request does not end a conversation" broken_request
    # shellcheck disable=SC2086 # a list of processes
    kill $hanging 2>/dev/null
}

# ---- Several systems, and their ends. ------------------------------------

gone() { ! kill -0 "$1"; }
pid_of() { belfry runs --json | jq ".data[] | select(.name == \"$1\") | .$2"; }

test_ends() {
    status "a second system" 0 belfry run -d "$work/batch.iso"
    holds "is the newest, and what verbs speak to" grep_verb '^batch$' runs -q
    status "the first is reached by its name" 0 belfry list --name live
    status "one that does not run is not" 5 belfry list --name other
    said "those that do are named" 'have: batch, live'
    _qemu=$(pid_of live qemu) _broker=$(pid_of live broker)
    kill -9 "$_broker"
    within "a killed broker takes its QEMU along" 5 gone "$_qemu"
    status "its socket is found to be stale" 5 belfry list --name live
    holds "and is removed" test ! -e "$state/live.sock"
    status "the other one does not mind" 0 belfry list
    kill -9 "$(pid_of batch qemu)"
    within "a killed QEMU ends its broker" 5 lacks_verb batch runs -q
    status "then nothing is running" 5 belfry list
    status "start again" 0 belfry run -d "$work/batch.iso"
    status "stop" 0 belfry stop
    status "stop what has stopped" 5 belfry stop
    holds "nothing is left but logs" only_logs_left
}

only_logs_left() {
    for _file in "$state"/*; do
        case $_file in *.log) ;; *) echo "$_file"; return 1 ;; esac
    done
}

# ---- All of them. --------------------------------------------------------

printf '%s\n' 'multiboot2 /belfry.elf' 'module2 /guests/hello.elf name=hello' \
    boot >"$work/hello.cfg"
belfry image "$work/hello.cfg" --root "$build" -o "$work/hello.iso" -q

test_without_system
test_images
test_foreign
test_batch
test_start
test_listings
test_store
test_domains
test_death
test_console
test_garbled
test_clients
test_ends

echo "$passed passed, $failed failed"
[ $failed = 0 ]
