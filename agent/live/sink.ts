import type { Logger } from 'pino';
import type { Config } from '../../shared/config/config.ts';
import type { MetricsRow, Sink, SinkStatus, Update } from '../core/sink.ts';
import { type Change, instanceKey } from '../core/state.ts';
import { liveEntries, type RequestTotals } from './entries.ts';
import type { LiveState } from './live-state.ts';
import { redisErrorHint } from './redis-error-hints.ts';

export interface LiveSinkOptions {
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
 * Writes the whole live state each time, so that one write restores what was evicted, flushed or lost in an outage. Only
 * the newest update waits; its changes are published on the events channel.
 */
export function createLiveSink({ live, config, log, now = Date.now }: LiveSinkOptions): Sink {
  const status: SinkStatus = {
    state: 'ok',
    pending: 0,
    dropped: 0,
    lastSuccess: null,
    lastError: null,
  };
  const metrics = createMetricsStore();
  let latest: Update | null = null;
  let events: Change[] = [];
  let writtenKeys = new Set<string>();
  let failures = 0;
  let closed = false;
  let writing: Promise<void> | null = null;
  let timer: NodeJS.Timeout | undefined;

  const schedule = (delayMs: number): void => {
    if (closed) return;
    clearTimeout(timer);
    timer = setTimeout(write, delayMs);
    timer.unref();
  };

  async function deliver(update: Update): Promise<void> {
    status.pending = 0;
    const services = Object.keys(config().services);
    const entries = liveEntries({
      update,
      services,
      rows: metrics.rows,
      totals: metrics.totals,
    });
    const keys = new Set(entries.map((entry) => entry.key));
    await live.put(entries);
    await live.remove([...writtenKeys].filter((key) => !keys.has(key)));
    writtenKeys = keys;
    while (events[0]) {
      await live.publish(events[0]);
      events.shift();
    }
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
    if (writing || !latest) return;
    writing = deliver(latest)
      .then(() => {
        failures = 0;
        Object.assign(status, { state: 'ok', lastSuccess: now(), lastError: null });
      })
      .catch(onFailure)
      .finally(() => {
        writing = null;
        if (failures > 0) schedule(Math.min(100 * 2 ** failures, MAX_BACKOFF_MS));
        else schedule(status.pending > 0 || events.length > 0 ? 0 : REFRESH_MS);
      });
  }

  return {
    name: 'redis',
    accept(update) {
      latest = update;
      metrics.update(update);
      events.push(...update.changes);
      status.dropped += Math.max(0, events.length - MAX_EVENTS);
      events = events.slice(-MAX_EVENTS);
      status.pending = 1;
      if (failures === 0) write();
    },
    status: () => ({ ...status }),
    async close(timeoutMs) {
      closed = true;
      clearTimeout(timer);
      if (status.pending > 0 && failures === 0) write();
      if (!writing) return;
      await Promise.race([writing, new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())]);
    },
  };
}

/** The newest metrics row and the request totals of each instance. */
function createMetricsStore() {
  const rows = new Map<string, MetricsRow>();
  const totals: RequestTotals = new Map();
  return {
    rows,
    totals,
    update({ metrics = [], instances }: Update): void {
      for (const row of metrics) {
        const key = instanceKey(row.serviceType, row.instanceId);
        const total = totals.get(key) ?? { requests: 0, failures: 0 };
        rows.set(key, row);
        totals.set(key, {
          requests: total.requests + row.totalRequests,
          failures: total.failures + row.failureCount,
        });
      }
      for (const known of [rows, totals]) {
        for (const key of known.keys()) if (!instances.has(key)) known.delete(key);
      }
    },
  };
}
