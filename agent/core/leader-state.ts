import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';

/**
 * Leader election as a pure state machine. Redis decides by a lease. While the lease is unavailable, each agent keeps
 * its role: the leader publishes a heartbeat to the edge, and a standby that reads the edge and sees nothing new there
 * for 15 seconds becomes leader. If several lead, the edge accepts only the snapshots with the greatest epoch, and the
 * others become standby.
 */
export type LeaderState =
  | {
      readonly role: 'leader' | 'standby';
      /** The owner of the lease, as far as this agent knows. */
      readonly holder: string | null;
      readonly lease: LeaseState;
      /** When this agent last published to or read from the Hub; null: never. */
      readonly hubUsedAt: number | null;
    }
  | { readonly role: 'closed' };

type LeaseState =
  | { readonly kind: 'available' }
  | { readonly kind: 'unavailable'; readonly error: string; readonly hub: HubView | null };

/** The newest order seen at the Hub, and since when it is unchanged. */
interface HubView {
  readonly order: SnapshotOrder | null;
  readonly unchangedSince: number;
}

export type LeaderEvent =
  | { kind: 'lease-answered'; held: boolean; holder: string | null }
  | { kind: 'lease-failed'; error: string }
  /** The Hub may be used; sent every second while the lease is unavailable. */
  | { kind: 'hub-due' }
  | { kind: 'hub-answered'; order: SnapshotOrder | null }
  | { kind: 'hub-failed' }
  /** Another agent published a newer epoch, and the lease does not confirm this agent. */
  | { kind: 'superseded' }
  | { kind: 'closed' };

export type LeaderEffect =
  | { kind: 'role-changed'; leading: boolean; holder: string | null }
  | { kind: 'lease-lost'; error: string; leading: boolean }
  | { kind: 'takeover'; order: SnapshotOrder | null }
  | { kind: 'publish-heartbeat' }
  | { kind: 'read-hub' }
  | { kind: 'release-lease' };

export interface LeaderStep {
  state: LeaderState;
  effects: LeaderEffect[];
}

/** While the lease is unavailable, the Hub is used this often. */
export const HUB_INTERVAL_MS = 5_000;
/** A leader that publishes nothing for this long counts as dead. */
export const HUB_SILENCE_MS = 15_000;

export const initialLeaderState: LeaderState = {
  role: 'standby',
  holder: null,
  lease: { kind: 'available' },
  hubUsedAt: null,
};

type Open = Exclude<LeaderState, { role: 'closed' }>;

/** `now` is in milliseconds and never goes back. */
export function stepLeader(state: LeaderState, event: LeaderEvent, now: number): LeaderStep {
  if (state.role === 'closed') return { state, effects: [] };
  switch (event.kind) {
    case 'lease-answered': {
      const next: Open = { ...state, holder: event.holder, lease: { kind: 'available' } };
      return changeRole(next, event.held);
    }
    case 'lease-failed':
      return leaseFailed(state, event.error);
    case 'hub-due':
      return hubDue(state, now);
    case 'hub-answered':
      return hubAnswered(state, event.order, now);
    case 'hub-failed':
      return { state: withHubView(state, null), effects: [] };
    case 'superseded':
      return changeRole(state, false);
    case 'closed':
      return {
        state: { role: 'closed' },
        effects: state.role === 'leader' ? [{ kind: 'release-lease' }] : [],
      };
  }
}

function changeRole(state: Open, leading: boolean): LeaderStep {
  const role = leading ? 'leader' : 'standby';
  if (role === state.role) return { state, effects: [] };
  return { state: { ...state, role }, effects: [{ kind: 'role-changed', leading, holder: state.holder }] };
}

function leaseFailed(state: Open, error: string): LeaderStep {
  const { lease } = state;
  const hub = lease.kind === 'unavailable' ? lease.hub : null;
  return {
    state: { ...state, lease: { kind: 'unavailable', error, hub } },
    effects:
      lease.kind === 'available' ? [{ kind: 'lease-lost', error, leading: state.role === 'leader' }] : [],
  };
}

function hubDue(state: Open, now: number): LeaderStep {
  const recent = state.hubUsedAt !== null && now - state.hubUsedAt < HUB_INTERVAL_MS;
  if (state.lease.kind === 'available' || recent) return { state, effects: [] };
  return {
    state: { ...state, hubUsedAt: now },
    effects: [{ kind: state.role === 'leader' ? 'publish-heartbeat' : 'read-hub' }],
  };
}

function hubAnswered(state: Open, order: SnapshotOrder | null, now: number): LeaderStep {
  if (state.lease.kind === 'available' || state.role === 'leader') return { state, effects: [] };
  const { hub } = state.lease;
  if (!hub || !isSameOrder(hub.order, order)) {
    return { state: withHubView(state, { order, unchangedSince: now }), effects: [] };
  }
  if (now - hub.unchangedSince < HUB_SILENCE_MS) return { state, effects: [] };
  const { state: next, effects } = changeRole(withHubView(state, null), true);
  return { state: next, effects: [{ kind: 'takeover', order }, ...effects] };
}

const withHubView = (state: Open, hub: HubView | null): Open =>
  state.lease.kind === 'available' ? state : { ...state, lease: { ...state.lease, hub } };

const isSameOrder = (a: SnapshotOrder | null, b: SnapshotOrder | null): boolean =>
  a === b || (a !== null && b !== null && compareSnapshotOrder(a, b) === 0);
