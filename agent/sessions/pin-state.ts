import { isDeepStrictEqual } from 'node:util';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';
import { createPlacement, pinOverrides, placePins } from './placement.ts';
import { type GovernanceSession, IDLE_LIMIT_MS, isOpen, type PinMove, type SessionState } from './session.ts';

/** Pins of one session that changed, and the moves that changed them. */
export interface PinDelta {
  pins: Record<string, string>;
  moves: readonly PinMove[];
}

export interface PinSave extends PinDelta {
  id: string;
}

interface TrackedSession {
  id: string;
  pins: Readonly<Record<string, string>>;
  /** Not in the database yet. */
  unsaved: PinDelta | null;
}

/**
 * One database operation at a time:
 * - `idle`: waits for a change or the next sweep.
 * - `expiring`: the leader ends idle sessions; first part of a sweep.
 * - `reading`: loads the open sessions, to learn what other agents created, moved and ended.
 * - `saving`: the leader writes moved pins.
 */
export type PinPhase =
  | { name: 'idle' }
  | { name: 'expiring' }
  | { name: 'reading'; asLeader: boolean }
  | { name: 'saving'; batch: readonly PinSave[] };

export interface PinState {
  phase: PinPhase;
  /** Something changed during the phase: save when it ends. */
  saveRequested: boolean;
  /** This agent led when it last started to read or save. A new leader must read before it writes. */
  confirmedLeader: boolean;
  /** Open sessions by id, newest last. Up to 50,000, so `step` changes the map in place. */
  sessions: Map<string, TrackedSession>;
  /** Sessions that changed since the last read started, so its result for them is outdated. Changed in place. */
  changedSinceRead: Set<string>;
  overrides: SnapshotPins;
}

export type PinEvent =
  | { kind: 'sweep' }
  | { kind: 'session-changed'; session: Pick<GovernanceSession, 'id' | 'state' | 'pins'> }
  | { kind: 'instances-changed' }
  | { kind: 'save-requested' }
  | { kind: 'expired'; ids: readonly string[] }
  | { kind: 'loaded'; sessions: readonly Pick<GovernanceSession, 'id' | 'pins'>[] }
  /** `unsaved`: the part of the batch that the database did not accept. */
  | { kind: 'saved'; unsaved: readonly PinSave[] }
  /** Expiring or reading failed. */
  | { kind: 'failed' };

export type PinEffect =
  | { kind: 'expire'; idle: { state: SessionState; before: number }[] }
  | { kind: 'load'; limit: number }
  | { kind: 'save'; batch: readonly PinSave[] }
  /** The overrides contain a pin that the snapshot does not carry yet. */
  | { kind: 'publish-overrides' };

export interface PinContext {
  now: number;
  leads: boolean;
  instances: () => Iterable<Instance>;
}

export interface PinStep {
  state: PinState;
  effects: PinEffect[];
}

/** Sessions that are kept on an instance. Sessions beyond this rely on the placement by id alone. */
const MAX_SESSIONS = 50_000;
/** Sessions whose pins the snapshot carries: about 80 bytes each. */
const MAX_OVERRIDES = 500;

export const initialPinState = (): PinState => ({
  phase: { name: 'idle' },
  saveRequested: false,
  confirmedLeader: false,
  sessions: new Map(),
  changedSinceRead: new Set(),
  overrides: {},
});

export function step(state: PinState, event: PinEvent, context: PinContext): PinStep {
  switch (event.kind) {
    case 'sweep':
      if (state.phase.name !== 'idle') return requestSave(state, context);
      return context.leads ? startExpiring(state, context) : startReading(state, context);
    case 'session-changed':
      track(state, event.session);
      return { state, effects: [] };
    case 'instances-changed': {
      if (state.sessions.size === 0) return { state, effects: [] };
      const placed = place(state, context);
      return after(placed, requestSave(placed.state, context));
    }
    case 'save-requested':
      return requestSave(state, context);
    case 'expired':
      for (const id of event.ids) state.sessions.delete(id);
      return startReading(state, context);
    case 'loaded': {
      merge(state, event.sessions);
      const asLeader = state.phase.name === 'reading' && state.phase.asLeader;
      const placed = place({ ...state, confirmedLeader: asLeader }, context);
      return after(placed, startSaving(placed.state, context));
    }
    case 'saved':
      for (const failed of event.unsaved) restore(state, failed);
      return finish(state, context);
    case 'failed':
      return finish(state, context);
  }
}

const after = (first: PinStep, second: PinStep): PinStep => ({
  state: second.state,
  effects: [...first.effects, ...second.effects],
});

