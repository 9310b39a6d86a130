# The containers of docker-compose.yml that use the image: as their users, without capabilities.
as() {
    user=$1
    shift
    exec setpriv --reuid="$user" --regid="$user" --init-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
        env ACGS_HAPROXY_UNPRIVILEGED=1 ACGS_AGENT_URL=http://127.0.0.1:9400 ENVIRONMENT=production "$@"
}
# Compose's env_file.
with_secrets() {
    file=$1
    shift
    # shellcheck disable=SC2046
    as acgs-lb $(grep '^[A-Z]' "/tmp/keys/$file") "$@"
}
logs=/tmp
mkdir -m 700 /tmp/keys
chown acgs-lb: /tmp/keys
(as acgs-lb acgs-lb keys new --site main --out /tmp/keys)
sed 's#^haproxy:#&\n  log: stdout\n  masterSocket: /run/haproxy/master.sock#' /tmp/test/acgs-lb.yaml >/etc/acgs-lb/acgs-lb.yaml
echo 'edge: { url: "http://127.0.0.1:8787" }' >>/etc/acgs-lb/acgs-lb.yaml
(with_secrets agent.env acgs-lb render --config /etc/acgs-lb/acgs-lb.yaml --install --yes)

(as haproxy haproxy -W -db -S /run/haproxy/master.sock,mode,660,group,haproxy -f /etc/haproxy/haproxy.cfg) >/tmp/haproxy.err 2>&1 &
for port in 7001 7002 7003; do start_instance $port; done
(with_secrets agent.env acgs-lb --state-dir /var/lib/acgs-lb agent --config /etc/acgs-lb/acgs-lb.yaml) >/tmp/acgs-lb-agent.log 2>&1 &
agent=$!
(with_secrets edge.env SITES=main FALLBACK_ORIGIN=http://127.0.0.1:8090 \
    acgs-lb edge --bind 127.0.0.1:8787 --data-dir /var/lib/acgs-lb/edge) >/tmp/edge.log 2>&1 &
wait_for 'server_is web-1 UP && server_is web-2 UP'
wait_for 'fetch http://127.0.0.1:9400/health'
wait_for 'fetch http://127.0.0.1:8787/'
(with_secrets agent.env acgs-lb drain web web-1 --yes)
wait_for 'server_is web-1 DRAIN'
# A change of the configuration reloads HAProxy over its master socket.
sed -i "s#.*web-2.*#&\n      - { id: web-3, url: 'http://127.0.0.1:7003' }#" /etc/acgs-lb/acgs-lb.yaml
kill -HUP $agent
wait_for 'server_is web-3 UP'
# No process of the image is root's, and the image is read-only.
for process in /proc/[0-9]*; do
    case $(readlink "$process/exe" 2>/dev/null) in
        */haproxy | */workerd) [ "$(stat -c %u "$process")" != 0 ] ;;
    esac
done
not touch /usr/lib/acgs-lb/written 2>/dev/null
