#!/bin/sh
# Write a guest of fifteen lines and a description of a system that boots it.
#
#   sh tools/new-guest.sh NAME
set -eu

name=${1:-}
case $name in
'') echo "usage: make new-guest NAME=x" >&2; exit 2 ;;
*[!a-z0-9-]* | [!a-z]*)
    echo "new-guest: '$name': use a-z, 0-9 and '-', a letter first" >&2
    exit 2 ;;
esac
if [ ${#name} -gt 31 ]; then
    echo "new-guest: '$name' is longer than 31 characters" >&2
    exit 2
fi
if [ -e "guests/$name" ] || [ -e "tests/guest/$name" ]; then
    echo "new-guest: there is a guest '$name' already" >&2
    exit 1
fi

mkdir "guests/$name"
cat > "guests/$name/main.c" <<END
/* $name: say here in a sentence what it is for. */
#include "guests/lib/guest.h"

int guest_main(void)
{
    char who[32] = "world";

    cmdline_get("who", who, sizeof(who));
    printf("hello, %s: domain %u (%s), %zu free pages\\n", who, guest.domid,
           guest.name, pages_available());
    sleep_ns(10000000);
    printf("ten milliseconds later\\n");
    return 0;
}
END

cat > "guests/$name/grub.cfg" <<END
# A system of two domains: the control domain and $name.
set timeout=0
menuentry "$name" {
    multiboot2 /belfry.elf
    module2 /guests/control.elf name=control mem=32M priority=24
    module2 /guests/$name.elf name=$name mem=8M cmdline="who=$name"
}
END

cat <<END
guests/$name/main.c    the program
guests/$name/grub.cfg  a system that runs it

next:  make run CFG=guests/$name/grub.cfg
END
