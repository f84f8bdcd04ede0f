#!/bin/sh
# make example-linux: build the two programs of examples/linux against the
# library installed below STAGE, by pkg-config alone, and run them.
#
#   example.sh STAGE
set -eu

stage=${1:?usage: example.sh STAGE}
here=$(cd "$(dirname "$0")" && pwd)
PKG_CONFIG_PATH=$stage/lib/pkgconfig
LD_LIBRARY_PATH=$stage/lib
export PKG_CONFIG_PATH LD_LIBRARY_PATH
mkdir -p "$stage/bin"
path=$(mktemp -u)

for program in ask answer; do
    # shellcheck disable=SC2046 # these are words
    cc -std=c11 -O2 -Wall -Wextra "$here/examples/linux/$program.c" \
        $(pkg-config --cflags --libs belfry) -o "$stage/bin/$program"
done
"$stage/bin/answer" "$path" &
answer=$!
"$stage/bin/ask" "$path"
wait $answer
