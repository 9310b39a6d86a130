import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';
import { liveKeys, TTL_SECONDS } from '../live/keys.ts';
import type { LiveState } from '../live/live-state.ts';
import { createPlacement, pinOverrides, placePins } from './placement.ts';
import { type GovernanceSession, IDLE_LIMIT_MS, type PinMove, type SessionState } from './session.ts';
import type { SessionStore } from './store.ts';

/** Keeps the pins of open sessions true: in memory at once, in Postgres and the live state as soon as they take it. */
export interface PinKeeper {
  /** A session was made or changed. */
  sessionChanged(session: GovernanceSession): void;
  /** Instances changed, or an operator moved a session. */
  instancesChanged(): void;
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
  /** The snapshot must tell the edge of pins that it does not yet tell of. */
  onOverrides?: () => void;
  sweepMs?: number;
}

interface TrackedSession {
  id: string;
  pins: Record<string, string>;
  /** What is not written down yet: the pins that changed, and how. */
  unsaved: { pins: Record<string, string>; moves: PinMove[] } | null;
}

/** Open sessions looked after at once; beyond them the edge's own placement is all there is. */
const MAX_SESSIONS = 50_000;
/** Sessions the snapshot carries pins for: some 80 bytes each. */
const MAX_OVERRIDES = 500;
const SWEEP_MS = 30_000;

const joined = (
  earlier: TrackedSession['unsaved'],
  later: TrackedSession['unsaved'],
): NonNullable<TrackedSession['unsaved']> => ({
  pins: { ...earlier?.pins, ...later?.pins },
  moves: [...(earlier?.moves ?? []), ...(later?.moves ?? [])],
});

export function createPinKeeper(options: PinKeeperOptions): PinKeeper {
  const { store, live, instances, log, isLeader, now, onOverrides = () => {}, sweepMs = SWEEP_MS } = options;
  const held = new Map<string, TrackedSession>();
  let working: Promise<void> | null = null;
  let again = false;
  /** Whether this agent led when it last began to read, or wrote. */
  let led = false;
  /** Told of since the last read began: what that brings of them is older. */
  const noted = new Set<string>();
  let answer: SnapshotPins = {};

  function place(): void {
    const placement = createPlacement(instances().values(), now());
    for (const session of held.values()) {
      const { pins, moves } = placePins(session.id, session.pins, placement, now());
      const changed = Object.entries(pins).filter(([service, pin]) => session.pins[service] !== pin);
      if (changed.length === 0) continue;
      session.pins = pins;
      session.unsaved = joined(session.unsaved, { pins: Object.fromEntries(changed), moves });
    }
    const before = answer;
    answer = pinOverrides(held.values(), placement, MAX_OVERRIDES);
    if (Object.entries(answer).some(([id, pins]) => !isDeepStrictEqual(pins, before[id]))) onOverrides();
  }

  /** What another agent made or moved, and what ended there. */
  async function read(): Promise<void> {
    // One that begins to lead meanwhile may be brought what is older than the last word of the leader before.
    const leads = isLeader();
    noted.clear();
    const open = new Map((await store.listOpen(MAX_SESSIONS)).map((session) => [session.id, session]));
    for (const id of held.keys()) if (!open.has(id) && !noted.has(id)) held.delete(id);
    for (const { id, pins } of open.values()) {
      const unsaved = held.get(id)?.unsaved;
      // One that takes over knows what was written only from here on.
      if (unsaved ? !led : !noted.has(id)) held.set(id, { id, pins, unsaved: null });
    }
    led = leads;
    place();
  }

  async function save(): Promise<void> {
    if (isLeader() && !led) await read();
    led = isLeader();
    for (const session of held.values()) {
      const { unsaved } = session;
      session.unsaved = null;
      // The leader sees the same, and writes it.
      if (!unsaved || !led) continue;
      try {
        await store.savePins(session.id, unsaved.pins, unsaved.moves);
      } catch (error) {
        session.unsaved = joined(unsaved, session.unsaved);
        throw error;
      }
      const entries = Object.entries(unsaved.pins).map(([service, value]) => ({
        key: liveKeys.pin(session.id, service),
        value,
        ttlSeconds: TTL_SECONDS.pin,
      }));
      await live.put(entries).catch(() => {});
    }
  }

  async function sweep(): Promise<void> {
    if (isLeader()) {
      const idle = Object.entries(IDLE_LIMIT_MS).map(([state, limit]) => ({
        state: state as SessionState,
        before: now() - limit,
      }));
      for (const id of await store.expire(idle, now())) held.delete(id);
    }
    await read();
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
    sessionChanged(session) {
      noted.add(session.id);
      const open = session.state === 'active' || session.state === 'suspended';
      if (!open) held.delete(session.id);
      else if (!held.get(session.id)?.unsaved) {
        held.set(session.id, { id: session.id, pins: session.pins, unsaved: null });
      }
      if (held.size > MAX_SESSIONS) held.delete(held.keys().next().value ?? '');
    },
    instancesChanged() {
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
