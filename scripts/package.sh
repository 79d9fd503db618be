#!/bin/sh
# Builds every published crate from its package alone, with the packages of the others in a
# temporary registry (Cargo 1.90 and later). Arguments are passed to Cargo, such as
# --allow-dirty.
set -eu
cd "$(dirname "$0")/.."

# These are not published as libraries.
cargo package --workspace \
    --exclude usher-server --exclude usher-bench --exclude usher-examples --exclude usher-tests \
    --exclude usher-fake-provider --exclude usher-test-browser \
    "$@"
