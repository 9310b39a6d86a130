import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pino from 'pino';
import type { MetricsRow } from '../../agent/core/sink.ts';
import { type Instance, instanceKey } from '../../agent/core/state.ts';
import { createTrafficWindow, type TrafficWindow } from '../../agent/core/traffic-window.ts';
import { maintain } from '../../agent/history/maintenance/maintain.ts';
import { rollUp } from '../../agent/history/rollups/run.ts';
import { rowIntervalMs } from '../../agent/history/row-interval.ts';
import { createHistorySink, type HistorySink } from '../../agent/history/sink.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { startPostgres } from '../../dev/servers/postgres.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { sampleInstance } from '../../test/harness/instance.ts';
import { seeded } from './generate.ts';

/**
 * node bench/history/volume.ts [--instances 1000] [--hours 24] [--days 9] [--retention 5d]
 *
 * Writes history in virtual time through the agent's own writer, roll-ups and maintenance into a Postgres: first `hours`
 * of `instances`, with the bytes of each row and what 30 days take; then `days` of ten instances with a short retention,
 * with the size after each night, which stops growing.
 */

const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];
const START = Date.UTC(2026, 0, 5) / 1000;
const SERVICES = 20;
/** Requests of an instance per minute. */
const REQUESTS = 60;
/** Lognormal, as in `bench/history/series.ts`. */
const [MEDIAN_MS, SIGMA] = [40, 0.7];
const SAMPLES = 12;
const TABLES = [
  'load_balancing_metrics',
  'latency_minutes',
  'metrics_hourly',
  'metrics_daily',
  'request_minutes',
];

interface VolumeRun {
  instances: Map<string, Instance>;
  window: TrafficWindow;
  sink: HistorySink;
  database: Database;
  random: () => number;
  /** Of all processes of the server. */
  cpuSeconds: () => number;
}

