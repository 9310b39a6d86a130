import type { Log } from './log.ts';

/** Who writes history, alerts and the snapshot. A lease only saves double work; the order of snapshots decides. */
export interface Leader {
  isLeader(): boolean;
  status(): { role: 'single' | 'leader' | 'standby'; holder: string | null; error: string | null };
  /** Asked when someone published a greater pair: whether this agent is still the rightful one. */
  confirm(): Promise<boolean>;
  close(): Promise<void>;
}

/** The part of the live state that holds the lease. Both reject while it cannot be reached. */
export interface Lease {
  acquireLease(owner: string, ttlMs: number): Promise<{ held: boolean; holder: string | null }>;
  releaseLease(owner: string): Promise<void>;
}

/** A dead leader is followed within the lease's life plus one renewal. */
const LEASE_MS = 3_000;
const RENEW_MS = 1_000;

export const single: Leader = {
  isLeader: () => true,
  status: () => ({ role: 'single', holder: null, error: null }),
  confirm: () => Promise.resolve(true),
  close: () => Promise.resolve(),
};

/**
 * One of two agents. Without Redis everyone keeps the part it has: the leader goes on publishing, and should both
 * believe they lead, the Hub hears only the one with the greater epoch, and the other falls silent.
 */
export function createLeader(options: {
  owner: string;
  lease: Lease;
  onChange(leading: boolean): void;
  log: Log;
}): Leader {
  const { owner, lease, log } = options;
  let leading = false;
  let holder: string | null = null;
  let error: string | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  async function renew(): Promise<boolean> {
    try {
      const answer = await lease.acquireLease(owner, LEASE_MS);
      error = null;
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

  async function turn(): Promise<void> {
    await renew();
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
