import { createPublicKey, type KeyObject } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import { parseKeyList } from '../../shared/snapshot/keys.ts';

/** The edge signs tokens that are valid for 60 s. This allows for a clock that is as much ahead. */
const MAX_LIFETIME_SECONDS = 120;
const MAX_TOKEN_LENGTH = 4_096;

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
