import { createSerialQueue } from '../lib/serial-queue.ts';
import { inSlices, nextTurn } from '../lib/slices.ts';
import { createClockSteps } from './clock-steps.ts';
import type { HostLoad } from './host-load.ts';
import type { JudgeEvent, JudgeStep, ServicePolicies } from './judge-event.ts';
import { metricsRowSteps } from './metrics-rows.ts';
import type { MetricsRow, Update } from './sink.ts';
import { type Change, type Instance, instanceKey } from './state.ts';
import { createTrafficWindow, type TrafficWindow } from './traffic-window.ts';

/** A receiver of updates: a sink, a view, or a log. */
export interface UpdateListener {
  readonly name: string;
  accept(update: Update): void;
}

/** Called after every event that changed a record. */
export type RecordWatcher<R> = (record: R, now: number) => void;

export interface LoopOptions<R extends { readonly instance: Instance }> {
  step: JudgeStep<R>;
  /** The same record after the wall clock was set by `ms`. */
  shift(record: R, ms: number, policies: ServicePolicies): R;
  /** Records from before a restart. */
  initialRecords: Iterable<R>;
  policies: ServicePolicies;
  hostLoad(): HostLoad;
  /** Receives all traffic, all probes, the host load, and an availability sample with every refresh. */
  window?: TrafficWindow;
  /** A listener threw, which is a bug. The other listeners still received the update. */
  onListenerError(listener: string, error: unknown): void;
  now?: () => number;
  /** Milliseconds of a monotonic clock. */
  clock?: () => number;
}

/** Feeds events to `step` and reports the changes. A change takes effect at once; listeners never delay it. */
export interface Loop<R> {
  apply(event: JudgeEvent): Change[];
  instances(): ReadonlyMap<string, Instance>;
  records(): ReadonlyMap<string, R>;
  setPolicies(policies: ServicePolicies): void;
  /** Applies the passage of time. */
  tick(): void;
  /**
   * Sends the changes at once, then the current state to every listener, with one metrics row per instance if `withMetrics`.
   * Other events are handled meanwhile. One refresh at a time.
   */
  refresh(withMetrics: boolean): Promise<void>;
  /** Listeners receive updates in the order in which they were added. */
  addListener(listener: UpdateListener): void;
  watchRecords(watcher: RecordWatcher<R>): void;
}

export function createLoop<R extends { readonly instance: Instance }>(options: LoopOptions<R>): Loop<R> {
  const { step, shift, hostLoad, window = createTrafficWindow() } = options;
  const { now = Date.now, clock = () => performance.now() } = options;
  const clockSteps = createClockSteps(now, clock);
  const records = new Map<string, R>();
  const instances = new Map<string, Instance>();
  const sinceLastRows = window.accumulateTraffic();
  const watchers: RecordWatcher<R>[] = [];
  const delivery = createDelivery(instances, options.onListenerError, now);
  const refreshes = createSerialQueue();
  let { policies } = options;
  for (const record of options.initialRecords) store(record);

  function store(record: R): void {
    const key = instanceKey(record.instance.service, record.instance.id);
    records.set(key, record);
    instances.set(key, record.instance);
  }

  function followClock(): void {
    const ms = clockSteps.take();
    if (ms === 0) return;
    for (const record of [...records.values()]) store(shift(record, ms, policies));
  }

  function apply(event: JudgeEvent): Change[] {
    followClock();
    const at = now();
    if (event.kind === 'traffic') window.addTraffic(event);
    if (event.kind === 'probe') window.addProbe(event);
    const result = step(records, event, policies, at);
    for (const record of result.records) store(record);
    for (const key of result.removed) {
      records.delete(key);
      instances.delete(key);
    }
    for (const record of result.records) {
      for (const watcher of watchers) watcher(record, at);
    }
    delivery.addChanges(result.changes);
    return result.changes;
  }

  function takeMetricsRows(at: number): Promise<MetricsRow[]> {
    const host = hostLoad();
    window.addHostLoad(host, at);
    return inSlices(metricsRowSteps(instances.values(), sinceLastRows.takeAll()[0]?.totals, host, at));
  }

  return {
    apply,
    instances: () => instances,
    records: () => records,
    setPolicies(next) {
      policies = next;
      apply({ kind: 'tick' });
    },
    tick: () => void apply({ kind: 'tick' }),
    refresh(withMetrics) {
      delivery.deliverChanges(now());
      return refreshes.add(async () => {
        const at = now();
        await inSlices(window.sampleSteps(instances, at));
        await delivery.refresh(at, withMetrics ? await takeMetricsRows(at) : undefined);
      });
    },
    addListener: delivery.addListener,
    watchRecords: (watcher) => void watchers.push(watcher),
  };
}

/**
 * Collects changes and delivers them together as soon as the event loop is free. After a slow delivery (thousands of
 * changes) it waits four times as long, which leaves time for probes and requests.
 */
function createDelivery(
  instances: ReadonlyMap<string, Instance>,
  onListenerError: (listener: string, error: unknown) => void,
  now: () => number,
) {
  const listeners: UpdateListener[] = [];
  let changes: Change[] = [];
  let timer: NodeJS.Timeout | undefined;
  let lastDurationMs = 0;

  function send(listener: UpdateListener, update: Update): void {
    try {
      listener.accept(update);
    } catch (error) {
      onListenerError(listener.name, error);
    }
  }

  function deliverChanges(at: number): void {
    clearTimeout(timer);
    timer = undefined;
    if (changes.length === 0) return;
    const update = { at, changes, instances };
    changes = [];
    const startedAt = performance.now();
    for (const listener of listeners) send(listener, update);
    lastDurationMs = performance.now() - startedAt;
  }

  return {
    deliverChanges,
    /** Without changes: the listeners receive it in turns, so a change may overtake it. */
    async refresh(at: number, metrics?: MetricsRow[]): Promise<void> {
      const update = { at, changes: [], instances, ...(metrics && { metrics }) };
      for (const listener of listeners) {
        send(listener, update);
        await nextTurn();
      }
    },
    addChanges(more: readonly Change[]) {
      if (more.length === 0) return;
      changes.push(...more);
      timer ??= setTimeout(() => deliverChanges(now()), 4 * lastDurationMs);
    },
    addListener: (listener: UpdateListener) => void listeners.push(listener),
  };
}
