import type { Config } from '../../../shared/config/config.ts';
import type { Log } from '../../lib/log.ts';
import { DAY_SECONDS, rollUp } from '../rollups/run.ts';
import type { Database } from '../sql/database.ts';
import { maintain } from './maintain.ts';

export interface MaintenanceScheduleOptions {
  database: Database;
  config: () => Config;
  log: Log;
  /** Of two agents the leader alone keeps up. */
  isLeader?: () => boolean;
  /** Epoch milliseconds. */
  now?: () => number;
  everyMs?: number;
}

export interface MaintenanceSchedule {
  start(): void;
  /** Ends after the step in hand. */
  stop(): Promise<void>;
  status(): { lastRollUp: number | null; lastMaintained: number | null; lastError: string | null };
}

const EVERY_MS = 5 * 60_000;
/** The hour (UTC) in which the nightly work is done: the quietest of most services. */
const QUIET_HOUR = 3;

/** Roll-ups every five minutes, the rest of upkeep once a night. A database that is away only makes it wait. */
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
  let busy = false;

  async function turn(): Promise<void> {
    const at = now();
    try {
      const { uncounted = null } = await rollUp(database, { signal: stopping.signal });
      const last = status.lastMaintained ?? (await lastMaintained(database));
      const due = !stopping.signal.aborted && isMaintenanceDue(last, at);
      if (due) {
        const { dropped, deleted } = await maintain(database, {
          retentionMs: config().retention,
          now: at / 1000,
        });
        const size = await sizeOf(database);
        log.info({ dropped, deleted, ...size }, 'nightly upkeep done');
        if (exceedsEmbeddedLimit(size))
          log.warn(
            size,
            'the embedded database is large: set DATABASE_URL to a Postgres, or a shorter retention',
          );
      }
      Object.assign(status, { lastRollUp: at, lastMaintained: due ? at : last });
      note(uncounted, 'upkeep left rows out');
    } catch (cause) {
      note((cause as Error).message, 'upkeep waits');
    }
  }

  /** Told once, not every five minutes. */
  function note(error: string | null, what: string): void {
    if (error !== null && error !== status.lastError) log.warn({ error }, what);
    status.lastError = error;
  }

  function tick(): void {
    if (busy || !isLeader()) return;
    busy = true;
    running = turn().finally(() => {
      busy = false;
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
 * At the quiet hour of a day not yet maintained, or at any hour when a night was missed. Epoch milliseconds. A last time
 * that is yet to come was told by a clock that was wrong.
 */
export function isMaintenanceDue(last: number | null, now: number): boolean {
  const quiet = Math.floor(now / 1000 / DAY_SECONDS) * DAY_SECONDS * 1000 + QUIET_HOUR * 3_600_000;
  const latest = now >= quiet ? quiet : quiet - DAY_SECONDS * 1000;
  return last === null || last < latest || last > now;
}

interface DatabaseSize {
  embedded: boolean;
  bytes: number;
}

/** 18 instances for 30 days. The embedded database does one thing at a time: beyond, reports and nights hold up rows. */
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
    "SELECT value FROM upkeep_state WHERE name = 'maintained_at'",
  );
  return rows[0] ? rows[0].value * 1000 : null;
}
