#!/bin/sh
# What no guest can see: the machine from outside, through QEMU's debugger
# interface, while the fuzzer runs on two CPUs.
#
#   sh tests/machine/run.sh BUILD
#
# Prints `ok NAME` or `FAIL NAME: why`; the last line is `N passed, N failed`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
machine=

cleanup() {
    [ -z "$machine" ] || kill "$machine" 2> /dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
export XDG_RUNTIME_DIR="$work"

sed 's/@SEED@/1/; s/@CALLS@/20000/' "$here/../guest/fuzz/grub.cfg" > "$work/cfg"
echo boot >> "$work/cfg"
"$build/belfry" image "$work/cfg" --root "$build" -o "$work/iso" \
    > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$build/belfry" run "$work/iso" --accel tcg --cpus 2 --timeout 300 -- -S \
    -chardev "socket,path=$work/gdb,server=on,wait=off,id=gdb" \
    -gdb chardev:gdb < /dev/null > "$work/log" 2>&1 &
machine=$!
for _ in $(seq 100); do
    [ -S "$work/gdb" ] && break
    sleep 0.1
done
LAYOUT=$here/../../hv/x86/layout.h timeout 280 gdb -nx -q -batch \
    -ex "file $build/belfry.debug" -ex "target remote $work/gdb" \
    -x "$here/look.py" > "$work/out" 2>&1
grep -E '^(ok|FAIL|note) ' "$work/out"
wait "$machine"
status=$?
machine=
passed=$(grep -c '^ok ' "$work/out")
failed=$(grep -c '^FAIL ' "$work/out")
if [ $status -ne 0 ] || ! grep -q '^note all looked at$' "$work/out"; then
    echo "FAIL machine: status $status: $(tail -n 1 "$work/log") $(tail -n 1 "$work/out")"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