async function withFleet(count: number, work: (fleet: VolumeRun) => Promise<void>): Promise<void> {
  const server = await startPostgres();
  const stateDir = mkdtempSync(join(tmpdir(), 'acgs-volume-'));
  const database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 }, 3_600_000);
  const window = createTrafficWindow();
  const config = parseConfig('version: 1\nsite: { id: main }\nservices: { s0: { routes: [/] } }\n');
  const sink = await createHistorySink({
    database,
    migrateUrl: server.url,
    stateDir,
    log: pino({ level: 'error' }),
    window,
    rowInterval: (instances) => rowIntervalMs(config, instances),
  });
  try {
    await work({
      instances: makeInstances(count),
      window,
      sink,
      database,
      random: seeded(1),
      cpuSeconds: () => cpuSecondsOf(server.dataDir),
    });
  } finally {
    await sink.close(60_000);
    await database.close();
    await server.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** Writes `hours`, each rolled up when it has ended, and prints the bytes of each table. */
async function measureRows(fleet: VolumeRun, hours: number): Promise<void> {
  const { database, instances, cpuSeconds } = fleet;
  for (let hour = 0; hour < hours; hour++) {
    await writeHour(fleet, START + hour * HOUR);
    const before = cpuSeconds();
    await rollUp(database);
    const seconds = cpuSeconds() - before;
    // As autovacuum does about once an hour (migration 0010), which does not know virtual time.
    await database.query('VACUUM latency_minutes');
    await database.query('VACUUM metrics_hourly');
    await database.query('VACUUM metrics_daily');
    const sizes = (await tableSizes(database)).map(({ name, bytes }) => `${name} ${mb(bytes)}`);
    say(`hour ${hour + 1} of ${hours}, rolled up in ${seconds.toFixed(1)} s of CPU: ${sizes.join(', ')} MB`);
  }
  await database.query('VACUUM ANALYZE');
  say(`\n${instances.size} instances, ${hours} h:`);
  const sizes = await tableSizes(database);
  for (const { name, rows, bytes, indexes } of sizes) {
    say(
      `  ${name}: ${rows} rows, ${mb(bytes)} MB (indexes ${mb(indexes)}), ${Math.round(bytes / rows)} B a row`,
    );
  }
  const of = (table: string): number => sizes.find(({ name }) => name === table)?.bytes ?? 0;
  const perDay = (table: string): number => (of(table) / hours) * 24;
  const month =
    30 * (perDay('load_balancing_metrics') + perDay('metrics_hourly') + perDay('request_minutes')) +
    // Three days and two hours (`deleteOldMinutes`, and the hour that is not rolled up).
    (74 / 24) * perDay('latency_minutes') +
    30 * of('metrics_daily');
  say(`  30 days: ${(month / 1e9).toFixed(2)} GB\n`);
}

/** Writes `days` with nightly maintenance and prints the size after each night. */
async function measureGrowth(fleet: VolumeRun, days: number, retention: string): Promise<void> {
  const { database } = fleet;
  const retentionMs = Number.parseInt(retention, 10) * DAY * 1000;
  say(`${fleet.instances.size} instances, retention ${retention}, size after each night:`);
  for (let day = 0; day < days; day++) {
    const from = START + day * DAY;
    for (let hour = 0; hour < 24; hour++) await writeHour(fleet, from + hour * HOUR);
    const { dropped, deleted } = await maintain(database, { retentionMs, now: from + 27 * HOUR });
    const sizes = (await tableSizes(database)).map(({ name, bytes }) => `${name} ${mb(bytes)}`);
    say(
      `  day ${day + 1}: ${sizes.join(', ')} MB; ${dropped.length} partitions dropped, ${deleted.latency_minutes} minutes deleted`,
    );
  }
}

/** Feeds a minute of every instance at a time, as the loop does, and waits until Postgres has it. */
async function writeHour({ instances, window, sink, random }: VolumeRun, from: number): Promise<void> {
  for (let minute = from; minute < from + HOUR; minute += MINUTE) {
    for (const { service, id } of instances.values())
      addMinute(window, { service, instance: id, minute }, random);
    for (let sample = 0; sample < SAMPLES; sample++)
      window.addSample(instances, (minute + sample * 5) * 1000);
    const at = (minute + MINUTE) * 1000;
    const metrics = [...instances.values()].map((instance) => metricsRow(instance, minute));
    sink.accept({ at, instances, changes: [], metrics });
    while (sink.status().pending > 5_000) await sleep(5);
  }
  while (sink.status().pending > 0) await sleep(5);
  const { state, dropped, lastError } = sink.status();
  if (state !== 'ok' || dropped > 0) throw new Error(`history is not complete: ${lastError}`);
}

function addMinute(
  window: TrafficWindow,
  { service, instance, minute }: { service: string; instance: string; minute: number },
  random: () => number,
): void {
  const latency = emptySketch();
  for (let request = 0; request < REQUESTS; request++) {
    addToSketch(latency, MEDIAN_MS * Math.exp(SIGMA * normal(random)));
  }
  const at = minute * 1000;
  const statuses = { '2xx': REQUESTS - 1, '3xx': 0, '4xx': 0, '5xx': 1 };
  const counts = { success: REQUESTS - 1, failure: 1, slow: 0 };
  window.addTraffic({
    kind: 'traffic',
    source: 'haproxy',
    service,
    instance,
    at,
    ...counts,
    statuses,
    latency,
  });
  window.addRequests({ source: 'edge', service, at, statuses, retries: 1, hedges: 1, limited: 0, latency });
  for (let probe = 0; probe < 6; probe++) {
    window.addProbe({ kind: 'probe', service, instance, at, ok: true, latencyMs: 4 });
  }
}

const normal = (random: () => number): number =>
  Math.sqrt(-2 * Math.log(random() || Number.MIN_VALUE)) * Math.cos(2 * Math.PI * random());

const metricsRow = ({ service, id }: Instance, timestamp: number): MetricsRow => ({
  serviceType: service,
  instanceId: id,
  timestamp,
  responseTime: 0.051_234,
  successCount: REQUESTS - 1,
  failureCount: 1,
  currentConnections: 3,
  totalRequests: REQUESTS,
  cpuUsage: 31.25,
  memoryUsage: 47.75,
});

function makeInstances(count: number): Map<string, Instance> {
  return new Map(
    Array.from({ length: count }, (_, index): [string, Instance] => {
      const service = `service-${index % SERVICES}`;
      const id = `${service}-${Math.floor(index / SERVICES) + 1}`;
      const instance = sampleInstance({
        id,
        service,
        url: 'http://10.0.0.1:8000',
        latencyMs: MEDIAN_MS,
        inflight: 1,
      });
      return [instanceKey(service, id), instance];
    }),
  );
}

interface TableSize {
  name: string;
  rows: number;
  /** Table, TOAST and indexes, of all partitions. */
  bytes: number;
  indexes: number;
}

async function tableSizes(database: Database): Promise<TableSize[]> {
  const sizes: TableSize[] = [];
  for (const name of TABLES) {
    const { rows } = await database.query<TableSize & Record<string, unknown>>(
      `SELECT (SELECT count(*) FROM ${name}) AS rows, sum(pg_total_relation_size(relid))::bigint AS bytes,
              sum(pg_indexes_size(relid))::bigint AS indexes
       FROM pg_partition_tree('${name}')`,
    );
    const plain = await database.query<{ bytes: number; indexes: number }>(
      `SELECT pg_total_relation_size('${name}') AS bytes, pg_indexes_size('${name}') AS indexes`,
    );
    const { rows: count = 0, bytes, indexes } = rows[0] ?? {};
    sizes.push({
      name,
      rows: count,
      bytes: bytes ?? plain.rows[0]?.bytes ?? 0,
      indexes: indexes ?? plain.rows[0]?.indexes ?? 0,
    });
  }
  return sizes;
}

/** The CPU time that the processes of the server in `dataDir` have taken, those that have ended included. */
function cpuSecondsOf(dataDir: string): number {
  const postmaster = readFileSync(join(dataDir, 'postmaster.pid'), 'utf8').split('\n', 1)[0];
  let ticks = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const fields = statOf(pid);
    const [parent, own, ended] = [fields[1], sum(fields.slice(11, 13)), sum(fields.slice(13, 15))];
    if (pid === postmaster) ticks += own + ended;
    else if (parent === postmaster) ticks += own;
  }
  return ticks / 100;
}

/** Fields of /proc/PID/stat after the name; none when the process has ended. */
function statOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ');
  } catch {
    return [];
  }
}

const sum = (values: readonly string[]): number => values.reduce((total, value) => total + Number(value), 0);

const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      instances: { type: 'string', default: '1000' },
      hours: { type: 'string', default: '24' },
      days: { type: 'string', default: '9' },
      retention: { type: 'string', default: '5d' },
    },
  });
  const [instances, hours, days] = [Number(values.instances), Number(values.hours), Number(values.days)];
  if (hours > 0) await withFleet(instances, (fleet) => measureRows(fleet, hours));
  if (days > 0) await withFleet(10, (fleet) => measureGrowth(fleet, days, values.retention));
}
