import { describe, expect, it } from 'vitest';
import { rollUp } from '../../agent/history/rollups/run.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { readReport } from '../../agent/reports/read.ts';
import type { LocalPostgres } from '../../dev/servers/postgres.ts';
import { startPostgres } from '../harness/postgres.ts';
import { useServers } from '../harness/use-servers.ts';

const AT = Math.floor(Date.now() / 1000 / 3_600) * 3_600 - 7_200;

/** The tables of the guide's original. */
const ORIGINAL = `
  CREATE TABLE load_balancing_metrics (
    id SERIAL PRIMARY KEY, service_type VARCHAR(50) NOT NULL, instance_id VARCHAR(100) NOT NULL,
    timestamp DOUBLE PRECISION NOT NULL, response_time DOUBLE PRECISION NOT NULL,
    success_count INTEGER NOT NULL DEFAULT 0, failure_count INTEGER NOT NULL DEFAULT 0,
    current_connections INTEGER NOT NULL DEFAULT 0, total_requests INTEGER NOT NULL DEFAULT 0,
    cpu_usage DOUBLE PRECISION, memory_usage DOUBLE PRECISION, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
  CREATE INDEX idx_lb_metrics_service_timestamp ON load_balancing_metrics(service_type, timestamp);
  CREATE INDEX idx_lb_metrics_instance_timestamp ON load_balancing_metrics(instance_id, timestamp);
  CREATE TABLE service_health_history (
    id SERIAL PRIMARY KEY, service_type VARCHAR(50) NOT NULL, instance_id VARCHAR(100) NOT NULL,
    is_healthy BOOLEAN NOT NULL, response_time DOUBLE PRECISION, error_message TEXT,
    timestamp DOUBLE PRECISION NOT NULL, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
  CREATE INDEX idx_health_history_service_timestamp ON service_health_history(service_type, timestamp);`;

const NAMES = {
  auth: 'auth',
  authentication: 'auth',
  ac: 'ac',
  constitutional_ai: 'ac',
  integrity: 'integrity',
  formal_verification: 'fv',
  governance_synthesis: 'gs',
  policy_governance: 'pgc',
  evolutionary_computation: 'ec',
};

