#!/bin/sh
# Builds every crate that others can take as they would get it: from its package alone, on
# the packages of the others (Cargo 1.90 and later make a registry of them for the while).
# Further arguments go to Cargo, such as --allow-dirty.
set -eu
cd "$(dirname "$0")/.."

# usher-server is the program; the others are not published.
cargo package --workspace \
    --exclude usher-server --exclude usher-bench --exclude usher-examples --exclude usher-tests \
    --exclude usher-fake-provider \
    "$@"
