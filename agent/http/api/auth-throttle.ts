import { createHash } from 'node:crypto';
import { clientKey } from '../../../shared/address.ts';

const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
const TRUST_MS = 600_000;
const MAX_ADDRESSES = 1_024;

export interface AuthThrottle {
  /** Whole seconds until this address may present a token again; 0 when it may now. */
  retryAfterSeconds(address: string, now: number): number;
  /** The right token was given. */
  recordSuccess(address: string, now: number): void;
  /** Whether this address gave the right token within the last ten minutes. */
  hasRecentSuccess(address: string, now: number): boolean;
  /** A token that was not the right one. True when it is the one that closes the door. */
  recordFailure(address: string, token: string, now: number): boolean;
}

interface FailedAttempts {
  since: number;
  tokens: Set<string>;
}

/**
 * Slows the guessing of a token: an address (IPv6: its /64) that gave ten different wrong ones is held off until a minute
 * after the first. The same wrong one again is no guess, so a program with yesterday's token does not lock out its host;
 * and an address that lately gave the right one goes on being heard, so a neighbour behind the same proxy cannot stop its
 * heartbeats. Memory is bounded: of more than 1024 addresses the oldest is forgotten. `now` in milliseconds.
 */
export function createAuthThrottle(): AuthThrottle {
  // Both oldest first.
  const tried = new Map<string, FailedAttempts>();
  const known = new Map<string, number>();
  const recent = (key: string, now: number): FailedAttempts | undefined => {
    const entry = tried.get(key);
    // A clock set back must not hold anybody off for longer.
    if (entry && now >= entry.since && now < entry.since + WINDOW_MS) return entry;
    tried.delete(key);
    return undefined;
  };
  return {
    retryAfterSeconds(address, now) {
      const entry = recent(clientKey(address), now);
      if (!entry || entry.tokens.size < MAX_FAILURES) return 0;
      return Math.ceil((entry.since + WINDOW_MS - now) / 1000);
    },
    recordSuccess(address, now) {
      const key = clientKey(address);
      if (!known.delete(key)) evictOldest(known);
      known.set(key, now);
    },
    hasRecentSuccess(address, now) {
      const at = known.get(clientKey(address));
      return at !== undefined && now >= at && now < at + TRUST_MS;
    },
    recordFailure(address, token, now) {
      const key = clientKey(address);
      let entry = recent(key, now);
      if (!entry) {
        evictOldest(tried);
        entry = { since: now, tokens: new Set() };
        tried.set(key, entry);
      }
      const before = entry.tokens.size;
      if (before >= MAX_FAILURES) return false;
      entry.tokens.add(createHash('sha256').update(token).digest('base64'));
      return before < entry.tokens.size && entry.tokens.size === MAX_FAILURES;
    },
  };
}

function evictOldest(addresses: Map<string, unknown>): void {
  const oldest = addresses.keys().next();
  if (addresses.size >= MAX_ADDRESSES && !oldest.done) addresses.delete(oldest.value);
}
