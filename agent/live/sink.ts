import type { Logger } from 'pino';
import type { Config } from '../../shared/config/config.ts';
import type { MetricsRow, Sink, SinkStatus, Update } from '../core/sink.ts';
import { type Change, instanceKey } from '../core/state.ts';
import { waitAtMost } from '../lib/with-timeout.ts';
import { liveEntries, type RequestTotals } from './entries.ts';
import type { LiveState } from './live-state.ts';
import { redisErrorHint } from './redis-error-hints.ts';

interface LiveSinkOptions {
  live: LiveState;
  config: () => Config;
  log: Logger;
  /** Epoch milliseconds. */
  now?: () => number;
}

/** Well below the shortest TTL (60 s), so that no key expires while the agent runs. */
const REFRESH_MS = 15_000;
const MAX_BACKOFF_MS = 2_000;
const MAX_EVENTS = 1_000;
const DOWN_AFTER_FAILURES = 3;

/**
 * Writes the whole live state each time, so that one write restores what was evicted, flushed or lost in an outage.
 * Only the newest update waits. Its changes are published on the events channel. Without Redis it writes nothing,
 * because nothing in the agent reads these keys.
 */
export function createLiveSink(options: LiveSinkOptions): Sink {
  const { live, log, now = Date.now } = options;
  const status: SinkStatus = {
    state: 'ok',
    pending: 0,
    dropped: 0,
    lastSuccess: null,
    lastError: null,
  };
  const delivery = createDelivery(options);
  let failures = 0;
  let closed = false;
  let writing: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;

  function schedule(): void {
    if (closed) return;
    const pending = status.pending > 0 || delivery.hasEvents();
    const delayMs = failures > 0 ? Math.min(100 * 2 ** failures, MAX_BACKOFF_MS) : pending ? 0 : REFRESH_MS;
    clearTimeout(timer);
    timer = setTimeout(write, delayMs);
    timer.unref();
  }

  function onFailure(error: Error): void {
    failures += 1;
    status.pending = 1;
    // While Redis is unavailable, the error of the connection is more specific, and already logged.
    const connection = live.status();
    const lastError = connection.lastError ?? error.message;
    if (connection.state === 'ok' && failures === 1) {
      log.warn(`live state not written (${lastError}): ${redisErrorHint(error)}`);
    }
    Object.assign(status, { state: failures > DOWN_AFTER_FAILURES ? 'down' : 'retrying', lastError });
  }

  function write(): void {
    if (writing !== null) return;
    status.pending = 0;
    writing = delivery
      .deliver()
      .then(() => {
        failures = 0;
        Object.assign(status, { state: 'ok', lastSuccess: now(), lastError: null });
      })
      .catch(onFailure)
      .finally(() => {
        writing = null;
        schedule();
      });
  }

  return {
    name: 'redis',
    accept(update) {
      if (live.kind === 'memory') {
        status.lastSuccess = now();
        return;
      }
      status.dropped += delivery.add(update);
      status.pending = 1;
      if (failures === 0) write();
    },
    status: () => ({ ...status }),
    async close(timeoutMs) {
      closed = true;
      clearTimeout(timer);
      if (status.pending > 0 && failures === 0) write();
      if (writing !== null) await waitAtMost(writing, timeoutMs);
    },
  };
}

/** Collects updates and delivers the newest state with all changes since the last delivery. */
function createDelivery({ live, config }: LiveSinkOptions) {
  const rows = new Map<string, MetricsRow>();
  const totals: RequestTotals = new Map();
  let latest: Update | null = null;
  let events: Change[] = [];
  let writtenKeys = new Set<string>();
  return {
    hasEvents: () => events.length > 0,
    /** Returns the number of events dropped. */
    add(update: Update): number {
      latest = update;
      for (const row of update.metrics ?? []) addMetrics(rows, totals, row);
      for (const known of [rows, totals]) {
        for (const key of known.keys()) if (!update.instances.has(key)) known.delete(key);
      }
      const all = [...events, ...update.changes];
      events = all.slice(-MAX_EVENTS);
      return all.length - events.length;
    },
    async deliver(): Promise<void> {
      if (!latest) return;
      const services = Object.keys(config().services);
      const keys = new Set<string>();
      // In batches, because one write of thousands of instances would delay probes and requests.
      for (const batch of liveEntries({ keys: live.keys, update: latest, services, rows, totals })) {
        for (const { key } of batch) keys.add(key);
        await live.put(batch);
      }
      await live.remove([...writtenKeys].filter((key) => !keys.has(key)));
      writtenKeys = keys;
      for (let event = events[0]; event; event = events[0]) {
        await live.publish(event);
        if (events[0] === event) events.shift();
      }
    },
  };
}

function addMetrics(rows: Map<string, MetricsRow>, totals: RequestTotals, row: MetricsRow): void {
  const key = instanceKey(row.serviceType, row.instanceId);
  const total = totals.get(key) ?? { requests: 0, failures: 0 };
  rows.set(key, row);
  totals.set(key, {
    requests: total.requests + row.totalRequests,
    failures: total.failures + row.failureCount,
  });
}
