#!/bin/sh
# test_service.sh [if-possible]: installs the Debian package in a Debian tree that is booted with systemd-nspawn and
# runs tests/service/checks.sh in it, from programs that `cargo build --workspace` has built.
#
# Installs what it needs and does not find. Ends with 0 when all checks pass, 1 when one fails. Where the test cannot be
# run it says why and ends with 2, or with 0 if it was asked for `if-possible`.
set -eu
cd "$(dirname "$0")/.."
if_possible=${1:-}
CARGO_DEB=3.8.0
# The checks take about two minutes on two cores.
CHECKS_SECONDS_MAX=900
suite=${SUITE:-bookworm}
# The tree is made once (about a minute) and never written to: each run works on a layer in memory.
cache=${CYNIC_SERVICE_CACHE:-$PWD/target/service}
tree=$cache/$suite

skip() {
    echo "test-service is skipped: $1" >&2
    [ -n "$if_possible" ] && exit 0
    exit 2
}

# quietly COMMAND...: its output goes to a log, of which the end is shown when it fails.
quietly() {
    "$@" >"$cache/log" 2>&1 || { tail -3 "$cache/log" >&2; return 1; }
}

[ "$(id -u)" = 0 ] || skip "it needs root, to boot a system"
cargo=${CARGO:-cargo}
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$cache"
for tool in systemd-nspawn debootstrap nsenter; do
    command -v "$tool" >/dev/null && continue
    echo "installing systemd-container and debootstrap"
    command -v apt-get >/dev/null && quietly apt-get update && quietly env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends systemd-container debootstrap util-linux ||
        skip "$tool is missing, and could not be installed (Debian's packages systemd-container and debootstrap)"
done
PATH=$PATH:$cache/tools/bin
if ! "$cargo" deb --version >/dev/null 2>&1; then
    echo "building cargo-deb in $cache/tools; the next run has it"
    quietly "$cargo" install cargo-deb --version "$CARGO_DEB" --locked --root "$cache/tools" --target-dir "$cache/build" ||
        skip "cargo-deb is missing, and could not be installed"
    rm -rf "$cache/build"
fi
for program in cynicd cynicctl cynic-worker; do
    [ -x "${CARGO_TARGET_DIR:-target}/debug/$program" ] || skip "$program is not built (cargo build --workspace)"
done
if [ ! -e "$tree/made" ]; then
    echo "making a $suite tree in $tree; the next run has it"
    rm -rf "$tree.new"
    quietly debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,procps "$suite" "$tree.new" ||
        skip "the $suite tree could not be made; see $cache/log"
    : >"$tree.new/made"
    rm -rf "$tree"
    mv "$tree.new" "$tree"
fi

work=$(mktemp -d)
container= leader=
clean_up() {
    # The container's first process: all others in it end with it, which they do not with systemd-nspawn alone.
    if [ -n "$leader" ]; then
        kill -KILL "$leader" 2>/dev/null || true
    fi
    if [ -n "$container" ]; then
        kill -KILL "$container" 2>/dev/null || true
        wait "$container" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The package, and the same as a newer one.
scripts/deb.sh dev "$work/old.deb" 0.1.0-1 >/dev/null
scripts/deb.sh dev "$work/new.deb" 0.1.0-2 >/dev/null
cp tests/service/checks.sh "$work"

# The container's own filter does not know Landlock, which the workers need.
systemd-nspawn --quiet --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
    --directory "$tree" --volatile=overlay --boot --register=no --keep-unit --console=pipe \
    --bind-ro="$work:/mnt" --kill-signal=SIGRTMIN+3 </dev/null >"$work/console" 2>&1 &
container=$!
inside() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid "$@"
}
tries=0
until [ -n "$leader" ] && inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$container" 2>/dev/null; then
        tail -5 "$work/console" >&2
        skip "systemd does not come up in a container here"
    fi
    sleep 0.1
    leader=$(cat "/proc/$container/task/$container/children" 2>/dev/null | cut -d ' ' -f 1)
done
code=0
inside timeout "$CHECKS_SECONDS_MAX" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 sh /mnt/checks.sh \
    >"$work/report" || code=$?
cat "$work/report"
if [ "$code" = 124 ] && ! grep -q '^FAILED' "$work/report"; then
    echo "FAILED: the checks did not end within $CHECKS_SECONDS_MAX s" >&2
fi
[ "$code" = 0 ] || exit 1
