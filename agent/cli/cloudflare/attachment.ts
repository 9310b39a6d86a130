import { type Finding, ok, warn } from '../doctor/finding.ts';
import {
  addressRecords,
  attachDomain,
  domainOwner,
  findRoute,
  findRouteBefore,
  putRoute,
  routePattern,
} from './account.ts';
import type { CloudflareApi } from './api.ts';
import type { EdgeDeployment } from './deployment.ts';
import { StepFailed } from './step.ts';

const STEP = 'host name';

type HostWanted = Pick<EdgeDeployment, 'accountId' | 'host' | 'worker' | 'attachment' | 'whenLimited'>;

/** Throws a StepFailed when another Worker or a DNS record uses the host name. */
export async function requireFreeHost(api: CloudflareApi, wanted: HostWanted, zoneId: string): Promise<void> {
  const { accountId, host, worker, attachment } = wanted;
  const owner = await domainOwner(api, accountId, host);
  if (owner !== null && owner !== worker)
    throw new StepFailed(STEP, `${host} is a custom domain of the Worker ${owner}`, 'detach it there first');
  if (attachment === 'route' && owner !== null)
    throw new StepFailed(
      STEP,
      `${host} is a custom domain of this Worker, and has no origin for a route`,
      'leave out --route, or detach the domain in the dashboard first',
    );
  await requireFreeRoute(api, wanted, zoneId);
  if (owner !== null) return;
  const records = await addressRecords(api, zoneId, host);
  if (records === null) return;
  if (attachment === 'domain' && records.length > 0)
    throw new StepFailed(
      STEP,
      `${host} has a DNS record, and a custom domain creates its own`,
      'delete the record, or put a route in front of it (--route)',
    );
  if (attachment === 'route' && !records.some(({ proxied }) => proxied))
    throw new StepFailed(
      STEP,
      `${host} has no proxied DNS record, so Cloudflare gets no requests for a route`,
      'create a proxied record with the address of the gateway',
    );
}

/** A route of another Worker for the same host name, or before a custom domain. */
async function requireFreeRoute(
  api: CloudflareApi,
  { host, worker, attachment }: HostWanted,
  zoneId: string,
): Promise<void> {
  const route =
    attachment === 'domain'
      ? await findRouteBefore(api, zoneId, { host, worker })
      : await findRoute(api, zoneId, host);
  if (!route?.script || route.script === worker) return;
  const isOwn = route.pattern === routePattern(host);
  throw new StepFailed(
    STEP,
    `the route ${route.pattern} runs the Worker ${route.script}${isOwn ? '' : ' before a custom domain'}`,
    isOwn
      ? 'delete the route first, or use another host name'
      : 'deploy with --route, which is more specific, or delete the route',
  );
}

/** Connects the host name with the Worker. */
export async function attach(api: CloudflareApi, wanted: HostWanted, zoneId: string): Promise<Finding> {
  const { accountId, host, worker, attachment } = wanted;
  if (attachment === 'domain') {
    if ((await domainOwner(api, accountId, host)) !== worker)
      await attachDomain(api, accountId, { host, worker, zoneId });
    return ok(STEP, `${host} is a custom domain; past the account's limits it fails closed`);
  }
  const failOpen = wanted.whenLimited === 'open';
  const route = await findRoute(api, zoneId, host);
  if (route?.script !== worker || route.request_limit_fail_open !== failOpen)
    await putRoute(api, zoneId, { id: route?.id ?? null, host, worker, failOpen });
  const now = await findRoute(api, zoneId, host);
  const detail = `route ${routePattern(host)}; past the account's limits it fails ${wanted.whenLimited}`;
  if (now?.request_limit_fail_open === failOpen) return ok(STEP, detail);
  return warn(
    STEP,
    `the route ${routePattern(host)} exists, but Cloudflare did not store "fail ${wanted.whenLimited}"`,
    'set "Request limit failure mode" of the route in the dashboard',
  );
}
