import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { requestReload } from '../../agent/haproxy/socket/master.ts';
import { haproxyCommand } from '../../dev/servers/haproxy.ts';
import type { StackFile } from '../../dev/stack/stack-file.ts';
import { startLoad } from '../harness/load.ts';
import { startStack, type TestStack, withoutLimits } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** auth-2 is in maintenance by a manual socket command. HAProxy is reloaded five times, then restarted. */
export const haproxyReloaded: Scenario = {
  name: 'haproxy-reloaded',
  description:
    'HAProxy reloaded 5 times and restarted once under GET load (64 connections), with a manual maint',
  async run() {
    const findings = new ScenarioFindings();
    const test = await startStack({ edit: withoutLimits });
    try {
      await ask(test, 'set server auth/auth-2 state maint');
      await reloads(test, findings);
      await restart(test, findings);
    } finally {
      await test.stop();
    }
    return findings.outcome;
  },
};

async function reloads(test: TestStack, findings: ScenarioFindings): Promise<void> {
  const load = startLoad(`${test.stack.gateway}/api/v1/auth/x`, { seconds: 15 });
  const master = join(dirname(test.stack.haproxySocket ?? ''), 'master.sock');
  await sleep(2_000);
  let workers = 0;
  for (let count = 0; count < 5; count++) {
    const before = await workerPid(test);
    await requestReload(master);
    if (await until(async () => (await workerPid(test)) !== before)) workers += 1;
    await sleep(1_500);
  }
  const result = await load.result;
  findings.check(workers === 5, `${workers} of 5 reloads started a new worker`);
  findings.check(
    result.failed === 0,
    `reloads, directly at HAProxy: ${result.failed} of ${result.requests} failed (${result.detail}); ${result.perSecond.toFixed(0)}/s, p99 ${result.p99} ms`,
  );
  await checkStillInMaintenance(test, findings, 'reloads');
}

async function restart(test: TestStack, findings: ScenarioFindings): Promise<void> {
  const load = startLoad(`${test.stack.edge}/api/v1/auth/x`, { seconds: 10 });
  await sleep(3_000);
  const before = await workerPid(test);
  process.kill(haproxyPid(test), 'SIGTERM');
  const back = await until(async () => (await workerPid(test)) !== before);
  const result = await load.result;
  findings.check(back !== null, 'HAProxy was restarted');
  findings.check(
    result.failed === 0,
    `restart, through the edge: ${result.failed} of ${result.requests} failed (${result.detail}); p99 ${result.p99} ms, max ${result.max} ms`,
  );
  await checkStillInMaintenance(test, findings, 'the restart');
}

async function checkStillInMaintenance(
  test: TestStack,
  findings: ScenarioFindings,
  after: string,
): Promise<void> {
  const stat = await ask(test, 'show stat auth 4 -1');
  const cells =
    stat
      .split('\n')
      .find((row) => row.startsWith('auth,auth-2,'))
      ?.split(',') ?? [];
  findings.check(
    cells[17] === 'MAINT',
    `after ${after} the manual maint is kept (${cells[17]}, ${cells[7]} requests)`,
  );
}

const ask = (test: TestStack, command: string): Promise<string> =>
  haproxyCommand(test.stack.haproxySocket ?? '', command);

async function workerPid(test: TestStack): Promise<string | undefined> {
  return /^Pid: (\d+)/m.exec(await ask(test, 'show info').catch(() => ''))?.[1];
}

function haproxyPid({ stateDir }: TestStack): number {
  const { pids } = JSON.parse(readFileSync(join(stateDir, 'stack.json'), 'utf8')) as StackFile;
  if (!pids.haproxy) throw new Error('the stack runs no HAProxy');
  return pids.haproxy;
}
