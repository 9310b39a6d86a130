import { Redis } from 'ioredis';
import pino from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Sink } from '../../agent/core/sink.ts';
import type { Instance } from '../../agent/core/state.ts';
import type { LiveState } from '../../agent/live/live-state.ts';
import { createRedisLiveState } from '../../agent/live/redis.ts';
import { createLiveSink } from '../../agent/live/sink.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { eventually } from '../harness/eventually.ts';
import { sampleInstance } from '../harness/instance.ts';

const log = pino({ level: 'silent' });
const config = parseConfig(`
version: 1
site: { id: main }
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
`);
const instance = (id: string): Instance => sampleInstance({ id, url: 'http://127.0.0.1:1', latencyMs: 1 });
const metrics = [
  {
    serviceType: 'gs',
    instanceId: 'gs-1',
    timestamp: 1,
    responseTime: 0.1,
    successCount: 1,
    failureCount: 0,

    currentConnections: 0,
    totalRequests: 1,
    cpuUsage: 1,
    memoryUsage: 1,
  },
];
const both = new Map(['gs-1', 'gs-2'].map((id) => [`gs/${id}`, instance(id)]));
const one = new Map([['gs/gs-1', instance('gs-1')]]);
const ALL = [
  ...[
    'lb:breaker:main:gs:gs-1',
    'lb:breaker:main:gs:gs-2',
    'lb:health:main:gs:gs-1',
    'lb:health:main:gs:gs-2',
  ],
  ...['lb:instances:main:gs', 'lb:metrics:main:gs:gs-1'],
];

let server: LocalRedis;
let redis: Redis;
let live: LiveState;
let sink: Sink;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
  redis.on('error', () => {});
  live = createRedisLiveState({ url: server.url, site: 'main', log, timeoutMs: 60_000 });
  sink = createLiveSink({ live, config: () => config, log });
});
afterAll(async () => {
  await sink.close(1_000);
  await live.close();
  redis.disconnect();
  await server.stop();
});
const keys = async () => (await redis.keys('*')).sort();

test('writes the whole live state, each key with its TTL', async () => {
  // The first update arrives before the connection is open.
  sink.accept({ at: 1_000, instances: both, changes: [], metrics });
  await eventually(async () => expect(await keys()).toEqual(ALL));
  const ttl = async (key: string) => Math.ceil((await redis.pttl(key)) / 10_000) * 10;
  // A slow machine may read too late: write again.
  await eventually(async () => {
    sink.accept({ at: 1_000, instances: both, changes: [] });
    const found = await Promise.all(
      ['lb:instances:main:gs', 'lb:health:main:gs:gs-1', 'lb:metrics:main:gs:gs-1'].map(ttl),
    );
    expect(found).toEqual([300, 60, 600]);
  });
});

test('the next update restores evicted or flushed keys', async () => {
  await redis.flushall();
  sink.accept({ at: 2_000, instances: both, changes: [] });
  await eventually(async () => expect(await keys()).toEqual(ALL));
});

test('after an outage the state is restored and events are published again', async () => {
  const heard: string[] = [];
  const listener = new Redis(server.url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
  listener.on('error', () => {});
  listener.on('message', (_channel, text: string) =>
    heard.push((JSON.parse(text) as { reason: string }).reason),
  );
  await listener.subscribe('lb:events:main');
  const { port } = server;
  await server.stop();
  for (const reason of ['first', 'second']) {
    const change = { at: 3_000, service: 'gs', instance: 'gs-1', kind: 'health' as const, reason };
    sink.accept({ at: 3_000, instances: both, changes: [change] });
  }
  const away = { state: expect.stringMatching(/retrying|down/), pending: 1 };
  await eventually(() => expect(sink.status()).toMatchObject(away));
  server = await startRedis({ port });
  await eventually(async () => expect(await keys()).toEqual(ALL));
  await eventually(() => expect(sink.status()).toMatchObject({ state: 'ok', pending: 0, lastError: null }));
  // Subscribers reconnect by themselves; events published before that are lost, as pub/sub has no queue.
  await eventually(async () => {
    const reason = 'after';
    const change = { at: 4_000, service: 'gs', instance: 'gs-1', kind: 'health' as const, reason };
    sink.accept({ at: 4_000, instances: both, changes: [change] });
    expect(heard).toContain('after');
  });
  listener.disconnect();
});

test('removes the keys of a removed instance', async () => {
  sink.accept({ at: 5_000, instances: one, changes: [] });
  await eventually(async () => expect(await keys()).toEqual(ALL.filter((key) => !key.endsWith('gs-2'))));
});

test('logs once, with a hint, that Redis refuses writes', async () => {
  let logged = '';
  const write = (line: string): void => {
    logged += line;
  };
  const full = createLiveSink({ live, config: () => config, log: pino({ level: 'info' }, { write }) });
  await redis.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '1');
  full.accept({ at: 6_000, instances: one, changes: [] });
  await eventually(() => expect(full.status()).toMatchObject({ state: 'down', pending: 1 }));
  expect(full.status().lastError).toContain('OOM');
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru', 'maxmemory', '0');
  await eventually(() => expect(full.status()).toMatchObject({ state: 'ok', pending: 0, lastError: null }));
  expect(logged.match(/live state not written \(OOM.*check its memory/g)).toHaveLength(1);
  expect(logged.split('\n').filter(Boolean)).toHaveLength(1);
  await full.close(1_000);
});
