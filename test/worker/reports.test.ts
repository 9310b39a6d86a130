import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EdgeReport } from '../../shared/edge-report.ts';
import { toBase64Url, type WebCryptoKey } from '../../shared/snapshot/signature.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { type FakeGateway, startFakeGateway } from '../harness/fake-gateway.ts';
import { instance, service } from '../harness/snapshot.ts';

let edge: TestEdge;
let gateway: FakeGateway;
let publicKey: WebCryptoKey;

beforeEach(async () => {
  const curve = { name: 'ECDSA', namedCurve: 'P-256' };
  const pair = await crypto.subtle.generateKey(curve, true, ['sign', 'verify']);
  publicKey = pair.publicKey;
  const pkcs8 = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  [edge, gateway] = await Promise.all([
    startEdge({ vars: { GATEWAY_JWT_KEY: `g1:${pkcs8}` } }),
    startFakeGateway('gateway'),
  ]);
  gateway.serve(['a']);
});
afterEach(async () => {
  await Promise.all([edge.stop(), gateway.stop()]);
});

const reports = () => gateway.requests.filter((one) => one.url === '/__acgs/edge-reports');
const parsed = () => reports().map((one) => JSON.parse(one.body) as EdgeReport);

test('reports go to the gateway with a valid token, at most once in ten seconds', async () => {
  const limit = { name: 'tight', key: 'ip' as const, limit: 3, window: 600_000, scope: 'edge' as const };
  const instances = [instance('a', 'http://127.0.0.1:1')];
  const published = await edge.publish({
    gateways: [gateway.url],
    services: {
      gs: service({ instances, rateLimits: [limit], access: [{ path: '/admin', allow: ['10.0.0.0/8'] }] }),
    },
  });
  expect(published.status).toBe(200);
  let ok = 0;
  /** When each request was answered. */
  const answered: number[] = [];
  const ask = async () => {
    if ((await fetch(`${edge.url}/`, { headers: { 'x-acgs-sim-client': '203.0.113.9' } })).ok) ok++;
    answered.push(Date.now());
  };
  const untilReports = (count: number) =>
    expect
      .poll(async () => ask().then(() => reports().length), { timeout: 100_000, interval: 200 })
      .toBeGreaterThanOrEqual(count);
  const forbidden = await fetch(`${edge.url}/admin`, { headers: { 'x-acgs-sim-client': '203.0.113.9' } });
  expect(forbidden.status).toBe(403);
  await untilReports(2);

  for (const { method, headers } of reports()) {
    expect([method, headers['content-type']]).toEqual(['POST', 'application/json']);
    expect(await claimsOf(String(headers['x-acgs-edge']))).toMatchObject({ iss: 'acgs-edge', aud: 'main' });
  }
  const [first, second] = parsed();
  expect(first).toMatchObject({
    v: 1,
    site: 'main',
    seq: 1,
    snapshot: { epoch: 1, seq: 1, source: expect.any(String) },
  });
  expect(second).toMatchObject({ isolate: first?.isolate, seq: 2, from: first?.to });
  for (const { from, to } of parsed()) expect(to - from).toBeGreaterThanOrEqual(10_000);

  // Nothing is counted twice or lost. Requests after the last report are in the next one.
  const sum = (of: (report: EdgeReport) => number | undefined) =>
    parsed().reduce((total, report) => total + (of(report) ?? 0), 0);
  expect(ok).toBe(3);
  expect(sum((report) => report.requests[0]?.status2xx)).toBe(ok);
  expect(sum((report) => report.tries[0]?.success)).toBe(ok);
  expect(first?.tries[0]).toMatchObject({ service: 'gs', instance: 'a', path: 'gateway', failure: 0 });
  expect(sum((report) => report.limits[0]?.allowed)).toBe(ok);
  const counted = ok + sum((report) => report.limits[0]?.denied);
  expect(counted).toBeLessThanOrEqual(answered.length);
  const last = parsed().at(-1)?.to ?? Number.POSITIVE_INFINITY;
  expect(counted).toBeGreaterThanOrEqual(answered.filter((at) => at < last).length);

  // A rejected request is counted as a 4xx. It used no instance and is in no latency.
  const [limited, total] = [
    (of: EdgeReport) => of.requests[0]?.limited,
    (of: EdgeReport) => of.requests[0]?.total,
  ];
  expect(sum(limited)).toBe(counted - ok);
  expect(sum((report) => report.requests[0]?.forbidden)).toBe(1);
  expect(sum((report) => report.requests[0]?.status4xx)).toBe(counted - ok + 1);
  expect(sum(total)).toBe(counted + 1);
  expect(sum((report) => report.requests[0]?.latency.count)).toBe(ok);
});

/** The token's claims. Throws when its signature is invalid. */
async function claimsOf(token: string): Promise<object> {
  const [head = '', claims = '', signature = ''] = token.split('.');
  const verified = await crypto.subtle.verify(
    { name: 'ECDSA', hash: 'SHA-256' },
    publicKey,
    Buffer.from(signature, 'base64url'),
    new TextEncoder().encode(`${head}.${claims}`),
  );
  if (!verified) throw new Error('the signature is invalid');
  return JSON.parse(Buffer.from(claims, 'base64url').toString()) as object;
}
