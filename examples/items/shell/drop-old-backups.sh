#!/usr/bin/env bash
# Removes backups older than 90 days, but never the last seven, and only after asking.
set -euo pipefail

backups=${1:?usage: drop-old-backups.sh DIRECTORY}
cd -- "$backups"

mapfile -t old < <(find . -maxdepth 1 -name 'backup-*.tar.zst' -mtime +90 | sort)
kept=$(find . -maxdepth 1 -name 'backup-*.tar.zst' -mtime -90 | wc -l)
if [ "$kept" -lt 7 ]; then
    echo "only $kept recent backups: not removing anything" >&2
    exit 1
fi
printf '%s\n' "${old[@]}"
read -r -p "Remove these ${#old[@]} files? [y/N] " answer
if [ "$answer" = y ]; then
    rm -- "${old[@]}"
fi
