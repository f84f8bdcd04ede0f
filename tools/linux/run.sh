#!/bin/sh
# make run-linux: Debian's kernel as an unprivileged domain, on our disk.
#
#   run.sh BUILD VCPUS
#
# On a terminal it ends in a shell.  Otherwise it runs a script from an ext4
# file system and holds links to two guests, and what the domains say and what
# stands on the disk afterwards is checked here: status 0 if all of it is
# right.
set -eu

B=${1:?usage: run.sh BUILD VCPUS}
vcpus=${2:-1}
here=$(cd "$(dirname "$0")" && pwd)
dir=$B/linux
log=$dir/log-$vcpus
cr=$(printf '\r')

say() {
    echo "run-linux: $*"
}

wrong() {
    say "WRONG: $*"
    exit 1
}

# A disk with a script, data to read, and room to write.
make_disk() {
    rm -rf "$dir/tree" "$dir/disk.img"
    mkdir "$dir/tree"
    seq 1 20000 > "$dir/tree/data"
    cp "$here/on-disk.sh" "$dir/tree/run.sh"
    mke2fs -q -t ext4 -d "$dir/tree" "$dir/disk.img" 4M
}

# What only the check needs: a reader of the disk, and the links' other ends.
other_domains() {
    echo "module2 /guests/dump.elf name=dump vbd=disk:xvda cmdline=until=done"
    echo "module2 /guests/mirror.elf name=mirror cmdline=link=mail"
    echo "module2 /guests/mirror.elf name=echo chan=post:linux cmdline=\"link=post after=5000\""
}

make_image() { # CMDLINE CHANNEL
    {
        echo "multiboot2 /belfry.elf"
        echo "module2 /guests/control.elf name=control priority=24"
        echo "module2 /vmlinuz name=linux vcpus=$vcpus mem=256M vbd=disk:xvda $2 cmdline=\"console=hvc0 $1\""
        echo "module2 /initrd.img ramdisk=linux"
        echo "module2 /guests/disk.elf name=disk priority=16"
        echo "module2 /disk.img ramdisk=disk"
        [ "$1" = shell ] || other_domains
        echo boot
    } > "$dir/linux.cfg"
    "$B/belfry" image "$dir/linux.cfg" --root "$B" --file "vmlinuz=$dir/vmlinuz" \
        --file "initrd.img=$dir/initrd.img" --file "disk.img=$dir/disk.img" \
        -o "$dir/linux.iso"
}

# Show the transcript, but put the dump of the disk aside, and note when
# Linux started its init.
watch() {
    start=$(date +%s%N)
    while IFS= read -r line; do
        line=${line%"$cr"}
        case $line in
        "dump: sha256"*) ;;
        "dump: "*)
            echo "${line#dump: }" >&3
            continue
            ;;
        *"linux: init: up"*)
            echo $(($(date +%s%N) / 1000000 - start / 1000000)) > "$dir/init-ms"
            ;;
        esac
        echo "$line"
        echo "$line" >&4
    done 3> "$dir/dump" 4> "$log"
}

# The disk as the last reader saw it.
rebuild_disk() {
    awk 'BEGIN { zeros = sprintf("%128s", ""); gsub(/ /, "A", zeros) }
        /^\*[0-9]+$/ { for (n = substr($0, 2); n > 0; n--) print zeros; next }
        /^[A-Za-z0-9+\/]+=*$/ { print }' "$dir/dump" |
        base64 -d > "$dir/disk.after"
}

hash_of() { # FILE
    sha256sum "$1" | cut -d' ' -f1
}

check_links() {
    grep -q '^linux: link mail: 5000 messages' "$log" ||
        wrong "a link that Linux offered did not carry its messages"
    grep -q '^mirror: link mail: 5000 messages answered, then error -32' "$log" ||
        wrong "the guest did not see the Linux program's death"
    grep -q '^linux: link post: the guest ended: Broken pipe' "$log" ||
        wrong "Linux did not see the guest's end on a link that it accepted"
}

check() {
    [ "$(cat "$dir/status")" = 0 ] || wrong "the machine ended with status $(cat "$dir/status")"
    grep -q "^linux: $(hash_of "$dir/tree/data")  /mnt/data" "$log" ||
        wrong "Linux read other bytes from the disk than the host put there"
    grep -q '^linux: init: unmounted' "$log" || wrong "Linux did not unmount"
    check_links
    rebuild_disk
    grep -q "^dump: sha256 $(hash_of "$dir/disk.after")" "$log" ||
        wrong "the dump of the disk is damaged"
    [ "$(hash_of "$dir/disk.after")" != "$(hash_of "$dir/disk.img")" ] ||
        wrong "Linux wrote nothing"
    e2fsck -fn "$dir/disk.after" || wrong "the file system is not clean"
    debugfs -R "cat /copy" "$dir/disk.after" 2> /dev/null |
        cmp -s - "$dir/tree/data" || wrong "what Linux wrote is not on the disk"
}

sh "$here/fetch.sh" "$dir" linux
sh "$here/make-initramfs.sh" "$dir" "$dir/initrd.img" "$B/link-static"
make_disk
if [ -t 0 ]; then
    make_image shell ""
    exec "$B/belfry" run "$dir/linux.iso" --cpus "$vcpus"
fi
make_image links chan=mail:mirror
rm -f "$dir/init-ms"
{
    status=0
    "$B/belfry" run "$dir/linux.iso" --cpus "$vcpus" --timeout 300 2>&1 || status=$?
    echo $status > "$dir/status"
} < /dev/null | watch
check
say "$vcpus vCPU: from QEMU's start to init $(cat "$dir/init-ms") ms; hashes agree, file system clean, links carried their messages"
