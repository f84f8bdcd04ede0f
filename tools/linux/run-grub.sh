#!/bin/sh
# make run-grub: Debian's GRUB for Xen as an unprivileged domain, on our disk.
#
#   run-grub.sh BUILD
#
# On a terminal it ends at GRUB's prompt: `belfry console grub` from another.
# Otherwise commands are typed at the prompt here: look at the disk, read a
# file, then boot Debian's kernel from the disk in the same domain; the kernel
# runs the disk's script.  Status 0 if all of that happened.
set -eu

B=${1:?usage: run-grub.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
dir=$B/linux
log=$dir/log-grub

say() {
    echo "run-grub: $*"
}

wrong() {
    say "WRONG: $*"
    exit 1
}

# The kernel as the ELF image it is inside its bzImage, compressed in a way
# that GRUB can undo.
make_kernel() {
    [ -f "$dir/vmlinux.gz" ] && return
    "$B/belfry" unpack "$dir/vmlinuz" "$dir/vmlinux"
    gzip -1n < "$dir/vmlinux" > "$dir/vmlinux.gz.part"
    mv "$dir/vmlinux.gz.part" "$dir/vmlinux.gz"
    rm "$dir/vmlinux"
}

make_disk() {
    rm -rf "$dir/grub-tree" "$dir/grub-disk.img"
    mkdir "$dir/grub-tree"
    seq 1 20000 > "$dir/grub-tree/data"
    echo "the bell rings" > "$dir/grub-tree/greeting"
    cp "$here/on-disk.sh" "$dir/grub-tree/run.sh"
    cp "$dir/initrd.img" "$dir/vmlinux.gz" "$dir/grub-tree/"
    mke2fs -q -t ext4 -d "$dir/grub-tree" "$dir/grub-disk.img" 24M
}

make_image() {
    cat > "$dir/grub.cfg" << 'END'
multiboot2 /belfry.elf
module2 /guests/control.elf name=control priority=24
module2 /grub-x86_64-xen.bin name=grub mem=320M vbd=disk:xvda
module2 /guests/disk.elf name=disk priority=16
module2 /grub-disk.img ramdisk=disk
boot
END
    "$B/belfry" image "$dir/grub.cfg" --root "$B" \
        --file "grub-x86_64-xen.bin=$dir/grub-x86_64-xen.bin" \
        --file "grub-disk.img=$dir/grub-disk.img" -o "$dir/grub.iso"
}

# Terminals' control sequences are of no use in a transcript, neither as they
# are nor as the control domain writes them.
plain() {
    esc=$(printf '\033')
    sed "s/$esc\[[0-9;?]*[A-Za-z]//g; s/\\\\x1b\[[0-9;?]*[A-Za-z]//g" | tr -d '\r'
}

type_at_grub() { # LINES, as printf has them
    printf "$1" | "$B/belfry" console --name run-grub grub
}

# GRUB is at its prompt: the last thing on its console, with no line's end.
wait_for_prompt() {
    for i in $(seq 120); do
        printf '' | "$B/belfry" console --name run-grub grub 2> /dev/null |
            plain | grep -q '^grub> ' && return
        kill -0 "$1" 2> /dev/null || return 1
        sleep 1
    done
    return 1
}

session() { # PID
    wait_for_prompt "$1" || wrong "no prompt: see $log"
    type_at_grub 'ls (xen/xvda)/\rcat (xen/xvda)/greeting\r' | plain > "$dir/prompt"
    cat "$dir/prompt"
    grep -q 'greeting initrd.img' "$dir/prompt" &&
        grep -q 'the bell rings' "$dir/prompt" ||
        wrong "GRUB did not read the disk"
    type_at_grub 'linux (xen/xvda)/vmlinux.gz console=hvc0\rinitrd (xen/xvda)/initrd.img\rboot\r' > /dev/null
}

sh "$here/fetch.sh" "$dir" linux
sh "$here/fetch.sh" "$dir" grub
sh "$here/make-initramfs.sh" "$dir" "$dir/initrd.img" "$B/link-static"
make_kernel
make_disk
make_image
if [ -t 0 ]; then
    say "at GRUB's console: belfry console grub"
    exec "$B/belfry" run "$dir/grub.iso" --name run-grub
fi
"$B/belfry" run "$dir/grub.iso" --name run-grub --timeout 300 \
    < /dev/null > "$log.raw" 2>&1 &
pid=$!
session $pid
status=0
wait $pid || status=$?
plain < "$log.raw" > "$log"
cat "$log"
[ $status = 0 ] || wrong "the machine ended with status $status"
grep -q '^grub: init: up' "$log" || wrong "no Linux"
grep -q "^grub: $(sha256sum "$dir/grub-tree/data" | cut -d' ' -f1)  /mnt/data" "$log" ||
    wrong "Linux read other bytes from the disk than the host put there"
grep -q '^grub: init: unmounted' "$log" || wrong "Linux did not unmount"
say "prompt, files, and Linux booted from the disk in the same domain"
