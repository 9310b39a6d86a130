import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { initialRecords } from '../../agent/judge/initial.ts';
import type { InstanceRecord } from '../../agent/judge/instance-record.ts';
import { step } from '../../agent/judge/step.ts';
import type { Origin } from '../harness/origin.ts';
import { until } from '../harness/until.ts';
import {
  type HaproxyHarness,
  type ReconciledHaproxy,
  startBeforeTests,
  startHaproxyHarness,
  startOrigins,
  startSink,
} from './haproxy-harness.ts';

let harness: HaproxyHarness;
let reconciled: ReconciledHaproxy;
let origins: Origin[] = [];
const MAXCONN = 3;
const CLIENTS = 12;
/** Longer than HAProxy's queue timeout, so that most of the clients time out in the queue. */
const SERVICE_MS = 2_000;

startBeforeTests(async () => {
  origins = await startOrigins('gs-1', 'gs-2');
  for (const { name, answer } of origins)
    answer((_, response) => void setTimeout(() => response.end(name), SERVICE_MS));
  harness = await startHaproxyHarness({
    services: `gs:
  routes: [/]
  maxconn: ${MAXCONN}
  breaker: { minimumCalls: 5 }
  instances:
    - { id: gs-1, url: "${origins[0]?.url}" }
    - { id: gs-2, url: "${origins[1]?.url}" }
  failover: { class: 1 }
bulk:
  routes: [/bulk]
  failover: { class: 9 }
  instances: [{ id: bulk-1, url: "${origins[0]?.url}" }]`,
    haproxy: 'rateLimit: off',
    queueTimeout: '1s',
  });
  reconciled = await startSink(harness);
});

test('requests that time out in the queue of full instances are no failures and open no breaker', async () => {
  await until(async () => (await harness.execute('show servers state')).includes('gs-2'));
  reconciled.traffic.length = 0;
  const statuses = await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      // As the edge sends a session's request: only a named instance has a queue of its own.
      const response = await fetch(`${harness.gateway}/x`, {
        headers: harness.edgeHeaders({ target: 'gs-1' }),
      });
      await response.arrayBuffer();
      expect(response.headers.get('x-acgs-full')).toBe(response.status === 503 ? '1' : null);
      return response.status;
    }),
  );
  const answered = statuses.filter((status) => status === 200).length;
  expect(statuses.filter((status) => status === 503)).toHaveLength(CLIENTS - answered);
  expect(answered).toBeLessThan(CLIENTS);
  const sum = (of: 'success' | 'failure') =>
    reconciled.traffic.reduce((total, delta) => total + delta[of], 0);
  expect(await until(() => sum('success') === answered)).toBe(true);
  // Late counters would arrive with the next polls.
  await sleep(1_000);
  expect(sum('failure')).toBe(0);

  const now = Date.now();
  const records = new Map<string, InstanceRecord>(
    initialRecords(harness.config, null, now).map((record) => [`gs/${record.instance.id}`, record]),
  );
  for (const delta of reconciled.traffic) {
    for (const record of step(records, delta, harness.config.services, now).records) {
      records.set(`gs/${record.instance.id}`, record);
    }
  }
  expect(new Set(records.values().map(({ breaker }) => breaker.state))).toEqual(new Set(['closed']));
});

test('a service whose queue is full rejects further requests at once, and serves those that wait', async () => {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  for (const origin of origins)
    origin.answer((_, response) => void released.then(() => response.end('late')));
  const denied = async () => {
    const [backend] = parseCsv(await harness.execute('show stat gs 2 -1'));
    return Number(backend?.dreq);
  };
  const deniedBefore = await denied();
  // Both instances serve 3 each, and 16 wait for each of them.
  const requests = Array.from({ length: 60 }, async () => {
    const response = await fetch(`${harness.gateway}/x`);
    await response.arrayBuffer();
    return response.status;
  });
  try {
    // `dreq` counts since HAProxy's start: earlier requests are in it.
    expect(await until(async () => (await denied()) - deniedBefore >= 15)).toBe(true);
  } finally {
    release();
    await Promise.allSettled(requests);
  }
  const statuses = await Promise.all(requests);
  const rejected = statuses.filter((status) => status === 503).length;
  expect(rejected).toBeGreaterThanOrEqual((await denied()) - deniedBefore);
  expect(statuses.filter((status) => status === 200)).toHaveLength(60 - rejected);
  expect(rejected).toBeLessThan(60);
});

test('a service serves while a more important one with the same instances has no serving instance', async () => {
  for (const origin of origins) origin.answer((_, response) => response.end('bulk'));
  for (const id of ['gs-1', 'gs-2']) await harness.execute(`set server gs/${id} state maint`);
  expect((await fetch(`${harness.gateway}/bulk/x`)).status).toBe(200);
});

function parseCsv(text: string): Record<string, string>[] {
  const [header = '', ...rows] = text.replace(/^# /, '').trim().split('\n');
  const columns = header.split(',');
  return rows.map((row) =>
    Object.fromEntries(row.split(',').map((value, index) => [columns[index] ?? '', value])),
  );
}
