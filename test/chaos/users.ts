import { setTimeout as sleep } from 'node:timers/promises';
import { startStack, type TestStack } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { DemoInstances } from './demo-instances.ts';
import { countOccurrences, quantile } from './http-request.ts';
import { KeepAliveConnection, type KeepAliveResponse } from './keep-alive-connection.ts';
import { type Scenario, ScenarioFindings, type ScenarioOptions } from './scenario.ts';

const USERS = 1_000;
const SECONDS = 120;
const VICTIM = 'auth-1';
const PATHS = ['auth', 'constitutional', 'integrity', 'governance', 'policy'].map(
  (name) => `/api/v1/${name}/x`,
);
const BODY = '{"vote":"yes"}';

/** A thousand people at work while instances die and are restarted: what the guide promises them. */
export const users: Scenario = {
  name: 'users',
  description: `${USERS} users, each with its own connection, address and cookie, ${SECONDS} s; ${VICTIM} killed -9 and brought back, then every instance restarted in turn; limits as shipped`,
  async run(options) {
    const findings = new ScenarioFindings();
    const test = await startStack({ args: ['--simulate-clients'], readyWithinMs: 180_000 });
    const instances = new DemoInstances(test);
    try {
      await demonstrate(test, instances, findings, options);
    } finally {
      instances.stop();
      await test.stop();
    }
    return findings.outcome;
  },
};

async function demonstrate(
  test: TestStack,
  instances: DemoInstances,
  findings: ScenarioFindings,
  { think, thinkText }: ScenarioOptions,
): Promise<void> {
  const began = Date.now();
  const ends = began + SECONDS * 1_000;
  const met: UserStats = { ms: [], bad: [], limited: 0, sentAgain: 0 };
  let restarting = true;
  const goesOn = (): boolean => restarting || Date.now() < ends;
  const people = Array.from({ length: USERS }, (_, index) => user(test, index, goesOn, think, met));
  try {
    await sleep(15_000);
    await instances.kill(VICTIM, 'SIGKILL');
    await sleep(10_000);
    findings.check(await instances.start(VICTIM), `${VICTIM} killed -9, started again 10 s later: healthy`);
    const others = test.stack.instances.filter(({ id }) => id !== VICTIM);
    const well: boolean[] = [];
    for (const { service, id } of others) {
      await takesNew(test, service);
      await instances.kill(id, 'SIGTERM');
      well.push(await instances.start(id));
    }
    findings.check(
      well.every(Boolean),
      `the other ${others.length} restarted one after another: all healthy`,
    );
  } finally {
    restarting = false;
  }
  await Promise.all(people);
  tell(met, (Date.now() - began) / 1_000, thinkText, findings);
}

function tell(met: UserStats, seconds: number, thinkText: string, findings: ScenarioFindings): void {
  const total = met.ms.length;
  const failed = met.bad.length;
  const at = (share: number) => quantile(met.ms, share).toFixed(0);
  const errors = (failed / total) * 100;
  findings.note(
    `${total} requests in ${seconds.toFixed(0)} s, ${(total / seconds).toFixed(0)} a second, thinking ${thinkText}; one in ten a POST with Idempotency-Key`,
  );
  findings.check(
    quantile(met.ms, 0.95) < 500,
    `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms (goal: p95 < 500)`,
  );
  findings.check(
    errors < 1 && 100 - errors > 99.9,
    `${failed} failed (${countOccurrences(met.bad)}): errors ${errors.toFixed(3)} % (goal: < 1), availability ${(100 - errors).toFixed(3)} % (goal: > 99.9)`,
  );
  findings.check(failed === 0, 'no request failed');
  findings.note(
    `${met.limited} requests were turned away by the rate limits (429), ${met.sentAgain} sent again because their idle connection had just been closed; neither counts as failed`,
  );
}

interface UserStats {
  ms: number[];
  bad: string[];
  limited: number;
  sentAgain: number;
}

/** Comes within the first ten seconds, then asks and thinks until it is over. */
async function user(
  { stack }: TestStack,
  index: number,
  goesOn: () => boolean,
  think: () => number,
  met: UserStats,
): Promise<void> {
  const connection = new KeepAliveConnection(stack.edge);
  const address = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  let cookie = '';
  await sleep(Math.random() * 10_000);
  for (let turn = 0; goesOn(); turn++) {
    const path = PATHS[(index + turn) % PATHS.length] ?? '/';
    const fields = `x-acgs-sim-client: ${address}${cookie && `\r\ncookie: ${cookie}`}`;
    const reply =
      Math.random() < 0.1
        ? await connection.request(
            `POST ${path} HTTP/1.1\r\n${fields}\r\nidempotency-key: ${index}-${turn}\r\ncontent-length: ${BODY.length}`,
            BODY,
          )
        : await connection.request(`GET ${path} HTTP/1.1\r\n${fields}`);
    count(reply, met);
    if (reply.cookie) cookie = reply.cookie;
    await sleep(think());
  }
  met.sentAgain += connection.resends;
  connection.close();
}

function count({ status, ms, error }: KeepAliveResponse, met: UserStats): void {
  met.ms.push(ms);
  if (status === 429) met.limited++;
  else if (status !== 200) met.bad.push(error || String(status));
}

/** Until the agent lets new sessions reach every instance of the service: whoever restarts things waits for that. */
async function takesNew({ stack }: TestStack, service: string): Promise<void> {
  await until(async () => {
    const response = await fetch(`${stack.agent}/v1/services/${service}/instances`);
    const { instances } = (await response.json()) as { instances: { state: string }[] };
    return instances.every(({ state }) => state === 'up' || state === 'probation');
  });
}
