import { expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { rawExchange } from '../harness/raw-tcp.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import { instance, service } from '../harness/snapshot.ts';
import {
  edgeKey,
  type HaproxyHarness,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

/** The limit on header fields: our own error page at both ends, one attempt, no failure of the instance. */

const LIMIT = 16_384;
/** Room for the fields that the ends add. */
const ADDED = 1_200;
const key = edgeKey('k1');
let harness: HaproxyHarness;
let wide: HaproxyHarness;
let edge: TestEdge;
let one: RecordingInstance;
let two: RecordingInstance;

startBeforeTests(async () => {
  [one, two] = await Promise.all([startRecordingInstance('one'), startRecordingInstance('two')]);
  const services = `a:\n  routes: [/]\n  instances: [ { id: a-1, url: "${one.url}" }, { id: a-2, url: "${two.url}" } ]`;
  releaseAfterTests(one.stop);
  releaseAfterTests(two.stop);
  harness = await startHaproxyHarness({ services, haproxy: 'rateLimit: off', keys: [key] });
  wide = await startHaproxyHarness({ services, haproxy: 'rateLimit: off, maxHeaderBytes: 65536' });
  const pkcs8 = key.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url');
  edge = await startEdge({ vars: { GATEWAY_JWT_KEY: `${key.kid}:${pkcs8}` } });
  releaseAfterTests(edge.stop);
  const instances = [instance('a-1', one.url), instance('a-2', two.url)];
  await edge.publish({ gateways: [harness.gateway], services: { a: service({ instances }) } });
});

async function withRequestBytes(url: string, bytes: number): Promise<string> {
  for (const each of [one, two]) each.forget();
  const fields = Array.from({ length: Math.floor(bytes / 1000) }, (_, n) => `X-${n}: ${'a'.repeat(990)}\r\n`);
  return rawExchange(url, `GET /p HTTP/1.1\r\nHost: x\r\n${fields.join('')}\r\n`, /\r\n\r\n/);
}

async function withResponseBytes(url: string, bytes: number): Promise<string> {
  for (const each of [one, two]) each.forget();
  for (const each of [one, two]) {
    each.answer((_, response) => {
      response.writeHead(200, { 'x-large': 'a'.repeat(bytes) });
      response.end('ok');
    });
  }
  return rawExchange(url, 'GET /p HTTP/1.1\r\nHost: x\r\n\r\n', /\r\n\r\n/);
}

const attempts = (): number => one.requests.length + two.requests.length;
const urls = () => [harness.gateway, edge.url];

test('request header fields up to the limit reach the instance', async () => {
  for (const url of urls()) {
    expect(await withRequestBytes(url, LIMIT - ADDED - 1_000), url).toMatch(/^HTTP\/1\.1 200/);
  }
});

test('request header fields over the limit get 431 with our own page', async () => {
  for (const url of urls()) {
    const answer = await withRequestBytes(url, LIMIT + 2_000);
    expect(answer, url).toMatch(/^HTTP\/1\.1 431/);
    expect(answer, url).toMatch(/content-type: application\/problem\+json/i);
    expect(attempts(), url).toBe(0);
  }
});

test('a request target over the limit gets 414 with our own page', async () => {
  const answer = await rawExchange(
    harness.gateway,
    `GET /${'a'.repeat(LIMIT)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    /\r\n\r\n/,
  );
  expect(answer).toMatch(/^HTTP\/1\.1 414.*application\/problem\+json/is);
});

/** Node's server reads at most 1,000 fields, those that the ends add included. */
test('900 short fields in a request and 1,400 in a response pass: the limit is on bytes', async () => {
  const names = Array.from({ length: 1_400 }, (_, n) => `x-${n}`);
  const fields = names
    .slice(0, 900)
    .map((name) => `${name}: a\r\n`)
    .join('');
  for (const url of urls()) {
    const answer = await rawExchange(url, `GET /p HTTP/1.1\r\nHost: x\r\n${fields}\r\n`, /\r\n\r\n/);
    expect(answer, url).toMatch(/^HTTP\/1\.1 200/);
  }
  for (const each of [one, two]) {
    each.answer((_, response) => {
      response.writeHead(200, Object.fromEntries(names.map((name) => [name, 'a'])));
      response.end('ok');
    });
  }
  for (const url of urls()) {
    const answer = await rawExchange(url, 'GET /p HTTP/1.1\r\nHost: x\r\n\r\n', /\r\n\r\n/);
    expect(answer.slice(0, 200), url).toMatch(/^HTTP\/1\.1 200/);
    expect(answer, url).toContain('x-1399: a');
  }
});

test('short response fields over the limit get 502 with our own page, and no retry', async () => {
  for (const each of [one, two]) {
    each.answer((_, response) => {
      response.writeHead(200, Object.fromEntries(Array.from({ length: 1_700 }, (_, n) => [`x-${n}`, 'a'])));
      response.end('ok');
    });
  }
  for (const url of urls()) {
    for (const each of [one, two]) each.forget();
    const answer = await rawExchange(url, 'GET /p HTTP/1.1\r\nHost: x\r\n\r\n', /\r\n\r\n/);
    expect(answer, url).toMatch(/^HTTP\/1\.1 502.*content-type: application\/problem\+json/is);
    expect(attempts(), url).toBe(1);
  }
});

test('response header fields up to the limit reach the client', async () => {
  for (const url of urls()) {
    expect(await withResponseBytes(url, LIMIT - ADDED), url).toMatch(/^HTTP\/1\.1 200/);
  }
});

test('response header fields over the limit get 502 with our own page, and no retry', async () => {
  for (const url of urls()) {
    const answer = await withResponseBytes(url, LIMIT + 2_000);
    expect(answer, url).toMatch(/^HTTP\/1\.1 502/);
    expect(answer, url).toMatch(/content-type: application\/problem\+json/i);
    expect(attempts(), url).toBe(1);
  }
  const [names = '', ...rows] = (await harness.execute('show stat a 4 -1')).split('\n');
  const column = names.split(',').indexOf('eresp');
  expect(rows.map((row) => row.split(',')[column])).toEqual(['0', '0']);
});

test('haproxy.maxHeaderBytes raises the limit', async () => {
  expect(await withRequestBytes(wide.gateway, 60_000)).toMatch(/^HTTP\/1\.1 200/);
  expect(await withResponseBytes(wide.gateway, 60_000)).toMatch(/^HTTP\/1\.1 200/);
});
