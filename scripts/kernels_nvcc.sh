#!/usr/bin/env bash
# Compiles every CUDA kernel for every architecture with nvcc, and fails on errors, warnings and register spills. Without an
# nvcc in $NVCC, the wheels of NVIDIA's compiler (100 MiB, no GPU and no driver needed) go into target/nvcc.
set -euo pipefail
cd "$(dirname "$0")/.."

# The portable code is the same for all (no kernel asks for the architecture): compiled once, assembled for each.
portable=75
architectures=(75 80 86 89 90 100 120)
# Kernels that may spill registers, as NAME:ARCHITECTURE, each with the reason. So far none has to.
explained=()

if [ -z "${NVCC:-}" ]; then
    where=$PWD/target/nvcc
    NVCC=$where/nvidia/cu13/bin/nvcc
    if [ ! -x "$NVCC" ]; then
        rm -rf "$where" "$where.new"
        python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --target "$where.new" \
            nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 \
            nvidia-cuda-cccl==13.0.85
        mv "$where.new" "$where"
    fi
fi
targets=()
for architecture in "${architectures[@]}"; do
    targets+=("-gencode=arch=compute_$portable,code=sm_$architecture")
done

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
compile() {
    local name
    name=$(basename "$1" .cu)
    "$NVCC" -fatbin -std=c++17 -O3 --fmad=false -Werror all-warnings -Xptxas -v "${targets[@]}" -o "$out/$name.fatbin" "$1" \
        >"$out/$name.log" 2>&1 || { echo "$1 does not compile:"; cat "$out/$name.log"; return 1; } >&2
}
# The longest first, as many at once as there are processors.
pids=()
for source in $(ls -S cuda-backend/kernels/*.cu); do
    while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-$(nproc)}" ]; do sleep 0.1; done
    compile "$source" &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
[ "$failed" = 0 ] || exit 1

kernels=$(cat "$out"/*.log | grep -c "Compiling entry function" || true)
spills=$(awk -F"'" '/Compiling entry function/ { kernel = $2 ":" $4 }
    /[1-9][0-9]* bytes spill/ { print kernel " " $0 }' "$out"/*.log)
for reason in ${explained[@]+"${explained[@]}"}; do
    spills=$(grep -v "^${reason%% *} " <<<"$spills" || true)
done
if [ -n "$spills" ]; then
    printf 'registers are spilled; restructure the kernel, or explain it in %s:\n%s\n' "$0" "$spills" >&2
    exit 1
fi
each=$((kernels / ${#architectures[@]}))
if [ "$each" -lt 300 ]; then
    echo "nvcc told of $each kernels for each architecture only: is -Xptxas -v still understood?" >&2
    exit 1
fi
echo "$each kernels for each of ${architectures[*]/#/sm_}: no errors, no warnings, no register spilled"
