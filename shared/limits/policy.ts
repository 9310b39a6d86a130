import { compileNetworks, type NetworkMatcher } from '../address.ts';
import { hashText } from '../hash.ts';
import { coversPath, normalisePath } from '../path.ts';
import type { SnapshotRateLimit } from '../snapshot/snapshot.ts';

/** A policy taken apart once per snapshot. */
export interface CompiledRateLimit {
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly burst: number | undefined;
  readonly cost: number;
  readonly scope: 'edge' | 'global';
  /** The name its counts are kept under for a service: all services that share it have one. */
  readonly counterNamespace: (service: string) => string;
  readonly shadow: boolean;
  readonly native: string | undefined;
  readonly isExempt: NetworkMatcher | null;
  readonly appliesTo: (path: string) => boolean;
  /** The value requests are counted by. */
  readonly keyOf: (request: RateLimitInput) => string;
  readonly limitOf: (key: string) => number;
  /** The greatest limit a key may have. */
  readonly maxLimit: number;
  /** For the `RateLimit-Policy` field, and the start of its `RateLimit` item. */
  readonly policyField: string;
  readonly nameField: string;
}

/** What of a request a policy may count by. */
export interface RateLimitInput {
  path: string;
  /** Address, or /64 of an IPv6 one. */
  clientKey: string;
  /** A governance session, the service's affinity header, or failing both the client. */
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
    native: policy.native,
    isExempt: policy.exempt?.length ? compileNetworks(policy.exempt) : null,
    appliesTo: routes ? (path) => covers(routes, path) : () => true,
    keyOf: compileKey(keys),
    // A map: keys are the client's words, and every plain object has a "constructor".
    limitOf: ofKey.size > 0 ? (key) => ofKey.get(key) ?? policy.limit : () => policy.limit,
    maxLimit: Math.max(policy.limit, ...Object.values(overrides)),
    policyField: `${name};q=${policy.limit};w=${Math.ceil(policy.window / 1000)}`,
    nameField: name,
  };
}

/** However the path is spelled: an instance may read /log%69n as /login. */
function covers(routes: readonly string[], path: string): boolean {
  const normal = normalisePath(path);
  return routes.some((route) => coversPath(route, path) || (normal !== path && coversPath(route, normal)));
}

/** No service can have this name. */
const ALL_SERVICES = '*';

function compileKey(keys: readonly string[]): CompiledRateLimit['keyOf'] {
  const [only] = keys;
  if (keys.length === 1 && only === 'ip') return (request) => request.clientKey;
  if (keys.length === 1 && only === 'global') return () => '*';
  const parts = keys.map((key): CompiledRateLimit['keyOf'] => {
    if (key === 'ip') return (request) => request.clientKey;
    if (key === 'session') return (request) => bounded(request.sessionKey());
    if (key.startsWith('header:')) {
      const name = key.slice('header:'.length);
      // A request without the header counts too, as the empty value: leaving it out must not be a way round.
      return (request) => bounded(request.header(name) ?? '');
    }
    return () => '*';
  });
  const [single] = parts;
  if (parts.length === 1 && single) return single;
  return (request) => parts.map((part) => part(request)).join('|');
}

/** Keys are kept in memory: a long value is counted by its hash. */
function bounded(value: string): string {
  if (value.length <= 64) return value;
  return `${value.slice(0, 40)}#${hashText(value).toString(36)}${hashText(`${value}.`).toString(36)}`;
}
