import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import ipaddr from 'ipaddr.js';
import type { ApiScope, ApiToken } from '../../core/api-token.ts';
import { createAuthThrottle } from '../../core/auth-throttle.ts';
import { ProblemError } from './problem.ts';
import { isAllowed, requiredScope, scopeName } from './scopes.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

declare module 'hono' {
  interface ContextVariableMap {
    /** The name of the token that authorised the request; undefined for a read without a token. */
    tokenName: string | undefined;
    /** The scope of that token. */
    tokenScope: ApiScope | undefined;
  }
}

/** Compares digests of all tokens, so that the time reveals neither content nor length nor which token matched. */
function createTokenLookup(tokens: readonly ApiToken[]): (presented: string) => ApiToken | undefined {
  const known = tokens.map((token) => ({ token, digest: digest(token.secret) }));
  return (presented) => {
    const wanted = digest(presented);
    let found: ApiToken | undefined;
    for (const each of known) if (timingSafeEqual(each.digest, wanted)) found = each.token;
    return found;
  };
}

/** Whether `host:port` is an address of loopback. */
export function isLoopback(bind: string): boolean {
  const host = bind.slice(0, bind.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  if (host === 'localhost') return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback';
}

/** Paths that check a credential other than the bearer token. */
const OTHER_CREDENTIAL_PATHS = new Set(['/v1/edge-reports']);
const READ_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

export interface BearerAuthOptions {
  tokens: readonly ApiToken[];
  bind: string;
  /** The address of the peer. */
  addressOf(context: Context): string;
  now(): number;
  /** Called when an address becomes blocked. */
  onThrottled(address: string): void;
}

/**
 * Requires a bearer token with the right scope for every write under /v1. Reads require one too unless the API listens on
 * loopback only, where every client is on this machine. A blocked address gets 429 even with the right token, because
 * otherwise an attacker could go on guessing; an address that presented the right token recently is exempt.
 */
export function bearerAuth(options: BearerAuthOptions): MiddlewareHandler {
  const { tokens } = options;
  const findToken = createTokenLookup(tokens);
  const throttle = createAuthThrottle();
  const openReads = isLoopback(options.bind);

  function authenticate(presented: string, address: string): ApiToken {
    const now = options.now();
    const token = findToken(presented);
    const waitSeconds = throttle.retryAfterSeconds(address, now);
    if (waitSeconds > 0 && !(token && throttle.hasRecentSuccess(address, now))) {
      throw new ProblemError(
        429,
        'Too many attempts',
        `too many wrong tokens from ${address}; try again in ${waitSeconds} s`,
        { headers: { 'retry-after': String(waitSeconds) } },
      );
    }
    if (!token) {
      if (throttle.recordFailure(address, presented, now)) options.onThrottled(address);
      throw unauthorized('the bearer token is wrong');
    }
    throttle.recordSuccess(address, now);
    return token;
  }

  return async (context, next) => {
    const { method, path } = context.req;
    if (OTHER_CREDENTIAL_PATHS.has(path) || (openReads && READ_METHODS.has(method))) return next();
    if (tokens.length === 0) {
      throw new ProblemError(
        403,
        'Not allowed',
        'ACGS_TOKEN is not set on this agent, so it accepts no writes',
      );
    }
    const presented = /^Bearer +(\S+)$/i.exec(context.req.header('authorization') ?? '')?.[1];
    if (presented === undefined) throw unauthorized('send "Authorization: Bearer <ACGS_TOKEN>"');
    const token = authenticate(presented, options.addressOf(context));
    const required = requiredScope(method, path);
    if (!isAllowed(token.scope, required)) throw insufficientScope(token, scopeName(required));
    context.set('tokenName', token.name);
    context.set('tokenScope', token.scope);
    return next();
  };
}

const unauthorized = (detail: string): ProblemError =>
  new ProblemError(401, 'Not authorised', detail, {
    headers: { 'www-authenticate': 'Bearer realm="acgs-lb"' },
  });

/** RFC 6750 §3.1. */
const insufficientScope = ({ name, scope }: ApiToken, required: string): ProblemError =>
  new ProblemError(
    403,
    'Not allowed',
    `the token ${name} has the scope ${scopeName(scope)}; this request needs ${required}`,
    {
      headers: {
        'www-authenticate': `Bearer realm="acgs-lb", error="insufficient_scope", scope="${required}"`,
      },
    },
  );
