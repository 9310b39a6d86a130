import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EdgeTraceAttempt } from '../../shared/edge-trace.ts';
import { startStack, type TestStack, withoutLimits } from '../harness/stack.ts';
import { until } from '../harness/until.ts';
import { DemoInstances } from './demo-instances.ts';
import { countOccurrences, type RawResponse, sendRequest } from './http-request.ts';
import { type Scenario, ScenarioFindings } from './scenario.ts';

const VICTIM = 'auth-1';
const CLIENTS = 32;

/** KV delivers snapshots a minute late. With the Hub this does not matter; without it, the edge must detect the failure itself. */
export const kvLag: Scenario = {
  name: 'kv-lag',
  description: `--kv-lag 60s, ${VICTIM} killed -9 under ${CLIENTS} clients, 30 % POST, with the Hub and then without it`,
  async run() {
    const findings = new ScenarioFindings();
    await runOnce({ label: 'with the Hub', seconds: 25, env: {} }, findings);
    await runOnce({ label: 'without the Hub', seconds: 100, env: { SNAPSHOT_LANES: 'kv' } }, findings);
    return findings.outcome;
  },
};

interface Run {
  label: string;
  seconds: number;
  env: NodeJS.ProcessEnv;
}

async function runOnce(run: Run, findings: ScenarioFindings): Promise<void> {
  const test = await startStack({
    edit: withoutLimits,
    args: ['--kv-lag', '60s'],
    env: run.env,
    readyWithinMs: 150_000,
  });
  const instances = new DemoInstances(test);
  try {
    const knows = await until(async () => states(await sendTraced(test)).every((state) => state === 'up'), {
      withinMs: 130_000,
      everyMs: 500,
    });
    findings.check(knows !== null, `${run.label}: the edge routes by a snapshot in which both are up`);
    await demonstrate(run, test, instances, findings);
  } finally {
    instances.stop();
    await test.stop();
  }
}

interface Sent {
  method: string;
  at: number;
  answer: RawResponse;
}

async function demonstrate(
  { label, seconds }: Run,
  test: TestStack,
  instances: DemoInstances,
  findings: ScenarioFindings,
): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const sent: Sent[] = [];
  const ends = Date.now() + seconds * 1_000;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (Date.now() < ends) {
      const method = Math.random() < 0.3 ? 'POST' : 'GET';
      const at = Date.now();
      sent.push({ method, at, answer: await sendTraced(test, method, agent) });
      await sleep(40);
    }
  });
  await sleep(4_000);
  const killedAt = Date.now();
  await instances.kill(VICTIM, 'SIGKILL');
  await Promise.all(clients);
  agent.destroy();

  const gets = sent.filter(({ method }) => method === 'GET');
  const posts = sent.filter(({ method }) => method === 'POST');
  const failedGets = gets.filter(failed);
  const failedPosts = posts.filter(failed);
  findings.check(
    failedGets.length === 0,
    `${label}: ${failedGets.length} of ${gets.length} GETs failed (${countOccurrences(failedGets.map(why))})`,
  );
  const unsafe = failedPosts.filter(
    ({ at, answer }) => at <= killedAt + 50 && at + answer.ms >= killedAt - 50,
  );
  findings.check(
    unsafe.length === failedPosts.length,
    `${label}: ${failedPosts.length} of ${posts.length} POSTs failed, ${unsafe.length} of them in flight at the kill (${countOccurrences(failedPosts.map(why))})`,
  );
  const after = sent.filter(({ at }) => at > killedAt);
  const touched = after.filter(({ answer }) => attemptsOf(answer).some(({ named }) => named === VICTIM));
  const last = Math.max(0, ...touched.map(({ at, answer }) => at + answer.ms - killedAt));
  findings.check(
    last < seconds * 1_000 - 5_000,
    `${label}: the edge last tried ${VICTIM} ${last.toFixed(0)} ms after the kill (${touched.length} of ${after.length} requests after it)`,
  );
  const knew = after.find(({ answer }) => states(answer).includes('down'));
  findings.note(
    `${label}: its snapshot reported "down" ${knew ? `${knew.at - killedAt} ms after the kill` : 'never'}`,
  );
}

const failed = ({ answer }: Sent): boolean => answer.status !== 200;

/** The status or connection error, and the result of each attempt. */
function why({ answer }: Sent): string {
  const each = attemptsOf(answer).map(({ named, result, status }) => `${named} → ${status ?? result}`);
  return `${answer.error ?? answer.status}${each.length > 0 ? ` [${each.join('; ')}]` : ''}`;
}

function sendTraced({ stack }: TestStack, method = 'GET', agent?: Agent): Promise<RawResponse> {
  return sendRequest(`${stack.edge}/api/v1/auth/x`, {
    method,
    headers: { 'x-acgs-explain': '1', 'x-acgs-token': stack.edgeToken },
    ...(method === 'POST' && { body: '{"vote":"yes"}' }),
    ...(agent && { agent }),
  });
}

interface Trace {
  candidates?: { id: string; state: string }[];
  attempts?: Pick<EdgeTraceAttempt, 'named' | 'result' | 'status'>[];
}

const trace = ({ headers }: RawResponse): Trace =>
  JSON.parse(String(headers['x-acgs-trace'] ?? '{}')) as Trace;
const attemptsOf = (answer: RawResponse) => trace(answer).attempts ?? [];
/** States in the snapshot that routed this request. */
const states = (answer: RawResponse) =>
  (trace(answer).candidates ?? [{ id: '', state: 'none' }]).map(({ state }) => state);
