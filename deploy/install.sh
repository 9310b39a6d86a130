#!/bin/sh
# Installs acgs-lb on a Debian or Ubuntu host, beside the distribution's own HAProxy. As root, from a checkout:
#   npm run build && deploy/install.sh [--with-edge] [--no-start] [--root DIR]
# Run it again to upgrade; it keeps the files in /etc/acgs-lb. deploy/uninstall.sh removes everything.
set -eu

usage() { sed -n '2,4s/^# //p' "$0"; }
say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

root='' start=yes edge=no
while [ $# -gt 0 ]; do
    case $1 in
        --root) [ $# -gt 1 ] || { usage >&2; exit 2; }; root=${2%/}; shift ;;
        --with-edge) edge=yes ;;
        --no-start) start=no ;;
        --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

here=$(cd "$(dirname "$0")/.." && pwd)
lib=$root/usr/lib/acgs-lb
etc=$root/etc/acgs-lb
var=$root/var/lib/acgs-lb
units=$root/etc/systemd/system

# --- prerequisites, checked before any change ---------------------------------------------------------------
[ -f "$here/dist/acgs-lb.mjs" ] || die 'dist/ is missing: run npm run build first'
if [ -z "$root" ]; then
    [ "$(id -u)" = 0 ] || die 'run it as root (or with --root DIR to see what it installs)'
    command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || die 'HAProxy is missing: apt-get install haproxy'
fi
# The system's Node 24, or else the one in the checkout.
node=$(command -v node || true)
major() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }
if [ -z "$node" ] || [ "$(major "$node")" -lt 24 ] || [ "${node#"$here"}" != "$node" ]; then
    node=$here/node_modules/node/bin/node
    [ -x "$node" ] || die 'Node 24 is missing: install it, or run npm ci here first'
fi

# --- the users: the edge is public, so it is not the agent -----------------------------------------------------------
if [ -z "$root" ]; then
    for user in acgs-lb acgs-lb-edge; do
        if ! getent passwd "$user" >/dev/null; then
            useradd --system --user-group --home-dir "/var/lib/$user" --shell /usr/sbin/nologin "$user"
            say "created the user $user"
        fi
    done
    # HAProxy's sockets belong to its group.
    usermod --append --groups haproxy acgs-lb
fi
# own [-R] OWNER FILE…: chown, except with --root.
own() {
    [ -n "$root" ] || chown "$@"
}

# --- the program, replaced as a whole ---------------------------------------------------------------------------------
mkdir -p "$(dirname "$lib")" "$root/usr/bin"
rm -rf "$lib.new"
cp -R "$here/dist" "$lib.new"
mkdir -p "$lib.new/bin"
case $node in
    "$here"/*) cp -L "$node" "$lib.new/bin/node" ;;
    *) ln -s "$node" "$lib.new/bin/node" ;;
esac
if [ "$edge" = yes ]; then
    # The binary, because node_modules/workerd/bin may contain a wrapper script.
    workerd=$(find "$here/node_modules/@cloudflare" -path '*/workerd-*/bin/workerd' -type f 2>/dev/null | head -n 1)
    [ -n "$workerd" ] || die 'workerd is missing: run npm ci here first'
    cp "$workerd" "$lib.new/edge/workerd"
elif [ -f "$lib/edge/workerd" ]; then
    cp "$lib/edge/workerd" "$lib.new/edge/workerd"
fi
chmod -R go=rX "$lib.new"
rm -rf "$lib.old"
[ ! -d "$lib" ] || mv "$lib" "$lib.old"
mv "$lib.new" "$lib"
rm -rf "$lib.old"
cat >"$root/usr/bin/acgs-lb.new" <<'EOF'
#!/bin/sh
# Default: this host's agent and state, with the agent's environment if the user can read it.
if [ -z "${ACGS_AGENT_URL-}${ACGS_STATE_DIR-}" ]; then
    export ACGS_AGENT_URL=http://127.0.0.1:9400 ACGS_STATE_DIR=/var/lib/acgs-lb
fi
# The edge must not get the agent's secrets.
if [ "${1-}" != edge ] && [ -r /etc/acgs-lb/agent.env ]; then environment=--env-file=/etc/acgs-lb/agent.env; fi
exec /usr/lib/acgs-lb/bin/node ${environment:+"$environment"} -- /usr/lib/acgs-lb/acgs-lb.mjs "$@"
EOF
chmod 755 "$root/usr/bin/acgs-lb.new"
mv "$root/usr/bin/acgs-lb.new" "$root/usr/bin/acgs-lb"
run() { "$lib/bin/node" -- "$lib/acgs-lb.mjs" "$@"; }

# --- configuration and secrets: missing files only -----------------------------------------------------------
mkdir -p "$etc" "$var"
own root:acgs-lb "$etc"
# The agent writes configurations that it receives over its API.
chmod 2770 "$etc"
own acgs-lb:acgs-lb "$var"
chmod 700 "$var"
if [ ! -e "$etc/acgs-lb.yaml" ]; then
    cp "$here/dist/acgs-lb.yaml" "$etc/acgs-lb.yaml"
    say "wrote $etc/acgs-lb.yaml: describe your services there"
