import { expect, test } from 'vitest';
import {
  initialPublishSchedule,
  type PublishScheduleEvent,
  type PublishScheduleState,
  stepPublishSchedule,
} from './publish-schedule.ts';

/** Applies events at the given instants; returns the last step. */
function after(...events: [number, PublishScheduleEvent][]) {
  let step = { state: initialPublishSchedule, effects: [] as unknown[] };
  for (const [now, event] of events) step = stepPublishSchedule(step.state, event, now);
  return step;
}

const timer = { kind: 'timer', mayPublish: true } as const;
const published: [number, PublishScheduleEvent][] = [
  [0, { kind: 'enabled' }],
  [0, timer],
  [100, { kind: 'published' }],
];

test('schedules nothing until it is enabled', () => {
  expect(after([0, { kind: 'changed' }]).effects).toEqual([]);
  expect(after([0, { kind: 'changed' }], [5, { kind: 'enabled' }])).toMatchObject({
    state: { phase: 'waiting' },
    effects: [{ kind: 'set-timer', delayMs: 0 }],
  });
});

test('after a write, waits for the refresh; a change or a heartbeat is due one second after the write', () => {
  expect(after(...published).effects).toEqual([{ kind: 'set-timer', delayMs: 299_900 }]);
  for (const kind of ['changed', 'heartbeat-requested'] as const)
    expect(after(...published, [400, { kind }]).effects).toEqual([{ kind: 'set-timer', delayMs: 600 }]);
});

test('a change outranks a refresh, and a refresh outranks a heartbeat', () => {
  const write = (...events: [number, PublishScheduleEvent][]) => after(...published, ...events).effects;
  expect(write([400_000, { kind: 'changed' }], [400_000, timer])).toEqual([
    { kind: 'write', write: 'change' },
  ]);
  expect(write([1_000, { kind: 'heartbeat-requested' }], [1_000, timer])).toEqual([
    { kind: 'write', write: 'heartbeat' },
  ]);
  expect(write([300_000, { kind: 'heartbeat-requested' }], [300_000, timer])).toEqual([
    { kind: 'write', write: 'refresh' },
  ]);
});

test('a change during a write is published after it', () => {
  const { state, effects } = after(
    [0, { kind: 'enabled' }],
    [0, timer],
    [50, { kind: 'changed' }],
    [100, { kind: 'published' }],
  );
  expect(state).toMatchObject({ phase: 'waiting', changed: true });
  expect(effects).toEqual([{ kind: 'set-timer', delayMs: 900 }]);
});

test('a failure is logged once, backs off exponentially up to 30 s and respects Retry-After', () => {
  const failed = { kind: 'failed', error: 'refused' } as const;
  let state: PublishScheduleState = { ...initialPublishSchedule, phase: 'publishing' };
  const delays: number[] = [];
  for (let count = 0; count < 8; count++) {
    const step = stepPublishSchedule({ ...state, phase: 'publishing' }, failed, 10_000);
    expect(step.effects.some(({ kind }) => kind === 'log-failure')).toBe(count === 0);
    delays.push(step.state.retryAt - 10_000);
    state = step.state;
  }
  expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  expect(state).toMatchObject({ changed: true, lastError: 'refused', failures: 8 });
  const paused = { ...failed, retryAfterMs: 300_000 };
  expect(stepPublishSchedule(initialPublishSchedule, paused, 0).state.retryAt).toBe(300_000);
});

test('a standby writes nothing and looks again at the next refresh', () => {
  const step = after([0, { kind: 'enabled' }], [0, { kind: 'timer', mayPublish: false }]);
  expect(step.state).toMatchObject({ phase: 'waiting', changed: false });
  expect(step.effects).toEqual([{ kind: 'set-timer', delayMs: 300_000 }]);
});

test('closing publishes a waiting change once, also after a write in progress', () => {
  const close = { kind: 'closed', mayPublish: true } as const;
  expect(after(...published, [200, close])).toMatchObject({ state: { phase: 'closed' } });
  const waiting = after(...published, [200, { kind: 'changed' }], [200, close]);
  expect(waiting.state.phase).toBe('closing');
  expect(waiting.effects).toEqual([{ kind: 'clear-timer' }, { kind: 'write', write: 'change' }]);
  const inProgress = after(
    [0, { kind: 'enabled' }],
    [0, timer],
    [1, { kind: 'changed' }],
    [2, close],
    [3, { kind: 'published' }],
  );
  expect(inProgress.effects).toEqual([{ kind: 'write', write: 'change' }]);
  expect(stepPublishSchedule(inProgress.state, { kind: 'failed', error: 'x' }, 4).state.phase).toBe('closed');
});
