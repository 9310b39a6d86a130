import type { Config } from '../../shared/config/config.ts';
import { signSnapshot, type WebCryptoKey } from '../../shared/snapshot/signature.ts';
import {
  compareSnapshotOrder,
  type SnapshotOrder,
  type SnapshotPins,
} from '../../shared/snapshot/snapshot.ts';
import type { Sink, SinkStatus, Update } from '../core/sink.ts';
import type { Instance } from '../core/state.ts';
import type { Log } from '../lib/log.ts';
import { buildSnapshot } from './build.ts';
import { createKvBudget } from './kv-budget.ts';
import { errorWithCause, type SnapshotPublisher } from './publisher.ts';

export interface SnapshotSinkOptions {
  config(): Config;
  signing: { kid: string; privateKey: WebCryptoKey };
  publishers: readonly SnapshotPublisher[];
  /** Greatest epoch this agent ever used; asked once. */
  lastEpoch: number;
  saveEpoch(epoch: number): void;
  /** Standby agents stay silent. */
  mayPublish(): boolean;
  /** Someone published a greater pair. True: this agent is the rightful one and claims the next epoch. */
  onSuperseded(current: SnapshotOrder): Promise<boolean>;
  pins?(): SnapshotPins;
  log: Log;
  seal?: typeof signSnapshot;
  now?: () => number;
  /** Milliseconds that only ever grow: a wall clock set back must not put publishing off. */
  clock?: () => number;
}

export interface SnapshotSink extends Sink {
  /** Publishes now, or as soon as a second has passed since the last write. */
  publishNow(): void;
  /** From this moment on the sink may publish: every instance has been judged once. */
  enable(): void;
  /** The next publication claims a new epoch. */
  claimEpoch(): void;
  /** Shows the Hub, and KV not, that this agent lives. */
  publishHeartbeat(): void;
  /** What the Hub holds; null: nothing yet. Rejects when it cannot be asked. */
  latestOrder(): Promise<SnapshotOrder | null>;
  published(): { order: SnapshotOrder | null; at: number | null; kvLeftToday: number };
}

/** KV takes one write a second per key. */
const MIN_WRITE_INTERVAL_MS = 1_000;
const HEARTBEAT_MS = 300_000;
const BACKOFF_MS = { first: 500, most: 30_000 };
/** Kinds of change that the edge must know at once; `health` alone moves nothing unless `state` moves too. */
const URGENT_CHANGES = new Set(['state', 'admin', 'weight', 'breaker', 'registered', 'deregistered']);

