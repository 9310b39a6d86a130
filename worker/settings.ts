import { parseOrigin } from '../shared/config/origin.ts';
import { SlidingLog } from '../shared/limits/sliding-log.ts';
import { importVerifyKeys, parseEncodedKey, parseKeyList } from '../shared/snapshot/keys.ts';
import type { SnapshotVerifyKey } from '../shared/snapshot/signature.ts';
import { SITE_DIRECTORY } from '../shared/snapshot/site-directory.ts';
import type { Env } from './env.ts';

type ClientAddressSource = 'cloudflare' | 'workerd' | 'local';

/** The validated environment, parsed once per isolate. */
export interface EdgeSettings {
  sites: readonly string[];
  verifyKeys: readonly SnapshotVerifyKey[];
  /** Verify the site directory. Empty: only the sites of `SITES` are served. */
  directoryKeys: readonly SnapshotVerifyKey[];
  /** The gateway that receives every request while there is no snapshot. */
  fallbackOrigin: string | null;
  /** The first key seals, all keys open. Empty: no affinity cookies. */
  cookieKeys: readonly { kid: string; key: CryptoKey }[];
  /** Signs `x-acgs-edge`. Null: gateways treat the edge like any client. */
  gatewayKey: { kid: string; key: CryptoKey } | null;
  edgeToken: string | null;
  clientAddressSource: ClientAddressSource;
  /** Trust `x-acgs-sim-client`. Only with `local`. */
  simulateClients: boolean;
  /** Fetch snapshots from KV alone, to compare with the Hub. Only with `local`. */
  kvOnly: boolean;
  /** Maximum bytes of a request's header fields. */
  maxHeaderBytes: number;
  /** Maximum bodies that one client sends slowly at the same time. */
  maxSlowUploads: number;
  /** Per client, while there is no snapshot. Null: none. */
  fallbackLimit: { limit: number; windowMs: number } | null;
  /** Share of requests without a problem that are logged, 0–1. */
  logSample: number;
  /** The sampled share of the traces that start at the edge, 0–1. */
  traceSample: number;
  /** Continue the traces of clients. */
  trustTraceparent: boolean;
}

/** Throws an error that names the invalid variable and what it must be, without the value of a secret. */
export async function readSettings(env: Env): Promise<EdgeSettings> {
  const clientAddressSource = parseClientAddressSource(env.CLIENT_ADDRESS_FROM);
  const isLocal = clientAddressSource === 'local';
  const sites = parseSites(env.SITES);
  const fallbackOrigin = parseFallbackOrigin(env.FALLBACK_ORIGIN);
  if (sites.length === 0 && !fallbackOrigin) throw new Error('SITES or FALLBACK_ORIGIN must be set');
  return {
    sites,
    fallbackOrigin,
    clientAddressSource,
    logSample: parseShare('LOG_SAMPLE', env.LOG_SAMPLE, 0),
    traceSample: parseShare('TRACE_SAMPLE', env.TRACE_SAMPLE, 0.01),
    trustTraceparent: parseSwitch('TRUST_TRACEPARENT', env.TRUST_TRACEPARENT, true),
    maxHeaderBytes: parseMaxHeaderBytes(env.MAX_HEADER_BYTES),
    maxSlowUploads: parseMaxSlowUploads(env.MAX_SLOW_UPLOADS),
    fallbackLimit: parseFallbackLimit(env.FALLBACK_LIMIT),
    verifyKeys: await importVerifyKeys(env.SNAPSHOT_PUBLIC_KEYS ?? ''),
    directoryKeys: await importDirectoryKeys(env.SITE_DIRECTORY_KEYS ?? ''),
    cookieKeys: await importCookieKeys(env.COOKIE_KEYS ?? ''),
    gatewayKey: env.GATEWAY_JWT_KEY ? await importGatewayKey(env.GATEWAY_JWT_KEY) : null,
    edgeToken: env.EDGE_TOKEN || null,
    simulateClients: isLocal && env.SIMULATE_CLIENTS === '1',
    kvOnly: isLocal && env.SNAPSHOT_LANES === 'kv',
  };
}

function parseClientAddressSource(text: string | undefined): ClientAddressSource {
  const source = text || 'cloudflare';
  if (source === 'cloudflare' || source === 'workerd' || source === 'local') return source;
  throw new Error(`CLIENT_ADDRESS_FROM is "${source}"; it must be cloudflare, workerd or local`);
}

function parseSites(text = ''): string[] {
  const sites = text.split(',').map((site) => site.trim());
  return [...new Set(sites.filter(Boolean))];
}

function parseFallbackOrigin(text: string | undefined): string | null {
  if (!text) return null;
  const origin = parseOrigin(text);
  if (!origin) throw new Error('FALLBACK_ORIGIN must be an http(s) origin');
  return origin;
}

function parseShare(name: string, text: string | undefined, byDefault: number): number {
  const share = Number(text || byDefault);
  if (!(share >= 0 && share <= 1)) throw new Error(`${name} is "${text}"; it must be a number from 0 to 1`);
  return share;
}

function parseSwitch(name: string, text: string | undefined, byDefault: boolean): boolean {
  if (!text) return byDefault;
  if (text === '1' || text === '0') return text === '1';
  throw new Error(`${name} is "${text}"; it must be 1 or 0`);
}

function parseMaxHeaderBytes(text: string | undefined): number {
  const bytes = Number(text || 16_384);
  if (!Number.isInteger(bytes) || bytes < 4_096 || bytes > 131_072) {
    throw new Error('MAX_HEADER_BYTES must be a whole number from 4096 to 131072');
  }
  return bytes;
}

function parseMaxSlowUploads(text: string | undefined): number {
  const uploads = Number(text || 32);
  if (!Number.isInteger(uploads) || uploads < 1 || uploads > 10_000) {
    throw new Error('MAX_SLOW_UPLOADS must be a whole number from 1 to 10000');
  }
  return uploads;
}

/** A limit that the sliding log counts exactly. */
function parseFallbackLimit(text: string | undefined): EdgeSettings['fallbackLimit'] {
  if (text === 'off') return null;
  const [, limit = '', seconds = ''] = /^(\d{1,3})\/(\d{1,3})s$/.exec(text || '20/10s') ?? [];
  const parsed = { limit: Number(limit), windowMs: Number(seconds) * 1_000 };
  if (parsed.limit < 1 || parsed.limit > SlidingLog.MAX_LIMIT || parsed.windowMs < 1_000) {
    throw new Error(
      `FALLBACK_LIMIT must be off or <requests>/<seconds>s, such as 20/10s, at most ${SlidingLog.MAX_LIMIT} requests`,
    );
  }
  return parsed;
}

async function importDirectoryKeys(text: string): Promise<SnapshotVerifyKey[]> {
  const keys = text.split(',').filter((part) => part.trim());
  const entries = keys.map((part) => `${SITE_DIRECTORY}:${part.trim()}`).join(',');
  try {
    return await importVerifyKeys(entries, 'SITE_DIRECTORY_KEYS');
  } catch (cause) {
    throw new Error('SITE_DIRECTORY_KEYS must be <kid>:<base64url raw Ed25519 key>[,…]', { cause });
  }
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
