import { type ChildProcess, spawn } from 'node:child_process';
import { ROOT, startStack, type TestStack } from '../harness/stack.ts';
import { edgeStatus, serverStat } from '../harness/status.ts';
import { until } from '../harness/until.ts';
import { quantile } from './http-request.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

const KILLS = 20;

/** How fast a killed instance is taken out without traffic: only the agent's open connection detects it. */
export const killedTwenty: Scenario = {
  name: 'killed-twenty',
  description: `kill -9 one instance after another, ${KILLS} times, without traffic: the time until HAProxy and the edge know`,
  async run() {
    const findings = new ScenarioFindings();
    const test = await startStack();
    const restarted: ChildProcess[] = [];
    try {
      await demonstrate(test, findings, restarted);
    } finally {
      for (const child of restarted) child.kill('SIGTERM');
      await test.stop();
    }
    return findings.outcome;
  },
};

async function demonstrate(
  { stack }: TestStack,
  findings: ScenarioFindings,
  restarted: ChildProcess[],
): Promise<void> {
  const pids = new Map(stack.instances.map(({ id, pid }) => [id, pid]));
  const times: { haproxy: number[]; edge: number[] } = { haproxy: [], edge: [] };
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = stack.instances[kill % stack.instances.length];
    const pid = victim && pids.get(victim.id);
    if (!victim || !pid) throw new Error('no instance to kill');
    const { service, id } = victim;
    const killedAt = Date.now();
    process.kill(pid, 'SIGKILL');
    const after = (read: () => Promise<boolean>) =>
      until(async () => (await read()) && Date.now() - killedAt, { everyMs: 5, withinMs: 10_000 });
    const [haproxy, edge] = await Promise.all([
      after(async () => !(await serverStat(stack, service, id)).status?.startsWith('UP')),
      after(async () => new RegExp(`"id":"${id}"[^}]*"state":"down"`).test(await edgeStatus(stack))),
    ]);
    times.haproxy.push(haproxy ?? Number.POSITIVE_INFINITY);
    times.edge.push(edge ?? Number.POSITIVE_INFINITY);
    const port = new URL(victim.url).port;
    const child = spawn(process.execPath, ['dev/instance.ts', service, id, port], {
      cwd: ROOT,
      stdio: 'ignore',
    });
    restarted.push(child);
    pids.set(id, child.pid ?? 0);
    const recovered = await until(async () =>
      (await serverStat(stack, service, id)).status?.startsWith('UP'),
    );
    if (!recovered) findings.check(false, `${id} recovered`);
  }
  for (const [where, list] of Object.entries({
    'out of HAProxy': times.haproxy,
    'known at the edge': times.edge,
  })) {
    const at = (share: number) => quantile(list, share);
    findings.check(at(1) < 2_000, `${where}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms of ${KILLS} kills`);
  }
}
