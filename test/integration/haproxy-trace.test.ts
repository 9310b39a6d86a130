import { expect, test } from 'vitest';
import { parseGatewayRecord } from '../../agent/haproxy/telemetry/gateway-record.ts';
import { startLogListener } from '../../agent/haproxy/telemetry/log-listener.ts';
import { isSampled, parseTraceparent } from '../../shared/trace-context.ts';
import { type Origin, startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
} from './haproxy-harness.ts';

/** Request ids and traces at a real HAProxy without an edge. */

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';

let harness: HaproxyHarness;
let origin: Origin;
const lines: string[] = [];

startBeforeTests(async () => {
  lines.length = 0;
  origin = await startOrigin('gs-1');
  releaseAfterTests(origin.stop);
  harness = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  instances: [{ id: gs-1, url: "${origin.url}" }]
dead:
  routes: [/dead]
  instances: [{ id: dead-1, url: "http://127.0.0.1:1" }]`,
    haproxy: 'rateLimit: off',
  });
  const listener = await startLogListener({
    bind: harness.config.haproxy.agentCheck,
    slowCall: () => 1_000,
    isKnown: () => true,
    onConnectFailure: () => undefined,
    onShortage: () => undefined,
    onLine: (line) => lines.push(line),
  });
  releaseAfterTests(async () => listener.close());
});

const ask = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${harness.gateway}${path}`, { headers });

async function recordOf(requestId: string) {
  const found = await until(() => lines.find((line) => line.includes(`{${requestId}|`)) ?? false);
  return found ? parseGatewayRecord(found, 1_000_000) : null;
}

test("continues a client's trace with a span of its own, and logs both spans", async () => {
  const response = await ask('/x?secret=1', {
    traceparent: `00-${TRACE}-${PARENT}-01`,
    tracestate: 'v=1',
    'x-request-id': 'r-1',
  });
  await response.text();
  const sent = origin.requests.at(-1)?.headers;
  const forwarded = parseTraceparent(String(sent?.traceparent));
  expect(forwarded).toMatchObject({ traceId: TRACE, flags: '01' });
  expect(forwarded?.parentId).not.toBe(PARENT);
  expect(sent).toMatchObject({ tracestate: 'v=1', 'x-request-id': 'r-1' });
  expect(response.headers.get('x-request-id')).toBe('r-1');
  expect(response.headers.get('traceparent')).toBe(sent?.traceparent);
  expect(await recordOf('r-1')).toMatchObject({
    requestId: 'r-1',
    traceId: TRACE,
    spanId: forwarded?.parentId,
    parentId: PARENT,
    sampled: true,
    client: '127.0.0.1',
    service: 'gs',
    instance: 'gs-1',
    fromEdge: false,
    method: 'GET',
    path: '/x',
    status: 200,
    termination: '--',
    retries: 0,
  });
});

test('starts a trace and makes a request id when the client has none, or invalid ones', async () => {
  for (const headers of [
    {},
    { traceparent: `00-${TRACE}-0-01`, tracestate: 'v=1', 'x-request-id': 'a"}|b' },
  ]) {
    const response = await ask('/x', headers as Record<string, string>);
    await response.text();
    const sent = origin.requests.at(-1)?.headers;
    const trace = parseTraceparent(String(sent?.traceparent));
    expect(trace?.traceId).not.toBe(TRACE);
    expect(isSampled(trace?.flags ?? '')).toBe(trace?.flags === '01');
    expect(sent?.tracestate).toBeUndefined();
    expect(sent?.['x-request-id']).toMatch(/^[0-9a-f]{32}$/);
    expect(await recordOf(String(sent?.['x-request-id']))).toMatchObject({
      traceId: trace?.traceId,
      parentId: null,
    });
  }
});

test.each([
  ['/dead/x', 503, 'dead', 'SC'],
  ['/__acgs/x', 404, '', 'PR'],
  ['/%zz', 400, '', 'PR'],
])(
  'the error body for %s names the request id, and so does the log',
  async (path, status, service, flags) => {
    const response = await ask(path, { 'x-request-id': `e-${status}` });
    expect(response.status).toBe(status);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(response.headers.get('x-request-id')).toBe(`e-${status}`);
    expect(await response.json()).toMatchObject({ status, requestId: `e-${status}` });
    expect(await recordOf(`e-${status}`)).toMatchObject({ status, service, termination: flags });
  },
);
