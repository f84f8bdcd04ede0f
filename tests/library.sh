#!/bin/sh
# The library as it is installed: into a directory of its own, and from there
# by pkg-config alone.
#
#   library.sh BUILD
#
# Each test prints `ok NAME` or `FAIL NAME: why`; the last line is
# `N passed, N failed`.
set -u

B=${1:?usage: library.sh BUILD}
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../library/examples
work=$(mktemp -d)
stage=$work/usr
passed=0 failed=0
trap 'rm -rf "$work"' EXIT
PKG_CONFIG_PATH=$stage/lib/pkgconfig
LD_LIBRARY_PATH=$stage/lib
export PKG_CONFIG_PATH LD_LIBRARY_PATH

# Declared in the headers for those beside them, not for callers.
INTERNAL="ring_front_put_refused ring_front_look ring_back_look
    ring_back_put_refused ring_slot shared_copy_inline
    spsc_look_put spsc_look_take spsc_slot"

holds() { # NAME COMMAND...
    name=$1
    shift
    if "$@" > "$work/out" 2>&1; then
        passed=$((passed + 1))
        echo "ok $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name: $(head -n 3 "$work/out" | tr '\n' ' ')"
    fi
}

# shellcheck disable=SC2046 # what pkg-config says are words
build_and_run() { # COMPILER FILE OPTION...
    compiler=$1 file=$2
    shift 2
    (cd "$work" &&
        $compiler -O2 -Wall -Wextra -Werror "$@" "$file" \
            $(pkg-config --cflags --libs belfry) -o program &&
        ./program)
}

build_and_run_static() { # FILE
    (cd "$work" &&
        gcc -static "$1" $(pkg-config --cflags belfry) "$stage/lib/libbelfry.a" \
            -o program && LD_LIBRARY_PATH= ./program)
}

# ---- Names: what the headers declare, the libraries have, and pages explain. --

declared() {
    for header in "$stage"/include/belfry/*.h; do
        echo "#include <belfry/$(basename "$header")>"
    done > "$work/all.c"
    gcc -fsyntax-only -aux-info "$work/declared" "$work/all.c" \
        $(pkg-config --cflags belfry)
    sed -n "s:^/\* $stage/include/.* \*/ \(extern\|static\) [^(]*[ *]\([a-z0-9_]*\) (.*:\1 \2:p" \
        "$work/declared" | sort -u
}

public() {
    declared | while read -r _ function; do
        case " $(echo $INTERNAL) " in
        *" $function "*) ;;
        *) echo "$function" ;;
        esac
    done | sort
}

exported() { # LIBRARY OPTION
    nm -g --defined-only $2 "$1" |
        sed -n 's/.* [TDBR] \([a-z0-9_]*\).*/\1/p' | sort
}

exports_what_is_declared() { # LIBRARY OPTION
    declared | sed -n 's/^extern //p' > "$work/wanted"
    exported "$1" "${2:-}" > "$work/got"
    [ -s "$work/wanted" ] && diff "$work/wanted" "$work/got"
}

# The page exists, names it, and its example calls it.
explained() { # FUNCTION
    page=$stage/share/man/man3/$1.3
    [ -f "$page" ] || { echo "no page $1"; return 1; }
    target=$(sed -n 's:^\.so man3/::p' "$page")
    page=$stage/share/man/man3/${target:-$1.3}
    example=$examples/$(basename "$page" .3).c
    grep -q "$(echo "$1" | sed 's/_/\\\\*_/g')" "$page" &&
        grep -q "[^a-z_]$1(" "$example" && return
    echo "$1: not in $page or not called in $example"
    return 1
}

all_explained() {
    public > "$work/public"
    [ -s "$work/public" ] || return 1
    while read -r function; do
        explained "$function" || return 1
    done < "$work/public"
}

# What the README shows below "$ make example-linux".
example_as_printed() {
    sed -n '/^    \$ make example-linux$/,/^$/s/^    \([^$].*\)/\1/p' \
        "$here/../library/README.md" > "$work/printed"
    sh "$here/../library/example.sh" "$stage" > "$work/ran" || return
    [ -s "$work/printed" ] && diff "$work/printed" "$work/ran"
}

# ---- C++; not pedantic, whose standard has no array at the end of a struct. ----

cplusplus_program() {
    cat "$work/all.c"
    cat << 'END'
#include <cstdint>
alignas(4096) static unsigned char page[4096];
int main()
{
    ring_front front;
    ring_back back;
    std::uint64_t n = 7, m = 0;
    if (ring_front_create(&front, page, sizeof page, sizeof n) ||
        ring_back_attach(&back, page, sizeof page, sizeof n))
        return 1;
    ring_front_put(&front, &n, sizeof n);
    ring_front_publish(&front);
    if (ring_back_take(&back, &m, sizeof m) || m != 7)
        return 1;
    link *none = nullptr;
    link_close(none);
    return link_process_connect("", 0, &none) == 0;
}
END
}

# ---- All of it. ----------------------------------------------------------------

holds library-installs make -s -C "$here/.." install B="$B" PREFIX="$stage" DESTDIR=
holds library-installs-below-destdir sh -c "
    make -s -C '$here/..' install B='$B' PREFIX=/usr DESTDIR='$work/root' &&
    cmp '$work/root/usr/include/belfry/link.h' '$stage/include/belfry/link.h' &&
    grep -q '^prefix=/usr$' '$work/root/usr/lib/pkgconfig/belfry.pc'"
holds library-soname sh -c "
    objdump -p '$stage/lib/libbelfry.so' | grep -q 'SONAME *libbelfry.so.0$'"
holds library-needs-only-libc sh -c "
    ! objdump -p '$stage/lib/libbelfry.so' | grep NEEDED | grep -v 'libc.so'"
holds library-shared-exports exports_what_is_declared "$stage/lib/libbelfry.so" -D
holds library-static-exports exports_what_is_declared "$stage/lib/libbelfry.a"
for header in "$stage"/include/belfry/*.h; do
    echo "#include <belfry/$(basename "$header")>
int main(void) { return 0; }" > "$work/alone.c"
    holds "library-header-$(basename "$header" .h)" \
        build_and_run clang "$work/alone.c" -std=c11 -Wpedantic
done
holds library-every-function-has-a-page all_explained
for example in "$examples"/*.c; do
    holds "library-example-$(basename "$example" .c)" \
        build_and_run gcc "$example" -std=gnu11 -Wpedantic
done
holds library-example-static build_and_run_static "$examples/ring_back.c"
cplusplus_program > "$work/program.cc"
holds library-c++11 build_and_run g++ "$work/program.cc" -std=c++11
holds library-c++20 build_and_run clang++ "$work/program.cc" -std=c++20
holds library-example-linux example_as_printed

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
