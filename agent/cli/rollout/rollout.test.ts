import { expect, test } from 'vitest';
import { sampleInstance } from '../../../test/harness/instance.ts';
import type { AdminState } from '../../core/state.ts';
import { type ApiInstance, toApiInstance } from '../../http/schemas/instances.ts';
import { newRecord, type RolloutRecord, type RolloutSettings, runRollout } from './rollout.ts';
import { waitForDrain } from './wait.ts';

/** An agent whose clock moves only while the rollout sleeps. */
function simulate(ids: string[], changes: { [id: string]: Partial<ApiInstance> } = {}) {
  let now = 1_000;
  const log: string[] = [];
  const saved: RolloutRecord[] = [];
  const instances = new Map(
    ids.map((id) => [id, { ...toApiInstance(sampleInstance({ id })), ...changes[id] }]),
  );
  const change = (id: string, more: Partial<ApiInstance>) =>
    instances.set(id, { ...(instances.get(id) as ApiInstance), ...more });
  /** What each instance becomes after its command. */
  const builds = new Map<string, Partial<ApiInstance>>();
  let minServing = ids.length;
  let failCommand: string | null = null;
  const probe = () => {
    for (const [id, instance] of instances) {
      const ok = instance.health === 'up';
      change(id, { lastProbe: { at: now, ok, latencyMs: 1, ...(ok ? {} : { error: 'status 503' }) } });
      if (instance.admin !== 'ready') continue;
      change(id, { state: ok ? 'up' : 'down', reason: ok ? '' : 'status 503' });
    }
    minServing = Math.min(minServing, [...instances.values()].filter(({ state }) => state === 'up').length);
  };
  return {
    log,
    saved,
    change,
    builds,
    minServing: () => minServing,
    failAt: (id: string) => {
      failCommand = id;
    },
    get: (id: string) => instances.get(id) as ApiInstance,
    io: {
      instances: async () => [...instances.values()],
      uncontrolled: async () => null,
      async setAdmin(id: string, state: AdminState) {
        log.push(`${state} ${id}`);
        const states = { ready: 'up', drain: 'draining', maint: 'down' } as const;
        change(id, { admin: state, state: states[state] });
        minServing = Math.min(
          minServing,
          [...instances.values()].filter((each) => each.state === 'up').length,
        );
      },
      async run({ id, admin, inflight }: ApiInstance) {
        log.push(`run ${id}`);
        expect({ admin, inflight }).toMatchObject({ admin: 'maint' });
        change(id, builds.get(id) ?? {});
        return failCommand === id ? 'the command failed with exit code 3' : null;
      },
      save: async (record: RolloutRecord) => void saved.push(structuredClone(record)),
      step: () => {},
      progress: () => {},
      now: () => now,
      async sleep(ms: number, signal: AbortSignal) {
        now += ms;
        probe();
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
      },
    },
  };
}

const settings: RolloutSettings = {
  maxUnavailable: 1,
  deadlineMs: 10_000,
  healthyWithinMs: 20_000,
  settleMs: 5_000,
  cutRemaining: false,
};
const { signal } = new AbortController();

test('one instance after another: drain, maintenance, command, ready', async () => {
  const agent = simulate(['gs-1', 'gs-2']);
  const end = await runRollout({ io: agent.io, settings, record: newRecord('gs', ['true']), signal });
  expect(end).toEqual({ done: ['gs-1', 'gs-2'], skipped: [], failure: null });
  const steps = (id: string) => ['drain', 'maint', 'run', 'ready'].map((step) => `${step} ${id}`);
  expect(agent.log).toEqual([...steps('gs-1'), ...steps('gs-2')]);
  expect(agent.minServing()).toBe(1);
  expect(agent.saved.map(({ done, current }) => [done, current])).toEqual([
    [[], ['gs-1']],
    [[], ['gs-1']],
    [['gs-1'], []],
    [['gs-1'], ['gs-2']],
    [['gs-1'], ['gs-2']],
    [['gs-1', 'gs-2'], []],
  ]);
});

