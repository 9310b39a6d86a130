import type { Logger } from 'pino';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import { liveKeys, TTL } from '../live/keys.ts';
import type { LiveState } from '../live/live.ts';
import type { Instance } from '../state.ts';
import { createPlacement, overrides, placePins } from './placement.ts';
import { IDLE_MS, type PinMove, type Session, type SessionState } from './session.ts';
import type { SessionStore } from './store.ts';

/** Keeps the pins of open sessions true: in memory at once, in Postgres and the live state as soon as they take it. */
export interface PinKeeper {
  /** A session was made or changed. */
  note(session: Session): void;
  /** Instances changed. */
  changed(): void;
  overrides(): SnapshotPins;
  close(): Promise<void>;
}

export interface PinKeeperOptions {
  store: SessionStore;
  live: LiveState;
  instances: () => ReadonlyMap<string, Instance>;
  log: Logger;
  isLeader: () => boolean;
  now: () => number;
  sweepMs?: number;
}

interface Held {
  id: string;
  pins: Record<string, string>;
  /** Moves not yet written down. */
  unsaved: PinMove[];
  dirty: boolean;
}

/** Open sessions looked after at once; beyond them the edge's own placement is all there is. */
const MAX_SESSIONS = 50_000;
/** Sessions the snapshot carries pins for: some 80 bytes each. */
const MAX_OVERRIDES = 500;
const SWEEP_MS = 30_000;

export function createPinKeeper(options: PinKeeperOptions): PinKeeper {
  const { store, live, instances, log, isLeader, now, sweepMs = SWEEP_MS } = options;
  const held = new Map<string, Held>();
  let working: Promise<void> | null = null;
  let again = false;
  let answer: SnapshotPins = {};

  function place(): void {
    const placement = createPlacement(instances().values(), now());
    for (const session of held.values()) {
      const { pins, moves, changed } = placePins(session.id, session.pins, placement, now());
      if (!changed) continue;
      session.pins = pins;
      session.unsaved.push(...moves);
      session.dirty = true;
    }
    answer = overrides(held.values(), placement, MAX_OVERRIDES);
  }

  async function save(): Promise<void> {
    if (!isLeader()) return;
    for (const session of held.values()) {
      if (!session.dirty) continue;
      const moves = session.unsaved;
      await store.savePins(session.id, session.pins, moves);
      session.unsaved = session.unsaved.slice(moves.length);
      session.dirty = session.unsaved.length > 0;
      const entries = Object.entries(session.pins).map(([service, value]) => ({
        key: liveKeys.pin(session.id, service),
        value,
        ttlSeconds: TTL.pin,
      }));
      await live.put(entries).catch(() => {});
    }
  }

  async function sweep(): Promise<void> {
    if (isLeader()) {
      const idle = Object.entries(IDLE_MS).map(([state, limit]) => ({
        state: state as SessionState,
        before: now() - limit,
      }));
      for (const id of await store.expire(idle, now())) held.delete(id);
    }
    // What another agent made, and what ended there.
    const open = new Map((await store.open(MAX_SESSIONS)).map((session) => [session.id, session]));
    for (const id of held.keys()) if (!open.has(id)) held.delete(id);
    for (const { id, pins } of open.values()) {
      if (!held.get(id)?.dirty) held.set(id, { id, pins, unsaved: [], dirty: false });
    }
    place();
    await save();
  }

  /** One piece of work at a time; a wish that comes meanwhile is served by one more round. */
  function run(work: () => Promise<void>): void {
    if (working) {
      again = true;
      return;
    }
    working = work()
      .catch((error: Error) => log.debug(`session pins not saved: ${error.message}`))
      .finally(() => {
        working = null;
        if (again) {
          again = false;
          run(save);
        }
      });
  }

  const timer = setInterval(() => run(sweep), sweepMs);
  timer.unref();
  run(sweep);

  return {
    note(session) {
      const open = session.state === 'active' || session.state === 'suspended';
      if (!open) held.delete(session.id);
      else if (!held.get(session.id)?.dirty) {
        held.set(session.id, { id: session.id, pins: session.pins, unsaved: [], dirty: false });
      }
      if (held.size > MAX_SESSIONS) held.delete(held.keys().next().value ?? '');
    },
    changed() {
      if (held.size === 0) return;
      place();
      run(save);
    },
    overrides: () => answer,
    async close() {
      clearInterval(timer);
      await working;
      await save().catch((error: Error) => log.warn(`session pins not saved: ${error.message}`));
    },
  };
}
