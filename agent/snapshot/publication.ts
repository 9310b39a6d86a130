import type { Config } from '../../shared/config/config.ts';
import { signSnapshot, type WebCryptoKey } from '../../shared/snapshot/signature.ts';
import {
  compareSnapshotOrder,
  type SnapshotOrder,
  type SnapshotPins,
} from '../../shared/snapshot/snapshot.ts';
import type { Instance } from '../core/state.ts';
import type { Log } from '../lib/log.ts';
import { buildSnapshot } from './build.ts';
import { createKvBudget } from './kv-budget.ts';
import { REFRESH_MS, type WriteKind, type WriteOutcome } from './publish-schedule.ts';
import type { PublishResult, SnapshotPublisher } from './publisher.ts';

export interface PublicationOptions {
  config(): Config;
  signing: { kid: string; privateKey: WebCryptoKey };
  publishers: readonly SnapshotPublisher[];
  /** The greatest epoch this agent has used; read once. */
  lastEpoch: number;
  saveEpoch(epoch: number): void;
  /** Another agent published a greater order. True: this agent is the leader and claims the next epoch. */
  onSuperseded(current: SnapshotOrder): Promise<boolean>;
  pins?(): SnapshotPins;
  log: Log;
  seal?: typeof signSnapshot;
  /** Epoch milliseconds. */
  now?: () => number;
  /** Milliseconds of a monotonic clock. A wall clock that is set back must not delay a write. */
  clock?: () => number;
}

/** Builds and signs a snapshot, and sends it to the publishers. */
interface Publication {
  /** Sends the snapshot of these instances. Rejects when it cannot be built or no epoch can be claimed. */
  write(kind: WriteKind, instances: () => Iterable<Instance>): Promise<WriteOutcome>;
  /** The next write claims a new epoch. */
  claimEpoch(): void;
  /** The order of the last write; null: the next write claims an epoch. */
  order(): SnapshotOrder | null;
  kvLeftToday(): number;
  /** The order that the Hub holds; null: none yet. Rejects when the Hub cannot be read. */
  latestOrder(): Promise<SnapshotOrder | null>;
}

type SealedSnapshot = Uint8Array<ArrayBuffer>;
type Superseded = Extract<PublishResult, { kind: 'superseded' }>;
type PublishFailure = Extract<PublishResult, { kind: 'failed' }>;

export function createPublication(options: PublicationOptions): Publication {
  const { log, seal = signSnapshot, now = Date.now, clock = () => performance.now() } = options;
  // The arbiter comes first, so that a refused snapshot never reaches a publisher that cannot compare orders.
  const publishers = options.publishers.toSorted((a, b) => Number(b.arbitrates) - Number(a.arbitrates));
  const arbiter = publishers.find(({ arbitrates }) => arbitrates);
  const pauses = createPauses(clock);
  const budget = createKvBudget(options.config().edge.publish.kvWritesPerDay, REFRESH_MS);
  let order: SnapshotOrder | null = null;
  let greatestEpoch = options.lastEpoch;

  const write = (kind: WriteKind, instances: () => Iterable<Instance>): Promise<WriteOutcome> =>
    attempt(kind, instances, MAX_REFUSALS);

  async function attempt(
    kind: WriteKind,
    instances: () => Iterable<Instance>,
    refusalsLeft: number,
  ): Promise<WriteOutcome> {
    const current = order ? { epoch: order.epoch, seq: order.seq + 1 } : await claimNextEpoch();
    order = current;
    const kv = kind !== 'heartbeat' && budget.allows(kind, now());
    const document = buildSnapshot({
      config: options.config(),
      instances: instances(),
      order: current,
      issuedAt: now(),
      pins: options.pins?.(),
    });
    const sealed = await seal(document, options.signing);
    const { outcome, writtenToKv } = await sendToAll({ publishers, pauses, sealed, order: current, kv });
    if (outcome.kind === 'superseded') return onSuperseded(outcome.current, instances, refusalsLeft - 1);
    if (writtenToKv) budget.spend(now());
    return outcome;
  }

  async function onSuperseded(
    current: SnapshotOrder,
    instances: () => Iterable<Instance>,
    refusalsLeft: number,
  ): Promise<WriteOutcome> {
    greatestEpoch = Math.max(greatestEpoch, current.epoch);
    order = null;
    if (await options.onSuperseded(current)) {
      return refusalsLeft > 0 ? attempt('change', instances, refusalsLeft) : REFUSED;
    }
    log.warn({ current }, 'another agent publishes for this site; this agent stops publishing');
    return { kind: 'yielded' };
  }

  async function claimNextEpoch(): Promise<SnapshotOrder> {
    let epoch = greatestEpoch;
    // An arbiter that cannot be read now will return its order when it refuses ours. Without an arbiter, reading must
    // succeed.
    if (arbiter) epoch = Math.max(epoch, (await arbiter.readOrder?.().catch(() => null))?.epoch ?? 0);
    else for (const one of publishers) epoch = Math.max(epoch, (await one.readOrder?.())?.epoch ?? 0);
    greatestEpoch = epoch + 1;
    options.saveEpoch(greatestEpoch);
    log.info({ epoch: greatestEpoch }, 'snapshot epoch claimed');
    return { epoch: greatestEpoch, seq: 1 };
  }

  return {
    write,
    claimEpoch() {
      order = null;
    },
    order: () => order,
    kvLeftToday: () => Math.max(0, budget.left(now())),
    async latestOrder() {
      if (!arbiter?.readOrder) throw new Error('the snapshot is not published to the Hub');
      return arbiter.readOrder();
    },
  };
}

