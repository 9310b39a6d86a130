import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { exchangeUntilQuiet, rawExchange } from '../harness/raw-tcp.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import { SMUGGLING_CASES, type SmugglingCase } from '../harness/smuggling-cases.ts';
import { instance, service } from '../harness/snapshot.ts';
import {
  edgeKey,
  type HaproxyHarness,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

/**
 * Request smuggling over raw sockets at HAProxy, the edge, and HAProxy behind the edge: the instance sees at most one
 * request, never the hidden one, and the next client gets its own answer.
 */

const access = [{ path: '/admin', deny: ['0.0.0.0/0', '::/0'] }];
const key = edgeKey('k1');
const gatewayKey = `${key.kid}:${key.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url')}`;
let harness: HaproxyHarness;
let edge: TestEdge;
let one: RecordingInstance;

startBeforeTests(async () => {
  one = await startRecordingInstance('one');
  releaseAfterTests(one.stop);
  harness = await startHaproxyHarness({
    services: `a:\n  routes: [/]\n  access: ${JSON.stringify(access)}\n  instances: [ { id: a-1, url: "${one.url}" } ]`,
    haproxy: 'rateLimit: off',
    keys: [key],
  });
  edge = await startEdge({ vars: { GATEWAY_JWT_KEY: gatewayKey } });
  releaseAfterTests(edge.stop);
});

const publish = async (path: 'direct' | 'gateway', gateways: string[]): Promise<void> => {
  const services = { a: service({ path, access, instances: [instance('a-1', one.url)] }) };
  expect((await edge.publish({ gateways, services })).status).toBe(200);
};

/** HAProxy before 3.2 passes trailers on. An instance that refuses them does not treat them as a request. */
const isTrailer = (name: string): boolean => /^chunks "0\\r\\n[A-Z]/.test(name);

/** What went wrong with one form; null when nothing did. */
async function problemOf(url: string, { name, send }: SmugglingCase): Promise<string | null> {
  one.forget();
  await exchangeUntilQuiet(url, send);
  const answer = await rawExchange(
    url,
    'GET /next HTTP/1.1\r\nHost: x.example\r\nConnection: close\r\n\r\n',
    /one \/next/,
  );
  await sleep(10);
  const seen = one.requests.map((request) => request.url);
  const others = seen.filter((target) => target !== '/next');
  if (others.length > 1 || others.some((target) => target !== '/p')) return `${name}: saw ${seen.join(', ')}`;
  if (one.refused() > 0 && !(url === harness.gateway && isTrailer(name)))
    return `${name}: the instance received bytes that are no request`;
  return answer.includes('one /next') ? null : `${name}: the next client got ${JSON.stringify(answer)}`;
}

async function checkAll(url: string): Promise<void> {
  const problems = [];
  for (const form of SMUGGLING_CASES) problems.push(await problemOf(url, form));
  expect(problems.filter((problem) => problem !== null)).toEqual([]);
}

test('HAProxy', () => checkAll(harness.gateway));

test('the edge, directly', async () => {
  await publish('direct', []);
  await checkAll(edge.url);
});

test('HAProxy behind the edge', async () => {
  await publish('gateway', [harness.gateway]);
  await checkAll(edge.url);
});
