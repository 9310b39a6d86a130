# After the installation: a request passes HAProxy, and the agent controls it.
cp /root/test/acgs-lb.yaml /etc/acgs-lb/acgs-lb.yaml
start_haproxy
start_instance 7001
start_instance 7002
start_agent
wait_for 'server_is web-1 UP && server_is web-2 UP'
wait_for 'fetch http://127.0.0.1:9400/health'
wait_for 'fetch http://127.0.0.1:8090/'
acgs-lb drain web web-1 --yes
wait_for 'server_is web-1 DRAIN'
acgs-lb ready web web-1
wait_for 'server_is web-1 UP'
kill $instance
wait_for 'server_is web-2 DOWN'
fetch http://127.0.0.1:8090/ | grep -qx 7001
# Without access to the admin socket, the agent uses the master socket.
kill $agent
wait $agent || true
chmod 600 /run/haproxy/admin.sock
chown root:root /run/haproxy/admin.sock
start_agent
wait_for 'fetch http://127.0.0.1:9400/health'
acgs-lb drain web web-1 --yes
wait_for 'server_is web-1 DRAIN'
acgs-lb ready web web-1
wait_for 'server_is web-1 UP'
# Only its own users read the secrets.
[ "$(stat -c '%U:%G %a' /etc/acgs-lb/agent.env)" = 'root:acgs-lb 640' ]
[ "$(stat -c '%U:%G %a' /etc/acgs-lb/edge.env)" = 'root:root 600' ]
[ "$(stat -c '%U %a' /var/lib/acgs-lb)" = 'acgs-lb 700' ]
