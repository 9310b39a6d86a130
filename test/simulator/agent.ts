import type { JudgeEvent } from '../../agent/core/judge-event.ts';
import { type Change, type Instance, instanceKey, type TrafficDelta } from '../../agent/core/state.ts';
import { computeDesiredServers } from '../../agent/haproxy/reconciler/desired.ts';
import { type CounterBaseline, computeCounterDeltas } from '../../agent/haproxy/telemetry/counter-deltas.ts';
import { type InstanceRecord, newRecord } from '../../agent/judge/instance-record.ts';
import { parseSavedRecord, resume } from '../../agent/judge/resume.ts';
import { step } from '../../agent/judge/step.ts';
import type { ServiceConfig } from '../../shared/config/config.ts';
import type { SnapshotInstance } from '../../shared/snapshot/snapshot.ts';
import type { Random, VirtualClock } from './clock.ts';
import type { DirectCounts } from './edge.ts';
import { emptyLog, type Gateway } from './gateway.ts';
import type { SimulatedInstance } from './instance.ts';
import { ProbeSchedule } from './probes.ts';

export interface AgentOptions {
  readonly clock: VirtualClock;
  readonly random: Random;
  readonly service: ServiceConfig;
  readonly gateway: Gateway;
  readonly instances: readonly SimulatedInstance[];
}

/** A published snapshot: what an isolate may see from `at` on. */
export interface Published {
  readonly at: number;
  readonly instances: readonly SnapshotInstance[];
}

export const START = 1_700_000_000_000;
const HAPROXY_PID = 1;
const TICK_MS = 250;
const POLL_MS = 250;
const ROUND_MS = 1_000;
/** From a change to HAProxy's answer on the admin socket. */
const COMMAND_MS = 5;
const MIN_PUBLISH_MS = 1_000;
const PUBLISH_EVERY_MS = 300_000;

