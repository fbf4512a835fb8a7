#!/bin/sh
# install.sh install|uninstall BUILT DESTDIR PREFIX: the programs, manual pages and completions.
# Builds nothing, so that it can run as root.
set -eu
action=$1 built=$2 root=$3$4

bin=$root/bin
libexec=$root/libexec/cynic
man=$root/share/man/man1
bash=$root/share/bash-completion/completions
zsh=$root/share/zsh/site-functions
fish=$root/share/fish/vendor_completions.d

if [ "$action" = uninstall ]; then
    rm -fv "$bin/cynicd" "$bin/cynicctl" "$libexec/cynic-worker" \
        "$man/cynicctl.1" "$man"/cynicctl-*.1 \
        "$bash/cynicctl" "$zsh/_cynicctl" "$fish/cynicctl.fish"
    rmdir "$libexec" 2>/dev/null || true
    exit
fi

for program in cynicd cynicctl cynic-worker; do
    if [ ! -x "$built/$program" ]; then
        echo "$built/$program is missing: run \`make build\` first, as yourself" >&2
        exit 1
    fi
done
install -d "$bin" "$libexec" "$man" "$bash" "$zsh" "$fish"
install -m 755 "$built/cynicd" "$built/cynicctl" "$bin"
install -m 755 "$built/cynic-worker" "$libexec"
"$built/cynicctl" man --dir "$man"
chmod 644 "$man"/cynicctl*.1
# Written in place of, not into, a file that may be a link.
for shell in bash:$bash/cynicctl zsh:$zsh/_cynicctl fish:$fish/cynicctl.fish; do
    file=${shell#*:}
    rm -f "$file"
    "$built/cynicctl" completions "${shell%%:*}" >"$file"
    chmod 644 "$file"
done
echo "installed under $root: cynicd, cynicctl, cynic-worker, manual pages and completions"
