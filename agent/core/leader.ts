import { errorMessage } from '../../shared/error-message.ts';
import type { SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import type { Log } from '../lib/log.ts';
import {
  initialLeaderState,
  type LeaderEffect,
  type LeaderEvent,
  type LeaderState,
  stepLeader,
} from './leader-state.ts';

/** The agent that publishes snapshots, writes history, and sends alerts. `leader-state.ts` explains the election. */
export interface Leader {
  isLeader(): boolean;
  status(): { role: 'single' | 'leader' | 'standby'; holder: string | null; error: string | null };
  /** Checks the lease after another agent published a newer epoch. If it fails, this agent becomes standby. */
  confirm(): Promise<boolean>;
  /** Takes part in the election from now on. */
  start(options: LeaderStart): void;
  close(): Promise<void>;
}

export interface LeaderStart {
  /** Without a Hub, an agent keeps its role while the lease is unavailable. */
  hub?: LeaderHub | undefined;
  onChange(leading: boolean): void;
}

/** The lease in the live state. Both methods reject while the store is unavailable. */
export interface LeaderLease {
  acquireLease(owner: string, ttlMs: number): Promise<{ held: boolean; holder: string | null }>;
  releaseLease(owner: string): Promise<void>;
}

/** The edge, which shows whether a leader still publishes when the lease cannot. */
export interface LeaderHub {
  publishHeartbeat(): void;
  /** The order of the newest snapshot at the edge. Rejects if it cannot be read. */
  latestOrder(): Promise<SnapshotOrder | null>;
}

/** A standby replaces a dead leader within the lease time plus one renewal. */
const LEASE_MS = 3_000;
const RENEW_MS = 1_000;

/** The leader of a site with one agent. */
export const singleAgent: Leader = {
  isLeader: () => true,
  status: () => ({ role: 'single', holder: null, error: null }),
  confirm: () => Promise.resolve(true),
  start: () => {},
  close: () => Promise.resolve(),
};

export interface LeaderOptions {
  /** Unique among the agents of the site. */
  owner: string;
  lease: LeaderLease;
  log: Log;
  /** Milliseconds that never go back. */
  clock?: () => number;
}

/** One of several agents; renews the lease every second. */
export function createLeader(options: LeaderOptions): Leader {
  const { owner, lease, log, clock = () => performance.now() } = options;
  let state: LeaderState = initialLeaderState;
  let hub: LeaderHub | undefined;
  let onChange = (_leading: boolean): void => {};
  let timer: NodeJS.Timeout | undefined;

  async function dispatch(event: LeaderEvent): Promise<void> {
    const result = stepLeader(state, event, clock());
    state = result.state;
    for (const effect of result.effects) await run(effect);
  }

  async function run(effect: LeaderEffect): Promise<void> {
    switch (effect.kind) {
      case 'role-changed':
        log.info(
          { holder: effect.holder },
          effect.leading ? 'this agent is now leader' : 'this agent is now standby',
        );
        return onChange(effect.leading);
      case 'lease-lost':
        return log.warn(
          { error: effect.error, leading: effect.leading },
          'lease unavailable; keeping current role',
        );
      case 'takeover':
        return log.warn(
          { order: effect.order },
          'lease unavailable and no new snapshot at the edge; taking over',
        );
      case 'publish-heartbeat':
        return hub?.publishHeartbeat();
      case 'read-hub':
        if (hub) await dispatch(await readHub(hub));
        return;
      case 'release-lease':
        return lease.releaseLease(owner).catch(() => {});
    }
  }

  async function renew(): Promise<boolean> {
    const event = await requestLease(lease, owner);
    await dispatch(event);
    return event.kind === 'lease-answered' && event.held;
  }

  async function renewPeriodically(): Promise<void> {
    await renew();
    if (hub) await dispatch({ kind: 'hub-due' });
    if (state.role !== 'closed') timer = setTimeout(() => void renewPeriodically(), RENEW_MS);
  }

  return {
    isLeader: () => state.role === 'leader',
    status: () => statusOf(state),
    async confirm() {
      if (await renew()) return true;
      await dispatch({ kind: 'superseded' });
      return false;
    },
    start(started) {
      hub = started.hub;
      onChange = started.onChange;
      void renewPeriodically();
    },
    async close() {
      clearTimeout(timer);
      await dispatch({ kind: 'closed' });
    },
  };
}

function statusOf(state: LeaderState): ReturnType<Leader['status']> {
  if (state.role === 'closed') return { role: 'standby', holder: null, error: null };
  const error = state.lease.kind === 'unavailable' ? state.lease.error : null;
  return { role: state.role, holder: state.holder, error };
}

const requestLease = (lease: LeaderLease, owner: string): Promise<LeaderEvent> =>
  lease.acquireLease(owner, LEASE_MS).then(
    (answer): LeaderEvent => ({ kind: 'lease-answered', held: answer.held, holder: answer.holder }),
    (error: unknown): LeaderEvent => ({ kind: 'lease-failed', error: errorMessage(error) }),
  );

const readHub = (hub: LeaderHub): Promise<LeaderEvent> =>
  hub.latestOrder().then(
    (order): LeaderEvent => ({ kind: 'hub-answered', order }),
    (): LeaderEvent => ({ kind: 'hub-failed' }),
  );
