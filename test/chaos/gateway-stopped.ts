import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startLoad } from '../harness/load.ts';
import { startStack, withoutLimits } from '../harness/stack.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** HAProxy dies under load: the edge sends requests directly to the instances until the supervisor has restarted it. */
export const gatewayStopped: Scenario = {
  name: 'gateway-stopped',
  description: 'HAProxy killed again and again for 10 s under GET load (64 connections, 20 s)',
  async run() {
    const findings = new ScenarioFindings();
    const test = await startStack({ edit: withoutLimits });
    try {
      const load = startLoad(`${test.stack.edge}/api/v1/auth/x`);
      await sleep(5_000);
      const until = Date.now() + 10_000;
      let kills = 0;
      let unreachable = 0;
      while (Date.now() < until) {
        const pid = haproxyPid(test.stateDir);
        if (pid) {
          try {
            process.kill(pid, 'SIGTERM');
            kills += 1;
          } catch {
            // It has ended and is not restarted yet.
          }
        }
        if (!(await gatewayAnswers(test.stack.gateway ?? ''))) unreachable += 1;
        await sleep(250);
      }
      const result = await load.result;
      findings.note(`HAProxy killed ${kills} times; unreachable in ${unreachable} checks`);
      findings.check(unreachable > 20, 'HAProxy was unreachable in more than 20 checks');
      findings.check(
        result.failed === 0,
        `${result.failed} of ${result.requests} requests failed (${result.detail}); ${result.perSecond.toFixed(0)}/s, p99 ${result.p99} ms`,
      );
    } finally {
      await test.stop();
    }
    return findings.outcome;
  },
};

/** The current pid of HAProxy, from stack.json. */
function haproxyPid(stateDir: string): number | null {
  try {
    const { pids } = JSON.parse(readFileSync(join(stateDir, 'stack.json'), 'utf8')) as {
      pids: { haproxy: number | null };
    };
    return pids.haproxy;
  } catch {
    return null;
  }
}

async function gatewayAnswers(gateway: string): Promise<boolean> {
  try {
    await (await fetch(`${gateway}/api/v1/auth/x`)).body?.cancel();
    return true;
  } catch {
    return false;
  }
}
