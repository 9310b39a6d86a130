import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readRequests } from '../../agent/history/requests.ts';
import { readRollups } from '../../agent/history/rollups/read.ts';
import { rollUp } from '../../agent/history/rollups/run.ts';
import { readHistory } from '../../agent/history/series/series.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { formatSketch } from '../../agent/history/sql/sketch-column.ts';
import { writeBatch } from '../../agent/history/sql/write-batch.ts';
import { addToSketch, emptySketch, type Sketch, sketchQuantile } from '../../shared/sketch.ts';
import { startEmbedded, startPostgres } from '../harness/postgres.ts';
import { useServers } from '../harness/use-servers.ts';

const HOUR = 3_600;
const START = Date.UTC(2026, 2, 10, 5) / 1000;

describe.each(['postgres', 'pglite'] as const)('roll-ups in %s', (kind) => {
  let database: Database;
  const releases: (() => unknown)[] = [];

  useServers(async () => {
    const server = kind === 'postgres' ? await startPostgres() : await embedded(releases);
    releases.push(() => server.stop());
    await migrate(server.url, 'main');
    database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
    releases.push(() => database.close());
    await database.query('SELECT acgs_ensure_days($1, $2)', [START, START + 86_400]);
  }, releaseAll);

  async function releaseAll(): Promise<void> {
    for (const release of releases.splice(0).reverse()) await release();
  }

  it('counts an hour exactly, and the service as the sum of its instances', async () => {
    const values = Array.from({ length: 200 }, (_, index) => ((index * 7919) % 200) / 400 + 0.001);
    const exact = emptySketch();
    for (const [index, seconds] of values.entries()) {
      const requests = 1 + (index % 5);
      addToSketch(exact, seconds * 1000, requests);
      await insert(`gs-${(index % 2) + 1}`, START + Math.floor(index / 2) * 10, {
        seconds,
        requests,
        failures: 1,
      });
    }
    await rollUp(database);
    const [service, one] = await hour(START);
    const requests = values.reduce((sum, _, index) => sum + 1 + (index % 5), 0);
    expect(service).toMatchObject({ instance: '', rows: 200, requests, failures: 200, peakConcurrency: 14 });
    expect(service?.peakRate).toBeCloseTo(0.9);
    expect(one).toMatchObject({ instance: 'gs-1', rows: 100, peakConcurrency: 7, peakRate: 0.5 });
    expect(service?.means?.buckets).toEqual(exact.buckets);
    expect(service?.means?.sum).toBeCloseTo(exact.sum, 6);
    expect(sketchQuantile(service?.means as Sketch, 0.99)).toBe(sketchQuantile(exact, 0.99));
  });

  it('includes late rows once', async () => {
    const [before] = await hour(START);
    await insert('gs-1', START + 3_590, { seconds: 0.01, requests: 10, failures: 0 });
    await rollUp(database);
    await rollUp(database);
    const [after] = await hour(START);
    expect(after?.requests).toBe((before?.requests ?? 0) + 10);
    const [day] = await readRollups(database, { from: day0, to: day0 + 86_400, by: 'day' });
    expect(day).toMatchObject({ instance: '', requests: after?.requests, means: after?.means });
  });

  it('adds the latencies of each minute once, whenever they arrive', async () => {
    const sketch = (...values: number[]) => {
      const made = emptySketch();
      for (const value of values) addToSketch(made, value);
      return made;
    };
    const minute = (latency: Sketch | string | null, up: number) =>
      database.query(
        `INSERT INTO latency_minutes (service_type, instance_id, timestamp, samples, up_samples, queued_max, latency)
         VALUES ('gs', 'gs-1', $1, 10, $2, 3, $3)`,
        [START + 60, up, latency && JSON.stringify(latency)],
      );
    // An agent of an earlier version writes objects, and merges of the new form without their values.
    await minute(sketch(10, 20), 10);
    await minute(formatSketch(sketch(30)), 5);
    await minute({ count: null, sum: null, max: null, buckets: {} } as never, 0);
    await rollUp(database);
    await minute(formatSketch(sketch(40)), 10);
    await minute(null, 10);
    await rollUp(database);
    await rollUp(database);
    const one = (await hour(START)).find(({ instance }) => instance === 'gs-1');
    expect(one).toMatchObject({ samples: 50, upSamples: 35, queuedMax: 3, rows: 101 });
    expect(one?.latency).toEqual(sketch(10, 20, 30, 40));
    const stored = await database.query(
      "SELECT latency #>> '{}' AS latency FROM metrics_hourly WHERE start = $1 AND instance_id = 'gs-1'",
      [START],
    );
    expect(stored.rows).toEqual([{ latency: formatSketch(sketch(10, 20, 30, 40)) }]);
    expect((await database.query('SELECT 1 FROM latency_minutes WHERE NOT folded')).rowCount).toBe(0);
    const exact = sketchQuantile(sketch(10, 20, 30, 40), 0.5);
    const { rows } = await database.query<{ p50_ms: number }>(
      "SELECT p50_ms FROM metrics_hourly WHERE start = $1 AND instance_id = 'gs-1'",
      [START],
    );
    expect(rows[0]?.p50_ms).toBeCloseTo(exact ?? 0, 3);
  });

  it('sums the requests of a service, whichever agents wrote them', async () => {
    const at = START + 2 * HOUR;
    const write = (second: number, [requests, failed]: [number, number], ms: number) => {
      const latency = emptySketch();
      addToSketch(latency, ms, requests);
      const row = { service_type: 'gs', timestamp: at + second, requests, failed, latency };
      const counts = { attempts: requests + 2, retries: 2, hedges: 1, limited: 0 };
      return database.transaction((client) =>
        writeBatch(client, `${second} ${ms}`, [{ table: 'request_minutes', row: { ...row, ...counts } }]),
      );
    };
    await write(0, [90, 9], 10);
    await write(60, [10, 0], 30);
    await rollUp(database);
    await write(60, [100, 1], 500);
    await rollUp(database);
    await rollUp(database);
    const service = (await hour(at)).find(({ instance }) => instance === '');
    const client = { requests: 200, failed: 10, retries: 6, hedges: 3, limited: 0 };
    expect(service).toMatchObject({ rows: 0, client: { ...client, latency: { count: 200, max: 500 } } });
    const [day] = await readRollups(database, { from: day0, to: day0 + 86_400, by: 'day' });
    expect(day?.client).toMatchObject({ requests: 200, failed: 10, latency: { count: 200 } });
    const requests = await readRequests(database, { from: at, to: at + HOUR });
    expect(requests.get('gs')).toMatchObject({
      success: 190,
      failure: 10,
      attempts: 206,
      retries: 6,
      hedges: 3,
    });
    expect(requests.get('gs')?.latency).toMatchObject({ count: 200, max: 500 });
    const later = await readRequests(database, { from: at + 60, to: at + HOUR });
    expect(later.get('gs')?.success).toBe(109);
  });

  it('tells an hour without requests from an hour whose requests were not recorded', async () => {
    const at = START + 12 * HOUR;
    // Attempts alone, such as those of a program that calls the instances directly, are not requests.
    await insert('gs-1', at + 30, { seconds: 0.2, requests: 4, failures: 4 });
    await rollUp(database);
    const clientOf = async () => (await hour(at)).find(({ instance }) => instance === '')?.client;
    const figuresOf = async () => {
      const ms = { from: at * 1000, to: (at + HOUR) * 1000, now: (at + 40 * 86_400) * 1000 };
      return (await readHistory(database, { service: 'gs', ...ms }, [])).totals;
    };
    expect(await clientOf()).toBeNull();
    expect(await figuresOf()).toMatchObject({ requests: 4, failed: 4, p50Ms: expect.closeTo(200, -1) });

    const samples = { samples: 12, up_samples: 12, queued_max: 0, attempts: 0, failures: 0 };
    const row = { service_type: 'gs', instance_id: '', timestamp: at + 60, ...samples };
    await database.transaction((client) => writeBatch(client, 'idle', [{ table: 'latency_minutes', row }]));
    await rollUp(database);
    expect(await clientOf()).toMatchObject({ requests: 0, failed: 0, latency: null });
    expect(await figuresOf()).toMatchObject({ requests: 0, failed: 0, attempts: 4, p50Ms: null });
  });

  it('keeps the counts of an hour whose raw rows are dropped', async () => {
    const [before] = await hour(START);
    await database.query("INSERT INTO upkeep_state (name, value) VALUES ('raw_from', $1)", [START + HOUR]);
    await insert('gs-1', START + 30, { seconds: 1, requests: 1, failures: 1 });
    await rollUp(database);
    expect((await hour(START))[0]).toEqual(before);
  });

  it('ignores the invalid values of a row and keeps the valid ones', async () => {
    const at = START + 3 * HOUR;
    const [most, huge] = [2_000_000_000, 1e300];
    for (const [index, seconds] of [Number.NaN, Number.POSITIVE_INFINITY, -1, huge].entries()) {
      await insert('gs-1', at + index * 10, { seconds, requests: most, failures: most });
    }
    await insert('gs-1', at + 40, { seconds: 0.1, requests: 10, failures: 0 });
    await insert('gs-1', at + HOUR, { seconds: 0.1, requests: 10, failures: 0 });
    expect(await rollUp(database)).toMatchObject({ hours: 2 });
    const [service, one] = await hour(at);
    for (const rollup of [service, one]) {
      expect(rollup).toMatchObject({ rows: 5, requests: 4 * most + 10, failures: 4 * most });
      expect(rollup?.means).toMatchObject({ count: 10, max: 100 });
      expect(rollup?.responseTimeSum).toBeCloseTo(1);
    }
    expect((await hour(at + HOUR))[0]).toMatchObject({ requests: 10 });
  });

  it('skips a row without an instance id, and counts a negative number as zero', async () => {
    const at = START + 9 * HOUR;
    await insert('', at, { seconds: 1, requests: 5, failures: 5 });
    await insert('gs-1', at + 10, { seconds: 0.1, requests: 10, failures: 1 });
    await insert('gs-1', at + 20, { seconds: 0.1, requests: -7, failures: -3 });
    expect(await rollUp(database)).toMatchObject({ hours: 1 });
    for (const rollup of await hour(at)) expect(rollup).toMatchObject({ requests: 10, failures: 1, rows: 2 });
    expect(await hour(at)).toHaveLength(2);
  });

  it('reports an hour that cannot be rolled up and processes the others', async () => {
    const at = START + 6 * HOUR;
    const latency = (start: number, count: unknown) =>
      database.query(
        `INSERT INTO latency_minutes (service_type, instance_id, timestamp, latency) VALUES ('gs', 'gs-1', $1, $2)`,
        [start, JSON.stringify({ count, sum: 1, max: 1, buckets: {} })],
      );
    await latency(at, 'x');
    await insert('gs-1', at + HOUR, { seconds: 0.1, requests: 3, failures: 0 });
    expect((await rollUp(database)).uncounted).toContain(new Date(at * 1000).toISOString());
    expect((await hour(at + HOUR))[0]).toMatchObject({ requests: 3 });
    expect((await database.query('SELECT start FROM dirty_days')).rows).toEqual([]);
    await database.query('DELETE FROM latency_minutes');
    await latency(at, 1);
    expect(await rollUp(database)).toEqual({ hours: 1, days: 1 });
  });

  const day0 = Math.floor(START / 86_400) * 86_400;
  const hour = (start: number) => readRollups(database, { from: start, to: start + HOUR, by: 'hour' });
  const insert = (
    instance: string,
    timestamp: number,
    row: { seconds: number; requests: number; failures: number },
  ) =>
    database.query(
      `INSERT INTO load_balancing_metrics (service_type, instance_id, timestamp, response_time, success_count,
         failure_count, current_connections, total_requests) VALUES ('gs', $1, $2, $3, $4, $5, 7, $6)`,
      [instance, timestamp, row.seconds, row.requests - row.failures, row.failures, row.requests],
    );
});

async function embedded(releases: (() => unknown)[]) {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-rollup-'));
  releases.push(() => rmSync(folder, { recursive: true, force: true }));
  return startEmbedded(join(folder, 'db'));
}
