#!/bin/sh
# PostgreSQL's server programs for the tests, which start private servers of their own.
#   scripts/postgres.sh find      print the directory of the programs, or fail
#   scripts/postgres.sh install   find them, or install them with the system's package manager
set -eu

find_programs() {
    for dir in "${CYNIC_POSTGRES_BIN:-}" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V) \
        $(printf %s "$PATH" | tr ':' ' '); do
        if [ -n "$dir" ] && [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            echo "$dir"
            return 0
        fi
    done
    return 1
}

install_programs() {
    if command -v apt-get >/dev/null; then
        apt-get update -qq
        # The programs only: no cluster that starts by itself.
        mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
    elif command -v dnf >/dev/null; then
        dnf install -y -q postgresql-server
    else
        echo "PostgreSQL's server programs are missing: install them, or name their directory in CYNIC_POSTGRES_BIN" >&2
        return 1
    fi
}

case "${1:-}" in
find) find_programs ;;
install)
    if find_programs; then exit 0; fi
    if [ "$(id -u)" != 0 ]; then
        echo "PostgreSQL's server programs are missing, and installing them takes root: run 'sudo $0 install'" >&2
        exit 1
    fi
    install_programs >&2
    find_programs
    ;;
*)
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
    ;;
esac
