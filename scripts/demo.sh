#!/bin/sh
# Judges examples/ through a daemon of its own, on SQLite in a temporary directory, and cleans up.
#
# Builds the unoptimised profile: a fresh machine waits some minutes less, and the same build serves
# `make test`. PROFILE=release shows the real speed.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
profile=${PROFILE:-dev}
cargo=${CARGO:-cargo}

"$cargo" build --locked --profile "$profile" -p cynicd -p cynic-worker -p cynicctl
case $profile in
    dev) built=${CARGO_TARGET_DIR:-target}/debug ;;
    *) built=${CARGO_TARGET_DIR:-target}/$profile ;;
esac
case $built in
    /*) ;;
    *) built=$root/$built ;;
esac

dir=$(mktemp -d)
daemon=
clean_up() {
    if [ -n "$daemon" ]; then
        kill -TERM "$daemon" 2>/dev/null || true
        wait "$daemon" 2>/dev/null || true
    fi
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

CYNIC_SOCKET=$dir/cynicd.sock
export CYNIC_SOCKET
"$built/cynicd" --data-dir "$dir/data" >"$dir/log" 2>&1 &
daemon=$!

# Ready means ready: each worker has passed its self-test.
tries=0
until "$built/cynicctl" ping >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$daemon" 2>/dev/null; then
        echo "cynicd did not become ready; its log:" >&2
        cat "$dir/log" >&2
        exit 1
    fi
    sleep 0.1
done

# Ends with 1, since one of the examples is an empty item: a failure to judge is never a verdict.
(cd examples/items && "$built/cynicctl" judge .) || [ $? = 1 ]
echo
# The last batch is stored a tenth of a second after its first judgment.
sleep 0.3
"$built/cynicctl" stats

kill -TERM "$daemon"
if wait "$daemon"; then
    echo
    echo "cynicd stopped cleanly"
else
    code=$?
    daemon=
    echo "cynicd ended with exit code $code; its log:" >&2
    cat "$dir/log" >&2
    exit 1
fi
daemon=
