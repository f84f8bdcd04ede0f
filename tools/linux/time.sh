#!/bin/sh
# make time-linux: how long Debian's kernel takes to its init as a domain, here
# and on Debian's Xen: the same kernel, the same initramfs, one CPU.
#
#   time.sh BUILD
#
# Both machines count instructions, so the time that the domain itself needs is
# the same in each run.  The time from QEMU's start is the host's, and holds
# what the system does first: on Xen, a first domain that starts the other.
set -eu

B=${1:?usage: time.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
dir=$B/linux

die() {
    echo "time-linux: $*" >&2
    exit 1
}

make_image() {
    {
        echo "multiboot2 /belfry.elf"
        echo "module2 /guests/control.elf name=control priority=24"
        echo "module2 /vmlinuz name=linux mem=256M cmdline=\"console=hvc0 until=init\""
        echo "module2 /initrd.img ramdisk=linux"
        echo boot
    } > "$dir/time.cfg"
    "$B/belfry" image "$dir/time.cfg" --root "$B" --file "vmlinuz=$dir/vmlinuz" \
        --file "initrd.img=$dir/initrd.img" -o "$dir/time.iso" > /dev/null
}

run_here() { # TRANSCRIPT
    "$B/belfry" run "$dir/time.iso" --icount --accel tcg --timeout 300 \
        < /dev/null > "$1" 2>&1
}

# run-job.sh writes the transcript to a file of this name while it runs.
run_on_xen() { # TRANSCRIPT
    sh "$here/../../tests/xen/run-job.sh" "$B" "$here/../../tests/xen/job-linux.sh" \
        "${1%.raw}" "$dir/vmlinuz" "$dir/initrd.img" > "$1.messages" 2>&1
}

# Milliseconds from the transcript's first moment to the line of Linux's init.
watch_for_init() { # TRANSCRIPT PROCESS
    until [ -e "$1" ] || ! kill -0 "$2" 2> /dev/null; do sleep 0.02; done
    since=$(date +%s%N)
    until grep -qs 'init: up' "$1" || ! kill -0 "$2" 2> /dev/null; do
        sleep 0.02
    done
    echo $((($(date +%s%N) - since) / 1000000))
}

# "NAME MS NS": the host's time to init, and the domain's own.
measure() { # NAME FUNCTION
    transcript=$dir/time-$1.raw
    rm -f "$transcript" "${transcript%.raw}"
    "$2" "$transcript" &
    ms=$(watch_for_init "$transcript" $!)
    wait $! || die "$1: no run: $(cat "$transcript"* "${transcript%.raw}" 2> /dev/null | tail -n 2)"
    own=$(cat "$transcript" "${transcript%.raw}" 2> /dev/null |
        sed -n 's/^.*init: up after \([0-9.]*\) s.*$/\1/p' | head -n 1)
    [ -n "$own" ] || die "$1: Linux did not reach its init"
    echo "$1 $ms $own"
}

sh "$here/fetch.sh" "$dir" linux
sh "$here/make-initramfs.sh" "$dir" "$dir/initrd.img" "$B/link-static"
make_image
{ measure Belfry run_here && measure Xen run_on_xen; } > "$dir/times"
awk '{ host[NR] = $2 / 1000; own[NR] = $3 }
    END {
        head = "%-28s %9s %9s\n"
        row = "%-28s %7.2f s %7.2f s\n"
        printf head, "Linux to its init", "Belfry", "Xen"
        printf row, "from QEMU, on the host", host[1], host[2]
        printf row, "from its start, 1 ns/insn", own[1], own[2]
    }' "$dir/times"
