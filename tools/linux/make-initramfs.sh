#!/bin/sh
# An initramfs of busybox, one program of ours, and the drivers that are no
# part of the kernel:
#
#   make-initramfs.sh DIR FILE LINK
#
# DIR has busybox and the modules (fetch.sh), LINK is the program of link.c.
# Its init mounts the disk, runs the script on it, tries the links if the
# command line says so, takes the disk away, and says so in its first sector.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
dir=$(cd "${1:?usage: make-initramfs.sh DIR FILE LINK}" && pwd)
file=${2:?usage: make-initramfs.sh DIR FILE LINK}
link=${3:?usage: make-initramfs.sh DIR FILE LINK}
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/mnt"
cp "$dir/busybox" "$tree/bin/busybox"
cp "$dir"/xen-*.ko "$here/links.sh" "$tree/"
cp "$link" "$tree/link"
ln -s busybox "$tree/bin/sh"
cat > "$tree/init" << 'END'
#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
echo "init: up after $(cut -d' ' -f1 /proc/uptime) s, $(nproc) CPUs, Linux $(uname -r)"
if grep -q until=init /proc/cmdline; then
    poweroff -f
fi
insmod /xen-blkfront.ko
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -b /dev/xvda ] || sleep 1
done
if mount -t ext4 /dev/xvda /mnt; then
    sh /mnt/run.sh
    umount /mnt && echo "init: unmounted"
else
    echo "init: no disk: xvda is not there, or no ext4 file system"
fi
if grep -q links /proc/cmdline; then
    sh /links.sh
fi
if grep -q shell /proc/cmdline; then
    setsid sh -c 'exec sh < /dev/hvc0 > /dev/hvc0 2>&1'
fi
# The first sector is no part of the file system.
printf done | dd of=/dev/xvda conv=notrunc,fsync 2> /dev/null
poweroff -f
END
chmod 755 "$tree/init"
(cd "$tree" && find . | LC_ALL=C sort | bin/busybox cpio -o -H newc 2> /dev/null) |
    gzip -1n > "$file.part"
mv "$file.part" "$file"
