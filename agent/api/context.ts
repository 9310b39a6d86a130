import type { Config } from '../../shared/config/config.ts';
import type { EdgeReport } from '../../shared/report.ts';
import type { EventLog } from '../events.ts';
import type { Explanation, Question } from '../explain.ts';
import type { Log } from '../log.ts';
import type { Reconfigured } from '../reconfigure.ts';
import type { Registry } from '../registry/registry.ts';
import type { SinkStatus } from '../sinks/sink.ts';
import type { Instance } from '../state.ts';

/** What the agent's own routes stand on. */
export interface ApiContext {
  config(): Config;
  instances(): ReadonlyMap<string, Instance>;
  registry: Registry;
  events: EventLog;
  /** Health of the agent itself and of its sinks. */
  health(): { version: string; uptimeSeconds: number; sinks: { [name: string]: SinkStatus } };
  /** Instances that have not been judged yet; empty when the agent is ready. */
  waitingFor(): string[];
  metrics(): Promise<{ text: string; contentType: string }>;
  /** Whether the token is a valid edge token for this site. */
  edgeToken(token: string): boolean;
  edgeReport(report: EdgeReport): void;
  explain(question: Question): Explanation;
  /** Takes the text of a configuration whole, or throws with every mistake. `dryRun`: only judges it. */
  reconfigure(text: string, dryRun: boolean): Promise<Reconfigured>;
  /** Publishes the snapshot at once. */
  publish(): { epoch: number; seq: number } | null;
  log: Log;
  now(): number;
}
