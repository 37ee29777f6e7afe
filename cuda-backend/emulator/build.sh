#!/bin/sh
# Builds the emulated driver and libraries: build.sh OUT [g++ options…]. Only what changed since the last time is compiled.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
"$here/../kernels/host/build.sh" "$out" "$@"
cxx=${CXX:-g++}
exec 8>"$out/lock-emulator"
flock 8

flags="-std=c++17 -O1 -fPIC -g1 -ffp-contract=off -fno-strict-aliasing -fvisibility=hidden -pthread -Wall -Wextra -Wl,-z,defs -shared $*"
common=$( (echo "$flags"; "$cxx" --version; cat "$here"/*.h "$0") | cksum)
# library SONAME sources… -- what it needs
library() {
    name=$1
    shift
    sources=
    while [ "$1" != -- ]; do
        sources="$sources $here/$1"
        shift
    done
    shift
    # shellcheck disable=SC2086
    stamp="$common $(cat $sources | cksum)"
    if [ -f "$out/$name" ] && [ "$(cat "$out/$name.stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    # shellcheck disable=SC2086
    "$cxx" $flags -Wl,-soname,"$name" -Wl,-rpath,'$ORIGIN' -o "$out/$name.new" $sources -L"$out" "$@"
    mv "$out/$name.new" "$out/$name"
    echo "$stamp" >"$out/$name.stamp"
}
library libcuda.so.1 driver.cpp stream.cpp -- -l:libkernels_host.so
library libnvrtc-builtins.so.13.0 builtins.cpp --
library libnvrtc.so.13 nvrtc.cpp -- -l:libcuda.so.1
library libcublasLt.so.13 blas.cpp -- -l:libcuda.so.1
library libcublas.so.13 cublas.cpp -- -l:libcuda.so.1
library libcudnn.so.9 dnn.cpp -- -l:libcuda.so.1
library libnccl.so.2 nccl.cpp -- -l:libcuda.so.1
