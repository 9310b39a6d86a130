import { readEvents } from '../../agent/history/events.ts';
import { MINUTE_RETENTION_DAYS } from '../../agent/history/series/range.ts';
import { readHistory } from '../../agent/history/series/series.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { formatSketch } from '../../agent/history/sql/sketch-column.ts';
import { startPostgres } from '../../dev/servers/postgres.ts';
import { addToSketch, emptySketch } from '../../shared/sketch.ts';
import { type BenchTable, ROUNDS, tableOf } from '../table.ts';
import { normal, seeded } from './generate.ts';

const SERVICES = 10;
const INSTANCES_PER_SERVICE = 10;
const DAYS = 30;

const HOUR = 3_600;
const DAY = 86_400;

const RANGES: Readonly<Record<string, number>> = {
  '15m': 900,
  '1h': HOUR,
  '6h': 6 * HOUR,
  '24h': DAY,
  '7d': 7 * DAY,
  '30d': DAYS * DAY,
};
const SUBJECTS = {
  instance: { service: 's1', instance: 's1-1' },
  service: { service: 's1' },
  site: {},
} as const;

/** GET /v1/history without HTTP: every range of an instance, a service and the site, on 30 days of 100 instances. */
export async function benchHistory(): Promise<BenchTable[]> {
  const server = await startPostgres();
  const database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 }, 600_000);
  try {
    await migrate(server.url, 'main');
    const to = Math.floor(Date.now() / 1000);
    const begun = performance.now();
    await fill(database, to);
    console.log(
      `\n${DAYS} days of ${SERVICES * INSTANCES_PER_SERVICE} instances: ${await sizes(database)}; generated in ${((performance.now() - begun) / 1000).toFixed(0)} s`,
    );
    const tables: BenchTable[] = [];
    for (const [name, subject] of Object.entries(SUBJECTS)) {
      tables.push(
        await measure(`History of ${name === 'site' ? 'the site' : `one ${name}`}`, (seconds) =>
          read(database, subject, to, seconds),
        ),
      );
    }
    return [...tables, await measure('The latest 100 events', (seconds) => events(database, to, seconds))];
  } finally {
    await database.close();
    await server.stop();
  }
}

async function measure(name: string, run: (seconds: number) => Promise<number>): Promise<BenchTable> {
  const rows = [];
  for (const [what, seconds] of Object.entries(RANGES)) {
    await run(seconds);
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) rounds.push(await run(seconds));
    rows.push({ what, rounds });
  }
  return tableOf(`${name}, by range`, 'ms', rows);
}

const subjectOf = { site: 'main' };

/** Milliseconds of one query with its JSON, in a transaction as in the agent. */
async function read(database: Database, subject: object, to: number, seconds: number): Promise<number> {
  const begun = performance.now();
  const query = { ...subjectOf, ...subject, from: (to - seconds) * 1000, to: to * 1000, now: to * 1000 };
  const history = await database.transaction((client) => readHistory(client, query, []));
  JSON.stringify(history);
  const took = performance.now() - begun;
  if (!history.totals.requests) throw new Error(`no requests in ${JSON.stringify(query)}`);
  return took;
}

async function events(database: Database, to: number, seconds: number): Promise<number> {
  const begun = performance.now();
  const query = { kinds: [], since: (to - seconds) * 1000, until: to * 1000, limit: 100 };
  const page = await database.transaction((client) => readEvents(client, query));
  if (page.events.length === 0) throw new Error('no events');
  return performance.now() - begun;
}

async function sizes(database: Database): Promise<string> {
  const { rows } = await database.query<{ text: string }>(
    `SELECT string_agg(name || ' ' || pg_size_pretty(pg_total_relation_size(name::regclass)), ', ') AS text
     FROM unnest(ARRAY['latency_minutes', 'request_minutes', 'metrics_hourly', 'metrics_daily', 'state_events']) AS name`,
  );
  return rows[0]?.text ?? '';
}

/** Fifty sketches of each size, from which every row takes one: lognormal latencies, as many as a row has requests. */
const SKETCHES = { minute: 300, hour: 18_000, day: 40_000 };

/**
 * Fills the tables that history reads, in SQL: minutes of instances for two days, of requests for thirty, hours, days, and
 * 100,000 events. Raw rows are left out, because history never reads them.
 */
