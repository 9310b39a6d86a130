import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { initialRecords } from '../../agent/judge/initial.ts';
import { createHttpProbe } from '../../agent/probes/http1/probe.ts';
import { createProber } from '../../agent/probes/scheduler.ts';
import type { Probe, ProbeTarget } from '../../agent/probes/target.ts';
import { probeTargetsOf } from '../../agent/probes/targets.ts';
import { createTcpProbe } from '../../agent/probes/tcp.ts';
import type { HealthCheck } from '../../shared/config/config.ts';
import { parseConfig } from '../../shared/config/load.ts';

const check: HealthCheck = {
  type: 'http',
  method: 'GET',
  path: '/health',
  headers: {},
  // Probe and instance share this process, which may stall for a moment.
  interval: 3_600_000,
  fastInterval: 3_600_000,
  timeout: 60_000,
  rise: 2,
  fall: 3,
  expect: { status: [[200, 200]] },
};
const target = (url: string, change: Partial<HealthCheck> = {}): ProbeTarget => ({
  key: 'gs/gs-1',
  service: 'gs',
  instance: 'gs-1',
  url,
  check: { ...check, ...change },
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(server: Server | TlsServer, port = 0): Promise<string> {
  // Idle connections are closed only by the test.
  server.keepAliveTimeout = 3_600_000;
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function probeOf(probeTarget: ProbeTarget, onClosed = () => {}): Probe {
  const probe = createHttpProbe(probeTarget, onClosed);
  cleanups.push(() => probe.close());
  return probe;
}

test('status, body text, and JSON are checked, and the error names the difference', async () => {
  const url = await serve(
    createServer((request, response) => {
      response.statusCode = request.url === '/broken' ? 503 : 200;
      response.end(JSON.stringify({ status: 'ok', checks: [{ db: false }] }));
    }),
  );
  const run = (change: Partial<HealthCheck>) => probeOf(target(url, change)).run();
  expect(await run({})).toMatchObject({ ok: true, timing: { connectMs: expect.any(Number) } });
  expect((await run({ path: '/broken' })).error).toBe('status 503, expected 200');
  expect((await run({ expect: { status: [[200, 299]], body: 'fine' } })).error).toBe(
    'body does not contain "fine"',
  );
  const json = { path: 'checks[0].db', equals: true };
  expect((await run({ expect: { status: [[200, 200]], json } })).error).toBe(
    'checks[0].db is false, expected true',
  );
  const right = { path: '$.status', equals: 'ok' };
  expect((await run({ expect: { status: [[200, 200]], json: right } })).ok).toBe(true);
});

test('a redirect is not followed, a huge body is cut off, and a refused connection names the address', async () => {
  let endless: NodeJS.Timeout | undefined;
  const url = await serve(
    createServer((request, response) => {
      if (request.url === '/moved') {
        response.writeHead(302, { location: '/health' }).end();
        return;
      }
      endless = setInterval(() => response.write('x'.repeat(50_000)), 1);
    }),
  );
  cleanups.push(() => clearInterval(endless));
  expect((await probeOf(target(url, { path: '/moved' })).run()).error).toBe('status 302, expected 200');
  expect((await probeOf(target(url, { path: '/endless' })).run()).ok).toBe(true);
  expect((await probeOf(target('http://127.0.0.1:1')).run()).error).toBe('connect refused 127.0.0.1:1');
});

test('a probe that times out neither delays nor fails the next one', async () => {
  let asked = 0;
  let reached = () => {};
  const hangs = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const url = await serve(
    createServer((_, response) => {
      asked += 1;
      if (asked === 1) reached();
      else response.end('ok');
    }),
  );
  // The timeouts use this clock, so the first probe times out while the next one takes as long as it needs.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  cleanups.push(() => vi.useRealTimers());
  const probe = probeOf(target(url, { timeout: 3_000 }));
  const first = probe.run();
  await hangs;
  expect((await probe.run()).ok).toBe(true);
  await vi.advanceTimersByTimeAsync(2_999);
  expect(await Promise.race([first, new Promise((resolve) => setImmediate(resolve, 'waits'))])).toBe('waits');
  await vi.advanceTimersByTimeAsync(1);
  expect((await first).error).toMatch(/no response from 127\.0\.0\.1:\d+ within 3000 ms/);
  expect((await probe.run()).ok).toBe(true);
});

test('one connection is kept, its close is a hint, and the close of an old connection is not a failure', async () => {
  let connections = 0;
  const server = createServer((_, response) => response.end('ok'));
  server.on('connection', () => connections++);
  const url = await serve(server);
  let hint = () => {};
  const hinted = new Promise<void>((resolve) => {
    hint = resolve;
  });
  const probe = probeOf(target(url), () => hint());
  await probe.run();
  await probe.run();
  expect(connections).toBe(1);
  server.closeAllConnections();
  await hinted;
  expect((await probe.run()).ok).toBe(true);
  expect(connections).toBe(2);
});

test('an old connection is replaced without a hint', async () => {
  let connections = 0;
  const server = createServer((_, response) => response.end('ok'));
  server.on('connection', () => connections++);
  const url = await serve(server);
  let [now, hints] = [0, 0];
  const probe = createHttpProbe(
    target(url),
    () => hints++,
    () => now,
  );
  cleanups.push(() => probe.close());
  for (const instant of [0, 59_000, 61_000, 62_000]) {
    now = instant;
    expect((await probe.run()).ok).toBe(true);
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect([connections, hints]).toEqual([2, 0]);
});

test('a character that is split between two chunks is decoded correctly', async () => {
  const bytes = Buffer.from('{"état":"bien"}');
  const url = await serve(
    createServer((_, response) => {
      response.write(bytes.subarray(0, 3));
      setTimeout(() => response.end(bytes.subarray(3)), 30);
    }),
  );
  const expected: HealthCheck['expect'] = { status: [[200, 200]], body: 'état' };
  expect(await probeOf(target(url, { expect: expected })).run()).toMatchObject({ ok: true });
});

test('probes use the host name of the service', async () => {
  const config = parseConfig(`
version: 1
site: { id: main }
services:
  own: { routes: [/], hosts: [Shop.example], instances: [ { id: o-1, url: "http://127.0.0.1:1" } ] }
  given: { routes: [/g], hosts: [a.example], health: { headers: { Host: b.example } }, instances: [ { id: g-1, url: "http://127.0.0.1:1" } ] }
`);
  const instances = initialRecords(config, null, 0).map(({ instance }) => instance);
  expect(probeTargetsOf(instances, config).map(({ check: { headers } }) => headers)).toEqual([
    { host: 'shop.example' },
    { host: 'b.example' },
  ]);
  const hosts: (string | undefined)[] = [];
  const url = await serve(
    createServer((request, response) => {
      hosts.push(request.headers.host);
      response.end();
    }),
  );
  await probeOf(target(url, { headers: { host: 'shop.example' } })).run();
  expect(hosts).toEqual(['shop.example']);
});

test('a close that the server announced is not a hint', async () => {
  const url = await serve(createServer((_, response) => response.setHeader('connection', 'close').end('ok')));
  let hints = 0;
  const probe = probeOf(target(url), () => hints++);
  for (let round = 0; round < 3; round++) expect((await probe.run()).ok).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(hints).toBe(0);
});

test('HTTP that ends with the connection passes; a response that is cut off, or is not HTTP, fails with the cause', async () => {
  const answers = [
    'HTTP/1.0 200 OK\r\n\r\nok',
    'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok',
    'SSH-2.0-OpenSSH_9.2\r\n',
    '',
  ];
  const requests: string[] = [];
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (request) => {
      requests.push(request.toString());
      socket.end(answers.shift() ?? '');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const probe = probeOf(target(`http://${host}`, { method: 'POST', headers: { accept: 'text/plain' } }));
  expect((await probe.run()).ok).toBe(true);
  expect((await probe.run()).error).toBe(`connection closed before the end of the response ${host}`);
  expect((await probe.run()).error).toBe(`response of ${host} is not HTTP (no status line)`);
  expect((await probe.run()).error).toBe(`connection closed before the response ${host}`);
  expect(requests[0]).toBe(
    `POST /health HTTP/1.1\r\nhost: ${host}\r\nuser-agent: acgs-lb-agent\r\n` +
      'accept: text/plain\r\ncontent-length: 0\r\n\r\n',
  );
});

test('HTTPS: the authority is verified, the client certificate is sent, and the timing has its phases', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-probe-'));
  cleanups.push(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  execFileSync(
    'openssl',
    // biome-ignore format: one option a word is easier to read in a row
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=gs.test',
      '-addext', 'subjectAltName=DNS:gs.test', '-keyout', key, '-out', cert],
    { stdio: 'ignore' },
  );
  const pems = { key: readFileSync(key), cert: readFileSync(cert) };
  const server = createTlsServer(
    { ...pems, ca: pems.cert, requestCert: true, rejectUnauthorized: true },
    (_, response) => response.end('ok'),
  );
  const url = (await serve(server)).replace('http:', 'https:');
  const tls = { ca: cert, cert, key, serverName: 'gs.test' };
  const good = await probeOf(target(url, { tls })).run();
  expect(good).toMatchObject({
    ok: true,
    timing: { tlsMs: expect.any(Number), firstByteMs: expect.any(Number) },
  });
  let hint = () => {};
  const hinted = new Promise<void>((resolve) => {
    hint = resolve;
  });
  await probeOf(target(url, { tls }), () => hint()).run();
  server.closeAllConnections();
  await hinted;
  expect((await probeOf(target(url, { tls: { ...tls, serverName: 'other.test' } })).run()).error).toContain(
    'another name',
  );
  expect((await probeOf(target(url)).run()).error).toContain('self-signed');
  expect((await probeOf(target(url, { tls: { ca: cert, serverName: 'gs.test' } })).run()).ok).toBe(false);

  // Certificates are read again for every connection; while they cannot be read, the last ones are used.
  let now = 0;
  const renewing = createHttpProbe(
    target(url, { tls }),
    () => {},
    () => now,
  );
  cleanups.push(() => renewing.close());
  for (const broken of [false, true, false]) {
    if (broken) writeFileSync(key, 'half a key');
    else writeFileSync(key, pems.key);
    now += 61_000;
    expect((await renewing.run()).ok).toBe(!broken);
  }
  rmSync(key);
  now += 61_000;
  expect((await renewing.run()).ok).toBe(true);
});

test('TCP: an accepted connection passes, a refused one fails', async () => {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const port = (server.address() as AddressInfo).port;
  expect((await createTcpProbe(target(`http://127.0.0.1:${port}`)).run()).ok).toBe(true);
  expect((await createTcpProbe(target('http://127.0.0.1:1')).run()).error).toBe(
    'connect refused 127.0.0.1:1',
  );
});

test('after a stall of the process, pending data is read before a probe times out', async () => {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => server.close());
  const port = (server.address() as AddressInfo).port;
  const run = createTcpProbe(target(`http://127.0.0.1:${port}`, { timeout: 50 })).run();
  await new Promise<void>((resolve) => process.nextTick(resolve));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  expect(await run).toMatchObject({ ok: true });
});

test('the prober probes at once when the instance closes the connection', async () => {
  const server = createServer((_, response) => response.end('ok'));
  const url = await serve(server);
  const results: boolean[] = [];
  let wake = () => {};
  const prober = createProber({
    onResult: (result) => {
      results.push(result.ok);
      wake();
    },
  });
  cleanups.push(() => prober.close());
  const next = () => new Promise<void>((resolve) => (wake = resolve));
  const first = next();
  prober.sync([target(url)]);
  await first;
  const second = next();
  server.closeAllConnections();
  server.close();
  await second;
  expect(results).toEqual([true, false]);
});
