import type { Logger } from 'pino';
import { errorMessage } from '../../shared/error-message.ts';
import type { SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';
import type { MessageSigner } from '../lib/message-signer.ts';
import { uuid7 } from '../lib/uuid7.ts';
import type { LiveState } from '../live/live-state.ts';
import { createPinKeeper } from './pin-keeper.ts';
import { createPlacement, placePins } from './placement.ts';
import {
  applyCommand,
  type GovernanceSession,
  isIdle,
  type SessionCommand,
  type WorkflowType,
} from './session.ts';
import { parseSession, sessionEntries } from './session-cache.ts';
import type { SessionFilter, SessionStats, SessionStore } from './store.ts';

export type SessionCommandResult =
  | { kind: 'done'; session: GovernanceSession }
  | { kind: 'unknown' }
  /** The version is not current, or the state does not allow the command. */
  | { kind: 'conflict'; session: GovernanceSession; why: string }
  /** The session would exceed its size limits. */
  | { kind: 'full'; why: string };

export interface NewSession {
  workflowType: WorkflowType;
  userId: string;
  metadata: Record<string, unknown>;
}

/**
 * Governance sessions. Postgres is the source of truth; the live state holds copies for reads while Postgres is away.
 * All methods throw database errors, except that `get` falls back to the copy.
 */
export interface Sessions {
  create(session: NewSession): Promise<GovernanceSession>;
  /** `stale`: from the copy, because Postgres did not respond. Throws when there is no copy either. */
  get(id: string): Promise<{ session: GovernanceSession; stale: boolean } | null>;
  /** Without `version`, the command applies to any current version. */
  command(id: string, command: SessionCommand, version?: number): Promise<SessionCommandResult>;
  /** An operator moves a session. Null when there is no such session. */
  pin(id: string, service: string, instance: string): Promise<GovernanceSession | null>;
  list(filter: SessionFilter): Promise<GovernanceSession[]>;
  stats(): Promise<SessionStats>;
  /** Pins that the edge cannot derive from the session id. */
  snapshotPins(): SnapshotPins;
  /** When instances change, moves the pins of those that no longer serve, once, and records the moves. */
  accept(update: { instances: ReadonlyMap<string, Instance>; changes: readonly unknown[] }): void;
  close(): Promise<void>;
}

export interface SessionsOptions {
  store: SessionStore;
  live: LiveState;
  copySigner: MessageSigner;
  instances: () => ReadonlyMap<string, Instance>;
  log: Logger;
  /** Only the leader expires sessions and records moves. */
  isLeader?: () => boolean;
  /** Called when `snapshotPins` contains a pin that the snapshot does not carry yet. */
  onOverrides?: () => void;
  now?: () => number;
}

export function createSessions(options: SessionsOptions): Sessions {
  const { store, live, instances, log, isLeader = () => true, onOverrides, now = Date.now } = options;
  const keeper = createPinKeeper({
    store,
    live,
    instances,
    log,
    isLeader,
    now,
    ...(onOverrides && { onOverrides }),
  });

  const copies = createCopies(options);

  async function saved(session: GovernanceSession): Promise<GovernanceSession> {
    keeper.sessionChanged(session);
    await copies.write(session);
    return session;
  }

  return {
    async create(fields) {
      const session = newSession(fields, instances().values(), now());
      await store.insert(session);
      return saved(session);
    },
    async get(id) {
      try {
        const session = await store.get(id);
        return session && { session: withExpiry(session, now()), stale: false };
      } catch (error) {
        const session = await copies.read(id);
        if (!session) throw error;
        return { session: withExpiry(session, now()), stale: true };
      }
    },
    async command(id, command, version) {
      const result = await runCommand(store, { id, command, version, now });
      if (result.kind === 'done') await saved(result.session);
      return result;
    },
    async pin(id, service, instance) {
      const { session, moved } = await movePin(store, { id, service, instance, now: now() });
      if (!session || !moved) return session;
      keeper.sessionChanged(session);
      keeper.instancesChanged();
      await copies.write(session);
      return session;
    },
    async list(filter) {
      const found = (await store.list(filter)).map((session) => withExpiry(session, now()));
      // The database may still list a session as active that expired since the last sweep.
      return found.filter(({ state }) => filter.state === undefined || state === filter.state);
    },
    stats: store.stats,
    snapshotPins: keeper.overrides,
    accept(update) {
      if (update.changes.length > 0) keeper.instancesChanged();
    },
    close: keeper.close,
  };
}

/** Copies of sessions in the live state. Losing one costs nothing but reads while Postgres is away. */
function createCopies({ live, copySigner, log, now = Date.now }: SessionsOptions) {
  const signing = () => ({ signer: copySigner, now: now() });
  return {
    async write(session: GovernanceSession): Promise<void> {
      await live
        .put(sessionEntries(live.keys, session, signing()))
        .catch((error: unknown) =>
          log.debug({ error: errorMessage(error) }, 'session not copied to live state'),
        );
    },
    async read(id: string): Promise<GovernanceSession | null> {
      const text = await live.get(live.keys.session(id)).catch(() => null);
      const session = text === null ? null : parseSession(text, signing());
      return session?.id === id ? session : null;
    },
  };
}

interface CommandRequest {
  id: string;
  command: SessionCommand;
  version: number | undefined;
  now: () => number;
}

async function runCommand(
  store: SessionStore,
  { id, command, version, now }: CommandRequest,
): Promise<SessionCommandResult> {
  for (;;) {
    const current = await store.get(id);
    if (!current) return { kind: 'unknown' };
    const session = withExpiry(current, now());
    if (version !== undefined && version !== current.version) {
      const why = `version ${version} is not current; the current version is ${current.version}`;
      return { kind: 'conflict', session, why };
    }
    const next = applyCommand(current, command, now());
    if (!next.ok) return { kind: next.kind, session, why: next.why };
    const updated = await store.update(next.session);
    if (updated) return { kind: 'done', session: updated };
    // Another request changed the session meanwhile: read it again.
  }
}

async function movePin(
  store: SessionStore,
  { id, service, instance, now }: { id: string; service: string; instance: string; now: number },
): Promise<{ session: GovernanceSession | null; moved: boolean }> {
  const session = await store.get(id);
  const from = session?.pins[service] ?? '';
  if (!session || from === instance) return { session, moved: false };
  const move = { at: now, service, from, to: instance, reason: 'set by an operator' };
  // Writes this pin only: another request may move another pin.
  await store.savePins(id, { [service]: instance }, [move]);
  return { session: await store.get(id), moved: true };
}

function newSession(
  { workflowType, userId, metadata }: NewSession,
  instances: Iterable<Instance>,
  now: number,
): GovernanceSession {
  const id = uuid7(now);
  return {
    id,
    workflowType,
    userId,
    state: 'active',
    currentStep: 'initial',
    completedSteps: [],
    stepDurations: {},
    stepStartedAt: now,
    data: {},
    metadata,
    pins: placePins(id, {}, createPlacement(instances, now), now).pins,
    moves: [],
    createdAt: now,
    lastActivity: now,
    totalDuration: null,
    reason: null,
    version: 1,
  };
}

/** An idle session counts as expired at once, before the next sweep writes it. */
function withExpiry(session: GovernanceSession, now: number): GovernanceSession {
  return isIdle(session, now) ? { ...session, state: 'expired', reason: 'idle too long' } : session;
}
