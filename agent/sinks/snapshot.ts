import type { Config } from '../../shared/config/config.ts';
import { type Key, sealSnapshot } from '../../shared/snapshot/seal.ts';
import type { Order, SnapshotPins } from '../../shared/snapshot/snapshot.ts';
import type { Log } from '../log.ts';
import { buildSnapshot } from '../snapshot/build.ts';
import { createKvBudget } from '../snapshot/kv-budget.ts';
import { message, type Publisher } from '../snapshot/publisher.ts';
import type { Instance } from '../state.ts';
import type { Sink, SinkStatus, Update } from './sink.ts';

export interface SnapshotSinkOptions {
  config(): Config;
  signing: { kid: string; privateKey: Key };
  publishers: readonly Publisher[];
  /** Greatest epoch this agent ever used; asked once. */
  lastEpoch: number;
  saveEpoch(epoch: number): void;
  /** Standby agents stay silent. */
  mayPublish(): boolean;
  /** Someone published a greater pair. True: this agent is the rightful one and claims the next epoch. */
  onSuperseded(current: Order): Promise<boolean>;
  pins?(): SnapshotPins;
  log: Log;
  seal?: typeof sealSnapshot;
  now?: () => number;
}

export interface SnapshotSink extends Sink {
  /** Publishes now, or as soon as a second has passed since the last write. */
  force(): void;
  /** From this moment on the sink may publish: every instance has been judged once. */
  open(): void;
  /** The next publication claims a new epoch. */
  claim(): void;
  published(): { order: Order | null; at: number | null; kvLeftToday: number };
}

/** KV takes one write a second per key. */
const GAP_MS = 1_000;
const HEARTBEAT_MS = 300_000;
const BACKOFF_MS = { first: 500, most: 30_000 };
/** Kinds of change that the edge must know at once; `health` alone moves nothing unless `state` moves too. */
const URGENT = new Set(['state', 'admin', 'weight', 'breaker', 'registered', 'deregistered']);

/** The snapshot as a sink: one write at a time, at most one a second, always the newest state, never a queue. */
export function createSnapshotSink(options: SnapshotSinkOptions): SnapshotSink {
  const { publishers, log, seal = sealSnapshot, now = Date.now } = options;
  const budget = createKvBudget(options.config().edge.publish.kvWritesPerDay, HEARTBEAT_MS);
  let instances: ReadonlyMap<string, Instance> = new Map();
  /** Null: an epoch must be claimed first. */
  let order: Order | null = null;
  let epochSeen = options.lastEpoch;
  let dirty = false;
  let opened = false;
  let closed = false;
  let writing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let lastWrite = 0;
  let lastSuccess: number | null = null;
  let lastError: string | null = null;
  let failures = 0;
  let notBefore = 0;
  const blockedUntil = new Map<Publisher, number>();

  function schedule(): void {
    if (closed || !opened || writing) return;
    clearTimeout(timer);
    const wanted = dirty ? lastWrite + GAP_MS : lastWrite + HEARTBEAT_MS;
    timer = setTimeout(start, Math.max(0, Math.max(wanted, notBefore) - now()));
  }

  function start(): void {
    if (!options.mayPublish()) {
      // A standby looks again when it becomes leader, or when something changes.
      dirty = false;
      lastWrite = now();
      schedule();
      return;
    }
    const kind = dirty ? 'change' : 'heartbeat';
    dirty = false;
    lastWrite = now();
    writing = write(kind).then(() => {
      writing = undefined;
      schedule();
    });
  }

  async function write(kind: 'change' | 'heartbeat'): Promise<void> {
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
      fail(message(error));
    }
  }

  function fail(error: string, retryAfterMs?: number): void {
    if (error !== lastError) log.warn({ error }, 'snapshot not published, trying again');
    lastError = error;
    dirty = true;
    const backoff = Math.min(BACKOFF_MS.first * 2 ** failures++, BACKOFF_MS.most);
    notBefore = now() + Math.max(backoff, retryAfterMs ?? 0);
  }

  /** Null when every publisher took it, otherwise what went wrong. */
  async function publish(
    kind: 'change' | 'heartbeat',
  ): Promise<{ error: string; retryAfterMs?: number } | null> {
    order = order ? { epoch: order.epoch, seq: order.seq + 1 } : await claimed();
    const kv = budget.spend(kind, now());
    const pins = options.pins?.();
    const sealed = await seal(
      buildSnapshot(options.config(), instances.values(), order, now(), pins),
      options.signing,
    );
    const own = order;
    const usable = publishers.filter((publisher) => (blockedUntil.get(publisher) ?? 0) <= now());
    // The arbiter first: what it refuses must not reach a place that cannot compare.
    for (const publisher of usable.toSorted((a, b) => Number(b.arbitrates) - Number(a.arbitrates))) {
      const result = await publisher.publish(sealed, own, kv);
      if (result.kind === 'superseded') return superseded(result.current);
      if (result.kind === 'failed') {
        if (result.retryAfterMs !== undefined) blockedUntil.set(publisher, now() + result.retryAfterMs);
        const others = publishers.length > 1;
        return others ? { error: result.error } : { error: result.error, ...pick(result.retryAfterMs) };
      }
    }
    return usable.length > 0 ? null : { error: 'every publisher asked for a pause' };
  }

  async function superseded(current: Order): Promise<{ error: string } | null> {
    epochSeen = Math.max(epochSeen, current.epoch);
    order = null;
    if (!(await options.onSuperseded(current))) {
      log.warn({ current }, 'another agent publishes for this site: this one falls silent');
      return null;
    }
    return publish('change');
  }

  async function claimed(): Promise<Order> {
    let epoch = epochSeen;
    if (!publishers.some(({ arbitrates }) => arbitrates)) {
      for (const publisher of publishers) epoch = Math.max(epoch, (await publisher.current?.())?.epoch ?? 0);
    }
    epochSeen = epoch + 1;
    options.saveEpoch(epochSeen);
    log.info({ epoch: epochSeen }, 'snapshot epoch claimed');
    return { epoch: epochSeen, seq: 1 };
  }

  return {
    name: 'snapshot',
    accept(update: Update) {
      instances = update.instances;
      if (update.changes.some(({ kind }) => URGENT.has(kind))) {
        dirty = true;
        schedule();
      }
    },
    force() {
      dirty = true;
      schedule();
    },
    open() {
      if (opened) return;
      opened = true;
      dirty = true;
      schedule();
    },
    claim() {
      order = null;
      dirty = true;
      schedule();
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

const pick = (retryAfterMs: number | undefined) => (retryAfterMs === undefined ? {} : { retryAfterMs });
