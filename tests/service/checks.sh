#!/bin/sh
# checks.sh: what an operator counts on, tried on the installed package under a real systemd. Run by
# scripts/test_service.sh in a container that is thrown away; /mnt holds the packages.
set -u
failed=0
unit=cynicd.service

# check WHAT COMMAND...: runs it, and tells whether it ended with 0.
check() {
    what=$1
    shift
    if "$@" >/tmp/out 2>&1; then
        echo "ok      $what"
    else
        echo "FAILED  $what (exit code $?)"
        sed 's/^/        | /' /tmp/out
        failed=$((failed + 1))
    fi
}

# until_true COMMAND...: waits for a condition.
until_true() {
    tries=0
    until "$@" >/tmp/until 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 600 ]; then
            cat /tmp/until
            echo "not in time: $*"
            return 1
        fi
        sleep 0.1
    done
}

property() { systemctl show -P "$1" $unit; }
stat() { cynicctl stats --json | tr ',{' '\n\n' | sed -n "s/^\"$1\"://p" | head -1; }
workers() { pgrep -x cynic-worker | sort; }
is_ready() { cynicctl ping --ready; }
alice() { runuser -u alice -- "$@"; }

# Items judged by a client of its own while something happens; all must be answered with a judgment.
items=1500
seq $items | sed 's/.*/{"id":"n&","type":"text","content":"Item & was delivered on time, as was promised in the offer."}/' \
    >/tmp/items.jsonl

# under_load COMMAND...: runs it while items are judged, in a stream and by one client after another.
under_load() {
    alice cynicctl judge --json /tmp/items.jsonl >/tmp/judged.jsonl 2>/tmp/judge.err &
    stream=$!
    : >/tmp/single
    touch /tmp/go
    while [ -e /tmp/go ]; do
        echo "a short note" | alice cynicctl judge --json >>/tmp/single 2>&1 || echo "refused: $?" >>/tmp/single
    done &
    single=$!
    sleep 0.3
    "$@"
    code=$?
    # Some more after it.
    sleep 0.3
    rm /tmp/go
    wait $single
    wait $stream || { cat /tmp/judge.err; code=1; }
    judged=$(grep -c '"verdict"' /tmp/judged.jsonl)
    [ "$judged" = $items ] || { echo "$judged of $items judged"; grep -v '"verdict"' /tmp/judged.jsonl | head -3; code=1; }
    if grep -v '"verdict"' /tmp/single; then code=1; fi
    return $code
}

### Install