fi
cp "$here/dist/acgs-lb.schema.json" "$etc/acgs-lb.schema.json"
if [ ! -e "$etc/agent.env" ]; then
    umask 077
    fresh=$(mktemp -d)
    run keys new --site main --out "$fresh" >/dev/null
    {
        printf 'ENVIRONMENT=production\n'
        cat "$fresh/agent.env"
        printf '\n# REDIS_URL: live state (unset: in memory). DATABASE_URL: history (unset: embedded). Others: alert receivers, KV.\n'
        printf '#%s=\n' REDIS_URL DATABASE_URL SMTP_URL SLACK_WEBHOOK_URL CF_API_TOKEN CF_ACCOUNT_ID CF_KV_NAMESPACE_ID
    } >"$etc/agent.env"
    if [ ! -e "$etc/edge.env" ]; then
        {
            cat "$fresh/edge.env"
            printf '\n# Settings of acgs-lb-edge.service, the edge on this host.\n'
            printf 'SITES=main\nEDGE_BIND=*:8787\nFALLBACK_ORIGIN=http://127.0.0.1:8090\nLOG_SAMPLE=0.01\n'
        } >"$etc/edge.env"
    fi
    rm -rf "$fresh"
    umask 022
    say "wrote $etc/agent.env and edge.env with new secrets"
fi
# The state of an edge that earlier versions ran as the agent's user.
if [ -d "$var/edge" ] && [ ! -e "$var-edge" ]; then
    [ -n "$root" ] || ! systemctl --quiet is-active acgs-lb-edge 2>/dev/null || systemctl stop acgs-lb-edge
    mv "$var/edge" "$var-edge"
    own -R acgs-lb-edge:acgs-lb-edge "$var-edge"
fi
for file in acgs-lb.yaml acgs-lb.schema.json agent.env edge.env; do
    [ -e "$etc/$file" ] || continue
    # The keys of one are of no use to the other: systemd reads edge.env as root.
    case $file in edge.env) own root:root "$etc/$file" ;; *) own root:acgs-lb "$etc/$file" ;; esac
    case $file in edge.env) chmod 600 "$etc/$file" ;; agent.env) chmod 640 "$etc/$file" ;; acgs-lb.yaml) chmod 660 "$etc/$file" ;; *) chmod 644 "$etc/$file" ;; esac
done

# --- HAProxy: the agent writes its configuration ---------------------------------------------------------------------
mkdir -p "$root/etc/haproxy"
if [ -e "$root/etc/haproxy/haproxy.cfg" ] && [ ! -e "$root/etc/haproxy/haproxy.cfg.before-acgs-lb" ]; then
    cp -p "$root/etc/haproxy/haproxy.cfg" "$root/etc/haproxy/haproxy.cfg.before-acgs-lb"
    say 'saved the previous HAProxy configuration as /etc/haproxy/haproxy.cfg.before-acgs-lb'
fi
own root:acgs-lb "$root/etc/haproxy"
chmod 2775 "$root/etc/haproxy"

# --- units, log rotation, documentation --------------------------------------------------------------------------------
mkdir -p "$units/haproxy.service.d" "$root/usr/share/doc/acgs-lb"
# An upgrade does not restart HAProxy: the agent reloads it when its configuration changes.
haproxy=start
cmp -s "$here/deploy/systemd/haproxy.service.d/acgs-lb.conf" "$units/haproxy.service.d/acgs-lb.conf" || haproxy=restart
cp "$here/deploy/systemd/acgs-lb-agent.service" "$here/deploy/systemd/acgs-lb-edge.service" "$units/"
cp "$here/deploy/systemd/haproxy.service.d/acgs-lb.conf" "$units/haproxy.service.d/acgs-lb.conf"
chmod 644 "$units"/acgs-lb-*.service "$units/haproxy.service.d/acgs-lb.conf"
for pair in logrotate/haproxy:logrotate.d/haproxy rsyslog/49-haproxy.conf:rsyslog.d/49-haproxy.conf; do
    from=$here/deploy/${pair%%:*} to=$root/etc/${pair#*:}
    # Keep existing files: they belong to the distribution or the operator.
    if [ -f "$from" ] && [ ! -e "$to" ]; then
        mkdir -p "$(dirname "$to")"
        cp "$from" "$to"
        chmod 644 "$to"
    fi
done
find "$here/docs" -maxdepth 1 -name '*.md' -exec cp {} "$root/usr/share/doc/acgs-lb/" \;

run check --config "$etc/acgs-lb.yaml" || die "$etc/acgs-lb.yaml is invalid: correct it and run this script again"
[ -z "$root" ] || { say "installed under $root; nothing was started"; exit 0; }
# HAProxy needs a configuration before its restart.
if ! grep -qs acgs-lb /etc/haproxy/haproxy.cfg; then
    # shellcheck source=/dev/null
    (set -a && . /etc/acgs-lb/agent.env && run render --config /etc/acgs-lb/acgs-lb.yaml --install --yes) ||
        die 'HAProxy rejects the rendered configuration; its previous configuration is unchanged'
    own acgs-lb:acgs-lb /etc/haproxy/haproxy.cfg /etc/haproxy/acgs-lb
    find /etc/haproxy/acgs-lb -exec chown acgs-lb:acgs-lb {} +
fi

if [ -d /run/systemd/system ] && [ "$start" = yes ]; then
    systemctl daemon-reload
    systemctl enable --quiet haproxy acgs-lb-agent
    systemctl $haproxy haproxy
    systemctl restart acgs-lb-agent
    [ "$edge" = no ] || systemctl enable --quiet acgs-lb-edge
    # A running edge still has the previous version.
    if [ "$edge" = yes ] || systemctl --quiet is-active acgs-lb-edge; then systemctl restart acgs-lb-edge; fi
    say 'acgs-lb is running. Check it with: acgs-lb status, or the dashboard at http://127.0.0.1:9400/'
else
    say 'installed. To start it:'
    say '  systemctl daemon-reload && systemctl enable --now haproxy acgs-lb-agent'
    say 'or manually, as its user:'
    say "  setpriv --reuid=acgs-lb --regid=acgs-lb --init-groups sh -c 'set -a; . /etc/acgs-lb/agent.env; exec acgs-lb --state-dir /var/lib/acgs-lb agent --config /etc/acgs-lb/acgs-lb.yaml'"
fi
