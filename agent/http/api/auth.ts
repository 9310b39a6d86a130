import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, MiddlewareHandler } from 'hono';
import ipaddr from 'ipaddr.js';
import { createAuthThrottle } from './auth-throttle.ts';
import { ProblemError } from './problem.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Compares in a time that tells nothing, not even the length. */
export const timingSafeEqualText = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));

export function isLoopback(bind: string): boolean {
  const host = bind.slice(0, bind.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  if (host === 'localhost') return true;
  return ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback';
}

/** These carry a credential of their own. */
const OTHER_CREDENTIAL_PATHS = new Set(['/v1/edge-reports']);
const READ_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

export interface BearerAuthOptions {
  token: string | undefined;
  bind: string;
  /** The peer's address. */
  addressOf(context: Context): string;
  now(): number;
  /** Called when an address begins to be held off. */
  onThrottled(address: string): void;
}

/**
 * Everything under /v1 that changes something wants the bearer token. Reading wants it too unless the API listens on
 * loopback only: then whoever can ask is on this machine. An address that guesses is held off with 429, the right token too,
 * otherwise the guessing would go on; but not where the right token came from lately.
 */
export function bearerAuth(options: BearerAuthOptions): MiddlewareHandler {
  const { token } = options;
  const guesses = createAuthThrottle();
  const openReads = isLoopback(options.bind);
  return async (context, next) => {
    const { method, path } = context.req;
    if (OTHER_CREDENTIAL_PATHS.has(path) || (openReads && READ_METHODS.has(method))) return next();
    if (!token) {
      throw new ProblemError(403, 'Not allowed', 'this agent has no ACGS_TOKEN set, so it takes no commands');
    }
    const given = /^Bearer +(\S+)$/i.exec(context.req.header('authorization') ?? '')?.[1];
    const address = options.addressOf(context);
    const now = options.now();
    const right = given !== undefined && timingSafeEqualText(given, token);
    const wait = given === undefined ? 0 : guesses.retryAfterSeconds(address, now);
    if (wait > 0 && !(right && guesses.hasRecentSuccess(address, now))) {
      const detail = `too many wrong tokens came from ${address}; try again in ${wait} s`;
      throw new ProblemError(429, 'Held off', detail, { headers: { 'retry-after': String(wait) } });
    }
    if (!right) {
      if (given !== undefined && guesses.recordFailure(address, given, now)) options.onThrottled(address);
      const detail =
        given === undefined
          ? 'send "Authorization: Bearer <ACGS_TOKEN>"'
          : 'the bearer token is not the right one';
      throw new ProblemError(401, 'Not authorised', detail, {
        headers: { 'www-authenticate': 'Bearer realm="acgs-lb"' },
      });
    }
    guesses.recordSuccess(address, now);
    return next();
  };
}
