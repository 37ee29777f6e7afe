#!/bin/sh
# Compiles the kernels for the CPU: build.sh OUT [g++ options…] makes OUT/libkernels_host.so, and OUT/NAME.o for each
# source on the way; only what changed since the last time is compiled. KERNELS names other sources than all of `../*.cu`.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$1
shift
cxx=${CXX:-g++}
if ! command -v "$cxx" >/dev/null; then
    echo "the CUDA kernels are tested as C++: there is no $cxx; install it (Debian, Ubuntu: apt-get install g++) or name a" \
        "C++17 compiler in CXX" >&2
    exit 1
fi
mkdir -p "$out"
exec 9>"$out/lock"
flock 9

# No fused multiply-add unless the source says fma: the same rounding as on a GPU (--fmad=false there).
flags="-std=c++17 -O1 -fPIC -fvisibility=hidden -g1 -ffp-contract=off -fno-strict-aliasing -Wall -Wextra -Wno-unused-parameter -Wno-unknown-pragmas"
flags="$flags -Wno-unused-function -DSHIM -I$here/.. $*"
common=$( (echo "$flags"; "$cxx" --version; cat "$here"/*.h "$here"/../*.cuh) | cksum)
relink=
failed=
compile() {
    object=$out/$(basename "$1").o
    stamp="$common $(cksum <"$1")"
    if [ -f "$object" ] && [ "$(cat "$object.stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    rm -f "$object.stamp"
    # shellcheck disable=SC2086
    "$cxx" $flags -x c++ -c "$1" -o "$object.new" && mv "$object.new" "$object" && echo "$stamp" >"$object.stamp"
}
running=0
pids=
objects=
for source in "$here"/*.cpp ${KERNELS:-"$here"/../*.cu}; do
    objects="$objects $out/$(basename "$source").o"
    compile "$source" &
    pids="$pids $!"
    running=$((running + 1))
    if [ "$running" -ge "${JOBS:-$(nproc)}" ]; then
        first=${pids# }
        first=${first%% *}
        pids=${pids#" $first"}
        wait "$first" || failed=1
        running=$((running - 1))
    fi
done
for pid in $pids; do
    wait "$pid" || failed=1
done
[ -z "$failed" ] || exit 1
for object in $objects; do
    [ "$out/libkernels_host.so" -nt "$object" ] || relink=1
done
if [ -n "$relink" ]; then
    # shellcheck disable=SC2086
    "$cxx" -shared $* $objects -o "$out/libkernels_host.so.new"
    mv "$out/libkernels_host.so.new" "$out/libkernels_host.so"
fi
