# An upgrade keeps configuration and secrets, and HAProxy keeps running; the new agent takes over.
secrets=$(cat /etc/acgs-lb/agent.env /etc/acgs-lb/edge.env)
echo '# changed here' >>/etc/acgs-lb/acgs-lb.yaml
start_haproxy
start_instance 7001
start_instance 7002
start_agent
wait_for 'server_is web-1 UP && server_is web-2 UP'
haproxy=$(cat /run/haproxy.pid)
dpkg --install /root/packages/new.deb
[ "$(cat /etc/acgs-lb/agent.env /etc/acgs-lb/edge.env)" = "$secrets" ]
tail -n 1 /etc/acgs-lb/acgs-lb.yaml | grep -qx '# changed here'
# systemd would restart it.
kill $agent
wait $agent || true
start_agent
wait_for 'acgs-lb status --json'
acgs-lb drain web web-2 --yes
wait_for 'server_is web-2 DRAIN'
fetch http://127.0.0.1:8090/ | grep -qx 7001
[ "$(cat /run/haproxy.pid)" = "$haproxy" ]
