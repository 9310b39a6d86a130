import { isIP } from 'node:net';
import {
  type CloudflareZone,
  domainOwner,
  findRoute,
  findRouteBefore,
  findZone,
  listAccounts,
  routePattern,
  type WorkerRoute,
  workerBindings,
} from '../cloudflare/account.ts';
import { type CloudflareApi, cloudflareApiUrl, createCloudflareApi } from '../cloudflare/api.ts';
import { EDGE_SECRETS } from '../cloudflare/keys.ts';
import { StepFailed, step } from '../cloudflare/step.ts';
import { type DeployedWorker, readDeployed } from '../cloudflare/worker-plan.ts';
import { type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

const DEPLOY = 'run `acgs-lb edge deploy`';

/** Checks what `acgs-lb edge deploy` does, step by step, without changing anything. */
export async function checkDeployment(input: DoctorInput): Promise<Finding[]> {
  const { config, env, fetch } = input;
  const host = config.edge.url ? new URL(config.edge.url).hostname : '';
  if (!host.includes('.') || isIP(host) !== 0 || host.endsWith('.workers.dev')) return [];
  const token = env.CLOUDFLARE_API_TOKEN;
  if (!token)
    return [
      skip('Cloudflare', 'CLOUDFLARE_API_TOKEN is not set here: zone, route, secrets were not checked'),
    ];
  const api = createCloudflareApi({ token, baseUrl: cloudflareApiUrl(env), fetch });
  try {
    return await checkSteps(api, input, host);
  } catch (error) {
    if (error instanceof StepFailed) return [fail(`Cloudflare ${error.step}`, error.message, error.mend)];
    throw error;
  }
}

async function checkSteps(api: CloudflareApi, input: DoctorInput, host: string): Promise<Finding[]> {
  const { config, env } = input;
  const found = await findAccountAndZone(api, env.CLOUDFLARE_ACCOUNT_ID, host);
  if (!found)
    return [
      fail(
        'Cloudflare zone',
        `the token sees no zone for ${host}`,
        'give the token the zone, or set edge.url',
      ),
    ];
  const { accountId, zone } = found;
  const owner = await step('host name', () => domainOwner(api, accountId, host));
  const route = owner ? null : await step('host name', () => findRoute(api, zone.id, host));
  const worker = owner ?? route?.script;
  if (!worker) return [fail('Cloudflare host name', `no custom domain or route for ${host}`, DEPLOY)];
  const attached = route
    ? checkRoute(route, host, config.haproxy.requireEdge)
    : await step('host name', () => checkDomain(api, zone.id, { host, worker }));
  const bindings = await step('worker', () => workerBindings(api, accountId, worker));
  const deployed = readDeployed(worker, bindings);
  if (!deployed) return [attached, fail('Cloudflare worker', `there is no Worker ${worker}`, DEPLOY)];
  const secrets = (bindings ?? []).filter(({ type }) => type === 'secret_text').map(({ name }) => name);
  return [
    ok('Cloudflare zone', zone.name),
    attached,
    checkWorker(deployed, config.site.id),
    checkSecrets(secrets),
  ];
}

/** Looks for the zone of the host name in the given account, else in every account that the token sees. */
async function findAccountAndZone(
  api: CloudflareApi,
  given: string | undefined,
  host: string,
): Promise<{ accountId: string; zone: CloudflareZone } | null> {
  const ids = given ? [given] : (await step('account', () => listAccounts(api))).map((account) => account.id);
  for (const accountId of ids) {
    const zone = await step('zone', () => findZone(api, { accountId, host }));
    if (zone) return { accountId, zone };
  }
  return null;
}

async function checkDomain(
  api: CloudflareApi,
  zoneId: string,
  { host, worker }: { host: string; worker: string },
): Promise<Finding> {
  const NAME = 'Cloudflare host name';
  const before = await findRouteBefore(api, zoneId, { host, worker });
  if (!before) return ok(NAME, `${host} is a custom domain of ${worker}; past the limits it fails closed`);
  return fail(
    NAME,
    `the route ${before.pattern} runs the Worker ${before.script} before the custom domain of ${worker}`,
    'delete the route, or deploy with --route, which is more specific',
  );
}

function checkRoute(route: WorkerRoute, host: string, requireEdge: boolean): Finding {
  const NAME = 'Cloudflare host name';
  const failsOpen = route.request_limit_fail_open === true;
  const detail = `route ${routePattern(host)} runs ${route.script}; past the limits it fails ${failsOpen ? 'open' : 'closed'}`;
  if (!failsOpen || !requireEdge) return ok(NAME, detail);
  return warn(
    NAME,
    `${detail}, but HAProxy rejects requests that bypass the edge (haproxy.requireEdge)`,
    'deploy with --when-limited closed, or set haproxy.requireEdge: false',
  );
}

function checkWorker({ sites, namespaceId }: DeployedWorker, site: string): Finding {
  const NAME = 'Cloudflare worker';
  if (!sites.includes(site))
    return fail(NAME, `SITES is ${sites.join(',') || 'empty'}, without ${site}`, DEPLOY);
  if (namespaceId === null) return fail(NAME, 'it has no KV namespace SNAPSHOTS', DEPLOY);
  return ok(NAME, `sites ${sites.join(', ')}, KV namespace ${namespaceId}`);
}

function checkSecrets(names: readonly string[]): Finding {
  const missing = EDGE_SECRETS.filter((name) => !names.includes(name));
  if (missing.length === 0) return ok('Cloudflare secrets', EDGE_SECRETS.join(', '));
  return fail(
    'Cloudflare secrets',
    `${missing.join(', ')} not set`,
    `${DEPLOY} with the folder of edge.env (--keys)`,
  );
}
