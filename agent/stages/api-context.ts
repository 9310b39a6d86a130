import type { Reconfigurer } from '../configuration/reconfigure.ts';
import { instanceKey } from '../core/state.ts';
import { createEdgeTokenVerifier, limitTokenChecks } from '../edge/token.ts';
import type { ApiContext } from '../http/api/context.ts';
import { explain } from '../http/api/explain.ts';
import { firingAlerts } from '../http/api/routes/alerts.ts';
import { COUNTER_LAG_MS } from '../http/dashboard/status.ts';
import { trafficShares } from '../http/dashboard/traffic-window.ts';
import type { AgentStatus } from '../http/schemas/status.ts';
import { snapshotStatus } from '../snapshot/open.ts';
import type { Core } from './core.ts';
import { createHistoryApi } from './history-api.ts';
import { sinkStatuses } from './platform-facts.ts';
import type { Setup } from './setup.ts';
import type { Stores } from './stores.ts';
import type { Subjects } from './subjects.ts';

export type Parts = Stores & Core & Subjects & { reconfigurer: Reconfigurer };

export function agentStatus({ config, version, startedAt }: Setup, parts: Parts): AgentStatus {
  return {
    version,
    site: config().site.id,
    startedAt,
    ready: parts.instancesWithoutState().length === 0,
    leader: parts.leader.status(),
    snapshot: snapshotStatus(parts.snapshot),
    sinks: sinkStatuses(parts.sinks),
    alerts: firingAlerts(parts.alerting.alerts),
    sources: parts.discovery.statuses().map(({ reportedAt: _, ...status }) => status),
    advice: parts.haproxy?.advice() ?? [],
  };
}

export function createApiContext(setup: Setup, parts: Parts): ApiContext {
  const { config, env, version, startedAt, log } = setup;
  const { loop, leader, metrics, prober, registry, events, snapshot, statusView } = parts;
  const checkEdgeToken = limitTokenChecks(createEdgeTokenVerifier(env.edgeJwtPublicKeys, config().site.id));
  return {
    config,
    instances: loop.instances,
    registry,
    events,
    health: () => ({
      version,
      uptimeSeconds: Math.round((Date.now() - startedAt) / 1000),
      leader: leader.status(),
      probes: prober.stats(),
      sinks: sinkStatuses(parts.sinks),
    }),
    instancesWithoutState: parts.instancesWithoutState,
    metrics: async () => ({
      page: await metrics.render(agentStatus(setup, parts)),
      contentType: metrics.contentType,
    }),
    checkEdgeToken: (token, address) => checkEdgeToken(token, address, Date.now()),
    acceptEdgeReport({ traces = [], ...report }) {
      const figures = parts.reportReader.read(report, Date.now());
      if (!figures) return;
      for (const delta of figures.evidence) loop.apply(delta);
      parts.countRequests(figures.requests, report);
      statusView.edgeReport(report);
      metrics.edgeReport(report);
      parts.edgeWatch.accept(report, Date.now());
      parts.tracing.addTraces(traces, Date.now());
    },
    explain: (query) =>
      explain(
        query,
        {
          config: config(),
          instances: loop.instances().values(),
          pins: parts.sessions.snapshotPins(),
          measuredShares: (service, ids) =>
            trafficShares(
              parts.window,
              ids.map((id) => instanceKey(service, id)),
              Date.now() - COUNTER_LAG_MS,
            ),
        },
        Date.now(),
      ),
    reconfigure: (text, options) => {
      const result = parts.reconfigurer.applyText(text, options);
      return options.dryRun ? result : parts.refusedConfig.accepted(result);
    },
    rollBackConfig: (options) => {
      const result = parts.reconfigurer.rollBack(options);
      return options.dryRun ? result : parts.refusedConfig.accepted(result);
    },
    publish() {
      if (!leader.isLeader()) return null;
      snapshot?.publishNow();
      return snapshot?.published().order ?? null;
    },
    ...createHistoryApi(setup, parts, parts),
    log,
    now: Date.now,
  };
}
