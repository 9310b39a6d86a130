import type { Change } from '../core/state.ts';
import { hasNewerHeartbeat, type Intent, intentAfterChange, sameRegistration, supersedes } from './intent.ts';

/**
 * The intent for one instance as a pure state machine. Its state is `none` (no intent), `active` (a registration, an
 * admin state, or a weight is requested), `removed` (deregistered, remembered for a day), or `expired` (removed by an
 * agent that received no heartbeat; a newer heartbeat of another agent restores it).
 */
export interface IntentState {
  readonly intent: Intent | undefined;
  /** The last heartbeat reached another agent, so a missing heartbeat here does not count. */
  readonly heardElsewhere: boolean;
}

export type IntentStatus = 'none' | 'active' | 'removed' | 'expired';

export type IntentEvent =
  /** A request through the API. `changes` are added to the intent. */
  | { kind: 'requested'; changes: Partial<Intent>; by: string }
  | { kind: 'heartbeat' }
  /** The judge changed the instance by itself: a registration expired, or a drain became maint. */
  | { kind: 'changed'; change: Change }
  /** The intent of another agent. */
  | { kind: 'merged'; theirs: Intent };

export type IntentEffect =
  /** Makes the instance match the intent. `previous` is the intent it replaces, if steps in between were missed. */
  | { kind: 'apply'; intent: Intent; previous?: Intent | undefined }
  | { kind: 'deregister'; reason: string; by: string }
  | { kind: 'heartbeat' }
  | { kind: 'publish'; intent: Intent }
  | { kind: 'save' };

export interface IntentStep {
  state: IntentState;
  effects: IntentEffect[];
}

export function intentStatus(intent: Intent | undefined): IntentStatus {
  if (!intent) return 'none';
  if (intent.expired) return 'expired';
  return intent.removed ? 'removed' : 'active';
}

export function stepIntent(state: IntentState, event: IntentEvent, now: number): IntentStep {
  switch (event.kind) {
    case 'requested': {
      const intent = requestedIntent(state.intent, event, now);
      return {
        state: { intent, heardElsewhere: false },
        effects: [
          { kind: 'publish', intent },
          { kind: 'apply', intent },
        ],
      };
    }
    case 'heartbeat':
      return heartbeat(state, now);
    case 'changed':
      return changed(state, event.change, now);
    case 'merged':
      return merged(state, event.theirs);
  }
}

/** The intent after a request. A request for a removed instance starts without the marks of the removal. */
export function requestedIntent(
  last: Intent | undefined,
  { changes, by }: { changes: Partial<Intent>; by: string },
  now: number,
): Intent {
  const { removed: _, expired: __, unlisted: ___, ...before } = last ?? {};
  return { ...before, ...changes, by, updatedAt: nextVersion(last, now) };
}

/** Newer than the previous intent, even if that came from an agent whose clock is ahead. */
const nextVersion = (last: Intent | undefined, now: number): number =>
  Math.max(now, (last?.updatedAt ?? 0) + 1);

/** Not saved: after a restart every registration gets a full TTL. */
function heartbeat(state: IntentState, now: number): IntentStep {
  const { intent } = state;
  if (intent?.registration?.ttl === undefined) return { state, effects: [{ kind: 'heartbeat' }] };
  const next = { ...intent, beatenAt: Math.max(now, intent.beatenAt ?? 0) };
  return {
    state: { intent: next, heardElsewhere: false },
    effects: [{ kind: 'heartbeat' }, { kind: 'publish', intent: next }],
  };
}

function changed(state: IntentState, change: Change, now: number): IntentStep {
  const { intent } = state;
  const next = intent && intentAfterChange(intent, change, nextVersion(intent, now));
  const heardElsewhere = state.heardElsewhere && (next ?? intent)?.registration !== undefined;
  return {
    state: { intent: next ?? intent, heardElsewhere },
    effects: next ? [{ kind: 'publish', intent: next }, { kind: 'save' }] : [],
  };
}

function merged(state: IntentState, theirs: Intent): IntentStep {
  const { intent: ours } = state;
  const newHeartbeat = ours !== undefined && hasNewerHeartbeat(theirs, ours);
  const wins = supersedes(theirs, ours);
  const newRegistration = wins && !ours?.registration;
  const heardElsewhere =
    state.heardElsewhere || (theirs.registration?.ttl !== undefined && (newHeartbeat || newRegistration));
  if (!wins) {
    if (!newHeartbeat) return { state, effects: [] };
    const intent = { ...ours, beatenAt: theirs.beatenAt };
    return { state: { intent, heardElsewhere }, effects: [{ kind: 'heartbeat' }] };
  }
  const beatenAt = Math.max(ours?.beatenAt ?? 0, theirs.beatenAt ?? 0);
  const intent = beatenAt > 0 ? { ...theirs, beatenAt } : theirs;
  const effects: IntentEffect[] = [{ kind: 'apply', intent, previous: ours }, { kind: 'save' }];
  const { registration } = intent;
  if (registration && ours?.registration && !sameRegistration(ours.registration, registration)) {
    // Another agent deregistered it and registered it again since the last comparison.
    effects.unshift({ kind: 'deregister', reason: 'registered again', by: intent.by });
  }
  return { state: { intent, heardElsewhere }, effects };
}
