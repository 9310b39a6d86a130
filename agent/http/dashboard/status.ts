import type { Config } from '../../../shared/config/config.ts';
import type { EdgeReport } from '../../../shared/edge-report.ts';
import type { Update } from '../../core/sink.ts';
import { type Change, type Instance, instanceKey, type TrafficDelta } from '../../core/state.ts';
import type { AgentStatus, StatusDocument, StatusInstance } from '../schemas.ts';
import { type EdgeReportLog, recordEdgeReport, summariseEdgeReports } from './edge-summary.ts';
import {
  addTraffic,
  currentRates,
  type DashboardWindow,
  emptyWindow,
  summariseTraffic,
} from './traffic-window.ts';

export interface StatusView {
  /** Told of every update, as the sinks are. Never waits, never throws. */
  accept(update: Update & { traffic?: readonly TrafficDelta[] }): void;
  edgeReport(report: EdgeReport): void;
  /** `tell` is called whenever an update brings changes. */
  onChange(tell: () => void): void;
  status(agent: AgentStatus): StatusDocument;
}

const KEPT_CHANGES = 100;
/** HAProxy's counters are read once a second, so an update knows of everything but the last second. */
const COUNTER_LAG_MS = 1_200;
/** Without updates for this long, nothing happens: what came before is settled all the same. */
const QUIET_MS = 10_000;

export function createStatusView({
  config,
  now = Date.now,
}: {
  config: () => Config;
  now?: () => number;
}): StatusView {
  const edgeLog: EdgeReportLog = { reports: [] };
  const total = emptyWindow();
  const services = new Map<string, DashboardWindow>();
  const perInstance = new Map<string, DashboardWindow>();
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
    edgeReport: (report) => recordEdgeReport(edgeLog, report, now()),
    onChange(tell) {
      changed = tell;
    },
    status(agent) {
      const at = now();
      const settledAt = Math.max(toldAt - COUNTER_LAG_MS, at - QUIET_MS);
      const views = [...instances.values()].map((instance) =>
        toStatusInstance(instance, perInstance.get(instanceKey(instance.service, instance.id)), settledAt),
      );
      const byService = Map.groupBy(views, (view) => view.service);
      return {
        ...agent,
        at,
        total: { ...summariseTraffic(total, settledAt), ...sumGauges(views) },
        services: Object.values(config().services).map((service) => {
          const own = byService.get(service.id) ?? [];
          return {
            id: service.id,
            routes: service.routes,
            timeoutMs: service.timeout,
            maxconn: service.maxconn,
            traffic: summariseTraffic(services.get(service.id) ?? emptyWindow(), settledAt),
            ...sumGauges(own),
            instances: own,
          };
        }),
        edge: summariseEdgeReports(edgeLog, at),
        changes: changes.toReversed(),
      };
    },
  };
}

function windowOf(windows: Map<string, DashboardWindow>, key: string): DashboardWindow {
  const found = windows.get(key);
  if (found) return found;
  const made = emptyWindow();
  windows.set(key, made);
  return made;
}

function toStatusInstance(
  instance: Instance,
  window: DashboardWindow | undefined,
  settledAt: number,
): StatusInstance {
  const traffic = currentRates(window ?? emptyWindow(), settledAt);
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
