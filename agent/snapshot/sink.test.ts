import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parseConfig } from '../../shared/config/load.ts';
import type { WebCryptoKey } from '../../shared/snapshot/signature.ts';
import { compareSnapshotOrder, type Snapshot, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import type { Change } from '../core/state.ts';
import { initialRecords } from '../judge/initial.ts';
import type { PublishResult, SnapshotPublisher } from './publisher.ts';
import { createSnapshotSink, type SnapshotSinkOptions } from './sink.ts';

const config = parseConfig(`
version: 1
site: { id: main }
edge: { publish: { kvWritesPerDay: 900 } }
services: { gs: { routes: [/], instances: [ { id: gs-1, url: http://127.0.0.1:8004 } ] } }
`);
const instances = new Map(
  initialRecords(config, null, 0).map(({ instance }) => [`gs/${instance.id}`, instance]),
);
const change: Change = { at: 0, service: 'gs', instance: 'gs-1', kind: 'state', reason: 'test' };

/** The Hub as specified: accepts only a greater order. Fails while it is not reachable. */
class FakeHub implements SnapshotPublisher {
  readonly name = 'ingest';
  readonly arbitrates = true;
  held: SnapshotOrder = { epoch: 0, seq: 0 };
  reachable = true;
  readonly taken: { snapshot: Snapshot; kv: boolean; at: number }[] = [];
  async publish(sealed: Uint8Array<ArrayBuffer>, order: SnapshotOrder, kv: boolean): Promise<PublishResult> {
    if (!this.reachable) return { kind: 'failed', error: 'connect refused' };
    if (compareSnapshotOrder(order, this.held) <= 0) return { kind: 'superseded', current: this.held };
    const snapshot: Snapshot = JSON.parse(new TextDecoder().decode(sealed));
    this.held = order;
    this.taken.push({ snapshot, kv, at: Date.now() });
    return { kind: 'accepted' };
  }
}

function agent(hub: SnapshotPublisher, change: Partial<SnapshotSinkOptions> = {}) {
  const sink = createSnapshotSink({
    config: () => config,
    signing: { kid: 'k1', privateKey: {} as WebCryptoKey },
    // Unsigned: real signing runs on a thread that fake timers do not wait for.
    seal: async (snapshot) => new TextEncoder().encode(JSON.stringify(snapshot)),
    publishers: [hub],
    lastEpoch: 0,
    saveEpoch: () => {},
    mayPublish: () => true,
    onSuperseded: async () => true,
    log: pino({ level: 'silent' }),
    ...change,
  });
  sink.accept({ at: 0, instances, changes: [] });
  sinks.push(sink);
  return sink;
}

const sinks: { close(ms: number): Promise<void> }[] = [];
beforeEach(() =>
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'], now: 1_700_000_000_000 }),
);
afterEach(async () => {
  vi.useRealTimers();
  for (const sink of sinks.splice(0)) await sink.close(100);
});
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('publishes nothing until enabled, then claims an epoch greater than the one of the Hub', async () => {
  const hub = new FakeHub();
  hub.held = { epoch: 7, seq: 41 };
  const sink = agent(hub);
  await pass(5_000);
  expect(hub.taken).toEqual([]);
  sink.enable();
  await pass(100);
  expect(hub.taken.map(({ snapshot: { epoch, seq } }) => [epoch, seq])).toEqual([[8, 1]]);
  expect(hub.taken[0]?.snapshot.services.gs?.instances).toMatchObject([{ id: 'gs-1', state: 'down' }]);
});

test('a Hub that refuses every epoch is asked again at intervals, not at once', async () => {
  const hub = new FakeHub();
  let asked = 0;
  hub.publish = async (_, { epoch, seq }) => {
    // An error instead of a test that never ends.
    if (++asked > 100) throw new Error('asked without end');
    return { kind: 'superseded', current: { epoch: epoch + 1, seq } };
  };
  const sink = agent(hub);
  sink.enable();
  await pass(100);
  expect(asked).toBe(3);
  expect(sink.status()).toMatchObject({ state: 'retrying' });
  await pass(5_000);
  expect(asked).toBeGreaterThan(3);
  expect(asked).toBeLessThan(60);
});

test('changes are combined into one write a second', async () => {
  const hub = new FakeHub();
  const sink = agent(hub);
  sink.enable();
  await pass(10);
  for (let count = 0; count < 50; count++) {
    sink.accept({ at: 0, instances, changes: [change] });
    await pass(100);
  }
  const gaps = hub.taken.slice(1).map(({ at }, index) => at - (hub.taken[index]?.at ?? 0));
  expect(hub.taken.length).toBeGreaterThan(4);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000);
});

