import type { Logger } from 'pino';
import type { Config } from '../../shared/config/config.ts';
import type { MetricsRow, Sink, SinkStatus, Update } from '../core/sink.ts';
import type { Change } from '../core/state.ts';
import { liveEntries, type RequestTotals } from './entries.ts';
import type { LiveState } from './live-state.ts';
import { redisErrorHint } from './redis-error-hints.ts';

export interface LiveSinkOptions {
  live: LiveState;
  config: () => Config;
  log: Logger;
  now?: () => number;
}

/** Well inside the shortest time to live (60 s), so that nothing expires while the agent lives. */
const REFRESH_MS = 15_000;
const MAX_BACKOFF_MS = 2_000;
const MAX_EVENTS = 1_000;

/**
 * Writes the whole live state each time, so that whatever was evicted, flushed or lost in an outage is complete again
 * after one write. Waiting updates overwrite each other; changes are announced on the events channel.
 */
export function createLiveSink({ live, config, log, now = Date.now }: LiveSinkOptions): Sink {
  const rows = new Map<string, MetricsRow>();
  const totals: RequestTotals = new Map();
  const status: SinkStatus = {
    state: 'ok',
    pending: 0,
    dropped: 0,
    lastSuccess: null,
    lastError: null,
  };
  let latest: Update | null = null;
  let events: Change[] = [];
  let written = new Set<string>();
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
    const entries = liveEntries({ update, services: Object.keys(config().services), rows, totals });
    const keys = new Set(entries.map((entry) => entry.key));
    await live.put(entries);
    await live.remove([...written].filter((key) => !keys.has(key)));
    written = keys;
    while (events[0]) {
      await live.publish(events[0]);
      events.shift();
    }
  }

  function write(): void {
    if (writing || !latest) return;
    writing = deliver(latest)
      .then(() => {
        failures = 0;
        Object.assign(status, { state: 'ok', lastSuccess: now(), lastError: null });
      })
      .catch((error: Error) => {
        failures += 1;
        status.pending = 1;
        // Why the connection is gone tells more than that it is, and has been logged.
        const { state, lastError: away } = live.status();
        const lastError = away ?? error.message;
        if (state === 'ok' && failures === 1) {
          log.warn(`live state not written (${lastError}): ${redisErrorHint(error)}`);
        }
        Object.assign(status, { state: failures > 3 ? 'down' : 'retrying', lastError });
      })
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
      for (const row of update.metrics ?? []) remember(rows, totals, row);
      for (const known of [rows, totals]) {
        for (const key of known.keys()) if (!update.instances.has(key)) known.delete(key);
      }
      events.push(...update.changes);
      if (events.length > MAX_EVENTS) {
        status.dropped += events.length - MAX_EVENTS;
        events = events.slice(-MAX_EVENTS);
      }
      status.pending = 1;
      if (failures === 0) write();
    },
    status: () => ({ ...status }),
    async close(timeoutMs) {
      closed = true;
      clearTimeout(timer);
      if (status.pending > 0 && failures === 0) write();
      if (!writing) return;
      await Promise.race([
        writing,
        new Promise((resolve) => {
          setTimeout(resolve, timeoutMs).unref();
        }),
      ]);
    },
  };
}

function remember(rows: Map<string, MetricsRow>, totals: RequestTotals, row: MetricsRow): void {
  const key = `${row.serviceType}/${row.instanceId}`;
  const total = totals.get(key) ?? { requests: 0, failures: 0 };
  rows.set(key, row);
  totals.set(key, {
    requests: total.requests + row.totalRequests,
    failures: total.failures + row.failureCount,
  });
}
