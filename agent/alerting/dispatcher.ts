import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';
import type { Log } from '../lib/log.ts';
import type { AlertMessage } from './message.ts';
import { openReceiver } from './receivers/open.ts';
import { RefusedError } from './receivers/post.ts';
import type { DeliverAlert, ReceiverDeps } from './receivers/receiver.ts';

export interface ReceiverStatus {
  pending: number;
  delivered: number;
  failed: number;
  /** Null: the last delivery succeeded, or there was none. */
  lastError: string | null;
  /** Epoch milliseconds of the last delivery that succeeded; null: none since the agent started. */
  lastSuccess: number | null;
}

/** Delivers messages to receivers. Each receiver has its own queue and retries, so a dead one delays no other. */
export interface Dispatcher {
  /** Queues the message for every receiver routed for one of these severities, once per receiver. */
  send(message: AlertMessage, severities?: readonly AlertMessage['severity'][]): void;
  /** Delivers at once, without retries, and reports the error of each receiver. It becomes the receiver's `lastError`. */
  test(message: AlertMessage, only?: string): Promise<{ receiver: string; error: string | null }[]>;
  status(): Record<string, ReceiverStatus>;
  /** Stops retrying and waits up to `timeoutMs` for the deliveries in progress. */
  close(timeoutMs: number): Promise<void>;
}

export interface DispatcherOptions {
  config: () => Config['alerts'];
  deps: ReceiverDeps;
  log: Log;
  retryMs?: readonly number[];
}

/** About nine minutes in all: longer than the restart of a mail server. */
const RETRY_MS = [1_000, 5_000, 30_000, 120_000, 360_000];
const MAX_QUEUE = 100;

interface ReceiverQueue {
  name: string;
  messages: AlertMessage[];
  counts: Omit<ReceiverStatus, 'pending'>;
  /** The receiver refused the last message as it is: another attempt would fail too. */
  refused: boolean;
  running: Promise<void> | null;
}

export function createDispatcher({ config, deps, log, retryMs = RETRY_MS }: DispatcherOptions): Dispatcher {
  const queues = new Map<string, ReceiverQueue>();
  const closing = new AbortController();

  /** Opens the receiver for each message: the configuration may have changed, and alerts are rare. */
  function receiver(name: string): DeliverAlert {
    const found = config().receivers[name];
    if (!found) throw new Error('no longer configured');
    return openReceiver(found, deps);
  }

  /** Tries until the message is delivered, the retries are used up, or the dispatcher closes. */
  async function deliver(queue: ReceiverQueue, message: AlertMessage): Promise<void> {
    for (const wait of [...retryMs, null]) {
      const error = await attempt(queue, receiver, message);
      if (error === null) return;
      const final = queue.refused || wait === null || closing.signal.aborted;
      if (final || !config().receivers[queue.name]) {
        queue.counts.failed += 1;
        log.error({ receiver: queue.name, error, alert: message.id }, 'alert not delivered, giving up');
        return;
      }
      log.warn({ receiver: queue.name, error, retryMs: wait }, 'alert not delivered, retrying');
      await sleep(wait, undefined, { signal: closing.signal, ref: false }).catch(() => {});
    }
  }

  async function drain(queue: ReceiverQueue): Promise<void> {
    for (let next = queue.messages.shift(); next; next = queue.messages.shift()) await deliver(queue, next);
    // Cleared synchronously: a message queued between here and a promise callback would start no new drain.
    queue.running = null;
  }

  function queueOf(name: string): ReceiverQueue {
    const queue = queues.get(name) ?? newQueue(name);
    queues.set(name, queue);
    return queue;
  }

  function enqueue(name: string, message: AlertMessage): void {
    const queue = queueOf(name);
    queue.messages.push(message);
    const dropped = queue.messages.length > MAX_QUEUE ? queue.messages.shift() : undefined;
    if (dropped) {
      queue.counts.failed += 1;
      log.error({ receiver: name, alert: dropped.id }, 'alert not delivered: queue full, oldest dropped');
    }
    queue.running ??= drain(queue);
  }

  return {
    send(message, severities = [message.severity]) {
      const routes = config().routes.filter(
        ({ severities: routed, services }) =>
          routed.some((one) => severities.includes(one)) &&
          (!services || (message.service !== null && services.includes(message.service))),
      );
      for (const name of new Set(routes.flatMap(({ to }) => to))) enqueue(name, message);
    },
    test(message, only) {
      const names = Object.keys(config().receivers).filter((name) => only === undefined || name === only);
      return Promise.all(
        names.map(async (name) => {
          const error = await attempt(newQueue(name), receiver, message);
          const { counts } = queueOf(name);
          counts.lastError = error;
          if (error === null) counts.lastSuccess = Date.now();
          return { receiver: name, error };
        }),
      );
    },
    status: () =>
      Object.fromEntries(
        [...queues.values()].map(({ name, messages, counts, running }) => [
          name,
          { ...counts, pending: messages.length + (running ? 1 : 0) },
        ]),
      ),
    async close(timeoutMs) {
      closing.abort();
      const expired = sleep(timeoutMs, undefined, { ref: false });
      await Promise.race([Promise.all([...queues.values()].map(({ running }) => running)), expired]);
    },
  };
}

/** One delivery; returns the error, or null when the message was delivered. */
async function attempt(
  queue: ReceiverQueue,
  receiver: (name: string) => DeliverAlert,
  message: AlertMessage,
): Promise<string | null> {
  const { name, counts } = queue;
  queue.refused = false;
  try {
    await receiver(name)(message);
    counts.delivered += 1;
    counts.lastError = null;
    counts.lastSuccess = Date.now();
  } catch (error) {
    counts.lastError = describeError(error);
    queue.refused = error instanceof RefusedError;
  }
  return counts.lastError;
}

const newQueue = (name: string): ReceiverQueue => ({
  name,
  messages: [],
  counts: { delivered: 0, failed: 0, lastError: null, lastSuccess: null },
  refused: false,
  running: null,
});

/** Includes the cause: "fetch failed" alone says nothing. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message || error.cause.name : '';
  return cause ? `${error.message}: ${cause}` : error.message;
}
