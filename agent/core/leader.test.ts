import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { createLeader, type LeaderHub, type LeaderLease } from './leader.ts';

/** A Redis that can be taken away, and a Hub that can be cut off. */
const redis = { there: true, holder: null as string | null };
const hub = { there: true, order: { epoch: 1, seq: 1 } as SnapshotOrder | null };

const lease: LeaderLease = {
  async acquireLease(owner) {
    if (!redis.there) throw new Error('connection refused');
    redis.holder ??= owner;
    return { held: redis.holder === owner, holder: redis.holder };
  },
  async releaseLease() {
    redis.holder = null;
  },
};

const leaders: { close(): Promise<void> }[] = [];
function agent(owner: string, through: Partial<LeaderHub> | null = {}) {
  const heard: boolean[] = [];
  const leader = createLeader({
    ...{ owner, lease, log: pino({ level: 'silent' }) },
    ...(through && {
      hub: {
        publishHeartbeat: () => {},
        async latestOrder() {
          if (!hub.there) throw new Error('cut off');
          return hub.order;
        },
        ...through,
      },
    }),
    onChange: (leading) => heard.push(leading),
  });
  leaders.push(leader);
  return { leader, heard };
}

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(redis, { there: true, holder: null });
  Object.assign(hub, { there: true, order: { epoch: 1, seq: 1 } });
});
afterEach(async () => {
  for (const leader of leaders.splice(0)) await leader.close();
  vi.useRealTimers();
});
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('without Redis a leader shows itself at the Hub, and the other one stands by as long as it does', async () => {
  const one = agent('one', {
    publishHeartbeat: () => {
      hub.order = { epoch: 1, seq: (hub.order?.seq ?? 0) + 1 };
    },
  });
  await pass(0);
  const two = agent('two');
  await pass(10);
  redis.there = false;
  await pass(120_000);
  expect([one.leader.isLeader(), two.leader.isLeader()]).toEqual([true, false]);
  await one.leader.close();
  await pass(60_000);
  expect(two.heard).toEqual([true]);
  redis.there = true;
  redis.holder = 'one';
  await pass(2_000);
  expect(two.leader.isLeader()).toBe(false);
});

test('a Hub that cannot be heard proves nobody dead; where there is none everyone keeps the part it has', async () => {
  redis.there = false;
  const [deaf, without] = [agent('deaf'), agent('without', null)];
  await pass(12_000);
  hub.there = false;
  await pass(120_000);
  expect([deaf.leader.isLeader(), without.leader.isLeader()]).toEqual([false, false]);
  hub.there = true;
  await pass(12_000);
  expect(deaf.leader.isLeader()).toBe(false);
  await pass(20_000);
  expect(deaf.leader.isLeader()).toBe(true);
});
