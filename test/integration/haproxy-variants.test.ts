import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createHaproxyFiles } from '../../agent/haproxy/render/haproxy-files.ts';
import { freePorts } from '../../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import { releaseAfterTests, startHaproxyHarness, startSink } from './haproxy-harness.ts';

const folder = createPrivateFolder('acgs-tv');
releaseAfterTests(async () => removeFolder(folder));

/** A certificate for `name` and its key, signed by the folder's CA. */
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

test('TLS with HTTP/2; plain requests are redirected to it, except those of the edge', async () => {
  const origin = await startOrigin('a-1');
  releaseAfterTests(origin.stop);
  const { pem } = certificate('gateway.test');
  const [port = 0] = await freePorts(1);
  const harness = await startHaproxyHarness({
    services: `a: { routes: [/], instances: [ { id: a-1, url: "${origin.url}" } ] }`,
    haproxy: `rateLimit: off, tls: { crt: ${pem}, bind: ["127.0.0.1:${port}"] }`,
  });
  const plain = await fetch(`${harness.gateway}/x?y=1`, {
    redirect: 'manual',
    headers: { host: 'gateway.test' },
  });
  expect(plain.status).toBe(308);
  expect(plain.headers.get('location')).toMatch(/^https:\/\/.*\/x\?y=1$/);
  expect((await fetch(`${harness.gateway}/x`, { headers: harness.edgeHeaders() })).status).toBe(200);

  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
    session.on('error', reject);
    session.request({ ':path': '/h2' }).on('response', resolve).on('error', reject).resume();
  });
  session.close();
  expect(headers).toMatchObject({ ':status': 200, 'x-acgs-instance': 'a-1' });
  expect(headers['strict-transport-security']).toBe('max-age=31536000');
  // The requests include HAProxy's checks.
  const passedOn = origin.requests.findLast(({ url }) => url === '/h2');
  expect(passedOn?.headers['x-forwarded-proto']).toBe('https');
});

test('https instances are verified by CA and name, and receive the client certificate', async () => {
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
  const harness = await startHaproxyHarness({
    services: `right: { routes: [/right], health: { ${tls} }, instances: [ { id: r-1, url: "https://127.0.0.1:${await started(server)}" } ] }
wrong: { routes: [/wrong], health: { ${tls} }, instances: [ { id: w-1, url: "https://127.0.0.1:${await started(other)}" } ] }`,
    haproxy: 'rateLimit: off',
  });
  expect(await (await fetch(`${harness.gateway}/right`)).text()).toBe('secret');
  expect((await fetch(`${harness.gateway}/wrong`)).status).toBe(503);
  // The validation of a new configuration includes the client certificate.
  await createHaproxyFiles({ config: () => harness.config, secrets: harness.secrets }).validate(
    harness.config,
  );
});

test('a configuration that changes during a write is written next', async () => {
  const harness = await startHaproxyHarness({ services: 'a: { routes: [/] }' });
  let { config } = harness;
  const files = createHaproxyFiles({ config: () => config, secrets: harness.secrets });
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

test('HAProxy starts with unresolvable names, unusual ids and IPv6', async () => {
  const origin = await startOrigin('a.b-1');
  releaseAfterTests(origin.stop);
  const [port = 0, unused = 0] = await freePorts(2);
  const harness = await startHaproxyHarness({
    services: `a.b_c:
  routes: ["/a(b)/c;d,e", "/$x'y", /]
  health: { path: "/health?q=%20\\"'$\\\\x", headers: { x-odd: "a b#c\\"$%d" } }
  instances:
    - { id: a.b-1, url: "http://localhost:${origin.port}" }
    - { id: gone, url: "http://no-such-name.invalid:80" }
    - { id: six, url: "http://[::1]:${unused}" }`,
    haproxy: 'rateLimit: off',
    bind: [`127.0.0.1:${port}`, `[::1]:${port}`],
  });
  for (const address of ['127.0.0.1', '[::1]']) {
    const answer = await fetch(`http://${address}:${port}/a(b)/c;d,e/x`);
    expect(answer.status).toBe(200);
  }
  expect(harness.haproxy.running).toBe(true);
  const probed = await until(() => origin.requests.find(({ url }) => url.startsWith('/health')));
  expect(probed?.headers).toMatchObject({ 'x-odd': 'a b#c"$%d', host: 'a.b_c' });
});

test('every HAProxy of the site is reconciled, and stick-tables are shared', async () => {
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
  const reconciled = await startSink(first);
  const states = async () =>
    Promise.all(
      [first, second].map(
        async (harness) => /^a,a-1,.*?,(UP|DOWN)/m.exec(await harness.execute('show stat a 4 -1'))?.[1],
      ),
    );
  reconciled.change({ 'a/a-1': { state: 'down', health: 'down' } });
  expect(await until(async () => (await states()).join() === 'DOWN,DOWN')).toBe(true);
  reconciled.change({ 'a/a-1': { state: 'up', health: 'up' } });
  expect(await until(async () => (await states()).join() === 'UP,UP')).toBe(true);

  const used = async (harness: typeof first) =>
    (await fetch(`${harness.gateway}/`)).headers.get('x-acgs-instance');
  const instance = await used(first);
  expect(await until(async () => /used:1/.test(await second.execute('show table a')))).toBe(true);
  for (let count = 0; count < 4; count++) expect(await used(second)).toBe(instance);
  const total = () => reconciled.traffic.reduce((sum, delta) => sum + delta.success, 0);
  expect(await until(() => total() === 5)).toBe(true);
});
