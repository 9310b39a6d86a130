import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createAdminCommandLog } from '../../agent/haproxy/reconciler/admin-commands.ts';
import type { DesiredServer } from '../../agent/haproxy/reconciler/desired.ts';
import { createReconciler } from '../../agent/haproxy/reconciler/reconciler.ts';
import { createHaproxyFiles } from '../../agent/haproxy/render/haproxy-files.ts';
import { parseServersState, parseStat } from '../../agent/haproxy/socket/parse.ts';
import { freePorts } from '../../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { eventually } from '../harness/eventually.ts';
import { startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import { releaseAfterTests, startHaproxyHarness, startSink } from './haproxy-harness.ts';

const folder = createPrivateFolder('acgs-tv');
releaseAfterTests(async () => removeFolder(folder));

/** A certificate for `name`, signed by the CA of the same folder, and what belongs to it. */
function certificate(name: string): { cert: string; key: string; pem: string; ca: string } {
  const path = (suffix: string) => join(folder, `${name}.${suffix}`);
  const ca = join(folder, 'ca.crt');
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  try {
    execFileSync('test', ['-f', ca]);
  } catch {
    openssl(
      'req',
      '-x509',
      ...key,
      '-keyout',
      join(folder, 'ca.key'),
      '-out',
      ca,
      '-subj',
      '/CN=test CA',
      '-days',
      '2',
    );
  }
  openssl('req', ...key, '-keyout', path('key'), '-out', path('csr'), '-subj', `/CN=${name}`);
  writeFileSync(path('ext'), `subjectAltName=DNS:${name}`);
  const signing = ['-CA', ca, '-CAkey', join(folder, 'ca.key'), '-CAcreateserial', '-days', '2'];
  openssl('x509', '-req', '-in', path('csr'), ...signing, '-extfile', path('ext'), '-out', path('crt'));
  const pem = path('pem');
  writeFileSync(pem, execFileSync('cat', [path('crt'), path('key')]));
  return { cert: path('crt'), key: path('key'), pem, ca };
}

test('TLS with HTTP/2, plain requests sent there, but not those of the edge', async () => {
  const origin = await startOrigin('a-1');
  releaseAfterTests(origin.stop);
  const { pem } = certificate('gateway.test');
  const [port = 0] = await freePorts(1);
  const stand = await startHaproxyHarness({
    services: `a: { routes: [/], instances: [ { id: a-1, url: "${origin.url}" } ] }`,
    haproxy: `rateLimit: off, tls: { crt: ${pem}, bind: ["127.0.0.1:${port}"] }`,
  });
  const plain = await fetch(`${stand.gateway}/x?y=1`, {
    redirect: 'manual',
    headers: { host: 'gateway.test' },
  });
  expect(plain.status).toBe(308);
  expect(plain.headers.get('location')).toMatch(/^https:\/\/.*\/x\?y=1$/);
  expect((await fetch(`${stand.gateway}/x`, { headers: { 'x-acgs-edge': stand.token() } })).status).toBe(200);

  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
    session.on('error', reject);
    session.request({ ':path': '/h2' }).on('response', resolve).on('error', reject).resume();
  });
  session.close();
  expect(headers).toMatchObject({ ':status': 200, 'x-acgs-instance': 'a-1' });
  expect(headers['strict-transport-security']).toBe('max-age=31536000');
  // Among them are HAProxy's checks.
  const passedOn = origin.requests.findLast(({ url }) => url === '/h2');
  expect(passedOn?.headers['x-forwarded-proto']).toBe('https');
});

