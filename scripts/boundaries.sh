#!/bin/sh
# Proves the dependency boundaries of ARCHITECTURE.md: what a crate must never link, not even through others.
set -eu
cd "$(dirname "$0")/.."
failed=0

# forbid CRATE WHAT...: none of WHAT is in the tree of CRATE's normal dependencies.
forbid() {
    crate=$1
    shift
    tree=$(cargo tree --locked -p "$crate" -e normal --prefix none --format '{p}' | cut -d ' ' -f 1)
    for what in "$@"; do
        if printf '%s\n' "$tree" | grep -qxE "$what"; then
            echo "$crate must not link $what, but does:" >&2
            cargo tree --locked -p "$crate" -e normal -i "$what" >&2 || true
            failed=1
        fi
    done
}

# Untrusted content is parsed in workers only.
forbid cynicd cynic-judge cynic-worker
# A worker touches neither database nor network; its runtime is for awaited scorers, without tokio's net.
forbid cynic-worker sqlx sqlx-core libsqlite3-sys cynicd interprocess mio socket2
# The command line talks to the daemon, not to its store, and judges nothing itself.
forbid cynicctl sqlx sqlx-core libsqlite3-sys cynic-judge cynicd cynic-worker
# The judge is a pure library.
forbid cynic-judge tokio async-std smol async-io mio interprocess sqlx sqlx-core nix rustix
# The vocabulary links a runtime only for its client.
forbid cynic-proto tokio interprocess sqlx
forbid cynic-eval tokio sqlx cynic-judge

# One place encodes and decodes.
others=$(grep -rl 'bincode::' --include='*.rs' --exclude-dir=target . | grep -v '^./cynic-proto/src/codec.rs$' || true)
if [ -n "$others" ]; then
    echo "only cynic-proto/src/codec.rs may name bincode, but these do: $others" >&2
    failed=1
fi

[ "$failed" = 0 ] && echo "boundaries hold"
exit "$failed"
