import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { parseKeyList } from '../../shared/snapshot/keys.ts';

/** The edge makes tokens that live 60 s; a clock may be off by as much again. */
const LONGEST_LIFE_S = 120;

/** Verifies the edge's ES256 token (RFC 7519): signature by a known key, issuer, this site as audience, not expired. */
export function createEdgeTokenVerifier(
  publicKeys: string,
  site: string,
): (token: string, nowMs: number) => boolean {
  const keys = new Map<string, KeyObject>(
    parseKeyList('EDGE_JWT_PUBLIC_KEYS', publicKeys).map(({ kid, bytes }) => [
      kid,
      createPublicKey({ key: Buffer.from(bytes), format: 'der', type: 'spki' }),
    ]),
  );
  return (token, nowMs) => {
    const [head = '', body = '', signature = '', ...rest] = token.split('.');
    if (rest.length > 0 || token.length > 4096) return false;
    const header = parse(head);
    if (header?.alg !== 'ES256' || typeof header.kid !== 'string') return false;
    const key = keys.get(header.kid);
    if (!key) return false;
    const signed = Buffer.from(`${head}.${body}`);
    const valid = verify(
      'sha256',
      signed,
      { key, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
    const claims = valid ? parse(body) : null;
    if (claims?.iss !== 'acgs-edge' || claims.aud !== site) return false;
    const left = typeof claims.exp === 'number' ? claims.exp - nowMs / 1000 : -1;
    return left > 0 && left <= LONGEST_LIFE_S;
  };
}

function parse(part: string): { [name: string]: unknown } | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : null;
  } catch {
    return null;
  }
}