function startExpiring(state: PinState, { now }: PinContext): PinStep {
  const idle = Object.entries(IDLE_LIMIT_MS).map(([name, limit]) => ({
    state: name as SessionState,
    before: now - limit,
  }));
  return { state: { ...state, phase: { name: 'expiring' } }, effects: [{ kind: 'expire', idle }] };
}

function startReading(state: PinState, { leads }: PinContext): PinStep {
  state.changedSinceRead.clear();
  return {
    state: { ...state, phase: { name: 'reading', asLeader: leads } },
    effects: [{ kind: 'load', limit: MAX_SESSIONS }],
  };
}

function startSaving(state: PinState, context: PinContext): PinStep {
  const { leads } = context;
  // What a new leader remembers may be older than the last write of the previous leader.
  if (leads && !state.confirmedLeader) return startReading(state, context);
  const batch: PinSave[] = [];
  for (const session of state.sessions.values()) {
    if (!session.unsaved) continue;
    if (leads) batch.push({ id: session.id, ...session.unsaved });
    // On a standby the change is dropped: the leader sees the same instances and writes it.
    session.unsaved = null;
  }
  const next = { ...state, confirmedLeader: leads };
  if (batch.length === 0) return finish(next, context);
  return { state: { ...next, phase: { name: 'saving', batch } }, effects: [{ kind: 'save', batch }] };
}

function requestSave(state: PinState, context: PinContext): PinStep {
  if (state.phase.name === 'idle') return startSaving(state, context);
  return { state: { ...state, saveRequested: true }, effects: [] };
}

function finish(state: PinState, context: PinContext): PinStep {
  const idle: PinState = { ...state, phase: { name: 'idle' }, saveRequested: false };
  return state.saveRequested ? startSaving(idle, context) : { state: idle, effects: [] };
}

/** Moves the pins of instances that no longer serve, and computes the overrides. */
function place(state: PinState, { instances, now }: PinContext): PinStep {
  const placement = createPlacement(instances(), now);
  for (const session of state.sessions.values()) {
    const { pins, moves } = placePins(session.id, session.pins, placement, now);
    const changed = Object.entries(pins).filter(([service, pin]) => session.pins[service] !== pin);
    if (changed.length === 0) continue;
    session.pins = pins;
    session.unsaved = join(session.unsaved, { pins: Object.fromEntries(changed), moves });
  }
  const overrides = pinOverrides(state.sessions.values(), placement, MAX_OVERRIDES);
  const isNew = Object.entries(overrides).some(([id, pins]) => !isDeepStrictEqual(pins, state.overrides[id]));
  return { state: { ...state, overrides }, effects: isNew ? [{ kind: 'publish-overrides' }] : [] };
}

function track(
  { sessions, changedSinceRead, phase }: PinState,
  { id, state, pins }: Pick<GovernanceSession, 'id' | 'state' | 'pins'>,
): void {
  changedSinceRead.add(id);
  if (!isOpen(state)) {
    sessions.delete(id);
    return;
  }
  // Pins that are not written yet are newer than the ones in the database.
  const unsaved = sessions.get(id)?.unsaved ?? null;
  const saving = phase.name === 'saving' ? phase.batch.find((save) => save.id === id) : undefined;
  sessions.set(id, { id, pins: { ...pins, ...saving?.pins, ...unsaved?.pins }, unsaved });
  const oldest = sessions.keys().next().value;
  if (sessions.size > MAX_SESSIONS && oldest !== undefined) sessions.delete(oldest);
}

function merge(
  { sessions, changedSinceRead, confirmedLeader }: PinState,
  loaded: readonly Pick<GovernanceSession, 'id' | 'pins'>[],
): void {
  const open = new Set(loaded.map(({ id }) => id));
  for (const id of sessions.keys()) if (!open.has(id) && !changedSinceRead.has(id)) sessions.delete(id);
  for (const { id, pins } of loaded) {
    // Unsaved moves are newer than what was loaded, unless another agent led when they were made.
    const replace = sessions.get(id)?.unsaved ? !confirmedLeader : !changedSinceRead.has(id);
    if (replace) sessions.set(id, { id, pins, unsaved: null });
  }
}

function restore({ sessions }: PinState, { id, pins, moves }: PinSave): void {
  const session = sessions.get(id);
  if (session) session.unsaved = join({ pins, moves }, session.unsaved);
}

const join = (earlier: PinDelta | null, later: PinDelta | null): PinDelta => ({
  pins: { ...earlier?.pins, ...later?.pins },
  moves: [...(earlier?.moves ?? []), ...(later?.moves ?? [])],
});
