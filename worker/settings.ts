import { parseOrigin } from '../shared/config/origin.ts';
import { importVerifyKeys, parseEncodedKey, parseKeyList } from '../shared/snapshot/keys.ts';
import type { SnapshotVerifyKey } from '../shared/snapshot/signature.ts';
import type { Env } from './env.ts';

export type ClientAddressSource = 'cloudflare' | 'workerd' | 'local';

/** The environment, checked. Made once per isolate. */
export interface EdgeSettings {
  sites: readonly string[];
  verifyKeys: readonly SnapshotVerifyKey[];
  /** Where everything goes, untargeted, while there is no snapshot. */
  fallbackOrigin: string | null;
  /** The first seals, all open. Empty: no affinity by cookie. */
  cookieKeys: readonly { kid: string; key: CryptoKey }[];
  /** Signs `x-acgs-edge`; null: gateways see an ordinary client. */
  gatewayKey: { kid: string; key: CryptoKey } | null;
  edgeToken: string | null;
  clientAddressSource: ClientAddressSource;
  /** Believe `x-acgs-sim-client`; with `local` only. */
  simulateClients: boolean;
  /** Learn of snapshots from KV alone, to measure what the Hub is worth; with `local` only. */
  kvOnly: boolean;
  /** Share of ordinary requests that are logged, 0–1. */
  logSample: number;
}

/** Throws with the variable's name and what it must be; never with a secret's value. */
export async function readSettings(env: Env): Promise<EdgeSettings> {
  const addressFrom = env.CLIENT_ADDRESS_FROM || 'cloudflare';
  if (addressFrom !== 'cloudflare' && addressFrom !== 'workerd' && addressFrom !== 'local') {
    throw new Error(`CLIENT_ADDRESS_FROM is "${addressFrom}"; it must be cloudflare, workerd or local`);
  }
  const named = (env.SITES ?? '').split(',').map((site) => site.trim());
  const sites = [...new Set(named.filter(Boolean))];
  const fallbackOrigin = env.FALLBACK_ORIGIN ? parseOrigin(env.FALLBACK_ORIGIN) : null;
  if (env.FALLBACK_ORIGIN && !fallbackOrigin) throw new Error('FALLBACK_ORIGIN must be an http(s) origin');
  if (sites.length === 0 && !fallbackOrigin) throw new Error('SITES or FALLBACK_ORIGIN must be set');
  const logSample = Number(env.LOG_SAMPLE || 0);
  if (!(logSample >= 0 && logSample <= 1)) throw new Error('LOG_SAMPLE must be a number from 0 to 1');
  return {
    sites,
    fallbackOrigin,
    clientAddressSource: addressFrom,
    logSample,
    verifyKeys: await importVerifyKeys(env.SNAPSHOT_PUBLIC_KEYS ?? ''),
    cookieKeys: await importCookieKeys(env.COOKIE_KEYS ?? ''),
    gatewayKey: env.GATEWAY_JWT_KEY ? await importGatewayKey(env.GATEWAY_JWT_KEY) : null,
    edgeToken: env.EDGE_TOKEN || null,
    simulateClients: addressFrom === 'local' && env.SIMULATE_CLIENTS === '1',
    kvOnly: addressFrom === 'local' && env.SNAPSHOT_LANES === 'kv',
  };
}

async function importCookieKeys(text: string): Promise<{ kid: string; key: CryptoKey }[]> {
  return Promise.all(
    parseKeyList('COOKIE_KEYS', text).map(async ({ kid, bytes }) => {
      if (bytes.length !== 32) throw new Error('COOKIE_KEYS: every key must be 32 bytes');
      const key = await crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']);
      return { kid, key };
    }),
  );
}

async function importGatewayKey(text: string): Promise<{ kid: string; key: CryptoKey }> {
  const { kid, bytes } = parseEncodedKey('GATEWAY_JWT_KEY', text);
  try {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
    return { kid, key: await crypto.subtle.importKey('pkcs8', bytes, algorithm, false, ['sign']) };
  } catch (cause) {
    throw new Error('GATEWAY_JWT_KEY must be <kid>:<base64url pkcs8 P-256 key>', { cause });
  }
}
