import type { Config } from '../../../shared/config/config.ts';
import type { Log } from '../../lib/log.ts';
import { DAY_SECONDS, rollUp } from '../rollups/run.ts';
import type { Database } from '../sql/database.ts';
import { deleteOldMinutes, maintain } from './maintain.ts';

interface MaintenanceScheduleOptions {
  database: Database;
  config: () => Config;
  log: Log;
  /** Only the leader runs maintenance. */
  isLeader?: () => boolean;
  /** Epoch milliseconds. */
  now?: () => number;
  everyMs?: number;
}

interface MaintenanceSchedule {
  start(): void;
  /** Resolves after the current step. */
  stop(): Promise<void>;
  status(): { lastRollUp: number | null; lastMaintained: number | null; lastError: string | null };
}

const EVERY_MS = 5 * 60_000;
/** The hour (UTC) of nightly maintenance. */
const NIGHTLY_HOUR = 3;

/**
 * Every five minutes rolls up and deletes old minutes, and once a night runs full maintenance; retries while the database is
 * unavailable.
 */
export function createMaintenanceSchedule(options: MaintenanceScheduleOptions): MaintenanceSchedule {
  const { database, config, log, isLeader = () => true, now = Date.now, everyMs = EVERY_MS } = options;
  const status: ReturnType<MaintenanceSchedule['status']> = {
    lastRollUp: null,
    lastMaintained: null,
    lastError: null,
  };
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let isRunning = false;

  async function runOnce(): Promise<void> {
    const at = now();
    try {
      const { uncounted = null } = await rollUp(database, { signal: stopping.signal });
      await deleteOldMinutes(database, at / 1000);
      const last = status.lastMaintained ?? (await lastMaintained(database));
      const due = !stopping.signal.aborted && isMaintenanceDue(last, at);
      if (due) {
        const { dropped, deleted } = await maintain(database, {
          retentionMs: config().retention,
          now: at / 1000,
        });
        const size = await sizeOf(database);
        log.info({ dropped, deleted, ...size }, 'nightly maintenance done');
        if (exceedsEmbeddedLimit(size))
          log.warn(
            size,
            'the embedded database is large: set DATABASE_URL to a Postgres server, or shorten retention',
          );
      }
      Object.assign(status, { lastRollUp: at, lastMaintained: due ? at : last });
      reportError(uncounted, 'roll-up skipped rows');
    } catch (cause) {
      reportError((cause as Error).message, 'maintenance failed; retrying at the next run');
    }
  }

  /** Logs each error once. */
  function reportError(error: string | null, message: string): void {
    if (error !== null && error !== status.lastError) log.warn({ error }, message);
    status.lastError = error;
  }

  function tick(): void {
    if (isRunning || !isLeader()) return;
    isRunning = true;
    running = runOnce().finally(() => {
      isRunning = false;
    });
  }

  return {
    start() {
      timer ??= setInterval(tick, everyMs);
    },
    async stop() {
      clearInterval(timer);
      stopping.abort();
      await running;
    },
    status: () => ({ ...status }),
  };
}

/**
 * Whether maintenance is due at `now` (epoch milliseconds): at the nightly hour, or at once when a night was missed. A
 * `last` in the future comes from a wrong clock and is ignored.
 */
export function isMaintenanceDue(last: number | null, now: number): boolean {
  const today = Math.floor(now / 1000 / DAY_SECONDS) * DAY_SECONDS * 1000 + NIGHTLY_HOUR * 3_600_000;
  const latest = now >= today ? today : today - DAY_SECONDS * 1000;
  return last === null || last < latest || last > now;
}

interface DatabaseSize {
  embedded: boolean;
  bytes: number;
}

/** About 18 instances for 30 days. Above this, reports and maintenance delay writes for too long. */
const EMBEDDED_BYTES = 1024 ** 3;

export const exceedsEmbeddedLimit = ({ embedded, bytes }: DatabaseSize): boolean =>
  embedded && bytes > EMBEDDED_BYTES;

async function sizeOf(database: Database): Promise<DatabaseSize> {
  const { rows } = await database.query<DatabaseSize & Record<string, unknown>>(
    "SELECT version() LIKE '%PGlite%' AS embedded, pg_database_size(current_database()) AS bytes",
  );
  return rows[0] ?? { embedded: false, bytes: 0 };
}

async function lastMaintained(database: Database): Promise<number | null> {
  const { rows } = await database.query<{ value: number }>(
    "SELECT value FROM upkeep_state WHERE site = $1 AND name = 'maintained_at'",
    [database.site],
  );
  return rows[0] ? rows[0].value * 1000 : null;
}
