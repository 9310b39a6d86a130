import type { Config } from '../../shared/config/config.ts';
import type { Environment } from '../core/environment.ts';
import type { Instance } from '../core/state.ts';
import type { TrafficWindow } from '../core/traffic-window.ts';
import type { HistoryStore } from '../history/open.ts';
import type { Log } from '../lib/log.ts';
import { type AlertManager, createAlertManager } from './alert-manager.ts';
import { createDispatcher } from './dispatcher.ts';
import { createMonitor, type Monitor } from './monitor.ts';
import { createAlertStore } from './store.ts';

/** The monitor, the alerts it raises, and the messages to their receivers. */
export interface Alerting {
  alerts: AlertManager;
  monitor: Pick<Monitor, 'summary'>;
  close(timeoutMs: number): Promise<void>;
}

export interface AlertingOptions {
  config: () => Config;
  env: Pick<Environment, 'smtpUrl' | 'slackWebhookUrl'>;
  history: HistoryStore;
  window: TrafficWindow;
  instances: () => ReadonlyMap<string, Instance>;
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
  });
  const monitor = createMonitor({ config, window, instances, log, evaluate: alerts.evaluate });
  monitor.start();
  return {
    alerts,
    monitor,
    async close(timeoutMs) {
      await monitor.stop();
      await dispatcher.close(timeoutMs);
    },
  };
}
