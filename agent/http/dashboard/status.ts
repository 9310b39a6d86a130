import type { Config } from '../../../shared/config/config.ts';
import type { EdgeReport } from '../../../shared/edge-report.ts';
import type { Update } from '../../core/sink.ts';
import { type Change, type Instance, instanceKey } from '../../core/state.ts';
import type { TrafficWindow } from '../../core/traffic-window.ts';
import type { AgentStatus, StatusDocument, StatusInstance, TrafficRates } from '../schemas.ts';
import { type EdgeReportLog, recordEdgeReport, summariseEdgeReports } from './edge-summary.ts';
import { createRateReader, summariseTraffic } from './traffic-window.ts';

export interface StatusView {
  /** Told of every update, as the sinks are. Never waits, never throws. */
  accept(update: Update): void;
  edgeReport(report: EdgeReport): void;
  /** `tell` is called whenever an update brings changes. */
  onChange(tell: () => void): void;
  status(agent: AgentStatus): StatusDocument;
}

const KEPT_CHANGES = 100;
/** HAProxy's counters are read once a second: traffic older than this is in the window. */
const COUNTER_LAG_MS = 1_200;

export function createStatusView({
  config,
  window,
  now = Date.now,
}: {
  config: () => Config;
  window: TrafficWindow;
  now?: () => number;
}): StatusView {
  const edgeLog: EdgeReportLog = { reports: [] };
  const ratesOf = createRateReader(window);
  let instances: ReadonlyMap<string, Instance> = new Map();
  let changes: Change[] = [];
  let changed = (): void => undefined;

  return {
    accept(update) {
      instances = update.instances;
      if (update.changes.length > 0) changes = [...changes, ...update.changes].slice(-KEPT_CHANGES);
      if (update.changes.length > 0) changed();
    },
    edgeReport: (report) => recordEdgeReport(edgeLog, report, now()),
    onChange(tell) {
      changed = tell;
    },
    status(agent) {
      const at = now();
      const completeUntil = at - COUNTER_LAG_MS;
      const views = [...instances.values()].map((instance) =>
        toStatusInstance(instance, ratesOf(instanceKey(instance.service, instance.id), completeUntil)),
      );
      const byService = Map.groupBy(views, (view) => view.service);
      return {
        ...agent,
        at,
        total: { ...summariseTraffic(window, instanceKey('', ''), completeUntil), ...sumGauges(views) },
        services: Object.values(config().services).map((service) => {
          const own = byService.get(service.id) ?? [];
          return {
            id: service.id,
            routes: service.routes,
            timeoutMs: service.timeout,
            maxconn: service.maxconn,
            traffic: summariseTraffic(window, instanceKey(service.id, ''), completeUntil),
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

function toStatusInstance(instance: Instance, traffic: TrafficRates): StatusInstance {
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
