#!/usr/bin/env bash
# The fault suite in its long form: the tests that `cargo test` runs, with more kills and more changed files (docs/faults.md).
#   scripts/faults.sh [KILLS [CHANGED-FILES-OF-EACH-KIND]]     100 and 10000 when nothing is said: about two minutes
set -euo pipefail
cd "$(dirname "$0")/.."
export DSNET_KILLS="${1:-100}" DSNET_MUTATIONS="${2:-10000}"

cargo test --locked -p nn -p dsnet -p dsnet-tests --lib --test cli --test mutations -- --nocapture \
    checkpoint faults:: resume:: kills:: sizes:: changed_files
echo "nothing was lost: $DSNET_KILLS kills, $DSNET_MUTATIONS changed files of each kind"
