#!/bin/sh
# make install: the library of rings and links.
#
#   install.sh BUILD VERSION
#
# Below DESTDIR (empty) and PREFIX (/usr/local): headers in include/belfry,
# libbelfry.a and libbelfry.so, belfry.pc, and a manual page a function.
set -eu

B=${1:?usage: install.sh BUILD VERSION}
version=${2:?usage: install.sh BUILD VERSION}
prefix=${PREFIX:-/usr/local}
root=${DESTDIR:-}$prefix
here=$(cd "$(dirname "$0")" && pwd)

# In the tree a header is included by its room, installed by its name.
install_header() { # FILE
    sed 's:#include "\(rings\|links\)/\(.*\)":#include <belfry/\2>:' "$1" \
        > "$root/include/belfry/$(basename "$1")"
}

mkdir -p "$root/include/belfry" "$root/lib/pkgconfig" "$root/share/man/man3"
for header in "$here"/../rings/*.h "$here"/../links/link*.h; do
    [ "$(basename "$header")" = call.h ] && continue # for guests only
    install_header "$header"
done
install -m 644 "$B/libbelfry.a" "$root/lib/"
install -m 755 "$B/libbelfry.so" "$root/lib/libbelfry.so.$version"
ln -sf "libbelfry.so.$version" "$root/lib/libbelfry.so.${version%%.*}"
ln -sf "libbelfry.so.${version%%.*}" "$root/lib/libbelfry.so"
sed "s:@PREFIX@:$prefix:; s:@VERSION@:$version:" "$here/belfry.pc.in" \
    > "$root/lib/pkgconfig/belfry.pc"
sh "$here/man.sh" "$root/share/man/man3"
