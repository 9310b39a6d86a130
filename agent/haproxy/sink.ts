import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import type { Sink, SinkStatus, Update } from '../core/sink.ts';
import type { TrafficDelta } from '../core/state.ts';
import type { Log } from '../lib/log.ts';
import { createAdminCommandLog } from './reconciler/admin-commands.ts';
import { computeDesiredServers, type DesiredServer } from './reconciler/desired.ts';
import { createFleet, type Fleet } from './reconciler/fleet.ts';
import { createHaproxyFiles } from './render/haproxy-files.ts';
import type { HaproxySecrets } from './render/input.ts';
import { type AgentCheckServer, startAgentCheckServer } from './socket/agent-check-server.ts';
import { type LogListener, startLogListener } from './telemetry/log-listener.ts';

export interface HaproxySinkOptions {
  config: Config;
  secrets: HaproxySecrets;
  production?: boolean;
  log: Log;
  /** What HAProxy has counted since the last call and, as deltas of their own, the latencies it has logged. */
  emit(deltas: TrafficDelta[]): void;
  /** HAProxy could not connect to this instance: worth a probe at once. */
  hint(service: string, instance: string): void;
  now?: () => number;
}

export interface HaproxySink extends Sink {
  readonly name: 'haproxy';
  /** Answers agent-checks and begins to steer with the first update. Rejects when the address is taken. */
  start(): Promise<void>;
  /** Throws HaproxyConfigError, and changes nothing, when HAProxy would refuse what comes of the configuration. */
  check(config: Config): Promise<void>;
  /** Writes the files, then reloads. Call `check` first. */
  reconfigure(config: Config): void;
}

const INTERVAL_MS = 1_000;
/** A HAProxy that is away is tried again this much later, at most. */
const MAX_BACKOFF_MS = 5_000;

/**
 * HAProxy as the agent wants it: every update becomes a desired state, and a round a second (at once after a change)
 * looks at every HAProxy of the site and repairs what differs, whatever made it differ.
 */
export function createHaproxySink(options: HaproxySinkOptions): HaproxySink {
  const { log, now = Date.now } = options;
  let config = options.config;
  let desired: ReadonlyMap<string, DesiredServer> = new Map();
  let settled: ReadonlySet<string> | null = null;
  let agentCheck: AgentCheckServer | null = null;
  let requestLog: LogListener | null = null;
  let status: SinkStatus = { state: 'retrying', pending: 0, dropped: 0, lastSuccess: null, lastError: null };
  const closing = new AbortController();

  const files = createHaproxyFiles({ ...options, config: () => config });
  const orders = createAdminCommandLog();
  const fleet: Fleet = createFleet({
    ...{ ...options, config: () => config, desired: () => desired, orders, files, now },
  });

  let wake = new AbortController();
  let running: Promise<void> | null = null;

  async function rounds(): Promise<void> {
    let failures = 0;
    while (!closing.signal.aborted) {
      wake = new AbortController();
      const { own, others } = await fleet.reconcile();
      const latencies = requestLog?.takeLatencies(now()) ?? [];
      if (latencies.length > 0) options.emit(latencies);
      failures = own.length > 0 ? failures + 1 : 0;
      report([...own, ...others]);
      const pause = Math.min(INTERVAL_MS * 2 ** Math.max(0, failures - 1), MAX_BACKOFF_MS);
      await sleep(pause, undefined, { signal: AbortSignal.any([wake.signal, closing.signal]) }).catch(
        () => undefined,
      );
    }
  }

  function report(problems: readonly string[]): void {
    const [first = null] = problems;
    if (first !== status.lastError) {
      if (first) log.warn({ problems: problems.slice(0, 5) }, 'HAProxy is not as it should be');
      else log.info('HAProxy is as it should be');
    }
    status = first
      ? { ...status, state: 'retrying', pending: problems.length, lastError: first }
      : { ...status, state: 'ok', pending: 0, lastSuccess: now(), lastError: null };
  }

  return {
    name: 'haproxy',
    async start() {
      agentCheck = await startAgentCheckServer(config.haproxy.agentCheck, (server) => {
        const want = desired.get(server);
        return want?.verdict ? { verdict: want.verdict, reason: want.reason } : null;
      });
      requestLog = await startLogListener({
        bind: config.haproxy.agentCheck,
        slowCall: (service) => config.services[service]?.breaker.slowCall,
        isKnown: (key) => desired.has(key),
        onUnconnected: options.hint,
      });
    },
    accept(update: Update) {
      settled ??= new Set(
        [...update.instances].filter(([, { health }]) => health === 'unknown').map(([key]) => key),
      );
      const values = [...update.instances.values()];
      desired = computeDesiredServers(values, settled);
      orders.record(desired, update.changes);
      files.setInstances(values);
      running ??= rounds();
      if (update.changes.length > 0) wake.abort();
    },
    check: (next) => files.validate(next),
    reconfigure(next) {
      config = next;
      files.markStale();
      wake.abort();
    },
    status: () => status,
    async close(timeoutMs) {
      if (closing.signal.aborted) return;
      closing.abort();
      // First no more answers, or the next check would take back what is handed back.
      await agentCheck?.close();
      requestLog?.close();
      const release = running ? running.then(() => fleet.release()) : Promise.resolve();
      await Promise.race([
        release.catch((error: unknown) => log.warn({ error: messageOf(error) }, 'verdicts not handed back')),
        sleep(timeoutMs, undefined, { ref: false }),
      ]);
      fleet.close();
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
