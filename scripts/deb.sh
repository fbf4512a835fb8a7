#!/bin/sh
# deb.sh PROFILE OUTPUT [VERSION]: the Debian package from programs that are built already. Needs cargo-deb.
set -eu
profile=$1 output=$2 version=${3:-}
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
if ! "$cargo" deb --version >/dev/null 2>&1; then
    echo "cargo-deb is missing: cargo install cargo-deb --locked" >&2
    exit 2
fi
case $profile in dev) dir=debug ;; *) dir=$profile ;; esac
rm -rf target/package
SYSTEMD_VERSION=0 scripts/install.sh install "${CARGO_TARGET_DIR:-target}/$dir" "$PWD/target/package" /usr >/dev/null
rmdir target/package/usr/lib/systemd/system/cynicd.service.d
case $output in */) mkdir -p "$output" ;; *) mkdir -p "$(dirname "$output")" ;; esac
"$cargo" deb --quiet -p cynicd --no-build --profile "$profile" --output "$output" ${version:+--deb-version "$version"}
