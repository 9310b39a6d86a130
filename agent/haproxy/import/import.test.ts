import { expect, test } from 'vitest';
import { splitWords } from './file/lexer.ts';
import { modernLine } from './file/modern.ts';
import { importConfig } from './import-file.ts';
import { type Proposal, proposeConfig } from './proposal.ts';

const HEAD = `defaults
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
`;

const propose = (text: string, mode: 'whole' | 'beside' = 'whole'): Proposal =>
  proposeConfig(text, { mode, fileName: 'haproxy.cfg', rejected: new Map() });

const configOf = (text: string, mode: 'whole' | 'beside' = 'whole') => {
  const { config } = propose(text, mode);
  if (!config) throw new Error('no proposal');
  return config;
};
const serviceOf = (body: string, more = '') =>
  configOf(`${HEAD}${more}backend web\n${body.replaceAll(/^/gm, '    ')}\n`).services.web;
const fateOf = ({ lines }: Proposal, text: string) => lines.find((line) => line.text === text)?.fate;

test.each([
  ['bind :80 # comment', ['bind', ':80']],
  ['a\\ b c\\#d', ['a b', 'c#d']],
  [`'single $x \\n' "double \\" \\x41"`, ['single $x \\n', 'double " A']],
  ['joined"two words"end', ['joinedtwo wordsend']],
  ['a \\\\ \\q ""', ['a', '\\', '\\q', '']],
])('the words of %s', (line, words) => {
  expect(splitWords(line)).toEqual({ words, usesEnvironment: false, problem: null });
});

test('environment variables count in double quotes only; a line cannot continue', () => {
  expect(splitWords('maxconn "$MAX"').usesEnvironment).toBe(true);
  expect(splitWords(`x '$A' $B "\\$C"`).usesEnvironment).toBe(false);
  expect(splitWords('x "open').problem).toContain('unmatched quote');
  expect(splitWords('x \\x4').problem).toContain('hexadecimal');
  expect(splitWords('x y\\').words).toEqual(['x', 'y\\']);
});

test('servers become instances with address, TLS, weight, backup and check times; disabled servers are left out', () => {
  const web = serviceOf(`default-server inter 3s fall 4 ssl verify none
balance leastconn
server a 10.0.0.1:80 check weight 10 maxconn 30
server b [2001:db8::1]:443 check weight 20 backup slowstart 20s
server c ipv4@10.0.0.3:80 check disabled
server d app.internal:8443 check weight 0`);
  expect(web?.instances).toMatchObject([
    { id: 'a', url: 'https://10.0.0.1:80', weight: 50, maxconn: 30 },
    { id: 'b', url: 'https://[2001:db8::1]', weight: 100, priority: 2 },
  ]);
  expect(web).toMatchObject({
    strategy: 'least_connections',
    slowStart: 20_000,
    timeout: 50_000,
    health: { type: 'tcp', interval: 3_000, fall: 4, tls: { verify: false } },
  });
});

test.each([
  ['option httpchk', { method: 'OPTIONS', path: '/', expect: { status: [[200, 399]] } }],
  [
    'option httpchk HEAD /up HTTP/1.1\\r\\nHost:\\ a.example',
    { method: 'HEAD', path: '/up', headers: { host: 'a.example' } },
  ],
  [
    'option httpchk\nhttp-check send meth GET uri /live hdr X-A b',
    { method: 'GET', path: '/live', headers: { 'x-a': 'b' } },
  ],
  ['option httpchk /x\nhttp-check expect ! rstatus ^5', { path: '/x', expect: { status: [[100, 499]] } }],
  ['option httpchk GET /\nhttp-check expect string ok', { expect: { status: [[100, 599]], body: 'ok' } }],
  ['option tcp-check', { type: 'tcp' }],
])('health check: %s', (lines, health) => {
  expect(serviceOf(`${lines}\nserver a 10.0.0.1:80 check inter 500ms`)?.health).toMatchObject({
    ...health,
    interval: 500,
    fastInterval: 500,
  });
});