check "the package installs" apt-get install -y --no-install-recommends /mnt/old.deb
check "the service is active after that" systemctl is-active $unit cynicd.socket
check "both units are enabled" systemctl is-enabled $unit cynicd.socket
check "ready means ready" is_ready
status() { property StatusText | grep -E '^ready: [0-9]+ of [0-9]+ workers live; tasks: [0-9]+ done, '; }
check "the status is one line that a person can read" status
check "systemd-analyze verify is clean" sh -c 'test -z "$(systemd-analyze verify --man=no cynicd.service cynicd.socket 2>&1 | grep -i cynic | tee /dev/stderr)"'
exposure() { systemd-analyze security --no-pager $unit | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p'; }
hardened() { exposure; exposure | awk '{ exit !($1 <= 1.5) }'; }
check "systemd-analyze security is at most 1.5" hardened
sandboxed() { cynicctl stats | tee /dev/stderr | grep -c 'enforced' | grep -qx "$(stat pool_size)"; }
check "the workers' own sandbox is whole" sandboxed
seen() { cynicctl stats --json | grep -o '"memory_bytes":[1-9]' | grep -c . | grep -qx "$(stat pool_size)"; }
check "the daemon sees what memory its workers take" until_true seen
tree=/sys/fs/cgroup/system.slice/$unit/workers
# limit GROUP FILE VALUE
limit() { [ "$(cat "$tree/$1/$2")" = "$3" ] || { echo "$1/$2 is not $3 but $(cat "$tree/$1/$2")"; return 1; }; }
grouped() {
    [ "$(stat cgroup | tr -d '}')" = "\"$tree\"" ] || { stat cgroup; return 1; }
    for pid in $(workers); do
        group=$(sed "s|.*/workers/||" "/proc/$pid/cgroup")
        limit "$group" cgroup.procs "$pid" && limit "$group" memory.max $((320 << 20)) &&
            limit "$group" memory.swap.max 0 && limit "$group" pids.max 1 || return 1
    done
}
# Less than the idle worker has already: the kernel must kill it.
out_of_memory() {
    victim=$(cat $tree/slot-0/cgroup.procs)
    echo 0 >$tree/slot-0/memory.max
    until_true sh -c "cynicctl stats | grep 'deaths .*memory_limit'" && [ ! -e "/proc/$victim" ] &&
        until_true grouped && is_ready
}
# With control groups of version 2 and what systemd 254 brought.
if [ -e /sys/fs/cgroup/cgroup.controllers ] && [ -n "$(property DelegateSubgroup)" ]; then
    check "each worker is in a group of its own with its limits" grouped
    check "a worker that its group kills is told from others, and the next has the group's limits again" out_of_memory
fi
man_pages() { zcat /usr/share/man/man8/cynicd.8.gz | grep -q CYNICD && zcat /usr/share/man/man1/cynicctl.1.gz | grep -q cynicctl; }
check "manual pages are there" man_pages

### Who may

useradd --groups cynic alice && useradd bob
check "a member of the group gets a judgment" sh -c 'echo "a short note" | runuser -u alice -- cynicctl judge'
refused() { echo note | runuser -u bob -- cynicctl judge; [ $? = 5 ]; }
check "a user outside of the group is refused" refused
check "stats shows the figures" cynicctl stats
check "doctor finds nothing bad" cynicctl doctor
check "every worker judges the canary" cynicctl ping --deep

### Deaths

worker_killed() {
    victim=$(workers | head -1)
    kill -KILL "$victim"
    until_true sh -c "! pgrep -x cynic-worker | grep -qx $victim && [ \$(pgrep -xc cynic-worker) = $(stat pool_size) ]" && is_ready
}
check "a killed worker is replaced" under_load worker_killed
daemon_killed() {
    before=$(property MainPID) orphans=$(workers)
    kill -KILL "$before"
    until_true is_ready || return 1
    [ "$(property MainPID)" != "$before" ] || return 1
    for pid in $orphans; do
        [ ! -e "/proc/$pid" ] || { echo "worker $pid outlived its daemon"; return 1; }
    done
}
check "a killed daemon is started again, its workers gone, no request lost" under_load daemon_killed
frozen() {
    mkdir -p /run/systemd/system/cynicd.service.d
    printf '[Service]\nWatchdogSec=5s\nTimeoutAbortSec=5s\n' >/run/systemd/system/cynicd.service.d/test.conf
    systemctl daemon-reload
    systemctl restart $unit
    before=$(property MainPID)
    kill -STOP "$before"
    until_true sh -c "journalctl -u $unit | grep -q 'Watchdog timeout'" && until_true is_ready &&
        [ "$(property MainPID)" != "$before" ]
}
check "a frozen dispatcher is caught by the watchdog" frozen
not_caught() { sleep 8; [ "$(property MainPID)" = "$alive" ]; }
alive=$(property MainPID)
check "a busy dispatcher is not" under_load not_caught
rm -r /run/systemd/system/cynicd.service.d
systemctl daemon-reload

### Changes

config=/etc/cynic/cynic.toml
cp $config /tmp/default.toml
reload_good() {
    before=$(property MainPID) old=$(workers)
    sed 's/^#size = .*/size = 3/' /tmp/default.toml >$config
    systemctl reload $unit || return 1
    until_true sh -c "[ \$(pgrep -xc cynic-worker) = 3 ]" || return 1
    for pid in $old; do
        [ ! -e "/proc/$pid" ] || { echo "worker $pid was not replaced"; return 1; }
    done
    [ "$(stat pool_size)" = 3 ] && [ "$(property MainPID)" = "$before" ]
}
check "reload takes a good configuration; no task is dropped" under_load reload_good
reload_bad() {
    printf '[pool]\nsize = 2\nsise = 4\n' >$config
    if systemctl reload $unit; then return 1; fi
    systemctl is-active $unit && [ "$(stat pool_size)" = 3 ] && journalctl -u $unit | grep 'line 3'
}
check "reload refuses a bad one, says the line, and nothing has changed" reload_bad
ctl_bad() { cynicctl reload 2>&1 | tee /dev/stderr | grep -q 'line 3'; }
check "cynicctl reload says the same" ctl_bad
hup_bad() { systemctl kill --kill-whom=main -s HUP $unit; sleep 1; is_ready && [ "$(stat pool_size)" = 3 ]; }
check "a bad configuration by SIGHUP changes nothing" hup_bad
cp /tmp/default.toml $config
check "reload goes back" cynicctl reload
check "workers are replaced by hand; no task is dropped" under_load cynicctl restart-workers --rolling
scaled() { cynicctl scale 4 && until_true sh -c '[ $(pgrep -xc cynic-worker) = 4 ]' && cynicctl scale auto; }
check "scale changes the number of workers; no task is dropped" under_load scaled
level() { cynicctl log-level debug && cynicctl log-level info && ! cynicctl log-level loud; }
check "the log's level changes" level
drained() { cynicctl drain && ! is_ready && cynicctl resume && is_ready; }
check "drain and resume" drained

### Restarts

check "restart under load: no request is refused or lost" under_load systemctl restart $unit
upgraded() { apt-get install -y --no-install-recommends /mnt/new.deb && dpkg -s cynic | grep -q 'Version: 0.1.0-2' && is_ready; }
before=$(property MainPID)
check "upgrade under load: no request is refused or lost" under_load upgraded
new_daemon() { [ "$(property MainPID)" != "$before" ] && cmp /tmp/default.toml $config; }
check "the new daemon runs, with the configuration as it was" new_daemon
cold() {
    systemctl stop $unit
    # The judgment may be there before systemd has read that the daemon is ready.
    ! systemctl is-active --quiet $unit && echo "a short note" | alice cynicctl judge &&
        until_true systemctl is-active --quiet $unit
}
check "the socket starts the daemon" cold
stopped() {
    began=$(date +%s)
    systemctl stop cynicd.socket $unit
    took=$(($(date +%s) - began))
    echo "took ${took} s"
    [ $took -le 45 ] && [ "$(property Result)" = success ]
}
alice cynicctl judge --json /tmp/items.jsonl >/dev/null 2>&1 &
sleep 0.3
check "it stops within its budget, at work" stopped
wait
check "no worker outlives the service" sh -c '! pgrep -x cynic-worker'
readable() {
    journalctl -u $unit -o cat --no-pager >/tmp/journal
    grep -q 'listening' /tmp/journal && grep -q 'draining' /tmp/journal && grep -q 'stopped' /tmp/journal || return 1
    # Neither colours nor a second clock, and priorities that are the journal's.
    ! grep -nP '\x1b|^<\d>|^\d{4}-\d\d-\d\dT' /tmp/journal && journalctl -u $unit -p warning -o cat | grep -q 'a worker died'
}
check "the journal reads well" readable

### Leaving

systemctl start cynicd.socket
removed() {
    apt-get remove -y cynic && [ -e $config ] && [ -e /var/lib/cynic/cynic.db ] && ! systemctl is-active --quiet cynicd.socket
}
check "remove keeps configuration and data" removed
purged() {
    apt-get purge -y cynic || return 1
    left=$(find / -xdev \( -path /proc -o -path /sys -o -path /mnt \) -prune -o \( -name '*cynic*' -print \) 2>/dev/null |
        grep -vE '^/tmp/|^/var/log/|^/var/lib/(dpkg|apt)|^/var/cache|^/var/mail')
    [ -z "$left" ] || { echo "left: $left"; return 1; }
}
check "purge leaves nothing" purged

echo
if [ $failed = 0 ]; then
    echo "all checks passed"
else
    echo "$failed checks failed; the end of the journal:"
    journalctl -u $unit --no-pager | tail -40
    exit 1
fi
