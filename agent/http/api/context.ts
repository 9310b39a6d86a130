import type { Config } from '../../../shared/config/config.ts';
import type { EdgeReport } from '../../../shared/edge-report.ts';
import type { ApplyOptions, ReconfigureResult } from '../../configuration/reconfigure.ts';
import type { EventLog } from '../../core/event-log.ts';
import type { SinkStatus } from '../../core/sink.ts';
import type { Change, Instance } from '../../core/state.ts';
import type { EdgeTokenVerdict } from '../../edge/token.ts';
import type { EventPage, EventQuery } from '../../history/events.ts';
import type { History, HistoryQuery } from '../../history/series/series.ts';
import type { Log } from '../../lib/log.ts';
import type { Registry } from '../../registry/registry.ts';
import type { RouteExplanation } from '../schemas/control.ts';
import type { ExplainQuery } from './explain.ts';
import type { QueryGate } from './query-gate.ts';

export interface AuditRecord {
  /** Epoch milliseconds. */
  at: number;
  actor: string;
  action: string;
  target: string;
}

/** What the API's routes need from the agent. */
export interface ApiContext {
  config(): Config;
  instances(): ReadonlyMap<string, Instance>;
  registry: Registry;
  events: EventLog;
  /** Health of the agent itself and of its sinks. */
  health(): { version: string; uptimeSeconds: number; sinks: { [name: string]: SinkStatus } };
  /** Instances of the file without a probe result. Empty once the agent is ready: five seconds after start at the latest. */
  instancesWithoutState(): string[];
  metrics(): Promise<{ page: Buffer<ArrayBuffer>; contentType: string }>;
  /** `address`: of the peer that sent the token. */
  checkEdgeToken(token: string, address: string): Promise<EdgeTokenVerdict>;
  acceptEdgeReport(report: EdgeReport): void;
  explain(query: ExplainQuery): RouteExplanation;
  /** Applies a configuration text completely, or throws an error that lists every problem. `dryRun` only checks it. */
  reconfigure(text: string, options: ApplyOptions): Promise<ReconfigureResult>;
  /** Applies the previous configuration again. Null when none is kept. */
  rollBackConfig(options: ApplyOptions): Promise<ReconfigureResult | null>;
  /** Publishes the snapshot now. Null when this agent does not publish. */
  publish(): { epoch: number; seq: number } | null;
  /** Reads history. Rejects when the database is unavailable or too slow. */
  readHistory(query: HistoryQuery): Promise<History>;
  readEvents(query: EventQuery): Promise<EventPage>;
  /** Limits the queries that read history. */
  queries: QueryGate;
  /** Publishes and stores a change made outside the agent, such as a deployment. */
  recordChange(change: Change): void;
  /** Writes one record of the audit log, and a line of the agent's log. */
  audit(record: AuditRecord): void;
  log: Log;
  now(): number;
}
