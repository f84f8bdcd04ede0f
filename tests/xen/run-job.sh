#!/bin/sh
# Runs a job in Xen's first domain, with Debian's kernel and toolstack:
#
#   run-job.sh BUILD JOB LOG [FILE ...]
#
# JOB is a shell script, and the FILEs stand beside it in the root directory;
# its output, and all that Xen prints, goes to LOG.  The clock counts
# instructions, and nothing in the machine is random: a job does the same each
# time.  With ICOUNT=no the clock is the host's.  Status 3 if Xen or its toolstack cannot be had here.
set -eu

B=${1:?usage: run-job.sh BUILD JOB LOG [FILE ...]}
job=$2 log=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
dir=$B/xen

for what in xen dom0; do
    sh "$here/../../tools/linux/fetch.sh" "$dir" $what || exit 3
done
sh "$here/make-dom0.sh" "$dir"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cp "$job" "$tree/job"
[ $# -eq 0 ] || cp "$@" "$tree/"
busybox=$(cd "$dir" && pwd)/root/bin/busybox
touch -d @0 "$tree"/*
{
    cat "$dir/dom0.img"
    (cd "$tree" && find . -type f | LC_ALL=C sort | "$busybox" cpio -o -H newc)
} > "$log.img" 2> "$log"

icount="-icount shift=0,sleep=off"
[ "${ICOUNT:-yes}" = yes ] || icount=
status=0
# shellcheck disable=SC2086 # an option and its value, or nothing
timeout 500 qemu-system-x86_64 -accel tcg -cpu max,-smap -m 768 -nographic \
    -no-reboot $icount -seed 1 \
    -rtc base=2024-01-01,clock=vm -kernel "$dir/xen" \
    -append "console=com1 com1=115200 dom0_mem=256M" \
    -initrd "$dir/vmlinux console=hvc0 quiet,$log.img" \
    < /dev/null > "$log.raw" 2>&1 || status=$?
tr -d '\r' < "$log.raw" > "$log"
rm -f "$log.raw" "$log.img"
exit $status
