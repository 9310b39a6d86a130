import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseTraceparent } from '../../shared/trace-context.ts';
import { startEdge, type TestEdge } from '../harness/edge.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { instance, service } from '../harness/snapshot.ts';

/** How the edge continues and starts traces. */

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

let trusting: TestEdge;
let closed: TestEdge;
let a: Origin;
let b: Origin;

beforeAll(async () => {
  [trusting, closed, a, b] = await Promise.all([
    startEdge({ vars: { TRACE_SAMPLE: '0' } }),
    startEdge({ vars: { TRACE_SAMPLE: '1', TRUST_TRACEPARENT: '0' } }),
    startOrigin('a'),
    startOrigin('b'),
  ]);
  for (const edge of [trusting, closed]) {
    await edge.publish({
      services: {
        gs: service({
          path: 'direct',
          instances: [instance('a', a.url), instance('b', b.url)],
          rateLimits: [
            { name: 'none', key: 'ip', limit: 1, window: 600_000, scope: 'edge', routes: ['/limited'] },
          ],
        }),
      },
    });
  }
});
afterAll(async () => {
  await Promise.all([trusting.stop(), closed.stop(), a.stop(), b.stop()]);
});

/** The headers of the attempts, in order of arrival at each instance. */
async function attemptsOf(edge: TestEdge, path: string, headers: Record<string, string>) {
  for (const origin of [a, b]) origin.requests.length = 0;
  await (await fetch(`${edge.url}${path}`, { headers })).text();
  return [...a.requests, ...b.requests].map((request) => ({
    ...parseTraceparent(String(request.headers.traceparent)),
    state: request.headers.tracestate,
    requestId: request.headers['x-request-id'],
  }));
}

test("attempts continue the client's trace, each with its own span", async () => {
  for (const origin of [a, b]) origin.answer((_, response) => response.writeHead(503).end());
  const headers = { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'v=1', 'x-request-id': 'r-1' };
  const attempts = await attemptsOf(trusting, '/x', headers);
  for (const origin of [a, b]) origin.answer((_, response) => response.end('ok'));
  expect(attempts.length).toBeGreaterThan(1);
  for (const attempt of attempts) {
    expect(attempt).toMatchObject({ traceId: TRACE, flags: '01', state: 'v=1', requestId: 'r-1' });
  }
  const spans = new Set(attempts.map(({ parentId }) => parentId));
  expect(spans.size).toBe(attempts.length);
  expect(spans).not.toContain(PARENT);
});

test.each([
  ['no traceparent', () => trusting, {}, '00'],
  ['an invalid one', () => trusting, { traceparent: `00-${TRACE}-${PARENT}-1`, tracestate: 'v=1' }, '00'],
  ['TRUST_TRACEPARENT=0', () => closed, { traceparent: `00-${TRACE}-${PARENT}-00`, tracestate: 'v=1' }, '01'],
])('%s starts a new trace, sampled by TRACE_SAMPLE', async (_, edge, headers, flags) => {
  const [attempt] = await attemptsOf(edge(), '/x', headers as Record<string, string>);
  expect(attempt).toMatchObject({ traceId: expect.any(String), flags });
  expect(attempt?.traceId).not.toBe(TRACE);
  expect(attempt?.state).toBeUndefined();
});

test.each([
  ['a rejected request', '/limited', {}, 429],
  ['too many header bytes', '/x', { 'x-a': 'a'.repeat(17_000) }, 431],
])('the body of %s names the request id', async (_, path, headers, status) => {
  const ask = () =>
    fetch(`${trusting.url}${path}`, {
      headers: { 'x-request-id': 'r-2', ...headers } as Record<string, string>,
    });
  await (await ask()).text();
  const response = await ask();
  expect(response.status).toBe(status);
  expect(response.headers.get('x-request-id')).toBe('r-2');
  expect(await response.json()).toMatchObject({ status, requestId: 'r-2' });
});
