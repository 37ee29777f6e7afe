#!/usr/bin/env bash
# Builds the course (docs/book) into target/book, with mdBook from crates.io, which is compiled once into target/mdbook.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.5.4
mdbook=target/mdbook/bin/mdbook
if [ "$("$mdbook" --version 2>/dev/null)" != "mdbook v$version" ]; then
    # Without the server and the search, and not optimised: it runs for a tenth of a second.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install -q --locked --no-default-features --root target/mdbook "mdbook@$version"
fi
# It goes on without a file that it can not include; this does not.
if ! said=$("$mdbook" build docs/book 2>&1) || grep -E 'ERROR|WARN' <<<"$said"; then
    echo "$said" >&2
    exit 1
fi
test -f target/book/index.html
echo "target/book/index.html"
