import { hostname } from 'node:os';
import type { Config } from '../../shared/config/config.ts';
import type { Environment } from '../core/environment.ts';
import type { Instance } from '../core/state.ts';
import type { TrafficWindow } from '../core/traffic-window.ts';
import type { HistoryStore } from '../history/open.ts';
import { readRequests } from '../history/requests.ts';
import { withStatementTimeout } from '../history/sql/database.ts';
import type { Log } from '../lib/log.ts';
import { type AlertManager, createAlertManager } from './alert-manager.ts';
import { isConditionRule } from './conditions/condition.ts';
import type { PlatformFacts } from './conditions/platform.ts';
import { createDispatcher } from './dispatcher.ts';
import { createHeartbeat } from './heartbeat.ts';
import { createMonitor, type Monitor } from './monitor.ts';
import { createAlertStore } from './store.ts';
import { createWatch, type Watch } from './watch.ts';

/** The monitor, the alerts it raises, and the messages to their receivers. */
export interface Alerting {
  alerts: AlertManager;
  monitor: Pick<Monitor, 'summary' | 'figures'>;
  close(timeoutMs: number): Promise<void>;
}

/** A summary from history fails after this long. */
const QUERY_TIMEOUT_MS = 10_000;

export interface AlertingOptions {
  config: () => Config;
  env: Pick<Environment, 'smtpUrl' | 'slackWebhookUrl' | 'variable'>;
  history: HistoryStore;
  window: TrafficWindow;
  instances: () => ReadonlyMap<string, Instance>;
  platform: () => PlatformFacts;
  stateDir: string;
  log: Log;
  isLeader(): boolean;
}

export function startAlerting(options: AlertingOptions): Alerting {
  const { config, env, history, window, instances, log, isLeader } = options;
  const dispatcher = createDispatcher({ config: () => config().alerts, deps: { ...env, log }, log });
  const alerts = createAlertManager({
    config,
    store: createAlertStore(history.database, history.sink.writer),
    dispatcher,
    log,
    isLeader,
    instances,
  });
  const database = withStatementTimeout(history.database, QUERY_TIMEOUT_MS);
  const monitor = createMonitor({
    config,
    window,
    instances,
    log,
    evaluate: alerts.evaluate,
    readRequests: (range) => readRequests(database, range),
    isFiring: () => alerts.firing().some(({ rule }) => !isConditionRule(rule)),
  });
  const watch = createWatch({
    ...options,
    spool: history.sink.spoolSize,
    receivers: dispatcher.status,
    evaluate: alerts.evaluateConditions,
  });
  const heartbeat = openHeartbeat(options, alerts, watch);
  monitor.start();
  watch.start();
  heartbeat.start();
  return {
    alerts,
    monitor,
    async close(timeoutMs) {
      heartbeat.stop();
      await watch.stop();
      await monitor.stop();
      await dispatcher.close(timeoutMs);
    },
  };
}

/** An evaluation that ended longer ago than this hangs. */
const HANGS_MS = 30_000;

function openHeartbeat({ config, env, log, isLeader }: AlertingOptions, alerts: AlertManager, watch: Watch) {
  const startedAt = Date.now();
  const checkedAt = () => {
    const at = watch.lastEvaluation();
    return at === null ? null : new Date(at).toISOString();
  };
  return createHeartbeat({
    config,
    variable: env.variable,
    log,
    isWorking: () => Math.abs(Date.now() - (watch.lastEvaluation() ?? startedAt)) < HANGS_MS,
    report: () => ({
      site: config().site.id,
      host: hostname(),
      at: new Date().toISOString(),
      leader: isLeader(),
      checkedAt: checkedAt(),
      alerts: alerts.firing().length,
    }),
  });
}
