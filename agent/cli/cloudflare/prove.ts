import { errorSummary, type Finding, ok, warn } from '../doctor/finding.ts';
import type { DeployDeps } from './deployment.ts';
import { StepFailed } from './step.ts';

const STEP = 'request';
/** A new custom domain needs a DNS record and a certificate. */
const ATTEMPTS = 40;
const PAUSE_MS = 3_000;
const TIMEOUT_MS = 10_000;

interface DeployedEdge {
  host: string;
  edgeToken: string;
  keysFolder: string;
}

/** Waits until the edge answers at its host name, then checks its secrets and sends one request. */
export async function proveEdge(
  { host, edgeToken, keysFolder }: DeployedEdge,
  { fetch, wait }: Pick<DeployDeps, 'fetch' | 'wait'>,
): Promise<Finding[]> {
  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`https://${host}${path}`, {
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  await waitForHealth(host, get, wait);
  const { status } = await get('/__acgs/status', { authorization: `Bearer ${edgeToken}` });
  const secrets =
    status === 200
      ? ok('secrets', 'the edge accepts EDGE_TOKEN')
      : warn('secrets', `/__acgs/status answers ${status}`, 'run the command again in a minute');
  return [ok('edge', `https://${host} answers`), secrets, await sendOne(get, keysFolder)];
}

type GetFromEdge = (path: string, headers?: Record<string, string>) => Promise<Response>;

async function waitForHealth(host: string, get: GetFromEdge, wait: DeployDeps['wait']): Promise<void> {
  let last = '';
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0) await wait(PAUSE_MS);
    try {
      const response = await get('/__acgs/health');
      const text = await response.text();
      if (response.status === 200 && text.includes('"snapshot"')) return;
      last = `status ${response.status}`;
    } catch (error) {
      last = errorSummary(error);
    }
  }
  throw new StepFailed(
    'edge',
    `https://${host}/__acgs/health: ${last}`,
    'DNS records and certificates can take some minutes: run the command again',
  );
}

async function sendOne(get: GetFromEdge, keysFolder: string): Promise<Finding> {
  const response = await get('/');
  await response.body?.cancel();
  if (response.status < 500) return ok(STEP, `GET / answers ${response.status} through the gateway`);
  return warn(
    STEP,
    `GET / answers ${response.status}: the gateway cannot be reached or rejects the edge's token`,
    `put ${keysFolder}/agent.env onto the hosts, restart the agents, then run \`acgs-lb doctor\``,
  );
}
