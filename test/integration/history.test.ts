import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Update } from '../../agent/core/sink.ts';
import { createTrafficWindow } from '../../agent/core/traffic-window.ts';
import type { HistoryRecord } from '../../agent/history/records.ts';
import { createHistorySink } from '../../agent/history/sink.ts';
import { openSpool } from '../../agent/history/spool.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { formatSketch } from '../../agent/history/sql/sketch-column.ts';
import { writeBatch } from '../../agent/history/sql/write-batch.ts';
import { createHistoryWriter } from '../../agent/history/writer.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { eventually } from '../harness/eventually.ts';
import { sampleInstance } from '../harness/instance.ts';
import { startEmbedded, startPostgres } from '../harness/postgres.ts';

const log = pino({ level: 'silent' });
const pool = { min: 0, max: 4, idle: 10_000 };
const PATIENCE_MS = 60_000;

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'acgs-state-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const instance = sampleInstance({ id: 'gs-1', latencyMs: 1, queued: 2 });
const instances = new Map([['gs/gs-1', instance]]);

const metric = (timestamp: number) => ({
  serviceType: 'gs',
  instanceId: 'gs-1',
  timestamp,
  responseTime: 0.01,
  successCount: 9,
  failureCount: 1,
  currentConnections: 1,
  totalRequests: 10,
  cpuUsage: 1,
  memoryUsage: 2,
});

/** The update of ten seconds at `seconds`; its timestamp identifies its rows. */
const tick = (seconds: number): Update => ({
  at: seconds * 1000,
  instances,
  changes: [],
  metrics: [metric(seconds)],
});

const health = (timestamp: number, healthy: boolean | null): HistoryRecord => ({
  table: 'service_health_history',
  row: { service_type: 'gs', instance_id: 'gs-1', timestamp, is_healthy: healthy },
});

async function counts(database: Database, from: number): Promise<{ rows: number; distinct: number }> {
  const { rows } = await database.query<{ rows: number; distinct: number }>(
    'SELECT count(*) AS rows, count(DISTINCT timestamp) AS distinct FROM load_balancing_metrics WHERE timestamp >= $1 AND timestamp < $1 + 86400',
    [from],
  );
  return rows[0] ?? { rows: 0, distinct: 0 };
}

