import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupConfig, backupDatabase } from '../../agent/history/maintenance/backup.ts';
import { maintain } from '../../agent/history/maintenance/maintain.ts';
import { restoreConfig, restoreDatabase, SCHEMA_TABLES } from '../../agent/history/maintenance/restore.ts';
import { exceedsEmbeddedLimit, isMaintenanceDue } from '../../agent/history/maintenance/schedule.ts';
import { readRollups } from '../../agent/history/rollups/read.ts';
import { rollUp } from '../../agent/history/rollups/run.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { startEmbedded, startPostgres } from '../harness/postgres.ts';

const DAY = 86_400;
const NOW = Date.UTC(2026, 5, 20, 12) / 1000;
const folder = mkdtempSync(join(tmpdir(), 'acgs-maintenance-'));
const releases: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
afterAll(async () => {
  for (const release of releases.reverse()) await release();
});

/** `disconnectTimeoutMs` is an option of `restoreDatabase`. */
async function fresh(
  kind: 'postgres' | 'pglite',
): Promise<{ url: string; database: Database; disconnectTimeoutMs: number }> {
  const server =
    kind === 'postgres' ? await startPostgres() : await startEmbedded(mkdtempSync(join(folder, 'db-')));
  releases.push(() => server.stop());
  const database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
  releases.push(() => database.close());
  return { url: server.url, database, disconnectTimeoutMs: 60_000 };
}

const insert = (database: Database, at: number) =>
  database.query(
    `INSERT INTO load_balancing_metrics (service_type, instance_id, timestamp, response_time, success_count, total_requests)
     VALUES ('gs', 'gs-1', $1, 0.2, 10, 10)`,
    [at],
  );

describe.each(['postgres', 'pglite'] as const)('maintenance of %s', (kind) => {
  let url: string;
  let database: Database;

  beforeAll(async () => {
    ({ url, database } = await fresh(kind));
    await migrate(url, 'main');
    await database.query('SELECT acgs_ensure_days($1, $2)', [NOW - 40 * DAY, NOW]);
    for (const age of [40, 31, 29, 0]) await insert(database, NOW - age * DAY);
    await database.query(
      `INSERT INTO breaker_events (service_type, instance_id, timestamp, from_state, to_state, reason)
       VALUES ('gs', 'gs-1', $1, 'closed', 'open', 'it''s ' || chr(10) || 'so'), ('gs', 'gs-1', $2, 'closed', 'open', 'a line ' || chr(8232) || ' goes on'), ('gs', 'gs-1', $2, 'closed', 'open', 'new')`,
      [NOW - 401 * DAY, NOW],
    );
  });

  it('drops partitions past retention, keeps their roll-ups, and is idempotent', async () => {
    const done = await maintain(database, { retentionMs: 30 * DAY * 1000, now: NOW });
    expect(done.dropped.length).toBeGreaterThanOrEqual(18);
    expect(done.deleted.breaker_events).toBe(1);
    const { rows } = await database.query('SELECT timestamp FROM load_balancing_metrics ORDER BY 1');
    expect(rows).toEqual([{ timestamp: NOW - 29 * DAY }, { timestamp: NOW }]);
    const hours = await readRollups(database, { from: NOW - 41 * DAY, to: NOW + 3_600, by: 'hour' });
    expect(hours.filter(({ instance }) => instance === 'gs-1').map(({ requests }) => requests)).toEqual([
      10, 10, 10, 10,
    ]);
    await insert(database, NOW + 6 * DAY);
    expect((await maintain(database, { retentionMs: 30 * DAY * 1000, now: NOW })).dropped).toEqual([]);
  });

  it('runs the maintenance SQL of the guide unchanged', async () => {
    await database.query(
      "DELETE FROM load_balancing_metrics WHERE timestamp < EXTRACT(EPOCH FROM NOW() - INTERVAL '30 days')",
    );
    await database.query('VACUUM ANALYZE load_balancing_metrics');
  });

  it('backs up, and restores into an empty database', async () => {
    const out = mkdtempSync(join(folder, 'out-'));
    const embedded = kind === 'pglite';
    // The DELETE of the guide uses the real date and deleted the rows.
    await insert(database, NOW);
    await rollUp(database);
    const backup = await backupDatabase({ database, url, embedded, folder: out, now: new Date(2026, 5, 20) });
    expect(backup).toMatchObject({
      file: join(out, 'acgs_lb_backup_20260620.sql'),
      by: embedded ? 'acgs-lb' : 'pg_dump',
    });
    expect(statSync(backup.file).mode & 0o777).toBe(0o600);
    const empty = await fresh(kind);
    await restoreDatabase(backup.file, empty);
    for (const table of [
      'load_balancing_metrics',
      'metrics_hourly',
      'metrics_daily',
      'breaker_events',
      'upkeep_state',
    ]) {
      const all = `SELECT to_jsonb(t) AS row FROM ${table} t ORDER BY to_jsonb(t)::text`;
      expect((await empty.database.query(all)).rows).toEqual((await database.query(all)).rows);
    }
    // The restored database is usable: ids continue, triggers work, no migration is pending.
    await insert(empty.database, NOW + 60);
    expect(await rollUp(empty.database)).toMatchObject({ hours: 1 });
    expect((await migrate(empty.url, 'main')).applied).toEqual([]);
    await expect(restoreDatabase(backup.file, empty)).rejects.toThrow('not empty');
  });
});

