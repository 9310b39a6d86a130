import { compileNetworks, type NetworkMatcher } from '../address.ts';
import { hashText } from '../hash.ts';
import { compilePathRules } from '../path.ts';
import type { SnapshotRateLimit } from '../snapshot/snapshot.ts';

/** A rate limit, compiled once per snapshot. */
export interface CompiledRateLimit {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number | undefined;
  readonly cost: number;
  readonly scope: 'edge' | 'global';
  /** The namespace of its counters: the service, or one for all services when the limit is shared. */
  readonly counterNamespace: (service: string) => string;
  readonly shadow: boolean;
  readonly isExempt: NetworkMatcher | null;
  readonly appliesTo: (path: string) => boolean;
  /** The value requests are counted by. */
  readonly keyOf: (request: RateLimitInput) => string;
  readonly limitOf: (key: string) => number;
  /** The largest limit of any key. */
  readonly maxLimit: number;
  /** Item of the `RateLimit-Policy` header field. */
  readonly policyField: string;
  /** Start of its item in the `RateLimit` header field. */
  readonly nameField: string;
}

/** The properties of a request that a key can use. */
export interface RateLimitInput {
  path: string;
  /** The IPv4 address, or the /64 network of an IPv6 address. */
  clientKey: string;
  /** The governance session, else the affinity header of the service, else the client. */
  sessionKey: () => string;
  header: (name: string) => string | null;
}

export function compileRateLimit(policy: SnapshotRateLimit): CompiledRateLimit {
  const keys = Array.isArray(policy.key) ? policy.key : [policy.key];
  const overrides = policy.overrides ?? {};
  const ofKey = new Map(Object.entries(overrides));
  const { routes } = policy;
  const name = `"${policy.name}"`;
  return {
    name: policy.name,
    limit: policy.limit,
    windowMs: policy.window,
    burst: policy.burst,
    cost: policy.cost ?? 1,
    scope: policy.scope,
    counterNamespace: policy.shared ? () => ALL_SERVICES : (service) => service,
    shadow: policy.shadow ?? false,
    isExempt: policy.exempt?.length ? compileNetworks(policy.exempt) : null,
    appliesTo: routes ? compilePathRules(routes) : () => true,
    keyOf: compileKey(keys),
    // A Map, because clients choose the key and every plain object has a "constructor".
    limitOf: ofKey.size > 0 ? (key) => ofKey.get(key) ?? policy.limit : () => policy.limit,
    maxLimit: Math.max(policy.limit, ...Object.values(overrides)),
    policyField: `${name};q=${policy.limit};w=${Math.ceil(policy.window / 1000)}`,
    nameField: name,
  };
}

/** Not a valid service id. */
const ALL_SERVICES = '*';

function compileKey(keys: readonly string[]): CompiledRateLimit['keyOf'] {
  const [first, ...others] = keys.map(compileKeyPart);
  if (!first || others.length === 0) return first ?? GLOBAL_KEY;
  return (request) => [first, ...others].map((part) => part(request)).join('|');
}

const GLOBAL_KEY = (): string => '*';

function compileKeyPart(key: string): CompiledRateLimit['keyOf'] {
  if (key === 'ip') return (request) => request.clientKey;
  if (key === 'session') return (request) => bounded(request.sessionKey());
  if (!key.startsWith('header:')) return GLOBAL_KEY;
  const name = key.slice('header:'.length);
  // A request without the header counts under the empty value: omitting it does not bypass the limit.
  return (request) => bounded(request.header(name) ?? '');
}

/** Limits the memory of a key: a long value is replaced by its start and a hash. */
function bounded(value: string): string {
  if (value.length <= 64) return value;
  return `${value.slice(0, 40)}#${hashText(value).toString(36)}${hashText(`${value}.`).toString(36)}`;
}