async function startEmbeddedAnywhere(): Promise<{ url: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-embedded-'));
  const { url, stop } = await startEmbedded(folder);
  return {
    url,
    async stop() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

describe.each([
  ['Postgres', () => startPostgres()],
  ['the embedded database', startEmbeddedAnywhere],
])('history in %s', (_name, start) => {
  let server: { url: string; stop(): Promise<void> };
  let database: Database;
  beforeAll(async () => {
    server = await start();
    database = openDatabase(server.url, 'main', pool);
    await migrate(server.url, 'main');
  });
  beforeEach(() =>
    database.query(
      `TRUNCATE spool_batches, load_balancing_metrics, service_health_history, breaker_events, audit_log,
         state_events, latency_minutes`,
    ),
  );
  afterAll(async () => {
    await database.close();
    await server.stop();
  });

  test('a batch that is sent several times is written once', async () => {
    const records = [health(1_000, true), health(1_001, false)];
    const send = () => database.transaction((client) => writeBatch(client, 'batch-1', records));
    expect([await send(), await send()]).toEqual(['written', 'known']);
    const { rows } = await database.query('SELECT is_healthy FROM service_health_history ORDER BY timestamp');
    expect(rows).toEqual([{ is_healthy: true }, { is_healthy: false }]);
  });

  test('a batch whose commit was not confirmed is not written again', async () => {
    let lost = 0;
    const flaky: Database = {
      ...database,
      async transaction(work) {
        const result = await database.transaction(work);
        if (lost++ < 2) throw new Error('Connection terminated unexpectedly');
        return result;
      },
    };
    const spool = await openSpool<HistoryRecord[]>({ folder: join(stateDir, 'spool') });
    const writer = createHistoryWriter({ database: flaky, spool, log, flushMs: 1 });
    writer.write([health(2_000, true)]);
    await eventually(() => expect(writer.status()).toMatchObject({ state: 'ok', pending: 0 }));
    await eventually(() => expect(lost).toBe(3));
    const { rowCount } = await database.query('SELECT 1 FROM service_health_history WHERE timestamp = 2000');
    expect(rowCount).toBe(1);
    await writer.close(PATIENCE_MS);
  });

  test('rows that Postgres rejects are counted and do not block the others', async () => {
    const spool = await openSpool<HistoryRecord[]>({ folder: join(stateDir, 'spool') });
    const writer = createHistoryWriter({ database, spool, log, flushMs: 1 });
    writer.write([health(3_000, null)]);
    await eventually(() => expect(writer.status()).toMatchObject({ dropped: 1, pending: 0 }));
    writer.write([health(3_001, true), health(3_002, true), health(3_003, null), health(3_004, true)]);
    await eventually(() => expect(writer.status()).toMatchObject({ dropped: 2, pending: 0 }));
    const { rows } = await database.query<{ timestamp: number }>(
      'SELECT timestamp FROM service_health_history WHERE timestamp BETWEEN 3000 AND 3100 ORDER BY timestamp',
    );
    expect(rows.map(({ timestamp }) => timestamp)).toEqual([3_001, 3_002, 3_004]);
    await writer.close(PATIENCE_MS);
  });

  test('each kind of change goes to its table, and minutes contain latencies and availability', async () => {
    const window = createTrafficWindow();
    const sink = await createHistorySink({ database, stateDir, window, log, flushMs: 1 });
    const latency = emptySketch();
    addToSketch(latency, 20, 5);
    window.addTraffic({
      kind: 'traffic',
      source: 'edge',
      service: 'gs',
      instance: 'gs-1',
      at: 600_000,
      success: 5,
      failure: 0,
      slow: 0,
      latency,
    });
    const refresh = (update: ReturnType<typeof tick>) => {
      window.addSample(update.instances, update.at);
      sink.accept(update);
    };
    const about = { at: 600_000, service: 'gs', instance: 'gs-1', reason: 'probe failed' };
    sink.accept({
      at: 600_000,
      instances: new Map([['gs/gs-1', { ...instance, state: 'down' }]]),
      changes: [
        { ...about, kind: 'health', from: 'up', to: 'down' },
        { ...about, kind: 'breaker', from: 'closed', to: 'open' },
        { ...about, kind: 'state', from: 'up', to: 'down' },
        { ...about, kind: 'admin', from: 'ready', to: 'drain', reason: 'release', by: 'ada' },
      ],
    });
    refresh({ ...tick(630), instances: new Map([['gs/gs-1', { ...instance, state: 'down' }]]) });
    refresh(tick(635));
    refresh(tick(660));
    await sink.close(PATIENCE_MS);
    // On a slow machine some rows may still be in the spool.
    const rest = await createHistorySink({ database, stateDir, log, flushMs: 1 });
    await eventually(() => expect(rest.status()).toMatchObject({ pending: 0 }));
    await rest.close(PATIENCE_MS);
    const of = async (sql: string) => (await database.query(sql)).rows;
    expect(
      await of('SELECT is_healthy, error_message FROM service_health_history WHERE timestamp = 600'),
    ).toEqual([{ is_healthy: false, error_message: 'probe failed' }]);
    expect(await of('SELECT from_state, to_state FROM breaker_events')).toEqual([
      { from_state: 'closed', to_state: 'open' },
    ]);
    expect(await of('SELECT actor, action, target, detail FROM audit_log')).toEqual([
      {
        actor: 'ada',
        action: 'admin',
        target: 'gs/gs-1',
        detail: { from: 'ready', to: 'drain', reason: 'release' },
      },
    ]);
    expect(await of('SELECT kind, to_state, reason FROM state_events ORDER BY id')).toEqual([
      { kind: 'state', to_state: 'down', reason: 'probe failed' },
      { kind: 'admin', to_state: 'drain', reason: 'release' },
    ]);
    const minutes = await of(
      "SELECT instance_id, samples, up_samples, queued_max, latency FROM latency_minutes WHERE service_type = 'gs' ORDER BY timestamp, instance_id",
    );
    expect(minutes).toEqual([
      { instance_id: '', samples: 2, up_samples: 1, queued_max: 2, latency: null },
      { instance_id: 'gs-1', samples: 2, up_samples: 1, queued_max: 2, latency: formatSketch(latency) },
      { instance_id: '', samples: 1, up_samples: 1, queued_max: 2, latency: null },
      { instance_id: 'gs-1', samples: 1, up_samples: 1, queued_max: 2, latency: null },
    ]);
  });

  test('the maintenance SQL of the guide runs unchanged', async () => {
    await database.transaction((client) =>
      writeBatch(client, 'recent', [{ table: 'load_balancing_metrics', row: { ...row(Date.now() / 1000) } }]),
    );
    await database.query(
      "DELETE FROM load_balancing_metrics \nWHERE timestamp < EXTRACT(EPOCH FROM NOW() - INTERVAL '30 days')",
    );
    await database.query('VACUUM ANALYZE load_balancing_metrics');
    const { rows } = await database.query('SELECT count(*) AS left FROM load_balancing_metrics');
    expect(rows).toEqual([{ left: 1 }]);
  });
});

const row = (timestamp: number) => ({
  service_type: 'gs',
  instance_id: 'gs-1',
  timestamp,
  response_time: 0.1,
  success_count: 1,
  failure_count: 0,
  current_connections: 0,
  total_requests: 1,
});

test('an outage of Postgres across a restart of the agent loses and duplicates no rows', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'acgs-history-'));
  // The postgres user must be able to read the folder.
  chmodSync(parent, 0o711);
  const dataDir = join(parent, 'data');
  const first = await startPostgres({ dataDir, password: 'secret' });
  const database = openDatabase(first.url, 'main', pool);
  const open = () => createHistorySink({ database, migrateUrl: first.url, stateDir, log, flushMs: 1 });
  const from = 86_400 * 1_000;
  let sink = await open();
  for (let i = 0; i < 10; i++) sink.accept(tick(from + i * 10));
  await eventually(async () => expect((await counts(database, from)).rows).toBe(10));

  await first.stop();
  for (let i = 10; i < 40; i++) {
    sink.accept(tick(from + i * 10));
    if (i % 10 === 9)
      await eventually(() => expect(readdirSync(join(stateDir, 'spool')).length).toBeGreaterThan(0));
  }
  await sink.close(PATIENCE_MS);
  expect(readdirSync(join(stateDir, 'spool')).length).toBeGreaterThan(0);

  sink = await open();
  for (let i = 40; i < 60; i++) sink.accept(tick(from + i * 10));
  const second = await startPostgres({ dataDir, password: 'secret', port: first.port });
  await eventually(async () => expect(await counts(database, from)).toEqual({ rows: 60, distinct: 60 }));
  await eventually(() => expect(sink.status()).toMatchObject({ state: 'ok', pending: 0, dropped: 0 }));
  await sink.close(PATIENCE_MS);
  expect(readdirSync(join(stateDir, 'spool'))).toEqual([]);
  await database.close();
  await second.stop();
  rmSync(parent, { recursive: true, force: true });
});
