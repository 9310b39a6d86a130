import type { Config } from '../../../shared/config/config.ts';
import type { EdgeReport } from '../../../shared/edge-report.ts';
import type { ReconfigureResult } from '../../configuration/reconfigure.ts';
import type { EventLog } from '../../core/event-log.ts';
import type { SinkStatus } from '../../core/sink.ts';
import type { Instance } from '../../core/state.ts';
import type { Log } from '../../lib/log.ts';
import type { Registry } from '../../registry/registry.ts';
import type { ExplainQuery } from '../explain.ts';
import type { RouteExplanation } from '../schemas.ts';

/** What the agent's own routes stand on. */
export interface ApiContext {
  config(): Config;
  instances(): ReadonlyMap<string, Instance>;
  registry: Registry;
  events: EventLog;
  /** Health of the agent itself and of its sinks. */
  health(): { version: string; uptimeSeconds: number; sinks: { [name: string]: SinkStatus } };
  /** Instances that have not been judged yet; empty when the agent is ready. */
  instancesWithoutState(): string[];
  metrics(): Promise<{ text: string; contentType: string }>;
  /** Whether the token is a valid edge token for this site. */
  isValidEdgeToken(token: string): boolean;
  acceptEdgeReport(report: EdgeReport): void;
  explain(question: ExplainQuery): RouteExplanation;
  /** Takes the text of a configuration whole, or throws with every mistake. `dryRun`: only judges it. */
  reconfigure(text: string, dryRun: boolean): Promise<ReconfigureResult>;
  /** Publishes the snapshot at once. */
  publish(): { epoch: number; seq: number } | null;
  log: Log;
  now(): number;
}
