import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Config } from '../shared/config/config.ts';
import type { SnapshotPins } from '../shared/snapshot/snapshot.ts';
import { createAlertManager } from './alerting/alert-manager.ts';
import { createDispatcher } from './alerting/dispatcher.ts';
import type { AlertMessage } from './alerting/message.ts';
import { createMonitor } from './alerting/monitor.ts';
import { createAlertStore } from './alerting/store.ts';
import type { Update } from './core/sink.ts';
import type { Instance } from './core/state.ts';
import type { TrafficWindow } from './core/traffic-window.ts';
import type { Environment } from './env.ts';
import type { HistoryStore } from './history/open.ts';
import { withStatementTimeout } from './history/sql/database.ts';
import { registerAlertRoutes } from './http/api/routes/alerts.ts';
import { registerSessionRoutes } from './http/api/routes/sessions.ts';
import { registerSummaryRoutes } from './http/api/routes/summary.ts';
import type { Log } from './lib/log.ts';
import type { LiveState } from './live/live-state.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSessionStore } from './sessions/store.ts';

/** What people and their workflows lean on beside the loop: governance sessions, the monitor, its alerts. */
export interface Operations {
  accept(update: Update): void;
  register(app: OpenAPIHono): void;
  snapshotPins(): SnapshotPins;
  close(timeoutMs: number): Promise<void>;
}

export interface OperationsOptions {
  config: () => Config;
  env: Pick<Environment, 'smtpUrl' | 'slackWebhookUrl'>;
  history: HistoryStore;
  live: LiveState;
  window: TrafficWindow;
  instances: () => ReadonlyMap<string, Instance>;
  log: Log;
  isLeader(): boolean;
  /** The snapshot must tell of pins that it does not yet tell of. */
  onPinsChanged(): void;
  /** Told of every alert message that goes out. */
  onAlert?: (message: AlertMessage) => void;
}

/** Whoever asks for a session waits no longer for a database that hangs. */
const ANSWER_MS = 5_000;

export function openOperations(options: OperationsOptions): Operations {
  const {
    config,
    env,
    history,
    live,
    window,
    instances,
    log,
    isLeader,
    onPinsChanged: onPins,
    onAlert,
  } = options;
  const sessions = createSessions({
    ...{
      store: createSessionStore(withStatementTimeout(history.database, ANSWER_MS)),
      live,
      instances,
      log,
      isLeader,
      onOverrides: onPins,
    },
  });
  const dispatcher = createDispatcher({ config: () => config().alerts, deps: { ...env, log }, log });
  const store = createAlertStore(history.database, history.sink.writer);
  const alerts = createAlertManager({
    ...{ config, store, dispatcher, log, isLeader },
    ...(onAlert && { onMessage: onAlert }),
  });
  const monitor = createMonitor({
    config,
    window,
    instances,
    log,
    evaluate: (summary) => alerts.evaluate(summary),
  });
  monitor.start();

  return {
    accept(update) {
      sessions.accept(update);
    },
    register(app) {
      registerSessionRoutes(app, { sessions, instances });
      registerSummaryRoutes(app, { config, summary: monitor.summary, firing: alerts.firing });
      registerAlertRoutes(app, {
        alerts,
        rules: () => Object.keys(config().monitor.thresholds),
        services: () => Object.keys(config().services),
      });
    },
    snapshotPins: () => sessions.snapshotPins(),
    async close(timeoutMs) {
      await monitor.stop();
      await dispatcher.close(timeoutMs);
      await sessions.close();
    },
  };
}
