import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { startLoad } from '../harness/load.ts';
import { ROOT, startStack, type TestStack, withoutLimits } from '../harness/stack.ts';
import { edgeStatus, serverStat } from '../harness/status.ts';
import { until } from '../harness/until.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** An instance is killed under load and started again: no request fails, and every component reports the change. */
export const killedInstance: Scenario = {
  name: 'killed-instance',
  description: 'kill -9 one instance under load (64 connections, 20 s), then start it again',
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

async function demonstrate(test: TestStack, findings: ScenarioFindings): Promise<void> {
  const { stack } = test;
  const victim = stack.instances.find(({ id }) => id === 'auth-1');
  if (!victim?.pid) throw new Error('no auth-1');
  const load = startLoad(`${stack.edge}/api/v1/auth/x`);
  await sleep(5_000);
  const killedAt = Date.now();
  process.kill(victim.pid, 'SIGKILL');
  const times = await detectionTimes(test, killedAt);
  for (const [component, ms] of Object.entries(times)) {
    findings.check(
      ms !== null,
      `${component} reports it ${ms === null ? 'never' : `${ms} ms after the kill`}`,
    );
  }

  const before = await serverStat(test.stack, 'auth', 'auth-1');
  const restarted = spawn(process.execPath, ['dev/instance.ts', 'auth', 'auth-1', new URL(victim.url).port], {
    cwd: ROOT,
    stdio: 'ignore',
  });
  const restartedAt = Date.now();
  const healthyAt = until(async () => (await agentState(test, 'auth-1'))?.state !== 'down' && Date.now(), {
    everyMs: 10,
  });
  const trafficAt = until(
    async () => Number((await serverStat(stack, 'auth', 'auth-1')).stot) > Number(before.stot) && Date.now(),
    { everyMs: 10 },
  );
  const [healthy, traffic] = await Promise.all([healthyAt, trafficAt]);
  findings.check(healthy !== null, `probes passed ${(healthy ?? 0) - restartedAt} ms after the start`);
  findings.check(
    traffic !== null && healthy !== null && traffic >= healthy - 50,
    `first traffic ${(traffic ?? 0) - (healthy ?? 0)} ms after that`,
  );
  const result = await load.result;
  findings.check(
    result.failed === 0,
    `${result.failed} of ${result.requests} requests failed (${result.detail}); ${result.perSecond.toFixed(0)}/s, p50 ${result.p50} ms, p99 ${result.p99} ms, max ${result.max} ms`,
  );
  restarted.kill('SIGTERM');
}

async function agentState({ stack }: TestStack, id: string): Promise<{ state: string } | undefined> {
  const response = await fetch(`${stack.agent}/v1/services/auth/instances`);
  const { instances } = (await response.json()) as { instances: { id: string; state: string }[] };
  return instances.find((instance) => instance.id === id);
}

async function detectionTimes({ stack }: TestStack, since: number): Promise<Record<string, number | null>> {
  const redis = new Redis(stack.redis ?? '');
  const postgres = new Client({ connectionString: stack.postgres ?? '' });
  await postgres.connect();
  const after = (read: () => Promise<boolean>) =>
    until(async () => (await read()) && Date.now() - since, { everyMs: 10, withinMs: 12_000 });
  try {
    const [haproxy, snapshot, live, history] = await Promise.all([
      after(async () => !(await serverStat(stack, 'auth', 'auth-1')).status?.startsWith('UP')),
      after(async () => /"id":"auth-1"[^}]*"state":"down"/.test(await edgeStatus(stack))),
      after(
        async () => (await redis.get('lb:health:main:auth:auth-1'))?.includes('"is_healthy":false') ?? false,
      ),
      after(async () => {
        const { rows } = await postgres.query(
          `SELECT error_message FROM service_health_history WHERE instance_id = 'auth-1' AND NOT is_healthy AND timestamp >= $1`,
          [since / 1000 - 1],
        );
        return rows.length > 0;
      }),
    ]);
    return { HAProxy: haproxy, 'the snapshot at the edge': snapshot, Redis: live, Postgres: history };
  } finally {
    redis.disconnect();
    await postgres.end();
  }
}
