import { expect, test } from 'vitest';
import { gatewayLine, sampleAttempt, sampleTrace } from '../../test/harness/traces.ts';
import { splitLogLine } from '../haproxy/telemetry/log-line.ts';
import { describeRequests } from './describe-request.ts';
import { describeTermination } from './termination.ts';
import { createTraceStore } from './trace-store.ts';

function storeOf(lines: readonly string[]) {
  const store = createTraceStore();
  for (const line of lines) {
    const fields = splitLogLine(line);
    if (!fields) throw new Error(`not a log line: ${line}`);
    store.addLine(line, fields, 1_000_040);
  }
  return store;
}

const textsOf = (store: ReturnType<typeof createTraceStore>, id: string) =>
  describeRequests(store.find(id), 'main').map(({ steps, unknown, status }) => ({
    steps: steps.map(({ offsetMs, by, text }) => `${offsetMs} ${by}: ${text}`),
    unknown,
    status,
  }));

test('a retried request: decision, each attempt with the view of HAProxy, and the end, in order of time', () => {
  const store = storeOf([
    gatewayLine({ timers: '0/1/2/-1/20', status: 502, end: 'SH--' }),
    gatewayLine({ parentId: 'c'.repeat(16), target: 'gs/gs-2', retries: '+1', timers: '0/0/1/5/6' }),
  ]);
  store.addTraces([
    sampleTrace({
      ms: 40,
      pick: 'pinned',
      attempts: [
        sampleAttempt({ named: 'gs-1', status: 502 }),
        sampleAttempt({ spanId: 'c'.repeat(16), at: 1_000_030, ms: 8, named: 'gs-2', instance: 'gs-2' }),
      ],
    }),
  ]);
  const expected = [
    {
      status: 200,
      steps: [
        '0 edge: GET https://www.example/api/x from 203.0.113.9, for service gs',
        '0 edge: the session is pinned to gs-1',
        '1 edge: attempt 1: through the gateway http://10.0.0.1:8090 to gs-1',
        '21 gateway: HAProxy answered 502 for gs-1; queue 1 ms, connect 2 ms, total 20 ms; the instance closed the connection before its response headers were complete (SH)',
        '21 edge: attempt 1: HAProxy, for gs-1, answered 502 after 20 ms',
        '30 edge: attempt 2 (a retry): through the gateway http://10.0.0.1:8090 to gs-2',
        '38 gateway: gs-2 answered 200; queue 0 ms, connect 1 ms, response headers 5 ms, total 6 ms, 1 retry, the last on another instance',
        '38 edge: attempt 2: gs-2 answered 200 after 8 ms',
        '40 edge: the client got 200 after 40 ms',
      ],
      unknown: [],
    },
  ];
  expect(textsOf(store, 'r-1')).toEqual(expected);
  expect(textsOf(store, sampleTrace().traceId)).toEqual(expected);
  expect(textsOf(store, 'r-2')).toEqual([]);
});

test.each([
  [
    sampleTrace({ kind: 'limited', status: 429, limitedBy: ['per-ip'], attempts: [], pick: null }),
    'rejected by the rate limit per-ip',
  ],
  [
    sampleTrace({ kind: 'unrouted', status: 404, service: '', attempts: [], pick: null }),
    'no service is configured for this path',
  ],
  [sampleTrace({ kind: 'forbidden', status: 403, attempts: [], pick: null }), 'rejected by an access rule'],
  [
    sampleTrace({ kind: 'shed', status: 503, attempts: [], pick: null }),
    'rejected to shed load: the service is overloaded',
  ],
  [
    sampleTrace({ kind: 'unavailable', status: 503, attempts: [], pick: null }),
    'no instance can take the request',
  ],
  [
    sampleTrace({ pick: 'panic' }),
    'fewer than half of the instances look healthy, so health is ignored (panic mode)',
  ],
])('the decision of the edge: %#', (trace, text) => {
  const store = createTraceStore();
  store.addTraces([trace]);
  expect(textsOf(store, 'r-1')[0]?.steps[1]).toBe(`0 edge: ${text}`);
});

test.each([
  [sampleAttempt({ result: 'timeout', status: null }), 'no response headers within 20 ms'],
  [
    sampleAttempt({ result: 'cancelled', status: null }),
    'cancelled after 20 ms, because another attempt answered first',
  ],
  [
    sampleAttempt({ result: 'broken', status: null, error: 'reset' }),
    'the connection broke after 20 ms: reset',
  ],
  [
    sampleAttempt({ status: 503, unsent: true }),
    'HAProxy answered 503 after 20 ms: no instance received the request',
  ],
])('how an attempt ended: %#', (attempt, text) => {
  const store = createTraceStore();
  store.addTraces([sampleTrace({ attempts: [attempt] })]);
  expect(textsOf(store, 'r-1')[0]?.steps.map((step) => step.replace(/^\d+ /, ''))).toContain(
    `edge: attempt 1: ${text}`,
  );
});

test('HAProxy may continue an attempt that the edge has cancelled', () => {
  const store = storeOf([gatewayLine({ timers: '0/0/1/400/401' })]);
  store.addTraces([sampleTrace({ attempts: [sampleAttempt({ result: 'cancelled', status: null })] })]);
  expect(textsOf(store, 'r-1')[0]?.steps.at(-1)).toBe(
    '402 gateway: gs-1 answered 200; queue 0 ms, connect 1 ms, response headers 400 ms, total 401 ms',
  );
});

test('lists what is unknown: no report of the edge, another site, a lost log line', () => {
  expect(textsOf(storeOf([gatewayLine()]), 'r-1')[0]?.unknown).toEqual([
    expect.stringContaining('TRACE_SAMPLE'),
  ]);
  expect(textsOf(storeOf([gatewayLine({ counted: '-' })]), 'r-1')[0]?.unknown).toEqual([]);
  const store = createTraceStore();
  store.addTraces([sampleTrace({ attempts: [sampleAttempt(), sampleAttempt({ site: 'far' })] })]);
  expect(textsOf(store, 'r-1')[0]?.unknown).toEqual([
    expect.stringContaining('got no log line'),
    expect.stringContaining('ask the agent of site far'),
  ]);
});

test('failed and slow requests outlive thousands of good ones', () => {
  const store = storeOf([
    gatewayLine({ requestId: 'failed', status: 503 }),
    gatewayLine({ requestId: 'slow', timers: '0/0/0/1500/1500' }),
    gatewayLine({ requestId: 'sampled', flags: '01' }),
    gatewayLine({ requestId: 'good' }),
    ...Array.from({ length: 5_000 }, (_, index) => gatewayLine({ requestId: `n-${index}` })),
  ]);
  for (const id of ['failed', 'slow', 'sampled']) expect(store.find(id).gateway).toHaveLength(1);
  expect(store.find('good').gateway).toEqual([]);
});

test('an unusual termination state names who ended the request, and when', () => {
  expect(describeTermination('--')).toBeNull();
  expect(describeTermination('DH')).toBe(
    'HAProxy ended the connection because the instance was marked down before the response headers',
  );
  expect(describeTermination('X-')).toBe('HAProxy reports the state X-');
});
