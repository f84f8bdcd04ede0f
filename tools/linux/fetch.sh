#!/bin/sh
# Get kernels that nobody here built, as Debian ships them:
#
#   fetch.sh DIR linux|grub
#
# Downloads the packages and unpacks the few files that are needed below DIR.
# Nothing is installed.
set -eu

dir=${1:?usage: fetch.sh DIR linux|grub}
what=${2:?usage: fetch.sh DIR linux|grub}
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
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x -C "$dir" --transform='s:.*/::' --wildcards "$@"
}

case $what in
linux)
    [ -f "$dir/vmlinuz" ] && exit 0
    # The package of that name only says which version it is today.
    kernel=$(apt-cache depends linux-image-cloud-amd64 |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
    [ -n "$kernel" ] || die "no package linux-image-cloud-amd64 is known here"
    unpack "$(download busybox-static)" ./bin/busybox
    unpack "$(download "$kernel")" './boot/vmlinuz-*' '*/xen-blkfront.ko'
    mv "$dir"/vmlinuz-* "$dir/vmlinuz"
    ;;
grub)
    [ -f "$dir/grub-x86_64-xen.bin" ] && exit 0
    unpack "$(download grub-xen-host)" './usr/lib/grub-xen/grub-x86_64-xen.bin'
    ;;
*)
    die "what is '$what'?"
    ;;
esac