test('a build that fails its probes stops the rollout at the first instance, which stays out', async () => {
  const agent = simulate(['gs-1', 'gs-2', 'gs-3']);
  agent.builds.set('gs-1', { health: 'down' });
  const record = newRecord('gs', ['true']);
  const { done, failure } = await runRollout({ io: agent.io, settings, record, signal });
  expect(done).toEqual([]);
  expect(failure).toEqual({ instance: 'gs-1', reason: 'not healthy within 20s: status 503' });
  expect(agent.log).toEqual(['drain gs-1', 'maint gs-1', 'run gs-1', 'maint gs-1']);
  // The repaired build goes to the same instance first.
  agent.change('gs-1', { health: 'up' });
  agent.builds.clear();
  const resumed = await runRollout({ io: agent.io, settings, record, signal });
  expect(resumed).toMatchObject({ done: ['gs-1', 'gs-2', 'gs-3'], failure: null });
  expect(record.changed).toEqual([]);
  // Without a drain, which would let sessions return.
  expect(agent.log.slice(4, 7)).toEqual(['maint gs-1', 'run gs-1', 'ready gs-1']);
});

test('a build that does worse than its peers stops the rollout; an earlier outlier may recover', async () => {
  const outlier = (since: number) =>
    ({ cause: 'failing', evidence: '12 % failed, peers 0 %', share: 0, since }) as const;
  const agent = simulate(['gs-1', 'gs-2', 'gs-3'], { 'gs-1': { outlier: outlier(1) } });
  agent.builds.set('gs-2', { outlier: outlier(9) });
  const sleep = agent.io.sleep;
  agent.io.sleep = async (ms, aborted) => {
    await sleep(ms, aborted);
    if (agent.log.at(-1) !== 'ready gs-1') return;
    const { outlier: _, ...recovered } = agent.get('gs-1');
    agent.change('gs-1', { ...recovered, outlier: undefined as never });
  };
  const { done, failure } = await runRollout({
    io: agent.io,
    settings,
    record: newRecord('gs', ['true']),
    signal,
  });
  expect(done).toEqual(['gs-1']);
  expect(failure?.reason).toBe('outlier against its peers: failing, 12 % failed, peers 0 %');
  expect(agent.log.at(-1)).toBe('maint gs-2');
});

test('a failed command leaves its instance ready when no other one serves any more', async () => {
  const agent = simulate(['gs-1', 'gs-2']);
  agent.failAt('gs-1');
  const run = agent.io.run;
  agent.io.run = async (instance) => {
    agent.change('gs-2', { health: 'down', state: 'down' });
    return run(instance);
  };
  const { failure } = await runRollout({ io: agent.io, settings, record: newRecord('gs', ['true']), signal });
  expect(failure).toMatchObject({ instance: 'gs-1' });
  expect(agent.log.at(-1)).toBe('ready gs-1');
});

test('the last serving instance is never drained', async () => {
  const agent = simulate(['gs-1', 'gs-2'], { 'gs-2': { health: 'down', state: 'down' } });
  const { failure } = await runRollout({ io: agent.io, settings, record: newRecord('gs', ['true']), signal });
  expect(failure).toEqual({
    instance: 'gs-1',
    reason: 'it is the last serving instance; register another one first',
  });
  expect(agent.log).toEqual([]);
});

test('several at a time, and never all of them', async () => {
  const agent = simulate(['gs-1', 'gs-2', 'gs-3', 'gs-4'], { 'gs-4': { health: 'down', state: 'down' } });
  agent.builds.set('gs-4', { health: 'up' });
  const end = await runRollout({
    io: agent.io,
    settings: { ...settings, maxUnavailable: 3 },
    record: newRecord('gs', ['true']),
    signal,
  });
  expect(end.failure).toBeNull();
  // gs-3 would have been the last one.
  expect(agent.log.slice(0, 2)).toEqual(['drain gs-1', 'drain gs-2']);
  expect(agent.log.indexOf('drain gs-3')).toBeGreaterThan(agent.log.indexOf('ready gs-1'));
  expect(agent.minServing()).toBe(1);
});

test('after a failed command its instance stays out; those whose command has not begun get ready again', async () => {
  const agent = simulate(['gs-1', 'gs-2', 'gs-3'], { 'gs-2': { inflight: 1 } });
  agent.failAt('gs-1');
  const record = newRecord('gs', ['true']);
  const { failure } = await runRollout({
    io: agent.io,
    settings: { ...settings, maxUnavailable: 2 },
    record,
    signal,
  });
  expect(failure).toEqual({ instance: 'gs-1', reason: 'the command failed with exit code 3' });
  expect(agent.log).not.toContain('run gs-2');
  expect(agent.log.slice(-2)).toEqual(['maint gs-1', 'ready gs-2']);
  expect(record).toMatchObject({ done: [], current: ['gs-1', 'gs-2'] });
});

