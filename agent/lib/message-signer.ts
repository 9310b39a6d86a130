import { createHmac, timingSafeEqual } from 'node:crypto';

/** Proves who wrote a value that is kept in a store that others can write to. */
export interface MessageSigner {
  /** `<epoch ms>.<HMAC>` over all parts. */
  sign(parts: readonly string[], now: number): string;
  /** When the parts were signed with one of the keys, epoch milliseconds; null: they were not, or too long ago. */
  verify(parts: readonly string[], signature: string, now: number): number | null;
}

/** Clocks of two hosts may differ. */
const MAX_AHEAD_MS = 6 * 3_600_000;

/** The first key signs, all keys verify. `maxAgeMs` limits how long a value can be replayed. */
export function createMessageSigner(keys: readonly string[], maxAgeMs: number): MessageSigner {
  const [signingKey] = keys;
  if (!signingKey) throw new Error('a signer needs a key');
  const macOf = (key: string, at: string, parts: readonly string[]): Buffer =>
    createHmac('sha256', key)
      .update(JSON.stringify([at, ...parts]))
      .digest();
  return {
    sign(parts, now) {
      const at = String(Math.round(now));
      return `${at}.${macOf(signingKey, at, parts).toString('base64url')}`;
    },
    verify(parts, signature, now) {
      const [, at = '', mac = ''] = /^(\d{1,15})\.([A-Za-z0-9_-]{43})$/.exec(signature) ?? [];
      const signedAt = Number(at);
      if (at === '' || signedAt <= now - maxAgeMs || signedAt >= now + MAX_AHEAD_MS) return null;
      const given = Buffer.from(mac, 'base64url');
      const isValid = keys.some((key) => timingSafeEqual(macOf(key, at, parts), given));
      return isValid ? signedAt : null;
    },
  };
}

const MIN_KEY_LENGTH = 32;

/** Parses one key, or two separated by a comma while the key is replaced. */
export function parseMessageKeys(variable: string, value: string): string[] {
  const keys = value.split(',').map((key) => key.trim());
  if (keys.every((key) => key.length >= MIN_KEY_LENGTH)) return keys;
  throw new Error(`${variable}: every key needs at least ${MIN_KEY_LENGTH} characters`);
}