test('https instances: verified by CA and name, shown our certificate', async () => {
  const [server, client, other] = [
    certificate('gs.internal'),
    certificate('haproxy'),
    certificate('other.internal'),
  ];
  const started = async (files: { cert: string; key: string }) => {
    const instance = createServer(
      {
        cert: readFileSync(files.cert),
        key: readFileSync(files.key),
        ca: readFileSync(server.ca),
        requestCert: true,
        rejectUnauthorized: true,
      },
      (_, response) => response.end('secret'),
    );
    await new Promise<void>((resolve) => instance.listen(0, '127.0.0.1', resolve));
    releaseAfterTests(async () => {
      instance.closeAllConnections();
      instance.close();
    });
    return (instance.address() as AddressInfo).port;
  };
  const tls = `tls: { ca: ${server.ca}, cert: ${client.cert}, key: ${client.key}, serverName: gs.internal }`;
  const stand = await startHaproxyHarness({
    services: `right: { routes: [/right], health: { ${tls} }, instances: [ { id: r-1, url: "https://127.0.0.1:${await started(server)}" } ] }
wrong: { routes: [/wrong], health: { ${tls} }, instances: [ { id: w-1, url: "https://127.0.0.1:${await started(other)}" } ] }`,
    haproxy: 'rateLimit: off',
  });
  expect(await (await fetch(`${stand.gateway}/right`)).text()).toBe('secret');
  expect((await fetch(`${stand.gateway}/wrong`)).status).toBe(503);
  // A new configuration with a client certificate is judged with it.
  await createHaproxyFiles({ config: () => stand.config, secrets: stand.secrets }).validate(stand.config);
});

test('a configuration that comes while the last one is written is written too', async () => {
  const stand = await startHaproxyHarness({ services: 'a: { routes: [/] }' });
  let { config } = stand;
  const files = createHaproxyFiles({ config: () => config, secrets: stand.secrets });
  const first = files.write();
  config = { ...config, haproxy: { ...config.haproxy, maxconn: 1234 } };
  files.markStale();
  await first;
  await files.write();
  expect(readFileSync(config.haproxy.file, 'utf8')).toContain('maxconn 1234');
  const tls = { crt: '/nowhere.pem', bind: ['127.0.0.1:1'], redirect: true, http2: true };
  const refused = { ...config, haproxy: { ...config.haproxy, tls } };
  await expect(files.validate(refused)).rejects.toThrow('/nowhere.pem');
});

test('names that do not resolve, odd ids and IPv6 stop nothing', async () => {
  const origin = await startOrigin('a.b-1');
  releaseAfterTests(origin.stop);
  const [port = 0, nobody = 0] = await freePorts(2);
  const stand = await startHaproxyHarness({
    services: `a.b_c:
  routes: ["/a(b)/c;d,e", "/$x'y", /]
  health: { path: "/health?q=%20\\"'$\\\\x", headers: { x-odd: "a b#c\\"$%d" } }
  instances:
    - { id: a.b-1, url: "http://localhost:${origin.port}" }
    - { id: gone, url: "http://no-such-name.invalid:80" }
    - { id: six, url: "http://[::1]:${nobody}" }`,
    haproxy: 'rateLimit: off',
    bind: [`127.0.0.1:${port}`, `[::1]:${port}`],
  });
  for (const address of ['127.0.0.1', '[::1]']) {
    const answer = await fetch(`http://${address}:${port}/a(b)/c;d,e/x`);
    expect(answer.status).toBe(200);
  }
  expect(stand.haproxy.running).toBe(true);
  const probed = await until(() => origin.requests.find(({ url }) => url.startsWith('/health')));
  expect(probed?.headers).toMatchObject({ 'x-odd': 'a b#c"$%d', host: 'a.b_c' });
});

