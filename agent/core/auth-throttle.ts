import { createHash } from 'node:crypto';
import { clientKey } from '../../shared/address.ts';

const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
const TRUST_MS = 600_000;
const MAX_ADDRESSES = 1_024;

/** `now` is epoch milliseconds throughout. */
export interface AuthThrottle {
  /** Whole seconds until this address may present a token again; 0 when it may now. */
  retryAfterSeconds(address: string, now: number): number;
  recordSuccess(address: string, now: number): void;
  /** Whether this address presented the right token in the last ten minutes. */
  hasRecentSuccess(address: string, now: number): boolean;
  /** Returns true when this failure starts a block. */
  recordFailure(address: string, token: string, now: number): boolean;
}

interface FailedAttempts {
  since: number;
  tokenHashes: Set<string>;
}

/**
 * Brute-force protection for the bearer token. An address (IPv6: its /64) that presents ten different wrong tokens is
 * blocked until one minute after the first. The same wrong token counts once, so a program with an outdated token does
 * not block its host. The caller may exempt an address with a recent success, so that another client behind the same
 * proxy cannot stop its heartbeats. Both tables keep the latest 1024 addresses.
 */
export function createAuthThrottle(): AuthThrottle {
  // Map order is insertion order, so the first entry is the oldest.
  const failures = new Map<string, FailedAttempts>();
  const successes = new Map<string, number>();

  function currentFailures(key: string, now: number): FailedAttempts | undefined {
    const entry = failures.get(key);
    // `now` before `since`: the clock was set back. End the block instead of extending it.
    if (entry && now >= entry.since && now < entry.since + WINDOW_MS) return entry;
    failures.delete(key);
    return undefined;
  }

  return {
    retryAfterSeconds(address, now) {
      const entry = currentFailures(clientKey(address), now);
      if (!entry || entry.tokenHashes.size < MAX_FAILURES) return 0;
      return Math.ceil((entry.since + WINDOW_MS - now) / 1000);
    },
    recordSuccess(address, now) {
      const key = clientKey(address);
      if (!successes.delete(key)) evictOldest(successes);
      successes.set(key, now);
    },
    hasRecentSuccess(address, now) {
      const at = successes.get(clientKey(address));
      return at !== undefined && now >= at && now < at + TRUST_MS;
    },
    recordFailure(address, token, now) {
      const key = clientKey(address);
      let entry = currentFailures(key, now);
      if (!entry) {
        evictOldest(failures);
        entry = { since: now, tokenHashes: new Set() };
        failures.set(key, entry);
      }
      if (entry.tokenHashes.size >= MAX_FAILURES) return false;
      entry.tokenHashes.add(createHash('sha256').update(token).digest('base64'));
      return entry.tokenHashes.size === MAX_FAILURES;
    },
  };
}

function evictOldest(addresses: Map<string, unknown>): void {
  const oldest = addresses.keys().next();
  if (addresses.size >= MAX_ADDRESSES && !oldest.done) addresses.delete(oldest.value);
}
