import { expect, test } from 'vitest';
import { requestsIn } from '../../agent/core/requests.ts';
import { startOrigin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  type ReconciledHaproxy,
  releaseAfterTests,
  startBeforeTests,
  startHaproxyHarness,
  startSink,
} from './haproxy-harness.ts';

/** Which requests a real HAProxy counts: those that the edge does not. */

let harness: HaproxyHarness;
let sink: ReconciledHaproxy;

startBeforeTests(async () => {
  const origin = await startOrigin('gs-1');
  releaseAfterTests(origin.stop);
  harness = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  instances: [{ id: gs-1, url: "${origin.url}" }]
dead:
  routes: [/dead]
  instances: [{ id: dead-1, url: "http://127.0.0.1:1" }]
empty:
  routes: [/empty]
hosted:
  routes: [/]
  hosts: [h.example]
  instances: [{ id: h-1, url: "${origin.url}" }]`,
    haproxy: 'rateLimit: 30/600s',
  });
  sink = await startSink(harness);
});

const edgeHeaders = (service: string | null = null) => harness.edgeHeaders({ service });

async function send(path: string, times: number, headers: Record<string, string> = {}): Promise<number> {
  let status = 0;
  for (let call = 0; call < times; call++) {
    const response = await fetch(`${harness.gateway}${path}`, { headers });
    await response.text();
    status = response.status;
  }
  return status;
}

function counted(service: string) {
  const own = sink.requests.filter((one) => one.service === service);
  const sum = (of: (delta: (typeof own)[number]) => number) => own.reduce((total, one) => total + of(one), 0);
  return {
    requests: sum(requestsIn),
    failed: sum(({ statuses }) => statuses['5xx']),
    limited: sum(({ limited }) => limited),
    timed: sum(({ latency }) => latency.count),
  };
}

test('requests without the edge count for their service; those of the edge do not, unless it has no snapshot and names no service', async () => {
  expect(await send('/x', 5)).toBe(200);
  expect(await send('/x', 4, edgeHeaders('gs'))).toBe(200);
  expect(await send('/x', 3, edgeHeaders())).toBe(200);
  // Anyone can name a service; only a token makes it count.
  expect(await send('/x', 2, { 'x-acgs-service': 'gs' })).toBe(200);
  expect(await send('/dead/x', 6)).toBe(503);
  expect(await send('/empty/x', 3)).toBe(503);
  expect(await send('/dead/x', 2, edgeHeaders('dead'))).toBe(503);
  expect(await send('/__acgs/x', 2)).toBe(404);
  expect(await until(() => counted('empty').requests === 3)).toBe(true);
  expect(counted('gs')).toEqual({ requests: 10, failed: 0, limited: 0, timed: 10 });
  expect(counted('dead')).toMatchObject({ requests: 6, failed: 6 });
  expect(counted('empty')).toMatchObject({ requests: 3, failed: 3 });
  expect(await send('/dead/x', 20)).toBe(429);
  expect(await until(() => counted('dead').requests === 26)).toBe(true);
  expect(counted('dead').limited).toBeGreaterThan(0);
  expect(counted('dead').limited).toBe(26 - counted('dead').timed);
});
