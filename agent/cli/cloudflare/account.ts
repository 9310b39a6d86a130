import { z } from 'zod';
import { type CloudflareApi, CloudflareError } from './api.ts';

/** The parts of an edge on Cloudflare. The schemas are Cloudflare's published ones, reduced to the fields in use. */

const account = z.object({ id: z.string(), name: z.string() });
const zone = z.object({ id: z.string(), name: z.string() });
const namespace = z.object({ id: z.string(), title: z.string() });
const domain = z.object({ id: z.string(), hostname: z.string(), service: z.string() });
const route = z.object({
  id: z.string(),
  pattern: z.string(),
  script: z.string().nullish(),
  // In Cloudflare's answers, but not in its published schema.
  request_limit_fail_open: z.boolean().optional(),
});
const dnsRecord = z.object({ type: z.string(), proxied: z.boolean().optional() });
const binding = z.looseObject({ type: z.string(), name: z.string() });
const settings = z.object({ bindings: z.array(binding).default([]) });
const anything = z.unknown();

export type CloudflareAccount = z.output<typeof account>;
export type CloudflareZone = z.output<typeof zone>;
export type WorkerRoute = z.output<typeof route>;
export type WorkerBinding = z.output<typeof binding>;

export const listAccounts = (api: CloudflareApi): Promise<CloudflareAccount[]> =>
  api.list('/accounts', account);

/** The zone that contains the host name, or the named one. Null: the token sees none. */
export async function findZone(
  api: CloudflareApi,
  { accountId, host, zoneName }: { accountId: string; host: string; zoneName?: string | undefined },
): Promise<CloudflareZone | null> {
  const labels = host.split('.');
  const names = zoneName ? [zoneName] : labels.slice(0, -1).map((_, from) => labels.slice(from).join('.'));
  for (const name of names) {
    const query = new URLSearchParams({ name, 'account.id': accountId });
    const found = (await api.list(`/zones?${query}`, zone)).find((one) => one.name === name);
    if (found) return found;
  }
  return null;
}

export const findNamespace = async (
  api: CloudflareApi,
  accountId: string,
  title: string,
): Promise<string | null> =>
  (await api.list(`${kvPath(accountId)}?order=title`, namespace)).find((one) => one.title === title)?.id ??
  null;

export const createNamespace = async (
  api: CloudflareApi,
  accountId: string,
  title: string,
): Promise<string> => (await api.send('POST', kvPath(accountId), { body: { title }, result: namespace })).id;

const kvPath = (accountId: string): string => `/accounts/${accountId}/storage/kv/namespaces`;

/** The bindings of a Worker with their public values. Null: there is no such Worker. */
export async function workerBindings(
  api: CloudflareApi,
  accountId: string,
  name: string,
): Promise<WorkerBinding[] | null> {
  try {
    const path = `/accounts/${accountId}/workers/scripts/${encodeURIComponent(name)}/settings`;
    return (await api.get(path, settings)).bindings;
  } catch (error) {
    if (error instanceof CloudflareError && error.status === 404) return null;
    throw error;
  }
}

/** The Worker that a custom domain belongs to; null: the host name is not a custom domain. */
export async function domainOwner(
  api: CloudflareApi,
  accountId: string,
  host: string,
): Promise<string | null> {
  const query = new URLSearchParams({ hostname: host });
  const domains = await api.list(`/accounts/${accountId}/workers/domains?${query}`, domain);
  return domains.find(({ hostname }) => hostname === host)?.service ?? null;
}

export const attachDomain = async (
  api: CloudflareApi,
  accountId: string,
  target: { host: string; worker: string; zoneId: string },
): Promise<void> => {
  const body = { hostname: target.host, service: target.worker, zone_id: target.zoneId };
  await api.send('PUT', `/accounts/${accountId}/workers/domains`, { body, result: domain });
};

/** The pattern of the route that sends everything for a host name to the Worker. */
export const routePattern = (host: string): string => `${host}/*`;

export const findRoute = async (
  api: CloudflareApi,
  zoneId: string,
  host: string,
): Promise<WorkerRoute | null> =>
  (await listRoutes(api, zoneId)).find(({ pattern }) => pattern === routePattern(host)) ?? null;

const listRoutes = (api: CloudflareApi, zoneId: string): Promise<WorkerRoute[]> =>
  api.list(`/zones/${zoneId}/workers/routes`, route);

/**
 * A route that sends all requests for a custom domain to another Worker; null: there is none. Cloudflare applies routes
 * before custom domains.
 */
export const findRouteBefore = async (
  api: CloudflareApi,
  zoneId: string,
  { host, worker }: { host: string; worker: string },
): Promise<WorkerRoute | null> =>
  (await listRoutes(api, zoneId)).find(
    ({ pattern, script }) => script && script !== worker && coversHost(pattern, host),
  ) ?? null;

/** A pattern may have a scheme, and `*` at the start of the host name and at the end of the path. */
export function coversHost(pattern: string, host: string): boolean {
  const [, wanted = '', path = ''] = /^(?:https?:\/\/)?([^/]*)(.*)$/.exec(pattern) ?? [];
  if (path !== '/*') return false;
  return wanted.startsWith('*') ? host.endsWith(wanted.slice(1)) : wanted === host;
}

export async function putRoute(
  api: CloudflareApi,
  zoneId: string,
  wanted: { id: string | null; host: string; worker: string; failOpen: boolean },
): Promise<void> {
  const path = `/zones/${zoneId}/workers/routes`;
  const body = {
    pattern: routePattern(wanted.host),
    script: wanted.worker,
    request_limit_fail_open: wanted.failOpen,
  };
  const call = { body, result: anything };
  await (wanted.id === null ? api.send('POST', path, call) : api.send('PUT', `${path}/${wanted.id}`, call));
}

/** The address records of a host name. Null: the token may not read them. */
export async function addressRecords(
  api: CloudflareApi,
  zoneId: string,
  host: string,
): Promise<z.output<typeof dnsRecord>[] | null> {
  try {
    const query = new URLSearchParams({ name: host });
    const records = await api.list(`/zones/${zoneId}/dns_records?${query}`, dnsRecord);
    return records.filter(({ type }) => ['A', 'AAAA', 'CNAME'].includes(type));
  } catch (error) {
    if (error instanceof CloudflareError && (error.status === 403 || error.status === 401)) return null;
    throw error;
  }
}