test.each([
  ['server a /run/app.sock', 'not host:port'],
  ['server a 10.0.0.1', 'not host:port'],
  ['server a "$APP:80"', 'environment variable'],
  ['server a 10.0.0.1:$PORT', 'environment variable'],
  ['server a 10.0.0.1:80 send-proxy', 'send-proxy'],
  ['server a 10.0.0.1:80 check port 81', 'port 81'],
  ['server a 10.0.0.1:80 brand-new-option', 'brand-new-option'],
  ['server-template a 4 app.internal:80', 'server-template'],
  ['mode tcp\nserver a 10.0.0.1:80', 'mode tcp'],
])('a backend with %s stays as it is, with the reason', (body, why) => {
  const proposal = propose(`${HEAD}backend web\n${body}\nbackend ok\nserver o 10.0.0.9:80\n`);
  expect(proposal.config?.services.web).toBeUndefined();
  expect(proposal.lines.find(({ text }) => text === 'backend web')).toMatchObject({
    fate: 'verbatim',
    note: expect.stringContaining(why),
  });
  expect(proposal.config?.haproxy.extra.other).toContain('backend web\n');
});

test('cookies stay, with values that HAProxy derives; stickiness by address is a key, and there is no other', () => {
  const { haproxy, services } = configOf(`${HEAD}backend web
    cookie SRV insert indirect nocache
    server a 10.0.0.1:80 cookie a
backend old
    stick-table type ip size 1m expire 1h
    stick on src
    server b 10.0.0.2:80
backend prefix
    cookie S prefix
    server c 10.0.0.3:80 cookie c
backend plain
    server d 10.0.0.4:80
`);
  expect(haproxy.extra.services.prefix).toBe('cookie S prefix dynamic\ndynamic-cookie-key acgs-lb\n');
  expect(haproxy.extra.services.web).toBe(
    'cookie SRV insert indirect nocache dynamic\ndynamic-cookie-key acgs-lb\n',
  );
  expect(Object.values(services).map(({ id, affinity }) => [id, affinity.by])).toEqual([
    ['web', 'none'],
    ['old', 'ip'],
    ['prefix', 'none'],
    ['plain', 'none'],
  ]);
});

const routesOf = (rules: string) => {
  const backends = ['web', 'api', 'shop'].map(
    (name, index) => `backend ${name}\n server ${name}-1 10.0.0.${index + 1}:80\n`,
  );
  const proposal = propose(`${HEAD}frontend www\nbind :80\n${rules}\n${backends.join('')}`);
  const { services, haproxy } = proposal.config ?? {};
  return {
    proposal,
    extra: haproxy?.extra.frontend,
    of: (name: string) => ({ routes: services?.[name]?.routes, hosts: services?.[name]?.hosts }),
  };
};

test('rules by path and host become routes', () => {
  const { of, extra, proposal } = routesOf(`acl api path_beg /api /v2
acl shop hdr(host) -i shop.example Other.example
use_backend api if api
use_backend shop if shop { path_beg /cart }
default_backend web`);
  expect(of('api')).toEqual({ routes: ['/api', '/v2'], hosts: [] });
  expect(of('shop')).toEqual({ routes: ['/cart'], hosts: ['shop.example', 'other.example'] });
  expect(of('web')).toEqual({ routes: ['/'], hosts: [] });
  expect(extra).toBeUndefined();
  expect(proposal.lines.every(({ fate }) => fate === 'taken')).toBe(true);
});

test.each([
  [
    'the first match is not the longest prefix',
    'use_backend api if { path_beg /a }\nuse_backend shop if { path_beg /a/b }',
  ],
  [
    'a host wins over every path',
    'use_backend shop if { hdr(host) shop.example }\nuse_backend api if { path_beg /api }',
  ],
  ['a negated condition', 'use_backend api if !{ path_beg /x }'],
  ['another sample', 'use_backend api if { src 10.0.0.0/8 }'],
  ['a name from the request', 'use_backend %[req.hdr(x-backend)]'],
])('rules stay as they are when routes cannot express them: %s', (_, rules) => {
  const { of, extra } = routesOf(`${rules}\ndefault_backend web`);
  expect(extra?.trim()).toBe(rules);
  expect(of('web').routes).toEqual(['/']);
  expect(of('api').hosts?.[0]).toMatch(/\.invalid$/);
});

