import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import type { Log } from '../lib/log.ts';
import type { AlertMessage } from './message.ts';
import { openReceiver } from './receivers/open.ts';
import type { DeliverAlert, ReceiverDeps } from './receivers/receiver.ts';

export interface ReceiverStatus {
  pending: number;
  delivered: number;
  failed: number;
  lastError: string | null;
}

/** Brings messages to receivers. Each has a queue and retries of its own: a dead one delays nothing and nobody. */
export interface Dispatcher {
  /** To the routes of these severities, each receiver once. */
  send(message: AlertMessage, severities?: readonly AlertMessage['severity'][]): void;
  /** Once, at once, and tells how it went. */
  test(message: AlertMessage, only?: string): Promise<{ receiver: string; error: string | null }[]>;
  status(): Record<string, ReceiverStatus>;
  close(timeoutMs: number): Promise<void>;
}

export interface DispatcherOptions {
  config: () => Config['alerts'];
  deps: ReceiverDeps;
  log: Log;
  retryMs?: readonly number[];
}

/** Some nine minutes in all: a mail server that restarts is back by then. */
const RETRY_MS = [1_000, 5_000, 30_000, 120_000, 360_000];
const MAX_QUEUE = 100;

interface ReceiverQueue {
  queue: AlertMessage[];
  status: ReceiverStatus;
  running: Promise<void> | null;
}

export function createDispatcher({ config, deps, log, retryMs = RETRY_MS }: DispatcherOptions): Dispatcher {
  const workers = new Map<string, ReceiverQueue>();
  const closing = new AbortController();

  const workerOf = (name: string): ReceiverQueue => {
    const found = workers.get(name);
    if (found) return found;
    const status = { pending: 0, delivered: 0, failed: 0, lastError: null };
    const fresh: ReceiverQueue = { queue: [], status, running: null };
    workers.set(name, fresh);
    return fresh;
  };

  /** Opened anew for every message: the file may have changed, and alerts are rare. */
  function delivery(name: string): DeliverAlert {
    const receiver = config().receivers[name];
    if (!receiver) throw new Error('no longer configured');
    return openReceiver(receiver, deps);
  }

  async function deliver(name: string, worker: ReceiverQueue, message: AlertMessage): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await delivery(name)(message);
        worker.status.delivered += 1;
        worker.status.lastError = null;
        return;
      } catch (cause) {
        const error = reason(cause);
        worker.status.lastError = error;
        const wait = retryMs[attempt];
        if (wait === undefined || closing.signal.aborted || !config().receivers[name]) {
          worker.status.failed += 1;
          log.error({ receiver: name, error, alert: message.id }, 'alert not delivered');
          return;
        }
        log.warn({ receiver: name, error, retryMs: wait }, 'alert not delivered yet');
        await sleep(wait, undefined, { signal: closing.signal, ref: false }).catch(() => {});
      }
    }
  }

  async function work(name: string, worker: ReceiverQueue): Promise<void> {
    for (let message = worker.queue.shift(); message; message = worker.queue.shift()) {
      await deliver(name, worker, message);
    }
    // At once, not when a promise has settled: what comes in between would wait for the message after it.
    worker.running = null;
  }

  function enqueue(name: string, message: AlertMessage): void {
    const worker = workerOf(name);
    worker.queue.push(message);
    const dropped = worker.queue.length > MAX_QUEUE ? worker.queue.shift() : undefined;
    if (dropped) {
      worker.status.failed += 1;
      log.error({ receiver: name, alert: dropped.id }, 'alert not delivered: too many wait');
    }
    worker.running ??= work(name, worker);
  }

  return {
    send(message, as = [message.severity]) {
      const routes = config().routes.filter(({ severities }) => severities.some((one) => as.includes(one)));
      for (const name of new Set(routes.flatMap(({ to }) => to))) enqueue(name, message);
    },
    test: (message, only) =>
      Promise.all(
        Object.keys(config().receivers)
          .filter((name) => only === undefined || name === only)
          .map(async (receiver) => {
            try {
              await delivery(receiver)(message);
              return { receiver, error: null };
            } catch (cause) {
              return { receiver, error: reason(cause) };
            }
          }),
      ),
    status: () =>
      Object.fromEntries(
        [...workers].map(([name, { queue, status, running }]) => [
          name,
          { ...status, pending: queue.length + (running ? 1 : 0) },
        ]),
      ),
    async close(timeoutMs) {
      closing.abort();
      const late = sleep(timeoutMs, undefined, { ref: false });
      await Promise.race([Promise.all([...workers.values()].map(({ running }) => running)), late]);
    },
  };
}

/** One line that tells the cause behind "fetch failed". */
function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause instanceof Error ? cause.cause.message || cause.cause.name : '';
  return inner ? `${cause.message}: ${inner}` : cause.message;
}
