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

/** A thousand users while instances die and are restarted; checks the targets of the original guide. */
export const users: Scenario = {
  name: 'users',
  description: `${USERS} users, each with its own connection, address and cookie, ${SECONDS} s; ${VICTIM} killed -9 and restarted, then every instance restarted in turn; default limits`,
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
  const startedAt = Date.now();
  const ends = startedAt + SECONDS * 1_000;
  const stats: UserStats = { ms: [], bad: [], limited: 0, sentAgain: 0 };
  let restarting = true;
  const isRunning = (): boolean => restarting || Date.now() < ends;
  const clients = Array.from({ length: USERS }, (_, index) =>
    simulateUser(test, { index, isRunning, think, stats }),
  );
  try {
    await sleep(15_000);
    await instances.kill(VICTIM, 'SIGKILL');
    await sleep(10_000);
    findings.check(await instances.start(VICTIM), `${VICTIM} killed -9, started again 10 s later: healthy`);
    const others = test.stack.instances.filter(({ id }) => id !== VICTIM);
    const recovered: boolean[] = [];
    for (const { service, id } of others) {
      await waitUntilServing(test, service);
      await instances.kill(id, 'SIGTERM');
      recovered.push(await instances.start(id));
    }
    findings.check(
      recovered.every(Boolean),
      `the other ${others.length} restarted one after another: all healthy`,
    );
  } finally {
    restarting = false;
  }
  await Promise.all(clients);
  report(stats, (Date.now() - startedAt) / 1_000, thinkText, findings);
}

function report(stats: UserStats, seconds: number, thinkText: string, findings: ScenarioFindings): void {
  const total = stats.ms.length;
  const failed = stats.bad.length;
  const at = (share: number) => quantile(stats.ms, share).toFixed(0);
  const errors = (failed / total) * 100;
  findings.note(
    `${total} requests in ${seconds.toFixed(0)} s, ${(total / seconds).toFixed(0)} per second, think time ${thinkText}; one in ten a POST with Idempotency-Key`,
  );
  findings.check(
    quantile(stats.ms, 0.95) < 500,
    `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms (goal: p95 < 500)`,
  );
  findings.check(
    errors < 1 && 100 - errors > 99.9,
    `${failed} failed (${countOccurrences(stats.bad)}): errors ${errors.toFixed(3)} % (goal: < 1), availability ${(100 - errors).toFixed(3)} % (goal: > 99.9)`,
  );
  findings.check(failed === 0, 'no request failed');
  findings.note(
    `${stats.limited} requests were rejected by rate limits (429), ${stats.sentAgain} sent again because their idle connection had just been closed; neither counts as failed`,
  );
}

interface UserStats {
  ms: number[];
  bad: string[];
  limited: number;
  sentAgain: number;
}

/** Starts within the first ten seconds, then sends requests with pauses until the end. */
interface SimulatedUser {
  index: number;
  isRunning: () => boolean;
  think: () => number;
  stats: UserStats;
}

async function simulateUser(
  { stack }: TestStack,
  { index, isRunning, think, stats }: SimulatedUser,
): Promise<void> {
  const connection = new KeepAliveConnection(stack.edge);
  const address = `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  let cookie = '';
  await sleep(Math.random() * 10_000);
  for (let turn = 0; isRunning(); turn++) {
    const path = PATHS[(index + turn) % PATHS.length] ?? '/';
    const fields = `x-acgs-sim-client: ${address}${cookie && `\r\ncookie: ${cookie}`}`;
    const reply =
      Math.random() < 0.1
        ? await connection.request(
            `POST ${path} HTTP/1.1\r\n${fields}\r\nidempotency-key: ${index}-${turn}\r\ncontent-length: ${BODY.length}`,
            BODY,
          )
        : await connection.request(`GET ${path} HTTP/1.1\r\n${fields}`);
    count(reply, stats);
    if (reply.cookie) cookie = reply.cookie;
    await sleep(think());
  }
  stats.sentAgain += connection.resends;
  connection.close();
}

function count({ status, ms, error }: KeepAliveResponse, stats: UserStats): void {
  stats.ms.push(ms);
  if (status === 429) stats.limited++;
  else if (status !== 200) stats.bad.push(error || String(status));
}

/** Waits until every instance of the service takes new sessions, as a rolling restart does. */
async function waitUntilServing({ stack }: TestStack, service: string): Promise<void> {
  await until(async () => {
    const response = await fetch(`${stack.agent}/v1/services/${service}/instances`);
    const { instances } = (await response.json()) as { instances: { state: string }[] };
    return instances.every(({ state }) => state === 'up' || state === 'probation');
  });
}