interface Sending {
  publishers: readonly SnapshotPublisher[];
  pauses: Pauses;
  sealed: SealedSnapshot;
  order: SnapshotOrder;
  kv: boolean;
}

/**
 * Sends a snapshot to the publishers in order, except those that asked for a pause. After a failure the remaining
 * publishers are used only for a KV write, and only if they hold an older snapshot.
 */
async function sendToAll(
  sending: Sending,
): Promise<{ outcome: WriteOutcome | Superseded; writtenToKv: boolean }> {
  const { publishers, pauses, sealed, order, kv } = sending;
  const usable = publishers.filter((publisher) => !pauses.has(publisher));
  const blocked = usable.length === 0 || publishers.some((one) => one.arbitrates && pauses.has(one));
  let failure = blocked ? ASKED_TO_PAUSE : null;
  let writtenToKv = false;
  for (const publisher of usable) {
    const mayWrite = failure === null || (kv && (await holdsOlder(publisher, order)));
    if (!mayWrite) continue;
    const result = await publisher.publish(sealed, order, kv);
    if (result.kind === 'superseded') return { outcome: result, writtenToKv: false };
    if (result.kind === 'accepted') writtenToKv = kv;
    if (result.kind === 'failed') {
      pauses.note(publisher, result);
      failure ??= withSharedBackoff(result, publishers.length);
    }
  }
  return { outcome: failure ?? { kind: 'published' }, writtenToKv };
}

/** Two agents that start together refuse each other once or twice. The rest is a Hub that accepts no epoch. */
const MAX_REFUSALS = 3;
const REFUSED: PublishFailure = { kind: 'failed', error: 'the Hub refuses every epoch as outdated' };

const ASKED_TO_PAUSE: PublishFailure = { kind: 'failed', error: 'asked to pause' };

/** With several publishers only the one that failed pauses; the others are tried again after the usual backoff. */
const withSharedBackoff = (failure: PublishFailure, publishers: number): PublishFailure =>
  publishers === 1 ? failure : { kind: 'failed', error: failure.error };

/** Publishers that answered with Retry-After. */
interface Pauses {
  has(publisher: SnapshotPublisher): boolean;
  note(publisher: SnapshotPublisher, failure: PublishFailure): void;
}

function createPauses(clock: () => number): Pauses {
  const until = new Map<SnapshotPublisher, number>();
  return {
    has: (publisher) => (until.get(publisher) ?? 0) > clock(),
    note(publisher, { retryAfterMs }) {
      if (retryAfterMs !== undefined) until.set(publisher, clock() + retryAfterMs);
    },
  };
}

/** A publisher that cannot compare orders must not replace a newer snapshot. */
async function holdsOlder(publisher: SnapshotPublisher, own: SnapshotOrder): Promise<boolean> {
  const held = await publisher.readOrder?.().catch(() => own);
  return held === null || (held !== undefined && compareSnapshotOrder(held, own) < 0);
}