test('a health change without a state change waits for the next refresh', async () => {
  const hub = new FakeHub();
  const sink = agent(hub);
  sink.enable();
  await pass(100);
  const health: Change = { ...change, kind: 'health' };
  for (let count = 0; count < 10; count++) sink.accept({ at: 0, instances, changes: [health] });
  await pass(290_000);
  expect(hub.taken).toHaveLength(1);
  await pass(20_000);
  expect(hub.taken).toHaveLength(2);
});

test('publishes the newest state when the edge is reachable again', async () => {
  const hub = new FakeHub();
  hub.reachable = false;
  const sink = agent(hub);
  sink.enable();
  await pass(20_000);
  expect(sink.status()).toMatchObject({ state: 'down', lastError: 'connect refused' });
  hub.reachable = true;
  await pass(31_000);
  expect(sink.status()).toMatchObject({ state: 'ok', pending: 0 });
  expect(hub.taken).toHaveLength(1);
});

test('a stale leader is refused and stops publishing; the new leader continues', async () => {
  const hub = new FakeHub();
  let firstLeads = true;
  const first = agent(hub, { mayPublish: () => firstLeads, onSuperseded: async () => (firstLeads = false) });
  first.enable();
  await pass(100);
  const second = agent(hub);
  second.enable();
  await pass(100);
  expect(hub.held.epoch).toBe(2);
  const { at } = first.published();
  first.accept({ at: 0, instances, changes: [change] });
  await pass(3_000);
  expect(hub.held.epoch).toBe(2);
  expect(first.published().at).toBe(at);
  second.accept({ at: 0, instances, changes: [change] });
  await pass(2_000);
  expect(hub.held).toEqual({ epoch: 2, seq: 2 });
});

test('when the KV budget is spent, changes go to the Hub only and refreshes still go to KV', async () => {
  const hub = new FakeHub();
  const sink = agent(hub, {
    config: () => ({
      ...config,
      edge: { ...config.edge, publish: { ...config.edge.publish, kvWritesPerDay: 4 } },
    }),
  });
  sink.enable();
  for (let count = 0; count < 6; count++) {
    await pass(1_100);
    sink.accept({ at: 0, instances, changes: [change] });
  }
  await pass(1_100);
  expect(hub.taken.map(({ kv }) => kv)).toEqual([true, true, false, false, false, false, false]);
  await pass(310_000);
  expect(hub.taken.at(-1)?.kv).toBe(true);
});

test('a wall clock set back by an hour delays no change', async () => {
  const hub = new FakeHub();
  const sink = agent(hub);
  sink.enable();
  await pass(5_000);
  vi.setSystemTime(1_700_000_000_000 - 3_600_000);
  sink.accept({ at: 0, instances, changes: [change] });
  await pass(2_000);
  expect(hub.taken).toHaveLength(2);
});

test('failed writes do not count against the KV budget', async () => {
  const hub = new FakeHub();
  hub.reachable = false;
  const sink = agent(hub);
  sink.enable();
  await pass(3_600_000);
  expect(sink.published().kvLeftToday).toBe(900);
  hub.reachable = true;
  await pass(31_000);
  expect(hub.taken.at(-1)?.kv).toBe(true);
  expect(sink.published().kvLeftToday).toBe(899);
});

/** Workers KV through its API: accepts every write. */
class FakeKv implements SnapshotPublisher {
  readonly name = 'kvApi';
  readonly arbitrates = false;
  held: SnapshotOrder | null = null;
  async publish(_: Uint8Array<ArrayBuffer>, order: SnapshotOrder, kv: boolean): Promise<PublishResult> {
    if (!kv) return { kind: 'skipped' };
    this.held = order;
    return { kind: 'accepted' };
  }
  async readOrder() {
    return this.held;
  }
}

test('while the Hub is unreachable KV is still written, unless it holds a newer snapshot', async () => {
  const [hub, kv] = [new FakeHub(), new FakeKv()];
  hub.reachable = false;
  const sink = agent(hub, { publishers: [kv, hub] });
  sink.enable();
  await pass(100);
  expect(kv.held).toEqual({ epoch: 1, seq: 1 });
  expect(sink.status().lastError).toBe('connect refused');
  kv.held = { epoch: 9, seq: 1 };
  sink.accept({ at: 0, instances, changes: [change] });
  await pass(60_000);
  expect(kv.held).toEqual({ epoch: 9, seq: 1 });
});

test('a heartbeat goes to the Hub only and does not delay the next refresh', async () => {
  const hub = new FakeHub();
  const sink = agent(hub);
  sink.enable();
  for (let second = 0; second < 301; second += 5) {
    await pass(5_000);
    sink.publishHeartbeat();
  }
  await pass(1_100);
  expect(hub.taken.filter(({ kv }) => kv)).toHaveLength(2);
  expect(hub.taken.length).toBeGreaterThan(50);
});
