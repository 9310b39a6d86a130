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
export interface Publication {
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
type PublishFailure = Extract<WriteOutcome, { kind: 'failed' }>;

export function createPublication(options: PublicationOptions): Publication {
  const { publishers, log, seal = signSnapshot, now = Date.now, clock = () => performance.now() } = options;
  // The arbiter first: a snapshot that it refuses must not reach a publisher that cannot compare orders.
  const ordered = publishers.toSorted((a, b) => Number(b.arbitrates) - Number(a.arbitrates));
  const arbiter = ordered.find(({ arbitrates }) => arbitrates);
  const budget = createKvBudget(options.config().edge.publish.kvWritesPerDay, REFRESH_MS);
  const pausedUntil = new Map<SnapshotPublisher, number>();
  let order: SnapshotOrder | null = null;
  let greatestEpoch = options.lastEpoch;

  async function write(kind: WriteKind, instances: () => Iterable<Instance>): Promise<WriteOutcome> {
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
    const result = await sendToAll(await seal(document, options.signing), current, kv);
    return result.kind === 'superseded' ? onSuperseded(result.current, instances) : result;
  }

  async function sendToAll(
    sealed: SealedSnapshot,
    own: SnapshotOrder,
    kv: boolean,
  ): Promise<WriteOutcome | Extract<PublishResult, { kind: 'superseded' }>> {
    const usable = ordered.filter((publisher) => (pausedUntil.get(publisher) ?? 0) <= clock());
    const paused = arbiter ? !usable.includes(arbiter) : usable.length === 0;
    let failure: PublishFailure | null = paused ? { kind: 'failed', error: 'asked to pause' } : null;
    let writtenToKv = false;
    for (const publisher of usable) {
      if (failure && !(kv && (await holdsOlder(publisher, own)))) continue;
      const result = await publisher.publish(sealed, own, kv);
      if (result.kind === 'superseded') return result;
      if (result.kind === 'accepted') writtenToKv = kv;
      if (result.kind === 'failed') failure ??= noteFailure(publisher, result);
    }
    if (writtenToKv) budget.spend(now());
    return failure ?? { kind: 'published' };
  }

  function noteFailure(
    publisher: SnapshotPublisher,
    failure: Extract<PublishResult, { kind: 'failed' }>,
  ): PublishFailure {
    const { error, retryAfterMs } = failure;
    if (retryAfterMs !== undefined) pausedUntil.set(publisher, clock() + retryAfterMs);
    // With several publishers only this one pauses; the others are tried again after the usual backoff.
    return publishers.length > 1 ? { kind: 'failed', error } : failure;
  }

  /** While the arbiter fails, a publisher that cannot compare orders must not replace a newer snapshot. */
  async function holdsOlder(publisher: SnapshotPublisher, own: SnapshotOrder): Promise<boolean> {
    const held = await publisher.readOrder?.().catch(() => own);
    return held === null || (held !== undefined && compareSnapshotOrder(held, own) < 0);
  }

  async function onSuperseded(
    current: SnapshotOrder,
    instances: () => Iterable<Instance>,
  ): Promise<WriteOutcome> {
    greatestEpoch = Math.max(greatestEpoch, current.epoch);
    order = null;
    if (await options.onSuperseded(current)) return write('change', instances);
    log.warn({ current }, 'another agent publishes for this site; this agent stops publishing');
    return { kind: 'yielded' };
  }

  async function claimNextEpoch(): Promise<SnapshotOrder> {
    let epoch = greatestEpoch;
    // An arbiter that cannot be read now names its order when it refuses ours. Without one, reading must succeed.
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
