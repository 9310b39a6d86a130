import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import type { StackFile } from '../../dev/stack/stack-file.ts';
import { startLoad } from '../harness/load.ts';
import { startStack, type TestStack, withoutLimits } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

const OUTAGE_MS = 15_000;

/** Redis and Postgres are paused under load. Afterwards live state is complete and no history row is missing. */
export const storesStopped: Scenario = {
  name: 'stores-stopped',
  description: 'Redis and Postgres paused for 15 s under load',
  async run() {
    const findings = new ScenarioFindings();
    const test = await startStack({ edit: withoutLimits });
    try {
      await demonstrate(test, findings);
    } finally {
      await test.stop();
    }
    return findings.outcome;
  },
};

async function demonstrate({ stack, output }: TestStack, findings: ScenarioFindings): Promise<void> {
  const load = startLoad(`${stack.edge}/api/v1/auth/x`, { seconds: 28 });
  await sleep(4_000);
  const from = Date.now();
  // Pause instead of kill: the supervisor would restart a killed process at once.
  const pids = [stack.pids.redis, ...(await postgresTree(stack.pids.postgres))].filter((pid) => pid !== null);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  await sleep(OUTAGE_MS);
  for (const pid of pids.reverse()) process.kill(pid, 'SIGCONT');
  const to = Date.now();
  const result = await load.result;
  findings.check(
    result.failed === 0,
    `${result.failed} of ${result.requests} requests failed (${result.detail})`,
  );
  findings.note(`${result.perSecond.toFixed(0)}/s, p99 ${result.p99} ms`);
  await checkLiveState(stack.redis ?? '', stack.instances.length, findings);
  await checkHistoryRows(stack, { from, to }, findings);
  if (/ended/.test(output()))
    findings.note(
      output()
        .split('\n')
        .filter((line) => /ended/.test(line))
        .join('; '),
    );
}

async function postgresTree(postmaster: number | null): Promise<number[]> {
  if (!postmaster) return [];
  const { readFileSync } = await import('node:fs');
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8').trim().split(' ');
  return [postmaster, ...children.filter(Boolean).map(Number)];
}

async function checkLiveState(url: string, instances: number, findings: ScenarioFindings): Promise<void> {
  const redis = new Redis(url);
  const count = await until(
    async () => {
      const keys = await redis.keys('lb:health:main:*');
      const values = keys.length > 0 ? await redis.mget(keys) : [];
      const fresh = values.filter((value) => {
        const { timestamp } = JSON.parse(value ?? '{}') as { timestamp?: number };
        return timestamp !== undefined && Date.now() / 1000 - timestamp < 20;
      });
      return fresh.length === instances && fresh.length;
    },
    { withinMs: 30_000, everyMs: 500 },
  );
  findings.check(
    count !== null,
    `live state complete again: ${count ?? 'not all'} of ${instances} instances fresh in Redis`,
  );
  redis.disconnect();
}

async function checkHistoryRows(
  stack: StackFile,
  { from, to }: { from: number; to: number },
  findings: ScenarioFindings,
): Promise<void> {
  const instances = stack.instances.length;
  const client = new Client({ connectionString: stack.postgres ?? '' });
  await client.connect();
  // One row per instance every 10 s: none may be missing and none duplicated.
  const query = `SELECT instance_id, count(*)::int AS rows, count(DISTINCT timestamp)::int AS times
    FROM load_balancing_metrics WHERE timestamp BETWEEN $1 AND $2 GROUP BY instance_id`;
  const minRows = Math.floor((to - from) / 10_000);
  const rows = await until(
    async () => {
      const found = (await client.query<{ rows: number; times: number }>(query, [from / 1000, to / 1000]))
        .rows;
      return found.length === instances && found.every((row) => row.rows >= minRows) && found;
    },
    { withinMs: 40_000, everyMs: 500 },
  );
  findings.check(
    rows?.every((row) => row.rows === row.times) ?? false,
    `every metric row of the outage is in Postgres, once: ${rows?.reduce((sum, row) => sum + row.rows, 0) ?? 0} rows of ${instances} instances`,
  );
  await client.end();
}