test('every HAProxy of the site is steered, and stick-tables are shared', async () => {
  const origins = [await startOrigin('a-1'), await startOrigin('a-2')];
  for (const origin of origins) releaseAfterTests(origin.stop);
  const [one = 0, two = 0] = await freePorts(2);
  const services = `a: { routes: [/], affinity: { by: ip }, instances: [ { id: a-1, url: "${origins[0]?.url}" }, { id: a-2, url: "${origins[1]?.url}" } ] }`;
  const peers = `rateLimit: off, peers: [ { name: one, address: "127.0.0.1:${one}" }, { name: two, address: "127.0.0.1:${two}" } ]`;
  const second = await startHaproxyHarness({ services, haproxy: `${peers}, name: two` });
  const first = await startHaproxyHarness({
    services,
    haproxy: `${peers}, name: one, others: [ { name: two, socket: ${second.config.haproxy.socket} } ]`,
  });
  const steered = await startSink(first);
  const states = async () =>
    Promise.all(
      [first, second].map(
        async (stand) => /^a,a-1,.*?,(UP|DOWN)/m.exec(await stand.ask('show stat a 4 -1'))?.[1],
      ),
    );
  steered.change({ 'a/a-1': { state: 'down', health: 'down' } });
  expect(await until(async () => (await states()).join() === 'DOWN,DOWN')).toBe(true);
  steered.change({ 'a/a-1': { state: 'up', health: 'up' } });
  expect(await until(async () => (await states()).join() === 'UP,UP')).toBe(true);

  const used = async (stand: typeof first) =>
    (await fetch(`${stand.gateway}/`)).headers.get('x-acgs-instance');
  const instance = await used(first);
  expect(await until(async () => /used:1/.test(await second.ask('show table a')))).toBe(true);
  for (let count = 0; count < 4; count++) expect(await used(second)).toBe(instance);
  const total = () => steered.traffic.reduce((sum, delta) => sum + delta.success, 0);
  expect(await until(() => total() === 5)).toBe(true);
});

test('at a HAProxy with an agent of its own, what that agent takes back is not ordered again at once', async () => {
  const services = 'a: { routes: [/], instances: [ { id: a-1, url: "http://127.0.0.1:1" } ] }';
  const stand = await startHaproxyHarness({ services });
  const down = {
    service: 'a',
    instance: 'a-1',
    url: 'http://127.0.0.1:1',
    verdict: 'down',
    reason: '',
  } as const;
  const desired = new Map([['a/a-1', { ...down, admin: 'ready', weight: 100, priority: 1 } as const]]);
  /** Whether a second look, within the first second, takes out again what was let in by hand; null: it came too late. */
  const insists = async (shared: boolean) => {
    const steering = createReconciler({
      ...{ name: 'test', socket: stand.config.haproxy.socket, shared, config: () => stand.config },
      ...{ desired: () => desired, onTraffic() {}, onRefused() {}, now: Date.now },
    });
    const began = performance.now();
    await steering.poll();
    await stand.ask('set server a/a-1 agent up');
    await steering.poll();
    const took = performance.now() - began;
    steering.close();
    const [stat] = parseStat(await stand.ask('show stat a 4 -1'));
    await stand.ask('set server a/a-1 agent up');
    return took < 900 ? { agentUp: stat?.agentUp } : null;
  };
  expect(await until(() => insists(false))).toEqual({ agentUp: false });
  expect(await until(() => insists(true))).toEqual({ agentUp: true });
});

test('a drain that another agent gave, and that was taken back before we looked, is no order of a person', async () => {
  const url = 'http://127.0.0.1:1';
  const stand = await startHaproxyHarness({
    services: `a: { routes: [/], instances: [ { id: a-1, url: "${url}" } ] }`,
  });
  const orders = createAdminCommandLog();
  let desired = new Map<string, DesiredServer>();
  const want = (admin: DesiredServer['admin']) => {
    const a1 = { service: 'a', instance: 'a-1', url, verdict: null, reason: '', weight: 100, priority: 1 };
    desired = new Map([['a/a-1', { ...a1, admin }]]);
    orders.record(desired, []);
  };
  const steering = createReconciler({
    ...{ name: 'test', socket: stand.config.haproxy.socket, shared: true, config: () => stand.config },
    ...{ desired: () => desired, orders, onTraffic() {}, onRefused() {}, now: Date.now },
  });
  releaseAfterTests(async () => steering.close());
  const look = () => eventually(() => steering.poll());
  const admin = async () => parseServersState(await stand.ask('show servers state a'))[0]?.admin;
  want('ready');
  await look();
  await stand.ask('set server a/a-1 state drain');
  await look();
  expect(await admin()).toBe('drain');
  await stand.ask('set server a/a-1 state ready');
  await look();
  want('drain');
  await stand.ask('set server a/a-1 state drain');
  want('ready');
  await look();
  expect(await admin()).toBe('ready');
  await stand.ask('set server a/a-1 state drain');
  await look();
  expect(await admin()).toBe('drain');
});
