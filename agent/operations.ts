import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Config } from '../shared/config/config.ts';
import type { SnapshotPins } from '../shared/snapshot/snapshot.ts';
import { createAlerts } from './alerts/alerts.ts';
import { createDispatcher } from './alerts/dispatch.ts';
import type { AlertMessage } from './alerts/message.ts';
import { registerAlertRoutes } from './alerts/routes.ts';
import { createAlertStore } from './alerts/store.ts';
import type { Environment } from './env.ts';
import type { History } from './history.ts';
import type { LiveState } from './live/live.ts';
import type { Log } from './log.ts';
import { createMonitor } from './monitor/monitor.ts';
import { registerSummaryRoutes } from './monitor/routes.ts';
import { registerSessionRoutes } from './sessions/routes.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSessionStore } from './sessions/store.ts';
import type { Update } from './sinks/sink.ts';
import { answeringWithin } from './sql/database.ts';
import type { Instance } from './state.ts';

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
  history: History;
  live: LiveState;
  instances: () => ReadonlyMap<string, Instance>;
  log: Log;
  isLeader(): boolean;
  /** The snapshot must tell of pins that it does not yet tell of. */
  onPins(): void;
  /** Told of every alert message that goes out. */
  onAlert?: (message: AlertMessage) => void;
}

/** Whoever asks for a session waits no longer for a database that hangs. */
const ANSWER_MS = 5_000;

export function openOperations(options: OperationsOptions): Operations {
  const { config, env, history, live, instances, log, isLeader, onPins, onAlert } = options;
  const sessions = createSessions({
    ...{
      store: createSessionStore(answeringWithin(history.database, ANSWER_MS)),
      live,
      instances,
      log,
      isLeader,
      onOverrides: onPins,
    },
  });
  const dispatcher = createDispatcher({ config: () => config().alerts, deps: { ...env, log }, log });
  const store = createAlertStore(history.database, history.sink.writer);
  const alerts = createAlerts({
    ...{ config, store, dispatcher, log, isLeader },
    ...(onAlert && { onMessage: onAlert }),
  });
  const monitor = createMonitor({ config, instances, log, judge: (summary) => alerts.judge(summary) });
  monitor.start();

  return {
    accept(update) {
      sessions.accept(update);
      monitor.accept(update);
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
