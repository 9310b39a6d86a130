import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, expect, it, vi } from 'vitest';
import { createMaintenanceSchedule } from '../../agent/history/maintenance/schedule.ts';
import { readRollups } from '../../agent/history/rollups/read.ts';
import { createHistorySink } from '../../agent/history/sink.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { startPostgres } from '../harness/postgres.ts';

/** History and scheduled maintenance with a clock that runs a day in a few seconds. */

const log = pino({ level: 'silent' });
const [HOUR, DAY] = [3_600, 86_400];
const STEP = 30 * 60;
const DAYS = 2;
const soon = (expectation: () => void | Promise<void>) =>
  vi.waitFor(expectation, { timeout: 60_000, interval: 5 });
const releases: (() => unknown)[] = [];
afterAll(async () => {
  for (const release of releases.reverse()) await release();
});

const config = parseConfig(`
version: 1
site: { id: main }
retention: 1d
services: { gs: { routes: [/], instances: [{ id: gs-1, url: 'http://127.0.0.1:1' }] } }
`);
const row = (timestamp: number) => ({
  serviceType: 'gs',
  instanceId: 'gs-1',
  timestamp,
  responseTime: 0.1,
  successCount: 10,
  failureCount: 0,
  currentConnections: 1,
  totalRequests: 10,
  cpuUsage: 1,
  memoryUsage: 2,
});

it('rolls up every hour and day, and creates and drops partitions each night, across a leap day', {
  timeout: 240_000,
}, async () => {
  const start = Date.UTC(2028, 1, 27, 22, 10);
  const server = await startBerlinPostgres();
  const stateDir = mkdtempSync(join(tmpdir(), 'acgs-schedule-'));
  releases.push(() => rmSync(stateDir, { recursive: true, force: true }));
  const database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
  releases.push(() => database.close());
  const sink = await createHistorySink({ database, migrateUrl: server.url, stateDir, log, flushMs: 1 });
  releases.push(() => sink.close(1_000));
  let clock = start;
  const schedule = createMaintenanceSchedule({
    database,
    config: () => config,
    log,
    now: () => clock,
    everyMs: 2,
  });

  const nights = new Set<number>();
  const end = start + DAYS * DAY * 1000;
  for (; clock < end; clock += STEP * 1000) {
    const at = clock / 1000;
    sink.accept({ at: clock, instances: new Map(), changes: [], metrics: [row(at)] });
    await soon(() => expect(sink.status()).toMatchObject({ state: 'ok', pending: 0 }));
    schedule.start();
    await soon(() => expect(schedule.status()).toMatchObject({ lastRollUp: clock, lastError: null }));
    nights.add(schedule.status().lastMaintained ?? 0);
  }

  // The last run may have started just before the last row was written.
  const dirty = 'SELECT start FROM dirty_hours UNION ALL SELECT start FROM dirty_days';
  await soon(async () => expect((await database.query(dirty)).rows).toEqual([]));
  await schedule.stop();

  // The first run is at once, since a night was missed; then daily at the first tick after 3:00.
  const three = Math.ceil((start / 1000 - 3 * HOUR) / DAY) * DAY + 3 * HOUR;
  const firstAfter = (at: number) => start + Math.ceil((at * 1000 - start) / (STEP * 1000)) * STEP * 1000;
  expect([...nights]).toEqual([start, ...[0, 1].map((day) => firstAfter(three + day * DAY))]);

  const from = Math.floor(start / 1000 / DAY) * DAY;
  const hours = await readRollups(database, { from, to: end / 1000, by: 'hour' });
  const own = hours.filter(({ instance }) => instance === 'gs-1');
  expect(own).toHaveLength(DAYS * 24);
  expect(own.every(({ rows, requests }) => rows === 2 && requests === 20)).toBe(true);
  const { rows: days } = await database.query(
    "SELECT start, rows FROM metrics_daily WHERE instance_id = 'gs-1' ORDER BY start",
  );
  expect(days).toEqual([4, 48, 44].map((rows, day) => ({ start: from + day * DAY, rows })));

  const { rows: partitions } = await database.query<{ day: string }>(
    `SELECT right(relid::regclass::text, 8) AS day FROM pg_partition_tree('load_balancing_metrics')
     WHERE isleaf ORDER BY 1`,
  );
  const kept = partitions.map(({ day }) => day).filter((day) => day >= stamp(from - DAY));
  const lastNight = from + DAYS * DAY;
  const wanted = Array.from({ length: 9 }, (_, index) => stamp(lastNight + (index - 1) * DAY));
  expect(kept).toEqual(wanted);

  await expectDaylightSavingDays(database);
});

/** A server whose role has another time zone, which must not change the days. */
async function startBerlinPostgres() {
  const server = await startPostgres();
  releases.push(() => server.stop());
  const admin = openDatabase(server.adminUrl, 'main', { min: 0, max: 1, idle: 1_000 });
  await admin.query("ALTER ROLE acgs_lb_user SET timezone = 'Europe/Berlin'");
  await admin.close();
  return server;
}

const stamp = (at: number) => new Date(at * 1000).toISOString().slice(0, 10).replaceAll('-', '');

/** The days around the switch to daylight saving time have 24 hours in UTC. */
async function expectDaylightSavingDays(database: Database): Promise<void> {
  const night = Date.UTC(2028, 2, 25) / 1000;
  await database.query('SELECT acgs_ensure_days($1, $2)', [night, night + 3 * DAY - 1]);
  for (let at = night; at < night + 3 * DAY; at += HOUR) {
    const { rows } = await database.query<{ part: string }>(
      `INSERT INTO load_balancing_metrics (service_type, instance_id, timestamp, response_time)
       VALUES ('gs', 'gs-1', $1, 0) RETURNING tableoid::regclass::text AS part`,
      [at],
    );
    expect(rows[0]?.part).toBe(`load_balancing_metrics_${stamp(at)}`);
  }
}
