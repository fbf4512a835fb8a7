#!/bin/sh
# instructions.sh check|record: instructions per judgment and per dispatch, counted by valgrind, beside the budget in
# tests/instructions.tsv. Unlike time they do not depend on what else the machine does.
#
# `check` ends with 1 where a figure is over its budget by more than the margin; `record` writes what it counts as the
# new budget. Programs are those of `cargo build --workspace`; the figures are of that profile.
set -eu
cd "$(dirname "$0")/.."
MARGIN_PERCENT=20
how=${1:-check}
program=${CARGO_TARGET_DIR:-target}/debug/budget
budgets=tests/instructions.tsv

if ! command -v valgrind >/dev/null; then
    echo "instructions are not counted: valgrind is missing (apt-get install valgrind)" >&2
    exit 0
fi
[ -x "$program" ] || { echo "build first: cargo build --workspace" >&2; exit 2; }

# Of one run, the start of the program included.
run() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 >/dev/null |
        sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

# each TIMES WORDS...: instructions of one, which is the difference that more of them make.
each() {
    times=$1
    shift
    few=$(run "$@" "$times")
    many=$(run "$@" $((times * 3)))
    echo $(((many - few) / (times * 2)))
}

counted=$(mktemp)
trap 'rm -f "$counted"' EXIT
for kind in social prompt prose shell code; do
    for bytes in 200 2000 20000; do
        printf '%s\t%s\n' "judge $kind $bytes B" "$(each 20 judge $kind $bytes)" >>"$counted"
    done
done
printf '%s\t%s\n' "dispatch a task" "$(each 2000 dispatch)" >>"$counted"

if [ "$how" = record ]; then
    cp "$counted" "$budgets"
    cat "$budgets"
    exit 0
fi
awk -F '\t' -v margin=$MARGIN_PERCENT '
    NR == FNR { budget[$1] = $2; next }
    FNR == 1 { printf "%-24s %14s %14s %8s\n", "instructions", "counted", "budget", "of it" }
    {
        if (!($1 in budget)) { printf "%-24s %14d has no budget\n", $1, $2; over++; next }
        share = 100 * $2 / budget[$1]
        mark = ""
        if (share > 100 + margin) { mark = "  OVER"; over++ }
        printf "%-24s %14d %14d %7.1f%%%s\n", $1, $2, budget[$1], share, mark
    }
    END {
        if (over) {
            print over " over budget by more than " margin "%: mend it, or record it with scripts/instructions.sh record" >"/dev/stderr"
            exit 1
        }
    }' "$budgets" "$counted"
