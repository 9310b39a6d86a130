import type { InstanceRecord, ServicePolicies, StepResult } from '../judge/instance-record.ts';
import { type JudgeEvent, step } from '../judge/step.ts';
import type { HostLoad } from './host-load.ts';
import { metricsRows } from './metrics-rows.ts';
import type { MetricsRow, Update } from './sink.ts';
import { type Change, type Instance, instanceKey } from './state.ts';
import { createTrafficWindow, type TrafficWindow } from './traffic-window.ts';

/** Someone who wants the news: a sink, a view, a log. */
export interface UpdateListener {
  readonly name: string;
  accept(update: Update): void;
}

export interface LoopDeps {
  /** What was known before: an agent that starts again goes on where it was. */
  initialRecords: Iterable<InstanceRecord>;
  policies: ServicePolicies;
  listeners: readonly UpdateListener[];
  /** A listener threw, which none may. The others have been told all the same. */
  onListenerError(listener: string, error: unknown): void;
  hostLoad(): HostLoad;
  /** Receives all traffic, and an availability sample with every refresh. */
  window?: TrafficWindow;
  /** After every judgement that touched an instance: how soon to look again. */
  onRecordUpdated(record: InstanceRecord, now: number): void;
  now?: () => number;
}

/** The agent's heart: evidence → step → effects. Judgement is in force at once; sinks take the news and never wait. */
export interface Loop {
  apply(event: JudgeEvent): Change[];
  instances(): ReadonlyMap<string, Instance>;
  records(): ReadonlyMap<string, InstanceRecord>;
  setPolicies(policies: ServicePolicies): void;
  /** Time passed. */
  tick(): void;
  /** Tells every sink how things stand; `withMetrics`: with a metrics row for each instance. */
  refresh(withMetrics: boolean): void;
}

export function createLoop(deps: LoopDeps): Loop {
  const now = deps.now ?? Date.now;
  const records = new Map<string, InstanceRecord>();
  const instances = new Map<string, Instance>();
  const { window = createTrafficWindow() } = deps;
  const sinceLastRows = window.accumulate();
  let policies = deps.policies;
  for (const record of deps.initialRecords) keep(record);

  function keep(record: InstanceRecord): void {
    const key = instanceKey(record.instance.service, record.instance.id);
    records.set(key, record);
    instances.set(key, record.instance);
  }

  function apply(event: JudgeEvent): Change[] {
    const at = now();
    if (event.kind === 'traffic') window.addTraffic(event);
    const outcome = step(records, event, policies, at);
    commit(outcome, at);
    return outcome.changes;
  }

  /**
   * News is handed on as soon as the event loop is free, together with what else came meanwhile. When handing on takes
   * long (thousands of instances change at once), four times as long is left for probes and requests in between.
   */
  let pending: Change[] = [];
  let delivery: NodeJS.Timeout | undefined;
  let lastTook = 0;

  function announce(changes: readonly Change[]): void {
    pending.push(...changes);
    delivery ??= setTimeout(() => tell(now()), 4 * lastTook);
  }

  function commit(outcome: StepResult, at: number): void {
    for (const record of outcome.records) keep(record);
    for (const key of outcome.removed) {
      records.delete(key);
      instances.delete(key);
    }
    for (const record of outcome.records) deps.onRecordUpdated(record, at);
    if (outcome.changes.length > 0) announce(outcome.changes);
  }

  function tell(at: number, metrics?: MetricsRow[]): void {
    clearTimeout(delivery);
    delivery = undefined;
    const update = { at, changes: pending, instances, ...(metrics ? { metrics } : {}) };
    pending = [];
    const began = performance.now();
    for (const listener of deps.listeners) {
      try {
        listener.accept(update);
      } catch (error) {
        deps.onListenerError(listener.name, error);
      }
    }
    lastTook = performance.now() - began;
  }

  function takeMetricsRows(at: number): MetricsRow[] {
    const host = deps.hostLoad();
    window.addHostLoad(host, at);
    return metricsRows(instances.values(), sinceLastRows.takeAll()[0]?.totals, host, at);
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
      const at = now();
      window.addSample(instances.values(), at);
      tell(at, withMetrics ? takeMetricsRows(at) : undefined);
    },
  };
}
