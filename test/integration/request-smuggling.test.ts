import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { exchangeUntilQuiet, rawExchange } from '../harness/raw-tcp.ts';
import { type RecordingInstance, startRecordingInstance } from '../harness/recording-instance.ts';
import { SMUGGLING_CASES, type SmugglingCase } from '../harness/smuggling-cases.ts';
import { instance, service } from '../harness/snapshot.ts';
import { edgeKey, type HaproxyHarness, releaseAfterTests, startHaproxyHarness } from './haproxy-harness.ts';

/**
 * Request smuggling over raw sockets at the edge with HAProxy behind it: the instance sees at most one request, never the
 * hidden one, and the next client gets its own answer.
 */

const access = [{ path: '/admin', deny: ['0.0.0.0/0', '::/0'] }];
const key = edgeKey('k1');
const gatewayKey = `${key.kid}:${key.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url')}`;
let harness: HaproxyHarness;
let edge: TestEdge;
let one: RecordingInstance;

beforeAll(async () => {
  one = await startRecordingInstance('one');
  releaseAfterTests(one.stop);
  harness = await startHaproxyHarness({
    services: `a:\n  routes: [/]\n  access: ${JSON.stringify(access)}\n  instances: [ { id: a-1, url: "${one.url}" } ]`,
    haproxy: 'rateLimit: off',
    keys: [key],
  });
  edge = await startEdge({ vars: { GATEWAY_JWT_KEY: gatewayKey } });
});
afterAll(() => edge?.stop());

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
  if (one.refused() > 0) return `${name}: the instance received bytes that are no request`;
  return answer.includes('one /next') ? null : `${name}: the next client got ${JSON.stringify(answer)}`;
}

test('HAProxy behind the edge', async () => {
  const services = { a: service({ path: 'gateway', access, instances: [instance('a-1', one.url)] }) };
  expect((await edge.publish({ gateways: [harness.gateway], services })).status).toBe(200);
  const problems = [];
  for (const form of SMUGGLING_CASES) problems.push(await problemOf(edge.url, form));
  expect(problems.filter((problem) => problem !== null)).toEqual([]);
});
