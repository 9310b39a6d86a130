# Starts what systemd would start, with the commands of the installed units. Sourced by the scenarios in this folder, which
# run in a bare Debian root with network and process namespaces of their own.
units=/usr/lib/systemd/system
logs=${logs:-/var/log}
node=/usr/lib/acgs-lb/bin/node

# `set -e` ignores a failed `! COMMAND`.
not() {
    if "$@"; then return 1; fi
}

start_haproxy() {
    mkdir -p /run/haproxy
    EXTRAOPTS=$(sed -n 's/^Environment="EXTRAOPTS=\(.*\)"$/\1/p' $units/haproxy.service.d/acgs-lb.conf)
    # shellcheck disable=SC2086
    haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid $EXTRAOPTS >>$logs/haproxy.err 2>&1 &
}

# start_instance PORT: sets $instance to its process id.
start_instance() {
    $node -e 'require("http").createServer((_, res) => res.end(process.argv[1])).listen(+process.argv[1], "127.0.0.1")' "$1" &
    instance=$!
}

start_agent() {
    mkdir -p /run/acgs-lb
    chown acgs-lb:acgs-lb /run/acgs-lb
    # The command reads agent.env itself.
    # shellcheck disable=SC2046
    setpriv --reuid=acgs-lb --regid=acgs-lb --init-groups env HOME=/var/lib/acgs-lb TMPDIR=/run/acgs-lb \
        $(sed -n 's/^ExecStart=//p' $units/acgs-lb-agent.service) >>$logs/acgs-lb-agent.log 2>&1 &
    agent=$!
}

# wait_for COMMAND: up to 60 s.
wait_for() {
    tries=0
    until eval "$1" >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ $tries -ge 300 ]; then
            echo "never true: $1"
            tail -n 20 $logs/acgs-lb-agent.log $logs/haproxy.err
            acgs-lb status || true
            exit 1
        fi
        sleep 0.2
    done
}

fetch() {
    $node -e 'fetch(process.argv[1]).then(async (r) => { console.log(await r.text()); process.exit(r.ok ? 0 : 1) }, () => process.exit(1))' "$1"
}

# server_is SERVER STATE: as HAProxy reports it.
server_is() {
    fetch http://127.0.0.1:8080/stats/prometheus | grep -q "^haproxy_server_status{proxy=\"web\",server=\"$1\",state=\"$2\"} 1"
}
