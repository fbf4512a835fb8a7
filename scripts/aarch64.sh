#!/bin/sh
# Compiles all programs and tests for aarch64 on a machine of another kind, lints them, and says where they are.
#
# CARGO and RUSTC name another toolchain, CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER another linker and
# CC_aarch64_unknown_linux_gnu another C compiler. On an aarch64 machine `make test` does all of it and runs the tests.
set -eu
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu
cargo=${CARGO:-cargo}
linker=${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER:-aarch64-linux-gnu-gcc}
compiler=${CC_aarch64_unknown_linux_gnu:-$linker}

if [ ! -d "$("${RUSTC:-rustc}" --print target-libdir --target "$target")" ]; then
    echo "Rust's library for aarch64 is missing: rustup target add $target" >&2
    exit 2
fi
for tool in "$linker" "$compiler"; do
    command -v "$tool" >/dev/null && continue
    echo "$tool is missing: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2
    exit 2
done
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$linker" CC_aarch64_unknown_linux_gnu="$compiler"

"$cargo" clippy --workspace --all-targets --locked --target "$target" -- -D warnings
"$cargo" build --workspace --bins --locked --target "$target"
# The tests look for the sources and the programs where they are here.
"$cargo" test --workspace --no-run --locked --target "$target"