test('addresses, TLS and the redirect become keys; the rest of the frontend stays in order', () => {
  const { haproxy, site } = configOf(`${HEAD}frontend plain
    bind *:80
    redirect scheme https code 301 if !{ ssl_fc }
frontend www
    bind :443 ssl crt /etc/site.pem alpn h2,http/1.1
    bind :8443 ssl crt /etc/site.pem ca-file /ca.pem verify required
    option forwardfor
    http-request deny if { path_beg /.git }
    http-response set-header X-A b
    default_backend web
backend web
    server a 10.0.0.1:8080
`);
  expect(haproxy).toMatchObject({
    bind: ['*:80'],
    tls: { crt: '/etc/site.pem', bind: ['*:443'], redirect: true, http2: true },
  });
  expect(haproxy.extra.frontend?.split('\n')).toEqual([
    'bind :8443 ssl crt /etc/site.pem ca-file /ca.pem verify required',
    'http-request deny if { path_beg /.git }',
    'http-response set-header X-A b',
    '',
  ]);
  expect(site.gateways).toEqual(['http://127.0.0.1']);
  // 8080 belongs to an instance.
  expect(haproxy.stats).toBe('127.0.0.1:8081');
});

test('references to the frontend name the gateway', async () => {
  const text = `${HEAD}frontend www.1
    bind 127.0.0.1:10080
    stick-table type ip size 1m expire 30s store http_req_rate(30s)
    acl abuse src_http_req_rate(www.1) gt 100
    http-request track-sc0 src table www.1 if { path_beg /www.1 }
    http-request deny if abuse
    default_backend web
backend web
    server a 127.0.0.1:1
`;
  const { config, haproxyError } = await importConfig(text, { mode: 'whole', fileName: 'haproxy.cfg' });
  expect(haproxyError).toBeNull();
  expect(config?.haproxy.extra.frontend).toContain('src_http_req_rate(_gateway) gt 100\n');
  expect(config?.haproxy.extra.frontend).toContain('table _gateway if { path_beg /www.1 }\n');
});

const MIXED = `global
    maxconn 5000
    stats socket /run/h.sock mode 600 level admin
    description mine
    ssl-default-bind-options no-tls-tickets
${HEAD}    errorfile 503 /dev/null
    contimeout 3000
# about www
frontend www
    bind 127.0.0.1:10080
    use_backend web
listen db
    mode tcp
    bind 127.0.0.1:10432
    server db1 127.0.0.1:10433 check
.if defined(NEVER)
frontend never
    bind 127.0.0.1:10099
.endif
userlist ops
    user op insecure-password x
listen app 127.0.0.1:10081
    balance source
    reqadd X:\\ y
    http-request auth if !{ http_auth(ops) }
    server app1 127.0.0.1:10082 check
    server web1 127.0.0.1:10083 check
# about web
backend web
    balance uri
    http-request set-header X-A "b c"
    server web1 127.0.0.1:10084 check
`;

