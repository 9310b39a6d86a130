import type { Config } from '../../shared/config/config.ts';
import type { EdgeReport } from '../../shared/report.ts';
import type { SinkStatus, Update } from '../sinks/sink.ts';
import { type Change, type Instance, instanceKey, type TrafficDelta } from '../state.ts';
import { addReport, type EdgeLog, type EdgeView, viewEdges } from './edges.ts';
import {
  addTraffic,
  emptyWindow,
  type Pace,
  paceOf,
  summarise,
  type Traffic,
  type TrafficWindow,
} from './window.ts';

/** What the agent says about itself. */
export interface AgentStatus {
  version: string;
  site: string;
  startedAt: number;
  ready: boolean;
  leader: { role: 'leader' | 'standby' | 'single'; holder: string | null };
  snapshot: { epoch: number; seq: number; publishedAt: number | null; error: string | null };
  sinks: Record<string, SinkStatus>;
}

/** Everything the page shows, in one document: `GET /v1/status`. */
export interface LiveStatus extends AgentStatus {
  at: number;
  total: Traffic & { inflight: number; queued: number };
  services: LiveService[];
  edge: EdgeView;
  changes: Change[];
}

export interface LiveService {
  id: string;
  routes: string[];
  timeoutMs: number;
  maxconn: number;
  traffic: Traffic;
  inflight: number;
  queued: number;
  instances: LiveInstance[];
}

export type LiveInstance = Pick<
  Instance,
  | 'id'
  | 'service'
  | 'url'
  | 'origin'
  | 'state'
  | 'reason'
  | 'since'
  | 'health'
  | 'breaker'
  | 'admin'
  | 'weight'
  | 'priority'
  | 'latencyMs'
  | 'inflight'
  | 'queued'
> & { drainDeadline?: number; expiresAt?: number; traffic: Pace };

export interface LiveView {
  /** Told of every update, as the sinks are. Never waits, never throws. */
  accept(update: Update & { traffic?: readonly TrafficDelta[] }): void;
  edgeReport(report: EdgeReport): void;
  /** `tell` is called whenever an update brings changes. */
  watch(tell: () => void): void;
  status(agent: AgentStatus): LiveStatus;
}

const KEPT_CHANGES = 100;
/** HAProxy's counters are read once a second, so an update knows of everything but the last second. */
const COUNTER_LAG_MS = 1_200;
/** Without updates for this long, nothing happens: what came before is settled all the same. */
const QUIET_MS = 10_000;

export function createLiveView({
  config,
  now = Date.now,
}: {
  config: () => Config;
  now?: () => number;
}): LiveView {
  const edgeLog: EdgeLog = { reports: [] };
  const total = emptyWindow();
  const services = new Map<string, TrafficWindow>();
  const perInstance = new Map<string, TrafficWindow>();
  let instances: ReadonlyMap<string, Instance> = new Map();
  let changes: Change[] = [];
  let toldAt = 0;
  let changed = (): void => undefined;

  return {
    accept(update) {
      instances = update.instances;
      toldAt = update.at;
      for (const key of perInstance.keys()) if (!instances.has(key)) perInstance.delete(key);
      if (update.changes.length > 0) changes = [...changes, ...update.changes].slice(-KEPT_CHANGES);
      for (const delta of update.traffic ?? []) {
        addTraffic(total, delta.at, delta);
        addTraffic(windowOf(services, delta.service), delta.at, delta);
        const key = instanceKey(delta.service, delta.instance);
        if (instances.has(key)) addTraffic(windowOf(perInstance, key), delta.at, delta);
      }
      if (update.changes.length > 0) changed();
    },
    edgeReport: (report) => addReport(edgeLog, report, now()),
    watch(tell) {
      changed = tell;
    },
    status(agent) {
      const at = now();
      const settledAt = Math.max(toldAt - COUNTER_LAG_MS, at - QUIET_MS);
      const views = [...instances.values()].map((instance) =>
        viewInstance(instance, perInstance.get(instanceKey(instance.service, instance.id)), settledAt),
      );
      const byService = Map.groupBy(views, (view) => view.service);
      return {
        ...agent,
        at,
        total: { ...summarise(total, settledAt), ...sumGauges(views) },
        services: Object.values(config().services).map((service) => {
          const own = byService.get(service.id) ?? [];
          return {
            id: service.id,
            routes: service.routes,
            timeoutMs: service.timeout,
            maxconn: service.maxconn,
            traffic: summarise(services.get(service.id) ?? emptyWindow(), settledAt),
            ...sumGauges(own),
            instances: own,
          };
        }),
        edge: viewEdges(edgeLog, at),
        changes: changes.toReversed(),
      };
    },
  };
}

function windowOf(windows: Map<string, TrafficWindow>, key: string): TrafficWindow {
  const found = windows.get(key);
  if (found) return found;
  const made = emptyWindow();
  windows.set(key, made);
  return made;
}

function viewInstance(
  instance: Instance,
  window: TrafficWindow | undefined,
  settledAt: number,
): LiveInstance {
  const traffic = paceOf(window ?? emptyWindow(), settledAt);
  const { id, service, url, origin, state, reason, since, health, breaker, admin, weight, priority } =
    instance;
  const { latencyMs, inflight, queued, drainDeadline, expiresAt } = instance;
  return {
    ...{ id, service, url, origin, state, reason, since, health, breaker, admin, weight, priority },
    ...{ latencyMs, inflight, queued, traffic },
    ...(drainDeadline === undefined ? {} : { drainDeadline }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
}

function sumGauges(instances: readonly { inflight: number; queued: number }[]) {
  return {
    inflight: instances.reduce((sum, instance) => sum + instance.inflight, 0),
    queued: instances.reduce((sum, instance) => sum + instance.queued, 0),
  };
}
