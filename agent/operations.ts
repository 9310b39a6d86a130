import type { OpenAPIHono } from '@hono/zod-openapi';
import type { SnapshotPins } from '../shared/snapshot/snapshot.ts';
import type { History } from './history.ts';
import type { LiveState } from './live/live.ts';
import type { Log } from './log.ts';
import { registerSessionRoutes } from './sessions/routes.ts';
import { createSessions } from './sessions/sessions.ts';
import { createSessionStore } from './sessions/store.ts';
import type { Update } from './sinks/sink.ts';
import type { Instance } from './state.ts';

/** What people and their workflows lean on beside the loop: governance sessions. */
export interface Operations {
  accept(update: Update): void;
  register(app: OpenAPIHono): void;
  snapshotPins(): SnapshotPins;
  close(): Promise<void>;
}

export interface OperationsOptions {
  history: History;
  live: LiveState;
  instances: () => ReadonlyMap<string, Instance>;
  log: Log;
  isLeader(): boolean;
}

export function openOperations({ history, live, instances, log, isLeader }: OperationsOptions): Operations {
  const store = createSessionStore(history.database);
  const sessions = createSessions({ store, live, instances, log, isLeader });
  return {
    accept: (update) => sessions.accept(update),
    register(app) {
      registerSessionRoutes(app, { sessions, instances });
    },
    snapshotPins: () => sessions.snapshotPins(),
    close: () => sessions.close(),
  };
}
