import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Config } from '../../../shared/config/config.ts';
import { parseConfig } from '../../../shared/config/load.ts';
import { configInstances, haproxyPaths, type RenderInput } from './input.ts';
import { renderHaproxyConfig } from './render.ts';

/** A public key for the generated example; its private key was deleted. */
const EXAMPLE_EDGE_KEY =
  'edge-1:MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwQjWDpArps2a_OBy3q231Ge2ToPTJsJ3JPBVmaAMuPpQzUJr8jsrGx-P_ULahEo0QbhxzPEbHT7jbi5BVDuUtQ';

const shipped = parseConfig(readFileSync(new URL('../../../acgs-lb.yaml', import.meta.url), 'utf8'));

function inputOf(config: Config, more: Partial<RenderInput> = {}): RenderInput {
  return {
    config,
    instances: configInstances(config),
    secrets: { statsUser: 'admin', statsPassword: 'secure_password_here', edgePublicKeys: EXAMPLE_EDGE_KEY },
    ...more,
  };
}

const withHaproxy = (more: Partial<Config['haproxy']>): Config => ({
  ...shipped,
  haproxy: { ...shipped.haproxy, ...more },
});

const configOf = (input: RenderInput): string => renderHaproxyConfig(input)[0]?.content ?? '';
const backendOf = (text: string, name: string): string =>
  text.match(new RegExp(`^backend ${name}\\n((?: .*\\n)*)`, 'm'))?.[1] ?? '';

test('the generated example matches the template and the shipped acgs-lb.yaml', async () => {
  await expect(configOf(inputOf(shipped, { production: true }))).toMatchFileSnapshot(
    '../../../haproxy/haproxy.cfg',
  );
});

test('the rendered configuration contains the settings of the original guide', () => {
  const text = configOf(inputOf(shipped));
  for (const line of [
    'maxconn 4096',
    'nbthread 4',
    'option httpchk GET /health',
    'http-check expect status 200',
    'timeout check 3s',
    'balance random(6)',
    'retries 2',
    'option redispatch 1',
    'stats uri /stats',
    'stats auth admin:secure_password_here',
  ]) {
    expect(text).toContain(`    ${line}\n`);
  }
  expect(text).toContain('stick-table type ipv6 size 100k expire 30s store http_req_rate(10s)\n');
  expect(backendOf(text, 'gs')).toContain('stick-table type ipv6 size 100k expire 30s\n');
  expect(backendOf(text, 'gs')).toContain('timeout server 60s\n');
  expect(backendOf(text, 'gs')).toContain('server gs-1 127.0.0.1:8004 weight 100 maxconn 30 ');
  expect(text).toContain('deny_status 429 if !edge { sc_http_req_rate(0) gt 20 }');
});

test('a log on standard output has no syslog header; other logs keep it', () => {
  expect(configOf(inputOf(withHaproxy({ log: 'stdout' })))).toContain(
    '    log stdout format raw local0 info\n',
  );
  expect(configOf(inputOf(shipped))).toContain('    log /dev/log local0 info\n');
});

test('passwords cannot end their argument, and only the main file contains them', () => {
  const secrets = { statsUser: 'op', statsPassword: 'a b"c$d\\e#f\'g\nuser x', edgePublicKeys: '' };
  const [main, ...others] = renderHaproxyConfig(inputOf(shipped, { secrets }));
  expect(main?.content).toContain('stats auth op:a\\x20b\\x22c\\x24d\\x5ce\\x23f\\x27g\\x0auser\\x20x\n');
  expect(main?.mode).toBe(0o600);
  expect(others.map((file) => file.content).join()).not.toContain('user');
});

test('without keys no request counts as the edge, and requireEdge is rejected', () => {
  const secrets = { statsUser: 'a', statsPassword: 'b', edgePublicKeys: '' };
  const text = configOf(inputOf(shipped, { secrets }));
  expect(text).toContain('acl edge always_false\n');
  expect(text).not.toContain('set-src');
  expect(() => configOf(inputOf(withHaproxy({ requireEdge: true }), { secrets }))).toThrow(
    'EDGE_JWT_PUBLIC_KEYS',
  );
});

test('instances of priority 2 and above are backups, in order', () => {
  const instance = (id: string, priority: number) => ({
    service: 'gs',
    id,
    url: `http://10.0.0.${priority}`,
    weight: 7,
    priority,
  });
  const text = configOf(
    inputOf(shipped, { instances: [instance('third', 3), instance('second', 2), instance('first', 1)] }),
  );
  const servers = backendOf(text, 'gs').match(/^ {4}server \S+.*/gm) ?? [];
  expect(servers.map((line) => [line.trim().split(' ')[1], / backup( |$)/.test(line)])).toEqual([
    ['first', false],
    ['second', true],
    ['third', true],
  ]);
  expect(servers[0]).toContain('10.0.0.1:80 weight 7 ');
});

test('https instances are verified by CA and name; HAProxy starts with a name that does not resolve', () => {
  const tls = { ca: '/ca.pem', cert: '/c.pem', key: '/k.pem', serverName: 'gs.internal' };
  const gs = shipped.services.gs;
  if (!gs) throw new Error('the shipped file has gs');
  const config = {
    ...shipped,
    services: { ...shipped.services, gs: { ...gs, health: { ...gs.health, tls } } },
  };
  const text = configOf(
    inputOf(config, {
      instances: [{ service: 'gs', id: 'a.b', url: 'https://gs.example:8443', weight: 100, priority: 1 }],
    }),
  );
  const line = backendOf(text, 'gs').match(/server a\.b .*/)?.[0] ?? '';
  expect(line).toContain('ssl verify required ca-file /ca.pem verifyhost gs.internal sni str(gs.internal)');
  expect(line).toContain(`crt ${haproxyPaths(config).clientCertificate('gs')}`);
  expect(line).toContain('resolvers _dns init-addr last,libc,none');
  expect(text).toContain('resolvers _dns\n');
  expect(configOf(inputOf(shipped))).not.toContain('resolvers');
});
