#!/bin/sh
# A guest as the initial domain of Xen, in QEMU; its console on the output.
#
#   sh tools/run-on-xen.sh BUILD GUEST [WORDS]
#
# Xen keeps quiet and buffers the console, which is why nothing of a long
# transcript is lost.  A maximum above the memory is what lets a domain's
# reservation grow, as it does on Belfry after shrinking.
set -eu

B=$1 GUEST=$2 WORDS=${3:-}
sh "$(dirname "$0")/linux/fetch.sh" "$B/xen" xen
[ -f "$B/guests/$GUEST.elf" ] || {
    echo "there is no guest $GUEST in $B/guests" >&2
    exit 2
}
timeout "${TIMEOUT:-300}" qemu-system-x86_64 -accel tcg -cpu max,-smap -m 512 \
    -display none -serial stdio -no-reboot -kernel "$B/xen/xen" \
    -append "console=com1 com1=115200 dom0_mem=64M,max:65M dom0_max_vcpus=1 loglvl=${LOGLVL:-none} guest_loglvl=${LOGLVL:-none} serial_tx_buffer=16M" \
    -initrd "$B/guests/$GUEST.elf $WORDS" | tr -d '\r'
