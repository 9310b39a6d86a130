#!/bin/sh
# Removes acgs-lb from this host and restores HAProxy's previous configuration. As root:
#   deploy/uninstall.sh [--purge] [--root DIR]
# Without --purge it keeps /etc/acgs-lb, /var/lib/acgs-lb, /var/lib/acgs-lb-edge and the users, for a later installation.
set -eu

usage() { sed -n '2,4s/^# //p' "$0"; }
say() { printf '%s\n' "$*"; }

root='' purge=no
while [ $# -gt 0 ]; do
    case $1 in
        --root) [ $# -gt 1 ] || { usage >&2; exit 2; }; root=${2%/}; shift ;;
        --purge) purge=yes ;;
        --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ -n "$root" ] || [ "$(id -u)" = 0 ] || { say 'uninstall.sh: run it as root' >&2; exit 1; }
units=$root/etc/systemd/system

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    for unit in acgs-lb-edge acgs-lb-agent; do
        systemctl disable --now --quiet "$unit" 2>/dev/null || true
    done
fi
rm -f "$units/acgs-lb-agent.service" "$units/acgs-lb-edge.service" "$units/haproxy.service.d/acgs-lb.conf"
rmdir "$units/haproxy.service.d" 2>/dev/null || true

# Restore the previous configuration. Without one, HAProxy keeps the generated one, which works without the agent.
before=$root/etc/haproxy/haproxy.cfg.before-acgs-lb
if [ -e "$before" ]; then
    mv "$before" "$root/etc/haproxy/haproxy.cfg"
    rm -rf "$root/etc/haproxy/acgs-lb"
    say 'restored the previous HAProxy configuration'
elif [ -e "$root/etc/haproxy/haproxy.cfg" ]; then
    say 'HAProxy keeps the configuration that acgs-lb generated: /etc/haproxy/haproxy.cfg'
fi
if [ -z "$root" ]; then
    [ ! -d /etc/haproxy ] || { chown -R root:root /etc/haproxy && chmod g-w,g-s /etc/haproxy; }
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl try-restart haproxy || true
    fi
fi
# Remove files that the installer added, unless they were changed.
here=$(dirname "$0")
for pair in logrotate/haproxy:logrotate.d/haproxy rsyslog/49-haproxy.conf:rsyslog.d/49-haproxy.conf; do
    if cmp -s "$here/${pair%%:*}" "$root/etc/${pair#*:}"; then rm -f "$root/etc/${pair#*:}"; fi
done
rm -rf "$root/usr/lib/acgs-lb" "$root/usr/bin/acgs-lb" "$root/usr/share/doc/acgs-lb"

if [ "$purge" = yes ]; then
    rm -rf "$root/etc/acgs-lb" "$root/var/lib/acgs-lb" "$root/var/lib/acgs-lb-edge"
    for user in acgs-lb acgs-lb-edge; do
        if [ -z "$root" ] && getent passwd "$user" >/dev/null; then userdel "$user"; fi
    done
    say 'removed acgs-lb with its configuration, secrets and state'
else
    say 'removed acgs-lb; kept /etc/acgs-lb, /var/lib/acgs-lb, /var/lib/acgs-lb-edge and the users (--purge removes them)'
fi