describe('restoring where migrate has run', () => {
  let migrated: Awaited<ReturnType<typeof fresh>>;
  let dump: string;
  beforeAll(async () => {
    const source = await fresh('postgres');
    await migrate(source.url, 'main');
    await source.database.query('SELECT acgs_ensure_days($1, $1)', [NOW]);
    await insert(source.database, NOW);
    ({ file: dump } = await backupDatabase({
      ...source,
      embedded: false,
      folder,
      now: new Date(NOW * 1000),
    }));
    migrated = await fresh('postgres');
    await migrate(migrated.url, 'main');
    await migrated.database.query('CREATE TABLE somebody_elses AS SELECT 1 AS one');
  });

  it('lists all tables of the schema', async () => {
    const { rows } = await migrated.database.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace
       AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'somebody_elses'`,
    );
    expect(rows.map(({ name }) => name).sort()).toEqual([...SCHEMA_TABLES].sort());
  });

  it('refuses to restore while any table holds a row', async () => {
    const { database } = migrated;
    await database.query(
      "INSERT INTO audit_log (timestamp, actor, action, target) VALUES (1, 'a', 'b', 'c')",
    );
    await expect(restoreDatabase(dump, migrated)).rejects.toThrow(/not empty.*audit_log/);
    await database.query('DELETE FROM audit_log');
  });

  it('a dump of pg_dump replaces only an empty schema', async () => {
    const { database, url } = migrated;
    await restoreDatabase(dump, migrated);
    expect((await database.query('SELECT timestamp FROM load_balancing_metrics')).rows).toEqual([
      { timestamp: NOW },
    ]);
    expect((await database.query('SELECT one FROM somebody_elses')).rows).toEqual([{ one: 1 }]);
    expect((await migrate(url, 'main')).applied).toEqual([]);
  });
});

it('restores our own dump into Postgres as well', async () => {
  const source = await fresh('pglite');
  await migrate(source.url, 'main');
  await source.database.query('SELECT acgs_ensure_days($1, $1)', [NOW]);
  await insert(source.database, NOW);
  const out = mkdtempSync(join(folder, 'out-'));
  const { file } = await backupDatabase({ ...source, embedded: true, folder: out, now: new Date() });
  const target = await fresh('postgres');
  await restoreDatabase(file, target);
  expect((await target.database.query('SELECT id, timestamp FROM load_balancing_metrics')).rows).toEqual([
    { id: 1, timestamp: NOW },
  ]);
});

describe('configuration archive', () => {
  it('restores files unchanged with their modes, and overwrites existing ones only with overwrite', async () => {
    const from = mkdtempSync(join(folder, 'etc-'));
    writeFileSync(join(from, 'acgs-lb.yaml'), 'version: 1\n');
    writeFileSync(join(from, 'agent.env'), 'ACGS_TOKEN=x\n', { mode: 0o600 });
    mkdirSync(join(from, 'acgs-lb/errors'), { recursive: true });
    writeFileSync(join(from, 'acgs-lb/errors/503.json'), 'gone');
    const { file, manifest } = await backupConfig({
      site: 'main',
      folder,
      now: new Date(2026, 0, 5),
      files: {
        'acgs-lb.yaml': join(from, 'acgs-lb.yaml'),
        'environment.env': join(from, 'agent.env'),
        'haproxy-files': join(from, 'acgs-lb'),
        'registry.json': join(from, 'absent.json'),
      },
    });
    expect(file).toBe(join(folder, 'acgs-lb-config-20260105.tar.gz'));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(manifest.files.map(({ name }) => name)).toEqual([
      'acgs-lb.yaml',
      'environment.env',
      'haproxy-files',
    ]);
    const root = mkdtempSync(join(folder, 'root-'));
    const { written } = await restoreConfig(file, { root });
    expect(written).toHaveLength(3);
    expect(readFileSync(join(root, from, 'acgs-lb/errors/503.json'), 'utf8')).toBe('gone');
    expect(statSync(join(root, from, 'agent.env')).mode & 0o777).toBe(0o600);
    await expect(restoreConfig(file, { root })).rejects.toThrow('files exist');
    await restoreConfig(file, { root, overwrite: true });
  });

  it('rejects a file that is not one of our archives', async () => {
    const file = join(folder, 'other.tar.gz');
    writeFileSync(file, 'no');
    await expect(restoreConfig(file)).rejects.toThrow('is not an archive of acgs-lb backup');
    writeFileSync(join(folder, 'manifest.json'), '{ "version":');
    execFileSync('tar', ['-czf', file, '-C', folder, 'manifest.json']);
    await expect(restoreConfig(file)).rejects.toThrow('has no manifest of acgs-lb backup');
  });
});

it('maintenance is due once a night, and at once when a night was missed', () => {
  const at = (day: number, hour: number) => Date.UTC(2026, 5, day, hour);
  expect(isMaintenanceDue(null, at(1, 12))).toBe(true);
  expect(isMaintenanceDue(at(1, 3), at(1, 23))).toBe(false);
  expect(isMaintenanceDue(at(1, 3), at(2, 2))).toBe(false);
  expect(isMaintenanceDue(at(1, 3), at(2, 4))).toBe(true);
  expect(isMaintenanceDue(at(1, 3), at(4, 1))).toBe(true);
  // The last time comes from a wrong clock.
  expect(isMaintenanceDue(at(9, 3), at(2, 1))).toBe(true);
});

it('only the embedded database has a size limit', () => {
  expect(exceedsEmbeddedLimit({ embedded: true, bytes: 2 ** 31 })).toBe(true);
  expect(exceedsEmbeddedLimit({ embedded: true, bytes: 2 ** 29 })).toBe(false);
  expect(exceedsEmbeddedLimit({ embedded: false, bytes: 2 ** 40 })).toBe(false);
});
