import { setTimeout as sleep } from 'node:timers/promises';
import { startStack, type TestStack, withoutLimits } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** An instance that answers its probes but serves badly: the breaker sees what health cannot. */
export const brokenOpen: Scenario = {
  name: 'broken-open',
  description:
    'one instance fails half its requests, then one answers too late, under load; both are mended later',
  async run() {
    const findings = new ScenarioFindings();
    const test = await startStack({
      edit(document) {
        withoutLimits(document);
        document.setIn(['defaults', 'affinity', 'by'], 'none');
        document.setIn(['defaults', 'strategy'], 'round_robin');
        document.setIn(['defaults', 'breaker'], {
          slowCall: '400ms',
          window: '5s',
          openFor: '5s',
          minimumCalls: 20,
        });
      },
    });
    const load = keepAsking(`${test.stack.gateway}/api/v1/auth/x`);
    try {
      await sleep(2_000);
      await demonstrate(test, findings, 'fails half its requests', { failRate: 0.5 }, { failRate: 0 });
      await demonstrate(
        test,
        findings,
        'answers after 700 ms (slowCall 400 ms)',
        { delayMs: 700 },
        { delayMs: 0 },
      );
      const { total, failed } = await load();
      findings.note(`${failed} of ${total} requests got a 5xx or nothing while the breaker was not yet open`);
    } finally {
      await load();
      await test.stop();
    }
    return findings.outcome;
  },
};

async function demonstrate(
  { stack }: TestStack,
  findings: ScenarioFindings,
  what: string,
  bad: object,
  good: object,
): Promise<void> {
  const victim = stack.instances.find(({ id }) => id === 'auth-1');
  const turn = (knobs: object) =>
    fetch(`${victim?.url}/__demo`, { method: 'POST', body: JSON.stringify(knobs) });
  const look = async () => {
    const response = await fetch(`${stack.agent}/v1/services/auth/instances/auth-1`);
    return (await response.json()) as { state: string; health: string; breaker: string; reason: string };
  };
  const within = { withinMs: 30_000, everyMs: 20 };
  const began = Date.now();
  await turn(bad);
  const open = await until(async () => {
    const seen = await look();
    return seen.breaker === 'open' && { ...seen, ms: Date.now() - began };
  }, within);
  findings.check(
    open !== null,
    `auth-1 ${what}: breaker open ${open ? `after ${open.ms} ms, health ${open.health}, state ${open.state}: ${open.reason}` : 'never'}`,
  );
  await turn(good);
  const mended = Date.now();
  const closed = await until(async () => (await look()).breaker === 'closed' && Date.now() - mended, within);
  findings.check(closed !== null, `mended: closed again ${closed} ms later, state ${(await look()).state}`);
}

/** Sixteen clients without sessions; returns a function that ends them and tells what they met. */
function keepAsking(url: string): () => Promise<{ total: number; failed: number }> {
  const met = { total: 0, failed: 0 };
  let asking = true;
  const clients = Array.from({ length: 16 }, async () => {
    while (asking) {
      const status = await fetch(url).then(
        (response) => response.arrayBuffer().then(() => response.status),
        () => 0,
      );
      met.total++;
      if (status === 0 || status >= 500) met.failed++;
      await sleep(20);
    }
  });
  return async () => {
    asking = false;
    await Promise.all(clients);
    return met;
  };
}
