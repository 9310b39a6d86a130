import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import { errorMessage } from '../../shared/error-message.ts';
import type { Advice } from '../core/advice.ts';
import type { RequestDelta } from '../core/requests.ts';
import type { Sink, SinkStatus, Update } from '../core/sink.ts';
import type { Change, TrafficDelta } from '../core/state.ts';
import type { Log } from '../lib/log.ts';
import type { DesiredServer, DesiredServers } from './reconciler/desired.ts';
import { createDesiredUpdates } from './reconciler/desired-updates.ts';
import { createHaproxyFleet } from './reconciler/fleet.ts';
import { createManualAdmins } from './reconciler/manual-admin.ts';
import { createHaproxyFiles } from './render/haproxy-files.ts';
import type { HaproxySecrets } from './render/input.ts';
import {
  type AgentCheckLookup,
  type AgentCheckServer,
  haproxyAddressCheck,
  startAgentCheckServer,
} from './socket/agent-check-server.ts';
import type { LogFields } from './telemetry/log-line.ts';
import { type LogListener, startLogListener } from './telemetry/log-listener.ts';
import { SHORTAGE_MS, shortageProblem } from './telemetry/shortage.ts';
import { trafficAdvice } from './telemetry/traffic-advice.ts';

export interface HaproxySinkOptions {
  config: Config;
  secrets: HaproxySecrets;
  production?: boolean;
  log: Log;
  /** Attempts that HAProxy counted since the last call. Latencies from its log come as separate deltas. */
  onTraffic(deltas: TrafficDelta[]): void;
  /** Requests of clients that do not use the edge, since the last call. */
  onRequests(deltas: RequestDelta[]): void;
  /** HAProxy could not connect to this instance: probe it now. */
  onConnectFailure(service: string, instance: string): void;
  /** An admin state was set in HAProxy, not through the agent. */
  onManualAdmin?(change: Change): void;
  /** Every line of the request log. */
  onLogLine?(line: string, fields: LogFields): void;
  now?: () => number;
}

export interface HaproxySink extends Sink {
  readonly name: 'haproxy';
  /** Starts the agent-check server and the log listener. The first update starts the rounds. Rejects when the port is taken. */
  start(): Promise<void>;
  /** Throws HaproxyConfigError when HAProxy rejects the rendered configuration. Changes nothing. */
  check(config: Config): Promise<void>;
  /** Writes the files, then reloads. Call `check` first. */
  reconfigure(config: Config): void;
  /** Settings that do not fit the traffic, and admin states that were not set through the agent. */
  advice(): Advice[];
}

/** Keeps every HAProxy of the site in the state that the judged instances require. */
export function createHaproxySink(options: HaproxySinkOptions): HaproxySink {
  const { log, now = Date.now } = options;
  let config = options.config;
  let desired: DesiredServers = new Map();
  let agentCheck: AgentCheckServer | null = null;
  let logListener: LogListener | null = null;
  let closing = false;
  const status = createStatus(log, now);
  const shortage = createShortage();
  const manual = createManualAdmins(options.onManualAdmin, now);

  const files = createHaproxyFiles({ ...options, config: () => config });
  const fleet = createHaproxyFleet({
    config: () => config,
    files,
    takeMalformed: () => logListener?.takeMalformed() ?? new Map(),
    log,
    onTraffic: options.onTraffic,
    onConnectFailure: options.onConnectFailure,
    isShort: shortage.isShort,
    onRound(problems, manualAdmins) {
      if (logListener) reportLogged(logListener, options, now());
      manual.report(manualAdmins);
      status.report([...shortage.problems(), ...problems]);
    },
    now,
  });
  const updates = createDesiredUpdates({
    services: () => config.services,
    now,
    onDesired(servers, changes) {
      desired = servers;
      fleet.update(servers, changes);
    },
  });

  return {
    name: 'haproxy',
    async start() {
      agentCheck = await startAgentCheckServer({
        bind: config.haproxy.agentCheck,
        isHaproxy: haproxyAddressCheck(config.haproxy.others.map(({ socket }) => socket)),
        lookup: (server) => verdictOf(desired.get(server)),
      });
      logListener = await openLogListener(options, {
        config: () => config,
        isKnown: (key) => desired.has(key),
        onShortage: shortage.onShortage,
      });
    },
    accept(update: Update) {
      files.setInstances([...update.instances.values()]);
      updates.accept(update);
    },
    check: (next) => files.validate(next),
    reconfigure(next) {
      config = next;
      files.markStale();
      fleet.reconfigured();
    },
    advice: () => [...manual.advice(), ...loggedAdvice(config, logListener, now())],
    status: status.current,
    async close(timeoutMs) {
      if (closing) return;
      closing = true;
      // Close the agent-check first: its next answer would set the verdicts that `release` removes.
      await agentCheck?.close();
      logListener?.close();
      await Promise.race([fleet.release(), sleep(timeoutMs, undefined, { ref: false })]).catch(
        (error: unknown) => log.warn({ error: errorMessage(error) }, 'HAProxy verdicts not released'),
      );
      fleet.close();
    },
  };
}

/** On the port of the agent-check server. */
const openLogListener = (
  { onConnectFailure, onLogLine }: HaproxySinkOptions,
  {
    config,
    ...own
  }: { config: () => Config; isKnown: (key: string) => boolean; onShortage: (limit: string) => void },
): Promise<LogListener> =>
  startLogListener({
    ...own,
    bind: config().haproxy.agentCheck,
    slowCall: (service) => config().services[service]?.breaker.slowCall,
    onConnectFailure,
    ...(onLogLine && { onLine: onLogLine }),
  });

const loggedAdvice = (config: Config, listener: LogListener | null, at: number): Advice[] =>
  listener ? trafficAdvice(config, listener.findings(at)) : [];

function reportLogged(
  listener: LogListener,
  { onTraffic, onRequests }: HaproxySinkOptions,
  at: number,
): void {
  const latencies = listener.takeLatencies(at);
  if (latencies.length > 0) onTraffic(latencies);
  const requests = listener.takeRequests(at);
  if (requests.length > 0) onRequests(requests);
}

const verdictOf = (want: DesiredServer | undefined): ReturnType<AgentCheckLookup> =>
  want?.verdict ? { verdict: want.verdict, reason: want.reason } : null;

/** Whether HAProxy has reached a limit of its own. */
function createShortage() {
  let last = { limit: '', at: Number.NEGATIVE_INFINITY };
  const isShort = (): boolean => performance.now() - last.at < SHORTAGE_MS;
  return {
    onShortage(limit: string): void {
      last = { limit, at: performance.now() };
    },
    isShort,
    problems: (): string[] => (isShort() ? [shortageProblem(last.limit)] : []),
  };
}

function createStatus(log: Log, now: () => number) {
  let status: SinkStatus = { state: 'retrying', pending: 0, dropped: 0, lastSuccess: null, lastError: null };
  return {
    current: () => status,
    report(problems: readonly string[]): void {
      const [first = null] = problems;
      if (first !== status.lastError) {
        if (first) log.warn({ problems: problems.slice(0, 5) }, 'HAProxy differs from the desired state');
        else log.info('HAProxy has the desired state');
      }
      status = first
        ? { ...status, state: 'retrying', pending: problems.length, lastError: first }
        : { ...status, state: 'ok', pending: 0, lastSuccess: now(), lastError: null };
    },
  };
}
