import { CONDITION_RULES } from '../alerting/conditions/condition.ts';
import { createMaintenanceSchedule } from '../history/maintenance/schedule.ts';
import { createApp } from '../http/api/app.ts';
import { listen } from '../http/api/listen.ts';
import { registerAlertRoutes } from '../http/api/routes/alerts.ts';
import { registerSessionRoutes } from '../http/api/routes/sessions.ts';
import { registerSummaryRoutes } from '../http/api/routes/summary.ts';
import { registerTraceRoutes } from '../http/api/routes/trace.ts';
import { registerDashboard } from '../http/dashboard/routes.ts';
import { every } from '../lib/every.ts';
import { agentStatus, createApiContext, type Parts } from './api-context.ts';
import type { Setup } from './setup.ts';

const TICK_MS = 250;
const REFRESH_MS = 5_000;
const METRICS_MS = 10_000;

export type Service = Awaited<ReturnType<typeof serve>>;

/** Stage 5: HAProxy, the HTTP server, and the timers. */
export async function serve(setup: Setup, parts: Parts) {
  const { config, env, version, log } = setup;
  const { loop, leader, history, registry, snapshot } = parts;
  const status = () => agentStatus(setup, parts);
  const app = createApp({
    tokens: env.tokens,
    version,
    context: createApiContext(setup, parts),
    extend(app) {
      registerSessionRoutes(app, { sessions: parts.sessions, instances: loop.instances });
      const { alerts, monitor } = parts.alerting;
      registerSummaryRoutes(app, {
        config,
        summary: monitor.summary,
        figures: monitor.figures,
        firing: alerts.firing,
      });
      registerAlertRoutes(app, {
        alerts,
        rules: () => [...Object.keys(config().monitor.thresholds), ...CONDITION_RULES],
        services: () => Object.keys(config().services),
      });
      registerTraceRoutes(app, { find: parts.tracing.find, site: () => config().site.id });
      registerDashboard(app, { view: parts.statusView, status });
    },
  });
  await parts.haproxy.start();
  const server = await listen(app.fetch, config().agent.bind);
  const maintenance = createMaintenanceSchedule({
    database: history.database,
    config,
    log,
    isLeader: leader.isLeader,
  });
  maintenance.start();
  parts.probeAll();
  let refreshes = 0;
  const stopTimers = [
    every(TICK_MS, () => {
      registry.creditMissedHeartbeats(leader.status().error !== null);
      loop.tick();
      if (parts.instancesWithoutState().length === 0) snapshot?.enable();
    }),
    every(REFRESH_MS, () => void loop.refresh(++refreshes % (METRICS_MS / REFRESH_MS) === 0)),
  ];
  void loop.refresh(false);
  log.info({ bind: config().agent.bind, instances: loop.instances().size }, 'agent started');
  return { server, maintenance, stopTimers };
}
