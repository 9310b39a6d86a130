import { setTimeout as sleep } from 'node:timers/promises';
import { startLoad } from '../harness/load.ts';
import { startStack, withoutLimits } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** The killed-instance scenario without Redis and Postgres. */
export const embedded: Scenario = {
  name: 'embedded',
  description: '--embedded: kill -9 one instance under load, history in PGlite',
  async run() {
    const findings = new ScenarioFindings();
    const test = await startStack({ edit: withoutLimits, args: ['--embedded'] });
    try {
      const { stack } = test;
      findings.check(stack.redis === null && stack.postgres === null, 'no Redis, no Postgres');
      const victim = stack.instances.find(({ id }) => id === 'auth-1');
      const load = startLoad(`${stack.edge}/api/v1/auth/x`, { seconds: 15 });
      await sleep(5_000);
      process.kill(victim?.pid ?? 0, 'SIGKILL');
      const killedAt = Date.now();
      const known = await until(async () => {
        const body = await (await fetch(`${stack.agent}/v1/services/auth/instances`)).text();
        return (
          /"id":"auth-1"[^}]*"state":"down"/.test(body.replace(/"metadata":\{\},?/g, '')) &&
          Date.now() - killedAt
        );
      });
      findings.check(known !== null, `the agent reports it ${known} ms after the kill`);
      const result = await load.result;
      findings.check(
        result.failed === 0,
        `${result.failed} of ${result.requests} requests failed (${result.detail})`,
      );
    } finally {
      await test.stop();
    }
    return findings.outcome;
  },
};
