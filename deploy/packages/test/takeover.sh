# An edited haproxy.cfg stays until the operator hands it over, and comes back unchanged.
config=/etc/haproxy/haproxy.cfg
apt-get -qq remove acgs-lb
[ "$(acgs-lb-takeover --status 2>/dev/null || echo gone)" = gone ]
[ ! -e $config.before-acgs-lb ]
[ "$(stat -c '%U:%G %a' /etc/haproxy)" = 'root:root 755' ]
printf '\nfrontend mine\n    bind 127.0.0.1:7777\n    http-request return status 204\n' >>$config
# An old configuration often keeps the socket to root.
sed -i 's/admin.sock mode 660/admin.sock mode 600/' $config
grep -q 'admin.sock mode 600' $config
mine=$(cat $config)
dpkg --install /root/packages/new.deb | grep -q 'changes nothing yet'
[ "$(acgs-lb-takeover --status)" = custom ]
[ "$(cat $config)" = "$mine" ]
not systemctl --quiet is-enabled acgs-lb-agent.service
# HAProxy as Debian starts it: only root may use its master socket.
mkdir -p /run/haproxy
haproxy -Ws -f $config -p /run/haproxy.pid -S /run/haproxy-master.sock >/var/log/haproxy.err 2>&1 &
wait_for '[ -s /run/haproxy.pid ] && [ -S /run/haproxy-master.sock ]'
cp /etc/acgs-lb/acgs-lb.yaml /root/valid.yaml
acgs-lb-takeover | grep -q 'Until HAProxy is restarted'
[ "$(acgs-lb-takeover --status)" = acgs-lb ]
[ "$(stat -c '%G %a' /run/haproxy/admin.sock)" = 'haproxy 660' ]
# systemctl reload haproxy
haproxy=$(cat /run/haproxy.pid)
kill -USR2 "$haproxy"
for port in 7001 7002 7003; do start_instance $port; done
start_agent
wait_for 'server_is web-1 UP && server_is web-2 UP'
wait_for 'fetch http://127.0.0.1:9400/health'
# The agent, which is not root, controls that HAProxy.
sed -i "s#.*id: web-2.*#&\n      - { id: web-3, url: 'http://127.0.0.1:7003' }#" /etc/acgs-lb/acgs-lb.yaml
kill -HUP $agent
wait_for 'server_is web-3 UP'
[ "$(cat /run/haproxy.pid)" = "$haproxy" ]
kill $agent
wait $agent || true
kill "$haproxy"
cp /root/valid.yaml /etc/acgs-lb/acgs-lb.yaml
systemctl --quiet is-enabled acgs-lb-agent.service
acgs-lb-takeover --undo
[ "$(cat $config)" = "$mine" ]
[ ! -e /etc/haproxy/acgs-lb ]
not systemctl --quiet is-enabled acgs-lb-agent.service
# With mode beside, only the agent's own file is written.
cp /etc/acgs-lb/acgs-lb.yaml /root/valid.yaml
sed -i '/^haproxy:/,$d' /etc/acgs-lb/acgs-lb.yaml
echo 'haproxy: { mode: beside }' >>/etc/acgs-lb/acgs-lb.yaml
owner=$(stat -c %U:%G $config)
acgs-lb-takeover
[ "$(cat $config)" = "$mine" ]
[ "$(stat -c %U:%G $config)" = "$owner" ]
[ ! -e $config.before-acgs-lb ]
[ "$(stat -c %U /etc/haproxy/haproxy.d/90-acgs-lb.cfg)" = acgs-lb ]
acgs-lb-takeover --undo
[ "$(cat $config)" = "$mine" ]
cp /root/valid.yaml /etc/acgs-lb/acgs-lb.yaml
rm -r /etc/haproxy/haproxy.d
# An invalid acgs-lb.yaml changes nothing.
echo 'nonsense: 1' >>/etc/acgs-lb/acgs-lb.yaml
not acgs-lb-takeover 2>/dev/null
[ "$(cat $config)" = "$mine" ]
[ ! -e $config.before-acgs-lb ]
cp /root/valid.yaml /etc/acgs-lb/acgs-lb.yaml
rm /root/valid.yaml
