import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import { createLeader, type LeaderHub, type LeaderLease } from './leader.ts';

/** A Redis and a Hub that can be made unavailable. */
const redis = { available: true, holder: null as string | null };
const hub = { available: true, order: { epoch: 1, seq: 1 } as SnapshotOrder | null };

const lease: LeaderLease = {
  async acquireLease(owner) {
    if (!redis.available) throw new Error('connection refused');
    redis.holder ??= owner;
    return { held: redis.holder === owner, holder: redis.holder };
  },
  async releaseLease() {
    redis.holder = null;
  },
};

const leaders: { close(): Promise<void> }[] = [];
function agent(owner: string, through: Partial<LeaderHub> | null = {}) {
  const roles: boolean[] = [];
  const leader = createLeader({ owner, lease, log: pino({ level: 'silent' }) });
  leader.start({
    ...(through && {
      hub: {
        publishHeartbeat: () => {},
        async latestOrder() {
          if (!hub.available) throw new Error('unreachable');
          return hub.order;
        },
        ...through,
      },
    }),
    onChange: (leading) => roles.push(leading),
  });
  leaders.push(leader);
  return { leader, roles };
}

beforeEach(() => {
  vi.useFakeTimers();
  Object.assign(redis, { available: true, holder: null });
  Object.assign(hub, { available: true, order: { epoch: 1, seq: 1 } });
});
afterEach(async () => {
  for (const leader of leaders.splice(0)) await leader.close();
  vi.useRealTimers();
});
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('without Redis, the standby waits as long as the leader publishes to the Hub', async () => {
  const one = agent('one', {
    publishHeartbeat: () => {
      hub.order = { epoch: 1, seq: (hub.order?.seq ?? 0) + 1 };
    },
  });
  await pass(0);
  const two = agent('two');
  await pass(10);
  redis.available = false;
  await pass(120_000);
  expect([one.leader.isLeader(), two.leader.isLeader()]).toEqual([true, false]);
  await one.leader.close();
  await pass(60_000);
  expect(two.roles).toEqual([true]);
  redis.available = true;
  redis.holder = 'one';
  await pass(2_000);
  expect(two.leader.isLeader()).toBe(false);
});

test('a standby does not take over without a Hub, or while the Hub is unreachable', async () => {
  redis.available = false;
  const [withHub, withoutHub] = [agent('with-hub'), agent('without-hub', null)];
  await pass(12_000);
  hub.available = false;
  await pass(120_000);
  expect([withHub.leader.isLeader(), withoutHub.leader.isLeader()]).toEqual([false, false]);
  hub.available = true;
  await pass(12_000);
  expect(withHub.leader.isLeader()).toBe(false);
  await pass(20_000);
  expect(withHub.leader.isLeader()).toBe(true);
});
