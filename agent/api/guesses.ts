import { createHash } from 'node:crypto';
import { clientKey } from '../../shared/address.ts';

const LIMIT = 10;
const WINDOW_MS = 60_000;
const MAX_ADDRESSES = 1_024;

export interface Guesses {
  /** Whole seconds until this address may present a token again; 0 when it may now. */
  waitSeconds(address: string, now: number): number;
  /** A token that was not the right one. True when it is the one that closes the door. */
  wrong(address: string, token: string, now: number): boolean;
}

interface Tried {
  since: number;
  tokens: Set<string>;
}

/**
 * Slows the guessing of a token: an address (IPv6: its /64) that gave ten different wrong ones is held off until a minute
 * after the first. The same wrong one again is no guess, so a program with yesterday's token does not lock out its host.
 * Memory is bounded: of more than 1024 addresses the oldest is forgotten. `now` in milliseconds.
 */
export function createGuesses(): Guesses {
  // Oldest first.
  const tried = new Map<string, Tried>();
  const recent = (key: string, now: number): Tried | undefined => {
    const entry = tried.get(key);
    // A clock set back must not hold anybody off for longer.
    if (entry && now >= entry.since && now < entry.since + WINDOW_MS) return entry;
    tried.delete(key);
    return undefined;
  };
  return {
    waitSeconds(address, now) {
      const entry = recent(clientKey(address), now);
      if (!entry || entry.tokens.size < LIMIT) return 0;
      return Math.ceil((entry.since + WINDOW_MS - now) / 1000);
    },
    wrong(address, token, now) {
      const key = clientKey(address);
      let entry = recent(key, now);
      if (!entry) {
        const oldest = tried.keys().next();
        if (tried.size >= MAX_ADDRESSES && !oldest.done) tried.delete(oldest.value);
        entry = { since: now, tokens: new Set() };
        tried.set(key, entry);
      }
      const before = entry.tokens.size;
      if (before >= LIMIT) return false;
      entry.tokens.add(createHash('sha256').update(token).digest('base64'));
      return before < entry.tokens.size && entry.tokens.size === LIMIT;
    },
  };
}
