import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startLoad } from '../harness/load.ts';
import { startStack, withoutLimits } from '../harness/stack.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** HAProxy dies under load: the edge goes straight to the instances, and back when the supervisor has restarted it. */
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
      let direct = 0;
      while (Date.now() < until) {
        const pid = haproxyPid(test.stateDir);
        if (pid) {
          try {
            process.kill(pid, 'SIGTERM');
            kills += 1;
          } catch {
            // Already gone, not yet restarted.
          }
        }
        const path = await gatewayAnswers(test.stack.gateway ?? '');
        if (!path) direct += 1;
        await sleep(250);
      }
      const result = await load.result;
      findings.note(`HAProxy ended ${kills} times; of 40 looks, ${direct} found it gone`);
      findings.check(direct > 20, 'HAProxy was away most of the time');
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

/** The restarted one's pid: stack.json follows the supervisor. */
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
