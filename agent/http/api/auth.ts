import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import ipaddr from 'ipaddr.js';
import { createAuthThrottle } from './auth-throttle.ts';
import { ProblemError } from './problem.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares digests, so that the time reveals neither content nor length. */
const timingSafeEqualText = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

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
  token: string | undefined;
  bind: string;
  /** The address of the peer. */
  addressOf(context: Context): string;
  now(): number;
  /** Called when an address becomes blocked. */
  onThrottled(address: string): void;
}

/**
 * Requires the bearer token for every write under /v1. Reads require it too unless the API listens on loopback only, where
 * every client is on this machine. A blocked address gets 429 even with the right token, because otherwise an attacker
 * could go on guessing; an address that presented the right token recently is exempt.
 */
export function bearerAuth(options: BearerAuthOptions): MiddlewareHandler {
  const { token } = options;
  const throttle = createAuthThrottle();
  const openReads = isLoopback(options.bind);

  function authenticate(presented: string, expected: string, address: string): void {
    const now = options.now();
    const valid = timingSafeEqualText(presented, expected);
    const waitSeconds = throttle.retryAfterSeconds(address, now);
    if (waitSeconds > 0 && !(valid && throttle.hasRecentSuccess(address, now))) {
      throw new ProblemError(
        429,
        'Too many attempts',
        `too many wrong tokens from ${address}; try again in ${waitSeconds} s`,
        { headers: { 'retry-after': String(waitSeconds) } },
      );
    }
    if (!valid) {
      if (throttle.recordFailure(address, presented, now)) options.onThrottled(address);
      throw unauthorized('the bearer token is wrong');
    }
    throttle.recordSuccess(address, now);
  }

  return async (context, next) => {
    const { method, path } = context.req;
    if (OTHER_CREDENTIAL_PATHS.has(path) || (openReads && READ_METHODS.has(method))) return next();
    if (!token) {
      throw new ProblemError(
        403,
        'Not allowed',
        'ACGS_TOKEN is not set on this agent, so it accepts no writes',
      );
    }
    const presented = /^Bearer +(\S+)$/i.exec(context.req.header('authorization') ?? '')?.[1];
    if (presented === undefined) throw unauthorized('send "Authorization: Bearer <ACGS_TOKEN>"');
    authenticate(presented, token, options.addressOf(context));
    return next();
  };
}

const unauthorized = (detail: string): ProblemError =>
  new ProblemError(401, 'Not authorised', detail, {
    headers: { 'www-authenticate': 'Bearer realm="acgs-lb"' },
  });
