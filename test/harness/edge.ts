import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleWorker } from '../../dev/edge/bundle.ts';
import { type LocalEdgeOptions, startLocalEdge } from '../../dev/edge/miniflare.ts';
import { freePort } from '../../dev/ports.ts';
import { signSnapshot, toBase64Url } from '../../shared/snapshot/signature.ts';
import type { Snapshot } from '../../shared/snapshot/snapshot.ts';

const ROOT = join(import.meta.dirname, '../..');

/** The deployable bundle, built once per test process. */
let bundle: Promise<{ dir: string; path: string }> | undefined;

export function bundleOnce(): Promise<{ dir: string; path: string }> {
  bundle ??= (async () => {
    const dir = mkdtempSync(join(tmpdir(), 'acgs-bundle-'));
    process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
    return { dir, path: await bundleWorker(ROOT, dir) };
  })();
  return bundle;
}

export interface TestEdge {
  url: string;
  stop(): Promise<void>;
  /** Sends a request with Cloudflare's colo and country. */
  fromPlace(
    cf: { colo: string; country: 'DE' | 'US' | 'JP' },
    request?: { method?: string; headers?: Record<string, string> },
  ): Promise<{ status: number; body: string; headers: Map<string, string> }>;
  /** Signs and publishes a snapshot with the next `seq`. */
  publish(snapshot: Partial<Snapshot>): Promise<Response>;
  sign(snapshot: Snapshot): Promise<Uint8Array<ArrayBuffer>>;
  /** SNAPSHOT_SIGNING_KEY of the first site. */
  signingKey: string;
}

export interface TestEdgeOptions
  extends Partial<
    Pick<
      LocalEdgeOptions,
      'kvLagMs' | 'kvDown' | 'persist' | 'port' | 'onLog' | 'otherWorkers' | 'services' | 'outbound'
    >
  > {
  vars?: Record<string, string>;
  sites?: string[];
}

export const EDGE_TOKEN = 'test-edge-token';

/** Runs the deployable bundle in workerd with new keys. */
export async function startEdge(options: TestEdgeOptions = {}): Promise<TestEdge> {
  const { vars, sites = ['main'], port, ...rest } = options;
  const { dir, path } = await bundleOnce();
  const keys = new Map(await Promise.all(sites.map(async (site) => [site, await signingPair()] as const)));
  const listenOn = port ?? (await freePort());
  const edge = await startLocalEdge({
    root: ROOT,
    host: '127.0.0.1',
    port: listenOn,
    buildDir: dir,
    bundle: path,
    vars: {
      SITES: sites.join(','),
      SNAPSHOT_PUBLIC_KEYS: [...keys].map(([site, key]) => `${site}:k-${site}:${key.publicText}`).join(','),
      CLIENT_ADDRESS_FROM: 'local',
      SIMULATE_CLIENTS: '1',
      LOG_SAMPLE: '0',
      EDGE_TOKEN,
      COOKIE_KEYS: `c1:${toBase64Url(crypto.getRandomValues(new Uint8Array(32)))}`,
      ...vars,
    },
    ...rest,
  });
  const url = `http://127.0.0.1:${listenOn}`;
  let seq = 0;
  const sign = async (snapshot: Snapshot): Promise<Uint8Array<ArrayBuffer>> => {
    const key = keys.get(snapshot.site);
    if (!key) throw new Error(`no key for site ${snapshot.site}`);
    return signSnapshot(snapshot, { kid: `k-${snapshot.site}`, privateKey: key.privateKey });
  };
  return {
    url,
    sign,
    signingKey: keys.get(sites[0] ?? '')?.signingText(sites[0] ?? '') ?? '',
    stop: () => edge.dispose(),
    async fromPlace(cf, { method = 'GET', headers = {} } = {}) {
      const from = { 'cf-connecting-ip': '203.0.113.1', ...headers };
      const answer = await edge.dispatchFetch(`${url}/`, { method, cf, headers: from, redirect: 'manual' });
      return { status: answer.status, headers: new Map(answer.headers), body: await answer.text() };
    },
    async publish(part) {
      const snapshot: Snapshot = {
        v: 1,
        site: sites[0] ?? 'main',
        epoch: 1,
        seq: ++seq,
        issuedAt: Date.now(),
        gateways: [],
        services: {},
        ...part,
      };
      return fetch(`${url}/__acgs/snapshot/${snapshot.site}`, { method: 'PUT', body: await sign(snapshot) });
    },
  };
}

export async function signingPair() {
  const pair = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  if (!('privateKey' in pair)) throw new Error('Ed25519 makes a pair');
  const raw = await crypto.subtle.exportKey('raw', pair.publicKey);
  const pkcs8 = toBase64Url(new Uint8Array(await crypto.subtle.exportKey('pkcs8', pair.privateKey)));
  return {
    privateKey: pair.privateKey,
    publicText: toBase64Url(new Uint8Array(raw)),
    signingText: (site: string) => `k-${site}:${pkcs8}`,
  };
}
