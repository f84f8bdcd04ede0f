#!/bin/sh
# A kernel and an initramfs for Xen's first domain:
#
#   make-dom0.sh DIR
#
# DIR has what `tools/linux/fetch.sh DIR dom0` got.  Makes DIR/vmlinux and
# DIR/dom0.img, if they are not there or older than what they are made of.
set -eu

dir=$(cd "${1:?usage: make-dom0.sh DIR}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
busybox=$dir/root/bin/busybox

[ "$dir/dom0.img" -nt "$here/init" ] && [ "$dir/dom0.img" -nt "$0" ] && exit 0
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# A number of the kernel's boot header.
header() { # OFFSET BYTES
    od -An -t "u$2" -j "$(($1))" -N "$2" "$dir/vmlinuz" | tr -d ' '
}

# Xen would do this at each start, and takes long for it in an emulator.  The
# last four bytes of the payload are its length.
unpack_kernel() {
    start=$((($(header 0x1f1 1) + 1) * 512 + $(header 0x248 4)))
    tail -c "+$((start + 1))" "$dir/vmlinuz" |
        head -c "$(($(header 0x24c 4) - 4))" | xz -dc
}

# Programs and libraries stay where their packages have them.
take() { # PATTERN...
    for pattern in "$@"; do
        (cd "$dir/root" && find . -path "./$pattern" ! -type d \
            -exec cp -a --parents {} "$tree" \;)
    done
}

unpack_kernel > "$dir/vmlinux.part"
mv "$dir/vmlinux.part" "$dir/vmlinux"

take bin/busybox 'lib64/*' 'lib/*/ld-linux*' 'lib/*/libc.so*' \
    'lib/*/libgcc_s*' 'lib/*/liblzma*' 'lib/*/libm.so*' \
    'lib/*/libpthread.so*' 'lib/*/libz.so*' 'usr/lib/x86_64-linux-gnu/lib*' \
    'usr/bin/xenstore*'
for program in xl xenstored xenconsoled xen-init-dom0; do
    take "usr/lib/xen-4.17/bin/$program"
done
for directory in dev proc sys tmp drivers etc/xen run/xen run/xenstored \
    var/lock var/lib/xen var/lib/xenstored var/log/xen/console; do
    mkdir -p "$tree/$directory"
done
ln -s ../run "$tree/var/run"
echo 'autoballoon="off"' > "$tree/etc/xen/xl.conf"
cp "$dir"/*.ko "$tree/drivers/"
cp "$here/init" "$tree/init"
chmod 755 "$tree/init"
find "$tree" -exec touch -h -d @0 {} + # the same archive each time
(cd "$tree" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc) \
    > "$dir/dom0.img.part" 2> "$dir/cpio.log"
mv "$dir/dom0.img.part" "$dir/dom0.img"
