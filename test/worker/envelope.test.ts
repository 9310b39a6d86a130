import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { parseEnvelope } from '../../shared/envelope.ts';
import type { Snapshot } from '../../shared/snapshot/snapshot.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { headerValues, type RawOrigin, rawExchange, startRawOrigin } from '../harness/raw-tcp.ts';
import { instance, service } from '../harness/snapshot.ts';
import { useServers } from '../harness/use-servers.ts';

/** What the edge sends to a gateway and to an instance, and what it makes of their answers, byte by byte. */

let edge: TestEdge;
let origin: RawOrigin;

useServers(async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url');
  [edge, origin] = await Promise.all([
    startEdge({ vars: { GATEWAY_JWT_KEY: `g1:${key}` } }),
    startRawOrigin(),
  ]);
}, stop);

async function stop(): Promise<void> {
  await Promise.all([edge.stop(), origin.stop()]);
}

const perIp = { name: 'per-ip', key: 'ip', limit: 100, window: 60_000, scope: 'edge' } as const;

async function publish(path: 'gateway' | 'direct', headers?: Snapshot['headers']): Promise<void> {
  const instances = [instance('raw-1', path === 'direct' ? origin.url : 'http://127.0.0.1:1')];
  const services = { gs: service({ path, instances, rateLimits: [perIp] }) };
  const gateways = path === 'gateway' ? [origin.url] : [];
  expect((await edge.publish({ gateways, services, ...(headers && { headers }) })).status).toBe(200);
}

/** The head that the upstream receives, and the response, for one request. */
async function exchange(fields: string, response: string): Promise<{ sent: string; answer: string }> {
  origin.onRequest((socket) => socket.write(response));
  const request = `GET /x HTTP/1.1\r\nHost: www.example:8080\r\n${fields}\r\n`;
  const answer = await rawExchange(edge.url, request, /ok$/);
  return { sent: origin.heads.at(-1) ?? '', answer };
}

/** Without the field that the runtime adds. */
const namesIn = (head: string): string[] =>
  [...head.matchAll(/^([A-Za-z-]+): /gm)]
    .map(([, name = '']) => name.toLowerCase())
    .filter((name) => name !== 'cf-worker')
    .sort();

const FROM_GATEWAY =
  'HTTP/1.1 200 Fine\r\nX-Acgs-Instance: raw-1\r\nX-Request-Id: from-gateway\r\nRateLimit: "per-ip";r=9;t=1\r\nContent-Length: 2\r\n\r\nok';

test('through a gateway: one field is added to the request, and the answer is returned as it came', async () => {
  await publish('gateway');
  const { sent, answer } = await exchange(
    'X-Acgs-Edge: forged\r\nX-Acgs-Target: forged\r\nX-Own: 1\r\nX-Request-Id: client-1\r\nX-Forwarded-For: 203.0.113.1\r\n',
    FROM_GATEWAY,
  );
  expect(namesIn(sent)).toEqual(['host', 'x-acgs-edge', 'x-forwarded-for', 'x-own', 'x-request-id']);
  expect(parseEnvelope(headerValues(sent, 'x-acgs-edge')[0] ?? '')?.fields).toEqual({
    client: '127.0.0.1',
    proto: 'http',
    host: 'www.example:8080',
    requestId: 'client-1',
    service: 'gs',
    target: null,
    traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/),
    rateLimit: '"per-ip";r=99;t=60',
    rateLimitPolicy: '"per-ip";q=100;w=60',
  });
  expect(answer).toMatch(/^HTTP\/1\.1 200 Fine\r\n/);
  expect(namesIn(answer)).toEqual(['content-length', 'ratelimit', 'x-acgs-instance', 'x-request-id']);
  expect(headerValues(answer, 'x-request-id')).toEqual(['from-gateway']);
});

test('the configuration can add Server-Timing and leave out the RateLimit fields', async () => {
  await publish('gateway', { rateLimit: false, serverTiming: true });
  const { sent, answer } = await exchange('', FROM_GATEWAY);
  expect(parseEnvelope(headerValues(sent, 'x-acgs-edge')[0] ?? '')?.fields).toMatchObject({
    rateLimit: null,
    rateLimitPolicy: null,
  });
  expect(namesIn(answer)).toContain('server-timing');
});

const FROM_INSTANCE = 'HTTP/1.1 200 OK\r\nX-Acgs-Forged: 1\r\nContent-Length: 2\r\n\r\nok';

test('directly: the edge itself adds the fields of a proxy, as configured', async () => {
  await publish('direct');
  const byDefault = await exchange('Forwarded: for=203.0.113.1\r\n', FROM_INSTANCE);
  expect(namesIn(byDefault.sent)).toEqual([
    'host',
    'traceparent',
    'via',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
    'x-request-id',
  ]);
  expect(namesIn(byDefault.answer)).toEqual([
    'content-length',
    'ratelimit',
    'ratelimit-policy',
    'referrer-policy',
    'x-acgs-instance',
    'x-content-type-options',
    'x-frame-options',
    'x-request-id',
  ]);
  await publish('direct', { security: false, rateLimit: false, via: false });
  const least = await exchange('', FROM_INSTANCE);
  expect(namesIn(least.sent)).not.toContain('via');
  expect(namesIn(least.answer)).toEqual(['content-length', 'x-acgs-instance', 'x-request-id']);
});

test('a host that the envelope cannot hold is refused, and counts against no gateway', async () => {
  await publish('gateway');
  origin.onRequest((socket) => socket.write(FROM_GATEWAY));
  const long = `GET /x HTTP/1.1\r\nHost: ${'h'.repeat(300)}\r\n\r\n`;
  expect(await rawExchange(edge.url, long, /\r\n\r\n/)).toMatch(/^HTTP\/1\.1 400 /);
  expect((await exchange('', FROM_GATEWAY)).answer).toMatch(/^HTTP\/1\.1 200 /);
});
