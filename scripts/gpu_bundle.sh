#!/usr/bin/env bash
# Packs what a machine with a GPU needs to check and measure the CUDA backend, into one archive:
#   scripts/gpu_bundle.sh [OUT.tar.gz] [PROFILE]
# There: tar xzf OUT.tar.gz && gpu-check/run.sh (needs the NVIDIA driver, and pip's or the system's cuDNN, cuBLAS and NVRTC).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/gpu-check.tar.gz}
profile=${2:-release}

cargo build -q --locked --profile "$profile" -p dsnet
# Test programs: with DSNET_TEST_GPU set they take the real device instead of the emulated one.
checks=$(cargo test -q --locked --profile "$profile" -p cuda-backend --test emulated --test gradients --no-run --message-format=json |
    python3 -c 'import json, sys
found = {m["target"]["name"]: m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")}
print(found["emulated"], found["gradients"])')
folder=$profile
[ "$profile" != dev ] || folder=debug

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/gpu-check/bin" "$work/gpu-check/bench" "$work/gpu-check/tests/fixtures"
cp "${CARGO_TARGET_DIR:-target}/$folder/dsnet" "$work/gpu-check/bin/dsnet"
read -r operations gradients <<<"$checks"
cp "$operations" "$work/gpu-check/bin/ops-check"
cp "$gradients" "$work/gpu-check/bin/gradients-check"
strip "$work"/gpu-check/bin/*
cp bench/gpu_check.py bench/gpu_peers.py bench/compare_cpu.py "$work/gpu-check/bench/"
cp -r tests/fixtures/generators "$work/gpu-check/tests/fixtures/"
cat >"$work/gpu-check/run.sh" <<'RUN'
#!/bin/sh
# Checks and measures; writes gpu.json and gpu.md into the folder it is started from, or as --out says.
exec python3 "$(dirname "$0")/bench/gpu_check.py" --bin "$(dirname "$0")/bin" "$@"
RUN
chmod +x "$work/gpu-check/run.sh"
mkdir -p "$(dirname "$out")"
tar czf "$out.new" -C "$work" gpu-check
mv "$out.new" "$out"
size=$(stat -c %s "$out")
echo "$out: $((size / 1048576)) MiB"
[ "$size" -lt $((60 * 1048576)) ] || { echo "the bundle is larger than 60 MiB" >&2; exit 1; }
