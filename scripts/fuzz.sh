#!/bin/sh
# Fuzzes one target for some seconds: scripts/fuzz.sh judge|frame [SECONDS]
#
# The instrumentation is asked of the stable compiler by hand. cargo-fuzz would ask a nightly one for it together
# with the address sanitizer, which safe code has little use for.
set -eu
cd "$(dirname "$0")/../fuzz"
target=${1:?which target: judge or frame}
seconds=${2:-60}
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1 --cfg fuzzing" \
    cargo build --release --locked --target "$host" --bin "$target"
mkdir -p "corpus/$target" "artifacts/$target"
exec "target/$host/release/$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 \
    -artifact_prefix="artifacts/$target/" "corpus/$target"
