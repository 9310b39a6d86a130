import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** Secrets of the local stack, created once per state folder. Formats: shared/snapshot/keys.ts. */
export interface StackSecrets {
  ACGS_TOKEN: string;
  EDGE_TOKEN: string;
  HAPROXY_STATS_USER: string;
  HAPROXY_STATS_PASSWORD: string;
  REDIS_PASSWORD: string;
  COOKIE_KEYS: string;
  SNAPSHOT_SIGNING_KEY: string;
  SNAPSHOT_PUBLIC_KEYS: string;
  GATEWAY_JWT_KEY: string;
  EDGE_JWT_PUBLIC_KEYS: string;
}

const token = (): string => randomBytes(24).toString('base64url');
const kid = (): string => `local-${randomBytes(3).toString('hex')}`;

/** Reads the file, creates missing secrets, derives the public keys, and writes the file with mode 0600. */
export function loadSecrets(file: string, site: string): StackSecrets {
  const kept = existsSync(file) ? parseEnv(readFileSync(file, 'utf8')) : {};
  const signing = kept.SNAPSHOT_SIGNING_KEY || `${kid()}:${privateKey('ed25519')}`;
  const gateway = kept.GATEWAY_JWT_KEY || `${kid()}:${privateKey('ec')}`;
  const secrets: StackSecrets = {
    ACGS_TOKEN: kept.ACGS_TOKEN || token(),
    EDGE_TOKEN: kept.EDGE_TOKEN || token(),
    HAPROXY_STATS_USER: kept.HAPROXY_STATS_USER || 'admin',
    HAPROXY_STATS_PASSWORD: kept.HAPROXY_STATS_PASSWORD || token(),
    REDIS_PASSWORD: kept.REDIS_PASSWORD || token(),
    COOKIE_KEYS: kept.COOKIE_KEYS || `${kid()}:${randomBytes(32).toString('base64url')}`,
    SNAPSHOT_SIGNING_KEY: signing,
    // The edge expects the raw key: the last 32 bytes of an Ed25519 SPKI.
    SNAPSHOT_PUBLIC_KEYS: `${site}:${publicKey(signing, (spki) => spki.subarray(-32))}`,
    GATEWAY_JWT_KEY: gateway,
    EDGE_JWT_PUBLIC_KEYS: publicKey(gateway, (spki) => spki),
  };
  const lines = Object.entries(secrets).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(
    file,
    `# Created by npm start for this machine only. Delete the file to get new secrets.\n${lines.join('')}`,
    {
      mode: 0o600,
    },
  );
  chmodSync(file, 0o600);
  return secrets;
}

function privateKey(type: 'ed25519' | 'ec'): string {
  const pair =
    type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return pair.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64url');
}

function publicKey(keyText: string, encode: (spki: Buffer) => Buffer): string {
  const [id = '', encoded = ''] = keyText.split(':');
  const der = { key: Buffer.from(encoded, 'base64url'), format: 'der', type: 'pkcs8' } as const;
  const key = createPublicKey(createPrivateKey(der));
  return `${id}:${encode(key.export({ type: 'spki', format: 'der' })).toString('base64url')}`;
}
