#!/usr/bin/env bash
# The fault suite in its long form: the tests that `cargo test` runs, with more kills and more changed files (docs/faults.md).
#   scripts/faults.sh [KILLS [CHANGED-FILES-OF-EACH-KIND]]     100 and 10000 when nothing is said: about five minutes
set -euo pipefail
cd "$(dirname "$0")/.."
export DSNET_KILLS="${1:-100}" DSNET_MUTATIONS="${2:-10000}"

step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

step "checkpoints: cut off anywhere, changed anywhere"
cargo test --locked -p nn --lib checkpoint
step "signals, a second training, a full disk, vanished data, damaged checkpoints"
cargo test --locked -p dsnet --test cli -- --nocapture faults:: resume::
step "$DSNET_KILLS kills, and as many ends as it takes"
cargo test --locked -p dsnet --test cli -- --nocapture kills::
step "$DSNET_MUTATIONS changed files of each kind"
cargo test --locked -p dsnet-tests --test mutations -- --nocapture
step "nothing was lost"
