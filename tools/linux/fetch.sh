#!/bin/sh
# Get kernels that nobody here built, as Debian ships them:
#
#   fetch.sh DIR linux|grub|xen|dom0
#
# Downloads the packages and unpacks the few files that are needed below DIR:
# linux is what a domain runs, grub is GRUB for Xen, xen is Xen itself, and
# dom0 a kernel and the programs to start domains on it.  Nothing is installed.
set -eu

dir=${1:?usage: fetch.sh DIR linux|grub|xen|dom0}
what=${2:?usage: fetch.sh DIR linux|grub|xen|dom0}
mkdir -p "$dir"

die() {
    echo "fetch.sh: $*" >&2
    exit 1
}

# The newest package of that name, in DIR.
download() { # PACKAGE
    (cd "$dir" && apt-get download "$1" > download.log 2>&1) ||
        die "cannot download $1 (is there a network, has 'apt-get update' been run?): $(grep '^E:' "$dir/download.log" | head -n 1)"
    ls -t "$dir/$1"_*.deb | head -n 1
}

# Its files whose names match, without their directories.
unpack() { # FILE.deb PATTERN...
    deb=$1
    shift
    [ -n "$deb" ] || exit 1 # download has said why
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x -C "$dir" --transform='s:.*/::' --wildcards "$@"
}

# A package that only says which version it is today: the one it names.
kernel_of() { # PACKAGE
    named=$(apt-cache depends "$1" |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    [ -n "$named" ] || die "no package $1 is known here"
    echo "$named"
}

case $what in
linux)
    [ -f "$dir/vmlinuz" ] && [ -f "$dir/xen-gntdev.ko" ] && exit 0
    kernel=$(kernel_of linux-image-cloud-amd64)
    unpack "$(download busybox-static)" ./bin/busybox
    unpack "$(download "$kernel")" './boot/vmlinuz-*' '*/xen-blkfront.ko' \
        '*/xen-evtchn.ko' '*/xen-gntalloc.ko' '*/xen-gntdev.ko'
    mv "$dir"/vmlinuz-* "$dir/vmlinuz"
    ;;
grub)
    [ -f "$dir/grub-x86_64-xen.bin" ] && exit 0
    unpack "$(download grub-xen-host)" './usr/lib/grub-xen/grub-x86_64-xen.bin'
    ;;
xen)
    [ -f "$dir/xen" ] && exit 0
    unpack "$(download xen-hypervisor-4.17-amd64)" './boot/xen-4.17-amd64.gz'
    gunzip -c "$dir/xen-4.17-amd64.gz" > "$dir/xen.part"
    rm "$dir/xen-4.17-amd64.gz"
    mv "$dir/xen.part" "$dir/xen"
    ;;
dom0)
    [ -f "$dir/vmlinuz" ] && exit 0
    kernel=$(kernel_of linux-image-amd64)
    rm -rf "$dir/root"
    mkdir "$dir/root"
    # xl and its daemons, and the libraries that they are linked with.
    for package in busybox-static xen-utils-4.17 xenstore-utils \
        libxenmisc4.17 libxencall1 libxendevicemodel1 libxenevtchn1 \
        libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4 \
        libxentoolcore1 libxentoollog1 libyajl2 libc6 libgcc-s1 liblzma5 \
        libuuid1 libzstd1 zlib1g; do
        deb=$(download $package)
        dpkg-deb -x "$deb" "$dir/root"
    done
    unpack "$(download "$kernel")" './boot/vmlinuz-*' '*/drivers/xen/*.ko'
    mv "$dir"/vmlinuz-* "$dir/vmlinuz"
    ;;
*)
    die "what is '$what'?"
    ;;
esac