test('requests that do not end stop the rollout, unless they may be cut', async () => {
  const agent = simulate(['gs-1', 'gs-2'], { 'gs-1': { inflight: 3 } });
  const stopped = await runRollout({ io: agent.io, settings, record: newRecord('gs', ['true']), signal });
  expect(stopped.failure?.reason).toMatch(/^3 requests in flight; --cut-remaining/);
  expect(agent.log).toEqual(['drain gs-1', 'maint gs-1', 'ready gs-1']);
  const cut = { ...settings, cutRemaining: true };
  expect(
    await runRollout({ io: agent.io, settings: cut, record: newRecord('gs', ['true']), signal }),
  ).toMatchObject({
    failure: null,
  });
});

test('an instance that an operator has taken out is left alone', async () => {
  const agent = simulate(['gs-1', 'gs-2', 'gs-3'], { 'gs-2': { admin: 'maint', state: 'down' } });
  const end = await runRollout({ io: agent.io, settings, record: newRecord('gs', ['true']), signal });
  expect(end).toEqual({ done: ['gs-1', 'gs-3'], skipped: ['gs-2'], failure: null });
});

test('an interruption takes the instance back', async () => {
  const agent = simulate(['gs-1', 'gs-2'], { 'gs-1': { inflight: 1 } });
  const controller = new AbortController();
  const sleep = agent.io.sleep;
  agent.io.sleep = (ms, aborted) => {
    controller.abort();
    return sleep(ms, aborted);
  };
  const end = await runRollout({
    io: agent.io,
    settings,
    record: newRecord('gs', ['true']),
    signal: controller.signal,
  });
  expect(end.failure).toEqual({ instance: 'gs-1', reason: 'interrupted' });
  expect(agent.log).toEqual(['drain gs-1', 'ready gs-1']);
});

test('a rollout that starts over gives the new build first to what the earlier one left out', async () => {
  const agent = simulate(['gs-1', 'gs-2', 'gs-3'], { 'gs-2': { admin: 'maint', state: 'down' } });
  const earlier = { ...newRecord('gs', ['false']), current: ['gs-2'], changed: ['gs-2'], done: ['gs-1'] };
  const record = newRecord('gs', ['true'], earlier);
  const end = await runRollout({ io: agent.io, settings, record, signal });
  expect(end).toEqual({ done: ['gs-2', 'gs-1', 'gs-3'], skipped: [], failure: null });
});

test('while the agent does not control HAProxy, no command runs', async () => {
  const agent = simulate(['gs-1', 'gs-2']);
  const io = { ...agent.io, uncontrolled: async () => 'connect ECONNREFUSED' };
  const { failure } = await runRollout({ io, settings, record: newRecord('gs', ['true']), signal });
  expect(failure?.reason).toContain('does not control HAProxy (connect ECONNREFUSED)');
  expect(agent.log).toEqual(['drain gs-1', 'maint gs-1', 'ready gs-1']);
});

test('a drain ends when zero has held for two readings, at the limit, or when the number stays unknown', async () => {
  let now = 0;
  const drain = (inflight: (at: number) => number, limitMs: number | null, uncontrolledUntil = 0) => {
    now = 0;
    return waitForDrain(
      {
        read: async () => toApiInstance(sampleInstance({ id: 'gs-1', inflight: inflight(now) })),
        uncontrolled: async () => (now < uncontrolledUntil ? 'no answer' : null),
        now: () => now,
        sleep: async (ms: number) => {
          now += ms;
        },
        report: () => {},
      },
      limitMs,
    );
  };
  // Idle for a moment between two requests of a session.
  expect(await drain((at) => (at < 1_000 || at === 2_000 ? 1 : 0), null)).toEqual({ kind: 'drained' });
  expect(now).toBe(5_000);
  expect(await drain(() => 7, 3_000)).toEqual({ kind: 'left', count: 7 });
  expect(now).toBe(3_000);
  // HAProxy reloads.
  expect(await drain(() => 0, null, 5_000)).toEqual({ kind: 'drained' });
  expect(now).toBe(7_500);
  expect(await drain(() => 0, null, Number.POSITIVE_INFINITY)).toEqual({
    kind: 'unknown',
    reason: 'no answer',
  });
  expect(now).toBe(30_000);
  expect(await drain(() => 0, 2_000, Number.POSITIVE_INFINITY)).toMatchObject({ kind: 'unknown' });
});
