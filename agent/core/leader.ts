import { compareSnapshotOrder, type SnapshotOrder } from '../../shared/snapshot/snapshot.ts';
import type { Log } from '../lib/log.ts';

/** Who writes history, alerts and the snapshot. A lease only saves double work; the order of snapshots decides. */
export interface Leader {
  isLeader(): boolean;
  status(): { role: 'single' | 'leader' | 'standby'; holder: string | null; error: string | null };
  /** Asked when someone published a greater pair: whether this agent is still the rightful one. */
  confirm(): Promise<boolean>;
  close(): Promise<void>;
}

/** The part of the live state that holds the lease. Both reject while it cannot be reached. */
export interface LeaderLease {
  acquireLease(owner: string, ttlMs: number): Promise<{ held: boolean; holder: string | null }>;
  releaseLease(owner: string): Promise<void>;
}

/** Where the snapshot is published; it can tell who lives when the lease cannot. */
export interface LeaderHub {
  /** Publishes, so that the other agent sees this one alive. */
  publishHeartbeat(): void;
  /** The pair published last. Rejects when that cannot be learned. */
  latestOrder(): Promise<SnapshotOrder | null>;
}

/** A dead leader is followed within the lease's life plus one renewal. */
const LEASE_MS = 3_000;
const RENEW_MS = 1_000;
/** While the lease is out of reach: how often the leader shows itself at the Hub, and what silence there means death. */
const HEARTBEAT_MS = 5_000;
const SILENCE_MS = 15_000;

export const singleAgent: Leader = {
  isLeader: () => true,
  status: () => ({ role: 'single', holder: null, error: null }),
  confirm: () => Promise.resolve(true),
  close: () => Promise.resolve(),
};

/**
 * One of two agents. While Redis is away the leader goes on publishing and shows itself at the Hub; the other one leads
 * once it has heard the Hub and nothing new in it. Should both believe they lead, the Hub hears only the one with the
 * greater epoch, and the other falls silent.
 */
export function createLeader(options: {
  owner: string;
  lease: LeaderLease;
  /** Absent: nothing is published to the edge itself, and without the lease everyone keeps the part it has. */
  hub?: LeaderHub | undefined;
  onChange(leading: boolean): void;
  log: Log;
  /** Milliseconds that only ever grow. */
  clock?: () => number;
}): Leader {
  const { owner, lease, hub, log, clock = () => performance.now() } = options;
  let leading = false;
  let holder: string | null = null;
  let error: string | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let beaten = Number.NEGATIVE_INFINITY;
  /** What the Hub held when it was last seen to change. */
  let heard: { order: SnapshotOrder | null; at: number } | null = null;

  async function renew(): Promise<boolean> {
    try {
      const answer = await lease.acquireLease(owner, LEASE_MS);
      error = null;
      heard = null;
      holder = answer.holder;
      become(answer.held);
      return answer.held;
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      if (error === null) log.warn({ error: text, leading }, 'lease out of reach: the part is kept');
      error = text;
      return false;
    }
  }

  function become(next: boolean): void {
    if (next === leading || closed) return;
    leading = next;
    log.info({ holder }, next ? 'this agent leads now' : 'this agent stands by');
    options.onChange(next);
  }

  /** The Hub in place of the lease. What cannot be heard proves no death. */
  async function withoutLease(through: LeaderHub): Promise<void> {
    if (clock() - beaten < HEARTBEAT_MS) return;
    beaten = clock();
    if (leading) {
      through.publishHeartbeat();
      return;
    }
    const order = await through.latestOrder().catch(() => undefined);
    if (order === undefined) heard = null;
    else if (!heard || !sameOrder(heard.order, order)) heard = { order, at: clock() };
    else if (clock() - heard.at >= SILENCE_MS) {
      log.warn({ order }, 'no lease to be had and nothing new at the edge: this agent takes over');
      heard = null;
      become(true);
    }
  }

  async function turn(): Promise<void> {
    await renew();
    if (error !== null && hub && !closed) await withoutLease(hub);
    if (!closed) timer = setTimeout(() => void turn(), RENEW_MS);
  }
  void turn();

  return {
    isLeader: () => leading,
    status: () => ({ role: leading ? 'leader' : 'standby', holder, error }),
    async confirm() {
      if (await renew()) return true;
      become(false);
      return false;
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      if (leading) await lease.releaseLease(owner).catch(() => {});
      leading = false;
    },
  };
}

const sameOrder = (a: SnapshotOrder | null, b: SnapshotOrder | null): boolean =>
  a === b || (a !== null && b !== null && compareSnapshotOrder(a, b) === 0);