/** The agent: the judge itself, fed with what HAProxy counts and what the probes find. */
export class SimulatedAgent {
  readonly changes: (Change & { trueAt: number })[] = [];
  readonly published: Published[] = [];
  /** The agent's clock against the true one. */
  clockOffset = 0;
  /** HAProxy's log does not reach the agent. */
  logLost = false;
  readonly #options: AgentOptions;
  readonly #probes: ProbeSchedule;
  #records = new Map<string, InstanceRecord>();
  #baseline: CounterBaseline | null = null;
  readonly #initial: ReadonlySet<string>;
  #lastPublishAt = Number.NEGATIVE_INFINITY;
  #isPublishDue = false;
  #running = true;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { clock, instances } = options;
    for (const { id } of instances) this.#store(newRecord(this.#sourceOf(id), true, this.#now));
    this.#initial = new Set(this.#records.keys());
    this.#probes = new ProbeSchedule({
      ...options,
      check: options.service.health,
      wallClock: () => this.#now,
      onResult: (result) => this.#apply(result),
    });
    clock.every(TICK_MS, () => this.#apply({ kind: 'tick' }));
    clock.after(TICK_MS / 2, () => clock.every(POLL_MS, () => this.#poll()));
    clock.every(ROUND_MS, () => this.#steer());
    clock.every(PUBLISH_EVERY_MS, () => this.#publish());
    this.#publish();
  }

  get #now(): number {
    return START + this.#options.clock.now + this.clockOffset;
  }

  record(id: string): InstanceRecord {
    const record = this.#records.get(instanceKey(this.#options.service.id, id));
    if (!record) throw new Error(`no record of ${id}`);
    return record;
  }

  /** HAProxy could not connect: the agent probes at once. */
  onConnectFailure(id: string): void {
    if (this.#running) this.#probes.probeNow(id);
  }

  /** Restarts with the saved records, as the state file holds them, after `downMs` without judgements. */
  restart(downMs: number): void {
    this.#running = false;
    const saved = JSON.parse(JSON.stringify([...this.#records.values()])) as unknown[];
    this.#options.clock.after(downMs, () => {
      this.#running = true;
      for (const raw of saved) {
        const record = parseSavedRecord(raw, this.#now);
        if (record) this.#store(resume(record, this.#sourceOf(record.source.id), this.#now));
      }
      this.#baseline = null;
    });
  }

  #sourceOf(id: string) {
    const { service } = this.#options;
    return {
      id,
      service: service.id,
      url: `http://127.0.0.1:${8_000 + Number(id.split('-')[1])}`,
      origin: 'file' as const,
      weight: 100,
      priority: 1,
      metadata: {},
    };
  }

  #store(record: InstanceRecord): void {
    this.#records.set(instanceKey(record.instance.service, record.instance.id), record);
  }

  #apply(event: JudgeEvent): void {
    if (!this.#running) return;
    const { service, clock } = this.#options;
    const result = step(this.#records, event, { [service.id]: service }, this.#now);
    for (const record of result.records) {
      this.#store(record);
      this.#probes.setPace(record, this.#now);
    }
    if (result.changes.length === 0) return;
    this.changes.push(...result.changes.map((change) => ({ ...change, trueAt: clock.now })));
    clock.after(COMMAND_MS, () => this.#steer());
    this.#publishSoon();
  }

  /** One poll of HAProxy's counters, and the log lines since the last one. */
  #poll(): void {
    const { service, gateway } = this.#options;
    const logs = gateway.servers.map((server) => {
      const { log } = server;
      server.log = emptyLog();
      return { instance: server.instance.id, ...log };
    });
    if (!this.#running) return;
    const stats = gateway.stats(service.id);
    const { baseline, deltas } = computeCounterDeltas(this.#baseline, {
      pid: HAPROXY_PID,
      stats,
      at: this.#now,
      malformed: new Map(),
      isShort: false,
    });
    this.#baseline = baseline;
    for (const delta of deltas) this.#apply(delta);
    for (const { instance, abandoned, latency } of logs) {
      if (this.logLost || abandoned + latency.count === 0) continue;
      const isTimed = latency.count > 0;
      this.#apply({ ...this.#noTraffic('haproxy', instance), abandoned, ...(isTimed && { latency }) });
    }
  }

  #noTraffic(source: TrafficDelta['source'], instance: string): TrafficDelta {
    const service = this.#options.service.id;
    return { kind: 'traffic', source, service, instance, at: this.#now, success: 0, failure: 0, slow: 0 };
  }

  /** A report of the edge about requests that passed by HAProxy. */
  onReport(report: ReadonlyMap<string, DirectCounts>): void {
    for (const [id, counts] of report) this.#apply({ ...this.#noTraffic('edge', id), ...counts });
  }

  #steer(): void {
    if (!this.#running) return;
    const { service, gateway } = this.#options;
    const instances = [...this.#records.values()].map(({ instance }) => instance);
    const desired = computeDesiredServers(instances, this.#initial, { [service.id]: service }, this.#now);
    for (const { instance, verdict, weight } of desired.values()) {
      gateway.setState(instance, verdict !== 'down', weight);
    }
  }

  #publishSoon(): void {
    if (this.#isPublishDue) return;
    this.#isPublishDue = true;
    const { clock } = this.#options;
    clock.after(this.#lastPublishAt + MIN_PUBLISH_MS - clock.now, () => this.#publish());
  }

  #publish(): void {
    this.#isPublishDue = false;
    const { now } = this.#options.clock;
    this.#lastPublishAt = now;
    const instances = [...this.#records.values()].map(({ instance }) => entryOf(instance));
    this.published.push({ at: now, instances });
  }
}

function entryOf({ id, url, state, reason, breaker, weight, outlier, ...rest }: Instance): SnapshotInstance {
  return {
    id,
    url,
    state,
    reason,
    breaker,
    weight,
    ...(outlier && { share: Math.max(0.01, outlier.share) }),
    ...(rest.latencyMs !== null && { latencyMs: rest.latencyMs }),
    since: rest.since,
    ...(rest.servingSince !== undefined && { servingSince: rest.servingSince }),
  };
}
