import { setTimeout as sleep } from 'node:timers/promises';
import { startStack, type TestStack, withoutLimits } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

/** An instance passes its probes but fails requests: only the breaker detects it. */
export const brokenOpen: Scenario = {
  name: 'broken-open',
  description:
    'under load, one instance fails half its requests, then answers too slowly; each fault is removed later',
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
    const load = sendContinuously(`${test.stack.gateway}/api/v1/auth/x`);
    try {
      await sleep(2_000);
      await demonstrate(test, findings, {
        label: 'fails half its requests',
        fault: { failRate: 0.5 },
        repair: { failRate: 0 },
      });
      await demonstrate(test, findings, {
        label: 'answers after 700 ms (slowCall 400 ms)',
        fault: { delayMs: 700 },
        repair: { delayMs: 0 },
      });
      const { total, failed } = await load();
      findings.note(`${failed} of ${total} requests got a 5xx or no response before the breaker opened`);
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
  { label, fault, repair }: { label: string; fault: object; repair: object },
): Promise<void> {
  const victim = stack.instances.find(({ id }) => id === 'auth-1');
  const setFaults = (faults: object) =>
    fetch(`${victim?.url}/__demo`, { method: 'POST', body: JSON.stringify(faults) });
  const readInstance = async () => {
    const response = await fetch(`${stack.agent}/v1/services/auth/instances/auth-1`);
    return (await response.json()) as { state: string; health: string; breaker: string; reason: string };
  };
  const timing = { withinMs: 30_000, everyMs: 20 };
  const startedAt = Date.now();
  await setFaults(fault);
  const open = await until(async () => {
    const state = await readInstance();
    return state.breaker === 'open' && { ...state, ms: Date.now() - startedAt };
  }, timing);
  findings.check(
    open !== null,
    `auth-1 ${label}: breaker open ${open ? `after ${open.ms} ms, health ${open.health}, state ${open.state}: ${open.reason}` : 'never'}`,
  );
  await setFaults(repair);
  const repairedAt = Date.now();
  const closed = await until(
    async () => (await readInstance()).breaker === 'closed' && Date.now() - repairedAt,
    timing,
  );
  findings.check(
    closed !== null,
    `repaired: closed again ${closed} ms later, state ${(await readInstance()).state}`,
  );
}

/** Runs sixteen clients without sessions. The returned function stops them and returns their counts. */
function sendContinuously(url: string): () => Promise<{ total: number; failed: number }> {
  const counts = { total: 0, failed: 0 };
  let running = true;
  const clients = Array.from({ length: 16 }, async () => {
    while (running) {
      const status = await fetch(url).then(
        (response) => response.arrayBuffer().then(() => response.status),
        () => 0,
      );
      counts.total++;
      if (status === 0 || status >= 500) counts.failed++;
      await sleep(20);
    }
  });
  return async () => {
    running = false;
    await Promise.all(clients);
    return counts;
  };
}