test('every line has one fate, and HAProxy accepts the whole configuration', async () => {
  const proposal = await importConfig(MIXED, { mode: 'whole', fileName: 'haproxy.cfg' });
  expect(proposal.haproxyError).toBeNull();
  const statements = MIXED.split('\n').flatMap((line, index) =>
    /^\s*(?:#.*)?$/.test(line) ? [] : [index + 1],
  );
  expect(proposal.lines.map(({ line }) => line)).toEqual(statements);
  expect(fateOf(proposal, 'description mine')).toBe('cannot');
  expect(proposal.lines.find(({ text }) => text === 'reqadd X:\\ y')).toMatchObject({
    fate: 'taken',
    note: 'haproxy.extra.services.app, as http-request add-header X y',
  });
  expect(proposal.config?.haproxy).toMatchObject({
    maxconn: 5_000,
    socket: '/run/h.sock',
    timeouts: { connect: 3_000 },
  });
  // Two servers with one name are two instances.
  expect(
    Object.values(proposal.config?.services ?? {}).flatMap(({ instances }) => instances.map(({ id }) => id)),
  ).toEqual(['app1', 'app-web1', 'web-web1']);
  const { other = '', services } = proposal.config?.haproxy.extra ?? {};
  expect(services?.web).toContain('balance uri\n');
  expect(other).toContain('listen db\n    mode tcp\n');
  expect(other).toContain('.if defined(NEVER)\nfrontend never\n');
  expect(other).toContain('frontend app\n    bind 127.0.0.1:10081\n    default_backend app\n');
});

test('beside: the own file keeps all but the servers of the services, and HAProxy accepts both files', async () => {
  const proposal = await importConfig(MIXED.replace('contimeout 3000', 'timeout queue 3s'), {
    mode: 'beside',
    fileName: 'haproxy.cfg',
  });
  expect(proposal.haproxyError).toBeNull();
  expect(proposal.config?.haproxy).toMatchObject({ mode: 'beside', socket: '/run/h.sock' });
  const own = proposal.ownFile ?? '';
  expect(own).toContain('global\n    log 127.0.0.1:9401 len 512 format raw local1 info\n    maxconn 5000\n');
  // The agent is not root.
  expect(own).toContain('    stats socket /run/h.sock mode 660 group haproxy level admin\n');
  expect(own).not.toContain('stats socket /run/haproxy/admin.sock');
  expect(own).toContain('# about www\nfrontend www\n');
  expect(own).toContain('frontend app\n    bind 127.0.0.1:10081\n    default_backend app\n# about web\n');
  expect(own).not.toMatch(/^backend web$|server web1|server app1/m);
  expect(own).toContain('listen db\n    mode tcp\n');
});

test('a file with a section `program` is checked as the service starts HAProxy', async () => {
  const text = `${HEAD}frontend www\n    bind 127.0.0.1:10080\n    default_backend web\nbackend web\n    server a 127.0.0.1:1\nprogram sidecar\n    command /bin/true\n`;
  const proposal = await importConfig(text, { mode: 'whole', fileName: 'haproxy.cfg' });
  expect(proposal.haproxyError).toBeNull();
});

test('a line that only HAProxy recognizes as invalid is left out and reported', async () => {
  const text = `${HEAD}frontend www\n    bind 127.0.0.1:10080\n    nonsense 1\n    default_backend web\nbackend web\n    server a 127.0.0.1:1\n`;
  const proposal = await importConfig(text, { mode: 'whole', fileName: 'haproxy.cfg' });
  expect(proposal.haproxyError).toBeNull();
  expect(proposal.lines.find(({ text: line }) => line === 'nonsense 1')).toMatchObject({
    fate: 'cannot',
    line: 8,
  });
});

test.each([
  ['reqadd X-A:\\ b\\ c%d if { path /x }', 'http-request add-header X-A b\\ c%%d if { path /x }'],
  ['rspadd X-A:\\ b', 'http-response add-header X-A b'],
  ['rspidel ^Server:.*', 'http-response del-header Server'],
  ['reqdel ^X-A:', 'http-request del-header X-A'],
  ['reqirep ^Host:  Host:\\ app.test:80', 'http-request set-header Host app.test:80'],
  ['  block if { path_beg /x }', '  http-request deny if { path_beg /x }'],
  ['\tsrvtimeout 5000', '\ttimeout server 5000'],
  ['bind *:80 process 1-2 name a', 'bind *:80 name a'],
  ['stats socket /run/h.sock process 1 level admin', 'stats socket /run/h.sock level admin'],
  // What one line cannot express stays, and the report says so.
  ['reqrep ^GET\\ /a(.*) GET\\ /b\\1', 'reqrep ^GET\\ /a(.*) GET\\ /b\\1'],
  ['rspdel ^X-.*:', 'rspdel ^X-.*:'],
])('a line of HAProxy 1.x: %s', (line, current) => {
  expect(modernLine(line)).toBe(current);
});

test('a section takes what its defaults inherit from others, and kept sections keep their defaults once', async () => {
  const text = `defaults base
    mode http
    timeout connect 5s
    timeout client 50s
    timeout server 50s
    option httpchk GET /up
defaults slow from base
    timeout server 5m
    http-request set-header X-Base 1
    default_backend web
frontend www from slow
    bind 127.0.0.1:10080
backend web from slow
    http-check expect status 204
    id 7
    server a 127.0.0.1:1 check
backend one from slow
    server u /run/one.sock
backend two from base
    server u /run/two.sock
backend three from slow
    server u /run/three.sock
`;
  const { config, haproxyError, lines } = await importConfig(text, {
    mode: 'whole',
    fileName: 'haproxy.cfg',
  });
  expect(haproxyError).toBeNull();
  expect(config?.services.web).toMatchObject({
    timeout: 300_000,
    hosts: [],
    health: { path: '/up', expect: { status: [[204, 204]] } },
  });
  expect(config?.haproxy.extra.frontend).toBe('http-request set-header X-Base 1\n');
  expect(config?.haproxy.extra.other?.match(/^defaults .*/gm)).toEqual([
    'defaults base',
    'defaults slow from base',
  ]);
  expect(lines.find(({ text: line }) => line === 'id 7')?.fate).toBe('cannot');
});

test('error pages of the frontend apply to the services, and the client is forwarded once', () => {
  const { haproxy, headers } = configOf(`${HEAD}    option forwardfor
frontend www
    bind 127.0.0.1:10080
    errorfile 503 /dev/null
    use_backend kept if { path_beg /kept }
    default_backend web
backend web
    http-request add-header X-Forwarded-Proto https if { ssl_fc }
    server a 127.0.0.1:1
backend kept
    http-request set-header X-Forwarded-Proto http
    server u /run/kept.sock
`);
  expect(haproxy.extra.defaults).toBe('errorfile 503 /dev/null\n');
  expect(haproxy.extra.services.web).toBeUndefined();
  expect(haproxy.extra.other).not.toMatch(/forwardfor|Forwarded/);
  expect(headers.security).toBe(false);
});

test('beside: what acgs-lb does not take from the defaults stays in the own file', () => {
  const proposal = propose(
    `${HEAD}    stats enable\nfrontend www\n    bind 127.0.0.1:10080\n    default_backend web\nbackend web\n    server a 127.0.0.1:1\n`,
    'beside',
  );
  expect(proposal.lines.find(({ text }) => text === 'stats enable')).toMatchObject({
    fate: 'verbatim',
    note: 'your own file',
  });
});

test('without an HTTP backend there is a report but no proposal', () => {
  const proposal = propose('listen db\n    mode tcp\n    bind :1\n    server a 10.0.0.1:1\n');
  expect(proposal.yaml).toBeNull();
  expect(proposal.lines).toHaveLength(4);
});

test('servers that speak HTTP/2 become protocol: http2; a mixture or a choice of protocols stays in HAProxy', () => {
  for (const option of ['proto h2', 'ssl verify none alpn h2', 'proto h2 check-proto h2']) {
    expect(serviceOf(`server a 10.0.0.1:50051 check ${option}`)?.protocol).toBe('http2');
  }
  expect(serviceOf('server a 10.0.0.1:80 check')?.protocol).toBe('http1');
  for (const servers of [
    'server a 10.0.0.1:80 proto h2\n    server b 10.0.0.2:80',
    'server a 10.0.0.1:443 ssl alpn h2,http/1.1',
    'server a 10.0.0.1:80 proto fcgi',
  ]) {
    expect(propose(`${HEAD}backend web\n    ${servers}\n`).config?.services.web).toBeUndefined();
  }
});