/** The snapshot as a sink: one write at a time, at most one a second, always the newest state, never a queue. */
export function createSnapshotSink(options: SnapshotSinkOptions): SnapshotSink {
  const { publishers, log, seal = signSnapshot, now = Date.now, clock = () => performance.now() } = options;
  // The arbiter first: what it refuses must not reach a place that cannot compare.
  const ordered = publishers.toSorted((a, b) => Number(b.arbitrates) - Number(a.arbitrates));
  const arbiter = ordered.find(({ arbitrates }) => arbitrates);
  const budget = createKvBudget(options.config().edge.publish.kvWritesPerDay, HEARTBEAT_MS);
  let instances: ReadonlyMap<string, Instance> = new Map();
  /** Null: an epoch must be claimed first. */
  let order: SnapshotOrder | null = null;
  let epochSeen = options.lastEpoch;
  let dirty = false;
  let beating = false;
  let opened = false;
  let closed = false;
  let writing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lastWrite = Number.NEGATIVE_INFINITY;
  /** As `lastWrite`, of those that were meant for everyone. */
  let lastTold = Number.NEGATIVE_INFINITY;
  let lastSuccess: number | null = null;
  let lastError: string | null = null;
  let failures = 0;
  let notBefore = 0;
  const blockedUntil = new Map<SnapshotPublisher, number>();

  function schedule(): void {
    if (closed || !opened || writing) return;
    clearTimeout(timer);
    const wanted = dirty || beating ? lastWrite + MIN_WRITE_INTERVAL_MS : lastTold + HEARTBEAT_MS;
    timer = setTimeout(start, Math.max(0, Math.max(wanted, notBefore) - clock()));
  }

  function start(): void {
    const kind = dirty ? 'change' : lastTold + HEARTBEAT_MS <= clock() ? 'heartbeat' : 'beat';
    dirty = false;
    beating = false;
    lastWrite = clock();
    if (kind !== 'beat') lastTold = lastWrite;
    // A standby looks again when it becomes leader, or when something changes.
    if (!options.mayPublish()) {
      schedule();
      return;
    }
    writing = write(kind).then(() => {
      writing = undefined;
      schedule();
    });
  }

  async function write(kind: PublishKind): Promise<void> {
    try {
      const outcome = await publish(kind);
      if (outcome === null) {
        failures = 0;
        lastError = null;
        lastSuccess = now();
        return;
      }
      fail(outcome.error, outcome.retryAfterMs);
    } catch (error) {
      fail(errorWithCause(error));
    }
  }

  function fail(error: string, retryAfterMs?: number): void {
    if (error !== lastError) log.warn({ error }, 'snapshot not published, trying again');
    lastError = error;
    dirty = true;
    const backoff = Math.min(BACKOFF_MS.first * 2 ** failures++, BACKOFF_MS.most);
    notBefore = clock() + Math.max(backoff, retryAfterMs ?? 0);
  }

  /** Null when every publisher took it, otherwise what went wrong. */
  async function publish(kind: PublishKind): Promise<PublishFailure | null> {
    const own = order ? { epoch: order.epoch, seq: order.seq + 1 } : await claimed();
    order = own;
    const kv = kind !== 'beat' && budget.allows(kind, now());
    const document = buildSnapshot(options.config(), instances.values(), own, now(), options.pins?.());
    const sealed = await seal(document, options.signing);
    const usable = ordered.filter((publisher) => (blockedUntil.get(publisher) ?? 0) <= clock());
    const paused = arbiter ? !usable.includes(arbiter) : usable.length === 0;
    let failure: PublishFailure | null = paused ? { error: 'asked to pause' } : null;
    let toKv = false;
    for (const publisher of usable) {
      if (failure && !(kv && (await mayStandIn(publisher, own)))) continue;
      const result = await publisher.publish(sealed, own, kv);
      if (result.kind === 'superseded') return superseded(result.current);
      if (result.kind === 'accepted') toKv = kv;
      if (result.kind !== 'failed') continue;
      if (result.retryAfterMs !== undefined) blockedUntil.set(publisher, clock() + result.retryAfterMs);
      const others = publishers.length > 1;
      failure ??= others ? { error: result.error } : { error: result.error, ...pick(result.retryAfterMs) };
    }
    if (toKv) budget.spend(now());
    return failure;
  }

  /** The arbiter could not be asked: the next one is told all the same, unless what it holds is not older. */
  async function mayStandIn(publisher: SnapshotPublisher, own: SnapshotOrder): Promise<boolean> {
    const there = await publisher.readOrder?.().catch(() => own);
    return there === null || (there !== undefined && compareSnapshotOrder(there, own) < 0);
  }

  async function superseded(current: SnapshotOrder): Promise<PublishFailure | null> {
    epochSeen = Math.max(epochSeen, current.epoch);
    order = null;
    if (!(await options.onSuperseded(current))) {
      log.warn({ current }, 'another agent publishes for this site: this one falls silent');
      return null;
    }
    return publish('change');
  }

  async function claimed(): Promise<SnapshotOrder> {
    let epoch = epochSeen;
    // Where an arbiter cannot be asked now, it will say so when it refuses.
    if (arbiter) epoch = Math.max(epoch, (await arbiter.readOrder?.().catch(() => null))?.epoch ?? 0);
    else for (const one of publishers) epoch = Math.max(epoch, (await one.readOrder?.())?.epoch ?? 0);
    epochSeen = epoch + 1;
    options.saveEpoch(epochSeen);
    log.info({ epoch: epochSeen }, 'snapshot epoch claimed');
    return { epoch: epochSeen, seq: 1 };
  }

  return {
    name: 'snapshot',
    accept(update: Update) {
      instances = update.instances;
      if (update.changes.some(({ kind }) => URGENT_CHANGES.has(kind))) {
        dirty = true;
        schedule();
      }
    },
    publishNow() {
      dirty = true;
      schedule();
    },
    enable() {
      if (opened) return;
      opened = true;
      dirty = true;
      schedule();
    },
    claimEpoch() {
      order = null;
      dirty = true;
      schedule();
    },
    publishHeartbeat() {
      beating = true;
      schedule();
    },
    async latestOrder() {
      if (!arbiter?.readOrder) throw new Error('nothing is published to the edge itself');
      return arbiter.readOrder();
    },
    published: () => ({ order, at: lastSuccess, kvLeftToday: Math.max(0, budget.left(now())) }),
    status(): SinkStatus {
      const state = lastError === null ? 'ok' : failures > 5 ? 'down' : 'retrying';
      return { state, pending: dirty || writing ? 1 : 0, dropped: 0, lastSuccess, lastError };
    },
    async close(timeoutMs) {
      const pending = dirty && opened && options.mayPublish();
      closed = true;
      clearTimeout(timer);
      const finish = async () => {
        await writing;
        if (pending) await write('change');
      };
      await Promise.race([finish(), new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())]);
    },
  };
}

type PublishKind = 'change' | 'heartbeat' | 'beat';
interface PublishFailure {
  error: string;
  retryAfterMs?: number;
}

const pick = (retryAfterMs: number | undefined) => (retryAfterMs === undefined ? {} : { retryAfterMs });
