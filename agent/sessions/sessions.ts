import type { Logger } from 'pino';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';
import { uuid7 } from '../lib/uuid7.ts';
import { liveKeys, TTL_SECONDS } from '../live/keys.ts';
import type { LiveState } from '../live/live-state.ts';
import { createPinKeeper, type PinKeeper } from './pin-keeper.ts';
import { createPlacement, placePins } from './placement.ts';
import {
  applyCommand,
  type GovernanceSession,
  isIdle,
  type SessionCommand,
  type WorkflowType,
} from './session.ts';
import { parseSession, serializeSession } from './session-cache.ts';
import type { SessionFilter, SessionStats, SessionStore } from './store.ts';

export type SessionCommandResult =
  | { kind: 'done'; session: GovernanceSession }
  | { kind: 'unknown' }
  /** Somebody else changed it first, or it is in no state for the command. */
  | { kind: 'conflict'; session: GovernanceSession; why: string }
  /** It would grow past its bounds. */
  | { kind: 'full'; why: string };

/**
 * Governance sessions. Postgres decides; the live state holds copies, so that reads go on while Postgres is away. Every
 * method but `get`'s copy throws what the database throws.
 */
export interface Sessions {
  create(workflow: {
    workflowType: WorkflowType;
    userId: string;
    metadata: Record<string, unknown>;
  }): Promise<GovernanceSession>;
  /** `stale`: Postgres did not answer, this is the copy. Throws when there is no copy either. */
  get(id: string): Promise<{ session: GovernanceSession; stale: boolean } | null>;
  command(id: string, command: SessionCommand, version?: number): Promise<SessionCommandResult>;
  /** An operator moves a session. Null when there is no such session. */
  pin(id: string, service: string, instance: string): Promise<GovernanceSession | null>;
  list(filter: SessionFilter): Promise<GovernanceSession[]>;
  stats(): Promise<SessionStats>;
  /** What the snapshot must tell the edge, because an id alone does not. */
  snapshotPins(): SnapshotPins;
  /** Instances changed: pins of those that no longer serve are moved, once, and recorded. */
  accept(update: { instances: ReadonlyMap<string, Instance>; changes: readonly unknown[] }): void;
  close(): Promise<void>;
}

export interface SessionsOptions {
  store: SessionStore;
  live: LiveState;
  instances: () => ReadonlyMap<string, Instance>;
  log: Logger;
  /** Of two agents the leader alone expires sessions and records moves. */
  isLeader?: () => boolean;
  /** The snapshot must tell of pins that it does not yet tell of. */
  onOverrides?: () => void;
  now?: () => number;
}

export function createSessions(options: SessionsOptions): Sessions {
  const { store, live, instances, log, isLeader = () => true, onOverrides, now = Date.now } = options;
  const keeper: PinKeeper = createPinKeeper({
    ...{ store, live, instances, log, isLeader, now },
    ...(onOverrides && { onOverrides }),
  });

  /** A copy for reads without Postgres. Losing it costs nothing. */
  async function copy(session: GovernanceSession): Promise<void> {
    const pins = Object.entries(session.pins).map(([service, instance]) => ({
      key: liveKeys.pin(session.id, service),
      value: instance,
      ttlSeconds: TTL_SECONDS.pin,
    }));
    const whole = {
      key: liveKeys.session(session.id),
      value: serializeSession(session),
      ttlSeconds: TTL_SECONDS.session,
    };
    await live
      .put([whole, ...pins])
      .catch((error: Error) => log.debug(`session not copied: ${error.message}`));
  }

  async function kept(session: GovernanceSession): Promise<GovernanceSession> {
    keeper.sessionChanged(session);
    await copy(session);
    return session;
  }

  return {
    async create({ workflowType, userId, metadata }) {
      const at = now();
      const id = uuid7(at);
      const placement = createPlacement(instances().values(), at);
      const { pins } = placePins(id, {}, placement, at);
      const session: GovernanceSession = {
        ...{ id, workflowType, userId, metadata, pins },
        ...{
          state: 'active',
          currentStep: 'initial',
          completedSteps: [],
          stepDurations: {},
          stepStartedAt: at,
        },
        ...{
          data: {},
          moves: [],
          createdAt: at,
          lastActivity: at,
          totalDuration: null,
          reason: null,
          version: 1,
        },
      };
      await store.insert(session);
      return kept(session);
    },

    async get(id) {
      try {
        const session = await store.get(id);
        return session && { session: asOf(session, now()), stale: false };
      } catch (error) {
        const text = await live.get(liveKeys.session(id)).catch(() => null);
        const session = text === null ? null : parseSession(text);
        if (!session) throw error;
        return { session: asOf(session, now()), stale: true };
      }
    },

    async command(id, command, version) {
      for (;;) {
        const current = await store.get(id);
        if (!current) return { kind: 'unknown' };
        const session = asOf(current, now());
        if (version !== undefined && version !== current.version) {
          const why = `version ${version} is not current; it is ${current.version}`;
          return { kind: 'conflict', session, why };
        }
        const next = applyCommand(current, command, now());
        if (!next.ok) return { kind: next.kind, session, why: next.why };
        const updated = await store.update(next.session);
        if (updated) return { kind: 'done', session: await kept(updated) };
        // Somebody was faster. With a version the caller must decide anew; without one, once more.
      }
    },

    async pin(id, service, instance) {
      const session = await store.get(id);
      if (!session) return null;
      const from = session.pins[service] ?? '';
      if (from === instance) return session;
      const move = { at: now(), service, from, to: instance, reason: 'set by an operator' };
      // This pin alone: another may be moved at the same time.
      await store.savePins(id, { [service]: instance }, [move]);
      const saved = await store.get(id);
      if (!saved) return null;
      keeper.sessionChanged(saved);
      keeper.instancesChanged();
      await copy(saved);
      return saved;
    },

    async list(filter) {
      const found = (await store.list(filter)).map((session) => asOf(session, now()));
      // One that has just been idle too long is active in the database until the next sweep.
      return found.filter(({ state }) => filter.state === undefined || state === filter.state);
    },
    stats: () => store.stats(),
    snapshotPins: () => keeper.overrides(),
    accept(update) {
      if (update.changes.length > 0) keeper.instancesChanged();
    },
    close: () => keeper.close(),
  };
}

/** A session that has been idle too long is expired from that moment on, whenever the sweep writes it down. */
function asOf(session: GovernanceSession, now: number): GovernanceSession {
  return isIdle(session, now) ? { ...session, state: 'expired', reason: 'idle too long' } : session;
}
