import type { StatusDocument } from '../schemas/status.ts';

/** One status document, serialized once for every viewer. */
export interface StatusMessage {
  number: number;
  text: string;
}

/** Creates messages only while a viewer waits. */
export interface StatusStream {
  /** The first message after number `after`. */
  next(after: number): Promise<StatusMessage>;
  /** A state or an event changed: send the next message early. */
  changed(): void;
}

/** One message per second up to this many instances, then proportionally fewer: 64 KB/s per viewer at 500 instances. */
const INSTANCES_PER_SECOND = 200;
/** The page reconnects after eight seconds without a message. */
const MAX_INTERVAL_S = 5;
/** A change may shorten the interval to this part of it. Changes within that time share one message. */
const CHANGE_FRACTION = 1 / 5;

export const messageIntervalMs = (instances: number): number =>
  1_000 * Math.min(MAX_INTERVAL_S, Math.max(1, Math.ceil(instances / INSTANCES_PER_SECOND)));

export function createStatusStream(
  status: () => StatusDocument,
  now: () => number = () => performance.now(),
): StatusStream {
  let latest: StatusMessage | null = null;
  let madeAt = 0;
  let intervalMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let waiting: ((message: StatusMessage) => void)[] = [];

  function make(): void {
    timer = undefined;
    madeAt = now();
    const document = status();
    const instances = document.services.reduce((sum, service) => sum + service.instances.length, 0);
    intervalMs = messageIntervalMs(instances);
    const message = { number: (latest?.number ?? 0) + 1, text: JSON.stringify(document) };
    latest = message;
    const viewers = waiting;
    waiting = [];
    for (const deliver of viewers) deliver(message);
  }

  function schedule(delayMs: number): void {
    clearTimeout(timer);
    timer = setTimeout(make, Math.max(0, madeAt + delayMs - now()));
    timer.unref();
  }

  return {
    next(after) {
      if (latest && latest.number > after && now() - madeAt < intervalMs) return Promise.resolve(latest);
      return new Promise((resolve) => {
        waiting.push(resolve);
        if (!timer) schedule(latest ? intervalMs : 0);
      });
    },
    changed() {
      if (timer) schedule(intervalMs * CHANGE_FRACTION);
    },
  };
}
