import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rollUp } from '../../agent/history/rollups/run.ts';
import { openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { startPostgres } from '../../dev/servers/postgres.ts';
import { copyIn } from './copy.ts';
import { copyLines, fourteenInstances, SERVICES, seeded } from './generate.ts';

/**
 * `node bench/history/main.ts [days]`: loads history of 14 instances at 10 s, 30 days by default, with COPY. Measures the
 * load time, the size, the time of a report, and the error of the report's p99 compared with the raw rows.
 */
const days = Number(process.argv[2] ?? 30);
const DAY = 86_400;

const timed = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
  const begun = performance.now();
  const result = await work();
  console.log(`${name}: ${((performance.now() - begun) / 1000).toFixed(2)} s`);
  return result;
};

const server = await startPostgres();
const folder = mkdtempSync(join(tmpdir(), 'acgs-history-'));
const database = openDatabase(server.url, { min: 0, max: 2, idle: 1_000 }, 600_000);
try {
  await migrate(server.url);
  const to = Math.floor(Date.now() / 1000 / 10) * 10;
  const from = to - days * DAY;
  await database.query('SELECT acgs_ensure_days($1, $2)', [from, to]);
  const rows = await timed('load with COPY, including row generation', () =>
    copyIn(server.url, copyLines({ from, to, step: 10, instances: fourteenInstances, random: seeded(1) })),
  );
  console.log(`rows: ${rows.toLocaleString('en-US')}`);
  const rolled = await timed('roll-up of all rows', () => rollUp(database));
  console.log(`rolled up: ${rolled.hours} hours, ${rolled.days} days`);
  const { rows: sizes } = await database.query<{ raw: string; heap: string; hours: string; days: string }>(
    `SELECT pg_size_pretty(sum(pg_total_relation_size(relid))) AS raw, pg_size_pretty(sum(pg_relation_size(relid))) AS heap,
            pg_size_pretty(pg_total_relation_size('metrics_hourly')) AS hours,
            pg_size_pretty(pg_total_relation_size('metrics_daily')) AS days
     FROM pg_partition_tree('load_balancing_metrics') WHERE isleaf`,
  );
  console.log(
    `size: raw rows ${sizes[0]?.raw} (table without indexes ${sizes[0]?.heap}), hours ${sizes[0]?.hours}, days ${sizes[0]?.days}`,
  );

  const report = (...args: string[]) =>
    execFileSync(process.execPath, ['agent/cli/main.ts', 'report', '--days', String(days), ...args], {
      env: { ...process.env, DATABASE_URL: server.url },
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
  const json = JSON.parse(await timed(`report --days ${days} --json, whole command`, () => report('--json')));
  await timed(`report --days ${days} -o report.html, whole command`, () =>
    report('-o', join(folder, 'report.html')),
  );
  console.log(`page: ${(statSync(join(folder, 'report.html')).size / 1024).toFixed(0)} KiB`);

  console.log('service    p99 report   p99 exact    error');
  let worst = 0;
  for (const service of SERVICES) {
    const exact = await exactP99(service, json.from, json.to);
    const ours = json.services.find((one: { service: string }) => one.service === service).latency.p99;
    const error = Math.abs(ours - exact) / exact;
    worst = Math.max(worst, error);
    console.log(
      `${service.padEnd(10)} ${ours.toFixed(2).padStart(10)} ${exact.toFixed(2).padStart(11)} ${(error * 100).toFixed(2).padStart(7)} %`,
    );
  }
  console.log(`largest error ${(worst * 100).toFixed(2)} % (guaranteed: 1 %)`);
  if (worst > 0.0101) process.exitCode = 1;
} finally {
  await database.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

/** The exact request-weighted 99th percentile of all raw rows, milliseconds. */
async function exactP99(service: string, from: number, to: number): Promise<number> {
  const { rows } = await database.query<{ ms: number }>(
    `SELECT response_time * 1000 AS ms FROM (
       SELECT response_time, sum(total_requests) OVER (ORDER BY response_time) AS upto, sum(total_requests) OVER () AS total
       FROM load_balancing_metrics WHERE service_type = $1 AND timestamp >= $2 AND timestamp < $3 AND total_requests > 0
     ) AS ranked WHERE upto > 0.99 * (total - 1) ORDER BY response_time LIMIT 1`,
    [service, from, to],
  );
  return rows[0]?.ms ?? Number.NaN;
}
