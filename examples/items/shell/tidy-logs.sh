#!/bin/sh
# Compresses the web server's logs that are older than a week, then shows what is left.
set -eu

logs=/var/log/nginx
find "$logs" -maxdepth 1 -name '*.log' -mtime +7 -print
find "$logs" -maxdepth 1 -name '*.log' -mtime +7 -exec gzip --keep -- {} +
du -sh "$logs"
