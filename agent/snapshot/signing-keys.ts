import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { parseEncodedKey } from '../../shared/snapshot/keys.ts';

/** Generates keys and secrets in the formats that shared/snapshot/keys.ts parses. */

/** A key id with its date of creation: `k20261124-3f9a`. */
function generateKeyId(now: Date, random: (size: number) => Buffer = randomBytes): string {
  return `k${now.toISOString().slice(0, 10).replaceAll('-', '')}-${random(2).toString('hex')}`;
}

/** A bearer token or password: 24 random bytes. */
const generateToken = (): string => randomBytes(24).toString('base64url');

/** SNAPSHOT_SIGNING_KEY: Ed25519, PKCS #8. */
function generateSigningKey(kid: string): string {
  const { privateKey } = generateKeyPairSync('ed25519');
  return `${kid}:${privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url')}`;
}

/** GATEWAY_JWT_KEY: P-256, PKCS #8. */
function generateGatewayKey(kid: string): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return `${kid}:${privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url')}`;
}

/** One of COOKIE_KEYS: 32 random bytes. */
const generateCookieKey = (kid: string): string => `${kid}:${randomBytes(32).toString('base64url')}`;

/** The entry of SNAPSHOT_PUBLIC_KEYS for a signing key, in the raw format that a Worker imports. */
export function snapshotPublicKey(site: string, signingKey: string): string {
  const { kid, spki } = publicHalf('SNAPSHOT_SIGNING_KEY', signingKey);
  // The last 32 bytes of an Ed25519 SubjectPublicKeyInfo are the key (RFC 8410 §4).
  return `${site}:${kid}:${spki.subarray(-32).toString('base64url')}`;
}

/** Creates SITE_DIRECTORY_SIGNING_KEY and its entry of SITE_DIRECTORY_KEYS. */
export function generateDirectoryKey(now: Date) {
  const signingKey = generateSigningKey(generateKeyId(now));
  const [, ...publicKey] = snapshotPublicKey('-', signingKey).split(':');
  return { SITE_DIRECTORY_SIGNING_KEY: signingKey, SITE_DIRECTORY_KEYS: publicKey.join(':') };
}

/** The entry of EDGE_JWT_PUBLIC_KEYS for a gateway key. */
export function gatewayPublicKey(gatewayKey: string): string {
  const { kid, spki } = publicHalf('GATEWAY_JWT_KEY', gatewayKey);
  return `${kid}:${spki.toString('base64url')}`;
}

function publicHalf(variable: string, text: string): { kid: string; spki: Buffer } {
  const { kid, bytes } = parseEncodedKey(variable, text);
  try {
    const key = createPublicKey(createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs8' }));
    return { kid, spki: key.export({ type: 'spki', format: 'der' }) };
  } catch (cause) {
    throw new Error(`${variable} is not a PKCS #8 private key`, { cause });
  }
}

/** All secrets of a new site by program. A secret that both programs need is in both. */
export interface SiteSecrets {
  agent: Record<string, string>;
  edge: Record<string, string>;
}

export function generateSiteSecrets(site: string, now: Date): SiteSecrets {
  const signing = generateSigningKey(generateKeyId(now));
  const gateway = generateGatewayKey(generateKeyId(now));
  const edgeToken = generateToken();
  return {
    agent: {
      ACGS_TOKEN: generateToken(),
      INTENT_KEY: generateToken(),
      HAPROXY_STATS_USER: 'admin',
      HAPROXY_STATS_PASSWORD: generateToken(),
      SNAPSHOT_SIGNING_KEY: signing,
      EDGE_JWT_PUBLIC_KEYS: gatewayPublicKey(gateway),
      EDGE_TOKEN: edgeToken,
    },
    edge: {
      SNAPSHOT_PUBLIC_KEYS: snapshotPublicKey(site, signing),
      GATEWAY_JWT_KEY: gateway,
      COOKIE_KEYS: generateCookieKey(generateKeyId(now)),
      EDGE_TOKEN: edgeToken,
    },
  };
}

/** One variable to set. `afterwards`: what to do before the next step. */
export interface RotationStep {
  where: 'agent' | 'edge';
  variable: string;
  value: string;
  afterwards: string;
}

/**
 * The steps that replace a key without rejecting a valid signature: first the verifier accepts both keys, then the signer
 * uses the new key, then the verifier drops the old key.
 */
export function rotateSnapshotKey(site: string, signingKey: string, now: Date): RotationStep[] {
  const before = snapshotPublicKey(site, signingKey);
  const signing = generateSigningKey(generateKeyId(now));
  const after = snapshotPublicKey(site, signing);
  const publicKeys = { where: 'edge', variable: 'SNAPSHOT_PUBLIC_KEYS' } as const;
  return [
    {
      ...publicKeys,
      value: `${before},${after}`,
      afterwards: 'deploy the edge; wait until it runs everywhere',
    },
    {
      where: 'agent',
      variable: 'SNAPSHOT_SIGNING_KEY',
      value: signing,
      afterwards: 'restart every agent of the site',
    },
    {
      ...publicKeys,
      value: after,
      afterwards: 'deploy the edge again; the old key is no longer accepted',
    },
  ];
}

export function rotateGatewayKey(gatewayKey: string, now: Date): RotationStep[] {
  const before = gatewayPublicKey(gatewayKey);
  const gateway = generateGatewayKey(generateKeyId(now));
  const after = gatewayPublicKey(gateway);
  const publicKeys = { where: 'agent', variable: 'EDGE_JWT_PUBLIC_KEYS' } as const;
  return [
    {
      ...publicKeys,
      value: `${before},${after}`,
      afterwards: 'restart every agent of the site; HAProxy reloads with both keys',
    },
    {
      where: 'edge',
      variable: 'GATEWAY_JWT_KEY',
      value: gateway,
      afterwards: 'deploy the edge; wait two minutes (a token is valid for one)',
    },
    {
      ...publicKeys,
      value: after,
      afterwards: 'restart every agent again; the old key is no longer accepted',
    },
  ];
}

export function rotateCookieKey(cookieKeys: string, ttl: string, now: Date): RotationStep[] {
  const [current = ''] = cookieKeys.split(',').map((part) => part.trim());
  parseEncodedKey('COOKIE_KEYS', current);
  const next = generateCookieKey(generateKeyId(now));
  const keys = { where: 'edge', variable: 'COOKIE_KEYS' } as const;
  return [
    { ...keys, value: `${current},${next}`, afterwards: 'deploy the edge; wait until it runs everywhere' },
    {
      ...keys,
      value: `${next},${current}`,
      afterwards: `deploy the edge: new cookies use the new key; wait for affinity.ttl (${ttl})`,
    },
    {
      ...keys,
      value: next,
      afterwards: 'deploy the edge again; cookies sealed with the old key are no longer accepted',
    },
  ];
}
