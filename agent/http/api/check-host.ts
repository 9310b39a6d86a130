import type { MiddlewareHandler } from 'hono';
import ipaddr from 'ipaddr.js';
import { ProblemError } from './problem.ts';

/** HAProxy forwards these with the Host of the edge; they carry a credential that no page has. */
const EXEMPT_PATHS = new Set(['/v1/edge-reports']);

export interface HostCheckOptions {
  /** Whether the API listens on loopback only, where reads need no token. */
  loopback: boolean;
  /** `agent.hosts`, read for each request. */
  hosts(): readonly string[];
}

/**
 * Protects against pages of other origins, DNS rebinding included: a page whose name resolves to this machine sends its
 * own name as Host. An IP address as Host is always allowed, because no name was resolved. Names other than localhost
 * must be configured, except on an address that is not loopback as long as none is: there reads need the token. An Origin
 * must be the one of the Host or have a configured name.
 */
export function checkHost({ loopback, hosts }: HostCheckOptions): MiddlewareHandler {
  return async ({ req }, next) => {
    if (EXEMPT_PATHS.has(req.path)) return next();
    const configured = new Set(hosts().map((host) => host.toLowerCase()));
    const host = parseHost(req.header('host') ?? new URL(req.url).host);
    const needsName = loopback || configured.size > 0;
    if (host === null || (needsName && !isAddress(host.hostname) && !configured.has(host.hostname))) {
      throw forbidden('Host', req.header('host'), 'an IP address, localhost or a name of agent.hosts');
    }
    const origin = req.header('origin');
    if (origin !== undefined && !isOwnOrigin(origin, host.host, configured)) {
      throw forbidden('Origin', origin, 'the origin of the Host field or a name of agent.hosts');
    }
    return next();
  };
}

function isOwnOrigin(origin: string, host: string, configured: ReadonlySet<string>): boolean {
  const scheme = /^https?:\/\//i.exec(origin)?.[0];
  const parsed = scheme === undefined ? null : parseHost(origin.slice(scheme.length));
  return parsed !== null && (parsed.host === host || configured.has(parsed.hostname));
}

function parseHost(text: string): { host: string; hostname: string } | null {
  if (!/^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(text)) return null;
  const host = text.toLowerCase();
  return { host, hostname: host.replace(/:\d+$/, '').replace(/\.$/, '') };
}

function isAddress(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, '');
  return bare === 'localhost' || ipaddr.IPv4.isValidFourPartDecimal(bare) || ipaddr.IPv6.isValid(bare);
}

const forbidden = (field: string, value: string | undefined, allowed: string): ProblemError =>
  new ProblemError(
    403,
    'Not allowed',
    `${field} ${JSON.stringify(value?.slice(0, 100))} is not allowed; expected ${allowed}`,
  );
