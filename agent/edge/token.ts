import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { decodeJwt, errors, jwtVerify } from 'jose';
import { parseKeyList } from '../../shared/snapshot/keys.ts';
import { createAuthThrottle } from '../core/auth-throttle.ts';

/** The edge signs tokens that are valid for 60 s. This also allows an edge clock that is up to 60 s ahead. */
const MAX_LIFETIME_SECONDS = 120;
const MAX_TOKEN_LENGTH = 4_096;

/** `busy`: this address sent too many invalid tokens, so the token was not checked. */
export type EdgeTokenVerdict = 'valid' | 'invalid' | 'busy';

const MAX_KNOWN_TOKENS = 1_024;
/**
 * All clients of a blocked address share these checks, so that a forger at the edge's address cannot stop its reports
 * for long.
 */
const CHECKS_PER_SECOND = 5;

/**
 * Limits the work that forged tokens cause: a valid token is remembered until it expires, because the edge uses each
 * token many times. An address (IPv6: its /64) that sent ten different invalid tokens gets only a few checks until the
 * minute is over.
 */
export function limitTokenChecks(
  verify: (token: string, nowMs: number) => Promise<boolean>,
): (token: string, address: string, nowMs: number) => Promise<EdgeTokenVerdict> {
  const throttle = createAuthThrottle();
  /** Verified tokens by digest, with their expiry. */
  const known = new Map<string, number>();
  let checks = { second: 0, count: 0 };

  function mayCheck(address: string, nowMs: number): boolean {
    if (throttle.retryAfterSeconds(address, nowMs) === 0) return true;
    const second = Math.floor(nowMs / 1_000);
    if (checks.second !== second) checks = { second, count: 0 };
    checks.count += 1;
    return checks.count <= CHECKS_PER_SECOND;
  }

  return async (token, address, nowMs) => {
    if (token.length > MAX_TOKEN_LENGTH) return 'invalid';
    const digest = createHash('sha256').update(token).digest('base64');
    const believedUntil = known.get(digest);
    if (believedUntil !== undefined && nowMs < believedUntil) return 'valid';
    known.delete(digest);
    if (!mayCheck(address, nowMs)) return 'busy';
    if (!(await verify(token, nowMs))) {
      throttle.recordFailure(address, token, nowMs);
      return 'invalid';
    }
    const oldest = known.keys().next();
    if (known.size >= MAX_KNOWN_TOKENS && !oldest.done) known.delete(oldest.value);
    known.set(digest, expiryMs(token));
    return 'valid';
  };
}

const expiryMs = (token: string): number => (decodeJwt(token).exp ?? 0) * 1_000;

/**
 * Verifies the edge's ES256 token (RFC 7519): signed by a known key, issued by the edge, for this site, not expired.
 * `publicKeys` is the value of EDGE_JWT_PUBLIC_KEYS.
 */
export function createEdgeTokenVerifier(
  publicKeys: string,
  site: string,
): (token: string, nowMs: number) => Promise<boolean> {
  const keys = new Map<string | undefined, KeyObject>(
    parseKeyList('EDGE_JWT_PUBLIC_KEYS', publicKeys).map(({ kid, bytes }) => [
      kid,
      createPublicKey({ key: Buffer.from(bytes), format: 'der', type: 'spki' }),
    ]),
  );
  const keyFor = ({ kid }: { kid?: string }): KeyObject => {
    const key = keys.get(kid);
    if (!key) throw new errors.JWKSNoMatchingKey();
    return key;
  };
  return async (token, nowMs) => {
    if (token.length > MAX_TOKEN_LENGTH) return false;
    try {
      // Cheap checks first: a signature costs a hundred times as much.
      const claimed = decodeJwt(token);
      if (claimed.aud !== site || (claimed.exp ?? 0) * 1_000 <= nowMs) return false;
      const { payload } = await jwtVerify(token, keyFor, {
        algorithms: ['ES256'],
        issuer: 'acgs-edge',
        audience: site,
        requiredClaims: ['exp'],
        currentDate: new Date(nowMs),
      });
      return (payload.exp ?? 0) - nowMs / 1000 <= MAX_LIFETIME_SECONDS;
    } catch (error) {
      if (error instanceof errors.JOSEError) return false;
      throw error;
    }
  };
}
