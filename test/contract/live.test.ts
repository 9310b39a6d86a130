import { Redis } from 'ioredis';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LiveState } from '../../agent/live/live-state.ts';
import { createMemoryLiveState } from '../../agent/live/memory.ts';
import { createRedisLiveState } from '../../agent/live/redis.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { eventually } from '../harness/eventually.ts';

const log = pino({ level: 'silent' });
/** Long, because a busy machine may delay Redis. */
const patient = { site: 'main', log, timeoutMs: 60_000 };
let redis: LocalRedis;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

/** Two agents of a site with the same store. Memory serves one agent, so both are the same. */
const kinds: [string, () => [LiveState, LiveState]][] = [
  [
    'memory',
    () => {
      const live = createMemoryLiveState();
      return [live, live];
    },
  ],
  [
    'redis',
    () => {
      const open = () => createRedisLiveState({ url: redis.url, ...patient });
      return [open(), open()];
    },
  ],
];

describe.each(kinds)('live state in %s', (_kind, open) => {
  let one: LiveState;
  let two: LiveState;
  beforeAll(async () => {
    [one, two] = open();
    await eventually(() => {
      expect([one.status().state, two.status().state]).toEqual(['ok', 'ok']);
    });
  });
  afterAll(async () => {
    await one.close();
    await two.close();
  });

  test('an entry that one agent puts is readable by the other until it expires or is removed', async () => {
    await one.put([
      { key: 'lb:a', value: '1', ttlSeconds: 60 },
      { key: 'lb:b', value: '2', ttlSeconds: 60 },
    ]);
    expect([await two.get('lb:a'), await two.get('lb:b'), await two.get('lb:c')]).toEqual(['1', '2', null]);
    await one.put([
      { key: 'lb:a', value: '1', ttlSeconds: 1 },
      { key: 'lb:b', value: '3', ttlSeconds: 60 },
    ]);
    expect(await two.get('lb:b')).toBe('3');
    await eventually(async () => expect(await two.get('lb:a')).toBeNull());
    await two.remove(['lb:b', 'lb:never']);
    expect(await one.get('lb:b')).toBeNull();
  });

  test('intents are shared, overwritten, deleted and published', async () => {
    const heard: unknown[] = [];
    const stop = two.subscribe((event) => heard.push(event));
    // A subscription takes effect after a short delay.
    await eventually(async () => {
      await one.publish({ kind: 'hello' });
      expect(heard).toContainEqual({ kind: 'hello' });
    });
    // Repeatedly: a subscriber that is reconnecting misses events.
    await eventually(async () => {
      await one.writeIntent('gs/gs-1', '{"state":"drain"}');
      expect(heard).toContainEqual({ kind: 'intent', field: 'gs/gs-1' });
    });
    expect(await two.readIntents()).toEqual({ 'gs/gs-1': '{"state":"drain"}' });
    await two.writeIntent('gs/gs-1', null);
    expect(await one.readIntents()).toEqual({});
    stop();
    const before = heard.length;
    await one.publish({ kind: 'late' });
    expect(await two.get(two.keys.leader)).toBeNull();
    expect(heard.length).toBe(before);
  });

  test('one owner acquires, renews and releases the lease, or loses it when it stops renewing', async () => {
    expect(await one.acquireLease('a', 60_000)).toEqual({ held: true, holder: 'a' });
    expect(await two.acquireLease('b', 60_000)).toEqual({ held: false, holder: 'a' });
    await two.releaseLease('b');
    expect(await two.acquireLease('b', 60_000)).toEqual({ held: false, holder: 'a' });
    await one.releaseLease('a');
    expect(await two.acquireLease('b', 200)).toEqual({ held: true, holder: 'b' });
    await eventually(async () =>
      expect(await one.acquireLease('a', 60_000)).toEqual({ held: true, holder: 'a' }),
    );
    await one.releaseLease('a');
  });
});

describe('values in Redis that no agent wrote', () => {
  let live: LiveState;
  let attacker: Redis;
  beforeAll(async () => {
    live = createRedisLiveState({ url: redis.url, ...patient, site: 'attacked' });
    attacker = new Redis(redis.url);
    await eventually(() => expect(live.status().state).toBe('ok'));
  });
  afterAll(async () => {
    attacker.disconnect();
    await live.close();
  });

  const intents = () => live.keys.intents;
  const fill = (script: string) => attacker.eval(script, 1, intents());

  test.each<[string, () => Promise<unknown>]>([
    ['without a ttl', () => attacker.set(live.keys.leader, 'rogue')],
    ['with a long ttl', () => attacker.set(live.keys.leader, 'rogue', 'EX', 3_600)],
    ['of another type', () => attacker.lpush(live.keys.leader, 'rogue')],
  ])('a lease %s does not keep the agents from leading', async (_, attack) => {
    await attacker.del(live.keys.leader);
    await attack();
    expect(await live.acquireLease('a', 60_000)).toEqual({ held: true, holder: 'a' });
    expect(await live.acquireLease('b', 60_000)).toEqual({ held: false, holder: 'a' });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['of another type', () => attacker.set(intents(), 'x')],
    [
      'with too many fields',
      () => fill("for i = 1, 50001 do redis.call('HSET', KEYS[1], 'gs/' .. i, 'x') end"),
    ],
    [
      'that are too large together',
      () => fill("for i = 1, 140 do redis.call('HSET', KEYS[1], 'gs/' .. i, string.rep('x', 250000)) end"),
    ],
  ])('intents %s are deleted, and shared again', async (_, attack) => {
    await attacker.del(intents());
    await attack();
    expect(await live.readIntents()).toEqual({});
    expect(await attacker.exists(intents())).toBe(0);
    await live.writeIntent('gs/gs-1', '{}');
    expect(await live.readIntents()).toEqual({ 'gs/gs-1': '{}' });
  });

  test('too long a field, value or copy is not read', async () => {
    await attacker.del(intents());
    await fill(
      "redis.call('HSET', KEYS[1], 'a', string.rep('x', 300001), string.rep('f', 1025), 'x', 'b', '1')",
    );
    expect(await live.readIntents()).toEqual({ b: '1' });
    await attacker.eval("redis.call('SET', KEYS[1], string.rep('x', 5 * 1024 * 1024))", 1, 'lb:long');
    expect((await live.get('lb:long'))?.length).toBeLessThan(5 * 1024 * 1024);
    await attacker.del('lb:long');
  });
});

test('commands fail at once while Redis is unavailable, and work again afterwards', async () => {
  const server = await startRedis();
  const live = createRedisLiveState({ url: server.url, ...patient });
  await eventually(() => expect(live.status().state).toBe('ok'));
  await server.stop();
  await eventually(() => expect(live.status().state).toBe('retrying'));
  await expect(live.get('lb:a')).rejects.toThrow();
  await expect(live.acquireLease('a', 1_000)).rejects.toThrow();
  const again = await startRedis({ port: server.port });
  await eventually(async () => expect(await live.get('lb:a')).toBeNull());
  await live.close();
  await again.stop();
});
