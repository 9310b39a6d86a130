/**
 * When the snapshot is published: one write at a time, at most one a second, always the newest state. Changes that
 * arrive in the meantime are combined into the next write, so there is no queue. Instants are milliseconds of a
 * monotonic clock.
 */

/**
 * `change` and `refresh` go to every publisher. `heartbeat` goes to the Hub only: it proves that this agent is alive and
 * costs no KV write.
 */
export type WriteKind = 'change' | 'refresh' | 'heartbeat';

export interface PublishScheduleState {
  phase:
    | 'disabled' // instances are not judged yet
    | 'waiting' // for a change, a heartbeat, the next refresh or the end of the backoff
    | 'publishing'
    | 'closing' // the last write is in progress
    | 'closed';
  /** A change is not published yet. */
  changed: boolean;
  heartbeatRequested: boolean;
  lastWriteAt: number;
  /** The last `change` or `refresh`. */
  lastFullWriteAt: number;
  /** End of the backoff after a failure. */
  retryAt: number;
  failures: number;
  lastError: string | null;
}

/** The result of a write. `yielded`: another agent is the leader and publishes. */
export type WriteOutcome =
  | { kind: 'published' }
  | { kind: 'yielded' }
  | { kind: 'failed'; error: string; retryAfterMs?: number };

export type PublishScheduleEvent =
  | { kind: 'enabled' }
  | { kind: 'changed' }
  | { kind: 'heartbeat-requested' }
  | { kind: 'timer'; mayPublish: boolean }
  | { kind: 'closed'; mayPublish: boolean }
  | WriteOutcome;

export type PublishScheduleEffect =
  | { kind: 'set-timer'; delayMs: number }
  | { kind: 'clear-timer' }
  | { kind: 'write'; write: WriteKind }
  | { kind: 'log-failure'; error: string };

interface PublishScheduleStep {
  state: PublishScheduleState;
  effects: PublishScheduleEffect[];
}

/** Workers KV accepts one write a second per key. */
const MIN_WRITE_INTERVAL_MS = 1_000;
export const REFRESH_MS = 300_000;
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 30_000;

export const initialPublishSchedule: PublishScheduleState = {
  phase: 'disabled',
  changed: false,
  heartbeatRequested: false,
  lastWriteAt: Number.NEGATIVE_INFINITY,
  lastFullWriteAt: Number.NEGATIVE_INFINITY,
  retryAt: 0,
  failures: 0,
  lastError: null,
};

export function stepPublishSchedule(
  state: PublishScheduleState,
  event: PublishScheduleEvent,
  now: number,
): PublishScheduleStep {
  switch (event.kind) {
    case 'enabled':
      if (state.phase !== 'disabled') return { state, effects: [] };
      return scheduled({ ...state, phase: 'waiting', changed: true }, now);
    case 'changed':
      return scheduled({ ...state, changed: true }, now);
    case 'heartbeat-requested':
      return scheduled({ ...state, heartbeatRequested: true }, now);
    case 'timer':
      return onTimer(state, event.mayPublish, now);
    case 'closed':
      return onClose(state, event.mayPublish);
    default:
      return onOutcome(state, event, now);
  }
}

/** Sets the timer of the next write. */
function scheduled(state: PublishScheduleState, now: number): PublishScheduleStep {
  if (state.phase !== 'waiting') return { state, effects: [] };
  const dueAt =
    state.changed || state.heartbeatRequested
      ? state.lastWriteAt + MIN_WRITE_INTERVAL_MS
      : state.lastFullWriteAt + REFRESH_MS;
  const delayMs = Math.max(0, Math.max(dueAt, state.retryAt) - now);
  return { state, effects: [{ kind: 'set-timer', delayMs }] };
}

function onTimer(state: PublishScheduleState, mayPublish: boolean, now: number): PublishScheduleStep {
  if (state.phase !== 'waiting') return { state, effects: [] };
  const refreshDue = state.lastFullWriteAt + REFRESH_MS <= now;
  const write: WriteKind = state.changed ? 'change' : refreshDue ? 'refresh' : 'heartbeat';
  const next: PublishScheduleState = {
    ...state,
    changed: false,
    heartbeatRequested: false,
    lastWriteAt: now,
    lastFullWriteAt: write === 'heartbeat' ? state.lastFullWriteAt : now,
  };
  // A standby discards the change: it publishes the whole state when it becomes leader.
  if (!mayPublish) return scheduled(next, now);
  return { state: { ...next, phase: 'publishing' }, effects: [{ kind: 'write', write }] };
}

function onOutcome(state: PublishScheduleState, outcome: WriteOutcome, now: number): PublishScheduleStep {
  const { next, effects } = recorded(state, outcome, now);
  if (state.phase === 'closing') return lastWrite(next, effects);
  const following = scheduled({ ...next, phase: 'waiting' }, now);
  return { state: following.state, effects: [...effects, ...following.effects] };
}

function recorded(
  state: PublishScheduleState,
  outcome: WriteOutcome,
  now: number,
): { next: PublishScheduleState; effects: PublishScheduleEffect[] } {
  if (outcome.kind !== 'failed') return { next: { ...state, failures: 0, lastError: null }, effects: [] };
  const { error, retryAfterMs = 0 } = outcome;
  const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** state.failures, MAX_BACKOFF_MS);
  const next: PublishScheduleState = {
    ...state,
    // While closing, `changed` means that a write was waiting before this one failed.
    changed: state.phase === 'closing' ? state.changed : true,
    failures: state.failures + 1,
    lastError: error,
    retryAt: now + Math.max(backoffMs, retryAfterMs),
  };
  return { next, effects: error === state.lastError ? [] : [{ kind: 'log-failure', error }] };
}

/** A change that waits is published before the sink closes. */
function onClose(state: PublishScheduleState, mayPublish: boolean): PublishScheduleStep {
  const closing: PublishScheduleState = {
    ...state,
    phase: 'closing',
    changed: state.changed && mayPublish && state.phase !== 'disabled',
  };
  const effects: PublishScheduleEffect[] = [{ kind: 'clear-timer' }];
  if (state.phase === 'closing' || state.phase === 'closed') return { state, effects: [] };
  return state.phase === 'publishing' ? { state: closing, effects } : lastWrite(closing, effects);
}

function lastWrite(state: PublishScheduleState, effects: PublishScheduleEffect[]): PublishScheduleStep {
  if (!state.changed) return { state: { ...state, phase: 'closed' }, effects };
  return { state: { ...state, changed: false }, effects: [...effects, { kind: 'write', write: 'change' }] };
}
