import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { startStack, type TestStack } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { type Answer, call, quantile, tally } from './clients.ts';
import { DemoInstances } from './demo-instances.ts';
import { Findings, type Scenario } from './scenario.ts';

const USERS = 1_000;
const SECONDS = 120;
const THINK_MS = 1_000;
const PATHS = ['auth', 'constitutional', 'integrity', 'governance', 'policy'].map(
  (name) => `/api/v1/${name}/x`,
);

/** A thousand people at work while instances die and are restarted: what the guide promises them. */
export const users: Scenario = {
  name: 'users',
  what: `${USERS} users, each with its own address and cookie, ${SECONDS} s; auth-1 killed -9 and brought back, both of integrity restarted in turn; limits as shipped`,
  async run() {
    const findings = new Findings();
    const test = await startStack({ args: ['--simulate-clients'] });
    const instances = new DemoInstances(test);
    try {
      await demonstrate(test, instances, findings);
    } finally {
      instances.stop();
      await test.stop();
    }
    return findings.outcome;
  },
};

async function demonstrate(test: TestStack, instances: DemoInstances, findings: Findings): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const until = Date.now() + SECONDS * 1_000;
  const met: Met = { ms: [], bad: [], limited: 0, lostCookies: 0 };
  const people = Array.from({ length: USERS }, (_, index) => user(test.stack.edge, index, until, agent, met));
  await sleep(20_000);
  await instances.end('auth-1', 'SIGKILL');
  await sleep(15_000);
  findings.check(
    await instances.start('auth-1'),
    'auth-1 killed -9 at 20 s, started again 15 s later: healthy',
  );
  for (const id of ['integrity-1', 'integrity-2']) {
    await sleep(5_000);
    await instances.end(id, 'SIGTERM');
    findings.check(await instances.start(id), `${id} restarted: healthy again`);
    await takesNew(test, id);
  }
  await Promise.all(people);
  agent.destroy();
  const total = met.ms.length;
  const failed = met.bad.length;
  const at = (share: number) => quantile(met.ms, share).toFixed(0);
  const errors = (failed / total) * 100;
  findings.say(
    `${total} requests, ${(total / SECONDS).toFixed(0)} a second, one in ten a POST with Idempotency-Key`,
  );
  findings.check(
    quantile(met.ms, 0.95) < 500,
    `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms (goal: p95 < 500)`,
  );
  findings.check(
    errors < 1 && 100 - errors > 99.9,
    `${failed} failed (${tally(met.bad)}): errors ${errors.toFixed(3)} % (goal: < 1), availability ${(100 - errors).toFixed(3)} % (goal: > 99.9)`,
  );
  findings.check(failed === 0, 'no request failed');
  findings.say(`${met.limited} requests were turned away by the rate limits (429), not counted as failed`);
}

interface Met {
  ms: number[];
  bad: string[];
  limited: number;
  lostCookies: number;
}

/** Comes within the first two seconds, then asks and thinks, exponentially long, until the time is over. */
async function user(edge: string, index: number, until: number, agent: Agent, met: Met): Promise<void> {
  const address = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  let cookie = '';
  await sleep(Math.random() * 2_000);
  for (let turn = 0; Date.now() < until; turn++) {
    const post = Math.random() < 0.1;
    const answer = await call(edge + (PATHS[(index + turn) % PATHS.length] ?? '/'), {
      agent,
      method: post ? 'POST' : 'GET',
      headers: {
        'x-acgs-sim-client': address,
        ...(cookie && { cookie }),
        ...(post && { 'idempotency-key': `${index}-${turn}` }),
      },
      ...(post && { body: '{"vote":"yes"}' }),
    });
    count(answer, met);
    cookie = answer.headers['set-cookie']?.[0]?.split(';')[0] ?? cookie;
    await sleep(Math.min(10_000, -Math.log(1 - Math.random()) * THINK_MS));
  }
}

function count(answer: Answer, met: Met): void {
  met.ms.push(answer.ms);
  if (answer.status === 429) met.limited++;
  else if (answer.status !== 200) met.bad.push(answer.error ?? String(answer.status));
}

/** Until the agent lets new sessions reach it. */
async function takesNew({ stack }: TestStack, id: string): Promise<void> {
  await until(async () => {
    const response = await fetch(`${stack.agent}/v1/services/integrity/instances/${id}`);
    return ['up', 'probation'].includes(((await response.json()) as { state: string }).state);
  });
}
