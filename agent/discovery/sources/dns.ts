import { promises, type RecordWithTtl, type SrvRecord } from 'node:dns';
import type { DiscoveryConfig } from '../../../shared/config/discovery.ts';
import { PRIORITY } from '../../registry/limits.ts';
import {
  FULL_WEIGHT,
  type InstanceSourceReader,
  MAX_LISTED,
  originOf,
  relativeWeight,
  SourceError,
  type SourceList,
} from '../source.ts';

const QUERY_TIMEOUT_MS = 2_000;
const TRIES = 2;
const DEADLINE_MS = 10_000;
/** The lower bound of a TTL. */
const MIN_TTL_MS = 1_000;

interface Addresses {
  addresses: string[];
  ttlMs: number;
}

type DnsSettings = Pick<DiscoveryConfig, 'server' | 'port' | 'scheme' | 'interval'> & { name: string };

/** A and AAAA records of a name with the configured port, or SRV records of a name that starts with `_`. */
export function createDnsReader({ name, server, port, scheme, interval }: DnsSettings): InstanceSourceReader {
  const resolver = new promises.Resolver({ timeout: QUERY_TIMEOUT_MS, tries: TRIES });
  if (server !== undefined) resolver.setServers([server]);
  const readAgain = (ttlMs: number): number => Math.min(Math.max(ttlMs, MIN_TTL_MS), interval);

  async function readAddresses(): Promise<SourceList> {
    const { addresses, ttlMs } = await resolveAddresses(resolver, name);
    const instances = addresses.map((address) => ({
      url: originOf(scheme, address, port ?? 0),
      weight: FULL_WEIGHT,
      priority: 1,
    }));
    return { instances, problems: [], readAgainMs: readAgain(ttlMs) };
  }

  async function readServices(): Promise<SourceList> {
    const records = (await query(name, 'SRV', () => resolver.resolveSrv(name))).filter(
      // RFC 2782: the target "." means that the service is not available.
      (record) => record.name !== '' && record.name !== '.',
    );
    if (records.length > MAX_LISTED) {
      throw new SourceError(`${name} has ${records.length} SRV records; at most ${MAX_LISTED} are read`);
    }
    const targets = [...new Set(records.map((record) => record.name))];
    const found = await Promise.all(
      targets.map(async (target) => [target, await resolveAddresses(resolver, target)] as const),
    );
    const byName = new Map(found);
    // Node's resolver does not report the TTL of SRV records, so the TTLs of the targets are used instead.
    const ttlMs = Math.min(...found.map(([, { ttlMs: each }]) => each));
    return { ...serviceInstances(records, byName, scheme), readAgainMs: readAgain(ttlMs) };
  }

  return {
    deadlineMs: DEADLINE_MS,
    async read(signal) {
      const cancel = () => resolver.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      try {
        return await (name.startsWith('_') ? readServices() : readAddresses());
      } finally {
        signal.removeEventListener('abort', cancel);
      }
    },
    close: () => resolver.cancel(),
  };
}

/** The instances of SRV records. Priorities keep their order. Weights keep their ratio within a priority. */
export function serviceInstances(
  records: readonly SrvRecord[],
  addressesOf: ReadonlyMap<string, Pick<Addresses, 'addresses'>>,
  scheme: string,
): Pick<SourceList, 'instances' | 'problems'> {
  const levels = [...new Set(records.map(({ priority }) => priority))].sort((a, b) => a - b);
  const greatest = new Map<number, number>();
  for (const { priority, weight } of records) {
    greatest.set(priority, Math.max(weight, greatest.get(priority) ?? 0));
  }
  const problems: string[] = [];
  const instances = records.flatMap(({ name, port, priority, weight }): SourceList['instances'] => {
    const addresses = addressesOf.get(name)?.addresses ?? [];
    if (addresses.length === 0) problems.push(`the SRV target ${name} has no address`);
    if (port === 0) problems.push(`the SRV record of ${name} has port 0`);
    if (port === 0) return [];
    const full = greatest.get(priority) ?? 0;
    return addresses.map((address) => ({
      url: originOf(scheme, address, port),
      weight: relativeWeight(weight, full),
      priority: Math.min(levels.indexOf(priority) + PRIORITY.min, PRIORITY.max),
      metadata: { 'dns.target': name },
    }));
  });
  return { instances, problems };
}

/** The IPv4 addresses of a name; its IPv6 addresses if it has no IPv4 address. A host with both is one instance. */
async function resolveAddresses(resolver: promises.Resolver, name: string): Promise<Addresses> {
  const v4 = await query(name, 'A', () => resolver.resolve4(name, { ttl: true }));
  if (v4.length > 0) return toAddresses(v4);
  return toAddresses(await query(name, 'AAAA', () => resolver.resolve6(name, { ttl: true })));
}

const toAddresses = (records: readonly RecordWithTtl[]): Addresses => ({
  addresses: records.map(({ address }) => address).sort(),
  ttlMs: records.length === 0 ? 0 : Math.min(...records.map(({ ttl }) => ttl)) * 1_000,
});

/**
 * A name without records gives an empty list. Every other failure is an error, because it says nothing about the
 * records.
 */
async function query<T>(name: string, type: string, resolve: () => Promise<T[]>): Promise<T[]> {
  try {
    return await resolve();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    if (code === 'ENODATA' || code === 'ENOTFOUND') return [];
    throw new SourceError(`${type} records of ${name}: ${DNS_ERRORS[code] ?? code}`, { cause: error });
  }
}

const DNS_ERRORS: Readonly<Record<string, string>> = {
  ESERVFAIL: 'the DNS server answered SERVFAIL',
  EREFUSED: 'the DNS server refused the query',
  ETIMEOUT: 'the DNS server does not answer',
  ECONNREFUSED: 'the DNS server cannot be reached',
  ECANCELLED: 'the query was cancelled',
  EBADRESP: 'the answer of the DNS server is malformed',
};