async function fill(database: Database, to: number): Promise<void> {
  await database.query(
    'CREATE TABLE bench_sketches (size text, n integer, sketch jsonb, PRIMARY KEY (size, n))',
  );
  const random = seeded(1);
  for (const [size, count] of Object.entries(SKETCHES)) {
    for (let n = 0; n < 50; n++) {
      const sketch = emptySketch();
      for (let i = 0; i < count; i++) addToSketch(sketch, 40 * Math.exp(0.7 * normal(random)));
      await database.query('INSERT INTO bench_sketches VALUES ($1, $2, $3)', [
        size,
        n,
        JSON.stringify(formatSketch(sketch)),
      ]);
    }
  }
  const end = Math.floor(to / 60) * 60;
  const members = `FROM generate_series(1, ${SERVICES}) AS s, generate_series(0, ${INSTANCES_PER_SERVICE}) AS i`;
  const names = "'s' || s, CASE WHEN i = 0 THEN '' ELSE 's' || s || '-' || i END";
  await database.query(
    `INSERT INTO latency_minutes (service_type, instance_id, timestamp, samples, up_samples, queued_max, latency, attempts, failures,
       status_2xx, status_3xx, status_4xx, status_5xx, concurrency_sum, breaker_samples, outlier_samples, probes, probes_failed,
       probe_ms_sum, p50_ms, p95_ms, folded)
     SELECT ${names}, at, 12, 12, 0, CASE WHEN i > 0 THEN sketch END, 300, 1, 299, 0, 0, 1, 24, 0, 0, 6, 0, 30, 40, 126, true
     ${members}, generate_series($1::bigint, $2::bigint - 60, 60) AS at
     JOIN bench_sketches ON size = 'minute' AND n = at / 60 % 50`,
    [end - MINUTE_RETENTION_DAYS * DAY, end],
  );
  await database.query(
    `INSERT INTO latency_minutes (service_type, instance_id, timestamp, samples, up_samples, queued_max, latency, folded)
     SELECT '', '', at, 12, 12, 0, sketch, true FROM generate_series($1::bigint, $2::bigint - 60, 60) AS at
     JOIN bench_sketches ON size = 'minute' AND n = at / 60 % 50`,
    [end - MINUTE_RETENTION_DAYS * DAY, end],
  );
  await database.query(
    `INSERT INTO request_minutes (site, service_type, timestamp, requests, failed, attempts, retries, hedges, limited, latency,
       status_2xx, status_3xx, status_4xx, status_5xx)
     SELECT 'main', 's' || s, at, 3000, 1, 3001, 1, 1, 0, sketch, 2999, 0, 0, 1
     FROM generate_series(1, ${SERVICES}) AS s, generate_series($1::bigint, $2::bigint - 60, 60) AS at
     JOIN bench_sketches ON size = 'minute' AND n = at / 60 % 50`,
    [end - DAYS * DAY, end],
  );
  for (const [table, size, seconds] of [
    ['metrics_hourly', 'hour', HOUR],
    ['metrics_daily', 'day', DAY],
  ] as const) {
    await database.query(
      `INSERT INTO ${table} (start, service_type, instance_id, rows, requests, failures, response_time_sum, peak_rate,
         peak_concurrency, means, samples, up_samples, latency, client_requests, client_failed, retries, hedges, limited,
         client_latency, status_2xx, status_3xx, status_4xx, status_5xx, concurrency_sum, breaker_samples, outlier_samples,
         probes, probes_failed, probe_ms_sum, p50_ms, p95_ms)
       SELECT at, ${names}, 360, 18000, 60, 900, 6, 3, sketch, 720, 720, CASE WHEN i > 0 THEN sketch END,
         CASE WHEN i = 0 THEN 180000 END, CASE WHEN i = 0 THEN 60 END, 60, 60, 0, CASE WHEN i = 0 THEN sketch END,
         17940, 0, 0, 60, 1440, 0, 0, 360, 0, 1800, 40, 126
       ${members}, generate_series($1::bigint, $2::bigint - ${seconds}, ${seconds}) AS at
       JOIN bench_sketches ON size = '${size}' AND n = at / ${seconds} % 50`,
      [Math.floor(end / seconds) * seconds - DAYS * DAY, Math.floor(end / seconds) * seconds],
    );
    await database.query(
      `INSERT INTO ${table} (start, service_type, samples, up_samples, latency)
       SELECT start, '', 720, 720, latency FROM ${table} WHERE service_type = 's1' AND instance_id = 's1-1'`,
    );
  }
  await database.query(
    `INSERT INTO state_events (service_type, instance_id, timestamp, kind, from_state, to_state, reason)
     SELECT 's' || (1 + n % 10), 's1-1', $1::bigint - (n % 30) * 86400 - n % 86400, 'state', 'up', 'down', 'probe failed'
     FROM generate_series(1, 100000) AS n`,
    [end],
  );
  await database.query('VACUUM ANALYZE');
}
