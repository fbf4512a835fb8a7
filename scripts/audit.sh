#!/bin/sh
# Licences, bans and sources of all dependencies by cargo-deny, and advisories where they can be fetched.
set -eu
cd "$(dirname "$0")/.."
if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny is missing: cargo install cargo-deny --locked" >&2
    exit 2
fi
cargo deny --workspace check licenses bans sources
if cargo deny --workspace fetch db; then
    cargo deny --workspace check advisories
else
    echo "advisories were not checked: the advisory database could not be fetched" >&2
fi
