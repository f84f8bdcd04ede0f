#!/bin/sh
# Manual pages from their scdoc sources:
#
#   man.sh DIR
#
# A line `example: NAME` of a page becomes the program of that name, which the
# tests compile and run.  Each function that the NAME section lists gets a
# page of its own, which is the same page.
set -eu

out=${1:?usage: man.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)

with_example() { # PAGE
    while IFS= read -r line; do
        case $line in
        'example: '*)
            echo '```'
            cat "$here/examples/${line#example: }.c"
            echo '```'
            ;;
        *) printf '%s\n' "$line" ;;
        esac
    done < "$1"
}

# "a, b - what they do", below # NAME.
functions_of() { # PAGE
    awk '/^# NAME/ { getline; getline; sub(/ - .*/, ""); gsub(/,/, " "); print; exit }' "$1"
}

mkdir -p "$out"
for page in "$here"/man/*.3.scd; do
    name=$(basename "$page" .3.scd)
    with_example "$page" | scdoc > "$out/$name.3"
    for function in $(functions_of "$page"); do
        [ "$function" = "$name" ] ||
            echo ".so man3/$name.3" > "$out/$function.3"
    done
done
