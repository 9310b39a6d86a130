import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { rawExchange } from '../harness/raw-tcp.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import { instance, service } from '../harness/snapshot.ts';
import { STRICTNESS_CASES, type StrictnessCase } from '../harness/strictness-cases.ts';
import {
  type HaproxyHarness,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

/** The same bytes at the gateway and at the edge, and what an instance receives of them. */

let harness: HaproxyHarness;
let edge: TestEdge;
let one: RecordingInstance;

startBeforeTests(async () => {
  one = await startRecordingInstance('one');
  releaseAfterTests(one.stop);
  harness = await startHaproxyHarness({
    services: `a:\n  routes: [/]\n  instances: [ { id: a-1, url: "${one.url}" } ]`,
    haproxy: 'rateLimit: off',
  });
  edge = await startEdge();
  releaseAfterTests(edge.stop);
  await publish(one.url);
});

const publish = (url: string) =>
  edge.publish({ services: { a: service({ path: 'direct', instances: [instance('a-1', url)] }) } });

/** The status, then all that the instance received meanwhile. */
async function send(url: string, bytes: string): Promise<{ status: number; answer: string }> {
  one.forget();
  const answer = await rawExchange(url, bytes, /\r\n\r\n/);
  // A second request that was hidden in the first would arrive now.
  await sleep(20);
  return { status: Number(answer.slice(9, 12)), answer };
}

async function check({ name, send: bytes, neverSent = [] }: StrictnessCase, url: string, status: number) {
  const sent = await send(url, bytes);
  expect(sent.status, name).toBe(status);
  const received = one.bytes().toLowerCase();
  expect(received.match(/ http\/1\.[01]\r\n/g) ?? [], name).toHaveLength(status === 200 ? 1 : 0);
  expect(one.requests, name).toHaveLength(status === 200 ? 1 : 0);
  // Lines, so that `te:` is not found in `date:`.
  for (const text of neverSent) {
    const found = received
      .split('\r\n')
      .filter((line) => line.startsWith(text) || (!text.endsWith(':') && line.includes(text)));
    expect(found, `${name}: ${text}`).toEqual([]);
  }
  if (status === 200) expect(one.requests[0]?.headers['x-forwarded-for'], name).toBe('127.0.0.1');
}

test.each(STRICTNESS_CASES)('gateway: $name', (one) => check(one, harness.gateway, one.gateway));
test.each(STRICTNESS_CASES)('edge: $name', (one) => check(one, edge.url, one.edge));

test('docs/security.md shows every row', () => {
  const page = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
  const rows = STRICTNESS_CASES.map(({ name, gateway, edge: atEdge, neverSent }) => {
    const effect = (status: number) =>
      status !== 200 ? String(status) : neverSent ? 'removed' : 'rewritten';
    return `| ${name} | ${effect(gateway)} | ${effect(atEdge)} |`;
  });
  expect(rows.filter((row) => !page.includes(row))).toEqual([]);
});

test('a chunked body reaches the instance with CRLF and without extensions', async () => {
  const chunked = (body: string) =>
    `POST /p HTTP/1.1\r\nHost: x.example\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  for (const body of ['5\nhello\n0\n\n', '5;a=b\r\nhello\r\n0\r\n\r\n']) {
    await send(harness.gateway, chunked(body));
    expect(one.bytes().split('\r\n\r\n').slice(1).join('\r\n\r\n')).toBe('5\r\nhello\r\n0\r\n\r\n');
  }
});

test('hop-by-hop fields of a response do not reach the client', async () => {
  one.answer((_, response) => {
    response.writeHead(200, {
      connection: 'X-Hop, content-type',
      'content-type': 'text/x-kept',
      'x-hop': '1',
      'keep-alive': 'timeout=5',
      'proxy-authenticate': 'x',
      'proxy-connection': 'x',
      trailer: 'x',
      upgrade: 'h2c',
    });
    response.end('ok');
  });
  for (const url of [harness.gateway, edge.url]) {
    const { answer } = await send(url, 'GET /p HTTP/1.1\r\nHost: x.example\r\n\r\n');
    const names = answer.split('\r\n').map((line) => line.split(':')[0]?.toLowerCase() ?? '');
    const hops = [
      'connection',
      'x-hop',
      'keep-alive',
      'proxy-authenticate',
      'proxy-connection',
      'trailer',
      'upgrade',
    ];
    expect(
      names.filter((name) => hops.includes(name)),
      url,
    ).toEqual([]);
    expect(answer).toMatch(/content-type: text\/x-kept/i);
  }
});

test('an instance cannot switch protocols when the client did not ask for a WebSocket', async () => {
  one.answer((request) => {
    request.socket.write(
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nraw',
    );
  });
  for (const url of [harness.gateway, edge.url]) {
    const { answer } = await send(
      url,
      'GET /p HTTP/1.1\r\nHost: x.example\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    );
    expect(answer, url).toMatch(/^HTTP\/1\.1 502/);
    expect(answer).not.toContain('raw');
  }
});

test('a WebSocket handshake passes both ends', async () => {
  const handshake =
    'GET /p HTTP/1.1\r\nHost: x.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';
  one.answer((_, response) => response.end('no upgrade here'));
  for (const url of [harness.gateway, edge.url]) {
    await send(url, handshake);
    expect(one.requests[0]?.headers, url).toMatchObject({ connection: 'Upgrade', upgrade: 'websocket' });
  }
});

test('the edge refuses logins that are bound to a connection, which its clients share', async () => {
  one.answer((_, response) => response.end('ok'));
  const login = (credentials: string) =>
    `GET /p HTTP/1.1\r\nHost: x.example\r\nAuthorization: ${credentials}\r\n\r\n`;
  for (const scheme of ['NTLM TlRMTVNTUAAB', 'negotiate YII=', 'NTLM']) {
    expect((await send(harness.gateway, login(scheme))).status, scheme).toBe(200);
    expect((await send(edge.url, login(scheme))).status, scheme).toBe(501);
    expect(one.requests, scheme).toHaveLength(0);
  }
  for (const scheme of ['Basic dTpw', 'Digest username="ntlm", realm="r"', 'NTLMish x']) {
    expect((await send(edge.url, login(scheme))).status, scheme).toBe(200);
  }
});

test('UTF-8 in a field value passes both ends', async () => {
  for (const url of [harness.gateway, edge.url]) {
    await send(url, 'GET /p HTTP/1.1\r\nHost: x.example\r\nX-Name: \xc3\x89\xe2\x80\x93\tz\r\n\r\n');
    expect(one.bytes(), url).toContain('\xc3\x89\xe2\x80\x93\tz\r\n');
  }
});

test('gateway: what came before on a connection does not make a request ordinary', async () => {
  const ordinary = 'GET /first HTTP/1.1\r\nHost: a.example\r\n\r\n';
  const hostile = 'GET /%00 HTTP/1.1\r\nHost: a.example\r\nProxy: x\r\n\r\n';
  one.forget();
  const answer = await rawExchange(harness.gateway, ordinary + hostile, /HTTP.*\r\n\r\n.*HTTP.*\r\n\r\n/s);
  expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '400']);
  expect(one.requests).toHaveLength(1);
});
