import type { Config } from '../../../shared/config/config.ts';
import type { EdgeReport } from '../../../shared/edge-report.ts';
import { isServingState } from '../../../shared/serving.ts';
import { fullText } from '../../core/fullness.ts';
import type { Update } from '../../core/sink.ts';
import { type Change, type Instance, instanceKey } from '../../core/state.ts';
import type { TrafficWindow } from '../../core/traffic-window.ts';
import type { AgentStatus, StatusDocument, StatusInstance } from '../schemas/status.ts';
import type { TrafficRates } from '../schemas/traffic.ts';
import { type EdgeReportLog, recordEdgeReport, summariseEdgeReports } from './edge-summary.ts';
import { createRateReader, summariseTraffic, trafficShares } from './traffic-window.ts';

/** Builds the status document from the latest update, the traffic window and the edge reports. */
export interface StatusView {
  /** Receives every update, like a sink. Never waits, never throws. */
  accept(update: Update): void;
  edgeReport(report: EdgeReport): void;
  /** Adds changes that come from no update: those of the configuration. */
  addChanges(changes: readonly Change[]): void;
  /** Calls `listener` after every update that contains changes. */
  onChange(listener: () => void): void;
  status(agent: AgentStatus): StatusDocument;
}

const MAX_CHANGES = 100;
/** The agent reads HAProxy's counters once a second, so the window contains all traffic older than this. */
export const COUNTER_LAG_MS = 1_200;
/** Edges report every ten seconds. */
const EDGE_LAG_MS = 12_000;
const EDGE_SILENT_AFTER_MS = 60_000;

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
  let notify = (): void => undefined;
  let lastEdgeReport = Number.NEGATIVE_INFINITY;

  function addChanges(more: readonly Change[]): void {
    if (more.length === 0) return;
    changes = [...changes, ...more].slice(-MAX_CHANGES);
    notify();
  }

  return {
    accept(update) {
      instances = update.instances;
      addChanges(update.changes);
    },
    addChanges,
    edgeReport(report) {
      lastEdgeReport = now();
      recordEdgeReport(edgeLog, report, lastEdgeReport);
    },
    onChange(listener) {
      notify = listener;
    },
    status(agent) {
      const at = now();
      const completeUntil = at - COUNTER_LAG_MS;
      const edgeReports = at - lastEdgeReport < EDGE_SILENT_AFTER_MS;
      const requestsUntil = edgeReports ? at - EDGE_LAG_MS : completeUntil;
      const byService = Map.groupBy(instances.values(), ({ service }) => service);
      const services = Object.values(config().services).map((service) => {
        const members = byService.get(service.id) ?? [];
        const keys = members.map(({ id }) => instanceKey(service.id, id));
        const shares = trafficShares(window, keys, completeUntil);
        return {
          id: service.id,
          routes: service.routes,
          timeoutMs: service.timeout,
          maxconn: service.maxconn,
          traffic: summariseTraffic(window, instanceKey(service.id, ''), requestsUntil),
          ...sumGauges(members),
          instances: members.map((instance, index) =>
            toStatusInstance(instance, ratesOf(keys[index] ?? '', completeUntil), shares[index] ?? null),
          ),
        };
      });
      return {
        ...agent,
        at,
        total: { ...summariseTraffic(window, instanceKey('', ''), requestsUntil), ...sumGauges(services) },
        services,
        edge: summariseEdgeReports(edgeLog, at),
        changes: changes.toReversed(),
      };
    },
  };
}

function toStatusInstance(
  instance: Instance,
  traffic: TrafficRates,
  trafficPercent: number | null,
): StatusInstance {
  const { drainDeadline, expiresAt, outlier, latencyShare, longLived } = instance;
  const full = isServingState(instance.state) ? fullText(instance) : null;
  return {
    id: instance.id,
    service: instance.service,
    url: instance.url,
    origin: instance.origin,
    ...(instance.source === undefined ? {} : { source: instance.source }),
    state: instance.state,
    reason: full ?? instance.reason,
    since: instance.since,
    health: instance.health,
    breaker: instance.breaker,
    admin: instance.admin,
    weight: instance.weight,
    priority: instance.priority,
    latencyMs: instance.latencyMs,
    inflight: instance.inflight,
    queued: instance.queued,
    ...(longLived !== undefined && { longLived }),
    traffic,
    trafficPercent,
    ...(outlier && { outlier }),
    ...(latencyShare !== undefined && { latencyShare }),
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
