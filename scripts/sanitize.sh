#!/usr/bin/env bash
# The unsafe code under watch: its small tests under Miri (which runs the portable kernels and AMX's emulation, since it knows no
# wide vectors), and all of tensor's tests, with every instruction set that the processor has, under AddressSanitizer. Wants
# rustup; it is run by hand when kernels change. `scripts/sanitize.sh miri` and `scripts/sanitize.sh address` run one half.
set -euo pipefail
cd "$(dirname "$0")/.."

rustup toolchain install nightly --profile minimal --component miri --component rust-src >/dev/null
export RAYON_NUM_THREADS=2
part=${1:-all}

if [[ $part == all || $part == miri ]]; then
    echo "== Miri"
    # Tree borrows and permissive provenance: rayon's queues (crossbeam) need both.
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks -Zmiri-permissive-provenance -Zmiri-tree-borrows" \
        CARGO_TARGET_DIR=${MIRI_TARGET:-target/miri} \
        cargo +nightly miri test -p tensor --lib --locked -- \
        cpu::buffer cpu::simd cpu::conv::tests::an_empty cpu::conv::tests::small cpu::conv::bf16::tests::small cpu::plan \
        graph::tests::splits graph::tests::pointwise::what graph::tests::bytes::pictures graph::tests::values
fi

if [[ $part == all || $part == address ]]; then
    echo "== AddressSanitizer"
    RUSTFLAGS="-Zsanitizer=address" CARGO_TARGET_DIR=${ASAN_TARGET:-target/asan} PROPTEST_CASES=20 \
        cargo +nightly test -p tensor --lib --tests --locked --target x86_64-unknown-linux-gnu
fi