describe('a database of the original', () => {
  let server: LocalPostgres;
  let database: Database;

  useServers(async () => {
    server = await startPostgres();
    database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
    await database.query(ORIGINAL);
    const admin = openDatabase(server.adminUrl, 'main', { min: 0, max: 1, idle: 1_000 });
    await admin.query('CREATE ROLE grafana_reader');
    await admin.close();
    await database.query('GRANT SELECT ON load_balancing_metrics TO grafana_reader');
  }, stop);

  async function stop(): Promise<void> {
    await database?.close();
    await server?.stop();
  }

  it('is adopted once, with all rows and our service names', async () => {
    for (const name of Object.keys(NAMES)) {
      // Running totals: one old row, and three rows of which the last follows a restart.
      for (const [at, total] of [
        [AT - 45 * 86_400, 5],
        [AT, 100],
        [AT + 30, 160],
        [AT + 60, 7],
      ]) {
        await database.query(
          `INSERT INTO load_balancing_metrics (service_type, instance_id, timestamp, response_time, success_count, failure_count, total_requests)
           VALUES ($1::text, $1::text || '-default', $2, 0.05, $3::integer - 2, 2, $3::integer)`,
          [name, at, total],
        );
      }
      await database.query(
        'INSERT INTO service_health_history (service_type, instance_id, is_healthy, timestamp) VALUES ($1, $1, false, $2)',
        [name, AT + 10],
      );
    }
    const rows =
      'SELECT id, instance_id, timestamp, response_time, success_count, failure_count, total_requests, created_at';
    const before = (await database.query(`${rows} FROM load_balancing_metrics ORDER BY id`)).rows;
    expect((await migrate(server.url, 'main')).applied.length).toBeGreaterThan(0);
    expect((await database.query(`${rows} FROM load_balancing_metrics ORDER BY id`)).rows).toEqual(before);
    const { rows: services } = await database.query(
      "SELECT split_part(instance_id, '-', 1) AS original, service_type AS ours FROM load_balancing_metrics GROUP BY 1, 2",
    );
    expect(Object.fromEntries(services.map(({ original, ours }) => [original, ours]))).toEqual(NAMES);
    expect((await database.query('SELECT 1 FROM service_health_history')).rowCount).toBe(
      Object.keys(NAMES).length,
    );
    const { rows: old } = await database.query("SELECT to_regclass('load_balancing_metrics_original') AS t");
    expect(old[0]?.t).toBeNull();
    const { rows: may } = await database.query(
      "SELECT has_table_privilege('grafana_reader', 'load_balancing_metrics', 'SELECT') AS read",
    );
    expect(may).toEqual([{ read: true }]);
    expect((await migrate(server.url, 'main')).applied).toEqual([]);
  });

  it('continues with new ids, and its running totals count as differences', async () => {
    const { rows } = await database.query<{ id: number }>(
      `INSERT INTO load_balancing_metrics (service_type, instance_id, timestamp, response_time, success_count, total_requests)
       VALUES ('gs', 'gs-1', $1, 0.1, 11, 11) RETURNING id`,
      [AT + 3_700],
    );
    expect(rows[0]?.id).toBe(Object.keys(NAMES).length * 4 + 1);
    await rollUp(database);
    const report = await readReport(database, {
      from: AT + 7_200 - 86_400,
      to: AT + 7_200,
      now: AT + 7_200,
      targets: { availability: 0.999, p95Ms: 500, errorRate: 0.01 },
    });
    // 60 between the first two, 7 after the restart, and 11 of our own row.
    expect(report.services.find(({ service }) => service === 'gs')).toMatchObject({
      requests: 78,
      failures: 2,
    });
    expect(report.notes.join()).toContain('totals every 30 s');
    expect(report.incidents.some(({ service, end }) => service === 'gs' && end === null)).toBe(true);
  });
  it('distinguishes failures from maintenance, including incidents that began before the period', async () => {
    const events: [string, number, string, string | null][] = [
      ['new-1', -90_000, 'state', 'up'],
      ['new-1', -80_000, 'admin', 'maint'],
      ['new-1', -80_000, 'state', 'down'],
      ['new-1', 100, 'admin', 'ready'],
      ['new-1', 200, 'state', 'up'],
      ['new-1', 300, 'state', 'down'],
      ['new-1', 400, 'deregistered', null],
      ['new-2', -90_000, 'admin', 'maint'],
      ['new-2', -89_000, 'deregistered', null],
      ['new-2', -88_000, 'registered', null],
      ['new-2', -87_000, 'state', 'up'],
      ['new-2', 500, 'state', 'down'],
      ['new-2', 600, 'state', 'up'],
    ];
    for (const [instance, after, kind, to] of events) {
      await database.query(
        `INSERT INTO state_events (service_type, instance_id, timestamp, kind, to_state, reason)
         VALUES ('new', $1, $2, $3, $4, 'why')`,
        [instance, AT + after, kind, to],
      );
    }
    await database.query(
      `INSERT INTO service_health_history (service_type, instance_id, is_healthy, timestamp)
       VALUES ('dead', 'dead-1', false, $1)`,
      [AT + 5],
    );
    const { incidents } = await readReport(database, {
      from: AT + 7_200 - 86_400,
      to: AT + 7_200,
      now: AT + 7_200,
      targets: { availability: 0.999, p95Ms: 500, errorRate: 0.01 },
    });
    const of = (service: string) =>
      incidents
        .filter((one) => one.service === service)
        .map(({ kind, start, end }) => [kind, start - AT, end && end - AT])
        .reverse();
    expect(of('new').filter(([kind]) => kind !== 'outage')).toEqual([
      ['maintenance', -80_000, 100],
      ['down', 100, 200],
      ['down', 300, 400],
      ['down', 500, 600],
    ]);
    expect(of('dead')).toEqual([
      ['outage', 5, null],
      ['down', 5, null],
    ]);
  });
});

it('a database of the original with views, indexes and grants of others is adopted too', async () => {
  const server = await startPostgres();
  const database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
  try {
    await database.query(ORIGINAL);
    await database.query(`
      INSERT INTO load_balancing_metrics (service_type, instance_id, timestamp, response_time) VALUES ('auth', 'a', ${AT}, 2);
      CREATE VIEW slow AS SELECT * FROM load_balancing_metrics WHERE response_time > 1;
      CREATE INDEX idx_load_balancing_metrics_by_service_and_by_instance_one ON load_balancing_metrics (service_type);
      CREATE INDEX idx_load_balancing_metrics_by_service_and_by_instance_two ON load_balancing_metrics (instance_id);
      GRANT SELECT ON service_health_history TO PUBLIC`);
    const { warnings } = await migrate(server.url, 'main');
    expect(warnings).toEqual([
      expect.stringMatching(
        /^a view or a foreign key references load_balancing_metrics_original, which is kept/,
      ),
    ]);
    for (const table of ['load_balancing_metrics', 'slow']) {
      expect((await database.query(`SELECT timestamp FROM ${table}`)).rows).toEqual([{ timestamp: AT }]);
    }
    const { rows } = await database.query(
      "SELECT has_table_privilege('public', 'service_health_history', 'SELECT') AS read",
    );
    expect(rows).toEqual([{ read: true }]);
  } finally {
    await database.close();
    await server.stop();
  }
});
