#!/bin/sh
# install.sh install|uninstall BUILT DESTDIR PREFIX [SYSCONFDIR]: programs, units, configuration, manual pages and
# completions. Builds and starts nothing, so that it can run as root and for packages.
set -eu
action=$1 built=$2 destdir=$3 prefix=$4 sysconfdir=${5:-/etc}
cd "$(dirname "$0")/.."
root=$destdir$prefix

bin=$root/bin
libexec=$root/libexec/cynic
man=$root/share/man
bash=$root/share/bash-completion/completions
zsh=$root/share/zsh/site-functions
fish=$root/share/fish/vendor_completions.d
units=$root/lib/systemd/system
sysusers=$root/lib/sysusers.d
tmpfiles=$root/lib/tmpfiles.d
share=$root/share/cynic
doc=$root/share/doc/cynic
etc=$destdir$sysconfdir/cynic
dropin=$units/cynicd.service.d/50-recent-systemd.conf

# Whether this is about the system that runs here, and systemd runs it.
running() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

if [ "$action" = uninstall ]; then
    if running; then systemctl disable --now cynicd.service cynicd.socket 2>/dev/null || true; fi
    rm -fv "$bin/cynicd" "$bin/cynicctl" "$libexec/cynic-worker" \
        "$man/man8/cynicd.8" "$man/man1/cynicctl.1" "$man"/man1/cynicctl-*.1 \
        "$bash/cynicctl" "$zsh/_cynicctl" "$fish/cynicctl.fish" \
        "$units/cynicd.service" "$units/cynicd.socket" "$dropin" "$sysusers/cynic.conf" "$tmpfiles/cynic.conf"
    rm -rf "$share" "$doc"
    # What an operator has changed is kept.
    if cmp -s examples/cynic.toml "$etc/cynic.toml"; then rm -v "$etc/cynic.toml"; fi
    if running; then systemctl daemon-reload; fi
    rmdir "$libexec" "$units/cynicd.service.d" "$etc" 2>/dev/null || true
    [ -e "$etc" ] && echo "kept: $etc, since its files were changed"
    echo "kept: the user cynic and its data in /var/lib/cynic"
    exit
fi

for program in cynicd cynicctl cynic-worker; do
    if [ ! -x "$built/$program" ]; then
        echo "$built/$program is missing: run \`make build\` first, as yourself" >&2
        exit 1
    fi
done
install -d "$bin" "$libexec" "$man/man1" "$man/man8" "$bash" "$zsh" "$fish" "$units/cynicd.service.d" "$sysusers" \
    "$tmpfiles" "$share" "$doc" "$etc"
install -m 755 "$built/cynicd" "$built/cynicctl" "$bin"
install -m 755 "$built/cynic-worker" "$libexec"

# unit FILE TO: a unit with the programs' place in it.
unit() {
    sed "s|@BINDIR@|$prefix/bin|g" "systemd/$1" >"$2"
    chmod 644 "$2"
}
unit cynicd.service "$units/cynicd.service"
unit cynicd.socket "$units/cynicd.socket"
unit 50-recent-systemd.conf "$share/50-recent-systemd.conf"
install -m 644 systemd/sysusers.conf "$sysusers/cynic.conf"
install -m 644 systemd/tmpfiles.conf "$tmpfiles/cynic.conf"
install -m 644 systemd/network.conf docs/operations.md "$doc"
install -m 644 monitoring/* "$doc"
# A package is for hosts with another systemd: its own script chooses there.
version=${SYSTEMD_VERSION:-$(systemctl --version 2>/dev/null | sed -n '1s/systemd \([0-9]*\).*/\1/p')}
if [ "${version:-0}" -ge 254 ]; then
    cp "$share/50-recent-systemd.conf" "$dropin"
else
    rm -f "$dropin"
fi

if [ -e "$etc/cynic.toml" ]; then
    echo "kept: $etc/cynic.toml"
else
    install -m 644 examples/cynic.toml "$etc/cynic.toml"
fi

install -m 644 docs/man/cynicd.8 "$man/man8"
"$built/cynicctl" man --dir "$man/man1"
chmod 644 "$man"/man1/cynicctl*.1
# Written in place of, not into, a file that may be a link.
for shell in bash:$bash/cynicctl zsh:$zsh/_cynicctl fish:$fish/cynicctl.fish; do
    file=${shell#*:}
    rm -f "$file"
    "$built/cynicctl" completions "${shell%%:*}" >"$file"
    chmod 644 "$file"
done
echo "installed under $root: programs, units, manual pages and completions; configuration in $etc"
[ -n "$destdir" ] || cat <<END
To run it as a service:
  systemd-sysusers && systemd-tmpfiles --create cynic.conf && systemctl daemon-reload
  systemctl enable --now cynicd.socket cynicd.service
  usermod -aG cynic USER            # who may ask for judgments
END
